package ops

import (
	"fmt"
	"slices"
	"sync"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// A run is one product of all inputs with the weights of all directions, and
// then the steps. A task is some sequences of the batch in one direction: tasks
// have nothing to do with each other. A single task is shared out by hidden
// units, step by step.

// packW packs W as one matrix [i, d*g*h].
func (r *recurrent) packW(p par.P, t *tensor.Tensor) (any, error) {
	c := &Call{P: p, Mem: heap{}}
	if t.DType() == tensor.Float64 {
		q := &gemm.Packed[float64]{}
		return q, packRecurrentW(c, r, t, q)
	}
	q := &gemm.Packed[float32]{}
	return q, packRecurrentW(c, r, t, q)
}

// packR packs R by direction and part: [h, g*h], or the last gate apart.
func (r *recurrent) packR(p par.P, t *tensor.Tensor) (any, error) {
	c := &Call{P: p, Mem: heap{}}
	if t.DType() == tensor.Float64 {
		q := recurrentParts[float64](r)
		return q, packRecurrentR(c, r, t, q)
	}
	q := recurrentParts[float32](r)
	return q, packRecurrentR(c, r, t, q)
}

// packRecurrentW sets to to what packW returns, in working memory of c.
func packRecurrentW[T floating](c *Call, r *recurrent, t *tensor.Tensor, to *gemm.Packed[T]) error {
	if t.Rank() != 3 || t.Dim(0) != len(r.dirs) || t.Dim(1)%r.gates != 0 {
		return fmt.Errorf("W has shape %v, want [%d %d*hidden_size input_size]", t.Shape(), len(r.dirs), r.gates)
	}
	data, err := realsFor[T](c, t)
	if err != nil {
		return fmt.Errorf("W: %w", err)
	}
	packRecurrent(c, to, data, t.Dim(2), len(r.dirs)*t.Dim(1))
	return nil
}

// packRecurrent packs the transpose of n rows of k elements.
func packRecurrent[T floating](c *Call, to *gemm.Packed[T], rows []T, k, n int) {
	to.Set(c.P, Scratch[T](c, gemm.PackedLen(k, n)), rows, k, n, 1, k)
}

// recurrentParts returns what packRecurrentR fills.
func recurrentParts[T floating](r *recurrent) [][]*gemm.Packed[T] {
	out := make([][]*gemm.Packed[T], len(r.dirs))
	for d := range out {
		out[d] = []*gemm.Packed[T]{{}}
		if r.split {
			out[d] = append(out[d], &gemm.Packed[T]{})
		}
	}
	return out
}

// packRecurrentR sets the parts to what packR returns, in working memory of c.
func packRecurrentR[T floating](c *Call, r *recurrent, t *tensor.Tensor, parts [][]*gemm.Packed[T]) error {
	if t.Rank() != 3 || t.Dim(0) != len(r.dirs) || t.Dim(1) != r.gates*t.Dim(2) {
		return fmt.Errorf("R has shape %v, want [%d %d*hidden_size hidden_size]", t.Shape(), len(r.dirs), r.gates)
	}
	data, err := realsFor[T](c, t)
	if err != nil {
		return fmt.Errorf("R: %w", err)
	}
	h := t.Dim(2)
	for d, to := range parts {
		m := data[d*r.gates*h*h : (d+1)*r.gates*h*h]
		if r.split {
			k := (r.gates - 1) * h
			packRecurrent(c, to[0], m[:k*h], h, k)
			packRecurrent(c, to[1], m[k*h:], h, h)
		} else {
			packRecurrent(c, to[0], m, h, r.gates*h)
		}
	}
	return nil
}

// recurrentCell is what the steps of one operator compute.
type recurrentCell[T floating] interface {
	// start reads the inputs that only this operator has.
	start(c *Call, q *recurrentCall[T]) error
	// step computes hidden units [from, to) of step t: all of them, or of a
	// cell that shares, whole panels.
	step(q *recurrentCall[T], w *recurrentStep[T], t, from, to int)
	// shares reports whether step may be called for a part of the units.
	shares(q *recurrentCall[T]) bool
}

// recurrentInput is a cell with products of its own for the inputs.
type recurrentInput[T floating] interface {
	// multiplyInput sets pre from x and bias, or returns false.
	multiplyInput(p par.P, q *recurrentCall[T], x []T) bool
}

// recurrentStep is what the steps of some sequences in one direction work on.
type recurrentStep[T floating] struct {
	d      int
	b0, b1 int // the sequences
	// h is the state before and next after the step, which may be the same,
	// both [n, h]; c, [n, h], is the cell state, which is changed in place.
	h, next, c []T
	rec        []T // room for the products of the state, rows recWidth apart
	reset      []T // room for a state
}

// recurrentCall is one execution: the sizes, the weights and what it works on.
type recurrentCall[T floating] struct {
	*recurrent
	w *gemm.Packed[T]
	r [][]*gemm.Packed[T]
	// ownW and ownR are what w and r are where the weights are not constant.
	ownW gemm.Packed[T]
	ownR [][]*gemm.Packed[T]
	// bias is what the input product begins with, [d, g*h]; late is the
	// recurrent bias of the last gate, [d, h] (see recurrent.lateBias).
	bias, late []T
	acts       []func(x []T)
	vec        *vec.Table // for the plain cell of float32, else nil
	gemm       *gemm.Table
	cell       recurrentCell[T]

	c          *Call
	s, n, i, h int
	lens       []int // nil: all are s
	pre        []T   // the input products of all steps, in the order of X, rows of d*g*h
	state      [2][]T
	y          []T
	cells      []T // the cell states after all steps, [d, rows of X, h]; nil: not wanted
	rec, spare []T // by task: recWidth and h for each sequence
	blocks     int // tasks of a direction

	input gemm.Args[T]
	tasks func(lo, hi int)
	part  func(step, part int)
	parts int
	steps []recurrentStep[T] // by task, or of the single one: even and odd
}

// buildRecurrent packs constant weights and returns the kernel. The functions
// make cells; a cell serves one call at a time.
func buildRecurrent(b *BuildContext, r *recurrent, cell32 func() recurrentCell[float32], cell64 func() recurrentCell[float64]) (Kernel, error) {
	packs := [2]any{}
	for k, pack := range []func(par.P, *tensor.Tensor) (any, error){r.packW, r.packR} {
		t := b.Const(1 + k)
		if t == nil {
			continue
		}
		var err error
		layout := fmt.Sprintf("recurrent %d/%d/%d/%t", k, len(r.dirs), r.gates, r.split)
		if packs[k], err = b.Pack(1+k, layout, func() (any, error) { return pack(par.P{}, t) }); err != nil {
			return nil, err
		}
	}
	return b.realKernels(0, recurrentKernel(r, packs, cell32), recurrentKernel(r, packs, cell64))
}

func recurrentKernel[T floating](r *recurrent, packs [2]any, newCell func() recurrentCell[T]) Kernel {
	pool := &sync.Pool{}
	table, vectors := gemm.Best(), vec.Best()
	_, single := any(T(0)).(float32)
	return func(c *Call) error {
		q, _ := pool.Get().(*recurrentCall[T])
		if q == nil {
			q = &recurrentCall[T]{recurrent: r, gemm: table, cell: newCell()}
			if single && r.plain && (!r.keep || r.hasCell) { // GRU's routines leave no gates
				q.vec = vectors
			}
			for i := range r.acts {
				q.acts = append(q.acts, recurrentFunc[T](r.acts[i], r.clip))
			}
			q.tasks, q.part = q.runTasks, q.runPart
		}
		err := q.call(c, packs)
		// What belongs to this call must not outlive it.
		q.c, q.lens, q.pre, q.state, q.y, q.cells, q.rec, q.spare = nil, nil, nil, [2][]T{}, nil, nil, nil, nil
		q.w, q.r, q.bias, q.late, q.input = nil, nil, nil, nil, gemm.Args[T]{}
		clear(q.steps)
		q.ownW = gemm.Packed[T]{}
		for _, parts := range q.ownR {
			for _, p := range parts {
				*p = gemm.Packed[T]{}
			}
		}
		pool.Put(q)
		return err
	}
}

func (q *recurrentCall[T]) call(c *Call, packs [2]any) error {
	if err := q.inputs(c, packs); err != nil {
		return err
	}
	if err := q.cell.start(c, q); err != nil {
		return err
	}
	x, err := reals[T](c, 0)
	if err != nil {
		return err
	}
	return q.run(c, x)
}

// inputs sets the sizes and reads all inputs but X's elements and those that only one operator has.
func (q *recurrentCall[T]) inputs(c *Call, packs [2]any) error {
	q.c = c
	if err := q.weights(c, packs); err != nil {
		return err
	}
	xt := c.T(0)
	if xt.Rank() != 3 || xt.Dim(2) != q.i {
		return fmt.Errorf("X has shape %v, want 3 dimensions, the last of size %d as in W", xt.Shape(), q.i)
	}
	q.s, q.n = xt.Dim(0), xt.Dim(1)
	if q.batchLead {
		q.s, q.n = q.n, q.s
	}
	if err := q.biases(c); err != nil {
		return err
	}
	if err := q.lengths(c); err != nil {
		return err
	}
	var err error
	for k, name := range [2]string{"initial_h", "initial_c"} {
		if k == 1 && !q.hasCell {
			break
		}
		if q.state[k], err = q.initial(c, 5+k, name); err != nil {
			return err
		}
	}
	return nil
}

// weights takes the packed weights, or packs the inputs W and R for this call.
func (q *recurrentCall[T]) weights(c *Call, packs [2]any) error {
	if q.w, _ = packs[0].(*gemm.Packed[T]); q.w == nil {
		if c.T(1) == nil {
			return fmt.Errorf("W is absent or not of X's type")
		}
		if err := packRecurrentW(c, q.recurrent, c.T(1), &q.ownW); err != nil {
			return err
		}
		q.w = &q.ownW
	}
	if q.r, _ = packs[1].([][]*gemm.Packed[T]); q.r == nil {
		if c.T(2) == nil {
			return fmt.Errorf("R is absent or not of X's type")
		}
		if q.ownR == nil {
			q.ownR = recurrentParts[T](q.recurrent)
		}
		if err := packRecurrentR(c, q.recurrent, c.T(2), q.ownR); err != nil {
			return err
		}
		q.r = q.ownR
	}
	q.i, q.h = q.w.K, q.r[0][0].K
	if rows := q.w.N / len(q.dirs); rows != q.gates*q.h {
		return fmt.Errorf("W has %d rows, want %d times the %d of R", rows, q.gates, q.h)
	}
	if q.hidden != 0 && q.hidden != q.h {
		return fmt.Errorf("attribute \"hidden_size\" is %d, R has %d", q.hidden, q.h)
	}
	return nil
}

// biases sets bias and late.
func (q *recurrentCall[T]) biases(c *Call) error {
	d, gh := len(q.dirs), q.gates*q.h
	q.bias = nil
	if q.lateBias {
		q.late = Scratch[T](c, d*q.h)
		clear(q.late)
	}
	t := c.T(3)
	if t == nil {
		return nil
	}
	if t.Rank() != 2 || t.Dim(0) != d || t.Dim(1) != 2*gh {
		return fmt.Errorf("B has shape %v, want [%d %d]", t.Shape(), d, 2*gh)
	}
	given, err := reals[T](c, 3)
	if err != nil {
		return err
	}
	q.bias = Scratch[T](c, d*gh)
	for k := range d {
		w, r, sum := given[k*2*gh:][:gh], given[(k*2+1)*gh:][:gh], q.bias[k*gh:][:gh]
		early := gh
		if q.lateBias {
			early -= q.h
			copy(q.late[k*q.h:][:q.h], r[early:])
		}
		copy(sum, w)
		for i, v := range r[:early] {
			sum[i] += v
		}
	}
	return nil
}

// lengths reads the length of each sequence.
func (q *recurrentCall[T]) lengths(c *Call) error {
	lens, err := c.Ints(4)
	if err != nil || lens == nil {
		return err
	}
	if len(lens) != q.n {
		return fmt.Errorf("sequence_lens has shape %v, want [%d]", c.T(4).Shape(), q.n)
	}
	for _, l := range lens {
		if l < 0 || l > q.s {
			return fmt.Errorf("sequence_lens has %d, want 0 to %d", l, q.s)
		}
	}
	q.lens = lens
	return nil
}

// initial returns a copy [d, n, h] of an initial state, zeros if it is absent.
func (q *recurrentCall[T]) initial(c *Call, i int, name string) ([]T, error) {
	d := len(q.dirs)
	out := Scratch[T](c, d*q.n*q.h)
	t := c.T(i)
	if t == nil {
		clear(out)
		return out, nil
	}
	first, second := d, q.n
	if q.batchLead {
		first, second = q.n, d
	}
	if t.Rank() != 3 || t.Dim(0) != first || t.Dim(1) != second || t.Dim(2) != q.h {
		return nil, fmt.Errorf("%s has shape %v, want %v", name, t.Shape(), []int{first, second, q.h})
	}
	v, err := reals[T](c, i)
	if err != nil {
		return nil, err
	}
	if !q.batchLead {
		copy(out, v)
		return out, nil
	}
	for k := range d {
		for b := range q.n {
			copy(out[(k*q.n+b)*q.h:][:q.h], v[(b*d+k)*q.h:])
		}
	}
	return out, nil
}

// run computes all directions and sets the outputs.
func (q *recurrentCall[T]) run(c *Call, x []T) error {
	d, s, n, h := len(q.dirs), q.s, q.n, q.h
	dtype := c.T(0).DType()
	var done func()
	if c.Wants(0) {
		if q.batchLead {
			q.y, done = realsOut[T](c, 0, dtype, n, s, d, h)
		} else {
			q.y, done = realsOut[T](c, 0, dtype, s, d, n, h)
		}
		if q.lens != nil {
			clear(q.y)
		}
	}
	if q.keep {
		q.keepAll(c)
	}
	if s*n*h > 0 {
		if !q.keep {
			q.pre = Scratch[T](c, s*n*q.w.N)
		}
		q.input = gemm.Args[T]{M: s * n, N: q.w.N, K: q.i, A: x, ARS: q.i, ACS: 1, Packed: q.w, C: q.pre, LDC: q.w.N,
			Epilogue: gemm.Epilogue[T]{Col: q.bias}}
		if in, ok := q.cell.(recurrentInput[T]); !ok || !in.multiplyInput(c.P, q, x) {
			gemm.Run(c.P, &q.input)
		}
		q.allSteps(c.P)
	}
	if err := c.Ctx().Err(); err != nil {
		return err
	}
	if done != nil {
		done()
	}
	for i, v := range q.state {
		if v == nil || !c.Wants(1+i) {
			continue
		}
		var out []T
		if q.batchLead {
			out, done = realsOut[T](c, 1+i, dtype, n, d, h)
		} else {
			out, done = realsOut[T](c, 1+i, dtype, d, n, h)
		}
		for k := range d {
			for b := range n {
				to := k*n + b
				if q.batchLead {
					to = b*d + k
				}
				copy(out[to*h:], v[(k*n+b)*h:][:h])
			}
		}
		done()
	}
	return nil
}

// keepAll makes the outputs that the gradient needs: the gates, which the steps leave in pre, and
// the cell states.
func (q *recurrentCall[T]) keepAll(c *Call) {
	dtype := tensor.DTypeOf[T]()
	q.pre = tensor.Data[T](c.Output(3, dtype, q.s*q.n, q.w.N))
	if q.hasCell {
		q.cells = tensor.Data[T](c.Output(4, dtype, len(q.dirs), q.s*q.n, q.h))
		if q.lens != nil {
			clear(q.cells)
		}
	}
}

// recWidth is the distance of rows of products of the state: each part has
// room for whole panels.
func (q *recurrentCall[T]) recWidth() int {
	w := 0
	for _, r := range q.r[0] {
		w += gemm.Panels(r.N) * gemm.Panel
	}
	return w
}

// allSteps runs the steps of all tasks.
func (q *recurrentCall[T]) allSteps(p par.P) {
	d, n, h := len(q.dirs), q.n, q.h
	q.blocks = recurrentBlocks(n, d, p.Threads)
	if q.together {
		q.blocks = min(n, 1)
	}
	blocks := q.blocks
	most := (n + max(blocks, 1) - 1) / max(blocks, 1)
	q.rec, q.spare = Scratch[T](q.c, d*n*q.recWidth()), Scratch[T](q.c, d*n*h)
	perStep := float64(most) * float64(q.gates*h) * par.Nanos(2*float64(h), 4*float64(h)/float64(max(most, 1)))
	if d*blocks == 1 && h%gemm.Panel == 0 && h > gemm.Panel && perStep > 1200 && q.cell.shares(q) {
		q.parts = min(p.Threads, h/gemm.Panel)
		if q.parts > 1 {
			q.steps = append(q.steps[:0], recurrentStep[T]{b1: n, h: q.state[0], next: q.spare, c: q.state[1], rec: q.rec},
				recurrentStep[T]{b1: n, h: q.spare, next: q.state[0], c: q.state[1], rec: q.rec})
			p.Steps(q.s, q.parts, q.part)
			if q.s%2 == 1 {
				q.state[0] = q.spare
			}
			return
		}
	}
	q.steps = slices.Grow(q.steps[:0], d*blocks)[:d*blocks]
	p.For(d*blocks, par.Grain(d*blocks, float64(q.s)*perStep), q.tasks)
}

// recurrentBlocks returns into how many tasks the n sequences of each of d directions are
// divided. A task reads R in each step, so they are as large as threads allow, up
// to a bound; but no product has so few rows that it would add in another order if there
// were other threads.
func recurrentBlocks(n, d, threads int) int {
	const few, many = 8, 32
	if n < 2*few {
		return (n + 3) / 4
	}
	return min(max((threads+d-1)/d, (n+many-1)/many), n/few)
}

// runTasks runs tasks [lo, hi): some sequences in one direction each.
func (q *recurrentCall[T]) runTasks(lo, hi int) {
	n, h, blocks := q.n, q.h, q.blocks
	width := q.recWidth()
	for ; lo < hi; lo++ {
		d, b := lo/blocks, lo%blocks
		w := &q.steps[lo]
		*w = recurrentStep[T]{d: d, b0: b * n / blocks, b1: (b + 1) * n / blocks}
		w.h = q.state[0][d*n*h : (d+1)*n*h]
		w.next = w.h
		if q.hasCell {
			w.c = q.state[1][d*n*h : (d+1)*n*h]
		}
		w.rec = q.rec[(d*n+w.b0)*width : (d*n+w.b1)*width]
		w.reset = q.spare[(d*n+w.b0)*h : (d*n+w.b1)*h]
		for t := range q.s {
			if t%16 == 15 && q.c.Ctx().Err() != nil {
				return
			}
			q.cell.step(q, w, t, 0, h)
			q.output(w, t, 0, h)
		}
	}
}

// runPart runs the share of part in the units of a step.
func (q *recurrentCall[T]) runPart(step, part int) {
	w := &q.steps[step%2]
	panels := q.h / gemm.Panel
	from, to := part*panels/q.parts*gemm.Panel, (part+1)*panels/q.parts*gemm.Panel
	q.cell.step(q, w, step, from, to)
	q.output(w, step, from, to)
}

// output copies the new state to Y.
func (q *recurrentCall[T]) output(w *recurrentStep[T], t, from, to int) {
	for b := w.b0; b < w.b1; b++ {
		if q.lens != nil && t >= q.lens[b] {
			if len(w.next) > 0 && &w.next[0] != &w.h[0] {
				copy(w.next[b*q.h+from:b*q.h+to], w.h[b*q.h+from:])
			}
			continue
		}
		if q.y == nil {
			continue
		}
		at := q.at(w, t, b)
		if q.batchLead {
			at = (b*q.s+at)*len(q.dirs) + w.d
		} else {
			at = (at*len(q.dirs)+w.d)*q.n + b
		}
		copy(q.y[at*q.h+from:], w.next[b*q.h+from:b*q.h+to])
	}
}

// at returns the place in its sequence of what step t takes of sequence b: a reverse
// direction starts at the end.
func (q *recurrentCall[T]) at(w *recurrentStep[T], t, b int) int {
	switch {
	case !q.dirs[w.d]:
		return t
	case q.lens != nil:
		return q.lens[b] - 1 - t
	}
	return q.s - 1 - t
}

// rowOf returns the row of X that step t takes of sequence b.
func (q *recurrentCall[T]) rowOf(w *recurrentStep[T], t, b int) int {
	if q.batchLead {
		return b*q.s + q.at(w, t, b)
	}
	return q.at(w, t, b)*q.n + b
}

// row returns what step t has of sequence b: the input products, which may be
// changed, the products of the state, the state, where the new one goes and the cell
// state. live is false if the sequence has ended.
func (q *recurrentCall[T]) row(w *recurrentStep[T], t, b int) (pre, rec, h, next, c []T, live bool) {
	if q.lens != nil && t >= q.lens[b] {
		return nil, nil, nil, nil, nil, false
	}
	gh, width := q.gates*q.h, len(w.rec)/(w.b1-w.b0)
	pre = q.pre[q.rowOf(w, t, b)*q.w.N+w.d*gh:][:gh]
	rec = w.rec[(b-w.b0)*width:][:width]
	h, next = w.h[b*q.h:(b+1)*q.h], w.next[b*q.h:(b+1)*q.h]
	if w.c != nil {
		c = w.c[b*q.h : (b+1)*q.h]
	}
	return pre, rec, h, next, c, true
}

// multiply sets rec, from column at on, to the product of a, rows of states,
// with a part of R: all of it, or hidden units [from, to) of every gate.
func (q *recurrentCall[T]) multiply(w *recurrentStep[T], t, part int, a []T, at, from, to int) {
	b := q.r[w.d][part]
	m, width := w.b1-w.b0, len(w.rec)/(w.b1-w.b0)
	p32, ok := any(b).(*gemm.Packed[float32])
	if !ok {
		gemm.Run(par.P{}, &gemm.Args[T]{M: m, N: b.N, K: b.K, A: a, ARS: q.h, ACS: 1, Packed: b, C: w.rec[at:], LDC: width, Table: q.gemm})
		return
	}
	a32, rec := any(a).([]float32), any(w.rec[at:]).([]float32)
	down := t%2 == 1
	if from == 0 && to == q.h {
		gemm.Step(q.gemm, p32, m, a32, q.h, rec, width, 0, gemm.Panels(b.N), down)
		return
	}
	gates := b.N / q.h
	for g := range gates {
		if down {
			g = gates - 1 - g
		}
		gemm.Step(q.gemm, p32, m, a32, q.h, rec, width, (g*q.h+from)/gemm.Panel, (g*q.h+to)/gemm.Panel, down)
	}
}

// act returns activation function i of direction d.
func (q *recurrentCall[T]) act(d, i int) func(x []T) { return q.acts[d*q.actsPer+i] }

// addTo adds x to y.
func addTo[T floating](y, x []T) { addInto(y, y, x) }

// addInto sets dst to x + y.
func addInto[T floating](dst, x, y []T) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := range dst {
		dst[i] = x[i] + y[i]
	}
}

// singles is x, whose elements are float32.
func singles[T floating](x []T) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
}
