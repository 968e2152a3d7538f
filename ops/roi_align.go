package ops

import (
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/move"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// RoiAlign: each region of interest divided into output_height × output_width
// bins; Y is the average, or the maximum, of X interpolated at sampling points
// in each bin.
//
//	X: float [n, c, h, w]    rois: the type of X [k, 4]: x1, y1, x2, y2    batch_indices: int64 [k]
//	Y: the type of X [k, c, output_height, output_width]
//
// Since version 16 coordinate_transformation_mode half_pixel moves coordinates
// by half a pixel; before, and with output_half_pixel, they are not moved and
// regions have at least one pixel. In mode max the maximum is over the weighted
// corner pixels of each sampling point, as ONNX's reference has it.
//
// Spec: https://onnx.ai/onnx/operators/onnx__RoiAlign.html
func init() {
	register(&Op{
		Name: "RoiAlign", Numerics: Rounding,
		Versions: []Version{
			{Since: 10, In: N(3), Out: N(1), Infer: inferRoiAlign, Build: buildRoiAlign},
			{Since: 16, In: N(3), Out: N(1), Infer: inferRoiAlign, Build: buildRoiAlign},
		},
	})
}

// roiAligner are the attributes of RoiAlign.
type roiAligner struct {
	max, half   bool
	h, w, ratio int
	scale       float64
}

func parseRoiAlign(a *attrs, opset int) (*roiAligner, error) {
	v := &roiAligner{
		max: a.OneOf("mode", "avg", "max") == "max", h: a.Int("output_height", 1), w: a.Int("output_width", 1),
		ratio: a.Int("sampling_ratio", 0), scale: float64(a.Float("spatial_scale", 1)),
	}
	if opset >= 16 {
		v.half = a.OneOf("coordinate_transformation_mode", "half_pixel", "output_half_pixel") == "half_pixel"
	}
	if v.h < 1 || v.w < 1 || v.ratio < 0 || v.ratio > 1<<12 {
		return nil, fmt.Errorf("output_height is %d, output_width %d, sampling_ratio %d, want positive sizes and at most 4096 samples", v.h, v.w, v.ratio)
	}
	return v, nil
}

func inferRoiAlign(c *InferContext) error {
	v, err := parseRoiAlign(&c.attrs, c.Opset())
	if err != nil {
		return err
	}
	return inferRois(c, v.h, v.w)
}

// inferRois gives output 0 the shape [rois, channels, h, w].
func inferRois(c *InferContext, h, w int) error {
	x, r := c.In(0), c.In(1)
	dims := []onnx.Dim{{}, {}, onnx.Size(h), onnx.Size(w)}
	if r.Ranked {
		if len(r.Dims) != 2 {
			return fmt.Errorf("rois are %v, want 2 dimensions", r)
		}
		dims[0] = r.Dims[0]
	}
	if x.Ranked {
		if len(x.Dims) != 4 {
			return fmt.Errorf("X is %v, want 4 dimensions", x)
		}
		dims[1] = x.Dims[1]
	}
	c.Out[0] = onnx.TensorType(x.DType, dims...)
	return nil
}

func buildRoiAlign(b *BuildContext) (Kernel, error) {
	v, err := parseRoiAlign(&b.attrs, b.Opset())
	if err != nil {
		return nil, err
	}
	return b.realKernels(0, func(c *Call) error { return roiAlign[float32](c, v) }, func(c *Call) error { return roiAlign[float64](c, v) })
}

func roiAlign[T floating](c *Call, v *roiAligner) error {
	x, err := reals[T](c, 0)
	if err != nil {
		return err
	}
	rois, err := reals[T](c, 1)
	if err != nil {
		return err
	}
	batch, err := c.Ints(2)
	if err != nil {
		return err
	}
	if !c.Has(1) || c.T(0).Rank() != 4 || c.T(1).Rank() != 2 || c.T(1).Dim(1) != 4 || len(batch) != c.T(1).Dim(0) {
		return fmt.Errorf("X is %v, rois %v and %d batch_indices, want [n c h w], [k 4] and k", c.T(0), c.T(1), len(batch))
	}
	xs := c.T(0).Shape()
	n, ch, h, w := xs[0], xs[1], xs[2], xs[3]
	for _, i := range batch {
		if i < 0 || i >= n {
			return fmt.Errorf("batch index %d is not in [0, %d]", i, n-1)
		}
	}
	y, done := realsOut[T](c, 0, c.T(0).DType(), len(batch), ch, v.h, v.w)
	if h*w == 0 && len(y) > 0 {
		return fmt.Errorf("X has shape %v, which has nothing to sample", xs)
	}
	loop := roiRegions[T]{v: v, y: y, x: x, rois: rois, batch: batch, ch: ch, h: h, w: w}
	if bins := v.h * v.w; !v.max && ch >= 8 && len(batch)*bins >= n*h*w/4 {
		// The channels side by side, for all regions.
		d := tensor.DTypeOf[T]()
		from := c.T(0)
		if from.DType() != d {
			from = tensor.Of(x, xs...)
		}
		last := c.Lend(d, c.list(n, h*w, ch))
		moverOf(d).copy(c.P, last, from, strided{shape: c.list(n, h*w, ch), ds: c.list(h*w*ch, ch, 1), ss: c.list(h*w*ch, 1, h*w)})
		loop.last = tensor.Data[T](last)
	}
	par.Run(c.P, len(batch), 1, par.With(loop))
	done()
	return c.Ctx().Err()
}

// roiRegions is the loop of RoiAlign over regions. last is x with the channels
// side by side, or nil.
type roiRegions[T floating] struct {
	v                *roiAligner
	y, x, rois, last []T
	batch            []int
	ch, h, w         int
}

func (a *roiRegions[T]) Chunk(lo, hi int) {
	v, x, y, ch, h, w := a.v, a.x, a.y, a.ch, a.h, a.w
	bins := v.h * v.w
	m, pool := borrow[roiMemory[T]]()
	defer pool.Put(m)
	for k := lo; k < hi; k++ {
		roi := a.rois[4*k : 4*k+4]
		switch {
		case v.max:
			g := roiGridOf(v, roi, h, w)
			for bin := range bins {
				m.points = g.points(m.points[:0], bin/v.w, bin%v.w, h, w)
				for i := range ch {
					img := x[(a.batch[k]*ch+i)*h*w:][:h*w]
					y[(k*ch+i)*bins+bin] = roiLargest(img, m.points)
				}
			}
		case a.last != nil:
			row := resized(&m.row, bins*ch)
			t := m.taps(v, roi, h, w)
			t.rows(row, a.last[a.batch[k]*h*w*ch:][:h*w*ch], 0, ch)
			transposeInto(y[k*ch*bins:][:ch*bins], row, ch, bins)
		default:
			t := m.taps(v, roi, h, w)
			for i := range ch {
				t.rows(y[(k*ch+i)*bins:][:bins], x[(a.batch[k]*ch+i)*h*w:][:h*w], 0, 1)
			}
		}
	}
}

// transposeInto sets dst, of shape [rows, cols], to the transpose of src.
func transposeInto[T floating](dst, src []T, rows, cols int) {
	if d, ok := any(dst).([]float32); ok && len(d) > 0 {
		s := any(src).([]float32)
		move.Transpose(unsafe.Slice((*uint32)(unsafe.Pointer(&d[0])), len(d)), unsafe.Slice((*uint32)(unsafe.Pointer(&s[0])), len(s)), rows, cols, cols, rows)
		return
	}
	for i := range rows {
		for j := range cols {
			dst[i*cols+j] = src[j*rows+i]
		}
	}
}

// roiMemory is working memory for regions, one after the other.
type roiMemory[T floating] struct {
	of     tapsOf[T]
	y      roiAxis
	x      roiAxis
	row    []T // the bins of a region with their channels side by side
	points []roiPoint
}

// roiAxis are, for each bin along one axis, k pixels whose weighted sum is the
// mean of its samples.
type roiAxis struct {
	k     int
	at    []int32
	w     []float64
	found []roiTap // the pixels of all bins, one bin after the other
	ends  []int    // by bin: where its pixels end in found
}

type roiTap struct {
	at int
	w  float64
}

// resized makes *s a slice of n elements with any contents.
func resized[E any](s *[]E, n int) []E {
	*s = slices.Grow((*s)[:0], n)[:n]
	return *s
}

// taps returns what the bins of a region average: pixels with weights. A bin's
// sampling points form a grid, so its weights are products of one for the row
// and one for the column. The result is valid until the next call.
func (m *roiMemory[T]) taps(v *roiAligner, roi []T, h, w int) *tapsOf[T] {
	g := roiGridOf(v, roi, h, w)
	m.y.fill(g.y, g.bh, v.h, g.gh, h)
	m.x.fill(g.x, g.bw, v.w, g.gw, w)
	ky, kx := m.y.k, m.x.k
	k := ky * kx
	t := &m.of
	t.k = k
	resized(&t.at, v.h*v.w*k)
	resized(&t.w, v.h*v.w*k)
	q := 0
	for i := range v.h {
		for j := range v.w {
			for a := i * ky; a < (i+1)*ky; a++ {
				for b := j * kx; b < (j+1)*kx; b++ {
					t.at[q], t.w[q] = m.y.at[a]*int32(w)+m.x.at[b], T(m.y.w[a]*m.x.w[b])
					q++
				}
			}
		}
	}
	return t
}

// fill computes the taps of bins along an axis of n pixels, each of which takes
// a number of samples.
func (x *roiAxis) fill(start, size float64, bins, samples, n int) {
	x.k, x.found, x.ends = 1, x.found[:0], x.ends[:0]
	for i := range bins {
		from := len(x.found)
		add := func(p int, w float64) {
			for j := from; j < len(x.found); j++ {
				if x.found[j].at == p {
					x.found[j].w += w
					return
				}
			}
			if w != 0 {
				x.found = append(x.found, roiTap{p, w})
			}
		}
		for s := range samples {
			at := start + float64(i)*size + (float64(s)+0.5)*size/float64(samples)
			if !(at >= -1 && at <= float64(n)) {
				continue
			}
			p, q, f := roiPixels(at, n)
			add(p, (1-f)/float64(samples))
			add(q, f/float64(samples))
		}
		x.ends = append(x.ends, len(x.found))
		x.k = max(x.k, len(x.found)-from)
	}
	k := x.k
	clear(resized(&x.at, bins*k))
	clear(resized(&x.w, bins*k))
	from := 0
	for i, end := range x.ends {
		l := x.found[from:end]
		from = end
		for j := range k {
			switch {
			case j < len(l):
				x.at[i*k+j], x.w[i*k+j] = int32(l[j].at), l[j].w
			case j > 0: // half of the tap before, which is exact
				x.w[i*k+j-1] /= 2
				x.at[i*k+j], x.w[i*k+j] = x.at[i*k+j-1], x.w[i*k+j-1]
			}
		}
	}
}

// roiPoint is a sampling point: four pixels with weights.
type roiPoint struct {
	at [4]int
	w  [4]float64
}

// roiLargest returns the largest weighted pixel of the sampling points of one bin.
func roiLargest[T floating](img []T, points []roiPoint) T {
	if len(points) == 0 {
		return 0
	}
	top := math.Inf(-1)
	for i := range points {
		p := &points[i]
		for j, at := range p.at {
			top = max(top, p.w[j]*float64(img[at]))
		}
	}
	return T(top)
}

// roiGrid is how a region is sampled: where it begins, the size of a bin, and the number of
// samples of a bin along each axis.
type roiGrid struct {
	x, y, bw, bh float64
	gw, gh       int
}

// roiGridOf computes sizes in T: in a wider type a whole number of pixels might
// not be one.
func roiGridOf[T floating](v *roiAligner, roi []T, h, w int) roiGrid {
	off, scale := T(0), T(v.scale)
	if v.half {
		off = 0.5
	}
	left, top := roi[0]*scale-off, roi[1]*scale-off
	rw, rh := roi[2]*scale-off-left, roi[3]*scale-off-top
	if !v.half {
		rw, rh = max(rw, 1), max(rh, 1)
	}
	g := roiGrid{float64(left), float64(top), float64(rw / T(v.w)), float64(rh / T(v.h)), v.ratio, v.ratio}
	if v.ratio == 0 {
		// More points than pixels bring nothing, and a wild region must not run for ever.
		g.gw, g.gh = int(min(max(math.Ceil(g.bw), 0), float64(4*w+4))), int(min(max(math.Ceil(g.bh), 0), float64(4*h+4)))
	}
	return g
}

// roiPoints calls f for each bin of a region with its sampling points.
func roiPoints[T floating](v *roiAligner, roi []T, h, w int, f func(bin int, points []roiPoint)) {
	g := roiGridOf(v, roi, h, w)
	points := make([]roiPoint, 0, max(0, g.gw*g.gh))
	for i := range v.h {
		for j := range v.w {
			points = g.points(points[:0], i, j, h, w)
			f(i*v.w+j, points)
		}
	}
}

// points appends the sampling points of the bin in row i and column j to to.
func (g *roiGrid) points(to []roiPoint, i, j, h, w int) []roiPoint {
	for iy := range g.gh {
		y := g.y + float64(i)*g.bh + (float64(iy)+0.5)*g.bh/float64(g.gh)
		for ix := range g.gw {
			x := g.x + float64(j)*g.bw + (float64(ix)+0.5)*g.bw/float64(g.gw)
			to = append(to, pointAt(y, x, h, w))
		}
	}
	return to
}

// pointAt returns the pixels around a place; beyond one pixel outside all weights are 0.
func pointAt(y, x float64, h, w int) (p roiPoint) {
	if !(y >= -1 && y <= float64(h) && x >= -1 && x <= float64(w)) {
		return p
	}
	y0, y1, fy := roiPixels(y, h)
	x0, x1, fx := roiPixels(x, w)
	p.at = [4]int{y0*w + x0, y0*w + x1, y1*w + x0, y1*w + x1}
	p.w = [4]float64{(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx}
	return p
}

// roiPixels returns the pixels of n around x, in [-1, n], and the weight of the second.
func roiPixels(x float64, n int) (first, second int, f float64) {
	x = max(x, 0)
	first = int(x)
	if first >= n-1 {
		return n - 1, n - 1, 0
	}
	return first, first + 1, x - float64(first)
}
