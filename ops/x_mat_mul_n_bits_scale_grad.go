package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.MatMulNBitsScaleGrad: the gradients of scales and zero_points of MatMulNBits. With
// dW = dYᵀ·A, some rows at a time, and sums over the k of block g:
//
//	dscales[n, g] = Σ dW[n, k]·(code[n, k] - zero_points[n, g])    dzero_points[n, g] = -scales[n, g]·Σ dW[n, k]
//
// The attributes and inputs 1 to 5 are inputs 0 to 4 of MatMulNBits. Codes are constants, and A is
// taken as it is, whatever accuracy_level allows forwards. This operator is private: the gradient of
// MatMulNBits writes it.
//
//	dY: T[.., N]    A: T[.., K]    B, scales, zero_points, g_idx: as of MatMulNBits
//	dscales, dzero_points (optional): of the type and shape of scales and of zero_points of floats
//
// T: float16 (computed in float32), float32.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits
func matMulNBitsScaleGradOp() *Op {
	return &Op{Domain: Private, Name: "MatMulNBitsScaleGrad", Numerics: Rounding, Flush: true, Versions: []Version{
		{Since: 1, In: Arity{4, 6}, Out: Arity{1, 2}, Infer: func(c *InferContext) error {
			c.Out[0] = c.In(3)
			if len(c.Out) > 1 && c.Has(4) {
				c.Out[1] = c.In(4)
			}
			_, err := parseNBits(&c.attrs)
			return err
		}, Build: buildMatMulNBitsScaleGrad},
	}}
}

func buildMatMulNBitsScaleGrad(b *BuildContext) (Kernel, error) {
	v, err := parseNBits(&b.attrs)
	if err != nil {
		return nil, err
	}
	return b.dispatch(0, byType{tensor.Float32: v.backToScales, tensor.Float16: v.backToScales})
}

func (v *nbits) backToScales(c *Call) error {
	d, a, b, scales, zeros := c.T(0), c.T(1), c.T(2), c.T(3), c.T(4)
	if d == nil || d.Rank() < 1 || d.Dim(-1) != v.n || a == nil || a.Rank() != d.Rank() || a.Dim(-1) != v.k ||
		!slices.Equal(d.Shape()[:d.Rank()-1], a.Shape()[:a.Rank()-1]) {
		return fmt.Errorf("dY is %v and A %v, want rows of %d and of %d", d, a, v.n, v.k)
	}
	if b == nil || b.DType() != tensor.Uint8 || scales == nil {
		return fmt.Errorf("B is %v, scales are %v, want uint8 and numbers", b, scales)
	}
	dy, err := reals[float32](c, 0)
	if err != nil {
		return err
	}
	x, err := reals[float32](c, 1)
	if err != nil {
		return err
	}
	var ds, dz []float32
	if c.Wants(0) {
		data, done := realsOut[float32](c, 0, scales.DType(), scales.Shape()...)
		defer done()
		ds = data
	}
	if c.Wants(1) {
		if zeros == nil || zeros.DType() == tensor.Uint8 {
			return fmt.Errorf("zero_points are %v, want floats", zeros)
		}
		data, done := realsOut[float32](c, 1, zeros.DType(), zeros.Shape()...)
		defer done()
		dz = data
	}
	clear(ds)
	clear(dz)
	if b.Len() == 0 { // stands for zeros, whatever scales them
		return nil
	}
	w, err := v.weights(b, scales, zeros, c.T(5))
	if err != nil {
		return err
	}
	m := d.Len() / v.n
	if m == 0 {
		return nil
	}
	codes := *w // times 1
	codes.scales = make([]float32, len(w.scales))
	for i := range codes.scales {
		codes.scales[i] = 1
	}
	const rows = 16 // of W at a time
	c.P.For((v.n+rows-1)/rows, 1, func(lo, hi int) {
		gemm.Scratch((rows+1)*v.k, func(buf []float32) {
			dw, row := buf[v.k:], buf[:v.k]
			for ; lo < hi && c.Ctx().Err() == nil; lo++ {
				from := lo * rows
				count := min(rows, v.n-from)
				gemm.Run(par.P{Ctx: c.P.Ctx}, &gemm.Args[float32]{M: count, N: v.k, K: m, A: dy[from:], ARS: 1, ACS: v.n, B: x, BRS: v.k, BCS: 1, C: dw, LDC: v.k})
				for i := range count {
					if ds != nil {
						codes.row(row, from+i, 0)
					}
					for k, e := range dw[i*v.k : (i+1)*v.k] {
						g := (from+i)*v.blocks + w.groupOf(k)
						if ds != nil {
							ds[g] += e * row[k]
						}
						if dz != nil {
							dz[g] -= e * w.scales[g]
						}
					}
				}
			}
		})
	})
	return c.Ctx().Err()
}

// groupOf returns the block that scales element k of a row.
func (w *nbitsWeights) groupOf(k int) int {
	if w.groups != nil {
		return int(w.groups[k])
	}
	return k / w.block
}
