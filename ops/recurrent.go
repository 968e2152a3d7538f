package ops

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// recurrent is what RNN, GRU and LSTM have in common. Letters: s steps, n
// sequences of a batch, i inputs, h hidden, g gates, d directions.
type recurrent struct {
	gates     int
	dirs      []bool // per direction: whether it is reverse
	acts      []recurrentAct
	actsPer   int
	clip      float64 // 0: none
	hidden    int     // 0: not given
	batchLead bool    // layout 1: [n, s, ...] instead of [s, n, ...]
	hasCell   bool    // there is a cell state
	// split separates the recurrent product of the last gate from the others
	// (GRU, where it is of another state).
	split bool
	// lateBias says that the recurrent bias of the last gate is not added to
	// the input product (GRU, linear_before_reset).
	lateBias bool
	// together says that a step is one task for all sequences of a direction.
	together bool
	// keep says that the gates and cell states of all steps are outputs.
	keep bool
	// plain says that the functions are the operator's own, and nothing is clipped.
	plain bool
}

// recurrentAct is an activation function with its parameters.
type recurrentAct struct {
	name        string
	alpha, beta float64
}

// recurrentActs are the functions with their defaults, and whether they take
// alpha and beta from the attributes.
var recurrentActs = []struct {
	recurrentAct
	hasAlpha, hasBeta bool
}{
	{recurrentAct{"Relu", 0, 0}, false, false}, {recurrentAct{"Tanh", 0, 0}, false, false}, {recurrentAct{"Sigmoid", 0, 0}, false, false},
	{recurrentAct{"Affine", 1, 0}, true, true}, {recurrentAct{"LeakyRelu", 0.01, 0}, true, false},
	{recurrentAct{"ThresholdedRelu", 1, 0}, true, false}, {recurrentAct{"ScaledTanh", 1, 1}, true, true},
	{recurrentAct{"HardSigmoid", 0.2, 0.5}, true, true}, {recurrentAct{"Elu", 1, 0}, true, false},
	{recurrentAct{"Softsign", 0, 0}, false, false}, {recurrentAct{"Softplus", 0, 0}, false, false},
}

// readRecurrent reads the attributes that the three operators share. defaults
// are the activation functions of one direction.
func readRecurrent(b *BuildContext, gates int, defaults ...string) (recurrent, error) {
	r := recurrent{gates: gates, actsPer: len(defaults), clip: float64(b.Float("clip", 0)), hidden: b.Int("hidden_size", 0)}
	if b.Node.Domain != "com.microsoft" { // which has neither
		r.batchLead = b.Bool("layout", false)
		b.Ignore("output_sequence") // whether Y is given is seen from the node
	}
	if b.HasAttr("clip") && !(r.clip > 0) {
		return r, fmt.Errorf("attribute \"clip\" is %g, want more than 0", r.clip)
	}
	switch d := b.Str("direction", "forward"); d {
	case "forward", "foward": // the schema of GRU 1 spells its default so
		r.dirs = []bool{false}
	case "reverse":
		r.dirs = []bool{true}
	case "bidirectional":
		r.dirs = []bool{false, true}
	default:
		return r, fmt.Errorf("attribute \"direction\" is %q, want forward, reverse or bidirectional", d)
	}
	names := b.Strs("activations", nil)
	if len(names) == 0 {
		for range r.dirs {
			names = append(names, defaults...)
		}
	}
	want := len(r.dirs) * r.actsPer
	if r.actsPer == 1 && len(names) == 2 { // the schema's default lists two for RNN of any direction
		names = names[:want]
	}
	if len(names) != want {
		return r, fmt.Errorf("attribute \"activations\" has %d names, want %d", len(names), want)
	}
	alphas, betas := b.Floats("activation_alpha", nil), b.Floats("activation_beta", nil)
	for _, name := range names {
		i := slices.IndexFunc(recurrentActs, func(a struct {
			recurrentAct
			hasAlpha, hasBeta bool
		}) bool {
			return strings.EqualFold(a.name, name)
		})
		if i < 0 {
			return r, fmt.Errorf("%w: activation function %q", ErrUnsupported, name)
		}
		a := recurrentActs[i]
		if a.hasAlpha && len(alphas) > 0 {
			a.alpha, alphas = float64(alphas[0]), alphas[1:]
		}
		if a.hasBeta && len(betas) > 0 {
			a.beta, betas = float64(betas[0]), betas[1:]
		}
		r.acts = append(r.acts, a.recurrentAct)
	}
	r.plain = r.clip == 0
	for i, a := range r.acts {
		r.plain = r.plain && a.name == defaults[i%r.actsPer]
	}
	return r, nil
}

