package optimize

import (
	"math"

	"bytes"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// rotaries are rules that find rotary position embeddings.
var rotaries = []*Rule{
	{
		Name: "rotary", Doc: "x*cos + concat(-x2, x1)*sin for the halves x1, x2 of x => RotaryEmbedding",
		Pattern: Op("Add", Op("Mul", Var("x"), Var("cos")), Op("Mul", Op("Concat", Op("Neg", Var("x2")), Var("x1")).As("rotated"), Var("sin"))),
		Where:   func(m *Match) bool { return isHalf(m.Var("x1"), m.Var("x"), 0) && isHalf(m.Var("x2"), m.Var("x"), 1) },
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			x := m.Var("x")
			if !isLast(m.Node("rotated"), "axis", x.Type.Rank()) || !keepsFloats(m) {
				return nil
			}
			return rewriteRotary(b, x, halved(b, m.Var("cos"), 40), halved(b, m.Var("sin"), 40), nil)
		},
		Example: func(b *ops.Builder) {
			x, a := in(b, "x", 2, 3, 5, 8), in(b, "angles", 2, 5, 4)
			a = b.Op("Concat", onnx.NewAttrs("axis", -1), a, a)
			cos, sin := b.Op("Unsqueeze", nil, b.Op("Cos", nil, a), b.Ints(1)), b.Op("Unsqueeze", nil, b.Op("Sin", nil, a), b.Ints(1))
			half := func(lo, hi int) *onnx.Value {
				return b.Op("Slice", nil, x, b.Ints(lo), b.Ints(hi), b.Ints(3), b.Ints(1))
			}
			r := b.Op("Concat", onnx.NewAttrs("axis", -1), b.Op("Neg", nil, half(4, math.MaxInt32)), half(0, 4))
			ret(b, b.Op("Add", nil, b.Op("Mul", nil, x, cos), b.Op("Mul", nil, r, sin)))
		},
	},
	{
		Name: "rotary-halves", Doc: "concat(x1*cos - x2*sin, x2*cos + x1*sin) for the halves x1, x2 of x => RotaryEmbedding",
		Pattern: Op("Concat", Op("Sub", Op("Mul", Var("x1"), Var("cos")), Op("Mul", Var("x2"), Var("sin"))),
			Op("Add", Op("Mul", Var("x2"), Var("cos")), Op("Mul", Var("x1"), Var("sin")))),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			p, ok := lastPart(m.Var("x1"))
			if !ok || !isHalf(m.Var("x1"), p.of, 0) || !isHalf(m.Var("x2"), p.of, 1) || !isLast(m.Root, "axis", p.of.Type.Rank()) ||
				!isFloating(p.of) || !sameType(p.of, m.Root.Out[0]) {
				return nil
			}
			return rewriteRotary(b, p.of, m.Var("cos"), m.Var("sin"), nil)
		},
		Example: func(b *ops.Builder) {
			x, a := in(b, "x", 2, 5, 3, 8), in(b, "angles", 2, 5, 1, 4)
			cos, sin := b.Op("Cos", nil, a), b.Op("Sin", nil, a)
			h := b.Ops("", "Split", onnx.NewAttrs("axis", -1, "num_outputs", 2), 2, x)
			mul := func(x, y *onnx.Value) *onnx.Value { return b.Op("Mul", nil, x, y) }
			ret(b, b.Op("Concat", onnx.NewAttrs("axis", 3), b.Op("Sub", nil, mul(h[0], cos), mul(h[1], sin)),
				b.Op("Add", nil, mul(h[1], cos), mul(h[0], sin))))
		},
	},
	{
		Name: "rotary-pairs", Doc: "x*cos + (-x2, x1 in turn)*sin for the odd and even elements x2, x1 of x => RotaryEmbedding with interleaved pairs",
		Pattern: Op("Add", Op("Mul", Var("x"), Var("cos")), Op("Mul", Op("Reshape",
			Op("Concat", lastUnit(Op("Neg", Var("x2"))), lastUnit(Var("x1"))).As("pairs"), Var("shape")), Var("sin"))),
		Where: func(m *Match) bool {
			p, ok := lastPart(m.Var("x1"))
			q, ok2 := lastPart(m.Var("x2"))
			x, t := m.Var("x"), m.Node("pairs").Out[0].Type
			return ok && ok2 && p.of == x && q.of == x && p.step == 2 && q.step == 2 && p.lo == 0 && q.lo == 1 && p.hi >= p.size-1 && q.hi == q.size &&
				p.size%2 == 0 && isLast(m.Node("pairs"), "axis", t.Rank()) && t.Rank() == x.Type.Rank()+1 && t.Dims[t.Rank()-1].Is(2) && keepsFloats(m)
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			cos, sin := doubled(b, m.Var("cos")), doubled(b, m.Var("sin"))
			return rewriteRotary(b, m.Var("x"), cos, sin, onnx.NewAttrs("interleaved", 1))
		},
		Example: func(b *ops.Builder) {
			x, a := in(b, "x", 2, 5, 3, 8), in(b, "angles", 2, 5, 1, 4)
			twice := func(v *onnx.Value) *onnx.Value {
				v = b.Op("Expand", nil, b.Op("Unsqueeze", nil, v, b.Ints(-1)), b.Ints(1, 1, 1, 1, 2))
				return b.Op("Reshape", nil, v, b.Ints(2, 5, 1, 8))
			}
			half := func(i int) *onnx.Value {
				return b.Op("Unsqueeze", nil, b.Op("Slice", nil, x, b.Ints(i), b.Ints(8), b.Ints(-1), b.Ints(2)), b.Ints(-1))
			}
			neg := b.Op("Unsqueeze", nil, b.Op("Neg", nil, b.Op("Slice", nil, x, b.Ints(1), b.Ints(8), b.Ints(-1), b.Ints(2))), b.Ints(-1))
			r := b.Op("Reshape", nil, b.Op("Concat", onnx.NewAttrs("axis", -1), neg, half(0)), b.Ints(2, 5, 3, 8))
			ret(b, b.Op("Add", nil, b.Op("Mul", nil, x, twice(b.Op("Cos", nil, a))), b.Op("Mul", nil, r, twice(b.Op("Sin", nil, a)))))
		},
	},
	{
		Name: "rotary-part", Doc: "RotaryEmbedding of the first elements of each head, the others put behind it => RotaryEmbedding of all",
		Pattern: Op("Concat", Op("RotaryEmbedding", Var("first"), Var("cos"), Var("sin")).As("rotary"), Var("rest")),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			first, ok := lastPart(m.Var("first"))
			rest, ok2 := lastPart(m.Var("rest"))
			if !ok || !ok2 || first.of != rest.of || first.lo != 0 || first.hi != rest.lo || rest.hi != first.size || first.step != 1 || rest.step != 1 ||
				first.of.Type.Rank() != 4 || !isLast(m.Root, "axis", 4) || intAttr(m.Node("rotary"), "rotary_embedding_dim", 0) != 0 {
				return nil
			}
			as := m.Node("rotary").Attrs.Set("rotary_embedding_dim", int64(first.hi))
			return b.Ops("", "RotaryEmbedding", as, 1, first.of, m.Var("cos"), m.Var("sin"))
		},
		Example: func(b *ops.Builder) {
			x, a := in(b, "x", 2, 3, 5, 8), in(b, "angles", 2, 5, 2)
			part := func(lo, hi int) *onnx.Value { return b.Op("Slice", nil, x, b.Ints(lo), b.Ints(hi), b.Ints(-1)) }
			r := b.Op("RotaryEmbedding", nil, part(0, 4), b.Op("Cos", nil, a), b.Op("Sin", nil, a))
			ret(b, b.Op("Concat", onnx.NewAttrs("axis", -1), r, part(4, 8)))
		},
	},
	{
		Name: "rotary-heads", Doc: "RotaryEmbedding of a Transpose that brings heads forward => Transpose of RotaryEmbedding",
		Pattern: Op("RotaryEmbedding", Op("Transpose", Var("x")).As("t"), Var("cos"), Var("sin")).Rest(),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			x := m.Var("x")
			p, ok := permOf(m.Node("t"))
			if !ok || !slices.Equal(p, []int{0, 2, 1, 3}) {
				return nil
			}
			h, ok := x.Type.Dims[2].Size()
			d, ok2 := x.Type.Dims[3].Size()
			if !ok || !ok2 {
				return nil
			}
			in := slices.Clone(m.Root.In)
			in[0] = b.Op("Reshape", nil, x, b.Ints(0, 0, h*d))
			y := b.Op("RotaryEmbedding", m.Root.Attrs.Set("num_heads", int64(h)), in...)
			return b.Ops("", "Transpose", onnx.NewAttrs("perm", p), 1, b.Op("Reshape", nil, y, b.Ints(0, 0, h, d)))
		},
		Example: func(b *ops.Builder) {
			x, a := in(b, "x", 2, 5, 3, 8), in(b, "angles", 2, 5, 4)
			t := b.Op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1, 3}), x)
			ret(b, b.Op("RotaryEmbedding", nil, t, b.Op("Cos", nil, a), b.Op("Sin", nil, a)))
		},
	},
}

