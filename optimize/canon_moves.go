package optimize

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// moves are rules that shorten chains of operators which only reorder elements,
// and move these to where they meet others.
var moves = []*Rule{
	{
		Name: "moves", Doc: "chain of Transpose, Reshape, Squeeze, Unsqueeze, Gather, Split and Slice that only reorders or selects => at most one Slice, one Transpose and a Reshape on each side",
		Pattern: AnyOf(Op("Transpose", Var("x")), Op("Reshape", Var("x"), Var("shape")), Op("Squeeze", Var("x")).Rest(),
			Op("Unsqueeze", Var("x")).Rest(), Op("Flatten", Var("x")), Op("Gather", Var("x"), ConstAny("i")), Op("Slice", Var("x")).Rest()),
		Rewrite: rewriteMoves,
		Example: func(b *ops.Builder) {
			t := func(v *onnx.Value, perm ...int) *onnx.Value {
				return b.Op("Transpose", onnx.NewAttrs("perm", perm), v)
			}
			x := b.Op("Unsqueeze", nil, b.Op("Reshape", nil, in(b, "x", 5, 2, 12), b.Ints(5, 2, 3, 4)), b.Ints(0))
			y := b.Op("Gather", nil, b.Op("Squeeze", nil, t(x, 3, 1, 2, 0, 4), b.Ints(3)), b.Const(tensor.Scalar(int64(1))))
			y = t(b.Op("Reshape", nil, y, b.Ints(5, 4, 2)), 1, 0, 2)
			ret(b, b.Op("Reshape", nil, y, b.Ints(2, 2, 5, 2)))
		},
	},
	{
		Name: "drop-rank", Doc: "operand without leading dimensions of 1 that another operand has => the value that has them",
		Pattern: AnyOf(lowered("Add"), lowered("Sub"), lowered("Mul"), lowered("Div")),
		Where: func(m *Match) bool {
			x, y, v := m.Var("x").Type, m.Var("y").Type, m.Node("view").Out[0].Type
			k := x.Rank() - v.Rank()
			if k <= 0 || v.Rank() < 0 || y.Rank() != x.Rank() || !sameDims(tensorOf(x.Dims[k:]), v) {
				return false
			}
			return !slices.ContainsFunc(x.Dims[:k], func(d onnx.Dim) bool { return !d.Is(1) })
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			in := slices.Clone(m.Root.In)
			for i, v := range in {
				if v.From == m.Node("view") {
					in[i] = m.Var("x")
				}
			}
			return b.Ops("", m.Root.Op, nil, 1, in...)
		},
		Example: func(b *ops.Builder) {
			x := b.Op("Squeeze", nil, in(b, "x", 1, 2, 3), b.Ints(0))
			ret(b, b.Op("Sub", nil, in(b, "y", 1, 2, 3), x))
		},
	},
	{
		Name: "slice-one", Doc: "Slice of one element along a dimension that is then dropped => Gather",
		Pattern: AnyOf(Op("Reshape", Op("Slice", Var("x")).Rest().As("s"), Var("shape")), Op("Squeeze", Op("Slice", Var("x")).Rest().As("s")).Rest()),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			axis, lo, hi, ok := sliced(m.Node("s"))
			x, out := m.Var("x"), m.Root.Out[0].Type
			if !ok || hi-lo != 1 || !sameDims(out, tensorOf(slices.Delete(slices.Clone(x.Type.Dims), axis, axis+1))) {
				return nil
			}
			return b.Ops("", "Gather", onnx.NewAttrs("axis", axis), 1, x, b.Const(tensor.Scalar(int64(lo))))
		},
		Example: func(b *ops.Builder) {
			s := b.Op("Slice", nil, in(b, "x", 2, 5, 3), b.Ints(-2), b.Ints(-1), b.Ints(1))
			ret(b, b.Op("Squeeze", nil, s, b.Ints(1)))
		},
	},
	{
		Name: "rows-product", Doc: "Gemm of joined leading dimensions that are parted again => product of the original",
		Pattern: Op("Reshape", Op("Gemm", Op("Reshape", Var("x"), Var("s")).Shared(), Var("w")).Rest().As("gemm"), Var("t")),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			n, x, out := m.Node("gemm"), m.Var("x"), m.Root.Out[0]
			a, y, r := n.In[0], n.Out[0], m.Var("x").Type.Rank()
			c := input(n, 2)
			if r < 3 || out.Type.Rank() != r || !sameLast(x, a) || !sameLast(out, y) || !sameDims(tensorOf(x.Type.Dims[:r-1]), tensorOf(out.Type.Dims[:r-1])) ||
				intAttr(n, "transA", 0) != 0 || n.Opset < 7 || c != nil && (floatAttr(n, "beta", 1) != 1 || !isVectorOf(c, out)) {
				return nil
			}
			as := onnx.NewAttrs("alpha", floatAttr(n, "alpha", 1), "transB", intAttr(n, "transB", 0))
			v := b.Ops("com.microsoft", "FusedMatMul", as, 1, x, m.Var("w"))
			if c != nil {
				v = b.Ops("", "Add", nil, 1, v[0], c)
			}
			return v
		},
		Example: func(b *ops.Builder) {
			x := b.Op("Reshape", nil, in(b, "x", 2, 3, 4), b.Ints(-1, 4))
			y := b.Op("Gemm", onnx.NewAttrs("transB", 1), x, floats(b, 5, 4), floats(b, 5))
			ret(b, b.Op("Reshape", nil, y, b.Ints(2, 3, 5)))
		},
	},
	{
		Name: "transpose-product", Doc: "product of a Transpose of leading dimensions with a constant matrix => Transpose of the product",
		Pattern: AnyOf(Op("MatMul", Op("Transpose", Var("x")).As("t"), ConstAny("w")),
			Op("com.microsoft.FusedMatMul", Op("Transpose", Var("x")).As("t"), ConstAny("w"))),
		Where: func(m *Match) bool {
			p, ok := permOf(m.Node("t"))
			n := m.Root
			return ok && len(p) > 2 && p[len(p)-1] == len(p)-1 && m.Const("w").Rank() == 2 &&
				intAttr(n, "transA", 0) == 0 && intAttr(n, "transBatchA", 0) == 0 && intAttr(n, "transBatchB", 0) == 0
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			n := m.Root
			return b.Ops("", "Transpose", m.Node("t").Attrs, 1, b.Ops(n.Domain, n.Op, n.Attrs, 1, m.Var("x"), m.Var("w"))[0])
		},
		Example: func(b *ops.Builder) {
			x := b.Op("Transpose", onnx.NewAttrs("perm", []int{1, 0, 2}), in(b, "x", 2, 3, 4))
			ret(b, b.Op("MatMul", nil, x, floats(b, 4, 5)))
		},
	},
	{
		Name: "transpose-vector", Doc: "Transpose, then a constant that varies along one dimension is added or multiplied => the Transpose last",
		Pattern: AnyOf(Op("Add", Op("Transpose", Var("x")).As("t"), ConstAny("c")), Op("Mul", Op("Transpose", Var("x")).As("t"), ConstAny("c"))),
		Where:   func(m *Match) bool { return sameType(m.Node("t").Out[0], m.Root.Out[0]) },
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			c := m.Const("c")
			p, ok := permOf(m.Node("t"))
			if !ok || c.Rank() > len(p) || c.DType().IsPacked() {
				return nil
			}
			at, n := -1, 0 // the dimension of x along which c varies
			for i, d := range c.Shape() {
				if d != 1 {
					at = p[len(p)-c.Rank()+i]
					n++
				}
			}
			if n != 1 { // scalars are looked for where they are
				return nil
			}
			shape := slices.Repeat([]int{1}, len(p)-at)
			shape[0] = c.Len()
			v, err := c.Reshape(shape...)
			if err != nil {
				return nil
			}
			return b.Ops("", "Transpose", m.Node("t").Attrs, 1, b.Op(m.Root.Op, nil, m.Var("x"), b.Const(v)))
		},
		Example: func(b *ops.Builder) {
			x := b.Op("Transpose", onnx.NewAttrs("perm", []int{1, 0, 2}), in(b, "x", 2, 3, 4))
			y := b.Op("Transpose", onnx.NewAttrs("perm", []int{0, 3, 1, 2}), in(b, "y", 2, 3, 4, 5))
			ret(b, b.Op("Add", nil, floats(b, 4), x), b.Op("Mul", nil, y, floats(b, 5, 1, 1)), b.Op("Add", nil, b.Op("Transpose", nil, in(b, "z", 2, 3)), floats(b, 3, 1)))
		},
	},
}

