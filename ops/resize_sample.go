package ops

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/move"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// resampler is how Resize and Upsample map output positions to input positions.
type resampler struct {
	mode      string // nearest, linear, cubic
	coord     string // coordinate_transformation_mode
	nearest   string // nearest_mode
	cubicA    float64
	exclude   bool // exclude_outside
	antialias bool
	extra     float64 // extrapolation_value
}

// resizeAxis is one axis of a resize.
type resizeAxis struct {
	in, out    int
	scale      float64
	start, end float64 // roi
	length     float64 // in·scale, which need not be out
}

// original returns the input coordinate of output position i. It is computed in
// float32, as the scales are: where a coordinate is a whole number, rounding modes
// must see one.
func (r *resampler) original(a resizeAxis, i int) float64 {
	return float64(r.original32(float32(i), float32(a.in), float32(a.length), float32(a.scale), a))
}

func (r *resampler) original32(x, in, out, scale float32, a resizeAxis) float32 {
	switch r.coord {
	case "asymmetric":
		return x / scale
	case "align_corners":
		// Of a size that is not whole, the standard's cases, which all shrink, take the
		// fraction, too; ONNX Runtime and the exporters' frameworks do not.
		if a.scale > 1 {
			out = float32(a.out)
		}
		if a.out == 1 || out == 1 {
			return 0
		}
		return x * (in - 1) / (out - 1)
	case "pytorch_half_pixel":
		if a.out <= 1 {
			return 0
		}
		return (x+0.5)/scale - 0.5
	case "tf_half_pixel_for_nn":
		return (x + 0.5) / scale
	case "tf_crop_and_resize":
		if n := float32(a.out); n > 1 {
			return float32(a.start)*(in-1) + x*(float32(a.end)-float32(a.start))*(in-1)/(n-1)
		}
		return 0.5 * (float32(a.start) + float32(a.end)) * (in - 1)
	case "half_pixel_symmetric":
		adjust := float32(a.out) / out
		center := in / 2
		return center*(1-adjust) + (x+0.5)/scale - 0.5
	}
	return (x+0.5)/scale - 0.5
}

// outside reports whether a coordinate takes the extrapolation value.
func (r *resampler) outside(a resizeAxis, x float64) bool {
	return r.coord == "tf_crop_and_resize" && (x < 0 || x > float64(a.in-1))
}

// near returns the input index for a coordinate in nearest mode.
func (r *resampler) near(a resizeAxis, x float64) int {
	// A coordinate that should be a whole or half number may be off by the
	// rounding of the scale.
	switch r.nearest {
	case "round_prefer_ceil":
		x = math.Floor(x + 0.5)
	case "floor":
		x = math.Floor(x)
	case "ceil":
		x = math.Ceil(x)
	case "simple": // Resize of version 10
		if a.scale < 1 {
			x = math.Ceil(x)
		} else {
			x = math.Floor(x)
		}
	case "truncate": // Upsample
		x = math.Trunc(x)
	default:
		x = math.Ceil(x - 0.5)
	}
	return min(max(int(x), 0), a.in-1)
}

// taps are the weights of one axis: output i is the sum of w[i*k+j] times input at[i*k+j].
type taps struct {
	k       int
	at      []int32
	w       []float64
	outside []bool
}

// resize gives t room for n outputs of k inputs each.
func (t *taps) resize(n, k int) {
	t.k, t.at, t.w = k, slices.Grow(t.at[:0], n*k)[:n*k], slices.Grow(t.w[:0], n*k)[:n*k]
	t.outside = slices.Grow(t.outside[:0], n)[:n]
}

