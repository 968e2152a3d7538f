package ops

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/gneiss-run/gneiss/internal/kernels/move"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
)

// GridSample: Y[n, c, o…] is X[n, c] interpolated at the place grid[n, o…],
// whose coordinates run from -1 to 1 over each spatial dimension, the last first.
//
//	X: float [n, c, d1, d2, …]    grid: float [n, o1, o2, …, spatial rank]    Y: the type of X [n, c, o1, o2, …]
//
// Modes are nearest (ties to even), linear and cubic (two dimensions); version
// 16 calls them nearest, bilinear and bicubic. Places outside take 0, the
// nearest border, or the reflection there. Float types only.
//
// Spec: https://onnx.ai/onnx/operators/onnx__GridSample.html
func init() {
	register(&Op{
		Name: "GridSample", Numerics: Rounding,
		Versions: []Version{
			// 20 names the modes anew and allows any number of dimensions; 22 adds bfloat16.
			{Since: 16, In: N(2), Out: N(1), Infer: inferGridSample, Build: buildGridSample},
		},
	})
}

// gridSampler are the attributes of GridSample.
type gridSampler struct {
	mode, padding string
	align         bool
	pool          sync.Pool // of *gridWork
}

func parseGridSample(a *attrs, opset int) *gridSampler {
	v := &gridSampler{padding: a.OneOf("padding_mode", "zeros", "border", "reflection"), align: a.Bool("align_corners", false)}
	if opset < 20 {
		v.mode = map[string]string{"bilinear": "linear", "bicubic": "cubic", "nearest": "nearest"}[a.OneOf("mode", "bilinear", "nearest", "bicubic")]
	} else {
		v.mode = a.OneOf("mode", "linear", "nearest", "cubic")
	}
	return v
}

func inferGridSample(c *InferContext) error {
	parseGridSample(&c.attrs, c.Opset())
	x, g := c.In(0), c.In(1)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if !x.Ranked || !g.Ranked {
		return nil
	}
	if len(x.Dims) < 3 || len(g.Dims) != len(x.Dims) {
		return fmt.Errorf("X is %v and grid %v, want the same number of dimensions, at least 3", x, g)
	}
	c.Out[0] = onnx.TensorType(x.DType, slices.Concat(x.Dims[:2], g.Dims[1:len(g.Dims)-1])...)
	return nil
}

func buildGridSample(b *BuildContext) (Kernel, error) {
	v := parseGridSample(&b.attrs, b.Opset())
	return b.realKernels(0, func(c *Call) error { return gridSample[float32](c, v) }, func(c *Call) error { return gridSample[float64](c, v) })
}

func gridSample[T floating](c *Call, v *gridSampler) error {
	x, err := reals[T](c, 0)
	if err != nil {
		return err
	}
	grid, err := reals[T](c, 1)
	if err != nil {
		return err
	}
	if !c.Has(1) {
		return fmt.Errorf("grid is absent")
	}
	xs := c.T(0).Shape()
	g, err := gridShapeOf(c, v, xs, c.T(1).Shape())
	if err != nil {
		return err
	}
	y, done := realsOut[T](c, 0, c.T(0).DType(), c.joined(c.list(g.batch, g.channels), g.to, nil)...)
	pieces := (g.places + gridPlaces - 1) / gridPlaces
	flat, _ := any(x).([]float32)
	lines := gridLines(c, flat, &g)
	par.Run(c.P, xs[0]*pieces, max(1, (1<<12)/(gridPlaces*max(1, g.channels))), par.With(gridSamples[T]{v, g, y, x, grid, lines, pieces}))
	done()
	return nil
}

// gridPlaces is the number of places that are taken together, so that all of a channel's are computed at once.
const gridPlaces = 256

// gridSamples is the work of a GridSample, in pieces of an image's places.
type gridSamples[T floating] struct {
	v *gridSampler
	gridShape
	y, x, grid []T
	lines      []float32
	pieces     int
}

// gridWork is the memory for pieces.
type gridWork[T floating] struct {
	gridTaps[T]
	taps tapsOf[T]
	sums []float32
}

