package ops_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

func lanesCase[T int8 | uint8 | int16 | uint16](t *testing.T, least, most T) {
	r := rand.New(rand.NewPCG(1, 2))
	draw := func(n int) []T {
		x := make([]T, n)
		for i := range x {
			x[i] = []T{T(r.Uint32()), T(r.Uint32()), least, most, 0, 1, T(r.IntN(5)) - 2}[r.IntN(7)]
		}
		return x
	}
	for _, o := range []struct {
		name string
		f    func(a, b T) T
	}{{"Max", func(a, b T) T { return max(a, b) }}, {"Min", func(a, b T) T { return min(a, b) }}} {
		for n := range 40 {
			a, b, c := draw(n), draw(n), draw(1)
			vv, vs, three := make([]T, n), make([]T, n), make([]T, n)
			for i := range a {
				vv[i], vs[i] = o.f(a[i], b[i]), o.f(a[i], c[0])
				three[i] = o.f(vs[i], b[i])
			}
			Run(t, []Case{
				{Op: o.name, In: Vals(Of([]int{n}, a...), Of([]int{n}, b...)), Want: Vals(Of([]int{n}, vv...))},
				{Op: o.name, In: Vals(Of([]int{n}, a...), Of([]int{1}, c...)), Want: Vals(Of([]int{n}, vs...))},
				{Op: o.name, In: Vals(Of([]int{}, c...), Of([]int{n}, a...)), Want: Vals(Of([]int{n}, vs...))},
				{Op: o.name, In: Vals(Of([]int{n}, a...), Of([]int{}, c...), Of([]int{1, n}, b...)), Want: Vals(Of([]int{1, n}, three...))},
			})
		}
		for _, s := range [][2]int{{3, 5}, {40, 3}, {3, 60}, {200, 101}} {
			a, row, col := draw(s[0]*s[1]), draw(s[1]), draw(s[0])
			byRow, byCol := slices.Clone(a), slices.Clone(a)
			for i := range a {
				byRow[i], byCol[i] = o.f(a[i], row[i%s[1]]), o.f(a[i], col[i/s[1]])
			}
			Run(t, []Case{
				{Op: o.name, In: Vals(Of(s[:], a...), Of(s[1:], row...)), Want: Vals(Of(s[:], byRow...))},
				{Op: o.name, In: Vals(Of([]int{s[0], 1}, col...), Of(s[:], a...)), Want: Vals(Of(s[:], byCol...))},
			})
		}
	}
}

func TestExtremesOfLanes(t *testing.T) {
	for d, f := range map[tensor.DType]func(t *testing.T){
		tensor.Int8:   func(t *testing.T) { lanesCase[int8](t, -128, 127) },
		tensor.Uint8:  func(t *testing.T) { lanesCase[uint8](t, 0, 255) },
		tensor.Int16:  func(t *testing.T) { lanesCase[int16](t, -32768, 32767) },
		tensor.Uint16: func(t *testing.T) { lanesCase[uint16](t, 0, 65535) },
	} {
		t.Run(fmt.Sprint(d), f)
	}
}
