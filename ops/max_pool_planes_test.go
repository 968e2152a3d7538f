package ops_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// TestMaxPoolPlanes holds pooling by dimensions against windows that are looked through one by one.
func TestMaxPoolPlanes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 120 {
		rank := 1 + r.IntN(3)
		in, kernel, stride, dilation, pads, out := make([]int, rank), make([]int, rank), make([]int, rank), make([]int, rank), make([]int, 2*rank), make([]int, rank)
		for d := range rank {
			in[d], kernel[d], stride[d], dilation[d] = 1+r.IntN(20), 1+r.IntN(4), 1+r.IntN(3), 1+r.IntN(2)
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
		want := func(least float64) []float64 {
			res := make([]float64, planes*count(out))
			for at := range res {
				o, m := at, least
				pos := make([]int, rank)
				for d := rank - 1; d >= 0; d-- {
					pos[d], o = o%out[d], o/out[d]
				}
				for tap := range count(kernel) {
					from, step, inside := 0, 1, true
					for d := rank - 1; d >= 0; d-- {
						p := pos[d]*stride[d] - pads[d] + tap%kernel[d]*dilation[d]
						tap /= kernel[d]
						inside = inside && p >= 0 && p < in[d]
						from, step = from+p*step, step*in[d]
					}
					if inside {
						m = max(m, values[o*count(in)+from])
					}
				}
				res[at] = m
			}
			return res
		}
		as := onnx.NewAttrs("kernel_shape", kernel, "strides", stride, "dilations", dilation, "pads", pads)
		xs, ys := append([]int{1, planes}, in...), append([]int{1, planes}, out...)
		name := fmt.Sprint(i, in, kernel, stride, dilation, pads)
		Run(t, []Case{
			{Name: name, Op: "MaxPool", Attrs: as, In: Vals(castAll[float32](xs, values, -100)), Want: Vals(castAll[float32](ys, want(math.Inf(-1)), -100))},
			{Name: name, Op: "MaxPool", Attrs: as, In: Vals(castAll[float64](xs, values, -100)), Want: Vals(castAll[float64](ys, want(math.Inf(-1)), -100))},
			{Name: name, Op: "MaxPool", Attrs: as, In: Vals(castAll[uint8](xs, values, 0)), Want: Vals(castAll[uint8](ys, want(0), 0))},
			{Name: name, Op: "MaxPool", Attrs: as, In: Vals(castAll[int8](xs, values, -100)), Want: Vals(castAll[int8](ys, want(-28), -100))},
		})
	}
}

func castAll[T float32 | float64 | uint8 | int8](shape []int, v []float64, add float64) *tensor.Tensor {
	out := make([]T, len(v))
	for i, x := range v {
		out[i] = T(x + add)
	}
	return Of(shape, out...)
}
