package runtime_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// power returns y = x * k^n by a Loop whose body captures k, with an If in it
// that captures through the body: rounds below skip are passed over.
func power(t testing.TB) *onnx.Model {
	m, g, b := model()
	n := g.AddInput("n", onnx.TensorType(tensor.Int64))
	x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N")))
	skip := g.AddInput("skip", onnx.TensorType(tensor.Int64))
	k := b.Op("Add", nil, x, x) // captured two levels down

	body := g.NewBody("body")
	iter := body.AddInput("iter", onnx.TensorType(tensor.Int64))
	cond := body.AddInput("cond", onnx.TensorType(tensor.Bool))
	acc := body.AddInput("acc", onnx.TensorType(tensor.Float32, onnx.Name("N")))
	bb := ops.NewBuilder(body)
	below := bb.Op("Less", nil, iter, skip)
	branch := func(name string, f func(*ops.Builder) *onnx.Value) *onnx.Graph {
		h := body.NewBody(name)
		hb := ops.NewBuilder(h)
		v := f(hb)
		require.NoError(t, hb.Err())
		hb.Insert(nil)
		h.Outputs = []*onnx.Value{v}
		return h
	}
	same := branch("same", func(hb *ops.Builder) *onnx.Value { return hb.Op("Identity", nil, acc) })
	mul := branch("mul", func(hb *ops.Builder) *onnx.Value { return hb.Op("Mul", nil, acc, k) })
	next := bb.Op("If", onnx.NewAttrs("then_branch", same, "else_branch", mul), below)
	keep := bb.Op("Identity", nil, cond)
	scan := bb.Op("Identity", nil, next)
	require.NoError(t, bb.Err())
	bb.Insert(nil)
	body.Outputs = []*onnx.Value{keep, next, scan}

	out := b.Ops("", "Loop", onnx.NewAttrs("body", body), 2, n, nil, x)
	require.NoError(t, b.Err())
	b.Insert(nil)
	out[0].Name, out[1].Name = "y", "all"
	g.Outputs = out
	return m
}

func powerInputs(n, skip int64) map[string]tensor.Value {
	return map[string]tensor.Value{"n": tensor.Scalar(n), "skip": tensor.Scalar(skip), "x": f32([]int{2}, 1, 0.5)}
}

func TestNestedGraphs(t *testing.T) {
	for _, level := range []optimize.Level{optimize.None, optimize.Best} {
		s := open(t, power(t), runtime.Options{Level: level})
		for range 4 {
			out, err := s.Run(bg, powerInputs(4, 1))
			require.NoError(t, err)
			require.Equal(t, []float32{8, 0.5}, tensor.Data[float32](out["y"].(*tensor.Tensor)))
			all := out["all"].(*tensor.Tensor)
			require.Equal(t, []int{4, 2}, all.Shape())
			require.Equal(t, []float32{1, 0.5, 2, 0.5, 4, 0.5, 8, 0.5}, tensor.Data[float32](all))
			out, err = s.Run(bg, powerInputs(0, 0))
			require.NoError(t, err)
			require.Equal(t, []float32{1, 0.5}, tensor.Data[float32](out["y"].(*tensor.Tensor)))
			require.Equal(t, 0, out["all"].(*tensor.Tensor).Dim(0)) // no round tells the size of N
		}
	}
}

