package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// LabelEncoder: each element that is one of the keys becomes the value at the
// same place, every other the default. A NaN key stands for all NaNs.
//
//	X: string, int64, float32 and, since version 4, float64, int32, int16 [...]
//	Y: one of these types, same shape
//
// Version 1 maps strings to their index in classes_strings, and integers back.
// Versions 2 and 4 have keys_T and values_T; version 4 adds tensors for both.
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxml_LabelEncoder.html
func init() {
	register(&Op{
		Domain: "ai.onnx.ml", Name: "LabelEncoder",
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), Infer: inferLabelEncoder1, Build: buildLabelEncoder1},
			{Since: 2, In: N(1), Out: N(1), Infer: inferLabelEncoder2, Build: buildLabelEncoder2},
			{Since: 4, In: N(1), Out: N(1), Infer: inferLabelEncoder4, Build: buildLabelEncoder4},
		},
	})
}

func inferLabelEncoder1(c *InferContext) error { return inferSwapped(c) }

func buildLabelEncoder1(b *BuildContext) (Kernel, error) {
	classes := b.Strs("classes_strings", nil)
	toInt, toStr := map[string]int64{}, map[int64]string{}
	for i, s := range classes {
		toInt[s], toStr[int64(i)] = int64(i), s
	}
	return b.dispatch(0, byType{
		tensor.String: mapElements(toInt, int64(b.Int("default_int64", -1))),
		tensor.Int64:  mapElements(toStr, b.Str("default_string", "_Unused")),
	})
}

// listAttr returns the one of prefix_strings, prefix_int64s, prefix_floats and,
// with tensors, prefix_tensor that is given, as a vector.
func listAttr(a *attrs, prefix string, tensors bool) (*tensor.Tensor, error) {
	var got []*tensor.Tensor
	if v := a.Strs(prefix+"_strings", nil); len(v) > 0 {
		got = append(got, tensor.Of(v))
	}
	if v := a.Ints(prefix+"_int64s", nil); len(v) > 0 {
		got = append(got, tensor.Of(convertNumbers[int64](v)))
	}
	if v := a.Floats(prefix+"_floats", nil); len(v) > 0 {
		got = append(got, tensor.Of(v))
	}
	if tensors {
		if t := a.Tensor(prefix + "_tensor"); t != nil {
			got = append(got, t)
		}
	}
	if len(got) != 1 {
		return nil, fmt.Errorf("%d attributes give the %s, want 1", len(got), prefix)
	}
	return got[0], nil
}

func inferLabelEncoder2(c *InferContext) error { return inferLabelEncoder(c, false) }
func inferLabelEncoder4(c *InferContext) error { return inferLabelEncoder(c, true) }

func inferLabelEncoder(c *InferContext, tensors bool) error {
	v, err := listAttr(&c.attrs, "values", tensors)
	if err != nil {
		return err
	}
	t := c.In(0)
	c.Out[0] = onnx.Type{Kind: onnx.TensorKind, DType: v.DType(), Ranked: t.Ranked, Dims: t.Dims}
	return nil
}

func buildLabelEncoder2(b *BuildContext) (Kernel, error) { return buildLabelEncoder(b, false) }
func buildLabelEncoder4(b *BuildContext) (Kernel, error) { return buildLabelEncoder(b, true) }

func buildLabelEncoder(b *BuildContext, tensors bool) (Kernel, error) {
	keys, err := listAttr(&b.attrs, "keys", tensors)
	if err != nil {
		return nil, err
	}
	values, err := listAttr(&b.attrs, "values", tensors)
	if err != nil {
		return nil, err
	}
	if keys.Len() != values.Len() {
		return nil, fmt.Errorf("%d keys and %d values, want equal numbers", keys.Len(), values.Len())
	}
	def := &labelDefaults{
		str: b.Str("default_string", "_Unused"), integer: int64(b.Int("default_int64", -1)),
		float: b.Float("default_float", float32(math.Copysign(0, -1))),
	}
	if tensors {
		def.tensor = b.Tensor("default_tensor")
		if t := def.tensor; t != nil && (t.DType() != values.DType() || t.Len() != 1) {
			return nil, fmt.Errorf("default_tensor is %v, want one %v", t, values.DType())
		}
	}
	if keys.DType() == tensor.Int64 && def.tensor == nil {
		var k Kernel
		switch ints := tensor.Data[int64](keys); values.DType() {
		case tensor.Int64:
			k = denseLabels(ints, tensor.Data[int64](values), def.integer)
		case tensor.Float32:
			k = denseLabels(ints, tensor.Data[float32](values), def.float)
		case tensor.String:
			k = denseLabels(ints, tensor.Data[string](values), def.str)
		}
		if k != nil {
			return b.dispatch(0, byType{tensor.Int64: k})
		}
	}
	var k Kernel
	switch keys.DType() {
	case tensor.String:
		k, err = encodeLabels[string](keys, values, def)
	case tensor.Int64:
		k, err = encodeLabels[int64](keys, values, def)
	case tensor.Int32:
		k, err = encodeLabels[int32](keys, values, def)
	case tensor.Int16:
		k, err = encodeLabels[int16](keys, values, def)
	case tensor.Float32:
		k, err = encodeLabels[float32](keys, values, def)
	case tensor.Float64:
		k, err = encodeLabels[float64](keys, values, def)
	default:
		err = fmt.Errorf("%w: keys of %v", ErrUnsupported, keys.DType())
	}
	if err != nil {
		return nil, err
	}
	return b.dispatch(0, byType{keys.DType(): k})
}

