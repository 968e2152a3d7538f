package ops

import (
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Backpropagation through time of RNN, GRU and LSTM: x.RNNGrad, x.GRUGrad and
// x.LSTMGrad, with the attributes of the operator. Inputs 0 to 7 are the
// operator's, whichever it has:
//
//	0 X    1 W    2 R    3 B    4 sequence_lens    5 initial_h    6 initial_c    7 P
//	8 Y    9 dL/dY (optional)    10 dL/dY_h (optional)    11 dL/dY_c (optional)
//	12 gates [rows of X, d*g*h] and 13 cells [d, rows of X, h] of x.LSTMTrain and x.GRUTrain
//
// Outputs, each only where it is asked for: dL/dX, dL/dW, dL/dR, dL/dB,
// dL/dinitial_h, dL/dinitial_c, dL/dP.
//
// The gradient makes an LSTM or GRU a private operator, which is the same with the
// results of all gates, and the cell states of all steps, as outputs 3 and 4: to
// compute them again would take two of the six large products once more. The states before
// all steps are in Y. The steps run backwards and turn the gates into dL/d(what
// their functions were applied to), G. What remains are products over all steps:
// dX = G·W, dW = Gᵀ·X, dR = Gᵀ·H.
//
// Spec: https://doi.org/10.1109/5.58337 (Werbos, Backpropagation through time: what
// it does and how to do it, Proceedings of the IEEE 78, 1990).

// recurrentGradOut gives the output of the gradient for each input of the operator; -1: none.
var recurrentGradOut = [8]int{0, 1, 2, 3, -1, 4, 5, 6}

const recurrentGradOuts = 7

// gradRecurrent makes the Grad of RNN, GRU or LSTM, by the private operator of the given name. forward is the
// one that the node becomes, if any.
func gradRecurrent(name, forward string) func(*GradContext) []*onnx.Value {
	return func(c *GradContext) []*onnx.Value {
		in := make([]*onnx.Value, 14)
		for i := range 8 {
			in[i] = c.X(i)
		}
		in[8] = c.Save(0)
		copy(in[9:12], c.DOut)
		if n := c.Node(); forward != "" {
			n.Attrs = n.Attrs.Without("output_sequence")
			n.Domain, n.Op, n.Opset = Private, forward, 1
			in[12] = c.Save(3)
			if forward == "LSTMTrain" {
				in[13] = c.Save(4)
			}
		}
		as := c.Node().Attrs.Without("output_sequence")
		n := c.G.NewNodeIn(Private, name, as, in, recurrentGradOuts)
		n.TrimInputs()
		last := 0
		for i, k := range recurrentGradOut {
			switch {
			case k < 0:
			case c.Needs(i):
				last = k
			default:
				n.Out[k] = nil
			}
		}
		n.Out = n.Out[:last+1]
		made := c.Add(n)
		out := make([]*onnx.Value, 8)
		for i, k := range recurrentGradOut {
			if k >= 0 && c.Needs(i) {
				out[i] = made[k]
			}
		}
		return out[:len(c.Node().In)]
	}
}

// recurrentTrainVersions are the versions of a private operator that also gives the gates.
func recurrentTrainVersions(in int, build func(*BuildContext) (Kernel, error)) []Version {
	return []Version{{Since: 1, In: Arity{3, in}, Out: Arity{4, 5}, Infer: inferRecurrentTrain, Build: build}}
}

func inferRecurrentTrain(c *InferContext) error {
	if err := inferRecurrent(c); err != nil {
		return err
	}
	d := c.In(0).DType
	if d != tensor.Float64 {
		d = tensor.Float32
	}
	for i := 3; i < len(c.Out); i++ {
		c.Out[i] = onnx.TensorType(d, make([]onnx.Dim, i-1)...)
	}
	return nil
}

// recurrentGradVersions are the versions of a private operator of gradients.
func recurrentGradVersions(build func(*BuildContext) (Kernel, error)) []Version {
	return []Version{{Since: 1, In: Arity{9, 14}, Out: Arity{1, recurrentGradOuts}, Infer: inferRecurrentGrad, Build: build}}
}

func inferRecurrentGrad(c *InferContext) error {
	for i, k := range recurrentGradOut {
		if k >= 0 && k < len(c.Out) {
			c.Out[k] = c.In(i)
		}
	}
	return nil
}

// recurrentBack is what the steps backwards of one operator compute.
type recurrentBack[T floating] interface {
	// start reads the inputs that only this operator has.
	start(c *Call, g *recurrentGrad[T]) error
	// rows does what needs no order of steps, for all rows of direction d.
	rows(g *recurrentGrad[T], d int)
	// step has in w.dh, for each sequence that is in step t, dL/d(state after t),
	// and leaves there dL/d(state before t). It sets the rows of the step in pre to G.
	step(g *recurrentGrad[T], w *backTask[T], t int)
	// finish sets outputs of its own, and what of dR is not Gᵀ·H.
	finish(g *recurrentGrad[T])
}

// recurrentGrad is one execution of a gradient. pre is G.
type recurrentGrad[T floating] struct {
	recurrentCall[T]
	wants  [recurrentGradOuts]bool
	back   recurrentBack[T]
	slopes []func(d, y []T) // by activation function: d *= f'(x), for y = f(x)
	// byR is R by direction and part as it is, [part of g*h, h].
	byR    [][]*gemm.Packed[T]
	kept   []T // the gates
	yState []T // Y
	prev   []T // the states before each step: [d, rows of X, h]
	dY     []T // nil: 0
	// dh and dc begin as dL/dY_h and dL/dY_c and end as those of the initial states.
	dh, dc        []T
	compact, prod []T // by sequence: what is multiplied, pitch apart, and the product, rowWidth apart
	dR, dB, dP    []T
	fill, todo    func(lo, hi int)
	product       gemm.Args[T]
}

// backTask is what some sequences in one direction work on. Its slices begin at the first of them.
type backTask[T floating] struct {
	d, b0, b1             int
	dh, dc, compact, prod []T
}

// buildRecurrentGrad makes the kernel of a gradient.
func buildRecurrentGrad(b *BuildContext, r *recurrent, back32 func() recurrentBack[float32], back64 func() recurrentBack[float64]) (Kernel, error) {
	for _, a := range r.acts {
		if (a.name == "LeakyRelu" || a.name == "Elu") && a.alpha < 0 {
			return nil, fmt.Errorf("%w: the gradient of activation function %s with alpha %g", ErrUnsupported, a.name, a.alpha)
		}
	}
	var wants [recurrentGradOuts]bool
	for i := range wants {
		wants[i] = b.Wants(i)
	}
	x := b.In(0).DType
	return b.realKernels(0, recurrentGradKernel(r, x, wants, back32), recurrentGradKernel(r, x, wants, back64))
}

func recurrentGradKernel[T floating](r *recurrent, x tensor.DType, wants [recurrentGradOuts]bool, newBack func() recurrentBack[T]) Kernel {
	return func(c *Call) error {
		g := State[recurrentGrad[T]](c)
		if g.recurrent == nil {
			g.recurrent, g.wants, g.back, g.gemm = r, wants, newBack(), gemm.Best()
			if _, single := any(T(0)).(float32); single && r.plain {
				g.vec = vec.Best()
			}
			for _, a := range r.acts {
				g.acts = append(g.acts, recurrentFunc[T](a, r.clip))
				slope := recurrentSlope[T](a)
				if r.clip > 0 {
					of := tensor.DTypeOf[T]() // in which results of the function are kept
					if r.gates == 1 {         // they are in Y
						of = x
					}
					slope = clippedSlope(a, T(r.clip), of, slope)
				}
				g.slopes = append(g.slopes, slope)
			}
			g.fill, g.todo = g.before, g.runTasks
		}
		defer g.clear()
		return g.call(c)
	}
}

// clear drops what belongs to a call.
func (g *recurrentGrad[T]) clear() {
	g.c, g.lens, g.pre, g.state, g.w, g.r, g.byR, g.bias, g.late = nil, nil, nil, [2][]T{}, nil, nil, nil, nil, nil
	g.kept, g.yState, g.prev, g.dY, g.dh, g.dc, g.compact, g.prod, g.dR, g.dB, g.dP = nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil
	g.product = gemm.Args[T]{}
}

func (g *recurrentGrad[T]) call(c *Call) error {
	if err := g.inputs(c, [2]any{}); err != nil {
		return err
	}
	shape := c.list(g.s, len(g.dirs), g.n, g.h)
	if g.batchLead {
		shape = c.list(g.n, g.s, len(g.dirs), g.h)
	}
	var err error
	for k, to := range [2]*[]T{&g.yState, &g.dY} {
		t := c.T(8 + k)
		if t == nil {
			continue
		}
		if !slices.Equal(t.Shape(), shape) {
			return fmt.Errorf("%s has shape %v, want %v", [2]string{"Y", "dL/dY"}[k], t.Shape(), slices.Clone(shape))
		}
		if *to, err = reals[T](c, 8+k); err != nil {
			return err
		}
	}
	if c.T(8) == nil {
		return fmt.Errorf("Y is absent")
	}
	if g.dh, err = g.initial(c, 10, "dL/dY_h"); err != nil {
		return err
	}
	if g.hasCell {
		if g.dc, err = g.initial(c, 11, "dL/dY_c"); err != nil {
			return err
		}
	}
	if g.gates > 1 { // RNN's gate is its state
		if g.kept, err = g.saved(c, 12, "gates", g.s*g.n, len(g.dirs)*g.gates*g.h); err != nil {
			return err
		}
	}
	if err := g.back.start(c, g); err != nil {
		return err
	}
	x, err := reals[T](c, 0)
	if err != nil {
		return err
	}
	w, err := reals[T](c, 1)
	if err != nil {
		return err
	}
	r, err := reals[T](c, 2)
	if err != nil {
		return err
	}
	g.allSteps(c, r)
	if err := c.Ctx().Err(); err != nil {
		return err
	}
	g.outputs(c, x, w)
	return nil
}

// saved reads input i, which the forward operator saved.
func (g *recurrentGrad[T]) saved(c *Call, i int, name string, shape ...int) ([]T, error) {
	if t := c.T(i); t == nil || t.DType() != tensor.DTypeOf[T]() || !slices.Equal(t.Shape(), shape) {
		return nil, fmt.Errorf("%s is %v, want shape %v", name, t, shape)
	}
	return tensor.Data[T](c.T(i)), nil
}

// allSteps sets pre to G, and dh and dc to the gradients of the initial states.
func (g *recurrentGrad[T]) allSteps(c *Call, r []T) {
	d, rows, h, gh := len(g.dirs), g.s*g.n, g.h, g.gates*g.h
	g.blocks = 0
	g.pre, g.prev = Scratch[T](c, rows*d*gh), Scratch[T](c, d*rows*h)
	if rows*h == 0 {
		return
	}
	c.P.For(d*g.n, 1+(1<<14)/(g.s*h), g.fill)
	pack := func(r []T, rows int) *gemm.Packed[T] {
		return gemm.PackTo(c.P, Scratch[T](c, gemm.PackedLen(rows, h)), r, rows, h, h, 1)
	}
	for k := range d {
		g.back.rows(g, k)
		part := r[k*gh*h : (k+1)*gh*h]
		if g.split {
			at := gh - h
			g.byR = append(g.byR, []*gemm.Packed[T]{pack(part[:at*h], at), pack(part[at*h:], h)})
		} else {
			g.byR = append(g.byR, []*gemm.Packed[T]{pack(part, gh)})
		}
	}
	g.blocks = recurrentBlocks(g.n, d, c.P.Threads)
	g.compact, g.prod = Scratch[T](c, d*g.n*g.pitch()), Scratch[T](c, d*g.n*g.rowWidth())
	c.P.For(d*g.blocks, 1, g.todo)
}

// multiply runs one product on all threads.
func (g *recurrentGrad[T]) multiply(a *gemm.Args[T]) {
	g.product = *a
	gemm.Run(g.c.P, &g.product)
}

// rowWidth is the distance of rows of products with R: there is room for whole panels.
func (g *recurrentGrad[T]) rowWidth() int { return gemm.Panels(g.h) * gemm.Panel }

// pitch is the distance of rows of compact. Rows that all fall into the same places of the
// first-level cache would be multiplied by smaller tiles.
func (g *recurrentGrad[T]) pitch() int {
	gh := g.gates * g.h
	if gh*int(unsafe.Sizeof(T(0)))%4096 == 0 {
		return gh + gemm.Panel
	}
	return gh
}

// length returns how many steps sequence b has.
func (g *recurrentGrad[T]) length(b int) int {
	if g.lens != nil {
		return g.lens[b]
	}
	return g.s
}

// place returns the row of X that step t of sequence b in direction d takes. The
// steps after its end have the rows after its end.
func (g *recurrentGrad[T]) place(d, t, b int) int {
	at := t
	if n := g.length(b); g.dirs[d] && t < n {
		at = n - 1 - t
	}
	if g.batchLead {
		return b*g.s + at
	}
	return at*g.n + b
}

// inY returns where the state of a row of X is in Y.
func (g *recurrentGrad[T]) inY(d, row int) int {
	if g.batchLead {
		return (row*len(g.dirs) + d) * g.h
	}
	return ((row/g.n*len(g.dirs)+d)*g.n + row%g.n) * g.h
}

// before sets prev for the sequences [lo, hi) of all directions.
func (g *recurrentGrad[T]) before(lo, hi int) {
	rows, h := g.s*g.n, g.h
	for u := lo; u < hi; u++ {
		d, b := u/g.n, u%g.n
		for t := range g.s {
			to := g.prev[(d*rows+g.place(d, t, b))*h:][:h]
			switch {
			case t >= g.length(b):
				clear(to)
			case t == 0:
				copy(to, g.state[0][u*h:])
			default:
				copy(to, g.yState[g.inY(d, g.place(d, t-1, b)):])
			}
		}
	}
}

// row returns G of a row of X in direction d.
func (g *recurrentGrad[T]) row(d, row int) []T {
	gh := g.gates * g.h
	return g.pre[(row*len(g.dirs)+d)*gh:][:gh]
}

// keptRow returns the gates of a row of X in direction d.
func (g *recurrentGrad[T]) keptRow(d, row int) []T {
	gh := g.gates * g.h
	return g.kept[(row*len(g.dirs)+d)*gh:][:gh]
}

// prevRow returns the state before the step of a row of X in direction d.
func (g *recurrentGrad[T]) prevRow(d, row int) []T { return g.prev[(d*g.s*g.n+row)*g.h:][:g.h] }

// gatesAt copies the gates of a row of X in direction d to where G will be, and returns that.
func (g *recurrentGrad[T]) gatesAt(d, row int) []T {
	to := g.row(d, row)
	copy(to, g.keptRow(d, row))
	return to
}

// slope returns the derivative of activation function i of direction d.
func (g *recurrentGrad[T]) slope(d, i int) func(d, y []T) { return g.slopes[d*g.actsPer+i] }

// runTasks runs tasks [lo, hi): some sequences in one direction each.
func (g *recurrentGrad[T]) runTasks(lo, hi int) {
	n, h, pitch, width := g.n, g.h, g.pitch(), g.rowWidth()
	for ; lo < hi; lo++ {
		b := lo % g.blocks
		w := backTask[T]{d: lo / g.blocks, b0: b * n / g.blocks, b1: (b + 1) * n / g.blocks}
		from, to := w.d*n+w.b0, w.d*n+w.b1
		w.dh, w.compact, w.prod = g.dh[from*h:to*h], g.compact[from*pitch:to*pitch], g.prod[from*width:to*width]
		if g.hasCell {
			w.dc = g.dc[from*h : to*h]
		}
		for t := g.s - 1; t >= 0; t-- {
			if t%16 == 0 && g.c.Ctx().Err() != nil {
				return
			}
			for b := w.b0; b < w.b1; b++ {
				row := g.place(w.d, t, b)
				if t >= g.length(b) {
					clear(g.row(w.d, row))
					clear(w.compact[(b-w.b0)*pitch:][:pitch])
					continue
				}
				if g.dY != nil {
					addTo(w.dh[(b-w.b0)*h:][:h], g.dY[g.inY(w.d, row):][:h])
				}
			}
			g.back.step(g, &w, t)
		}
	}
}

// toState sets dst, rows rowWidth apart, to the product of columns [at, at + size of the part) of compact
// with a part of R.
func (g *recurrentGrad[T]) toState(dst []T, w *backTask[T], t, part, at int) {
	b, m, pitch := g.byR[w.d][part], w.b1-w.b0, g.pitch()
	if p, ok := any(b).(*gemm.Packed[float32]); ok {
		gemm.Step(g.gemm, p, m, singles(w.compact[at:]), pitch, singles(dst), g.rowWidth(), 0, gemm.Panels(b.N), t%2 == 1)
		return
	}
	gemm.Run(par.P{}, &gemm.Args[T]{M: m, N: b.N, K: b.K, A: w.compact[at:], ARS: pitch, ACS: 1, Packed: b, C: dst, LDC: g.rowWidth(), Table: g.gemm})
}

// stepBefore sets dh of the sequences that are in step t to compact·R.
func (g *recurrentGrad[T]) stepBefore(w *backTask[T], t int) {
	h, width := g.h, g.rowWidth()
	if width == h && g.lens == nil {
		g.toState(w.dh, w, t, 0, 0)
		return
	}
	g.toState(w.prod, w, t, 0, 0)
	for b := w.b0; b < w.b1; b++ {
		if t < g.length(b) {
			copy(w.dh[(b-w.b0)*h:][:h], w.prod[(b-w.b0)*width:])
		}
	}
}

// columns sets dst to the sums of the columns of a, rows stride apart.
func (g *recurrentGrad[T]) columns(dst, a []T, stride int) {
	rows := g.s * g.n
	ones := Scratch[T](g.c, rows)
	for i := range ones {
		ones[i] = 1
	}
	g.multiply(&gemm.Args[T]{M: 1, N: len(dst), K: rows, A: ones, ARS: rows, ACS: 1, B: a, BRS: stride, BCS: 1, C: dst, LDC: len(dst)})
}

// states sets dR of gates from on in direction d to Gᵀ·H, with columns of src, rows stride apart, in place
// of G.
func (g *recurrentGrad[T]) states(d, from, to int, src []T, stride int, states []T) {
	h := g.h
	g.multiply(&gemm.Args[T]{M: (to - from) * h, N: h, K: g.s * g.n, A: src, ARS: 1, ACS: stride, B: states, BRS: h, BCS: 1,
		C: g.dR[(d*g.gates+from)*h*h:], LDC: h})
}

// weights sets dW and dR to Gᵀ·X and Gᵀ·H, as one product: G is transposed once.
func (g *recurrentGrad[T]) weights(dW, x []T) {
	rows, h, gh, all := g.s*g.n, g.h, g.gates*g.h, len(g.dirs)*g.gates*g.h
	at := gemm.Panels(g.i) * gemm.Panel // of H
	right := &gemm.Packed[T]{K: rows, N: at + h, Data: Scratch[T](g.c, gemm.PackedLen(rows, at+h))}
	gemm.PackTo(g.c.P, right.Data, x, rows, g.i, g.i, 1)
	sums := Scratch[T](g.c, gh*right.N)
	for d := range g.dirs {
		gemm.PackTo(g.c.P, right.Data[gemm.PackedLen(rows, at):], g.prev[d*rows*h:], rows, h, h, 1)
		g.multiply(&gemm.Args[T]{M: gh, N: right.N, K: rows, A: g.pre[d*gh:], ARS: 1, ACS: all, Packed: right, C: sums, LDC: right.N})
		for j := range gh {
			row := sums[j*right.N:]
			copy(dW[(d*gh+j)*g.i:][:g.i], row)
			copy(g.dR[(d*gh+j)*h:][:h], row[at:])
		}
	}
}

// outputs makes the outputs from G.
func (g *recurrentGrad[T]) outputs(c *Call, x, w []T) {
	d, rows, h, all := len(g.dirs), g.s*g.n, g.h, len(g.dirs)*g.gates*g.h
	dtype := c.T(0).DType()
	var done [recurrentGradOuts]func()
	out := func(i, in int) []T {
		if !g.wants[i] || c.T(in) == nil {
			return nil
		}
		var o []T
		o, done[i] = realsOut[T](c, i, dtype, c.T(in).Shape()...)
		return o
	}
	if dX := out(0, 0); len(dX) > 0 {
		g.multiply(&gemm.Args[T]{M: rows, N: g.i, K: all, A: g.pre, ARS: all, ACS: 1, B: w, BRS: g.i, BCS: 1, C: dX, LDC: g.i})
	}
	dW := out(1, 1)
	g.dR, g.dB = out(2, 2), out(3, 3)
	both := len(dW) > 0 && len(g.dR) > 0 && !g.split && rows > 0
	if both {
		g.weights(dW, x)
	} else if len(dW) > 0 {
		g.multiply(&gemm.Args[T]{M: all, N: g.i, K: rows, A: g.pre, ARS: 1, ACS: all, B: x, BRS: g.i, BCS: 1, C: dW, LDC: g.i})
	}
	if rows*h == 0 {
		clear(g.dR)
		clear(g.dB)
		g.dR, g.dB = nil, nil
	}
	gh := g.gates * h
	plain := g.gates // whose dR is Gᵀ·H and whose biases have one gradient
	if g.split {
		plain--
	}
	for k := range d {
		pre := g.pre[min(k*gh, len(g.pre)):]
		if g.dR != nil && !both {
			g.states(k, 0, plain, pre, all, g.prev[k*rows*h:])
		}
		if g.dB != nil {
			sums := g.dB[k*2*gh:][:gh]
			g.columns(sums, pre, all)
			copy(g.dB[(2*k+1)*gh:][:gh], sums)
		}
	}
	for i, v := range [2][]T{g.dh, g.dc} {
		o := out(4+i, 5+i)
		if !g.batchLead {
			copy(o, v)
			continue
		}
		for at := 0; at < len(o); at += max(h, 1) {
			u := at / h
			copy(o[at:][:h], v[(u%d*g.n+u/d)*h:])
		}
	}
	g.dP = out(6, 7)
	g.back.finish(g)
	for _, f := range done {
		if f != nil {
			f()
		}
	}
}

// recurrentSlope returns the function that multiplies d by f'(x) for y = f(x).
func recurrentSlope[T floating](a recurrentAct) func(d, y []T) {
	switch a.name {
	case "Tanh":
		return func(d, y []T) {
			y = y[:len(d)]
			for i, v := range y {
				d[i] *= 1 - v*v
			}
		}
	case "Sigmoid":
		return func(d, y []T) {
			y = y[:len(d)]
			for i, v := range y {
				d[i] *= v * (1 - v)
			}
		}
	}
	one := slopeScalar(a)
	return func(d, y []T) {
		for i, v := range y[:len(d)] {
			d[i] *= T(one(float64(v)))
		}
	}
}

// clippedSlope is slope where f's argument was between -clip and clip, and 0 where f
// had one of these bounds instead. The functions are monotonic, so that results at or
// beyond those of the bounds tell; of is the type that results were rounded to.
func clippedSlope[T floating](a recurrentAct, clip T, of tensor.DType, slope func(d, y []T)) func(d, y []T) {
	ends := []T{-clip, clip}
	recurrentPlain[T](a)(ends)
	t := tensor.New(of, 2)
	storeReals(t, ends)
	if rounded, err := realsOf[T](t); err == nil {
		ends = rounded
	}
	// The same argument may give results that differ in the last bits, in a vector and in its rest.
	lo, hi := min(ends[0], ends[1]), max(ends[0], ends[1])
	ulp := math.Ldexp(1, -23)
	if tensor.DTypeOf[T]() == tensor.Float64 {
		ulp = math.Ldexp(1, -52)
	}
	slack := T(4 * ulp * max(math.Abs(float64(lo)), math.Abs(float64(hi))))
	lo, hi = lo+slack, hi-slack
	if a.name == "ThresholdedRelu" && -float64(clip) < a.alpha { // 0 is no bound there, but flat itself
		lo = T(math.Inf(-1))
	}
	return func(d, y []T) {
		slope(d, y)
		for i, v := range y[:len(d)] {
			if v <= lo || v >= hi {
				d[i] = 0
			}
		}
	}
}

// slopeScalar is f'(x) as a function of y = f(x). alpha of LeakyRelu and Elu is 0 or more.
func slopeScalar(a recurrentAct) func(y float64) float64 {
	pick := func(is bool, yes, no float64) float64 {
		if is {
			return yes
		}
		return no
	}
	switch a.name {
	case "Relu":
		return func(y float64) float64 { return pick(y > 0, 1, 0) }
	case "Affine":
		return func(float64) float64 { return a.alpha }
	case "LeakyRelu":
		if a.alpha == 0 {
			return func(y float64) float64 { return pick(y > 0, 1, 0) }
		}
		return func(y float64) float64 { return pick(y < 0, a.alpha, 1) }
	case "ThresholdedRelu":
		return func(y float64) float64 { return pick(y != 0, 1, 0) }
	case "ScaledTanh": // y = α·tanh(β·x)
		if a.alpha == 0 {
			return func(float64) float64 { return 0 }
		}
		return func(y float64) float64 { return a.beta * (a.alpha - y*y/a.alpha) }
	case "HardSigmoid":
		return func(y float64) float64 { return pick(y > 0 && y < 1, a.alpha, 0) }
	case "Elu": // y = α·(eˣ - 1)
		if a.alpha == 0 {
			return func(y float64) float64 { return pick(y > 0, 1, 0) }
		}
		return func(y float64) float64 { return pick(y < 0, y+a.alpha, 1) }
	case "Softsign": // 1 - |y| = 1/(1 + |x|)
		return func(y float64) float64 { return (1 - math.Abs(y)) * (1 - math.Abs(y)) }
	}
	return func(y float64) float64 { return -math.Expm1(-y) } // Softplus: sigmoid(x) = 1 - e^-y
}
