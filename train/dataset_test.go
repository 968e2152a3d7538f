package train

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/tensor"
)

// numbered is a data set of n samples, [i, -i] and target i.
func numbered(t *testing.T, n int) Arrays {
	t.Helper()
	x, y := make([]float32, 2*n), make([]int64, n)
	for i := range n {
		x[2*i], x[2*i+1], y[i] = float32(i), -float32(i), int64(i)
	}
	a, err := NewArrays(map[string]*tensor.Tensor{"x": tensor.Of(x, n, 2), "target": tensor.Of(y, n)})
	require.NoError(t, err)
	return a
}

// seen returns the samples of every batch of an epoch.
func seen(t *testing.T, l *Loader, epoch, from int) [][]int64 {
	t.Helper()
	var out [][]int64
	for b, err := range l.Epoch(context.Background(), epoch, from) {
		require.NoError(t, err)
		ids := tensor.Data[int64](b["target"])
		for i, id := range ids {
			require.Equal(t, []float32{float32(id), -float32(id)}, tensor.Data[float32](b["x"])[2*i:2*i+2])
		}
		out = append(out, ids)
	}
	return out
}

func TestLoader(t *testing.T) {
	d := numbered(t, 10)
	l := &Loader{Dataset: d, BatchSize: 4}
	require.Equal(t, [][]int64{{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9}}, seen(t, l, 0, 0))
	require.Equal(t, [][]int64{{8, 9}}, seen(t, l, 0, 2))
	require.Equal(t, 3, l.Len())
	l = &Loader{Dataset: d, BatchSize: 4, DropLast: true, Shuffle: true, Seed: 3}
	require.Equal(t, 2, l.Len())
	a, b := seen(t, l, 0, 0), seen(t, l, 1, 0)
	require.Len(t, a, 2)
	require.NotEqual(t, a, b, "epochs have one order")
	require.Equal(t, a, seen(t, l, 0, 0), "an epoch has two orders")
	require.Equal(t, a[1:], seen(t, l, 0, 1), "an epoch that goes on has another order")
	all := slices.Concat(seen(t, &Loader{Dataset: d, BatchSize: 4, Shuffle: true}, 5, 0)...)
	slices.Sort(all)
	require.Equal(t, []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, all)

	weights := make([]float64, 10)
	weights[3], weights[7] = 1, 3
	count := map[int64]int{}
	for e := range 100 {
		for _, ids := range seen(t, &Loader{Dataset: d, Weights: weights, Seed: 1}, e, 0) {
			for _, id := range ids {
				count[id]++
			}
		}
	}
	require.Len(t, count, 2)
	require.InDelta(t, 750, count[7], 60)

	lengths := []int{5, 1, 5, 1, 5, 1, 5, 1, 5, 1}
	for _, ids := range seen(t, &Loader{Dataset: d, BatchSize: 5, Shuffle: true, Lengths: lengths}, 0, 0) {
		for _, id := range ids {
			require.Equal(t, ids[0]%2, id%2, "a batch has samples of two lengths")
		}
	}
}

func TestLoaderErrors(t *testing.T) {
	d := numbered(t, 3)
	one := func(l *Loader) error {
		for _, err := range l.Epoch(context.Background(), 0, 0) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	require.ErrorContains(t, one(&Loader{}), "Dataset is nil")
	require.ErrorContains(t, one(&Loader{Dataset: d, BatchSize: -1}), "BatchSize")
	require.ErrorContains(t, one(&Loader{Dataset: d, BatchSize: 4, DropLast: true}), "make no batch")
	require.ErrorContains(t, one(&Loader{Dataset: d, Weights: []float64{1}}), "1 weights for 3 samples")
	require.ErrorContains(t, one(&Loader{Dataset: d, Weights: []float64{0, 0, 0}}), "all weights are 0")
	bad := Map(d, func(map[string]*tensor.Tensor) (map[string]*tensor.Tensor, error) { return nil, errors.New("no") })
	require.ErrorContains(t, one(&Loader{Dataset: bad}), "no")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n := 0
	for _, err := range (&Loader{Dataset: numbered(t, 100), BatchSize: 1}).Epoch(ctx, 0, 0) {
		if n++; n == 3 {
			cancel()
		} else if n > 3 {
			require.ErrorIs(t, err, context.Canceled)
		}
	}
	require.Equal(t, 4, n)
}

func TestSplit(t *testing.T) {
	d := numbered(t, 100)
	classes := make([]int64, 100)
	for i := range classes {
		classes[i] = int64(i % 10 / 9) // one in ten
	}
	parts, err := Split(d, 7, classes, 0.8, 0.1, 0.1)
	require.NoError(t, err)
	var all []int64
	for i, n := range []int{80, 10, 10} {
		require.Equal(t, n, parts[i].Len())
		ids := slices.Concat(seen(t, &Loader{Dataset: parts[i]}, 0, 0)...)
		rare := 0
		for _, id := range ids {
			rare += int(classes[id])
		}
		require.Equal(t, n/10, rare)
		all = append(all, ids...)
	}
	slices.Sort(all)
	require.Len(t, slices.Compact(all), 100)
	_, err = Split(d, 7, nil, 0.8, 0.3)
	require.ErrorContains(t, err, "at most 1")
	_, err = Split(d, 7, classes[:5], 1)
	require.ErrorContains(t, err, "5 classes for 100 samples")

	in, out, err := KFold(d, 7, classes, 5)
	require.NoError(t, err)
	all = nil
	for i := range in {
		require.Equal(t, 80, in[i].Len())
		all = append(all, slices.Concat(seen(t, &Loader{Dataset: out[i]}, 0, 0)...)...)
	}
	slices.Sort(all)
	require.Len(t, slices.Compact(all), 100)
}

func TestCollect(t *testing.T) {
	batch := func(n int, v float32) data.Batch {
		x := tensor.New(tensor.Float32, n, 1)
		for i := range tensor.Data[float32](x) {
			tensor.Data[float32](x)[i] = v
		}
		return data.Batch{Name: "b", Inputs: map[string]*tensor.Tensor{"x": x}}
	}
	a, err := Collect(context.Background(), data.Of(batch(2, 1), batch(1, 2)))
	require.NoError(t, err)
	require.Equal(t, []float32{1, 1, 2}, tensor.Data[float32](a["x"]))
	other := data.Batch{Name: "other", Inputs: map[string]*tensor.Tensor{"y": tensor.New(tensor.Float32, 1)}}
	_, err = Collect(context.Background(), data.Of(batch(2, 1), other))
	require.ErrorContains(t, err, "other")
	_, err = Collect(context.Background(), data.Of())
	require.ErrorContains(t, err, "without tensors")
	_, err = NewArrays(map[string]*tensor.Tensor{"x": tensor.New(tensor.Float32, 2), "y": tensor.New(tensor.Float32, 3)})
	require.ErrorContains(t, err, "has 3 samples")
}
