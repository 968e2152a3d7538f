package optimize

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// quantized is a value q of bytes with constant parameters, which stands for
// (q - zero)·scale.
type quantized struct {
	v           *onnx.Value
	scale, zero *onnx.Value // zero may be nil: 0
	scales      []float32   // one, or one for each index along axis
	axis        int         // if there are more
}

// dequantOf returns what v is dequantized from, to float32, or nil.
func dequantOf(v *onnx.Value) *quantized {
	if v == nil || v.From == nil || v.From.Op != "DequantizeLinear" || v.Type.DType != tensor.Float32 {
		return nil
	}
	return paramsOf(v.From, v.From.In[0])
}

// quantOf returns the result of n, which quantizes float32 to bytes, or nil.
func quantOf(n *onnx.Node) *quantized {
	if n.Op != "QuantizeLinear" || n.In[0].Type.DType != tensor.Float32 || intAttr(n, "precision", 0) != 0 {
		return nil
	}
	return paramsOf(n, n.Out[0])
}

// paramsOf reads the parameters of a node that quantizes or dequantizes q.
func paramsOf(n *onnx.Node, q *onnx.Value) *quantized {
	if d := ops.NormalDomain(n.Domain); d != "" && d != "com.microsoft" || q == nil || len(n.In) < 2 || n.In[1] == nil || n.In[1].Const == nil || intAttr(n, "block_size", 0) != 0 {
		return nil
	}
	r := &quantized{v: q, scale: n.In[1], zero: input(n, 2), axis: int(intAttr(n, "axis", 1))}
	if r.scale.Const.DType() != tensor.Float32 || r.zero != nil && (r.zero.Const == nil || r.zero.Const.Len() != r.scale.Const.Len()) || r.scale.Const.Rank() > 1 {
		return nil
	}
	r.scales = tensor.Data[float32](r.scale.Const)
	for _, s := range r.scales {
		if !(s > 0) || math.IsInf(float64(s), 0) {
			return nil
		}
	}
	if rank := q.Type.Rank(); r.axis < 0 && rank >= 0 {
		r.axis += rank
	}
	return r
}

func isBytes(v *onnx.Value) bool {
	return v.Type.DType == tensor.Uint8 || v.Type.DType == tensor.Int8
}

// whole reports whether q has one scale and is of bytes.
func (q *quantized) whole() bool { return q != nil && len(q.scales) == 1 && isBytes(q.v) }

// weights reports whether q is of bytes with one scale or one for each index of
// axis, of which there are n.
func (q *quantized) weights(axis int) bool {
	return q != nil && isBytes(q.v) && (len(q.scales) == 1 || len(q.scales) > 1 && q.axis == axis)
}

// zeros returns the zero points.
func (q *quantized) zeros() []int {
	if q.zero == nil {
		return make([]int, len(q.scales))
	}
	v, err := ops.IntsOf(q.zero.Const)
	if err != nil {
		return make([]int, len(q.scales))
	}
	return v
}

// zeroValue returns the zero points as a value.
func (q *quantized) zeroValue(b *ops.Builder) *onnx.Value {
	if q.zero != nil {
		return q.zero
	}
	return b.Const(tensor.New(q.v.Type.DType, q.scale.Const.Shape()...))
}

// scalarInputs appends the value and its parameters to in.
func (q *quantized) inputs(b *ops.Builder, in ...*onnx.Value) []*onnx.Value {
	return append(in, q.v, q.scale, q.zeroValue(b))
}

