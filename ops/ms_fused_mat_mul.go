package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// FusedMatMul: Y = alpha·A'·B' on the last two dimensions, which transA and
// transB exchange. transBatchA and transBatchB read a stack stored as
// [m, batch…, k] as [batch…, m, k].
//
//	A, B, Y: as in MatMul; T: float16, bfloat16, float32, float64
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.FusedMatMul
func init() {
	register(&Op{
		Domain:   "com.microsoft",
		Name:     "FusedMatMul",
		Numerics: Rounding,
		Flush:    true,
		Versions: []Version{{Since: 1, In: N(2), Out: N(1),
			Infer:  func(c *InferContext) error { return inferMat(c, readFusedMatMul(&c.attrs)) },
			Build:  func(b *BuildContext) (Kernel, error) { return buildMat(b, readFusedMatMul(&b.attrs)) },
			Expand: func(c *ExpandContext) ([]*onnx.Value, error) { return expandMat(c, readFusedMatMul(&c.attrs)) },
		}},
	})
}

func readFusedMatMul(a *attrs) matParams {
	return matParams{
		transA: a.Bool("transA", false), transB: a.Bool("transB", false),
		transBatchA: a.Bool("transBatchA", false), transBatchB: a.Bool("transBatchB", false),
		alpha: a.Float("alpha", 1),
	}
}

// expandMat: MatMul of transposed matrices, times alpha.
func expandMat(c *ExpandContext, p matParams) ([]*onnx.Value, error) {
	turned := func(i int, batch, trans bool) (*onnx.Value, error) {
		v := c.value(i)
		if !batch && !trans {
			return v, nil
		}
		if !c.In(i).Ranked {
			return nil, fmt.Errorf("%w: the expansion with input %d, %v, of unknown rank", ErrUnsupported, i, c.In(i))
		}
		n := len(c.In(i).Dims)
		if n < 2 {
			return v, nil
		}
		perm := make([]int, n)
		for k := range perm {
			perm[k] = k
		}
		if batch {
			copy(perm, perm[1:n-1])
			perm[n-2] = 0
		}
		if trans {
			perm[n-2], perm[n-1] = perm[n-1], perm[n-2]
		}
		return c.Op("Transpose", onnx.NewAttrs("perm", perm), v), nil
	}
	a, err := turned(0, p.transBatchA, p.transA)
	if err != nil {
		return nil, err
	}
	b, err := turned(1, p.transBatchB, p.transB)
	if err != nil {
		return nil, err
	}
	y := c.Op("MatMul", nil, a, b)
	if p.alpha != 1 {
		y = c.Op("Mul", nil, y, c.Builder.Float(c.In(0).DType, float64(p.alpha)))
	}
	return []*onnx.Value{y}, nil
}
