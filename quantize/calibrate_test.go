package quantize

import (
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	gneiss "github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

func model(build func(g *onnx.Graph, b *ops.Builder) []*onnx.Value) *onnx.Model {
	g := onnx.NewGraph("main", map[string]int{"": 21})
	b := ops.NewBuilder(g)
	outs := build(g, b)
	b.Insert(nil)
	if b.Err() != nil {
		panic(b.Err())
	}
	g.Outputs = outs
	return &onnx.Model{IRVersion: 10, Opsets: g.Opsets, Graph: g}
}

func weights(seed uint64, shape ...int) *tensor.Tensor {
	r := rand.New(rand.NewPCG(seed, 1))
	t := tensor.New(tensor.Float32, shape...)
	for i := range tensor.Data[float32](t) {
		tensor.Data[float32](t)[i] = float32(r.NormFloat64()) / 3
	}
	return t
}

// convNet: two convolutions, a residual sum and a product: values c, r, d, s, p.
func convNet() *onnx.Model {
	return model(func(g *onnx.Graph, b *ops.Builder) []*onnx.Value {
		pads := onnx.NewAttrs("pads", []int{1, 1, 1, 1})
		x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(3), onnx.Size(40), onnx.Size(40)))
		c := b.Op("Conv", pads, x, b.Const(weights(1, 8, 3, 3, 3)), b.Const(weights(2, 8)))
		r := b.Op("Relu", nil, c)
		d := b.Op("Conv", pads, r, b.Const(weights(3, 8, 8, 3, 3)), b.Const(weights(4, 8)))
		s := b.Op("Add", nil, d, r)
		p := b.Op("MatMul", nil, b.Op("Flatten", nil, b.Op("GlobalAveragePool", nil, s)), b.Const(weights(5, 8, 4)))
		c.Name, r.Name, d.Name, s.Name, p.Name = "c", "r", "d", "s", "p"
		d.From.Name = "conv2"
		return []*onnx.Value{p}
	})
}

// images returns n samples of x in batches of size, each larger than the one before.
func images(n, size int) data.Source {
	var bs []data.Batch
	for at := 0; at < n; at += size {
		k := min(size, n-at)
		t := tensor.New(tensor.Float32, k, 3, 40, 40)
		d := tensor.Data[float32](t)
		for i := range k {
			copy(d[i*4800:(i+1)*4800], tensor.Data[float32](weights(uint64(100+at+i), 4800)))
			for j := range d[i*4800 : (i+1)*4800] {
				d[i*4800+j] *= float32(1+at+i) + float32(j%3)
			}
		}
		bs = append(bs, data.Batch{Name: fmt.Sprintf("images from %d", at), Inputs: map[string]*tensor.Tensor{"x": t}})
	}
	return data.Of(bs...)
}

// valuesOf runs m and returns all elements of the named values, batch by batch.
func valuesOf(t *testing.T, m *onnx.Model, src data.Source, names ...string) map[string][][]float32 {
	t.Helper()
	s, err := gneiss.New(m, gneiss.Options{Level: optimize.None})
	require.NoError(t, err)
	defer s.Close()
	all := map[string][][]float32{}
	for b, err := range src.Batches(context.Background()) {
		require.NoError(t, err)
		var outs []string
		for _, n := range names {
			if b.Inputs[n] != nil {
				all[n] = append(all[n], tensor.Data[float32](b.Inputs[n]))
			} else {
				outs = append(outs, n)
			}
		}
		got, err := s.Run(context.Background(), b.Values(), outs...)
		require.NoError(t, err)
		for _, n := range outs {
			all[n] = append(all[n], tensor.Data[float32](got[n].(*tensor.Tensor)))
		}
	}
	return all
}

func calibrated(t *testing.T, m *onnx.Model, src data.Source, c CalibrateConfig) Ranges {
	t.Helper()
	r, err := Calibrate(context.Background(), m, src, c)
	require.NoError(t, err)
	return r
}

func requireRange(t *testing.T, lo, hi, tol float64, got Range, msg ...any) {
	t.Helper()
	require.InDelta(t, lo, got.Lo, tol, msg...)
	require.InDelta(t, hi, got.Hi, tol, msg...)
}

