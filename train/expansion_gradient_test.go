package train

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/onnx/schema"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// Operators whose gradient is that of what they stand for: the kernel's finite
// differences against the expansion's gradient.
func TestGradientOfExpansions(t *testing.T) {
	const ms = "com.microsoft"
	ints := func(shape []int, v ...int32) *tensor.Tensor { return tensor.Of(v, shape...) }
	scalar := ints([]int{}, 4)
	heads := onnx.NewAttrs("num_heads", 2)
	cos, sin := optest.Between(8, -1, 1, 6, 2), optest.Between(9, -1, 1, 6, 2)
	ids := tensor.Of([]int64{3, 1, 0, 5, 2, 2, 4, 0}, 2, 4)
	long := func(v ...int64) *tensor.Tensor { return tensor.Of(v, len(v)) }
	n := optest.Normal
	step := func(v int64) *tensor.Tensor { return tensor.Of([]int64{v}) }
	for _, c := range []struct {
		name, domain, op string
		as               onnx.Attrs
		in               []*tensor.Tensor // float64: differentiated; others: constants; nil: absent
	}{
		{"FusedMatMul", ms, "FusedMatMul", onnx.NewAttrs("alpha", 0.5, "transA", 1), []*tensor.Tensor{n(1, 2, 4, 3), n(2, 4, 5)}},
		{"FusedMatMul of batches", ms, "FusedMatMul", onnx.NewAttrs("transBatchA", 1, "transB", 1, "transBatchB", 1), []*tensor.Tensor{n(1, 3, 2, 4), n(2, 5, 2, 4)}},
		{"FusedGemm", ms, "FusedGemm", onnx.NewAttrs("activation", "LeakyRelu", "activation_alpha", 0.3, "transB", 1, "beta", 2.0), []*tensor.Tensor{n(1, 3, 4), n(2, 5, 4), n(3, 5)}},
		{"FusedConv", ms, "FusedConv", onnx.NewAttrs("activation", "Tanh", "pads", []int{1, 1, 1, 1}), []*tensor.Tensor{n(1, 2, 3, 4, 4), n(2, 2, 3, 3, 3), n(3, 2), n(4, 2, 2, 4, 4)}},
		{"GroupNorm", ms, "GroupNorm", onnx.NewAttrs("groups", 2, "activation", 1), []*tensor.Tensor{n(1, 2, 3, 2, 4), n(2, 4), n(3, 4)}},
		{"GroupNorm of channels first", ms, "GroupNorm", onnx.NewAttrs("groups", 2, "channels_last", 0), []*tensor.Tensor{n(1, 2, 4, 3), n(2, 4), n(3, 4)}},
		{"RotaryEmbedding", ms, "RotaryEmbedding", nil, []*tensor.Tensor{n(1, 2, 4, 8), ids, cos, sin}},
		{"RotaryEmbedding from a position", ms, "RotaryEmbedding", onnx.NewAttrs("interleaved", 1), []*tensor.Tensor{n(1, 2, 3, 4, 4), long(2), cos, sin}},
		{"EmbedLayerNormalization", ms, "EmbedLayerNormalization", nil,
			[]*tensor.Tensor{ints([]int{2, 3}, 1, 0, 1, 2, 3, 1), ints([]int{2, 3}, 0, 1, 1, 0, 0, 1), n(1, 4, 5), n(2, 6, 5), n(3, 2, 5), n(4, 5), n(5, 5)}},
		{"ExpandDims", ms, "ExpandDims", nil, []*tensor.Tensor{n(1, 2, 3), ints([]int{}, 1)}},
		{"Trilu", ms, "Trilu", nil, []*tensor.Tensor{n(1, 3, 3)}},
		{"CDist", ms, "CDist", onnx.NewAttrs("metric", "euclidean"), []*tensor.Tensor{n(1, 3, 4), n(2, 2, 4)}},
		{"SimplifiedLayerNormalization", "", "SimplifiedLayerNormalization", nil, []*tensor.Tensor{n(1, 3, 4), n(2, 4)}},
		{"SwiGLU", "", "SwiGLU", nil, []*tensor.Tensor{n(1, 3, 4), n(2, 3, 4)}},
		{"MultiHeadAttention", ms, "MultiHeadAttention", heads.Set("scale", 0.7), []*tensor.Tensor{n(1, 2, 3, 4), n(2, 2, 4, 4), n(3, 2, 4, 6), n(4, 14)}},
		{"MultiHeadAttention with masks", ms, "MultiHeadAttention", heads.Set("mask_filter_value", -2.0),
			[]*tensor.Tensor{n(1, 2, 3, 4), n(2, 2, 4, 4), n(3, 2, 4, 4), nil, ints([]int{2, 4}, 1, 1, 0, 1, 0, 1, 1, 0), n(5, 1, 2, 3, 4)}},
		{"MultiHeadAttention with lengths", ms, "MultiHeadAttention", heads.Set("mask_filter_value", -2.0), []*tensor.Tensor{n(1, 2, 3, 4), n(2, 2, 4, 4), n(3, 2, 4, 4), nil, ints([]int{2}, 2, 4)}},
		{"MultiHeadAttention with ends and starts", ms, "MultiHeadAttention", heads.Set("mask_filter_value", -2.0),
			[]*tensor.Tensor{n(1, 2, 3, 4), n(2, 2, 4, 4), n(3, 2, 4, 4), nil, ints([]int{4}, 3, 4, 1, 0)}},
		{"MultiHeadAttention with a past", ms, "MultiHeadAttention", heads.Set("unidirectional", 1),
			[]*tensor.Tensor{n(1, 2, 3, 4), n(2, 2, 3, 4), n(3, 2, 3, 4), nil, nil, nil, n(6, 2, 2, 2, 2), n(7, 2, 2, 2, 2)}},
		{"MultiHeadAttention with scores", ms, "MultiHeadAttention", heads.Set("unidirectional", 1), []*tensor.Tensor{n(1, 2, 3, 4), n(2, 2, 3, 4), n(3, 2, 3, 4)}},
		{"MultiHeadAttention with heads first", ms, "MultiHeadAttention", heads, []*tensor.Tensor{n(1, 2, 3, 4), n(2, 2, 2, 4, 2), n(3, 2, 2, 4, 3)}},
		{"GroupQueryAttention", ms, "GroupQueryAttention", heads.Set("kv_num_heads", 1), []*tensor.Tensor{n(1, 2, 4, 8), n(2, 2, 4, 4), n(3, 2, 4, 4), nil, nil, ints([]int{2}, 3, 2), scalar}},
		{"GroupQueryAttention, packed, rotary, window", ms, "GroupQueryAttention", onnx.NewAttrs("num_heads", 2, "kv_num_heads", 1, "do_rotary", 1, "local_window_size", 2, "softcap", 1.5),
			[]*tensor.Tensor{n(1, 2, 4, 16), nil, nil, n(4, 2, 1, 0, 4), n(5, 2, 1, 0, 4), ints([]int{2}, 3, 3), scalar, cos, sin}},
		{"GroupQueryAttention with a past", ms, "GroupQueryAttention", heads.Set("kv_num_heads", 1).Set("do_rotary", 1),
			[]*tensor.Tensor{n(1, 2, 2, 8), n(2, 2, 2, 4), n(3, 2, 2, 4), n(4, 2, 1, 3, 4), n(5, 2, 1, 3, 4), ints([]int{2}, 3, 1), scalar, cos, sin}},
		{"GroupQueryAttention with a larger past, window", ms, "GroupQueryAttention", heads.Set("kv_num_heads", 2).Set("local_window_size", 2),
			[]*tensor.Tensor{n(1, 2, 1, 12), nil, nil, n(4, 2, 2, 6, 2), n(5, 2, 2, 6, 2), ints([]int{2}, 3, 1), scalar, nil, nil, nil, n(6, 2, 2, 1, 6)}},
		{"STFT", "", "STFT", nil, []*tensor.Tensor{n(1, 2, 9, 1), step(2), n(2, 4)}},
		{"STFT of both sides", "", "STFT", onnx.NewAttrs("onesided", 0), []*tensor.Tensor{n(1, 2, 9, 2), step(3), nil, step(5)}},
		{"CausalConvWithState", "", "CausalConvWithState", nil, []*tensor.Tensor{n(1, 2, 3, 5), n(2, 3, 1, 3)}},
		{"CausalConvWithState with a past", "", "CausalConvWithState", onnx.NewAttrs("activation", "silu"), []*tensor.Tensor{n(1, 2, 3, 5), n(2, 3, 1, 3), n(3, 3), n(4, 2, 3, 2)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, order := map[string]*tensor.Tensor{}, []string{}
			constant := func(x *tensor.Tensor) bool {
				return x.DType() != tensor.Float64 || x == cos || x == sin || x.Len() == 0
			}
			for i, x := range c.in {
				if x != nil && !constant(x) {
					order = append(order, string(rune('a'+i)))
					in[order[len(order)-1]] = x
				}
			}
			check(t, in, order, func(b *ops.Builder, given []*onnx.Value) *onnx.Value {
				args := make([]*onnx.Value, len(c.in))
				for i, x := range c.in {
					switch {
					case x == nil:
					case constant(x):
						args[i] = b.Const(x)
					default:
						args[i], given = given[0], given[1:]
					}
				}
				b.G.Opsets[ms] = 1
				outs := max(1, map[string]int{"CausalConvWithState": 2, "CausalConvWithState with a past": 2, "MultiHeadAttention with scores": 4}[c.name])
				var loss *onnx.Value
				for _, y := range b.Ops(c.domain, c.op, c.as, outs, args...) {
					sum := b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), b.Op("Mul", nil, y, b.Op("Sin", nil, y)))
					if loss != nil {
						sum = b.Op("Add", nil, loss, sum)
					}
					loss = sum
				}
				return loss
			})
		})
	}
}