// rewriteRotary turns x, four-dimensional, by angles whose cosines and sines
// have half as many elements in the last dimension and 1 where x has its heads.
func rewriteRotary(b *ops.Builder, x, cos, sin *onnx.Value, as onnx.Attrs) []*onnx.Value {
	if cos == nil || sin == nil || x.Type.Rank() != 4 || !sameDims(cos.Type, sin.Type) {
		return nil
	}
	d, ok := x.Type.Dims[3].Size()
	if !ok || d%2 != 0 || cos.Type.DType != x.Type.DType || sin.Type.DType != x.Type.DType {
		return nil
	}
	// The table's dimensions, aligned with those of x.
	dims := slices.Clone(cos.Type.Dims)
	for len(dims) < 4 {
		dims = slices.Insert(dims, 0, onnx.Size(1))
	}
	xd := x.Type.Dims
	if len(dims) != 4 || !dims[3].Is(d/2) || !dims[0].Is(1) && !dims[0].Equal(xd[0]) {
		return nil
	}
	heads := 1
	switch {
	case dims[1].Is(1) && dims[2].Equal(xd[2]) && xd[2].Known():
	case dims[2].Is(1) && dims[1].Equal(xd[1]) && xd[1].Known():
		heads = 2
	default:
		return nil
	}
	cos, sin = rotaryTable(b, cos, x, heads), rotaryTable(b, sin, x, heads)
	if heads == 1 {
		return b.Ops("", "RotaryEmbedding", as, 1, x, cos, sin)
	}
	h, ok := xd[2].Size()
	if !ok {
		return nil
	}
	y := b.Op("RotaryEmbedding", as.Set("num_heads", int64(h)), b.Op("Reshape", nil, x, b.Ints(0, 0, h*d)), cos, sin)
	return b.Ops("", "Reshape", nil, 1, y, b.Ints(0, 0, h, d))
}

