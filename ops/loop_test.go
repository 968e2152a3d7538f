package ops_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// loopBody returns a body with the counter, the condition and the given
// loop-carried types.
func loopBody(carried []onnx.Type, build func(b *ops.Builder, in []*onnx.Value) []*onnx.Value) *onnx.Graph {
	in := append([]onnx.Type{onnx.TensorType(tensor.Int64), onnx.TensorType(tensor.Bool)}, carried...)
	return BodyGraph(in, build)
}

func TestLoop(t *testing.T) {
	vec := func(n int) onnx.Type { return onnx.TensorType(tensor.Float32, onnx.Size(n)) }
	// s' = s + s; the scan output is s'.
	double := func() onnx.Attrs {
		return onnx.NewAttrs("body", loopBody([]onnx.Type{vec(2)}, func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
			s := b.Op("Add", nil, in[2], in[2])
			return []*onnx.Value{b.Op("Identity", nil, in[1]), s, b.Op("Identity", nil, s)}
		}))
	}
	// Goes on while i < 2; carries a vector that grows.
	grow := func() onnx.Attrs {
		return onnx.NewAttrs("body", loopBody([]onnx.Type{onnx.UnrankedType(tensor.Int64)}, func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
			more := b.Op("Less", nil, in[0], b.Const(tensor.Scalar(int64(2))))
			i := b.Op("Unsqueeze", nil, in[0], b.Ints(0))
			return []*onnx.Value{more, b.Op("Concat", onnx.NewAttrs("axis", 0), in[2], i), b.Op("Identity", nil, in[0])}
		}))
	}
	ragged := onnx.NewAttrs("body", loopBody([]onnx.Type{onnx.UnrankedType(tensor.Int64)}, func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
		s := b.Op("Concat", onnx.NewAttrs("axis", 0), in[2], in[2])
		return []*onnx.Value{b.Op("Identity", nil, in[1]), s, b.Op("Identity", nil, s)}
	}))
	names := onnx.NewAttrs("body", loopBody([]onnx.Type{onnx.TensorType(tensor.String, onnx.Size(1))}, func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
		return []*onnx.Value{b.Op("Identity", nil, in[1]), b.Op("Identity", nil, in[2]), b.Op("Identity", nil, in[2])}
	}))
	// Appends two rows to a matrix and, at the same time, to one that is read too.
	rows := func() onnx.Attrs {
		t := onnx.TensorType(tensor.Float32, onnx.Dim{}, onnx.Size(2))
		return onnx.NewAttrs("body", loopBody([]onnx.Type{t, t}, func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
			x := b.Op("Expand", nil, b.Op("Cast", onnx.NewAttrs("to", int(tensor.Float32)), in[0]), b.Ints(2, 2))
			top := b.Op("ReduceMax", onnx.NewAttrs("keepdims", 1), in[3], b.Ints(0))
			cat := onnx.NewAttrs("axis", 0)
			return []*onnx.Value{b.Op("Identity", nil, in[1]), b.Op("Concat", cat, in[2], x, x), b.Op("Concat", cat, in[3], b.Op("Add", nil, top, x)), b.Op("Identity", nil, x)}
		}))
	}
	words := onnx.NewAttrs("body", loopBody([]onnx.Type{onnx.UnrankedType(tensor.String)}, func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
		return []*onnx.Value{b.Op("Identity", nil, in[1]), b.Op("Concat", onnx.NewAttrs("axis", 0), in[2], b.Const(Of([]int{1}, "x")))}
	}))
	// The value before the append is returned, too.
	late := onnx.NewAttrs("body", loopBody([]onnx.Type{onnx.UnrankedType(tensor.Int64)}, func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
		return []*onnx.Value{b.Op("Identity", nil, in[1]), b.Op("Concat", onnx.NewAttrs("axis", 0), in[2], b.Ints(5)), b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), in[2])}
	}))
	m := func(n int64) *tensor.Tensor { return tensor.Scalar(n) }
	yes, no := tensor.Scalar(true), tensor.Scalar(false)
	Run(t, []Case{
		{Op: "Loop", Attrs: double(), In: Vals(m(3), yes, F32([]int{2}, 1, -1)), Want: Vals(F32([]int{2}, 8, -8), F32([]int{3, 2}, 2, -2, 4, -4, 8, -8))},
		{Op: "Loop", Opset: 1, Attrs: double(), In: Vals(I64([]int{1}, 2), nil, F32([]int{2}, 1, -1)), Want: Vals(F32([]int{2}, 4, -4), F32([]int{2, 2}, 2, -2, 4, -4))},
		{Name: "no iteration by count", Op: "Loop", Attrs: double(), In: Vals(m(0), yes, F32([]int{2}, 1, -1)), Want: Vals(F32([]int{2}, 1, -1), F32([]int{0, 2}))},
		{Name: "no iteration by condition", Op: "Loop", Attrs: double(), In: Vals(nil, no, F32([]int{2}, 1, -1)), Want: Vals(F32([]int{2}, 1, -1), F32([]int{0, 2}))},
		{Name: "ended by the body", Op: "Loop", Attrs: grow(), In: Vals(nil, yes, I64([]int{1}, 7)), Want: Vals(I64([]int{4}, 7, 0, 1, 2), I64([]int{3}, 0, 1, 2))},
		{Name: "negative count", Op: "Loop", Attrs: grow(), In: Vals(m(-4), nil, I64([]int{0})), Want: Vals(I64([]int{0}), I64([]int{0}))},
		{Name: "appended rows", Op: "Loop", Attrs: rows(), In: Vals(m(2), nil, F32([]int{1, 2}, 8, 9), F32([]int{1, 2}, 1, 2)), Want: Vals(
			F32([]int{9, 2}, 8, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1), F32([]int{5, 2}, 1, 2, 1, 2, 1, 2, 2, 3, 2, 3), F32([]int{2, 2, 2}, 0, 0, 0, 0, 1, 1, 1, 1))},
		{Name: "appended to nothing", Op: "Loop", Attrs: rows(), In: Vals(m(1), nil, F32([]int{0, 2}), F32([]int{1, 2}, 1, 2)), Want: Vals(
			F32([]int{4, 2}, 0, 0, 0, 0, 0, 0, 0, 0), F32([]int{3, 2}, 1, 2, 1, 2, 1, 2), F32([]int{1, 2, 2}, 0, 0, 0, 0))},
		{Name: "appended rows of another length", Op: "Loop", Attrs: rows(), In: Vals(m(1), nil, F32([]int{1, 3}, 7, 8, 9), F32([]int{1, 2}, 1, 2)), Want: Vals(nil, nil, nil), Err: "Concat"},
		{Name: "appended strings", Op: "Loop", Attrs: words, In: Vals(m(2), nil, Of([]int{1}, "a")), Want: Vals(Of([]int{3}, "a", "x", "x"))},
		{Name: "read and appended to", Op: "Loop", Attrs: late, In: Vals(m(3), nil, I64([]int{1}, 1)), Want: Vals(I64([]int{4}, 1, 5, 5, 5), I64([]int{3}, 1, 6, 11))},
		{Name: "strings", Op: "Loop", Attrs: names, In: Vals(m(2), nil, Of([]int{1}, "a")), Want: Vals(Of([]int{1}, "a"), Of([]int{2, 1}, "a", "a"))},
		{Name: "ragged", Op: "Loop", Attrs: ragged, In: Vals(m(2), nil, I64([]int{1}, 1)), Want: Vals(nil, nil), Err: "want int64 [2] as in the first"},
		{Op: "Loop", Attrs: double(), In: Vals(I64([]int{2}, 1, 1), nil, F32([]int{2}, 1, -1)), Want: Vals(nil), Err: "want one int64"},
		{Op: "Loop", Attrs: double(), In: Vals(m(1), nil), Want: Vals(nil), Err: "has 3 inputs, want 2"},
		{Op: "Loop", Attrs: double(), In: Vals(m(1), nil, F32([]int{2}, 1, -1)), Want: Vals(nil, nil, nil), Err: "has 3 outputs, want 4"},
	})
}

func TestLoopCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	body := loopBody(nil, func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
		return []*onnx.Value{b.Op("Identity", nil, in[1]), b.Op("Identity", nil, in[0])}
	})
	n := Node(Case{Op: "Loop", Attrs: onnx.NewAttrs("body", body), In: Vals(nil, tensor.Scalar(true)), Want: Vals(nil), Err: "x"}, nil)
	_, err := ops.Eval(par.P{Ctx: ctx}, n, Vals(nil, tensor.Scalar(true)), ops.BuildEnv{Body: Bodies(nil)})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want that the context is done", err)
	}
}

// TestLoopAppends: what a body appends to is not copied with each iteration.
func TestLoopAppends(t *testing.T) {
	const trips, width = 2000, 256
	row := onnx.TensorType(tensor.Float32, onnx.Dim{}, onnx.Size(width))
	body := loopBody([]onnx.Type{row}, func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
		x := b.Op("Expand", nil, b.Op("Cast", onnx.NewAttrs("to", int(tensor.Float32)), in[0]), b.Ints(1, width))
		return []*onnx.Value{b.Op("Identity", nil, in[1]), b.Op("Concat", onnx.NewAttrs("axis", 0), in[2], x)}
	})
	in := Vals(tensor.Scalar(int64(trips)), nil, tensor.New(tensor.Float32, 0, width))
	n := Node(Case{Op: "Loop", Attrs: onnx.NewAttrs("body", body), In: in, Want: Vals(nil), Err: "x"}, nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	out, err := ops.Eval(par.P{}, n, in, ops.BuildEnv{Body: Bodies(nil)})
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	y := out[0].(*tensor.Tensor)
	if y.Dim(0) != trips || tensor.Data[float32](y)[(trips-1)*width] != trips-1 {
		t.Fatalf("result is %v", y)
	}
	// All appended rows are 2 MB; copied with each iteration they were 2 GB.
	if got := after.TotalAlloc - before.TotalAlloc; got > 100<<20 {
		t.Errorf("%d bytes allocated", got)
	}
}
