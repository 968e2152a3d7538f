package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// stepInputs are a parameter, its gradient and n memories of 1,500 elements,
// more than a chunk, and the scalars of an update.
func stepInputs(n int, lr float64, t int64, scale float64) []tensor.Value {
	in := Vals(Normal(1, 3, 500), Normal(2, 3, 500))
	for i := range n {
		in = append(in, Between(uint64(3+i), 0.1, 1, 3, 500))
	}
	return append(in, tensor.Scalar(float32(lr)), tensor.Scalar(t), tensor.Scalar(float32(scale)))
}

// steps makes the cases of one update in float64 and float32 from what it is
// element by element.
func steps(op string, as onnx.Attrs, in []tensor.Value, n int, f func(w, g float64, m []float64) []float64) []Case {
	data := make([][]float64, 2+n)
	for i := range data {
		data[i] = tensor.Data[float64](in[i].(*tensor.Tensor))
	}
	want := make([]tensor.Value, 1+n)
	for i := range want {
		want[i] = tensor.New(tensor.Float64, 3, 500)
	}
	for k := range data[0] {
		m := make([]float64, n)
		for i := range m {
			m[i] = data[2+i][k]
		}
		for i, v := range f(data[0][k], data[1][k], m) {
			tensor.Data[float64](want[i].(*tensor.Tensor))[k] = v
		}
	}
	in32, want32 := append([]tensor.Value(nil), in...), append([]tensor.Value(nil), want...)
	for _, list := range [][]tensor.Value{in32, want32} {
		for i, v := range list {
			if x := v.(*tensor.Tensor); x.DType() == tensor.Float64 {
				y := tensor.New(tensor.Float32, x.Shape()...)
				for k, e := range tensor.Data[float64](x) {
					tensor.Data[float32](y)[k] = float32(e)
				}
				list[i] = y
			}
		}
	}
	return []Case{
		{Domain: "x", Op: op, Opset: 1, Attrs: as, In: in, Want: want, Tol: tensor.Tolerance{Rel: 1e-6, Abs: 1e-8}},
		{Domain: "x", Op: op, Opset: 1, Attrs: as, In: in32, Want: want32, Tol: tensor.Tolerance{Rel: 1e-5, Abs: 1e-6}},
	}
}

func TestXAdamStep(t *testing.T) {
	adam := func(lr float64, count int64, scale, decay float64, decoupled bool) func(w, g float64, m []float64) []float64 {
		return func(w, g float64, m []float64) []float64 {
			b1, b2 := float64(float32(0.8)), float64(float32(0.95))
			g *= scale
			if decoupled {
				w -= lr * decay * w
			} else {
				g += decay * w
			}
			a, v := b1*m[0]+(1-b1)*g, b2*m[1]+(1-b2)*g*g
			c := float64(count)
			return []float64{w - lr*(a/(1-math.Pow(b1, c)))/(math.Sqrt(v/(1-math.Pow(b2, c)))+1e-3), a, v}
		}
	}
	as := func(decoupled int) onnx.Attrs {
		return onnx.NewAttrs("beta1", float32(0.8), "beta2", float32(0.95), "epsilon", float32(1e-3), "weight_decay", float32(0.125), "decoupled", decoupled)
	}
	Run(t, steps("AdamStep", as(0), stepInputs(2, 0.125, 1, 0.5), 2, adam(0.125, 1, 0.5, 0.125, false)))
	Run(t, steps("AdamStep", as(1), stepInputs(2, 0.125, 9, 1), 2, adam(0.125, 9, 1, 0.125, true)))
	in := stepInputs(2, 0.1, 0, 1)
	Run(t, []Case{
		{Domain: "x", Op: "AdamStep", Opset: 1, In: in, Want: make([]tensor.Value, 3), Err: "want a count of at least 1"},
		{Domain: "x", Op: "AdamStep", Opset: 1, In: append(Vals(in[0], Normal(1, 4)), in[2:]...), Want: make([]tensor.Value, 3), Err: "as W"},
		{Domain: "x", Op: "AdamStep", Opset: 1, In: append(Vals(in[0], in[1], Normal(1, 4)), in[3:]...), Want: make([]tensor.Value, 3), Err: "memory 0"},
	})
}
