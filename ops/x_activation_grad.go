package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// x.ActivationGrad: dX = dY·f'(V), element-wise, in one pass over memory. f is the
// activation that the attribute f names, by its ONNX name and with its attributes
// alpha and beta (Selu: beta is gamma; Shrink: alpha is lambd); GeluTanh is Gelu
// with approximate "tanh". V is f's result for Relu, Sigmoid and Tanh, whose slopes
// follow from it, and f's argument for all others. This operator is private:
// gradients write it.
//
//	dY, V: T[...], of one shape    dX: T, their shape; may share the storage of either
//
// At a kink the slope is that of the side below it, as in PyTorch's threshold_backward
// and leaky_relu_backward.
//
// T: float16, bfloat16 (both computed in float32), float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Gelu.html and those of the other functions
func activationGradOp() *Op {
	return &Op{
		Domain: Private, Name: "ActivationGrad", Numerics: Rounding, Flush: true,
		Versions: []Version{{Since: 1, In: N(2), Out: N(1), InPlace: []int{0, 1}, Infer: inferSame, Build: buildActivationGrad}},
	}
}

func buildActivationGrad(b *BuildContext) (Kernel, error) {
	f := b.Str("f", "")
	mk, ok := slopes[f]
	if !ok {
		return nil, fmt.Errorf("attribute \"f\" is %q, which is no activation", f)
	}
	s := mk(vec.Best(), float64(b.Float("alpha", 0)), float64(b.Float("beta", 0)))
	k, err := b.need(0, floatPairs(pair[float32, float32, float32]{vv: s.f32}, pair[float64, float64, float64]{vv: s.f64}))
	if err != nil {
		return nil, err
	}
	return func(c *Call) error {
		if d, v := c.T(0), c.T(1); d != nil && v != nil && !slices.Equal(d.Shape(), v.Shape()) {
			return fmt.Errorf("dY has shape %v, V %v, want the same", d.Shape(), v.Shape())
		}
		return k(c)
	}, nil
}

// gradActivation makes the Grad of an activation by x.ActivationGrad; params
// gives alpha and beta, nil stands for none.
func gradActivation(f string, params func(c *GradContext) (alpha, beta float32)) func(*GradContext) []*onnx.Value {
	return func(c *GradContext) []*onnx.Value {
		v := c.X(0)
		if f == "Relu" || f == "Sigmoid" || f == "Tanh" {
			v = c.Y(0)
		}
		as := onnx.NewAttrs("f", f)
		if params != nil {
			a, b := params(c)
			as = onnx.NewAttrs("f", f, "alpha", a, "beta", b)
		}
		return []*onnx.Value{c.Ops(Private, "ActivationGrad", as, 1, c.DOut[0], v)[0]}
	}
}

// alphaOnly is a params of gradActivation for activations with one attribute.
func alphaOnly(name string, def float32) func(*GradContext) (float32, float32) {
	return func(c *GradContext) (float32, float32) { return c.Attr.Float(name, def), 0 }
}

// gradBiasGelu is the Grad of f(X + bias): the slope is taken at the sum.
func gradBiasGelu(f string) func(*GradContext) []*onnx.Value {
	return func(c *GradContext) []*onnx.Value {
		if c.X(1) == nil {
			return gradActivation(f, nil)(c)
		}
		d := c.Ops(Private, "ActivationGrad", onnx.NewAttrs("f", f), 1, c.DOut[0], c.Plus(c.X(0), c.X(1)))[0]
		return []*onnx.Value{d, c.SumTo(d, c.X(1))}
	}
}

// slopeLoops compute d = g·f'(v).
type slopeLoops struct {
	f32 func(d, g, v []float32)
	f64 func(d, g, v []float64)
}

