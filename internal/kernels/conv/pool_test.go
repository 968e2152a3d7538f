package conv

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/internal/par"
)

// grid makes a Window with one padding, stride and dilation for all
// dimensions; the output is as large as reaches one position past the image.
func grid(in, kernel []int, stride, dilation, before int) *Window {
	w := &Window{In: in, Kernel: kernel}
	for i := range in {
		w.Strides, w.Dilations, w.Before = append(w.Strides, stride), append(w.Dilations, dilation), append(w.Before, before)
		w.Out = append(w.Out, (in[i]+before)/stride+1)
	}
	return w
}

func windows() []*Window {
	return []*Window{
		grid([]int{7}, []int{3}, 1, 1, 1),
		grid([]int{9}, []int{2}, 3, 4, 2),
		grid([]int{2}, []int{1}, 1, 1, 2),
		grid([]int{5, 6}, []int{3, 2}, 1, 1, 0),
		grid([]int{6, 5}, []int{2, 3}, 2, 2, 3),
		grid([]int{33, 34}, []int{3, 3}, 2, 1, 1),
		grid([]int{3, 4, 5}, []int{2, 2, 3}, 1, 2, 1),
	}
}

// seen returns for every position of a plane the elements that its window sees, in order.
func seen(w *Window) [][]int {
	s := make([][]int, product(w.Out))
	w.visit(func(o, _, in int) { s[o] = append(s[o], in) })
	return s
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if d := math.Abs(got - want); d > 1e-5*(1+math.Abs(want)) {
		t.Errorf("%s: %g, want %g", what, got, want)
	}
}

func TestMaxPool(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	const planes = 3
	for _, w := range windows() {
		in, out := product(w.In), product(w.Out)
		x := random[float32](r, planes*in)
		x[in/2] = float32(math.NaN())
		least := float32(math.Inf(-1))
		for _, columns := range []bool{false, true} {
			plain, y, index := make([]float32, planes*out), make([]float32, planes*out), make([]int64, planes*out)
			MaxPool(par.P{Threads: 2}, planes, w, x, plain, nil, false, least)
			MaxPool(par.P{Threads: 2}, planes, w, x, y, index, columns, least)
			for p := range planes {
				for o, list := range seen(w) {
					want, at := least, 0
					for i, e := range list {
						if v := x[p*in+e]; i == 0 || v > want || v != v {
							want, at = v, e
						}
					}
					if columns {
						rest, step := at, 0
						at = 0
						coords := make([]int, len(w.In))
						for d := len(w.In) - 1; d >= 0; d-- {
							coords[d], rest = rest%w.In[d], rest/w.In[d]
						}
						step = 1
						for d, c := range coords {
							at += c * step
							step *= w.In[d]
						}
					}
					k := p*out + o
					if math.Float32bits(y[k]) != math.Float32bits(want) && want == want || plain[k] != y[k] && want == want || want != want && y[k] == y[k] {
						t.Fatalf("%+v: position %d of plane %d: %g and %g, want %g", w, o, p, plain[k], y[k], want)
					}
					if index[k] != int64(p*in+at) {
						t.Fatalf("%+v columns %v: position %d of plane %d: index %d, want %d", w, columns, o, p, index[k], p*in+at)
					}
				}
			}
		}
	}
}

func TestAverageAndLpPool(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	const planes = 2
	for _, w := range windows() {
		in, out := product(w.In), product(w.Out)
		x := random[float64](r, planes*in)
		counts := make([][]int, len(w.In))
		for i := range counts {
			for o := range w.Out[i] {
				counts[i] = append(counts[i], w.Kernel[i]+o%2)
			}
		}
		mean, counted := make([]float64, planes*out), make([]float64, planes*out)
		AveragePool(par.P{Threads: 2}, planes, w, x, mean, nil)
		AveragePool(par.P{Threads: 2}, planes, w, x, counted, counts)
		norms := map[float64][]float64{}
		for _, p := range []float64{1, 2, 3} {
			norms[p] = make([]float64, planes*out)
			LpPool(par.P{Threads: 2}, planes, w, x, norms[p], p)
		}
		pos := make([]int, len(w.In))
		for p := range planes {
			for o, list := range seen(w) {
				seek(pos, w.Out, o)
				sum, div := 0.0, 1
				for _, e := range list {
					sum += x[p*in+e]
				}
				for i, c := range pos {
					div *= counts[i][c]
				}
				what := fmt.Sprintf("%+v position %d", w, o)
				near(t, what+" counted", counted[p*out+o], sum/float64(div))
				near(t, what+" mean", mean[p*out+o], sum/float64(max(1, len(list))))
				for n, got := range norms {
					s := 0.0
					for _, e := range list {
						s += math.Pow(math.Abs(x[p*in+e]), n)
					}
					near(t, fmt.Sprint(what, " norm ", n), got[p*out+o], math.Pow(s, 1/n))
				}
			}
		}
		near(t, "Norm", Norm(x, 2), math.Sqrt(func() (s float64) {
			for _, v := range x {
				s += v * v
			}
			return
		}()))
	}
	empty := grid([]int{4}, []int{2}, 1, 1, 0)
	empty.Out = []int{0}
	AveragePool(par.P{}, 1, empty, make([]float32, 4), nil, nil)
}

