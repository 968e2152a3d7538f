package optimize

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// canonShape are rules that bring what only moves or selects into one form, so
// that other rules see the same graph whichever program wrote it.
var canonShape = []*Rule{
	{
		Name: "constant-shape", Doc: "Reshape to computed sizes that are those of its input => Reshape with a constant shape",
		Pattern: Op("Reshape", Var("x"), Var("shape")),
		Where: func(m *Match) bool {
			return m.Root.Opset >= 5 && m.Var("shape").Const == nil
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			x := m.Var("x")
			shape, ok := reshapeTo(x.Type, m.Root.Out[0].Type)
			if !ok {
				return nil
			}
			return b.Ops("", "Reshape", nil, 1, x, b.Ints(shape...))
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 3, 8)
			s := b.Op("Shape", nil, x)
			one := func(i int) *onnx.Value { return b.Op("Gather", nil, s, b.Ints(i)) }
			shape := b.Op("Concat", onnx.NewAttrs("axis", 0), one(0), one(1), b.Ints(4), b.Ints(2))
			ret(b, b.Op("Reshape", nil, x, shape))
		},
	},
	{
		Name: "join-unsqueezes", Doc: "Reshape, Squeeze, Unsqueeze or Flatten of a value that was only reshaped => one Reshape",
		// Reshape of a Reshape is join-reshapes' business.
		Pattern: AnyOf(reshaping(AnyOf(reshaping(Var("x"), true), Op("Reshape", Var("x"), Var("old")).Shared()), false),
			Op("Reshape", reshaping(Var("x"), true), Var("shape"))),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			x := m.Var("x")
			shape, ok := reshapeTo(x.Type, m.Root.Out[0].Type)
			if !ok || b.G.Opsets[""] < 5 {
				return nil
			}
			return b.Ops("", "Reshape", nil, 1, x, b.Ints(shape...))
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 3)
			ret(b, b.Op("Unsqueeze", nil, b.Op("Unsqueeze", nil, x, b.Ints(1)), b.Ints(0, 4)))
		},
	},
	{
		Name: "drop-views", Doc: "chain of Reshape, Squeeze, Unsqueeze and Flatten that ends with the shape it began with => its beginning",
		Pattern: AnyOf(Op("Reshape", Var("x")).Rest(), reshaping(Var("x"), false)),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			for x := m.Var("x"); ; x = x.From.In[0] {
				if sameType(x, m.Root.Out[0]) {
					return only(m, x)
				}
				if x.From == nil || x.From.Graph != m.Root.Graph || !isView(x.From) {
					return nil
				}
			}
		},
		Example: func(b *ops.Builder) {
			x := b.Op("Neg", nil, in(b, "x", 2, 3))
			y := b.Op("Flatten", nil, b.Op("Unsqueeze", nil, x, b.Ints(1)))
			ret(b, b.Op("Reshape", nil, y, b.Op("Shape", nil, x)))
		},
	},
	{
		Name: "drop-expand", Doc: "Expand of an operand that is broadcast anyway => the operand itself",
		Pattern: AnyOf(stretched("Add"), stretched("Sub"), stretched("Mul"), stretched("Div"), stretched("And"), stretched("Or"), stretched("Equal"),
			stretched("Less"), stretched("Greater"), stretched("LessOrEqual"), stretched("GreaterOrEqual"),
			Op("Where", Op("Expand", Var("x"), Var("s")).Shared(), Var("y"), Var("z"))),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			n := m.Root
			if n.Opset < 7 || b.G.Opsets[""] < 7 {
				return nil
			}
			in := slices.Clone(n.In)
			var rest []onnx.Type
			for i, v := range in {
				if e := v.From; e != nil && e.Op == "Expand" && e.In[0] == m.Var("x") && e.In[1] == m.Var("s") {
					in[i] = m.Var("x")
				} else {
					rest = append(rest, v.Type)
				}
			}
			// The others must have the result's shape without it.
			if !slices.ContainsFunc(rest, func(t onnx.Type) bool { return sameDims(t, n.Out[0].Type) }) {
				return nil
			}
			return b.Ops("", n.Op, n.Attrs, 1, in...)
		},
		Example: func(b *ops.Builder) {
			x, y := in(b, "x", 1, 3), in(b, "y", 2, 3)
			ret(b, b.Op("Mul", nil, y, b.Op("Expand", nil, x, b.Op("Shape", nil, y))))
		},
	},
	{
		Name: "square", Doc: "Pow(x, 2) => x * x, Pow(x, 0.5) => Sqrt(x), Pow(x, -1) => Reciprocal(x)",
		Pattern: AnyOf(Op("Pow", Var("x"), Const(2, 0)).As("square"), Op("Pow", Var("x"), Const(0.5, 0)).As("root"),
			Op("Pow", Var("x"), Const(-1, 0)).As("inverse")),
		Where: func(m *Match) bool {
			return keepsType("x")(m) && isFloating(m.Var("x"))
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			x := m.Var("x")
			switch {
			case m.Node("square") != nil:
				return b.Ops("", "Mul", nil, 1, x, x)
			case m.Node("inverse") != nil:
				return b.Ops("", "Reciprocal", nil, 1, x)
			}
			return b.Ops("", "Sqrt", nil, 1, x)
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 3)
			ret(b, b.Op("Pow", nil, x, b.Float(tensor.Float32, 2)))
		},
	},
	{
		Name: "constant-where", Doc: "Where with a condition that is the same everywhere => the chosen input",
		Pattern: Op("Where", ConstAny("c"), Var("x"), Var("y")),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			c := m.Const("c")
			if c.DType() != tensor.Bool || c.Len() == 0 || c.Len() > 1<<16 {
				return nil
			}
			v := m.Var("y")
			pick := tensor.Data[bool](c)
			if pick[0] {
				v = m.Var("x")
			}
			if !every(c, func(x bool) bool { return x == pick[0] }) || !sameType(m.Root.Out[0], v) {
				return nil
			}
			return only(m, v)
		},
		Example: func(b *ops.Builder) {
			x, y := b.Op("Neg", nil, in(b, "x", 2, 3)), in(b, "y", 3)
			ret(b, b.Op("Where", nil, b.Const(tensor.Of([]bool{true, true, true}, 3)), x, y))
		},
	},
	{
		Name: "not-where", Doc: "Where(Not(c), x, y) => Where(c, y, x)",
		Pattern: Op("Where", Op("Not", Var("c")).Shared(), Var("x"), Var("y")),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			return b.Ops("", "Where", nil, 1, m.Var("c"), m.Var("y"), m.Var("x"))
		},
		Example: func(b *ops.Builder) {
			c := inOf(b, tensor.Bool, "c", 2, 3)
			ret(b, b.Op("Where", nil, b.Op("Not", nil, c), in(b, "x", 2, 3), in(b, "y", 3)))
		},
	},
	{
		Name: "drop-true", Doc: "And(x, true) or Or(x, false) of the same type => x",
		Pattern: AnyOf(Op("And", Var("x"), ConstAny("true")), Op("Or", Var("x"), ConstAny("false"))),
		Where: func(m *Match) bool {
			c, want := m.Const("true"), true
			if c == nil {
				c, want = m.Const("false"), false
			}
			return c.DType() == tensor.Bool && c.Len() > 0 && c.Len() <= 1<<16 && keepsType("x")(m) &&
				every(c, func(x bool) bool { return x == want })
		},
		Rewrite: give("x"),
		Example: func(b *ops.Builder) {
			x := b.Op("Not", nil, inOf(b, tensor.Bool, "x", 2, 3))
			ret(b, b.Op("And", nil, b.Const(tensor.Scalar(true)), x))
		},
	},
}

