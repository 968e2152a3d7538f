package optimize

import (
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
)

// route says what an operator needs to give a selection of its output 0.
type route struct {
	in    []int // the axis along which each input is selected; -1: the input as it is
	heavy bool  // the operator multiplies matrices
	// build makes the operator from the selected inputs; nil: the same operator.
	build func(b *ops.Builder, in []*onnx.Value) *onnx.Value
}

func (r *route) make(b *ops.Builder, n *onnx.Node, in []*onnx.Value) *onnx.Value {
	if r.build != nil {
		return r.build(b, in)
	}
	return again(b, n, n.Attrs, in)[0]
}

// routeOf returns the route of selection s of n's output 0, or nil.
func routeOf(n *onnx.Node, s selection) *route {
	f := routes[n.Domain+"."+n.Op]
	if f == nil || !n.Out[0].Type.Ranked || s.axis >= n.Out[0].Type.Rank() {
		return nil
	}
	for _, v := range n.In {
		if v != nil && !v.Type.Ranked {
			return nil
		}
	}
	return f(n, s)
}

var routes = map[string]func(*onnx.Node, selection) *route{
	".PRelu": routeAligned, ".Clip": routeFirst, "x.Dropout": routeFirst,
	".QuantizeLinear": routeQuantize, ".DequantizeLinear": routeQuantize,
	".Softmax": routeSoftmax, ".LogSoftmax": routeSoftmax, ".Hardmax": routeSoftmax,
	".LayerNormalization": routeNorm, ".RMSNormalization": routeNorm, ".SimplifiedLayerNormalization": routeNorm,
	".MatMul": routeMatMul, "com.microsoft.FusedMatMul": routeMatMul, ".MatMulInteger": routeMatMul,
	".Gemm": routeGemm, ".Transpose": routeTranspose, ".Reshape": routeReshape, ".Flatten": routeReshape,
	".Squeeze": routeReshape, ".Unsqueeze": routeReshape,
	".Concat": routeConcat, ".Gather": routeGather, ".Attention": routeAttention,
	"com.microsoft.BiasGelu": routeAligned, "com.microsoft.FastGelu": routeAligned,
}

func init() {
	for _, op := range elementwise {
		routes["."+op] = routeFirst
	}
	for _, op := range []string{"Gelu", "QuickGelu"} {
		routes["com.microsoft."+op] = routeFirst
	}
	for _, op := range slices.Concat(broadcastSince7, broadcastSince8) {
		routes["."+op] = routeAligned
	}
}

// only returns a route that selects input 0 along its axis a.
func (s selection) only(n *onnx.Node, a int) *route {
	in := slices.Repeat([]int{-1}, len(n.In))
	in[0] = a
	return &route{in: in}
}

// routeFirst is for operators that go element by element over input 0; other inputs are parameters
// of the whole.
func routeFirst(n *onnx.Node, s selection) *route {
	if n.In[0] == nil || n.In[0].Type.Rank() != n.Out[0].Type.Rank() {
		return nil
	}
	return s.only(n, s.axis)
}

// aligned returns where axis of a result with dimensions out is in an operand that broadcasts: -1 if
// the operand is the same all along it.
func aligned(v *onnx.Value, out []onnx.Dim, axis int) (a int, ok bool) {
	a = v.Type.Rank() - (len(out) - axis)
	if a < 0 || v.Type.Dims[a].Is(1) {
		return -1, true
	}
	return a, v.Type.Dims[a].Equal(out[axis])
}

// routeAligned is for operators that broadcast all their inputs.
func routeAligned(n *onnx.Node, s selection) *route {
	if n.Domain == "" && n.Opset < 8 { // with attributes axis and broadcast once
		return nil
	}
	r := &route{in: slices.Repeat([]int{-1}, len(n.In))}
	for i, v := range n.In {
		if v == nil {
			continue
		}
		var ok bool
		if r.in[i], ok = aligned(v, n.Out[0].Type.Dims, s.axis); !ok {
			return nil
		}
	}
	return r
}

// routeQuantize: x, scale, zero point. Scales may go along another axis.
func routeQuantize(n *onnx.Node, s selection) *route {
	r := n.In[0].Type.Rank()
	if intAttr(n, "block_size", 0) != 0 {
		return nil
	}
	for _, v := range n.In[1:] {
		if v == nil || scalarLike(v) && v.Type.Rank() <= 1 {
			continue
		}
		axis := int(intAttr(n, "axis", 1))
		if axis < 0 {
			axis += r
		}
		if v.Type.Rank() != 1 || axis == s.axis {
			return nil
		}
	}
	return s.only(n, s.axis)
}

func routeSoftmax(n *onnx.Node, s selection) *route {
	def := int64(-1)
	if n.Opset < 13 {
		def = 1
	}
	axis := int(intAttr(n, "axis", def))
	if axis < 0 {
		axis += n.In[0].Type.Rank()
	}
	if s.axis == axis || n.Opset < 13 && s.axis > axis { // which made the rest one dimension
		return nil
	}
	return s.only(n, s.axis)
}

// routeNorm: the dimensions from an axis on are normalized together.
func routeNorm(n *onnx.Node, s selection) *route {
	r := n.In[0].Type.Rank()
	axis := int(intAttr(n, "axis", -1))
	if axis < 0 {
		axis += r
	}
	if s.axis >= axis {
		return nil
	}
	p := s.only(n, s.axis)
	for i, v := range n.In[1:] {
		if v == nil {
			continue
		}
		var ok bool
		if p.in[i+1], ok = aligned(v, n.Out[0].Type.Dims, s.axis); !ok {
			return nil
		}
	}
	return p
}

