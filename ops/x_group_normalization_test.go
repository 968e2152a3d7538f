package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

// lastGroups normalizes x [n, rows, ch] over groups of channels, in float64.
func lastGroups(x []float32, n, rows, ch, groups int, scale, bias []float32) []float32 {
	y := make([]float32, len(x))
	per := ch / groups
	for i := range n {
		for g := range groups {
			var sum, squares float64
			each := func(f func(k, c int)) {
				for r := range rows {
					for c := g * per; c < (g+1)*per; c++ {
						f((i*rows+r)*ch+c, c)
					}
				}
			}
			each(func(k, _ int) { sum += float64(x[k]) })
			mean := sum / float64(rows*per)
			each(func(k, _ int) { squares += (float64(x[k]) - mean) * (float64(x[k]) - mean) })
			inv := 1 / math.Sqrt(squares/float64(rows*per)+1e-5)
			each(func(k, c int) { y[k] = float32((float64(x[k])-mean)*inv*float64(scale[c]) + float64(bias[c])) })
		}
	}
	return y
}

func TestLastGroupNormalization(t *testing.T) {
	var cases []Case
	for _, s := range [][5]int{{1, 1, 1, 4, 2}, {2, 3, 5, 6, 3}, {1, 40, 37, 33, 11}, {3, 7, 9, 64, 0}, {1, 2, 2, 5000, 50}, {0, 2, 2, 4, 2}, {2, 70, 80, 8, 1}} {
		n, rows, ch, groups := s[0], s[1]*s[2], s[3], s[4]
		x, scale, bias := wave(n*rows*ch, 1), wave(ch, 2), wave(ch, 3)
		g := groups
		if g == 0 {
			g = ch
		}
		y := lastGroups(x, n, rows, ch, g, scale, bias)
		shape := []int{n, s[1], s[2], ch}
		as := onnx.NewAttrs("num_groups", groups)
		cases = append(cases, Case{Op: "GroupNormalization", Domain: "x", Attrs: as, Want: Vals(F32(shape, y...)), Tol: close5,
			In: Vals(F32(shape, x...), F32([]int{ch}, scale...), F32([]int{ch}, bias...))})
		z := make([]float32, len(y))
		for i, v := range y {
			z[i] = max(v, 0)
		}
		cases = append(cases, Case{Op: "GroupNormalization", Domain: "x", Attrs: onnx.NewAttrs("num_groups", groups, "activation", "Relu"), Want: Vals(F32(shape, z...)),
			In: Vals(F32(shape, x...), F32([]int{ch}, scale...), F32([]int{ch}, bias...)), Tol: close5})
	}
	x, p := F32([]int{1, 2, 4}, wave(8, 1)...), F32([]int{4}, 1, 1, 1, 1)
	cases = append(cases,
		Case{Op: "GroupNormalization", Domain: "x", In: Vals(x, p, p), Attrs: onnx.NewAttrs("num_groups", 3), Want: Vals(nil), Err: "4 channels are not a multiple of num_groups 3"},
		Case{Op: "GroupNormalization", Domain: "x", In: Vals(x, F32([]int{3}, 1, 1, 1), p), Want: Vals(nil), Err: "scale has shape [3], want [4]"},
		Case{Op: "GroupNormalization", Domain: "x", In: Vals(p, p, p), Want: Vals(nil), Err: "want [n ... c]"},
		Case{Op: "GroupNormalization", Domain: "x", In: Vals(x, p, p), Attrs: onnx.NewAttrs("activation", "Sum"), Want: Vals(nil), Err: "activation"})
	Run(t, cases)
}
