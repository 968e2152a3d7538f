package ops_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// toy is a model of text that graphs and plain code compute, the graphs step by step with states, the code from all tokens anew:
//
//	logits = embed[last token] + place[position] + sin(Σ tokens)·u + cos(Σ of what the encoder sees)·w
//
// place is of decoders alone, w of those with an encoder.
type toy struct {
	vocab        int
	embed, place []float32
	u, w         []float32
	kind         int // model_type
	whole, begun bool
	hidden       bool
	wide         int // columns of embed and place, if not vocab
}

const places = 64

func newToy(r *rand.Rand, vocab, kind int) *toy {
	draw := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64() * 1.5)
		}
		return x
	}
	m := &toy{vocab: vocab, kind: kind, embed: draw(vocab * vocab), place: draw(places * vocab), u: draw(vocab), w: draw(vocab)}
	m.begun, m.whole = kind == 2 || kind == 1 && r.IntN(2) == 0, kind > 0 && r.IntN(2) == 0
	m.hidden = m.begun && r.IntN(2) == 0
	return m
}

// logits says what follows seq: position is of its last token, seen the sums over its tokens and over the encoder's input.
func (m *toy) logits(last int32, position int, tokens, seen float64) []float64 {
	x, n := make([]float64, m.vocab), max(m.vocab, m.wide)
	for i := range x {
		x[i] = float64(m.embed[int(last)*n+i]) + math.Sin(tokens)*float64(m.u[i])
		if m.kind == 0 {
			x[i] += float64(m.place[position*n+i])
		} else {
			x[i] += math.Cos(seen) * float64(m.w[i])
		}
	}
	return x
}

// body is BodyGraph with names for inputs.
func body(names []string, types []onnx.Type, build func(b *ops.Builder, in []*onnx.Value) []*onnx.Value) *onnx.Graph {
	g := BodyGraph(types, build)
	for i, n := range names {
		g.Inputs[i].Name = n
	}
	return g
}

func ranked(d tensor.DType, dims ...int) onnx.Type {
	ds := make([]onnx.Dim, len(dims))
	for i, n := range dims {
		if n >= 0 {
			ds[i] = onnx.Size(n)
		}
	}
	return onnx.TensorType(d, ds...)
}

func (m *toy) table(b *ops.Builder, x []float32, shape ...int) *onnx.Value {
	return b.Const(tensor.Of(x, shape...))
}

func float(b *ops.Builder, x *onnx.Value) *onnx.Value {
	return b.Op("Cast", onnx.NewAttrs("to", int(tensor.Float32)), x)
}

// times returns f(x[b, 1, 1])·v[vocab].
func times(b *ops.Builder, f string, x, v *onnx.Value) *onnx.Value {
	return b.Op("Mul", nil, b.Op(f, nil, x), v)
}

// alone is the decoder of model_type 0. step is added to all logits' sines, so that another graph can be told from it.
func (m *toy) alone(first string) *onnx.Graph {
	types := []onnx.Type{ranked(tensor.Int32, -1, -1), ranked(tensor.Int32, -1, -1), ranked(tensor.Int32, -1, -1), ranked(tensor.Float32, 2, -1, 1, -1, 1)}
	return body([]string{first, "position_ids", "attention_mask", "past_0"}, types, func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
		x := b.Op("Add", nil, b.Op("Gather", nil, m.table(b, m.embed, m.vocab, m.vocab), in[0]), b.Op("Gather", nil, m.table(b, m.place, places, m.vocab), in[1]))
		k := b.Op("Unsqueeze", nil, float(b, in[0]), b.Ints(0, 2, 4))
		present := b.Op("Concat", onnx.NewAttrs("axis", 3), in[3], b.Op("Concat", onnx.NewAttrs("axis", 0), k, k))
		keys := b.Op("Squeeze", nil, b.Op("Gather", nil, present, b.Const(tensor.Scalar(int64(1)))), b.Ints(1, 3))
		sum := b.Op("ReduceSum", onnx.NewAttrs("keepdims", 1), b.Op("Mul", nil, keys, float(b, in[2])), b.Ints(1))
		y := b.Op("Add", nil, x, times(b, "Sin", b.Op("Unsqueeze", nil, sum, b.Ints(2)), m.table(b, m.u, m.vocab)))
		return []*onnx.Value{y, present}
	})
}