// TestWhatBodiesPassOn: tensors of iterations are used again, but not those that a sequence, another
// carried value or an outer graph holds.
func TestWhatBodiesPassOn(t *testing.T) {
	m, g, b := model()
	n := g.AddInput("n", onnx.TensorType(tensor.Int64))
	x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N")))
	double := b.Op("Add", nil, x, x)

	body := g.NewBody("body")
	iter := body.AddInput("iter", onnx.TensorType(tensor.Int64))
	cond := body.AddInput("cond", onnx.TensorType(tensor.Bool))
	acc := body.AddInput("acc", onnx.TensorType(tensor.Float32, onnx.Name("N")))
	body.AddInput("before", onnx.TensorType(tensor.Float32, onnx.Name("N")))
	parts := body.AddInput("parts", onnx.Type{Kind: onnx.SequenceKind, Elem: new(onnx.TensorType(tensor.Float32, onnx.Name("N")))})
	rounds := body.AddInput("rounds", onnx.Type{Kind: onnx.SequenceKind, Elem: new(onnx.TensorType(tensor.Int64))})
	bb := ops.NewBuilder(body)
	branch := func(name string, v *onnx.Value) *onnx.Graph {
		h := body.NewBody(name)
		hb := ops.NewBuilder(h)
		y := hb.Op("Identity", nil, v)
		require.NoError(t, hb.Err())
		hb.Insert(nil)
		h.Outputs = []*onnx.Value{y}
		return h
	}
	odd := bb.Op("Cast", onnx.NewAttrs("to", int(tensor.Bool)), bb.Op("Mod", nil, iter, bb.Const(tensor.Scalar[int64](2))))
	step := bb.Op("If", onnx.NewAttrs("then_branch", branch("odd", double), "else_branch", branch("even", acc)), odd)
	next := bb.Op("Add", nil, acc, step)
	view := bb.Op("Reshape", nil, acc, bb.Const(tensor.Of([]int64{-1}, 1)))
	more := bb.Op("SequenceInsert", nil, parts, view)
	when := bb.Op("SequenceInsert", nil, rounds, iter)
	keep := bb.Op("Identity", nil, cond)
	same := bb.Op("Identity", nil, next)
	require.NoError(t, bb.Err())
	bb.Insert(nil)
	body.Outputs = []*onnx.Value{keep, next, acc, more, when, same, acc, iter}

	none := b.Op("SequenceEmpty", onnx.NewAttrs("dtype", int(tensor.Float32)))
	never := b.Op("SequenceEmpty", onnx.NewAttrs("dtype", int(tensor.Int64)))
	out := b.Ops("", "Loop", onnx.NewAttrs("body", body), 7, n, nil, x, double, none, never)
	require.NoError(t, b.Err())
	b.Insert(nil)
	for i, name := range []string{"acc", "before", "parts", "rounds", "all", "old", "iters"} {
		out[i].Name = name
	}
	g.Outputs = out
	for _, level := range []optimize.Level{optimize.None, optimize.Best} {
		s := open(t, m, runtime.Options{Level: level})
		var kept []map[string]tensor.Value
		for range 3 {
			res, err := s.Run(bg, map[string]tensor.Value{"n": tensor.Scalar[int64](6), "x": tensor.Of([]float32{1}, 1)})
			require.NoError(t, err)
			kept = append(kept, res)
		}
		// acc: 1, 2 (even: twice), 4 (odd: 2 more), 8, 10, 20, 22
		f32s := func(v tensor.Value) []float32 { return tensor.Data[float32](v.(*tensor.Tensor)) }
		for _, res := range kept {
			require.Equal(t, []float32{22}, f32s(res["acc"]))
			require.Equal(t, []float32{20}, f32s(res["before"]))
			for i, want := range []float32{1, 2, 4, 8, 10, 20} {
				require.Equal(t, []float32{want}, f32s(res["parts"].(*tensor.Sequence).Elems[i]))
				require.Equal(t, []int64{int64(i)}, tensor.Data[int64](res["rounds"].(*tensor.Sequence).Elems[i].(*tensor.Tensor)))
			}
			require.Equal(t, []float32{2, 4, 8, 10, 20, 22}, f32s(res["all"]))
			require.Equal(t, []float32{1, 2, 4, 8, 10, 20}, f32s(res["old"]))
			require.Equal(t, []int64{0, 1, 2, 3, 4, 5}, tensor.Data[int64](res["iters"].(*tensor.Tensor)))
		}
	}
}

func TestLoopIsCancelled(t *testing.T) {
	s := open(t, power(t), runtime.Options{})
	ctx, cancel := context.WithTimeout(bg, 30*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := s.Run(ctx, powerInputs(1<<40, 0))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(start), 5*time.Second)
}

func TestErrorInNestedGraphNamesThePath(t *testing.T) {
	m := power(t)
	m.Graph.Nodes[1].Name = "loop"
	s := open(t, m, runtime.Options{})
	in := powerInputs(3, 0)
	in["skip"] = tensor.Of([]int64{1, 2}) // rank 1: refused at the door
	_, err := s.Run(bg, in)
	require.ErrorContains(t, err, `input "skip"`)
}

