package quantize

import (
	"math"
	"slices"
)

// window is a candidate for the range of a histogram: the bins [lo, hi) of its line.
type window struct{ lo, hi int }

// maxWindows bounds how many windows are tried.
const maxWindows = 256

// windows lists the ranges that the searches try: all magnitudes up to a
// threshold, as far as there are values, and always those next to 0. The first has
// at least least bins, if there are as many.
func windows(n, zero, least int) []window {
	top := max(zero, n-zero)
	step := max(1, top/maxWindows)
	at := func(t int) window { return window{max(zero-t, 0), min(zero+t, n)} }
	var ws []window
	// From the top down, so that the whole range is among them.
	for t := top; t > 0; t -= step {
		w := at(t)
		if w.hi-w.lo < least && len(ws) > 0 {
			break
		}
		ws = append(ws, w)
	}
	return ws
}

// entropyWindow returns the window of count for which the distribution of the
// values, with those outside moved to its ends, loses least information (the
// Kullback-Leibler divergence) when it is told by levels steps: the calibration
// of S. Migacz, "8-bit Inference with TensorRT", GTC 2017. Among equals the
// widest is taken. count is not empty.
func entropyWindow(count []uint64, zero, levels int) window {
	best, least := window{0, len(count)}, math.Inf(1)
	var buf divergence
	count = withoutZeros(count, zero)
	for _, w := range windows(len(count), zero, levels) {
		if d := buf.of(count, w, levels); d < least {
			best, least = w, d
		}
	}
	return best
}

// withoutZeros returns count with no more in the bins next to 0 than in their
// neighbours. All grids represent 0 exactly, so the many zeros that a Relu or
// padding gives lose nothing; told by a step of many bins they would seem to, and
// the less the narrower the window is, which would cut off half of the range.
func withoutZeros(count []uint64, zero int) []uint64 {
	c := slices.Clone(count)
	at := func(i int) uint64 {
		if i < 0 || i >= len(count) {
			return 0
		}
		return count[i]
	}
	if zero < len(c) {
		c[zero] = min(c[zero], at(zero+1))
	}
	if zero > 0 {
		c[zero-1] = min(c[zero-1], at(zero-2))
	}
	return c
}

// smoothing is the part of a value that a bin without values gets, so that
// divergences stay finite.
const smoothing = 1e-4

// divergence computes divergences in the same memory.
type divergence struct{ p, q []float64 }

// of returns the divergence of what levels steps tell of the window from what
// is there.
func (d *divergence) of(count []uint64, w window, levels int) float64 {
	n := w.hi - w.lo
	if cap(d.p) < n {
		d.p, d.q = make([]float64, len(count)), make([]float64, len(count))
	}
	p, q := d.p[:n], d.q[:n]
	in := count[w.lo:w.hi]
	for i, k := range in {
		p[i] = float64(k)
	}
	for _, k := range count[:w.lo] {
		p[0] += float64(k)
	}
	for _, k := range count[w.hi:] {
		p[n-1] += float64(k)
	}
	// Each step tells the mean of its bins; empty bins are known to be empty.
	for l := range levels {
		a, b := l*n/levels, (l+1)*n/levels
		var sum uint64
		filled := 0
		for i := a; i < b; i++ {
			sum += in[i]
			if p[i] != 0 {
				filled++
			}
		}
		for i := a; i < b; i++ {
			if q[i] = 0; p[i] != 0 {
				q[i] = float64(sum) / float64(filled)
			}
		}
	}
	if !smooth(p) || !smooth(q) {
		return math.Inf(1)
	}
	sum := 0.0
	for i, x := range p {
		sum += x * math.Log(x/q[i])
	}
	return sum
}

// smooth makes the counts p a distribution without zeros. It reports whether
// there is one.
func smooth(p []float64) bool {
	total, empty := 0.0, 0
	for _, x := range p {
		if total += x; x == 0 {
			empty++
		}
	}
	if total == 0 {
		return false
	}
	// What empty bins get the others give, in equal parts.
	take := smoothing * float64(empty) / float64(len(p)-empty)
	sum := 0.0
	for i, x := range p {
		if x == 0 {
			p[i] = smoothing
		} else {
			p[i] = max(x-take, x/2)
		}
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return true
}

// mseWindow returns the window of count with the least mean squared error of
// values that are rounded to levels steps over the window, those outside to its
// ends. Values are taken to be spread evenly over their bin. Among equals the
// widest is taken. count is not empty.
func mseWindow(count []uint64, zero, levels int) window {
	best, least := window{0, len(count)}, math.Inf(1)
	for _, w := range windows(len(count), zero, 1) {
		if e := squaredError(count, zero, w, levels, least); e < least {
			best, least = w, e
		}
	}
	return best
}

// squaredError returns the squared error of all values in widths of a bin, or
// something above limit once it is known to be.
func squaredError(count []uint64, zero int, w window, levels int, limit float64) float64 {
	lo, hi := float64(w.lo-zero), float64(w.hi-zero)
	step := (hi - lo) / float64(levels-1)
	// The integral of the squared distance from the nearest step, from lo to x.
	integral := func(x float64) float64 {
		k := math.RoundToEven((x - lo) / step)
		r := x - lo - k*step
		return k*step*step*step/12 + r*r*r/3
	}
	// Of the squared distance from end, over the bin at x.
	outside := func(x, end float64) float64 {
		a, b := x-end, x+1-end
		return (b*b*b - a*a*a) / 3
	}
	sum := 0.0
	for i, k := range count {
		if k == 0 {
			continue
		}
		x := float64(i - zero)
		switch {
		case i < w.lo:
			sum += float64(k) * outside(x, lo)
		case i >= w.hi:
			sum += float64(k) * outside(x, hi)
		default:
			sum += float64(k) * (integral(x+1) - integral(x))
		}
		if sum > limit {
			break
		}
	}
	return sum
}
