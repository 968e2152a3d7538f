package quantize

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/tensor"
)

// opCase is a model of one operator, behind a LeakyRelu where it only moves elements.
type opCase struct {
	op    string
	build func(b *ops.Builder) []*onnx.Value
	// gain bounds how much of an error in an input comes out, 1 if it is 0; terms
	// is how many products with weights in [-1, 1] are summed.
	gain  float64
	terms int
	float bool // format QOperator leaves it in floating point
	opset int  // 17 if it is 0
}

func one(v *onnx.Value) []*onnx.Value { return []*onnx.Value{v} }

// unary is an operator of one input [2, 3, 4].
func unary(op string, as onnx.Attrs) func(b *ops.Builder) []*onnx.Value {
	return func(b *ops.Builder) []*onnx.Value { return one(b.Op(op, as, input(b, "x", 2, 3, 4))) }
}

// moved is an operator behind a LeakyRelu of [1, 4, 6, 6]; more are its other inputs.
func moved(op string, as onnx.Attrs, outs int, more ...func(b *ops.Builder) *onnx.Value) func(b *ops.Builder) []*onnx.Value {
	return func(b *ops.Builder) []*onnx.Value {
		in := []*onnx.Value{named("h", b.Op("LeakyRelu", onnx.NewAttrs("alpha", 0.5), input(b, "x", 1, 4, 6, 6)))}
		for _, f := range more {
			in = append(in, f(b))
		}
		return b.Ops("", op, as, outs, in...)
	}
}

func ints(v ...int) func(b *ops.Builder) *onnx.Value {
	return func(b *ops.Builder) *onnx.Value { return b.Ints(v...) }
}

func absent(*ops.Builder) *onnx.Value { return nil }

func float(x float64) func(b *ops.Builder) *onnx.Value {
	return func(b *ops.Builder) *onnx.Value { return b.Float(tensor.Float32, x) }
}

