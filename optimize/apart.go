package optimize

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
)

// apart are rules for models that another runtime's optimizer has written: they
// take apart what it has joined, so that all other rules find the operators they
// look for. What belongs together here is joined again by these.
var apart = []*Rule{
	{
		Name: "apart-product", Doc: "FusedMatMul of two computed matrices => MatMul of Transposes, scaled",
		Pattern: Op("com.microsoft.FusedMatMul", Var("a"), Var("b")),
		// A constant would be transposed in memory, which nothing gains by.
		Where:   func(m *Match) bool { return constOf(m.Var("a")) == nil && constOf(m.Var("b")) == nil },
		Rewrite: takeApart,
		Example: func(b *ops.Builder) {
			x, y := in(b, "x", 2, 3, 4, 5), in(b, "y", 2, 3, 6, 5)
			ret(b, b.Ops("com.microsoft", "FusedMatMul", onnx.NewAttrs("transB", 1, "alpha", 0.5), 1, x, y)[0],
				b.Ops("com.microsoft", "FusedMatMul", onnx.NewAttrs("transA", 1, "transBatchA", 1), 1, in(b, "z", 3, 2, 4), in(b, "w", 2, 3, 5))[0])
		},
	},
	{
		Name: "apart-gemm", Doc: "FusedGemm => Gemm and a function of each element",
		Pattern: Op("com.microsoft.FusedGemm").Rest(),
		Rewrite: takeApart,
		Example: func(b *ops.Builder) {
			as := onnx.NewAttrs("activation", "LeakyRelu", "activation_alpha", 0.25, "transB", 1)
			ret(b, b.Ops("com.microsoft", "FusedGemm", as, 1, in(b, "x", 3, 4), floats(b, 5, 4), floats(b, 5))[0])
		},
	},
	{
		Name: "apart-norm", Doc: "SkipLayerNormalization or SkipSimplifiedLayerNormalization of a product => Add, which the product takes in, and the normalization",
		Pattern: AnyOf(Op("com.microsoft.SkipLayerNormalization", Var("x"), Var("skip"), Var("gamma")).Rest(),
			Op("com.microsoft.SkipSimplifiedLayerNormalization", Var("x"), Var("skip"), Var("gamma")).Rest()),
		Where: func(m *Match) bool {
			x, skip := m.Var("x"), m.Var("skip")
			return sameType(x, m.Root.Out[0]) && sameType(x, skip) && (ofProduct(x) || ofProduct(skip))
		},
		Rewrite: rewriteApartNorm,
		Example: func(b *ops.Builder) {
			x := b.Op("MatMul", nil, in(b, "x", 2, 3, 4), floats(b, 4, 5))
			y := b.Ops("com.microsoft", "SkipLayerNormalization", onnx.NewAttrs("epsilon", 1e-5), 4, x, in(b, "skip", 2, 3, 5), floats(b, 5), floats(b, 5), floats(b, 5))
			z := b.Ops("com.microsoft", "SkipSimplifiedLayerNormalization", nil, 1, y[3], b.Op("MatMul", nil, y[0], floats(b, 5, 5)), floats(b, 5))
			ret(b, y[0], z[0])
		},
	},
}

// takeApart is the Rewrite that puts in what the root stands for.
func takeApart(m *Match, b *ops.Builder) []*onnx.Value { return b.Expand(m.Root) }

// ofProduct reports whether v is a product of floats that nothing else reads,
// seen through what keeps its elements in order and a bias.
func ofProduct(v *onnx.Value) bool {
	for v.Uses() == 1 && v.From != nil {
		n := v.From
		switch {
		case n.Op == "MatMul" || n.Op == "Gemm" || n.Op == "FusedMatMul" || n.Op == "FusedGemm":
			return isReal(v)
		case n.Op == "Add" && slices.ContainsFunc(n.In, func(x *onnx.Value) bool { return constOf(x) != nil }):
			v = n.In[0]
			if constOf(v) != nil {
				v = n.In[1]
			}
		case isView(n):
			v = n.In[0]
		default:
			return false
		}
	}
	return false
}

func rewriteApartNorm(m *Match, b *ops.Builder) []*onnx.Value {
	n, norm, bias := m.Root, "LayerNormalization", input(m.Root, 4)
	args := []*onnx.Value{nil, m.Var("gamma"), input(n, 3)}
	if n.Op == "SkipSimplifiedLayerNormalization" {
		norm, bias, args = "RMSNormalization", input(n, 3), args[:2]
	}
	x, skip := m.Var("x"), m.Var("skip")
	if bias != nil { // first to the product
		if ofProduct(x) {
			x = b.Op("Add", nil, x, bias)
		} else {
			skip = b.Op("Add", nil, skip, bias)
		}
	}
	args[0] = b.Op("Add", nil, x, skip)
	out := make([]*onnx.Value, max(4, len(n.Out)))
	out[0] = b.Op(norm, onnx.NewAttrs("axis", -1, "epsilon", floatAttr(n, "epsilon", 1e-12)), args...)
	out[3] = args[0]
	return out
}
