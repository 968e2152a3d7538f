package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/tensor"
)

// SwiGLU: Y = A * sigmoid(alpha * A) * B, element-wise.
//
//	A, B: T[...], of one shape    Y: T[...], the same shape
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__SwiGLU.html
func init() {
	register(&Op{
		Name:     "SwiGLU",
		Numerics: Rounding,
		Versions: []Version{
			{Since: 28, In: N(2), Out: N(1), InPlace: []int{0}, Infer: inferSame, Build: buildSwiGLU},
		},
	})
}

func buildSwiGLU(b *BuildContext) (Kernel, error) {
	alpha := b.Float("alpha", 1)
	k, err := b.need(0, halfThrough(byType{
		tensor.Float32: swigluFloat32(alpha).kernel(),
		tensor.Float64: pairOf(func(x, y float64) float64 { return swish64(x, float64(alpha)*x) * y }).kernel(),
	}))
	if err != nil {
		return nil, err
	}
	return func(c *Call) error {
		a, b := c.T(0), c.T(1)
		if a == nil || b == nil {
			return fmt.Errorf("an input is absent")
		}
		if !slices.Equal(a.Shape(), b.Shape()) {
			return fmt.Errorf("B has shape %v, want A's shape %v", b.Shape(), a.Shape())
		}
		return k(c)
	}, nil
}

func swigluFloat32(alpha float32) pair[float32, float32, float32] {
	p := pairOf(func(x, y float32) float32 {
		return float32(swish64(float64(x), float64(alpha)*float64(x)) * float64(y))
	})
	t := vec.Best()
	p.vv = func(d, a, b []float32) {
		w := bufferPool.Get().(*buffers)
		defer bufferPool.Put(w)
		for lo := 0; lo < len(d); lo += block {
			hi := min(lo+block, len(d))
			t.Swish(w.a[:hi-lo], a[lo:hi], alpha)
			t.Mul(d[lo:hi], w.a[:hi-lo], b[lo:hi])
		}
	}
	return p
}
