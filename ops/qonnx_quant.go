package ops

import (
	"strings"

	"github.com/gneiss-run/gneiss/onnx"
)

// Quant (qonnx.custom_op.general): x rounded to integers of any number of bits, as floats,
// y = (round(clamp(x / scale + zeropt, least, greatest)) - zeropt) · scale.
//
//	x: T[…], scale, zeropt: T[…], broadcast, bitwidth: T[] constant    y: T[…]
//
// Least and greatest are of bitwidth bits, by signed and narrow; one signed bit is -1 or 1. With
// constant scales it stands for QuantizeLinear and DequantizeLinear, so that networks of up to 8 bits
// multiply integers.
//
// T: float32, float64, float16, bfloat16.
//
// Spec: https://github.com/fastmachinelearning/qonnx/blob/main/docs/qonnx-custom-ops/quant_op.md
func init() {
	register(&Op{Domain: qonnxDomain, Name: "Quant", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: N(4), Out: N(1), Expand: expandQuant},
	}})
}

func expandQuant(c *ExpandContext) ([]*onnx.Value, error) {
	signed, narrow, mode := c.Bool("signed", true), c.Bool("narrow", true), c.Str("rounding_mode", "ROUND")
	q, err := newQONNX(c)
	if err != nil {
		return nil, err
	}
	bits, err := q.bits(3, "bitwidth")
	if err != nil {
		return nil, err
	}
	x, scale, zero := q.value(0), q.value(1), q.value(2)
	lo, hi := integers(bits, signed, narrow)
	one := bits == 1 && signed
	if even := strings.ToUpper(mode); !one && (even == "ROUND" || even == "HALF_EVEN") {
		if y := q.pair(x, lo, hi); y != nil {
			return []*onnx.Value{y}, nil
		}
	}
	y := q.two("Add", q.two("Div", x, scale), zero)
	if one {
		y = q.signs(y)
	} else if y, err = q.round(mode, q.clamp(y, lo, hi)); err != nil {
		return nil, err
	}
	return []*onnx.Value{q.two("Mul", q.two("Sub", y, zero), scale)}, nil
}
