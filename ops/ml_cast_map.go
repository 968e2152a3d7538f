package ops

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// CastMap: a map as a vector of its values in the order of the keys. With
// map_form SPARSE the keys are places in a vector of max_map elements, which has
// 0 or "0" elsewhere.
//
//	X: a map from int64 to float32 or string    Y: float32, int64 or string, as cast_to says, [1, n]
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxml_CastMap.html
func init() {
	register(&Op{
		Domain: "ai.onnx.ml", Name: "CastMap",
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), Infer: inferCastMap, Build: buildCastMap},
		},
	})
}

func inferCastMap(c *InferContext) error {
	d, sparse, n, err := parseCastMap(&c.attrs)
	if err != nil {
		return err
	}
	dim := onnx.Dim{}
	if sparse {
		dim = onnx.Size(n)
	}
	c.Out[0] = onnx.TensorType(d, onnx.Size(1), dim)
	return nil
}

func parseCastMap(a *attrs) (d tensor.DType, sparse bool, n int, err error) {
	d = map[string]tensor.DType{
		"TO_FLOAT": tensor.Float32, "TO_INT64": tensor.Int64, "TO_STRING": tensor.String,
	}[a.OneOf("cast_to", "TO_FLOAT", "TO_INT64", "TO_STRING")]
	sparse, n = a.OneOf("map_form", "DENSE", "SPARSE") == "SPARSE", a.Int("max_map", 1)
	if sparse && n < 1 {
		err = fmt.Errorf("max_map is %d, want at least 1", n)
	}
	return d, sparse, n, err
}

func buildCastMap(b *BuildContext) (Kernel, error) {
	d, sparse, size, err := parseCastMap(&b.attrs)
	if err != nil {
		return nil, err
	}
	return func(c *Call) error {
		m, ok := c.In[0].(*tensor.Map)
		if !ok || m.Keys.DType() != tensor.Int64 {
			return fmt.Errorf("X is %v, want a map from int64", c.In[0])
		}
		keys := tensor.Data[int64](m.Keys)
		order := make([]int, len(keys))
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(i, j int) int { return int(min(1, max(-1, keys[i]-keys[j]))) })
		n := len(keys)
		if sparse {
			n = size
			if len(keys) > 0 && keys[order[0]] < 0 {
				return fmt.Errorf("key %d, want none negative", keys[order[0]])
			}
		}
		switch {
		case m.Values.DType() == tensor.Float32 && d == tensor.Float32:
			return castMap(c, m, order, n, sparse, 0, func(v float32) (float32, error) { return v, nil })
		case m.Values.DType() == tensor.Float32 && d == tensor.Int64:
			return castMap(c, m, order, n, sparse, 0, func(v float32) (int64, error) { return int64(v), nil })
		case m.Values.DType() == tensor.Float32:
			return castMap(c, m, order, n, sparse, "0.f", func(v float32) (string, error) { return strconv.FormatFloat(float64(v), 'f', 6, 32), nil })
		case m.Values.DType() == tensor.String && d == tensor.Float32:
			return castMap(c, m, order, n, sparse, 0, func(v string) (float32, error) {
				f, err := strconv.ParseFloat(v, 32)
				return float32(f), err
			})
		case m.Values.DType() == tensor.String && d == tensor.Int64:
			return castMap(c, m, order, n, sparse, 0, func(v string) (int64, error) { return strconv.ParseInt(v, 10, 64) })
		case m.Values.DType() == tensor.String:
			return castMap(c, m, order, n, sparse, "0.f", func(v string) (string, error) { return v, nil })
		}
		return unsupportedType(0, m.Values.DType())
	}, nil
}

// castMap writes the values, in the given order of entries, to output 0.
func castMap[S, D tensor.Element](c *Call, m *tensor.Map, order []int, n int, sparse bool, pad D, f func(S) (D, error)) error {
	y := tensor.Data[D](c.Output(0, tensor.DTypeOf[D](), 1, n))
	for i := range y {
		y[i] = pad
	}
	keys, values := tensor.Data[int64](m.Keys), tensor.Data[S](m.Values)
	for i, e := range order {
		at := int64(i)
		if sparse {
			at = keys[e]
		}
		if at >= int64(n) {
			return fmt.Errorf("key %d, want less than max_map, which is %d", at, n)
		}
		v, err := f(values[e])
		if err != nil {
			return err
		}
		y[at] = v
	}
	return nil
}
