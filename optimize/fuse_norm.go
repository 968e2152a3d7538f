package optimize

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// norms are rules that find normalizations which programs write out. They find
// the core first, with a scale of ones, and then what is multiplied and added.
var norms = []*Rule{
	{
		Name: "layer-norm", Doc: "(x - mean) / sqrt(mean((x - mean)^2) + epsilon) => LayerNormalization",
		Pattern: func() *Pattern {
			x := Var("x")
			d := Op("Sub", x, Op("ReduceMean", x).Rest().As("mean"))
			return overRoot(d, Op("ReduceMean", AnyOf(Op("Mul", d, d), Op("Pow", d, Near(2)))).Rest().As("square"))
		}(),
		Where: func(m *Match) bool { return keepsFloats(m) && sameAxes(m.Node("mean"), m.Node("square")) },
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			return rewriteNorm("LayerNormalization", m, b)
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 3, 4)
			mean := func(x *onnx.Value) *onnx.Value { return b.Op("ReduceMean", nil, x, b.Ints(-1)) }
			d := b.Op("Sub", nil, x, mean(x))
			v := b.Op("Sqrt", nil, b.Op("Add", nil, mean(b.Op("Pow", nil, d, f32(b, 2))), f32(b, 1e-5)))
			y := b.Op("Neg", nil, x)
			e := b.Op("Sub", nil, y, mean(y))
			w := b.Op("Pow", nil, b.Op("Add", nil, f32(b, 1e-6), mean(b.Op("Mul", nil, e, e))), f32(b, -0.5))
			ret(b, b.Op("Div", nil, d, v), b.Op("Mul", nil, e, w))
		},
	},
	{
		Name: "layer-norm-affine", Doc: "x*s + (bias - mean(x)*s), s = scale/sqrt(mean((x - mean(x))^2) + epsilon) => LayerNormalization",
		Pattern: func() *Pattern {
			x := Var("x")
			mean := Op("ReduceMean", x).Rest().As("mean")
			d := Op("Sub", x, mean)
			inv := inverseRoot(Op("ReduceMean", AnyOf(Op("Mul", d, d), Op("Pow", d, Near(2)))).Rest().As("square"))
			s := AnyOf(Op("Mul", inv, Var("scale")), inv)
			return AnyOf(Op("Add", Op("Mul", x, s), Op("Sub", Var("bias"), Op("Mul", mean, s))),
				Op("Sub", Op("Mul", x, s), Op("Sub", Op("Mul", mean, s), Var("bias"))))
		}(),
		Where: func(m *Match) bool {
			return keepsFloats(m) && sameAxes(m.Node("mean"), m.Node("square")) && isVectorOf(m.Var("bias"), m.Var("x")) &&
				(m.Var("scale") == nil || isVectorOf(m.Var("scale"), m.Var("x")))
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			if trailingAxes(m.Node("square")) != 1 {
				return nil
			}
			return rewriteNorm("LayerNormalization", m, b)
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 3, 4)
			mean := func(x *onnx.Value) *onnx.Value { return b.Op("ReduceMean", nil, x, b.Ints(2)) }
			m := mean(x)
			d := b.Op("Sub", nil, x, m)
			s := b.Op("Reciprocal", nil, b.Op("Sqrt", nil, b.Op("Add", nil, mean(b.Op("Mul", nil, d, d)), f32(b, 1e-3))))
			s = b.Op("Mul", nil, s, floats(b, 4))
			ret(b, b.Op("Add", nil, b.Op("Mul", nil, x, s), b.Op("Sub", nil, floats(b, 1, 4), b.Op("Mul", nil, m, s))))
		},
	},
	{
		Name: "rms-norm", Doc: "x / sqrt(mean(x^2) + epsilon) => RMSNormalization",
		Pattern: func() *Pattern {
			x := Var("x")
			return overRoot(x, Op("ReduceMean", AnyOf(Op("Mul", x, x), Op("Pow", x, Near(2)))).Rest().As("square"))
		}(),
		Where: keepsFloats,
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			return rewriteNorm("RMSNormalization", m, b)
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 3, 4)
			v := b.Op("ReduceMean", nil, b.Op("Pow", nil, x, f32(b, 2)), b.Ints(-1))
			r := b.Op("Div", nil, f32(b, 1), b.Op("Sqrt", nil, b.Op("Add", nil, v, f32(b, 1e-5))))
			ret(b, b.Op("Mul", nil, x, r))
		},
	},
	{
		Name: "norm-casts", Doc: "Cast to half precision of a normalization of a Cast from it => normalization of the original",
		Pattern: Op("Cast", AnyOf(Op("LayerNormalization", Op("Cast", Var("x")).Shared(), ConstAny("ones")).As("norm"),
			Op("RMSNormalization", Op("Cast", Var("x")).Shared(), ConstAny("ones")).As("norm"))),
		Where: func(m *Match) bool {
			n, d := m.Node("norm"), m.Var("x").Type.DType
			return d == m.Root.Out[0].Type.DType && (d == tensor.Float16 || d == tensor.BFloat16) &&
				n.Out[0].Type.DType == tensor.Float32 && intAttr(n, "stash_type", 1) == 1 && allEqual(m.Const("ones"), 1, 0)
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			n, x := m.Node("norm"), m.Var("x")
			return b.Ops("", n.Op, n.Attrs, 1, x, ones(b, x.Type.DType, m.Const("ones").Shape()...))
		},
		Example: func(b *ops.Builder) {
			x := b.Op("Cast", onnx.NewAttrs("to", tensor.Float16), in(b, "x", 2, 4))
			y := b.Op("LayerNormalization", nil, b.Op("Cast", onnx.NewAttrs("to", tensor.Float32), x), ones(b, tensor.Float32, 4))
			ret(b, b.Op("Cast", onnx.NewAttrs("to", tensor.Float32), b.Op("Cast", onnx.NewAttrs("to", tensor.Float16), y)))
		},
	},
	{
		Name: "norm-scale", Doc: "factor per element of the last dimension after LayerNormalization or RMSNormalization => its scale",
		Pattern: AnyOf(Op("Mul", Op("LayerNormalization", Var("x"), ConstAny("ones")).As("norm"), Var("scale")),
			Op("Mul", Op("RMSNormalization", Var("x"), ConstAny("ones")).As("norm"), Var("scale"))),
		Where: func(m *Match) bool {
			n := m.Node("norm")
			return isVectorOf(m.Var("scale"), n.Out[0]) && isLastAxis(n) && sameType(n.Out[0], m.Root.Out[0]) && allEqual(m.Const("ones"), 1, 0)
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			n := m.Node("norm")
			return b.Ops("", n.Op, n.Attrs, 1, m.Var("x"), flat(b, m.Var("scale")))
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 3, 4)
			y := b.Op("LayerNormalization", nil, x, ones(b, tensor.Float32, 4))
			ret(b, b.Op("Mul", nil, floats(b, 1, 4), y))
		},
	},
	{
		Name: "norm-bias", Doc: "term per element of the last dimension after LayerNormalization => its bias",
		Pattern: Op("Add", Op("LayerNormalization", Var("x"), Var("scale")).As("norm"), Var("bias")),
		Where: func(m *Match) bool {
			n := m.Node("norm")
			return isVectorOf(m.Var("bias"), n.Out[0]) && isLastAxis(n) && sameType(n.Out[0], m.Root.Out[0])
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			n := m.Node("norm")
			return b.Ops("", n.Op, n.Attrs, 1, m.Var("x"), m.Var("scale"), flat(b, m.Var("bias")))
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 3, 4)
			ret(b, b.Op("Add", nil, floats(b, 4), b.Op("LayerNormalization", nil, x, floats(b, 4))))
		},
	},
	{
		Name: "group-norm", Doc: "InstanceNormalization of channels that a Reshape joins in groups => GroupNormalization",
		Pattern: Op("Reshape", Op("InstanceNormalization", Op("Reshape", Var("x"), ConstAny("shape")).As("groups"), ConstAny("scale"), ConstAny("bias")).As("norm"),
			Var("back")),
		Where: func(m *Match) bool {
			x, g := m.Var("x"), m.Node("groups").Out[0]
			if !keepsFloats(m) || x.Type.Rank() < 3 || g.Type.Rank() != 3 || !g.Type.Dims[0].Equal(x.Type.Dims[0]) {
				return false
			}
			c, ok := x.Type.Dims[1].Size()
			n, ok2 := g.Type.Dims[1].Size()
			return ok && ok2 && n > 0 && c%n == 0
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			if b.G.Opsets[""] < 21 { // scale and bias were per group
				return nil
			}
			c, _ := m.Var("x").Type.Dims[1].Size()
			n, _ := m.Node("groups").Out[0].Type.Dims[1].Size()
			scale, ok := reals(m.Const("scale"))
			bias, ok2 := reals(m.Const("bias"))
			if !ok || !ok2 || len(scale) != n || len(bias) != n {
				return nil
			}
			d := m.Const("scale").DType()
			each := func(v []float64) *onnx.Value {
				out := make([]float64, c)
				for i := range out {
					out[i] = v[i/(c/n)]
				}
				return b.Const(fromReals(out, d))
			}
			as := onnx.NewAttrs("num_groups", n, "epsilon", floatAttr(m.Node("norm"), "epsilon", 1e-5))
			return b.Ops("", "GroupNormalization", as, 1, m.Var("x"), each(scale), each(bias))
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 6, 4, 4)
			y := b.Op("InstanceNormalization", nil, b.Op("Reshape", nil, x, b.Ints(0, 3, -1)), floats(b, 3), floats(b, 3))
			ret(b, b.Op("Reshape", nil, y, b.Op("Shape", nil, x)))
		},
	},
	{
		Name: "group-norm-affine", Doc: "constant factor or term per channel after GroupNormalization or InstanceNormalization => its scale or bias",
		Pattern: AnyOf(Op("Mul", channelNorm(), ConstAny("factor")), Op("Add", channelNorm(), ConstAny("term"))),
		Where: func(m *Match) bool {
			n := m.Node("norm")
			return sameType(n.Out[0], m.Root.Out[0]) && (n.Op != "GroupNormalization" || n.Opset >= 21)
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			n, c := m.Node("norm"), m.Const("factor")
			if c == nil {
				c = m.Const("term")
			}
			scale, ok := reals(m.Const("scale"))
			bias, ok2 := reals(m.Const("bias"))
			v, ok3 := reals(c)
			axis := 1 - (n.Out[0].Type.Rank() - c.Rank())
			if !ok || !ok2 || !ok3 || len(v) != 1 && (axis < 0 || len(v) != len(scale) || c.Dim(axis) != len(v)) || len(bias) != len(scale) || !finite(v) {
				return nil
			}
			for i := range scale {
				f := v[i%len(v)]
				if m.Const("factor") != nil {
					scale[i] *= f
					bias[i] *= f
				} else {
					bias[i] += f
				}
			}
			d := m.Const("scale").DType()
			return b.Ops("", n.Op, n.Attrs, 1, m.Var("x"), b.Const(fromReals(scale, d)), b.Const(fromReals(bias, d)))
		},
		Example: func(b *ops.Builder) {
			y := b.Op("InstanceNormalization", nil, in(b, "x", 2, 3, 4), floats(b, 3), floats(b, 3))
			ret(b, b.Op("Add", nil, b.Op("Mul", nil, y, floats(b, 3, 1)), floats(b, 1, 3, 1)))
		},
	},
}