// requireAround wants the range [lo, hi] with its ends rounded outwards.
func requireAround(t *testing.T, lo, hi, tol float64, got Range, msg ...any) {
	t.Helper()
	for _, p := range [][2]float64{{-lo, -float64(got.Lo)}, {hi, float64(got.Hi)}} {
		require.GreaterOrEqual(t, p[1], p[0]-tol, msg...)
		require.LessOrEqual(t, p[1], p[0]*(1+1.0/256)+tol, msg...)
	}
}

// Ends of ranges have few significant bits, so that the last bits of values do not matter.
func TestOutwards(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	seen := map[float32]bool{}
	for range 10000 {
		x := float32(r.NormFloat64() * math.Exp2(float64(r.IntN(60)-30)))
		y := outwards(x)
		require.Equal(t, -y, outwards(-x))
		require.Equal(t, y, outwards(y))
		require.True(t, math.Abs(float64(y)) >= math.Abs(float64(x)) && math.Abs(float64(y)) <= math.Abs(float64(x))*(1+1.0/256), x)
		seen[outwards(1+r.Float32())] = true
	}
	require.LessOrEqual(t, len(seen), 257)
	for _, x := range []float32{0, 1, 6, -6, 255, 1.5, math.MaxFloat32, math.SmallestNonzeroFloat32} {
		y := outwards(x)
		require.True(t, finite(y))
		require.GreaterOrEqual(t, y*x, x*x)
	}
	for _, x := range []float32{0, 1, 6, -6, 255, 1.5} {
		require.Equal(t, x, outwards(x))
	}
}

// TestCalibrateMethods holds every method against the values of an unoptimised
// run, in batches of several samples.
func TestCalibrateMethods(t *testing.T) {
	m, src := convNet(), images(10, 4)
	names := []string{"x", "c", "r", "d", "s", "p"}
	all := valuesOf(t, m, src, names...)
	for method := MinMax; method <= MSE; method++ {
		for _, symmetric := range []bool{false, true} {
			got := calibrated(t, m, src, CalibrateConfig{Method: method, Values: names, Symmetric: symmetric, Percentile: 99, Momentum: 0.7})
			require.Len(t, got, len(names))
			for _, name := range names {
				x := slices.Sorted(slices.Values(slices.Concat(all[name]...)))
				top := float64(extent(x))
				what := fmt.Sprintf("%v of %s, symmetric %v", method, name, symmetric)
				r := got[name]
				require.True(t, r.Lo <= 0 && r.Hi >= 0 && r.Hi > r.Lo, what)
				if symmetric {
					require.Equal(t, -r.Lo, r.Hi, what)
				}
				require.LessOrEqual(t, float64(r.Hi), top*(1+1.0/256), what)
				switch lo, hi := float64(x[0]), float64(x[len(x)-1]); method {
				case MinMax:
					if symmetric {
						lo, hi = -top, top
					}
					requireAround(t, min(lo, 0), max(hi, 0), 1e-5*top, r, what)
				case MovingAverage:
					var aLo, aHi float64
					for i, batch := range all[name] {
						bLo, bHi := float64(slices.Min(batch)), float64(slices.Max(batch))
						if i == 0 {
							aLo, aHi = bLo, bHi
						}
						aLo, aHi = 0.7*aLo+0.3*bLo, 0.7*aHi+0.3*bHi
					}
					if symmetric {
						aHi = max(-aLo, aHi)
						aLo = -aHi
					}
					requireAround(t, min(aLo, 0), max(aHi, 0), 1e-5*top, r, what)
				case Percentile:
					if len(x) < 1000 {
						continue // a few values do not tell
					}
					lo, hi = float64(x[len(x)/200]), float64(x[len(x)-1-len(x)/200])
					if symmetric {
						for i, v := range x {
							x[i] = max(v, -v)
						}
						slices.Sort(x)
						hi = float64(x[len(x)-1-len(x)/100])
						lo = -hi
					}
					requireRange(t, min(lo, 0), max(hi, 0), 0.01*top, r, what)
				case Entropy, MSE:
					requireThreshold(t, x, r, method, symmetric, what)
				}
			}
		}
	}
}

