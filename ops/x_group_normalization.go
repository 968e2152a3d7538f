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

// fold returns how many positions a line of columns takes: short lines cost
// more than what is done to them.
func (v *lastNorm[T]) fold() int {
	const short = 128
	m := max(1, min(v.rows, short/v.ch))
	for v.rows%m != 0 {
		m--
	}
	return m
}

func (v *lastNorm[T]) run(p par.P, y, x []T, eps float64, scale, bias []T) {
	m := v.fold()
	cols, lines := m*v.ch, v.rows/m      // column j is of channel j % v.ch
	per := max(1, min(lines, 2048/cols)) // lines of a tile, which stays in the cache
	tiles := (lines + per - 1) / per
	span := max(1, min(16, tiles/4)) // tiles of a chunk
	chunks := (tiles + span - 1) / span
	size := lines * cols
	each := func(f func(image, chunk, lo, hi int, tmp []T)) {
		p.For(v.n*chunks, 1+normGrain/(span*per*cols), func(from, to int) {
			tmp := make([]T, (per+1)*cols)
			for i := from; i < to; i++ {
				image, k := i/chunks, i%chunks
				for t := k * span; t < min((k+1)*span, tiles); t++ {
					f(image, i, image*size+t*per*cols, image*size+min((t+1)*per, lines)*cols, tmp)
				}
			}
		})
	}
	sums := make([]float64, v.n*chunks*cols)
	in := v.ch / v.groups
	reduce := func(add func(acc, x []T, image, lines int, tmp []T)) []float64 {
		clear(sums)
		each(func(image, chunk, lo, hi int, tmp []T) {
			acc := tmp[:cols]
			clear(acc)
			add(acc, x[lo:hi], image, (hi-lo)/cols, tmp[cols:])
			to := sums[chunk*cols : (chunk+1)*cols]
			for j, a := range acc {
				to[j] += float64(a)
			}
		})
		out := make([]float64, v.n*v.groups)
		for i := range v.n {
			for k := range chunks {
				for j, a := range sums[(i*chunks+k)*cols:][:cols] {
					out[i*v.groups+j%v.ch/in] += a
				}
			}
		}
		for i := range out {
			out[i] /= float64(v.rows * in)
		}
		return out
	}
	wide := func(f func(group, channel int) T) []T { // per image and column
		out := make([]T, v.n*cols)
		for i := range out {
			j := i % v.ch
			out[i] = f(i/cols*v.groups+j/in, j)
		}
		return out
	}
	mean := reduce(func(acc, x []T, _, lines int, _ []T) { v.add(acc, x, lines, cols) })
	means := wide(func(g, _ int) T { return T(mean[g]) })
	variance := reduce(func(acc, x []T, image, lines int, tmp []T) {
		v.addSquares(acc, x, means[image*cols:(image+1)*cols], tmp, lines, cols)
	})
	factors := wide(func(g, j int) T { return T(float64(scale[j]) / math.Sqrt(variance[g]+eps)) })
	terms := wide(func(_, j int) T { return bias[j] })
	each(func(image, _, lo, hi int, _ []T) {
		dst := y[lo:hi]
		a, b := image*cols, (image+1)*cols
		v.affine(dst, x[lo:hi], means[a:b], factors[a:b], terms[a:b], (hi-lo)/cols, cols)
		if v.act != nil {
			v.act(dst)
		}
	})
}