// score makes logits of tokens and states.
func (m *toy) score(b *ops.Builder, ids, keys, cross, mask *onnx.Value) *onnx.Value {
	if mask != nil {
		cross = b.Op("Mul", nil, cross, b.Op("Unsqueeze", nil, float(b, mask), b.Ints(1, 3)))
	}
	sum := func(x *onnx.Value) *onnx.Value {
		return b.Op("Squeeze", nil, b.Op("ReduceSum", onnx.NewAttrs("keepdims", 1), x, b.Ints(1, 2, 3)), b.Ints(3))
	}
	y := b.Op("Add", nil, b.Op("Gather", nil, m.table(b, m.embed, m.vocab, m.vocab), ids), times(b, "Sin", sum(keys), m.table(b, m.u, m.vocab)))
	return b.Op("Add", nil, y, times(b, "Cos", sum(cross), m.table(b, m.w, m.vocab)))
}

// pair is the encoder and the decoder of model_types 1 and 2.
func (m *toy) pair() (encoder, decoder *onnx.Graph) {
	ids, states := ranked(tensor.Int32, -1, -1), ranked(tensor.Float32, -1, 1, -1, 1)
	names, types := []string{"encoder_input_ids", "encoder_attention_mask"}, []onnx.Type{ids, ids}
	if m.kind == 2 {
		names, types = names[:1], []onnx.Type{ranked(tensor.Float32, -1, 2, -1)}
	}
	if m.begun {
		names, types = append(names, "decoder_input_ids"), append(types, ids)
	}
	encoder = body(names, types, func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
		var mask, cross *onnx.Value
		if m.kind == 2 {
			cross = b.Op("Unsqueeze", nil, b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), in[0], b.Ints(1)), b.Ints(1, 3))
		} else {
			mask, cross = in[1], b.Op("Unsqueeze", nil, float(b, in[0]), b.Ints(1, 3))
		}
		same := b.Op("Identity", nil, cross)
		if !m.begun {
			return []*onnx.Value{cross, same}
		}
		start := in[len(in)-1]
		keys := b.Op("Unsqueeze", nil, float(b, start), b.Ints(1, 3))
		return []*onnx.Value{m.score(b, start, keys, cross, mask), b.Op("Squeeze", nil, cross, b.Ints(1)), keys, b.Op("Identity", nil, keys), cross, same}
	})
	n := 1
	if m.whole {
		n = -1
	}
	names, types = []string{"input_ids"}, []onnx.Type{ranked(tensor.Int32, -1, n)}
	if m.kind == 1 {
		names, types = append(names, "encoder_attention_mask"), append(types, ids)
	}
	if m.hidden {
		names, types = append(names, "encoder_hidden_states"), append(types, ranked(tensor.Float32, -1, -1, 1))
	}
	at := len(names)
	names = append(names, "past_key_self_0", "past_value_self_0", "past_key_cross_0", "past_value_cross_0")
	types = append(types, states, states, states, states)
	decoder = body(names, types, func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
		var mask *onnx.Value
		if m.kind == 1 {
			mask = in[1]
		}
		last, cross := in[0], in[at+2]
		if m.whole {
			last = b.Op("Slice", nil, last, b.Ints(-1), b.Ints(math.MaxInt32), b.Ints(1))
		}
		if m.hidden {
			cross = b.Op("Unsqueeze", nil, in[at-1], b.Ints(1))
		}
		k := b.Op("Unsqueeze", nil, float(b, last), b.Ints(1, 3))
		keys, values := b.Op("Concat", onnx.NewAttrs("axis", 2), in[at], k), b.Op("Concat", onnx.NewAttrs("axis", 2), in[at+1], k)
		return []*onnx.Value{m.score(b, last, values, cross, mask), keys, values}
	})
	return encoder, decoder
}