// lastUnit matches v with a dimension of 1 behind it.
func lastUnit(v *Pattern) *Pattern {
	return AnyOf(Op("Unsqueeze", v).Rest(), Op("Reshape", v).Rest())
}

// doubled returns the value that v holds each element of twice, or nil.
func doubled(b *ops.Builder, v *onnx.Value) *onnx.Value {
	r := v.Type.Rank()
	if v.From == nil || v.From.Op != "Reshape" || r < 1 {
		return nil
	}
	e := v.From.In[0]
	if e.From == nil || e.From.Op != "Expand" && e.From.Op != "Tile" || e.Type.Rank() != r+1 {
		return nil
	}
	x := e.From.In[0]
	if x.Type.Rank() != r+1 || !x.Type.Dims[r].Is(1) || !e.Type.Dims[r].Is(2) || !sameDims(tensorOf(x.Type.Dims[:r]), tensorOf(e.Type.Dims[:r])) ||
		!sameDims(tensorOf(v.Type.Dims[:r-1]), tensorOf(e.Type.Dims[:r-1])) {
		return nil
	}
	return b.Op("Squeeze", nil, x, b.Ints(r))
}

// rotaryTable brings t, which broadcasts to x [batch, …], to [batch, positions, elements].
func rotaryTable(b *ops.Builder, t, x *onnx.Value, heads int) *onnx.Value {
	if t == nil {
		return nil
	}
	r := t.Type.Rank()
	if at := heads - (4 - r); at >= 0 && r > 2 { // it has a dimension for the heads
		if n := t.From; n != nil && n.Op == "Unsqueeze" && n.In[0].Type.Rank() == r-1 && n.In[0].Type.Dims[at].Equal(t.Type.Dims[at+1]) {
			t = n.In[0]
		} else {
			t = b.Op("Squeeze", nil, t, b.Ints(at))
		}
	}
	if t != nil && t.Type.Rank() == 2 {
		t = b.Op("Unsqueeze", nil, t, b.Ints(0))
	}
	if t == nil || t.Type.Dims[0].Equal(x.Type.Dims[0]) {
		return t
	}
	n := b.Op("Shape", onnx.NewAttrs("start", 0, "end", 1), x)
	return b.Op("Expand", nil, t, b.Op("Concat", onnx.NewAttrs("axis", 0), n, b.Ints(1, 1)))
}

