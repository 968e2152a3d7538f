package runtime_test

import (
	"context"
	"errors"
	"math/rand/v2"
	goruntime "runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/leak"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestMain(m *testing.M) { leak.Main(m) }

var bg = context.Background()

// model returns a model of the newest opset around a fresh graph.
func model() (*onnx.Model, *onnx.Graph, *ops.Builder) {
	m := &onnx.Model{IRVersion: 10, Opsets: map[string]int{"": 21}}
	m.Graph = onnx.NewGraph("main", m.Opsets)
	return m, m.Graph, ops.NewBuilder(m.Graph)
}

func f32(shape []int, v ...float32) *tensor.Tensor { return tensor.Of(v, shape...) }

// chain returns y = (x+1)*(x+2) … over float32[N,4].
func chain(t testing.TB, n int) *onnx.Model {
	m, g, b := model()
	x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(4)))
	v := x
	for i := range n {
		c := b.Const(tensor.Of([]float32{float32(i), 1, 2, 0.5}, 4))
		v = b.Op("Mul", nil, b.Op("Add", nil, v, c), b.Op("Tanh", nil, v))
	}
	require.NoError(t, b.Err())
	b.Insert(nil)
	v.Name = "y"
	g.Outputs = []*onnx.Value{v}
	return m
}

