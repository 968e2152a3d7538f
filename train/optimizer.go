package train

import (
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
)

// Optimizer is how parameters follow their gradients.
type Optimizer interface {
	// Rate is the learning rate that schedules multiply.
	Rate() float64
	// Decay is the weight decay of parameters whose group does not set one.
	Decay() float64
	// Memories is how many tensors of a parameter's shape the optimizer remembers
	// for each parameter. They begin as zeros.
	Memories() int
	// Step adds the nodes of one update and returns the new parameter and the new
	// memories.
	Step(u *Update) (param *onnx.Value, memory []*onnx.Value)
}

// Update is one parameter in one step. Its Builder adds to the training graph.
type Update struct {
	*ops.Builder
	Param, Grad *onnx.Value
	Memory      []*onnx.Value
	// LR is the learning rate, T the number of updates with this one (int64), Scale
	// the factor of the gradient that clips it (1 where nothing is clipped):
	// scalars; LR and Scale are float32.
	LR, T, Scale *onnx.Value
	// Decay is the group's weight decay, or that of the optimizer.
	Decay float64
}

func (u *Update) scalar(x float64) *onnx.Value               { return u.Float(u.Param.Type.DType, x) }
func (u *Update) add(a, b *onnx.Value) *onnx.Value           { return u.Op("Add", nil, a, b) }
func (u *Update) sub(a, b *onnx.Value) *onnx.Value           { return u.Op("Sub", nil, a, b) }
func (u *Update) mul(a, b *onnx.Value) *onnx.Value           { return u.Op("Mul", nil, a, b) }
func (u *Update) div(a, b *onnx.Value) *onnx.Value           { return u.Op("Div", nil, a, b) }
func (u *Update) times(a *onnx.Value, f float64) *onnx.Value { return u.mul(a, u.scalar(f)) }
func (u *Update) as(v *onnx.Value) *onnx.Value {
	if v.Type.DType == u.Param.Type.DType {
		return v
	}
	return u.Op("Cast", onnx.NewAttrs("to", int(u.Param.Type.DType)), v)
}

// grad returns the clipped gradient with the decay of weights added.
func (u *Update) grad(decay float64) *onnx.Value {
	g := u.mul(u.Grad, u.as(u.Scale))
	if decay != 0 {
		g = u.add(g, u.times(u.Param, decay))
	}
	return g
}

// average returns rate·old + (1-rate)·v.
func (u *Update) average(old, v *onnx.Value, rate float64) *onnx.Value {
	return u.add(u.times(old, rate), u.times(v, 1-rate))
}

// norm returns the L2 norm of v, a scalar.
func (u *Update) norm(v *onnx.Value) *onnx.Value {
	return u.Op("ReduceL2", onnx.NewAttrs("keepdims", 0), v)
}

// Lazy is what SGD, Adam, AdamW and Adagrad implement. With it, a step changes only
// those rows of an embedding that its batch has read, and their memories: neither
// momentum nor weight decay moves the others, unlike in the dense default. The
// gradient of such a table is kept as indices and rows, and the table is not
// copied, so a step's time and memory do not depend on its size. That is for
// parameters that only Gather along axis 0 reads; others are updated as ever.
// Named LazyAdam in TensorFlow Addons and SparseAdam in PyTorch.
type Lazy interface {
	Optimizer
	IsLazy() bool
}

// SGD is stochastic gradient descent: with momentum, and Nesterov's if asked for.
type SGD struct {
	LR          float64
	Momentum    float64
	Dampening   float64
	Nesterov    bool
	WeightDecay float64 // times the parameter is added to the gradient
	Lazy        bool    // see Lazy
}

// IsLazy returns Lazy.
func (o SGD) IsLazy() bool { return o.Lazy }

// Rate returns LR.
func (o SGD) Rate() float64 { return o.LR }

// Decay returns WeightDecay.
func (o SGD) Decay() float64 { return o.WeightDecay }

// Memories returns 1, the momentum.
func (o SGD) Memories() int { return 1 }

// Step adds x.SGDStep.
func (o SGD) Step(u *Update) (*onnx.Value, []*onnx.Value) {
	as := onnx.NewAttrs("momentum", float32(o.Momentum), "dampening", float32(o.Dampening), "nesterov", o.Nesterov, "weight_decay", float32(u.Decay))
	out := u.Ops(ops.Private, "SGDStep", as, 2, u.Param, u.Grad, u.Memory[0], u.LR, u.T, u.Scale)
	return out[0], out[1:]
}

