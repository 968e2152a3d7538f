package nhwc

import "unsafe"

// tileGo is the Tile of plain Go.
func tileGo[T Float](rows, w, segs, kc int, a unsafe.Pointer, aseg, aoff int, b, c, z unsafe.Pointer, coff int, bias unsafe.Pointer, mode int, lim unsafe.Pointer) {
	const size = int(unsafe.Sizeof(uintptr(0)))
	row := func(list unsafe.Pointer, i, off int) unsafe.Pointer {
		return unsafe.Add(*(*unsafe.Pointer)(unsafe.Add(list, i*size)), off)
	}
	bs := unsafe.Slice((*T)(b), segs*kc*Panel)
	for i := range rows {
		out := unsafe.Slice((*T)(row(c, i, coff)), w)
		var sum [Panel]T
		if bias != nil {
			copy(sum[:], unsafe.Slice((*T)(bias), w))
		}
		if mode&addC != 0 {
			for j, v := range out {
				sum[j] += v
			}
		}
		for s := range segs {
			x := unsafe.Slice((*T)(row(unsafe.Add(a, s*aseg), i, aoff)), kc)
			for k, v := range x {
				p := (*[Panel]T)(bs[(s*kc+k)*Panel:])
				for j := range sum[:w] {
					sum[j] += v * p[j]
				}
			}
		}
		if mode&addZ != 0 {
			for j, v := range unsafe.Slice((*T)(row(z, i, coff)), w) {
				sum[j] += v
			}
		}
		if mode&clamp != 0 {
			l := (*[2]T)(lim)
			for j, v := range sum[:w] {
				sum[j] = min(max(v, l[0]), l[1])
			}
		}
		copy(out, sum[:])
	}
}
