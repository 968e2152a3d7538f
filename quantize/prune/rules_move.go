package prune

import (
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// ints returns the elements of a constant of integers.
func ints(v *onnx.Value) ([]int64, bool) {
	if v == nil || v.Const == nil {
		return nil, false
	}
	x, err := tensor.Int64s(v.Const)
	return x, err == nil
}

// refactor takes the elements of in, in their order, apart into dimensions of
// the given sizes. Where it does not see how, ok is false.
func (c *coupling) refactor(n *onnx.Node, in layout, out []onnx.Dim) (l layout, ok bool) {
	q := slices.Concat(in...)
	place := 0
	for _, want := range out {
		var a axis
		for rest := want; !rest.Is(1); {
			if len(q) == 0 {
				return nil, false
			}
			f := q[0]
			have, hok := f.size.Size()
			need, nok := rest.Size()
			switch {
			case f.size.Equal(rest):
				a, q, rest = append(a, f), q[1:], onnx.Size(1)
			case hok && nok && need > 0 && have > need && have%need == 0:
				head, tail := c.part(n, place, f, need)
				place++
				a, q, rest = append(a, head), slices.Concat(axis{tail}, q[1:]), onnx.Size(1)
			case hok && nok && have > 0 && need%have == 0:
				a, q, rest = append(a, f), q[1:], onnx.Size(need/have)
			case !nok:
				left := rest.FloorDiv(f.size)
				if !left.Known() || !left.Mul(f.size).Equal(rest) {
					return nil, false
				}
				a, q, rest = append(a, f), q[1:], left
			default:
				return nil, false
			}
		}
		l = append(l, a)
	}
	return l, len(q) == 0
}

// reshapeFree is for operators that name no sizes.
func reshapeFree(c *coupling, n *onnx.Node) string {
	l, ok := c.refactor(n, c.layout(n.In[0]), n.Out[0].Type.Dims)
	if !ok {
		return "how it joins and parts dimensions cannot be seen"
	}
	c.layouts[n.Out[0]] = l
	return ""
}

func reshape(c *coupling, n *onnx.Node) string {
	if why := reshapeFree(c, n); why != "" {
		return why
	}
	l, in := c.layouts[n.Out[0]], c.layout(n.In[0])
	if !l.labelled() {
		return ""
	}
	// The shape is written anew: 0 copies a dimension, and one may be -1.
	open := 0
	shape := make([]int64, len(l))
	for i, a := range l {
		switch _, known := c.sizeKnown(a); {
		case i < len(in) && sameAxis(a, in[i]):
		case known:
			shape[i] = 1
		default:
			shape[i] = -1
			open++
		}
	}
	if open > 1 {
		return c.reshapePieces(n)
	}
	c.adapt = append(c.adapt, func(s *shrinker) error {
		if !s.shrinks(l) {
			return nil
		}
		now := slices.Clone(shape)
		for i := range now {
			if now[i] == 1 {
				now[i] = int64(s.size(l[i]))
			}
		}
		n.Attrs = n.Attrs.Without("allowzero")
		s.setInts(n, 1, now)
		return nil
	})
	return ""
}

// reshapePieces lets a Reshape shrink whose shape has several computed sizes, if
// those that change are constants beside them.
func (c *coupling) reshapePieces(n *onnx.Node) string {
	l := c.layouts[n.Out[0]]
	for i, a := range l {
		if !a.labelled() {
			continue
		}
		if _, known := c.sizeKnown(a); !known || !canEdit(n.In[1], i) {
			return "several dimensions of its shape are computed"
		}
	}
	c.adapt = append(c.adapt, func(s *shrinker) error {
		for i, a := range l {
			if s.shrinks(layout{a}) {
				s.edit(n, 1, i, int64(s.size(a)))
			}
		}
		return nil
	})
	return ""
}

// sizeKnown reports whether the size of an axis is a number.
func (c *coupling) sizeKnown(a axis) (n int, ok bool) {
	n = 1
	for _, f := range a {
		k, known := f.size.Size()
		if !known {
			return 0, false
		}
		n *= k
	}
	return n, true
}

// sameAxis reports whether two axes are the same dimension.
func sameAxis(a, b axis) bool {
	return slices.EqualFunc(a, b, func(f, g factor) bool { return f.size.Equal(g.size) && slices.Equal(f.units, g.units) })
}

func transpose(c *coupling, n *onnx.Node) string {
	x := c.layout(n.In[0])
	perm := attr(n, "perm", []int64(nil))
	out := slices.Clone(x)
	for i := range x {
		if perm != nil {
			out[i] = x[axisOf(perm[i], len(x))]
		} else {
			out[i] = x[len(x)-1-i]
		}
	}
	c.layouts[n.Out[0]] = out
	return ""
}

func concat(c *coupling, n *onnx.Node) string {
	rank := len(n.Out[0].Type.Dims)
	at := axisOf(attr(n, "axis", int64(1)), rank)
	out := make(layout, rank)
	var along []int
	whole, first := true, true
	for _, v := range n.In {
		l := c.layout(v)
		for k := range out {
			switch {
			case k == at:
				u, ok := c.flat(l[k])
				along, whole = append(along, u...), whole && ok
			case first:
				out[k] = l[k]
			default:
				out[k] = c.match(out[k], l[k])
			}
		}
		first = false
	}
	if !whole {
		for _, v := range n.In {
			c.keepAxis(c.layout(v)[at], "it joins dimensions of unknown size")
		}
		out[at] = opaque(n.Out[0].Type.Dims[at])
	} else {
		out[at] = c.along(along)
	}
	c.layouts[n.Out[0]] = out
	return ""
}

// along makes an axis of units of which all may be fixed.
func (c *coupling) along(units []int) axis {
	if !slices.ContainsFunc(units, func(u int) bool { return u != fixed }) {
		return opaque(onnx.Size(len(units)))
	}
	if len(units) == 1 {
		c.keep(units[0], "it would be the last of its dimension")
	}
	return of(units)
}

func split(c *coupling, n *onnx.Node) string {
	x := c.layout(n.In[0])
	at := axisOf(attr(n, "axis", int64(0)), len(x))
	var parts []axis
	units, ok := c.flat(x[at])
	for _, v := range n.Out {
		if v == nil {
			return "a result of it is absent"
		}
		size, known := v.Type.Dims[at].Size()
		out := slices.Clone(x)
		switch {
		case ok && known && size <= len(units):
			out[at] = c.along(units[:size])
			units = units[size:]
		default:
			c.keepAxis(x[at], "it parts a dimension of unknown size")
			out[at] = opaque(v.Type.Dims[at])
		}
		parts = append(parts, out[at])
		c.layouts[v] = out
	}
	if !x[at].labelled() {
		return ""
	}
	c.adapt = append(c.adapt, func(s *shrinker) error {
		if !s.shrinks(parts) {
			return nil
		}
		sizes := make([]int64, len(parts))
		for i, a := range parts {
			sizes[i] = int64(s.size(a))
		}
		if n.Opset >= 13 {
			n.Attrs = n.Attrs.Without("num_outputs")
			s.setInts(n, 1, sizes)
		} else {
			n.Attrs = n.Attrs.Set("split", sizes)
		}
		return nil
	})
	return ""
}

func slice(c *coupling, n *onnx.Node) string {
	x := c.layout(n.In[0])
	out := slices.Clone(x)
	dims := n.Out[0].Type.Dims
	var bounds [4][]int64 // starts, ends, axes, steps
	ok := true
	for i, name := range []string{"starts", "ends", "axes", "steps"} {
		if n.Opset < 10 {
			bounds[i] = attr(n, name, []int64(nil))
		} else if v := input(n, i+1); v != nil {
			var known bool
			bounds[i], known = ints(v)
			ok = ok && (known || i < 2)
		}
	}
	if !ok {
		return "its axes are computed"
	}
	starts, ends, over, steps := bounds[0], bounds[1], bounds[2], bounds[3]
	count := max(len(starts), len(ends), len(over))
	if over == nil {
		if count == 0 {
			return "its bounds are computed"
		}
		for i := range count {
			over = append(over, int64(i))
		}
	}
	type cut struct {
		entry, from, to int
		of              axis
	}
	var cuts []cut
	for i, a := range over {
		k := axisOf(a, len(x))
		if !x[k].labelled() {
			out[k] = opaque(dims[k])
			continue
		}
		units, whole := c.flat(x[k])
		if !whole || i >= len(starts) || i >= len(ends) || steps != nil && steps[i] != 1 {
			c.keepAxis(x[k], "it takes a part that is computed")
			out[k] = opaque(dims[k])
			continue
		}
		size := int64(len(units))
		clamp := func(b int64) int {
			if b < 0 {
				b += size
			}
			return int(min(max(b, 0), size))
		}
		from, to := clamp(starts[i]), clamp(ends[i])
		if from == 0 && to == len(units) {
			if ends[i] < 0 || ends[i] == size {
				cuts = append(cuts, cut{i, from, to, x[k]})
			}
			continue
		}
		if to <= from {
			return "it takes nothing"
		}
		out[k] = c.along(units[from:to])
		cuts = append(cuts, cut{i, from, to, x[k]})
	}
	c.layouts[n.Out[0]] = out
	if len(cuts) == 0 {
		return ""
	}
	c.adapt = append(c.adapt, func(s *shrinker) error {
		from, to := slices.Clone(starts), slices.Clone(ends)
		changed := false
		for _, cut := range cuts {
			units, _ := c.flat(cut.of)
			if s.kept(units) == len(units) {
				continue
			}
			changed = true
			from[cut.entry] = int64(s.kept(units[:cut.from]))
			to[cut.entry] = int64(s.kept(units[:cut.to]))
		}
		switch {
		case !changed:
		case n.Opset < 10:
			n.Attrs = n.Attrs.Set("starts", from).Set("ends", to)
		default:
			s.setInts(n, 1, from)
			s.setInts(n, 2, to)
		}
		return nil
	})
	return ""
}

func gather(c *coupling, n *onnx.Node) string {
	data, at := c.layout(n.In[0]), 0
	at = axisOf(attr(n, "axis", int64(0)), len(data))
	c.keepAxis(data[at], "it picks elements of this dimension")
	index := c.layout(n.In[1])
	c.keepAll(index, "it reads these as indices")
	c.layouts[n.Out[0]] = slices.Concat(data[:at], opaques(n.In[1].Type.Dims), data[at+1:])
	return ""
}

func expand(c *coupling, n *onnx.Node) string {
	x, from := c.layout(n.In[0]), n.In[0].Type.Dims
	dims := n.Out[0].Type.Dims
	out := opaques(dims)
	for i, a := range x {
		k := i + len(dims) - len(x)
		if from[i].Is(1) {
			continue
		}
		out[k] = a
		if !a.labelled() {
			continue
		}
		if !canEdit(n.In[1], k) {
			c.keepAxis(a, "the shape that it expands to is computed")
			continue
		}
		c.adapt = append(c.adapt, func(s *shrinker) error {
			if s.shrinks(layout{a}) {
				s.edit(n, 1, k, 1) // 1 leaves a dimension as it is
			}
			return nil
		})
	}
	c.layouts[n.Out[0]] = out
	return ""
}

func pad(c *coupling, n *onnx.Node) string {
	x := c.layout(n.In[0])
	pads := attr(n, "pads", []int64(nil))
	var over []int64
	known := true
	if n.Opset >= 11 {
		pads, known = ints(n.In[1])
		if v := input(n, 3); v != nil {
			var ok bool
			over, ok = ints(v)
			known = known && ok
		}
	}
	if !known {
		return "how much it pads is computed"
	}
	if over == nil {
		for i := range x {
			over = append(over, int64(i))
		}
	}
	out := slices.Clone(x)
	for i, a := range over {
		if k := axisOf(a, len(x)); pads[i] != 0 || pads[i+len(over)] != 0 {
			c.keepAxis(x[k], "it pads this dimension")
			out[k] = opaque(n.Out[0].Type.Dims[k])
		}
	}
	c.layouts[n.Out[0]] = out
	return ""
}

// resize lets dimensions through that stay as they are.
func resize(c *coupling, n *onnx.Node) string {
	x := c.layout(n.In[0])
	over := attr(n, "axes", []int64(nil))
	if over == nil {
		for i := range x {
			over = append(over, int64(i))
		}
	}
	scales, sizes := input(n, 2), input(n, 3)
	if n.Op == "Upsample" || n.Opset < 11 {
		scales, sizes = input(n, 1), nil
	}
	if attr(n, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize" {
		return "it crops"
	}
	dims := n.Out[0].Type.Dims
	out := slices.Clone(x)
	for i, a := range over {
		k := axisOf(a, len(x))
		if !x[k].labelled() {
			out[k] = opaque(dims[k])
			continue
		}
		if sizes != nil && sizes.Type.Dims[0].Is(len(over)) {
			if !dims[k].Equal(n.In[0].Type.Dims[k]) || !canEdit(sizes, i) {
				c.keepAxis(x[k], "it resizes this dimension")
				out[k] = opaque(dims[k])
				continue
			}
			c.adapt = append(c.adapt, func(s *shrinker) error {
				if s.shrinks(layout{x[k]}) {
					s.edit(n, 3, i, int64(s.size(x[k])))
				}
				return nil
			})
			continue
		}
		if f := floats(scales); len(f) != len(over) || math.Abs(f[i]-1) > 0 {
			c.keepAxis(x[k], "it resizes this dimension")
			out[k] = opaque(dims[k])
		}
	}
	c.layouts[n.Out[0]] = out
	return ""
}

// floats returns the elements of a constant, nil if v is none.
func floats(v *onnx.Value) []float64 {
	if v == nil || v.Const == nil {
		return nil
	}
	f, err := tensor.Float64s(v.Const)
	if err != nil {
		return nil
	}
	return f
}

// shapeOf pins the dimensions whose sizes a computation reads.
func shapeOf(c *coupling, n *onnx.Node) string {
	x := c.layout(n.In[0])
	from, to := axisOf(attr(n, "start", int64(0)), len(x)), axisOf(attr(n, "end", int64(math.MaxInt32)), len(x))
	from, to = min(max(from, 0), len(x)), min(max(to, 0), len(x))
	read := make([]bool, len(x))
	all := n.Graph.IsOutput(n.Out[0])
	for _, u := range n.Out[0].Users() {
		picks, ok := picked(u, max(0, to-from))
		if !ok {
			all = true
			break
		}
		for _, p := range picks {
			read[from+p] = true
		}
	}
	for i := from; i < to; i++ {
		if all || read[i] {
			c.keepAxis(x[i], "its size is read")
		}
	}
	c.layouts[n.Out[0]] = opaques(n.Out[0].Type.Dims)
	return ""
}

// picked returns the elements that a node takes of a vector of n of them.
func picked(u *onnx.Node, n int) ([]int, bool) {
	var out []int
	switch u.Op {
	case "Gather":
		at, ok := ints(u.In[1])
		for _, i := range at {
			out = append(out, axisOf(i, n))
		}
		return out, ok && !slices.ContainsFunc(out, func(i int) bool { return i < 0 || i >= n })
	case "Slice":
		if u.Opset < 10 || len(u.In) < 3 || len(u.In) > 4 {
			return nil, false
		}
		from, ok1 := ints(u.In[1])
		to, ok2 := ints(u.In[2])
		if !ok1 || !ok2 || len(from) != 1 || len(to) != 1 {
			return nil, false
		}
		clamp := func(i int64) int {
			if i < 0 {
				i += int64(n)
			}
			return int(min(max(i, 0), int64(n)))
		}
		for i := clamp(from[0]); i < clamp(to[0]); i++ {
			out = append(out, i)
		}
		return out, true
	}
	return nil, false
}

// piece finds the constant that holds element i of a vector, through Concat: at
// which input of it, and the element's place there.
func piece(v *onnx.Value, i int) (input, place int, ok bool) {
	c := v.From
	if c == nil || c.Op != "Concat" || c.Domain != "" {
		return 0, 0, false
	}
	for k, p := range c.In {
		if len(p.Type.Dims) != 1 {
			return 0, 0, false
		}
		size, known := p.Type.Dims[0].Size()
		if !known {
			return 0, 0, false
		}
		if i < size {
			return k, i, p.Const != nil
		}
		i -= size
	}
	return 0, 0, false
}

// canEdit reports whether element i of a vector is a constant.
func canEdit(v *onnx.Value, i int) bool {
	if v.Const != nil {
		return true
	}
	_, _, ok := piece(v, i)
	return ok
}
