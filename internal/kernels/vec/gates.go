package vec

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
		i, o, f, g := sum(&bi, 0), sum(&bo, 1), sum(&bf, 2), sum(&bg, 3)
		sigmoidLoop(i, i)
		sigmoidLoop(o, o)
		sigmoidLoop(f, f)
		tanhLoop(g, g)
		cs := c[lo:hi]
		for j := range cs {
			cs[j] = f[j]*cs[j] + i[j]*g[j]
		}
		tanhLoop(g, cs)
		mul(h[lo:hi], o, g)
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