// slopes makes the loops of each activation.
var slopes = map[string]func(t *vec.Table, alpha, beta float64) slopeLoops{
	"Relu": func(*vec.Table, float64, float64) slopeLoops {
		return slopeLoops{twoSlopes(0), eachSlope(stepSlope(0))}
	},
	"LeakyRelu": func(_ *vec.Table, a, _ float64) slopeLoops {
		return slopeLoops{twoSlopes(float32(a)), eachSlope(stepSlope(a))}
	},
	"Sigmoid": func(t *vec.Table, _, _ float64) slopeLoops {
		return slopeLoops{inBlocks(func(w *buffers, d, g, y []float32) {
			a := w.a[:len(d)]
			t.Arith[vec.Sub].SV(a, 1, y)
			t.Mul(a, a, y)
			t.Mul(d, g, a)
		}), eachSlope(func(y float64) float64 { return y * (1 - y) })}
	},
	"Tanh": func(t *vec.Table, _, _ float64) slopeLoops {
		return slopeLoops{inBlocks(func(w *buffers, d, g, y []float32) {
			a := w.a[:len(d)]
			t.Square(a, y)
			t.Arith[vec.Sub].SV(a, 1, a)
			t.Mul(d, g, a)
		}), eachSlope(func(y float64) float64 { return 1 - y*y })}
	},
	"Elu":  func(t *vec.Table, a, _ float64) slopeLoops { return expSlope(t, 1, a, 1) },
	"Celu": func(t *vec.Table, a, _ float64) slopeLoops { return expSlope(t, 1/a, 1, 1) },
	"Selu": func(t *vec.Table, a, gamma float64) slopeLoops { return expSlope(t, 1, a, gamma) },
	"Gelu": geluSlope, "GeluTanh": geluTanhSlope, "Swish": swishSlope, "Mish": mishSlope,
	"Softplus": func(t *vec.Table, _, _ float64) slopeLoops {
		return slopeLoops{inBlocks(func(w *buffers, d, g, x []float32) {
			a := w.a[:len(d)]
			t.Sigmoid(a, x)
			t.Mul(d, g, a)
		}), eachSlope(sigmoid64)}
	},
	"Erf": func(t *vec.Table, _, _ float64) slopeLoops {
		const scale = 2 / math.SqrtPi
		return slopeLoops{inBlocks(func(w *buffers, d, g, x []float32) {
			a := w.a[:len(d)]
			t.Square(a, x)
			t.Neg(a, a)
			t.Exp(a, a)
			t.MulScalar(a, a, scale)
			t.Mul(d, g, a)
		}), eachSlope(func(x float64) float64 { return scale * math.Exp(-x*x) })}
	},
	"Softsign": func(*vec.Table, float64, float64) slopeLoops {
		return slopeLoops{softsignSlope[float32], softsignSlope[float64]}
	},
	"HardSigmoid": func(_ *vec.Table, a, b float64) slopeLoops {
		return slopeLoops{hardSigmoidSlope(float32(a), float32(b)), hardSigmoidSlope(a, b)}
	},
	"HardSwish": func(*vec.Table, float64, float64) slopeLoops {
		return slopeLoops{hardSwishSlope[float32], hardSwishSlope[float64]}
	},
	"ThresholdedRelu": func(_ *vec.Table, a, _ float64) slopeLoops {
		return slopeLoops{thresholdSlope(float32(a)), thresholdSlope(a)}
	},
	"Shrink": func(_ *vec.Table, lambd, _ float64) slopeLoops {
		return slopeLoops{shrinkSlope(float32(lambd)), shrinkSlope(lambd)}
	},
}

func eachSlope(f func(v float64) float64) func(d, g, v []float64) {
	return func(d, g, v []float64) { zipVV(d, g, v, func(g, v float64) float64 { return g * f(v) }) }
}

// inBlocks makes a loop that works in buffers which stay in the cache.
func inBlocks(f func(w *buffers, d, g, v []float32)) func(d, g, v []float32) {
	return func(d, g, v []float32) {
		w := bufferPool.Get().(*buffers)
		defer bufferPool.Put(w)
		for lo := 0; lo < len(d); lo += block {
			hi := min(lo+block, len(d))
			f(w, d[lo:hi], g[lo:hi], v[lo:hi])
		}
	}
}

