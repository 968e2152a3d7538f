package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/kernels/qgemm"
	"github.com/gneiss-run/gneiss/internal/kernels/quant"
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// DynamicQuantizeLSTM (com.microsoft) is LSTM with quantized weights, which are
// transposed. X as a whole and the state of each step [n, h] are rounded to 256
// steps of their own range before they are multiplied, as DynamicQuantizeLinear
// does; the rest is computed in float32. Products with constant weights are those of integers.
//
//	X: float32[s, n, i]    W: u8 or i8 [d, i, 4h]    R: u8 or i8 [d, h, 4h]
//	B, sequence_lens, initial_h, initial_c, P (optional) and Y, Y_h, Y_c: as of LSTM
//	W_scale, R_scale: float32 [d] or [d, 4h]    W_zero_point, R_zero_point: like these, of the weights' type
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.DynamicQuantizeLSTM
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "DynamicQuantizeLSTM", Numerics: Rounding, Flush: true,
		Versions: []Version{
			{Since: 1, In: N(12), Absent: []int{3, 4, 5, 6, 7}, Out: Arity{0, 3}, Infer: inferDynamicQuantizeLSTM, Build: buildDynamicQuantizeLSTM},
		},
	})
}

func inferDynamicQuantizeLSTM(c *InferContext) error {
	c.Int("input_forget", 0)
	if err := inferRecurrent(c); err != nil {
		return err
	}
	// inferRecurrent takes the hidden size from the end of R, which is 4h here.
	if r := c.In(2); c.Int("hidden_size", 0) == 0 {
		for i := range c.Out {
			if k := len(c.Out[i].Dims); k > 0 && len(r.Dims) == 3 {
				c.Out[i].Dims[k-1] = r.Dims[1]
			}
		}
	}
	return nil
}

func buildDynamicQuantizeLSTM(b *BuildContext) (Kernel, error) {
	r, err := readRecurrent(b, 4, "Sigmoid", "Tanh", "Tanh")
	if err != nil {
		return nil, err
	}
	r.hasCell, r.together = true, true
	plain := newLSTMCell[float32](b.Bool("input_forget", false))
	var input *quantRight
	var right []quantRight
	newCell := func() recurrentCell[float32] {
		return &quantLSTMCell{lstmCell: plain().(*lstmCell[float32]), input: input, right: right, rows: make([]quantRows, len(right))}
	}
	var packs [2]any
	for k := range packs {
		w, s, z := b.Const(1+k), b.Const(8+2*k), b.Const(9+2*k)
		if w == nil || s == nil || z == nil {
			continue
		}
		per, err := r.checkQuantized(k, w, s, z)
		if err != nil {
			return nil, err
		}
		p, err := b.Pack(1+k, [2]string{"dynamic lstm W", "dynamic lstm R"}[k], func() (any, error) { return packIntegers(w, k == 0), nil })
		if err != nil {
			return nil, err
		}
		packed, ok := p.([]*qgemm.Right)
		if !ok || len(packed) != [2]int{1, len(r.dirs)}[k] {
			return nil, fmt.Errorf("packed weights of another shape than %v", w.Shape()) // from a file
		}
		scale, zero := tensor.Data[float32](s), byteValues(z)
		if k == 0 {
			if per == 1 && len(r.dirs) > 1 { // one for each column of all directions
				scale, zero = repeatEach(scale, w.Dim(2)), repeatEach(zero, w.Dim(2))
			}
			input = &quantRight{packed[0], scale, zero}
			packs[0] = placeOf(packed[0])
			continue
		}
		sizes := make([][]*gemm.Packed[float32], len(packed))
		for i, m := range packed {
			right = append(right, quantRight{m, scale[i*per : (i+1)*per], zero[i*per : (i+1)*per]})
			sizes[i] = []*gemm.Packed[float32]{placeOf(m)}
		}
		packs[1] = sizes
	}
	return b.need(0, byType{tensor.Float32: func(c *Call) error {
		own := packs
		for k := range own {
			if own[k] != nil {
				continue
			}
			w, s, z := c.T(1+k), c.T(8+2*k), c.T(9+2*k)
			if w == nil || s == nil || z == nil {
				return fmt.Errorf("input %d, its scale or its zero point is absent", 1+k)
			}
			var err error
			if own[k], err = r.packQuantized(c.P, k, w, s, z); err != nil {
				return err
			}
		}
		if input != nil {
			return recurrentKernel(&r, own, newCell)(c)
		}
		x := c.T(0)
		inner := *c
		inner.In = slices.Clone(c.In)
		rounded := Scratch[float32](c, x.Len())
		roundDynamically(c.P, rounded, tensor.Data[float32](x))
		inner.In[0] = tensor.Of(rounded, x.Shape()...)
		return recurrentKernel(&r, own, newCell)(&inner)
	}})
}

