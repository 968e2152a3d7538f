package optimize

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// reshaped returns v, an initializer or computed value, with the shape changed
// to dims, which has the same number of elements.
func (c *converter) reshaped(n *onnx.Node, v *onnx.Value, dims []int) (*onnx.Value, error) {
	if v.Const != nil {
		t, err := v.Const.Reshape(dims...)
		if err != nil {
			return nil, err
		}
		return n.Graph.AddConst(n.Graph.NewConst("", t)), nil
	}
	var out *onnx.Value
	err := c.build(n, func(b *ops.Builder) {
		if c.target < 5 {
			out = b.Op("Reshape", onnx.NewAttrs("shape", dims), v)
		} else {
			out = b.Op("Reshape", nil, v, b.Ints(dims...))
		}
	})
	return out, err
}

// broadcastUp translates the broadcast and axis attributes of versions before
// 7, which align B with A at an axis, to alignment at the end.
func broadcastUp(c *converter, n *onnx.Node) error {
	broadcast, axis := intAttr(n, "broadcast", 0), n.Attrs.Get("axis")
	at := intAttr(n, "axis", 0)
	n.Attrs = n.Attrs.Without("broadcast", "axis", "consumed_inputs")
	if broadcast == 0 || axis == nil {
		return nil
	}
	ra, rb := n.In[0].Type.Rank(), n.In[1].Type.Rank()
	if ra < 0 || rb < 0 {
		return need("axis is given and the ranks are unknown")
	}
	if at < 0 {
		at += int64(ra)
	}
	more := ra - int(at) - rb
	if more <= 0 {
		return nil
	}
	shape, ok := n.In[1].Type.Static()
	if !ok {
		return need("axis is given and the shape of B is unknown")
	}
	v, err := c.reshaped(n, n.In[1], append(shape, slices.Repeat([]int{1}, more)...))
	if err != nil {
		return err
	}
	n.SetInput(1, v)
	return nil
}

func broadcastDown(c *converter, n *onnx.Node) error {
	if sameType(n.In[0], n.In[1]) {
		return nil
	}
	a, okA := n.In[0].Type.Static()
	b, okB := n.In[1].Type.Static()
	if !okA || !okB {
		return need("the shapes %v and %v are not known to be equal, and the older version broadcasts only at an axis", n.In[0].Type, n.In[1].Type)
	}
	if size(b) > size(a) || len(b) > len(a) {
		if o := c.set.Get("", n.Op); o == nil || !o.Commutative {
			return need("A is broadcast (%v to %v), which the older version cannot", n.In[0].Type, n.In[1].Type)
		}
		x, y := n.In[0], n.In[1]
		n.SetInput(0, y)
		n.SetInput(1, x)
		a, b = b, a
	}
	// The part of B without ones at the ends must be a part of A's shape.
	lo, hi := 0, len(b)
	for lo < hi && b[lo] == 1 {
		lo++
	}
	for hi > lo && b[hi-1] == 1 {
		hi--
	}
	axis := len(a) - len(b) + lo
	if axis < 0 || !slices.Equal(a[axis:axis+hi-lo], b[lo:hi]) {
		return need("shape %v broadcasts to %v in more than one place", b, a)
	}
	if hi-lo != len(b) {
		v, err := c.reshaped(n, n.In[1], b[lo:hi])
		if err != nil {
			return err
		}
		n.SetInput(1, v)
	}
	n.Attrs = n.Attrs.Set("broadcast", 1)
	if lo < hi {
		n.Attrs = n.Attrs.Set("axis", axis)
	}
	return nil
}

func size(shape []int) int {
	n, err := tensor.Count(shape)
	if err != nil {
		return 0
	}
	return n
}

// preluUp aligns the slope, one per channel (axis 1) before version 7, at the end.
func preluUp(c *converter, n *onnx.Node) error {
	x, s := n.In[0].Type.Rank(), n.In[1].Type
	shape, ok := s.Static()
	switch {
	case ok && size(shape) == 1:
		return nil
	case x < 0 || !ok:
		return need("the shape of the slope (%v) or the rank of X is unknown", s)
	case len(shape) != 1 || x <= 2:
		return nil
	}
	v, err := c.reshaped(n, n.In[1], append(shape, slices.Repeat([]int{1}, x-2)...))
	if err == nil {
		n.SetInput(1, v)
	}
	return err
}

