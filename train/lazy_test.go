package train

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train/nn"
)

// tables is a model that sums rows of a table at the ids of two inputs, of which the
// second's count from the end, and multiplies them with w.
func tables(t testing.TB, rows, dim int) *onnx.Model {
	t.Helper()
	m, err := nn.Build(1, []nn.Input{nn.Ints("a", 3), nn.Ints("b", 2)}, func(s *nn.Scope, v []*onnx.Value) []nn.Output {
		table := s.Param("table", nn.Normal(0, 1), rows, dim)
		sum := func(x *onnx.Value) *onnx.Value {
			return s.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), s.Op("Gather", nil, table, x), s.Ints(1))
		}
		return []nn.Output{{Name: "y", Value: s.Apply("fc", nn.Linear{Out: 1}, s.Op("Add", nil, sum(v[0]), sum(v[1])))}}
	})
	require.NoError(t, err)
	return m
}

func idsOf(r *rand.Rand, rows, batch int) map[string]*tensor.Tensor {
	draw := func(n int, lo int64) *tensor.Tensor {
		x := tensor.New(tensor.Int64, batch, n)
		for i := range tensor.Data[int64](x) {
			tensor.Data[int64](x)[i] = lo + r.Int64N(int64(rows))
		}
		return x
	}
	y := tensor.New(tensor.Float32, batch, 1)
	for i := range tensor.Data[float32](y) {
		tensor.Data[float32](y)[i] = float32(r.NormFloat64())
	}
	return map[string]*tensor.Tensor{"a": draw(3, 0), "b": draw(2, -int64(rows)), "target": y}
}

// Rows that a batch reads move as a plain reference in float64 says; the others, and
// their memories, stay as they are.
func TestLazy(t *testing.T) {
	const rows, dim, batch = 40, 3, 4
	for _, o := range []Optimizer{
		Adam{LR: 0.01, WeightDecay: 0.1, Lazy: true}, AdamW{LR: 0.01, WeightDecay: 0.1, Lazy: true}, Adagrad{LR: 0.01, WeightDecay: 0.1, Lazy: true},
		SGD{LR: 0.01, Momentum: 0.9, WeightDecay: 0.1, Lazy: true},
	} {
		t.Run(fmt.Sprintf("%T", o), func(t *testing.T) {
			m := tables(t, rows, dim)
			tr, err := New(m, Config{Loss: MSE{}, Optimizer: o})
			require.NoError(t, err)
			defer tr.Close()
			require.Len(t, tr.tables, 1)
			r := rand.New(rand.NewPCG(1, 2))
			w := floatsOf(tr.state["table"])
			m1, m2 := make([]float64, len(w)), make([]float64, len(w))
			for step := 1; step <= 6; step++ {
				b := idsOf(r, rows, batch)
				fc := floatsOf(tr.state["fc.weight"])
				bias := floatsOf(tr.state["fc.bias"])[0]
				grad, touched := make([]float64, len(w)), map[int]bool{}
				for i := range batch {
					var at []int
					for _, x := range []string{"a", "b"} {
						n := b[x].Dim(1)
						for _, id := range tensor.Data[int64](b[x])[i*n:][:n] {
							at = append(at, int(id+rows)%rows)
						}
					}
					y := bias
					for _, row := range at {
						for k := range dim {
							y += w[row*dim+k] * fc[k]
						}
					}
					d := 2 * (y - float64(tensor.Data[float32](b["target"])[i])) / batch
					for _, row := range at {
						touched[row] = true
						for k := range dim {
							grad[row*dim+k] += d * fc[k]
						}
					}
				}
				before := map[string][]float64{}
				for name, x := range tr.state {
					before[name] = floatsOf(x)
				}
				_, err := tr.Step(context.Background(), b)
				require.NoError(t, err)
				for row := range touched {
					for i := row * dim; i < (row+1)*dim; i++ {
						g := grad[i]
						if _, ok := o.(AdamW); !ok {
							g += 0.1 * w[i]
						}
						switch o.(type) {
						case Adam, AdamW:
							m1[i], m2[i] = 0.9*m1[i]+0.1*g, 0.999*m2[i]+0.001*g*g
							if _, ok := o.(AdamW); ok {
								w[i] -= 0.01 * 0.1 * w[i]
							}
							w[i] -= 0.01 * m1[i] / (1 - math.Pow(0.9, float64(step))) / (math.Sqrt(m2[i]/(1-math.Pow(0.999, float64(step)))) + 1e-8)
						case Adagrad:
							m1[i] += g * g
							w[i] -= 0.01 * g / (math.Sqrt(m1[i]) + 1e-10)
						case SGD:
							m1[i] = 0.9*m1[i] + g
							w[i] -= 0.01 * m1[i]
						}
					}
				}
				require.InDeltaSlice(t, w, floatsOf(tr.state["table"]), 2e-4)
				for name, old := range before {
					if len(old) != rows*dim {
						continue
					}
					now := floatsOf(tr.state[name])
					for i := range old {
						if !touched[i/dim] {
							require.Equal(t, old[i], now[i], "%s: row %d", name, i/dim)
						}
					}
				}
			}
		})
	}
}