func open(t testing.TB, m *onnx.Model, o runtime.Options) *runtime.Session {
	t.Helper()
	s, err := runtime.New(m, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func input(n int, seed uint64) map[string]tensor.Value {
	r := rand.New(rand.NewPCG(seed, 1))
	d := make([]float32, n*4)
	for i := range d {
		d[i] = float32(r.NormFloat64())
	}
	return map[string]tensor.Value{"x": tensor.Of(d, n, 4)}
}

func TestRunsAgree(t *testing.T) {
	m := chain(t, 20)
	plain := open(t, m, runtime.Options{Level: optimize.None, Threads: 1})
	s := open(t, m, runtime.Options{})
	for _, n := range []int{1, 7, 0, 300} {
		in := input(n, 5)
		want, err := plain.Run(bg, in)
		require.NoError(t, err)
		for range 5 { // without a plan, recording one, and by it
			got, err := s.Run(bg, in)
			require.NoError(t, err)
			require.NoError(t, tensor.Compare(got["y"], want["y"], tensor.Tolerance{Rel: 1e-6, Abs: 1e-6}))
		}
	}
}

func TestConcurrentRuns(t *testing.T) {
	s := open(t, chain(t, 12), runtime.Options{})
	want := make([]map[string]tensor.Value, 8)
	for i := range want {
		var err error
		want[i], err = s.Run(bg, input(3+i%2, uint64(i)))
		require.NoError(t, err)
	}
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			in := input(3+g%8%2, uint64(g%8))
			for range 100 {
				got, err := s.Run(bg, in)
				if err != nil || tensor.Compare(got["y"], want[g%8]["y"], tensor.Tolerance{Abs: 1e-30}) != nil {
					t.Errorf("run differs: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestOutputsBelongToTheCaller(t *testing.T) {
	m, g, b := model()
	x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Size(2)))
	same := b.Op("Identity", nil, x)
	double := b.Op("Add", nil, x, x)
	view := b.Op("Reshape", nil, double, b.Ints(1, 2))
	k := b.Op("Identity", nil, b.Const(f32([]int{2}, 5, 6)))
	b.Insert(nil)
	g.Outputs = []*onnx.Value{same, double, view, k}
	s := open(t, m, runtime.Options{Level: optimize.None})
	for range 4 {
		in := f32([]int{2}, 1, 2)
		out, err := s.Run(bg, map[string]tensor.Value{"x": in})
		require.NoError(t, err)
		for _, v := range out {
			d := tensor.Data[float32](v.(*tensor.Tensor))
			for i := range d {
				d[i] = -1
			}
		}
		require.Equal(t, []float32{1, 2}, tensor.Data[float32](in))
		out, err = s.Run(bg, map[string]tensor.Value{"x": in})
		require.NoError(t, err)
		require.Equal(t, []float32{1, 2}, tensor.Data[float32](out[same.Name].(*tensor.Tensor)))
		require.Equal(t, []float32{2, 4}, tensor.Data[float32](out[double.Name].(*tensor.Tensor)))
		require.Equal(t, []float32{2, 4}, tensor.Data[float32](out[view.Name].(*tensor.Tensor)))
		require.Equal(t, []float32{5, 6}, tensor.Data[float32](out[k.Name].(*tensor.Tensor)))
	}
}

func TestRunInto(t *testing.T) {
	s := open(t, chain(t, 3), runtime.Options{})
	in := input(5, 2)
	want, err := s.Run(bg, in)
	require.NoError(t, err)
	for range 4 {
		y := tensor.New(tensor.Float32, 5, 4)
		require.NoError(t, s.RunInto(bg, in, map[string]tensor.Value{"y": y}))
		require.NoError(t, tensor.Compare(y, want["y"], tensor.Tolerance{}))
	}
	x := in["x"].(*tensor.Tensor).Clone() // output over input
	require.NoError(t, s.RunInto(bg, map[string]tensor.Value{"x": x}, map[string]tensor.Value{"y": x}))
	require.NoError(t, tensor.Compare(x, want["y"], tensor.Tolerance{}))
	require.ErrorContains(t, s.RunInto(bg, in, map[string]tensor.Value{"y": tensor.New(tensor.Float32, 4, 4)}), `output "y"`)
	require.ErrorContains(t, s.RunInto(bg, in, map[string]tensor.Value{"y": tensor.New(tensor.Int64, 5, 4)}), `output "y"`)
}

func TestIntermediateValues(t *testing.T) {
	m, g, b := model()
	x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Size(2)))
	mid := b.Op("Neg", nil, x)
	mid.Name = "mid"
	id := b.Op("Identity", nil, mid)
	y := b.Op("Add", nil, id, id)
	y.Name = "y"
	b.Insert(nil)
	g.Outputs = []*onnx.Value{y}
	s := open(t, m, runtime.Options{})
	in := map[string]tensor.Value{"x": f32([]int{2}, 1, -3)}
	out, err := s.Run(bg, in, "mid", "y")
	require.NoError(t, err)
	require.Equal(t, []float32{-1, 3}, tensor.Data[float32](out["mid"].(*tensor.Tensor)))
	require.Equal(t, []float32{-2, 6}, tensor.Data[float32](out["y"].(*tensor.Tensor)))
	_, err = s.Run(bg, in, "nowhere")
	require.ErrorContains(t, err, `no value "nowhere"`)
}

// A result that has as many bytes as an operand, but other elements, is not written over it.
func TestComparisonsBesideTheirOperands(t *testing.T) {
	for _, swapped := range []bool{false, true} {
		m, g, b := model()
		x := b.Op("Neg", nil, g.AddInput("x", onnx.TensorType(tensor.Int64, onnx.Name("A"))))
		y := b.Op("Neg", nil, g.AddInput("y", onnx.TensorType(tensor.Int64, onnx.Name("B"), onnx.Size(1))))
		if swapped {
			x, y = y, x
		}
		z := b.Op("LessOrEqual", nil, x, y)
		b.Insert(nil)
		g.Outputs = []*onnx.Value{z}
		s := open(t, m, runtime.Options{})
		down := tensor.Of([]int64{0, -1, -2, -3, -4, -5, -6, -7})
		column, err := down.Reshape(8, 1)
		require.NoError(t, err)
		for range 3 {
			out, err := s.Run(bg, map[string]tensor.Value{"x": down, "y": column})
			require.NoError(t, err)
			for i, v := range tensor.Data[bool](out[z.Name].(*tensor.Tensor)) {
				row, col := i/8, i%8
				require.Equal(t, !swapped && col <= row || swapped && row <= col, v, i)
			}
		}
	}
}

func TestInputErrors(t *testing.T) {
	s := open(t, chain(t, 1), runtime.Options{})
	for name, c := range map[string]struct {
		in   map[string]tensor.Value
		want string
	}{
		"missing": {nil, `input "x" (float32[N,4]) is missing`},
		"rank":    {map[string]tensor.Value{"x": f32([]int{4}, 1, 2, 3, 4)}, "rank 1, want 2"},
		"size":    {map[string]tensor.Value{"x": f32([]int{1, 3}, 1, 2, 3)}, "dimension 1 is 3, want 4"},
		"type":    {map[string]tensor.Value{"x": tensor.New(tensor.Int64, 1, 4)}, "another element type"},
		"kind":    {map[string]tensor.Value{"x": &tensor.Sequence{}}, "sequence"},
		"unknown": {map[string]tensor.Value{"x": f32([]int{1, 4}, 1, 2, 3, 4), "z": f32([]int{1}, 1)}, `no input "z"`},
	} {
		_, err := s.Run(bg, c.in)
		require.ErrorContains(t, err, c.want, name)
	}
}

func TestNodeErrorNamesTheNode(t *testing.T) {
	m, g, b := model()
	x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("A")))
	y := g.AddInput("y", onnx.TensorType(tensor.Float32, onnx.Name("B")))
	z := b.Op("Add", nil, x, y)
	b.Nodes[0].Name = "join"
	b.Insert(nil)
	g.Outputs = []*onnx.Value{z}
	s := open(t, m, runtime.Options{})
	_, err := s.Run(bg, map[string]tensor.Value{"x": f32([]int{2}, 1, 2), "y": f32([]int{3}, 1, 2, 3)})
	var ne *runtime.NodeError
	require.ErrorAs(t, err, &ne)
	require.Equal(t, []string{"join"}, ne.Path)
	require.Equal(t, []string{"float32 [2]", "float32 [3]"}, ne.In)
}

