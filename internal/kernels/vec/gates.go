package vec

import "math"

// The steps of recurrent networks, unit by unit in blocks that the stack holds.

const gateBlock = 64

// gateSum returns pre + rec in buf.
func gateSum(buf *[gateBlock]float32, pre, rec []float32) []float32 {
	x := buf[:min(len(pre), len(rec), gateBlock)]
	add(x, pre, rec)
	return x
}

func lstmLoop(h, c, pre, rec []float32, stride int) {
	var bi, bo, bf, bg [gateBlock]float32
	for lo := 0; lo < len(h); lo += gateBlock {
		hi := min(lo+gateBlock, len(h))
		sum := func(buf *[gateBlock]float32, k int) []float32 {
			return gateSum(buf, pre[k*stride+lo:k*stride+hi], rec[k*stride+lo:k*stride+hi])
		}
		lstmUnits(h[lo:hi], c[lo:hi], sum(&bi, 0), sum(&bo, 1), sum(&bf, 2), sum(&bg, 3))
	}
}

func lstmKeepLoop(h, c, cells, pre, rec []float32, stride int) {
	n := len(h)
	sum := func(k int) []float32 {
		x := pre[k*stride : k*stride+n]
		add(x, x, rec[k*stride:k*stride+n])
		return x
	}
	lstmUnits(h, c, sum(0), sum(1), sum(2), sum(3))
	copy(cells[:n], c)
}

// lstmUnits applies the functions of the gates to them.
func lstmUnits(h, c, i, o, f, g []float32) {
	sigmoidLoop(i, i)
	sigmoidLoop(o, o)
	sigmoidLoop(f, f)
	tanhLoop(g, g)
	for j := range h {
		c[j] = f[j]*c[j] + i[j]*g[j]
	}
	tanhLoop(h, c[:len(h)])
	mul(h, o, h)
}

func lstmBackLoop(out, copied, dc, dh, c, before, gates []float32, stride int) {
	n := len(dc)
	of := func(x []float32, k int) []float32 { return x[k*stride : k*stride+n] }
	i, o, f, g := of(gates, 0), of(gates, 1), of(gates, 2), of(gates, 3)
	for j := range dc {
		t := float32(math.Tanh(float64(c[j])))
		d := dc[j] + dh[j]*o[j]*(1-t*t)
		out[j] = d * i[j] * g[j] * (1 - i[j])
		out[stride+j] = dh[j] * o[j] * t * (1 - o[j])
		out[2*stride+j] = d * f[j] * before[j] * (1 - f[j])
		out[3*stride+j] = d * i[j] * (1 - g[j]*g[j])
		dc[j] = d * f[j]
	}
	for k := range 4 {
		copy(of(copied, k), of(out, k))
	}
}

func gruLoop(dst, h, pre, rec, bias []float32, stride int) {
	var bz, br [gateBlock]float32
	for lo := 0; lo < len(dst); lo += gateBlock {
		hi := min(lo+gateBlock, len(dst))
		z, r := gateSum(&bz, pre[lo:hi], rec[lo:hi]), gateSum(&br, pre[stride+lo:stride+hi], rec[stride+lo:stride+hi])
		sigmoidLoop(z, z)
		sigmoidLoop(r, r)
		ph, rh, b := pre[2*stride+lo:], rec[2*stride+lo:], bias[lo:]
		for j := range r {
			r[j] = ph[j] + r[j]*(rh[j]+b[j])
		}
		tanhLoop(r, r)
		blendState(dst[lo:hi], h[lo:hi], z, r)
	}
}

func gruResetLoop(dst, h, pre, rec []float32) {
	var br [gateBlock]float32
	for lo := 0; lo < len(dst); lo += gateBlock {
		hi := min(lo+gateBlock, len(dst))
		r := gateSum(&br, pre[lo:hi], rec[lo:hi])
		sigmoidLoop(r, r)
		mul(dst[lo:hi], r, h[lo:hi])
	}
}

func gruBlendLoop(dst, h, pre, rec, preH, recH []float32) {
	var bz, bh [gateBlock]float32
	for lo := 0; lo < len(dst); lo += gateBlock {
		hi := min(lo+gateBlock, len(dst))
		z, g := gateSum(&bz, pre[lo:hi], rec[lo:hi]), gateSum(&bh, preH[lo:hi], recH[lo:hi])
		sigmoidLoop(z, z)
		tanhLoop(g, g)
		blendState(dst[lo:hi], h[lo:hi], z, g)
	}
}

// blendState sets dst to (1-z)·g + z·h.
func blendState(dst, h, z, g []float32) {
	for j := range dst {
		dst[j] = g[j] + z[j]*(h[j]-g[j])
	}
}
