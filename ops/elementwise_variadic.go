package ops

import (
	"fmt"
	"unsafe"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// variadicKernel folds its inputs, which broadcast to the output, by f from
// the left, and calls finish (unless nil) on the result with their number.
func variadicKernel[T tensor.Element](f pair[T, T, T], finish func(dst []T, n int)) Kernel {
	var last func(dst vector, n int)
	if finish != nil {
		last = func(dst vector, n int) { finish(unsafe.Slice((*T)(dst.p), dst.n), n) }
	}
	return f.erase(nil).fold(last)
}

// fold is the kernel of variadicKernel, for numbers.
//
//go:noinline
func (l pairLoops) fold(finish func(dst vector, n int)) Kernel {
	return func(c *Call) error {
		shape := c.list()
		for i := range c.In {
			t := c.T(i)
			if t == nil {
				return fmt.Errorf("input %d is absent", i)
			}
			if t.DType() != l.da {
				return fmt.Errorf("input %d is %v, want %v as input 0", i, t.DType(), l.da)
			}
			var err error
			if shape, err = c.broadcast(shape, t.Shape()); err != nil {
				return err
			}
		}
		if len(c.In) == 1 {
			c.SetOut(0, c.In[0])
			return nil
		}
		out := c.Output(0, l.dr, shape...)
		if out.Len() == 0 {
			return nil
		}
		bytes := out.Bytes()
		dst := vectorOf(out)
		for i := 2; i < len(c.In); i++ {
			// The output may lie on input 0, which may be given more than once.
			if vectorOf(c.T(i)).p == vectorOf(out).p {
				bytes = tensor.AlignedBytes(len(bytes))
				dst.p = unsafe.Pointer(unsafe.SliceData(bytes))
				break
			}
		}
		walk := State[bcast](c)
		l.run(c, walk.plan(shape, c.T(0).Shape(), c.T(1).Shape()), dst, vectorOf(c.T(0)), vectorOf(c.T(1)))
		for i := 2; i < len(c.In); i++ {
			l.run(c, walk.plan(shape, shape, c.T(i).Shape()), dst, dst, vectorOf(c.T(i)))
		}
		if finish != nil {
			finish(dst, len(c.In))
		}
		copy(out.Bytes(), bytes)
		return nil
	}
}

// variadicVersions are the versions of an operator of any number of inputs.
// Before opset 8 the inputs have one shape, which broadcasting covers.
func variadicVersions(build func(*BuildContext) (Kernel, error)) []Version {
	v := Version{Since: 1, In: Arity{1, Many}, Out: N(1), InPlace: []int{0}, Infer: inferVariadic}
	v.Build = func(b *BuildContext) (Kernel, error) {
		b.Ignore("consumed_inputs")
		return build(b)
	}
	cur := v
	cur.Since, cur.Build = 6, build
	return []Version{v, cur}
}

func inferVariadic(c *InferContext) error {
	if err := inferArith(c); err != nil {
		return err
	}
	c.Out[0].Kind = onnx.TensorKind
	return nil
}

// halfThrough adds the half precision types, computed by the float32 kernel.
func halfThrough(m byType) byType {
	k := throughFloat32(m[tensor.Float32], 0)
	m[tensor.Float16], m[tensor.BFloat16] = k, k
	return m
}

// sumToEach returns d as the gradient of each input, summed over what was broadcast.
func (c *GradContext) sumToEach(d *onnx.Value) []*onnx.Value {
	out := make([]*onnx.Value, len(c.Node().In))
	for i := range out {
		if c.Needs(i) {
			out[i] = c.SumTo(d, c.X(i))
		}
	}
	return out
}

// gradExtreme is the Grad of Max and Min: each input gets the gradient where it is
// the result. Inputs that tie share it equally, as in PyTorch's maximum and minimum.
func gradExtreme(c *GradContext) []*onnx.Value {
	out := make([]*onnx.Value, len(c.Node().In))
	if len(out) == 1 {
		return []*onnx.Value{c.DOut[0]}
	}
	var ties *onnx.Value
	for i := range out {
		out[i] = c.Mask(c.Op("Equal", nil, c.X(i), c.Y(0)))
		if ties == nil {
			ties = out[i]
		} else {
			ties = c.Plus(ties, out[i])
		}
	}
	share := c.Over(c.DOut[0], ties)
	for i := range out {
		out[i] = c.SumTo(c.Times(out[i], share), c.X(i))
	}
	return out
}