// labelDefaults are the values for elements that are no keys.
type labelDefaults struct {
	str     string
	integer int64
	float   float32
	tensor  *tensor.Tensor
}

type labelKey interface {
	string | int64 | int32 | int16 | float32 | float64
}

// encodeLabels makes the kernel for keys of type K.
func encodeLabels[K labelKey](keys, values *tensor.Tensor, d *labelDefaults) (Kernel, error) {
	switch values.DType() {
	case tensor.String:
		return encodeTo(tensor.Data[K](keys), tensor.Data[string](values), d.str, d), nil
	case tensor.Int64:
		return encodeTo(tensor.Data[K](keys), tensor.Data[int64](values), d.integer, d), nil
	case tensor.Int32:
		return encodeTo(tensor.Data[K](keys), tensor.Data[int32](values), int32(d.integer), d), nil
	case tensor.Int16:
		return encodeTo(tensor.Data[K](keys), tensor.Data[int16](values), int16(d.integer), d), nil
	case tensor.Float32:
		return encodeTo(tensor.Data[K](keys), tensor.Data[float32](values), d.float, d), nil
	case tensor.Float64:
		return encodeTo(tensor.Data[K](keys), tensor.Data[float64](values), float64(d.float), d), nil
	}
	return nil, fmt.Errorf("%w: values of %v", ErrUnsupported, values.DType())
}

func encodeTo[K, V labelKey](keys []K, values []V, def V, d *labelDefaults) Kernel {
	if d.tensor != nil {
		def = tensor.Data[V](d.tensor)[0]
	}
	m := make(map[K]V, len(keys))
	nan := def
	for i, k := range keys {
		if k != k {
			nan = values[i]
		} else if _, ok := m[k]; !ok { // the first of equal keys counts
			m[k] = values[i]
		}
	}
	return func(c *Call) error {
		x := c.T(0)
		y := tensor.Data[V](c.Output(0, tensor.DTypeOf[V](), x.Shape()...))
		for i, k := range tensor.Data[K](x) {
			v, ok := m[k]
			switch {
			case k != k:
				v = nan
			case !ok:
				v = def
			}
			y[i] = v
		}
		return nil
	}
}

// labelTable has the values of all integers from least on, as far as there are keys.
type labelTable[V labelKey] struct {
	least  int64
	values []V
	def    V
}

// denseLabels returns the kernel of the table of keys that lie near each other, or nil.
func denseLabels[V labelKey](keys []int64, values []V, def V) Kernel {
	if len(keys) == 0 {
		return nil
	}
	least, most := slices.Min(keys), slices.Max(keys)
	span := uint64(most) - uint64(least)
	if span >= uint64(8*len(keys)+256) {
		return nil
	}
	t := &labelTable[V]{least, make([]V, span+1), def}
	for i := range t.values {
		t.values[i] = def
	}
	for i := len(keys) - 1; i >= 0; i-- { // the first of equal keys counts
		t.values[uint64(keys[i])-uint64(least)] = values[i]
	}
	return t.run
}

func (t *labelTable[V]) run(c *Call) error {
	x := c.T(0)
	y := tensor.Data[V](c.Output(0, tensor.DTypeOf[V](), x.Shape()...))
	for i, k := range tensor.Data[int64](x) {
		v := t.def
		if at := uint64(k) - uint64(t.least); at < uint64(len(t.values)) {
			v = t.values[at]
		}
		y[i] = v
	}
	return nil
}
