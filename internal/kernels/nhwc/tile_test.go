package nhwc

import (
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// Equal columns have equal sums, whichever columns a tile computes with them.
func TestTileColumns(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	const segs, kc = 2, 27
	for _, tab := range Tables {
		x := random[float32](r, tab.MR32*segs*kc)
		b := make([]float32, segs*kc*Panel)
		for k := range segs * kc {
			v := r.Float32() - 0.5
			for j := range Panel {
				b[k*Panel+j] = v
			}
		}
		bias := make([]float32, Panel)
		for rows := 1; rows <= tab.MR32; rows++ {
			var want []uint32
			for w := Panel; w > 0; w-- {
				y := make([]float32, rows*Panel+1)
				list := make([]unsafe.Pointer, (segs+1)*rows)
				for i := range rows {
					for s := range segs {
						list[s*rows+i] = unsafe.Pointer(&x[(i*segs+s)*kc])
					}
					list[segs*rows+i] = unsafe.Pointer(&y[i*w])
				}
				y[rows*w] = 77
				tab.Tile32(rows, w, segs, kc, unsafe.Pointer(&list[0]), rows*ptrSize, 0, unsafe.Pointer(&b[0]), unsafe.Pointer(&list[segs*rows]), nil, 0, unsafe.Pointer(&bias[0]), 0, nil, 0)
				for i := range rows {
					if w == Panel {
						want = append(want, math.Float32bits(y[i*w]))
					}
					for j := range w {
						if got := math.Float32bits(y[i*w+j]); got != want[i] {
							t.Fatalf("%s, %d rows: row %d, column %d of %d is %v, column 0 of %d is %v",
								tab.Name, rows, i, j, w, y[i*w+j], Panel, math.Float32frombits(want[i]))
						}
					}
				}
				if y[rows*w] != 77 {
					t.Fatalf("%s, %d rows, %d columns: wrote behind the end", tab.Name, rows, w)
				}
			}
		}
	}
}