// lowered matches an operator of two operands, one of which was reshaped.
func lowered(op string) *Pattern {
	v := AnyOf(Op("Reshape", Var("x"), Var("shape")).As("view").Shared(), Op("Squeeze", Var("x")).Rest().As("view").Shared())
	return AnyOf(Op(op, v, Var("y")), Op(op, Var("y"), v))
}

// atom is a factor of a dimension. Atoms are moved as a whole.
type atom struct{ dim onnx.Dim }

// moved follows the dimensions of a value, as products of atoms, through a chain.
type moved struct {
	src [][]*atom // by dimension of the value the chain starts from
	now [][]*atom // by dimension of the value that was reached
	// The part [lo, hi) of dimension axis of the source is all that counts; axis -1: everything.
	axis, lo, hi int
}

func newMoved(dims []onnx.Dim) *moved {
	v := &moved{axis: -1}
	for _, d := range dims {
		if !d.Known() {
			return nil
		}
		var g []*atom
		if !d.Is(1) {
			g = []*atom{{d}}
		}
		v.src = append(v.src, slices.Clone(g))
		v.now = append(v.now, g)
	}
	return v
}

// reshape regroups the atoms as the dimensions to, splitting some.
func (v *moved) reshape(to []onnx.Dim) bool {
	rest := slices.Concat(v.now...)
	next := make([][]*atom, len(to))
	for i, d := range to {
		if !d.Known() {
			return false
		}
		have := onnx.Size(1)
		for !have.Equal(d) {
			if len(rest) == 0 {
				return false
			}
			a := rest[0]
			all := have.Mul(a.dim)
			if left, ok := divide(d, all); ok && left.Known() {
				have, rest = all, rest[1:]
				next[i] = append(next[i], a)
				continue
			}
			need, ok := divide(d, have)
			if !ok {
				return false
			}
			more, ok := divide(a.dim, need)
			if !ok {
				return false
			}
			// a becomes need × more.
			b := &atom{more}
			a.dim = need
			v.insert(a, b)
			rest = slices.Insert(rest, 1, b)
		}
	}
	v.now = next
	return len(rest) == 0
}

