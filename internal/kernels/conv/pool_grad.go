package conv

import "github.com/gneiss-run/gneiss/internal/par"

// AveragePoolGrad computes the gradient of AveragePool's x from that of y: each
// element of dy goes, divided as AveragePool divides, to all that its window
// sees. With sum nothing is divided: the gradient of sums over windows.
func AveragePoolGrad[T Float](p par.P, planes int, w *Window, dy, dx []T, counts [][]int, sum bool) {
	last := len(w.In) - 1
	in, out, dil, ow := product(w.In), product(w.Out), w.Dilations[last], w.Out[last]
	if in == 0 {
		return
	}
	rows := product(w.Out[:last])
	p.For(planes, max(1, (1<<15)/max(1, in+out*product(w.Kernel))), func(lo, hi int) {
		v := newWalker(w)
		defer v.giveBack()
		for plane := lo; plane < hi; plane++ {
			image, grad := dx[plane*in:(plane+1)*in], dy[plane*out:(plane+1)*out]
			clear(image)
			for r := range rows {
				v.seek(r)
				outer := 1
				for i, o := range v.pos[:last] {
					if counts != nil {
						outer *= counts[i][o]
					}
				}
				for i, g := range grad[r*ow : (r+1)*ow] {
					at, n := w.columns(i)
					div := n * len(v.rows)
					if counts != nil {
						div = outer * counts[last][i]
					}
					switch {
					case sum:
					case div == 0:
						continue
					default:
						g = T(float64(g) / float64(div))
					}
					for _, row := range v.rows {
						a := row + at
						for range n {
							image[a] += g
							a += dil
						}
					}
				}
			}
		}
	})
}
