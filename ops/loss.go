package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// loss is what NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss share.
type loss struct {
	reduction string // none, sum or mean
	ignore    int
	hasIgnore bool
}

func readLoss(a *attrs) loss {
	return loss{a.OneOf("reduction", "mean", "none", "sum"), a.Int("ignore_index", 0), a.HasAttr("ignore_index")}
}

// inferLoss sets output 0, and output 1 if it is given, to the type of input 0.
func inferLoss(c *InferContext) error {
	x, t := c.In(0), c.In(1)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if c.Str("reduction", "mean") != "none" {
		c.Out[0] = onnx.TensorType(x.DType)
	} else if t.Ranked {
		c.Out[0] = onnx.TensorType(x.DType, t.Dims...)
	}
	if len(c.Out) > 1 {
		c.Out[1] = x
	}
	return nil
}

// isTargetOf reports whether t is x without its second dimension.
func isTargetOf(t, x []int) bool {
	return len(t) == len(x)-1 && t[0] == x[0] && slices.Equal(t[1:], x[2:])
}

// targets returns the class of each position and checks the shapes: x is
// [n, c, ...], the target has x's shape without c.
func (l loss) targets(c *Call, x []int) (classes []int, err error) {
	t := c.T(1)
	if len(x) < 2 || t == nil || !isTargetOf(t.Shape(), x) {
		return nil, fmt.Errorf("shapes of input and target are %v and %v, want [n c ...] and [n ...]", x, t)
	}
	if classes, err = c.Ints(1); err != nil {
		return nil, err
	}
	for _, k := range classes {
		if (k < 0 || k >= x[1]) && !(l.hasIgnore && k == l.ignore) {
			return nil, fmt.Errorf("target has class %d, want 0 to %d", k, x[1]-1)
		}
	}
	return classes, nil
}

// pickLoss sets output 0: -weight·logp at the class of each position, or its sum
// or weighted mean. logp has the given shape [n, c, ...]; weight may be nil.
func pickLoss[T floating](c *Call, l loss, logp []T, shape, classes []int, weight []T, d tensor.DType) {
	inner := 1
	for _, k := range shape[2:] {
		inner *= k
	}
	ch := shape[1]
	var each []T
	done := func() {}
	if l.reduction == "none" {
		each, done = realsOut[T](c, 0, d, c.T(1).Shape()...)
	}
	total, weights := 0.0, 0.0
	for i, k := range classes {
		v, w := 0.0, 0.0
		if !(l.hasIgnore && k == l.ignore) {
			w = 1
			if weight != nil {
				w = float64(weight[k])
			}
			v = -w * float64(logp[(i/inner*ch+k)*inner+i%inner])
		}
		if each != nil {
			each[i] = T(v)
		}
		total += v
		weights += w
	}
	if each == nil {
		if l.reduction == "mean" {
			total /= weights
		}
		each, done = realsOut[T](c, 0, d)
		each[0] = T(total)
	}
	done()
}

// lossWeight returns input 2, a weight per class, or nil.
func lossWeight[T floating](c *Call, classes int) ([]T, error) {
	if !c.Has(2) {
		return nil, nil
	}
	return vectorParam[T](c, 2, "weight", classes)
}

// lossInputs returns the elements of input, the class of each position and the
// weights of the classes.
func lossInputs[T floating](c *Call, l loss) (x []T, classes []int, weight []T, err error) {
	xt := c.T(0)
	if classes, err = l.targets(c, xt.Shape()); err != nil {
		return nil, nil, nil, err
	}
	if weight, err = lossWeight[T](c, xt.Dim(1)); err != nil {
		return nil, nil, nil, err
	}
	x, err = reals[T](c, 0)
	return x, classes, weight, err
}

// crossEntropyGrad adds x.CrossEntropyGrad with the loss's attributes and inputs, if
// the gradient of the scores is asked for.
func (c *GradContext) crossEntropyGrad(logp, d *onnx.Value, softmax int) *onnx.Value {
	if !c.Needs(0) {
		return nil
	}
	l := readLoss(&c.Attr)
	as := onnx.NewAttrs("reduction", l.reduction, "softmax", softmax)
	if l.hasIgnore {
		as = as.Set("ignore_index", int64(l.ignore))
	}
	return c.Ops(Private, "CrossEntropyGrad", as, 1, logp, c.X(1), c.X(2), d)[0]
}

// classWeightGrad returns the gradient of the weights of classes, if it is asked for:
// the sum of d·(-logp) over the positions of each class, and with reduction mean, which
// divides by the sum of all weights W, that of d·(-logp - loss)/W.
func (c *GradContext) classWeightGrad(logp, d *onnx.Value) *onnx.Value {
	if !c.Needs(2) {
		return nil
	}
	l := readLoss(&c.Attr)
	labels, as := c.X(1), onnx.NewAttrs("reduction", "none")
	keep := func(v *onnx.Value) *onnx.Value { return v }
	if l.hasIgnore { // such a label may be no class
		as = as.Set("ignore_index", int64(l.ignore))
		number := func(n int) *onnx.Value { return c.Op("CastLike", nil, c.Const(tensor.Scalar(int64(n))), labels) }
		gone := c.Op("Equal", nil, labels, number(l.ignore))
		labels = c.Op("Where", nil, gone, number(0), labels)
		keep = func(v *onnx.Value) *onnx.Value { return c.Op("Where", nil, gone, c.Scalar(0), v) }
	}
	each := c.Op("NegativeLogLikelihoodLoss", as, logp, c.X(1))
	if l.reduction == "mean" {
		total := c.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), keep(c.Op("Gather", nil, c.X(2), labels)))
		each, d = keep(c.Minus(each, c.Y(0))), c.Over(d, total)
	}
	return c.Ops(Private, "GatherGrad", nil, 1, c.Times(d, each), c.shapeOf(c.X(2)), labels)[0]
}
