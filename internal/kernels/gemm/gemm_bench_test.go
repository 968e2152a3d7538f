package gemm

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/par"
)

// Whole products: B constant (packed), row-major, and stored as [n k].
func BenchmarkGemm(b *testing.B) {
	for _, tab := range Tables {
		for _, s := range [][3]int{{1024, 1024, 1024}, {384, 3072, 768}, {128, 768, 768}, {128, 768, 3072}, {197, 3072, 768}, {3136, 64, 576}, {3136, 576, 64},
			{1, 4096, 4096}, {1, 3072, 768}, {4, 3072, 768}, {8, 768, 3072}, {64, 64, 64}, {9, 9, 32}} {
			for _, kind := range []string{"packed", "rows", "columns"} {
				for _, threads := range []int{1, 2} {
					b.Run(fmt.Sprintf("%s/%dx%dx%d/%s/threads=%d", tab.Name, s[0], s[1], s[2], kind, threads), func(b *testing.B) {
						g := args[float32](rand.New(rand.NewPCG(1, 2)), s[0], s[1], s[2], false, kind == "columns")
						g.Table = tab
						if kind == "packed" {
							g.Packed = Pack(par.P{}, g.B, g.K, g.N, g.BRS, g.BCS)
						}
						p := par.P{Threads: threads}
						for b.Loop() {
							Run(p, &g)
						}
						rate(b, s[0], s[1], s[2])
					})
				}
			}
		}
	}
}

func rate(b *testing.B, m, n, k int) {
	s := b.Elapsed().Seconds()
	b.ReportMetric(2e-9*float64(m)*float64(n)*float64(k)*float64(b.N)/s, "GFLOPS")
	b.ReportMetric(4e-9*float64(n)*float64(k)*float64(b.N)/s, "GB/s")
}

// Tiles of all heights whose rows of A lie lda elements apart: with lda 0 all
// is in the registers' reach, which is the peak of the processor; with a
// multiple of 1024 the rows compete for the same places of the cache, which is
// why tileRows takes fewer then.
func BenchmarkTile(b *testing.B) {
	const kc = 192
	buf := aligned[float32](1 << 17)
	at := func(i int) unsafe.Pointer { return unsafe.Pointer(&buf[i]) }
	for _, tab := range Tables[1:] {
		for _, rows := range []int{1, 2, 4, 6, 8, 10, 12, 14} {
			for _, lda := range []int{0, 768, 1024, 3072} {
				if rows > tab.MR32 {
					continue
				}
				b.Run(fmt.Sprintf("%s/rows=%d/lda=%d", tab.Name, rows, lda), func(b *testing.B) {
					for b.Loop() {
						tab.Tile32(rows, kc, at(0), lda, at(1<<16), Panel, at(1<<16+kc*Panel), Panel, Panel, true)
					}
					rate(b, rows, Panel, kc)
				})
			}
		}
	}
}

// Few rows against packed panels: several panels side by side, the same one
// after the other, and tiles.
func BenchmarkFew(b *testing.B) {
	for _, tab := range Tables[1:] {
		for _, s := range [][2]int{{768, 3072}, {4096, 4096}} {
			k, n := s[0], s[1]
			w, x, y := aligned[float32](k*n), aligned[float32](8*k), aligned[float32](8*n)
			at := func(s []float32, i int) unsafe.Pointer { return unsafe.Pointer(&s[i]) }
			for rows := 1; rows < 8; rows++ {
				if tab.Few32[rows] == nil {
					continue
				}
				step := tab.FewPanels[rows] * Panel
				for name, f := range map[string]func(){
					"beside": func() {
						for j := 0; j < n; j += step {
							tab.Few32[rows](k, at(x, 0), k, at(w, j*k), k*Panel, at(y, j), n, false)
						}
					},
					"after": func() {
						for j := 0; j < n; j += Panel {
							tab.One32[rows](k, at(x, 0), k, at(w, j*k), k*Panel, at(y, j), n, false)
						}
					},
					"tiles": func() {
						for j := 0; j < n; j += Panel {
							tab.Tile32(rows, k, at(x, 0), k, at(w, j*k), Panel, at(y, j), n, Panel, false)
						}
					},
				} {
					b.Run(fmt.Sprintf("%s/%dx%d/rows=%d/%s", tab.Name, k, n, rows, name), func(b *testing.B) {
						for b.Loop() {
							f()
						}
						rate(b, rows, n, k)
					})
				}
			}
		}
	}
}