// request is what a node is to generate.
type request struct {
	*rand.Rand
	m                         *toy
	op                        string
	batch, beams, keep        int
	eos, pad, start           int32
	ids                       [][]int32 // the prompts, or what the encoder gets
	features                  [][]float32
	mask                      [][]int32 // nil: by pads
	forced                    [][]int32
	max, min                  int
	penalty, repetition, heat float32
	early                     bool
	ngram                     int
	vocab                     []int32
	prefix                    [][]int32
	stamps                    []int // of Whisper: sot, lm, translate, transcribe, none, begin
	attrs                     []any
	extra                     []tensor.Value // inputs from 7 on
	pick                      func(row int, x []float64) int32
	present                   [][]int32
	presence                  float64
	begin                     *toy // nil, or the model of the first step
}

func newRequest(seed uint64, op string, kind int) *request {
	r := &request{Rand: rand.New(rand.NewPCG(seed, 7)), op: op, batch: 1, beams: 1, keep: 1, penalty: 1, repetition: 1, heat: 1}
	r.batch = 1 + r.IntN(3)
	vocab := 6 + r.IntN(12)
	if op == "WhisperBeamSearch" && r.IntN(2) == 0 {
		vocab += 60
		begin := 8 + r.IntN(vocab-9)
		r.stamps = []int{begin - 6, begin - 2, begin - 3, begin - 4, begin - 1, begin}
	}
	r.m = newToy(r.Rand, vocab, kind)
	token := func() int32 { return int32(r.IntN(vocab)) }
	r.eos, r.pad, r.start = token(), token(), token()
	if r.stamps != nil {
		r.eos, r.start = int32(r.stamps[0]-1), int32(r.stamps[0])
	}
	n := 1 + r.IntN(4)
	for range r.batch {
		row, f := make([]int32, n), make([]float32, 2*n)
		for i := range row {
			if row[i] = token(); i < r.IntN(n) {
				row[i] = r.pad
			}
			f[i], f[n+i] = float32(r.NormFloat64()), float32(r.NormFloat64())
		}
		r.ids, r.features = append(r.ids, row), append(r.features, f)
	}
	prompt := 1
	switch {
	case kind == 0:
		prompt = n
	case kind == 2 && r.IntN(2) == 0:
		prompt = 1 + r.IntN(3)
		for range r.batch {
			row := make([]int32, prompt)
			for i := range row {
				row[i] = token()
			}
			r.forced = append(r.forced, row)
		}
	}
	r.max = prompt + 1 + r.IntN(8)
	masks := func(n int) []int32 {
		x := make([]int32, n)
		for i := range x {
			if r.IntN(4) > 0 || i < 2 {
				x[i] = 1
			}
		}
		return x
	}
	if kind < 2 && r.IntN(3) == 0 {
		for range r.batch {
			r.mask = append(r.mask, masks(n))
		}
	}
	if r.IntN(2) == 0 {
		r.min = r.IntN(8)
	}
	if r.IntN(2) == 0 {
		r.repetition = []float32{0.7, 1.3}[r.IntN(2)]
	}
	if r.IntN(2) == 0 {
		r.ngram = 1 + r.IntN(3)
	}
	if r.IntN(3) == 0 {
		r.vocab = masks(vocab)
	}
	if r.IntN(3) == 0 {
		for range r.batch {
			r.prefix = append(r.prefix, masks(vocab))
		}
	}
	if op == "BeamSearch" || op == "WhisperBeamSearch" {
		r.beams = 1 + r.IntN(4)
		r.keep = 1 + r.IntN(r.beams)
		r.penalty, r.early = []float32{0, 1, 1.5, -1}[r.IntN(4)], r.IntN(2) == 0
	}
	return r
}

func rows[T tensor.Element](x [][]T) tensor.Value {
	if x == nil {
		return nil
	}
	return tensor.Of(slices.Concat(x...), len(x), len(x[0]))
}

