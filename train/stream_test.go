package train

import (
	"context"
	"iter"
	"math"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/tensor"
)

// Numbers of samples are spread evenly over the unit interval, in another way for each seed.
func TestUnitHash(t *testing.T) {
	const n = 20000
	bins, both := make([]int, 10), 0
	for i := range n {
		u := UnitHash(7, i)
		require.True(t, u >= 0 && u < 1, u)
		bins[int(u*10)]++
		if u < 0.2 && UnitHash(8, i) < 0.2 {
			both++
		}
	}
	for _, k := range bins {
		require.InDelta(t, n/10, k, 4*math.Sqrt(n*0.1*0.9))
	}
	require.InDelta(t, 0.04*n, both, 4*math.Sqrt(n*0.04*0.96))
	require.Equal(t, UnitHash(7, 3), UnitHash(7, 3))
}

// inOrder is a source of n samples, in batches of 7.
func inOrder(n int) data.Source {
	var all []data.Batch
	for i := 0; i < n; i += 7 {
		k := min(7, n-i)
		x, y := tensor.New(tensor.Float32, k, 2), tensor.New(tensor.Int64, k)
		for j := range k {
			tensor.Data[float32](x)[2*j], tensor.Data[int64](y)[j] = float32(i+j), int64(i+j)
		}
		all = append(all, data.Batch{Name: "numbers", Inputs: map[string]*tensor.Tensor{"x": x, "y": y}})
	}
	return data.Of(all...)
}

func TestStream(t *testing.T) {
	ctx := context.Background()
	read := func(s *Stream, epoch, from int) (ids []int64) {
		for b, err := range s.Epoch(ctx, epoch, from) {
			require.NoError(t, err)
			for i, y := range tensor.Data[int64](b["y"]) {
				require.Equal(t, float32(y), tensor.Data[float32](b["x"])[2*i], "what belongs together stays so")
			}
			ids = append(ids, tensor.Data[int64](b["y"])...)
		}
		return ids
	}
	s, err := NewStream(ctx, inOrder(100), StreamOptions{BatchSize: 8, Buffer: 20, Seed: 3})
	require.NoError(t, err)
	require.Equal(t, 13, s.Len())
	ids := read(s, 0, 0)
	require.Equal(t, ids, read(s, 0, 0))
	require.Equal(t, ids[5*8:], read(s, 0, 5), "it goes on from a batch")
	require.NotEqual(t, ids, read(s, 1, 0))
	for i, id := range ids[:80] {
		require.LessOrEqual(t, int(id), i+20, "the buffer is bounded")
	}
	all := slices.Sorted(slices.Values(ids))
	require.NotEqual(t, all, ids)
	for i, id := range all {
		require.EqualValues(t, i, id)
	}
	require.Len(t, all, 100)

	// Augmentation gets the numbers that samples have in the source.
	calls := 0
	plus := func(_ context.Context, b map[string]*tensor.Tensor, epoch int, index []int) (map[string]*tensor.Tensor, error) {
		calls++
		require.Equal(t, 4, epoch)
		for i, k := range index {
			require.EqualValues(t, k, tensor.Data[int64](b["y"])[i])
			tensor.Data[float32](b["x"])[2*i]++
			tensor.Data[int64](b["y"])[i]++
		}
		return b, nil
	}
	changed, err := NewStream(ctx, inOrder(100), StreamOptions{BatchSize: 8, Buffer: 20, Seed: 3, Augment: plus})
	require.NoError(t, err)
	require.Equal(t, 100, changed.Samples())
	want := read(s, 4, 6)
	for i := range want {
		want[i]++
	}
	require.Equal(t, want, read(changed, 4, 6))
	require.Equal(t, 7, calls)

	s, err = NewStream(ctx, inOrder(100), StreamOptions{BatchSize: 8, Buffer: 1, DropLast: true})
	require.NoError(t, err)
	require.Equal(t, 12, s.Len())
	require.Equal(t, all[:96], read(s, 0, 0))

	_, err = NewStream(ctx, inOrder(3), StreamOptions{BatchSize: 8, DropLast: true})
	require.ErrorContains(t, err, "3 samples make no batch of 8")
	odd := data.Of(data.Batch{Name: "a", Inputs: map[string]*tensor.Tensor{"x": tensor.New(tensor.Float32, 1, 2)}},
		data.Batch{Name: "b", Inputs: map[string]*tensor.Tensor{"x": tensor.New(tensor.Float32, 1, 3)}})
	_, err = NewStream(ctx, odd, StreamOptions{})
	require.ErrorContains(t, err, `b: tensor "x" is float32 [1 3], in the first batch it is float32 [1 2]`)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = NewStream(cancelled, inOrder(3), StreamOptions{})
	require.ErrorIs(t, err, context.Canceled)
}

// endless is a source that never ends, and counts the batches that are read of it.
type endless struct{ read *atomic.Int64 }

func (e endless) Len() int { return -1 }
func (e endless) Batches(ctx context.Context) iter.Seq2[data.Batch, error] {
	return func(yield func(data.Batch, error) bool) {
		for ctx.Err() == nil {
			e.read.Add(1)
			if !yield(data.Batch{Name: "endless", Inputs: map[string]*tensor.Tensor{"x": tensor.New(tensor.Float32, 2, 1)}}, nil) {
				return
			}
		}
		yield(data.Batch{}, ctx.Err())
	}
}

// TestStreamAhead stops streams from either side: no goroutine reads on.
func TestStreamAhead(t *testing.T) {
	read := &atomic.Int64{}
	s := &Stream{source: endless{read}, o: StreamOptions{BatchSize: 4, Buffer: 3, Prefetch: 3}, len: 1000}
	n := 0
	for _, err := range s.Epoch(context.Background(), 0, 0) {
		require.NoError(t, err)
		if n++; n == 5 {
			break
		}
	}
	stopped := read.Load()
	require.LessOrEqual(t, stopped, int64(2*(5+3+2)+3), "at most some batches ahead")
	runtime.Gosched()
	require.Equal(t, stopped, read.Load())

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var last error
	n = 0
	for _, err := range s.Epoch(ctx, 0, 0) {
		last = err
		if n++; n == 5 {
			cancel()
		}
	}
	require.ErrorIs(t, last, context.Canceled)
	require.LessOrEqual(t, n, 6)
	_, err := NewStream(context.Background(), inOrder(10), StreamOptions{Prefetch: -1})
	require.ErrorContains(t, err, "Prefetch -1")
}