// requireThreshold searches all thresholds that are a multiple of 1/200 of the
// largest magnitude for a better one than r by the method's measure. That of
// Entropy depends on the bins, so only the cut that is far too deep is wrong.
func requireThreshold(t *testing.T, x []float32, r Range, method Method, symmetric bool, what string) {
	t.Helper()
	if method == Entropy {
		inside := 0
		for _, v := range x {
			if v >= r.Lo && v <= r.Hi {
				inside++
			}
		}
		require.Greater(t, inside, len(x)*3/4, what)
		return
	}
	top := float64(extent(x))
	cut := func(k float64) (lo, hi float64) {
		if symmetric {
			return -k, k
		}
		return max(-k, min(float64(x[0]), 0)), min(k, max(float64(x[len(x)-1]), 0))
	}
	best, levels := math.Inf(1), 256
	if symmetric {
		levels = 255 // one of them is 0
	}
	for i := 1; i <= 200; i++ {
		lo, hi := cut(top * float64(i) / 200)
		best = min(best, quantisedError(x, lo, hi, levels))
	}
	slack := 1.05
	if len(x) < 1000 { // a few values that hit a step by chance
		slack = 10
	}
	require.LessOrEqual(t, quantisedError(x, float64(r.Lo), float64(r.Hi), levels), best*slack, what)
}

// TestCalibrateInvariance: threads, batches, order and the rewriting of the
// model change nothing.
func TestCalibrateInvariance(t *testing.T) {
	m := convNet()
	for method := MinMax; method <= MSE; method++ {
		want := calibrated(t, m, images(16, 1), CalibrateConfig{Method: method, Threads: 1})
		require.Len(t, want, 8) // x, c, r, d, s, p, and what pooling and Flatten give
		for _, threads := range []int{1, 2} {
			for _, size := range []int{1, 8} {
				if method == MovingAverage && size != 1 {
					continue
				}
				got := calibrated(t, m, images(16, size), CalibrateConfig{Method: method, Threads: threads})
				require.Equal(t, want, got, "%v, %d threads, batches of %d", method, threads, size)
			}
		}
		only := calibrated(t, m, images(16, 1), CalibrateConfig{Method: method, Values: []string{"r"}})
		require.Len(t, only, 1)
		requireRange(t, float64(want["r"].Lo), float64(want["r"].Hi), 1e-4*float64(want["r"].Hi), only["r"])
	}
}

// endless counts how often its batch was given.
type endless struct {
	batch data.Batch
	n     int
	after func(i int)
}

func (e endless) Len() int { return -1 }
func (e endless) Batches(context.Context) iter.Seq2[data.Batch, error] {
	return func(yield func(data.Batch, error) bool) {
		for i := range e.n {
			if !yield(e.batch, nil) {
				return
			}
			e.after(i)
		}
	}
}

// TestCalibrateMemory: what is in use after 300 batches is what was after 20.
func TestCalibrateMemory(t *testing.T) {
	var first, last uint64
	var b data.Batch
	for b = range images(2, 2).Batches(context.Background()) {
		break
	}
	used := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	src := endless{b, 300, func(i int) {
		switch i {
		case 20:
			first = used()
		case 299:
			last = used()
		}
	}}
	total := 0
	calibrated(t, convNet(), src, CalibrateConfig{Method: Entropy, Progress: func(_, n int) { total = n }})
	require.Equal(t, -1, total)
	require.Less(t, last, first+1<<19)
}

func vectorInput(name string, v ...float32) data.Batch {
	return data.Batch{Name: name, Inputs: map[string]*tensor.Tensor{"x": tensor.Of(v, len(v))}}
}

func logOf(d tensor.DType) *onnx.Model {
	return model(func(g *onnx.Graph, b *ops.Builder) []*onnx.Value {
		x := g.AddInput("x", onnx.TensorType(d, onnx.Name("N")))
		y := b.Op("Log", nil, x)
		y.Name, y.From.Name = "y", "log1"
		return []*onnx.Value{y}
	})
}

