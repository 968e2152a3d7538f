package ops_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// drawn gives the request a presence mask and a seed.
func drawn(r *request, seed int32) {
	r.extra = []tensor.Value{nil, one(seed)}
	if r.IntN(2) == 0 {
		for range r.batch {
			row := make([]int32, r.m.vocab)
			for i := range row {
				row[i] = int32(r.IntN(2))
			}
			r.present = append(r.present, row)
		}
		r.presence = 1.5
		r.attrs = append(r.attrs, "presence_penalty", float32(r.presence))
		r.extra[0] = rows(r.present)
	}
	r.heat = []float32{0.5, 1, 2}[r.IntN(3)]
	r.attrs = append(r.attrs, "temperature", r.heat)
}

// TestSampling: where but one token is left to draw from, it is the one that GreedySearch takes.
func TestSampling(t *testing.T) {
	for seed := range uint64(100) {
		r := newRequest(seed, "Sampling", 0)
		r.pick = first
		drawn(r, int32(seed))
		if seed%2 == 0 {
			r.attrs = append(r.attrs, "custom", 1)
		}
		r.attrs = append(r.attrs, "top_p", float32(1e-6), "min_tokens_to_keep", 1)
		as, in := r.node()
		Run(t, []Case{{
			Name: fmt.Sprint(seed), Op: r.op, Domain: "com.microsoft", Attrs: as, In: in,
			Want: Vals(tensor.Of(r.greedy(), r.batch, r.max)),
		}})
	}
}

// TestSamplingDistribution draws the next token many times and compares the frequencies with the probabilities.
func TestSamplingDistribution(t *testing.T) {
	const draws = 2000
	for seed := range uint64(12) {
		r := newRequest(seed, "Sampling", 0)
		drawn(r, 0)
		r.eos, r.min, r.max = int32(r.m.vocab), 0, len(r.ids[0])+1
		custom, topP, keep := seed%2 == 1, []float32{0.5, 0.8, 1}[seed%3], 1+int(seed%4)
		if custom {
			r.attrs = append(r.attrs, "custom", 1)
		}
		r.attrs = append(r.attrs, "top_p", topP, "min_tokens_to_keep", keep)
		as, in := r.node()
		n := Node(Case{Op: r.op, Domain: "com.microsoft", Attrs: as, In: in, Want: Vals(nil)}, nil)
		count := make([][]float64, r.batch)
		for i := range count {
			count[i] = make([]float64, r.m.vocab)
		}
		for k := range draws {
			in[8] = one(int32(k*7919 + 1))
			got, err := ops.Eval(threads(1), n, in, ops.BuildEnv{Body: Bodies(nil)})
			require.NoError(t, err)
			for i, x := range tensor.Data[int32](got[0].(*tensor.Tensor)) {
				if i%r.max == r.max-1 {
					count[i/r.max][x]++
				}
			}
		}
		for i := range count {
			want := probabilities(r, i, custom, float64(topP), keep)
			for id, p := range want {
				got, dev := count[i][id]/draws, math.Sqrt(p*(1-p)/draws)
				if math.Abs(got-p) > 5*dev+1e-9 {
					t.Errorf("%d: token %d of row %d came with a frequency of %.3f, want %.3f", seed, id, i, got, p)
				}
			}
		}
	}
}

// probabilities returns those of the first token that row i gets.
func probabilities(r *request, i int, custom bool, topP float64, keep int) []float64 {
	x := r.next(i, r.prompt(i))
	r.change(i, r.prompt(i), x)
	total := 0.0
	for id := range x {
		x[id] = math.Exp(x[id])
		total += x[id]
	}
	order := make([]int, len(x))
	for id := range x {
		x[id] /= total
		order[id] = id
	}
	slices.SortStableFunc(order, func(a, b int) int { // likeliest first
		switch {
		case x[a] > x[b]:
			return -1
		case x[a] < x[b]:
			return 1
		}
		return 0
	})
	sum := 0.0
	p := make([]float64, len(x))
	if custom {
		for _, id := range order {
			p[id] = x[id]
			if sum += x[id]; sum > topP {
				break
			}
		}
	} else {
		for k := len(order) - 1; k >= 0; k-- {
			if sum += x[order[k]]; sum > 1-topP || k < keep {
				p[order[k]] = x[order[k]]
			}
		}
	}
	total = 0
	for _, v := range p {
		total += v
	}
	for id := range p {
		p[id] /= total
	}
	return p
}

// TestSamplingSeeds: the generator is that of the C++ standard, which says what its 10,000th number is, and sequences follow from the seed.
func TestSamplingSeeds(t *testing.T) {
	require.Equal(t, uint64(1043618065), ops.MinStd(1, 10000))
	require.Equal(t, ops.MinStd(1, 5), ops.MinStd(0, 5))
	r := newRequest(5, "Sampling", 0)
	drawn(r, 3)
	r.max, r.min = 30, 0
	r.eos = int32(r.m.vocab)
	r.attrs = append(r.attrs, "top_p", float32(0.95), "min_tokens_to_keep", 1)
	as, in := r.node()
	n := Node(Case{Op: r.op, Domain: "com.microsoft", Attrs: as, In: in, Want: Vals(nil)}, nil)
	run := func(seed tensor.Value) []int32 {
		in[8] = seed
		got, err := ops.Eval(threads(2), n, in, ops.BuildEnv{Body: Bodies(nil)})
		require.NoError(t, err)
		return tensor.Data[int32](got[0].(*tensor.Tensor))
	}
	require.Equal(t, run(one(int32(3))), run(one(int32(3))))
	require.NotEqual(t, run(one(int32(3))), run(one(int32(4))))
	require.Equal(t, run(one(int32(0))), run(nil))
	bad := func(name string, v any, outs int, err string) Case {
		return Case{Op: r.op, Domain: "com.microsoft", Attrs: with(as, name, v), In: in, Want: make([]tensor.Value, outs), Err: err}
	}
	Run(t, []Case{
		bad("min_tokens_to_keep", r.m.vocab, 1, fmt.Sprintf(`attribute "min_tokens_to_keep" is %d, want 0 to %d`, r.m.vocab, r.m.vocab-1)),
		bad("min_tokens_to_keep", -1, 1, `attribute "min_tokens_to_keep" is -1`),
		bad("model_type", 3, 1, `not supported: attribute "model_type" is 3`),
		bad("top_p", float32(1), 2, "not supported: output filtered_logits"),
	})
}
