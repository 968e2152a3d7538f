package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// ScatterElements: a copy of data in which, for each element of updates,
// output[i0, …, indices[i0, i1, …], …] = updates[i0, i1, …], with the index at
// place axis; or combined with what is there by reduction (add, mul, max, min).
//
//	data: T[...], indices: int32 or int64[...], updates: T, shape of indices    output: T, shape of data
//
// Spec: https://onnx.ai/onnx/operators/onnx__ScatterElements.html
func init() {
	register(&Op{
		Name:     "ScatterElements",
		Numerics: Rounding,
		// 16 added reduction, 18 its min and max.
		Versions: []Version{{Since: 11, In: N(3), Out: N(1), InPlace: []int{0}, Infer: inferScatterElements, Build: buildScatterElements}},
	})
}

func inferScatterElements(c *InferContext) error {
	axis := c.Int("axis", 0)
	if x := c.In(0); x.Ranked {
		if _, err := tensor.Axis(axis, len(x.Dims)); err != nil {
			return err
		}
	}
	return inferFirst(c)
}

func buildScatterElements(b *BuildContext) (Kernel, error) {
	return scatterElements(b, b.OneOf("reduction", reductions...)), nil
}

func scatterElements(b *BuildContext, reduction string) Kernel {
	axis := b.Int("axis", 0)
	k := func(c *Call) error {
		x := c.T(0)
		a, err := tensor.Axis(axis, x.Rank())
		if err != nil {
			return err
		}
		if !slices.Equal(c.T(1).Shape(), c.T(2).Shape()) {
			return fmt.Errorf("indices has shape %v, updates %v, want the same", c.T(1).Shape(), c.T(2).Shape())
		}
		to, n, err := elementOffsets(c, a, x.Shape())
		if err != nil {
			return err
		}
		return scatterInto(c, to, n, reduction)
	}
	if reduction == "none" {
		return bytewise(k, 0)
	}
	return k
}

func gradScatterElements(c *GradContext) []*onnx.Value {
	axis := c.Attr.Int("axis", 0)
	return c.gradScatter(func(v *onnx.Value) *onnx.Value {
		return c.Op("GatherElements", onnx.NewAttrs("axis", axis), v, c.X(1))
	}, func(data, updates *onnx.Value, reduction string) *onnx.Value {
		return c.Op("ScatterElements", onnx.NewAttrs("axis", axis, "reduction", reduction), data, c.X(1), updates)
	})
}
