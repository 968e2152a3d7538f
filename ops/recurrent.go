package ops

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// recurrent is what RNN, GRU and LSTM have in common. Letters: s steps, n
// sequences of a batch, i inputs, h hidden, g gates, d directions.
type recurrent struct {
	gates     int
	dirs      []bool // per direction: whether it is reverse
	acts      []recurrentAct
	actsPer   int
	clip      float64 // 0: none
	hidden    int     // 0: not given
	batchLead bool    // layout 1: [n, s, ...] instead of [s, n, ...]
	cell      bool    // there is a cell state
	// split separates the recurrent product of the last gate from the others (GRU).
	split bool
	// lateBias says that the recurrent bias of the last gate is not added to
	// the input product.
	lateBias bool
}

// recurrentAct is an activation function with its parameters.
type recurrentAct struct {
	name        string
	alpha, beta float64
}

// recurrentActs are the functions with their defaults, and whether they take
// alpha and beta from the attributes.
var recurrentActs = []struct {
	recurrentAct
	hasAlpha, hasBeta bool
}{
	{recurrentAct{"Relu", 0, 0}, false, false}, {recurrentAct{"Tanh", 0, 0}, false, false}, {recurrentAct{"Sigmoid", 0, 0}, false, false},
	{recurrentAct{"Affine", 1, 0}, true, true}, {recurrentAct{"LeakyRelu", 0.01, 0}, true, false},
	{recurrentAct{"ThresholdedRelu", 1, 0}, true, false}, {recurrentAct{"ScaledTanh", 1, 1}, true, true},
	{recurrentAct{"HardSigmoid", 0.2, 0.5}, true, true}, {recurrentAct{"Elu", 1, 0}, true, false},
	{recurrentAct{"Softsign", 0, 0}, false, false}, {recurrentAct{"Softplus", 0, 0}, false, false},
}

// readRecurrent reads the attributes that the three operators share. defaults
// are the activation functions of one direction.
func readRecurrent(b *BuildContext, gates int, defaults ...string) (recurrent, error) {
	r := recurrent{gates: gates, actsPer: len(defaults), clip: float64(b.Float("clip", 0)), hidden: b.Int("hidden_size", 0)}
	if b.Node.Domain == "" { // com.microsoft has neither
		r.batchLead = b.Bool("layout", false)
		b.Ignore("output_sequence") // whether Y is given is seen from the node
	}
	if b.HasAttr("clip") && !(r.clip > 0) {
		return r, fmt.Errorf("attribute \"clip\" is %g, want more than 0", r.clip)
	}
	switch d := b.Str("direction", "forward"); d {
	case "forward", "foward": // the schema of GRU 1 spells its default so
		r.dirs = []bool{false}
	case "reverse":
		r.dirs = []bool{true}
	case "bidirectional":
		r.dirs = []bool{false, true}
	default:
		return r, fmt.Errorf("attribute \"direction\" is %q, want forward, reverse or bidirectional", d)
	}
	names := b.Strs("activations", nil)
	if len(names) == 0 {
		for range r.dirs {
			names = append(names, defaults...)
		}
	}
	want := len(r.dirs) * r.actsPer
	if r.actsPer == 1 && len(names) == 2 { // the schema's default lists two for RNN of any direction
		names = names[:want]
	}
	if len(names) != want {
		return r, fmt.Errorf("attribute \"activations\" has %d names, want %d", len(names), want)
	}
	alphas, betas := b.Floats("activation_alpha", nil), b.Floats("activation_beta", nil)
	for _, name := range names {
		i := slices.IndexFunc(recurrentActs, func(a struct {
			recurrentAct
			hasAlpha, hasBeta bool
		}) bool {
			return strings.EqualFold(a.name, name)
		})
		if i < 0 {
			return r, fmt.Errorf("%w: activation function %q", ErrUnsupported, name)
		}
		a := recurrentActs[i]
		if a.hasAlpha && len(alphas) > 0 {
			a.alpha, alphas = float64(alphas[0]), alphas[1:]
		}
		if a.hasBeta && len(betas) > 0 {
			a.beta, betas = float64(betas[0]), betas[1:]
		}
		r.acts = append(r.acts, a.recurrentAct)
	}
	return r, nil
}

