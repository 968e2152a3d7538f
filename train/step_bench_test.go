package train

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train/nn"
)

// BenchmarkStep times steps of Adam of the networks that train/pytorch/speed.py
// has for PyTorch. GNEISS_BENCH_THREADS sets the threads (default 1), and
// GNEISS_BENCH_RECOMPUTE=1 recomputes activations, GNEISS_BENCH_MIXED=bfloat16 or float16 is mixed precision.
func BenchmarkStep(b *testing.B) {
	threads := 1
	if n, err := strconv.Atoi(os.Getenv("GNEISS_BENCH_THREADS")); err == nil {
		threads = n
	}
	time := func(batch, length, vocab int) (nn.Input, *tensor.Tensor) {
		x := tensor.New(tensor.Int64, batch, length)
		r := rand.New(rand.NewPCG(1, 1))
		for i := range tensor.Data[int64](x) {
			tensor.Data[int64](x)[i] = r.Int64N(int64(vocab))
		}
		return nn.Ints("x", length), x
	}
	floats := func(dims ...int) (nn.Input, *tensor.Tensor) {
		x := tensor.New(tensor.Float32, dims...)
		r := rand.New(rand.NewPCG(1, 1))
		for i := range tensor.Data[float32](x) {
			tensor.Data[float32](x)[i] = float32(r.NormFloat64())
		}
		return nn.Floats("x", dims[1:]...), x
	}
	for _, c := range []struct {
		name    string
		layer   nn.Layer
		in      func() (nn.Input, *tensor.Tensor)
		classes int // 1: binary
	}{
		{"MLP", nn.MLP{Hidden: []int{512, 256}, Out: 10}, func() (nn.Input, *tensor.Tensor) { return floats(64, 784) }, 10},
		{"ResNet18", nn.ResNet{Blocks: []int{2, 2, 2, 2}, Classes: 10}, func() (nn.Input, *tensor.Tensor) { return floats(16, 3, 64, 64) }, 10},
		{"LSTM", nn.TextRNN{Kind: "LSTM", Vocab: 10000, Embedding: 128, Hidden: 256, Classes: 1}, func() (nn.Input, *tensor.Tensor) { return time(32, 100, 10000) }, 1},
		{"RNN", nn.TextRNN{Vocab: 10000, Embedding: 128, Hidden: 128, Classes: 1}, func() (nn.Input, *tensor.Tensor) { return time(32, 100, 10000) }, 1},
		{"BERT", nn.BERT{Transformer: nn.Transformer{Vocab: 10000, Max: 128, Dim: 256, Layers: 4, Heads: 4}, Classes: 2}, func() (nn.Input, *tensor.Tensor) { return time(8, 128, 10000) }, 2},
		{"BERT12", nn.BERT{Transformer: nn.Transformer{Vocab: 10000, Max: 256, Dim: 256, Layers: 12, Heads: 4}, Classes: 2}, func() (nn.Input, *tensor.Tensor) { return time(8, 256, 10000) }, 2},
	} {
		b.Run(c.name, func(b *testing.B) {
			in, x := c.in()
			m, err := nn.Build(1, []nn.Input{in}, func(s *nn.Scope, v []*onnx.Value) []nn.Output {
				return []nn.Output{{Name: "y", Value: s.Apply("net", c.layer, v[0])}}
			})
			if err != nil {
				b.Fatal(err)
			}
			batch := map[string]*tensor.Tensor{"x": x}
			var loss Loss = CrossEntropy{}
			if c.classes == 1 {
				loss = BCEWithLogits{}
				batch["target"] = tensor.New(tensor.Float32, x.Dim(0), 1)
			} else {
				batch["target"] = tensor.New(tensor.Int64, x.Dim(0))
			}
			cfg := Config{Loss: loss, Optimizer: Adam{LR: 1e-4}, Threads: threads}
			if os.Getenv("GNEISS_BENCH_RECOMPUTE") == "1" {
				cfg.Recompute = &Recompute{Auto: true}
			}
			switch os.Getenv("GNEISS_BENCH_MIXED") {
			case "bfloat16":
				cfg.MixedPrecision = &MixedPrecision{Type: tensor.BFloat16}
			case "float16":
				cfg.MixedPrecision = &MixedPrecision{Type: tensor.Float16}
			}
			tr, err := New(m, cfg)
			if err != nil {
				b.Fatal(err)
			}
			defer tr.Close()
			for range 3 { // the plan of memory is made in the second step
				if _, err := tr.Step(context.Background(), batch); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				if _, err := tr.Step(context.Background(), batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
