//go:build !noasm

package vec

import "unsafe"

// The routines of vec_amd64.s. They read and write exactly n elements (of each row), at any
// alignment; dst may be an input. Strides are in bytes.

//go:noescape
func adam256(n int, w2, w, grad, m2, m, v2, v, rates unsafe.Pointer, scale float32)

//go:noescape
func sines256(dst, x unsafe.Pointer, n int, numbers unsafe.Pointer)

//go:noescape
func sines512(dst, x unsafe.Pointer, n int, numbers unsafe.Pointer)

//go:noescape
func exp256(dst, x unsafe.Pointer, n int)

//go:noescape
func sigmoid256(dst, x unsafe.Pointer, n int)

//go:noescape
func tanh256(dst, x unsafe.Pointer, n int)

//go:noescape
func erf256(dst, x unsafe.Pointer, n int)

//go:noescape
func gelu256(dst, x unsafe.Pointer, n int)

//go:noescape
func geluTanh256(dst, x unsafe.Pointer, n int)

//go:noescape
func softplus256(dst, x unsafe.Pointer, n int)

//go:noescape
func mish256(dst, x unsafe.Pointer, n int)

//go:noescape
func log256(dst, x unsafe.Pointer, n int)

//go:noescape
func atan256(dst, x unsafe.Pointer, n int)

//go:noescape
func asin256(dst, x unsafe.Pointer, n int)

//go:noescape
func acos256(dst, x unsafe.Pointer, n int)

//go:noescape
func sqrt256(dst, x unsafe.Pointer, n int)

//go:noescape
func abs256(dst, x unsafe.Pointer, n int)

//go:noescape
func neg256(dst, x unsafe.Pointer, n int)

//go:noescape
func square256(dst, x unsafe.Pointer, n int)

//go:noescape
func reciprocal256(dst, x unsafe.Pointer, n int)

//go:noescape
func round256(dst, x unsafe.Pointer, n int)

//go:noescape
func floor256(dst, x unsafe.Pointer, n int)

//go:noescape
func ceil256(dst, x unsafe.Pointer, n int)

//go:noescape
func trunc256(dst, x unsafe.Pointer, n int)

//go:noescape
func hardSwish256(dst, x unsafe.Pointer, n int)

//go:noescape
func swish256(dst, x unsafe.Pointer, n int, p0 float32)

//go:noescape
func elu256(dst, x unsafe.Pointer, n int, p0 float32)

//go:noescape
func leakyRelu256(dst, x unsafe.Pointer, n int, p0 float32)

//go:noescape
func clip256(dst, x unsafe.Pointer, n int, p0, p1 float32)

//go:noescape
func hardSigmoid256(dst, x unsafe.Pointer, n int, p0, p1 float32)

//go:noescape
func affine256(dst, x unsafe.Pointer, n int, p0, p1 float32)

//go:noescape
func addVV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func addVS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func subVV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func subVS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func subSV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func mulVV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func mulVS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func divVV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func divVS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func divSV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func maxVV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func maxVS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func maxSV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func minVV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func minVS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func minSV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func sum256(x unsafe.Pointer, n int) float32

//go:noescape
func sumAbs256(x unsafe.Pointer, n int) float32

//go:noescape
func largest256(x unsafe.Pointer, n int) float32

//go:noescape
func smallest256(x unsafe.Pointer, n int) float32

//go:noescape
func sumSquares256(x unsafe.Pointer, n int, m float32) float32

//go:noescape
func expSum256(dst, x unsafe.Pointer, n int, scale, shift float32) float32

//go:noescape
func norm256(y, x unsafe.Pointer, n int, mean, inv float32)

//go:noescape
func normScale256(y, x unsafe.Pointer, n int, mean, inv float32, scale unsafe.Pointer)

//go:noescape
func normScaleBias256(y, x unsafe.Pointer, n int, mean, inv float32, scale, bias unsafe.Pointer)

//go:noescape
func argMax256(at, best, x unsafe.Pointer, n, rows, stride, first int)

//go:noescape
func argMin256(at, best, x unsafe.Pointer, n, rows, stride, first int)

//go:noescape
func argMaxLast256(at, best, x unsafe.Pointer, n, rows, stride, first int)

//go:noescape
func argMinLast256(at, best, x unsafe.Pointer, n, rows, stride, first int)

//go:noescape
func addRows256(acc, x unsafe.Pointer, n, rows, stride int)

//go:noescape
func maxRows256(acc, x unsafe.Pointer, n, rows, stride int)

//go:noescape
func minRows256(acc, x unsafe.Pointer, n, rows, stride int)

//go:noescape
func addSquares256(acc, x, v unsafe.Pointer, n, rows, stride int)

//go:noescape
func exp512(dst, x unsafe.Pointer, n int)

