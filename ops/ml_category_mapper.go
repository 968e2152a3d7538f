package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// CategoryMapper: strings become the integers of cats_int64s at the same place
// as they have in cats_strings, and integers become strings the other way round.
// What is not there becomes the default.
//
//	X: string or int64 [...]    Y: int64 or string, same shape
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxml_CategoryMapper.html
func init() {
	register(&Op{
		Domain: "ai.onnx.ml", Name: "CategoryMapper",
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), Infer: inferCategoryMapper, Build: buildCategoryMapper},
		},
	})
}

func inferCategoryMapper(c *InferContext) error { return inferSwapped(c) }

// inferSwapped gives output 0 the shape of input 0, as int64 if that is of
// strings, and the other way round.
func inferSwapped(c *InferContext) error {
	t := c.In(0)
	d := tensor.Undefined
	switch t.DType {
	case tensor.String:
		d = tensor.Int64
	case tensor.Int64:
		d = tensor.String
	}
	c.Out[0] = onnx.Type{Kind: onnx.TensorKind, DType: d, Ranked: t.Ranked, Dims: t.Dims}
	return nil
}

func buildCategoryMapper(b *BuildContext) (Kernel, error) {
	ints, strs := b.Ints("cats_int64s", nil), b.Strs("cats_strings", nil)
	if len(ints) != len(strs) {
		return nil, fmt.Errorf("cats_int64s and cats_strings have %d and %d elements, want equal numbers", len(ints), len(strs))
	}
	toInt, toStr := map[string]int64{}, map[int64]string{}
	for i, v := range ints {
		toInt[strs[i]], toStr[int64(v)] = int64(v), strs[i]
	}
	return b.dispatch(0, byType{
		tensor.String: mapElements(toInt, int64(b.Int("default_int64", -1))),
		tensor.Int64:  mapElements(toStr, b.Str("default_string", "_Unused")),
	})
}

// mapElements returns a kernel that looks every element up.
func mapElements[K interface {
	tensor.Element
	comparable
}, V tensor.Element](m map[K]V, def V) Kernel {
	return func(c *Call) error {
		x := c.T(0)
		y := tensor.Data[V](c.Output(0, tensor.DTypeOf[V](), x.Shape()...))
		for i, k := range tensor.Data[K](x) {
			v, ok := m[k]
			if !ok {
				v = def
			}
			y[i] = v
		}
		return nil
	}
}
