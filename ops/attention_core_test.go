package ops_test

import (
	"math"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

// naiveAttention is attention by its formula, on tensors [b, h, l, d].
type naiveAttention struct {
	b, hq, hk, lq, lk, d, dv int
	q, k, v                  []float32
	scale, softcap           float64
	// bias is added to the score of query i and key j; -Inf masks it out.
	bias func(b, h, i, j int) float64
	sink func(h int) float64 // joins the sum of the softmax; nil: none
}

// run returns y [b, hq, lq, dv] and the scores at the four stages.
func (a naiveAttention) run() (y []float32, stages [4][]float32) {
	y = make([]float32, a.b*a.hq*a.lq*a.dv)
	for b := 0; b < a.b; b++ {
		for h := 0; h < a.hq; h++ {
			kv := h / (a.hq / a.hk)
			for i := 0; i < a.lq; i++ {
				w := make([]float64, a.lk)
				sum, most := 0.0, math.Inf(-1)
				if a.sink != nil {
					most = a.sink(h)
				}
				for j := range w {
					dot := 0.0
					for e := 0; e < a.d; e++ {
						dot += float64(a.q[((b*a.hq+h)*a.lq+i)*a.d+e]) * float64(a.k[((b*a.hk+kv)*a.lk+j)*a.d+e])
					}
					w[j] = dot * a.scale
					stages[0] = append(stages[0], float32(w[j]))
					if a.softcap > 0 {
						w[j] = a.softcap * math.Tanh(w[j]/a.softcap)
					}
					stages[1] = append(stages[1], float32(w[j]))
					if a.bias != nil {
						w[j] += a.bias(b, h, i, j)
					}
					stages[2] = append(stages[2], float32(w[j]))
					most = math.Max(most, w[j])
				}
				for j := range w {
					if math.IsInf(w[j], -1) {
						w[j] = 0
					} else {
						w[j] = math.Exp(w[j] - most)
					}
					sum += w[j]
				}
				if a.sink != nil {
					sum += math.Exp(a.sink(h) - most)
				}
				for j := range w {
					if sum > 0 {
						w[j] /= sum
					}
					stages[3] = append(stages[3], float32(w[j]))
					for e := 0; e < a.dv; e++ {
						y[((b*a.hq+h)*a.lq+i)*a.dv+e] += float32(w[j] * float64(a.v[((b*a.hk+kv)*a.lk+j)*a.dv+e]))
					}
				}
			}
		}
	}
	return y, stages
}

// swapHeads turns [b, h, l, d] into [b, l, h, d].
func swapHeads(x []float32, b, h, l, d int) []float32 {
	y := make([]float32, len(x))
	for i := 0; i < b; i++ {
		for j := 0; j < h; j++ {
			for k := 0; k < l; k++ {
				copy(y[((i*l+k)*h+j)*d:][:d], x[((i*h+j)*l+k)*d:])
			}
		}
	}
	return y
}

// joinLength joins [b, h, l1, d] and [b, h, l2, d] along the third dimension.
func joinLength(x, y []float32, bh, l1, l2, d int) []float32 {
	var out []float32
	for i := 0; i < bh; i++ {
		out = append(out, x[i*l1*d:(i+1)*l1*d]...)
		out = append(out, y[i*l2*d:(i+1)*l2*d]...)
	}
	return out
}

func heads4(b, h, l, d int, x []float32) *tensor.Tensor { return F32([]int{b, h, l, d}, x...) }