// inferRecurrent gives the types of Y, Y_h and Y_c.
func inferRecurrent(c *InferContext) error {
	x, rt := c.In(0), c.In(2)
	var h, s, n onnx.Dim
	if k := c.Int("hidden_size", 0); k > 0 {
		h = onnx.Size(k)
	} else if len(rt.Dims) == 3 {
		h = rt.Dims[2]
	}
	d := onnx.Size(1)
	if c.Str("direction", "forward") == "bidirectional" {
		d = onnx.Size(2)
	}
	if len(x.Dims) == 3 {
		s, n = x.Dims[0], x.Dims[1]
	}
	y, state := onnx.TensorType(x.DType, s, d, n, h), onnx.TensorType(x.DType, d, n, h)
	if c.Node.Domain == "" && c.Bool("layout", false) {
		s, n = n, s
		y, state = onnx.TensorType(x.DType, n, s, d, h), onnx.TensorType(x.DType, n, d, h)
	}
	for i := range c.Out {
		c.Out[i] = state
		if i == 0 {
			c.Out[i] = y
		}
	}
	return nil
}

// recurrentWeights are the packed weights of all directions: w of the inputs
// [i, g*h], r of the state, in one or two parts (see recurrent.split).
type recurrentWeights[T floating] struct {
	w []*gemm.Packed[T]
	r [][]*gemm.Packed[T]
}

func (r *recurrent) packW(p par.P, t *tensor.Tensor) (any, error) {
	if t.DType() == tensor.Float64 {
		return packRecurrentW[float64](p, r, t)
	}
	return packRecurrentW[float32](p, r, t)
}

func (r *recurrent) packR(p par.P, t *tensor.Tensor) (any, error) {
	if t.DType() == tensor.Float64 {
		return packRecurrentR[float64](p, r, t)
	}
	return packRecurrentR[float32](p, r, t)
}

func packRecurrentW[T floating](p par.P, r *recurrent, t *tensor.Tensor) ([]*gemm.Packed[T], error) {
	if t.Rank() != 3 || t.Dim(0) != len(r.dirs) || t.Dim(1)%r.gates != 0 {
		return nil, fmt.Errorf("W has shape %v, want [%d %d*hidden_size input_size]", t.Shape(), len(r.dirs), r.gates)
	}
	data, err := realsOf[T](t)
	if err != nil {
		return nil, fmt.Errorf("W: %w", err)
	}
	gh, in := t.Dim(1), t.Dim(2)
	out := make([]*gemm.Packed[T], len(r.dirs))
	for d := range out {
		out[d] = gemm.Pack(p, data[d*gh*in:(d+1)*gh*in], in, gh, 1, in)
	}
	return out, nil
}

func packRecurrentR[T floating](p par.P, r *recurrent, t *tensor.Tensor) ([][]*gemm.Packed[T], error) {
	if t.Rank() != 3 || t.Dim(0) != len(r.dirs) || t.Dim(1) != r.gates*t.Dim(2) {
		return nil, fmt.Errorf("R has shape %v, want [%d %d*hidden_size hidden_size]", t.Shape(), len(r.dirs), r.gates)
	}
	data, err := realsOf[T](t)
	if err != nil {
		return nil, fmt.Errorf("R: %w", err)
	}
	h := t.Dim(2)
	out := make([][]*gemm.Packed[T], len(r.dirs))
	for d := range out {
		m := data[d*r.gates*h*h : (d+1)*r.gates*h*h]
		if r.split {
			k := (r.gates - 1) * h
			out[d] = []*gemm.Packed[T]{gemm.Pack(p, m[:k*h], h, k, 1, h), gemm.Pack(p, m[k*h:], h, h, 1, h)}
		} else {
			out[d] = []*gemm.Packed[T]{gemm.Pack(p, m, h, r.gates*h, 1, h)}
		}
	}
	return out, nil
}

