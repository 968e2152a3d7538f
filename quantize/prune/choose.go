package prune

import (
	"cmp"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// weigh sets the scores of units: the mean over all slices of weights that they
// are, each slice's norm by the mean norm of the slices of that weight. It is no
// sum, because behind a Concat or Slice not all units of a group are in as many
// weights. Vectors, such as biases and scales, count only where there is nothing else.
func (c *coupling) weigh(groups []*group, norm Norm) {
	of := map[int]*group{}
	for _, g := range groups {
		for _, x := range g.roots {
			of[x] = g
		}
	}
	vectors, parts := map[int]float64{}, map[int]float64{}
	for _, v := range c.constants() {
		l := c.layouts[v]
		wide := 0
		for _, n := range v.Const.Shape() {
			if n > 1 {
				wide++
			}
		}
		for i, a := range l {
			if !a.labelled() {
				continue
			}
			norms := sliceNorms(v.Const, i, norm)
			mean := 0.0
			for _, x := range norms {
				mean += x / float64(len(norms))
			}
			if !(mean > 0) || math.IsInf(mean, 0) {
				continue
			}
			for j, u := range a[0].units {
				root := c.sets.find(u)
				g := of[root]
				if g == nil {
					continue
				}
				if wide > 1 {
					g.score[root] += norms[j] / mean
					parts[root]++
				} else {
					vectors[root] += norms[j] / mean
				}
			}
		}
	}
	for _, g := range groups {
		matrices := len(g.score) > 0
		for _, x := range g.roots {
			if matrices {
				g.score[x] /= max(parts[x], 1)
			} else {
				g.score[x] = vectors[x]
			}
		}
	}
}

// constants returns the floating-point and quantised initializers with units,
// sorted by their first, so that sums come out the same every time.
func (c *coupling) constants() []*onnx.Value {
	first := map[*onnx.Value]int{}
	var out []*onnx.Value
	for v, l := range c.layouts {
		if v.Const == nil || !v.Const.DType().IsFloat() && v.Const.DType().Size() != 1 {
			continue
		}
		if i := slices.IndexFunc(l, axis.labelled); i >= 0 {
			first[v] = l[i][0].units[0]
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b *onnx.Value) int { return first[a] - first[b] })
	return out
}

// sliceNorms returns the norm of each slice of t along a dimension.
func sliceNorms(t *tensor.Tensor, axis int, norm Norm) []float64 {
	n := t.Dim(axis)
	out := make([]float64, n)
	data, err := tensor.Float64s(t)
	if err != nil {
		return out
	}
	inner := tensor.Strides(t.Shape())[axis]
	for i := 0; i < len(data); i += inner {
		sum := 0.0
		for _, x := range data[i : i+inner] {
			if norm == L1 {
				sum += math.Abs(x)
			} else {
				sum += x * x
			}
		}
		out[i/inner%n] += sum
	}
	if norm == L2 {
		for i, x := range out {
			out[i] = math.Sqrt(x)
		}
	}
	return out
}

// choose marks the units that go: of each group those with the lowest scores
// until keep of them are left.
func (s *shrinker) choose(groups []*group, keep func(*group) int) {
	clear(s.gone)
	for _, g := range groups {
		order := slices.Clone(g.free)
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(g.score[a], g.score[b]) })
		for _, x := range order[:min(max(len(g.roots)-keep(g), 0), len(order))] {
			s.gone[x] = true
		}
	}
	s.spare(groups)
	for _, g := range groups {
		g.Removed = 0
		for _, x := range g.free {
			if s.gone[x] {
				g.Removed++
			}
		}
	}
}

// spare keeps the best unit of a dimension that would lose all: a part of a
// group, behind a Split or Slice.
func (s *shrinker) spare(groups []*group) {
	if len(s.gone) == 0 {
		return
	}
	score := map[int]float64{}
	for _, g := range groups {
		for x, v := range g.score {
			score[x] = v
		}
	}
	look := func(v *onnx.Value) {
		for _, a := range s.c.layouts[v] {
			for _, f := range a {
				if f.units == nil || s.kept(f.units) > 0 {
					continue
				}
				best := slices.MaxFunc(f.units, func(a, b int) int {
					a, b = s.c.sets.find(a), s.c.sets.find(b)
					return cmp.Or(cmp.Compare(score[a], score[b]), b-a)
				})
				delete(s.gone, s.c.sets.find(best))
			}
		}
	}
	for _, n := range s.g.Nodes {
		for _, v := range slices.Concat(n.In, n.Out) {
			if v != nil {
				look(v)
			}
		}
	}
}

// mostGlobal is the part of a group that goes at most when groups are compared
// with each other: a layer that all others depend on is not starved.
const mostGlobal = 0.9

// chooseGlobal removes the units with the lowest scores of the whole model until
// its FLOPs have fallen by the wanted fraction, or no more can go.
func (s *shrinker) chooseGlobal(groups []*group, o Options) {
	var all []float64
	for _, g := range groups {
		mean := 0.0
		for _, x := range g.free {
			mean += g.score[x] / float64(len(g.free))
		}
		for _, x := range g.free {
			if mean > 0 {
				g.score[x] /= mean
			}
			all = append(all, g.score[x])
		}
	}
	slices.Sort(all)
	clear(s.gone)
	goal := (1 - o.Fraction) * float64(s.flops())
	at := func(below int) {
		limit := math.Inf(1)
		if below < len(all) {
			limit = all[below]
		}
		s.choose(groups, func(g *group) int {
			low := 0
			for _, x := range g.free {
				if g.score[x] < limit {
					low++
				}
			}
			n := float64(len(g.roots))
			return g.keep(min(float64(low)/n, mostGlobal), o.Multiple)
		})
	}
	lo, hi := 0, len(all)
	for lo < hi {
		mid := (lo + hi) / 2
		at(mid)
		if float64(s.flops()) <= goal {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	at(lo)
}

// flops returns the work that is left after the removal.
func (s *shrinker) flops() int64 {
	total := int64(0)
	for _, n := range s.g.Nodes {
		total += flops(n, func(v *onnx.Value) []int {
			l, ok := s.c.layouts[v]
			if !ok {
				return nil
			}
			shape := make([]int, len(l))
			for i, a := range l {
				var known bool
				if shape[i], known = s.dim(a).Eval(s.sizes); !known {
					return nil
				}
			}
			return shape
		})
	}
	return total
}
