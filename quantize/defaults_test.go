package quantize

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// listed makes inputs of all initializers of m, the last first and the model's own inputs last.
func listed(m *onnx.Model) *onnx.Model {
	for _, v := range m.Graph.Consts {
		v.Type = onnx.TypeOf(v.Const)
		m.Graph.Inputs = slices.Insert(m.Graph.Inputs, 0, v)
	}
	return m
}

// scaledNet is two products, of which the first is scaled by a number, with a table that is added.
func scaledNet(t *testing.T) *onnx.Model {
	return builtModel(t, 21, func(b *ops.Builder) []*onnx.Value {
		x := floatInput(b, "x", 3, 32)
		named := func(name string, v *onnx.Value) *onnx.Value { v.Name = name; return v }
		h := b.Op("MatMul", nil, x, named("first", normal(b, 1, 32, 64)))
		h = b.Op("Relu", nil, b.Op("Add", nil, h, named("bias", normal(b, 2, 64))))
		h = b.Op("Mul", nil, h, named("factor", b.G.NewConst("", tensor.Scalar[float32](0.5))))
		h = b.Op("Reshape", nil, h, named("shape", b.G.NewConst("", tensor.Of([]int64{3, 64}, 2))))
		y := b.Op("MatMul", nil, h, named("second", normal(b, 3, 64, 16)))
		for i, n := range b.Nodes {
			n.Out[0].Name = fmt.Sprintf("v%d", i)
		}
		return []*onnx.Value{y}
	})
}

func inputNames(m *onnx.Model) (names []string) {
	for _, v := range m.Graph.Inputs {
		names = append(names, v.Name)
	}
	return names
}

func runWith(t *testing.T, m *onnx.Model, in map[string]tensor.Value) []float32 {
	t.Helper()
	data, err := onnx.Encode(m)
	require.NoError(t, err)
	s, err := runtime.OpenBytes(data, runtime.Options{Threads: 1})
	require.NoError(t, err)
	defer s.Close()
	out, err := s.Run(context.Background(), in)
	require.NoError(t, err)
	return tensor.Data[float32](out["y0"].(*tensor.Tensor))
}

func TestDefaults(t *testing.T) {
	ranges := calibrated(t, scaledNet(t), data.Of(data.Batch{Inputs: map[string]*tensor.Tensor{"x": weights(9, 3, 32)}}), CalibrateConfig{})
	static := func(f StaticFormat) func(*onnx.Model, []string) (*Summary, error) {
		return func(m *onnx.Model, exclude []string) (*Summary, error) {
			return Static(m, ranges, StaticConfig{Format: f, Selection: Selection{Exclude: exclude}})
		}
	}
	for name, c := range map[string]struct {
		do   func(m *onnx.Model, exclude []string) (*Summary, error)
		gone []string
		kept []string // with second excluded, besides shape, which always stays
	}{
		"qdq":       {static(QDQ), []string{"second", "factor", "first"}, []string{"second", "bias"}},
		"qoperator": {static(QOperator), []string{"second", "factor", "bias", "first"}, []string{"second"}},
		"dynamic": {func(m *onnx.Model, exclude []string) (*Summary, error) {
			return Dynamic(m, DynamicConfig{Selection: Selection{Exclude: exclude}})
		}, []string{"second", "first"}, []string{"second", "factor", "bias"}},
		"weight-only": {func(m *onnx.Model, exclude []string) (*Summary, error) {
			return WeightOnly(m, WeightOnlyConfig{Selection: Selection{Exclude: exclude}})
		}, []string{"second", "first"}, []string{"second", "factor", "bias"}},
		"half": {func(m *onnx.Model, exclude []string) (*Summary, error) {
			return Half(m, HalfConfig{Selection: Selection{Exclude: exclude}})
		}, []string{"second", "factor", "bias", "first"}, []string{"second"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := map[string]tensor.Value{"x": weights(9, 3, 32)}
			m, plain := listed(scaledNet(t)), scaledNet(t)
			all := inputNames(m)
			exclude := []string{NodeName(m.Graph.Nodes[len(m.Graph.Nodes)-1])}
			got, err := c.do(m, nil)
			require.NoError(t, err)
			require.ElementsMatch(t, c.gone, got.Inputs)
			require.Equal(t, slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(c.gone, s) }), inputNames(m))
			want, err := c.do(plain, nil)
			require.NoError(t, err)
			require.Equal(t, want.Changes, got.Changes)
			require.Equal(t, runWith(t, plain, in), runWith(t, m, in))

			m = listed(scaledNet(t))
			_, err = c.do(m, exclude)
			require.NoError(t, err)
			stay := append([]string{"x", "shape"}, c.kept...)
			require.Equal(t, slices.DeleteFunc(slices.Clone(all), func(s string) bool { return !slices.Contains(stay, s) }), inputNames(m))
			require.Empty(t, onnx.Check(m))
			zeros := runWith(t, m, map[string]tensor.Value{"x": in["x"], "second": tensor.New(tensor.Float32, 64, 16)})
			require.Equal(t, make([]float32, 48), zeros, "what the caller gives counts")
		})
	}
}

func TestDefaultsShared(t *testing.T) {
	// A weight that is quantised for one of its readers is no input for the other.
	m := listed(builtModel(t, 21, func(b *ops.Builder) []*onnx.Value {
		w := normal(b, 1, 32, 32)
		w.Name = "w"
		return []*onnx.Value{b.Op("MatMul", nil, b.Op("MatMul", nil, floatInput(b, "x", 3, 32), w), w)}
	}))
	s, err := Dynamic(m, DynamicConfig{Selection: Selection{Exclude: []string{"MatMul1"}}})
	require.NoError(t, err)
	require.Equal(t, 1, s.Changed())
	require.Equal(t, []string{"w"}, s.Inputs)
	require.Equal(t, []string{"x"}, inputNames(m))
}

func TestDefaultsOfSizes(t *testing.T) {
	m := listed(builtModel(t, 21, func(b *ops.Builder) []*onnx.Value {
		scales := b.G.NewConst("scales", tensor.Of([]float32{1, 1, 2, 2}, 4))
		y := b.Op("Resize", nil, floatInput(b, "x", 1, 3, 4, 4), nil, scales)
		w := normal(b, 1, 8, 3, 3, 3)
		w.Name = "w"
		return []*onnx.Value{b.Op("Conv", nil, y, w), b.Op("Range", nil, b.G.NewConst("from", tensor.Of([]float32{0}, 1)), b.Const(tensor.Scalar[float32](3)), b.Const(tensor.Scalar[float32](1)))}
	}))
	d := FixDefaults(m)
	require.NotContains(t, inputNames(m), "w")
	require.Contains(t, inputNames(m), "scales")
	require.Contains(t, inputNames(m), "from")
	require.Empty(t, d.Restore(m.Graph))
	require.Contains(t, inputNames(m), "w")
}