// channelNorms are rules for normalizations over the channels of images. They
// write Transposes, which the order of dimensions that is chosen later absorbs.
var channelNorms = []*Rule{
	{
		Name: "layer-norm-channels", Doc: "(x - mean) / sqrt(mean((x - mean)^2) + epsilon) over dimension 1 => LayerNormalization between Transposes",
		Pattern: func() *Pattern {
			x := Var("x")
			d := Op("Sub", x, Op("ReduceMean", x).Rest().As("mean"))
			return overRoot(d, Op("ReduceMean", AnyOf(Op("Mul", d, d), Op("Pow", d, Near(2)))).Rest().As("square"))
		}(),
		Where: func(m *Match) bool {
			return keepsFloats(m) && m.Var("x").Type.Rank() > 2 && overChannels(m.Node("mean")) && overChannels(m.Node("square"))
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			x := m.Var("x")
			c, ok := x.Type.Dims[1].Size()
			eps, ok2 := scalar(m.Const("epsilon"))
			if !ok || !ok2 || c < 1 || eps < 0 {
				return nil
			}
			last, back := []int{0}, []int{0, x.Type.Rank() - 1}
			for i := 2; i < x.Type.Rank(); i++ {
				last, back = append(last, i), append(back, i-1)
			}
			y := b.Op("Transpose", onnx.NewAttrs("perm", append(last, 1)), x)
			y = b.Op("LayerNormalization", onnx.NewAttrs("axis", -1, "epsilon", float32(eps)), y, ones(b, x.Type.DType, c))
			return b.Ops("", "Transpose", onnx.NewAttrs("perm", back), 1, y)
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 3, 4, 5)
			mean := func(x *onnx.Value) *onnx.Value { return b.Op("ReduceMean", nil, x, b.Ints(1)) }
			d := b.Op("Sub", nil, x, mean(x))
			v := b.Op("Sqrt", nil, b.Op("Add", nil, mean(b.Op("Mul", nil, d, d)), f32(b, 1e-6)))
			ret(b, b.Op("Div", nil, d, v))
		},
	},
}