//go:noescape
func sigmoid512(dst, x unsafe.Pointer, n int)

//go:noescape
func tanh512(dst, x unsafe.Pointer, n int)

//go:noescape
func erf512(dst, x unsafe.Pointer, n int)

//go:noescape
func gelu512(dst, x unsafe.Pointer, n int)

//go:noescape
func geluTanh512(dst, x unsafe.Pointer, n int)

//go:noescape
func softplus512(dst, x unsafe.Pointer, n int)

//go:noescape
func mish512(dst, x unsafe.Pointer, n int)

//go:noescape
func log512(dst, x unsafe.Pointer, n int)

//go:noescape
func atan512(dst, x unsafe.Pointer, n int)

//go:noescape
func asin512(dst, x unsafe.Pointer, n int)

//go:noescape
func acos512(dst, x unsafe.Pointer, n int)

//go:noescape
func sqrt512(dst, x unsafe.Pointer, n int)

//go:noescape
func abs512(dst, x unsafe.Pointer, n int)

//go:noescape
func neg512(dst, x unsafe.Pointer, n int)

//go:noescape
func square512(dst, x unsafe.Pointer, n int)

//go:noescape
func reciprocal512(dst, x unsafe.Pointer, n int)

//go:noescape
func round512(dst, x unsafe.Pointer, n int)

//go:noescape
func floor512(dst, x unsafe.Pointer, n int)

//go:noescape
func ceil512(dst, x unsafe.Pointer, n int)

//go:noescape
func trunc512(dst, x unsafe.Pointer, n int)

//go:noescape
func hardSwish512(dst, x unsafe.Pointer, n int)

//go:noescape
func swish512(dst, x unsafe.Pointer, n int, p0 float32)

//go:noescape
func elu512(dst, x unsafe.Pointer, n int, p0 float32)

//go:noescape
func leakyRelu512(dst, x unsafe.Pointer, n int, p0 float32)

//go:noescape
func clip512(dst, x unsafe.Pointer, n int, p0, p1 float32)

//go:noescape
func hardSigmoid512(dst, x unsafe.Pointer, n int, p0, p1 float32)

//go:noescape
func affine512(dst, x unsafe.Pointer, n int, p0, p1 float32)

//go:noescape
func addVV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func addVS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func subVV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func subVS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func subSV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func mulVV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func mulVS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func divVV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func divVS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func divSV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func maxVV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func maxVS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func maxSV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func minVV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func minVS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func minSV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func sum512(x unsafe.Pointer, n int) float32

//go:noescape
func sumAbs512(x unsafe.Pointer, n int) float32

//go:noescape
func largest512(x unsafe.Pointer, n int) float32

//go:noescape
func smallest512(x unsafe.Pointer, n int) float32

//go:noescape
func sumSquares512(x unsafe.Pointer, n int, m float32) float32

//go:noescape
func expSum512(dst, x unsafe.Pointer, n int, scale, shift float32) float32

//go:noescape
func norm512(y, x unsafe.Pointer, n int, mean, inv float32)

//go:noescape
func normScale512(y, x unsafe.Pointer, n int, mean, inv float32, scale unsafe.Pointer)

//go:noescape
func normScaleBias512(y, x unsafe.Pointer, n int, mean, inv float32, scale, bias unsafe.Pointer)

//go:noescape
func argMax512(at, best, x unsafe.Pointer, n, rows, stride, first int)

//go:noescape
func argMin512(at, best, x unsafe.Pointer, n, rows, stride, first int)

//go:noescape
func argMaxLast512(at, best, x unsafe.Pointer, n, rows, stride, first int)

//go:noescape
func argMinLast512(at, best, x unsafe.Pointer, n, rows, stride, first int)

//go:noescape
func addRows512(acc, x unsafe.Pointer, n, rows, stride int)

//go:noescape
func maxRows512(acc, x unsafe.Pointer, n, rows, stride int)

//go:noescape
func minRows512(acc, x unsafe.Pointer, n, rows, stride int)

//go:noescape
func addSquares512(acc, x, v unsafe.Pointer, n, rows, stride int)

//go:noescape
func addScalar256(dst, x unsafe.Pointer, n int, p0 float32)

//go:noescape
func mulScalar256(dst, x unsafe.Pointer, n int, p0 float32)

//go:noescape
func divScalar256(dst, x unsafe.Pointer, n int, p0 float32)

//go:noescape
func subFrom256(dst, x unsafe.Pointer, n int, p0 float32)

//go:noescape
func divInto256(dst, x unsafe.Pointer, n int, p0 float32)

//go:noescape
func maxScalar256(dst, x unsafe.Pointer, n int, p0 float32)

//go:noescape
func minScalar256(dst, x unsafe.Pointer, n int, p0 float32)

