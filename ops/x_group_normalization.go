package ops

import (
	"fmt"
	"math"
	"slices"

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
			v := State[lastNorm[T]](c)
			v.columns, v.n, v.rows, v.ch, v.groups, v.act = cols, n, rows, ch, g, act
			v.x, v.y, v.scale, v.bias = x, y, scale, bias
			v.run(c.P, eps)
			v.x, v.y, v.scale, v.bias = nil, nil, nil, nil
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
	x, y, scale, bias   []T

	cols, lines, per, tiles, span, chunks int // see run
	sums, mean, variance                  []float64
	means, factors, terms                 []T // per image and column
	pass                                  normPass
}

// normPass is what threads do with tiles.
type normPass int

const (
	sumPass normPass = iota
	squaresPass
	affinePass
)

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

func (v *lastNorm[T]) run(p par.P, eps float64) {
	m := v.fold()
	v.cols, v.lines = m*v.ch, v.rows/m        // column j is of channel j % v.ch
	v.per = max(1, min(v.lines, 2048/v.cols)) // lines of a tile, which stays in the cache
	v.tiles = (v.lines + v.per - 1) / v.per
	v.span = max(1, min(16, v.tiles/4))        // tiles of a chunk
	v.chunks = (v.tiles + v.span - 1) / v.span // of an image
	v.sums = slices.Grow(v.sums[:0], v.n*v.chunks*v.cols)[:v.n*v.chunks*v.cols]
	in := v.ch / v.groups
	v.reduce(p, sumPass, &v.mean)
	v.means = slices.Grow(v.means[:0], v.n*v.cols)[:v.n*v.cols]
	for i := range v.means {
		v.means[i] = T(v.mean[i/v.cols*v.groups+i%v.ch/in])
	}
	v.reduce(p, squaresPass, &v.variance)
	v.factors, v.terms = slices.Grow(v.factors[:0], v.n*v.cols)[:v.n*v.cols], slices.Grow(v.terms[:0], v.n*v.cols)[:v.n*v.cols]
	for i := range v.factors {
		j := i % v.ch
		v.factors[i] = T(float64(v.scale[j]) / math.Sqrt(v.variance[i/v.cols*v.groups+j/in]+eps))
		v.terms[i] = v.bias[j]
	}
	v.each(p, affinePass)
}

// each makes a pass over all tiles.
func (v *lastNorm[T]) each(p par.P, pass normPass) {
	v.pass = pass
	par.Run(p, v.n*v.chunks, 1+normGrain/(v.span*v.per*v.cols), par.With(normTiles[T]{v}))
}

// reduce sets out to the means of a pass by image and group.
func (v *lastNorm[T]) reduce(p par.P, pass normPass, out *[]float64) {
	clear(v.sums)
	v.each(p, pass)
	*out = slices.Grow((*out)[:0], v.n*v.groups)[:v.n*v.groups]
	clear(*out)
	in := v.ch / v.groups
	for i := range v.n {
		for k := range v.chunks {
			for j, a := range v.sums[(i*v.chunks+k)*v.cols:][:v.cols] {
				(*out)[i*v.groups+j%v.ch/in] += a
			}
		}
	}
	for i := range *out {
		(*out)[i] /= float64(v.rows * in)
	}
}

type normTiles[T floating] struct{ *lastNorm[T] }

type normMemory[T floating] struct{ tmp []T }

func (v *normTiles[T]) Chunk(from, to int) {
	mem, pool := borrow[normMemory[T]]()
	defer pool.Put(mem)
	cols, size := v.cols, v.lines*v.cols
	mem.tmp = slices.Grow(mem.tmp[:0], (v.per+1)*cols)[:(v.per+1)*cols]
	acc, tmp := mem.tmp[:cols], mem.tmp[cols:]
	for i := from; i < to; i++ {
		image, k := i/v.chunks, i%v.chunks
		a, b := image*cols, (image+1)*cols
		for t := k * v.span; t < min((k+1)*v.span, v.tiles); t++ {
			lo, hi := image*size+t*v.per*cols, image*size+min((t+1)*v.per, v.lines)*cols
			x, lines := v.x[lo:hi], (hi-lo)/cols
			switch v.pass {
			case affinePass:
				dst := v.y[lo:hi]
				v.affine(dst, x, v.means[a:b], v.factors[a:b], v.terms[a:b], lines, cols)
				if v.act != nil {
					v.act(dst)
				}
				continue
			case sumPass:
				clear(acc)
				v.add(acc, x, lines, cols)
			case squaresPass:
				clear(acc)
				v.addSquares(acc, x, v.means[a:b], tmp, lines, cols)
			}
			to := v.sums[i*cols : (i+1)*cols]
			for j, s := range acc {
				to[j] += float64(s)
			}
		}
	}
}
