package quantize

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/tensor"
)

// nestedNet is an If whose branches multiply a value from around them by the same weights, and a Loop
// that carries what it multiplies by a constant of its own and by these weights.
func nestedNet(t *testing.T) *onnx.Model {
	return newModel(t, 17, func(b *ops.Builder) []*onnx.Value {
		x, w := input(b, "x", 2, 16), b.G.AddConst(param(b, "w", 16, 16))
		c := b.G.AddInput("c", onnx.TensorType(tensor.Bool))
		h := named("h", b.Op("Relu", nil, named("p", b.Op("MatMul", nil, x, w))))
		graph := func(name string, inputs []*onnx.Value, f func(n *ops.Builder) []*onnx.Value) *onnx.Graph {
			g := b.G.NewBody(name)
			g.Inputs = inputs
			n := ops.NewBuilder(g)
			g.Outputs = f(n)
			require.NoError(t, n.Err())
			n.Insert(nil)
			return g
		}
		branch := func(name, op string) *onnx.Graph {
			return graph(name, nil, func(n *ops.Builder) []*onnx.Value {
				v := named(name+"_a", n.Op(op, nil, named(name+"_p", n.Op("MatMul", nil, h, w))))
				return one(named(name+"_out", n.Op("MatMul", nil, v, w)))
			})
		}
		y := b.Op("If", onnx.NewAttrs("then_branch", branch("then", "Relu"), "else_branch", branch("else", "Sigmoid")), c)
		state := &onnx.Value{Name: "state", Type: onnx.TensorType(tensor.Float32, onnx.Sizes(2, 16)...)}
		loop := graph("body", []*onnx.Value{{Name: "i", Type: onnx.TensorType(tensor.Int64)}, {Name: "go", Type: onnx.TensorType(tensor.Bool)}, state}, func(n *ops.Builder) []*onnx.Value {
			own := n.Op("Constant", onnx.NewAttrs("value", param(n, "constant", 16, 16).Const))
			s := n.Op("Add", nil, named("from_h", n.Op("MatMul", nil, h, w)), named("from_state", n.Op("MatMul", nil, state, named("own", own))))
			return []*onnx.Value{named("still", n.Op("Identity", nil, n.G.Inputs[1])), named("next", n.Op("Tanh", nil, named("sum", s)))}
		})
		z := b.Op("Loop", onnx.NewAttrs("body", loop), b.Const(tensor.Scalar[int64](3)), nil, x)
		b.G.RebuildUses()
		return []*onnx.Value{y, z}
	})
}

func TestStaticNestedProducts(t *testing.T) {
	m := nestedNet(t)
	require.Subset(t, Activations(m, StaticConfig{}), []string{"x", "h", "then_a", "else_a", "state"})
	var batches []data.Batch
	for seed := range uint64(8) {
		b := data.Batch{Inputs: map[string]*tensor.Tensor{}}
		for name, v := range samples(t, m, seed) {
			b.Inputs[name] = v.(*tensor.Tensor)
		}
		batches = append(batches, b)
	}
	quantised := func(c StaticConfig) (*onnx.Model, *Summary) {
		return static(t, m, calibrated(t, m, data.Of(batches...), CalibrateConfig{Values: Activations(m, c)}), c)
	}
	for _, c := range []StaticConfig{{}, {Format: QOperator}, {PerTensor: true}, {Weights: tensor.Int4}, {SymmetricActivations: true, Activations: tensor.Int8}} {
		q, s := quantised(c)
		for _, node := range []string{"p", "then_p", "then_a", "then_out", "else_p", "else_out", "from_h", "from_state"} {
			require.Empty(t, reasonOf(t, s, node), "%s %+v", node, c)
		}
		require.Contains(t, reasonOf(t, s, "sum"), "in a loop only what multiplies")
		matrices := 0
		q.Graph.Walk(func(g *onnx.Graph) {
			for _, v := range g.Consts {
				if v.Const.Rank() == 2 {
					require.NotEqual(t, tensor.Float32, v.Const.DType())
					matrices++
				}
			}
		})
		require.Equal(t, 2, matrices, "what several graphs read is stored once")
		tolerance := 0.6
		if c.Weights == tensor.Int4 {
			tolerance = 5
		}
		requireNear(t, m, q, optimize.None, tolerance, 1, 2, 3)
		requireNear(t, m, q, optimize.Best, tolerance, 1, 2, 3)
	}
	// What operators are chosen is quantised in loops, too; what is excluded is not.
	_, s := quantised(StaticConfig{Selection: Selection{Ops: []string{"MatMul", "Add"}, Exclude: []string{"from_h"}}})
	require.Equal(t, "excluded", reasonOf(t, s, "from_h"))
	require.Empty(t, reasonOf(t, s, "from_state"))
	require.Empty(t, reasonOf(t, s, "else_out"))
}