func TestCalibrateErrors(t *testing.T) {
	m := logOf(tensor.Float32)
	good := data.Of(vectorInput("good", 1, 2))
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		ctx  context.Context
		src  data.Source
		c    CalibrateConfig
		want []string
	}{
		{nil, data.Of(), CalibrateConfig{}, []string{"0 batches and no sample"}},
		{nil, data.Of(vectorInput("a.npy", 1), vectorInput("b.npy", 1, 2, -1)), CalibrateConfig{}, []string{"batch 2 (b.npy), sample 3", `Log "log1"`, `"y"`, "NaN", "float32 [3]"}},
		{nil, data.Of(vectorInput("a.npy", 0, 1)), CalibrateConfig{Method: Entropy}, []string{"batch 1 (a.npy), sample 1", `"y"`, "infinite"}},
		{nil, data.Of(vectorInput("a.npy", 1, float32(math.NaN()))), CalibrateConfig{Threads: 2}, []string{"the input", `"x"`, "sample 2", "NaN"}},
		{nil, good, CalibrateConfig{Values: []string{"z"}}, []string{`no value "z"`, "did you mean"}},
		{nil, good, CalibrateConfig{Values: []string{}}, []string{"no value to observe"}},
		{nil, good, CalibrateConfig{Percentile: 101}, []string{"Percentile is 101"}},
		{nil, good, CalibrateConfig{Momentum: 1}, []string{"Momentum is 1"}},
		{nil, good, CalibrateConfig{Levels: 1}, []string{"Levels is 1"}},
		{nil, good, CalibrateConfig{Threads: -1}, []string{"Threads is -1"}},
		{nil, good, CalibrateConfig{Method: 9}, []string{"method 9"}},
		{cancelled, good, CalibrateConfig{}, []string{"context canceled"}},
		{nil, data.Of(data.Batch{Name: "c.npz"}), CalibrateConfig{}, []string{"batch 1 (c.npz)", `"x"`}},
	} {
		r, err := Calibrate(c.ctx, m, c.src, c.c)
		require.Nil(t, r)
		for _, want := range c.want {
			require.ErrorContains(t, err, want)
		}
	}
	_, err := ParseMethod("minmx")
	require.ErrorContains(t, err, "moving-average")
	for m := MinMax; m <= MSE; m++ {
		got, err := ParseMethod(m.String())
		require.NoError(t, err)
		require.Equal(t, m, got)
	}
	ints := model(func(g *onnx.Graph, b *ops.Builder) []*onnx.Value {
		x := g.AddInput("x", onnx.TensorType(tensor.Int64, onnx.Name("N")))
		return []*onnx.Value{b.Op("Neg", nil, x)}
	})
	_, err = Calibrate(context.Background(), ints, good, CalibrateConfig{Values: []string{"x"}})
	require.ErrorContains(t, err, "ranges are of floats")
}

// TestCalibrateConstant: 0 is always in the range, and no value at all is no range.
func TestCalibrateConstant(t *testing.T) {
	for method := MinMax; method <= MSE; method++ {
		for _, c := range []struct {
			v        []float32
			lo, hi   float64
			sLo, sHi float64
		}{
			{[]float32{5, 5}, 0, 5, -5, 5},
			{[]float32{-5, -5}, -5, 0, -5, 5},
			{[]float32{0, 0}, 0, 0, 0, 0},
			{[]float32{-1, -2, 4}, -2, 4, -4, 4},
		} {
			src := data.Of(vectorInput("v", c.v...), vectorInput("v", c.v...))
			m := model(func(g *onnx.Graph, b *ops.Builder) []*onnx.Value {
				x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N")))
				return []*onnx.Value{b.Op("Neg", nil, x)}
			})
			r := calibrated(t, m, src, CalibrateConfig{Method: method, Values: []string{"x"}})["x"]
			require.True(t, r.Lo <= 0 && r.Hi >= 0)
			s := calibrated(t, m, src, CalibrateConfig{Method: method, Values: []string{"x"}, Symmetric: true})["x"]
			if method == Entropy && len(c.v) > 2 {
				continue // three bins of two thousand: any cut tells as much
			}
			requireRange(t, c.lo, c.hi, 0.05, r, method, c.v)
			requireRange(t, c.sLo, c.sHi, 0.05, s, method, c.v)
		}
	}
	// An empty tensor beside others has no part in the ranges; alone it is no sample.
	empty, one := vectorInput("empty"), vectorInput("one", 1, 2)
	c := CalibrateConfig{Method: Entropy}
	require.Equal(t, calibrated(t, logOf(tensor.Float32), data.Of(one), c), calibrated(t, logOf(tensor.Float32), data.Of(empty, one), c))
	_, err := Calibrate(context.Background(), logOf(tensor.Float32), data.Of(empty), c)
	require.ErrorContains(t, err, "1 batches and no sample")
}

