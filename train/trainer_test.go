package train

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train/nn"
)

func perceptron(t *testing.T, layers ...nn.Layer) *onnx.Model {
	t.Helper()
	m, err := nn.Build(1, []nn.Input{nn.Floats("x", 2)}, func(s *nn.Scope, in []*onnx.Value) []nn.Output {
		return []nn.Output{{Name: "y", Value: s.Apply("net", nn.Sequential(layers), in[0])}}
	})
	require.NoError(t, err)
	return m
}

// xor are the four samples of exclusive or.
func xor() map[string]*tensor.Tensor {
	return map[string]*tensor.Tensor{
		"x":      tensor.Of([]float32{0, 0, 0, 1, 1, 0, 1, 1}, 4, 2),
		"target": tensor.Of([]float32{0, 1, 1, 0}, 4, 1),
	}
}

func TestTrainXor(t *testing.T) {
	for name, o := range map[string]Optimizer{
		"sgd": SGD{LR: 0.5, Momentum: 0.9}, "nesterov": SGD{LR: 0.5, Momentum: 0.9, Nesterov: true}, "adam": Adam{LR: 0.05}, "adamw": AdamW{LR: 0.05, WeightDecay: 1e-4},
		"adagrad": Adagrad{LR: 0.3}, "rmsprop": RMSprop{LR: 0.02}, "lion": Lion{LR: 0.01}, "lamb": LAMB{LR: 0.01},
	} {
		t.Run(name, func(t *testing.T) {
			tr, err := New(perceptron(t, nn.Linear{Out: 16}, nn.Tanh, nn.Linear{Out: 1}), Config{Loss: BCEWithLogits{}, Optimizer: o, Threads: 1})
			require.NoError(t, err)
			defer tr.Close()
			require.Len(t, tr.Names(), 4)
			require.Equal(t, "target", tr.Targets()[0].Name)
			first, last := 0.0, 0.0
			for i := range 400 {
				loss, err := tr.Step(context.Background(), xor())
				require.NoError(t, err)
				if i == 0 {
					first = loss
				}
				last = loss
			}
			require.Less(t, last, 0.1, "it was %g", first)
			out, err := tr.Evaluate(context.Background(), xor())
			require.NoError(t, err)
			for i, y := range tensor.Data[float32](out["y"]) {
				require.Equal(t, []bool{false, true, true, false}[i], y > 0)
			}
		})
	}
}

// Accumulated halves of a batch give the step of the whole batch.
func TestAccumulate(t *testing.T) {
	train := func(accumulate int, batches ...map[string]*tensor.Tensor) map[string][]float32 {
		tr, err := New(perceptron(t, nn.Linear{Out: 3}, nn.Tanh, nn.Linear{Out: 1}),
			Config{Loss: MSE{}, Optimizer: SGD{LR: 0.1, Momentum: 0.9}, Accumulate: accumulate, ClipNorm: 0.5, EMA: 0.5, Threads: 1})
		require.NoError(t, err)
		defer tr.Close()
		for range 3 {
			for _, b := range batches {
				_, err := tr.Step(context.Background(), b)
				require.NoError(t, err)
			}
		}
		require.Equal(t, 3, tr.Steps())
		out := map[string][]float32{}
		for _, v := range tr.Model().Graph.Consts {
			if v.Const.DType() == tensor.Float32 {
				out[v.Name] = tensor.Data[float32](v.Const)
			}
		}
		return out
	}
	whole := xor()
	half := func(i int) map[string]*tensor.Tensor {
		return map[string]*tensor.Tensor{
			"x":      tensor.Of(tensor.Data[float32](whole["x"])[4*i:4*i+4], 2, 2),
			"target": tensor.Of(tensor.Data[float32](whole["target"])[2*i:2*i+2], 2, 1),
		}
	}
	want, got := train(1, whole), train(2, half(0), half(1))
	require.Len(t, want, 4)
	for name, w := range want {
		for i := range w {
			require.InDelta(t, w[i], got[name][i], 1e-6, name)
		}
	}
}

