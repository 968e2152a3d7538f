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
			finishGo(min(4, w-j), s00, s01, s02, s03, i, c, z, coff+j*size, after(bias, j*size), mode, lim)
			if i+1 < rows {
				finishGo(min(4, w-j), s10, s11, s12, s13, i+1, c, z, coff+j*size, after(bias, j*size), mode, lim)
			}
		}
	}
}

// listed returns what is off bytes behind pointer i of a list.
func listed(list unsafe.Pointer, i, off int) unsafe.Pointer {
	return unsafe.Add(*(*unsafe.Pointer)(unsafe.Add(list, i*ptrSize)), off)
}

// sumsGo returns the products of rows i0 and i1 with four columns, boff bytes behind the first.
func sumsGo[T Float](segs, kc int, a unsafe.Pointer, i0, i1, aseg, aoff int, b unsafe.Pointer, boff int) (s00, s01, s02, s03, s10, s11, s12, s13 T) {
	size := int(unsafe.Sizeof(*new(T)))
	for s := range segs {
		x, y := listed(unsafe.Add(a, s*aseg), i0, aoff), listed(unsafe.Add(a, s*aseg), i1, aoff)
		for k, at := 0, boff+s*kc*Panel*size; k < kc*size; k, at = k+size, at+Panel*size {
			u, v := *(*T)(unsafe.Add(x, k)), *(*T)(unsafe.Add(y, k))
			p := (*[4]T)(unsafe.Add(b, at))
			p0, p1 := p[0], p[1]
			s00 += u * p0
			s10 += v * p0
			s01 += u * p1
			s11 += v * p1
			p2, p3 := p[2], p[3]
			s02 += u * p2
			s12 += v * p2
			s03 += u * p3
			s13 += v * p3
		}
	}
	return
}

// finishGo writes the first n of four sums of row i, with all that mode says.
func finishGo[T Float](n int, s0, s1, s2, s3 T, i int, c, z unsafe.Pointer, coff int, bias unsafe.Pointer, mode int, lim unsafe.Pointer) {
	out := listed(c, i, coff)
	if bias != nil {
		s0, s1, s2, s3 = addGo(n, s0, s1, s2, s3, bias)
	}
	if mode&addC != 0 {
		s0, s1, s2, s3 = addGo(n, s0, s1, s2, s3, out)
	}
	if mode&addZ != 0 {
		s0, s1, s2, s3 = addGo(n, s0, s1, s2, s3, listed(z, i, coff))
	}
	if mode&clamp != 0 {
		lo, hi := (*[2]T)(lim)[0], (*[2]T)(lim)[1]
		s0, s1, s2, s3 = min(max(s0, lo), hi), min(max(s1, lo), hi), min(max(s2, lo), hi), min(max(s3, lo), hi)
	}
	if n == 4 {
		*(*[4]T)(out) = [4]T{s0, s1, s2, s3}
		return
	}
	copy(unsafe.Slice((*T)(out), n), []T{s0, s1, s2, s3})
}

// addGo returns four sums with the n values at v added to the first of them.
func addGo[T Float](n int, s0, s1, s2, s3 T, v unsafe.Pointer) (t0, t1, t2, t3 T) {
	if n == 4 {
		w := (*[4]T)(v)
		return s0 + w[0], s1 + w[1], s2 + w[2], s3 + w[3]
	}
	sum := [4]T{s0, s1, s2, s3}
	for j, w := range unsafe.Slice((*T)(v), n) {
		sum[j] += w
	}
	return sum[0], sum[1], sum[2], sum[3]
}

// after returns p moved by n bytes, or nil if p is nil.
func after(p unsafe.Pointer, n int) unsafe.Pointer {
	if p == nil {
		return nil
	}
	return unsafe.Add(p, n)
}

// goLanes is the number of channels that the Go routines do at a time, in halves, which the
// compiler keeps in registers.
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
				for half := 0; half < goLanes*4; half += goLanes * 2 {
					s0, s1, s2, s3 := begunGo(bias, first*4+half)
					for r := range rows {
						for t := range k {
							if cols>>(i*s+t)&1 == 0 {
								continue
							}
							v := (*[4]float32)(unsafe.Add(x, off+r*rowStep+(i*s+t)*colStep+first*4+half))
							u := (*[4]float32)(unsafe.Add(w, (r*k+t)*goLanes*4+half))
							s0 += v[0] * u[0]
							s1 += v[1] * u[1]
							s2 += v[2] * u[2]
							s3 += v[3] * u[3]
						}
					}
					limitedGo(unsafe.Add(out, i*outStep+first*4+half), s0, s1, s2, s3, lim)
				}
			}
			if first >= c-goLanes {
				return
			}
			w = unsafe.Add(w, rows*k*goLanes*4+wSkip)
		}
	}
}

// begunGo returns what four sums begin with.
func begunGo(bias unsafe.Pointer, off int) (s0, s1, s2, s3 float32) {
	if bias == nil {
		return
	}
	b := (*[4]float32)(unsafe.Add(bias, off))
	return b[0], b[1], b[2], b[3]
}

func limitedGo(out unsafe.Pointer, s0, s1, s2, s3 float32, lim unsafe.Pointer) {
	lo, hi := (*[2]float32)(lim)[0], (*[2]float32)(lim)[1]
	*(*[4]float32)(out) = [4]float32{min(max(s0, lo), hi), min(max(s1, lo), hi), min(max(s2, lo), hi), min(max(s3, lo), hi)}
}

// tapsGo is the Taps of plain Go.
func tapsGo(c int, out, list unsafe.Pointer, taps int, w, bias, lim unsafe.Pointer) {
	for first := 0; ; first = min(first+goLanes, c-goLanes) {
		for half := 0; half < goLanes*4; half += goLanes * 2 {
			s0, s1, s2, s3 := begunGo(bias, first*4+half)
			for t := range taps {
				v := (*[4]float32)(listed(list, t, first*4+half))
				u := (*[4]float32)(unsafe.Add(w, t*goLanes*4+half))
				s0 += v[0] * u[0]
				s1 += v[1] * u[1]
				s2 += v[2] * u[2]
				s3 += v[3] * u[3]
			}
			limitedGo(unsafe.Add(out, first*4+half), s0, s1, s2, s3, lim)
		}
		if first >= c-goLanes {
			return
		}
		w = unsafe.Add(w, taps*goLanes*4)
	}
}
