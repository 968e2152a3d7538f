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
		Pattern: Op("Scan", Var("b")), // the pass loops has taken out the state that stays the same
		Where: func(m *Match) bool {
			return m.Root.Opset >= 9 && len(m.Root.Out) == 1 && plainScan(m.Root)
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			y := m.Var("b")
			x, power, ok := scannedPower(m)
			if !ok || x.Type.DType != y.Type.DType || x.Type.DType != tensor.Float32 && x.Type.DType != tensor.Float64 ||
				len(x.Type.Dims) != 2 || len(y.Type.Dims) != 2 || !x.Type.Dims[1].Known() || !x.Type.Dims[1].Equal(y.Type.Dims[1]) {
				return nil
			}
			d := b.Ops(ops.Private, "Distances", onnx.NewAttrs("power", float32(power)), 1, x, y)
			if d == nil {
				return nil
			}
			return b.Ops("", "Transpose", onnx.NewAttrs("perm", []int{1, 0}), 1, d[0])
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
				body := distanceBody(b.G, x, i == 1, d)
				out := b.Op("Scan", onnx.NewAttrs("num_scan_inputs", 1, "body", body), y)
				ret(b, b.Op("Sqrt", nil, b.Op("Transpose", nil, out)))
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

// scannedPower returns the matrix from whose rows the body of the Scan that m found subtracts
// a slice, and the power to which it raises the differences before it sums them.
func scannedPower(m *Match) (rows *onnx.Value, power float64, found bool) {
	g, err := onnx.Attribute(m.Root, "body", (*onnx.Graph)(nil))
	if err != nil || g == nil || len(g.Inputs) != 1 || len(g.Outputs) != 1 {
		return nil, 0, false
	}
	sum := behindIdentities(g, g.Outputs[0])
	if sum.From == nil || sum.From.Graph != g {
		return nil, 0, false
	}
	set := ops.Standard()
	match(set, distanceSum, sum.From, func(k *Match) bool {
		x, y, r := k.Var("x"), k.Var("y"), k.Root
		if x == g.Inputs[0] {
			x, y = y, x
		}
		if y != g.Inputs[0] || x == y || x.From != nil && x.From.Graph == g {
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
		rows, found = x, float64(float32(power)) == power
		return found
	})
	return rows, power, found
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

// distanceBody makes the body of an example's Scan: the distance of a slice from all rows of x.
func distanceBody(g *onnx.Graph, x *onnx.Value, swapped bool, sum func(*ops.Builder, *onnx.Value) *onnx.Value) *onnx.Graph {
	body := g.NewBody("body")
	b := ops.NewBuilder(body)
	y := in(b, "row", 5)
	d := b.Op("Sub", nil, x, y)
	if swapped {
		d = b.Op("Sub", nil, y, x)
	}
	body.Outputs = []*onnx.Value{sum(b, d)}
	b.Insert(nil)
	return body
}
