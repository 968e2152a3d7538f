package optimize

import (
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// products are rules that gather what comes before and after a matrix product
// in one x.MatMul:
//
//	activation(alpha·A'·B' + bias + Z)
//
// They come when everything else is fused: other rules look for MatMul and Gemm.
var products = []*Rule{
	{
		Name: "product", Doc: "MatMul, Gemm or FusedMatMul of floating-point numbers => x.MatMul",
		Pattern: AnyOf(Op("MatMul", Var("a"), Var("b")), Op("com.microsoft.FusedMatMul", Var("a"), Var("b")),
			Op("Gemm", Var("a"), Var("b"), Var("c")), Op("Gemm", Var("a"), Var("b"))),
		Where:   func(m *Match) bool { return isReal(m.Var("a")) },
		Rewrite: rewriteProduct,
		Example: func(b *ops.Builder) {
			y := b.Op("MatMul", nil, in(b, "x", 2, 3, 4), floats(b, 4, 5))
			g := onnx.NewAttrs("alpha", 0.5, "beta", 2.0, "transB", 1)
			z := b.Op("Gemm", g, in(b, "u", 3, 4), floats(b, 5, 4), floats(b, 1, 5))
			ret(b, y, z, b.Op("Gemm", g, in(b, "v", 3, 4), floats(b, 5, 4), in(b, "c", 3, 5)))
		},
	},
	{
		Name: "product-transpose", Doc: "x.MatMul of a Transpose => x.MatMul that reads the original",
		Pattern: AnyOf(Op("x.MatMul", Op("Transpose", Var("a")).As("ta"), Var("b")).Rest(),
			Op("x.MatMul", Var("a"), Op("Transpose", Var("b")).As("tb")).Rest()),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			p, side, v, t := readProduct(m.Root), 0, m.Var("a"), m.Node("ta")
			if t == nil {
				side, v, t = 1, m.Var("b"), m.Node("tb")
			}
			perm, ok := permOf(t)
			if !ok || p == nil || len(perm) < 2 || !p.permute(side, perm) {
				return nil
			}
			p.in[side] = v
			return p.build(b)
		},
		Example: func(b *ops.Builder) {
			t := func(v *onnx.Value, perm ...int) *onnx.Value {
				return b.Op("Transpose", onnx.NewAttrs("perm", perm), v)
			}
			mul := func(x, y *onnx.Value) *onnx.Value { return b.Ops("x", "MatMul", nil, 1, x, y)[0] }
			ret(b, mul(t(in(b, "a", 2, 4, 3), 0, 2, 1), t(in(b, "b", 5, 4), 1, 0)),
				mul(t(in(b, "c", 3, 2, 4), 1, 0, 2), t(in(b, "d", 2, 4, 6), 0, 1, 2)),
				mul(t(in(b, "e", 2, 3, 5, 4), 0, 2, 1, 3), t(in(b, "f", 2, 3, 5, 4), 0, 2, 3, 1)))
		},
	},
	{
		Name: "product-weights", Doc: "x.MatMul of a Cast of constant weights from 16 bits => x.MatMul of these",
		Pattern: Op("x.MatMul", Var("a"), Op("Cast", ConstAny("w")).Shared()).Rest(),
		Where:   func(m *Match) bool { return m.Var("a").Type.DType == tensor.Float32 && is16(m.Var("w")) },
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			p, w := readProduct(m.Root), m.Var("w")
			if p == nil || m.Root.In[1].Type.DType != tensor.Float32 || p.transBatch[1] || p.perm[1] != nil || w.Type.Rank() != 2 || w.Const.Len() == 0 || m.Root.Out[0].Type.DType != tensor.Float32 {
				return nil
			}
			if n := w.Const.Dim(1); n == 1 && !p.trans[1] || p.trans[1] && w.Const.Dim(0) == 1 {
				return nil // columns are not packed
			}
			p.in[1] = w
			return p.build(b)
		},
		Example: func(b *ops.Builder) {
			c := b.Op("Cast", onnx.NewAttrs("to", tensor.Float32), b.Const(halves(4, 5)))
			ret(b, b.Ops("x", "MatMul", nil, 1, in(b, "x", 2, 3, 4), c)[0], b.Ops("x", "MatMul", onnx.NewAttrs("transB", 1), 1, in(b, "y", 3, 5), c)[0])
		},
	},
	{
		Name: "product-reshapes", Doc: "Reshape of x.MatMul of a Reshape that joins leading dimensions, and parts them again => x.MatMul",
		Pattern: Op("Reshape", Op("x.MatMul", AnyOf(Op("Reshape", Var("a")).Rest().Shared(), Op("Flatten", Var("a")).Shared()), Var("b")).As("p").Rest()).Rest(),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			p, a, out := readProduct(m.Node("p")), m.Var("a"), m.Root.Out[0]
			if p == nil || p.in[3] != nil || p.trans[0] || p.transBatch[0] || p.perm[0] != nil || p.in[1].Type.Rank() != 2 || p.in[0].Type.Rank() < 2 {
				return nil
			}
			r := a.Type.Rank()
			if r < 2 || out.Type.Rank() != r || !lastEqual(a, p.in[0]) || !lastEqual(out, m.Node("p").Out[0]) {
				return nil
			}
			for i, d := range a.Type.Dims[:r-1] {
				if !d.Known() || !d.Equal(out.Type.Dims[i]) {
					return nil
				}
			}
			p.in[0] = a
			return p.build(b)
		},
		Example: func(b *ops.Builder) {
			x := b.Op("Reshape", nil, in(b, "x", 2, 3, 4), b.Ints(-1, 4))
			y := b.Ops("x", "MatMul", nil, 1, x, floats(b, 4, 5), floats(b, 5))[0]
			ret(b, b.Op("Reshape", nil, y, b.Ints(2, 3, 5)))
		},
	},
	{
		Name: "product-scale", Doc: "scalar factor on an input or the output of x.MatMul => alpha",
		Pattern: AnyOf(
			Op("Mul", Op("x.MatMul", Var("a"), Var("b")).As("p").Rest(), ConstAny("s")),
			Op("Div", Op("x.MatMul", Var("a"), Var("b")).As("p").Rest(), ConstAny("s")),
			Op("x.MatMul", AnyOf(Op("Mul", Var("a"), ConstAny("s")).As("ma"), Op("Div", Var("a"), ConstAny("s")).As("ma")), Var("b")).As("p").Rest(),
			Op("x.MatMul", Var("a"), AnyOf(Op("Mul", Var("b"), ConstAny("s")).As("mb"), Op("Div", Var("b"), ConstAny("s")).As("mb"))).As("p").Rest()),
		Rewrite: rewriteProductScale,
		Example: func(b *ops.Builder) {
			two := func() *onnx.Value { return b.Float(tensor.Float32, 2) }
			x := b.Op("Mul", nil, in(b, "x", 3, 4), two())
			y := b.Op("Div", nil, in(b, "y", 4, 5), two())
			ret(b, b.Op("Mul", nil, b.Float(tensor.Float32, 0.25), b.Ops("x", "MatMul", nil, 1, x, y)[0]),
				b.Op("Div", nil, b.Ops("x", "MatMul", nil, 1, in(b, "z", 3, 4), floats(b, 4, 5), floats(b, 5))[0], two()))
		},
	},
	{
		Name: "product-bias", Doc: "x.MatMul and Add of a vector, or Sub of a constant one => bias",
		Pattern: AnyOf(Op("Add", Op("x.MatMul", Var("a"), Var("b")).As("p").Rest(), Var("c")),
			Op("Sub", Op("x.MatMul", Var("a"), Var("b")).As("p").Rest(), ConstAny("c"))),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			p, c, out := readProduct(m.Node("p")), m.Var("c"), m.Node("p").Out[0]
			if p == nil || p.in[2] != nil || p.act != "" || !p.takesBias(c, out) || !sameType(out, m.Root.Out[0]) {
				return nil
			}
			if m.Root.Op == "Sub" {
				c = b.Op("Neg", nil, c)
			}
			p.in[2] = asVector(b, c)
			return p.build(b)
		},
		Example: func(b *ops.Builder) {
			mul := func(x *onnx.Value) *onnx.Value { return b.Ops("x", "MatMul", nil, 1, x, floats(b, 4, 5))[0] }
			x := in(b, "x", 2, 3, 4)
			ret(b, b.Op("Add", nil, floats(b, 5), mul(x)), b.Op("Add", nil, mul(b.Op("Neg", nil, x)), in(b, "c", 1, 5)),
				b.Op("Sub", nil, mul(b.Op("Abs", nil, x)), floats(b, 5)),
				b.Op("Add", nil, b.Ops("x", "MatMul", nil, 1, in(b, "rows", 2, 5, 4), floats(b, 4))[0], floats(b, 5))) // not a bias
		},
	},
	{
		Name: "product-add", Doc: "x.MatMul and Add of a tensor of its shape => Z",
		Pattern: Op("Add", Op("x.MatMul", Var("a"), Var("b")).As("p").Rest(), Var("c")),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			p, c, out := readProduct(m.Node("p")), m.Var("c"), m.Node("p").Out[0]
			if p == nil || p.in[3] != nil || p.act != "" || !sameType(out, c) || !sameType(out, m.Root.Out[0]) {
				return nil
			}
			p.in[3] = c
			return p.build(b)
		},
		Example: func(b *ops.Builder) {
			y := b.Ops("x", "MatMul", nil, 1, in(b, "x", 2, 3, 4), floats(b, 4, 5), floats(b, 5))[0]
			ret(b, b.Op("Add", nil, in(b, "z", 2, 3, 5), y))
		},
	},
	{
		Name: "product-activation", Doc: "x.MatMul and a function of each element => activation",
		Pattern: activations(func() *Pattern { return Op("x.MatMul", Var("a"), Var("b")).As("p").Rest() }),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			p, n := readProduct(m.Node("p")), m.Root
			if p == nil || p.act != "" {
				return nil
			}
			name, params, bias, ok := activationOf(m, m.Node("p"))
			if !ok || bias != nil && (p.in[2] != nil || !p.takesBias(bias, m.Node("p").Out[0])) || !sameType(n.Out[0], m.Node("p").Out[0]) {
				return nil
			}
			if bias != nil {
				p.in[2] = asVector(b, bias)
			}
			p.act, p.params = name, params
			return p.build(b)
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 3, 4)
			mul := func() *onnx.Value { return b.Ops("x", "MatMul", nil, 1, x, floats(b, 4, 5))[0] }
			y := mul()
			ret(b, b.Op("Relu", nil, mul()), b.Op("Elu", onnx.NewAttrs("alpha", 0.5), mul()), b.Op("Mul", nil, y, b.Op("Sigmoid", nil, y)),
				b.Op("Clip", nil, mul(), nil, b.Float(tensor.Float32, 3)), b.Ops("com.microsoft", "BiasGelu", nil, 1, mul(), floats(b, 5))[0])
		},
	},
}

