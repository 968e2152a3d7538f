package optimize

import (
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// identities are rules that drop nodes which do not change their input, and
// join chains of nodes that one node can stand for.
var identities = []*Rule{
	{
		Name: "drop-identity", Doc: "Identity(x) => x",
		Pattern: Op("Identity", Var("x")),
		Rewrite: give("x"),
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2)
			ret(b, b.Op("Identity", nil, b.Op("Neg", nil, x)))
		},
	},
	{
		Name: "drop-dropout", Doc: "Dropout that is not training => its input",
		Pattern: Op("Dropout", Var("x")).Rest(),
		Where: func(m *Match) bool {
			n := m.Root
			switch {
			case n.Opset < 7:
				return intAttr(n, "is_test", 0) != 0
			case n.Opset < 12:
				return true
			}
			t := input(n, 2)
			return t == nil || t.Const != nil && t.Const.DType() == tensor.Bool && t.Const.Len() == 1 && !tensor.Data[bool](t.Const)[0]
		},
		Rewrite: give("x"),
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 3)
			ret(b, b.Op("Dropout", nil, b.Op("Neg", nil, x), b.Float(tensor.Float32, 0.5)))
		},
	},
	{
		Name: "drop-cast", Doc: "Cast or CastLike to the type that x has => x",
		Pattern: AnyOf(Op("Cast", Var("x")), Op("CastLike", Var("x"), Var("like"))),
		Where: func(m *Match) bool {
			d := m.Var("x").Type.DType
			return d != tensor.Undefined && d == m.Root.Out[0].Type.DType
		},
		Rewrite: give("x"),
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2)
			ret(b, b.Op("Cast", onnx.NewAttrs("to", tensor.Float32), b.Op("Neg", nil, x)))
		},
	},
	{
		Name: "join-casts", Doc: "Cast(Cast(x)) => Cast(x) where the first loses nothing",
		Pattern: Op("Cast", Op("Cast", Var("x")).As("first").Shared()),
		Where: func(m *Match) bool {
			from, mid, to := m.Var("x").Type.DType, m.Node("first").Out[0].Type.DType, m.Root.Out[0].Type.DType
			if !lossless(from, mid) || m.Root.Attrs.Get("to") == nil || to == tensor.String || to == tensor.Undefined {
				return false
			}
			// Out of range, conversion from a float need not wrap as integers do.
			return !from.IsInt() || mid.IsInt() || !to.IsInt() || lossless(from, to)
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			return b.Ops("", "Cast", m.Root.Attrs, 1, m.Var("x"))
		},
		Example: func(b *ops.Builder) {
			x := inOf(b, tensor.Int32, "x", 3)
			ret(b, b.Op("Cast", onnx.NewAttrs("to", tensor.Float32), b.Op("Cast", onnx.NewAttrs("to", tensor.Int64), x)))
		},
	},
	{
		Name: "drop-reshape", Doc: "Reshape, Flatten, Squeeze, Unsqueeze or Expand to the shape that x has => x",
		// Equal types decide: none of these moves an element.
		Pattern: AnyOf(Op("Reshape", Var("x")).Rest(), Op("Flatten", Var("x")), Op("Squeeze", Var("x")).Rest(),
			Op("Unsqueeze", Var("x")).Rest(), Op("Expand", Var("x"), Var("shape"))),
		Where:   keepsType("x"),
		Rewrite: give("x"),
		Example: func(b *ops.Builder) {
			x := b.Op("Neg", nil, in(b, "x", 2, 3))
			ret(b, b.Op("Reshape", nil, x, b.Ints(2, -1)))
		},
	},
	{
		Name: "join-reshapes", Doc: "Reshape of a value that was only reshaped => Reshape of the original",
		Pattern: Op("Reshape", AnyOf(Op("Reshape", Var("x")).Rest().Shared(), Op("Flatten", Var("x")).Shared(),
			Op("Squeeze", Var("x")).Rest().Shared(), Op("Unsqueeze", Var("x")).Rest().Shared()), ConstAny("shape")),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			s, err := ops.IntsOf(m.Const("shape"))
			if err != nil {
				return nil
			}
			if !slices.Contains(s, 0) {
				return b.Ops("", "Reshape", m.Root.Attrs, 1, m.Var("x"), m.Var("shape"))
			}
			// A zero copies a dimension of the value in between.
			s, ok := reshapeTo(m.Var("x").Type, m.Root.Out[0].Type)
			if !ok {
				return nil
			}
			return b.Ops("", "Reshape", nil, 1, m.Var("x"), b.Ints(s...))
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 3, 4)
			ret(b, b.Op("Reshape", nil, b.Op("Reshape", nil, x, b.Ints(6, 4)), b.Ints(3, -1)))
		},
	},
	{
		Name: "drop-transpose", Doc: "Transpose that leaves every axis in place => x",
		Pattern: Op("Transpose", Var("x")),
		Where: func(m *Match) bool {
			p, ok := permOf(m.Root)
			return ok && isIdentityPerm(p)
		},
		Rewrite: give("x"),
		Example: func(b *ops.Builder) {
			x := b.Op("Neg", nil, in(b, "x", 2, 3))
			ret(b, b.Op("Transpose", onnx.NewAttrs("perm", []int{0, 1}), x))
		},
	},
	{
		Name: "join-transposes", Doc: "Transpose(Transpose(x)) => one Transpose",
		Pattern: Op("Transpose", Op("Transpose", Var("x")).As("first").Shared()),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			p, ok := permOf(m.Node("first"))
			q, ok2 := permOf(m.Root)
			if !ok || !ok2 || len(p) != len(q) {
				return nil
			}
			r := make([]int, len(p))
			for i, k := range q {
				if k < 0 || k >= len(p) {
					return nil
				}
				r[i] = p[k]
			}
			if isIdentityPerm(r) {
				return only(m, m.Var("x"))
			}
			return b.Ops("", "Transpose", onnx.NewAttrs("perm", r), 1, m.Var("x"))
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 3, 4)
			y := b.Op("Transpose", onnx.NewAttrs("perm", []int{1, 0, 2}), x)
			ret(b, b.Op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1}), y))
		},
	},
	{
		Name: "drop-slice", Doc: "Slice that takes everything => x",
		Pattern: Op("Slice", Var("x")).Rest(),
		Where: func(m *Match) bool {
			steps, given, ok := constInts(m.Root, 4, "steps")
			return ok && (!given || all(steps, 1)) && sameType(m.Root.Out[0], m.Var("x"))
		},
		Rewrite: give("x"),
		Example: func(b *ops.Builder) {
			x := b.Op("Neg", nil, in(b, "x", 2, 3))
			ret(b, b.Op("Slice", nil, x, b.Ints(0), b.Ints(math.MaxInt), b.Ints(1), b.Ints(1)))
		},
	},
	{
		Name: "drop-pad", Doc: "Pad by nothing => x",
		Pattern: Op("Pad", Var("x")).Rest(),
		Where: func(m *Match) bool {
			p, given, ok := constInts(m.Root, 1, "pads")
			return ok && given && all(p, 0)
		},
		Rewrite: give("x"),
		Example: func(b *ops.Builder) {
			x := b.Op("Neg", nil, in(b, "x", 2, 3))
			ret(b, b.Op("Pad", nil, x, b.Ints(0, 0, 0, 0)))
		},
	},
	{
		Name: "drop-tile", Doc: "Tile once along every axis => x",
		Pattern: Op("Tile", Var("x"), ConstAny("repeats")),
		Where: func(m *Match) bool {
			r, err := ops.IntsOf(m.Const("repeats"))
			return err == nil && all(r, 1)
		},
		Rewrite: give("x"),
		Example: func(b *ops.Builder) {
			x := b.Op("Neg", nil, in(b, "x", 2, 3))
			ret(b, b.Op("Tile", nil, x, b.Ints(1, 1)))
		},
	},
	{
		Name: "drop-single", Doc: "Concat, Sum, Max, Min or Mean of one value => that value",
		Pattern: AnyOf(Op("Concat", Var("x")), Op("Sum", Var("x")), Op("Max", Var("x")), Op("Min", Var("x")), Op("Mean", Var("x"))),
		Rewrite: give("x"),
		Example: func(b *ops.Builder) {
			x := b.Op("Neg", nil, in(b, "x", 2, 3))
			ret(b, b.Op("Concat", onnx.NewAttrs("axis", 0), x))
		},
	},
	{
		Name: "drop-neutral", Doc: "x + 0, x - 0, x * 1, x / 1 or x ^ 1 of the same type => x",
		Pattern: AnyOf(Op("Add", Var("x"), Const(0, 0)), Op("Sub", Var("x"), Const(0, 0)), Op("Mul", Var("x"), Const(1, 0)),
			Op("Div", Var("x"), Const(1, 0)), Op("Pow", Var("x"), Const(1, 0))),
		Where:   keepsType("x"),
		Rewrite: give("x"),
		Example: func(b *ops.Builder) {
			x := b.Op("Neg", nil, in(b, "x", 2, 3))
			ret(b, b.Op("Mul", nil, b.Float(tensor.Float32, 1), x))
		},
	},
	{
		Name: "drop-double", Doc: "Not(Not(x)), Neg(Neg(x)) or BitwiseNot(BitwiseNot(x)) => x",
		Pattern: AnyOf(Op("Not", Op("Not", Var("x")).Shared()), Op("Neg", Op("Neg", Var("x")).Shared()),
			Op("BitwiseNot", Op("BitwiseNot", Var("x")).Shared())),
		Rewrite: give("x"),
		Example: func(b *ops.Builder) {
			x := b.Op("Abs", nil, in(b, "x", 2, 3))
			ret(b, b.Op("Neg", nil, b.Op("Neg", nil, x)))
		},
	},
	{
		Name: "drop-repeat", Doc: "f(f(x)) => f(x) for Relu, Abs, Floor, Ceil, Round and Sign",
		Pattern: AnyOf(repeat("Relu"), repeat("Abs"), repeat("Floor"), repeat("Ceil"), repeat("Round"), repeat("Sign")),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value { return only(m, m.Node("first").Out[0]) },
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 3)
			ret(b, b.Op("Relu", nil, b.Op("Relu", nil, x)))
		},
	},
}

// repeat matches op(y) where y is a result of op already.
func repeat(op string) *Pattern { return Op(op, Op(op, Var("x")).As("first").Shared()) }

// lossless reports whether every value of type a is a value of type b.
func lossless(a, b tensor.DType) bool {
	if a == b {
		return a != tensor.Undefined
	}
	mantissa := map[tensor.DType]int{tensor.Float16: 11, tensor.BFloat16: 8, tensor.Float32: 24, tensor.Float64: 53}
	bits, wide := a.Bits(), b.Bits()
	switch {
	case a == tensor.Bool:
		return b.IsInt() || mantissa[b] > 0
	case a.IsUnsigned() && b.IsUnsigned(), a.IsSigned() && b.IsSigned():
		return bits < wide
	case a.IsUnsigned() && b.IsSigned():
		return bits < wide
	case a.IsUnsigned():
		return mantissa[b] >= bits && (b != tensor.Float16 || bits < 16)
	case a.IsSigned():
		return mantissa[b] >= bits-1 && (b != tensor.Float16 || bits < 16)
	case a == tensor.Float16, a == tensor.BFloat16:
		return b == tensor.Float32 || b == tensor.Float64
	case a == tensor.Float32:
		return b == tensor.Float64
	}
	return false
}
