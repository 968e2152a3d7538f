package ops_test

import (
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
