package nhwc

import (
	"sync"
	"unsafe"
)

// tileGo is the Tile of plain Go: two rows and four columns at a time.
func tileGo[T Float](rows, w, segs, kc int, a unsafe.Pointer, aseg, aoff int, b, c, z unsafe.Pointer, coff int, bias unsafe.Pointer, mode int, lim unsafe.Pointer, next uintptr) {
	size := int(unsafe.Sizeof(*new(T)))
	for i := 0; i < rows; i += 2 {
		for j := 0; j < w; j += 4 {
			s00, s01, s02, s03, s10, s11, s12, s13 := sumsGo[T](segs, kc, a, i, min(i+1, rows-1), aseg, aoff, b, j*size)
			for r, sum := range [2][4]float64{{s00, s01, s02, s03}, {s10, s11, s12, s13}} {
				if i+r < rows {
					finishGo[T](sum[:min(4, w-j)], i+r, c, z, coff+j*size, after(bias, j*size), mode, lim)
				}
			}
		}
	}
}

// listed returns what is off bytes behind pointer i of a list.
func listed(list unsafe.Pointer, i, off int) unsafe.Pointer {
	return unsafe.Add(*(*unsafe.Pointer)(unsafe.Add(list, i*ptrSize)), off)
}

// sumsGo returns the products of rows i0 and i1 with four columns, boff bytes behind the first.
// Those of float32 are not rounded, as FMA does not.
func sumsGo[T Float](segs, kc int, a unsafe.Pointer, i0, i1, aseg, aoff int, b unsafe.Pointer, boff int) (s00, s01, s02, s03, s10, s11, s12, s13 float64) {
	size := int(unsafe.Sizeof(*new(T)))
	for s := range segs {
		x, y := listed(unsafe.Add(a, s*aseg), i0, aoff), listed(unsafe.Add(a, s*aseg), i1, aoff)
		for k := range kc {
			u, v := float64(*(*T)(unsafe.Add(x, k*size))), float64(*(*T)(unsafe.Add(y, k*size)))
			p := (*[4]T)(unsafe.Add(b, boff+(s*kc+k)*Panel*size))
			p0, p1, p2, p3 := float64(p[0]), float64(p[1]), float64(p[2]), float64(p[3])
			s00 += u * p0
			s10 += v * p0
			s01 += u * p1
			s11 += v * p1
			s02 += u * p2
			s12 += v * p2
			s03 += u * p3
			s13 += v * p3
		}
	}
	return
}

// finishGo writes up to four sums of row i, with all that mode says.
func finishGo[T Float](sum []float64, i int, c, z unsafe.Pointer, coff int, bias unsafe.Pointer, mode int, lim unsafe.Pointer) {
	out := unsafe.Slice((*T)(listed(c, i, coff)), len(sum))
	var terms [3][]T
	if bias != nil {
		terms[0] = unsafe.Slice((*T)(bias), len(sum))
	}
	if mode&addC != 0 {
		terms[1] = out
	}
	if mode&addZ != 0 {
		terms[2] = unsafe.Slice((*T)(listed(z, i, coff)), len(sum))
	}
	for _, t := range terms {
		for j, v := range t {
			sum[j] += float64(v)
		}
	}
	if mode&clamp != 0 {
		l := (*[2]T)(lim)
		for j, v := range sum {
			sum[j] = min(max(v, float64(l[0])), float64(l[1]))
		}
	}
	for j := range out {
		out[j] = T(sum[j])
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
