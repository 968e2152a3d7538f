package ops

import "github.com/gneiss-run/gneiss/tensor"

// MatMulInteger: Y = (A - a_zero_point) · (B - b_zero_point), exact in int32
// (sums wrap around).
//
//	A: u8 or i8 [.., m, k]    a_zero_point: one, [m] or [.., m, 1]
//	B: u8 or i8 [.., k, n]    b_zero_point: one, [n] or [.., 1, n]
//	Y: int32 [.., m, n]; leading dimensions broadcast, vectors as in MatMul
//
// Spec: https://onnx.ai/onnx/operators/onnx__MatMulInteger.html
func init() {
	register(&Op{
		Name: "MatMulInteger",
		Versions: []Version{
			{Since: 10, In: Arity{2, 4}, Out: N(1), Infer: inferMatMulInteger, Build: buildMatMulInteger},
		},
	})
}

func inferMatMulInteger(c *InferContext) error { return inferMatShape(c, 0, 1, tensor.Int32) }

func buildMatMulInteger(b *BuildContext) (Kernel, error) {
	mat, err := buildIntMat(b, 0, 1)
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
		zb, err := c.zeroPoints(3, bt, "b_zero_point")
		if err != nil {
			return err
		}
		y := c.Output(0, tensor.Int32, s.out...)
		s.leftFlat(len(za) > 1)
		if len(za) > 1 {
			return mat.run(c, a, s, za, zb, tensor.Data[int32](y), nil)
		}
		return mat.products(c, a, s, first(za), zb, nil, matResult{ints: tensor.Data[int32](y)})
	}, nil
}
