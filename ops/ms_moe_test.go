package ops_test

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// naiveMoE is the mixture with matrices w[0] [e, n1, hid], w[1] [e, hid, inner] and, for
// swiglu with fusion 0, w[2] [e, inner, hid]; mix, where it is not nil, has the weights of experts.
type naiveMoE struct {
	rows, e, k, hid, inner int
	norm                   bool
	act                    string
	fusion                 int
	alpha, beta, limit     float64
	w, bias                [3][]float32
	mix                    []float32
}

func (m naiveMoE) run(x, probs []float32) []float32 {
	y := make([]float32, m.rows*m.hid)
	product := func(i, e, n, k int, x []float64) []float64 {
		out := make([]float64, n)
		for r := range out {
			for c := range k {
				out[r] += float64(m.w[i][(e*n+r)*k+c]) * x[c]
			}
			if m.bias[i] != nil {
				out[r] += float64(m.bias[i][e*n+r])
			}
		}
		return out
	}
	n1 := m.inner
	if m.act == "swiglu" && m.fusion > 0 {
		n1 *= 2
	}
	for t := range m.rows {
		p, order := probs[t*m.e:(t+1)*m.e], make([]int, m.e)
		for i := range order {
			order[i] = i
		}
		sort.SliceStable(order, func(a, b int) bool { return p[order[a]] > p[order[b]] })
		sum := 0.0
		weight := func(e int) float64 {
			if m.mix != nil {
				return float64(m.mix[t*m.e+e])
			}
			return math.Exp(float64(p[e]))
		}
		for i, e := range order {
			if i < m.k || !m.norm {
				sum += weight(e)
			}
		}
		if m.mix != nil && !m.norm {
			sum = 1
		}
		for _, e := range order[:m.k] {
			row := to64(x[t*m.hid : (t+1)*m.hid])
			a := product(0, e, n1, m.hid, row)
			f := make([]float64, m.inner)
			for i := range f {
				g := a[i]
				switch m.act {
				case "relu":
					f[i] = max(g, 0)
				case "silu":
					f[i] = g * sigm(g)
				case "gelu":
					f[i] = g / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(g+0.044715*g*g*g)))
				case "identity":
					f[i] = g
				case "swiglu":
					var l float64
					switch m.fusion {
					case 0:
						l = product(2, e, m.inner, m.hid, row)[i]
					case 1:
						g, l = a[2*i], a[2*i+1]
					case 2:
						l = a[m.inner+i]
					}
					g, l = min(g, m.limit), max(-m.limit, min(l, m.limit))
					f[i] = g * sigm(m.alpha*g) * (l + m.beta)
				}
			}
			for j, v := range product(1, e, m.hid, m.inner, f) {
				y[t*m.hid+j] += float32(weight(e) / sum * v)
			}
		}
	}
	return y
}

func TestMoE(t *testing.T) {
	const ms, rows, e, hid, inner = "com.microsoft", 6, 5, 8, 7
	x, probs := wave(rows*hid, 1), wave(rows*e, 2)
	var cases []Case
	for _, act := range []string{"relu", "gelu", "silu", "identity", "swiglu"} {
		for fusion := range 3 {
			if act != "swiglu" && fusion > 0 {
				continue
			}
			for k := 1; k <= e; k += 2 {
				m := naiveMoE{rows: rows, e: e, k: k, hid: hid, inner: inner, norm: k%4 == 1, act: act, fusion: fusion, alpha: 1.5, beta: 0.5, limit: 0.75}
				n1 := inner
				if fusion > 0 {
					n1 *= 2
				}
				m.w = [3][]float32{wave(e*n1*hid, 3), wave(e*hid*inner, 4), wave(e*inner*hid, 5)}
				in := Vals(F32([]int{2, 3, hid}, x...), F32([]int{rows, e}, probs...), F32([]int{e, n1, hid}, m.w[0]...), nil, F32([]int{e, hid, inner}, m.w[1]...), nil)
				if k > 1 {
					m.bias[0], m.bias[1] = wave(e*n1, 6), wave(e*hid, 7)
					in[3], in[5] = F32([]int{e, n1}, m.bias[0]...), F32([]int{e, hid}, m.bias[1]...)
				}
				if act == "swiglu" && fusion == 0 {
					in = append(in, F32([]int{e, inner, hid}, m.w[2]...))
				}
				as := onnx.NewAttrs("activation_type", act, "swiglu_fusion", fusion, "k", k, "activation_alpha", 1.5, "activation_beta", 0.5, "swiglu_limit", 0.75)
				if m.norm {
					as = as.Set("normalize_routing_weights", 1)
				}
				cases = append(cases, Case{Name: fmt.Sprint(act, fusion, k), Op: "MoE", Domain: ms, In: in, Attrs: as, Want: Vals(F32([]int{2, 3, hid}, m.run(x, probs)...)), Tol: close5})
			}
		}
	}
	bad := func(err string, change func(c *Case)) {
		c := cases[0]
		c.In = append([]tensor.Value(nil), c.In...)
		change(&c)
		c.Err = err
		cases = append(cases, c)
	}
	bad("router_probs is", func(c *Case) { c.In[1] = waveT(1, rows, e+1) })
	bad("they do not fit", func(c *Case) { c.In[4] = waveT(1, e, hid, inner+1) })
	bad("the bias of fc2 has 3", func(c *Case) { c.In[5] = waveT(1, 3) })
	bad("want no more than the 5 experts", func(c *Case) { c.Attrs = slices.Clone(c.Attrs).Set("k", 6) })
	bad("use_sparse_mixer", func(c *Case) { c.Attrs = slices.Clone(c.Attrs).Set("use_sparse_mixer", 1) })
	bad("fc3: true", func(c *Case) { c.In = append(c.In, waveT(1, e, inner, hid)) })
	Run(t, cases)
}