// Chunk computes some pieces.
func (a *gridSamples[T]) Chunk(lo, hi int) {
	d, ch, size, places := len(a.in), a.channels, a.size, a.places
	s, ok := a.v.pool.Get().(*gridWork[T])
	if !ok || len(s.pos) != d {
		s = &gridWork[T]{gridTaps: newGridTaps[T](a.v, a.in, a.st)}
		k := len(s.at)
		s.taps = tapsOf[T]{k, make([]int32, gridPlaces*k), make([]T, gridPlaces*k)}
	}
	defer a.v.pool.Put(s)
	s.in, s.st = a.in, a.st
	t := &s.taps
	if a.lines != nil {
		s.sums = slices.Grow(s.sums[:0], gridPlaces*ch)[:gridPlaces*ch]
	}
	for u := lo; u < hi; u++ {
		n, from := u/a.pieces, u%a.pieces*gridPlaces
		m := min(gridPlaces, places-from)
		if a.v.mode == "linear" && d == 2 {
			s.places(a.grid[2*(n*places+from):][:2*m], t.at, t.w)
		} else {
			s.each(a.grid[d*(n*places+from):][:d*m], t.at, t.w)
		}
		if a.lines != nil {
			for i, p := range t.at {
				t.at[i] = int32(min(uint32(p), uint32(size))) // the line of zeros
			}
			f := any(a).(*gridSamples[float32])
			w := any(t).(*tapsOf[float32]).w
			move.Weigh(s.sums[:m*ch], a.lines[n*(size+1)*ch:][:(size+1)*ch], t.at, w, ch, t.k)
			move.Transpose(float32Words(f.y[n*ch*places+from:]), float32Words(s.sums), ch, m, places, ch)
			continue
		}
		for i := range ch {
			t.inside(a.y[(n*ch+i)*places+from:][:m], a.x[(n*ch+i)*size:][:size])
		}
	}
}

// gridLines returns x with channels last and, behind each image, a line of zeros for what lies
// outside: a place is then a sum of lines. It is nil where there are too few channels for that
// or too few places for what it costs.
func gridLines(c *Call, x []float32, g *gridShape) []float32 {
	if g.channels < 8 || 2*g.places < g.size || x == nil {
		return nil
	}
	lines := Scratch[float32](c, g.batch*(g.size+1)*g.channels)
	par.Each(c.P, g.batch, par.Grain(g.batch, float64(g.size*g.channels)), gridTurn{lines, x, g.channels, g.size}, (*gridTurn).run)
	return lines
}

// gridTurn puts channels last.
type gridTurn struct {
	lines, x []float32
	ch, size int
}

func (a *gridTurn) run(lo, hi int) {
	ch, size := a.ch, a.size
	for i := lo; i < hi; i++ {
		to := a.lines[i*(size+1)*ch:][:(size+1)*ch]
		columnsOf(a.x[i*ch*size:][:ch*size], to[:size*ch], ch, size)
		clear(to[size*ch:])
	}
}

// inside computes one element per place; negative taps are zeros outside.
func (t *tapsOf[T]) inside(y, x []T) {
	if t.k == 4 {
		at, w := t.at[:4*len(y)], t.w[:4*len(y)]
		for i := range y {
			a, b := at[4*i:][:4:4], w[4*i:][:4:4]
			var s T
			if a[0]|a[1]|a[2]|a[3] >= 0 {
				s = b[0]*x[a[0]] + b[1]*x[a[1]] + b[2]*x[a[2]] + b[3]*x[a[3]]
			} else {
				for j, p := range a {
					if p >= 0 {
						s += b[j] * x[p]
					}
				}
			}
			y[i] = s
		}
		return
	}
	for i := range y {
		s := T(0)
		for j, p := range t.at[i*t.k:][:t.k] {
			if p >= 0 {
				s += t.w[i*t.k+j] * x[p]
			}
		}
		y[i] = s
	}
}

// gridTaps are the elements, with weights, that one place is made of.
type gridTaps[T floating] struct {
	v      *gridSampler
	in, st []int
	at     []int // -1: a zero outside
	w      []T
	pos    [][]int
	wt     [][]T
}

func newGridTaps[T floating](v *gridSampler, in, st []int) gridTaps[T] {
	k := map[string]int{"nearest": 1, "linear": 2, "cubic": 4}[v.mode]
	s := gridTaps[T]{v: v, in: in, st: st, pos: make([][]int, len(in)), wt: make([][]T, len(in))}
	total := 1
	for i := range in {
		s.pos[i], s.wt[i] = make([]int, k), make([]T, k)
		total *= k
	}
	s.at, s.w = make([]int, total), make([]T, total)
	return s
}

// each sets the taps of a number of places to at and w.
func (s *gridTaps[T]) each(grid []T, at []int32, w []T) {
	d, k := len(s.in), len(s.at)
	for o := range len(grid) / d {
		s.place(grid[o*d:][:d])
		for j, p := range s.at {
			at[o*k+j], w[o*k+j] = int32(p), s.w[j]
		}
	}
}

