package ops

import (
	"fmt"
	"math"
	"slices"

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
		if a.out == 1 || out == 1 {
			return 0
		}
		return x * (in - 1) / (out - 1)
	case "pytorch_half_pixel":
		if out <= 1 {
			return 0
		}
		return (x+0.5)/scale - 0.5
	case "tf_half_pixel_for_nn":
		return (x + 0.5) / scale
	case "tf_crop_and_resize":
		if out > 1 {
			return float32(a.start)*(in-1) + x*(float32(a.end)-float32(a.start))*(in-1)/(out-1)
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

// weigh computes the taps of an axis for linear and cubic modes.
func (r *resampler) weigh(a resizeAxis) *taps {
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
	t := &taps{k: k, at: make([]int32, a.out*k), w: make([]float64, a.out*k), outside: make([]bool, a.out)}
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
	return t
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

// resizeNearest copies elements. axes has one entry for each dimension.
func resizeNearest[T any](p par.P, r *resampler, axes []resizeAxis, y, x []T, extra T) {
	d := len(axes)
	idx := make([][]int, d)
	rows, stride := 1, 1
	strides := make([]int, d)
	for i := d - 1; i >= 0; i-- {
		a := axes[i]
		strides[i] = stride
		stride *= a.in
		idx[i] = make([]int, a.out)
		for j := range idx[i] {
			if a.in == a.out && a.scale == 1 && r.coord != "tf_crop_and_resize" {
				idx[i][j] = j * strides[i]
				continue
			}
			at := r.original(a, j)
			idx[i][j] = r.near(a, at) * strides[i]
			if r.outside(a, at) {
				idx[i][j] = -1
			}
		}
		if i < d-1 {
			rows *= a.out
		}
	}
	last := idx[d-1]
	n := len(last)
	p.For(rows, max(1, (1<<14)/max(1, n)), func(lo, hi int) {
		for row := lo; row < hi; row++ {
			base, left, out := 0, row, false
			for i := d - 2; i >= 0; i-- {
				o := idx[i][left%axes[i].out]
				left /= axes[i].out
				out = out || o < 0
				base += o
			}
			dst := y[row*n : (row+1)*n]
			for j, o := range last {
				if out || o < 0 {
					dst[j] = extra
				} else {
					dst[j] = x[base+o]
				}
			}
		}
	})
}

// resizeWeighted resamples axis by axis, in T, and returns the result, which is
// x itself if nothing changes.
func resizeWeighted[T floating](p par.P, r *resampler, axes []resizeAxis, x []T) []T {
	shape := make([]int, len(axes))
	for i, a := range axes {
		shape[i] = a.in
	}
	// The axis that shrinks most goes first, so that the rest has less to do.
	order := make([]int, len(axes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		return int(math.Copysign(1, float64(axes[i].out)*float64(axes[j].in)-float64(axes[j].out)*float64(axes[i].in)))
	})
	marks := make([][]bool, len(axes))
	for _, i := range order {
		a := axes[i]
		if a.in == a.out && a.scale == 1 && r.coord != "tf_crop_and_resize" {
			continue
		}
		t := r.weigh(a)
		marks[i] = t.outside
		outer, n, inner := splitAxis(shape, i)
		shape[i] = a.out
		y := make([]T, outer*a.out*inner)
		if inner == 1 {
			resizeRows(p, t, y, x, outer, n, a.out)
		} else {
			resizeColumns(p, t, y, x, outer, n, a.out, inner)
		}
		x = y
	}
	if r.coord != "tf_crop_and_resize" {
		return x
	}
	x = slices.Clone(x)
	for i := range x {
		left := i
		for d := len(shape) - 1; d >= 0; d-- {
			if marks[d] != nil && marks[d][left%shape[d]] {
				x[i] = T(r.extra)
				break
			}
			left /= shape[d]
		}
	}
	return x
}

func resizeRows[T floating](p par.P, t *taps, y, x []T, outer, n, out int) {
	k := t.k
	w := make([]T, len(t.w))
	for i, v := range t.w {
		w[i] = T(v)
	}
	p.For(outer, max(1, (1<<14)/max(1, out*k)), func(lo, hi int) {
		for o := lo; o < hi; o++ {
			src, dst := x[o*n:(o+1)*n], y[o*out:(o+1)*out]
			for i := range dst {
				s := T(0)
				at, wi := t.at[i*k:(i+1)*k], w[i*k:(i+1)*k]
				for j, v := range wi {
					s += v * src[at[j]]
				}
				dst[i] = s
			}
		}
	})
}

func resizeColumns[T floating](p par.P, t *taps, y, x []T, outer, n, out, inner int) {
	k := t.k
	p.For(outer*out, max(1, (1<<14)/max(1, inner*k)), func(lo, hi int) {
		for q := lo; q < hi; q++ {
			o, i := q/out, q%out
			dst := y[q*inner : (q+1)*inner]
			clear(dst)
			for j := range k {
				w := T(t.w[i*k+j])
				if w == 0 {
					continue
				}
				src := x[(o*n+int(t.at[i*k+j]))*inner:][:len(dst)]
				for e, v := range src {
					dst[e] += w * v
				}
			}
		}
	})
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
		return storeNumbers(y, resizeWeighted(c.P, r, axes, v))
	}
	if d.IsFloat() {
		v, err := realsOf[float32](x)
		if err != nil {
			return err
		}
		storeReals(y, resizeWeighted(c.P, r, axes, v))
		return nil
	}
	v, err := tensor.Float64s(x)
	if err != nil {
		return fmt.Errorf("%w: mode %s for element type %v", ErrUnsupported, r.mode, d)
	}
	w := make([]float32, len(v))
	for i, f := range v {
		w[i] = float32(f)
	}
	return storeNumbers(y, resizeWeighted(c.P, r, axes, w))
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
	fill := tensor.New(x.DType(), 1)
	if r.coord == "tf_crop_and_resize" && x.DType() != tensor.String && x.DType() != tensor.Bool && !x.DType().IsComplex() {
		if err := storeNumbers(fill, []float64{r.extra}); err != nil {
			return err
		}
	}
	if x.DType() == tensor.String {
		resizeNearest(c.P, r, axes, tensor.Data[string](y), tensor.Data[string](x), "")
		return nil
	}
	switch x.DType().Size() {
	case 1:
		resizeNearest(c.P, r, axes, y.Bytes(), x.Bytes(), fill.Bytes()[0])
	case 2:
		moveNearest[[2]byte](c, r, axes, y, x, fill)
	case 4:
		moveNearest[[4]byte](c, r, axes, y, x, fill)
	case 8:
		moveNearest[[8]byte](c, r, axes, y, x, fill)
	default:
		moveNearest[[16]byte](c, r, axes, y, x, fill)
	}
	return nil
}

func moveNearest[T [2]byte | [4]byte | [8]byte | [16]byte](c *Call, r *resampler, axes []resizeAxis, y, x, fill *tensor.Tensor) {
	resizeNearest(c.P, r, axes, bytesAs[T](y), bytesAs[T](x), bytesAs[T](fill)[0])
}
