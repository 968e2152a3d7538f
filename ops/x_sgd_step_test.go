package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestXSGDStep(t *testing.T) {
	sgd := func(lr float64, first, nesterov bool, scale, momentum, dampening, decay float64) func(w, g float64, m []float64) []float64 {
		return func(w, g float64, m []float64) []float64 {
			g = g*scale + decay*w
			b := g
			if !first {
				b = momentum*m[0] + (1-dampening)*g
			}
			d := b
			if nesterov {
				d = g + momentum*b
			}
			return []float64{w - lr*d, b}
		}
	}
	Run(t, steps("SGDStep", nil, stepInputs(1, 0.25, 3, 1), 1, sgd(0.25, false, false, 1, 0, 0, 0)))
	Run(t, steps("SGDStep", onnx.NewAttrs("momentum", float32(0.5), "weight_decay", float32(0.125)), stepInputs(1, 0.25, 1, 0.5), 1, sgd(0.25, true, false, 0.5, 0.5, 0, 0.125)))
	Run(t, steps("SGDStep", onnx.NewAttrs("momentum", float32(0.5), "dampening", float32(0.25)), stepInputs(1, 0.25, 7, 1), 1, sgd(0.25, false, false, 1, 0.5, 0.25, 0)))
	Run(t, steps("SGDStep", onnx.NewAttrs("momentum", float32(0.5), "nesterov", 1), stepInputs(1, 0.25, 7, 1), 1, sgd(0.25, false, true, 1, 0.5, 0, 0)))
}
