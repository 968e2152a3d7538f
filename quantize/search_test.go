package quantize

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// classifier returns a model of some products, named layer0, layer1 and so on,
// with samples and the classes that it gives them.
func classifier(t *testing.T, layers int) (*onnx.Model, data.Source, []int) {
	t.Helper()
	const width, classes, batch = 16, 4, 8
	rng := rand.New(rand.NewPCG(1, 2))
	g := onnx.NewGraph("g", map[string]int{"": 21})
	b := ops.NewBuilder(g)
	v := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(width)))
	for i := range layers {
		n := width
		if i == layers-1 {
			n = classes
		}
		w := make([]float32, width*n)
		for k := range w {
			w[k] = float32(rng.NormFloat64()) / 4
		}
		v = b.Op("MatMul", nil, v, b.Const(tensor.Of(w, width, n)))
		v.From.Name = "layer" + string(rune('0'+i))
		if i < layers-1 {
			v = b.Op("Relu", nil, v)
		}
	}
	require.NoError(t, b.Err())
	b.Insert(nil)
	v.Name = "y"
	g.Outputs = []*onnx.Value{v}
	m := &onnx.Model{Graph: g, Opsets: g.Opsets, IRVersion: 10}
	s, err := runtime.New(m, runtime.Options{})
	require.NoError(t, err)
	defer s.Close()
	var batches []data.Batch
	var labels []int
	for range 10 {
		x := make([]float32, batch*width)
		for k := range x {
			x[k] = float32(rng.NormFloat64())
		}
		in := data.Batch{Name: "batch", Inputs: map[string]*tensor.Tensor{"x": tensor.Of(x, batch, width)}}
		batches = append(batches, in)
		out, err := s.Run(context.Background(), in.Values())
		require.NoError(t, err)
		y := tensor.Data[float32](out["y"].(*tensor.Tensor))
		for i := range batch {
			best := 0
			for j, z := range y[i*classes : (i+1)*classes] {
				if z > y[i*classes+best] {
					best = j
				}
			}
			labels = append(labels, best)
		}
	}
	return m, data.Of(batches...), labels
}

// inOrder gives the labels to samples in their order; nil if there are none.
func inOrder(labels []int) func(data.Batch, int) ([]int, error) {
	if labels == nil {
		return nil
	}
	return func(b data.Batch, first int) ([]int, error) {
		if first+b.Size() > len(labels) {
			return nil, errors.New("too few labels")
		}
		return labels[first : first+b.Size()], nil
	}
}

func baseline(t *testing.T, m *onnx.Model, src data.Source, labels []int) *Baseline {
	t.Helper()
	s, err := runtime.New(m, runtime.Options{})
	require.NoError(t, err)
	defer s.Close()
	b, err := NewBaseline(context.Background(), s, src, BaselineOptions{Classes: inOrder(labels)})
	require.NoError(t, err)
	return b
}

// spoil negates the weights of all products but the excluded ones, for which
// accuracy is lost, and of those called harmless, which it scales a little.
func spoil(m *onnx.Model, exclude []string, harmless string) *Summary {
	s := &Summary{Before: constBytes(m.Graph)}
	s.After = s.Before
	for _, n := range m.Graph.Nodes {
		if n.Op != "MatMul" {
			continue
		}
		skip := false
		for _, e := range exclude {
			skip = skip || e == n.Name
		}
		if skip {
			s.Changes = append(s.Changes, Change{Node: n.Name, Op: n.Op, Reason: "excluded"})
			continue
		}
		w := n.In[1].Const
		changed := make([]float32, w.Len())
		for i, x := range tensor.Data[float32](w) {
			changed[i] = -x
			if n.Name == harmless {
				changed[i] = x * 1.001
			}
		}
		n.In[1].Const = tensor.Of(changed, w.Shape()...)
		s.Changes = append(s.Changes, Change{Node: n.Name, Op: n.Op, Format: "spoiled"})
		s.After -= 16
	}
	return s
}

