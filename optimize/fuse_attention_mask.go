package optimize

import (
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// attentionMask returns the mask of Attention for scores of the type of qk, nil
// without one; false if there is none that means the same. Where everything is
// masked, Attention gives 0 and Softmax NaN: such rows get a mask of NaN,
// unless they cannot be or NaN is replaced by 0 behind Softmax.
func attentionMask(m *Match, b *ops.Builder, qk onnx.Type, factor float64) (mask *onnx.Value, ok bool) {
	guarded := m.Node("guard") != nil
	d := qk.DType
	mask = m.Var("mask")
	number := func(x float64) *onnx.Value { return b.Float(d, x) }
	if fill := m.Const("fill"); fill != nil {
		f, ok := scalar(fill)
		if mask = m.Var("keep"); mask == nil {
			mask = b.Op("Not", nil, m.Var("drop"))
		}
		if !ok || b.Err() != nil {
			return nil, false
		}
		switch {
		case math.IsInf(f, -1):
			if some, _ := bounds(mask, true, 40); !guarded && some < 1 {
				any := b.Op("ReduceMax", nil, mask, b.Ints(-1))
				mask = b.Op("Where", nil, mask, number(0), b.Op("Where", nil, any, number(f), number(math.NaN())))
			}
		case f <= lowest(d)*1e-4: // scores vanish beside it
			mask = b.Op("Where", nil, mask, number(0), number(f))
		default:
			return nil, false
		}
		return fitMask(b, mask, qk)
	}
	if mask == nil {
		return nil, true
	}
	if mask.Type.DType != d {
		return nil, false
	}
	if more := m.Var("mask2"); more != nil {
		if more.Type.DType != d {
			return nil, false
		}
		mask = b.Op("Add", nil, mask, more)
	}
	if factor != 1 {
		mask = b.Op("Mul", nil, mask, number(factor))
	}
	if b.Err() != nil {
		return nil, false
	}
	if !guarded {
		lo, _ := bounds(mask, false, 40)
		some, _ := bounds(mask, true, 40)
		if !(rounded(lo, d) >= -math.MaxFloat64) && !(rounded(some, d) >= -math.MaxFloat64) && !rowsHaveFinite(mask.Const) {
			none := b.Op("Equal", nil, b.Op("ReduceMax", nil, mask, b.Ints(-1)), number(math.Inf(-1)))
			mask = b.Op("Where", nil, none, number(math.NaN()), mask)
		}
	}
	return fitMask(b, mask, qk)
}

// lowest returns the lowest finite number of type d.
func lowest(d tensor.DType) float64 {
	switch d {
	case tensor.Float16:
		return -65504
	case tensor.Float64:
		return -math.MaxFloat64
	}
	return -math.MaxFloat32
}

// rounded returns x as it is stored in type d, -∞ below its range.
func rounded(x float64, d tensor.DType) float64 {
	switch d {
	case tensor.Float16:
		return float64(tensor.F16Of(float32(x)).Float32())
	case tensor.BFloat16:
		return float64(tensor.BF16Of(float32(x)).Float32())
	case tensor.Float32:
		return float64(float32(x))
	}
	return x
}

// fitMask brings a mask into a form that Attention takes: of two to four
// dimensions, the last of which is that of the scores.
func fitMask(b *ops.Builder, mask *onnx.Value, qk onnx.Type) (*onnx.Value, bool) {
	if mask == nil {
		return nil, false
	}
	r, rank := mask.Type.Rank(), qk.Rank()
	if r < 1 || r > rank || !mask.Type.Dims[r-1].Known() || !mask.Type.Dims[r-1].Equal(qk.Dims[rank-1]) {
		return nil, false
	}
	for i, d := range mask.Type.Dims {
		if !d.Is(1) && !d.Equal(qk.Dims[rank-r+i]) {
			return nil, false
		}
	}
	switch {
	case r == 1:
		mask = b.Op("Unsqueeze", nil, mask, b.Ints(0))
	case r == 3 && rank == 3: // the batch stands before one head
		mask = b.Op("Unsqueeze", nil, mask, b.Ints(1))
	}
	return mask, b.Err() == nil
}

// rowsHaveFinite reports whether each row of a constant has a finite element.
func rowsHaveFinite(t *tensor.Tensor) bool {
	if t == nil || t.Rank() == 0 || t.Len() == 0 || t.Len() > 1<<24 || t.DType() != tensor.Float32 {
		return false
	}
	d, n := tensor.Data[float32](t), t.Dim(-1)
	for ; len(d) > 0; d = d[n:] {
		some := false
		for _, x := range d[:n] {
			some = some || x-x == 0
		}
		if !some {
			return false
		}
	}
	return true
}

// bounds returns what the elements of v, numbers or bools, are known to lie
// between, NaN aside; first: those at index 0 of the last dimension. What is
// computed by sums of products counts as finite. depth bounds how far it looks.
func bounds(v *onnx.Value, first bool, depth int) (lo, hi float64) {
	lo, hi = math.Inf(-1), math.Inf(1)
	switch {
	case v == nil || depth == 0:
		return lo, hi
	case v.Const != nil:
		return constBounds(v.Const, first)
	}
	if v.Type.DType == tensor.Bool {
		lo, hi = 0, 1
	}
	if v.From == nil || ops.NormalDomain(v.From.Domain) != "" {
		return lo, hi
	}
	n := v.From
	of := func(i int) (float64, float64) { return bounds(input(n, i), first, depth-1) }
	var a, b, c, d float64
	if len(n.In) == 2 && n.In[1] != nil {
		switch n.Op {
		case "Add", "Sub", "Mul", "And", "Or", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal":
			a, b = of(0)
			c, d = of(1)
		}
	}
	switch n.Op {
	case "Identity", "Expand", "Unsqueeze", "Squeeze", "Reshape", "Flatten":
		// The first of each row stay where rows do.
		return bounds(n.In[0], first && keepsRows(n), depth-1)
	case "Transpose", "Slice", "Tile", "Gather", "GatherElements", "GatherND", "Split", "DepthToSpace", "SpaceToDepth":
		return bounds(n.In[0], false, depth-1)
	case "Trilu":
		lo, hi = of(0)
		k, ok := 0, true
		if t := input(n, 1); t != nil {
			var s []int
			if ok = t.Const != nil; ok {
				s, _ = ops.IntsOf(t.Const)
				ok = len(s) == 1
			}
			if ok {
				k = s[0]
			}
		}
		upper := intAttr(n, "upper", 1) != 0
		switch {
		case first && ok && upper && k >= 1:
			return 0, 0
		case first && ok && !upper && k >= 0:
			return lo, hi
		}
		return min(lo, 0), max(hi, 0)
	case "Range":
		start, step := constInt(input(n, 0)), constInt(input(n, 2))
		if start == nil || step == nil || *step <= 0 {
			return lo, hi
		}
		if first {
			return float64(*start), float64(*start)
		}
		return float64(*start), hi
	case "Cast":
		if from := n.In[0].Type.DType; from.IsInt() {
			// Masks of integers count from 0.
			lo, hi = of(0)
			return max(lo, 0), hi
		}
		return of(0)
	case "Where":
		c, d = bounds(n.In[0], first, depth-1)
		a, b = of(1)
		lo, hi = of(2)
		switch {
		case c == 1:
			return a, b
		case d == 0:
			return lo, hi
		}
		return min(a, lo), max(b, hi)
	case "Concat":
		lo, hi = bounds(n.In[0], false, depth-1)
		for _, x := range n.In[1:] {
			a, b = bounds(x, false, depth-1)
			lo, hi = min(lo, a), max(hi, b)
		}
		return lo, hi
	case "Add":
		return a + c, b + d
	case "Sub":
		return a - d, b - c
	case "Neg":
		a, b = of(0)
		return -b, -a
	case "Mul":
		return productBounds(a, b, c, d)
	case "And":
		return min(a, c), min(b, d)
	case "Or":
		return max(a, c), max(b, d)
	case "Not":
		a, b = of(0)
		return 1 - b, 1 - a
	case "Less":
		return truth(b < c, a >= d)
	case "LessOrEqual":
		return truth(b <= c, a > d)
	case "Greater":
		return truth(a > d, b <= c)
	case "GreaterOrEqual":
		return truth(a >= d, b < c)
	case "Equal":
		return truth(a == b && c == d && a == c, b < c || a > d)
	case "Min", "Max":
		for i := range n.In {
			a, b = of(i)
			switch {
			case i == 0:
				lo, hi = a, b
			case n.Op == "Min":
				lo, hi = min(lo, a), min(hi, b)
			default:
				lo, hi = max(lo, a), max(hi, b)
			}
		}
		return lo, hi
	case "Sigmoid", "Softmax":
		return 0, 1
	case "Relu", "Abs":
		return 0, hi
	case "MatMul", "Gemm", "Conv", "Einsum", "LayerNormalization", "RMSNormalization":
		return -computed, computed
	}
	return lo, hi
}

// keepsRows reports whether n, which copies or views its input, has the first
// elements of the input's rows first in its own.
func keepsRows(n *onnx.Node) bool {
	x := n.In[0]
	switch n.Op {
	case "Identity":
		return true
	case "Expand":
		return x.Type.Rank() > 0
	case "Unsqueeze":
		axes, given, ok := constInts(n, 1, "axes")
		r := n.Out[0].Type.Rank()
		return given && ok && r > 0 && x.Type.Rank() > 0 && !slices.Contains(axes, -1) && !slices.Contains(axes, r-1)
	}
	return sameLast(x, n.Out[0])
}

// computed is beyond what a network computes unless it overflows.
const computed = 1e30

// truth returns the bounds of a bool that is known to be true or false.
func truth(yes, no bool) (lo, hi float64) {
	switch {
	case yes:
		return 1, 1
	case no:
		return 0, 0
	}
	return 0, 1
}

// constInt returns the value of a constant integer, or nil.
func constInt(v *onnx.Value) *int {
	if v == nil || v.Const == nil || v.Const.Len() != 1 {
		return nil
	}
	if s, err := ops.IntsOf(v.Const); err == nil {
		return &s[0]
	}
	return nil
}

// productBounds bounds x·y for x in [a, b], y in [c, d].
func productBounds(a, b, c, d float64) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, x := range []float64{a, b} {
		for _, y := range []float64{c, d} {
			p := x * y
			if x == 0 || y == 0 { // a bound of ∞ stands for large numbers
				p = 0
			}
			lo, hi = min(lo, p), max(hi, p)
		}
	}
	return lo, hi
}

func constBounds(t *tensor.Tensor, first bool) (lo, hi float64) {
	if t.Len() == 0 || t.Len() > 1<<22 || t.DType() == tensor.String || t.DType().IsPacked() {
		return math.Inf(-1), math.Inf(1)
	}
	step := 1
	if first && t.Rank() > 0 {
		step = t.Dim(-1)
	}
	switch t.DType() {
	case tensor.Bool:
		d := tensor.Data[bool](t)
		lo, hi = 1, 0
		for i := 0; i < len(d); i += step {
			if d[i] {
				hi = 1
			} else {
				lo = 0
			}
		}
		return lo, hi
	case tensor.Float32:
		return least(tensor.Data[float32](t), step)
	}
	v, err := tensor.Float64s(t)
	if err != nil || len(v) == 0 {
		return math.Inf(-1), math.Inf(1)
	}
	return least(v, step)
}

// least returns the least and the greatest of every step-th element of v.
func least[T float32 | float64](v []T, step int) (lo, hi float64) {
	a, b := v[0], v[0]
	for i := 0; i < len(v); i += step {
		a, b = min(a, v[i]), max(b, v[i])
	}
	return float64(a), float64(b)
}