// checkQuantized returns the number of scales of a direction of W (k = 0) or R (k = 1).
func (r *recurrent) checkQuantized(k int, w, scale, zero *tensor.Tensor) (int, error) {
	name := []string{"W", "R"}[k]
	if !isByte(w.DType()) || w.Rank() != 3 || w.Dim(0) != len(r.dirs) || w.Dim(2)%r.gates != 0 || k == 1 && w.Dim(2) != r.gates*w.Dim(1) {
		return 0, fmt.Errorf("%s is %v, want bytes [%d, n, %d*hidden_size]", name, w, len(r.dirs), r.gates)
	}
	d, columns := w.Dim(0), w.Dim(2)
	if scale.DType() != tensor.Float32 || scale.Len() != d && scale.Len() != d*columns || zero.DType() != w.DType() || zero.Len() != scale.Len() {
		return 0, fmt.Errorf("%s_scale is %v and %s_zero_point %v, want %d or %d elements of float32 and %v", name, scale, name, zero, d, d*columns, w.DType())
	}
	return scale.Len() / d, nil
}

// packIntegers packs the matrix of each direction, or together one that has the columns of all.
func packIntegers(w *tensor.Tensor, together bool) []*qgemm.Right {
	d, rows, columns, data, signed := w.Dim(0), w.Dim(1), w.Dim(2), w.Bytes(), w.DType() == tensor.Int8
	if together {
		if d > 1 {
			all := make([]byte, len(data))
			for i := range d * rows {
				copy(all[(i%rows*d+i/rows)*columns:], data[i*columns:(i+1)*columns])
			}
			data, columns = all, d*columns
		}
		return []*qgemm.Right{qgemm.Pack(par.P{}, data, rows, columns, columns, 1, signed).Narrow()}
	}
	out := make([]*qgemm.Right, d)
	for i := range out {
		out[i] = qgemm.Pack(par.P{}, data[i*rows*columns:(i+1)*rows*columns], rows, columns, columns, 1, signed).Narrow()
	}
	return out
}

// placeOf is what recurrentCall takes its sizes from.
func placeOf(m *qgemm.Right) *gemm.Packed[float32] { return &gemm.Packed[float32]{K: m.K, N: m.N} }

// repeatEach returns each element of v n times.
func repeatEach[T any](v []T, n int) []T {
	out := make([]T, 0, n*len(v))
	for _, x := range v {
		out = append(out, slices.Repeat([]T{x}, n)...)
	}
	return out
}

// packQuantized packs W (k = 0) or R (k = 1) as what it stands for.
func (r *recurrent) packQuantized(p par.P, k int, w, scale, zero *tensor.Tensor) (any, error) {
	per, err := r.checkQuantized(k, w, scale, zero)
	if err != nil {
		return nil, err
	}
	d, rows, columns := w.Dim(0), w.Dim(1), w.Dim(2)
	v, z, s := byteValues(w), byteValues(zero), tensor.Data[float32](scale)
	f := make([]float32, len(v))
	for i, x := range v {
		at := i/(rows*columns)*per + i%columns%per
		f[i] = float32(x-z[at]) * s[at]
	}
	if k == 0 { // one matrix for all directions
		all := make([]float32, len(f))
		for i := range d * rows {
			copy(all[(i%rows*d+i/rows)*columns:], f[i*columns:(i+1)*columns])
		}
		return gemm.Pack(p, all, rows, d*columns, d*columns, 1), nil
	}
	rs := make([][]*gemm.Packed[float32], d)
	for i := range d {
		rs[i] = []*gemm.Packed[float32]{gemm.Pack(p, f[i*rows*columns:(i+1)*rows*columns], rows, columns, columns, 1)}
	}
	return rs, nil
}

// roundDynamically sets dst to x, rounded to what quantizeDynamically keeps of it.
func roundDynamically(p par.P, dst, x []float32) {
	mem, pool := borrow[[]uint8]()
	defer pool.Put(mem)
	bytes := slices.Grow((*mem)[:0], len(x))[:len(x)]
	*mem = bytes
	q := quantizeDynamically(p, bytes, x)
	par.Run(p, len(x), grain, par.With(dequantizedBytes{dst, bytes, q}))
}

