package optimize

import (
	"math"

	"github.com/gneiss-run/gneiss/onnx"
)

// activations matches the functions that operators with an activation attribute
// can apply, to what inner matches; inner names its node. See activationOf.
func activations(inner func() *Pattern) *Pattern {
	var all []*Pattern
	for _, op := range []string{"Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "LeakyRelu", "ThresholdedRelu", "Elu", "HardSigmoid", "Selu",
		"Gelu", "Swish", "HardSwish", "Mish", "com.microsoft.Gelu", "com.microsoft.QuickGelu"} {
		all = append(all, Op(op, inner()))
	}
	return AnyOf(append(all,
		Op("Clip", inner()).Rest(),
		Op("com.microsoft.FastGelu", inner()).Rest(),
		Op("com.microsoft.BiasGelu", inner(), Var("gelu-bias")),
		Op("Mul", inner(), Op("Sigmoid", inner()).As("gate")),
		Op("Mul", inner(), Op("HardSigmoid", inner()).As("gate")),
	)...)
}

// activationOf returns the name and parameters by which fused operators know the
// function that a match of activations found at n's output, and what
// com.microsoft's BiasGelu and FastGelu add first.
func activationOf(m *Match, n *onnx.Node) (name string, params []float32, bias *onnx.Value, ok bool) {
	r := m.Root
	attr := func(name string, def float32) float32 { return floatAttr(r, name, def) }
	switch r.Op {
	case "Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "HardSwish", "Mish":
		return r.Op, nil, nil, true
	case "LeakyRelu":
		return r.Op, []float32{attr("alpha", 0.01)}, nil, true
	case "ThresholdedRelu", "Elu", "Swish":
		return r.Op, []float32{attr("alpha", 1)}, nil, true
	case "HardSigmoid":
		return r.Op, []float32{attr("alpha", 0.2), attr("beta", 0.5)}, nil, true
	case "Selu":
		// Version 1 has shorter defaults.
		if r.Opset < 6 && (r.Attrs.Get("alpha") == nil || r.Attrs.Get("gamma") == nil) {
			return "", nil, nil, false
		}
		return r.Op, []float32{attr("alpha", 1.67326319217681884765625), attr("gamma", 1.05070102214813232421875)}, nil, true
	case "Gelu", "BiasGelu":
		form := float32(0)
		if s, err := onnx.Attribute(r, "approximate", "none"); err != nil {
			return "", nil, nil, false
		} else if s == "tanh" {
			form = 1
		}
		return "Gelu", []float32{form}, m.Var("gelu-bias"), true
	case "FastGelu":
		return "Gelu", []float32{1}, input(r, 1), true
	case "QuickGelu":
		return r.Op, []float32{attr("alpha", 1.702)}, nil, true
	case "Clip":
		lo, hi, ok := clipBounds(r)
		return r.Op, []float32{lo, hi}, nil, ok
	case "Mul": // x·f(x)
		g := m.Node("gate")
		if g.In[0] != n.Out[0] || r.In[0] != n.Out[0] && r.In[1] != n.Out[0] {
			return "", nil, nil, false
		}
		if g.Op == "Sigmoid" {
			return "Swish", []float32{1}, nil, true
		}
		alpha, beta := floatAttr(g, "alpha", 0.2), floatAttr(g, "beta", 0.5)
		return "HardSwish", nil, nil, math.Abs(float64(alpha)-1./6) < 1e-6 && beta == 0.5
	}
	return "", nil, nil, false
}

// clipBounds returns the constant bounds of a Clip.
func clipBounds(n *onnx.Node) (lo, hi float32, ok bool) {
	lo, hi = -math.MaxFloat32, math.MaxFloat32
	if n.Opset < 11 {
		return floatAttr(n, "min", lo), floatAttr(n, "max", hi), true
	}
	for i, p := range []*float32{&lo, &hi} {
		v := input(n, i+1)
		if v == nil {
			continue
		}
		if v.Const == nil {
			return 0, 0, false
		}
		x, ok := scalar(v.Const)
		if !ok || v.Const.Len() != 1 {
			return 0, 0, false
		}
		*p = float32(x)
	}
	return lo, hi, true
}
