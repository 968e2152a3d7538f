package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
)

// x.GroupNormalization: Y = activation(scale * (X - mean) / sqrt(var + epsilon) + bias)
// with the channels last, the statistics per instance and group of channels.
// num_groups 0 makes each channel a group: instance normalization. activation
// and activation_params are as in FusedConv.
//
//	X: T[n, ..., c]    scale, bias: T[c]    Y: T[n, ..., c]; may share X's storage
//
// T: float16, bfloat16 (both computed in float32), float32, float64. Sums are
// made in T over short columns and in float64 beyond.
//
// Spec: https://onnx.ai/onnx/operators/onnx__GroupNormalization.html
func init() {
	register(&Op{Domain: "x", Name: "GroupNormalization", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: N(3), Out: N(1), InPlace: []int{0}, Infer: inferSame, Build: buildLastGroupNorm},
	}})
}

func buildLastGroupNorm(b *BuildContext) (Kernel, error) {
	groups, eps := b.Int("num_groups", 0), float64(b.Float("epsilon", 1e-5))
	if groups < 0 {
		return nil, fmt.Errorf("attribute \"num_groups\" is %d, want 0 or more", groups)
	}
	act, err := newActivation(b.Str("activation", ""), b.Floats("activation_params", nil))
	if err != nil {
		return nil, err
	}
	t := vec.Best()
	fast := columns[float32]{
		add: t.AddColumns,
		addSquares: func(acc, x, mean, tmp []float32, rows, n int) {
			tmp = tmp[:rows*n]
			t.Arith[vec.Sub].RowsVV(tmp, x, mean, n, rows, n, 0)
			t.Mul(tmp, tmp, tmp)
			t.AddColumns(acc, tmp, rows, n)
		},
		affine: func(y, x, mean, scale, bias []float32, rows, n int) {
			y = y[:rows*n]
			t.Arith[vec.Sub].RowsVV(y, x, mean, n, rows, n, 0)
			t.Arith[vec.Mul].RowsVV(y, y, scale, n, rows, n, 0)
			t.Arith[vec.Add].RowsVV(y, y, bias, n, rows, n, 0)
		},
	}
	return b.realKernels(0, lastGroupNorm(groups, eps, fast, activationFor[float32](act)),
		lastGroupNorm(groups, eps, loopColumns[float64](), activationFor[float64](act)))
}

// columns are the loops over a matrix of rows by n elements that normalization needs.
type columns[T floating] struct {
	add        func(acc, x []T, rows, n int)                  // acc += each row
	addSquares func(acc, x, mean, tmp []T, rows, n int)       // acc += (row - mean)²; tmp is as large as x
	affine     func(y, x, mean, scale, bias []T, rows, n int) // y = (x - mean)*scale + bias
}

func loopColumns[T floating]() columns[T] {
	return columns[T]{
		add: func(acc, x []T, rows, n int) {
			for r := range rows {
				for j, v := range x[r*n : (r+1)*n] {
					acc[j] += v
				}
			}
		},
		addSquares: func(acc, x, mean, _ []T, rows, n int) {
			for r := range rows {
				for j, v := range x[r*n : (r+1)*n] {
					acc[j] += (v - mean[j]) * (v - mean[j])
				}
			}
		},
		affine: func(y, x, mean, scale, bias []T, rows, n int) {
			for r := range rows {
				dst := y[r*n : (r+1)*n]
				for j, v := range x[r*n : (r+1)*n] {
					dst[j] = (v-mean[j])*scale[j] + bias[j]
				}
			}
		},
	}
}

