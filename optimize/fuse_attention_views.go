package optimize

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
)

// attentionViews are rules for attention that joins batch and heads in one
// dimension, and parts them where a mask is added: everything is computed with
// the two apart.
var attentionViews = []*Rule{
	{
		Name: "parted-product", Doc: "Reshape that parts batch and heads of a product, whose operands were parted before => product of the parted ones",
		Pattern: Op("Reshape", Op("MatMul", Var("q"), Var("k")), Var("shape")),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			to := m.Root.Out[0].Type
			q := parted(m.Var("q"))
			if q == nil || to.Rank() != 4 || !sameDims(tensorOf(to.Dims[:2]), tensorOf(q.Type.Dims[:2])) {
				return nil
			}
			k := transposed(b, m.Var("k"))
			if k == nil {
				return nil
			}
			if k = parted(k); k == nil || !sameDims(tensorOf(k.Type.Dims[:2]), tensorOf(q.Type.Dims[:2])) {
				return nil
			}
			return b.Ops("", "MatMul", nil, 1, q, b.Op("Transpose", onnx.NewAttrs("perm", []int{0, 1, 3, 2}), k))
		},
		Example: func(b *ops.Builder) {
			q := b.Op("Reshape", nil, in(b, "q", 2, 3, 5, 4), b.Ints(6, 5, 4))
			k := b.Op("Reshape", nil, in(b, "k", 2, 3, 7, 4), b.Ints(6, 7, 4))
			s := b.Op("MatMul", nil, q, b.Op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1}), k))
			ret(b, b.Op("Reshape", nil, s, b.Ints(2, 3, 5, 7)))
		},
	},
	{
		Name: "softmax-view", Doc: "Softmax along the last dimension of a Reshape of the others => Reshape of Softmax",
		Pattern: Op("Softmax", Op("Reshape", Var("x"), Var("shape"))),
		Where: func(m *Match) bool {
			n, x := m.Root, m.Var("x")
			a := intAttr(n, "axis", -1)
			return n.Opset >= 13 && (a == -1 || a == int64(n.Out[0].Type.Rank()-1)) && sameLast(x, n.Out[0])
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			return b.Ops("", "Reshape", m.Root.In[0].From.Attrs, 1, b.Op("Softmax", onnx.NewAttrs("axis", -1), m.Var("x")), m.Var("shape"))
		},
		Example: func(b *ops.Builder) {
			x := b.Op("Reshape", nil, in(b, "x", 2, 3, 5, 7), b.Ints(6, 5, 7))
			ret(b, b.Op("Softmax", onnx.NewAttrs("axis", 2), x))
		},
	},
	{
		Name: "joined-product", Doc: "product of matrices whose batch and heads were joined => the product with them apart, then joined",
		Pattern: Op("MatMul", Op("Reshape", Op("Softmax", Var("x")).As("w"), Var("shape")), Var("v")),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			w := m.Node("w").Out[0]
			v := parted(m.Var("v"))
			if v == nil || w.Type.Rank() != 4 || m.Root.In[0].Type.Rank() != 3 || !sameDims(tensorOf(w.Type.Dims[:2]), tensorOf(v.Type.Dims[:2])) ||
				!sameLast(w, m.Root.In[0]) || !v.Type.Dims[2].Equal(w.Type.Dims[3]) {
				return nil
			}
			return []*onnx.Value{joined(b, b.Op("MatMul", nil, w, v), m.Var("v"))}
		},
		Example: func(b *ops.Builder) {
			w := b.Op("Reshape", nil, b.Op("Softmax", nil, in(b, "w", 2, 3, 5, 7)), b.Ints(6, 5, 7))
			ret(b, b.Op("MatMul", nil, w, b.Op("Reshape", nil, in(b, "v", 2, 3, 7, 4), b.Ints(6, 7, 4))))
		},
	},
	{
		Name: "attention-parted", Doc: "Attention of one head for each batch and head => Attention with batch and heads apart",
		Pattern: Op("Attention", Var("q"), Var("k"), Var("v")).Rest(),
		Where: func(m *Match) bool {
			n := m.Root
			return m.Var("q").Type.Rank() == 3 && len(n.In) == 3 && len(n.Out) == 1 && intAttr(n, "q_num_heads", 0) == 1 && intAttr(n, "kv_num_heads", 0) == 1
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			in := slices.Clone(m.Root.In)
			for i, v := range in {
				if in[i] = parted(v); in[i] == nil || !sameDims(tensorOf(in[i].Type.Dims[:2]), tensorOf(in[0].Type.Dims[:2])) {
					return nil
				}
			}
			as := m.Root.Attrs.Without("q_num_heads").Without("kv_num_heads")
			return []*onnx.Value{joined(b, b.Op("Attention", as, in...), m.Var("q"))}
		},
		Example: func(b *ops.Builder) {
			join := func(name string, n int) *onnx.Value {
				return b.Op("Reshape", nil, in(b, name, 2, 3, n, 4), b.Ints(6, n, 4))
			}
			ret(b, b.Op("Attention", onnx.NewAttrs("q_num_heads", 1, "kv_num_heads", 1), join("q", 5), join("k", 7), join("v", 7)))
		},
	},
}

// parted returns the value [b, h, n, d] that v [b*h, n, d] is a view of, or nil.
func parted(v *onnx.Value) *onnx.Value {
	t := v.Type
	for x := v; t.Rank() == 3; x = x.From.In[0] {
		if d := x.Type.Dims; x.Type.Rank() == 4 && d[0].Known() && d[1].Known() && d[0].Mul(d[1]).Equal(t.Dims[0]) &&
			sameDims(tensorOf(d[2:]), tensorOf(t.Dims[1:])) {
			return x
		}
		if x.From == nil || !isView(x.From) {
			return nil
		}
	}
	return nil
}

// joined is the inverse of parted; like has the leading dimension.
func joined(b *ops.Builder, v, like *onnx.Value) *onnx.Value {
	first := b.Op("Shape", onnx.NewAttrs("start", 0, "end", 1), like)
	rest := b.Op("Shape", onnx.NewAttrs("start", 2), v)
	return b.Op("Reshape", nil, v, b.Op("Concat", onnx.NewAttrs("axis", 0), first, rest))
}