var opCases = []opCase{
	{op: "Conv", terms: 27, build: func(b *ops.Builder) []*onnx.Value {
		return one(b.Op("Conv", onnx.NewAttrs("pads", []int{1, 1, 1, 1}), input(b, "x", 1, 3, 5, 5), param(b, "w", 4, 3, 3, 3), param(b, "bias", 4)))
	}},
	{op: "Conv", terms: 9, build: func(b *ops.Builder) []*onnx.Value {
		return one(b.Op("Conv", onnx.NewAttrs("group", 3), input(b, "x", 1, 3, 5, 5), param(b, "w", 6, 1, 3, 3)))
	}},
	{op: "Conv", terms: 27, build: func(b *ops.Builder) []*onnx.Value {
		y := named("c", b.Op("Conv", nil, input(b, "x", 1, 3, 5, 5), param(b, "w", 4, 3, 3, 3), param(b, "bias", 4)))
		return one(b.Op("Clip", nil, y, b.Float(tensor.Float32, -0.5), b.Float(tensor.Float32, 1.5)))
	}},
	{op: "ConvTranspose", terms: 12, float: true, build: func(b *ops.Builder) []*onnx.Value {
		return one(b.Op("ConvTranspose", onnx.NewAttrs("strides", []int{2, 2}), input(b, "x", 1, 3, 4, 4), param(b, "w", 3, 5, 2, 2), param(b, "bias", 5)))
	}},
	{op: "ConvTranspose", terms: 8, float: true, build: func(b *ops.Builder) []*onnx.Value {
		return one(b.Op("ConvTranspose", onnx.NewAttrs("group", 2), input(b, "x", 1, 4, 4, 4), param(b, "w", 4, 3, 2, 2), param(b, "bias", 6)))
	}},
	{op: "Gemm", terms: 12, build: func(b *ops.Builder) []*onnx.Value {
		return one(b.Op("Gemm", nil, input(b, "x", 3, 12), param(b, "w", 12, 5), param(b, "bias", 5)))
	}},
	{op: "Gemm", terms: 12, build: func(b *ops.Builder) []*onnx.Value {
		as := onnx.NewAttrs("transB", 1, "alpha", 0.5, "beta", 2.0)
		return one(b.Op("Relu", nil, named("g", b.Op("Gemm", as, input(b, "x", 3, 12), param(b, "w", 5, 12), param(b, "bias", 1, 5)))))
	}},
	{op: "Gemm", gain: 12 * 6, build: func(b *ops.Builder) []*onnx.Value {
		return one(b.Op("Gemm", nil, input(b, "x", 3, 12), input(b, "z", 12, 5), param(b, "bias", 1)))
	}},
	{op: "MatMul", terms: 12, build: func(b *ops.Builder) []*onnx.Value {
		return one(b.Op("MatMul", nil, input(b, "x", 2, 3, 12), param(b, "w", 12, 5)))
	}},
	{op: "MatMul", terms: 12, build: func(b *ops.Builder) []*onnx.Value {
		y := named("p", b.Op("MatMul", nil, input(b, "x", 2, 3, 12), param(b, "w", 12, 5)))
		return one(b.Op("Relu", nil, named("s", b.Op("Add", nil, param(b, "bias", 5), y))))
	}},
	{op: "MatMul", terms: 6, build: func(b *ops.Builder) []*onnx.Value {
		return one(b.Op("MatMul", nil, input(b, "x", 2, 3, 6), param(b, "w", 2, 6, 5)))
	}},
	{op: "MatMul", gain: 8 * 6, build: func(b *ops.Builder) []*onnx.Value {
		return one(b.Op("MatMul", nil, input(b, "x", 2, 3, 8), input(b, "z", 2, 8, 3)))
	}},
	{op: "Add", build: func(b *ops.Builder) []*onnx.Value {
		return one(b.Op("Relu", nil, named("s", b.Op("Add", nil, input(b, "x", 2, 3, 4), input(b, "z", 3, 1)))))
	}},
	{op: "Add", build: func(b *ops.Builder) []*onnx.Value {
		return one(b.Op("Add", nil, input(b, "x", 2, 3, 4), param(b, "k", 4)))
	}},
	{op: "Mul", gain: 3, build: func(b *ops.Builder) []*onnx.Value {
		return one(b.Op("Mul", nil, input(b, "x", 2, 3, 4), input(b, "z", 3, 1)))
	}},
	{op: "Sub", float: true, build: func(b *ops.Builder) []*onnx.Value {
		return one(b.Op("Sub", nil, input(b, "x", 2, 3, 4), input(b, "z", 3, 1)))
	}},
	{op: "Where", build: func(b *ops.Builder) []*onnx.Value {
		c := b.G.AddInput("c", onnx.TensorType(tensor.Bool, onnx.Sizes(3, 4)...))
		return one(b.Op("Where", nil, c, input(b, "x", 2, 3, 4), param(b, "k", 4)))
	}},
	{op: "LeakyRelu", build: unary("LeakyRelu", onnx.NewAttrs("alpha", 0.25))},
	{op: "Sigmoid", build: unary("Sigmoid", nil)},
	{op: "Softmax", build: unary("Softmax", onnx.NewAttrs("axis", 1))},
	{op: "HardSigmoid", build: unary("HardSigmoid", nil)},
	{op: "HardSigmoid", build: unary("HardSigmoid", onnx.NewAttrs("alpha", 0.5, "beta", -0.25))},
	{op: "HardSigmoid", build: unary("HardSigmoid", onnx.NewAttrs("alpha", 0.5, "beta", 0.0))},
	{op: "HardSigmoid", float: true, build: unary("HardSigmoid", onnx.NewAttrs("alpha", -0.5))},
	{op: "Tanh", build: unary("Tanh", nil)},
	{op: "HardSwish", gain: 1.5, build: unary("HardSwish", nil)},
	{op: "Elu", float: true, build: unary("Elu", nil)},
	{op: "Gelu", float: true, opset: 20, gain: 1.2, build: unary("Gelu", nil)},
	{op: "Relu", build: func(b *ops.Builder) []*onnx.Value {
		h := named("h", b.Op("LeakyRelu", nil, input(b, "x", 2, 3)))
		return []*onnx.Value{b.Op("Relu", nil, h), b.Op("Clip", nil, h, b.Float(tensor.Float32, -0.001), b.Float(tensor.Float32, 2))}
	}},
	{op: "AveragePool", build: moved("AveragePool", onnx.NewAttrs("kernel_shape", []int{2, 2}), 1)},
	{op: "GlobalAveragePool", build: moved("GlobalAveragePool", nil, 1)},
	{op: "ReduceMean", build: moved("ReduceMean", onnx.NewAttrs("axes", []int{2, -1}), 1)},
	{op: "ReduceMean", opset: 18, build: moved("ReduceMean", onnx.NewAttrs("keepdims", 0), 1, ints(-2, 3))},
	{op: "ReduceMean", float: true, build: moved("ReduceMean", onnx.NewAttrs("axes", []int{1, 3}), 1)},
	{op: "CumSum", float: true, gain: 6, build: moved("CumSum", nil, 1, ints(2))},
	{op: "BatchNormalization", float: true, build: func(b *ops.Builder) []*onnx.Value {
		v := b.G.NewConst("var", tensor.Of([]float32{1, 2, 3}))
		return one(b.Op("BatchNormalization", nil, input(b, "x", 2, 3, 4), param(b, "gamma", 3), param(b, "beta", 3), param(b, "mean", 3), v))
	}},
	{op: "InstanceNormalization", float: true, gain: 4, build: func(b *ops.Builder) []*onnx.Value {
		return one(b.Op("InstanceNormalization", nil, input(b, "x", 2, 3, 8), param(b, "gamma", 3), param(b, "beta", 3)))
	}},
	{op: "LayerNormalization", float: true, gain: 4, build: func(b *ops.Builder) []*onnx.Value {
		return one(b.Op("LayerNormalization", nil, input(b, "x", 2, 3, 8), param(b, "gamma", 8), param(b, "beta", 8)))
	}},
	{op: "EmbedLayerNormalization", float: true, terms: 3, gain: 4, build: func(b *ops.Builder) []*onnx.Value {
		ids := b.G.AddInput("ids", onnx.TensorType(tensor.Int32, onnx.Sizes(2, 4)...))
		in := []*onnx.Value{ids, ids, param(b, "w", 9, 8), param(b, "position", 5, 8), param(b, "segment", 4, 8), param(b, "gamma", 8), param(b, "beta", 8)}
		return b.Ops(microsoft, "EmbedLayerNormalization", nil, 2, in...)[:1]
	}},
	{op: "MaxPool", build: moved("MaxPool", onnx.NewAttrs("kernel_shape", []int{2, 2}), 1)},
	{op: "GlobalMaxPool", float: true, build: moved("GlobalMaxPool", nil, 1)},
	{op: "ReduceMax", build: moved("ReduceMax", onnx.NewAttrs("axes", []int{1}), 1)},
	{op: "ReduceMin", build: moved("ReduceMin", onnx.NewAttrs("axes", []int{1}), 1)},
	{op: "Reshape", build: moved("Reshape", nil, 1, ints(2, -1))},
	{op: "Flatten", build: moved("Flatten", nil, 1)},
	{op: "Squeeze", build: moved("Squeeze", nil, 1, ints(0))},
	{op: "Unsqueeze", build: moved("Unsqueeze", nil, 1, ints(0, 2))},
	{op: "Transpose", build: moved("Transpose", onnx.NewAttrs("perm", []int{0, 2, 3, 1}), 1)},
	{op: "Slice", build: moved("Slice", nil, 1, ints(1), ints(3), ints(2))},
	{op: "Split", build: moved("Split", onnx.NewAttrs("axis", 1), 2)},
	{op: "Gather", build: moved("Gather", onnx.NewAttrs("axis", 1), 1, ints(2, 0))},
	{op: "GatherElements", build: moved("GatherElements", nil, 1, func(b *ops.Builder) *onnx.Value {
		return b.Const(tensor.New(tensor.Int64, 1, 4, 6, 6))
	})},
	{op: "GatherND", build: moved("GatherND", nil, 1, func(b *ops.Builder) *onnx.Value {
		return b.Const(tensor.Of([]int64{0, 2, 0, 3}, 2, 2))
	})},
	{op: "Expand", build: moved("Expand", nil, 1, ints(2, 4, 6, 6))},
	{op: "Tile", build: moved("Tile", nil, 1, ints(1, 2, 1, 1))},
	{op: "Identity", build: moved("Identity", nil, 1)},
	{op: "DepthToSpace", build: moved("DepthToSpace", onnx.NewAttrs("blocksize", 2), 1)},
	{op: "SpaceToDepth", build: moved("SpaceToDepth", onnx.NewAttrs("blocksize", 2), 1)},
	{op: "Pad", build: moved("Pad", nil, 1, ints(0, 0, 1, 1, 0, 0, 1, 1), float(4))},
	{op: "Resize", build: moved("Resize", onnx.NewAttrs("mode", "nearest"), 1, absent, absent, ints(1, 4, 12, 9))},
	{op: "Resize", float: true, build: moved("Resize", onnx.NewAttrs("mode", "linear"), 1, absent, absent, ints(1, 4, 12, 9))},
	{op: "Resize", float: true, gain: 2, build: moved("Resize", onnx.NewAttrs("mode", "cubic"), 1, absent, absent, ints(1, 4, 12, 9))},
	{op: "TopK", build: moved("TopK", nil, 2, ints(2))},
	{op: "Concat", build: func(b *ops.Builder) []*onnx.Value {
		h := named("h", b.Op("LeakyRelu", nil, input(b, "x", 2, 3)))
		return one(b.Op("Concat", onnx.NewAttrs("axis", 1), h, input(b, "z", 2, 2), named("s", b.Op("Sigmoid", nil, h)), param(b, "k", 2, 1)))
	}},
	{op: "Gather", build: func(b *ops.Builder) []*onnx.Value {
		ids := b.G.AddInput("ids", onnx.TensorType(tensor.Int32, onnx.Sizes(2, 4)...))
		return one(b.Op("Gather", nil, param(b, "w", 9, 8), ids))
	}},
	{op: "LSTM", terms: 36, build: recurrentLayer("LSTM", 4, 2)},
	{op: "LSTM", terms: 36, build: recurrentLayer("LSTM", 4, 1)},
	{op: "GRU", terms: 36, build: recurrentLayer("GRU", 3, 2)},
	{op: "RNN", terms: 36, build: recurrentLayer("RNN", 1, 2)},
	{op: "Attention", terms: 16, build: func(b *ops.Builder) []*onnx.Value {
		y := b.Ops(microsoft, "Attention", onnx.NewAttrs("num_heads", 2), 1, input(b, "x", 2, 4, 16), param(b, "w", 16, 48), param(b, "bias", 48))
		y[0].Type = onnx.TensorType(tensor.Float32, onnx.Sizes(2, 4, 16)...)
		return y
	}},
	{op: "ArgMax", build: func(b *ops.Builder) []*onnx.Value {
		h := named("h", b.Op("LeakyRelu", nil, input(b, "x", 2, 30)))
		return []*onnx.Value{h, b.Op("ArgMax", onnx.NewAttrs("axis", 1), h)}
	}},
}

