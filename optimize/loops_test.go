package optimize

import (
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// loopBody makes a body with the named inputs and what f makes of them as outputs.
func loopBody(b *ops.Builder, inputs []string, types []onnx.Type, f func(*ops.Builder, []*onnx.Value) []*onnx.Value) *onnx.Graph {
	g := b.G.NewBody("body")
	for i, name := range inputs {
		g.AddInput(name, types[i])
	}
	n := ops.NewBuilder(g)
	g.Outputs = f(n, g.Inputs)
	if n.Err() != nil {
		b.Fail(n.Err())
	}
	n.Insert(nil)
	return g
}

var (
	counter = onnx.TensorType(tensor.Int64)
	yes     = onnx.TensorType(tensor.Bool)
	pair    = onnx.TensorType(tensor.Float32, onnx.Sizes(2)...)
)

// A while loop as exporters write it: weights are carried along, one through an Identity; a sum
// that only the next sum reads; and a scan output, a state and a state that stays that are read by nobody.
func TestLoops(t *testing.T) {
	var body *onnx.Graph
	m, rep := optimised(t, Options{}, func(b *ops.Builder) {
		x, w, v, k := in(b, "x", 2), in(b, "w", 2), in(b, "v", 2), in(b, "k", 2)
		body = loopBody(b, []string{"i", "c", "w_in", "h", "v_in", "sum", "k_in"}, []onnx.Type{counter, yes, pair, pair, pair, pair, pair},
			func(n *ops.Builder, in []*onnx.Value) []*onnx.Value {
				h := n.Op("Add", nil, n.Op("Mul", nil, in[3], in[2]), in[4])
				less := n.Op("Less", nil, n.Op("ReduceMax", onnx.NewAttrs("keepdims", 0), h), f32(n, 100))
				return []*onnx.Value{less, n.Op("Identity", nil, in[2]), h, in[4], n.Op("Add", nil, in[5], h), in[6],
					n.Op("Exp", nil, h), n.Op("Neg", nil, n.Op("Add", nil, h, in[4]))}
			})
		y := b.Ops("", "Loop", onnx.NewAttrs("body", body), 7, b.Const(tensor.Scalar(int64(3))), nil, w, x, v, x, k)
		if y != nil {
			ret(b, y[0], y[1], b.Op("Mul", nil, y[2], v), y[6])
		}
	})
	want(t, m, "Loop", "Mul", "Identity") // the first output is an input
	n := m.Graph.Nodes[0]
	if len(n.In) != 3 || len(n.Out) != 2 || len(body.Inputs) != 3 || len(body.Outputs) != 3 {
		t.Errorf("the loop has %d inputs and %d outputs, its body %d and %d; want 3, 2, 3, 3", len(n.In), len(n.Out), len(body.Inputs), len(body.Outputs))
	}
	if got := len(body.Nodes); got != 6 {
		t.Errorf("the body has %d nodes %v, want 6", got, opNames(body))
	}
	if rep.Counts["loops"] == 0 {
		t.Error("the pass loops is not in the report")
	}
}

// TestLoopsScan: what is carried through a Scan, and axes of scan outputs that nobody reads.
func TestLoopsScan(t *testing.T) {
	var body *onnx.Graph
	m, _ := optimised(t, Options{}, func(b *ops.Builder) {
		w, h, xs := in(b, "w", 2), in(b, "h", 2), in(b, "xs", 3, 2)
		body = loopBody(b, []string{"h_in", "w_in", "x"}, []onnx.Type{pair, pair, pair},
			func(n *ops.Builder, in []*onnx.Value) []*onnx.Value {
				h := n.Op("Add", nil, n.Op("Mul", nil, in[0], in[1]), in[2])
				return []*onnx.Value{h, in[1], n.Op("Exp", nil, h), n.Op("Neg", nil, h)}
			})
		y := b.Ops("", "Scan", onnx.NewAttrs("body", body, "num_scan_inputs", 1, "scan_output_axes", []int{0, 1}, "scan_output_directions", []int{1, 0}), 4, h, w, xs)
		if y != nil {
			ret(b, y[0], y[3])
		}
	})
	want(t, m, "Scan")
	n := m.Graph.Nodes[0]
	axes, err := onnx.Attribute(n, "scan_output_axes", []int64(nil))
	if err != nil || len(axes) != 1 || axes[0] != 1 || len(n.In) != 2 || len(n.Out) != 2 || len(body.Inputs) != 2 || len(body.Outputs) != 2 {
		t.Errorf("scan_output_axes %v, %v; %d inputs, %d outputs, body %d, %d", axes, err, len(n.In), len(n.Out), len(body.Inputs), len(body.Outputs))
	}
}

// TestLoopsThatChangeNothing: all that is read is what went in, and one state is needed before version 11.
func TestLoopsThatChangeNothing(t *testing.T) {
	for opset, operators := range map[int][]string{21: {"Neg"}, 10: {"Loop", "Neg"}} {
		m := graphModel(t, opset, func(b *ops.Builder) {
			x := in(b, "x", 2)
			body := loopBody(b, []string{"i", "c", "x_in"}, []onnx.Type{counter, yes, pair}, func(n *ops.Builder, in []*onnx.Value) []*onnx.Value {
				return []*onnx.Value{n.Op("Identity", nil, in[1]), n.Op("Identity", nil, in[2]), n.Op("Exp", nil, in[2])}
			})
			if y := b.Ops("", "Loop", onnx.NewAttrs("body", body), 2, b.Const(tensor.Scalar(int64(3))), nil, x); y != nil {
				ret(b, b.Op("Neg", nil, y[0]))
			}
		})
		SlimLoops(m)
		if err := m.Graph.Check(); err != nil {
			t.Fatal(err)
		}
		for _, n := range m.Graph.Nodes {
			if len(n.Out) == 0 {
				t.Errorf("%v has no outputs", n)
			}
		}
		if _, err := Run(m, Portable, Options{Check: true}); err != nil {
			t.Fatal(err)
		}
		want(t, m, operators...)
	}
}

// TestLoopsName: the body has a value of the name that the carried one has outside.
func TestLoopsName(t *testing.T) {
	m := graphModel(t, 21, func(b *ops.Builder) {
		w, x := in(b, "w", 2), in(b, "x", 2)
		body := loopBody(b, []string{"i", "c", "h", "w_in"}, []onnx.Type{counter, yes, pair, pair}, func(n *ops.Builder, in []*onnx.Value) []*onnx.Value {
			return []*onnx.Value{n.Op("Identity", nil, in[1]), n.Op("Mul", nil, in[2], in[3]), n.Op("Identity", nil, in[3])}
		})
		body.Outputs[1].Name = "w"
		ret(b, b.Ops("", "Loop", onnx.NewAttrs("body", body), 2, b.Const(tensor.Scalar(int64(3))), nil, x, w)[0])
	})
	if _, err := Run(m, Portable, Options{}); err != nil {
		t.Fatal(err)
	}
	if n := m.Graph.Nodes[0]; len(n.In) != 3 {
		t.Fatalf("the loop has %d inputs, want 3", len(n.In))
	}
	if err := m.Graph.Check(); err != nil {
		t.Error(err)
	}
}