func one[T tensor.Element](x T) tensor.Value { return tensor.Of([]T{x}, 1) }

// node returns attributes and inputs.
func (r *request) node() (onnx.Attrs, []tensor.Value) {
	as := append([]any{"eos_token_id", int(r.eos), "pad_token_id", int(r.pad), "model_type", r.m.kind, "no_repeat_ngram_size", r.ngram}, r.attrs...)
	if r.early {
		as = append(as, "early_stopping", 1)
	}
	in := []tensor.Value{rows(r.ids), tensor.Scalar(int32(r.max)), one(int32(r.min))}
	if r.m.kind == 0 {
		as = append(as, "decoder", r.m.alone("input_ids"))
	} else {
		e, d := r.m.pair()
		as = append(as, "encoder", e, "decoder", d, "decoder_start_token_id", int(r.start))
	}
	if r.m.kind == 2 {
		x := slices.Concat(r.features...)
		in[0] = tensor.Of(x, r.batch, 2, len(x)/2/r.batch)
	}
	var vocab tensor.Value
	if r.vocab != nil {
		vocab = tensor.Of(r.vocab, len(r.vocab))
	}
	if r.op == "BeamSearch" || r.op == "WhisperBeamSearch" {
		in = append(in, one(int32(r.beams)), one(int32(r.keep)), one(r.penalty))
	}
	in = append(in, one(r.repetition), vocab, rows(r.prefix), rows(r.mask))
	if r.forced != nil {
		in = append(in, rows(r.forced))
	}
	return onnx.NewAttrs(as...), append(in, r.extra...)
}

// prompt returns what the sequence of row i of the batch begins with.
func (r *request) prompt(i int) []int32 {
	switch {
	case r.m.kind == 0:
		return r.ids[i]
	case r.forced != nil:
		return r.forced[i]
	}
	return []int32{r.start}
}

// next returns the logits of what follows seq in row i of the batch.
func (r *request) next(i int, seq []int32) []float64 {
	n, tokens, seen, position := len(r.prompt(i)), 0.0, 0.0, -1
	for j, id := range seq {
		on := true
		if r.m.kind == 0 && j < n {
			if on = id != r.pad; r.mask != nil {
				on = r.mask[i][j] != 0
			}
			if id != r.pad {
				position++
			}
		} else {
			position++
		}
		if on {
			tokens += float64(id)
		}
	}
	if r.m.kind == 0 && len(seq) == n && seq[n-1] == r.pad {
		position = 0
	}
	if r.m.kind == 2 {
		for _, f := range r.features[i] {
			seen += float64(f)
		}
	} else if begun := false; r.m.kind == 1 {
		for j, id := range r.ids[i] {
			begun = begun || id != r.pad
			if r.mask == nil && begun || r.mask != nil && r.mask[i][j] != 0 {
				seen += float64(id)
			}
		}
	}
	m := r.m
	if r.begin != nil && len(seq) == n {
		m = r.begin
	}
	return m.logits(seq[len(seq)-1], max(position, 0), tokens, seen)
}

const floor = -math.MaxFloat32

// change applies the rules to x, the scores of what follows seq.
func (r *request) change(i int, seq []int32, x []float64) {
	if r.repetition != 1 {
		for _, id := range slices.Compact(slices.Sorted(slices.Values(seq))) {
			if x[id] < 0 {
				x[id] *= float64(r.repetition)
			} else {
				x[id] /= float64(r.repetition)
			}
		}
	}
	if n := r.ngram; n > 0 {
		for id := range x {
			with := append(slices.Clone(seq), int32(id))
			for j := 0; len(with) > n && j+n < len(with); j++ {
				if slices.Equal(with[j:j+n], with[len(with)-n:]) {
					x[id] = floor
				}
			}
		}
	}
	for id := range x {
		if r.vocab != nil && r.vocab[id] == 0 || r.prefix != nil && len(seq) == len(r.prompt(i)) && r.prefix[i][id] == 0 {
			x[id] = floor
		}
	}
	if len(seq) < r.min {
		x[r.eos] = floor
	}
	for id := range x {
		x[id] = float64(float32(x[id] / float64(r.heat)))
		if r.present != nil {
			x[id] -= float64(r.present[i][id]) * r.presence
		}
	}
	if r.stamps != nil {
		r.stamp(seq, x)
	}
}