// recurrentLayer is an operator with states of 24 and so many gates, in one direction or two.
func recurrentLayer(op string, gates, directions int) func(b *ops.Builder) []*onnx.Value {
	return func(b *ops.Builder) []*onnx.Value {
		const size = 24
		as := onnx.NewAttrs("hidden_size", size)
		if directions > 1 {
			as = as.Set("direction", "bidirectional")
		}
		in := []*onnx.Value{input(b, "x", 3, 2, 12), param(b, "w", directions, gates*size, 12), param(b, "rr", directions, gates*size, size), param(b, "bias", directions, 2*gates*size)}
		return one(b.Op(op, as, in...))
	}
}

var opConfigs = []StaticConfig{
	{},
	{PerTensor: true, AsymmetricWeights: true, Weights: tensor.Uint8},
	{Activations: tensor.Int8, ReduceRange: true},
	{Activations: tensor.Int8, SymmetricActivations: true},
	{Activations: tensor.Uint16, Weights: tensor.Int16},
	{Activations: tensor.Int16, SymmetricActivations: true, AsymmetricWeights: true},
	{Weights: tensor.Int4},
	{Weights: tensor.Uint4, AsymmetricWeights: true, BlockSize: 4},
	{Format: QOperator},
	{Format: QOperator, PerTensor: true, Weights: tensor.Uint8, SymmetricActivations: true},
	{Format: QOperator, Activations: tensor.Int8},
	{Format: QOperator, Activations: tensor.Int8, SymmetricActivations: true, Weights: tensor.Int8},
}

