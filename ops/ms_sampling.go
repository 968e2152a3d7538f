package ops

import (
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
)

// Sampling (com.microsoft): tokens that a decoder generates, drawn by their probabilities from the likeliest ones.
//
//	input_ids: int32[b, s]    sequences: int32[b, max_length]    presence_mask: int32[b, vocab]    seed: int32, one element
//
// Other inputs are those of GreedySearch. What the inputs and the attributes temperature and presence_penalty make of logits
// is drawn from as from logarithms of probabilities, once filter_value has taken the place of
//
//	custom = 0: the least likely tokens whose probabilities sum to no more than 1 - top_p, but of no more than vocab - min_tokens_to_keep
//	custom = 1: those behind the likeliest whose probabilities sum to more than top_p
//
// Draws are those of ONNX Runtime where it is built with the C++ library of GCC: its generator is x ← 16807·x mod 2³¹-1 from seed,
// 0 if it is absent, so each run gives the same sequences. Elsewhere it gives other sequences of the same distribution.
// presence_mask is read as its description says; on the CPU ONNX Runtime takes all of its sum from the first token of the first row.
// The output filtered_logits, which it does not make on the CPU, is not supported.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.Sampling
func init() {
	register(&Op{Domain: "com.microsoft", Name: "Sampling", Numerics: Random, Versions: []Version{
		{Since: 1, In: Arity{2, 9}, Out: Arity{1, 2}, Infer: inferGreedy, Build: buildSampling},
	}})
}

func buildSampling(b *BuildContext) (Kernel, error) {
	s := sampler{
		topP: b.Float("top_p", 0), filter: b.Float("filter_value", -1e20), keep: b.Int("min_tokens_to_keep", 0), custom: b.Bool("custom", false),
		softmax: softmaxLines(vec.Best()),
	}
	rules := tokenRules{temperature: b.Float("temperature", 1), presence: b.Float("presence_penalty", 0)}
	g, err := buildGreedy(b)
	if err != nil {
		return nil, err
	}
	if b.Wants(1) {
		return nil, fmt.Errorf("%w: output filtered_logits", ErrUnsupported)
	}
	return func(c *Call) error {
		seed, err := c.oneInt32(8, "seed", 0)
		if err != nil {
			return err
		}
		m := State[samplerState](c)
		*m = samplerState{sampler: s, random: newMinStd(int32(seed)), order: m.order[:0]}
		err = greedy(c, g, 7, rules, m)
		m.sums, m.probs = nil, nil
		return err
	}, nil
}

// sampler is what the attributes say.
type sampler struct {
	topP, filter float32
	keep         int
	custom       bool
	softmax      lines
}

// samplerState draws tokens in one run.
type samplerState struct {
	sampler
	random minStd
	order  []tokenScore
	sums   []float64
	probs  []float32
}

type tokenScore struct {
	id    int32
	score float32
}

func (s *samplerState) begin(c *Call, r *textRun) error {
	if s.keep < 0 || s.keep >= r.vocab {
		return fmt.Errorf("attribute \"min_tokens_to_keep\" is %d, want 0 to %d", s.keep, r.vocab-1)
	}
	s.probs, s.sums = Scratch[float32](c, r.vocab), Scratch[float64](c, r.vocab)
	s.order = slices.Grow(s.order, r.vocab)[:r.vocab]
	return nil
}

func (s *samplerState) choose(c *Call, r *textRun) {
	for i := range r.tokens {
		x := r.scores[i*r.vocab:][:r.vocab]
		s.cut(c, x)
		r.tokens[i] = s.draw(x)
	}
}

// cut puts the filter value in the place of scores that are not to be drawn.
func (s *samplerState) cut(c *Call, x []float32) {
	for i, v := range x {
		s.order[i] = tokenScore{int32(i), v}
	}
	sort.Sort(s)
	for i, o := range s.order {
		s.probs[i] = o.score
	}
	s.softmax(c.P, s.probs, s.probs, 1, len(x), 1)
	sum, n := float32(0), len(x)
	if s.custom {
		for i := range n - 1 {
			if sum += s.probs[i]; sum > s.topP {
				x[s.order[i+1].id] = s.filter
			}
		}
		return
	}
	for i := range max(n-s.keep, 1) {
		if sum += s.probs[i]; sum <= 1-s.topP {
			x[s.order[i].id] = s.filter
		}
	}
}

// Len, Less and Swap sort the tokens: the likeliest first if custom, else last, and equal ones as they come.
func (s *samplerState) Len() int { return len(s.order) }

// Less is of the interface of package sort.
func (s *samplerState) Less(i, j int) bool {
	a, b := s.order[i], s.order[j]
	if a.score == b.score {
		return a.id < b.id
	}
	return (a.score > b.score) == s.custom
}

// Swap is of the interface of package sort.
func (s *samplerState) Swap(i, j int) { s.order[i], s.order[j] = s.order[j], s.order[i] }

// draw returns a token by the probabilities whose logarithms are x, to a constant.
func (s *samplerState) draw(x []float32) int32 {
	top := float64(lowest)
	for _, v := range x {
		if f := float64(v); !math.IsInf(f, 0) && f > top {
			top = f
		}
	}
	sum := 0.0
	for i, v := range x {
		if f := float64(v); !math.IsInf(f, 0) && !math.IsNaN(f) {
			sum += math.Exp(f - top)
		}
		s.sums[i] = sum
	}
	at := s.random.float64() * sum
	return int32(min(sort.Search(len(x), func(i int) bool { return s.sums[i] > at }), len(x)-1))
}

// minStd is the minimal standard generator of Park and Miller (1988), as C++ has it.
type minStd uint64

const minStdMod = 1<<31 - 1

func newMinStd(seed int32) minStd {
	return minStd(max(uint64(int64(seed))%minStdMod, 1))
}

func (m *minStd) next() uint64 {
	*m = *m * 16807 % minStdMod
	return uint64(*m)
}

// float64 returns a number in [0, 1) of two draws, as GCC's library makes it.
func (m *minStd) float64() float64 {
	const n = minStdMod - 1
	lo, hi := m.next()-1, m.next()-1
	v := (float64(lo) + float64(hi)*n) / (n * n)
	return min(v, math.Nextafter(1, 0))
}
