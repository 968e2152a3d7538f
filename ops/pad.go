package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Pad: data with pads[i] elements added before and pads[i+k] after dimension
// axes[i]; negative pads cut. mode constant adds constant_value, edge repeats
// the border, reflect mirrors without repeating the border, wrap continues
// from the other side.
//
//	data: T[...], pads: int64[2k], constant_value: T[], axes: int32 or int64[k], both optional    output: T[...]
//
// Spec: https://onnx.ai/onnx/operators/onnx__Pad.html
func init() {
	register(&Op{
		Name: "Pad",
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), Infer: inferPad1, Build: buildPad1},
			// 2 renamed paddings to pads, 11 made pads and value inputs.
			{Since: 2, In: N(1), Out: N(1), Infer: inferPad2, Build: buildPad2},
			{Since: 11, In: Arity{2, 3}, Out: N(1), Infer: inferPad, Build: buildPad},
			// 18 added axes, 19 wrap.
			{Since: 18, In: Arity{2, 4}, Out: N(1), Infer: inferPad, Build: buildPad},
		},
	})
}

func inferPad1(c *InferContext) error {
	return inferPadOf(c, onnx.Sizes(c.Ints("paddings", nil)...), nil)
}

func inferPad2(c *InferContext) error {
	return inferPadOf(c, onnx.Sizes(c.Ints("pads", nil)...), nil)
}

func inferPad(c *InferContext) error {
	pads, ok := c.KnownInts(1)
	axes, ok2 := c.sizesKnown(3)
	if !ok || c.Has(3) && !ok2 {
		x := c.In(0)
		c.Out[0] = onnx.UnrankedType(x.DType)
		if x.Ranked {
			c.setRank(0, x.DType, len(x.Dims))
		}
		return nil
	}
	return inferPadOf(c, pads, axes)
}

func inferPadOf(c *InferContext, pads []onnx.Dim, axes []int) error {
	x := c.In(0)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if !x.Ranked {
		return nil
	}
	axes, err := padAxes(newInts, len(x.Dims), len(pads), axes)
	if err != nil {
		return err
	}
	dims := append([]onnx.Dim{}, x.Dims...)
	for i, a := range axes {
		dims[a] = dims[a].Add(pads[i]).Add(pads[i+len(axes)])
	}
	c.Out[0] = onnx.TensorType(x.DType, dims...)
	return nil
}

// padAxes returns the axes, in memory of ints, and checks that there are two pads for each.
func padAxes(ints func(int) []int, rank, pads int, axes []int) ([]int, error) {
	n := len(axes)
	if axes == nil {
		n = rank
	}
	if pads != 2*n {
		return nil, fmt.Errorf("pads has %d elements, want %d", pads, 2*n)
	}
	out := ints(n)
	if axes != nil {
		return normAxesInto(out, axes, rank)
	}
	for i := range out {
		out[i] = i
	}
	return out, nil
}

var padModes = []string{"constant", "reflect", "edge", "wrap"}

func buildPad1(b *BuildContext) (Kernel, error) {
	return padAttrs(b, b.Ints("paddings", nil)), nil
}

func buildPad2(b *BuildContext) (Kernel, error) { return padAttrs(b, b.Ints("pads", nil)), nil }

func padAttrs(b *BuildContext, pads []int) Kernel {
	mode := b.OneOf("mode", padModes[:3]...)
	value := b.Float("value", 0)
	return func(c *Call) error {
		v := c.Lend(c.T(0).DType(), nil)
		err := setFloat(c, v, value)
		if err != nil {
			return err
		}
		return padTensor(c, mode, pads, nil, v)
	}
}

// setFloat sets t, a scalar of a floating-point type, to v; 0 goes for other types too.
func setFloat(c *Call, t *tensor.Tensor, v float32) error {
	switch d := t.DType(); {
	case d == tensor.Float32 || d == tensor.Float64 || d == tensor.Float16 || d == tensor.BFloat16:
		s := Scratch[float32](c, 1)
		s[0] = v
		storeReals(t, s)
	case v == 0:
		zero(t)
	default:
		return fmt.Errorf("%w: value %g for element type %v", ErrUnsupported, v, d)
	}
	return nil
}

func buildPad(b *BuildContext) (Kernel, error) {
	mode := b.OneOf("mode", padModes...)
	return bytewise(func(c *Call) error {
		pads, err := c.Ints(1)
		if err != nil {
			return err
		}
		axes, err := c.Ints(3)
		if err != nil {
			return err
		}
		x, v := c.T(0), c.T(2)
		switch {
		case v == nil || v.Len() == 0:
			v = c.Lend(x.DType(), nil)
			clear(v.Bytes())
		case v.Len() != 1:
			return fmt.Errorf("constant_value has %d elements, want 1", v.Len())
		case v.DType() != x.DType():
			return fmt.Errorf("constant_value is %v, data %v", v.DType(), x.DType())
		}
		return padTensor(c, mode, pads, axes, v)
	}, 0), nil
}