// dequantizedBytes are what bytes stand for.
type dequantizedBytes struct {
	dst []float32
	x   []uint8
	q   quantParams
}

func (a *dequantizedBytes) Chunk(lo, hi int) {
	quant.Dequantize(a.dst[lo:hi], a.x[lo:hi], a.q.scale, a.q.zero)
}

// quantRight is the R of a direction, or the W of all.
type quantRight struct {
	*qgemm.Right
	scale []float32
	zero  []int32
}

// place gives f the call's working memory.
func (r *quantRight) place(c *Call, f *qgemm.Finish) {
	n := r.Panels() * qgemm.Width
	f.Scale, f.Bias = Scratch[float32](c, n)[:0], Scratch[int32](c, n)[:0]
}

// quantRows is the rounded state of a direction, and how its product with R is finished.
type quantRows struct {
	bytes []byte
	sums  []int32
	ends  qgemm.Finish
	zero  int32 // that ends has
	set   bool
	plain bool // R has no zero points: the tiles take the state's from the sums of columns
}

// quantLSTMCell is an LSTM whose state is rounded before it is multiplied.
type quantLSTMCell struct {
	*lstmCell[float32]
	input *quantRight  // nil: W is not constant, and X rounded already
	right []quantRight // nil: R is not constant
	rows  []quantRows
	ends  qgemm.Finish // of the inputs
}

func (l *quantLSTMCell) multiplyInput(p par.P, q *recurrentCall[float32], x []float32) bool {
	if l.input == nil {
		return false
	}
	bytes := Scratch[uint8](q.c, len(x))
	r, to := l.input, quantizeDynamically(p, bytes, x)
	r.place(q.c, &l.ends)
	l.ends.SetScale(r.scale, r.N, to.scale)
	l.ends.SetZeros(r.Right, r.K, to.zero, r.zero, nil)
	l.ends.SetShift(q.bias, r.N)
	l.ends.Product(p, qgemm.Left{M: q.s * q.n, K: r.K, Data: bytes}, r.Right, nil, q.pre, nil)
	return true
}

// The state is rounded as a whole.
func (*quantLSTMCell) shares(*recurrentCall[float32]) bool { return false }

func (l *quantLSTMCell) step(q *recurrentCall[float32], w *recurrentStep[float32], t, from, to int) {
	if l.right == nil {
		copy(w.reset, w.h) // all sequences: see recurrent.together
		roundDynamically(par.P{}, w.reset, w.reset)
		q.multiply(w, t, 0, w.reset, 0, from, to)
	} else {
		l.multiply(q, w)
	}
	l.finishStep(q, w, t, from, to)
}

// multiply sets rec to the product of the rounded state with R.
func (l *quantLSTMCell) multiply(q *recurrentCall[float32], w *recurrentStep[float32]) {
	r, s := l.right[w.d], &l.rows[w.d]
	n := w.b1 - w.b0
	h := w.h[w.b0*q.h : w.b1*q.h]
	if len(s.bytes) < len(h)+4 { // the last row is read to the next multiple of 4
		s.bytes, s.sums = make([]byte, len(h)+4), make([]int32, n)
	}
	p := quantizeDynamically(par.P{}, s.bytes[:len(h)], h)
	if !s.set {
		r.place(q.c, &s.ends)
		s.ends.SetScale(r.scale, r.N, 1)
		s.ends.SetZeros(r.Right, r.K, 0, r.zero, nil)
		if s.plain = s.ends.Zeros == nil; s.plain {
			s.ends.Zeros, s.set = r.Sums, true
		}
	}
	if !s.plain && (!s.set || s.zero != p.zero) {
		s.ends.SetZeros(r.Right, r.K, p.zero, r.zero, nil)
		s.set, s.zero = true, p.zero
	}
	v := &qgemm.View{M: n, K: r.K, Stride: q.h, Data: s.bytes}
	switch v.Sums = s.sums[:n]; {
	case s.plain:
		for i := range v.Sums {
			v.Sums[i] = p.zero
		}
	case s.ends.Zeros != nil:
		v.RowSums(v.Sums)
	}
	s.ends.Floats(qgemm.Best(), v, r.Right, 0, r.Panels(), w.rec, len(w.rec)/n)
	vec.Best().MulScalar(w.rec, w.rec, p.scale)
}