func preluDown(c *converter, n *onnx.Node) error {
	x := n.In[0].Type.Rank()
	shape, ok := n.In[1].Type.Static()
	if ok && size(shape) == 1 {
		v, err := c.reshaped(n, n.In[1], []int{1})
		if err == nil {
			n.SetInput(1, v)
		}
		return err
	}
	// A leading 1 for the batch may be there or not.
	channel := len(shape) - (x - 1)
	if !ok || x < 2 || channel < 0 || channel >= len(shape) || size(shape) != shape[channel] {
		return need("the slope (%v) is not one per channel", n.In[1].Type)
	}
	v, err := c.reshaped(n, n.In[1], []int{shape[channel]})
	if err == nil {
		n.SetInput(1, v)
	}
	return err
}

func gemmBroadcast(_ *converter, n *onnx.Node) error {
	n.Attrs = n.Attrs.Set("broadcast", 1)
	return nil
}

func gemmDown(c *converter, n *onnx.Node) error {
	if input(n, 2) != nil {
		return nil
	}
	t := floatConst(n.In[0].Type.DType, 0)
	if t == nil {
		return need("C is absent and A has element type %v", n.In[0].Type.DType)
	}
	c.setConst(n, 2, t)
	return nil
}

func reduceDown(c *converter, n *onnx.Node) error {
	axes, given, ok := constInts(n, 1, "axes")
	if !ok {
		return need("axes are computed, and the older version wants them as an attribute")
	}
	drop(n, 1)
	noop := intAttr(n, "noop_with_empty_axes", 0) != 0
	n.Attrs = n.Attrs.Without("noop_with_empty_axes")
	if !given || len(axes) == 0 {
		if noop {
			switch n.Op {
			case "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd":
				n.Op, n.Attrs = "Identity", nil
				return nil
			}
			return need("noop_with_empty_axes without axes")
		}
		return nil
	}
	n.Attrs = n.Attrs.Set("axes", toInt64(axes))
	return nil
}

func reshapeUp(c *converter, n *onnx.Node) error {
	n.Attrs = n.Attrs.Without("consumed_inputs")
	if n.Attrs.Get("shape") == nil {
		return need("the attribute shape is missing")
	}
	return intsToInput("shape", 1)(c, n)
}

func padRename(_ *converter, n *onnx.Node) error { return renameAttr(n, "paddings", "pads") }

func padRenameBack(_ *converter, n *onnx.Node) error { return renameAttr(n, "pads", "paddings") }

func renameAttr(n *onnx.Node, from, to string) error {
	n.Attrs = slices.Clone(n.Attrs)
	if a := n.Attrs.Get(from); a != nil {
		a.Name = to
	}
	return nil
}

func padUp(c *converter, n *onnx.Node) error {
	if err := intsToInput("pads", 1)(c, n); err != nil {
		return err
	}
	if v := floatAttr(n, "value", 0); v != 0 {
		t := floatConst(n.In[0].Type.DType, float64(v))
		if t == nil {
			return need("data has element type %v", n.In[0].Type.DType)
		}
		c.setConst(n, 2, t)
	}
	n.Attrs = n.Attrs.Without("value")
	return nil
}

func padDown(c *converter, n *onnx.Node) error {
	if v := input(n, 2); v != nil {
		x, ok := scalarOf(v)
		if !ok {
			return need("constant_value is computed, and the older version wants it as an attribute")
		}
		n.Attrs = n.Attrs.Set("value", x)
	}
	drop(n, 2)
	return inputToInts("pads", 1)(c, n)
}

func padAxes(c *converter, n *onnx.Node) error {
	if input(n, 3) == nil {
		return nil
	}
	axes, _, ok := constInts(n, 3, "")
	pads, _, ok2 := constInts(n, 1, "pads")
	rank := n.In[0].Type.Rank()
	if !ok || !ok2 || rank < 0 || len(pads) != 2*len(axes) {
		return need("axes are given, and pads or the rank are unknown")
	}
	full := make([]int64, 2*rank)
	for i, a := range axes {
		k, err := tensor.Axis(a, rank)
		if err != nil {
			return err
		}
		full[k], full[rank+k] = int64(pads[i]), int64(pads[len(axes)+i])
	}
	drop(n, 3)
	n.TrimInputs()
	c.setConst(n, 1, tensor.Of(full))
	return nil
}

func padNoWrap(_ *converter, n *onnx.Node) error {
	if mode, _ := onnx.Attribute(n, "mode", "constant"); mode == "wrap" {
		return need("mode is %q", mode)
	}
	return nil
}

