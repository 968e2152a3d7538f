package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/kernels/quant"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// DynamicQuantizeLSTM (com.microsoft) is LSTM with quantized weights, which are
// transposed. X as a whole and the state of each step [n, h] are rounded to 256
// steps of their own range before they are multiplied, as DynamicQuantizeLinear
// does; the rest is computed in float32.
//
//	X: float32[s, n, i]    W: u8 or i8 [d, i, 4h]    R: u8 or i8 [d, h, 4h]
//	B, sequence_lens, initial_h, initial_c, P (optional) and Y, Y_h, Y_c: as of LSTM
//	W_scale, R_scale: float32 [d] or [d, 4h]    W_zero_point, R_zero_point: like these, of the weights' type
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.DynamicQuantizeLSTM
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "DynamicQuantizeLSTM", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: N(12), Out: Arity{0, 3}, Infer: inferDynamicQuantizeLSTM, Build: buildDynamicQuantizeLSTM},
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
	newCell := func() recurrentCell[float32] { return &quantLSTMCell{lstmCell: plain().(*lstmCell[float32])} }
	var packs [2]any
	for k := range packs {
		w, s, z := b.Const(1+k), b.Const(8+2*k), b.Const(9+2*k)
		if w == nil || s == nil || z == nil {
			continue
		}
		// The scales are part of what is packed, so it is not shared by layout.
		p, err := r.packQuantized(par.P{}, k, w, s, z)
		if err != nil {
			return nil, err
		}
		if packs[k], err = b.Pack(1+k, fmt.Sprintf("dynamic lstm %p", p), func() (any, error) { return p, nil }); err != nil {
			return nil, err
		}
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
		x := c.T(0)
		inner := *c
		inner.In = slices.Clone(c.In)
		rounded := Scratch[float32](c, x.Len())
		roundDynamically(c.P, rounded, tensor.Data[float32](x))
		inner.In[0] = tensor.Of(rounded, x.Shape()...)
		return recurrentKernel(&r, own, newCell)(&inner)
	}})
}

// packQuantized packs W (k = 0) or R (k = 1) as what it stands for.
func (r *recurrent) packQuantized(p par.P, k int, w, scale, zero *tensor.Tensor) (any, error) {
	name := []string{"W", "R"}[k]
	if !isByte(w.DType()) || w.Rank() != 3 || w.Dim(0) != len(r.dirs) || w.Dim(2)%r.gates != 0 || k == 1 && w.Dim(2) != r.gates*w.Dim(1) {
		return nil, fmt.Errorf("%s is %v, want bytes [%d, n, %d*hidden_size]", name, w, len(r.dirs), r.gates)
	}
	d, rows, columns := w.Dim(0), w.Dim(1), w.Dim(2)
	if scale.DType() != tensor.Float32 || scale.Len() != d && scale.Len() != d*columns || zero.DType() != w.DType() || zero.Len() != scale.Len() {
		return nil, fmt.Errorf("%s_scale is %v and %s_zero_point %v, want %d or %d elements of float32 and %v", name, scale, name, zero, d, d*columns, w.DType())
	}
	per := scale.Len() / d // scales of a direction
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
	bytes := make([]uint8, len(x))
	q := quantizeDynamically(p, bytes, x)
	p.For(len(x), grain, func(lo, hi int) { quant.Dequantize(dst[lo:hi], bytes[lo:hi], q.scale, q.zero) })
}

// quantLSTMCell is an LSTM whose state is rounded before it is multiplied.
type quantLSTMCell struct {
	*lstmCell[float32]
}

// The state is rounded as a whole.
func (quantLSTMCell) shares(*recurrentCall[float32]) bool { return false }

func (l quantLSTMCell) step(q *recurrentCall[float32], w *recurrentStep[float32], t, from, to int) {
	copy(w.reset, w.h) // all sequences: see recurrent.together
	roundDynamically(par.P{}, w.reset, w.reset)
	q.multiply(w, t, 0, w.reset, 0, from, to)
	l.finishStep(q, w, t, from, to)
}
