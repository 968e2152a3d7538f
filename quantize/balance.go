package quantize

import (
	"cmp"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// Rounded to the nearest, the weights of one output have errors that are small
// each, but whose sum S grows with the square root of their number. Where what
// they are multiplied with has mean μ and variance σ², the squared error of the
// output is σ²·Σe² + μ²·S² (the Hessian σ²·I + μ²·11ᵀ). So a few weights near the
// middle of two codes get the other code, as long as that sum falls: Σe² hardly
// grows and S all but vanishes. No samples are needed.
//
// Source: Guo et al. 2022, "SQuant: On-the-Fly Data-Free Quantization via Diagonal
// Hessian Decomposition", https://arxiv.org/abs/2202.07471

// meanShare is μ²/σ² of what weights are taken to be multiplied with: about that
// of a Relu of values from a normal distribution, 0.47.
const meanShare = 0.5

// candidate is a weight whose code may move by one against the sum of errors.
type candidate struct {
	at        int
	err, step float64 // the magnitude of its error, and what one code is
}

// chosen reorders cs, of which all have errors of the sign of sum, and returns
// those that are worth moving.
func chosen(cs []candidate, sum float64) []candidate {
	slices.SortFunc(cs, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.err*a.step, a.err*b.step), cmp.Compare(a.at, b.at))
	})
	rest := math.Abs(sum)
	for i, c := range cs {
		if c.step-2*c.err+meanShare*(c.step-2*rest) >= 0 {
			return cs[:i]
		}
		rest = math.Abs(rest - c.step)
	}
	return cs
}

// nearMiddle returns the least error, in steps, of the candidates among k
// weights that are worth collecting: there are several times as many as it
// takes to make a sum of errors in steps vanish.
func nearMiddle(sum float64, k int) float64 {
	return max(0.2, 0.5-4*(math.Abs(sum)+4)/float64(k))
}

// balance moves codes of x, which are on g with a scale and zero point ps for each
// index of axis, so that errors of a channel cancel. It does not look at other
// channels, and needs the codes to be the nearest ones.
func (g grid) balance(p par.P, x []float32, codes *tensor.Tensor, axis int, ps func(c int) affine) {
	outer, channels, inner := split(codes.Shape(), axis)
	if codes.DType().Bits() < 8 {
		p = par.P{} // neighbours have a byte in common
	}
	p.For(channels, max(1, min(channels, 1<<16/max(1, outer*inner))), func(from, to int) {
		sums, cs := make([]float64, to-from), make([][]candidate, to-from)
		each := func(f func(c, i, q int, e float64)) {
			for o := range outer {
				for c := from; c < to; c++ {
					a := ps(c)
					for i := (o*channels + c) * inner; i < (o*channels+c+1)*inner; i++ {
						q := g.code(x[i], a)
						f(c, i, q, float64(q-a.zero)-float64(x[i])/float64(a.scale))
					}
				}
			}
		}
		each(func(c, _, _ int, e float64) { sums[c-from] += e })
		each(func(c, i, q int, e float64) {
			s := sums[c-from]
			if to := q - sign(s); e*s > 0 && math.Abs(e) > nearMiddle(s, outer*inner) && to >= g.lo && to <= g.hi {
				cs[c-from] = append(cs[c-from], candidate{i, math.Abs(e), 1})
			}
		})
		for c := from; c < to; c++ {
			for _, k := range chosen(cs[c-from], sums[c-from]) {
				setCode(codes, k.at, g.code(x[k.at], ps(c))-sign(sums[c-from]))
			}
		}
	})
}

// sign returns -1, 0 or 1.
func sign(x float64) int { return cmp.Compare(x, 0) }

// Balanced is the Rounder that rounds as RTN and then moves a few codes of each
// row so that their errors cancel where the inputs are not centred on 0.
func Balanced(w []float32, n, k int, hessian []float64, g BlockGrid, threads int) (*Blocks, error) {
	b, err := RTN(w, n, k, hessian, g, threads)
	if err != nil {
		return nil, err
	}
	per, most := b.PerRow(), 1<<b.Bits-1
	par.P{Threads: threads}.For(n, max(1, 1<<13/k), func(lo, hi int) {
		var cs []candidate
		for i := lo; i < hi; i++ {
			row, codes := w[i*k:(i+1)*k], b.Codes[i*k:(i+1)*k]
			sum := 0.0
			each := func(f func(j int, e, scale float64)) {
				for j, v := range row {
					at := i*per + j/b.Block
					scale := float64(b.Scales[at])
					f(j, float64(int(codes[j])-int(b.zero(i, j/b.Block)))*scale-float64(v), scale)
				}
			}
			each(func(_ int, e, _ float64) { sum += e })
			cs = cs[:0]
			each(func(j int, e, scale float64) {
				step := math.Abs(scale)
				if to := int(codes[j]) - sign(sum)*sign(scale); e*sum > 0 && math.Abs(e) > 0.2*step && to >= 0 && to <= most {
					cs = append(cs, candidate{j, math.Abs(e), step})
				}
			})
			for _, c := range chosen(cs, sum) {
				codes[c.at] = uint8(int(codes[c.at]) - sign(sum)*sign(float64(b.Scales[i*per+c.at/b.Block])))
			}
		}
	})
	return b, nil
}
