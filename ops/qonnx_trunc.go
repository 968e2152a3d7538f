package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/onnx"
)

// Trunc (qonnx.custom_op.general): integers of which the lowest bits are cut off, as floats. With
// q = round(x / scale + zeropt):
//
//	version 1: y = (cut(q / 2^(in_bitwidth - out_bitwidth)) - zeropt) · scale
//	version 2: y = (cut(clamp(q / t, least, greatest)) - zeropt / t) · out_scale, t = 2^round(log2(out_scale / scale))
//
//	x: T[…], scale, zeropt: T[…], broadcast, in_bitwidth: T[] constant,
//	out_scale: T[…] constant (version 2), out_bitwidth: T[] constant    y: T[…]
//
// cut rounds as rounding_mode says; least and greatest are of out_bitwidth bits, by signed and narrow.
//
// T: float32, float64, float16, bfloat16.
//
// Spec: https://github.com/fastmachinelearning/qonnx/blob/main/docs/qonnx-custom-ops/trunc_op.md
func init() {
	register(&Op{Domain: qonnxDomain, Name: "Trunc", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: N(5), Out: N(1), Expand: expandTrunc},
		{Since: 2, In: N(6), Out: N(1), Expand: expandTrunc},
	}})
}

func expandTrunc(c *ExpandContext) ([]*onnx.Value, error) {
	mode, second := c.Str("rounding_mode", "FLOOR"), len(c.node.In) == 6
	q, err := newQONNX(c)
	if err != nil {
		return nil, err
	}
	from, err := q.bits(3, "in_bitwidth")
	if err != nil {
		return nil, err
	}
	to, err := q.bits(len(c.node.In)-1, "out_bitwidth")
	if err != nil {
		return nil, err
	}
	cut, scale, zero := from-to, q.value(1), q.value(2)
	if second {
		in, _ := q.known(1)
		out, _ := q.known(4)
		if len(in) != 1 || len(out) != 1 {
			return nil, fmt.Errorf("%w: scale and out_scale are %v and %v, want constants of one element", ErrUnsupported, q.value(1).Type, q.value(4).Type)
		}
		cut = math.RoundToEven(math.Log2(float64(out[0]) / float64(in[0])))
	}
	t := q.number(math.Exp2(cut))
	y := q.two("Div", q.op("Round", nil, q.two("Add", q.two("Div", q.value(0), scale), zero)), t)
	if second {
		lo, hi := integers(to, c.Bool("signed", true), c.Bool("narrow", false))
		y, scale, zero = q.clamp(y, lo, hi), q.value(4), q.two("Div", zero, t)
	}
	if y, err = q.round(mode, y); err != nil {
		return nil, err
	}
	return []*onnx.Value{q.two("Mul", q.two("Sub", y, zero), scale)}, nil
}
