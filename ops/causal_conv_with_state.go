package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
)

// CausalConvWithState: a convolution of each channel over the present and past
// positions, output[l] = activation(bias + Σj weight[j]·x[l+j]), where x is
// past_state, or zeros, followed by input.
//
//	input: T[b, c, l]    weight: T[c, 1, k]    bias (optional): T[c]    past_state (optional): T[b, c, k-1]
//	output: T[b, c, l]    present_state: T[b, c, k-1], the last k-1 elements of x
//
// activation is none, silu or swish (both x·sigmoid(x)). Sums are made in
// float32 (float64 for float64).
//
// Spec: https://onnx.ai/onnx/operators/onnx__CausalConvWithState.html (27)
func init() {
	register(&Op{Name: "CausalConvWithState", Numerics: Rounding, Flush: true, Versions: []Version{
		{Since: 27, In: Arity{2, 4}, Out: N(2), Infer: inferCausalConv, Build: buildCausalConv, Expand: expandCausalConv},
	}})
}

func inferCausalConv(c *InferContext) error {
	x, w := c.In(0), c.In(1)
	c.Out[0], c.Out[1] = x, onnx.UnrankedType(x.DType)
	if len(x.Dims) == 3 && len(w.Dims) == 3 {
		c.Out[1] = onnx.TensorType(x.DType, x.Dims[0], x.Dims[1], w.Dims[2].Sub(onnx.Size(1)))
	}
	return nil
}

func buildCausalConv(b *BuildContext) (Kernel, error) {
	silu := b.OneOf("activation", "none", "silu", "swish") != "none"
	return b.realKernels(0, causalConvKernel[float32](silu), causalConvKernel[float64](silu))
}

func causalConvKernel[T floating](silu bool) Kernel {
	return func(c *Call) error {
		xt, wt := c.T(0), c.T(1)
		if xt.Rank() != 3 || wt == nil || wt.Rank() != 3 || wt.Dim(0) != xt.Dim(1) || wt.Dim(1) != 1 || wt.Dim(2) < 1 {
			return fmt.Errorf("input and weight are %v and %v, want [b c l] and [c 1 k]", xt, wt)
		}
		b, ch, l, k := xt.Dim(0), xt.Dim(1), xt.Dim(2), wt.Dim(2)
		x, err := reals[T](c, 0)
		if err != nil {
			return err
		}
		w, err := reals[T](c, 1)
		if err != nil {
			return err
		}
		var bias []T
		if c.Has(2) {
			if bias, err = vectorParam[T](c, 2, "bias", ch); err != nil {
				return err
			}
		} else {
			bias = Scratch[T](c, ch)
			clear(bias)
		}
		past := []T(nil)
		if t := c.T(3); t != nil {
			if want := c.list(b, ch, k-1); !slices.Equal(t.Shape(), want) {
				return fmt.Errorf("past_state has shape %v, want %v", t.Shape(), want)
			}
			if past, err = reals[T](c, 3); err != nil {
				return err
			}
		}
		y, done := realsOut[T](c, 0, xt.DType(), b, ch, l)
		next, nextDone := realsOut[T](c, 1, xt.DType(), b, ch, k-1)
		par.Run(c.P, b*ch, 1+normGrain/(l*k+1), par.With(causalConvLoop[T]{x, w, bias, past, y, next, ch, l, k, silu}))
		done()
		nextDone()
		return nil
	}
}

// causalConvLoop convolves channels of all batches.
type causalConvLoop[T floating] struct {
	x, w, bias, past []T // past may be nil
	y, next          []T
	ch, l, k         int
	silu             bool
}

// Chunk convolves channels [lo, hi).
func (a *causalConvLoop[T]) Chunk(lo, hi int) {
	l, k := a.l, a.k
	mem := gemm.Borrow[T](k - 1 + l)
	line := mem.S
	clear(line[:k-1])
	for i := lo; i < hi; i++ {
		if a.past != nil {
			copy(line, a.past[i*(k-1):(i+1)*(k-1)])
		}
		copy(line[k-1:], a.x[i*l:(i+1)*l])
		copy(a.next[i*(k-1):(i+1)*(k-1)], line[l:])
		out := a.y[i*l : (i+1)*l]
		for p := range out {
			out[p] = a.bias[i%a.ch]
		}
		for j, f := range a.w[i%a.ch*k:][:k] {
			for p, v := range line[j : j+l] {
				out[p] += f * v
			}
		}
		if a.silu {
			for p, v := range out {
				out[p] = T(float64(v) / (1 + math.Exp(-float64(v))))
			}
		}
	}
	mem.Return()
}

// expandCausalConv: the past and the input as one sequence, and its depthwise Conv.
func expandCausalConv(c *ExpandContext) ([]*onnx.Value, error) {
	x, w, past := c.value(0), c.value(1), c.value(3)
	var channels int
	ok := false
	if len(w.Type.Dims) == 3 {
		channels, ok = w.Type.Dims[0].Size()
	}
	if !ok {
		return nil, fmt.Errorf("%w: the expansion with a weight of %v, want a known number of channels", ErrUnsupported, w.Type)
	}
	one := c.Builder.Ints(1)
	before := c.Op("Sub", nil, c.sizeAt(w, 2), one)
	line := past
	if past != nil {
		line = c.Op("Concat", onnx.NewAttrs("axis", 2), past, x)
	} else {
		line = c.Op("Pad", nil, x, c.Op("Concat", onnx.NewAttrs("axis", 0), before, c.Builder.Ints(0)), nil, c.Builder.Ints(2))
	}
	y := c.Op("Conv", onnx.NewAttrs("group", channels), line, w, c.value(2))
	if c.OneOf("activation", "none", "silu", "swish") != "none" {
		y = c.Op("Mul", nil, y, c.Op("Sigmoid", nil, y))
	}
	next := c.Op("Slice", nil, line, c.sizeAt(x, 2), c.Builder.Ints(math.MaxInt32), c.Builder.Ints(2))
	return []*onnx.Value{y, next}, nil
}