// product is an x.MatMul taken apart. Index 0 is A's, 1 is B's.
type product struct {
	in         [4]*onnx.Value // A, B, bias, Z
	trans      [2]bool
	transBatch [2]bool
	perm       [2][]int
	alpha      float32
	act        string
	params     []float32
}

// readProduct returns nil if an attribute cannot be read.
func readProduct(n *onnx.Node) *product {
	p := &product{alpha: floatAttr(n, "alpha", 1)}
	copy(p.in[:], n.In)
	for i, s := range []string{"A", "B"} {
		p.trans[i] = intAttr(n, "trans"+s, 0) != 0
		p.transBatch[i] = intAttr(n, "transBatch"+s, 0) != 0
		perm, err := onnx.Attribute(n, "perm"+s, []int64(nil))
		if err != nil {
			return nil
		}
		for _, x := range perm {
			p.perm[i] = append(p.perm[i], int(x))
		}
	}
	var err, err2 error
	p.act, err = onnx.Attribute(n, "activation", "")
	p.params, err2 = onnx.Attribute(n, "activation_params", []float32(nil))
	if err != nil || err2 != nil {
		return nil
	}
	return p
}

func (p *product) build(b *ops.Builder) []*onnx.Value {
	var as onnx.Attrs
	for i, s := range []string{"A", "B"} {
		if p.trans[i] {
			as = as.Set("trans"+s, int64(1))
		}
		if p.transBatch[i] {
			as = as.Set("transBatch"+s, int64(1))
		}
		if p.perm[i] != nil {
			as = as.Set("perm"+s, ints64(p.perm[i]))
		}
	}
	if p.alpha != 1 {
		as = as.Set("alpha", p.alpha)
	}
	if p.act != "" {
		as = as.Set("activation", p.act)
		if len(p.params) > 0 {
			as = as.Set("activation_params", p.params)
		}
	}
	return b.Ops("x", "MatMul", as, 1, p.in[:]...)
}