// insert puts b behind a in the source's dimensions.
func (v *moved) insert(a, b *atom) {
	for i, g := range v.src {
		if k := slices.Index(g, a); k >= 0 {
			v.src[i] = slices.Insert(g, k+1, b)
		}
	}
}

// divide returns a/b if that is known to be exact.
func divide(a, b onnx.Dim) (onnx.Dim, bool) {
	if !a.Known() || !b.Known() || b.Is(0) || a.Is(0) {
		return onnx.Dim{}, false
	}
	q := a.FloorDiv(b)
	return q, q.Known() && q.Mul(b).Equal(a)
}

// step follows n from its input 0 to output v.
func (v *moved) step(n *onnx.Node, out *onnx.Value) bool {
	x := n.In[0]
	switch n.Op {
	case "Reshape", "Squeeze", "Unsqueeze", "Flatten":
		return out.Type.Ranked && v.reshape(out.Type.Dims)
	case "Transpose":
		p, ok := permOf(n)
		if !ok || len(p) != len(v.now) {
			return false
		}
		next := make([][]*atom, len(p))
		for i, a := range p {
			if a < 0 || a >= len(p) {
				return false
			}
			next[i] = v.now[a]
		}
		v.now = next
		return true
	case "Gather":
		axis, i, ok := gathered(n)
		if !ok || !v.take(axis, i, i+1, x) {
			return false
		}
		v.now = slices.Delete(v.now, axis, axis+1)
		return true
	case "Split":
		r := x.Type.Rank()
		axis := int(intAttr(n, "axis", 0))
		if axis < 0 {
			axis += r
		}
		if axis < 0 || axis >= r {
			return false
		}
		lo := 0
		for _, o := range n.Out {
			if o == nil || o.Type.Rank() != r {
				return false
			}
			k, ok := o.Type.Dims[axis].Size()
			if !ok {
				return false
			}
			if o == out {
				return v.take(axis, lo, lo+k, x)
			}
			lo += k
		}
	case "Slice":
		axis, lo, hi, ok := sliced(n)
		return ok && v.take(axis, lo, hi, x)
	}
	return false
}

// sliceOf returns the axis of a Slice of one axis by steps of 1, and its start and end as they are
// written, if they are constant.
func sliceOf(n *onnx.Node) (axis, start, end int, ok bool) {
	starts, _, ok1 := constInts(n, 1, "starts")
	ends, _, ok2 := constInts(n, 2, "ends")
	axes, given, ok3 := constInts(n, 3, "axes")
	steps, stepped, ok4 := constInts(n, 4, "steps")
	r := n.In[0].Type.Rank()
	if !ok1 || !ok2 || !ok3 || !ok4 || r < 1 || len(starts) != 1 || len(ends) != 1 || given && len(axes) != 1 || stepped && (len(steps) != 1 || steps[0] != 1) {
		return 0, 0, 0, false
	}
	if given {
		if axis = axes[0]; axis < 0 {
			axis += r
		}
	}
	return axis, starts[0], ends[0], axis >= 0 && axis < r
}

