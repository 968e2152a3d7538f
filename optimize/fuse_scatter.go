package optimize

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// scatters are rules for assignments to slices, as exporters write x[:, 1:] = y: TorchScript's as a ScatterND
// with the indices of every element, torch.export's as one with those of rows, between two Transposes.
var scatters = []*Rule{
	{
		Name: "scatter-grid", Doc: "ScatterND whose tuples of indices are all combinations of one list for each dimension => x.ScatterGrid, or the updates if these are all",
		Pattern: Op("ScatterND", Var("x"), Var("indices"), Var("u")),
		Where:   replaces,
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			x, indices := m.Var("x"), m.Var("indices")
			t := indices.Type
			if x.Type.Rank() < 1 || t.Rank() < 2 {
				return nil
			}
			r := t.Rank() - 1
			k, ok := t.Dims[r].Size()
			if !ok || k > x.Type.Rank() || k != r {
				return nil
			}
			lists, ok := tupleLists(indices, k)
			if !ok && k == 1 && x.From != nil && x.From.Op == "Transpose" { // one list, which is computed: with the axis it counts along
				lists, ok = []indexList{{v: indices}}, true
			}
			if !ok {
				return nil
			}
			return scatterGrid(m, b, 0, lists)
		},
		Example: func(b *ops.Builder) {
			at := [][]int64{{0, 1}, {2, 0, 1}, {1, 2, 3}}
			var parts []*onnx.Value
			for i, v := range at {
				shape := []int{1, 1, 1}
				shape[i] = len(v)
				parts = append(parts, b.Op("Unsqueeze", nil, b.Op("Expand", nil, b.Const(tensor.Of(v, shape...)), b.Ints(2, 3, 3)), b.Ints(-1)))
			}
			ret(b, b.Op("ScatterND", nil, in(b, "x", 2, 4, 5), b.Op("Concat", onnx.NewAttrs("axis", -1), parts...), in(b, "y", 2, 3, 3)))
		},
	},
	{
		Name: "scatter-slices", Doc: "ScatterElements whose indices are the same all along the other dimensions => x.ScatterGrid",
		Pattern: AnyOf(Op("ScatterElements", Var("x"), Var("indices"), Var("u")), Op("Scatter", Var("x"), Var("indices"), Var("u"))),
		Where:   replaces,
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			x, t := m.Var("x").Type, m.Var("indices").Type
			axis, err := tensor.Axis(int(intAttr(m.Root, "axis", 0)), max(0, x.Rank()))
			if err != nil || t.Rank() != x.Rank() {
				return nil
			}
			for i, d := range t.Dims {
				if i != axis && !d.Equal(x.Dims[i]) {
					return nil
				}
			}
			l, ok := listAlong(m.Var("indices"), t.Dims, axis)
			if !ok {
				return nil
			}
			return scatterGrid(m, b, axis, []indexList{l})
		},
		Example: func(b *ops.Builder) {
			ret(b, b.Op("ScatterElements", onnx.NewAttrs("axis", 1), in(b, "x", 2, 4, 2),
				b.Const(tensor.Of([]int64{3, 3, 0, 0, 3, 3, 0, 0}, 2, 2, 2)), in(b, "y", 2, 2, 2)))
		},
	},
	{
		Name: "scatter-transposed", Doc: "x.ScatterGrid into a Transpose, or of one into a constant => x.ScatterGrid into what was transposed, then Transpose",
		Pattern: AnyOf(Op(ops.Private+".ScatterGrid", Op("Transpose", Var("x")).As("t"), Var("u")).Rest(),
			Op(ops.Private+".ScatterGrid", ConstAny("c"), Op("Transpose", Var("u")).As("t")).Rest()),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			x, u, n := m.Var("x"), m.Var("u"), m.Root
			p, ok := permOf(m.Node("t"))
			axes, _, known := constInts(n, len(n.In), "axes")
			if !ok || !known || n.In[1].Type.Rank() != len(p) {
				return nil
			}
			inverse := make([]int, len(p))
			for i, a := range p {
				inverse[a] = i
			}
			back := onnx.NewAttrs("perm", inverse)
			isTranspose := func(n *onnx.Node) bool { return n.Op == "Transpose" && n.Domain == "" }
			switch {
			case x == nil:
				x = b.Op("Transpose", back, n.In[0])
			case constOf(x) != nil: // it will be folded
				return nil
			case constOf(u) != nil || u.From != nil && isTranspose(u.From) || !slices.ContainsFunc(n.Out[0].Users(), func(n *onnx.Node) bool { return !isTranspose(n) }):
				u = b.Op("Transpose", back, u)
			default: // it would take more of them
				return nil
			}
			lists := slices.Clone(n.In[2:])
			at := make([]int, len(axes))
			for i, a := range axes {
				at[i] = p[a]
			}
			slices.Sort(at)
			for i, a := range axes {
				lists[slices.Index(at, p[a])] = n.In[2+i]
			}
			y := b.Ops(ops.Private, "ScatterGrid", onnx.NewAttrs("axes", at), 1, append([]*onnx.Value{x, u}, lists...)...)
			return b.Ops("", "Transpose", onnx.NewAttrs("perm", p), 1, y[0])
		},
		Example: func(b *ops.Builder) {
			perm := onnx.NewAttrs("perm", []int{2, 0, 1})
			u := b.Op("Transpose", perm, in(b, "u", 2, 2, 1))
			y := b.Ops(ops.Private, "ScatterGrid", onnx.NewAttrs("axes", []int{0, 2}), 1, b.Op("Transpose", perm, in(b, "x", 2, 3, 4)), u, b.Ints(2), b.Ints(0, 2))
			z := b.Ops(ops.Private, "ScatterGrid", onnx.NewAttrs("axes", []int{0}), 1, floats(b, 3, 2, 2), b.Op("Transpose", perm, in(b, "v", 2, 2, 1)), b.Ints(1))
			ret(b, b.Op("Transpose", onnx.NewAttrs("perm", []int{1, 2, 0}), y[0]), z[0])
		},
	},
}

