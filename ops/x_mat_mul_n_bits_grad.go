package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.MatMulNBitsGrad: the gradient of A of MatMulNBits, dA = dY · W, with W unpacked some
// rows and columns at a time. The attributes and inputs 1 to 4 are those of MatMulNBits.
// Products are those of the codes with the scales, whatever accuracy_level allows forwards. This
// operator is private: the gradient of MatMulNBits writes it.
//
//	dY: T[.., N]    B, scales, zero_points, g_idx: as of MatMulNBits    dA: T[.., K]
//
// T: float16 (computed in float32), float32.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits
func matMulNBitsGradOp() *Op {
	return &Op{Domain: Private, Name: "MatMulNBitsGrad", Numerics: Rounding, Flush: true, Versions: []Version{
		{Since: 1, In: Arity{3, 5}, Out: N(1), Infer: inferMatMulNBitsGrad, Build: buildMatMulNBitsGrad},
	}}
}

func inferMatMulNBitsGrad(c *InferContext) error {
	v, err := parseNBits(&c.attrs)
	if err != nil {
		return err
	}
	t := c.In(0)
	if t.Ranked && len(t.Dims) > 0 {
		t.Dims = append(t.Dims[:len(t.Dims)-1:len(t.Dims)-1], onnx.Size(v.k))
	}
	c.Out[0] = t
	return nil
}

func buildMatMulNBitsGrad(b *BuildContext) (Kernel, error) {
	v, err := parseNBits(&b.attrs)
	if err != nil {
		return nil, err
	}
	return b.dispatch(0, byType{tensor.Float32: v.back, tensor.Float16: throughFloat32(v.back, 0)})
}

func (v *nbits) back(c *Call) error {
	d, b := c.T(0), c.T(1)
	if d == nil || d.Rank() < 1 || d.Dim(-1) != v.n {
		return fmt.Errorf("dY is %v, want a last dimension of %d", d, v.n)
	}
	if b == nil || b.DType() != tensor.Uint8 || c.T(2) == nil {
		return fmt.Errorf("B is %v, scales are %v, want uint8 and numbers", b, c.T(2))
	}
	shape := append([]int{}, d.Shape()...)
	shape[len(shape)-1] = v.k
	if b.Len() == 0 { // stands for zeros
		clear(tensor.Data[float32](c.Output(0, tensor.Float32, shape...)))
		return nil
	}
	w, err := v.weights(b, c.T(2), c.T(3), c.T(4))
	if err != nil {
		return err
	}
	y := tensor.Data[float32](c.Output(0, tensor.Float32, shape...))
	m := d.Len() / v.n
	if m == 0 {
		return nil
	}
	const rows = 64 // of W at a time
	x, width := tensor.Data[float32](d), max(v.block, 256)
	c.P.For((v.k+width-1)/width, 1, func(lo, hi int) {
		gemm.Scratch(rows*width, func(buf []float32) {
			for ; lo < hi; lo++ {
				from := lo * width
				n := min(width, v.k-from)
				for i := 0; i < v.n && c.Ctx().Err() == nil; i += rows {
					k := min(rows, v.n-i)
					for j := range k {
						w.row(buf[j*n:(j+1)*n], i+j, from)
					}
					gemm.Run(par.P{Ctx: c.P.Ctx}, &gemm.Args[float32]{M: m, N: n, K: k, A: x[i:], ARS: v.n, ACS: 1, B: buf, BRS: n, BCS: 1, C: y[from:], LDC: v.k,
						Epilogue: gemm.Epilogue[float32]{Acc: i > 0}})
				}
			}
		})
	})
	return c.Ctx().Err()
}