// clampTo returns where a start or end of a Slice lies in a dimension of that size.
func clampTo(i, size int) int {
	if i < 0 {
		i += size
	}
	return min(max(i, 0), size)
}

// sliced returns what a Slice of one axis takes, if that is constant and in one piece.
func sliced(n *onnx.Node) (axis, lo, hi int, ok bool) {
	axis, lo, hi, ok = sliceOf(n)
	if !ok {
		return 0, 0, 0, false
	}
	size, known := n.In[0].Type.Dims[axis].Size()
	lo, hi = clampTo(lo, size), clampTo(hi, size)
	return axis, lo, hi, known && lo < hi
}

// take narrows dimension axis to [lo, hi).
func (v *moved) take(axis, lo, hi int, x *onnx.Value) bool {
	n, ok := x.Type.Dims[axis].Size()
	if !ok || hi > n || lo < 0 || lo >= hi || n > 1 && len(v.now[axis]) != 1 {
		return false
	}
	if hi-lo == n {
		return true
	}
	a := v.now[axis][0]
	for k, g := range v.src {
		at := slices.Index(g, a)
		if at < 0 {
			continue
		}
		stride := onnx.Size(1)
		for _, b := range g[at+1:] {
			stride = stride.Mul(b.dim)
		}
		s, ok := stride.Size()
		if at != 0 || !ok || v.axis >= 0 { // it would not lie in one piece
			return false
		}
		v.axis, v.lo, v.hi = k, lo*s, hi*s
		if a.dim = onnx.Size(hi - lo); hi-lo == 1 {
			v.src[k] = slices.Delete(g, 0, 1)
			v.now[axis] = nil
		}
	}
	return true
}

// gathered returns the axis and index of a Gather with one constant index.
func gathered(n *onnx.Node) (axis, i int, ok bool) {
	r := n.In[0].Type.Rank()
	axis = int(intAttr(n, "axis", 0))
	if axis < 0 {
		axis += r
	}
	c := input(n, 1)
	if c == nil || c.Const == nil || c.Const.Rank() != 0 || axis < 0 || axis >= r {
		return 0, 0, false
	}
	at, err := ops.IntsOf(c.Const)
	size, known := n.In[0].Type.Dims[axis].Size()
	if err != nil || len(at) != 1 || !known {
		return 0, 0, false
	}
	if at[0] < 0 {
		at[0] += size
	}
	return axis, at[0], at[0] >= 0 && at[0] < size
}

func rewriteMoves(m *Match, b *ops.Builder) []*onnx.Value {
	root := m.Root.Out[0]
	if !root.Type.Ranked || root.Uses() == 1 && isMove(root.Users()[0]) && !m.Root.Graph.IsOutput(root) {
		return nil // the chain goes on
	}
	// From the root up, as far as nothing else needs what lies between.
	var chain []*onnx.Node
	var outs []*onnx.Value
	selects := false
	transposes := 0
	v := root
	for v.From != nil && isMove(v.From) && v.From.Graph == m.Root.Graph && len(chain) < 32 {
		n := v.From
		if n.Op == "Gather" {
			if _, _, ok := gathered(n); !ok {
				break
			}
		}
		if v != root && !selects && n.Op == "Transpose" && (v.Uses() > 1 || n.Graph.IsOutput(v)) {
			break
		}
		if n.Op == "Transpose" {
			transposes++
		}
		if n.Op == "Slice" {
			if _, _, _, ok := sliced(n); !ok {
				break
			}
		}
		selects = selects || n.Op == "Gather" || n.Op == "Split" || n.Op == "Slice"
		chain, outs = append(chain, n), append(outs, v)
		v = n.In[0]
	}
	for len(chain) > 0 && chain[len(chain)-1].Op != "Transpose" { // nothing is to be gained above
		chain, outs = chain[:len(chain)-1], outs[:len(outs)-1]
	}
	if len(chain) < 2 {
		return nil
	}
	// Reshapes above the first Transpose are part of it.
	for x := chain[len(chain)-1].In[0]; x.From != nil && isView(x.From) && x.From.Graph == m.Root.Graph && len(chain) < 40; x = x.From.In[0] {
		chain, outs = append(chain, x.From), append(outs, x)
	}
	x := chain[len(chain)-1].In[0]
	if !x.Type.Ranked {
		return nil
	}
	f := newMoved(x.Type.Dims)
	if f == nil {
		return nil
	}
	for i := len(chain) - 1; i >= 0; i-- {
		if !f.step(chain[i], outs[i]) {
			return nil
		}
	}
	// Dimensions that stay neighbours are joined if the sizes cannot be written otherwise.
	for _, join := range []bool{false, true} {
		made := len(b.Nodes)
		y, nodes, left := f.build(b, x, root.Type, join)
		if y != nil && (left < transposes || left == transposes && nodes < len(chain)) {
			return only(m, y)
		}
		b.Nodes = b.Nodes[:made]
	}
	return nil
}