// replaces reports whether the scatter that m found only replaces what was there.
func replaces(m *Match) bool {
	how, err := onnx.Attribute(m.Root, "reduction", "none")
	return err == nil && how == "none"
}

// indexList is what a dimension is indexed by: a constant or, if at is nil, a value of one dimension but for ones.
type indexList struct {
	at []int
	v  *onnx.Value
}

// scatterGrid writes the updates u of m to x by lists for axes from first on, leaving out those
// that are the whole of their dimension.
func scatterGrid(m *Match, b *ops.Builder, first int, lists []indexList) []*onnx.Value {
	x, u := m.Var("x"), m.Var("u")
	var axes []int
	in := []*onnx.Value{x, u}
	for i, l := range lists {
		whole := l.at != nil && x.Type.Dims[first+i].Is(len(l.at))
		for k, v := range l.at {
			whole = whole && k == v
		}
		if whole && (len(axes) > 0 || i+1 < len(lists) || sameType(u, m.Root.Out[0])) {
			continue
		}
		v := l.v
		if l.at != nil {
			v = b.Ints(l.at...)
		} else if v.Type.Rank() != 1 {
			v = b.Op("Reshape", nil, v, b.Ints(-1))
		}
		axes, in = append(axes, first+i), append(in, v)
	}
	if len(axes) == 0 {
		return only(m, u)
	}
	return b.Ops(ops.Private, "ScatterGrid", onnx.NewAttrs("axes", axes), 1, in...)
}

// tupleLists takes tuples of k indices, in k dimensions and the last one, apart to lists of which they are
// all combinations.
func tupleLists(tuples *onnx.Value, k int) ([]indexList, bool) {
	lists := make([]indexList, k)
	if t := constOf(tuples); t != nil {
		v, err := ops.IntsOf(t)
		if err != nil {
			return nil, false
		}
		for j := range lists {
			at, ok := varyingAlong(len(v)/k, func(i int) int { return v[i*k+j] }, t.Shape()[:k], j)
			if !ok {
				return nil, false
			}
			lists[j].at = at
		}
		return lists, true
	}
	n := tuples.From
	if n == nil || n.Op != "Concat" || n.Domain != "" || len(n.In) != k || int(intAttr(n, "axis", 0))%(k+1) != k && intAttr(n, "axis", 0) != -1 {
		return nil, false
	}
	for j, v := range n.In {
		if v.Type.Rank() != k+1 || !v.Type.Dims[k].Is(1) {
			return nil, false
		}
		if v.From != nil && (v.From.Op == "Unsqueeze" || v.From.Op == "Reshape") && v.From.Domain == "" && sameDims(v.From.In[0].Type, tensorOf(v.Type.Dims[:k])) {
			v = v.From.In[0] // perhaps an Expand
		}
		var ok bool
		if lists[j], ok = listAlong(v, tuples.Type.Dims[:v.Type.Rank()], j); !ok {
			return nil, false
		}
	}
	return lists, true
}

// listAlong returns the list by which v varies along dimension axis, where it is the same along all others.
// dims are those of v, which may have one of 1 more.
func listAlong(v *onnx.Value, dims []onnx.Dim, axis int) (indexList, bool) {
	none := indexList{}
	if t := constOf(v); t != nil {
		x, err := ops.IntsOf(t)
		if err != nil {
			return none, false
		}
		at, ok := varyingAlong(len(x), func(i int) int { return x[i] }, t.Shape(), axis)
		return indexList{at: at}, ok
	}
	if v.From != nil && v.From.Op == "Expand" && v.From.Domain == "" {
		v = v.From.In[0]
	}
	t := v.Type
	d := axis - (len(dims) - t.Rank())
	if t.Rank() < 0 || len(dims) < t.Rank() {
		return none, false
	}
	for i, n := range t.Dims {
		if i != d && !n.Is(1) {
			return none, false
		}
	}
	if d < 0 && !dims[axis].Is(1) || d >= 0 && !t.Dims[d].Equal(dims[axis]) {
		return none, false
	}
	if c := constOf(v); c != nil {
		x, err := ops.IntsOf(c)
		return indexList{at: x}, err == nil
	}
	return indexList{v: v}, true
}

// varyingAlong returns the numbers of n that get gives along an axis of their shape if they are the same along all others.
func varyingAlong(n int, get func(int) int, shape []int, axis int) ([]int, bool) {
	if axis >= len(shape) || n == 0 {
		return nil, false
	}
	inner := 1
	for _, d := range shape[axis+1:] {
		inner *= d
	}
	at := make([]int, shape[axis])
	for i := range at {
		at[i] = get(i * inner)
	}
	for i := range n {
		if get(i) != at[i/inner%len(at)] {
			return nil, false
		}
	}
	return at, true
}
