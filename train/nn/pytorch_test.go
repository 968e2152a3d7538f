package nn

import (
	"context"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
)

// pytorchCase is what PyTorch gave, by train/pytorch/layers.py.
type pytorchCase struct {
	in, params, grads map[string]*tensor.Tensor
	y                 *tensor.Tensor
}

func pytorchCases(t *testing.T) map[string]*pytorchCase {
	f, err := os.Open("testdata/layers.npz")
	require.NoError(t, err)
	defer f.Close()
	st, err := f.Stat()
	require.NoError(t, err)
	arrays, err := tensor.ReadNPZ(f, st.Size(), 1<<24)
	require.NoError(t, err)
	out := map[string]*pytorchCase{}
	for _, a := range arrays {
		name, rest, _ := strings.Cut(a.Name, "/")
		c := out[name]
		if c == nil {
			c = &pytorchCase{in: map[string]*tensor.Tensor{}, params: map[string]*tensor.Tensor{}, grads: map[string]*tensor.Tensor{}}
			out[name] = c
		}
		switch kind, key, _ := strings.Cut(rest, "/"); kind {
		case "in":
			c.in[key] = a.Tensor
		case "p":
			c.params[key] = a.Tensor
		case "g":
			c.grads[key] = a.Tensor
		case "y":
			c.y = a.Tensor
		}
	}
	return out
}

