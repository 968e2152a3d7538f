package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/tensor"
)

// QLinearMatMul: y = quantize(dequantize(a) · dequantize(b)), by way of exact
// int32 sums: round(sum · a_scale·b_scale/y_scale) + y_zero_point, saturated.
//
//	a: u8 or i8 [.., m, k]    a_scale, a_zero_point: one, [m] or [.., m, 1]
//	b: u8 or i8 [.., k, n]    b_scale, b_zero_point: one, [n] or [.., 1, n]
//	y: type of y_zero_point [.., m, n]    y_scale, y_zero_point: one or one for each row
//
// Scales are float32, and since version 21 float16 or bfloat16 too. The 8-bit
// floats of version 21 are not supported.
//
// Spec: https://onnx.ai/onnx/operators/onnx__QLinearMatMul.html
func init() {
	register(&Op{
		Name: "QLinearMatMul", Numerics: Rounding,
		Versions: []Version{
			{Since: 10, In: N(8), Out: N(1), Infer: inferQLinearMatMul, Build: buildQLinearMatMul},
		},
	})
}

func inferQLinearMatMul(c *InferContext) error { return inferMatShape(c, 0, 3, c.In(7).DType) }

func buildQLinearMatMul(b *BuildContext) (Kernel, error) {
	for _, i := range []int{0, 3, 7} {
		if d := b.In(i).DType; d != tensor.Undefined && !isByte(d) {
			return nil, unsupportedType(i, d)
		}
	}
	mat, err := buildIntMat(b, 0, 3)
	if err != nil {
		return nil, err
	}
	return func(c *Call) error {
		a, err := mat.left(c)
		if err != nil {
			return err
		}
		s, err := mat.begin(c, a)
		if err != nil {
			return err
		}
		defer s.end()
		bt, err := mat.bType(c)
		if err != nil {
			return err
		}
		za, err := c.zeroPoints(2, a.dtype, "a_zero_point")
		if err != nil {
			return err
		}
		zb, err := c.zeroPoints(5, bt, "b_zero_point")
		if err != nil {
			return err
		}
		zt, err := byteInput(c, 7, "y_zero_point")
		if err != nil {
			return err
		}
		sa, err := scalesOf(c, 1, "a_scale")
		if err != nil {
			return err
		}
		sb, err := scalesOf(c, 4, "b_scale")
		if err != nil {
			return err
		}
		sy, err := scalesOf(c, 6, "y_scale")
		if err != nil {
			return err
		}
		zy := byteValuesTo(Scratch[int32](c, zt.Len()), zt)
		if len(sa) == 0 || len(sb) == 0 || len(sy) == 0 || len(zy) == 0 {
			return fmt.Errorf("%d, %d and %d scales and %d zero points, want at least 1 of each", len(sa), len(sb), len(sy), len(zy))
		}
		out := zt.DType()
		y := c.Output(0, out, s.out...)
		s.leftFlat(len(za) > 1 || len(sa) > 1 || len(sy) > 1 || len(zy) > 1)
		am, bm := s.matrices()
		sas, err := perMatrixOf(sa, s.m, am, "a_scale")
		if err != nil {
			return err
		}
		if s.sb, err = perMatrixOf(sb, s.n, bm, "b_scale"); err != nil {
			return err
		}
		sys, err := perMatrixOf(sy, s.m, s.batch, "y_scale")
		if err != nil {
			return err
		}
		zys, err := perMatrixOf(zy, s.m, s.batch, "y_zero_point")
		if err != nil {
			return err
		}
		dst := y.Bytes()
		if len(za) <= 1 && len(sa) == 1 && len(sy) == 1 && len(zy) == 1 {
			s.zero, s.sa, s.sy = zy[0], sa[0], sy[0]
			s.lo, s.hi = byteRange(out)
			return mat.products(c, a, s, first(za), zb, func(s *intMatState, w *matMemory, i int) {
				w.finish.Zero, w.finish.Lo, w.finish.Hi = s.zero, s.lo, s.hi
				w.scale = append(w.scale[:0], s.sb.of(s.bAt[i])...)
				for j, v := range w.scale {
					w.scale[j] = s.sa * v / s.sy
				}
				w.finish.SetScale(w.scale, s.n, 1)
			}, matResult{bytes: dst})
		}
		acc := Scratch[int32](c, y.Len())
		return mat.run(c, a, s, za, zb, acc, func(i, i0, i1, j0, j1 int) {
			rowA, colB, rowY, zeroY := sas.of(s.aAt[i]), s.sb.of(s.bAt[i]), sys.of(i), zys.of(i)
			scale := make([]float32, len(colB))
			for r := i0; r < i1; r++ {
				for j := range scale {
					scale[j] = at(rowA, r) * colB[j] / at(rowY, r)
				}
				mult := scale
				if len(mult) > 1 {
					mult = mult[j0:j1]
				}
				lo := (i*s.m + r) * s.n
				requantize(dst[lo+j0:lo+j1], acc[lo+j0:lo+j1], mult, at(zeroY, r), out)
			}
		})
	}, nil
}

// at returns v[i], or the one value that stands for all.
func at[T any](v []T, i int) T {
	if len(v) == 1 {
		return v[0]
	}
	return v[i]
}