func TestBaseline(t *testing.T) {
	ctx := context.Background()
	m, src, labels := classifier(t, 3)
	base := baseline(t, m, src, labels)
	require.Equal(t, []int{80, 80, 80}, []int{base.Samples, base.Labelled, base.Right})
	e, err := compareModel(ctx, m, base, runtime.Options{})
	require.NoError(t, err)
	require.True(t, math.IsInf(e.SNR(), 1))
	require.Zero(t, e.Drop())
	now, before := e.Accuracy()
	require.Equal(t, []float64{1, 1}, []float64{now, before})

	c := m.Clone()
	spoil(c, nil, "")
	e, err = compareModel(ctx, c, base, runtime.Options{})
	require.NoError(t, err)
	require.Positive(t, e.Drop())
	require.Less(t, e.SNR(), 10.0)

	s, err := runtime.New(m, runtime.Options{})
	require.NoError(t, err)
	defer s.Close()
	few, err := NewBaseline(ctx, s, src, BaselineOptions{MaxBytes: 300}) // two batches of 128 bytes
	require.NoError(t, err)
	require.Equal(t, 16, few.Samples)
	require.Equal(t, []bool{false, true}, []bool{few.All, base.All})
	require.Zero(t, few.Labelled)
	_, err = NewBaseline(ctx, s, src, BaselineOptions{Classes: inOrder(labels[:9])})
	require.ErrorContains(t, err, "too few labels")
	_, err = NewBaseline(ctx, s, src, BaselineOptions{Classes: inOrder(labels), Scores: "z"})
	require.ErrorContains(t, err, `no output "z"`)
	_, err = NewBaseline(ctx, s, data.Of(), BaselineOptions{})
	require.ErrorContains(t, err, "no samples")
	for b, err := range src.Batches(ctx) {
		require.NoError(t, err)
		for name, x := range b.Inputs {
			bad := tensor.New(tensor.Float32, x.Shape()...)
			for i := range tensor.Data[float32](bad) {
				tensor.Data[float32](bad)[i] = float32(math.NaN())
			}
			_, err := NewBaseline(ctx, s, data.Of(b, data.Batch{Name: "bad.npz", Inputs: map[string]*tensor.Tensor{name: bad}}), BaselineOptions{})
			require.ErrorContains(t, err, "bad.npz: output ")
			require.ErrorContains(t, err, "NaN throughout")
		}
	}
}

// A candidate whose outputs are NaN or infinite is tried and kept like others:
// the state can be written and read.
func TestSearchBadOutputs(t *testing.T) {
	m, src, labels := classifier(t, 3)
	ruin := func(x float32) Recipe {
		return Recipe{fmt.Sprint("ruin ", x), func(_ context.Context, c *onnx.Model, _ []string) (*Summary, error) {
			s := spoil(c, nil, "")
			for _, n := range c.Graph.Nodes {
				if n.Op == "MatMul" {
					for i := range tensor.Data[float32](n.In[1].Const) {
						tensor.Data[float32](n.In[1].Const)[i] = x
					}
				}
			}
			return s, nil
		}}
	}
	c := SearchConfig{State: filepath.Join(t.TempDir(), "state.json"), ID: "a"}
	recipes := []Recipe{ruin(float32(math.NaN())), ruin(math.MaxFloat32)}
	for range 2 {
		tried, i, err := Search(context.Background(), m, recipes, baseline(t, m, src, labels), c)
		require.NoError(t, err)
		require.Equal(t, -1, i)
		require.Len(t, tried, 2)
		for _, x := range tried {
			require.Empty(t, x.Error)
			require.Positive(t, x.Drop)
			require.Equal(t, math.MaxFloat64, x.RelativeL2, x.Recipe)
		}
	}
}

