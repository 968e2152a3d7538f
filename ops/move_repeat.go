package ops

import (
	"slices"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/par"
)

// repeats is a copy in which src does not move along some dimensions, to adjacent
// elements: what such a dimension repeats is put together once and copied from there.
// Elements are size bytes, offsets and strides are in elements.
type repeats struct {
	d, s []byte
	size int
	l    strided
	at   int // the dimension that chunks are cut along
	// How often, and how far apart, all of that is repeated.
	times, apart []int
}

// repeating reports whether l, merged, can go by repeats.
func (l strided) repeating() bool {
	n, last := 1, len(l.shape)-1
	for i := last; i >= 0; i-- {
		if l.ds[i] != n {
			return false
		}
		n *= l.shape[i]
	}
	return (l.ss[last] == 1 || l.ss[last] == 0) && slices.Contains(l.ss[:last], 0)
}

// repeatRows makes a copy that is repeating. It writes over the slices of l.
func repeatRows(p par.P, d, s []byte, size int, l strided) {
	at := len(l.shape) - 1
	for at > 0 && l.ds[at-1] < moveGrain { // the last whose steps are too small for chunks of their own
		at--
	}
	// What is repeated further out goes to all its places a chunk at a time.
	out := 0
	for i := range at {
		if l.ss[i] != 0 {
			continue
		}
		for _, v := range [...][]int{l.shape, l.ds, l.ss} {
			n := v[i]
			copy(v[out+1:i+1], v[out:i])
			v[out] = n
		}
		out++
	}
	r := repeats{d: d, s: s, size: size, at: at - out, times: l.shape[:out], apart: l.ds[:out]}
	l.shape, l.ds, l.ss = l.shape[out:], l.ds[out:], l.ss[out:]
	r.l, at = l, r.at
	par.Run(p, sizeOf(l.shape[:at+1]), max(1, moveGrain/l.ds[at]), r)
}

func (r *repeats) Chunk(lo, hi int) {
	l, n := &r.l, r.l.shape[r.at]
	o := odometer{shape: l.shape[:r.at], as: l.ds[:r.at], bs: l.ss[:r.at]}
	o.seek(lo / n)
	for i := lo % n; lo < hi; i = 0 {
		count := min(hi-lo, n-i)
		do := l.do + o.a + i*l.ds[r.at]
		r.fill(r.at, do, l.so+o.b+i*l.ss[r.at], count)
		piece := r.d[do*r.size:][:count*l.ds[r.at]*r.size]
		again := odometer{shape: r.times, as: r.apart, bs: r.apart}
		for range sizeOf(r.times) - 1 {
			again.next()
			copy(r.d[(do+again.a)*r.size:][:len(piece)], piece)
		}
		lo += count
		o.next()
	}
}

// fill writes count steps of dimension k, from so to do.
func (r *repeats) fill(k, do, so, count int) {
	shape, ds, ss, last := r.l.shape, r.l.ds[k], r.l.ss[k], len(r.l.shape)-1
	d, s := r.d[do*r.size:(do+count*ds)*r.size], r.s[so*r.size:]
	switch {
	case k == last && ss == 0:
		r.spread(d, s)
	case k == last:
		copy(d, s[:len(d)])
	case ss == 0:
		r.fill(k+1, do, so, shape[k+1])
		double(d, ds*r.size)
	case k == last-1 && r.l.ss[last] == 1:
		copyRows(d, s, count, ds*r.size, ds*r.size, ss*r.size)
	case k == last-2 && r.l.ss[last] == 1 && r.l.ss[k+1] == 0 && ds*r.size <= 128:
		for i := range shape[k+1] {
			copyRows(d[i*shape[last]*r.size:], s, count, shape[last]*r.size, ds*r.size, ss*r.size)
		}
	default:
		for range count {
			r.fill(k+1, do, so, shape[k+1])
			do, so = do+ds, so+ss
		}
	}
}

// spread sets all of d to the first element of s.
func (r *repeats) spread(d, s []byte) {
	to, from, n := unsafe.Pointer(&d[0]), unsafe.Pointer(&s[:r.size][0]), len(d)/r.size
	switch r.size {
	case 2:
		fillWith(unsafe.Slice((*uint16)(to), n), *(*uint16)(from))
	case 4:
		fillWith(unsafe.Slice((*uint32)(to), n), *(*uint32)(from))
	case 8:
		fillWith(unsafe.Slice((*uint64)(to), n), *(*uint64)(from))
	default:
		copy(d, s[:r.size])
		double(d, r.size)
	}
}

// double fills d with repetitions of its first n bytes.
func double(d []byte, n int) {
	most := n * max(1, (16<<10)/n) // from where it is still in the fastest cache
	for done := n; done < len(d); {
		done += copy(d[done:], d[:min(done, most)])
	}
}
