package quant

import (
	"sync"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
)

// Binary adds or multiplies bytes:
//
//	sum:     round((a - ZA)·FA + (b - ZB)·FB + Zero)
//	product: round((a - ZA)·(b - ZB)·FA + Zero)
//
// halves to even, within [Lo, Hi], which the type of the bytes holds. The zero point is in what is
// rounded, and of a sum, a·FA + (b·FB + C), products are added unrounded, as ONNX Runtime does it on
// AVX2: a half that is rounded otherwise grows in the layers that follow.
type Binary struct {
	Product, Signed bool
	FA, FB          float32
	ZA, ZB          int32
	Zero, Lo, Hi    int32
}

// Run sets dst[i] from a[i] and b[i]. dst may be a or b.
func (p *Binary) Run(dst, a, b []byte) {
	a, b = a[:len(dst)], b[:len(dst)]
	// Products of a byte are exact in float64, so sums are as good as fused.
	fused := func(x int32, f, plus float32) float32 { return float32(float64(x)*float64(f) + float64(plus)) }
	c := float32(p.Zero) - fused(p.ZA, p.FA, float32(p.ZB)*p.FB)
	size := func(x float32) float32 { return max(x, -x) }
	largest := (size(p.FA) + size(p.FB)) * 512
	if p.Product {
		c, largest = float32(p.Zero), size(p.FA)*(1<<18)
	}
	// Else zero points must go first, lest digits are lost, and what is rounded
	// may not fit 32 bits.
	if !(largest < 1<<22) {
		p.wide(dst, a, b)
		return
	}
	done := 0
	if t := best(); t.step > 0 {
		f := t.binary[0][0]
		switch {
		case p.Product && p.Signed:
			f = t.binary[1][1]
		case p.Product:
			f = t.binary[1][0]
		case p.Signed:
			f = t.binary[0][1]
		}
		done = len(dst) / t.step * t.step
		for at := 0; at < done; at += 1 << 15 {
			f(unsafe.Pointer(&dst[at]), unsafe.Pointer(&a[at]), unsafe.Pointer(&b[at]), min(1<<15, done-at), p.FA, p.FB, c, p.ZA, p.ZB, p.Lo, p.Hi)
		}
	}
	value := func(v byte) int32 { return int32(v) }
	if p.Signed {
		value = func(v byte) int32 { return int32(int8(v)) }
	}
	lo, hi := float32(p.Lo), float32(p.Hi)
	for i := done; i < len(dst); i++ {
		x, y := value(a[i]), value(b[i])
		v := fused(x, p.FA, fused(y, p.FB, c))
		if p.Product {
			v = float32(float32(float32(x-p.ZA)*float32(y-p.ZB))*p.FA) + c
		}
		dst[i] = byte(round(v, lo, hi))
	}
}

var wides = sync.Pool{New: func() any { return new([2][1024]float32) }}

// wide is Run by way of floats, whatever their size.
func (p *Binary) wide(dst, a, b []byte) {
	mem := wides.Get().(*[2][1024]float32)
	defer wides.Put(mem)
	fa, fb, t := p.FA, p.FB, vec.Best()
	if p.Product {
		fa, fb = 1, 1
	}
	for len(dst) > 0 {
		n := min(len(dst), len(mem[0]))
		x, y := mem[0][:n], mem[1][:n]
		if p.Signed {
			Dequantize(x, signed(a[:n]), fa, p.ZA)
			Dequantize(y, signed(b[:n]), fb, p.ZB)
		} else {
			Dequantize(x, a[:n], fa, p.ZA)
			Dequantize(y, b[:n], fb, p.ZB)
		}
		if p.Product {
			t.Mul(x, x, y)
			t.MulScalar(x, x, p.FA)
		} else {
			t.Add(x, x, y)
		}
		Quantize(dst[:n], x, 1, p.Zero, p.Lo, p.Hi)
		dst, a, b = dst[n:], a[n:], b[n:]
	}
}

func signed(x []byte) []int8 {
	return unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
}

// Sum adds the unsigned bytes x[i] to dst[i].
func Sum(dst []int32, x []byte) {
	x = x[:len(dst)]
	done := 0
	if t := best(); t.sum != nil {
		for n := piece(len(dst), 0); n > 0; n = piece(len(dst), done) {
			t.sum(unsafe.Pointer(&dst[done]), unsafe.Pointer(&x[done]), n)
			done += n
		}
	}
	dst = dst[done:]
	for i, v := range x[done:] {
		dst[i] += int32(v)
	}
}
