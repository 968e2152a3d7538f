package ops_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// TestPoolPlanes holds pooling by dimensions against windows that are looked through one by one.
func TestPoolPlanes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 160 {
		rank := 1 + r.IntN(3)
		in, kernel, stride, dilation, pads, out := make([]int, rank), make([]int, rank), make([]int, rank), make([]int, rank), make([]int, 2*rank), make([]int, rank)
		for d := range rank {
			in[d], kernel[d], stride[d], dilation[d] = 1+r.IntN(20), 1+r.IntN(4), 1+r.IntN(4), 1+r.IntN(2)
			if d == rank-1 { // rows of several vectors, and of several blocks
				in[d] += r.IntN(2) * r.IntN(100)
				if rank == 1 && i%8 == 0 {
					in[d] += 3000 + r.IntN(6000)
				}
			}
			pads[d], pads[rank+d] = r.IntN(4), r.IntN(4)
			reach := (kernel[d]-1)*dilation[d] + 1
			for in[d]+pads[d]+pads[rank+d] < reach {
				in[d]++
			}
			out[d] = (in[d]+pads[d]+pads[rank+d]-reach)/stride[d] + 1
		}
		count := func(s []int) int {
			n := 1
			for _, d := range s {
				n *= d
			}
			return n
		}
		const planes = 3
		values := make([]float64, planes*count(in))
		for k := range values {
			values[k] = float64(r.IntN(200))
		}
		// each gives what window makes of the elements of each window in the image and of the size of the window in the padding.
		each := func(window func(seen []float64, padded int) float64) []float64 {
			res := make([]float64, planes*count(out))
			var seen []float64
			for at := range res {
				o := at
				pos := make([]int, rank)
				for d := rank - 1; d >= 0; d-- {
					pos[d], o = o%out[d], o/out[d]
				}
				padded := 0
				seen = seen[:0]
				for tap := range count(kernel) {
					from, step, inside, around := 0, 1, true, true
					for d := rank - 1; d >= 0; d-- {
						p := pos[d]*stride[d] - pads[d] + tap%kernel[d]*dilation[d]
						tap /= kernel[d]
						inside, around = inside && p >= 0 && p < in[d], around && p < in[d]+pads[rank+d]
						from, step = from+p*step, step*in[d]
					}
					if inside {
						seen = append(seen, values[o*count(in)+from])
					}
					if around {
						padded++
					}
				}
				res[at] = window(seen, padded)
			}
			return res
		}
		largest := func(least float64) []float64 {
			return each(func(seen []float64, _ int) float64 { return max(least, slices.Max(append(seen, least))) })
		}
		mean := func(padding bool) []float64 {
			return each(func(seen []float64, n int) float64 {
				sum := 0.0
				for _, v := range seen {
					sum += v
				}
				if !padding {
					n = len(seen)
				}
				return sum / float64(max(n, 1))
			})
		}
		as := onnx.NewAttrs("kernel_shape", kernel, "strides", stride, "dilations", dilation, "pads", pads)
		padded := as.Set("count_include_pad", int64(1))
		xs, ys := append([]int{1, planes}, in...), append([]int{1, planes}, out...)
		name := fmt.Sprint(i, in, kernel, stride, dilation, pads)
		cases := []Case{
			{Name: name, Op: "MaxPool", Attrs: as, In: Vals(castAll[float32](xs, values, -100)), Want: Vals(castAll[float32](ys, largest(math.Inf(-1)), -100))},
			{Name: name, Op: "MaxPool", Attrs: as, In: Vals(castAll[float64](xs, values, -100)), Want: Vals(castAll[float64](ys, largest(math.Inf(-1)), -100))},
			{Name: name, Op: "MaxPool", Attrs: as, In: Vals(castAll[uint8](xs, values, 0)), Want: Vals(castAll[uint8](ys, largest(0), 0))},
			{Name: name, Op: "MaxPool", Attrs: as, In: Vals(castAll[int8](xs, values, -100)), Want: Vals(castAll[int8](ys, largest(-28), -100))},
			{Name: name, Op: "AveragePool", Attrs: as, In: Vals(castAll[float32](xs, values, 0)), Want: Vals(castAll[float32](ys, mean(false), 0))},
			{Name: name, Op: "AveragePool", Attrs: padded, In: Vals(castAll[float32](xs, values, 0)), Want: Vals(castAll[float32](ys, mean(true), 0))},
			{Name: name, Op: "AveragePool", Attrs: padded, In: Vals(castAll[float64](xs, values, 0)), Want: Vals(castAll[float64](ys, mean(true), 0))},
			{Name: name, Op: "AveragePool", Attrs: as, In: Vals(castAll[float64](xs, values, 0)), Want: Vals(castAll[float64](ys, mean(false), 0))},
		}
		Run(t, cases)
		Run(t, lastCases(cases, 0))
	}
}

// TestPoolPlanesNaN: NaN reaches all windows that see it, and no others.
func TestPoolPlanesNaN(t *testing.T) {
	const n, at = 90, 41
	nan := math.NaN()
	for _, op := range []string{"MaxPool", "AveragePool"} {
		for stride := 1; stride < 4; stride++ {
			x, y := make([]float64, n), make([]float64, (n-5)/stride+1)
			x[at] = nan
			for o := range y {
				if o*stride <= at && at < o*stride+5 {
					y[o] = nan
				}
			}
			as := onnx.NewAttrs("kernel_shape", []int{5}, "strides", []int{stride})
			Run(t, []Case{
				{Op: op, Attrs: as, In: Vals(castAll[float32]([]int{1, 1, n}, x, 0)), Want: Vals(castAll[float32]([]int{1, 1, len(y)}, y, 0))},
				{Op: op, Attrs: as, In: Vals(castAll[float64]([]int{1, 1, n}, x, 0)), Want: Vals(castAll[float64]([]int{1, 1, len(y)}, y, 0))},
			})
		}
	}
}

func castAll[T float32 | float64 | uint8 | int8](shape []int, v []float64, add float64) *tensor.Tensor {
	out := make([]T, len(v))
	for i, x := range v {
		out[i] = T(x + add)
	}
	return Of(shape, out...)
}
