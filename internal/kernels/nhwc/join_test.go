package nhwc

import (
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// TestJoinRows holds the functions that join rows, at all levels, against loops.
func TestJoinRows(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, table := range Tables {
		t.Run(table.Name, func(t *testing.T) {
			restore, err := cpu.Force(table.Name)
			if err != nil {
				t.Fatal(err)
			}
			defer restore()
			for _, n := range []int{0, 1, 3, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 100, 1000, 20000} {
				for _, count := range []int{1, 2, 3, 7, 40, 200} {
					rows := make([]int, count)
					for i := range rows {
						rows[i] = r.IntN(50)
					}
					joins(t, r, n, rows, MaxRows, func(a, b float32) float32 { return max(a, b) })
					joins(t, r, n, rows, SumRows, func(a, b float32) float32 { return a + b })
					joins(t, r, n, rows, MaxUint8Rows, func(a, b uint8) uint8 { return max(a, b) })
					joins(t, r, n, rows, MaxInt8Rows, func(a, b uint8) uint8 { return uint8(max(int8(a), int8(b))) })
				}
			}
		})
	}
}

func joins[T float32 | uint8](t *testing.T, r *rand.Rand, n int, rows []int, join func(dst, x []T, rows []int), op func(a, b T) T) {
	x := make([]T, n+50)
	for i := range x {
		x[i] = T(r.IntN(256))
	}
	if unsafe.Sizeof(x[0]) == 4 {
		x[r.IntN(len(x))] = T(math.NaN())
	}
	const guard = 77
	y := make([]T, n+1)
	y[n] = guard
	join(y[:n:n], x, rows)
	for i := range n {
		want := x[rows[0]+i]
		for _, q := range rows[1:] {
			want = op(want, x[q+i])
		}
		if got := y[i]; got != want && (got == got || want == want) {
			t.Fatalf("%d of %d elements, %d rows: %v, want %v", i, n, len(rows), got, want)
		}
	}
	if y[n] != guard {
		t.Fatalf("%d elements, %d rows: wrote behind them", n, len(rows))
	}
}

func TestJoinRowsRange(t *testing.T) {
	for _, rows := range [][]int{{-1}, {0, 3}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("rows %v of 4 in 6 elements: no panic", rows)
				}
			}()
			MaxRows(make([]float32, 4), make([]float32, 6), rows)
		}()
	}
}