func sliceUp(c *converter, n *onnx.Node) error {
	return chain(intsToInput("starts", 1), intsToInput("ends", 2), intsToInput("axes", 3))(c, n)
}

func sliceDown(c *converter, n *onnx.Node) error {
	steps, _, ok := constInts(n, 4, "")
	if !ok || !all(steps, 1) {
		return need("steps are not known to be 1")
	}
	drop(n, 4)
	for i, name := range []string{"starts", "ends", "axes"} {
		v, given, ok := constInts(n, i+1, name)
		if !ok {
			return need("%s are computed, and the older version wants them as an attribute", name)
		}
		if given {
			n.Attrs = n.Attrs.Set(name, toInt64(v))
		}
	}
	drop(n, 1)
	return nonNegative(c, n)
}

func splitInput(_ *converter, n *onnx.Node) error {
	v, given, ok := constInts(n, 1, "split")
	if f, in, whole := constFloatsOrInts(n, 1); in { // of the type of the other input
		v, given, ok = f, in, whole
	}
	if !ok {
		return need("split is computed, and version 2 wants it as an attribute")
	}
	drop(n, 1)
	if given {
		n.Attrs = n.Attrs.Set("split", toInt64(v))
	}
	return nil
}

func splitUp(_ *converter, n *onnx.Node) error {
	if input(n, 1) == nil {
		n.Attrs = n.Attrs.Set("num_outputs", len(n.Out))
	}
	return nil
}

func splitDown(c *converter, n *onnx.Node) error {
	k := intAttr(n, "num_outputs", 0)
	n.Attrs = n.Attrs.Without("num_outputs")
	if k == 0 || input(n, 1) != nil {
		return nil
	}
	t := n.In[0].Type
	axis, err := tensor.Axis(int(intAttr(n, "axis", 0)), max(t.Rank(), 0))
	if err != nil {
		return need("num_outputs is given and the shape is unknown (%v)", t)
	}
	size, ok := t.Dims[axis].Size()
	if !ok {
		return need("num_outputs is given and the dimension is unknown (%v)", t)
	}
	if size%int(k) == 0 {
		return nil
	}
	parts := make([]int64, k)
	chunk := (size + int(k) - 1) / int(k)
	for i := range parts {
		parts[i] = int64(max(0, min(chunk, size-i*chunk)))
	}
	c.setConst(n, 1, tensor.Of(parts))
	return nil
}

func topKUp(c *converter, n *onnx.Node) error {
	k := intAttr(n, "k", -1)
	if k < 0 {
		return need("the attribute k is missing")
	}
	c.setConst(n, 1, tensor.Of([]int64{k}))
	n.Attrs = n.Attrs.Without("k")
	return nil
}

func topKDown(_ *converter, n *onnx.Node) error {
	k, _, ok := constInts(n, 1, "")
	if !ok || len(k) != 1 {
		return need("K is computed, and the older version wants it as an attribute")
	}
	drop(n, 1)
	n.Attrs = n.Attrs.Set("k", k[0])
	return nil
}

func tileUp(c *converter, n *onnx.Node) error {
	tiles, _, ok := constInts(n, 1, "")
	axis, _, ok2 := constFloatsOrInts(n, 2)
	rank := n.In[0].Type.Rank()
	if t, _, ok3 := constFloatsOrInts(n, 1); !ok && ok3 {
		tiles, ok = t, true
	}
	if !ok || !ok2 || rank < 0 || len(tiles) != 1 || len(axis) != 1 || axis[0] < 0 || axis[0] >= rank {
		return need("tiles, axis or the rank are unknown")
	}
	repeats := slices.Repeat([]int64{1}, rank)
	repeats[axis[0]] = int64(tiles[0])
	drop(n, 1)
	c.setConst(n, 1, tensor.Of(repeats))
	return nil
}

// constFloatsOrInts reads an initializer of whole numbers of any type: version
// 1 of Tile has tiles and axis in the type of its input.
func constFloatsOrInts(n *onnx.Node, i int) (v []int, given, ok bool) {
	x := input(n, i)
	if x == nil {
		return nil, false, false
	}
	t := constOf(x)
	if t == nil {
		return nil, true, false
	}
	f, err := tensor.Float64s(t)
	if err != nil {
		return nil, true, false
	}
	for _, y := range f {
		v = append(v, int(y))
	}
	return v, true, true
}

