package ops_test

import (
	"fmt"
	"slices"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// quantizedExperts returns matrices [e, n, k] of codes that follow a pattern, as numbers and as QMoE
// takes them: packed codes, scales and zero points. block 0: a scale for each row.
func quantizedExperts(e, n, k, bits, block int, zeros bool) (w []float32, q, s, z *tensor.Tensor) {
	each := block
	if each == 0 {
		each = k
	}
	blocks := k / each
	pack := func(codes []byte, row int) []byte {
		per := (row*bits + 7) / 8
		out := make([]byte, len(codes)/row*per)
		for i, c := range codes {
			out[i/row*per+i%row*bits/8] |= c << (i % row * bits % 8)
		}
		return out
	}
	codes, points, scales := make([]byte, e*n*k), make([]byte, e*n*blocks), make([]float32, e*n*blocks)
	for i := range points {
		points[i] = 1 << (bits - 1)
		if zeros {
			points[i] = byte(i*7+3) & (1<<bits - 1)
		}
		scales[i] = (0.3 + float32(i%5)*0.1) / float32(int(1)<<bits)
	}
	w = make([]float32, len(codes))
	for i := range codes {
		codes[i] = byte(i*i+i/7) & (1<<bits - 1)
		b := i / each
		w[i] = (float32(codes[i]) - float32(points[b])) * scales[b]
	}
	q = tensor.Of(pack(codes, k), e, n, k*bits/8)
	if block == 0 {
		return w, q, F32([]int{e, n}, scales...), tensor.Of(pack(points, n), e, (n*bits+7)/8)
	}
	return w, q, F32([]int{e, n, blocks}, scales...), tensor.Of(pack(points, blocks), e, n, (blocks*bits+7)/8)
}

func TestQMoE(t *testing.T) {
	const ms, rows, e, hid, inner, k = "com.microsoft", 6, 5, 64, 32, 2
	x, probs, mix := wave(rows*hid, 1), wave(rows*e, 2), wave(rows*e, 3)
	for i, v := range mix {
		mix[i] = v*v + 0.1
	}
	var cases []Case
	for _, bits := range []int{2, 4, 8} {
		for _, block := range []int{0, 16, 32} {
			for mode := range 4 {
				w1, q1, s1, z1 := quantizedExperts(e, 2*inner, hid, bits, block, mode > 0)
				w2, q2, s2, z2 := quantizedExperts(e, hid, inner, bits, block, mode > 0)
				m := naiveMoE{rows: rows, e: e, k: k, hid: hid, inner: inner, norm: true, act: "swiglu", fusion: 1, alpha: 1, beta: 0, limit: 1e9}
				m.w[0], m.w[1] = w1, w2
				m.bias[0], m.bias[1] = wave(e*2*inner, 6), wave(e*hid, 7)
				in := make([]tensor.Value, 15)
				in[0], in[1] = F32([]int{2, 3, hid}, x...), F32([]int{rows, e}, probs...)
				in[2], in[3], in[4] = q1, s1, F32([]int{e, 2 * inner}, m.bias[0]...)
				in[5], in[6], in[7] = q2, s2, F32([]int{e, hid}, m.bias[1]...)
				if mode > 0 {
					in[11], in[12] = z1, z2
				}
				as := onnx.NewAttrs("activation_type", "swiglu", "swiglu_fusion", 1, "k", k, "expert_weight_bits", bits)
				if block > 0 {
					as = as.Set("block_size", block)
				}
				if mode > 1 {
					m.mix, m.norm = mix, mode == 3
					in[14] = F32([]int{rows, e}, mix...)
					as = as.Set("normalize_routing_weights", mode-2)
				}

				want := Vals(F32([]int{2, 3, hid}, m.run(x, probs)...))
				cases = append(cases, Case{Name: fmt.Sprint(bits, block, mode), Op: "QMoE", Domain: ms, In: in, Attrs: as, Want: want, Tol: tensor.Tolerance{Rel: 1e-4, Abs: 1e-4}})
				if bits == 4 {
					cases = append(cases, Case{Name: fmt.Sprint("level 4 ", block, mode), Op: "QMoE", Domain: ms, In: in, Attrs: slices.Clone(as).Set("accuracy_level", 4),
						Want: want, Tol: tensor.Tolerance{Rel: 0.05, Abs: 0.15}})
				}
			}
		}
	}
	bad := func(err string, change func(c *Case)) {
		c := cases[0]
		c.In, c.Attrs = append([]tensor.Value(nil), c.In...), slices.Clone(c.Attrs)
		change(&c)
		c.Err = err
		cases = append(cases, c)
	}
	bad("want 2, 4 or 8", func(c *Case) { c.Attrs = c.Attrs.Set("expert_weight_bits", 3) })
	bad("quant_type", func(c *Case) { c.Attrs = c.Attrs.Set("quant_type", "fp8") })
	bad("global scales", func(c *Case) { c.In = append(c.In, F32([]int{e}, wave(e, 1)...)) })
	bad("the scales of input 2 have 3", func(c *Case) { c.In[3] = waveT(1, 3) })
	bad("want a power of 2", func(c *Case) { c.Attrs = c.Attrs.Set("block_size", 24) })
	Run(t, cases)
}