// weigh sets t to the taps of an axis for linear and cubic modes.
func (r *resampler) weigh(t *taps, a resizeAxis) {
	stretch := 1.0
	if r.antialias && a.scale < 1 {
		stretch = a.scale
	}
	radius := 1.0
	if r.mode == "cubic" {
		radius = 2
	}
	k := int(math.Ceil(radius/stretch)) * 2
	if r.antialias && stretch < 1 {
		k++
	}
	t.resize(a.out, k)
	for i := range a.out {
		x := r.original(a, i)
		t.outside[i] = r.outside(a, x)
		if r.mode == "linear" && !r.antialias {
			x = min(max(x, 0), float64(a.in-1))
		}
		first := int(math.Floor(x)) - k/2 + 1
		if k%2 == 1 {
			first = int(math.Floor(x)) - k/2
		}
		sum := 0.0
		w := t.w[i*k : (i+1)*k]
		for j := range k {
			p := first + j
			d := (float64(p) - x) * stretch
			w[j] = r.weight(d)
			if r.exclude && (p < 0 || p >= a.in) {
				w[j] = 0
			}
			sum += w[j]
			t.at[i*k+j] = int32(min(max(p, 0), a.in-1))
		}
		if (r.exclude || r.antialias) && sum != 0 {
			for j := range w {
				w[j] /= sum
			}
		}
	}
}

// weight is the interpolating function: a triangle, or Keys' cubic.
func (r *resampler) weight(d float64) float64 {
	d = math.Abs(d)
	if r.mode == "linear" {
		return max(0, 1-d)
	}
	a := r.cubicA
	switch {
	case d < 1:
		return ((a+2)*d-(a+3))*d*d + 1
	case d < 2:
		return ((a*d-5*a)*d+8*a)*d - 4*a
	}
	return 0
}

// same reports whether an axis stays as it is.
func (r *resampler) same(a resizeAxis) bool {
	if a.in != a.out || a.scale != 1 {
		return false
	}
	// Of a crop that is all of an axis coordinates are exact as long as their products are.
	return r.coord != "tf_crop_and_resize" || a.in == 1 || a.start == 0 && a.end == 1 && a.in <= 4096
}

// nearestTables are where the nearest mode takes elements from, for some axes.
type nearestTables struct {
	axes    []resizeAxis
	changed []resizeAxis // axes but those at the end that stay as they are
	block   int          // elements of those, which are moved together
	rows    int          // of changed axes but the last
	from    [][]int      // of changed: the index for each position, -1: outside
	inside  bool         // none of the last of these is
}

// of computes the tables, if they are for other axes.
func (t *nearestTables) of(r *resampler, axes []resizeAxis) {
	if slices.Equal(t.axes, axes) {
		return
	}
	t.axes, t.block, t.rows = slices.Clone(axes), 1, 1
	t.changed = t.axes
	for len(t.changed) > 1 && r.same(t.changed[len(t.changed)-1]) {
		t.block *= t.changed[len(t.changed)-1].in
		t.changed = t.changed[:len(t.changed)-1]
	}
	d := len(t.changed)
	t.from = make([][]int, d)
	stride := t.block
	for i := d - 1; i >= 0; i-- {
		a := t.changed[i]
		t.from[i] = make([]int, a.out)
		for j := range t.from[i] {
			if r.same(a) {
				t.from[i][j] = j * stride
				continue
			}
			at := r.original(a, j)
			t.from[i][j] = r.near(a, at) * stride
			if r.outside(a, at) {
				t.from[i][j] = -1
			}
		}
		stride *= a.in
		if i < d-1 {
			t.rows *= a.out
		}
	}
	t.inside = !slices.Contains(t.from[d-1], -1)
}

// resizeNearest copies elements. axes has one entry for each dimension. Dimensions
// at the end that stay as they are are moved as one block, and a row that is
// made of the same elements as the one before is a copy of it.
func resizeNearest[T any](c *Call, r *resampler, axes []resizeAxis, y, x []T, extra T) {
	t := State[nearestTables](c)
	t.of(r, axes)
	n := len(t.from[len(t.from)-1]) * t.block
	par.Run(c.P, t.rows, max(1, (1<<14)/max(1, n)), par.With(nearestRows[T]{t, y, x, extra, n}))
}

type nearestRows[T any] struct {
	*nearestTables
	y, x  []T
	extra T
	n     int // elements of a row
}

