package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// activation is what a fused operator does to its result. The zero activation
// is nothing.
type activation struct {
	name   string
	params []float32
}

// activationDefaults lists the functions that can be fused and their
// parameters, which are attributes of the operator of that name in the order
// of the standard. Gelu's is 0 for the exact form and 1 for the one by tanh.
var activationDefaults = map[string][]float32{
	"Relu": {}, "Sigmoid": {}, "Tanh": {}, "Softplus": {}, "Softsign": {},
	"LeakyRelu": {0.01}, "ThresholdedRelu": {1}, "Elu": {1}, "HardSigmoid": {0.2, 0.5},
	"Selu":  {1.67326319217681884765625, 1.05070102214813232421875},
	"Clip":  {-math.MaxFloat32, math.MaxFloat32},
	"Gelu":  {0}, // 1: by tanh
	"Swish": {1}, "QuickGelu": {1.702}, "HardSwish": {}, "Mish": {},
}

// newActivation fills in the parameters that are not given.
func newActivation(name string, params []float32) (activation, error) {
	if name == "" {
		return activation{}, nil
	}
	def, ok := activationDefaults[name]
	if !ok {
		return activation{}, fmt.Errorf("%w: activation %q", ErrUnsupported, name)
	}
	p := append([]float32(nil), def...)
	copy(p, params)
	return activation{name, p}, nil
}

// activationEpilogue returns a as the end of a product.
func activationEpilogue[T gemm.Number](a activation) gemm.Epilogue[T] {
	switch {
	case !dtypeOf[T]().IsFloat():
	case a.name == "Relu":
		return gemm.Epilogue[T]{Clip: true, Hi: T(math.Inf(1))}
	case a.name == "Clip" && a.params[0] <= a.params[1]:
		return gemm.Epilogue[T]{Clip: true, Lo: T(a.params[0]), Hi: T(a.params[1])}
	}
	return gemm.Epilogue[T]{Act: activationFor[T](a)}
}

// activationFor returns a as a function on slices; nil if it is nothing.
func activationFor[T gemm.Number](a activation) func([]T) {
	if a.name == "" {
		return nil
	}
	if f := activation32(a); f != nil {
		if g, ok := any(f).(func([]T)); ok {
			return g
		}
	}
	if _, ok := any(*new(T)).(float64); ok {
		if f := activationLoop64(a); f != nil {
			return any(f).(func([]T))
		}
	}
	f := activation64(a)
	return func(c []T) {
		for i, x := range c {
			c[i] = T(f(float64(x)))
		}
	}
}

// activation32 returns the functions that have a vector routine, else nil.
func activation32(a activation) func([]float32) {
	t := vec.Best()
	switch a.name {
	case "Relu":
		return func(c []float32) { t.Relu(c, c) }
	case "Sigmoid":
		return func(c []float32) { t.Sigmoid(c, c) }
	case "Tanh":
		return func(c []float32) { t.Tanh(c, c) }
	case "Softplus":
		return func(c []float32) { t.Softplus(c, c) }
	case "Elu":
		return func(c []float32) { t.Elu(c, c, a.params[0]) }
	case "Clip":
		lo, hi := a.params[0], a.params[1]
		return func(c []float32) { t.Clip(c, c, lo, hi) }
	case "Gelu":
		if a.params[0] != 0 {
			return func(c []float32) { t.GeluTanh(c, c) }
		}
		return func(c []float32) { t.Gelu(c, c) }
	case "Swish", "QuickGelu":
		return func(c []float32) { t.Swish(c, c, a.params[0]) }
	case "Mish":
		return func(c []float32) { t.Mish(c, c) }
	case "HardSwish":
		return func(c []float32) { t.HardSwish(c, c) }
	case "LeakyRelu":
		alpha := a.params[0]
		return func(c []float32) { t.LeakyRelu(c, c, alpha) }
	}
	return nil
}

// activationLoop64 returns the functions of float64 that have a vector routine, else nil.
func activationLoop64(a activation) func([]float64) {
	t := vec.Best()
	switch a.name {
	case "Tanh":
		return func(c []float64) { t.Tanh64(c, c) }
	case "Sigmoid":
		f := sigmoidLoop64(t)
		return func(c []float64) { f(c, c) }
	}
	return nil
}

func activation64(a activation) func(float64) float64 {
	p := [2]float64{}
	for i, v := range a.params {
		p[i] = float64(v)
	}
	switch a.name {
	case "Relu":
		return func(x float64) float64 { return max(x, 0) }
	case "Sigmoid":
		return func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	case "Tanh":
		return math.Tanh
	case "Softplus":
		return func(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }
	case "Softsign":
		return func(x float64) float64 { return x / (1 + math.Abs(x)) }
	case "LeakyRelu":
		return func(x float64) float64 {
			if x < 0 {
				return p[0] * x
			}
			return x
		}
	case "ThresholdedRelu":
		return func(x float64) float64 {
			if x > p[0] {
				return x
			}
			return 0
		}
	case "Elu":
		return func(x float64) float64 {
			if x < 0 {
				return p[0] * math.Expm1(x)
			}
			return x
		}
	case "Selu":
		return func(x float64) float64 {
			if x <= 0 {
				return p[1] * p[0] * math.Expm1(x)
			}
			return p[1] * x
		}
	case "HardSigmoid":
		return func(x float64) float64 { return max(0, min(1, p[0]*x+p[1])) }
	case "Gelu":
		if p[0] != 0 {
			return geluTanh64
		}
		return gelu64
	case "Swish", "QuickGelu":
		return func(x float64) float64 { return swish64(x, p[0]*x) }
	case "HardSwish":
		return func(x float64) float64 { return x * max(0, min(1, x/6+0.5)) }
	case "Mish":
		return mish64
	}
	return func(x float64) float64 { return min(max(x, p[0]), p[1]) } // Clip
}

// expand adds the operator that the activation stands for.
func (a activation) expand(b *Builder, x *onnx.Value) *onnx.Value {
	p := a.params
	switch a.name {
	case "":
		return x
	case "LeakyRelu", "ThresholdedRelu", "Elu", "Swish":
		return b.Op(a.name, onnx.NewAttrs("alpha", p[0]), x)
	case "HardSigmoid":
		return b.Op(a.name, onnx.NewAttrs("alpha", p[0], "beta", p[1]), x)
	case "Selu":
		return b.Op(a.name, onnx.NewAttrs("alpha", p[0], "gamma", p[1]), x)
	case "Clip":
		return b.Op(a.name, nil, x, b.Float(x.Type.DType, float64(p[0])), b.Float(x.Type.DType, float64(p[1])))
	case "Gelu":
		if p[0] == 1 {
			return b.Op(a.name, onnx.NewAttrs("approximate", "tanh"), x)
		}
	case "QuickGelu":
		return b.Op("Swish", onnx.NewAttrs("alpha", p[0]), x)
	}
	return b.Op(a.name, nil, x)
}