// place sets the taps for one place.
func (s *gridTaps[T]) place(g []T) {
	d := len(s.in)
	for i := range d {
		n := s.in[i]
		u := float64(g[d-1-i]) // the last coordinate first
		x, _ := s.pixel(u, n)
		if s.v.mode != "cubic" {
			x = s.border(x, n)
		}
		if !(math.Abs(x) < 1<<31) { // also NaN: far outside
			x = -1 << 31
		}
		first := math.Floor(x)
		f := x - first
		switch s.v.mode {
		case "nearest":
			s.pos[i][0], s.wt[i][0] = int(math.RoundToEven(x)), 1
			if s.v.padding == "border" {
				s.pos[i][0] = min(max(s.pos[i][0], 0), n-1)
			}
		case "linear":
			s.pos[i][0], s.pos[i][1] = int(first), int(first)+1
			s.wt[i][0], s.wt[i][1] = T(1-f), T(f)
		default:
			r := resampler{mode: "cubic", cubicA: gridCubic}
			for j := range 4 {
				s.pos[i][j], s.wt[i][j] = int(first)-1+j, T(r.weight(f+1-float64(j)))
			}
		}
	}
	k := len(s.pos[0])
	for t := range s.at {
		at, w := 0, T(1)
		for i, left := d-1, t; i >= 0; i-- {
			p := s.pos[i][left%k]
			w *= s.wt[i][left%k]
			left /= k
			if p < 0 || p >= s.in[i] {
				if p = s.inside(p, s.in[i]); p < 0 {
					at = -1
					break
				}
			}
			at += p * s.st[i]
		}
		s.at[t], s.w[t] = at, w
	}
}

// places sets the four taps of each of a number of places, in linear mode in two
// dimensions, to at and w.
func (s *gridTaps[T]) places(grid []T, at []int32, w []T) {
	h, wd := s.in[0], s.in[1]
	// A coordinate u is at pixel u·scale + shift.
	sx, sy := float64(wd)/2, float64(h)/2
	tx, ty := (float64(wd)-1)/2, (float64(h)-1)/2
	if s.v.align {
		sx, sy = tx, ty
	}
	zeros := s.v.padding == "zeros"
	for o := range len(grid) / 2 {
		x, y := float64(grid[2*o])*sx+tx, float64(grid[2*o+1])*sy+ty
		if !zeros {
			x, y = s.border(x, wd), s.border(y, h)
		}
		if !(math.Abs(x) < 1<<30 && math.Abs(y) < 1<<30) { // also NaN: far outside
			x, y = -1<<30, -1<<30
		}
		fx, fy := math.Floor(x), math.Floor(y)
		q, p := int(fx), int(fy)
		wx, wy := T(x-fx), T(y-fy)
		a, b := at[4*o:][:4:4], w[4*o:][:4:4]
		b[0], b[1], b[2], b[3] = (1-wy)*(1-wx), (1-wy)*wx, wy*(1-wx), wy*wx
		if uint(p) < uint(h-1) && uint(q) < uint(wd-1) {
			c := int32(p*wd + q)
			a[0], a[1], a[2], a[3] = c, c+1, c+int32(wd), c+int32(wd)+1
			continue
		}
		for t := range 4 {
			i, j := p+t/2, q+t%2
			if uint(i) >= uint(h) {
				i = s.inside(i, h)
			}
			if uint(j) >= uint(wd) {
				j = s.inside(j, wd)
			}
			a[t] = -1
			if i >= 0 && j >= 0 {
				a[t] = int32(i*wd + j)
			}
		}
	}
}

// gridCubic is the parameter of cubic convolution.
const gridCubic = -0.75

// pixel returns the place of coordinate u among n pixels, and its derivative.
func (s *gridTaps[T]) pixel(u float64, n int) (x, slope float64) {
	if s.v.align {
		return (u + 1) / 2 * float64(n-1), float64(n-1) / 2
	}
	return ((u+1)*float64(n) - 1) / 2, float64(n) / 2
}

// mirrors returns where reflection turns.
func (s *gridTaps[T]) mirrors(n int) (lo, hi float64) {
	if s.v.align {
		return 0, float64(n - 1)
	}
	return -0.5, float64(n) - 0.5
}

// border moves a coordinate outside to where the padding mode says.
func (s *gridTaps[T]) border(x float64, n int) float64 {
	switch s.v.padding {
	case "border":
		return min(max(x, 0), float64(n-1))
	case "reflection":
		lo, hi := s.mirrors(n)
		return reflect(x, lo, hi)
	}
	return x
}

// inside returns the index that stands for p, which is outside; -1 for zero.
func (s *gridTaps[T]) inside(p, n int) int {
	switch s.v.padding {
	case "border":
		return min(max(p, 0), n-1)
	case "reflection":
		lo, hi := s.mirrors(n)
		return min(max(int(math.Round(reflect(float64(p), lo, hi))), 0), n-1)
	}
	return -1
}

// reflect mirrors x at lo and hi until it lies between them.
func reflect(x, lo, hi float64) float64 {
	span := hi - lo
	if span <= 0 {
		return lo
	}
	if x >= lo && x <= hi {
		return x
	}
	d := math.Mod(math.Abs(x-lo), 2*span)
	if d > span {
		d = 2*span - d
	}
	return lo + d
}
