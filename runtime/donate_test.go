package runtime

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// accumulator returns a session of loss = Σ w·x, w' = w - x and v' = 2·v + w, whose node for w' comes
// before the last reader of w where early is set.
func accumulator(t *testing.T, early bool) *Session {
	t.Helper()
	opsets := map[string]int{"": 20}
	g := onnx.NewGraph("g", opsets)
	w, x, v := g.AddInput("w", onnx.TensorType(tensor.Float32, onnx.Size(4))), g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Size(4))), g.AddInput("v", onnx.TensorType(tensor.Float32, onnx.Size(4)))
	b := ops.NewBuilder(g)
	loss := b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), b.Op("Mul", nil, w, x))
	var w2, v2 *onnx.Value
	momentum := func() { v2 = b.Op("Add", nil, b.Op("Mul", nil, v, b.Float(tensor.Float32, 2)), w) }
	if !early {
		momentum()
	}
	w2 = b.Op("Sub", nil, w, x)
	if early {
		momentum()
	}
	require.NoError(t, b.Err())
	loss.Name, w2.Name, v2.Name = "loss", "w2", "v2"
	b.Insert(nil)
	g.Outputs = []*onnx.Value{loss, w2, v2}
	s, err := New(&onnx.Model{IRVersion: 10, Opsets: opsets, Graph: g}, Options{Threads: 1})
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestRunInPlace(t *testing.T) {
	ctx := context.Background()
	for _, early := range []bool{false, true} {
		s := accumulator(t, early)
		w, x, v, loss := tensor.Of([]float32{1, 2, 3, 4}, 4), tensor.Of([]float32{1, 1, 2, 2}, 4), tensor.Of([]float32{1, 0, 0, 1}, 4), tensor.New(tensor.Float32)
		in := map[string]tensor.Value{"w": w, "x": x, "v": v}
		out := map[string]tensor.Value{"w2": w, "v2": v, "loss": loss}
		wantW, wantV := []float32{1, 2, 3, 4}, []float32{1, 0, 0, 1}
		for range 5 { // free lists, the recorded run, the plan
			var sum float32
			for i := range wantW {
				xi := tensor.Data[float32](x)[i]
				sum += wantW[i] * xi
				wantV[i] = 2*wantV[i] + wantW[i]
				wantW[i] -= xi
			}
			seen := 0
			_, err := s.RunInPlace(ctx, in, out, "loss", func(l *tensor.Tensor) error {
				seen++
				require.Equal(t, []float32{sum}, tensor.Data[float32](l))
				return nil
			})
			require.NoError(t, err)
			require.Equal(t, 1, seen)
			require.Equal(t, wantW, tensor.Data[float32](w))
			require.Equal(t, wantV, tensor.Data[float32](v))
			require.Equal(t, []float32{sum}, tensor.Data[float32](loss))
		}
		refused := errors.New("refused")
		begun, err := s.RunInPlace(ctx, in, out, "loss", func(*tensor.Tensor) error { return refused })
		require.ErrorIs(t, err, refused)
		require.False(t, begun)
		require.Equal(t, wantW, tensor.Data[float32](w))
		require.Equal(t, wantV, tensor.Data[float32](v))

		// What has begun is finished.
		cctx, cancel := context.WithCancel(ctx)
		begun, err = s.RunInPlace(cctx, in, out, "loss", func(*tensor.Tensor) error { cancel(); return nil })
		if begun {
			require.NoError(t, err)
			require.NotEqual(t, wantW, tensor.Data[float32](w))
		} else {
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, wantW, tensor.Data[float32](w))
			require.Equal(t, wantV, tensor.Data[float32](v))
		}
	}
}

// The result is where the input was without a copy: nothing of its size is allocated.
func TestRunInPlaceMemory(t *testing.T) {
	const n = 1 << 20
	opsets := map[string]int{"": 20}
	g := onnx.NewGraph("g", opsets)
	typ := onnx.TensorType(tensor.Float32, onnx.Size(n))
	w, x := g.AddInput("w", typ), g.AddInput("x", typ)
	b := ops.NewBuilder(g)
	w2 := b.Op("Sub", nil, w, x)
	w2.Name = "w2"
	b.Insert(nil)
	g.Outputs = []*onnx.Value{w2}
	s, err := New(&onnx.Model{IRVersion: 10, Opsets: opsets, Graph: g}, Options{Threads: 1, MaxMemory: 1 << 20})
	require.NoError(t, err)
	defer s.Close()
	a, d := tensor.New(tensor.Float32, n), tensor.New(tensor.Float32, n)
	tensor.Data[float32](d)[n-1] = 1
	in, out := map[string]tensor.Value{"w": a, "x": d}, map[string]tensor.Value{"w2": a}
	for range 3 {
		_, err = s.RunInPlace(context.Background(), in, out, "", nil)
		require.NoError(t, err)
	}
	require.Equal(t, float32(-3), tensor.Data[float32](a)[n-1])
	require.ErrorIs(t, s.RunInto(context.Background(), in, out), ErrMemory)
	_, err = s.RunInPlace(context.Background(), in, out, "loss", nil)
	require.ErrorContains(t, err, `gate "loss"`)
}