// part says which elements of the last dimension of a value another one has.
type part struct {
	of                 *onnx.Value
	lo, hi, step, size int
}

// lastPart returns what v is a part of.
func lastPart(v *onnx.Value) (part, bool) {
	n := v.From
	if n == nil || n.Domain != "" || len(n.In) == 0 || n.In[0].Type.Rank() < 1 {
		return part{}, false
	}
	x := n.In[0]
	r := x.Type.Rank()
	size, ok := x.Type.Dims[r-1].Size()
	if !ok {
		return part{}, false
	}
	p := part{of: x, step: 1, size: size}
	switch n.Op {
	case "Split":
		if !isLast(n, "axis", r) {
			return p, false
		}
		for _, o := range n.Out {
			if o == nil || o.Type.Rank() != r {
				return p, false
			}
			k, ok := o.Type.Dims[r-1].Size()
			if !ok {
				return p, false
			}
			if o == v {
				p.hi = p.lo + k
				return p, true
			}
			p.lo += k
		}
	case "Slice":
		starts, _, ok := constInts(n, 1, "starts")
		ends, _, ok2 := constInts(n, 2, "ends")
		axes, given, ok3 := constInts(n, 3, "axes")
		steps, stepped, ok4 := constInts(n, 4, "steps")
		if !ok || !ok2 || !ok3 || !ok4 || len(starts) != 1 || len(ends) != 1 || !given && r != 1 || given && (len(axes) != 1 || axes[0] != -1 && axes[0] != r-1) {
			return p, false
		}
		clamp := func(i int) int {
			if i < 0 {
				i += size
			}
			return min(max(i, 0), size)
		}
		p.lo, p.hi = clamp(starts[0]), clamp(ends[0])
		if stepped {
			p.step = steps[0]
		}
		return p, p.step > 0
	}
	return p, false
}

// isHalf reports whether v is half i of the last dimension of x.
func isHalf(v, x *onnx.Value, i int) bool {
	p, ok := lastPart(v)
	h := p.size / 2
	return ok && p.of == x && p.step == 1 && p.size%2 == 0 && p.lo == i*h && p.hi == (i+1)*h
}

// isLast reports whether the attribute names the last of rank axes.
func isLast(n *onnx.Node, attr string, rank int) bool {
	a := intAttr(n, attr, 0)
	return a == -1 || a == int64(rank-1)
}