// Layers give what PyTorch's give, and each parameter has its gradient: outputs
// and parameters after a step of gradient descent.
func TestPyTorch(t *testing.T) {
	type values = map[string]*onnx.Value
	layer := func(l Layer) func(s *Scope, in values) *onnx.Value {
		return func(s *Scope, in values) *onnx.Value { return l.Forward(s, in["x"]) }
	}
	bag := func(l EmbeddingBag) func(s *Scope, in values) *onnx.Value {
		return func(s *Scope, in values) *onnx.Value {
			l.Num, l.Dim, l.Offsets, l.Weights = 10, 3, in["offsets"], in["weights"]
			return l.Forward(s, in["x"])
		}
	}
	pool := func(p Layer) func(s *Scope, in values) *onnx.Value {
		return layer(Sequential{Conv{Out: 3, Kernel: 1}, p})
	}
	cross := func(s *Scope, in values) *onnx.Value {
		return MultiHeadAttention{Heads: 2, Memory: in["memory"], Mask: in["mask"]}.Forward(s, in["x"])
	}
	decoder := func(first bool) func(s *Scope, in values) *onnx.Value {
		return func(s *Scope, in values) *onnx.Value {
			return TransformerLayer{Heads: 2, Hidden: 12, Causal: true, Memory: in["memory"], MemoryMask: in["mask"], NormFirst: first, Activation: ReLU}.Forward(s, in["x"])
		}
	}
	transformer := func(first bool) func(s *Scope, in values) *onnx.Value {
		return func(s *Scope, in values) *onnx.Value {
			l := EncoderDecoder{Heads: 2, Hidden: 12, Encoder: 2, Decoder: 2, Causal: true, SourceMask: in["mask"], MemoryMask: in["mask"], NormFirst: first, Activation: ReLU}
			return l.Apply(s, in["memory"], in["x"])
		}
	}
	builders := map[string]func(s *Scope, in values) *onnx.Value{
		"bag-sum": bag(EmbeddingBag{Mode: "sum"}), "bag-mean": bag(EmbeddingBag{}), "bag-max": bag(EmbeddingBag{Mode: "max"}),
		"bag-sum-padded": bag(EmbeddingBag{Mode: "sum", Padded: true}), "bag-mean-padded": bag(EmbeddingBag{Padded: true}), "bag-max-padded": bag(EmbeddingBag{Mode: "max", Padded: true}),
		"bag-sum-offsets": bag(EmbeddingBag{Mode: "sum"}), "bag-mean-offsets": bag(EmbeddingBag{}), "bag-max-offsets": bag(EmbeddingBag{Mode: "max"}),
		"bag-weights": bag(EmbeddingBag{Mode: "sum"}), "bag-weights-offsets": bag(EmbeddingBag{Mode: "sum", Padded: true}),
		"cross": cross, "cross-masked": cross, "rotary": layer(MultiHeadAttention{Heads: 2, Causal: true, Rotary: &Rotary{Max: 8}}),
		"decoder-layer": decoder(false), "decoder-layer-norm-first": decoder(true), "transformer": transformer(false), "transformer-norm-first": transformer(true),
		"conv1d": layer(Conv{Out: 6, Kernel: 3, Stride: 2, Pad: 1, Dilation: 2, Groups: 2}), "conv3d": layer(Conv{Out: 3, Kernel: 3, Stride: 2, Pad: 1}),
		"transposed1d": layer(ConvTranspose{Out: 6, Kernel: 3, Stride: 2, Pad: 1, OutputPad: 1, Groups: 2}), "transposed2d": layer(ConvTranspose{Out: 3, Kernel: 3, Stride: 2}),
		"transposed3d":  layer(ConvTranspose{Out: 2, Kernel: 2, Stride: 2}),
		"max-pool-ceil": pool(Pool{Kernel: 3, Stride: 2, Pad: 1, Dilation: 2, Ceil: true}), "max-pool1d": pool(MaxPool(2)),
		"avg-pool": pool(Pool{Kernel: 3, Stride: 2, Pad: 1, Mean: true}), "avg-pool-exclude": pool(Pool{Kernel: 2, Stride: 2, Pad: 1, Mean: true, ExcludePad: true}),
		"norm-pool": pool(Pool{Kernel: 2, Norm: 2}), "adaptive-avg": pool(AdaptivePool{Out: 3, Mean: true}), "adaptive-max1d": pool(AdaptivePool{Out: 3}),
		"global-max": pool(GlobalMaxPool), "global-avg": pool(GlobalAvgPool),
	}
	cases := pytorchCases(t)
	require.Len(t, cases, len(builders))
	for name, build := range builders {
		t.Run(name, func(t *testing.T) {
			c := cases[name]
			require.NotNil(t, c)
			var names []string
			var inputs []Input
			for _, k := range []string{"x", "memory", "mask", "weights", "offsets"} {
				if x := c.in[k]; x != nil {
					names = append(names, k)
					inputs = append(inputs, Input{k, x.DType(), append([]onnx.Dim{onnx.Name("dim_" + firstDim(k))}, onnx.Sizes(x.Shape()[1:]...)...)})
				}
			}
			m, err := Build(1, inputs, func(s *Scope, in []*onnx.Value) []Output {
				by := values{}
				for i, k := range names {
					by[k] = in[i]
				}
				return []Output{{"y", build(s, by)}}
			})
			require.NoError(t, err)
			require.Empty(t, onnx.Check(m))
			found := 0
			for _, v := range m.Graph.Consts {
				if p := c.params[v.Name]; p != nil {
					require.Equal(t, p.Shape(), v.Const.Shape(), v.Name)
					v.Const, found = p, found+1
				}
			}
			require.Equal(t, len(c.params), found, "parameters of PyTorch that the layer lacks")
			tr, err := train.New(m, train.Config{Loss: train.MSE{}, Optimizer: train.SGD{LR: 1}, Threads: 1})
			require.NoError(t, err)
			defer tr.Close()
			require.Len(t, tr.Names(), len(c.params), "%v", tr.Names())
			out, err := tr.Evaluate(context.Background(), c.in)
			require.NoError(t, err)
			near(t, c.y, out["y"], 1e-5, "y")
			c.in["target"] = tensor.New(tensor.Float32, c.y.Shape()...)
			_, err = tr.Step(context.Background(), c.in)
			require.NoError(t, err)
			for _, v := range tr.Model().Graph.Consts {
				if p := c.params[v.Name]; p != nil {
					d := tensor.New(tensor.Float32, p.Shape()...)
					for i, w := range tensor.Data[float32](p) {
						tensor.Data[float32](d)[i] = w - tensor.Data[float32](v.Const)[i]
					}
					near(t, c.grads[v.Name], d, 1e-4, v.Name)
				}
			}
		})
	}
}

// firstDim says which inputs have the same first dimension.
func firstDim(k string) string {
	if k == "offsets" {
		return "bags"
	}
	return "batch"
}

// near compares in the L2 norm, with what a step of float32 numbers can lose.
func near(t *testing.T, want, got *tensor.Tensor, tol float64, what string) {
	t.Helper()
	require.True(t, slices.Equal(want.Shape(), got.Shape()), "%s: %v, want %v", what, got, want)
	diff, norm := 0.0, 0.0
	for i, w := range tensor.Data[float32](want) {
		d := float64(tensor.Data[float32](got)[i]) - float64(w)
		diff, norm = diff+d*d, norm+float64(w)*float64(w)
	}
	require.LessOrEqual(t, math.Sqrt(diff), tol*math.Sqrt(norm)+1e-6*math.Sqrt(float64(want.Len())), what)
}
