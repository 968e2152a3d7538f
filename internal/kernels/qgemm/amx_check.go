package qgemm

import (
	"errors"
	"slices"
	"sync"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/par"
)

// tilesWork reports whether tiles compute what they should: the first call tries.
// If not, the level amx is out of use.
var tilesWork = sync.OnceValue(func() bool {
	for _, t := range Tables {
		if t.tiles != nil && !sameAsGo(t) {
			cpu.Lose(t.Name, errors.New("products of tiles are not what plain Go computes: the level "+t.Name+" is not used"))
			return false
		}
	}
	return true
})

// sameAsGo compares small products of t with the generic ones, of whole tiles and
// parts of them.
func sameAsGo(t *Table) bool {
	for _, d := range []struct{ m, k, n int }{{37, 100, 40}, {20, wholeK + 68, 33}} {
		x := uint32(1)
		random := func(n int) []byte {
			b := make([]byte, n)
			for i := range b {
				x = x*1664525 + 1013904223
				b[i] = byte(x >> 24)
			}
			return b
		}
		b := &Right{K: d.k, N: d.n, Signed: true, Data: random(PanelBytes(d.k, d.n))}
		b.Sums = make([]int32, b.Panels()*Width)
		b.sumPanels(Tables[0], 0, b.Panels())
		f := &Finish{Zero: 3, Hi: 250}
		f.SetScale([]float32{0.001}, d.n, 1)
		f.SetZeros(b, d.k, 7, []int32{5}, nil)
		a := &View{M: d.m, K: d.k, Stride: d.k, Data: random(d.m * d.k)}
		a.Sums = make([]int32, d.m)
		a.rowSums(t, a.Sums)
		rows := Left{M: d.m, K: d.k, Data: a.Data}.Prepare(par.P{})
		type results struct {
			bytes      []byte
			floats     []float32
			ints, sums []int32
		}
		var r [2]results
		for i, t := range []*Table{Tables[0], t} {
			n := d.m * d.n
			r[i] = results{make([]byte, n), make([]float32, n), make([]int32, n), make([]int32, n)}
			f.Bytes(t, a, b, 0, b.Panels(), r[i].bytes, d.n)
			f.Floats(t, a, b, 0, b.Panels(), r[i].floats, d.n)
			f.Ints(t, a, b, 0, b.Panels(), r[i].ints, d.n)
			block(t, rows, 0, d.m, b, nil, 0, b.Panels(), r[i].sums, d.n)
		}
		if !slices.Equal(r[0].bytes, r[1].bytes) || !slices.Equal(r[0].floats, r[1].floats) ||
			!slices.Equal(r[0].ints, r[1].ints) || !slices.Equal(r[0].sums, r[1].sums) {
			return false
		}
	}
	return true
}
