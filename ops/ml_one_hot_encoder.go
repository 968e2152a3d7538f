package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// OneHotEncoder: a new last axis with 1 at the category that the element is,
// else 0. An element that is no category gives zeros, or an error if the
// attribute zeros is 0. Floats count as the integers they hold.
//
//	X: int64, int32, float32, float64 or string [...]    Y: float32 [..., categories]
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxml_OneHotEncoder.html
func init() {
	register(&Op{
		Domain: "ai.onnx.ml", Name: "OneHotEncoder",
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), Infer: inferOneHotEncoder, Build: buildOneHotEncoder},
		},
	})
}

func inferOneHotEncoder(c *InferContext) error {
	l, err := parseLabels(&c.attrs, "cats_int64s", "cats_strings")
	if err != nil {
		return err
	}
	if err := inferFloat32(c); err != nil {
		return err
	}
	if t := &c.Out[0]; t.Ranked {
		t.Dims = append(t.Dims[:len(t.Dims):len(t.Dims)], onnx.Size(l.len()))
	}
	return nil
}

func buildOneHotEncoder(b *BuildContext) (Kernel, error) {
	l, err := parseLabels(&b.attrs, "cats_int64s", "cats_strings")
	if err != nil {
		return nil, err
	}
	zeros := b.Bool("zeros", true)
	ints, strs := map[int64]int{}, map[string]int{}
	for i, v := range l.ints {
		ints[v] = i
	}
	for i, v := range l.strs {
		strs[v] = i
	}
	near := newPlaces(l.ints)
	return func(c *Call) error {
		x := c.T(0)
		if x == nil {
			return fmt.Errorf("X is absent")
		}
		if (x.DType() == tensor.String) != (len(strs) > 0) {
			return fmt.Errorf("X is %v, want the type of the categories", x)
		}
		y := tensor.Data[float32](c.Output(0, tensor.Float32, c.joined(x.Shape(), c.list(l.len()), nil)...))
		clear(y)
		if x.DType() == tensor.String {
			return oneHotOf(y, tensor.Data[string](x), strs, l.len(), zeros)
		}
		vals, err := c.integers(0)
		if err != nil {
			return err
		}
		if near != nil {
			return near.oneHot(y, vals, l.len(), zeros)
		}
		return oneHotOf(y, vals, ints, l.len(), zeros)
	}, nil
}

// places tells of integers that lie close together which one is where in a list.
type places struct {
	least int64
	at    []int32 // by distance to least; -1: not in the list
}

// newPlaces returns nil if the integers lie far apart.
func newPlaces(list []int64) *places {
	if len(list) == 0 {
		return nil
	}
	least, most := slices.Min(list), slices.Max(list)
	n := uint64(most) - uint64(least)
	if n >= uint64(8*len(list)+64) {
		return nil
	}
	p := &places{least, slices.Repeat([]int32{-1}, int(n)+1)}
	for i, v := range list {
		p.at[v-least] = int32(i)
	}
	return p
}

// oneHot is oneHotOf.
func (p *places) oneHot(y []float32, x []int64, n int, zeros bool) error {
	for i, v := range x {
		if d := uint64(v) - uint64(p.least); d < uint64(len(p.at)) && p.at[d] >= 0 {
			y[i*n+int(p.at[d])] = 1
		} else if !zeros {
			return fmt.Errorf("%v is no category", v)
		}
	}
	return nil
}

// oneHotOf sets to 1, in the row of n elements of y that each x has, the one at its place.
func oneHotOf[T comparable](y []float32, x []T, places map[T]int, n int, zeros bool) error {
	for i, v := range x {
		if at, ok := places[v]; ok {
			y[i*n+at] = 1
		} else if !zeros {
			return fmt.Errorf("%v is no category", v)
		}
	}
	return nil
}

// integers returns the elements of numeric input i, cut to integers, valid until the call ends.
func (c *Call) integers(i int) ([]int64, error) {
	t := c.T(i)
	switch t.DType() {
	case tensor.Int64:
		return tensor.Data[int64](t), nil
	case tensor.Int32:
		return cutIntegers(c, tensor.Data[int32](t)), nil
	case tensor.Float32:
		return cutIntegers(c, tensor.Data[float32](t)), nil
	case tensor.Float64:
		return cutIntegers(c, tensor.Data[float64](t)), nil
	}
	return nil, unsupportedType(i, t.DType())
}

func cutIntegers[S int32 | floating](c *Call, v []S) []int64 {
	out := Scratch[int64](c, len(v))
	for i, x := range v {
		out[i] = int64(x)
	}
	return out
}