// stamp applies Whisper's rules for timestamps: for each token, whether it may come.
func (r *request) stamp(seq []int32, x []float64) {
	lm, translate, transcribe, none, begin := r.stamps[1], r.stamps[2], r.stamps[3], r.stamps[4], r.stamps[5]
	is := func(k int) bool { return k >= 0 && int(seq[k]) >= begin }
	first := slices.IndexFunc(seq, func(id int32) bool { return int(id) >= begin }) + 1
	if first == 0 {
		first = len(seq)
	}
	n := len(seq)
	last, pair := is(n-1), n <= first || is(n-2)
	newest := -1
	for _, id := range seq {
		if int(id) >= begin {
			newest = int(id)
		}
	}
	for id := range x {
		stamp := id >= begin
		switch {
		case id == lm || id == none, n > first && (id == r.stamps[0] || id == translate || id == transcribe),
			last && pair && stamp, last && !pair && id < int(r.eos),
			stamp && id < newest, stamp && id == newest && (!last || pair),
			n == first && id > begin+50:
			x[id] = floor
		}
	}
	sum := 0.0
	for _, v := range x[begin:] {
		if v > floor {
			sum += math.Exp(v)
		}
	}
	if sum > 0 && math.Log(sum) > slices.Max(x[:begin]) {
		for id := range begin {
			x[id] = floor
		}
	}
}

// beam is a sequence with its score.
type beam struct {
	seq []int32
	sum float64
}

// candidate is a token that may follow a beam.
type candidate struct {
	from, id int
	sum      float64
}

// search returns the sequences, their scores and, for steps in which a row goes on, all scores.
func (r *request) search(t *testing.T) (out []int32, scores []float32, all map[[2]int][]float64) {
	all = map[[2]int][]float64{}
	live, ended, done := make([][]beam, r.batch), make([][]beam, r.batch), make([]bool, r.batch)
	for i := range r.batch {
		for j := range r.beams {
			b := beam{seq: r.prompt(i)}
			if j > 0 {
				b.sum = -1e9
			}
			live[i] = append(live[i], b)
		}
	}
	value := func(sum float64, n int) float64 { return sum / math.Pow(float64(n), float64(r.penalty)) }
	end := func(i int, seq []int32, sum float64) {
		ended[i] = append(ended[i], beam{seq, value(sum, len(seq))})
		sort.SliceStable(ended[i], func(a, b int) bool { return ended[i][a].sum > ended[i][b].sum })
		ended[i] = ended[i][:min(len(ended[i]), r.beams)]
	}
	for step := 0; len(live[0][0].seq) < r.max && slices.Contains(done, false); step++ {
		var tops []float64 // of all rows one after the other
		choices := make([][]candidate, r.batch)
		for i := range r.batch {
			for j, b := range live[i] {
				x := r.next(i, b.seq)
				total := 0.0
				for _, v := range x {
					total += math.Exp(v)
				}
				for id := range x {
					x[id] -= math.Log(total)
				}
				r.change(i, b.seq, x)
				for id := range x {
					x[id] = float64(float32(x[id] + b.sum)) // of two of the lowest comes -Inf
					choices[i] = append(choices[i], candidate{j, id, x[id]})
				}
				all[[2]int{step, i}] = append(all[[2]int{step, i}], x...)
			}
			sort.SliceStable(choices[i], func(a, b int) bool { return choices[i][a].sum > choices[i][b].sum })
			choices[i] = choices[i][:2*r.beams]
			for _, c := range choices[i] {
				tops = append(tops, c.sum)
			}
		}
		for i := range r.batch {
			n := len(live[i][0].seq)
			var next []beam
			for j, c := range choices[i] {
				seq := live[i][c.from].seq
				switch {
				case done[i]:
				case int32(c.id) != r.eos:
					next = append(next, beam{append(slices.Clone(seq), int32(c.id)), c.sum})
				case j < r.beams:
					end(i, seq, c.sum)
				}
				if len(next) == r.beams {
					break
				}
			}
			if done[i] {
				for j := range live[i] { // whose results nobody reads
					next = append(next, beam{append(slices.Clone(live[i][j].seq), r.pad), 0})
					delete(all, [2]int{step, i})
				}
			}
			live[i] = next
			if !done[i] && len(ended[i]) == r.beams {
				best := slices.Max(tops[i*r.beams:][:2*r.beams])
				done[i] = r.early || ended[i][r.beams-1].sum >= value(best, n)
			}
		}
		if r.batch > 1 && slices.Contains(done, true) {
			// What goes on in rows that are done is not the same here; where it could be what promise
			// looks at, the rest of the case is not compared.
			for i := range r.batch {
				if !done[i] && (done[i/2] || done[(i+1)/2]) && !r.early {
					return nil, nil, nil
				}
			}
		}
	}
	for i := range r.batch {
		for _, b := range live[i] {
			if !done[i] {
				end(i, b.seq, b.sum)
			}
		}
		for _, b := range ended[i][:r.keep] {
			seq := slices.Clone(b.seq)
			for len(seq) < r.max {
				seq = append(seq, r.pad)
			}
			out, scores = append(out, seq...), append(scores, float32(b.sum))
		}
	}
	return out, scores, all
}

