package optimize

import (
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// attentions are rules that find softmax(scale·Q·Kᵀ + mask)·V and then draw
// into the operator what surrounds it: repeated heads, a cache of keys and
// values, the reordering of heads.
var attentions = []*Rule{
	{
		Name: "attention", Doc: "softmax of a product, scaled and masked, times a matrix => Attention",
		Pattern: attentionPattern(),
		Rewrite: rewriteAttention,
		Example: func(b *ops.Builder) {
			t := func(v *onnx.Value, perm ...int) *onnx.Value {
				return b.Op("Transpose", onnx.NewAttrs("perm", perm), v)
			}
			q, k, v := in(b, "q", 2, 3, 5, 4), in(b, "k", 2, 3, 7, 4), in(b, "v", 2, 3, 7, 6)
			last := onnx.NewAttrs("axis", -1)
			mask := b.Op("Where", nil, b.Op("Cast", onnx.NewAttrs("to", tensor.Bool), in(b, "mask", 2, 1, 5, 7)), f32(b, 0), f32(b, -math.MaxFloat32))
			s := b.Op("Div", nil, b.Op("MatMul", nil, q, t(k, 0, 1, 3, 2)), f32(b, 2))
			y := b.Op("MatMul", nil, b.Op("Softmax", last, b.Op("Add", nil, s, mask)), v)
			// Scaled on both sides, the keys transposed from another order, a guard against empty rows.
			k2 := t(in(b, "k2", 2, 7, 3, 4), 0, 2, 3, 1)
			s2 := b.Op("MatMul", nil, b.Op("Mul", nil, q, f32(b, 0.5)), b.Op("Mul", nil, k2, f32(b, 0.5)))
			c := b.Op("Where", nil, inOf(b, tensor.Bool, "c", 5, 7), s2, f32(b, math.Inf(-1)))
			w := b.Op("Softmax", last, c)
			w = b.Op("Where", nil, b.Op("IsNaN", nil, w), f32(b, 0), w)
			// Heads and batch in one dimension.
			q3, k3, v3 := in(b, "q3", 6, 5, 4), in(b, "k3", 6, 7, 4), in(b, "v3", 6, 7, 4)
			u := b.Op("Softmax", last, b.Op("Add", nil, b.Op("MatMul", nil, q3, t(k3, 0, 2, 1)), floats(b, 6, 5, 7)))
			// A mask of which nothing is known, one with an empty row, one that leaves none.
			p := b.Op("Softmax", last, b.Op("Add", nil, b.Op("MatMul", nil, q, t(k, 0, 1, 3, 2)), in(b, "free", 5, 7)))
			hole := b.Op("Expand", nil, b.Const(tensor.Of([]float32{0, 1, float32(math.Inf(-1)), 2, 0}, 5, 1)), b.Ints(5, 7))
			h := b.Op("Softmax", last, b.Op("Add", nil, b.Op("MatMul", nil, q, t(k, 0, 1, 3, 2)), hole))
			whole := b.Op("Where", nil, b.Op("Greater", nil, hole, f32(b, -1)), b.Op("MatMul", nil, q, t(k, 0, 1, 3, 2)), f32(b, math.Inf(-1)))
			causal := b.Op("Trilu", onnx.NewAttrs("upper", 1), b.Op("Expand", nil, f32(b, math.Inf(-1)), b.Ints(5, 7)), b.Const(tensor.Scalar(int64(1))))
			z := b.Op("Softmax", last, b.Op("Add", nil, b.Op("MatMul", nil, q, t(k, 0, 1, 3, 2)), causal))
			// One head of keys and values for all.
			k1, v1 := in(b, "k1", 2, 1, 7, 4), in(b, "v1", 2, 1, 7, 6)
			one := b.Op("MatMul", nil, b.Op("Softmax", last, b.Op("MatMul", nil, q, t(k1, 0, 1, 3, 2))), v1)
			ret(b, y, one, b.Op("MatMul", nil, w, v), b.Op("MatMul", nil, u, v3), b.Op("MatMul", nil, p, v), b.Op("MatMul", nil, z, v),
				b.Op("MatMul", nil, h, v), b.Op("MatMul", nil, b.Op("Softmax", last, whole), v))
		},
	},
	{
		Name: "attention-groups", Doc: "keys and values that are repeated for groups of heads before Attention => Attention that reads them in turn",
		Pattern: Op("Attention", Var("q"), repeated("k"), repeated("v")).Rest(),
		Where: func(m *Match) bool {
			n, k, v := m.Root, m.Var("k").Type.Dims, m.Var("v").Type.Dims
			return isRepeat(m.Node("kr"), m.Node("ky"), m.Var("k")) && isRepeat(m.Node("vr"), m.Node("vy"), m.Var("v")) && k[1].Equal(v[1]) &&
				input(n, 4) == nil && input(n, 5) == nil && len(n.Out) == 1
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			in := slices.Clone(m.Root.In)
			in[1], in[2] = m.Var("k"), m.Var("v")
			return b.Ops("", "Attention", m.Root.Attrs, 1, in...)
		},
		Example: func(b *ops.Builder) {
			q, k, v := in(b, "q", 1, 6, 5, 4), in(b, "k", 1, 2, 7, 4), in(b, "v", 1, 2, 7, 4)
			rep := func(x *onnx.Value) *onnx.Value {
				x = b.Op("Expand", nil, b.Op("Unsqueeze", nil, x, b.Ints(2)), b.Ints(1, 2, 3, 7, 4))
				return b.Op("Reshape", nil, x, b.Ints(1, 6, 7, 4))
			}
			ret(b, b.Op("Attention", nil, q, rep(k), rep(v)))
		},
	},
	{
		Name: "attention-past", Doc: "Attention over keys and values joined with those of the past => Attention with a cache",
		Pattern: Op("Attention", Var("q"), Op("Concat", Var("pk"), Var("k")).As("ck").Shared(), Op("Concat", Var("pv"), Var("v")).As("cv").Shared()).Rest(),
		Where: func(m *Match) bool {
			n := m.Root
			for _, c := range []string{"ck", "cv"} {
				c := m.Node(c)
				if a := intAttr(c, "axis", 0); a != 2 && a != -2 || c.Out[0].Type.Rank() != 4 {
					return false
				}
			}
			for i := 4; i < len(n.In); i++ {
				if n.In[i] != nil {
					return false
				}
			}
			return len(n.Out) == 1 && intAttr(n, "is_causal", 0) == 0 && m.Var("q").Type.Rank() == 4
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			in := []*onnx.Value{m.Var("q"), m.Var("k"), m.Var("v"), input(m.Root, 3), m.Var("pk"), m.Var("pv")}
			v := b.Ops("", "Attention", m.Root.Attrs, 3, in...)
			m.Also(m.Node("ck").Out[0], v[1])
			m.Also(m.Node("cv").Out[0], v[2])
			return v[:1]
		},
		Example: func(b *ops.Builder) {
			q, k, v := in(b, "q", 1, 2, 5, 4), in(b, "k", 1, 2, 5, 4), in(b, "v", 1, 2, 5, 3)
			join := func(p, x *onnx.Value) *onnx.Value { return b.Op("Concat", onnx.NewAttrs("axis", -2), p, x) }
			ck, cv := join(in(b, "pk", 1, 2, 7, 4), k), join(in(b, "pv", 1, 2, 7, 3), v)
			ret(b, b.Op("Attention", nil, q, ck, cv), ck, cv)
		},
	},
	{
		Name: "attention-heads", Doc: "Transpose of Attention of Transposes => Attention with heads beside each other",
		Pattern: Op("Transpose", Op("Attention", Var("q"), Var("k"), Var("v")).As("att").Rest().Shared()),
		Where:   func(m *Match) bool { return headsApart(m.Node("att")) },
		Rewrite: rewriteHeads,
		Example: func(b *ops.Builder) {
			t := func(v *onnx.Value, perm ...int) *onnx.Value {
				return b.Op("Transpose", onnx.NewAttrs("perm", perm), v)
			}
			q, k, v := in(b, "q", 2, 5, 4, 8), in(b, "k", 2, 7, 2, 8), in(b, "v", 7, 2, 2, 8)
			y := b.Op("Attention", nil, t(q, 0, 2, 1, 3), t(k, 0, 2, 1, 3), t(v, 1, 2, 0, 3))
			ret(b, t(y, 2, 0, 1, 3))
		},
	},
}

// attentionPattern matches the product with the values. What scales or
// transposes Q and K is looked at by rewriteAttention.
func attentionPattern() *Pattern {
	qk := Op("MatMul", Var("q"), Var("k")).As("qk")
	scaled := AnyOf(Op("Mul", qk, ConstAny("scale")), Op("Div", qk, ConstAny("divisor")), qk)
	capped := AnyOf(Op("Mul", Op("Tanh", AnyOf(Op("Div", scaled, ConstAny("cap")), Op("Mul", scaled, ConstAny("uncap")))), ConstAny("softcap")), scaled)
	masked := Op("Add", capped, Var("mask"))
	scores := AnyOf(
		Op("Add", masked, Var("mask2")),
		masked,
		Op("Mul", masked, ConstAny("scale2")),
		Op("Div", masked, ConstAny("divisor2")),
		Op("Where", Var("keep"), capped, ConstAny("fill")),
		Op("Where", Var("drop"), ConstAny("fill"), capped),
		capped,
	)
	soft := AnyOf(Op("Softmax", scores).As("softmax"), Op("Cast", Op("Softmax", Op("Cast", scores)).As("softmax")))
	return Op("MatMul", AnyOf(Op("Where", Op("IsNaN", soft), Const(0, 0), soft).As("guard"), soft), Var("v"))
}

func rewriteAttention(m *Match, b *ops.Builder) []*onnx.Value {
	qk, v := m.Node("qk").Out[0], m.Var("v")
	rank := qk.Type.Rank()
	soft := m.Node("softmax")
	def := int64(-1)
	if soft.Opset < 13 {
		def = 1
	}
	if a := intAttr(soft, "axis", def); a != -1 && a != int64(rank-1) || rank != 3 && rank != 4 ||
		!isFloating(qk) || v.Type.DType != qk.Type.DType || !sameDims(qk.Type, soft.Out[0].Type) {
		return nil
	}
	scale := 1.0
	q, k := unscaled(m.Var("q"), &scale), unscaled(m.Var("k"), &scale)
	k = unscaled(transposed(b, k), &scale)
	factors := 1.0 // what the mask is multiplied by too
	for _, c := range []struct {
		name   string
		to     *float64
		divide bool
	}{{"scale", &scale, false}, {"divisor", &scale, true}, {"scale2", &factors, false}, {"divisor2", &factors, true}} {
		if t := m.Const(c.name); t != nil {
			f, ok := scalar(t)
			if !ok || f == 0 {
				return nil
			}
			if c.divide {
				f = 1 / f
			}
			*c.to *= f
		}
	}
	if b.Err() != nil || scale*factors == 0 || math.IsNaN(scale*factors) || math.IsInf(scale*factors, 0) {
		return nil
	}
	// Batches and heads must be those of Q everywhere. Of what else is broadcast
	// Attention knows one head of keys and values for all of Q's.
	for _, x := range []*onnx.Value{q, k, v} {
		if x.Type.Rank() != rank || x.Type.DType != qk.Type.DType {
			return nil
		}
		for i, d := range x.Type.Dims[:rank-2] {
			if shared := rank == 4 && i == 1 && x != q && k.Type.Dims[1].Is(1) && v.Type.Dims[1].Is(1); !shared && (!d.Known() || !d.Equal(q.Type.Dims[i])) {
				return nil
			}
		}
	}
	if !k.Type.Dims[rank-2].Equal(v.Type.Dims[rank-2]) || !k.Type.Dims[rank-2].Equal(qk.Type.Dims[rank-1]) {
		return nil
	}
	mask, ok := attentionMask(m, b, qk.Type, factors)
	if !ok {
		return nil
	}
	as := onnx.NewAttrs("scale", float32(scale*factors))
	if c := m.Const("softcap"); c != nil {
		top, ok := scalar(c)
		in, inv := m.Const("cap"), false
		if in == nil {
			in, inv = m.Const("uncap"), true
		}
		below, ok2 := scalar(in)
		if inv {
			below = 1 / below
		}
		if !ok || !ok2 || !(top > 0) || math.Abs(top-below) > 1e-6*top || factors != 1 {
			return nil
		}
		as = as.Set("softcap", float32(top))
	}
	if rank == 3 {
		as = as.Set("q_num_heads", int64(1)).Set("kv_num_heads", int64(1))
	}
	return b.Ops("", "Attention", as, 1, q, k, v, mask)
}

// unscaled returns what v is a multiple of, by a scalar constant, which it
// multiplies scale by.
func unscaled(v *onnx.Value, scale *float64) *onnx.Value {
	for v != nil && v.From != nil && ops.NormalDomain(v.From.Domain) == "" && len(v.From.In) == 2 {
		n, i := v.From, 1
		if n.Op != "Mul" && n.Op != "Div" {
			break
		}
		if n.Op == "Mul" && n.In[1].Const == nil {
			i = 0
		}
		x := n.In[1-i]
		f, ok := scalar(n.In[i].Const)
		if !ok || f == 0 || !sameType(v, x) || !isFloating(v) {
			break
		}
		if n.Op == "Div" {
			f = 1 / f
		}
		*scale *= f
		v = x
	}
	return v
}

// transposed returns v with its last two dimensions swapped: what it was made
// from, if it was made by that.
func transposed(b *ops.Builder, v *onnx.Value) *onnx.Value {
	r := v.Type.Rank()
	if r < 2 {
		return v
	}
	swap := make([]int, r)
	for i := range swap {
		swap[i] = i
	}
	swap[r-2], swap[r-1] = r-1, r-2
	if n := v.From; n != nil && n.Domain == "" {
		switch n.Op {
		case "Transpose":
			if p, ok := permOf(n); ok && len(p) == r {
				p = slices.Clone(p)
				p[r-2], p[r-1] = p[r-1], p[r-2]
				if isIdentityPerm(p) {
					return n.In[0]
				}
				return b.Op("Transpose", onnx.NewAttrs("perm", p), n.In[0])
			}
		case "Reshape": // of leading dimensions only
			x := n.In[0]
			s := x.Type.Rank()
			if s < 2 || !x.Type.Dims[s-1].Equal(v.Type.Dims[r-1]) || !x.Type.Dims[s-2].Equal(v.Type.Dims[r-2]) {
				break
			}
			if x.From == nil || x.From.Op != "Transpose" {
				break
			}
			to := v.Type
			to.Dims = slices.Clone(to.Dims)
			to.Dims[r-2], to.Dims[r-1] = to.Dims[r-1], to.Dims[r-2]
			x = transposed(b, x)
			if x == nil { // the Builder has an error
				return v
			}
			if f := x.From; f != nil && f.Op == "Reshape" && sameDims(f.In[0].Type, to) {
				return f.In[0]
			}
			if shape, ok := reshapeTo(x.Type, to); ok {
				return b.Op("Reshape", nil, x, b.Ints(shape...))
			}
		}
	}
	return b.Op("Transpose", onnx.NewAttrs("perm", swap), v)
}

// repeated matches what repeats each head of the value called name; the nodes'
// names begin with it.
func repeated(name string) *Pattern {
	x := Var(name)
	one := AnyOf(Op("Unsqueeze", x).Rest().Shared(), Op("Reshape", x, Var(name+"s")).Shared())
	return Op("Reshape", AnyOf(Op("Expand", one, Var(name+"e")).As(name+"r").Shared(), Op("Tile", one, Var(name+"e")).As(name+"r").Shared()), Var(name+"t")).As(name + "y").Shared()
}

// isRepeat reports whether n, an Expand or Tile of x [b, h, t, d] as [b, h, 1, t, d],
// gives [b, h, groups, t, d], and y joins the heads.
func isRepeat(n, y *onnx.Node, x *onnx.Value) bool {
	from, mid, to := x.Type, n.In[0].Type, n.Out[0].Type
	if from.Rank() != 4 || mid.Rank() != 5 || to.Rank() != 5 || !mid.Dims[2].Is(1) {
		return false
	}
	for _, i := range []int{0, 1, 3, 4} {
		if d := from.Dims[min(i, i-i/3)]; !d.Known() || !d.Equal(mid.Dims[i]) || !d.Equal(to.Dims[i]) {
			return false
		}
	}
	// Heads and groups must be what the Reshape joins.
	t := y.Out[0].Type
	return t.Rank() == 4 && t.Dims[0].Equal(to.Dims[0]) && t.Dims[1].Equal(to.Dims[1].Mul(to.Dims[2])) &&
		t.Dims[2].Equal(to.Dims[3]) && t.Dims[3].Equal(to.Dims[4])
}

// headsApart reports whether n is an Attention whose inputs have their heads
// before the positions because they were transposed, and which one node reads.
func headsApart(n *onnx.Node) bool {
	y := n.Out[0]
	if y.Type.Rank() != 4 || len(y.Users()) != 1 || n.Graph.IsOutput(y) {
		return false
	}
	for _, x := range n.In[:3] {
		if x.Type.Rank() != 4 || x.From == nil || x.From.Op != "Transpose" {
			return false
		}
		p, ok := permOf(x.From)
		_, heads := x.Type.Dims[1].Size()
		_, size := x.Type.Dims[3].Size()
		// What is left of the Transpose must keep each position's heads together.
		if !ok || len(p) != 4 || !heads || !size || p[3] != 3 || p[1] != 2 {
			return false
		}
	}
	return true
}

func rewriteHeads(m *Match, b *ops.Builder) []*onnx.Value {
	n := m.Node("att")
	p, ok := permOf(m.Root)
	if !ok || len(p) != 4 || p[3] != 3 {
		return nil
	}
	in := slices.Clone(n.In)
	var heads, size [3]int
	for i, x := range in[:3] {
		heads[i], _ = x.Type.Dims[1].Size()
		size[i], _ = x.Type.Dims[3].Size()
		from, _ := permOf(x.From)
		x, order := x.From.In[0], []int{from[0], from[2], from[1], 3}
		if !isIdentityPerm(order) {
			x = b.Op("Transpose", onnx.NewAttrs("perm", order), x)
		}
		in[i] = b.Op("Reshape", nil, x, b.Ints(0, 0, heads[i]*size[i]))
	}
	as := n.Attrs.Set("q_num_heads", int64(heads[0])).Set("kv_num_heads", int64(heads[1]))
	out := b.Ops("", "Attention", as, len(n.Out), in...)
	for i, v := range n.Out[1:] {
		if v != nil {
			m.Also(v, out[1+i])
		}
	}
	y := b.Op("Reshape", nil, out[0], b.Ints(0, 0, heads[0], size[2]))
	order := make([]int, 4)
	for i, a := range p {
		order[i] = [...]int{0, 2, 1, 3}[a]
	}
	if !isIdentityPerm(order) {
		y = b.Op("Transpose", onnx.NewAttrs("perm", order), y)
	}
	return []*onnx.Value{y}
}

// sameDims reports whether the dimensions of a and b are known to be equal.
func sameDims(a, b onnx.Type) bool {
	return a.Ranked && b.Ranked && slices.EqualFunc(a.Dims, b.Dims, onnx.Dim.Equal)
}