//go:noescape
func addScalar512(dst, x unsafe.Pointer, n int, p0 float32)

//go:noescape
func mulScalar512(dst, x unsafe.Pointer, n int, p0 float32)

//go:noescape
func divScalar512(dst, x unsafe.Pointer, n int, p0 float32)

//go:noescape
func subFrom512(dst, x unsafe.Pointer, n int, p0 float32)

//go:noescape
func divInto512(dst, x unsafe.Pointer, n int, p0 float32)

//go:noescape
func maxScalar512(dst, x unsafe.Pointer, n int, p0 float32)

//go:noescape
func minScalar512(dst, x unsafe.Pointer, n int, p0 float32)

//go:noescape
func lstm256(n int, h, c, pre, rec unsafe.Pointer, stride int)

//go:noescape
func lstmKeep256(n int, h, c, cells, pre, rec unsafe.Pointer, stride int)

//go:noescape
func lstmBack256(n int, out, copied, dc, dh, c, before, gates unsafe.Pointer, stride int)

//go:noescape
func gru256(n int, dst, h, pre, rec, bias unsafe.Pointer, stride int)

//go:noescape
func gruReset256(n int, dst, h, pre, rec unsafe.Pointer)

//go:noescape
func gruBlend256(n int, dst, h, pre, rec, preH, recH unsafe.Pointer)

//go:noescape
func lstm512(n int, h, c, pre, rec unsafe.Pointer, stride int)

//go:noescape
func lstmKeep512(n int, h, c, cells, pre, rec unsafe.Pointer, stride int)

//go:noescape
func lstmBack512(n int, out, copied, dc, dh, c, before, gates unsafe.Pointer, stride int)

//go:noescape
func gru512(n int, dst, h, pre, rec, bias unsafe.Pointer, stride int)

//go:noescape
func gruReset512(n int, dst, h, pre, rec unsafe.Pointer)

//go:noescape
func gruBlend512(n int, dst, h, pre, rec, preH, recH unsafe.Pointer)

//go:noescape
func add64VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func add64VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func add64SV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func sub64VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func sub64VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func sub64SV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func mul64VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func mul64VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func mul64SV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func div64VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func div64VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func div64SV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func ltF32VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func ltF32VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func leF32VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func leF32VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func eqF32VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func eqF32VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func gtF32VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func geF32VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func ltF64VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func ltF64VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func leF64VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func leF64VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func eqF64VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func eqF64VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func gtF64VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func geF64VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func ltI32VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func ltI32VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func leI32VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func leI32VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func eqI32VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func eqI32VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func gtI32VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func geI32VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func ltI64VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func ltI64VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func leI64VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func leI64VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func eqI64VV256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func eqI64VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func gtI64VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func geI64VS256(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func add64VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func add64VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func add64SV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func sub64VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func sub64VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func sub64SV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func mul64VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func mul64VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func mul64SV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func div64VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func div64VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func div64SV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func ltF32VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func ltF32VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func leF32VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func leF32VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func eqF32VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func eqF32VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func gtF32VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func geF32VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func ltF64VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func ltF64VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func leF64VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func leF64VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func eqF64VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func eqF64VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func gtF64VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func geF64VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func ltI32VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func ltI32VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func leI32VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func leI32VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func eqI32VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func eqI32VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func gtI32VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func geI32VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func ltI64VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func ltI64VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func leI64VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func leI64VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func eqI64VV512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func eqI64VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func gtI64VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func geI64VS512(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

//go:noescape
func log64256(dst, x unsafe.Pointer, n int)

//go:noescape
func abs64256(dst, x unsafe.Pointer, n int)

//go:noescape
func neg64256(dst, x unsafe.Pointer, n int)

//go:noescape
func sqrt64256(dst, x unsafe.Pointer, n int)

//go:noescape
func floor64256(dst, x unsafe.Pointer, n int)

//go:noescape
func reciprocal64256(dst, x unsafe.Pointer, n int)

//go:noescape
func exp64256(dst, x unsafe.Pointer, n int)

//go:noescape
func tanh64256(dst, x unsafe.Pointer, n int)

//go:noescape
func log64512(dst, x unsafe.Pointer, n int)

//go:noescape
func abs64512(dst, x unsafe.Pointer, n int)

//go:noescape
func neg64512(dst, x unsafe.Pointer, n int)

//go:noescape
func sqrt64512(dst, x unsafe.Pointer, n int)

//go:noescape
func floor64512(dst, x unsafe.Pointer, n int)

//go:noescape
func reciprocal64512(dst, x unsafe.Pointer, n int)

//go:noescape
func exp64512(dst, x unsafe.Pointer, n int)

//go:noescape
func tanh64512(dst, x unsafe.Pointer, n int)
