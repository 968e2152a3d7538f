package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestLastSpaceToDepth(t *testing.T) {
	var cases []Case
	for _, mode := range []string{"DCR", "CRD"} {
		for _, s := range [][5]int{{1, 2, 3, 1, 3}, {2, 3, 2, 5, 2}, {1, 4, 1, 3, 1}, {0, 1, 1, 1, 2}} {
			n, h, w, ch, b := s[0], s[1], s[2], s[3], s[4]
			small, large := make([]float32, n*h*w*ch*b*b), make([]float32, n*h*w*ch*b*b)
			for k := range n * h * w {
				for i := range b {
					for j := range b {
						for c := range ch {
							depth := (i*b+j)*ch + c
							if mode == "CRD" {
								depth = (c*b+i)*b + j
							}
							v := float32(len(small)-k*7-depth) / 3
							small[k*b*b*ch+depth] = v
							img, y, x := k/(h*w), k/w%h, k%w
							large[((img*h*b+y*b+i)*w*b+x*b+j)*ch+c] = v
						}
					}
				}
			}
			deep, wide := F32([]int{n, h, w, ch * b * b}, small...), F32([]int{n, h * b, w * b, ch}, large...)
			cases = append(cases, Case{Op: "SpaceToDepth", Domain: "x", Attrs: onnx.NewAttrs("blocksize", b, "mode", mode), In: Vals(wide), Want: Vals(deep)})
		}
	}
	cases = append(cases,
		Case{Op: "SpaceToDepth", Domain: "x", Attrs: onnx.NewAttrs("blocksize", 2), In: Vals(Of([]int{1, 3, 2, 6}, make([]uint8, 36)...)), Want: Vals(nil), Err: "sides that are multiples of 2"},
		Case{Op: "SpaceToDepth", Domain: "x", Attrs: onnx.NewAttrs("blocksize", 0), In: Vals(Of[uint8]([]int{1, 1, 1, 4}, 1, 2, 3, 4)), Want: Vals(nil), Err: "want a positive number"})
	Run(t, cases)
}