func TestProfile(t *testing.T) {
	s := open(t, power(t), runtime.Options{})
	p, err := s.Profile(bg, powerInputs(3, 1))
	require.NoError(t, err)
	depths := map[int]int{}
	for _, n := range p.Nodes {
		depths[n.Depth]++
	}
	require.NotZero(t, depths[0])
	require.NotZero(t, depths[1])
	require.NotZero(t, depths[2])
	var w bytes.Buffer
	require.NoError(t, p.WriteTrace(&w))
	var trace struct{ TraceEvents []map[string]any }
	require.NoError(t, json.Unmarshal(w.Bytes(), &trace))
	require.Len(t, trace.TraceEvents, len(p.Nodes))
}

func TestOpenErrors(t *testing.T) {
	_, err := runtime.Open("no/such/model.onnx", runtime.Options{})
	require.ErrorContains(t, err, "model.onnx")
	_, err = runtime.OpenBytes([]byte("garbage"), runtime.Options{})
	require.Error(t, err)
	_, err = runtime.OpenFS(fstest.MapFS{}, "model.onnx", runtime.Options{})
	require.Error(t, err)
	m := chain(t, 1)
	for _, o := range []runtime.Options{{Threads: -1}, {MaxMemory: -1}, {Disable: []string{"no-such-rule"}}, {Operators: []*ops.Op{{Name: "X"}}}} {
		_, err := runtime.New(m, o)
		require.Error(t, err)
	}
}

// TestPlaceholders runs a model as exporters merge decoders: what only the branch that is
// not taken reads may come without elements, or with one, whatever its size is called.
func TestPlaceholders(t *testing.T) {
	m, g, b := model()
	again := g.AddInput("again", onnx.TensorType(tensor.Bool))
	x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Name("B")))
	past := g.AddInput("past", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Name("B")))
	other := g.AddInput("other", onnx.TensorType(tensor.Float32, onnx.Name("N")))
	branch := func(v *onnx.Value) *onnx.Graph {
		h := g.NewBody("branch")
		hb := ops.NewBuilder(h)
		y := hb.Op("Mul", nil, v, v)
		require.NoError(t, hb.Err())
		hb.Insert(nil)
		h.Outputs = []*onnx.Value{y}
		return h
	}
	y := b.Op("If", onnx.NewAttrs("then_branch", branch(past), "else_branch", branch(x)), again)
	y.Name = "y"
	z := b.Op("Neg", nil, other)
	z.Name = "z"
	require.NoError(t, b.Err())
	b.Insert(nil)
	g.Outputs = []*onnx.Value{y, z}
	for _, level := range []optimize.Level{optimize.None, optimize.Machine} {
		s := open(t, m, runtime.Options{Level: level})
		run := func(again bool, past *tensor.Tensor, n int) (map[string]tensor.Value, error) {
			return s.Run(bg, map[string]tensor.Value{"again": tensor.Scalar(again), "x": f32([]int{3, 1}, 1, 2, 3), "past": past, "other": tensor.New(tensor.Float32, n)})
		}
		for range 3 {
			for _, shape := range [][]int{{3, 1}, {0, 1}, {1, 1}, {0, 0}} {
				out, err := run(false, tensor.New(tensor.Float32, shape...), 3)
				require.NoError(t, err)
				require.NoError(t, tensor.Compare(out["y"], f32([]int{3, 1}, 1, 4, 9), tensor.Tolerance{}))
			}
		}
		_, err := run(false, tensor.New(tensor.Float32, 2, 1), 3)
		require.ErrorContains(t, err, "dimension 0 (N) is 2, but 3 elsewhere")
		_, err = run(false, tensor.New(tensor.Float32, 3, 1), 0)
		require.ErrorContains(t, err, "dimension 0 (N) is 0, but 3 elsewhere")
		out, err := run(true, f32([]int{3, 1}, 2, 0, 1), 3)
		require.NoError(t, err)
		require.NoError(t, tensor.Compare(out["y"], f32([]int{3, 1}, 4, 0, 1), tensor.Tolerance{}))
	}
}