// The graphs inside of FlexAttention read parameters of the graph around them.
func TestGradientOfFlexAttention(t *testing.T) {
	n := optest.Normal
	for name, c := range map[string]struct {
		as    onnx.Attrs
		kv    int
		score bool
		prob  bool
	}{
		"plain":                 {kv: 2},
		"grouped, score":        {as: onnx.NewAttrs("scale", 0.3), kv: 1, score: true},
		"score and probability": {kv: 2, score: true, prob: true},
		"grouped, probability":  {kv: 1, prob: true},
	} {
		t.Run(name, func(t *testing.T) {
			in := map[string]*tensor.Tensor{"q": n(1, 2, 2, 3, 4), "k": n(2, 2, c.kv, 5, 4), "v": n(3, 2, c.kv, 5, 2)}
			order := []string{"q", "k", "v"}
			if c.score {
				in["bias"], order = n(4, 2, 1, 5), append(order, "bias")
			}
			if c.prob {
				in["gain"], order = n(5, 3, 5), append(order, "gain")
			}
			check(t, in, order, func(b *ops.Builder, x []*onnx.Value) *onnx.Value {
				b.G.Opsets["ai.onnx.preview"] = 1
				as, more := c.as, x[3:]
				for _, name := range []string{"score_mod", "prob_mod"} {
					if name == "score_mod" && !c.score || name == "prob_mod" && !c.prob {
						continue
					}
					g := b.G.NewBody(name)
					s := newBuilder(g)
					y := g.AddInput("s", onnx.TensorType(tensor.Float64, onnx.Size(2), onnx.Size(2), onnx.Size(3), onnx.Size(5)))
					if name == "score_mod" {
						y = s.Op("Mul", nil, s.Op("Tanh", nil, s.Op("Add", nil, y, more[0])), s.Float(tensor.Float64, 1.5))
					} else {
						y = s.Op("Mul", nil, y, more[0])
					}
					more = more[1:]
					s.Insert(nil)
					g.Outputs = []*onnx.Value{y}
					as = as.Set(name, g)
				}
				y := b.Ops("ai.onnx.preview", "FlexAttention", as, 1, x[:3]...)[0]
				return b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), b.Op("Mul", nil, y, b.Op("Sin", nil, y)))
			})
		})
	}
}

// What exporters compute once and operators only look up is no parameter.
func TestTablesAreNoParameters(t *testing.T) {
	m := &onnx.Model{IRVersion: 10, Opsets: map[string]int{"": schema.Newest("")}}
	m.Graph = onnx.NewGraph("g", m.Opsets)
	b := newBuilder(m.Graph)
	x := m.Graph.AddInput("x", onnx.TypeOf(tensor.New(tensor.Float32, 1, 2, 3, 4)))
	half := tensor.New(tensor.Float32, 1, 3, 2)
	y := b.Op("RotaryEmbedding", nil, x, b.G.NewConst("cos", half), b.G.NewConst("sin", half.Clone()))
	y = b.Op("MatMul", nil, y, b.G.NewConst("weight", tensor.New(tensor.Float32, 4, 4)))
	require.NoError(t, b.Err())
	b.Insert(nil)
	m.Graph.Outputs = []*onnx.Value{y}
	list := Parameters(m)
	require.Len(t, list, 1)
	require.Equal(t, "weight", list[0].Name)
}
