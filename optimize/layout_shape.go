package optimize

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// layoutTranspose drops the Transpose: its input is kept in an order that
// makes it the output in another one. Between Reshapes that would be in their
// way it stays, in other orders.
func layoutTranspose(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	q, ok := permOf(n)
	if !ok || len(q) != len(p) || n.In[0] == nil || n.In[0].Type.Rank() != len(p) {
		return nil
	}
	for _, k := range q {
		if k < 0 || k >= len(p) {
			return nil
		}
	}
	pl := empty(n)
	pl.gain = cost(n.In[0], q)
	if port >= 0 {
		pl.in[0], pl.out[0] = p, perm(q).then(p)
		if len(p) > 4 && len(n.Out[0].Users()) == 1 {
			if u := n.Out[0].Users()[0]; u.Op == "Reshape" && u.Graph == n.Graph {
				pl.out[0] = reshapingOrder(u, 0, pl.out[0], p)
			}
		}
	} else {
		pl.in[0], pl.out[0] = perm(q).after(p), p
		if u := n.In[0].From; len(p) > 4 && u != nil && u.Op == "Reshape" && u.Graph == n.Graph {
			pl.in[0] = reshapingOrder(u, ^0, pl.in[0], p)
		}
	}
	r := pl.in[0].then(perm(q).after(pl.out[0]))
	if isIdentityPerm(r) {
		pl.build = func(_ *ops.Builder, in []*onnx.Value) []*onnx.Value { return in }
		return pl
	}
	pl.loss = pl.gain
	pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
		return []*onnx.Value{b.Op("Transpose", onnx.NewAttrs("perm", []int(r)), in[0])}
	}
	return pl
}

// reshapingOrder returns the first order for the port of u, a Reshape, that suits
// it: def, with the channels last, or p. Else def.
func reshapingOrder(u *onnx.Node, port int, def, p perm) perm {
	for _, c := range []perm{def, channelsLast(len(p)), p} {
		if c.plain() || layoutReshape(nil, u, port, c) != nil {
			return c
		}
	}
	return def
}

// layoutShape puts the sizes back in order.
func layoutShape(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	if port != 0 || n.In[0].Type.Rank() != len(p) {
		return nil
	}
	from, to := tensor.Int(intAttr(n, "start", 0)), tensor.Int(intAttr(n, "end", int64(len(p))))
	if from < 0 {
		from += len(p)
	}
	if to < 0 {
		to += len(p)
	}
	from, to = max(0, min(from, len(p))), max(0, min(to, len(p)))
	pl := empty(n)
	pl.in[0] = p
	pl.loss = viewCost
	pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
		s := b.Op("Shape", nil, in[0])
		if from >= to {
			return nil
		}
		return []*onnx.Value{pick(b, s, p.inverse()[from:to])}
	}
	return pl
}

// dimGroup says that dimensions in[0] to in[1] of a value become out[0] to out[1] by a Reshape.
type dimGroup struct{ in, out [2]int }

// dimGroups splits a Reshape into the smallest parts that keep their number of elements.
func dimGroups(a, b []onnx.Dim) []dimGroup {
	var out []dimGroup
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		g := nextGroup(a[i:], b[j:])
		out = append(out, dimGroup{[2]int{i, i + g[0]}, [2]int{j, j + g[1]}})
		i, j = i+g[0], j+g[1]
	}
	return out
}

// nextGroup returns how many dimensions at the start of a and b have the same product.
func nextGroup(a, b []onnx.Dim) [2]int {
	one := onnx.Size(1)
	if len(a) > 0 && len(b) > 0 && a[0].Equal(b[0]) {
		return [2]int{1, 1}
	}
	// A dimension of size 1 that is not opposite another is a part of its own.
	if len(a) > 0 && a[0].Equal(one) {
		return [2]int{1, 0}
	}
	if len(b) > 0 && b[0].Equal(one) {
		return [2]int{0, 1}
	}
	for total := 2; total < len(a)+len(b); total++ {
		for i := 1; i < total; i++ {
			j := total - i
			if i <= len(a) && j <= len(b) && dimProduct(a[:i]).Equal(dimProduct(b[:j])) {
				return [2]int{i, j}
			}
		}
	}
	return [2]int{len(a), len(b)}
}