// greedy returns the sequences of an operator without beams.
func (r *request) greedy() []int32 {
	seqs, done := make([][]int32, r.batch), make([]bool, r.batch)
	for i := range seqs {
		seqs[i] = slices.Clone(r.prompt(i))
	}
	for len(seqs[0]) < r.max {
		for i, seq := range seqs {
			id := r.pad
			x := r.next(i, seq)
			r.change(i, seq, x)
			if got := r.pick(i, x); !done[i] && got != r.eos {
				id = got
			} else {
				done[i] = true
			}
			seqs[i] = append(seq, id)
		}
	}
	return slices.Concat(seqs...)
}

// first returns the index of the first of the largest.
func first(_ int, x []float64) int32 {
	at := 0
	for i, v := range x {
		if v > x[at] {
			at = i
		}
	}
	return int32(at)
}

// compareBeams runs the node of r and holds it against search. It says whether there was a comparison.
func compareBeams(t *testing.T, r *request) bool {
	t.Helper()
	out, scores, all := r.search(t)
	if out == nil {
		return false
	}
	as, in := r.node()
	c := Case{Op: r.op, Domain: "com.microsoft", Attrs: as, In: in, Want: make([]tensor.Value, 3)}
	got, err := ops.Eval(threads(2), Node(c, nil), in, ops.BuildEnv{Body: Bodies(nil)})
	if err != nil {
		t.Fatal(err)
	}
	want := []tensor.Value{tensor.Of(out, r.batch, r.keep, r.max), tensor.Of(scores, r.batch, r.keep)}
	for i, w := range want {
		if err := tensor.Compare(got[i], w, tensor.Tolerance{Rel: 1e-4, Abs: 1e-4}); err != nil {
			t.Fatalf("output %d: %v", i, err)
		}
	}
	y := got[2].(*tensor.Tensor)
	n := r.beams * r.m.vocab
	if want := fmt.Sprint([]int{r.max - len(r.prompt(0)), r.batch, r.beams, r.m.vocab}); fmt.Sprint(y.Shape()) != want {
		t.Fatalf("scores have shape %v, want %s", y.Shape(), want)
	}
	for at, x := range all {
		for j, v := range tensor.Data[float32](y)[(at[0]*r.batch+at[1])*n:][:n] {
			if math.Abs(float64(v)-x[j]) > 1e-4*math.Max(1, math.Abs(x[j])) {
				t.Fatalf("score %d of step %d and row %d is %g, want %g", j, at[0], at[1], v, x[j])
			}
		}
	}
	return true
}