func lastGroupNorm[T floating](groups int, eps float64, cols columns[T], act func([]T)) Kernel {
	return func(c *Call) error {
		xt := c.T(0)
		s := xt.Shape()
		if len(s) < 2 {
			return fmt.Errorf("X has shape %v, want [n ... c]", s)
		}
		n, ch := s[0], s[len(s)-1]
		rows := sizeOf(s[1 : len(s)-1])
		g := groups
		if g == 0 {
			g = ch
		}
		if g > 0 && ch%g != 0 {
			return fmt.Errorf("X has shape %v: %d channels are not a multiple of num_groups %d", s, ch, g)
		}
		scale, err := vectorParam[T](c, 1, "scale", ch)
		if err != nil {
			return err
		}
		bias, err := vectorParam[T](c, 2, "bias", ch)
		if err != nil {
			return err
		}
		x, err := reals[T](c, 0)
		if err != nil {
			return err
		}
		y, done := realsOut[T](c, 0, xt.DType(), s...)
		if len(x) > 0 {
			v := lastNorm[T]{columns: cols, n: n, rows: rows, ch: ch, groups: g, act: act}
			v.run(c.P, y, x, eps, scale, bias)
		}
		done()
		return nil
	}
}

// lastNorm normalizes n images of rows positions with ch channels.
type lastNorm[T floating] struct {
	columns[T]
	n, rows, ch, groups int
	act                 func([]T)
}

func (v *lastNorm[T]) run(p par.P, y, x []T, eps float64, scale, bias []T) {
	per := max(1, min(v.rows, 2048/v.ch)) // rows of a tile, which stays in the cache
	tiles := (v.rows + per - 1) / per
	span := max(1, min(16, tiles/4)) // tiles of a chunk
	chunks := (tiles + span - 1) / span
	size := v.rows * v.ch
	each := func(f func(image, chunk, lo, hi int, tmp []T)) {
		p.For(v.n*chunks, 1+normGrain/(span*per*v.ch), func(from, to int) {
			tmp := make([]T, (per+1)*v.ch)
			for i := from; i < to; i++ {
				image, k := i/chunks, i%chunks
				for t := k * span; t < min((k+1)*span, tiles); t++ {
					f(image, i, image*size+t*per*v.ch, image*size+min((t+1)*per, v.rows)*v.ch, tmp)
				}
			}
		})
	}
	sums := make([]float64, v.n*chunks*v.ch)
	reduce := func(add func(acc, x []T, image, rows int, tmp []T)) []float64 {
		clear(sums)
		each(func(image, chunk, lo, hi int, tmp []T) {
			acc := tmp[:v.ch]
			clear(acc)
			add(acc, x[lo:hi], image, (hi-lo)/v.ch, tmp[v.ch:])
			to := sums[chunk*v.ch : (chunk+1)*v.ch]
			for j, a := range acc {
				to[j] += float64(a)
			}
		})
		out := make([]float64, v.n*v.groups)
		in := v.ch / v.groups
		for i := range v.n {
			for k := range chunks {
				for j, a := range sums[(i*chunks+k)*v.ch:][:v.ch] {
					out[i*v.groups+j/in] += a
				}
			}
		}
		for i := range out {
			out[i] /= float64(v.rows * in)
		}
		return out
	}
	wide := func(f func(group, channel int) float64) []T { // per image and channel
		out := make([]T, v.n*v.ch)
		for i := range out {
			j := i % v.ch
			out[i] = T(f(i/v.ch*v.groups+j/(v.ch/v.groups), j))
		}
		return out
	}
	mean := reduce(func(acc, x []T, _, rows int, _ []T) { v.add(acc, x, rows, v.ch) })
	means := wide(func(g, _ int) float64 { return mean[g] })
	variance := reduce(func(acc, x []T, image, rows int, tmp []T) {
		v.addSquares(acc, x, means[image*v.ch:(image+1)*v.ch], tmp, rows, v.ch)
	})
	factor := wide(func(g, j int) float64 { return float64(scale[j]) / math.Sqrt(variance[g]+eps) })
	each(func(image, _, lo, hi int, _ []T) {
		dst := y[lo:hi]
		at := image * v.ch
		v.affine(dst, x[lo:hi], means[at:at+v.ch], factor[at:at+v.ch], bias, (hi-lo)/v.ch, v.ch)
		if v.act != nil {
			v.act(dst)
		}
	})
}
