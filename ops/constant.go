package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Constant: output = the one attribute that is given: value, sparse_value
// (made dense), value_float, value_floats, value_int, value_ints,
// value_string or value_strings.
//
//	output: T[...]
//
// Spec: https://onnx.ai/onnx/operators/onnx__Constant.html
func init() {
	register(&Op{
		Name: "Constant",
		// 11 added sparse_value, 12 the value_… attributes.
		Versions: []Version{{Since: 1, In: N(0), Out: N(1), Infer: inferConstant, Build: buildConstant}},
	})
}

// constantOf returns the tensor that the attributes of a Constant give.
func constantOf(a *attrs) (*tensor.Tensor, error) {
	var found []*tensor.Tensor
	if t := a.Tensor("value"); t != nil {
		found = append(found, t)
	}
	if a.HasAttr("sparse_value") {
		t, err := denseOf(attr(a, "sparse_value", (*tensor.Sparse)(nil)))
		if err != nil {
			return nil, fmt.Errorf("attribute %q: %w", "sparse_value", err)
		}
		found = append(found, t)
	}
	if a.HasAttr("value_float") {
		found = append(found, tensor.Scalar(a.Float("value_float", 0)))
	}
	if a.HasAttr("value_floats") {
		found = append(found, tensor.Of(a.Floats("value_floats", nil)))
	}
	if a.HasAttr("value_int") {
		found = append(found, tensor.Scalar(attr(a, "value_int", int64(0))))
	}
	if a.HasAttr("value_ints") {
		found = append(found, tensor.Of(attr(a, "value_ints", []int64(nil))))
	}
	if a.HasAttr("value_string") {
		found = append(found, tensor.Scalar(a.Str("value_string", "")))
	}
	if a.HasAttr("value_strings") {
		found = append(found, tensor.Of(a.Strs("value_strings", nil)))
	}
	if a.err != nil {
		return nil, a.err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%d value attributes, want 1", len(found))
	}
	return found[0], nil
}

// denseOf returns the dense form of s: zero where it has no value.
func denseOf(s *tensor.Sparse) (*tensor.Tensor, error) {
	if s == nil || s.Values == nil || s.Indices == nil {
		return nil, fmt.Errorf("no values")
	}
	d := s.Values.DType()
	if _, err := tensor.ByteSize(d, s.Shape); err != nil {
		return nil, err
	}
	at, err := IntsOf(s.Indices)
	if err != nil {
		return nil, err
	}
	n := s.Values.Len()
	if d.IsPacked() {
		return nil, fmt.Errorf("%w: element type %v", ErrUnsupported, d)
	}
	size := sizeOf(s.Shape)
	to := make([]int64, n)
	switch {
	case s.Indices.Rank() <= 1 && len(at) == n:
		for i, v := range at {
			if v < 0 || v >= size {
				return nil, fmt.Errorf("index %d is not in [0, %d]", v, size-1)
			}
			to[i] = int64(v)
		}
	case s.Indices.Rank() == 2 && len(at) == n*len(s.Shape):
		strides := tensor.Strides(s.Shape)
		for i := range to {
			for k, st := range strides {
				v := at[i*len(strides)+k]
				if v < 0 || v >= s.Shape[k] {
					return nil, fmt.Errorf("index %d is not in [0, %d]", v, s.Shape[k]-1)
				}
				to[i] += int64(v * st)
			}
		}
	default:
		return nil, fmt.Errorf("indices have shape %v, want [%d] or [%d %d]", s.Indices.Shape(), n, n, len(s.Shape))
	}
	t := tensor.New(d, s.Shape...)
	m := moverOf(d)
	for i, k := range to {
		m.run(t, int(k), s.Values, i, 1)
	}
	return t, nil
}

func inferConstant(c *InferContext) error {
	t, err := constantOf(&c.attrs)
	if err != nil {
		return err
	}
	c.Out[0] = onnx.TypeOf(t)
	if v, ok := tensorInts(t); ok {
		c.SetInts(0, v)
	}
	return nil
}

func buildConstant(b *BuildContext) (Kernel, error) {
	t, err := constantOf(&b.attrs)
	if err != nil {
		return nil, err
	}
	return func(c *Call) error {
		c.SetOut(0, t)
		return nil
	}, nil
}
