package ops

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	f16 "github.com/gneiss-run/gneiss/internal/kernels/half"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// halvesOf returns the elements of a tensor of float16 or bfloat16; ok is false
// for other types.
func halvesOf(t *tensor.Tensor) (h []uint16, kind f16.Kind, ok bool) {
	switch t.DType() {
	case tensor.Float16:
		d := tensor.Data[tensor.F16](t)
		return unsafe.Slice((*uint16)(unsafe.SliceData(d)), len(d)), f16.Float16, true
	case tensor.BFloat16:
		d := tensor.Data[tensor.BF16](t)
		return unsafe.Slice((*uint16)(unsafe.SliceData(d)), len(d)), f16.BFloat16, true
	}
	return nil, 0, false
}

// widened is tensor.Widen with the vectors of this machine.
func widened(t *tensor.Tensor) *tensor.Tensor {
	h, kind, ok := halvesOf(t)
	if !ok {
		return tensor.Widen(t)
	}
	w := tensor.New(tensor.Float32, t.Shape()...)
	f16.Widen(kind, tensor.Data[float32](w), h)
	return w
}

// Widened is tensor.Widen with the vectors of this machine.
func Widened(t *tensor.Tensor) *tensor.Tensor { return widened(t) }

// Narrowed is tensor.Narrow with the vectors of this machine.
func Narrowed(dst, src *tensor.Tensor) { narrowed(dst, src) }

// widenedWeights is what widened gives in memory that the caller returns: one piece of it serves all that a model packs.
func widenedWeights(t *tensor.Tensor) gemm.Buffer[float32] {
	h, kind, _ := halvesOf(t)
	buf := gemm.Borrow[float32](len(h))
	f16.Widen(kind, buf.S, h)
	return buf
}

// narrowed is tensor.Narrow with the vectors of this machine.
func narrowed(dst, src *tensor.Tensor) {
	if h, kind, ok := halvesOf(dst); ok {
		f16.Narrow(kind, h, tensor.Data[float32](src))
		return
	}
	tensor.Narrow(dst, src)
}

// bitsOf returns the bits of half precision floats, and which these are.
func bitsOf[H half](h []H) ([]uint16, f16.Kind) {
	kind := f16.Float16
	if _, ok := any(h).([]tensor.BF16); ok {
		kind = f16.BFloat16
	}
	return unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(h))), len(h)), kind
}

// widenHalves sets dst to src.
func widenHalves[H half](dst []float32, src []H) {
	h, kind := bitsOf(src)
	f16.Widen(kind, dst[:len(src)], h)
}

// narrowHalves sets dst to src, rounded.
func narrowHalves[H half](dst []H, src []float32) {
	h, kind := bitsOf(dst)
	f16.Narrow(kind, h, src)
}

// runMat computes g, with w in the place of its right-hand side unless that is nil.
func runMat[T gemm.Number](p par.P, g *gemm.Args[T], w f16.Matrix) {
	if f, ok := any(g).(*gemm.Args[float32]); ok && w != nil {
		w.Run(p, f)
		return
	}
	gemm.Run(p, g)
}

// widenCast and narrowCast cast halves to float32 and back.
func widenCast(c *Call, dst, src *tensor.Tensor) {
	h, kind, _ := halvesOf(src)
	d := tensor.Data[float32](dst)
	par.Each(c.P, len(h), grain, halfCast{kind, d, h}, func(a *halfCast, lo, hi int) { f16.Widen(a.kind, a.floats[lo:hi], a.halves[lo:hi]) })
}

func narrowCast(c *Call, dst, src *tensor.Tensor) {
	h, kind, _ := halvesOf(dst)
	s := tensor.Data[float32](src)
	par.Each(c.P, len(h), grain, halfCast{kind, s, h}, func(a *halfCast, lo, hi int) { f16.Narrow(a.kind, a.halves[lo:hi], a.floats[lo:hi]) })
}

type halfCast struct {
	kind   f16.Kind
	floats []float32
	halves []uint16
}
