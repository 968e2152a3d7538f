//go:build !noasm && (amd64 || arm64)

package vec

import "unsafe"

// gatesMost is the number of hidden units of one call of a routine.
const gatesMost = 2048

//go:noinline
func lstmOf(f func(n int, h, c, pre, rec unsafe.Pointer, stride int)) func(h, c, pre, rec []float32, stride int) {
	return func(h, c, pre, rec []float32, stride int) {
		if len(h) == 0 {
			return
		}
		c, pre, rec = c[:len(h)], pre[:3*stride+len(h)], rec[:3*stride+len(h)]
		for i := 0; i < len(h); i += gatesMost {
			f(min(gatesMost, len(h)-i), at(h[i:]), at(c[i:]), at(pre[i:]), at(rec[i:]), stride*4)
		}
	}
}

//go:noinline
func lstmKeepOf(f func(n int, h, c, cells, pre, rec unsafe.Pointer, stride int)) func(h, c, cells, pre, rec []float32, stride int) {
	return func(h, c, cells, pre, rec []float32, stride int) {
		n := len(h)
		if n == 0 {
			return
		}
		c, cells, pre, rec = c[:n], cells[:n], pre[:3*stride+n], rec[:3*stride+n]
		for i := 0; i < n; i += gatesMost {
			f(min(gatesMost, n-i), at(h[i:]), at(c[i:]), at(cells[i:]), at(pre[i:]), at(rec[i:]), stride*4)
		}
	}
}

//go:noinline
func lstmBackOf(f func(n int, out, copied, dc, dh, c, before, gates unsafe.Pointer, stride int)) func(out, copied, dc, dh, c, before, gates []float32, stride int) {
	return func(out, copied, dc, dh, c, before, gates []float32, stride int) {
		n := len(dc)
		if n == 0 {
			return
		}
		dh, c, before = dh[:n], c[:n], before[:n]
		out, copied, gates = out[:3*stride+n], copied[:3*stride+n], gates[:3*stride+n]
		for i := 0; i < n; i += gatesMost {
			f(min(gatesMost, n-i), at(out[i:]), at(copied[i:]), at(dc[i:]), at(dh[i:]), at(c[i:]), at(before[i:]), at(gates[i:]), stride*4)
		}
	}
}

//go:noinline
func gruOf(f func(n int, dst, h, pre, rec, bias unsafe.Pointer, stride int)) func(dst, h, pre, rec, bias []float32, stride int) {
	return func(dst, h, pre, rec, bias []float32, stride int) {
		n := len(dst)
		if n == 0 {
			return
		}
		h, bias, pre, rec = h[:n], bias[:n], pre[:2*stride+n], rec[:2*stride+n]
		for i := 0; i < n; i += gatesMost {
			f(min(gatesMost, n-i), at(dst[i:]), at(h[i:]), at(pre[i:]), at(rec[i:]), at(bias[i:]), stride*4)
		}
	}
}

//go:noinline
func gruResetOf(f func(n int, dst, h, pre, rec unsafe.Pointer)) func(dst, h, pre, rec []float32) {
	return func(dst, h, pre, rec []float32) {
		n := len(dst)
		h, pre, rec = h[:n], pre[:n], rec[:n]
		for i := 0; i < n; i += gatesMost {
			f(min(gatesMost, n-i), at(dst[i:]), at(h[i:]), at(pre[i:]), at(rec[i:]))
		}
	}
}

//go:noinline
func gruBlendOf(f func(n int, dst, h, pre, rec, preH, recH unsafe.Pointer)) func(dst, h, pre, rec, preH, recH []float32) {
	return func(dst, h, pre, rec, preH, recH []float32) {
		n := len(dst)
		h, pre, rec, preH, recH = h[:n], pre[:n], rec[:n], preH[:n], recH[:n]
		for i := 0; i < n; i += gatesMost {
			f(min(gatesMost, n-i), at(dst[i:]), at(h[i:]), at(pre[i:]), at(rec[i:]), at(preH[i:]), at(recH[i:]))
		}
	}
}
