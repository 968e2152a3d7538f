//go:build !race

// The race detector empties pools and makes runs many times slower: what is
// measured here holds without it.

package runtime_test

import (
	goruntime "runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// TestNodesDoNotAllocate: once plans are made, the executor takes no memory
// for a node.
func TestNodesDoNotAllocate(t *testing.T) {
	few, many := allocations(t, views(t, 1)), allocations(t, views(t, 100))
	require.Zero(t, few)
	require.Zero(t, many)
}

func allocations(t *testing.T, m *onnx.Model) float64 {
	s := open(t, m, runtime.Options{Threads: 1, Level: 1})
	in := input(3, 1)
	out := map[string]tensor.Value{"y": tensor.New(tensor.Float32, 3, 4)}
	run := func() { require.NoError(t, s.RunInto(bg, in, out)) }
	for range 3 {
		run()
	}
	return testing.AllocsPerRun(100, func() { _ = s.RunInto(bg, in, out) })
}

// TestManyRuns: a session that runs for days does not grow.
func TestManyRuns(t *testing.T) {
	s := open(t, chain(t, 3), runtime.Options{Threads: 2})
	in := input(3, 1)
	heap := func() (bytes, objects uint64) {
		var m goruntime.MemStats
		for range 3 {
			goruntime.GC()
		}
		goruntime.ReadMemStats(&m)
		return m.HeapAlloc, m.HeapObjects
	}
	for range 100 {
		_, err := s.Run(bg, in)
		require.NoError(t, err)
	}
	bytes, objects := heap()
	for range 100_000 {
		if _, err := s.Run(bg, in); err != nil {
			t.Fatal(err)
		}
	}
	b, o := heap()
	require.Less(t, b, bytes+64<<10)
	require.Less(t, o, objects+200)
}

// TestBodiesDoNotAllocate: neither do iterations of loops, branches and what passes between graphs.
func TestBodiesDoNotAllocate(t *testing.T) {
	s := open(t, power(t), runtime.Options{Threads: 1})
	for _, n := range []int64{3, 30} {
		in := powerInputs(n, 1)
		out := map[string]tensor.Value{"y": tensor.New(tensor.Float32, 2), "all": tensor.New(tensor.Float32, int(n), 2)}
		for range 4 {
			require.NoError(t, s.RunInto(bg, in, out))
		}
		require.Zero(t, testing.AllocsPerRun(100, func() { _ = s.RunInto(bg, in, out) }), n)
	}
}

// TestScansDoNotAllocate is TestBodiesDoNotAllocate for the slices and stacks of a Scan.
func TestScansDoNotAllocate(t *testing.T) {
	m, g, b := model()
	x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Size(50), onnx.Size(4)))
	body := g.NewBody("body")
	state := body.AddInput("state", onnx.TensorType(tensor.Float32, onnx.Size(4)))
	part := body.AddInput("part", onnx.TensorType(tensor.Float32, onnx.Size(4)))
	bb := ops.NewBuilder(body)
	next := bb.Op("Tanh", nil, bb.Op("Add", nil, state, part))
	require.NoError(t, bb.Err())
	bb.Insert(nil)
	body.Outputs = []*onnx.Value{next, next}
	y := b.Ops("", "Scan", onnx.NewAttrs("body", body, "num_scan_inputs", 1), 2, b.Const(tensor.New(tensor.Float32, 4)), x)
	require.NoError(t, b.Err())
	b.Insert(nil)
	y[0].Name, y[1].Name = "last", "all"
	g.Outputs = y
	s := open(t, m, runtime.Options{Threads: 1, Level: optimize.None})
	in := map[string]tensor.Value{"x": tensor.New(tensor.Float32, 50, 4)}
	out := map[string]tensor.Value{"last": tensor.New(tensor.Float32, 4), "all": tensor.New(tensor.Float32, 50, 4)}
	for range 4 {
		require.NoError(t, s.RunInto(bg, in, out))
	}
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = s.RunInto(bg, in, out) }))
}

// TestSearchesDoNotAllocate is TestBodiesDoNotAllocate for the steps and beams of a search.
func TestSearchesDoNotAllocate(t *testing.T) {
	for _, level := range []optimize.Level{optimize.None, optimize.Best} {
		s := open(t, beams(t), runtime.Options{Level: level, Threads: 1})
		in, out := beamInput(), beamOutput()
		for range 6 {
			require.NoError(t, s.RunInto(bg, in, out))
		}
		require.Zero(t, testing.AllocsPerRun(100, func() { _ = s.RunInto(bg, in, out) }), level)
	}
}