func (t *nearestRows[T]) Chunk(lo, hi int) {
	last := len(t.from) - 1
	var few [8]int
	at := few[:0]
	if last > len(few) {
		at = make([]int, 0, last)
	}
	at = at[:last]
	for i, left := last-1, lo; i >= 0; i-- {
		at[i] = left % t.changed[i].out
		left /= t.changed[i].out
	}
	before := -2
	for row := lo; row < hi; row++ {
		base := 0
		for i, j := range at {
			o := t.from[i][j]
			if o < 0 {
				base = -1
				break
			}
			base += o
		}
		dst := t.y[row*t.n : (row+1)*t.n]
		if base == before {
			copy(dst, t.y[(row-1)*t.n:])
		} else {
			nearestRow(dst, t.x, t.from[last], base, t.block, t.inside, t.extra)
		}
		before = base
		for i := last - 1; i >= 0; i-- {
			if at[i]++; at[i] < t.changed[i].out {
				break
			}
			at[i] = 0
		}
	}
}

// nearestRow sets dst to the blocks of x at base + idx; extra stands for what is
// at negative ones, which are not there if inside, and for all of it if base is negative.
func nearestRow[T any](dst, x []T, idx []int, base, block int, inside bool, extra T) {
	if base < 0 {
		for i := range dst {
			dst[i] = extra
		}
		return
	}
	x = x[base:]
	if block == 1 {
		for unsafe.Sizeof(extra) == 4 && inside && len(dst) >= 4 && len(idx) >= 4 {
			d, o := (*[4]T)(dst), (*[4]int)(idx)
			d[0], d[1], d[2], d[3] = x[o[0]], x[o[1]], x[o[2]], x[o[3]]
			dst, idx = dst[4:], idx[4:]
		}
		for j, o := range idx {
			if o < 0 {
				dst[j] = extra
			} else {
				dst[j] = x[o]
			}
		}
		return
	}
	if block == 3 && inside { // colours
		for j, o := range idx {
			*(*[3]T)(dst[3*j:]) = *(*[3]T)(x[o:])
		}
		return
	}
	for j, o := range idx {
		to := dst[j*block:][:block]
		if o < 0 {
			for i := range to {
				to[i] = extra
			}
			continue
		}
		copy(to, x[o:])
	}
}

// tapsOf are taps with weights of the type that they are used in.
type tapsOf[T floating] struct {
	k  int
	at []int32
	w  []T
}

// rows computes rows i to i+len(y)/n of the n elements that x has rows of.
func (t *tapsOf[T]) rows(y, x []T, i, n int) {
	at, w := t.at[i*t.k:], t.w[i*t.k:]
	if t.k == 2 && n == 3 {
		twoOfThree(y, x, at, w)
		return
	}
	if t.k == 2 && n == 4 {
		twoOfFour(y, x, at, w)
		return
	}
	if f, ok := any(x).([]float32); ok && n > 1 {
		move.Weigh(any(y).([]float32), f, at, any(w).([]float32), n, t.k)
		return
	}
	if n == 1 {
		t.elements(y, x, at, w)
		return
	}
	for q := range len(y) / n {
		dst := y[q*n:][:n]
		clear(dst)
		for j, v := range w[q*t.k:][:t.k] {
			for e, u := range x[int(at[q*t.k+j])*n:][:n] {
				dst[e] += v * u
			}
		}
	}
}

// twoOfThree is rows of three elements with two weights: bilinear on colours, for which a
// vector is too long.
func twoOfThree[T floating](y, x []T, at []int32, w []T) {
	for q := range len(y) / 3 {
		a, b := (*[3]T)(x[3*at[2*q]:]), (*[3]T)(x[3*at[2*q+1]:])
		v, u := w[2*q], w[2*q+1]
		*(*[3]T)(y[3*q:]) = [3]T{v*a[0] + u*b[0], v*a[1] + u*b[1], v*a[2] + u*b[2]}
	}
}

// twoOfFour is twoOfThree for four elements.
func twoOfFour[T floating](y, x []T, at []int32, w []T) {
	for q := range len(y) / 4 {
		a, b := (*[4]T)(x[4*at[2*q]:]), (*[4]T)(x[4*at[2*q+1]:])
		v, u := w[2*q], w[2*q+1]
		*(*[4]T)(y[4*q:]) = [4]T{v*a[0] + u*b[0], v*a[1] + u*b[1], v*a[2] + u*b[2], v*a[3] + u*b[3]}
	}
}

