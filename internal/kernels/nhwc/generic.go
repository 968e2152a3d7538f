package nhwc

import (
	"sync"
	"unsafe"
)

// tileGo is the Tile of plain Go.
func tileGo[T Float](rows, w, segs, kc int, a unsafe.Pointer, aseg, aoff int, b, c, z unsafe.Pointer, coff int, bias unsafe.Pointer, mode int, lim unsafe.Pointer, next uintptr) {
	row := func(list unsafe.Pointer, i, off int) unsafe.Pointer {
		return unsafe.Add(*(*unsafe.Pointer)(unsafe.Add(list, i*ptrSize)), off)
	}
	bs := unsafe.Slice((*T)(b), segs*kc*Panel)
	for i := range rows {
		out := unsafe.Slice((*T)(row(c, i, coff)), w)
		var sum [Panel]float64 // products of float32 without rounding, as FMA has them
		if bias != nil {
			for j, v := range unsafe.Slice((*T)(bias), w) {
				sum[j] = float64(v)
			}
		}
		if mode&addC != 0 {
			for j, v := range out {
				sum[j] += float64(v)
			}
		}
		for s := range segs {
			x := unsafe.Slice((*T)(row(unsafe.Add(a, s*aseg), i, aoff)), kc)
			for k, v := range x {
				p := (*[Panel]T)(bs[(s*kc+k)*Panel:])
				for j := range sum[:w] {
					sum[j] += float64(v) * float64(p[j])
				}
			}
		}
		if mode&addZ != 0 {
			for j, v := range unsafe.Slice((*T)(row(z, i, coff)), w) {
				sum[j] += float64(v)
			}
		}
		if mode&clamp != 0 {
			l := (*[2]T)(lim)
			for j, v := range sum[:w] {
				sum[j] = min(max(v, float64(l[0])), float64(l[1]))
			}
		}
		for j := range out {
			out[j] = T(sum[j])
		}
	}
}

// after returns p moved by n bytes, or nil if p is nil.
func after(p unsafe.Pointer, n int) unsafe.Pointer {
	if p == nil {
		return nil
	}
	return unsafe.Add(p, n)
}

// goLanes is the number of channels that the Go routines do at a time.
const goLanes = 8

// ptrSize is the size of the pointers that routines take lists of.
const ptrSize = int(unsafe.Sizeof(uintptr(0)))

// goRows has what rowGo has made.
var goRows = struct {
	sync.Mutex
	by map[[3]int]Row
}{by: map[[3]int]Row{}}

// rowGo returns the Row of plain Go.
func rowGo(k, s, p int) Row {
	if (p-1)*s+k > 64 {
		return nil
	}
	goRows.Lock()
	defer goRows.Unlock()
	row := goRows.by[[3]int{k, s, p}]
	if row == nil {
		row = newRowGo(k, s, p)
		goRows.by[[3]int{k, s, p}] = row
	}
	return row
}

func newRowGo(k, s, p int) Row {
	return func(c int, out unsafe.Pointer, outStep int, x unsafe.Pointer, off, rowStep, colStep, rows int, cols uint64, w unsafe.Pointer, wSkip int, bias, lim unsafe.Pointer) {
		for first := 0; ; first = min(first+goLanes, c-goLanes) {
			for i := range p {
				var sum [goLanes]float32
				if bias != nil {
					sum = *(*[goLanes]float32)(unsafe.Add(bias, first*4))
				}
				for r := range rows {
					for t := range k {
						if cols>>(i*s+t)&1 == 0 {
							continue
						}
						v := (*[goLanes]float32)(unsafe.Add(x, off+r*rowStep+(i*s+t)*colStep+first*4))
						u := (*[goLanes]float32)(unsafe.Add(w, (r*k+t)*goLanes*4))
						for j := range sum {
							sum[j] += v[j] * u[j]
						}
					}
				}
				*(*[goLanes]float32)(unsafe.Add(out, i*outStep+first*4)) = limited(sum, lim)
			}
			if first >= c-goLanes {
				return
			}
			w = unsafe.Add(w, rows*k*goLanes*4+wSkip)
		}
	}
}

func limited(v [goLanes]float32, lim unsafe.Pointer) [goLanes]float32 {
	l := (*[2]float32)(lim)
	for j := range v {
		v[j] = min(max(v[j], l[0]), l[1])
	}
	return v
}

// tapsGo is the Taps of plain Go.
func tapsGo(c int, out, list unsafe.Pointer, taps int, w, bias, lim unsafe.Pointer) {
	for first := 0; ; first = min(first+goLanes, c-goLanes) {
		var sum [goLanes]float32
		if bias != nil {
			sum = *(*[goLanes]float32)(unsafe.Add(bias, first*4))
		}
		for t := range taps {
			v := (*[goLanes]float32)(unsafe.Add(*(*unsafe.Pointer)(unsafe.Add(list, t*ptrSize)), first*4))
			u := (*[goLanes]float32)(unsafe.Add(w, t*goLanes*4))
			for j := range sum {
				sum[j] += v[j] * u[j]
			}
		}
		*(*[goLanes]float32)(unsafe.Add(out, first*4)) = limited(sum, lim)
		if first >= c-goLanes {
			return
		}
		w = unsafe.Add(w, taps*goLanes*4)
	}
}