// above returns 1 where v > 0 and 0 where not, without a jump, which signs of
// activations would mispredict. A NaN counts by its sign.
func above(v float32) uint32 {
	b := int32(math.Float32bits(v))
	return uint32(-b&^b) >> 31
}

// twoSlopes has the slope 1 above 0 and else low.
func twoSlopes(low float32) func(d, g, v []float32) {
	if low == 0 { // a product would make NaN of an infinite g
		return func(d, g, v []float32) {
			d, g = d[:len(v)], g[:len(v)]
			for i, x := range v {
				d[i] = math.Float32frombits(math.Float32bits(g[i]) & -above(x))
			}
		}
	}
	k := [2]float32{low, 1}
	return func(d, g, v []float32) {
		d, g = d[:len(v)], g[:len(v)]
		for i, x := range v {
			d[i] = g[i] * k[above(x)&1]
		}
	}
}

func stepSlope(low float64) func(v float64) float64 {
	return func(v float64) float64 {
		if v <= 0 {
			return low
		}
		return 1
	}
}

// expSlope is that of gamma·x above 0 and else gamma·alpha/rate·(e^(rate·x) - 1).
func expSlope(t *vec.Table, rate, alpha, gamma float64) slopeLoops {
	k := [2]float32{float32(alpha * gamma), float32(gamma)}
	return slopeLoops{inBlocks(func(w *buffers, d, g, x []float32) {
		a := w.a[:len(d)]
		t.Arith[vec.Min].VS(a, x, 0)
		t.MulScalar(a, a, float32(rate))
		t.Exp(a, a)
		for i, v := range x {
			a[i] *= k[above(v)&1]
		}
		t.Mul(d, g, a)
	}), eachSlope(func(x float64) float64 {
		if x <= 0 {
			return gamma * alpha * math.Exp(rate*x)
		}
		return gamma
	})}
}

// farOut bounds the arguments of slopes that are products of what grows and what
// vanishes: beyond it they are 0 or 1 to the last digit, an infinite argument would give NaN.
const farOut = 60

func near0(x float64) float64 { return min(max(x, -farOut), farOut) }

// geluSlope: Φ(x) + x·φ(x), with the distribution function and density of the
// standard normal distribution.
func geluSlope(t *vec.Table, _, _ float64) slopeLoops {
	density := 1 / math.Sqrt(2*math.Pi)
	return slopeLoops{inBlocks(func(w *buffers, d, g, v []float32) {
		x, a, b := w.d[:len(d)], w.a[:len(d)], w.b[:len(d)]
		t.Clip(x, v, -farOut, farOut)
		t.MulScalar(a, x, 1/math.Sqrt2)
		t.Erf(a, a)
		t.Affine(a, a, 0.5, 0.5)
		t.Square(b, x)
		t.MulScalar(b, b, -0.5)
		t.Exp(b, b)
		t.Mul(b, b, x)
		t.MulScalar(b, b, float32(density))
		t.Add(a, a, b)
		t.Mul(d, g, a)
	}), eachSlope(func(x float64) float64 {
		x = near0(x)
		return 0.5*math.Erfc(-x/math.Sqrt2) + x*density*math.Exp(-0.5*x*x)
	})}
}