// elements is rows where they have a single element.
func (t *tapsOf[T]) elements(y, x []T, at []int32, w []T) {
	if t.k == 2 {
		for unsafe.Sizeof(*new(T)) == 4 && len(y) >= 4 && len(at) >= 8 && len(w) >= 8 {
			d, a, f := (*[4]T)(y), (*[8]int32)(at), (*[8]T)(w)
			d[0] = f[0]*x[a[0]] + f[1]*x[a[1]]
			d[1] = f[2]*x[a[2]] + f[3]*x[a[3]]
			d[2] = f[4]*x[a[4]] + f[5]*x[a[5]]
			d[3] = f[6]*x[a[6]] + f[7]*x[a[7]]
			y, at, w = y[4:], at[8:], w[8:]
		}
		for i := range y {
			y[i] = w[2*i]*x[at[2*i]] + w[2*i+1]*x[at[2*i+1]]
		}
		return
	}
	for i := range y {
		s := T(0)
		a := at[i*t.k:][:t.k]
		for j, v := range w[i*t.k:][:t.k] {
			s += v * x[a[j]]
		}
		y[i] = s
	}
}

// weightTables are how the other modes weigh elements, for some axes.
type weightTables[T floating] struct {
	axes  []resizeAxis
	order []int // axes that change: the one that shrinks most goes first, so that the rest has less to do
	taps  []tapsOf[T]
	exact []taps // what taps come from, and the positions outside
}

// of computes the tables, if they are for other axes.
func (t *weightTables[T]) of(r *resampler, axes []resizeAxis) {
	if slices.Equal(t.axes, axes) {
		return
	}
	if len(axes) != len(t.axes) {
		t.taps, t.exact = make([]tapsOf[T], len(axes)), make([]taps, len(axes))
	}
	t.axes, t.order = append(t.axes[:0], axes...), t.order[:0]
	for i, a := range axes {
		t.exact[i].resize(0, 0)
		if !r.same(a) {
			t.order = append(t.order, i)
		}
	}
	slices.SortStableFunc(t.order, func(i, j int) int {
		return cmp.Compare(float64(axes[i].out)*float64(axes[j].in), float64(axes[j].out)*float64(axes[i].in))
	})
	for _, i := range t.order {
		e, w := &t.exact[i], &t.taps[i]
		r.weigh(e, axes[i])
		w.k, w.at, w.w = e.k, e.at, convertInto(slices.Grow(w.w[:0], len(e.w))[:len(e.w)], e.w)
	}
}

// resizeWeighted resamples x into y, in T.
func resizeWeighted[T floating](c *Call, r *resampler, axes []resizeAxis, y, x []T) {
	t := State[weightTables[T]](c)
	t.of(r, axes)
	if len(t.order) == 0 {
		copy(y, x)
		return
	}
	shape, order := c.Dims(len(axes)), c.list(t.order...)
	for i, a := range axes {
		shape[i] = a.in
	}
	for len(order) > 0 {
		i, j := order[0], -1
		if len(order) > 1 && order[1] == i+1 {
			if _, _, inner := splitAxis(shape, i+1); inner > 1 || axes[i].out <= axes[i].in {
				j = order[1]
			} else { // single elements, which are slow, while there are few rows of them
				order[0], order[1], i = i+1, i, i+1
			}
		}
		order = order[1:]
		to := y
		outer, n, inner := splitAxis(shape, i)
		shape[i] = axes[i].out
		if j >= 0 {
			order = order[1:]
			shape[j] = axes[j].out
		}
		if len(order) > 0 {
			to = Scratch[T](c, sizeOf(shape))
		}
		if j >= 0 {
			l := resizeTwo[T]{a: &t.taps[i], b: &t.taps[j], y: to, x: x, na: n, outA: axes[i].out, outB: axes[j].out, inner: inner / axes[j].in, row: inner}
			par.Run(c.P, outer*l.outA, max(1, (1<<14)/(l.row*l.a.k+l.outB*l.inner*l.b.k)), par.With(l))
		} else {
			resizeOne(c.P, &t.taps[i], to, x, outer, n, axes[i].out, inner)
		}
		x = to
	}
	for d := range t.exact {
		m := t.exact[d].outside
		outer, n, inner := splitAxis(shape, d)
		for i, is := range m {
			if !is {
				continue
			}
			for o := range outer {
				for e := range y[(o*n+i)*inner:][:inner] {
					y[(o*n+i)*inner+e] = T(r.extra)
				}
			}
		}
	}
}