// overChannels reports whether n reduces dimension 1 alone and keeps it.
func overChannels(n *onnx.Node) bool {
	axes, given, ok := constInts(n, 1, "axes")
	return ok && given && len(axes) == 1 && (axes[0] == 1 || axes[0] == 1-n.In[0].Type.Rank()) && intAttr(n, "keepdims", 1) != 0
}

func channelNorm() *Pattern {
	return AnyOf(Op("GroupNormalization", Var("x"), ConstAny("scale"), ConstAny("bias")).As("norm"),
		Op("InstanceNormalization", Var("x"), ConstAny("scale"), ConstAny("bias")).As("norm"))
}

// inverseRoot matches 1 / sqrt(v + epsilon).
func inverseRoot(v *Pattern) *Pattern {
	sum := Op("Add", v, ConstAny("epsilon"))
	root := Op("Sqrt", sum)
	return AnyOf(Op("Reciprocal", root), Op("Div", Near(1), root), Op("Pow", sum, Near(-0.5)))
}

// overRoot matches x / sqrt(v + epsilon).
func overRoot(x, v *Pattern) *Pattern {
	return AnyOf(Op("Div", x, Op("Sqrt", Op("Add", v, ConstAny("epsilon")))), Op("Mul", x, inverseRoot(v)))
}