// stretched matches an operator of two operands, one of which is expanded.
func stretched(op string) *Pattern {
	e := Op("Expand", Var("x"), Var("s")).Shared()
	return AnyOf(Op(op, e, Var("y")), Op(op, Var("y"), e))
}

// reshaping matches operators whose results hold their input's elements in
// order, but for Reshape.
func reshaping(x *Pattern, shared bool) *Pattern {
	ps := []*Pattern{Op("Squeeze", x).Rest(), Op("Unsqueeze", x).Rest(), Op("Flatten", x)}
	for _, p := range ps {
		p.shared = shared
	}
	return AnyOf(ps...)
}

// isFloating reports whether v holds floating-point numbers.
func isFloating(v *onnx.Value) bool { return v.Type.Kind == onnx.TensorKind && v.Type.DType.IsFloat() }

// reshapeTo returns the constant shape that a Reshape (allowzero=0) needs to
// give a value of type from the shape of type to: sizes that are the same in
// both at one place are written as 0, one that remains as -1.
func reshapeTo(from, to onnx.Type) ([]int, bool) {
	if !from.Ranked || !to.Ranked {
		return nil, false
	}
	shape := make([]int, len(to.Dims))
	rest := 0
	for i, d := range to.Dims {
		n, known := d.Size()
		switch {
		case known && n > 0:
			shape[i] = n
		case i < len(from.Dims) && d.Equal(from.Dims[i]):
			shape[i] = 0
		case known || rest > 0:
			return nil, false
		default:
			shape[i] = -1
			rest++
		}
	}
	if rest > 0 {
		// With a size of 0 elsewhere the one left out could not be told.
		for i, n := range shape {
			if n == 0 && !positive(to.Dims[i]) {
				return nil, false
			}
		}
	}
	return shape, true
}

// positive reports whether d is known to be above 0.
func positive(d onnx.Dim) bool { return d.Sub(onnx.Size(1)).NonNegative() }
