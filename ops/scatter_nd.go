package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
)

// ScatterND: a copy of data in which each block that a tuple of indices names
// is replaced by a block of updates, or combined with it by reduction.
//
//	data: T[d…], indices: int64[i…, k], updates: T[i…, d[k:]…]    output: T[d…]
//
// Spec: https://onnx.ai/onnx/operators/onnx__ScatterND.html
func init() {
	register(&Op{
		Name:     "ScatterND",
		Numerics: Rounding,
		// 16 added reduction, 18 its min and max.
		Versions: []Version{{Since: 11, In: N(3), Out: N(1), InPlace: []int{0}, Infer: inferFirst, Build: buildScatterND}},
	})
}

func buildScatterND(b *BuildContext) (Kernel, error) {
	reduction := b.OneOf("reduction", reductions...)
	k := func(c *Call) error {
		x, is := c.T(0), c.T(1).Shape()
		to, n, err := tupleOffsets(c, x.Shape(), 0)
		if err != nil {
			return err
		}
		k := min(is[len(is)-1], x.Rank())
		want := c.Dims(len(is) - 1 + x.Rank() - k)
		copy(want, is[:len(is)-1])
		copy(want[len(is)-1:], x.Shape()[k:])
		if !slices.Equal(c.T(2).Shape(), want) {
			return fmt.Errorf("updates has shape %v, want %v", c.T(2).Shape(), want)
		}
		return scatterInto(c, to, n, reduction)
	}
	if reduction == "none" {
		return bytewise(k, 0), nil
	}
	return k, nil
}

func gradScatterND(c *GradContext) []*onnx.Value {
	return c.gradScatter(func(v *onnx.Value) *onnx.Value {
		return c.Op("GatherND", nil, v, c.X(1))
	}, func(data, updates *onnx.Value, reduction string) *onnx.Value {
		return c.Op("ScatterND", onnx.NewAttrs("reduction", reduction), data, c.X(1), updates)
	})
}
