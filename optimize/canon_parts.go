package optimize

import (
	"slices"
	"sort"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// parts are rules about taking values apart. They come when nothing looks for
// the single parts any more.
var parts = []*Rule{
	{
		Name: "slices-split", Doc: "Slices that part a value along a dimension => Split",
		Pattern: Op("Slice", Var("x")).Rest(),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			x := m.Var("x")
			axis, _, _, ok := sliced(m.Root)
			if !ok || x.Uses() < 2 || b.G.Opsets[""] < 13 {
				return nil
			}
			type piece struct {
				lo, hi int
				n      *onnx.Node
			}
			var all []piece
			for _, u := range x.Users() {
				if u.Op != "Slice" || u.Domain != "" || u.Graph != m.Root.Graph || u.In[0] != x {
					continue
				}
				if a, lo, hi, ok := sliced(u); ok && a == axis && !slices.ContainsFunc(all, func(p piece) bool { return p.n == u || p.lo == lo }) {
					all = append(all, piece{lo, hi, u})
				}
			}
			sort.Slice(all, func(i, j int) bool { return all[i].lo < all[j].lo })
			end := 0
			sizes := make([]int, len(all))
			for i, p := range all {
				if p.lo != end {
					return nil
				}
				end, sizes[i] = p.hi, p.hi-p.lo
			}
			if n, ok := x.Type.Dims[axis].Size(); !ok || end != n || len(all) < 2 {
				return nil
			}
			// The root must be the first of them.
			for _, n := range m.Root.Graph.Nodes {
				if n == m.Root {
					break
				}
				if slices.ContainsFunc(all, func(p piece) bool { return p.n == n }) {
					return nil
				}
			}
			out := b.Ops("", "Split", onnx.NewAttrs("axis", axis), len(all), x, b.Ints(sizes...))
			var v *onnx.Value
			for i, p := range all {
				if p.n == m.Root {
					v = out[i]
				} else {
					m.Also(p.n.Out[0], out[i])
				}
			}
			return []*onnx.Value{v}
		},
		Example: func(b *ops.Builder) {
			x := b.Op("Neg", nil, in(b, "x", 2, 6, 3))
			part := func(lo, hi int) *onnx.Value { return b.Op("Slice", nil, x, b.Ints(lo), b.Ints(hi), b.Ints(1)) }
			ret(b, b.Op("Abs", nil, part(2, 5)), b.Op("Exp", nil, part(0, 2)), b.Op("Neg", nil, part(5, 6)))
		},
	},
	{
		Name: "concat-split", Doc: "Concat of all parts of a Split, in their order => what was split",
		Pattern: any0("Concat"),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			axis, err := tensor.Axis(int(intAttr(m.Root, "axis", 0)), m.Root.Out[0].Type.Rank())
			if err != nil {
				return nil
			}
			var in []*onnx.Value
			for i := 0; i < len(m.Root.In); i++ {
				v := m.Root.In[i]
				if n := v.From; n != nil && n.Op == "Split" && n.Domain == "" && len(n.Out) > 1 && v == n.Out[0] && i+len(n.Out) <= len(m.Root.In) &&
					slices.Equal(m.Root.In[i:i+len(n.Out)], n.Out) && n.In[0].Type.Rank() == m.Root.Out[0].Type.Rank() {
					if a, err := tensor.Axis(int(intAttr(n, "axis", 0)), n.In[0].Type.Rank()); err == nil && a == axis {
						v = n.In[0]
						i += len(n.Out) - 1
					}
				}
				in = append(in, v)
			}
			if len(in) == len(m.Root.In) {
				return nil
			}
			return only(m, b.Op("Concat", onnx.NewAttrs("axis", axis), in...))
		},
		Example: func(b *ops.Builder) {
			x, y := b.Op("Neg", nil, in(b, "x", 2, 6, 3)), in(b, "y", 2, 1, 3)
			part := b.Ops("", "Split", onnx.NewAttrs("axis", 1), 3, x, b.Ints(1, 2, 3))
			ret(b, b.Op("Concat", onnx.NewAttrs("axis", -2), y, part[0], part[1], part[2], part[0]), b.Op("Abs", nil, part[1]))
		},
	},
}
