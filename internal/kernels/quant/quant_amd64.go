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

func archTables() []*table {
	if !cpu.Found.AVX2 {
		return nil
	}
	return []*table{{
		name: cpu.AVX2, quantize: avx2quantize, requantize: avx2requantize,
		dequantU8: avx2dequantU8, dequantS8: avx2dequantS8, bounds: avx2bounds, floats: avx2floats,
		requantizeEach: avx2requantizeEach, scaled: avx2scaled,
	}}
}
