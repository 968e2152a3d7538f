package optimize

import (
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// scans are rules that compute at once what a Scan computes slice by slice.
var scans = []*Rule{
	{
		Name: "scan-distances", Doc: "Scan of sums of powers of differences of all rows from one => x.Distances and Transpose",
		Pattern: Op("Scan", Var("a"), Var("b")),
		Where: func(m *Match) bool {
			a, b := m.Var("a").Type, m.Var("b").Type
			return m.Root.Opset >= 9 && len(m.Root.Out) == 2 && intAttr(m.Root, "num_scan_inputs", 1) == 1 &&
				plainScan(m.Root) && a.Ranked && b.Ranked && len(a.Dims) == 2 && len(b.Dims) == 2 &&
				a.Dims[1].Known() && a.Dims[1].Equal(b.Dims[1]) && a.DType == b.DType &&
				(a.DType == tensor.Float32 || a.DType == tensor.Float64)
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			power, ok := scannedPower(m)
			if !ok {
				return nil
			}
			y := b.Ops(ops.Private, "Distances", onnx.NewAttrs("power", float32(power)), 1, m.Var("a"), m.Var("b"))
			if y == nil {
				return nil
			}
			return []*onnx.Value{m.Var("a"), b.Op("Transpose", onnx.NewAttrs("perm", []int{1, 0}), y[0])}
		},
		Example: func(b *ops.Builder) {
			x, y := in(b, "x", 2, 5), floats(b, 3, 5)
			for i, d := range []func(*ops.Builder, *onnx.Value) *onnx.Value{
				func(b *ops.Builder, d *onnx.Value) *onnx.Value {
					return b.Op("ReduceSumSquare", onnx.NewAttrs("keepdims", 0), d, b.Ints(1))
				},
				func(b *ops.Builder, d *onnx.Value) *onnx.Value {
					return b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), b.Op("Abs", nil, d), b.Ints(-1))
				},
				func(b *ops.Builder, d *onnx.Value) *onnx.Value {
					return b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), b.Op("Pow", nil, b.Op("Abs", nil, d), f32(b, 3)), b.Ints(1))
				},
			} {
				out := b.Ops("", "Scan", onnx.NewAttrs("num_scan_inputs", 1, "body", distanceBody(b.G, i == 1, d)), 2, x, y)
				if out == nil {
					return
				}
				ret(b, out[0], b.Op("Sqrt", nil, b.Op("Transpose", nil, out[1])))
			}
		},
	},
}

// plainScan reports whether n goes through axis 0 of all it reads and writes, forwards.
func plainScan(n *onnx.Node) bool {
	for _, name := range []string{"scan_input_axes", "scan_output_axes", "scan_input_directions", "scan_output_directions"} {
		v, err := onnx.Attribute(n, name, []int64(nil))
		if err != nil {
			return false
		}
		for _, x := range v {
			if x != 0 {
				return false
			}
		}
	}
	return true
}

// scannedPower returns the power to which the body of the Scan that m found raises the
// differences of its state, which stays the same, and a slice, before it sums them.
func scannedPower(m *Match) (float64, bool) {
	g, err := onnx.Attribute(m.Root, "body", (*onnx.Graph)(nil))
	if err != nil || g == nil || len(g.Inputs) != 2 || len(g.Outputs) != 2 {
		return 0, false
	}
	state := g.Outputs[0]
	if state.From != nil && state.From.Op == "Identity" && state.From.Domain == "" {
		state = state.From.In[0]
	}
	sum := g.Outputs[1]
	if sum.From != nil && sum.From.Op == "Identity" && sum.From.Domain == "" {
		sum = sum.From.In[0]
	}
	if state != g.Inputs[0] || sum.From == nil {
		return 0, false
	}
	power, found := 0.0, false
	set := ops.Standard()
	match(set, distanceSum, sum.From, func(k *Match) bool {
		x, y, r := k.Var("x"), k.Var("y"), k.Root
		if (x != g.Inputs[0] || y != g.Inputs[1]) && (x != g.Inputs[1] || y != g.Inputs[0]) {
			return false
		}
		axes, given, ok := constInts(r, 1, "axes")
		if !ok || !given || len(axes) != 1 || axes[0] != 1 && axes[0] != -1 || intAttr(r, "keepdims", 1) != 0 {
			return false
		}
		even := k.Node("abs") == nil
		switch {
		case r.Op == "ReduceSumSquare" || k.Node("square") != nil:
			power = 2
		case r.Op == "ReduceL1" || k.Var("power") == nil && !even:
			power = 1
		case k.Const("power") != nil && k.Const("power").Len() == 1:
			p, ok := reals(k.Const("power"))
			if !ok || p[0] <= 0 || even && p[0] != 2 {
				return false
			}
			power = p[0]
		default:
			return false
		}
		found = float64(float32(power)) == power
		return found
	})
	return power, found
}

// distanceSum matches sums of powers of differences.
var distanceSum = func() *Pattern {
	d := Op("Sub", Var("x"), Var("y"))
	abs := Op("Abs", d).As("abs")
	raised := AnyOf(abs, d)
	return AnyOf(
		Op("ReduceSumSquare", raised).Rest(),
		Op("ReduceL1", raised).Rest(),
		Op("ReduceSum", AnyOf(abs, Op("Pow", raised, ConstAny("power")), Op("Mul", d, d).As("square"), Op("Mul", abs, abs).As("square"))).Rest(),
	)
}()

// distanceBody makes the body of an example's Scan: the distance of a slice from all rows of the state.
func distanceBody(g *onnx.Graph, swapped bool, sum func(*ops.Builder, *onnx.Value) *onnx.Value) *onnx.Graph {
	body := onnx.NewGraph("body", g.Opsets)
	body.Outer = g
	b := ops.NewBuilder(body)
	x, y := in(b, "rows", 2, 5), in(b, "row", 5)
	d := b.Op("Sub", nil, x, y)
	if swapped {
		d = b.Op("Sub", nil, y, x)
	}
	ret(b, b.Op("Identity", nil, x), sum(b, d))
	b.Insert(nil)
	for i, v := range body.Outputs {
		v.Name = []string{"next", "sums"}[i]
	}
	return body
}
