package gemm

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/internal/par"
)

func BenchmarkGemm(b *testing.B) {
	for _, tab := range Tables {
		for _, s := range [][3]int{{1024, 1024, 1024}, {128, 768, 768}, {3136, 64, 576}, {1, 4096, 768}, {8, 768, 768}, {64, 64, 64}} {
			for _, packed := range []bool{false, true} {
				for _, threads := range []int{1, 2} {
					b.Run(fmt.Sprintf("%s/%dx%dx%d/packed=%v/threads=%d", tab.Name, s[0], s[1], s[2], packed, threads), func(b *testing.B) {
						g := args[float32](rand.New(rand.NewPCG(1, 2)), s[0], s[1], s[2], false, false)
						g.Table = tab
						if packed {
							g.Packed = Pack(par.P{}, g.B, g.K, g.N, g.BRS, g.BCS)
						}
						p := par.P{Threads: threads}
						for b.Loop() {
							Run(p, &g)
						}
						b.ReportMetric(2e-9*float64(s[0]*s[1]*s[2])*float64(b.N)/b.Elapsed().Seconds(), "GFLOPS")
					})
				}
			}
		}
	}
}
