package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Cast: output = input, converted to the element type that the attribute to says.
//
//	input: T1[...]    output: T2[...], the same shape
//
// Floats become integers by cutting off the fraction, integers lose the bits
// that do not fit. saturate (default 1) and round_mode ("up", "down" or
// "nearest") say how numbers become float8. Strings are read as numbers and
// written with the fewest digits that give the number back.
//
// T1, T2: every type but complex64 and complex128.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Cast.html
func init() {
	register(&Op{
		Name: "Cast",
		Versions: []Version{
			// Before 6 the attribute to is a name.
			{Since: 1, In: N(1), Out: N(1), Infer: inferCast, Build: buildCast},
			{Since: 6, In: N(1), Out: N(1), Infer: inferCast, Build: buildCast},
			// 9 brought strings, 19 saturate, 24 round_mode; others only widen the types.
		},
	})
}

func gradCast(c *GradContext) []*onnx.Value { // straight through: floats of other widths round
	return []*onnx.Value{c.Op("Cast", onnx.NewAttrs("to", int(c.X(0).Type.DType)), c.DOut[0])}
}

// castTarget reads the attribute to.
func castTarget(a *attrs, opset int) tensor.DType {
	if !a.HasAttr("to") {
		a.Fail("attribute \"to\" is missing")
		return tensor.Undefined
	}
	if opset >= 6 {
		return a.DType("to", tensor.Undefined)
	}
	name := a.Str("to", "")
	d, ok := dtypeNames[name]
	if !ok {
		a.Fail("attribute \"to\" is %q, which is no element type", name)
	}
	return d
}

// dtypeNames are the names of TensorProto.DataType.
var dtypeNames = map[string]tensor.DType{
	"FLOAT": tensor.Float32, "UINT8": tensor.Uint8, "INT8": tensor.Int8, "UINT16": tensor.Uint16, "INT16": tensor.Int16,
	"INT32": tensor.Int32, "INT64": tensor.Int64, "STRING": tensor.String, "BOOL": tensor.Bool, "FLOAT16": tensor.Float16,
	"DOUBLE": tensor.Float64, "UINT32": tensor.Uint32, "UINT64": tensor.Uint64,
}

func inferCast(c *InferContext) error { return inferCastTo(c, castTarget(&c.attrs, c.Opset())) }

// inferCastTo gives output 0 the shape of input 0, the element type d, and its
// values where they are sizes.
func inferCastTo(c *InferContext, d tensor.DType) error {
	t := c.In(0)
	from := t.DType
	t.Kind, t.DType = onnx.TensorKind, d
	c.Out[0] = t
	ints := func(d tensor.DType) bool { return d == tensor.Int64 || d == tensor.Int32 }
	if v, ok := c.KnownInts(0); ok && ints(from) && ints(d) {
		c.SetInts(0, v)
	}
	return nil
}

// castAttrs reads the attributes about float8.
func castAttrs(b *BuildContext) castRules {
	r := castRules{saturate: b.Bool("saturate", true)}
	mode := b.OneOf("round_mode", "up", "down", "nearest")
	r.mode, _ = tensor.ParseRoundMode(mode)
	return r
}

func buildCast(b *BuildContext) (Kernel, error) {
	to, rules := castTarget(&b.attrs, b.Opset()), castAttrs(b)
	if b.err != nil {
		return nil, b.err
	}
	if from := b.In(0).DType; to.IsComplex() || from.IsComplex() {
		return nil, fmt.Errorf("%w: conversion of %v to %v", ErrUnsupported, from, to)
	}
	return func(c *Call) error {
		x := c.T(0)
		if x == nil {
			return fmt.Errorf("input is absent")
		}
		return castOut(c, x, to, rules)
	}, nil
}

// castOut sets output 0 to x converted to the element type to.
func castOut(c *Call, x *tensor.Tensor, to tensor.DType, r castRules) error {
	if x.DType() == to {
		c.SetOut(0, x)
		return nil
	}
	return convertTensor(c, c.Output(0, to, x.Shape()...), x, r)
}
