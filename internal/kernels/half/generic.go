package half

import (
	"math"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

type (
	convertFunc func(dst, src unsafe.Pointer, n int)
	// rowFunc adds to y[j] Σ x[k]·b[k][j], k < kc, for the columns of a panel.
	rowFunc func(kc int, x, b, y unsafe.Pointer)
)

// table is one implementation. Index 0 is for float16, 1 for bfloat16.
type table struct {
	name          string
	widen, narrow [2]convertFunc
	row           [2]rowFunc
}

var tables = append([]*table{{
	name: cpu.Generic, widen: [2]convertFunc{widenF, widenB}, narrow: [2]convertFunc{narrowF, narrowB},
	row: [2]rowFunc{
		func(kc int, x, b, y unsafe.Pointer) { rowGo(kc, x, b, y, fromF) },
		func(kc int, x, b, y unsafe.Pointer) { rowGo(kc, x, b, y, fromB) },
	},
}}, archTables()...)

// best returns the fastest table that may be used (see package cpu).
func best() *table {
	for i := len(tables) - 1; i > 0; i-- {
		if cpu.Has(tables[i].name) {
			return tables[i]
		}
	}
	return tables[0]
}

func fromB(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

func fromF(h uint16) float32 {
	sign, exp, man := uint32(h&0x8000)<<16, uint32(h>>10&31), uint32(h&0x3ff)
	switch exp {
	case 0: // a multiple of 2^-24
		return math.Float32frombits(math.Float32bits(float32(man)*(1.0/(1<<24))) | sign)
	case 31:
		if man != 0 {
			man |= 0x200
		}
		return math.Float32frombits(sign | 0x7f800000 | man<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | man<<13)
}

func toB(x float32) uint16 {
	b := math.Float32bits(x)
	if x != x {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

func toF(x float32) uint16 {
	b := math.Float32bits(x)
	sign, abs := uint16(b>>16)&0x8000, b&0x7fffffff
	switch {
	case abs > 0x7f800000:
		return sign | 0x7e00 | uint16(abs>>13&0x3ff)
	case abs >= 0x47800000:
		return sign | 0x7c00
	case abs >= 0x38800000: // normal; a carry out of the mantissa is right, up to infinity
		return sign | uint16((abs+0xfff+abs>>13&1-0x38000000)>>13)
	}
	// Adding 1/2 leaves the multiples of 2^-24 in the mantissa, rounded.
	return sign | uint16(math.Float32bits(math.Float32frombits(abs)+0.5)-math.Float32bits(0.5))
}

func widenF(dst, src unsafe.Pointer, n int)  { each(dst, src, n, fromF) }
func widenB(dst, src unsafe.Pointer, n int)  { each(dst, src, n, fromB) }
func narrowF(dst, src unsafe.Pointer, n int) { each(dst, src, n, toF) }
func narrowB(dst, src unsafe.Pointer, n int) { each(dst, src, n, toB) }

func each[D, S any](dst, src unsafe.Pointer, n int, f func(S) D) {
	d := unsafe.Slice((*D)(dst), n)
	for i, v := range unsafe.Slice((*S)(src), n) {
		d[i] = f(v)
	}
}

func rowGo(kc int, x, b, y unsafe.Pointer, from func(uint16) float32) {
	sum := (*[panel]float32)(y)
	for k, v := range unsafe.Slice((*float32)(x), kc) {
		for j, h := range (*[panel]uint16)(unsafe.Add(b, k*panel*2)) {
			sum[j] += v * from(h)
		}
	}
}
