package optimize

import (
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// dynamicProducts are rules for products of integers whose scales are only
// known at run time, as dynamic quantization writes them:
//
//	Y = float(MatMulInteger(A, B, za, zb)) · (sa·sb) + bias
var dynamicProducts = []*Rule{
	{
		Name: "dynamic-matmul", Doc: "MatMulInteger, Cast to float32, Mul by both scales, and a bias => com.microsoft.MatMulIntegerToFloat",
		Pattern: AnyOf(Op("Add", scaledInts("MatMulInteger"), ConstAny("bias")), scaledInts("MatMulInteger")),
		Where: func(m *Match) bool {
			n := m.Node("op")
			sa, sb := m.Var("sa"), m.Var("sb")
			if m.Node("cast").Out[0].Type.DType != tensor.Float32 || !oneFloat(sa) || sb.Type.DType != tensor.Float32 || sb.Const == nil || sb.Const.Rank() > 1 {
				return false
			}
			b := n.In[1]
			columns := -1
			if b.Type.Rank() == 2 {
				columns, _ = b.Type.Dims[1].Size()
			}
			for i := 2; i < 4; i++ { // zero points: one of A, one or one for each column of B
				z := input(n, i)
				if z == nil {
					continue
				}
				size, ok := z.Type.Static()
				if !ok || len(size) > 1 || len(size) == 1 && size[0] != 1 && (i == 2 || size[0] != columns) {
					return false
				}
			}
			return sb.Const.Len() == 1 || sb.Const.Len() == columns && m.Node("mul").Out[0].Type.Rank() > 0
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			n := m.Node("op")
			bias, ok := columnBias(m.Var("bias"), m.Node("mul").Out[0])
			if !ok {
				return nil
			}
			sb := m.Var("sb")
			if sb.Const.Len() == 1 {
				sb = withoutDims(b, sb)
			}
			in := []*onnx.Value{n.In[0], n.In[1], m.Var("sa"), sb, input(n, 2), input(n, 3)}
			if bias != nil {
				in = append(in, bias)
			}
			for in[len(in)-1] == nil {
				in = in[:len(in)-1]
			}
			return b.Ops("com.microsoft", "MatMulIntegerToFloat", nil, 1, in...)
		},
		Example: func(b *ops.Builder) {
			q := b.Ops("", "DynamicQuantizeLinear", nil, 3, in(b, "x", 2, 3, 4))
			sums := func(w, s *onnx.Value, zero ...*onnx.Value) *onnx.Value {
				y := b.Op("MatMulInteger", nil, append([]*onnx.Value{q[0], w, q[2]}, zero...)...)
				f := b.Op("Cast", onnx.NewAttrs("to", int(tensor.Float32)), y)
				return b.Op("Mul", nil, f, b.Op("Mul", nil, q[1], s))
			}
			w := b.Const(tensor.Of([]int8{1, -2, 3, 4, 50, 6, -7, 8, 9, 100, 11, 12}, 4, 3))
			u := b.Const(tensor.Of([]uint8{1, 22, 3, 4, 50, 6, 77, 8}, 4, 2))
			ret(b, b.Op("Add", nil, floats(b, 3), sums(w, floats(b, 3))), sums(w, b.Float(tensor.Float32, 0.25)),
				sums(u, floats(b, 1), b.Const(tensor.Scalar(uint8(30)))))
		},
	},
}

// scaledInts matches the results of op, integers, and their scales.
func scaledInts(op string) *Pattern {
	cast := Op("Cast", Op(op).Rest().As("op")).As("cast")
	return AnyOf(
		Op("Mul", cast, Op("Mul", Var("sa"), ConstAny("sb")).Shared()).As("mul"),
		Op("Mul", Op("Mul", cast, Var("sa")), ConstAny("sb")).As("mul"),
	)
}

// oneFloat reports whether v is one float32 without dimensions, or with one of size 1.
func oneFloat(v *onnx.Value) bool {
	size, ok := v.Type.Static()
	return ok && v.Type.DType == tensor.Float32 && (len(size) == 0 || len(size) == 1 && size[0] == 1)
}
