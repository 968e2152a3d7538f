package ops

import (
	"fmt"
	"math"
	"strings"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// qonnxDomain is the domain of the operators of QONNX, which FINN, hls4ml and Brevitas
// exchange networks of any number of bits with.
const qonnxDomain = "qonnx.custom_op.general"

// qonnx builds expansions of QONNX's operators. T is the type of x.
type qonnx struct {
	*ExpandContext
	dtype tensor.DType
}

func newQONNX(c *ExpandContext) (*qonnx, error) {
	for i := range c.node.In {
		if !c.Has(i) {
			return nil, fmt.Errorf("input %d is absent", i)
		}
	}
	d := c.value(0).Type.DType
	if !d.IsFloat() {
		return nil, fmt.Errorf("%w: x is %v, want floats", ErrUnsupported, c.value(0).Type)
	}
	return &qonnx{c, d}, nil
}

// op adds a node of the standard as of opset 13, which the model may not declare.
//
//go:noinline
func (q *qonnx) op(name string, as onnx.Attrs, in ...*onnx.Value) *onnx.Value {
	return q.at(name, max(13, q.G.Opsets[""]), as, 1, in...)[0]
}

// two adds a node with two inputs.
//
//go:noinline
func (q *qonnx) two(name string, a, b *onnx.Value) *onnx.Value { return q.op(name, nil, a, b) }

// number returns a scalar of T.
func (q *qonnx) number(x float64) *onnx.Value { return q.Builder.Float(q.dtype, x) }

// known returns the elements of input i if they are constant.
func (q *qonnx) known(i int) ([]float32, *tensor.Tensor) {
	v := q.value(i)
	if v == nil {
		return nil, nil
	}
	t := v.Const
	if t == nil && v.From != nil && v.From.Op == "Constant" && v.From.Domain == "" {
		t, _ = onnx.Attribute(v.From, "value", t)
	}
	if t == nil || !t.DType().IsFloat() && !t.DType().IsInt() {
		return nil, nil
	}
	x := make([]float32, t.Len())
	tensor.WidenTo(x, t, 0)
	return x, t
}

// bits returns input i, a constant number of bits.
func (q *qonnx) bits(i int, name string) (float64, error) {
	x, t := q.known(i)
	switch {
	case t == nil:
		return 0, fmt.Errorf("%w: %s is computed, want a constant", ErrUnsupported, name)
	case len(x) != 1:
		return 0, fmt.Errorf("%w: %s has %d elements, want 1", ErrUnsupported, name, len(x))
	case !(x[0] >= 1 && x[0] <= 64):
		return 0, fmt.Errorf("%s is %v, want 1 to 64", name, x[0])
	}
	return float64(x[0]), nil
}

// integers returns the least and greatest integer of so many bits; narrow leaves out
// the least if they are signed, else the greatest.
func integers(bits float64, signed, narrow bool) (lo, hi float64) {
	off := 0.0
	if narrow {
		off = 1
	}
	if signed {
		half := math.Exp2(bits - 1)
		return off - half, half - 1
	}
	return 0, math.Exp2(bits) - 1 - off
}

// round adds the rounding of x that a mode names.
func (q *qonnx) round(mode string, x *onnx.Value) (*onnx.Value, error) {
	name, shift := "", 0.0 // of magnitudes, after the shift
	switch strings.ToUpper(mode) {
	case "ROUND", "HALF_EVEN":
		return q.op("Round", nil, x), nil
	case "CEIL":
		return q.op("Ceil", nil, x), nil
	case "FLOOR":
		return q.op("Floor", nil, x), nil
	case "UP":
		name = "Ceil"
	case "DOWN":
		name = "Floor"
	case "HALF_UP":
		name, shift = "Floor", 0.5
	case "HALF_DOWN":
		name, shift = "Ceil", -0.5
	default:
		return nil, fmt.Errorf("%w: rounding_mode is %q, want ROUND, HALF_EVEN, CEIL, FLOOR, UP, DOWN, HALF_UP or HALF_DOWN", ErrUnsupported, mode)
	}
	m := q.two("Add", q.op("Abs", nil, x), q.number(shift))
	return q.two("Mul", q.op("Sign", nil, x), q.op(name, nil, m)), nil
}

// clamp bounds x.
func (q *qonnx) clamp(x *onnx.Value, lo, hi float64) *onnx.Value {
	return q.two("Max", q.two("Min", x, q.number(hi)), q.number(lo))
}

// signs adds 1 where x is at least 0, and -1 elsewhere.
func (q *qonnx) signs(x *onnx.Value) *onnx.Value {
	return q.op("Where", nil, q.two("Less", x, q.number(0)), q.number(-1), q.number(1))
}

// pair adds QuantizeLinear, Clip and DequantizeLinear for x rounded to integers of
// lo to hi, where these are the same as the formula: scales and zero points are constant, one
// or one for each index of a dimension, and zero points even, so that halves go to the same
// side. Else it returns nil.
func (q *qonnx) pair(x *onnx.Value, lo, hi float64) *onnx.Value {
	scales, scale := q.known(1)
	zeros, zero := q.known(2)
	d, least, most := tensor.Int8, -128.0, 127.0
	if lo >= 0 {
		d, least, most = tensor.Uint8, 0, 255
	}
	if q.dtype != tensor.Float32 || scale == nil || zero == nil || scale.DType() != q.dtype || len(zeros) == 0 ||
		lo < least || hi > most || lo != math.Trunc(lo) || hi != math.Trunc(hi) {
		return nil
	}
	axis, shape := 0, []int(nil)
	if n := scale.Len(); n != 1 {
		if !x.Type.Ranked || scale.Rank() > x.Type.Rank() {
			return nil
		}
		for i := range scale.Rank() {
			switch scale.Dim(i) {
			case 1:
			case n:
				axis, shape = x.Type.Rank()-scale.Rank()+i, []int{n}
			default:
				return nil
			}
		}
	} else if scale.Rank() > x.Type.Rank() || !x.Type.Ranked && scale.Rank() > 0 {
		return nil // the result has the rank of the scale
	}
	z := tensor.New(d, shape...)
	for i := range z.Bytes() {
		v := zeros[0]
		if len(zeros) != 1 {
			if len(zeros) != z.Len() || zero.Rank() != scale.Rank() {
				return nil
			}
			v = zeros[i]
		}
		if !(float64(v) >= least && float64(v) <= most) || v != float32(math.Trunc(float64(v))) || int(v)%2 != 0 {
			return nil
		}
		z.Bytes()[i] = byte(int(v))
	}
	if len(zeros) == 1 && zero.Rank() > max(scale.Rank(), x.Type.Rank()) {
		return nil
	}
	as := onnx.NewAttrs("axis", axis)
	s, zp := q.Const(tensor.Of(scales, shape...)), q.Const(z)
	y := q.op("QuantizeLinear", as, x, s, zp)
	if lo > least || hi < most {
		from, to := tensor.New(d), tensor.New(d)
		from.Bytes()[0], to.Bytes()[0] = byte(int(lo)), byte(int(hi))
		y = q.op("Clip", nil, y, q.Const(from), q.Const(to))
	}
	return q.op("DequantizeLinear", as, y, s, zp)
}
