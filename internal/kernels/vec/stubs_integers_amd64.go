//go:build !noasm

package vec

import "unsafe"

// More of the routines of vec_amd64.s, as stubs_amd64.go has them: extremes of float64 and arithmetic of integers.

//go:noescape
func max64VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func max64VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func max64SV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func min64VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func min64VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func min64SV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func addI32VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func addI32VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func subI32VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func subI32VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func subI32SV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func mulI32VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func mulI32VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func maxI32VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func maxI32VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func minI32VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func minI32VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func addI64VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func addI64VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func subI64VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func subI64VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func subI64SV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func max64VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func max64VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func max64SV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func min64VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func min64VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func min64SV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func addI32VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func addI32VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func subI32VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func subI32VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func subI32SV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func mulI32VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func mulI32VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func maxI32VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func maxI32VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func minI32VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func minI32VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func addI64VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func addI64VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func subI64VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func subI64VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func subI64SV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)
