package train

import (
	"context"
	"maps"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/onnx/schema"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// graph is a model under construction: build adds its nodes and returns the loss.
func graph(t *testing.T, in map[string]*tensor.Tensor, order []string, build func(b *ops.Builder, in []*onnx.Value) *onnx.Value) (*onnx.Model, *onnx.Value) {
	t.Helper()
	m := &onnx.Model{IRVersion: 10, Opsets: map[string]int{"": schema.Newest("")}}
	m.Graph = onnx.NewGraph("g", m.Opsets)
	for _, n := range order {
		m.Graph.AddInput(n, onnx.TypeOf(in[n]))
	}
	b := newBuilder(m.Graph)
	loss := build(b, m.Graph.Inputs)
	require.NoError(t, b.Err())
	b.Insert(nil)
	m.Graph.Outputs = []*onnx.Value{loss}
	return m, loss
}

// check compares the gradients by the named inputs with finite differences.
func check(t *testing.T, in map[string]*tensor.Tensor, order []string, build func(b *ops.Builder, in []*onnx.Value) *onnx.Value) {
	t.Helper()
	checkWith(t, in, order, nil, build)
}

// checkWith is check with other inputs, which build adds.
func checkWith(t *testing.T, in map[string]*tensor.Tensor, order []string, other map[string]tensor.Value, build func(b *ops.Builder, in []*onnx.Value) *onnx.Value) {
	t.Helper()
	m, loss := graph(t, in, order, build)
	plain := m.Clone()
	wrt := m.Graph.Inputs[:len(order)]
	grads, err := Gradient(m, loss, nil, wrt)
	require.NoError(t, err)
	for i, d := range grads {
		require.NotNil(t, d, order[i])
		m.Graph.Outputs = append(m.Graph.Outputs, d)
	}
	vals := map[string]tensor.Value{}
	maps.Copy(vals, other)
	for k, v := range in {
		vals[k] = v
	}
	s, err := runtime.New(m, runtime.Options{Private: true, Threads: 1})
	require.NoError(t, err)
	defer s.Close()
	out, err := s.Run(context.Background(), vals)
	require.NoError(t, err)
	names := s.Outputs()[1:]
	f, err := runtime.New(plain, runtime.Options{Threads: 1})
	require.NoError(t, err)
	defer f.Close()
	value := func() float64 {
		res, err := f.Run(context.Background(), vals)
		require.NoError(t, err)
		return tensor.Data[float64](res[plain.Graph.Outputs[0].Name].(*tensor.Tensor))[0]
	}
	for i, name := range order {
		data, grad := tensor.Data[float64](in[name]), tensor.Data[float64](out[names[i].Name].(*tensor.Tensor))
		for k := range data {
			old := data[k]
			data[k] = old + 1e-5
			up := value()
			data[k] = old - 1e-5
			down := value()
			data[k] = old
			numeric := (up - down) / 2e-5
			require.InDelta(t, numeric, grad[k], 1e-5*max(1, math.Abs(numeric)), "%s[%d]", name, k)
		}
	}
}

func TestGradientOfPerceptron(t *testing.T) {
	in := map[string]*tensor.Tensor{"x": optest.Normal(1, 4, 3), "w1": optest.Normal(2, 3, 5), "b1": optest.Normal(3, 5), "w2": optest.Normal(4, 5, 2)}
	check(t, in, []string{"x", "w1", "b1", "w2"}, func(b *ops.Builder, in []*onnx.Value) *onnx.Value {
		h := b.Op("Tanh", nil, b.Op("Add", nil, b.Op("MatMul", nil, in[0], in[1]), in[2]))
		p := b.Op("Softmax", nil, b.Op("MatMul", nil, h, in[3]))
		return b.Op("ReduceMean", onnx.NewAttrs("keepdims", 0), b.Op("Mul", nil, p, p))
	})
}

// A value that several nodes read gets the sum of what they give; one that the
// definition of an operator reads twice as well.
func TestGradientOfFanOut(t *testing.T) {
	in := map[string]*tensor.Tensor{"x": optest.Normal(1, 2, 3)}
	check(t, in, []string{"x"}, func(b *ops.Builder, in []*onnx.Value) *onnx.Value {
		x := in[0]
		s := b.Op("Swish", nil, x)
		y := b.Op("Add", nil, b.Op("Mul", nil, x, s), b.Op("Exp", nil, x))
		return b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), b.Op("Add", nil, y, y))
	})
}

