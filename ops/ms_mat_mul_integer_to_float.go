package ops

import (
	"fmt"
	"slices"

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
		a, err := mat.left(c)
		if err != nil {
			return err
		}
		sa, err := oneScale(c, 2, "a_scale")
		if err != nil {
			return err
		}
		za, err := c.zeroPoints(4, a.dtype, "a_zero_point")
		if err != nil {
			return err
		}
		if len(za) > 1 {
			return fmt.Errorf("a_zero_point has %d elements, want 1", len(za))
		}
		return mat.toFloat(c, a, sa, first(za), floatMatInputs{scale: 3, zero: 5, bias: 6})
	}
	return b.dispatch(2, byType{tensor.Float32: f32, tensor.Float16: throughFloat32(f32, 2)})
}

// floatMatInputs are the inputs of a product of bytes that gives floats.
type floatMatInputs struct{ scale, zero, bias int }

// toFloat computes output 0 as sums · (sa·b_scale) + bias for A = a, of zero point za.
func (m *intMat) toFloat(c *Call, a intLeft, sa float32, za int32, in floatMatInputs) error {
	bt, err := m.bType(c)
	if err != nil {
		return err
	}
	s, err := m.begin(c, a)
	if err != nil {
		return err
	}
	defer s.end()
	zb, err := c.zeroPoints(in.zero, bt, "b_zero_point")
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
	if c.Has(in.bias) {
		if s.bias, err = scalesOf(c, in.bias, "bias"); err != nil {
			return err
		}
		if len(s.bias) != s.n {
			return fmt.Errorf("bias has %d elements, want %d", len(s.bias), s.n)
		}
	}
	y := tensor.Data[float32](c.Output(0, tensor.Float32, s.out...))
	s.leftFlat(false)
	_, bm := s.matrices()
	if s.sb, err = perMatrixOf(sb, s.n, bm, "b_scale"); err != nil {
		return err
	}
	if padded := (s.n + qgemm.Width - 1) / qgemm.Width * qgemm.Width; s.bias != nil && len(s.bias) < padded {
		s.pad = slices.Grow(s.pad[:0], padded)[:padded]
		clear(s.pad[copy(s.pad, s.bias):])
		s.bias = s.pad
	}
	s.sa = sa
	return m.products(c, a, s, za, zb, func(s *intMatState, w *matMemory, i int) {
		w.finish.SetScale(s.sb.of(s.bAt[i]), s.n, s.sa)
		w.finish.Shift = s.bias
	}, matResult{floats: y})
}