// limits returns the bounds of q's bytes after the activation act (nil: none),
// a Relu or Clip; ok is false if it is neither.
func (q *quantized) limits(act *onnx.Node) (lo, hi int, bounded, ok bool) {
	lo, hi = 0, 255
	if q.v.Type.DType == tensor.Int8 {
		lo, hi = -128, 127
	}
	if act == nil {
		return lo, hi, false, true
	}
	var low, high float64
	switch act.Op {
	case "Relu":
		low, high = 0, math.Inf(1)
	case "Clip":
		if low, high, ok = clipLimits(act); !ok {
			return 0, 0, false, false
		}
	default:
		return 0, 0, false, false
	}
	at := func(x float64) int {
		v := math.RoundToEven(float64(float32(x)/q.scales[0])) + float64(q.zeros()[0])
		return int(min(max(v, float64(lo)), float64(hi)))
	}
	l, h := at(low), at(high)
	if h < l {
		return 0, 0, false, false
	}
	return l, h, l > lo || h < hi, true
}

// clipLimits returns the constant bounds of a Clip.
func clipLimits(n *onnx.Node) (lo, hi float64, ok bool) {
	lo, hi = math.Inf(-1), math.Inf(1)
	if n.Opset < 11 {
		return float64(floatAttr(n, "min", -math.MaxFloat32)), float64(floatAttr(n, "max", math.MaxFloat32)), n.Opset >= 6
	}
	for i, p := range []*float64{&lo, &hi} {
		v := input(n, i+1)
		if v == nil {
			continue
		}
		x, ok := reals(v.Const)
		if !ok || len(x) != 1 || math.IsNaN(x[0]) {
			return 0, 0, false
		}
		*p = x[0]
	}
	return lo, hi, true
}

// clipped keeps y within q's bounds after act.
func (q *quantized) clipped(b *ops.Builder, y *onnx.Value, act *onnx.Node) *onnx.Value {
	lo, hi, bounded, ok := q.limits(act)
	if !ok || !bounded {
		return y
	}
	byteOf := func(x int) *onnx.Value {
		if q.v.Type.DType == tensor.Int8 {
			return b.Const(tensor.Scalar(int8(x)))
		}
		return b.Const(tensor.Scalar(uint8(x)))
	}
	return b.Op("Clip", nil, y, byteOf(lo), byteOf(hi))
}

// intBias returns v, a bias of n elements, in units of unit·scales as int32: nil
// if there is none. It is exact if v is such numbers; ok is false if it cannot
// be told or does not fit.
func intBias(b *ops.Builder, v *onnx.Value, n int, unit float32, scales []float32) (bias *onnx.Value, exact, ok bool) {
	if v == nil {
		return nil, true, true
	}
	var x []float64
	var ints []int32
	var own []float32
	switch q := dequantOf(v); {
	case q != nil && q.v.Const != nil && q.v.Const.DType() == tensor.Int32 && (len(q.scales) == 1 || q.v.Const.Len() == len(q.scales)):
		ints, own = tensor.Data[int32](q.v.Const), q.scales
		same, zeros := true, q.zeros()
		x = make([]float64, 0, len(ints))
		for i, k := range ints {
			s, z := own[i%len(own)], zeros[i%len(own)]
			x = append(x, float64(int(k)-z)*float64(s))
			want := unit * scales[i%len(scales)]
			same = same && z == 0 && math.Abs(float64(s-want)) <= 1e-5*float64(want)
		}
		if same && len(ints) == n && q.v.Const.Rank() == 1 {
			return q.v, true, true
		}
	case v.Const != nil && v.Const.DType() == tensor.Float32:
		x, _ = reals(v.Const)
	default:
		return nil, false, false
	}
	if len(x) != n && len(x) != 1 {
		return nil, false, false
	}
	out := make([]int32, n)
	for i := range out {
		k := math.RoundToEven(x[i%len(x)] / (float64(unit) * float64(scales[i%len(scales)])))
		if !(math.Abs(k) < 1<<30) {
			return nil, false, false
		}
		out[i] = int32(k)
	}
	return b.Const(tensor.Of(out)), false, true
}

// evalNode computes the one output of n on constants.
func evalNode(n *onnx.Node, in []tensor.Value) *tensor.Tensor {
	out, err := ops.Eval(par.P{}, n, in, ops.BuildEnv{})
	if err != nil {
		return nil
	}
	t, _ := out[0].(*tensor.Tensor)
	return t
}
