package optimize

import (
	"math"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// attentionMask returns the mask of Attention for scores of the type of qk, nil
// without one. It is false if there is none that means the same: where
// everything is masked, Attention gives 0 and Softmax NaN, so it must be known
// that this does not happen, or NaN must be replaced by 0 behind Softmax.
func attentionMask(m *Match, b *ops.Builder, qk onnx.Type, factor float64) (*onnx.Value, bool) {
	guarded := m.Node("guard") != nil
	d := qk.DType
	if fill := m.Const("fill"); fill != nil {
		f, ok := scalar(fill)
		keep := m.Var("keep")
		if keep == nil {
			keep = b.Op("Not", nil, m.Var("drop"))
		}
		if !ok || b.Err() != nil {
			return nil, false
		}
		switch {
		case math.IsInf(f, -1):
			if !guarded {
				return nil, false
			}
			return fitMask(b, keep, qk)
		case f <= lowest(d)*1e-4: // scores vanish beside it
			return fitMask(b, b.Op("Where", nil, keep, b.Float(d, 0), b.Float(d, f)), qk)
		}
		return nil, false
	}
	mask := m.Var("mask")
	if mask == nil {
		return nil, true
	}
	// In half precision, with a Softmax of float32, a mask may be of that type.
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
		mask = b.Op("Mul", nil, mask, b.Float(d, factor))
	}
	if b.Err() != nil {
		return nil, false
	}
	if !guarded {
		if lo, _ := bounds(mask, 40); !(rounded(lo, d) >= -math.MaxFloat64) && !rowsHaveFinite(mask.Const) {
			return nil, false
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
// between, NaN aside. depth bounds how far it looks.
func bounds(v *onnx.Value, depth int) (lo, hi float64) {
	lo, hi = math.Inf(-1), math.Inf(1)
	switch {
	case v == nil || depth == 0:
		return lo, hi
	case v.Const != nil:
		return constBounds(v.Const)
	case v.Type.DType == tensor.Bool:
		return 0, 1
	case v.From == nil || ops.NormalDomain(v.From.Domain) != "":
		return lo, hi
	}
	n := v.From
	of := func(i int) (float64, float64) { return bounds(input(n, i), depth-1) }
	switch n.Op {
	case "Identity", "Reshape", "Transpose", "Expand", "Unsqueeze", "Squeeze", "Flatten", "Slice", "Tile", "Gather", "GatherElements",
		"GatherND", "Split", "DepthToSpace", "SpaceToDepth":
		return of(0)
	case "Trilu":
		lo, hi = of(0)
		return min(lo, 0), max(hi, 0)
	case "Cast":
		if from := n.In[0].Type.DType; from.IsInt() {
			// Masks of integers count from 0.
			lo, hi = of(0)
			return max(lo, 0), hi
		}
		return of(0)
	case "Where":
		a, x := of(1)
		c, y := of(2)
		return min(a, c), max(x, y)
	case "Concat":
		lo, hi = of(0)
		for i := range n.In[1:] {
			a, x := of(1 + i)
			lo, hi = min(lo, a), max(hi, x)
		}
		return lo, hi
	case "Add":
		a, x := of(0)
		c, y := of(1)
		return a + c, x + y
	case "Sub":
		a, x := of(0)
		c, y := of(1)
		return a - y, x - c
	case "Neg":
		a, x := of(0)
		return -x, -a
	case "Mul":
		a, x := of(0)
		c, y := of(1)
		return productBounds(a, x, c, y)
	case "Min":
		for i := range n.In {
			a, x := of(i)
			if i == 0 {
				lo, hi = a, x
			}
			lo, hi = min(lo, a), min(hi, x)
		}
		return lo, hi
	case "Max":
		for i := range n.In {
			a, x := of(i)
			if i == 0 {
				lo, hi = a, x
			}
			lo, hi = max(lo, a), max(hi, x)
		}
		return lo, hi
	case "Sigmoid", "Softmax":
		return 0, 1
	case "Relu", "Abs":
		return 0, hi
	}
	return lo, hi
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

func constBounds(t *tensor.Tensor) (lo, hi float64) {
	if t.Len() == 0 || t.Len() > 1<<22 || t.DType() == tensor.String || t.DType().IsPacked() {
		return math.Inf(-1), math.Inf(1)
	}
	if t.DType() == tensor.Bool {
		return 0, 1
	}
	if t.DType() == tensor.Float32 {
		return least(tensor.Data[float32](t))
	}
	v, err := tensor.Float64s(t)
	if err != nil || len(v) == 0 {
		return math.Inf(-1), math.Inf(1)
	}
	return least(v)
}

// least returns the least and the greatest of v.
func least[T float32 | float64](v []T) (lo, hi float64) {
	a, b := v[0], v[0]
	for _, x := range v {
		a, b = min(a, x), max(b, x)
	}
	return float64(a), float64(b)
}
