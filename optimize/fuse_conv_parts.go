package optimize

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// convParts let convolutions read the parts that Concat joined, those that normalize them, too. They
// come last, for no other rule knows of convolutions with several inputs.
var convParts = []*Rule{
	{
		Name: "scale-conv", Doc: "Mul and Add of constants for each channel of images => x.Conv of single pixels and channels, which has room for an activation",
		Pattern: Op("Add", Op("Mul", Var("x"), ConstAny("scale")), ConstAny("term")),
		Where: func(m *Match) bool {
			x := m.Var("x")
			d := x.Type.Dims
			if x.Type.DType != tensor.Float32 || m.Root.Opset < 7 || len(d) < 4 || len(d) > 5 || !sameType(x, m.Root.Out[0]) {
				return false
			}
			c, ok := d[len(d)-1].Size()
			return ok && c >= leastUnit && isRow(m.Var("scale").Const, c, len(d)) && isRow(m.Var("term").Const, c, len(d))
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			w, term := m.Var("scale").Const, m.Var("term").Const
			shape := []int{w.Len(), 1}
			for range m.Var("x").Type.Rank() - 2 {
				shape = append(shape, 1)
			}
			return b.Ops("x", "Conv", onnx.NewAttrs("group", w.Len()), 1, m.Var("x"),
				b.Const(tensor.Of(tensor.Data[float32](w), shape...)), b.Const(tensor.Of(tensor.Data[float32](term), w.Len())))
		},
		Example: func(b *ops.Builder) {
			y := b.Op("Mul", nil, in(b, "x", 2, 5, 3, 32), floats(b, 1, 32))
			ret(b, b.Op("Relu", nil, b.Op("Add", nil, floats(b, 32), y)))
		},
	},
	{
		Name: "conv-parts", Doc: "x.Conv of single pixels behind Concat of channels that nothing else needs joined => x.Conv of the parts",
		Pattern: Op("x.Conv", Op("Concat", Var("x")).Rest().As("cat").Shared(), ConstAny("w")).Rest(),
		Where:   func(m *Match) bool { return apartAtWill(m.Node("cat")) },
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			cat := m.Node("cat")
			in := []*onnx.Value{cat.In[0], m.Root.In[1], input(m.Root, 2), input(m.Root, 3)}
			return b.Ops("x", "Conv", m.Root.Attrs, 1, append(in, cat.In[1:]...)...)
		},
		Example: func(b *ops.Builder) {
			x, y, z := in(b, "x", 1, 5, 5, 32), in(b, "y", 1, 5, 5, 16), in(b, "z", 1, 5, 5, 6)
			cat := b.Op("Concat", onnx.NewAttrs("axis", -1), x, y, b.Op("Neg", nil, x))
			ret(b, b.Ops("x", "Conv", onnx.NewAttrs("activation", "Relu"), 1, cat, floats(b, 6, 80, 1, 1), nil, z)[0],
				b.Ops("x", "Conv", onnx.NewAttrs("pads", []int{0, 0, 0, 0}), 1, cat, floats(b, 3, 80, 1, 1), floats(b, 3))[0])
		},
	},
	{
		Name: "pool-parts", Doc: "pooling between Concat of channels and x.Conv of single pixels => Concat behind pooling of the parts",
		Pattern: AnyOf(
			Op("x.MaxPool", Op("Concat", Var("x")).Rest().As("cat").Shared()),
			Op("x.AveragePool", Op("Concat", Var("x")).Rest().As("cat").Shared())),
		Where: func(m *Match) bool { return poolOfParts(m.Root) && apartAtWill(m.Node("cat")) },
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			cat := m.Node("cat")
			parts := make([]*onnx.Value, len(cat.In))
			for i, v := range cat.In {
				parts[i] = b.Ops("x", m.Root.Op, m.Root.Attrs, 1, v)[0]
			}
			return only(m, b.Op("Concat", cat.Attrs, parts...))
		},
		Example: func(b *ops.Builder) {
			cat := b.Op("Concat", onnx.NewAttrs("axis", -1), in(b, "x", 1, 5, 5, 32), in(b, "y", 1, 5, 5, 16))
			most := b.Ops("x", "MaxPool", onnx.NewAttrs("kernel_shape", []int{3, 3}, "strides", []int{2, 2}), 1, cat)[0]
			mean := b.Ops("x", "AveragePool", onnx.NewAttrs("kernel_shape", []int{2, 2}), 1, cat)[0]
			for _, v := range []*onnx.Value{cat, most, mean} {
				ret(b, b.Ops("x", "Conv", nil, 1, v, floats(b, 3, 48, 1, 1))[0])
			}
		},
	},
}