// Adam is Adam with L2 regularisation by WeightDecay. Kingma and Ba, 2015.
type Adam struct {
	LR           float64
	Beta1, Beta2 float64 // 0: 0.9 and 0.999
	Epsilon      float64 // 0: 1e-8
	WeightDecay  float64 // times the parameter is added to the gradient
	Lazy         bool    // see Lazy
}

// IsLazy returns Lazy.
func (o Adam) IsLazy() bool { return o.Lazy }

// Rate returns LR.
func (o Adam) Rate() float64 { return o.LR }

// Decay returns WeightDecay.
func (o Adam) Decay() float64 { return o.WeightDecay }

// Memories returns 2, the moments.
func (o Adam) Memories() int { return 2 }

// Step adds x.AdamStep.
func (o Adam) Step(u *Update) (*onnx.Value, []*onnx.Value) { return o.step(u, false) }

func (o Adam) step(u *Update, decoupled bool) (*onnx.Value, []*onnx.Value) {
	as := onnx.NewAttrs("beta1", float32(or(o.Beta1, 0.9)), "beta2", float32(or(o.Beta2, 0.999)), "epsilon", float32(or(o.Epsilon, 1e-8)),
		"weight_decay", float32(u.Decay), "decoupled", decoupled)
	out := u.Ops(ops.Private, "AdamStep", as, 3, u.Param, u.Grad, u.Memory[0], u.Memory[1], u.LR, u.T, u.Scale)
	return out[0], out[1:]
}

func or(x, def float64) float64 {
	if x == 0 {
		return def
	}
	return x
}

// AdamW is Adam whose weight decay shrinks parameters directly. Loshchilov and Hutter, 2019.
type AdamW struct {
	LR           float64
	Beta1, Beta2 float64 // 0: 0.9 and 0.999
	Epsilon      float64 // 0: 1e-8
	WeightDecay  float64
	Lazy         bool // see Lazy
}

// IsLazy returns Lazy.
func (o AdamW) IsLazy() bool { return o.Lazy }

// Rate returns LR.
func (o AdamW) Rate() float64 { return o.LR }

// Decay returns WeightDecay.
func (o AdamW) Decay() float64 { return o.WeightDecay }

// Memories returns 2, the moments.
func (o AdamW) Memories() int { return 2 }

// Step adds x.AdamStep.
func (o AdamW) Step(u *Update) (*onnx.Value, []*onnx.Value) { return Adam(o).step(u, true) }

// Adagrad divides by the root of the sum of squares of all gradients so far.
// Duchi, Hazan and Singer, Adaptive subgradient methods, 2011.
type Adagrad struct {
	LR          float64
	Epsilon     float64 // 0: 1e-10
	WeightDecay float64
	Lazy        bool // see Lazy
}

// IsLazy returns Lazy.
func (o Adagrad) IsLazy() bool { return o.Lazy }

// Rate returns LR.
func (o Adagrad) Rate() float64 { return o.LR }

// Decay returns WeightDecay.
func (o Adagrad) Decay() float64 { return o.WeightDecay }

// Memories returns 1, the sum of squares.
func (o Adagrad) Memories() int { return 1 }

// Step adds W - lr·G / (sqrt(S + G²) + epsilon).
func (o Adagrad) Step(u *Update) (*onnx.Value, []*onnx.Value) {
	g := u.grad(u.Decay)
	sum := u.add(u.Memory[0], u.mul(g, g))
	root := u.add(u.Op("Sqrt", nil, sum), u.scalar(or(o.Epsilon, 1e-10)))
	return u.sub(u.Param, u.mul(u.as(u.LR), u.div(g, root))), []*onnx.Value{sum}
}

// RMSprop divides by the root of a moving average of squares. Tieleman and
// Hinton, Lecture 6.5, 2012; in the form of PyTorch's.
type RMSprop struct {
	LR          float64
	Alpha       float64 // of the moving average. 0: 0.99
	Epsilon     float64 // 0: 1e-8
	Momentum    float64
	WeightDecay float64
}

// Rate returns LR.
func (o RMSprop) Rate() float64 { return o.LR }

