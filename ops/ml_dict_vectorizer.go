package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// DictVectorizer: a vector with the map's value for each key of the vocabulary,
// 0 or "" where the map has none.
//
//	X: a map from int64 or string to float32, float64, int64 or string    Y: the value type [1, vocabulary]
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxml_DictVectorizer.html
func init() {
	register(&Op{
		Domain: "ai.onnx.ml", Name: "DictVectorizer",
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), Infer: inferDictVectorizer, Build: buildDictVectorizer},
		},
	})
}

func inferDictVectorizer(c *InferContext) error {
	l, err := parseLabels(&c.attrs, "int64_vocabulary", "string_vocabulary")
	if err != nil {
		return err
	}
	d := tensor.Undefined
	if t := c.In(0); t.Kind == onnx.MapKind && t.Elem != nil {
		d = t.Elem.DType
	}
	c.Out[0] = onnx.TensorType(d, onnx.Size(1), onnx.Size(l.len()))
	return nil
}

func buildDictVectorizer(b *BuildContext) (Kernel, error) {
	l, err := parseLabels(&b.attrs, "int64_vocabulary", "string_vocabulary")
	if err != nil {
		return nil, err
	}
	return func(c *Call) error {
		m, ok := c.In[0].(*tensor.Map)
		if !ok || m.Keys.DType() != l.dtype() {
			return fmt.Errorf("X is %v, want a map from %v", c.In[0], l.dtype())
		}
		switch m.Values.DType() {
		case tensor.Float32:
			return vectorize[float32](c, l, m)
		case tensor.Float64:
			return vectorize[float64](c, l, m)
		case tensor.Int64:
			return vectorize[int64](c, l, m)
		case tensor.String:
			return vectorize[string](c, l, m)
		}
		return unsupportedType(0, m.Values.DType())
	}, nil
}

func vectorize[V tensor.Element](c *Call, l *mlLabels, m *tensor.Map) error {
	out := c.Output(0, tensor.DTypeOf[V](), 1, l.len())
	y, values := tensor.Data[V](out), tensor.Data[V](m.Values)
	if len(l.strs) > 0 {
		at := map[string]int{}
		for i, k := range tensor.Data[string](m.Keys) {
			at[k] = i
		}
		fillFound(y, l.strs, at, values)
		return nil
	}
	at := map[int64]int{}
	for i, k := range tensor.Data[int64](m.Keys) {
		at[k] = i
	}
	fillFound(y, l.ints, at, values)
	return nil
}

func fillFound[K comparable, V any](y []V, vocabulary []K, at map[K]int, values []V) {
	for i, k := range vocabulary {
		var v V
		if j, ok := at[k]; ok {
			v = values[j]
		}
		y[i] = v
	}
}