// padSpans returns the shape of a tensor of shape s with its pads, and these for
// every dimension, valid until the call ends.
func padSpans(c *Call, s, pads, axes []int) (shape, before, after []int, err error) {
	if axes, err = padAxes(c.Dims, len(s), len(pads), axes); err != nil {
		return nil, nil, nil, err
	}
	shape = c.list(s...)
	before, after = c.Dims(len(s)), c.Dims(len(s))
	clear(before)
	clear(after)
	for i, a := range axes {
		lo, hi := pads[i], pads[i+len(axes)]
		const most = math.MaxInt / 4 // so that the sum with a dimension does not overflow
		if lo > most || hi > most || lo < -most || hi < -most || s[a] > most {
			return nil, nil, nil, fmt.Errorf("%w: pads %d and %d", tensor.ErrSize, lo, hi)
		}
		if shape[a] = s[a] + lo + hi; shape[a] < 0 {
			return nil, nil, nil, fmt.Errorf("pads %d and %d of dimension %d, which is %d, leave less than nothing", lo, hi, a, s[a])
		}
		before[a], after[a] = lo, hi
	}
	return shape, before, after, nil
}

// padMaps returns, for each dimension and index of the padded tensor, the offset
// in the other of what a mode repeats there.
func padMaps(mode string, s, shape, before, after []int) ([][]int, error) {
	strides := tensor.Strides(s)
	maps := make([][]int, len(s))
	for i, n := range s {
		first := max(0, -before[i]) // what negative pads cut is not repeated
		if n -= first + max(0, -after[i]); n <= 0 {
			return nil, fmt.Errorf("pads %d and %d of dimension %d, which is %d: mode %s has nothing to repeat", before[i], after[i], i, s[i], mode)
		}
		maps[i] = make([]int, shape[i])
		for k := range maps[i] {
			maps[i][k] = (first + padIndex(mode, k-max(0, before[i]), n)) * strides[i]
		}
	}
	return maps, nil
}

func padTensor(c *Call, mode string, pads, axes []int, value *tensor.Tensor) error {
	x := c.T(0)
	s := x.Shape()
	shape, before, after, err := padSpans(c, s, pads, axes)
	if err != nil {
		return err
	}
	y := c.Output(0, x.DType(), shape...)
	if y.Len() == 0 {
		return nil
	}
	m := moverOf(x.DType())
	if mode == "constant" {
		l := strided{shape: c.Dims(len(s)), ds: c.strides(shape), ss: c.strides(s)}
		whole := true
		for i := range s {
			from, to := max(0, before[i]), min(shape[i], before[i]+s[i])
			l.shape[i] = max(0, to-from)
			l.do += from * l.ds[i]
			l.so += (from - before[i]) * l.ss[i]
			whole = whole && l.shape[i] == shape[i]
		}
		if !whole {
			m.fill(c.P, y, 0, y.Len(), value, 0)
		}
		if !slices.Contains(l.shape, 0) {
			m.copy(c.P, y, x, l)
		}
		return nil
	}
	p := State[padPlan](c)
	if !p.known || !slices.Equal(p.size, s) || !slices.Equal(p.before, before) || !slices.Equal(p.after, after) {
		maps, err := padMaps(mode, s, shape, before, after)
		if err != nil {
			return err
		}
		*p = padPlan{slices.Clone(s), slices.Clone(before), slices.Clone(after), maps, true}
	}
	mapped(c.P, m, y, x, p.maps)
	return nil
}

// padPlan is what a node that repeats elements keeps: the maps of its mode for one size and its pads.
type padPlan struct {
	size, before, after []int
	maps                [][]int
	known               bool
}

// gradPad: what was repeated gets the sum over its places; constant_value gets
// what lies outside of the data.
func gradPad(c *GradContext) []*onnx.Value {
	x, d := c.X(0), c.DOut[0]
	mode := c.Attr.OneOf("mode", padModes...)
	back := func(v *onnx.Value) *onnx.Value {
		return c.Ops(Private, "PadGrad", onnx.NewAttrs("mode", mode), 1, v, c.shapeOf(x), c.X(1), c.X(3))[0]
	}
	out := make([]*onnx.Value, 3)
	if c.Needs(0) {
		out[0] = back(d)
	}
	if c.Needs(2) && mode == "constant" {
		all := onnx.NewAttrs("keepdims", 0)
		out[2] = c.Like(c.Minus(c.Op("ReduceSum", all, d), c.Op("ReduceSum", all, back(d))), c.X(2))
	}
	return out
}

// padIndex maps an index outside of [0, n) to the one whose element it repeats.
func padIndex(mode string, i, n int) int {
	switch {
	case mode == "edge":
		return min(max(i, 0), n-1)
	case mode == "wrap":
		return ((i % n) + n) % n
	case n == 1:
		return 0
	}
	period := 2 * (n - 1)
	if i = ((i % period) + period) % period; i >= n {
		i = period - i
	}
	return i
}
