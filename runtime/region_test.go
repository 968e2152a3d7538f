package runtime

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestRegionsNeverOverlap(t *testing.T) {
	SmallRegions(t)
	r := rand.New(rand.NewPCG(5, 6))
	g := newRegion(1 << 16)
	var live [][]byte
	refused := 0
	for range 20_000 {
		if len(live) > 0 && r.IntN(2) == 0 {
			i := r.IntN(len(live))
			g.give(live[i])
			live = slices.Delete(live, i, i+1)
			continue
		}
		n := 1 + r.IntN(1+r.IntN(9000))
		b := g.take(n)
		if b == nil {
			refused++
			continue
		}
		require.Len(t, b, n)
		require.Equal(t, n, cap(b))
		require.Zero(t, address(b)%tensor.Alignment)
		require.True(t, address(b) >= address(g.data) && address(b)+uintptr(n) <= address(g.data)+uintptr(len(g.data)))
		require.False(t, slices.ContainsFunc(live, func(l []byte) bool { return overlap(l, b) }))
		live = append(live, b)
	}
	require.Positive(t, refused)
	for _, b := range live {
		g.give(b)
	}
	require.Len(t, g.take(1<<16), 1<<16, "all of it is free again")
	require.Nil(t, g.take(1))
}

// relus returns a session over n products by 1 and a sum at the end, with a free first dimension.
func relus(t *testing.T, n int, o Options) *Session {
	opsets := map[string]int{"": 21}
	g := onnx.NewGraph("g", opsets)
	b := ops.NewBuilder(g)
	x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(1024)))
	y := x
	for range n {
		y = b.Op("MatMul", nil, y, g.AddConst(g.NewConst("w", eye(1024))))
	}
	g.Outputs = []*onnx.Value{b.Op("Relu", nil, y), b.Op("ReduceSum", nil, y)}
	g.Outputs[0].Name, g.Outputs[1].Name = "y", "sum"
	require.NoError(t, b.Err())
	b.Insert(nil)
	s, err := New(&onnx.Model{IRVersion: 10, Opsets: opsets, Graph: g}, o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func eye(n int) *tensor.Tensor {
	t := tensor.New(tensor.Float32, n, n)
	for i := range n {
		tensor.Data[float32](t)[i*(n+1)] = 1
	}
	return t
}

// TestFirstRun: the first run of a session makes the plan for its shapes, whose slab is the memory of that run, and
// later runs with other shapes make theirs when these come again.
func TestFirstRun(t *testing.T) {
	planned := func(s *Session, i int) *plan { return s.plans.list[i].plan }
	run := func(s *Session, rows int) *tensor.Tensor {
		x := tensor.New(tensor.Float32, rows, 1024)
		for i := range tensor.Data[float32](x) {
			tensor.Data[float32](x)[i] = float32(i % 7)
		}
		out, err := s.Run(context.Background(), map[string]tensor.Value{"x": x})
		require.NoError(t, err)
		require.NoError(t, tensor.Compare(out["y"], x, tensor.Tolerance{}))
		return out["y"].(*tensor.Tensor)
	}
	s := relus(t, 4, Options{Threads: 1})
	y := run(s, 128)
	p := planned(s, 0)
	require.NotNil(t, p)
	sl, ok := p.slabs.Get()
	require.True(t, ok)
	require.Len(t, sl.data, p.size)
	require.GreaterOrEqual(t, p.size, 2*128*1024*4)
	require.False(t, overlap(sl.data, y.Bytes()), "a result is the caller's")
	p.slabs.Put(sl)
	run(s, 128)
	again, ok := p.slabs.Get()
	require.True(t, ok)
	require.Same(t, sl, again)
	run(s, 256)
	require.Nil(t, planned(s, 1))
	run(s, 256)
	require.NotNil(t, planned(s, 1))

	s = relus(t, 4, Options{Threads: 1, MaxMemory: 6 << 20})
	run(s, 128)
	require.Nil(t, planned(s, 0), "too much of what a run may use")
	s = relus(t, 4, Options{Threads: 1})
	run(s, 1)
	require.Nil(t, planned(s, 0), "too little to matter")
}