func TestTransposed(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	for _, w := range windows() {
		in, out, taps := product(w.In), product(w.Out), product(w.Kernel)
		for _, c := range []struct{ n, c, m, group int }{{1, 2, 3, 1}, {5, 4, 2, 2}, {2, 0, 2, 1}} {
			mg, cg := c.m/c.group, c.c/c.group
			a := &Args[float32]{Window: *w, N: c.n, C: c.c, M: c.m, Group: c.group,
				X: random[float32](r, c.n*c.c*out), W: random[float32](r, c.c*mg*taps), B: random[float32](r, c.m),
				Y: make([]float32, c.n*c.m*in), Act: func(y []float32) {
					for i := range y {
						y[i] *= 2
					}
				}}
			want := make([]float64, len(a.Y))
			for n := range c.n {
				for m := range c.m {
					dst := want[(n*c.m+m)*in:][:in]
					for i := range dst {
						dst[i] = float64(a.B[m])
					}
					for k := range cg {
						ch := m/mg*cg + k
						w.visit(func(o, tap, i int) {
							dst[i] += float64(a.X[(n*c.c+ch)*out+o]) * float64(a.W[(ch*mg+m%mg)*taps+tap])
						})
					}
				}
			}
			Transposed(par.P{Threads: 2}, a)
			for i, v := range want {
				near(t, fmt.Sprintf("%+v %+v element %d", w, c, i), float64(a.Y[i]), 2*v)
			}
		}
	}
}

func TestTransposedRefuses(t *testing.T) {
	a := &Args[float32]{Window: *grid([]int{4}, []int{2}, 1, 1, 0), N: 1, C: 3, M: 2, Group: 2, Y: make([]float32, 8)}
	defer func() {
		if recover() == nil {
			t.Error("sizes that do not fit are taken")
		}
	}()
	Transposed(par.P{}, a)
}

// hat is 1 at 0 and falls to 0 at distance 1: what an element counts for at a
// distance along one dimension.
func hat(x float64) float64 { return max(0, 1-math.Abs(x)) }

func TestDeform(t *testing.T) {
	testDeform[float64](t, 4)
	testDeform[float32](t, 8)
	testDeform[float32](t, 20)
}

func testDeform[T Float](t *testing.T, c int) {
	cg := c / 2
	r := rand.New(rand.NewPCG(4, 1))
	const groups = 2
	for _, w := range windows() {
		in, out, taps, d := product(w.In), product(w.Out), product(w.Kernel), len(w.In)
		for _, masked := range []bool{false, true} {
			a := &Args[T]{Window: *w, N: 2, C: c, M: 2, Group: 2, X: random[T](r, 2*c*in), W: random[T](r, 2*cg*taps),
				B: random[T](r, 2), Y: make([]T, 2*2*out)}
			offset := random[T](r, 2*groups*taps*d*out)
			offset[0] = T(math.NaN())
			var mask []T
			if masked {
				mask = random[T](r, 2*groups*taps*out)
			}
			Deform(par.P{Threads: 2}, a, offset, mask, groups)
			pos, tap, at := make([]int, d), make([]int, d), make([]int, d)
			for n := range 2 {
				for m := range 2 {
					for o := range out {
						sum := float64(a.B[m])
						for k := range cg {
							ch := m*cg + k
							g := ch / cg
							for tp := range taps {
								seek(pos, w.Out, o)
								seek(tap, w.Kernel, tp)
								v := 0.0
								for e := range in {
									seek(at, w.In, e)
									weight := 1.0
									for i := range d {
										x := float64(pos[i]*w.Strides[i]-w.Before[i]+tap[i]*w.Dilations[i]) + float64(offset[(((n*groups+g)*taps+tp)*d+i)*out+o])
										if weight *= hat(x - float64(at[i])); weight != weight {
											weight = 0
										}
									}
									if weight != 0 {
										v += weight * float64(a.X[(n*c+ch)*in+e])
									}
								}
								if masked {
									v *= float64(mask[((n*groups+g)*taps+tp)*out+o])
								}
								sum += v * float64(a.W[(m*cg+k)*taps+tp])
							}
						}
						near(t, fmt.Sprintf("%+v masked %v n %d m %d o %d", w, masked, n, m, o), float64(a.Y[(n*2+m)*out+o]), sum)
					}
				}
			}
		}
	}
}