func ints64(v []int) []int64 {
	out := make([]int64, len(v))
	for i, x := range v {
		out[i] = int64(x)
	}
	return out
}

// axes returns which stored axis each of batch…, rows, columns is, by the flags.
func axes(rank int, trans, transBatch bool) []int {
	a := make([]int, rank)
	for i := range a {
		a[i] = i
	}
	if transBatch {
		copy(a, a[1:rank-1])
		a[rank-2] = 0
	}
	if trans {
		a[rank-2], a[rank-1] = a[rank-1], a[rank-2]
	}
	return a
}

// permute lets the product read what Transpose with perm reads. It declines
// where neither rows nor columns would be contiguous.
func (p *product) permute(side int, perm []int) bool {
	r := len(perm)
	now := p.perm[side]
	if now == nil {
		if p.transBatch[side] && r < 3 {
			return false
		}
		now = axes(r, p.trans[side], p.transBatch[side])
	}
	if len(now) != r {
		return false
	}
	next := make([]int, r)
	for i, x := range now {
		if x < 0 || x >= r || perm[x] < 0 || perm[x] >= r {
			return false
		}
		next[i] = perm[x]
	}
	for _, f := range [][2]bool{{false, false}, {true, false}, {false, true}, {true, true}} {
		if (!f[1] || r > 2) && slices.Equal(next, axes(r, f[0], f[1])) {
			p.trans[side], p.transBatch[side], p.perm[side] = f[0], f[1], nil
			return true
		}
	}
	if next[r-1] != r-1 && next[r-2] != r-1 {
		return false
	}
	p.trans[side], p.transBatch[side], p.perm[side] = false, false, next
	return true
}

