//go:build !noasm

package quant

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// The assembly in quant_amd64.s does exactly what the loops in quant.go
// do, for n elements, a multiple of 32.
//
//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-quant ./quant && cd ../quant && /tmp/gneiss-gen-quant && rm /tmp/gneiss-gen-quant"

//go:noescape
func avx2quantize(dst, x unsafe.Pointer, n int, scale, lo, hi float32, zero int32)

//go:noescape
func avx2requantize(dst, x unsafe.Pointer, n int, scale, lo, hi float32, zero int32)

//go:noescape
func avx2requantizeEach(dst, x unsafe.Pointer, n int, scale unsafe.Pointer, lo, hi float32, zero int32)

//go:noescape
func avx2scaled(dst, x unsafe.Pointer, n int, scale, shift unsafe.Pointer)

//go:noescape
func avx2dequantU8(dst, x unsafe.Pointer, n int, scale float32, zero int32)

//go:noescape
func avx2dequantS8(dst, x unsafe.Pointer, n int, scale float32, zero int32)

//go:noescape
func avx2bounds(x unsafe.Pointer, n int) (lo, hi float32)

//go:noescape
func avx2floats(dst, x unsafe.Pointer, n int)

//go:noescape
func avx2integers(dst, x unsafe.Pointer, n int)

//go:noescape
func avx2sum(dst, x unsafe.Pointer, n int)

//go:noescape
func avx2sumU8(dst, a, b unsafe.Pointer, n int, fa, fb, c float32, za, zb, lo, hi int32)

//go:noescape
func avx2sumS8(dst, a, b unsafe.Pointer, n int, fa, fb, c float32, za, zb, lo, hi int32)

//go:noescape
func avx2productU8(dst, a, b unsafe.Pointer, n int, fa, fb, c float32, za, zb, lo, hi int32)

//go:noescape
func avx2productS8(dst, a, b unsafe.Pointer, n int, fa, fb, c float32, za, zb, lo, hi int32)

//go:noescape
func avx512sumU8(dst, a, b unsafe.Pointer, n int, fa, fb, c float32, za, zb, lo, hi int32)

//go:noescape
func avx512sumS8(dst, a, b unsafe.Pointer, n int, fa, fb, c float32, za, zb, lo, hi int32)

//go:noescape
func avx512productU8(dst, a, b unsafe.Pointer, n int, fa, fb, c float32, za, zb, lo, hi int32)

//go:noescape
func avx512productS8(dst, a, b unsafe.Pointer, n int, fa, fb, c float32, za, zb, lo, hi int32)

//go:noescape
func avx2lookup(dst, x unsafe.Pointer, n int, table unsafe.Pointer)

//go:noescape
func vbmilookup(dst, x unsafe.Pointer, n int, table unsafe.Pointer)

func archTables() []*table {
	if !cpu.Found.AVX2 {
		return nil
	}
	l := []*table{{
		name: cpu.AVX2, quantize: avx2quantize, requantize: avx2requantize,
		dequantU8: avx2dequantU8, dequantS8: avx2dequantS8, bounds: avx2bounds, floats: avx2floats, integers: avx2integers,
		requantizeEach: avx2requantizeEach, scaled: avx2scaled, sum: avx2sum, lookup: avx2lookup,
		binary: [2][2]binaryFunc{{avx2sumU8, avx2sumS8}, {avx2productU8, avx2productS8}}, step: 32,
	}}
	if cpu.Found.AVX512 {
		t := *l[0]
		t.name, t.step = cpu.AVX512, 64
		t.binary = [2][2]binaryFunc{{avx512sumU8, avx512sumS8}, {avx512productU8, avx512productS8}}
		if cpu.Found.AVX512VBMI {
			t.lookup = vbmilookup
		}
		l = append(l, &t)
	}
	return l
}