// resizeOne resamples the middle of x: [outer, n, inner] into y: [outer, out, inner].
func resizeOne[T floating](p par.P, t *tapsOf[T], y, x []T, outer, n, out, inner int) {
	if inner < 16 && outer > 1 {
		par.Run(p, outer, max(1, (1<<14)/(out*t.k*inner)), par.With(resizeWhole[T]{t, y, x, n, out, inner}))
		return
	}
	par.Run(p, outer*out, max(1, (1<<14)/(inner*t.k)), par.With(resizeLines[T]{t, y, x, n, out, inner}))
}

type resizeWhole[T floating] struct {
	t             *tapsOf[T]
	y, x          []T
	n, out, inner int
}

func (l *resizeWhole[T]) Chunk(lo, hi int) {
	for o := lo; o < hi; o++ {
		l.t.rows(l.y[o*l.out*l.inner:][:l.out*l.inner], l.x[o*l.n*l.inner:][:l.n*l.inner], 0, l.inner)
	}
}

type resizeLines[T floating] resizeWhole[T]

func (l *resizeLines[T]) Chunk(lo, hi int) {
	for lo < hi {
		o, i := lo/l.out, lo%l.out
		m := min(hi-lo, l.out-i)
		l.t.rows(l.y[lo*l.inner:][:m*l.inner], l.x[o*l.n*l.inner:][:l.n*l.inner], i, l.inner)
		lo += m
	}
}

// resizeTwo resamples two dimensions of x: [outer, na, nb, inner], along the
// first of them a row of nb·inner elements at a time: y is [outer, outA, outB, inner].
type resizeTwo[T floating] struct {
	a, b                  *tapsOf[T]
	y, x                  []T
	na, outA, outB, inner int
	row                   int
}

// resizeRow is memory of one goroutine.
type resizeRow[T floating] struct{ data []T }

func (l *resizeTwo[T]) Chunk(lo, hi int) {
	mem, pool := borrow[resizeRow[T]]()
	defer pool.Put(mem)
	some := max(1, (1<<12)/max(1, l.row)) // rows that one call makes, while they are in the cache
	mem.data = slices.Grow(mem.data[:0], some*l.row)
	for lo < hi {
		o, i := lo/l.outA, lo%l.outA
		m := min(hi-lo, l.outA-i, some)
		rows, n := mem.data[:m*l.row], l.outB*l.inner
		l.a.rows(rows, l.x[o*l.na*l.row:][:l.na*l.row], i, l.row)
		for q := range m {
			l.b.rows(l.y[(lo+q)*n:][:n], rows[q*l.row:][:l.row], 0, l.inner)
		}
		lo += m
	}
}