// trailingAxes returns how many dimensions n, a reduction, reduces if these are
// the last ones and stay with size 1; 0 otherwise.
func trailingAxes(n *onnx.Node) int {
	rank := n.In[0].Type.Rank()
	axes, given, ok := constInts(n, 1, "axes")
	if !ok || !given || rank < 1 || len(axes) == 0 || len(axes) > rank || intAttr(n, "keepdims", 1) == 0 {
		return 0
	}
	seen := map[int]bool{}
	for _, a := range axes {
		if a < 0 {
			a += rank
		}
		if a < rank-len(axes) || a >= rank || seen[a] {
			return 0
		}
		seen[a] = true
	}
	return len(axes)
}

func sameAxes(a, b *onnx.Node) bool { return trailingAxes(a) == trailingAxes(b) }

// rewriteNorm writes the normalization op of x over the axes that the node
// "square" reduces, with the scale and bias that are matched; without, a scale of ones.
func rewriteNorm(op string, m *Match, b *ops.Builder) []*onnx.Value {
	x := m.Var("x")
	k := trailingAxes(m.Node("square"))
	eps, ok := scalar(m.Const("epsilon"))
	if k == 0 || !ok || eps < 0 {
		return nil
	}
	shape := make([]int, k)
	for i := range shape {
		n, known := x.Type.Dims[len(x.Type.Dims)-k+i].Size()
		if !known || n < 1 || n > 1<<20 {
			return nil
		}
		shape[i] = n
	}
	params := []*onnx.Value{x, nil}
	if v := m.Var("scale"); v != nil {
		params[1] = flat(b, v)
	} else {
		params[1] = ones(b, x.Type.DType, shape...)
	}
	if v := m.Var("bias"); v != nil {
		params = append(params, flat(b, v))
	}
	return b.Ops("", op, onnx.NewAttrs("axis", -k, "epsilon", float32(eps)), 1, params...)
}

// isLastAxis reports whether n normalizes over the last dimension alone.
func isLastAxis(n *onnx.Node) bool {
	a := int(intAttr(n, "axis", -1))
	return a == -1 || a == n.Out[0].Type.Rank()-1
}

// isVectorOf reports whether v is known to hold one number for each element of
// the last dimension of x, and to be of its type.
func isVectorOf(v, x *onnx.Value) bool {
	r, s := v.Type.Rank(), x.Type.Rank()
	if r < 1 || s < 1 || r > s || v.Type.DType != x.Type.DType || !v.Type.Dims[r-1].Equal(x.Type.Dims[s-1]) {
		return false
	}
	return !slices.ContainsFunc(v.Type.Dims[:r-1], func(d onnx.Dim) bool { return !d.Is(1) })
}

// flat returns v, whose dimensions but the last are 1, without these.
func flat(b *ops.Builder, v *onnx.Value) *onnx.Value {
	if v.Type.Rank() == 1 {
		return v
	}
	if v.Const != nil {
		if t, err := v.Const.Reshape(v.Const.Len()); err == nil {
			return b.Const(t)
		}
	}
	return b.Op("Reshape", nil, v, b.Ints(-1))
}

// ones adds a constant of ones.
func ones(b *ops.Builder, d tensor.DType, shape ...int) *onnx.Value {
	t := tensor.New(d, shape...)
	switch d {
	case tensor.Float32:
		fill[float32](t, 1)
	case tensor.Float64:
		fill[float64](t, 1)
	case tensor.Float16:
		fill(t, tensor.F16Of(1))
	case tensor.BFloat16:
		fill(t, tensor.BF16Of(1))
	}
	return b.Const(t)
}

func fill[T tensor.Element](t *tensor.Tensor, v T) {
	for i, d := 0, tensor.Data[T](t); i < len(d); i++ {
		d[i] = v
	}
}
