package prune

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/tensor"
)

// shrinker takes units out of a graph.
type shrinker struct {
	c     *coupling
	g     *onnx.Graph
	gone  map[int]bool   // by root
	sizes map[string]int // of symbolic dimensions, to measure work with
}

func (s *shrinker) removed(unit int) bool { return unit != fixed && s.gone[s.c.sets.find(unit)] }

// kept returns how many of the indices stay.
func (s *shrinker) kept(units []int) int {
	n := 0
	for _, u := range units {
		if !s.removed(u) {
			n++
		}
	}
	return n
}

// dim returns the size of a dimension after the removal.
func (s *shrinker) dim(a axis) onnx.Dim {
	d := onnx.Size(1)
	for _, f := range a {
		if f.units == nil {
			d = d.Mul(f.size)
		} else {
			d = d.Mul(onnx.Size(s.kept(f.units)))
		}
	}
	return d
}

// size is dim for a dimension without names in it.
func (s *shrinker) size(a axis) int {
	n, _ := s.dim(a).Size()
	return n
}

// shrinks reports whether a dimension loses something.
func (s *shrinker) shrinks(l layout) bool {
	return slices.ContainsFunc(l, func(a axis) bool {
		return slices.ContainsFunc(a, func(f factor) bool { return slices.ContainsFunc(f.units, s.removed) })
	})
}

// setInts makes input i of n a constant of its own.
func (s *shrinker) setInts(n *onnx.Node, i int, x []int64) {
	n.SetInput(i, s.g.AddConst(s.g.NewConst("", tensor.Of(x, len(x)))))
}

// edit makes element k of the vector that n reads at input i be x, for n alone.
func (s *shrinker) edit(n *onnx.Node, i, k int, x int64) {
	v := n.In[i]
	if v.Const == nil {
		at, place, _ := piece(v, k)
		join := v.From
		if v.Uses() > 1 {
			join = s.g.NewNode(join.Op, slices.Clone(join.Attrs), slices.Clone(join.In), 1)
			join.Out[0].Type = v.Type
			s.g.Insert(n, join)
			n.SetInput(i, join.Out[0])
		}
		n, i, k, v = join, at, place, join.In[at]
	}
	all, _ := ints(v)
	all = slices.Clone(all)
	all[k] = x
	s.setInts(n, i, all)
}

// apply removes the units: it cuts initializers, adapts nodes and types.
func (s *shrinker) apply() error {
	for _, f := range s.c.adapt {
		if err := f(s); err != nil {
			return err
		}
	}
	for v, l := range s.c.layouts {
		if !s.shrinks(l) {
			continue
		}
		if v.Const != nil {
			keep := make([][]int, len(l))
			for i, a := range l {
				for _, f := range a {
					for j, u := range f.units {
						if !s.removed(u) {
							keep[i] = append(keep[i], j)
						}
					}
				}
			}
			v.Const = take(v.Const, keep)
			v.Type = onnx.TypeOf(v.Const)
			continue
		}
		dims := slices.Clone(v.Type.Dims)
		for i, a := range l {
			if s.shrinks(layout{a}) {
				dims[i] = s.dim(a)
			}
		}
		v.Type.Dims = dims
	}
	return nil
}

// agree infers the types of m and returns an error where a value has not the
// shape that the removal gave it.
func (s *shrinker) agree(m *onnx.Model) error {
	want := map[*onnx.Value]onnx.Type{}
	for v, l := range s.c.layouts {
		if s.shrinks(l) {
			want[v] = v.Type
		}
	}
	for _, v := range s.g.Outputs {
		want[v] = v.Type
	}
	if err := optimize.Infer(m, optimize.InferOptions{}); err != nil {
		return fmt.Errorf("the pruned model does not fit together: %w", err)
	}
	for v, t := range want {
		if len(t.Dims) != len(v.Type.Dims) {
			return fmt.Errorf("the pruned model's %q is %v, not %v", v.Name, v.Type, t)
		}
		for i, d := range t.Dims {
			a, aok := d.Size()
			b, bok := v.Type.Dims[i].Size()
			if aok && bok && a != b {
				return fmt.Errorf("the pruned model's %q is %v, not %v", v.Name, v.Type, t)
			}
		}
	}
	return nil
}

// take returns the elements of t at the given indices of each dimension; nil
// stands for all.
func take(t *tensor.Tensor, keep [][]int) *tensor.Tensor {
	shape := slices.Clone(t.Shape())
	strides := tensor.Strides(t.Shape())
	last := -1 // behind it, rows are copied whole
	for i, k := range keep {
		if k != nil {
			shape[i], last = len(k), i
		}
	}
	out := tensor.New(t.DType(), shape...)
	run := t.DType().Size()
	for _, n := range shape[last+1:] {
		run *= n
	}
	src, dst, size := t.Bytes(), out.Bytes(), t.DType().Size()
	var walk func(axis, from int)
	walk = func(axis, from int) {
		if axis > last {
			dst = dst[copy(dst[:run], src[from*size:]):]
			return
		}
		for i := range shape[axis] {
			j := i
			if keep[axis] != nil {
				j = keep[axis][i]
			}
			walk(axis+1, from+j*strides[axis])
		}
	}
	if out.Len() > 0 {
		walk(0, 0)
	}
	return out
}