// isReal reports whether v is a tensor of a type that activations are defined on.
func isReal(v *onnx.Value) bool {
	switch v.Type.DType {
	case tensor.Float32, tensor.Float64, tensor.Float16, tensor.BFloat16:
		return true
	}
	return false
}

// lastEqual reports whether the last dimensions of both are known to be equal.
func lastEqual(v, w *onnx.Value) bool {
	r, s := v.Type.Rank(), w.Type.Rank()
	return r > 0 && s > 0 && v.Type.Dims[r-1].Known() && v.Type.Dims[r-1].Equal(w.Type.Dims[s-1])
}

// isBias reports whether c is known to hold one number for each column of out.
func isBias(c, out *onnx.Value) bool {
	if c.Type.DType != out.Type.DType || !isReal(c) || !lastEqual(c, out) {
		return false
	}
	for _, d := range c.Type.Dims[:len(c.Type.Dims)-1] {
		if !d.Equal(onnx.Size(1)) {
			return false
		}
	}
	return true
}

// takesBias reports whether c is known to hold one number for each column of
// the product out. Where B is a vector there is one column, and the last
// dimension of out is A's rows.
func (p *product) takesBias(c, out *onnx.Value) bool {
	return p.in[1].Type.Rank() >= 2 && isBias(c, out)
}

// asVector returns v, whose dimensions but the last are 1, without these.
func asVector(b *ops.Builder, v *onnx.Value) *onnx.Value {
	if v.Type.Rank() == 1 {
		return v
	}
	return b.Op("Reshape", nil, v, b.Ints(-1))
}

func rewriteProduct(m *Match, b *ops.Builder) []*onnx.Value {
	n := m.Root
	p := &product{in: [4]*onnx.Value{m.Var("a"), m.Var("b")}, alpha: 1}
	if n.Op != "MatMul" {
		q := readProduct(n)
		p.alpha, p.trans, p.transBatch = q.alpha, q.trans, q.transBatch
	}
	if p.alpha == 0 {
		return nil // x.MatMul leaves out what counts nothing, and 0·NaN is NaN
	}
	c, beta := m.Var("c"), floatAttr(n, "beta", 1)
	if c == nil || beta == 0 {
		return p.build(b)
	}
	at := 2
	switch out := n.Out[0]; {
	case isBias(c, out):
		c = asVector(b, c)
	case sameType(c, out):
		at = 3
	default:
		return nil
	}
	if beta != 1 {
		c = b.Op("Mul", nil, c, b.Float(c.Type.DType, float64(beta)))
	}
	p.in[at] = c
	return p.build(b)
}

func rewriteProductScale(m *Match, b *ops.Builder) []*onnx.Value {
	p, out := readProduct(m.Node("p")), m.Node("p").Out[0]
	f, ok := scalar(m.Const("s"))
	if p == nil || !ok || m.Const("s").Len() != 1 {
		return nil
	}
	if frac, _ := math.Frexp(math.Abs(f)); frac != 0.5 && m.Const("s").DType().Bits() == 16 {
		return nil // it would round otherwise than the model says
	}
	n, side := m.Root, -1
	switch {
	case m.Node("ma") != nil:
		n, side = m.Node("ma"), 0
	case m.Node("mb") != nil:
		n, side = m.Node("mb"), 1
	}
	if n.Op == "Div" {
		// The scalar may be the first operand of Mul, but not of Div.
		if n.In[1] != m.Var("s") || f == 0 {
			return nil
		}
		f = 1 / f
	}
	alpha := float32(f * float64(p.alpha))
	if alpha-alpha != 0 || alpha == 0 { // what overflows or is nothing stays as it was
		return nil
	}
	p.alpha = alpha
	if side >= 0 {
		v := n.In[0]
		if v == m.Var("s") {
			v = n.In[1]
		}
		if !sameType(v, n.Out[0]) && (v.Type.Rank() < 0 || m.Const("s").Rank() > v.Type.Rank()) {
			return nil
		}
		p.in[side] = v
		return p.build(b)
	}
	if p.act != "" || p.in[3] != nil || !sameType(out, n.Out[0]) {
		return nil
	}
	if c := p.in[2]; c != nil {
		p.in[2] = b.Op("Mul", nil, c, b.Float(c.Type.DType, f))
	}
	return p.build(b)
}