func TestMemoryLimit(t *testing.T) {
	m, g, b := model()
	n := g.AddInput("n", onnx.TensorType(tensor.Int64, onnx.Size(1)))
	v := b.Op("ConstantOfShape", nil, n)
	v = b.Op("Add", nil, v, v)
	b.Insert(nil)
	g.Outputs = []*onnx.Value{v}
	s := open(t, m, runtime.Options{MaxMemory: 1 << 20})
	_, err := s.Run(bg, map[string]tensor.Value{"n": tensor.Of([]int64{1 << 28})})
	require.ErrorIs(t, err, runtime.ErrMemory)
	_, err = s.Run(bg, map[string]tensor.Value{"n": tensor.Of([]int64{-1})})
	require.Error(t, err)
	for range 50 { // what was given out is counted until it is collected, not for ever
		_, err = s.Run(bg, map[string]tensor.Value{"n": tensor.Of([]int64{40_000})})
		require.NoError(t, err)
	}
}

// Kernels that work on unpacked or widened elements have the memory of the run.
func TestMemoryLimitOfConverted(t *testing.T) {
	for _, c := range []struct {
		op string
		d  tensor.DType
	}{{"Tile", tensor.Int4}, {"Expand", tensor.Uint2}} {
		m, g, b := model()
		m.Opsets[""] = 25
		x := g.AddInput("x", onnx.TensorType(c.d, onnx.Size(1)))
		n := g.AddInput("n", onnx.TensorType(tensor.Int64, onnx.Size(1)))
		v := b.Op(c.op, nil, x, n)
		b.Insert(nil)
		g.Outputs = []*onnx.Value{v}
		s := open(t, m, runtime.Options{MaxMemory: 1 << 20})
		_, err := s.Run(bg, map[string]tensor.Value{"x": tensor.New(c.d, 1), "n": tensor.Of([]int64{1 << 28})})
		require.ErrorIs(t, err, runtime.ErrMemory, c.op)
	}
}

func TestCancel(t *testing.T) {
	m := chain(t, 400)
	s := open(t, m, runtime.Options{})
	in := input(200_000, 1)
	ctx, cancel := context.WithCancel(bg)
	time.AfterFunc(20*time.Millisecond, cancel)
	start := time.Now()
	_, err := s.Run(ctx, in)
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, time.Since(start), 5*time.Second)
	_, err = s.Run(ctx, in)
	require.ErrorIs(t, err, context.Canceled)
}

func TestClose(t *testing.T) {
	s, err := runtime.New(chain(t, 50), runtime.Options{})
	require.NoError(t, err)
	out, err := s.Run(bg, input(9, 1))
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				if _, err := s.Run(bg, input(9, 1)); err != nil {
					if !errors.Is(err, runtime.ErrClosed) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	time.Sleep(5 * time.Millisecond)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	wg.Wait()
	require.Len(t, tensor.Data[float32](out["y"].(*tensor.Tensor)), 36)
}

func TestDefaults(t *testing.T) {
	for _, ir := range []int64{3, 8} {
		m, g, b := model()
		m.IRVersion = ir
		x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Size(1)))
		k := g.AddInput("k", onnx.TensorType(tensor.Float32, onnx.Size(1)))
		k.Const = f32([]int{1}, 10)
		y := b.Op("Add", nil, x, k)
		b.Insert(nil)
		y.Name = "y"
		g.Outputs = []*onnx.Value{y}
		s := open(t, m, runtime.Options{})
		out, err := s.Run(bg, map[string]tensor.Value{"x": f32([]int{1}, 1)})
		require.NoError(t, err)
		require.Equal(t, []float32{11}, tensor.Data[float32](out["y"].(*tensor.Tensor)))
		out, err = s.Run(bg, map[string]tensor.Value{"x": f32([]int{1}, 1), "k": f32([]int{1}, 2)})
		if ir < 4 {
			require.ErrorContains(t, err, `no input "k"`)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, []float32{3}, tensor.Data[float32](out["y"].(*tensor.Tensor)))
	}
}