func dimProduct(ds []onnx.Dim) onnx.Dim {
	n := onnx.Size(1)
	for _, d := range ds {
		n = n.Mul(d)
	}
	return n
}

// through returns the order of a reshaped value, of dims b, that is what a
// Reshape of the original, of dims a, makes when that is kept in order p.
func through(a, b []onnx.Dim, p perm) (perm, bool) {
	groups := dimGroups(a, b)
	of := make([]int, len(a)) // the group of a dimension
	for i, g := range groups {
		for k := g.in[0]; k < g.in[1]; k++ {
			of[k] = i
		}
	}
	var q perm
	done := make([]bool, len(groups))
	emit := func(i int) {
		done[i] = true
		for k := groups[i].out[0]; k < groups[i].out[1]; k++ {
			q = append(q, k)
		}
		// New dimensions of size 1 stay behind what they were behind.
		for i++; i < len(groups) && groups[i].in[0] == groups[i].in[1]; i++ {
			if !done[i] {
				done[i] = true
				for k := groups[i].out[0]; k < groups[i].out[1]; k++ {
					q = append(q, k)
				}
			}
		}
	}
	for i := 0; i < len(groups) && groups[i].in[0] == groups[i].in[1]; i++ { // at the very start
		emit(i)
	}
	last, lastDim := -1, -1
	for _, k := range p {
		g := of[k]
		if a[k].Is(1) {
			if !done[g] && groups[g].in[1]-groups[g].in[0] == 1 {
				emit(g)
			}
			continue
		}
		if g == last {
			if k < lastDim {
				return nil, false
			}
		} else if done[g] {
			return nil, false
		} else {
			emit(g)
		}
		last, lastDim = g, k
	}
	for i := range groups {
		if !done[i] { // nothing but dimensions of size 1
			emit(i)
		}
	}
	return q, len(q) == len(b)
}

// layoutReshape is for operators that only change the shape, where the
// dimensions that are joined or split lie together in order p too.
func layoutReshape(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	if n.In[0] == nil || port > 0 {
		return nil
	}
	x, y := n.In[0].Type, n.Out[0].Type
	if !x.Ranked || !y.Ranked {
		return nil
	}
	var in, out perm
	var ok bool
	if port == 0 {
		if len(p) != len(x.Dims) {
			return nil
		}
		in = p
		out, ok = through(x.Dims, y.Dims, p)
	} else {
		if len(p) != len(y.Dims) {
			return nil
		}
		out = p
		if in, ok = through(y.Dims, x.Dims, p); ok && len(in) > 0 {
			// Dimensions of size 1 may have found other places.
			var back perm
			if back, ok = through(x.Dims, y.Dims, in); ok && !slices.Equal(back, out) {
				ok = onesOnly(permuted(y.Dims, back), back.then(out))
			}
		}
	}
	if !ok {
		return nil
	}
	shape, ok := constShape(permuted(x.Dims, in), permuted(y.Dims, out))
	if !ok {
		return nil
	}
	pl := empty(n)
	pl.in[0], pl.out[0] = in, out
	pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
		return []*onnx.Value{b.Op("Reshape", nil, in[0], b.Ints(shape...))}
	}
	return pl
}

func permuted(dims []onnx.Dim, p perm) []onnx.Dim {
	if p == nil {
		return dims
	}
	out := make([]onnx.Dim, len(p))
	for i, k := range p {
		out[i] = dims[k]
	}
	return out
}

// constShape returns a constant shape input of a Reshape from dims a to dims b.
func constShape(a, b []onnx.Dim) ([]int, bool) {
	shape := make([]int, len(b))
	open := -1
	for i, d := range b {
		if k, ok := d.Size(); ok {
			if shape[i] = k; k == 0 {
				return nil, false
			}
			continue
		}
		if i < len(a) && d.Equal(a[i]) {
			continue // 0: as it is
		}
		if open >= 0 {
			return nil, false
		}
		open = i
		shape[i] = -1
	}
	return shape, true
}