// routeMatMul selects rows, or products.
func routeMatMul(n *onnx.Node, s selection) *route {
	a, w, out := n.In[0].Type, n.In[1].Type, n.Out[0].Type
	if a.Rank() < 2 || w.Rank() < 2 || s.axis == out.Rank()-1 || intAttr(n, "transBatchA", 0) != 0 || intAttr(n, "transBatchB", 0) != 0 {
		return nil
	}
	for _, v := range n.In[2:] { // zero points
		if v != nil && !scalarLike(v) {
			return nil
		}
	}
	r := s.only(n, a.Rank()-2)
	r.heavy = true
	if s.axis == out.Rank()-2 {
		if intAttr(n, "transA", 0) != 0 {
			r.in[0]++
		}
		return r
	}
	for i := range 2 {
		var ok bool
		if r.in[i], ok = aligned(n.In[i], out.Dims, s.axis); !ok {
			return nil
		}
	}
	return r
}

// routeGemm selects rows.
func routeGemm(n *onnx.Node, s selection) *route {
	if s.axis != 0 || n.Opset < 7 {
		return nil
	}
	r := s.only(n, int(intAttr(n, "transA", 0)))
	r.heavy = true
	if c := input(n, 2); c != nil {
		var ok bool
		if r.in[2], ok = aligned(c, n.Out[0].Type.Dims, 0); !ok {
			return nil
		}
	}
	return r
}

func routeTranspose(n *onnx.Node, s selection) *route {
	p, ok := permOf(n)
	if !ok || s.axis >= len(p) || p[s.axis] < 0 || p[s.axis] >= n.In[0].Type.Rank() {
		return nil
	}
	return s.only(n, p[s.axis])
}

// routeReshape is for operators that change the shape, where the dimension stays as it is.
func routeReshape(n *onnx.Node, s selection) *route {
	from, to := n.In[0].Type.Dims, n.Out[0].Type.Dims
	before := onnx.Size(1)
	for _, d := range to[:s.axis] {
		before = before.Mul(d)
	}
	have, a := onnx.Size(1), 0
	for a < len(from) && !(have.Equal(before) && from[a].Equal(to[s.axis])) {
		have = have.Mul(from[a])
		a++
	}
	if a == len(from) || !have.Known() {
		return nil
	}
	r := s.only(n, a)
	r.build = func(b *ops.Builder, in []*onnx.Value) *onnx.Value {
		dims := slices.Clone(to)
		dims[s.axis] = in[0].Type.Dims[a]
		shape, ok := reshapeTo(in[0].Type, tensorOf(dims))
		if !ok {
			b.Fail(ops.ErrUnsupported)
			return nil
		}
		return b.Op("Reshape", nil, in[0], b.Ints(shape...))
	}
	// What build will find, so that it does not fail.
	probe := slices.Clone(from)
	probe[a] = onnx.Size(1)
	dims := slices.Clone(to)
	dims[s.axis] = onnx.Size(1)
	if _, ok := reshapeTo(tensorOf(probe), tensorOf(dims)); !ok || !s.exact {
		return nil
	}
	return r
}

func routeConcat(n *onnx.Node, s selection) *route {
	axis := int(intAttr(n, "axis", 1))
	if axis < 0 {
		axis += n.Out[0].Type.Rank()
	}
	if axis == s.axis {
		return nil
	}
	return &route{in: slices.Repeat([]int{s.axis}, len(n.In))}
}

// routeGather selects the data along another axis than that of the indices, or the indices.
func routeGather(n *onnx.Node, s selection) *route {
	axis, k := int(intAttr(n, "axis", 0)), n.In[1].Type.Rank()
	if axis < 0 {
		axis += n.In[0].Type.Rank()
	}
	switch {
	case s.axis < axis:
		return s.only(n, s.axis)
	case s.axis < axis+k:
		return &route{in: []int{-1, s.axis - axis}}
	}
	return s.only(n, s.axis-k+1)
}

// routeAttention selects queries. Which keys a causal query sees depends on where it is: only the last
// of as many as there are keys can do without, as it sees all.
func routeAttention(n *onnx.Node, s selection) *route {
	q, k := n.In[0].Type, n.In[1].Type
	axis := q.Rank() - 2
	if s.axis != axis || axis < 1 || k.Rank() != q.Rank() {
		return nil
	}
	r := s.only(n, axis)
	r.heavy = true
	if intAttr(n, "is_causal", 0) != 0 {
		size, known := q.Dims[axis].Size()
		last := s.lo == -1 && s.hi == math.MaxInt || known && s.lo == size-1
		if !last || !q.Dims[axis].Equal(k.Dims[axis]) || len(n.In) > 4 {
			return nil
		}
		r.build = func(b *ops.Builder, in []*onnx.Value) *onnx.Value { return again(b, n, with(n, "is_causal", 0), in)[0] }
	}
	if mask := input(n, 3); mask != nil {
		if mask.Type.Rank() < 2 {
			return nil
		}
		switch d := mask.Type.Dims[mask.Type.Rank()-2]; {
		case d.Is(1):
		case d.Equal(q.Dims[axis]):
			r.in[3] = mask.Type.Rank() - 2
		default:
			return nil
		}
	}
	return r
}
