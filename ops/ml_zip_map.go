package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// ZipMap: each row of X becomes a map from the class labels to its elements.
//
//	X: float32 [n, classes] or [classes]    Z: a sequence of n maps from int64 or string to float32
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxml_ZipMap.html
func init() {
	register(&Op{
		Domain: "ai.onnx.ml", Name: "ZipMap",
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), Infer: inferZipMap, Build: buildZipMap},
		},
	})
}

func inferZipMap(c *InferContext) error {
	l, err := parseLabels(&c.attrs, "classlabels_int64s", "classlabels_strings")
	if err != nil {
		return err
	}
	value := onnx.TensorType(tensor.Float32)
	elem := onnx.Type{Kind: onnx.MapKind, DType: l.dtype(), Elem: &value}
	c.Out[0] = onnx.Type{Kind: onnx.SequenceKind, Elem: &elem}
	return nil
}

func buildZipMap(b *BuildContext) (Kernel, error) {
	l, err := parseLabels(&b.attrs, "classlabels_int64s", "classlabels_strings")
	if err != nil {
		return nil, err
	}
	keys := tensor.Of(l.ints)
	if len(l.strs) > 0 {
		keys = tensor.Of(l.strs)
	}
	return func(c *Call) error {
		n, f, err := mlRows(c.T(0))
		if err != nil {
			return err
		}
		if d := c.T(0).DType(); d != tensor.Float32 {
			return unsupportedType(0, d)
		}
		if f != l.len() {
			return fmt.Errorf("X has %d columns, want %d as there are labels", f, l.len())
		}
		rows := tensor.Rows(slices.Clone(tensor.Data[float32](c.T(0))), n)
		maps := make([]tensor.Map, n)
		s := &tensor.Sequence{Elems: make([]tensor.Value, n)}
		for i := range maps {
			maps[i] = tensor.Map{Keys: keys, Values: &rows[i]}
			s.Elems[i] = &maps[i]
		}
		c.SetOut(0, s)
		return nil
	}, nil
}