// Every operator is quantised in every format and type, and what comes out is as
// far from the floats as the steps of its scales allow: computed as it is written,
// and with the operators that the runtime makes of it.
func TestStaticOps(t *testing.T) {
	seen := map[string]bool{}
	for k, c := range opCases {
		seen[c.op] = true
		for _, cfg := range opConfigs {
			t.Run(fmt.Sprintf("%d/%s/%v/%v_%v", k, c.op, cfg.Format, cfg.Activations, cfg.Weights), func(t *testing.T) {
				m := newModel(t, max(17, c.opset), c.build)
				q, s := quantised(t, m, cfg)
				var done bool
				for _, ch := range s.Changes {
					done = done || ch.Op == c.op && ch.Format != ""
				}
				if c.float && cfg.Format == QOperator {
					require.False(t, done, s.Changes)
					return
				}
				require.True(t, done, s.Changes)
				acts, weights := steps(q)
				tolerance := 1.5*max(c.gain, 1, float64(c.terms))*acts + float64(c.terms)*weights*max(c.gain, 3)
				for _, level := range []optimize.Level{optimize.None, optimize.Best} {
					requireNear(t, m, q, level, tolerance, 1)
				}
				// Integers differ from floats between the same roundings by one step each.
				exact := cfg
				exact.Format = QDQ
				fake, _ := quantised(t, m, exact)
				requireNear(t, fake, q, optimize.Best, 1.01*max(c.gain, 1)*acts, 2)
				if cfg.Format == QOperator {
					for _, n := range q.Graph.Nodes {
						if op := opOf(n); op != nil && op.role != stores {
							for _, v := range n.In {
								require.False(t, v != nil && v.Type.DType == tensor.Float32 && v.Const == nil, "%v is in floating point", n)
							}
						}
					}
				}
			})
		}
	}
	for name, op := range staticOps {
		_, name, _ = cutDomain(name)
		require.True(t, seen[name] || name == "Clip" || op == nil, "no case for %s", name)
	}
}