func tileDown(*converter, *onnx.Node) error {
	return need("version 1 takes tiles and axis as tensors of the type of the input")
}

func dftUp(c *converter, n *onnx.Node) error {
	axis := intAttr(n, "axis", 1)
	n.Attrs = n.Attrs.Without("axis")
	c.setConst(n, 2, tensor.Scalar(axis))
	return nil
}

func dftDown(_ *converter, n *onnx.Node) error {
	axis := -2
	if input(n, 2) != nil {
		v, _, ok := constInts(n, 2, "")
		if !ok || len(v) != 1 {
			return need("axis is computed, and the older version wants it as an attribute")
		}
		axis = v[0]
	}
	if axis < 0 {
		r := n.In[0].Type.Rank()
		if r < 0 {
			return need("axis %d is negative and the rank is unknown", axis)
		}
		axis += r
	}
	drop(n, 2)
	n.TrimInputs()
	n.Attrs = n.Attrs.Set("axis", axis)
	return nil
}

// softmaxUp: before 13 the input is taken as a matrix [product of dims before
// axis, product of the others], each row of which is one distribution.
func softmaxUp(c *converter, n *onnx.Node) error {
	axis, rank := int(intAttr(n, "axis", 1)), n.In[0].Type.Rank()
	if rank >= 0 && axis < 0 {
		axis += rank
	}
	if rank == 1 && axis == 1 || rank == axis+1 || axis == -1 && rank < 0 {
		n.Attrs = n.Attrs.Set("axis", -1)
		return nil
	}
	if rank >= 0 && axis == rank {
		return need("axis %d with rank %d", axis, rank)
	}
	x := n.In[0]
	var out *onnx.Value
	err := c.build(n, func(b *ops.Builder) {
		flat := b.Op("Flatten", onnx.NewAttrs("axis", axis), x)
		y := b.Op(n.Op, onnx.NewAttrs("axis", -1), flat)
		out = b.Op("Reshape", nil, y, b.Op("Shape", nil, x))
	})
	return c.instead(n, out, err)
}

// instead puts out in place of n's output.
func (c *converter) instead(n *onnx.Node, out *onnx.Value, err error) error {
	if err != nil {
		return err
	}
	out.Type = refine(out, n.Out[0])
	out.From.Name = n.Name
	g := n.Graph
	g.Replace(n.Out[0], out)
	g.Remove(n)
	return nil
}

func softmaxDown(c *converter, n *onnx.Node) error {
	axis, rank := int(intAttr(n, "axis", -1)), n.In[0].Type.Rank()
	if rank < 0 {
		return need("the rank is unknown")
	}
	k, err := tensor.Axis(axis, max(rank, 1))
	if err != nil {
		return err
	}
	if k == rank-1 || rank == 0 {
		n.Attrs = n.Attrs.Set("axis", k)
		return nil
	}
	perm := make([]int, rank)
	for i := range perm {
		perm[i] = i
	}
	perm[k], perm[rank-1] = rank-1, k
	x := n.In[0]
	var out *onnx.Value
	err = c.build(n, func(b *ops.Builder) {
		t := b.Op("Transpose", onnx.NewAttrs("perm", perm), x)
		y := b.Op(n.Op, onnx.NewAttrs("axis", rank-1), t)
		out = b.Op("Transpose", onnx.NewAttrs("perm", perm), y)
	})
	return c.instead(n, out, err)
}

// groupNormUp: from 21 on, scale and bias are per channel, not per group. There
// is no way back: version 18 is deprecated.
func groupNormUp(c *converter, n *onnx.Node) error {
	groups := int(intAttr(n, "num_groups", 0))
	t := n.In[0].Type
	if t.Rank() < 2 || groups < 1 {
		return need("the shape of X is unknown (%v)", t)
	}
	ch, ok := t.Dims[1].Size()
	if !ok || ch%groups != 0 {
		return need("the number of channels is unknown or not a multiple of num_groups (%v)", t)
	}
	for i := 1; i <= 2; i++ {
		v := n.In[i]
		err := c.build(n, func(b *ops.Builder) {
			col := b.Op("Reshape", nil, v, b.Ints(groups, 1))
			wide := b.Op("Expand", nil, col, b.Ints(groups, ch/groups))
			n.SetInput(i, b.Op("Reshape", nil, wide, b.Ints(ch)))
		})
		if err != nil {
			return err
		}
	}
	return nil
}
