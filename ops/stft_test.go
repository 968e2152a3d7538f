package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestSTFT(t *testing.T) {
	const b, l, n, step = 2, 23, 6, 4
	frames := (l-n)/step + 1
	re, im, w := wave(b*l, 1), wave(b*l, 2), wave(n, 3)
	var full, half, plain []float32
	var mixed []float32
	for i := range re {
		mixed = append(mixed, re[i], im[i])
	}
	for i := 0; i < b; i++ {
		for f := 0; f < frames; f++ {
			at := i*l + f*step
			zr, zc := complexes(re[at:at+n], nil), complexes(re[at:at+n], im[at:at+n])
			plain = append(plain, parts(naiveDFT(zr, n, -1)[:n/2+1])...)
			for k := range zr {
				zr[k] *= complex(float64(w[k]), 0)
				zc[k] *= complex(float64(w[k]), 0)
			}
			half = append(half, parts(naiveDFT(zr, n, -1)[:n/2+1])...)
			full = append(full, parts(naiveDFT(zc, n, -1))...)
		}
	}
	R, C := F32([]int{b, l, 1}, re...), F32([]int{b, l, 2}, mixed...)
	s, W, N := I64([]int{}, step), F32([]int{n}, w...), I64([]int{}, n)
	tol := tensor.Tolerance{Rel: 1e-5, Abs: 1e-5}
	Run(t, []Case{
		{Op: "STFT", In: Vals(R, s, W), Want: Vals(F32([]int{b, frames, n/2 + 1, 2}, half...)), Tol: tol},
		{Op: "STFT", In: Vals(R, s, nil, N), Want: Vals(F32([]int{b, frames, n/2 + 1, 2}, plain...)), Tol: tol},
		{Op: "STFT", In: Vals(F32([]int{b, l}, re...), s, W), Want: Vals(F32([]int{b, frames, n/2 + 1, 2}, half...)), Tol: tol},
		{Op: "STFT", In: Vals(C, s, W, N), Attrs: onnx.NewAttrs("onesided", 0), Want: Vals(F32([]int{b, frames, n, 2}, full...)), Tol: tol},
		{Op: "STFT", In: Vals(C, s, W, N), Want: Vals(R), Err: "want a real one"},
		{Op: "STFT", In: Vals(F32([]int{b, l, 3}, make([]float32, b*l*3)...), s, W), Want: Vals(R), Err: "want [b l], [b l 1] or [b l 2]"},
		{Op: "STFT", In: Vals(F32([]int{l}, re[:l]...), s, W), Want: Vals(R), Err: "want [b l], [b l 1] or [b l 2]"},
		{Op: "STFT", In: Vals(R, I64([]int{}, 0), W), Want: Vals(R), Err: "frame_step is 0"},
		{Op: "STFT", In: Vals(R, s, nil, I64([]int{}, 24)), Want: Vals(R), Err: "frame_length is 24, want 1 to the 23"},
		{Op: "STFT", In: Vals(R, s, W, I64([]int{}, 5)), Want: Vals(R), Err: "window has shape [6], want [5]"},
	})
}