// geluTanhSlope: with x/2·(1 + tanh(u)) = x·s, s = σ(z), z = 2u, the slope is
// s·(1 + x·z'·(1 - s)).
func geluTanhSlope(t *vec.Table, _, _ float64) slopeLoops {
	k, c := 2*math.Sqrt(2/math.Pi), 0.044715
	return slopeLoops{inBlocks(func(w *buffers, d, g, v []float32) {
		x, a, s := w.d[:len(d)], w.a[:len(d)], w.b[:len(d)]
		t.Clip(x, v, -farOut, farOut)
		t.Square(a, x)
		t.Affine(s, a, float32(k*c), float32(k))
		t.Mul(s, s, x)
		t.Sigmoid(s, s)
		t.Affine(a, a, float32(3*k*c), float32(k))
		t.Mul(a, a, x)
		t.Arith[vec.Sub].SV(x, 1, s)
		t.Mul(a, a, x)
		t.AddScalar(a, a, 1)
		t.Mul(a, a, s)
		t.Mul(d, g, a)
	}), eachSlope(func(x float64) float64 {
		x = near0(x)
		s := sigmoid64(k * x * (1 + c*x*x))
		return s * (1 + x*k*(1+3*c*x*x)*(1-s))
	})}
}

// swishSlope: s·(1 + u·(1 - s)), u = alpha·x, s = σ(u).
func swishSlope(t *vec.Table, alpha, _ float64) slopeLoops {
	return slopeLoops{inBlocks(func(w *buffers, d, g, x []float32) {
		u, s, a := w.d[:len(d)], w.a[:len(d)], w.b[:len(d)]
		t.MulScalar(u, x, float32(alpha))
		t.Clip(u, u, -farOut, farOut)
		t.Sigmoid(s, u)
		t.Arith[vec.Sub].SV(a, 1, s)
		t.Mul(a, a, u)
		t.AddScalar(a, a, 1)
		t.Mul(a, a, s)
		t.Mul(d, g, a)
	}), eachSlope(func(x float64) float64 {
		u := near0(alpha * x)
		s := sigmoid64(u)
		return s * (1 + u*(1-s))
	})}
}

// mishSlope: h + x·σ(x)·(1 - h²), h = tanh(softplus(x)).
func mishSlope(t *vec.Table, _, _ float64) slopeLoops {
	return slopeLoops{inBlocks(func(w *buffers, d, g, v []float32) {
		x, h, a := w.d[:len(d)], w.a[:len(d)], w.b[:len(d)]
		t.Clip(x, v, -farOut, farOut)
		t.Sigmoid(a, x)
		t.Mul(a, a, x)
		t.Softplus(h, x)
		t.Tanh(h, h)
		t.Square(x, h)
		t.Arith[vec.Sub].SV(x, 1, x)
		t.Mul(a, a, x)
		t.Add(a, a, h)
		t.Mul(d, g, a)
	}), eachSlope(func(x float64) float64 {
		x = near0(x)
		h := math.Tanh(softplus64(x))
		return h + x*sigmoid64(x)*(1-h*h)
	})}
}

// softsignSlope: 1 / (1 + |x|)².
func softsignSlope[T float](d, g, x []T) {
	zipVV(d, g, x, func(g, x T) T {
		n := 1 + max(x, -x)
		return g / n / n
	})
}

func hardSigmoidSlope[T float](alpha, beta T) func(d, g, x []T) {
	return func(d, g, x []T) {
		zipVV(d, g, x, func(g, x T) T {
			if y := alpha*x + beta; y <= 0 || y >= 1 {
				return 0
			}
			return g * alpha
		})
	}
}

func hardSwishSlope[T float](d, g, x []T) {
	zipVV(d, g, x, func(g, x T) T {
		switch {
		case x <= -3:
			return 0
		case x > 3:
			return g
		}
		return g * (x*(1.0/3) + 0.5)
	})
}

func thresholdSlope[T float](alpha T) func(d, g, x []T) {
	return func(d, g, x []T) {
		zipVV(d, g, x, func(g, x T) T {
			if x <= alpha {
				return 0
			}
			return g
		})
	}
}

func shrinkSlope[T float](lambd T) func(d, g, x []T) {
	return func(d, g, x []T) {
		zipVV(d, g, x, func(g, x T) T {
			if x >= -lambd && x <= lambd {
				return 0
			}
			return g
		})
	}
}
