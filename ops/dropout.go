package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Dropout: output = data; while training each element is instead dropped with
// probability ratio, and the others are multiplied by 1 / (1 - ratio).
//
//	data: T[...]    ratio: T1[], training_mode: bool[], optional
//	output: T[...], mask: bool[...] (T before opset 10), what was kept; data's shape
//
// Training is asked for by training_mode, before opset 7 by is_test = 0, and
// not possible between. With the attribute seed the mask is the one that
// NumPy's RandomState(seed).uniform gives, without it differs from call to call.
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Dropout.html
func init() {
	register(&Op{
		Name:     "Dropout",
		Numerics: Random,
		Versions: []Version{
			{Since: 1, In: N(1), Out: Arity{1, 2}, InPlace: []int{0}, Infer: inferDropout, Build: buildDropoutTest},
			{Since: 7, In: N(1), Out: Arity{1, 2}, InPlace: []int{0}, Infer: inferDropout, Build: buildDropoutAttrs},
			// 10 only changes the type of mask.
			{Since: 12, In: Arity{1, 3}, Out: Arity{1, 2}, InPlace: []int{0}, Infer: inferDropout, Build: buildDropout},
			// 13 and 22 only widen the types.
		},
	})
}

func inferDropout(c *InferContext) error {
	c.Out[0] = c.In(0)
	if len(c.Out) > 1 {
		m := c.In(0)
		m.Kind = onnx.TensorKind
		if c.Opset() >= 10 {
			m.DType = tensor.Bool
		}
		c.Out[1] = m
	}
	return nil
}

func buildDropoutTest(b *BuildContext) (Kernel, error) {
	b.Ignore("consumed_inputs")
	ratio, test := float64(b.Float("ratio", 0.5)), b.Bool("is_test", false)
	return func(c *Call) error {
		if test {
			return dropout(c, 0, nil, false)
		}
		return dropout(c, ratio, newMT19937(entropy32()), false)
	}, nil
}

func buildDropoutAttrs(b *BuildContext) (Kernel, error) {
	b.Ignore("ratio") // of training only
	typed := b.Opset() < 10
	return func(c *Call) error { return dropout(c, 0, nil, !typed) }, nil
}

func buildDropout(b *BuildContext) (Kernel, error) {
	seeded, seed := b.HasAttr("seed"), b.Int("seed", 0)
	return func(c *Call) error {
		train, err := bound(c, 2, "training_mode", false)
		if err != nil || !train {
			if err == nil {
				err = dropout(c, 0, nil, true)
			}
			return err
		}
		ratio := 0.5
		if t := c.T(1); t != nil {
			if t.Len() != 1 {
				return fmt.Errorf("ratio has shape %v, want a scalar", t.Shape())
			}
			if ratio, err = numberOf(t); err != nil {
				return err
			}
		}
		s := uint32(seed)
		if !seeded {
			s = entropy32()
		}
		return dropout(c, ratio, newMT19937(s), true)
	}, nil
}

// dropout drops by the numbers of rnd, nothing if ratio is 0.
func dropout(c *Call, ratio float64, rnd *mt19937, boolMask bool) error {
	x := c.T(0)
	if x == nil {
		return fmt.Errorf("data is absent")
	}
	if !(ratio >= 0 && ratio < 1) {
		return fmt.Errorf("ratio is %g, want a number in [0, 1)", ratio)
	}
	if ratio == 0 && !c.Wants(1) {
		c.SetOut(0, x)
		return nil
	}
	var mask *tensor.Tensor
	if boolMask && c.Wants(1) {
		mask = c.Output(1, tensor.Bool, x.Shape()...)
	} else {
		mask = c.Lend(tensor.Bool, x.Shape())
	}
	keep := tensor.Data[bool](mask)
	for i := range keep {
		keep[i] = ratio == 0 || rnd.float64() >= ratio
	}
	if ratio == 0 {
		c.SetOut(0, x)
	} else {
		scale := 1 / (1 - ratio)
		switch x.DType() {
		case tensor.Float32:
			dropInto(c, keep, func(v float32) float32 { return float32(float64(v) * scale) })
		case tensor.Float64:
			dropInto(c, keep, func(v float64) float64 { return v * scale })
		case tensor.Float16:
			dropInto(c, keep, func(v tensor.F16) tensor.F16 { return tensor.F16Of64(float64(v.Float32()) * scale) })
		case tensor.BFloat16:
			dropInto(c, keep, func(v tensor.BF16) tensor.BF16 { return tensor.BF16Of64(float64(v.Float32()) * scale) })
		default:
			return unsupportedType(0, x.DType())
		}
	}
	if boolMask || !c.Wants(1) {
		return nil
	}
	m := c.Output(1, x.DType(), x.Shape()...)
	return convertTensor(c, m, mask, castRules{saturate: true})
}

func dropInto[T tensor.Element](c *Call, keep []bool, scale func(T) T) {
	x := c.T(0)
	src, dst := tensor.Data[T](x), tensor.Data[T](c.Output(0, x.DType(), x.Shape()...))
	var zero T
	for i, v := range src {
		if keep[i] {
			dst[i] = scale(v)
		} else {
			dst[i] = zero
		}
	}
}

// gradDropout: dX = dY·mask / (1 - ratio) while training, else dY.
func gradDropout(c *GradContext) []*onnx.Value {
	d, mode := c.DOut[0], c.X(2)
	if mode == nil || mode.Const != nil && mode.Const.DType() == tensor.Bool && mode.Const.Len() == 1 && !tensor.Data[bool](mode.Const)[0] {
		return []*onnx.Value{d}
	}
	one, ratio := c.Scalar(1), c.Scalar(0.5)
	if r := c.X(1); r != nil {
		ratio = c.Op("Cast", onnx.NewAttrs("to", int(c.DType())), r)
	}
	scale := c.Op("Where", nil, mode, c.Over(one, c.Minus(one, ratio)), one)
	return []*onnx.Value{c.Pick(c.Save(1), c.Times(d, scale))}
}
