package ops_test

import (
	"math"
	"slices"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestMatMulBnb4(t *testing.T) {
	const ms = "com.microsoft"
	// Some entries of the tables, by code.
	known := []map[int]float64{{0: 0, 2: 2. / 3, 3: 1, 6: 1. / 6, 7: 0.25, 11: -1, 15: -0.25}, {0: -1, 7: 0, 8: 0.07958029955625534, 12: 0.44070982933044434, 15: 1}}
	var cases []Case
	for kind := range 2 {
		var some []int
		for c := range known[kind] {
			some = append(some, c)
		}
		slices.Sort(some)
		for _, size := range [][3]int{{3, 32, 5}, {1, 48, 70}, {2, 19, 3}, {0, 16, 2}} { // odd rows begin within a byte and a block
			m, k, n := size[0], size[1], size[2]
			x, scales := wave(m*k, 1), wave((n*k+15)/16, 2)
			b := make([]byte, (n*k+1)/2)
			w := make([]float64, n*k)
			for i := range w {
				code := some[(i*i+i/5)%len(some)]
				b[i/2] |= byte(code) << (4 - i%2*4)
				w[i] = known[kind][code] * float64(scales[i/16])
			}
			y := make([]float32, m*n)
			for i := range y {
				s := 0.0
				for j := range k {
					s += float64(x[i/n*k+j]) * w[i%n*k+j]
				}
				y[i] = float32(s)
			}
			cases = append(cases, Case{Op: "MatMulBnb4", Domain: ms, In: Vals(F32([]int{m, k}, x...), tensor.Of(b, len(b)), F32([]int{len(scales)}, scales...)),
				Attrs: onnx.NewAttrs("K", k, "N", n, "block_size", 16, "quant_type", kind), Want: Vals(F32([]int{m, n}, y...)), Tol: close5})
		}
	}
	half := Of([]int{1, 16}, slices.Repeat([]tensor.F16{tensor.F16Of(0.5)}, 16)...)
	cases = append(cases, Case{Op: "MatMulBnb4", Domain: ms, In: Vals(half, tensor.Of(slices.Repeat([]byte{0x33}, 8), 8), Of([]int{1}, tensor.F16Of(2))),
		Attrs: onnx.NewAttrs("K", 16, "N", 1, "block_size", 16, "quant_type", 0), Want: Vals(Of([]int{1, 1}, tensor.F16Of(16)))})
	bad := func(err string, change func(c *Case)) {
		c := cases[0]
		c.In, c.Attrs = append([]tensor.Value(nil), c.In...), slices.Clone(c.Attrs)
		change(&c)
		c.Err = err
		cases = append(cases, c)
	}
	bad("transB is 0", func(c *Case) { c.Attrs = c.Attrs.Set("transB", 0) })
	bad("quant_type is 2", func(c *Case) { c.Attrs = c.Attrs.Set("quant_type", 2) })
	bad("want 80 bytes", func(c *Case) { c.In[1] = tensor.Of([]byte{1}, 1) })
	bad("absmax has 1 elements, want 10", func(c *Case) { c.In[2] = F32([]int{1}, float32(math.Pi)) })
	Run(t, cases)
}
