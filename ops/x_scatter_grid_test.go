package ops_test

import (
	"fmt"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestScatterGrid(t *testing.T) {
	sizeOf := func(dims []int) int {
		n := 1
		for _, d := range dims {
			n *= d
		}
		return n
	}
	axes := func(v ...int) onnx.Attrs { return onnx.NewAttrs("axes", v) }
	var cases []Case
	for i, c := range []struct {
		data []int
		axes []int
		at   [][]int64
	}{
		{[]int{6}, []int{0}, [][]int64{{1, 2, 3}}},
		{[]int{6}, []int{0}, [][]int64{{5, 0, 5, 2}}},
		{[]int{6}, []int{0}, [][]int64{{-1, -2}}},
		{[]int{6}, []int{0}, [][]int64{{}}},
		{[]int{0, 3}, []int{1}, [][]int64{{2}}},
		{[]int{4, 5}, []int{1}, [][]int64{{2}}},
		{[]int{4, 5}, []int{1}, [][]int64{{0, 2, 4}}},
		{[]int{4, 5}, []int{0, 1}, [][]int64{{3, 1}, {1, 2, 3}}},
		{[]int{2, 3, 4, 5}, []int{2, 3}, [][]int64{{1, 2, 3}, {1, 2, 3, 4}}},
		{[]int{2, 3, 4, 5}, []int{1}, [][]int64{{0, 2}}},
		{[]int{2, 3, 4, 5}, []int{0, 2}, [][]int64{{1}, {0, 1, 3}}},
		{[]int{2, 3, 4, 5}, []int{0, 1, 2, 3}, [][]int64{{1}, {1}, {1}, {0, 4}}},
		{[]int{3, 70, 190}, []int{1, 2}, [][]int64{{0, 5, 6, 7, 9, 11, 30, 31, 69}, {0, 1, 2, 3, 100}}},
		{[]int{40, 7, 200}, []int{1}, [][]int64{{1, 3, 5}}},
	} {
		data := make([]int32, sizeOf(c.data))
		for k := range data {
			data[k] = int32(k)
		}
		us := append([]int(nil), c.data...)
		in := []tensor.Value{Of(c.data, append([]int32(nil), data...)...), nil}
		list := map[int][]int64{}
		for j, a := range c.axes {
			us[a], list[a] = len(c.at[j]), c.at[j]
			in = append(in, I64([]int{len(c.at[j])}, c.at[j]...))
		}
		updates := make([]int32, sizeOf(us))
		for k := range updates {
			updates[k] = -1 - int32(k)
			at, stride, rest := 0, 1, k
			for d := len(us) - 1; d >= 0; d-- {
				x := rest % us[d]
				rest /= us[d]
				if l := list[d]; l != nil {
					x = (int(l[x]) + c.data[d]) % c.data[d]
				}
				at += x * stride
				stride *= c.data[d]
			}
			data[at] = updates[k]
		}
		in[1] = Of(us, updates...)
		cases = append(cases, Case{Name: fmt.Sprint(i), Op: "ScatterGrid", Domain: "x", Attrs: axes(c.axes...), In: in, Want: Vals(Of(c.data, data...))})
	}
	x, s := F32([]int{2, 3}, 1, 2, 3, 4, 5, 6), Of([]int{3}, "a", "b", "c")
	one := func(v ...int64) *tensor.Tensor { return I64([]int{len(v)}, v...) }
	cases = append(cases,
		Case{Op: "ScatterGrid", Domain: "x", Attrs: axes(0), In: Vals(s, Of([]int{2}, "x", "y"), Of([]int{2}, int32(0), int32(2))), Want: Vals(Of([]int{3}, "x", "b", "y"))},
		Case{Op: "ScatterGrid", Domain: "x", Attrs: axes(1), In: Vals(Of([]int{2, 3}, true, true, true, true, true, true), Of([]int{2, 1}, false, false), one(1)), Want: Vals(Of([]int{2, 3}, true, false, true, true, false, true))},
		Case{Op: "ScatterGrid", Domain: "x", Attrs: axes(1), In: Vals(x, F32([]int{2, 1}, 0, 0), one(3)), Want: Vals(x), Err: "index 3 is not in [-3, 2]"},
		Case{Op: "ScatterGrid", Domain: "x", Attrs: axes(2), In: Vals(x, F32([]int{2, 1}, 0, 0), one(0)), Want: Vals(x), Err: "no dimension 2"},
		Case{Op: "ScatterGrid", Domain: "x", Attrs: axes(1, 0), In: Vals(x, F32([]int{2, 1}, 0, 0), one(0), one(0)), Want: Vals(x), Err: "want ascending ones"},
		Case{Op: "ScatterGrid", Domain: "x", Attrs: axes(1), In: Vals(x, F32([]int{2, 1}, 0, 0), one(0), one(0)), Want: Vals(x), Err: "want 2, one for each list"},
		Case{Op: "ScatterGrid", Domain: "x", Attrs: axes(1), In: Vals(x, F32([]int{2, 2}, 0, 0, 0, 0), one(0)), Want: Vals(x), Err: "updates has shape [2 2], want [2 1]"},
		Case{Op: "ScatterGrid", Domain: "x", Attrs: axes(1), In: Vals(x, I64([]int{2, 1}, 0, 0), one(0)), Want: Vals(x), Err: "updates is int64, data float32"},
		Case{Op: "ScatterGrid", Domain: "x", Attrs: axes(1), In: Vals(x, F32([]int{2, 1}, 0, 0), I64([]int{1, 1}, 0)), Want: Vals(x), Err: "want rank 1"})
	Run(t, cases)
}