func TestSensitivity(t *testing.T) {
	m, src, labels := classifier(t, 3)
	var nodes []*onnx.Node
	for _, n := range m.Graph.Nodes {
		if n.Op == "MatMul" {
			nodes = append(nodes, n)
		}
	}
	calls := 0
	layers, err := Sensitivity(context.Background(), m, nodes, func(c *onnx.Model, node string) error {
		var others []string
		for _, n := range nodes {
			if n.Name != node {
				others = append(others, n.Name)
			}
		}
		spoil(c, others, "layer1")
		return nil
	}, baseline(t, m, src, labels), runtime.Options{}, func(done, total int) {
		calls++
		require.Equal(t, []int{calls, 3}, []int{done, total})
	})
	require.NoError(t, err)
	require.Len(t, layers, 3)
	require.Equal(t, "layer1", layers[2].Node) // does no harm
	require.Greater(t, layers[2].SNR, 40.0)
	require.Positive(t, layers[0].Drop)
	require.GreaterOrEqual(t, layers[0].Drop, layers[1].Drop)
}

func TestSearch(t *testing.T) {
	ctx := context.Background()
	m, src, labels := classifier(t, 6)
	base := baseline(t, m, src, labels)
	made := 0
	recipe := Recipe{"spoil", func(_ context.Context, c *onnx.Model, exclude []string) (*Summary, error) {
		made++
		return spoil(c, exclude, "layer1"), nil
	}}
	broken := Recipe{"broken", func(context.Context, *onnx.Model, []string) (*Summary, error) { return nil, errors.New("no") }}
	order := []string{"layer5", "layer4", "layer3", "layer2", "layer0", "layer1"}
	var best []Candidate
	c := SearchConfig{MaxDrop: 0.01, State: filepath.Join(t.TempDir(), "state.json"), ID: "a",
		Layers: func(context.Context, Recipe) ([]string, error) { return order, nil },
		Better: func(_ *onnx.Model, _ *Summary, c Candidate) error { best = append(best, c); return nil }}
	tried, i, err := Search(ctx, m, []Recipe{broken, recipe}, base, c)
	require.NoError(t, err)
	require.GreaterOrEqual(t, i, 0)
	require.Equal(t, "no", tried[0].Error)
	require.LessOrEqual(t, tried[i].Drop, 0.01)
	require.Positive(t, tried[i].LatencyNS)
	require.Equal(t, order[:len(tried[i].Exclude)], tried[i].Exclude)
	require.Equal(t, tried[i], best[len(best)-1])
	for _, x := range tried { // no smaller model within the bound was passed over
		require.False(t, x.Error == "" && x.Drop <= 0.01 && x.Bytes < tried[i].Bytes)
	}

	// What is known is not made again, but for the best, which is written.
	first, fresh := made, len(tried)
	again, k, err := Search(ctx, m, []Recipe{broken, recipe}, base, c)
	require.NoError(t, err)
	require.Len(t, again, fresh)
	require.Equal(t, tried[i].Exclude, again[k].Exclude)
	require.Less(t, made-first, first)
	c.ID = "b" // of other data
	made = 0
	kept, err := os.ReadFile(c.State)
	require.NoError(t, err)
	_, _, err = Search(ctx, m, []Recipe{recipe}, base, c)
	require.ErrorContains(t, err, "another model")
	require.Zero(t, made)
	after, err := os.ReadFile(c.State)
	require.NoError(t, err)
	require.Equal(t, kept, after)

	// Nothing within the bound; an interruption keeps what was tried.
	c.Layers, c.State = nil, ""
	_, i, err = Search(ctx, m, []Recipe{recipe}, base, c)
	require.NoError(t, err)
	require.Equal(t, -1, i)
	stop, cancel := context.WithCancel(ctx)
	c.Tried = func(Candidate) { cancel() }
	tried, _, err = Search(stop, m, []Recipe{recipe, recipe}, base, c)
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, tried, 1)

	c.State = filepath.Join(t.TempDir(), "bad.json")
	require.NoError(t, os.WriteFile(c.State, []byte("{"), 0o600))
	_, _, err = Search(ctx, m, []Recipe{recipe}, base, c)
	require.ErrorContains(t, err, "not the state of a search")
	_, _, err = Search(ctx, m, []Recipe{recipe}, baseline(t, m, src, nil), SearchConfig{})
	require.ErrorContains(t, err, "labels")
}
