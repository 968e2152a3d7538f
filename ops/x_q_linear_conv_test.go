package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestLastQLinearConv(t *testing.T) {
	u8, s8 := Of[uint8], Of[int8]
	scale := F32([]int{}, 1)
	ramp := u8([]int{1, 1, 4}, 10, 20, 30, 40)
	at := onnx.NewAttrs
	Run(t, lastCases(append(qLinearConvCases(),
		Case{Name: "bounds", Op: "QLinearConv", Attrs: at("min", 16, "max", 33), In: Vals(ramp, scale, u8([]int{}, 5), u8([]int{1, 1, 1}, 4), scale, u8([]int{}, 3), scale, u8([]int{}, 5)),
			Want: Vals(u8([]int{1, 1, 4}, 16, 20, 30, 33))},
		Case{Name: "signed", Op: "QLinearConv", Attrs: at("pads", []int{1, 1}), In: Vals(s8([]int{1, 1, 3}, -10, 20, 120), scale, s8([]int{}, -20), s8([]int{1, 1, 3}, 1, -2, 1), scale, nil, F32([]int{}, 2), s8([]int{}, 1)),
			Want: Vals(s8([]int{1, 1, 3}, 11, 36, -119))},
		Case{Name: "order of bounds", Op: "QLinearConv", Attrs: at("min", 16, "max", 3), In: Vals(ramp, scale, u8([]int{}, 5), u8([]int{1, 1, 1}, 4), scale, u8([]int{}, 3), scale, u8([]int{}, 5)),
			Want: Vals(nil), Err: "min is 16 and max 3"},
		Case{Name: "rank", Op: "QLinearConv", In: Vals(u8([]int{2, 2}, 1, 2, 3, 4), scale, u8([]int{}, 5), u8([]int{1, 1, 1}, 4), scale, u8([]int{}, 3), scale, u8([]int{}, 5)),
			Want: Vals(nil), Err: "spatial dimensions"},
	), 0))
}

// Depthwise convolutions with several outputs of each channel.
func TestLastQLinearConvMultiplier(t *testing.T) {
	const n, w, k = 2, 23, 3
	one := F32([]int{}, 1)
	var cases []Case
	for _, s := range [][2]int{{5, 3}, {2, 2}, {40, 2}} {
		c, m := s[0], s[0]*s[1]
		x, wt, scale := make([]uint8, n*c*w), make([]int8, m*k), make([]float32, m)
		for i := range x {
			x[i] = uint8(i * 37 % 251)
		}
		for i := range wt {
			wt[i] = int8(i*11%17 - 8)
		}
		for i := range scale {
			scale[i] = 1 / float32(int(8)<<(i%3))
		}
		y := make([]uint8, n*m*(w-k+1))
		for i := range y {
			at, out, image := i%(w-k+1), i/(w-k+1)%m, i/(w-k+1)/m
			sum := 0
			for j := range k {
				sum += (int(x[(image*c+out/s[1])*w+at+j]) - 100) * int(wt[out*k+j])
			}
			y[i] = uint8(min(max(math.RoundToEven(float64(sum)*float64(scale[out]))+90, 0), 255))
		}
		cases = append(cases, Case{Op: "QLinearConv", Attrs: onnx.NewAttrs("group", c), In: Vals(Of([]int{n, c, w}, x...), one, Of[uint8]([]int{}, 100),
			Of([]int{m, 1, k}, wt...), F32([]int{m}, scale...), Of[int8]([]int{}, 0), one, Of[uint8]([]int{}, 90)), Want: Vals(Of([]int{n, m, w - k + 1}, y...))})
	}
	Run(t, lastCases(cases, 0))
}
