package quantize

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// What PyTorch notes of where nodes come from is left out of quantised models, and
// stays in the given one on an error and in other copies.
func TestDropTraces(t *testing.T) {
	mine := onnx.Prop{Key: "mine", Value: "stays"}
	notes := []onnx.Prop{{Key: "namespace", Value: "m"}, mine, {Key: "pkg.torch.onnx.stack_trace", Value: "line"}, {Key: "pkg.onnxscript.rewriter.rule_name", Value: "r"}}
	m := builtModel(t, 17, func(b *ops.Builder) []*onnx.Value {
		return []*onnx.Value{b.Op("Relu", nil, b.Op("MatMul", nil, floatInput(b, "x", 4, 32), normal(b, 1, 32, 32)))}
	})
	m.Graph.Metadata = notes
	m.Graph.Inputs[0].Metadata = notes
	for _, n := range m.Graph.Nodes {
		n.Metadata, n.Out[0].Metadata = notes, notes
	}
	for name, f := range map[string]func(m *onnx.Model) (*Summary, error){
		"static": func(m *onnx.Model) (*Summary, error) {
			return Static(m, calibrate(t, m, StaticConfig{}, 1), StaticConfig{})
		},
		"dynamic": func(m *onnx.Model) (*Summary, error) { return Dynamic(m, DynamicConfig{}) },
		"weights": func(m *onnx.Model) (*Summary, error) { return WeightOnly(m, WeightOnlyConfig{}) },
	} {
		q := m.Clone()
		s, err := f(q)
		require.NoError(t, err)
		require.Positive(t, s.Changed())
		require.Equal(t, []onnx.Prop{mine}, q.Graph.Metadata, name)
		require.Equal(t, []onnx.Prop{mine}, q.Graph.Inputs[0].Metadata, name)
		for _, n := range q.Graph.Nodes {
			require.NotContains(t, n.Metadata, notes[0], name)
			if n.Op == "Relu" {
				require.Equal(t, []onnx.Prop{mine}, n.Metadata, name)
				require.Equal(t, []onnx.Prop{mine}, n.Out[0].Metadata, name)
			}
		}
		require.Equal(t, notes, m.Graph.Nodes[0].Metadata, name)
	}
}

// What a Loop carries may have the name of a value around it, as PaddlePaddle writes it.
func TestHiddenNames(t *testing.T) {
	for name, f := range map[string]func(m *onnx.Model) (*Summary, error){
		"dynamic": func(m *onnx.Model) (*Summary, error) { return Dynamic(m, DynamicConfig{}) },
		"weights": func(m *onnx.Model) (*Summary, error) { return WeightOnly(m, WeightOnlyConfig{}) },
	} {
		m := &onnx.Model{IRVersion: 8, Opsets: map[string]int{"": 17}}
		m.Graph = onnx.NewGraph("g", m.Opsets)
		b := ops.NewBuilder(m.Graph)
		x := floatInput(b, "x", 4, 32)
		body := m.Graph.NewBody("body")
		body.AddInput("i", onnx.TensorType(tensor.Int64))
		more := body.AddInput("more", onnx.TensorType(tensor.Bool))
		carried := body.AddInput("x", x.Type)
		inner := ops.NewBuilder(body)
		y := inner.Op("Tanh", nil, inner.Op("MatMul", nil, carried, normal(inner, 1, 32, 32)))
		y.Name = "h"
		body.Outputs = []*onnx.Value{inner.Op("Identity", nil, more), y}
		inner.Insert(nil)
		h := b.Op("Tanh", nil, x)
		h.Name = "h"
		b.Insert(nil)
		out := b.Op("Loop", onnx.NewAttrs("body", body), b.Const(tensor.Scalar(int64(2))), nil, h)
		require.NoError(t, b.Err())
		b.Insert(nil)
		m.Graph.Outputs = []*onnx.Value{out}
		want := run(t, m, 0, samples(t, m, 1))

		s, err := f(m)
		require.NoError(t, err, name)
		require.Equal(t, 1, s.Changed(), name)
		require.Empty(t, onnx.Check(m), name)
		got := run(t, m, 0, samples(t, m, 1))
		var sum errorSum
		require.NoError(t, sum.add(want[out.Name].(*tensor.Tensor), got[m.Graph.Outputs[0].Name].(*tensor.Tensor)))
		require.Greater(t, sum.result("").SNR, 5.0, name)
	}
}

// Values that only the conversion to a newer opset makes cannot be observed in the model:
// no range is asked for them, and what reads them stays as it is. ONNX Runtime writes
// LayerNormalization into models of opsets without it.
func TestActivationsOfOldOpset(t *testing.T) {
	m := newModel(t, 11, func(b *ops.Builder) []*onnx.Value {
		x := b.Op("Conv", nil, input(b, "x", 1, 8, 6), param(b, "w", 8, 8, 1))
		y := b.Op("LayerNormalization", onnx.NewAttrs("axis", -1), x, param(b, "scale", 6))
		return one(b.Op("Conv", nil, named("n", b.Op("Add", nil, y, param(b, "bias", 6))), param(b, "v2", 4, 8, 1)))
	})
	known := map[string]bool{}
	for _, v := range produced(m.Graph) {
		known[v.Name] = true
	}
	names := Activations(m, StaticConfig{})
	require.Contains(t, names, "n")
	for _, name := range names {
		require.True(t, known[name], name)
	}
	_, s := quantised(t, m, StaticConfig{})
	require.Positive(t, s.Changed())
}