// halved returns the first half of v along its last dimension if the second
// half is the same, computed without the second where that can be, or nil.
func halved(b *ops.Builder, v *onnx.Value, depth int) *onnx.Value {
	r := v.Type.Rank()
	if depth == 0 || r < 1 {
		return nil
	}
	if v.Const != nil {
		if t := halfTensor(v.Const); t != nil {
			return b.Const(t)
		}
		return nil
	}
	n := v.From
	if n == nil || ops.NormalDomain(n.Domain) != "" || len(n.In) == 0 || len(n.Out) != 1 {
		return nil
	}
	x := n.In[0]
	again := func(in ...*onnx.Value) *onnx.Value {
		if in[0] == nil {
			return nil
		}
		k := b.G.NewNodeIn(n.Domain, n.Op, n.Attrs, in, 1)
		k.Opset = n.Opset // the attributes are of that version
		return b.Add(k)[0]
	}
	switch n.Op {
	case "Concat":
		if len(n.In) == 2 && n.In[1] == x && isLast(n, "axis", r) {
			return x
		}
	case "Cos", "Sin", "Cast", "Neg", "Identity":
		return again(halved(b, x, depth-1))
	case "Mul", "Div":
		if c := n.In[1].Const; c != nil && c.Len() == 1 && sameType(x, v) {
			return again(halved(b, x, depth-1), n.In[1])
		}
	case "Gather": // of rows of a table
		if a := intAttr(n, "axis", 0); a == 0 && x.Type.Rank() > 1 {
			return again(halved(b, x, depth-1), n.In[1])
		}
	case "GatherND":
		if d := n.In[1].Type.Dims; len(d) > 0 && intAttr(n, "batch_dims", 0) == 0 {
			if k, ok := d[len(d)-1].Size(); ok && k < x.Type.Rank() {
				return again(halved(b, x, depth-1), n.In[1])
			}
		}
	case "Transpose":
		if p, ok := permOf(n); ok && len(p) == r && p[r-1] == r-1 {
			return again(halved(b, x, depth-1))
		}
	case "Unsqueeze", "Squeeze":
		if x.Type.Rank() < 1 || r < 1 || !v.Type.Dims[r-1].Equal(x.Type.Dims[x.Type.Rank()-1]) {
			return nil
		}
		axes, given, ok := constInts(n, 1, "axes")
		full := max(r, x.Type.Rank())
		if !given || !ok || slices.Contains(axes, -1) || slices.Contains(axes, full-1) {
			return nil
		}
		in := slices.Clone(n.In)
		in[0] = halved(b, x, depth-1)
		return again(in...)
	case "Reshape":
		s := x.Type.Rank()
		if s < 1 || !x.Type.Dims[s-1].Equal(v.Type.Dims[r-1]) {
			return nil
		}
		h := halved(b, x, depth-1)
		if h == nil {
			return nil
		}
		to := v.Type
		to.Dims = slices.Clone(to.Dims)
		to.Dims[r-1] = h.Type.Dims[s-1]
		if shape, ok := reshapeTo(h.Type, to); ok {
			return b.Op("Reshape", nil, h, b.Ints(shape...))
		}
	}
	return nil
}

// halfTensor returns t's first half along its last dimension if the second is
// the same, else nil.
func halfTensor(t *tensor.Tensor) *tensor.Tensor {
	r := t.Rank()
	if r < 1 || t.DType().IsPacked() || t.DType() == tensor.String || t.Dim(-1)%2 != 0 || t.Len() == 0 {
		return nil
	}
	row := t.Dim(-1) * t.DType().Size()
	shape := slices.Clone(t.Shape())
	shape[r-1] /= 2
	out := tensor.New(t.DType(), shape...)
	dst := out.Bytes()
	for src := t.Bytes(); len(src) > 0; src = src[row:] {
		if !bytes.Equal(src[:row/2], src[row/2:row]) {
			return nil
		}
		copy(dst, src[:row/2])
		dst = dst[row/2:]
	}
	return out
}
