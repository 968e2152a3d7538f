package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// MatMul: Y = A·B as NumPy's matmul: the last two dimensions are matrices, the
// others broadcast; a vector on the left is a row, on the right a column, and
// that dimension is left out of Y.
//
//	A: T[batch…, m, k]    B: T[batch…, k, n]    Y: T[batch…, m, n]
//
// T: float16, bfloat16 (both summed in float32), float32, float64, int32,
// int64, uint32, uint64 (integers wrap around).
//
// Spec: https://onnx.ai/onnx/operators/onnx__MatMul.html
func init() {
	register(&Op{
		Name:     "MatMul",
		Numerics: Rounding,
		Flush:    true,
		Versions: []Version{
			// 9 added the integers, 13 bfloat16.
			{Since: 1, In: N(2), Out: N(1), Infer: inferMatMul, Build: buildMatMul},
		},
	})
}

func inferMatMul(c *InferContext) error { return inferMat(c, matParams{alpha: 1}) }

func buildMatMul(b *BuildContext) (Kernel, error) { return buildMat(b, matParams{alpha: 1}) }

// gradMatMul: dA = dY·Bᵀ, dB = Aᵀ·dY, summed over what was broadcast. A vector
// counts as a row (A) or column (B).
func gradMatMul(c *GradContext) []*onnx.Value {
	a, b, d := c.X(0), c.X(1), c.DOut[0]
	if !a.Type.Ranked || !b.Type.Ranked {
		c.Fail(fmt.Errorf("A is %v and B is %v, want known ranks", a.Type, b.Type))
		return nil
	}
	if len(a.Type.Dims) == 1 && len(b.Type.Dims) == 1 { // d has no dimensions
		return []*onnx.Value{c.Times(d, b), c.Times(d, a)}
	}
	a2, b2 := a, b
	if len(a.Type.Dims) == 1 {
		a2, d = c.Op("Unsqueeze", nil, a, c.Ints(0)), c.Op("Unsqueeze", nil, d, c.Ints(-2))
	}
	if len(b.Type.Dims) == 1 {
		b2, d = c.Op("Unsqueeze", nil, b, c.Ints(1)), c.Op("Unsqueeze", nil, d, c.Ints(-1))
	}
	out := make([]*onnx.Value, 2)
	if c.Needs(0) {
		out[0] = c.Like(c.SumTo(c.Op("MatMul", nil, d, c.transposed(b2)), a2), a)
	}
	if c.Needs(1) {
		if k := len(a2.Type.Dims); len(b2.Type.Dims) == 2 && k > 2 { // one product instead of a sum of many
			last := func(v *onnx.Value) *onnx.Value {
				return c.Op("Reshape", nil, v, c.Op("Concat", onnx.NewAttrs("axis", 0), c.Ints(-1), c.Op("Shape", onnx.NewAttrs("start", -1), v)))
			}
			out[1] = c.Like(c.Op("MatMul", nil, c.transposed(last(a2)), last(d)), b)
		} else {
			out[1] = c.Like(c.SumTo(c.Op("MatMul", nil, c.transposed(a2), d), b2), b)
		}
	}
	return out
}

// transposed swaps the last two dimensions of v, whose rank is known.
func (c *GradContext) transposed(v *onnx.Value) *onnx.Value {
	perm := make([]int, len(v.Type.Dims))
	for i := range perm {
		perm[i] = i
	}
	k := len(perm)
	if k < 2 {
		c.Fail(fmt.Errorf("%v has no two dimensions to swap", v.Type))
		return nil
	}
	perm[k-1], perm[k-2] = k-2, k-1
	return c.Op("Transpose", onnx.NewAttrs("perm", perm), v)
}
