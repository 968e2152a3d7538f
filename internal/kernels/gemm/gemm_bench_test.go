package gemm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/par"
)

// Whole products: B constant (packed), row-major, and stored as [n k]; beside
// their rate the percentage of the processor's peak, by threads. Beside
// them ONNX Runtime's rates come from models of one MatMul of the same sizes.
func BenchmarkGemm(b *testing.B) {
	shapes := [][3]int{{1024, 1024, 1024},
		{128, 768, 768}, {128, 3072, 768}, {128, 768, 3072}, {384, 768, 768}, {384, 3072, 768}, {384, 768, 3072}, // BERT
		{3136, 64, 64}, {3136, 256, 64}, {3136, 64, 256}, {784, 512, 128}, {784, 128, 512}, {196, 1024, 256}, {196, 256, 1024}, {49, 2048, 512}, {49, 512, 2048}, // ResNet
		{197, 3072, 768}, {128, 1408, 512}, {128, 32000, 512}, {3136, 64, 576}, // others that models have
		{100, 100, 100}, {65, 129, 257}, {127, 1000, 333}, {4096, 16, 64}, {20000, 8, 24}, {64, 64, 64}, {9, 9, 32}} // odd ones
	for m := 1; m <= 16; m++ {
		shapes = append(shapes, [3]int{m, 3072, 768})
	}
	shapes = append(shapes, [3]int{1, 4096, 4096}, [3]int{8, 768, 3072})
	for _, tab := range Tables {
		for _, threads := range []int{1, 2} {
			top := peak(tab, threads)
			for _, s := range shapes {
				for _, kind := range []string{"packed", "rows", "columns"} {
					b.Run(fmt.Sprintf("%s/threads=%d/%s/%dx%dx%d", tab.Name, threads, kind, s[0], s[1], s[2]), func(b *testing.B) {
						g := args[float32](rand.New(rand.NewPCG(1, 2)), s[0], s[1], s[2], false, kind == "columns")
						g.Table = tab
						if kind == "packed" {
							g.Packed = Pack(par.P{}, g.B, g.K, g.N, g.BRS, g.BCS)
						}
						p := par.P{Threads: threads}
						for b.Loop() {
							Run(p, &g)
						}
						if r := rate(b, s[0], s[1], s[2]); top > 0 {
							b.ReportMetric(100*r/top, "%peak")
						}
					})
				}
			}
		}
	}
}

// peak measures the multiply-adds of all threads, in GFLOPS: the best of some
// tries. 0: unknown.
func peak(t *Table, threads int) float64 {
	if t.FMA32 == nil {
		return 0
	}
	const n, tries = 1 << 20, 8
	best := math.Inf(1)
	for range tries {
		start := time.Now()
		par.P{Threads: threads}.For(threads*32, 1, func(lo, hi int) { t.FMA32(n / 32) })
		best = min(best, time.Since(start).Seconds())
	}
	return 2e-9 * n * float64(t.FMAs*threads) / best
}

func rate(b *testing.B, m, n, k int) float64 {
	s := b.Elapsed().Seconds()
	r := 2e-9 * float64(m) * float64(n) * float64(k) * float64(b.N) / s
	b.ReportMetric(r, "GFLOPS")
	b.ReportMetric(4e-9*float64(n)*float64(k)*float64(b.N)/s, "GB/s")
	return r
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
			for _, lda := range []int{0, 512, 768, 1024, 1280, 1536, 2048, 2560, 3072} {
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
