package ops_test

import (
	"slices"
	"testing"

	"github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestRandomUniformLike(t *testing.T) {
	draw := func(d tensor.DType, more ...any) []float64 {
		c := optest.Case{Op: "RandomUniformLike", Attrs: onnx.NewAttrs(append([]any{"low", 2.0, "high", 5.0}, more...)...), In: []tensor.Value{tensor.New(d, 100, 200)}, Want: make([]tensor.Value, 1)}
		c.Want[0] = tensor.New(d, 1)
		out, err := ops.Eval(par.P{}, optest.Node(c, nil), c.In, ops.BuildEnv{})
		if err != nil {
			t.Fatal(err)
		}
		x := out[0].(*tensor.Tensor)
		if x.DType() != d || !slices.Equal(x.Shape(), []int{100, 200}) {
			t.Fatalf("%v, want %v [100 200]", x, d)
		}
		v, err := tensor.Float64s(x)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, d := range []tensor.DType{tensor.Float32, tensor.Float64, tensor.Float16, tensor.BFloat16} {
		sum, squares := 0.0, 0.0
		x := draw(d)
		for _, v := range x {
			sum += v
			squares += v * v
			if v < 2 || v > 5 {
				t.Fatalf("%g is not in [2, 5]", v)
			}
		}
		mean := sum / float64(len(x))
		if variance := squares/float64(len(x)) - mean*mean; mean < 3.5-0.15 || mean > 3.5+0.15 || variance < 0.75*0.9 || variance > 0.75*1.1 {
			t.Errorf("%v: mean %g and variance %g, want about 3.5 and 0.75", d, mean, variance)
		}
		if slices.Equal(x, draw(d)) {
			t.Errorf("%v: two calls without a seed gave the same numbers", d)
		}
		if !slices.Equal(draw(d, "seed", 7.0), draw(d, "seed", 7.0)) || slices.Equal(draw(d, "seed", 7.0), draw(d, "seed", 8.0)) {
			t.Errorf("%v: the seed does not decide", d)
		}
	}
}
