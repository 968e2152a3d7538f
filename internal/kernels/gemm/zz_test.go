package gemm

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gneiss-run/gneiss/internal/par"
)

func TestZ(t *testing.T) {
	var tab *Table
	for _, x := range Tables {
		if x.Name == "avx2" {
			tab = x
		}
	}
	top := peak(tab, 1)
	for range 20 {
		top = max(top, peak(tab, 1))
	}
	fmt.Println("peak", top)
	for _, s := range [][3]int{{1024, 1024, 1024}, {1024, 1024, 1040}, {1024, 1024, 1000}, {128, 3072, 768}, {128,3072,776}, {1024,1024,512}, {1024,1024,528}} {
		g := args[float32](rand.New(rand.NewPCG(1, 2)), s[0], s[1], s[2], false, false)
		g.Table = tab
		g.Packed = Pack(par.P{}, g.B, g.K, g.N, g.BRS, g.BCS)
		best := time.Hour
		for end := time.Now().Add(2500 * time.Millisecond); time.Now().Before(end); {
			st := time.Now()
			Run(par.P{Threads: 1}, &g)
			best = min(best, time.Since(st))
		}
		r := 2e-9 * float64(s[0]) * float64(s[1]) * float64(s[2]) / best.Seconds()
		fmt.Printf("%v %.1f GFLOPS %.1f%%\n", s, r, 100*r/top)
	}
}
