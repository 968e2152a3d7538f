package train

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/onnx/schema"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train/nn"
)

// TestExportOfComputedSizes has what PyTorch's exporters write: axes, sizes and
// a bias of zeros that are computed, allowzero, and a transposed weight.
func TestExportOfComputedSizes(t *testing.T) {
	m := &onnx.Model{IRVersion: 10, Opsets: map[string]int{"": 20}}
	m.Graph = onnx.NewGraph("g", m.Opsets)
	x := m.Graph.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("batch"), onnx.Size(4), onnx.Size(4)))
	b := ops.NewBuilder(m.Graph)
	param := func(name string, seed int, shape ...int) *onnx.Value {
		w := tensor.New(tensor.Float32, shape...)
		for i, v := range tensor.Data[float64](optest.Normal(uint64(seed), shape...)) {
			tensor.Data[float32](w)[i] = float32(v)
		}
		return m.Graph.AddConst(m.Graph.NewConst(name, w))
	}
	kernel, w := param("kernel", 1, 3, 4, 2), param("w", 2, 5, 3)
	one := b.Const(tensor.Scalar(float32(0)))
	zeros := b.Op("Expand", nil, b.Op("CastLike", nil, one, x), b.Op("Shape", onnx.NewAttrs("start", 0, "end", 1), kernel))
	h := b.Op("Gelu", nil, b.Op("Conv", nil, x, kernel, zeros))
	h = b.Op("ReduceMean", onnx.NewAttrs("keepdims", 1), h, b.Op("Reshape", nil, b.Const(tensor.Scalar(int64(-1))), b.Ints(-1)))
	size := b.Op("Concat", onnx.NewAttrs("axis", 0), b.Op("Shape", onnx.NewAttrs("end", 1), x), b.Ints(3))
	h = b.Op("Reshape", onnx.NewAttrs("allowzero", 1), h, size)
	y := b.Op("MatMul", nil, h, b.Op("Transpose", nil, w))
	require.NoError(t, b.Err())
	b.Insert(nil)
	y.Name = "y"
	m.Graph.Outputs = []*onnx.Value{y}

	tr, err := New(m, Config{Loss: CrossEntropy{}, Optimizer: Adam{LR: 0.01}, Threads: 1})
	require.NoError(t, err)
	defer tr.Close()
	require.ElementsMatch(t, []string{"kernel", "w"}, tr.Names())
	batch := map[string]*tensor.Tensor{"x": tensor.New(tensor.Float32, 3, 4, 4), "target": tensor.Of([]int64{0, 4, 2}, 3)}
	for i := range tensor.Data[float32](batch["x"]) {
		tensor.Data[float32](batch["x"])[i] = float32(i%7) / 7
	}
	_, err = tr.Step(context.Background(), batch)
	require.NoError(t, err)
	for _, opset := range []int{13, 17, 20, schema.Newest("")} {
		out, err := tr.Export(context.Background(), ExportOptions{Opset: opset, Inputs: batch})
		require.NoError(t, err, opset)
		require.Equal(t, []string{"x"}, names(out.Graph.Inputs))
		consts := names(out.Graph.Consts)
		require.Subset(t, consts, []string{"kernel", "w"})
		seen := map[string]bool{}
		for _, n := range out.Graph.Nodes {
			require.NotEmpty(t, n.Name)
			require.False(t, seen[n.Name], n.Name)
			seen[n.Name] = true
			switch n.Op {
			case "CastLike", "Expand":
				t.Errorf("opset %d: %v is left", opset, n)
			case "Reshape":
				require.Nil(t, n.Attrs.Get("allowzero"))
			case "Conv":
				require.NotNil(t, n.In[2].Const)
			}
		}
	}
}

func names(vs []*onnx.Value) []string {
	var out []string
	for _, v := range vs {
		out = append(out, v.Name)
	}
	return out
}

// TestExportKeepsZeroSizes has a Reshape whose 0 means 0: allowzero stays, or
// the opset is refused.
func TestExportKeepsZeroSizes(t *testing.T) {
	m := perceptron(t, nn.Linear{Out: 3})
	b := ops.NewBuilder(m.Graph)
	rest := b.Op("Slice", nil, m.Graph.Outputs[0], b.Ints(0), b.Ints(0), b.Ints(0))
	z := b.Op("Reshape", onnx.NewAttrs("allowzero", 1), rest, b.Ints(3, 0))
	require.NoError(t, b.Err())
	b.Insert(nil)
	z.Name = "z"
	m.Graph.Outputs = append(m.Graph.Outputs, z)
	out, err := export(m.Clone(), ExportOptions{Opset: 20})
	require.NoError(t, err)
	i := slices.IndexFunc(out.Graph.Nodes, func(n *onnx.Node) bool { return n.Op == "Reshape" })
	if i >= 0 {
		require.NotNil(t, out.Graph.Nodes[i].Attrs.Get("allowzero"))
	}
	plainReshapes(m.Graph)
	i = slices.IndexFunc(m.Graph.Nodes, func(n *onnx.Node) bool { return n.Op == "Reshape" })
	require.NotNil(t, m.Graph.Nodes[i].Attrs.Get("allowzero"))
}