// apartAtWill reports whether cat joins channels of pixels in float32 and all that reads them can
// as well read the parts.
func apartAtWill(cat *onnx.Node) bool {
	y := cat.Out[0]
	axis, rank := int(intAttr(cat, "axis", 0)), y.Type.Rank()
	if len(cat.In) > mostParts || rank < 3 || axis != rank-1 && axis != -1 || cat.Graph.IsOutput(y) {
		return false
	}
	unit, vectors := 0, true // the greatest number of channels of which all parts have a multiple
	for _, v := range cat.In {
		d := v.Type.Dims
		if v.Type.DType != tensor.Float32 || len(d) != rank {
			return false
		}
		c, ok := d[rank-1].Size()
		if !ok {
			return false
		}
		vectors = vectors && c%leastUnit == 0
		for c != 0 {
			unit, c = c, unit%c
		}
	}
	return unit >= leastUnit && !slices.ContainsFunc(y.Users(), func(n *onnx.Node) bool {
		return n.Graph != cat.Graph || !ofPixels(n, y) && !(vectors && factors(n, y)) && !poolOfParts(n)
	})
}

// poolOfParts reports whether n is a pooling whose result only convolutions of single pixels read.
func poolOfParts(n *onnx.Node) bool {
	return n.Domain == "x" && (n.Op == "MaxPool" || n.Op == "AveragePool") && len(n.Out) == 1 && !n.Graph.IsOutput(n.Out[0]) && n.Out[0].Uses() > 0 &&
		!slices.ContainsFunc(n.Out[0].Users(), func(u *onnx.Node) bool { return u.Graph != n.Graph || !ofPixels(u, n.Out[0]) })
}

// isRow reports whether t has c elements along the last of rank dimensions.
func isRow(t *tensor.Tensor, c, rank int) bool {
	return t.Len() == c && t.Rank() > 0 && t.Rank() <= rank && t.Dim(t.Rank()-1) == c
}

const (
	mostParts = 64 // that a convolution reads
	leastUnit = 16 // channels; fewer at a time take longer than the copy
)

// ofPixels reports whether n is a convolution of v with constant weights each of whose positions sees one pixel, that at its place.
func ofPixels(n *onnx.Node, v *onnx.Value) bool { return singles(n, v) && intAttr(n, "group", 1) == 1 }

// factors reports whether n is a factor for each channel of v.
func factors(n *onnx.Node, v *onnx.Value) bool {
	return singles(n, v) && n.In[1].Const.Dim(1) == 1 && intAttr(n, "group", 1) == int64(n.In[1].Const.Dim(0)) && n.In[1].Const.Dim(0) > 1
}

// singles reports whether n is a convolution of v as ofPixels and factors want it, of any groups.
func singles(n *onnx.Node, v *onnx.Value) bool {
	if n.Domain != "x" || n.Op != "Conv" || n.In[0] != v || n.In[1].Const == nil || slices.Contains(n.In[1:], v) || len(n.In) > 4 {
		return false
	}
	w := n.In[1].Const.Shape()
	for name, want := range map[string]int64{"strides": 1, "pads": 0} {
		list, err := onnx.Attribute(n, name, []int64(nil))
		if err != nil || slices.ContainsFunc(list, func(k int64) bool { return k != want }) {
			return false
		}
	}
	return len(w) > 2 && !slices.ContainsFunc(w[2:], func(k int) bool { return k != 1 })
}