// Decay returns WeightDecay.
func (o RMSprop) Decay() float64 { return o.WeightDecay }

// Memories returns 2, the moving average and the momentum.
func (o RMSprop) Memories() int { return 2 }

// Step adds B' = momentum·B + G/(sqrt(V') + epsilon) and W - lr·B'.
func (o RMSprop) Step(u *Update) (*onnx.Value, []*onnx.Value) {
	g := u.grad(u.Decay)
	v := u.average(u.Memory[0], u.mul(g, g), or(o.Alpha, 0.99))
	d := u.div(g, u.add(u.Op("Sqrt", nil, v), u.scalar(or(o.Epsilon, 1e-8))))
	if o.Momentum != 0 {
		d = u.add(u.times(u.Memory[1], o.Momentum), d)
	}
	return u.sub(u.Param, u.mul(u.as(u.LR), d)), []*onnx.Value{v, d}
}

// Lion moves by the sign of an interpolation between momentum and gradient.
// Chen et al., Symbolic discovery of optimization algorithms, 2023, algorithm 2.
type Lion struct {
	LR           float64
	Beta1, Beta2 float64 // 0: 0.9 and 0.99
	WeightDecay  float64 // decoupled
}

// Rate returns LR.
func (o Lion) Rate() float64 { return o.LR }

// Decay returns WeightDecay.
func (o Lion) Decay() float64 { return o.WeightDecay }

// Memories returns 1, the momentum.
func (o Lion) Memories() int { return 1 }

// Step adds W - lr·(sign(beta1·M + (1-beta1)·G) + decay·W).
func (o Lion) Step(u *Update) (*onnx.Value, []*onnx.Value) {
	g := u.grad(0)
	d := u.Op("Sign", nil, u.average(u.Memory[0], g, or(o.Beta1, 0.9)))
	if u.Decay != 0 {
		d = u.add(d, u.times(u.Param, u.Decay))
	}
	return u.sub(u.Param, u.mul(u.as(u.LR), d)), []*onnx.Value{u.average(u.Memory[0], g, or(o.Beta2, 0.99))}
}

// LAMB is Adam with a step as long, relative to the parameter's norm, for every
// parameter. You et al., Large batch optimization for deep learning, 2020, algorithm 2.
type LAMB struct {
	LR           float64
	Beta1, Beta2 float64 // 0: 0.9 and 0.999
	Epsilon      float64 // 0: 1e-6
	WeightDecay  float64 // decoupled
}

// Rate returns LR.
func (o LAMB) Rate() float64 { return o.LR }

// Decay returns WeightDecay.
func (o LAMB) Decay() float64 { return o.WeightDecay }

// Memories returns 2, the moments.
func (o LAMB) Memories() int { return 2 }

// Step adds W - lr·|W|/|D|·D with D = M̂/(sqrt(V̂) + epsilon) + decay·W; the
// ratio is 1 where a norm is 0.
func (o LAMB) Step(u *Update) (*onnx.Value, []*onnx.Value) {
	g := u.grad(0)
	b1, b2 := or(o.Beta1, 0.9), or(o.Beta2, 0.999)
	m, v := u.average(u.Memory[0], g, b1), u.average(u.Memory[1], u.mul(g, g), b2)
	t := u.Op("Cast", onnx.NewAttrs("to", int(u.Param.Type.DType)), u.T)
	correct := func(x *onnx.Value, beta float64) *onnx.Value {
		return u.div(x, u.sub(u.scalar(1), u.Op("Pow", nil, u.scalar(beta), t)))
	}
	d := u.div(correct(m, b1), u.add(u.Op("Sqrt", nil, correct(v, b2)), u.scalar(or(o.Epsilon, 1e-6))))
	if u.Decay != 0 {
		d = u.add(d, u.times(u.Param, u.Decay))
	}
	w, n := u.norm(u.Param), u.norm(d)
	usable := u.Op("And", nil, u.Op("Greater", nil, w, u.scalar(0)), u.Op("Greater", nil, n, u.scalar(0)))
	ratio := u.Op("Where", nil, usable, u.div(w, u.Op("Max", nil, n, u.scalar(1e-30))), u.scalar(1))
	return u.sub(u.Param, u.mul(u.as(u.LR), u.mul(ratio, d))), []*onnx.Value{m, v}
}