// inferRecurrent gives the types of Y, Y_h and Y_c.
func inferRecurrent(c *InferContext) error {
	x, rt := c.In(0), c.In(2)
	var h, s, n onnx.Dim
	if k := c.Int("hidden_size", 0); k > 0 {
		h = onnx.Size(k)
	} else if len(rt.Dims) == 3 {
		h = rt.Dims[2]
	}
	d := onnx.Size(1)
	if c.Str("direction", "forward") == "bidirectional" {
		d = onnx.Size(2)
	}
	if len(x.Dims) == 3 {
		s, n = x.Dims[0], x.Dims[1]
	}
	y, state := onnx.TensorType(x.DType, s, d, n, h), onnx.TensorType(x.DType, d, n, h)
	if c.Node.Domain != "com.microsoft" && c.Bool("layout", false) {
		s, n = n, s
		y, state = onnx.TensorType(x.DType, n, s, d, h), onnx.TensorType(x.DType, n, d, h)
	}
	for i := range c.Out {
		c.Out[i] = state
		if i == 0 {
			c.Out[i] = y
		}
	}
	return nil
}

// recurrentFunc returns the function, which works in place, after clipping to [-clip, clip].
func recurrentFunc[T floating](a recurrentAct, clip float64) func(x []T) {
	f := recurrentPlain[T](a)
	if clip == 0 {
		return f
	}
	lo, hi := T(-clip), T(clip)
	return func(x []T) {
		for i, v := range x {
			x[i] = min(max(v, lo), hi)
		}
		f(x)
	}
}

func recurrentPlain[T floating](a recurrentAct) func(x []T) {
	var fast func(dst, x []float32)
	switch a.name {
	case "Sigmoid":
		fast = vec.Best().Sigmoid
	case "Tanh":
		fast = vec.Best().Tanh
	}
	if fast != nil {
		if f, ok := any(func(x []float32) { fast(x, x) }).(func(x []T)); ok {
			return f
		}
	}
	one := recurrentScalar(a)
	return func(x []T) {
		for i, v := range x {
			x[i] = T(one(float64(v)))
		}
	}
}

func recurrentScalar(a recurrentAct) func(x float64) float64 {
	switch a.name {
	case "Relu":
		return func(x float64) float64 { return max(x, 0) }
	case "Tanh":
		return math.Tanh
	case "Sigmoid":
		return func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	case "Affine":
		return func(x float64) float64 { return a.alpha*x + a.beta }
	case "LeakyRelu":
		return func(x float64) float64 {
			if x < 0 {
				return a.alpha * x
			}
			return x
		}
	case "ThresholdedRelu":
		return func(x float64) float64 {
			if x >= a.alpha {
				return x
			}
			return 0
		}
	case "ScaledTanh":
		return func(x float64) float64 { return a.alpha * math.Tanh(a.beta*x) }
	case "HardSigmoid":
		return func(x float64) float64 { return min(max(a.alpha*x+a.beta, 0), 1) }
	case "Elu":
		return func(x float64) float64 {
			if x < 0 {
				return a.alpha * math.Expm1(x)
			}
			return x
		}
	case "Softsign":
		return func(x float64) float64 { return x / (1 + math.Abs(x)) }
	}
	return func(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) } // Softplus
}
