package ops

import (
	"slices"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// repeats is a copy in which src does not move along some dimensions, to adjacent
// elements: what such a dimension repeats is put together once and copied from there.
// Elements are size bytes, offsets and strides are in elements.
type repeats struct {
	d, s []byte
	size int
	l    strided
	at   int // the dimension that chunks are cut along
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

// repeated merges l, and makes the copy if it is repeating. What is not is paired.
func repeated(p par.P, dst, src *tensor.Tensor, l *strided) bool {
	if *l = l.merged(); l.repeating() && dst.DType() != tensor.String {
		repeatRows(p, dst.Bytes(), src.Bytes(), dst.DType().Size(), *l)
		return true
	}
	*l = l.paired()
	return false
}

// repeatRows makes a copy that is repeating.
func repeatRows(p par.P, d, s []byte, size int, l strided) {
	at := len(l.shape) - 1
	for at > 0 && l.ds[at-1] < moveGrain { // the last whose steps are too small for chunks of their own
		at--
	}
	par.Run(p, sizeOf(l.shape[:at+1]), max(1, moveGrain/l.ds[at]), par.With(repeats{d, s, size, l, at}))
}

func (r *repeats) Chunk(lo, hi int) {
	l, n := &r.l, r.l.shape[r.at]
	o := odometer{shape: l.shape[:r.at], as: l.ds[:r.at], bs: l.ss[:r.at]}
	o.seek(lo / n)
	for i := lo % n; lo < hi; i = 0 {
		count := min(hi-lo, n-i)
		r.fill(r.at, l.do+o.a+i*l.ds[r.at], l.so+o.b+i*l.ss[r.at], count)
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
		copy(d, s[:r.size])
		double(d, r.size)
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

// double fills d with repetitions of its first n bytes.
func double(d []byte, n int) {
	most := n * max(1, (16<<10)/n) // from where it is still in the fastest cache
	for done := n; done < len(d); {
		done += copy(d[done:], d[:min(done, most)])
	}
}