func TestStepErrors(t *testing.T) {
	tr, err := New(perceptron(t, nn.Linear{Out: 3}, nn.Op{Name: "Exp"}, nn.Linear{Out: 1}), Config{Loss: MSE{}, Optimizer: Adam{LR: 0.1}, Threads: 1})
	require.NoError(t, err)
	defer tr.Close()
	before := tr.Model()
	bad := xor()
	tensor.Data[float32](bad["x"])[0] = 1e30
	_, err = tr.Step(context.Background(), bad)
	require.ErrorContains(t, err, "the loss is")
	require.ErrorContains(t, err, "Exp")
	bad["x"] = tensor.Of([]float32{float32(math.NaN()), 0}, 1, 2)
	bad["target"] = tensor.Of([]float32{0}, 1, 1)
	_, err = tr.Step(context.Background(), bad)
	require.ErrorContains(t, err, `input "x" has values that are not finite`)
	_, err = tr.Step(context.Background(), map[string]*tensor.Tensor{"x": bad["x"]})
	require.ErrorContains(t, err, "target")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = tr.Step(ctx, xor())
	require.ErrorIs(t, err, context.Canceled)
	after := tr.Model()
	for i, v := range before.Graph.Consts {
		require.Equal(t, v.Const.Bytes(), after.Graph.Consts[i].Const.Bytes(), "an error changed %q", v.Name)
	}
}

func TestConfigErrors(t *testing.T) {
	m := perceptron(t, nn.Linear{Out: 1})
	ok := Config{Loss: MSE{}, Optimizer: Adam{LR: 0.1}}
	for want, change := range map[string]func(*Config){
		"Loss is nil":      func(c *Config) { c.Loss = nil },
		"learning rate":    func(c *Config) { c.Optimizer = Adam{} },
		`"nothing"`:        func(c *Config) { c.Freeze = []string{"nothing"} },
		"nothing to train": func(c *Config) { c.Freeze = []string{"*"} },
		`no output "z"`:    func(c *Config) { c.Outputs = []string{"z"} },
		"EMA":              func(c *Config) { c.EMA = 1 },
		"3 outputs":        func(c *Config) { c.Loss = Triplet{} },
	} {
		c := ok
		change(&c)
		_, err := New(m, c)
		require.ErrorContains(t, err, want)
	}
}

// A batch whose loss is no number leaves the statistics of BatchNormalization
// as they were, with and without accumulation; others change them.
func TestStatistics(t *testing.T) {
	for _, accumulate := range []int{1, 2} {
		m := perceptron(t, nn.Linear{Out: 3}, nn.BatchNorm{}, nn.Op{Name: "Exp"}, nn.Linear{Out: 1})
		tr, err := New(m, Config{Loss: MSE{}, Optimizer: Adam{LR: 0.01}, Accumulate: accumulate, Threads: 1})
		require.NoError(t, err)
		defer tr.Close()
		mean := func() []float32 {
			return append([]float32(nil), tensor.Data[float32](tr.state["net.1.running_mean"])...)
		}
		first := mean()
		_, err = tr.Step(context.Background(), xor())
		require.NoError(t, err)
		second := mean()
		require.NotEqual(t, first, second)
		bad := xor()
		tensor.Data[float32](bad["target"])[0] = float32(math.Inf(1))
		_, err = tr.Step(context.Background(), bad)
		require.ErrorContains(t, err, "the loss is +Inf")
		require.Equal(t, second, mean())
		for range 4 {
			_, err = tr.Step(context.Background(), xor())
			require.NoError(t, err)
		}
		require.Equal(t, map[int]int{1: 5, 2: 2}[accumulate], tr.Steps())
	}
}

// countdown is a context that has ended when it has been asked often enough.
type countdown struct {
	context.Context
	left *int
}

func (c countdown) Err() error {
	if *c.left--; *c.left < 0 {
		return context.Canceled
	}
	return nil
}

// A step that is cancelled anywhere has not been: done again, it gives what it
// would have given, also where it is the last of those that are accumulated.
func TestCancelledStep(t *testing.T) {
	for _, accumulate := range []int{1, 2} {
		train := func() *Trainer {
			m := perceptron(t, nn.Linear{Out: 3}, nn.BatchNorm{}, nn.Tanh, nn.Linear{Out: 1})
			tr, err := New(m, Config{Loss: MSE{}, Optimizer: Adam{LR: 0.01}, Accumulate: accumulate, ClipNorm: 1, Threads: 1})
			require.NoError(t, err)
			t.Cleanup(tr.Close)
			return tr
		}
		whole, broken := train(), train()
		cancelled := 0
		for range 4 {
			want, err := whole.Step(context.Background(), xor())
			require.NoError(t, err)
			for polls := 0; ; polls++ {
				left := polls
				got, err := broken.Step(countdown{context.Background(), &left}, xor())
				if err == nil {
					require.Equal(t, want, got)
					break
				}
				require.ErrorIs(t, err, context.Canceled)
				cancelled++
			}
		}
		require.Greater(t, cancelled, 20)
		require.Equal(t, 4/accumulate, broken.Steps())
		for name, x := range whole.state {
			require.Equal(t, x.Bytes(), broken.state[name].Bytes(), name)
		}
	}
}