// isMove reports whether n is an operator that moves follows.
func isMove(n *onnx.Node) bool {
	return n.Domain == "" && (n.Op == "Transpose" || n.Op == "Gather" || n.Op == "Split" || n.Op == "Slice" || isView(n)) && len(n.In) > 0
}

// isView reports whether n gives its input's elements in order.
func isView(n *onnx.Node) bool {
	if n.Domain != "" || len(n.In) == 0 {
		return false
	}
	switch n.Op {
	case "Reshape", "Squeeze", "Unsqueeze", "Flatten":
		return true
	}
	return false
}

// build writes the chain from x in its shortest form, of which it returns the
// numbers of nodes and of Transposes; nil if that cannot be written. With join,
// dimensions of x may be joined.
func (v *moved) build(b *ops.Builder, x *onnx.Value, want onnx.Type, join bool) (y *onnx.Value, nodes, transposes int) {
	if v.axis >= 0 {
		x = b.Op("Slice", nil, x, b.Ints(v.lo), b.Ints(v.hi), b.Ints(v.axis))
		nodes++
	}
	from, to := slices.Concat(v.src...), slices.Concat(v.now...)
	if len(from) != len(to) {
		return nil, 0, 0
	}
	// Atoms that stay neighbours are one.
	pos := map[*atom]int{}
	for i, a := range from {
		pos[a] = i
	}
	first := map[int]bool{} // positions where a dimension of x begins
	for i, n := 0, 0; i < len(v.src); i++ {
		first[n] = true
		n += len(v.src[i])
	}
	var runs [][2]int // [first, last] in source order, in the new order
	for _, a := range to {
		p, ok := pos[a]
		if !ok {
			return nil, 0, 0
		}
		if k := len(runs) - 1; k >= 0 && runs[k][1]+1 == p && (join || !first[p]) {
			runs[k][1] = p
		} else {
			runs = append(runs, [2]int{p, p})
		}
	}
	put := func(dims []onnx.Dim) bool {
		t := tensorOf(dims)
		if x == nil || sameDims(x.Type, t) {
			return x != nil
		}
		shape, ok := reshapeTo(x.Type, t)
		if !ok {
			return false
		}
		x = b.Op("Reshape", nil, x, b.Ints(shape...))
		nodes++
		return x != nil
	}
	if len(runs) > 1 {
		order := make([]int, len(runs)) // of the runs in the source
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(i, j int) int { return runs[i][0] - runs[j][0] })
		perm := make([]int, len(runs))
		dims := make([]onnx.Dim, len(runs))
		for i, k := range order {
			perm[k] = i
			dims[i] = onnx.Size(1)
			for _, a := range from[runs[k][0] : runs[k][1]+1] {
				dims[i] = dims[i].Mul(a.dim)
			}
		}
		if !put(dims) {
			return nil, 0, 0
		}
		x = b.Op("Transpose", onnx.NewAttrs("perm", perm), x)
		nodes++
		transposes++
	}
	if !put(want.Dims) {
		return nil, 0, 0
	}
	return x, nodes, transposes
}

// sameLast reports whether the last dimensions of both are known to be equal.
func sameLast(v, w *onnx.Value) bool {
	r, s := v.Type.Rank(), w.Type.Rank()
	return r > 0 && s > 0 && v.Type.Dims[r-1].Equal(w.Type.Dims[s-1])
}

// tensorOf is a type of which only the dimensions count.
func tensorOf(dims []onnx.Dim) onnx.Type {
	return onnx.Type{Kind: onnx.TensorKind, Ranked: true, Dims: dims}
}
