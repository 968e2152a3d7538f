package ops_test

import (
	"fmt"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestDFT(t *testing.T) {
	var cases []Case
	tol := tensor.Tolerance{Rel: 1e-5, Abs: 1e-5}
	for _, n := range []int{1, 2, 3, 8, 10, 17, 30, 97} {
		re, im := wave(n, 1), wave(n, 2)
		z := complexes(re, im)
		for _, length := range []int{n, n + 3, max(n-1, 1)} {
			all := naiveDFT(z, length, -1)
			back := naiveDFT(z, length, 1)
			for i := range back {
				back[i] /= complex(float64(length), 0)
			}
			one := naiveDFT(complexes(re, nil), length, -1)
			in := F32([]int{1, n, 2}, parts(z)...)
			l := I64([]int{}, int64(length))
			name := fmt.Sprint("DFT ", n, " ", length)
			cases = append(cases,
				Case{Name: name, Op: "DFT", In: Vals(in, l), Want: Vals(F32([]int{1, length, 2}, parts(all)...)), Tol: tol},
				Case{Name: name + " inverse", Op: "DFT", Opset: 17, In: Vals(in, l), Attrs: onnx.NewAttrs("inverse", 1, "axis", -2), Want: Vals(F32([]int{1, length, 2}, parts(back)...)), Tol: tol},
				Case{Name: name + " real", Op: "DFT", In: Vals(F32([]int{1, n, 1}, re...), l, I64([]int{}, 1)), Want: Vals(F32([]int{1, length, 2}, parts(one)...)), Tol: tol},
				Case{Name: name + " onesided", Op: "DFT", In: Vals(F32([]int{1, n, 1}, re...), l), Attrs: onnx.NewAttrs("onesided", 1), Want: Vals(F32([]int{1, length/2 + 1, 2}, parts(one[:length/2+1])...)), Tol: tol},
			)
		}
		// The spectrum of a real signal, half of it, gives the signal back.
		half := naiveDFT(complexes(re, nil), n, -1)[:n/2+1]
		cases = append(cases, Case{Name: fmt.Sprint("back ", n), Op: "DFT", In: Vals(F32([]int{n/2 + 1, 2}, parts(half)...), I64([]int{}, int64(n)), I64([]int{}, 0)),
			Attrs: onnx.NewAttrs("inverse", 1, "onesided", 1), Want: Vals(F32([]int{n, 1}, re...)), Tol: tol})
		if n%2 == 0 {
			cases = append(cases, Case{Op: "DFT", Opset: 19, In: Vals(F32([]int{1, n/2 + 1, 2}, parts(half)...)),
				Attrs: onnx.NewAttrs("inverse", 1, "onesided", 1), Want: Vals(F32([]int{1, n, 1}, re...)), Tol: tol})
		}
	}
	// Along axis 1 of [2, 3, 4, 1].
	x := wave(24, 3)
	y := make([]float32, 48)
	for o := 0; o < 2; o++ {
		for j := 0; j < 4; j++ {
			line := []float32{x[o*12+j], x[o*12+4+j], x[o*12+8+j]}
			for k, v := range naiveDFT(complexes(line, nil), 3, -1) {
				y[((o*3+k)*4+j)*2], y[((o*3+k)*4+j)*2+1] = float32(real(v)), float32(imag(v))
			}
		}
	}
	X := F32([]int{2, 3, 4, 1}, x...)
	Run(t, append(cases,
		Case{Op: "DFT", Opset: 17, In: Vals(X), Want: Vals(F32([]int{2, 3, 4, 2}, y...)), Tol: tol},
		Case{Op: "DFT", In: Vals(X, nil, I64([]int{}, -3)), Want: Vals(F32([]int{2, 3, 4, 2}, y...)), Tol: tol},
		Case{Op: "DFT", In: Vals(X, nil, I64([]int{}, 3)), Want: Vals(X), Err: "last dimension"},
		Case{Op: "DFT", In: Vals(F32([]int{0, 3, 1}), I64([]int{}, 1<<29)), Want: Vals(F32([]int{0, 1 << 29, 2}))}, // no line, however long
		Case{Op: "DFT", In: Vals(X, I64([]int{}, 0)), Want: Vals(X), Err: "dft_length is 0"},
		Case{Op: "DFT", In: Vals(F32([]int{2, 3}, 1, 2, 3, 4, 5, 6)), Want: Vals(X), Err: "want a last dimension of 1 or 2"},
		Case{Op: "DFT", In: Vals(F32([]int{1, 2}, 1, 2)), Attrs: onnx.NewAttrs("onesided", 1), Want: Vals(X), Err: "want a real one"},
	))
}

func TestDFTGradient(t *testing.T) {
	as := onnx.NewAttrs
	inverse, onesided, half := as("inverse", 1), as("onesided", 1), as("inverse", 1, "onesided", 1)
	n := func(v int64) *tensor.Tensor { return I64([]int{}, v) }
	Gradients(t, []GradCase{
		{Op: "DFT", In: Vals(Normal(1, 2, 5, 2))},
		{Op: "DFT", In: Vals(Normal(1, 2, 6, 1))},
		{Op: "DFT", Name: "along 1, filled", In: Vals(Normal(1, 2, 4, 3, 2), n(7), n(1))},
		{Op: "DFT", Name: "along 0, cut", In: Vals(Normal(1, 6, 3, 1), n(4), n(0))},
		{Op: "DFT", Attrs: onesided, In: Vals(Normal(1, 2, 6, 1))},
		{Op: "DFT", Attrs: onesided, Name: "onesided, filled", In: Vals(Normal(1, 5, 2, 1), n(7), n(-3))},
		{Op: "DFT", Attrs: onesided, Name: "onesided, cut", In: Vals(Normal(1, 2, 6, 1), n(4))},
		{Op: "DFT", Attrs: inverse, In: Vals(Normal(1, 2, 5, 2))},
		{Op: "DFT", Attrs: inverse, Name: "inverse, cut", In: Vals(Normal(1, 5, 3, 2), n(4), n(0))},
		{Op: "DFT", Attrs: inverse, Name: "inverse, real", In: Vals(Normal(1, 5, 1))},
		{Op: "DFT", Attrs: half, Name: "half even", In: Vals(Normal(1, 2, 4, 2))},
		{Op: "DFT", Attrs: half, Name: "half odd", In: Vals(Normal(1, 4, 2, 2), n(7), n(0))},
		{Op: "DFT", Attrs: half, Name: "half cut", In: Vals(Normal(1, 2, 5, 2), n(6))},
		{Op: "DFT", Attrs: half, Name: "half filled, real", In: Vals(Normal(1, 2, 3, 1), n(9))},
	})
}
