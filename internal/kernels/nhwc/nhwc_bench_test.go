package nhwc

import (
	"fmt"
	"testing"
	"time"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/internal/par"
)

// benchShapes are convolutions of networks for images: the side of the image,
// channels, side of the kernel, stride, padding, groups.
var benchShapes = []struct {
	name                   string
	in, c, m, k, s, pad, g int
}{
	{"r50_1x1_56_64_64", 56, 64, 64, 1, 1, 0, 1},
	{"r50_1x1_56_64_256", 56, 64, 256, 1, 1, 0, 1},
	{"r50_1x1_56_256_64", 56, 256, 64, 1, 1, 0, 1},
	{"r50_1x1_28_512_128", 28, 512, 128, 1, 1, 0, 1},
	{"r50_1x1_14_256_1024", 14, 256, 1024, 1, 1, 0, 1},
	{"r50_1x1_7_2048_512", 7, 2048, 512, 1, 1, 0, 1},
	{"r50_1x1s2_56_256_512", 56, 256, 512, 1, 2, 0, 1},
	{"r50_3x3_56_64", 56, 64, 64, 3, 1, 1, 1},
	{"r50_3x3_28_128", 28, 128, 128, 3, 1, 1, 1},
	{"r50_3x3_14_256", 14, 256, 256, 3, 1, 1, 1},
	{"r50_3x3_7_512", 7, 512, 512, 3, 1, 1, 1},
	{"r50_3x3s2_56_128", 56, 128, 128, 3, 2, 1, 1},
	{"r50_stem", 224, 3, 64, 7, 2, 3, 1},
	{"mb_stem", 224, 3, 32, 3, 2, 1, 1},
	{"sq_stem", 224, 3, 64, 3, 2, 0, 1},
	{"sq_1x1_13_512_1000", 13, 512, 1000, 1, 1, 0, 1},
	{"mb_1x1_112_32_16", 112, 32, 16, 1, 1, 0, 1},
	{"mb_1x1_112_16_96", 112, 16, 96, 1, 1, 0, 1},
	{"mb_1x1_56_144_24", 56, 144, 24, 1, 1, 0, 1},
	{"mb_1x1_56_24_144", 56, 24, 144, 1, 1, 0, 1},
	{"mb_1x1_14_96_576", 14, 96, 576, 1, 1, 0, 1},
	{"mb_1x1_7_960_160", 7, 960, 160, 1, 1, 0, 1},
	{"se_1x1_1_1152_48", 1, 1152, 48, 1, 1, 0, 1},
	{"dw3_112_32", 112, 32, 32, 3, 1, 1, 32},
	{"dw3s2_112_96", 112, 96, 96, 3, 2, 1, 96},
	{"dw3_56_144", 56, 144, 144, 3, 1, 1, 144},
	{"dw3_14_576", 14, 576, 576, 3, 1, 1, 576},
	{"dw3_7_960", 7, 960, 960, 3, 1, 1, 960},
	{"dw5_28_240", 28, 240, 240, 5, 1, 2, 240},
	{"dw5s2_28_240", 28, 240, 240, 5, 2, 2, 240},
	{"dw5_7_1152", 7, 1152, 1152, 5, 1, 2, 1152},
	{"dw7_56_96", 56, 96, 96, 7, 1, 3, 96},
	{"dw7_14_384", 14, 384, 384, 7, 1, 3, 384},
	{"unet_3x3_64_64", 64, 64, 64, 3, 1, 1, 1},
	{"unet_3x3_16_256", 16, 256, 256, 3, 1, 1, 1},
	{"espcn_5x5_224_1_64", 224, 1, 64, 5, 1, 2, 1},
	{"espcn_3x3_224_32_9", 224, 32, 9, 3, 1, 1, 1},
	{"out_3x3_64_64_3", 64, 64, 3, 3, 1, 1, 1},
	{"vit_patch", 224, 3, 768, 16, 16, 0, 1},
	{"cnx_patch", 224, 3, 96, 4, 4, 0, 1},
	{"grp_3x3_28_256_g32", 28, 256, 256, 3, 1, 1, 32},
	{"grp_3x3s2_112_64_g4", 112, 64, 64, 3, 2, 1, 4},
	{"grp_3x3_28_144_g9", 28, 144, 144, 3, 1, 1, 9},
	{"grp_3x3_14_320_g20", 14, 320, 320, 3, 1, 1, 20},
}

func BenchmarkConv(b *testing.B) { benchmarkConv(b, false) }

// BenchmarkDirect does without Winograd's method.
func BenchmarkDirect(b *testing.B) { benchmarkConv(b, true) }

func benchmarkConv(b *testing.B, direct bool) {
	for _, tab := range Tables[1:] {
		for _, threads := range []int{1, 2} {
			for _, s := range benchShapes {
				b.Run(fmt.Sprintf("%s/%d/%s", tab.Name, threads, s.name), func(b *testing.B) {
					out := (s.in+2*s.pad-s.k)/s.s + 1
					two := func(n int) []int { return []int{n, n} }
					w := make([]float32, s.m*s.c/s.g*s.k*s.k)
					a := &Args[float32]{N: 1, Table: tab, W: Pack(tab, w, s.m, s.c, s.g, two(s.k)),
						Window: conv.Window{In: two(s.in), Kernel: two(s.k), Out: two(out), Strides: two(s.s), Dilations: two(1), Before: two(s.pad)},
						X:      make([]float32, s.in*s.in*s.c), B: make([]float32, s.m), Y: make([]float32, out*out*s.m)}
					a.Clamp, a.Hi = true, 6
					if tab.Winograd(s.m, s.c, s.g, &a.Window) && !direct {
						a.W = PackWinograd(tab, w, s.m, s.c)
					}
					buf := []float32(nil)
					a.Scratch = func(n int) []float32 {
						if len(buf) < n {
							buf = make([]float32, n)
						}
						return buf[:n]
					}
					b.ReportAllocs()
					least := time.Hour
					for b.Loop() {
						start := time.Now()
						Conv(par.P{Threads: threads}, a)
						least = min(least, time.Since(start))
					}
					b.ReportMetric(float64(least.Nanoseconds())/1e3, "least-us")
					b.ReportMetric(float64(len(a.Y))*float64(s.c/s.g*s.k*s.k)/float64(least.Nanoseconds()), "GMAC/s")
				})
			}
		}
	}
}