// TestMicrosoftNodesDoNotAllocate is TestNodesDoNotAllocate for operators of com.microsoft, of which
// the standard suite has no cases.
func TestMicrosoftNodesDoNotAllocate(t *testing.T) {
	real := func(shape ...int) tensor.Value { return tensor.New(tensor.Float32, shape...) }
	ints := func(v ...int32) tensor.Value { return tensor.Of(v) }
	heads := onnx.NewAttrs("num_heads", 4, "kv_num_heads", 2)
	turned := heads.Set("do_rotary", 1)
	one := tensor.Of([]float32{1})
	for _, c := range []struct {
		name, op string
		attrs    onnx.Attrs
		outs     int
		in       []tensor.Value
	}{
		{"packed with a cache", "GroupQueryAttention", turned, 3, []tensor.Value{real(2, 1, 64), nil, nil, real(2, 2, 5, 8), real(2, 2, 5, 8), ints(3, 5), ints(6), real(9, 4), real(9, 4)}},
		{"prompt with a bias", "GroupQueryAttention", heads.Set("smooth_softmax", 1), 3, []tensor.Value{real(1, 6, 32), real(1, 6, 16), real(1, 6, 16), nil, nil, ints(5), ints(6), nil, nil, nil, real(1, 4, 6, 6)}},
		{"scores", "GroupQueryAttention", heads.Set("qk_output", 1), 4, []tensor.Value{real(1, 6, 64), nil, nil, nil, nil, ints(5), ints(6)}},
		{"sliding cache", "GroupQueryAttention", heads.Set("local_window_size", 4).Set("sliding_window_cache", 1), 3, []tensor.Value{real(1, 1, 64), nil, nil, real(1, 2, 5, 8), real(1, 2, 5, 8), ints(7), ints(8)}},
		{"quantized cache", "GroupQueryAttention", heads.Set("kv_cache_bit_width", 8).Set("k_quant_type", "PER_TENSOR").Set("v_quant_type", "PER_TENSOR"), 3, []tensor.Value{
			real(1, 1, 64), nil, nil, tensor.New(tensor.Int8, 1, 2, 5, 8), tensor.New(tensor.Int8, 1, 2, 5, 8), ints(5), ints(6), nil, nil, nil, nil, nil, one, one,
		}},
		{"all outputs", "SkipLayerNormalization", onnx.Attrs{}, 4, []tensor.Value{real(2, 3, 8), real(2, 3, 8), real(8), real(8), real(8)}},
		{"sum", "SkipSimplifiedLayerNormalization", onnx.Attrs{}, 4, []tensor.Value{real(2, 3, 8), real(3, 8), real(8)}},
		{"one position", "RotaryEmbedding", onnx.Attrs{}, 1, []tensor.Value{real(1, 2, 3, 8), tensor.Of([]int64{4}), real(9, 4), real(9, 4)}},
	} {
		t.Run(c.op+"/"+c.name, func(t *testing.T) {
			m, g, b := model()
			m.Opsets["com.microsoft"] = 1
			in := map[string]tensor.Value{}
			values := make([]*onnx.Value, len(c.in))
			for i, v := range c.in {
				if v != nil {
					name := string(rune('a' + i))
					in[name], values[i] = v, g.AddInput(name, onnx.TypeOf(v))
				}
			}
			outs := b.Ops("com.microsoft", c.op, c.attrs, c.outs, values...)
			require.NoError(t, b.Err())
			b.Insert(nil)
			for i, o := range outs {
				if o != nil {
					o.Name = "out" + string(rune('0'+i))
					g.Outputs = append(g.Outputs, o)
				}
			}
			s := open(t, m, runtime.Options{Threads: 1, Level: optimize.None})
			out, err := s.Run(bg, in)
			require.NoError(t, err)
			run := func() { require.NoError(t, s.RunInto(bg, in, out)) }
			for range 4 {
				run()
			}
			require.Zero(t, testing.AllocsPerRun(50, func() { _ = s.RunInto(bg, in, out) }))
		})
	}
}
