package ops_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

// Random slices and tiles against loops that compute every index.
func TestMoveRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 11))
	var cases []Case
	for i := range 60 {
		rank := 1 + r.IntN(4)
		shape := make([]int, rank)
		starts, steps, ends, rep := make([]int64, rank), make([]int64, rank), make([]int64, rank), make([]int64, rank)
		out := make([]int, rank)
		tiled := make([]int, rank)
		for k := range shape {
			shape[k] = 1 + r.IntN(9)
			first := r.IntN(shape[k])
			n := 1 + r.IntN(shape[k])
			step := 1 + r.IntN(3)
			if r.IntN(2) == 0 { // backwards
				n = min(n, first/step+1)
				starts[k], steps[k] = int64(first), int64(-step)
				ends[k] = int64(first - (n-1)*step - 1)
				if ends[k] < 0 {
					ends[k] = -1 << 60
				}
			} else {
				n = min(n, (shape[k]-1-first)/step+1)
				starts[k], steps[k], ends[k] = int64(first), int64(step), int64(first+(n-1)*step+1)
			}
			out[k] = n
			rep[k] = int64(1 + r.IntN(3))
			tiled[k] = shape[k] * int(rep[k])
		}
		x := iota32(shape...)
		xs := tensor.Strides(shape)
		naive := func(out []int, index func(k, i int) int) *tensor.Tensor {
			y := tensor.New(tensor.Float32, out...)
			ys := tensor.Strides(out)
			d := tensor.Data[float32](y)
			for i := range d {
				at := 0
				for k := range out {
					at += index(k, i/ys[k]%out[k]) * xs[k]
				}
				d[i] = tensor.Data[float32](x)[at]
			}
			return y
		}
		cases = append(cases,
			Case{Name: fmt.Sprint("slice", i), Op: "Slice", In: Vals(x, tensor.Of(starts), tensor.Of(ends), nil, tensor.Of(steps)),
				Want: Vals(naive(out, func(k, i int) int { return int(starts[k]) + i*int(steps[k]) }))},
			Case{Name: fmt.Sprint("tile", i), Op: "Tile", In: Vals(x, tensor.Of(rep)),
				Want: Vals(naive(tiled, func(k, i int) int { return i % shape[k] }))})
	}
	Run(t, cases)
}
