package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/qgemm"
	"github.com/gneiss-run/gneiss/tensor"
)

// MatMulIntegerToFloat (com.microsoft): Y = (A - a_zero_point) · (B -
// b_zero_point) · a_scale·b_scale + bias, with exact int32 sums.
//
//	A: u8 or i8 [.., m, k]    a_scale, a_zero_point: one
//	B: u8 or i8 [.., k, n]    b_scale, b_zero_point: one or [n]
//	bias: float [n]           Y: float [.., m, n]
//
// float is float32 or float16.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulIntegerToFloat
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "MatMulIntegerToFloat", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: Arity{4, 7}, Out: N(1), Infer: inferMatMulIntegerToFloat, Build: buildMatMulIntegerToFloat},
		},
	})
}

func inferMatMulIntegerToFloat(c *InferContext) error { return inferMatShape(c, 0, 1, c.In(2).DType) }

func buildMatMulIntegerToFloat(b *BuildContext) (Kernel, error) {
	mat, err := buildIntMat(b, 0, 1)
	if err != nil {
		return nil, err
	}
	f32 := func(c *Call) error {
		a, err := byteInput(c, 0, "A")
		if err != nil {
			return err
		}
		sa, err := oneScale(c, 2, "a_scale")
		if err != nil {
			return err
		}
		za, err := zeroPoints(c.T(4), a.DType(), "a_zero_point")
		if err != nil {
			return err
		}
		if len(za) > 1 {
			return fmt.Errorf("a_zero_point has %d elements, want 1", len(za))
		}
		return mat.toFloat(c, a, sa, za, floatMatInputs{scale: 3, zero: 5, bias: 6})
	}
	return b.dispatch(2, byType{tensor.Float32: f32, tensor.Float16: throughFloat32(f32, 2)})
}

// floatMatInputs are the inputs of a product of bytes that gives floats.
type floatMatInputs struct{ scale, zero, bias int }

// toFloat computes output 0 as sums · (sa·b_scale) + bias for A = a.
func (m *intMat) toFloat(c *Call, a *tensor.Tensor, sa float32, za []int32, in floatMatInputs) error {
	bs, bt := m.shape, m.dtype
	if m.packed == nil {
		t, err := byteInput(c, m.bIn, "B")
		if err != nil {
			return err
		}
		bs, bt = t.Shape(), t.DType()
	}
	s, err := matShapeOf(a.Shape(), bs)
	if err != nil {
		return err
	}
	zb, err := zeroPoints(c.T(in.zero), bt, "b_zero_point")
	if err != nil {
		return err
	}
	sb, err := scalesOf(c, in.scale, "b_scale")
	if err != nil {
		return err
	}
	if len(sb) == 0 {
		return fmt.Errorf("b_scale has no elements, want 1 or %d", s.n)
	}
	var bias []float32
	if c.Has(in.bias) {
		if bias, err = scalesOf(c, in.bias, "bias"); err != nil {
			return err
		}
		if len(bias) != s.n {
			return fmt.Errorf("bias has %d elements, want %d", len(bias), s.n)
		}
	}
	y := tensor.Data[float32](c.Output(0, tensor.Float32, s.out...))
	s.leftFlat(false)
	bm := 1
	for _, i := range s.bAt {
		bm = max(bm, i+1)
	}
	sbOf, err := perMatrix(sb, s.n, bm, "b_scale")
	if err != nil {
		return err
	}
	padded := (s.n + qgemm.Width - 1) / qgemm.Width * qgemm.Width
	if bias != nil && len(bias) < padded {
		bias = append(make([]float32, 0, padded), bias...)[:padded]
	}
	return m.finish(c, a, s, first(za), zb, func(f *qgemm.Finish, i int) {
		f.SetScale(sbOf(s.bAt[i]), s.n, sa)
		f.Shift = bias
	}, nil, y, nil)
}