func TestCalibrateFloat16(t *testing.T) {
	m := logOf(tensor.Float16)
	x := tensor.New(tensor.Float16, 3000)
	for i := range x.Len() {
		tensor.Data[tensor.F16](x)[i] = tensor.F16Of(1 + float32(i))
	}
	src := data.Of(data.Batch{Inputs: map[string]*tensor.Tensor{"x": x}})
	for _, method := range []Method{MinMax, MSE} {
		r := calibrated(t, m, src, CalibrateConfig{Method: method})
		requireRange(t, 0, 3000, 20, r["x"])
		requireRange(t, 0, math.Log(3000), 0.1, r["y"])
	}
}

// TestCalibrateNested observes what only the body of a Loop and the branches of
// an If have.
func TestCalibrateNested(t *testing.T) {
	m := model(func(g *onnx.Graph, b *ops.Builder) []*onnx.Value {
		x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N")))
		branch := func(name, op string) *onnx.Graph {
			h := g.NewBody(name)
			hb := ops.NewBuilder(h)
			v := hb.Op(op, nil, x)
			w := hb.Op("Neg", nil, v)
			v.Name, w.Name = "inner", "result_"+name
			hb.Insert(nil)
			h.Outputs = []*onnx.Value{w}
			return h
		}
		sum := b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), x)
		cond := b.Op("Greater", nil, sum, b.Float(tensor.Float32, 0))
		y := b.Op("If", onnx.NewAttrs("then_branch", branch("then", "Exp"), "else_branch", branch("else", "Abs")), cond)

		body := g.NewBody("body")
		body.AddInput("i", onnx.TensorType(tensor.Int64))
		c := body.AddInput("c", onnx.TensorType(tensor.Bool))
		carried := body.AddInput("carried", onnx.UnrankedType(tensor.Float32))
		bb := ops.NewBuilder(body)
		twice := bb.Op("Add", nil, carried, carried)
		keep := bb.Op("Identity", nil, c)
		twice.Name = "twice"
		bb.Insert(nil)
		body.Outputs = []*onnx.Value{keep, twice}
		z := b.Op("Loop", onnx.NewAttrs("body", body), b.Const(tensor.Scalar(int64(3))), nil, x)
		y.Name, z.Name = "y", "z"
		return []*onnx.Value{y, z}
	})
	m.Graph.RebuildUses()
	r := calibrated(t, m, data.Of(vectorInput("v", 1, 2, -0.5)), CalibrateConfig{})
	requireAround(t, 0, math.Exp(2), 1e-5, r["inner"])
	requireAround(t, -math.Exp(2), 0, 1e-5, r["result_then"])
	requireRange(t, -4, 16, 1e-5, r["twice"])
	requireRange(t, -2, 8, 1e-5, r["carried"])
	requireRange(t, -4, 16, 1e-5, r["z"])
	require.NotContains(t, r, "result_else", "the branch was not taken")
	r = calibrated(t, m, data.Of(vectorInput("v", 1, 2), vectorInput("v", -9, 2)), CalibrateConfig{Values: []string{"inner", "result_else"}, Method: MSE})
	requireRange(t, 0, 9, 0.1, r["inner"])
	requireRange(t, -9, 0, 0.1, r["result_else"])
	require.Len(t, r, 2)
}

// TestCalibrateLeaves: the model is as before, and its layout does not suffer:
// observers take channels-last values as they are.
func TestCalibrateLeaves(t *testing.T) {
	m := convNet()
	calibrated(t, m, images(2, 2), CalibrateConfig{Progress: func(done, total int) { require.Equal(t, []int{1, 1}, []int{done, total}) }})
	require.NoError(t, m.Graph.Check())
	require.NotContains(t, m.Opsets, domain)
	c, err := CalibrateConfig{Values: []string{"x", "r", "s"}}.withDefaults()
	require.NoError(t, err)
	w, obs, err := instrument(m, &c)
	require.NoError(t, err)
	require.NoError(t, w.Graph.Check())
	set, err := ops.NewSet(observeOps(obs)...)
	require.NoError(t, err)
	_, err = optimize.Run(w, optimize.Machine, optimize.Options{Set: set, Check: true})
	require.NoError(t, err)
	moves, convs := 0, 0
	for _, n := range w.Graph.Nodes {
		switch n.Domain + "." + n.Op {
		case ".Transpose":
			moves++
		case "x.Conv":
			convs++
		}
	}
	require.Equal(t, 2, convs)
	require.Equal(t, 1, moves, "the input's")
}
