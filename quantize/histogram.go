package quantize

import (
	"math"
	"sync"

	"github.com/gneiss-run/gneiss/internal/par"
)

// bins is the number of bins of a histogram for each sign, a power of two.
const (
	binBits = 12
	bins    = 1 << binBits
)

// minExponent is the exponent of the smallest width of a bin: it and its
// reciprocal are normal numbers of float32.
const minExponent = -120

// histogram counts values by sign and magnitude in bins of one width, a power
// of two, in constant memory. When a value does not fit, the width is doubled
// by joining pairs of bins. Bin i holds magnitudes in [i·width, (i+1)·width), and
// cutting a quotient off can be done in steps, so what is in the bins depends on
// the values alone: not on their order, on how they came in batches, or on threads.
type histogram struct {
	exp   int         // width = 2^exp
	count [2][]uint64 // of values that are not negative, and of those with a sign
	mu    sync.Mutex  // guards count while threads count
}

// counts are the counts of one piece of a tensor. Negative values come first,
// the largest magnitude first.
type counts [2 * bins]uint32

// part is what a thread counts in. Neighbours are counted apart, because many
// activations are 0 and a counter that was just written is slow to read.
type part [2]counts

// histogramParts are not in use; those that are in the pool are empty.
var histogramParts = sync.Pool{New: func() any { return new(part) }}

func newHistogram() *histogram {
	return &histogram{exp: minExponent, count: [2][]uint64{make([]uint64, bins), make([]uint64, bins)}}
}

// width returns the width of a bin.
func (h *histogram) width() float64 { return math.Ldexp(1, h.exp) }

// fit makes the bins wide enough for magnitudes up to top, which is finite.
func (h *histogram) fit(top float32) {
	_, k := math.Frexp(float64(top)) // top < 2^k
	if top == 0 || k-binBits <= h.exp {
		return
	}
	shift := k - binBits - h.exp
	h.exp += shift
	for _, c := range h.count {
		for i := 1; i < bins; i++ {
			n := c[i]
			c[i] = 0
			c[i>>min(shift, 63)] += n
		}
	}
}

// Pieces of a tensor are counted apart, each of at least countPiece elements,
// because adding the counts of a piece takes as long as counting some thousands.
// Fewer than countFew are counted in place.
const (
	countPiece = 1 << 16
	maxPieces  = 16
	countFew   = 1 << 13
)

// countArgs is what threads count.
type countArgs struct {
	h     *histogram
	x     []float32
	scale float32
}

// add counts the elements of x, whose magnitudes fit. If p's context ends some
// may be missing.
func (h *histogram) add(p par.P, x []float32) {
	a := countArgs{h, x, float32(math.Ldexp(1, -h.exp))}
	if len(x) < countFew {
		for _, v := range x {
			if i := binOf(v, a.scale); i >= bins {
				h.count[0][i-bins]++
			} else {
				h.count[1][bins-1-i]++
			}
		}
		return
	}
	grain := max(countPiece, (len(x)+maxPieces-1)/maxPieces)
	par.Each(p, len(x), grain, a, func(a *countArgs, lo, hi int) {
		c := histogramParts.Get().(*part)
		for at := lo; at < hi; at += 1 << 30 { // so that no counter overflows
			c.add(a.x[at:min(hi, at+1<<30)], a.scale)
			a.h.take(c)
		}
		histogramParts.Put(c)
	})
}

// take adds the counts of c, which is empty then.
func (h *histogram) take(c *part) {
	h.mu.Lock()
	defer h.mu.Unlock()
	pos, neg := h.count[0][:bins], h.count[1][:bins]
	for i := range bins {
		pos[i] += uint64(c[0][bins+i]) + uint64(c[1][bins+i])
		neg[bins-1-i] += uint64(c[0][i]) + uint64(c[1][i])
	}
	*c = part{}
}

// add counts the elements of x.
func (c *part) add(x []float32, scale float32) {
	const mask = 2*bins - 1
	even, odd := &c[0], &c[1]
	i := 0
	for ; i+4 <= len(x); i += 4 {
		v := x[i : i+4 : i+4]
		even[binOf(v[0], scale)&mask]++
		odd[binOf(v[1], scale)&mask]++
		even[binOf(v[2], scale)&mask]++
		odd[binOf(v[3], scale)&mask]++
	}
	for _, v := range x[i:] {
		even[binOf(v, scale)&mask]++
	}
}

// binOf returns the index in counts of v: its magnitude in widths, cut off, or
// its complement if v has a sign.
func binOf(v, scale float32) uint32 {
	return uint32(bins + int32(v*scale) + int32(math.Float32bits(v))>>31)
}

// used returns how many bins of a sign are in use, up to the last that is not empty.
func (h *histogram) used(sign int) int {
	for i := bins; i > 0; i-- {
		if h.count[sign][i-1] > 0 {
			return i
		}
	}
	return 0
}

// line returns the counts of bins from the most negative to the most positive
// value, and the index of the first that is not negative.
func (h *histogram) line() (count []uint64, zero int) {
	neg, pos := h.used(1), h.used(0)
	count = make([]uint64, 0, neg+pos)
	for i := neg - 1; i >= 0; i-- {
		count = append(count, h.count[1][i])
	}
	return append(count, h.count[0][:pos]...), neg
}

// magnitudes returns the counts by magnitude.
func (h *histogram) magnitudes() []uint64 {
	count := make([]uint64, max(h.used(0), h.used(1)))
	for i := range count {
		count[i] = h.count[0][i] + h.count[1][i]
	}
	return count
}

// quantile returns the value in bins from the start'th on below which is the
// given share of all counts, as if values were spread evenly over a bin.
func (h *histogram) quantile(count []uint64, start int, share float64) float64 {
	var total uint64
	for _, k := range count {
		total += k
	}
	// Ranks are compared in float64; 2^53 values are more than can be counted.
	rank, below := share*float64(total), float64(0)
	for i, k := range count {
		next := below + float64(k)
		if k > 0 && next >= rank {
			return (float64(start+i) + max(rank-below, 0)/float64(k)) * h.width()
		}
		below = next
	}
	return float64(start+len(count)) * h.width()
}
