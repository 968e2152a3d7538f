package runtime_test

import (
	goruntime "runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// views returns a model of operators that only move shapes about: what is
// left is the cost of a run and of its nodes.
func views(t testing.TB, n int) *onnx.Model {
	m, g, b := model()
	x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(4)))
	v := x
	for range n {
		v = b.Op("Reshape", nil, v, b.Const(tensor.Of([]int64{-1, 2, 2}, 3)))
		v = b.Op("Unsqueeze", nil, v, b.Const(tensor.Of([]int64{1}, 1)))
		v = b.Op("Squeeze", nil, v, b.Const(tensor.Of([]int64{1}, 1)))
		v = b.Op("Flatten", nil, v)
	}
	require.NoError(t, b.Err())
	b.Insert(nil)
	v.Name = "y"
	g.Outputs = []*onnx.Value{v}
	return m
}

// TestOutputsOutliveRuns: the tensors that instructions use again never reach
// the caller, whichever way a value becomes an output.
func TestOutputsOutliveRuns(t *testing.T) {
	m, g, b := model()
	x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(4)))
	two := b.Const(tensor.Of([]float32{2}, 1))
	y := b.Op("Mul", nil, x, two)
	same := b.Op("Identity", nil, y)
	flat := b.Op("Reshape", nil, y, b.Const(tensor.Of([]int64{-1}, 1)))
	view := b.Op("Identity", nil, flat)
	list := b.Op("SequenceConstruct", nil, y, flat)
	require.NoError(t, b.Err())
	b.Insert(nil)
	same.Name, view.Name, list.Name = "same", "view", "list"
	g.Outputs = []*onnx.Value{same, view, list}
	s := open(t, m, runtime.Options{Level: 1})
	for range 4 {
		first, err := s.Run(bg, map[string]tensor.Value{"x": tensor.Of([]float32{1, 2, 3, 4}, 1, 4)})
		require.NoError(t, err)
		_, err = s.Run(bg, map[string]tensor.Value{"x": tensor.Of(make([]float32, 12), 3, 4)})
		require.NoError(t, err)
		want := []float32{2, 4, 6, 8}
		for _, v := range []tensor.Value{first["same"], first["view"], first["list"].(*tensor.Sequence).Elems[0], first["list"].(*tensor.Sequence).Elems[1]} {
			require.Equal(t, want, tensor.Data[float32](v.(*tensor.Tensor)))
		}
		require.Equal(t, []int{1, 4}, first["same"].(*tensor.Tensor).Shape())
		require.Equal(t, []int{4}, first["view"].(*tensor.Tensor).Shape())
	}
}

// TestClosedSessionsGo: what a caller keeps of results does not keep the session,
// and with it the weights. One collection frees it.
func TestClosedSessionsGo(t *testing.T) {
	freed := make(chan bool)
	result := func() tensor.Value {
		s, err := runtime.New(chain(t, 3), runtime.Options{Threads: 2})
		require.NoError(t, err)
		goruntime.AddCleanup(s, func(c chan bool) { close(c) }, freed)
		out, err := s.Run(bg, input(1<<16, 1))
		require.NoError(t, err)
		require.NoError(t, s.Close())
		return out["y"]
	}()
	goruntime.GC()
	select {
	case <-freed:
	case <-time.After(10 * time.Second):
		t.Error("a result keeps its session")
	}
	goruntime.KeepAlive(result)
}

// BenchmarkNode times one node that computes nothing.
func BenchmarkNode(b *testing.B) {
	m := views(b, 100)
	s, err := runtime.New(m, runtime.Options{Threads: 1, Level: 1})
	require.NoError(b, err)
	defer s.Close()
	in := input(3, 1)
	out := map[string]tensor.Value{"y": tensor.New(tensor.Float32, 3, 4)}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.RunInto(bg, in, out); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/400, "ns/node")
}

// What a closed session has packed goes with the first collection: what each collection
// kept for the next one or two would let the heap of a process that opens models again and again
// grow without end, since it makes the collector wait for as much again.
func TestClosedSessionsFreeTheirWeights(t *testing.T) {
	held := func() uint64 {
		goruntime.GC()
		var m goruntime.MemStats
		goruntime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := held()
	func() {
		m, g, b := model()
		w := tensor.New(tensor.Float32, 4, 4<<20)
		w.Bytes()[0] = 1
		y := b.Op("MatMul", nil, g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(4))), g.AddConst(g.NewConst("w", w)))
		b.Insert(nil)
		g.Outputs = []*onnx.Value{b.Op("ReduceMax", nil, y)}
		b.Insert(nil)
		s, err := runtime.New(m, runtime.Options{})
		require.NoError(t, err)
		_, err = s.Run(bg, map[string]tensor.Value{"x": f32([]int{1, 4}, 1, 2, 3, 4)})
		require.NoError(t, err)
		require.NoError(t, s.Close())
	}()
	if after := held(); after > before+16<<20 { // the weights have 64 MB
		t.Errorf("%d MB are held after the session was closed", (after-before)>>20)
	}
}