func TestGradientErrors(t *testing.T) {
	in := map[string]*tensor.Tensor{"x": optest.Normal(1, 2, 3)}
	build := func(op string, as onnx.Attrs) (*onnx.Model, *onnx.Value) {
		return graph(t, in, []string{"x"}, func(b *ops.Builder, in []*onnx.Value) *onnx.Value {
			return b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), b.Op(op, as, in[0]))
		})
	}
	m, loss := graph(t, in, []string{"x"}, func(b *ops.Builder, in []*onnx.Value) *onnx.Value {
		x := b.Op("SequenceAt", nil, b.Op("SequenceConstruct", nil, in[0]), b.Const(tensor.Scalar(int64(7))))
		return b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), x)
	})
	_, err := Gradient(m, loss, nil, m.Graph.Inputs)
	require.ErrorIs(t, err, ops.ErrUnsupported)
	require.ErrorContains(t, err, "SequenceAt")

	m, _ = build("Exp", nil)
	_, err = Gradient(m, m.Graph.Nodes[0].Out[0], nil, m.Graph.Inputs)
	require.ErrorContains(t, err, "want one element")
	_, err = Gradient(m, m.Graph.Outputs[0], nil, []*onnx.Value{nil})
	require.ErrorContains(t, err, "absent")
	m.Opsets[""] = 13
	_, err = Gradient(m, m.Graph.Outputs[0], nil, m.Graph.Inputs)
	require.ErrorContains(t, err, "opset 13")
}

// What the loss does not depend on has no gradient.
func TestGradientOfNothing(t *testing.T) {
	in := map[string]*tensor.Tensor{"x": optest.Normal(1, 2), "y": optest.Normal(2, 2)}
	m, loss := graph(t, in, []string{"x", "y"}, func(b *ops.Builder, in []*onnx.Value) *onnx.Value {
		b.Op("Exp", nil, in[1])
		return b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), in[0])
	})
	d, err := Gradient(m, loss, nil, m.Graph.Inputs)
	require.NoError(t, err)
	require.NotNil(t, d[0])
	require.Nil(t, d[1])
}

// Quantised values pass the gradient straight through, but not where they are clipped.
func TestGradientOfFakeQuantize(t *testing.T) {
	x := tensor.Of([]float32{-200, -1.3, 0.4, 126.7, 300}, 5)
	in := map[string]*tensor.Tensor{"x": x}
	m, loss := graph(t, in, []string{"x"}, func(b *ops.Builder, in []*onnx.Value) *onnx.Value {
		scale, zero := b.Const(tensor.Scalar(float32(0.5))), b.Const(tensor.Scalar(int8(-100)))
		q := b.Op("DequantizeLinear", nil, b.Op("QuantizeLinear", nil, in[0], scale, zero), scale, zero)
		return b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), b.Op("Mul", nil, q, b.Const(tensor.Of([]float32{1, 2, 3, 4, 5}, 5))))
	})
	d, err := Gradient(m, loss, nil, m.Graph.Inputs)
	require.NoError(t, err)
	require.NotNil(t, d[0])
	m.Graph.Outputs = d
	s, err := runtime.New(m, runtime.Options{Private: true, Threads: 1})
	require.NoError(t, err)
	defer s.Close()
	out, err := s.Run(context.Background(), map[string]tensor.Value{"x": x})
	require.NoError(t, err)
	require.Equal(t, []float32{0, 2, 3, 0, 0}, tensor.Data[float32](out[s.Outputs()[0].Name].(*tensor.Tensor)))
}