func TestCustomOperator(t *testing.T) {
	twice := &ops.Op{Domain: "example", Name: "Twice", Versions: []ops.Version{{
		Since: 1, In: ops.N(1), Out: ops.N(1),
		Infer: func(c *ops.InferContext) error { c.Out[0] = c.In(0); return nil },
		Build: func(b *ops.BuildContext) (ops.Kernel, error) {
			by := b.Float("by", 2)
			return func(c *ops.Call) error {
				x := c.T(0)
				y := c.Output(0, x.DType(), x.Shape()...)
				for i, v := range tensor.Data[float32](x) {
					tensor.Data[float32](y)[i] = v * by
				}
				return nil
			}, nil
		},
	}}}
	m, g, _ := model()
	m.Opsets["example"] = 1
	x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Size(2)))
	n := g.NewNodeIn("example", "Twice", onnx.NewAttrs("by", 3.0), []*onnx.Value{x}, 1)
	g.Insert(nil, n)
	g.Outputs = n.Out
	s := open(t, m, runtime.Options{Operators: []*ops.Op{twice}})
	out, err := s.Run(bg, map[string]tensor.Value{"x": f32([]int{2}, 1, 2)})
	require.NoError(t, err)
	require.Equal(t, []float32{3, 6}, tensor.Data[float32](out[n.Out[0].Name].(*tensor.Tensor)))
	_, err = runtime.New(m, runtime.Options{})
	require.ErrorIs(t, err, ops.ErrUnsupported)
}

func TestMemoryReturns(t *testing.T) {
	s := open(t, chain(t, 30), runtime.Options{})
	heap := func() uint64 {
		var m goruntime.MemStats
		for range 8 { // memory of results is kept for a while
			goruntime.GC()
			time.Sleep(time.Millisecond)
		}
		goruntime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	in := input(50_000, 1) // 800 kB a value
	runs := func(n int) {
		for range n {
			_, err := s.Run(bg, in)
			require.NoError(t, err)
		}
	}
	runs(3)
	before := heap()
	runs(50)
	require.Less(t, heap(), before+1<<20)
}

// TestDefaultsAreConstants: inputs that have defaults are constants until a run gives them.
func TestDefaultsAreConstants(t *testing.T) {
	m, g, b := model()
	w := g.AddInput("w", onnx.TensorType(tensor.Float32, onnx.Size(2)))
	w.Const = f32([]int{2}, 1, 2)
	g.Consts = append(g.Consts, w)
	x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(2)))
	v := g.AddInput("v", onnx.TensorType(tensor.Float32))
	v.Const = tensor.Scalar(float32(3))
	g.Consts = append(g.Consts, v)
	k := b.Op("Exp", nil, w)
	k.Name = "k"
	y := b.Op("Add", nil, b.Op("Mul", nil, x, k), v)
	require.NoError(t, b.Err())
	b.Insert(nil)
	y.Name = "y"
	g.Outputs = []*onnx.Value{y}
	s := open(t, m, runtime.Options{Threads: 1})

	var names []string
	for _, i := range s.Inputs() {
		names = append(names, i.Name)
		require.Equal(t, i.Name != "x", i.Optional)
	}
	require.Equal(t, []string{"w", "x", "v"}, names)
	in := map[string]tensor.Value{"x": f32([]int{1, 2}, 1, 1)}
	p, err := s.Profile(bg, in)
	require.NoError(t, err)
	for _, n := range p.Nodes {
		require.NotEqual(t, "Exp", n.Op, "the default was not folded")
	}
	check := func(in map[string]tensor.Value, want ...float32) {
		t.Helper()
		out, err := s.Run(bg, in)
		require.NoError(t, err)
		require.InDeltaSlice(t, want, tensor.Data[float32](out["y"].(*tensor.Tensor)), 1e-5)
	}
	check(in, 5.718282, 10.389056)
	in["w"], in["v"] = nil, nil
	check(in, 5.718282, 10.389056)
	in["w"] = f32([]int{2}, 0, 0)
	check(in, 4, 4)
	in["v"] = tensor.Scalar(float32(0))
	check(in, 1, 1)
	out, err := s.Run(bg, in, "k")
	require.NoError(t, err)
	require.Equal(t, []float32{1, 1}, tensor.Data[float32](out["k"].(*tensor.Tensor)))
	delete(in, "w")
	delete(in, "v")
	check(in, 5.718282, 10.389056)
	out, err = s.Run(bg, in, "k")
	require.NoError(t, err)
	require.InDeltaSlice(t, []float32{2.7182817, 7.389056}, tensor.Data[float32](out["k"].(*tensor.Tensor)), 1e-6)
	in["u"] = tensor.Scalar(float32(0))
	_, err = s.Run(bg, in)
	require.ErrorContains(t, err, `there is no input "u"`)
	in = map[string]tensor.Value{"x": in["x"], "w": f32([]int{3}, 0, 0, 0)}
	_, err = s.Run(bg, in)
	require.ErrorContains(t, err, `input "w"`)
}