// recurrentCell is one operator for one element type.
type recurrentCell[T floating] interface {
	// products adds to gates [n, g*h] what depends on the state h [n, h].
	products(p par.P, d, n int, gates, h []T)
	// step updates the state of one sequence.
	step(d int, gates, h, c []T)
}

// recurrentCall is one execution: the sizes and weights.
type recurrentCall[T floating] struct {
	*recurrent
	recurrentWeights[T]
	s, n, i, h int
	bias       []T // [d, 2*g*h] or nil
	acts       []func(x []T)
}

// buildRecurrent packs constant weights and returns the kernel.
func buildRecurrent(b *BuildContext, r *recurrent,
	cell32 func(*recurrentCall[float32], *Call) (recurrentCell[float32], error),
	cell64 func(*recurrentCall[float64], *Call) (recurrentCell[float64], error),
) (Kernel, error) {
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

func recurrentKernel[T floating](r *recurrent, packs [2]any, newCell func(*recurrentCall[T], *Call) (recurrentCell[T], error)) Kernel {
	return func(c *Call) error {
		q := &recurrentCall[T]{recurrent: r}
		if err := q.weights(c, packs); err != nil {
			return err
		}
		xt := c.T(0)
		if xt.Rank() != 3 || xt.Dim(2) != q.i {
			return fmt.Errorf("X has shape %v, want 3 dimensions, the last of size %d as in W", xt.Shape(), q.i)
		}
		q.s, q.n = xt.Dim(0), xt.Dim(1)
		if r.batchLead {
			q.s, q.n = q.n, q.s
		}
		d, g := len(r.dirs), r.gates
		if t := c.T(3); t != nil {
			if !slices.Equal(t.Shape(), []int{d, 2 * g * q.h}) {
				return fmt.Errorf("B has shape %v, want [%d %d]", t.Shape(), d, 2*g*q.h)
			}
			var err error
			if q.bias, err = reals[T](c, 3); err != nil {
				return err
			}
		}
		lens, err := q.lengths(c)
		if err != nil {
			return err
		}
		for i := range r.acts {
			q.acts = append(q.acts, recurrentFunc[T](r.acts[i], r.clip))
		}
		state := make([][]T, 2)
		for k, name := range []string{"initial_h", "initial_c"} {
			if k == 1 && !r.cell {
				break
			}
			if state[k], err = q.initial(c, 5+k, name); err != nil {
				return err
			}
		}
		cell, err := newCell(q, c)
		if err != nil {
			return err
		}
		x, err := reals[T](c, 0)
		if err != nil {
			return err
		}
		return q.run(c, cell, x, lens, state)
	}
}

// weights takes the packed weights, or packs the inputs W and R.
func (q *recurrentCall[T]) weights(c *Call, packs [2]any) error {
	var err error
	if q.w, _ = packs[0].([]*gemm.Packed[T]); q.w == nil {
		if c.T(1) == nil {
			return fmt.Errorf("W is absent or not of X's type")
		}
		if q.w, err = packRecurrentW[T](c.P, q.recurrent, c.T(1)); err != nil {
			return err
		}
	}
	if q.r, _ = packs[1].([][]*gemm.Packed[T]); q.r == nil {
		if c.T(2) == nil {
			return fmt.Errorf("R is absent or not of X's type")
		}
		if q.r, err = packRecurrentR[T](c.P, q.recurrent, c.T(2)); err != nil {
			return err
		}
	}
	q.i, q.h = q.w[0].K, q.r[0][0].K
	if q.w[0].N != q.gates*q.h {
		return fmt.Errorf("W has %d rows, want %d times the %d of R", q.w[0].N, q.gates, q.h)
	}
	if q.hidden != 0 && q.hidden != q.h {
		return fmt.Errorf("attribute \"hidden_size\" is %d, R has %d", q.hidden, q.h)
	}
	return nil
}

// lengths returns the length of each sequence.
func (q *recurrentCall[T]) lengths(c *Call) ([]int, error) {
	lens, err := c.Ints(4)
	if err != nil {
		return nil, err
	}
	if lens == nil {
		lens = slices.Repeat([]int{q.s}, q.n)
	}
	if len(lens) != q.n {
		return nil, fmt.Errorf("sequence_lens has shape %v, want [%d]", c.T(4).Shape(), q.n)
	}
	for _, l := range lens {
		if l < 0 || l > q.s {
			return nil, fmt.Errorf("sequence_lens has %d, want 0 to %d", l, q.s)
		}
	}
	return lens, nil
}

// initial returns a copy [d, n, h] of an initial state, zeros if it is absent.
func (q *recurrentCall[T]) initial(c *Call, i int, name string) ([]T, error) {
	d := len(q.dirs)
	out := make([]T, d*q.n*q.h)
	t := c.T(i)
	if t == nil {
		return out, nil
	}
	want := []int{d, q.n, q.h}
	if q.batchLead {
		want = []int{q.n, d, q.h}
	}
	if !slices.Equal(t.Shape(), want) {
		return nil, fmt.Errorf("%s has shape %v, want %v", name, t.Shape(), want)
	}
	v, err := reals[T](c, i)
	if err != nil {
		return nil, err
	}
	for k := 0; k < d; k++ {
		for b := 0; b < q.n; b++ {
			from := k*q.n + b
			if q.batchLead {
				from = b*d + k
			}
			copy(out[(k*q.n+b)*q.h:][:q.h], v[from*q.h:])
		}
	}
	return out, nil
}

// run computes all directions and sets the outputs.
func (q *recurrentCall[T]) run(c *Call, cell recurrentCell[T], x []T, lens []int, state [][]T) error {
	d, s, n, h := len(q.dirs), q.s, q.n, q.h
	dtype := c.T(0).DType()
	var y []T
	done := func() {}
	if c.Wants(0) {
		shape := []int{s, d, n, h}
		if q.batchLead {
			shape = []int{n, s, d, h}
		}
		y, done = realsOut[T](c, 0, dtype, shape...)
		clear(y)
	}
	gh := q.gates * h
	all := Scratch[T](c, d*s*n*gh)
	// The directions have nothing to do with each other: each may run on a
	// thread of its own.
	c.P.For(d, par.Grain(d, float64(s)*float64(n*gh)*par.Nanos(2*float64(q.i+h), 0)), func(k, end int) {
		for ; k < end; k++ {
			q.direction(c, cell, k, x, lens, state, all[k*s*n*gh:(k+1)*s*n*gh], y)
		}
	})
	if err := c.Ctx().Err(); err != nil {
		return err
	}
	done()
	for i, v := range state {
		if v == nil || !c.Wants(1+i) {
			continue
		}
		shape := []int{d, n, h}
		if q.batchLead {
			shape = []int{n, d, h}
		}
		out, done := realsOut[T](c, 1+i, dtype, shape...)
		for k := 0; k < d; k++ {
			for b := 0; b < n; b++ {
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

// direction computes direction k: its rows of y and its part of the state. pre
// is room for the input products of all steps.
func (q *recurrentCall[T]) direction(c *Call, cell recurrentCell[T], k int, x []T, lens []int, state [][]T, pre, y []T) {
	d, s, n, h, reverse := len(q.dirs), q.s, q.n, q.h, q.dirs[k]
	gh := q.gates * h
	place := func(t, b int) int { // of a row of Y
		if q.batchLead {
			return ((b*s+t)*d + k) * h
		}
		return ((t*d+k)*n + b) * h
	}
	rows := q.arrange(x, lens, reverse)
	gemm.Run(c.P, &gemm.Args[T]{M: s * n, N: gh, K: q.i, A: rows, ARS: q.i, ACS: 1, Packed: q.w[k], C: pre, LDC: gh,
		Epilogue: gemm.Epilogue[T]{Col: q.inputBias(k)}})
	hs := state[0][k*n*h : (k+1)*n*h]
	var cs []T
	if q.cell {
		cs = state[1][k*n*h : (k+1)*n*h]
	}
	for t := 0; t < s; t++ {
		if c.Ctx().Err() != nil {
			return
		}
		gates := pre[t*n*gh : (t+1)*n*gh]
		cell.products(c.P, k, n, gates, hs)
		c.P.For(n, 1+(1<<12)/(gh+1), func(lo, hi int) {
			for b := lo; b < hi; b++ {
				if t >= lens[b] {
					continue
				}
				hb := hs[b*h : (b+1)*h]
				var cb []T
				if cs != nil {
					cb = cs[b*h : (b+1)*h]
				}
				cell.step(k, gates[b*gh:(b+1)*gh], hb, cb)
				if y != nil {
					at := t
					if reverse {
						at = lens[b] - 1 - t
					}
					copy(y[place(at, b):], hb)
				}
			}
		})
	}
}

// arrange returns x as rows [s, n] in the order of the steps: a reverse
// direction starts at the end of each sequence.
func (q *recurrentCall[T]) arrange(x []T, lens []int, reverse bool) []T {
	if !reverse && !q.batchLead {
		return x
	}
	rows := make([]T, len(x))
	for t := 0; t < q.s; t++ {
		for b := 0; b < q.n; b++ {
			at := t
			if reverse && t < lens[b] {
				at = lens[b] - 1 - t
			}
			from := at*q.n + b
			if q.batchLead {
				from = b*q.s + at
			}
			copy(rows[(t*q.n+b)*q.i:][:q.i], x[from*q.i:])
		}
	}
	return rows
}

// inputBias returns what the input product of direction k starts with.
func (q *recurrentCall[T]) inputBias(k int) []T {
	if q.bias == nil {
		return nil
	}
	gh := q.gates * q.h
	b := q.bias[k*2*gh:][:2*gh]
	sum := make([]T, gh)
	for i := range sum {
		sum[i] = b[i]
		if !q.lateBias || i < gh-q.h {
			sum[i] += b[gh+i]
		}
	}
	return sum
}

// act returns activation function i of direction d.
func (q *recurrentCall[T]) act(d, i int) func(x []T) { return q.acts[d*q.actsPer+i] }

// recurrentFunc returns the function, which works in place, after clipping to [-clip, clip].
func recurrentFunc[T floating](a recurrentAct, clip float64) func(x []T) {
	f := recurrentPlain[T](a)
	if clip == 0 {
		return f
	}
	lo, hi := T(-clip), T(clip)
	return func(x []T) {
		for i, v := range x {
			x[i] = min(max(v, lo), hi)
		}
		f(x)
	}
}

func recurrentPlain[T floating](a recurrentAct) func(x []T) {
	var fast func(dst, x []float32)
	switch a.name {
	case "Sigmoid":
		fast = vec.Best().Sigmoid
	case "Tanh":
		fast = vec.Best().Tanh
	}
	if fast != nil {
		if f, ok := any(func(x []float32) { fast(x, x) }).(func(x []T)); ok {
			return f
		}
	}
	one := recurrentScalar(a)
	return func(x []T) {
		for i, v := range x {
			x[i] = T(one(float64(v)))
		}
	}
}

func recurrentScalar(a recurrentAct) func(x float64) float64 {
	switch a.name {
	case "Relu":
		return func(x float64) float64 { return max(x, 0) }
	case "Tanh":
		return math.Tanh
	case "Sigmoid":
		return func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	case "Affine":
		return func(x float64) float64 { return a.alpha*x + a.beta }
	case "LeakyRelu":
		return func(x float64) float64 {
			if x < 0 {
				return a.alpha * x
			}
			return x
		}
	case "ThresholdedRelu":
		return func(x float64) float64 {
			if x >= a.alpha {
				return x
			}
			return 0
		}
	case "ScaledTanh":
		return func(x float64) float64 { return a.alpha * math.Tanh(a.beta*x) }
	case "HardSigmoid":
		return func(x float64) float64 { return min(max(a.alpha*x+a.beta, 0), 1) }
	case "Elu":
		return func(x float64) float64 {
			if x < 0 {
				return a.alpha * math.Expm1(x)
			}
			return x
		}
	case "Softsign":
		return func(x float64) float64 { return x / (1 + math.Abs(x)) }
	}
	return func(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) } // Softplus
}