// resizeTo runs a resize of input 0 into output 0 of the given shape.
func (r *resampler) resizeTo(c *Call, axes []resizeAxis, shape []int) error {
	x := c.T(0)
	d := x.DType()
	if d.IsPacked() {
		return unsupportedType(0, d)
	}
	y := c.Output(0, d, shape...)
	if y.Len() == 0 {
		return nil
	}
	if x.Len() == 0 {
		return fmt.Errorf("X has shape %v, which has nothing to give %v", x.Shape(), shape)
	}
	if len(axes) == 0 {
		return y.CopyFrom(x)
	}
	if r.mode == "nearest" {
		return r.nearestTo(c, axes, y, x)
	}
	if d == tensor.Float64 || d == tensor.Int64 || d == tensor.Uint64 || d == tensor.Int32 || d == tensor.Uint32 {
		v, err := tensor.Float64s(x)
		if err != nil {
			return err
		}
		w := Scratch[float64](c, y.Len())
		resizeWeighted(c, r, axes, w, v)
		return storeNumbers(y, w)
	}
	if d.IsFloat() {
		v, err := realsOf[float32](x)
		if err != nil {
			return err
		}
		if d == tensor.Float32 {
			resizeWeighted(c, r, axes, tensor.Data[float32](y), v)
			return nil
		}
		w := Scratch[float32](c, y.Len())
		resizeWeighted(c, r, axes, w, v)
		storeReals(y, w)
		return nil
	}
	v, err := tensor.Float64s(x)
	if err != nil {
		return fmt.Errorf("%w: mode %s for element type %v", ErrUnsupported, r.mode, d)
	}
	from, to := Scratch[float32](c, len(v)), Scratch[float32](c, y.Len())
	for i, f := range v {
		from[i] = float32(f)
	}
	resizeWeighted(c, r, axes, to, from)
	return storeNumbers(y, to)
}

// storeNumbers writes src to dst; integers are cut towards zero and kept to
// their range.
func storeNumbers[S floating](dst *tensor.Tensor, src []S) error {
	switch dst.DType() {
	case tensor.Uint8:
		storeClamped(tensor.Data[uint8](dst), src, 0, math.MaxUint8)
	case tensor.Int8:
		storeClamped(tensor.Data[int8](dst), src, math.MinInt8, math.MaxInt8)
	case tensor.Uint16:
		storeClamped(tensor.Data[uint16](dst), src, 0, math.MaxUint16)
	case tensor.Int16:
		storeClamped(tensor.Data[int16](dst), src, math.MinInt16, math.MaxInt16)
	case tensor.Uint32:
		storeClamped(tensor.Data[uint32](dst), src, 0, math.MaxUint32)
	case tensor.Int32:
		storeClamped(tensor.Data[int32](dst), src, math.MinInt32, math.MaxInt32)
	case tensor.Uint64:
		storeClamped(tensor.Data[uint64](dst), src, 0, 1<<63)
	case tensor.Int64:
		storeClamped(tensor.Data[int64](dst), src, math.MinInt64, math.MaxInt64-1024)
	case tensor.Float32, tensor.Float64, tensor.Float16, tensor.BFloat16:
		storeReals(dst, src)
	default:
		return unsupportedType(0, dst.DType())
	}
	return nil
}

func storeClamped[T uint8 | int8 | uint16 | int16 | uint32 | int32 | uint64 | int64, S floating](dst []T, src []S, lo, hi float64) {
	for i, v := range src {
		dst[i] = T(min(max(float64(v), lo), hi))
	}
}

// nearestTo is the nearest mode, which moves elements of any type.
func (r *resampler) nearestTo(c *Call, axes []resizeAxis, y, x *tensor.Tensor) error {
	d := x.DType()
	if d == tensor.String {
		resizeNearest(c, r, axes, tensor.Data[string](y), tensor.Data[string](x), "")
		return nil
	}
	var extra [16]byte
	if r.coord == "tf_crop_and_resize" && d != tensor.Bool && !d.IsComplex() {
		fill := tensor.New(d, 1)
		if err := storeNumbers(fill, []float64{r.extra}); err != nil {
			return err
		}
		copy(extra[:], fill.Bytes())
	}
	switch d.Size() {
	case 1:
		resizeNearest(c, r, axes, y.Bytes(), x.Bytes(), extra[0])
	case 2:
		resizeNearest(c, r, axes, bytesAs[[2]byte](y), bytesAs[[2]byte](x), [2]byte(extra[:]))
	case 4:
		resizeNearest(c, r, axes, bytesAs[[4]byte](y), bytesAs[[4]byte](x), [4]byte(extra[:]))
	case 8:
		resizeNearest(c, r, axes, bytesAs[[8]byte](y), bytesAs[[8]byte](x), [8]byte(extra[:]))
	default:
		resizeNearest(c, r, axes, bytesAs[[16]byte](y), bytesAs[[16]byte](x), extra)
	}
	return nil
}