func floatsOf(x *tensor.Tensor) []float64 {
	v, err := tensor.Float64s(x.Clone())
	if err != nil {
		panic(err)
	}
	return v
}

// What a step did not finish leaves all rows; a checkpoint goes on to the same bits.
func TestLazyState(t *testing.T) {
	cfg := Config{Loss: MSE{}, Optimizer: Adam{LR: 0.01, Lazy: true}}
	m := tables(t, 30, 4)
	tr, err := New(m, cfg)
	require.NoError(t, err)
	defer tr.Close()
	r := rand.New(rand.NewPCG(1, 2))
	step := func(tr *Trainer, b map[string]*tensor.Tensor) {
		t.Helper()
		_, err := tr.Step(context.Background(), b)
		require.NoError(t, err)
	}
	step(tr, idsOf(r, 30, 4))
	old := tr.state["table"].Clone()
	bad := idsOf(r, 30, 4)
	tensor.Data[float32](bad["target"])[2] = float32(math.NaN())
	_, err = tr.Step(context.Background(), bad)
	require.ErrorContains(t, err, "the loss is NaN")
	bad = idsOf(r, 30, 4)
	tensor.Data[int64](bad["a"])[0] = 30
	_, err = tr.Step(context.Background(), bad)
	require.ErrorContains(t, err, "index 30 is not in [-30, 29]")
	require.Equal(t, old.Bytes(), tr.state["table"].Bytes())

	file := filepath.Join(t.TempDir(), "state.safetensors")
	require.NoError(t, tr.Save(file))
	next := idsOf(r, 30, 4)
	step(tr, next)
	again, err := New(m, cfg)
	require.NoError(t, err)
	defer again.Close()
	require.NoError(t, again.Resume(file))
	step(again, next)
	for name, x := range tr.state {
		require.Equal(t, x.Bytes(), again.state[name].Bytes(), name)
	}
	_, err = again.Evaluate(context.Background(), map[string]*tensor.Tensor{"a": next["a"], "b": next["b"]})
	require.NoError(t, err)

	cfg.Accumulate = 2
	_, err = New(m, cfg)
	require.ErrorContains(t, err, "the optimizer is lazy with Config.Accumulate 2")
}

// A table that something else reads as well is updated as ever: its gradient is dense.
func TestLazyTied(t *testing.T) {
	m, err := nn.Build(1, []nn.Input{nn.Ints("x", 3)}, func(s *nn.Scope, v []*onnx.Value) []nn.Output {
		table := s.Param("table", nn.Normal(0, 1), 7, 4)
		h := s.Op("ReduceMean", onnx.NewAttrs("keepdims", 0), s.Op("Gather", nil, table, v[0]), s.Ints(1))
		return []nn.Output{{Name: "y", Value: s.Op("MatMul", nil, h, s.Op("Transpose", onnx.NewAttrs("perm", []int{1, 0}), table))}}
	})
	require.NoError(t, err)
	batch := map[string]*tensor.Tensor{"x": tensor.Of([]int64{1, 2, 3, 4, 4, 0}, 2, 3), "target": tensor.Of([]int64{1, 6}, 2)}
	var states [2][]byte
	for i, lazy := range []bool{false, true} {
		tr, err := New(m, Config{Loss: CrossEntropy{}, Optimizer: Adam{LR: 0.01, Lazy: lazy}})
		require.NoError(t, err)
		require.Empty(t, tr.tables)
		_, err = tr.Step(context.Background(), batch)
		require.NoError(t, err)
		states[i] = tr.state["table"].Bytes()
		tr.Close()
	}
	require.Equal(t, states[0], states[1])
}

// BenchmarkLazy times steps with a table of 1,000,000 rows of 64, of which a batch of
// 256 reads 1,280; dense and lazy.
func BenchmarkLazy(b *testing.B) {
	m := tables(b, 1_000_000, 64)
	for _, lazy := range []bool{false, true} {
		b.Run(map[bool]string{false: "dense", true: "lazy"}[lazy], func(b *testing.B) {
			tr, err := New(m, Config{Loss: MSE{}, Optimizer: Adam{LR: 0.01, Lazy: lazy}})
			if err != nil {
				b.Fatal(err)
			}
			defer tr.Close()
			r := rand.New(rand.NewPCG(1, 2))
			for b.Loop() {
				if _, err := tr.Step(context.Background(), idsOf(r, 1_000_000, 256)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
