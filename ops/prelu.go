package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// PRelu: Y = X where X >= 0, else slope * X, element-wise.
//
//	X: T[...]    slope: T[...], broadcasts to X's shape    Y: T[...], X's shape
//
// A slope of another shape broadcasts with X to Y, as ONNX Runtime has it. Before opset 7 slope has one element or one per channel, the dimension 1 of X.
//
// T: float16, bfloat16, float32, float64, int8 to int64, uint8 to uint64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__PRelu.html
func init() {
	register(&Op{
		Name:     "PRelu",
		Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: N(2), Out: N(1), InPlace: []int{0}, Infer: inferSame, Build: buildPReluChannels},
			{Since: 7, In: N(2), Out: N(1), InPlace: []int{0}, Infer: inferBroadcast, Build: buildPRelu},
			// 9 and 16 only widen the types.
		},
	})
}

func buildPRelu(b *BuildContext) (Kernel, error) {
	return b.need(0, merge(floatPairs(preluPair[float32](), preluPair[float64]()), integerPairs(
		preluPair[int8]().kernel(), preluPair[int16]().kernel(), preluPair[int32]().kernel(), preluPair[int64]().kernel(),
		preluPair[uint8]().kernel(), preluPair[uint16]().kernel(), preluPair[uint32]().kernel(), preluPair[uint64]().kernel())))
}

func buildPReluChannels(b *BuildContext) (Kernel, error) {
	b.Ignore("consumed_inputs")
	k, err := buildPRelu(b)
	if err != nil {
		return nil, err
	}
	return func(c *Call) error {
		x, s := c.T(0), c.T(1)
		if x == nil || s == nil {
			return fmt.Errorf("an input is absent")
		}
		shape := s.Shape()
		switch {
		case s.Len() == 1:
			shape = []int{}
		case s.Rank() < 2 && x.Rank() > 1:
			shape = slices.Repeat([]int{1}, x.Rank()-1)
			shape[0] = s.Len()
		}
		s, err := s.Reshape(shape...)
		if err != nil {
			return err
		}
		if y, err := tensor.Broadcast(x.Shape(), shape); err != nil || !slices.Equal(y, x.Shape()) {
			return fmt.Errorf("slope has shape %v, want one that broadcasts to X's shape %v", c.T(1).Shape(), x.Shape())
		}
		w := *c
		w.In = []tensor.Value{x, s}
		return k(&w)
	}, nil
}

//go:noinline
func preluPair[T number]() pair[T, T, T] {
	return pair[T, T, T]{
		vv: func(d, a, b []T) { zipVV(d, a, b, preluOf[T]) },
		vs: func(d, a []T, b T) { zipVS(d, a, b, preluOf[T]) },
		sv: func(d []T, a T, b []T) { zipSV(d, a, b, preluOf[T]) },
	}
}

func preluOf[T number](x, slope T) T {
	if x < 0 {
		return x * slope
	}
	return x
}

// gradPRelu: dX = dY above 0 and else slope·dY, dslope = Σ min(X, 0)·dY.
func gradPRelu(c *GradContext) []*onnx.Value {
	x, slope, d := c.X(0), c.X(1), c.DOut[0]
	out := make([]*onnx.Value, 2)
	if c.Needs(0) {
		out[0] = c.SumTo(c.Op("Where", nil, c.Op("Greater", nil, x, c.Scalar(0)), d, c.Times(d, slope)), x)
	}
	if c.Needs(1) {
		out[1] = c.SumTo(c.Times(d, c.Op("Min", nil, x, c.Scalar(0))), slope)
	}
	return out
}
