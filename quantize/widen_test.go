package quantize

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	gneiss "github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

func narrowed(t *tensor.Tensor, d tensor.DType) *tensor.Tensor {
	n := tensor.New(d, t.Shape()...)
	tensor.Narrow(n, t)
	return n
}

// halfNet is a network of d, with a graph in it, a Cast to d and a constant filled by a node.
func halfNet(t *testing.T, d tensor.DType) *onnx.Model {
	return model(func(g *onnx.Graph, b *ops.Builder) []*onnx.Value {
		x := g.AddInput("x", onnx.TensorType(d, onnx.Size(4), onnx.Size(32)))
		c := g.AddInput("c", onnx.TensorType(tensor.Bool))
		s := g.AddInput("s", onnx.TensorType(tensor.Float32))
		h := b.Op("MatMul", nil, x, b.Const(narrowed(weights(1, 32, 64), d)))
		branch := func(op string) *onnx.Graph {
			k := onnx.NewGraph(op, g.Opsets)
			k.Outer = g
			kb := ops.NewBuilder(k)
			v := kb.Op(op, nil, kb.Op("Add", nil, h, kb.Const(narrowed(weights(2, 64), d))))
			kb.Insert(nil)
			require.NoError(t, kb.Err())
			k.Outputs = []*onnx.Value{v}
			return k
		}
		y := b.Op("If", onnx.NewAttrs("then_branch", branch("Relu"), "else_branch", branch("Tanh")), c)
		y = b.Op("Mul", nil, y, b.Op("Cast", onnx.NewAttrs("to", d), s))
		y = b.Op("Add", nil, y, b.Op("ConstantOfShape", onnx.NewAttrs("value", narrowed(tensor.Of([]float32{0.5}, 1), d)), b.Ints(64)))
		z := b.Op("MatMul", nil, y, b.Const(narrowed(weights(3, 64, 16), d)))
		y.Name, z.Name = "y", "z"
		return []*onnx.Value{z, y, x}
	})
}

func TestWiden(t *testing.T) {
	for _, d := range []tensor.DType{tensor.Float16, tensor.BFloat16} {
		m := halfNet(t, d)
		in := map[string]tensor.Value{"x": narrowed(weights(9, 4, 32), d), "c": tensor.Scalar(true), "s": tensor.Scalar(float32(0.75))}
		run := func(m *onnx.Model) map[string]tensor.Value {
			t.Helper()
			s, err := gneiss.New(m, gneiss.Options{Threads: 1})
			require.NoError(t, err)
			defer s.Close()
			out, err := s.Run(context.Background(), in)
			require.NoError(t, err)
			return out
		}
		want := run(m)
		some, err := Widen(m)
		require.NoError(t, err)
		require.True(t, some)
		near := func(limit float64) {
			t.Helper()
			got := run(m)
			require.Len(t, got, len(want))
			for name, w := range want {
				g := got[name].(*tensor.Tensor)
				require.Equal(t, d, g.DType(), name)
				x, y := make([]float32, g.Len()), make([]float32, g.Len())
				tensor.WidenTo(x, g, 0)
				tensor.WidenTo(y, w.(*tensor.Tensor), 0)
				require.InDeltaSlice(t, y, x, limit, name)
			}
		}
		near(0.03)
		require.NoError(t, optimize.Infer(m, optimize.InferOptions{}))
		m.Graph.Walk(func(g *onnx.Graph) {
			for _, n := range g.Nodes {
				if n.Op == "MatMul" || n.Op == "Add" || n.Op == "Tanh" {
					require.Equal(t, tensor.Float32, n.Out[0].Type.DType, n.String())
				}
			}
		})
		s, err := Dynamic(m, DynamicConfig{})
		require.NoError(t, err)
		require.Equal(t, 2, s.Changed())
		near(0.1)
	}
	m := convNet()
	some, err := Widen(m)
	require.NoError(t, err)
	require.False(t, some)
}
