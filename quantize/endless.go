package quantize

import (
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// bounded lists operators whose results are finite whatever the signs of infinities they read.
var bounded = map[string]bool{"Softmax": true, "Sigmoid": true, "HardSigmoid": true, "Tanh": true, "Erf": true, "Softsign": true}

// endlessValues returns the values of g, and of the graphs nested in it, that an infinite
// constant may reach, as -∞ does where a mask keeps a Softmax from looking.
func endlessValues(g *onnx.Graph) map[*onnx.Value]bool {
	e := &reach{values: map[*onnx.Value]bool{}, seen: map[*tensor.Tensor]bool{}}
	for n := -1; n != len(e.values); { // again for what loops carry
		n = len(e.values)
		e.graph(g)
	}
	return e.values
}

type reach struct {
	values map[*onnx.Value]bool
	seen   map[*tensor.Tensor]bool // constants, and whether they have an infinite element
}

// constant reports whether t has an infinite element.
func (e *reach) constant(t *tensor.Tensor) bool {
	is, ok := e.seen[t]
	if !ok {
		is = infiniteTensor(t)
		e.seen[t] = is
	}
	return is
}

func (e *reach) graph(g *onnx.Graph) {
	for _, n := range g.Nodes {
		reached := slices.ContainsFunc(n.In, func(v *onnx.Value) bool { return v != nil && (e.values[v] || e.constant(v.Const)) })
		for _, a := range n.Attrs {
			switch v := a.Value.(type) {
			case *tensor.Tensor:
				reached = reached || e.constant(v)
			case float32:
				reached = reached || math.IsInf(float64(v), 0)
			}
		}
		for _, b := range n.Bodies() {
			for _, v := range b.Inputs {
				if reached {
					e.values[v] = true
				}
			}
			e.graph(b)
			reached = reached || slices.ContainsFunc(b.Outputs, func(v *onnx.Value) bool { return v != nil && (e.values[v] || e.constant(v.Const)) })
		}
		if !reached || bounded[n.Op] && n.Domain == "" {
			continue
		}
		for _, v := range n.Out {
			if v != nil {
				e.values[v] = true
			}
		}
	}
}

// infiniteTensor reports whether t has an infinite element.
func infiniteTensor(t *tensor.Tensor) bool {
	if t == nil || t.DType() != tensor.Float32 && t.DType() != tensor.Float16 && t.DType() != tensor.BFloat16 && t.DType() != tensor.Float64 {
		return false
	}
	var buf [1024]float32
	for at := 0; at < t.Len(); at += len(buf) {
		x := buf[:min(len(buf), t.Len()-at)]
		tensor.WidenTo(x, t, at)
		if slices.ContainsFunc(x, func(v float32) bool { return math.IsInf(float64(v), 0) }) {
			return true
		}
	}
	return false
}
