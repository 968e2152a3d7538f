package quantize

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/tensor"
)

// randomOp builds one operator of sizes from r.
type randomOp struct {
	op    string
	build func(b *ops.Builder, r *rand.Rand) *onnx.Value
}

// broadcast makes two shapes that broadcast to each other, of 1 to 4 dimensions.
func broadcast(r *rand.Rand) (x, z []int) {
	for range 1 + r.IntN(4) {
		d := 1 + r.IntN(9)
		a, b := d, d
		switch r.IntN(5) {
		case 0:
			a = 1
		case 1:
			b = 1
		}
		x, z = append(x, a), append(z, b)
	}
	return x, z[r.IntN(len(z)):]
}

func anyShape(r *rand.Rand) (s []int) {
	for range 2 + r.IntN(3) {
		s = append(s, 1+r.IntN(11))
	}
	return s
}

func imageShape(r *rand.Rand) []int {
	return []int{1 + r.IntN(2), 1 + r.IntN(40), 4 + r.IntN(9), 4 + r.IntN(9)}
}

// binary is an operator of two inputs.
func binary(op string) randomOp {
	return randomOp{op, func(b *ops.Builder, r *rand.Rand) *onnx.Value {
		x, z := broadcast(r)
		return b.Op(op, nil, input(b, "x", x...), input(b, "z", z...))
	}}
}

var randomOps = []randomOp{
	{"Conv", func(b *ops.Builder, r *rand.Rand) *onnx.Value {
		group, k := 1+r.IntN(3), 1+r.IntN(3)
		in, out := group*(1+r.IntN(20)), group*(1+r.IntN(20))
		as := onnx.NewAttrs("group", group, "strides", []int{1 + r.IntN(2), 1 + r.IntN(2)}, "dilations", []int{1 + r.IntN(2), 1}, "pads", []int{r.IntN(2), r.IntN(3), r.IntN(2), 1})
		return b.Op("Conv", as, input(b, "x", 1+r.IntN(2), in, 6+r.IntN(8), 6+r.IntN(8)), param(b, "w", out, in/group, k, k), param(b, "bias", out))
	}},
	{"Conv", func(b *ops.Builder, r *rand.Rand) *onnx.Value { // depthwise
		c, k := 1+r.IntN(70), 3+2*r.IntN(2)
		return b.Op("Conv", onnx.NewAttrs("group", c, "auto_pad", "SAME_UPPER"), input(b, "x", 1, c, 5+r.IntN(8), 5+r.IntN(8)), param(b, "w", c, 1, k, k))
	}},
	{"MatMul", func(b *ops.Builder, r *rand.Rand) *onnx.Value {
		k := 1 + r.IntN(150)
		return b.Op("MatMul", nil, input(b, "x", 1+r.IntN(3), 1+r.IntN(20), k), param(b, "w", k, 1+r.IntN(70)))
	}},
	{"MatMul", func(b *ops.Builder, r *rand.Rand) *onnx.Value { // of two activations
		k, n := 1+r.IntN(70), 1+r.IntN(3)
		return b.Op("MatMul", nil, input(b, "x", n, 1+r.IntN(20), k), input(b, "z", n, k, 1+r.IntN(40)))
	}},
	{"Gemm", func(b *ops.Builder, r *rand.Rand) *onnx.Value {
		k, n := 1+r.IntN(150), 1+r.IntN(70)
		return b.Op("Gemm", onnx.NewAttrs("transB", 1, "alpha", 0.25+r.Float64()), input(b, "x", 1+r.IntN(20), k), param(b, "w", n, k), param(b, "bias", n))
	}},
	binary("Add"), binary("Mul"),
	{"Where", func(b *ops.Builder, r *rand.Rand) *onnx.Value {
		x, z := broadcast(r)
		c := b.G.AddInput("c", onnx.TensorType(tensor.Bool, onnx.Sizes(x...)...))
		return b.Op("Where", nil, c, input(b, "x", x...), input(b, "z", z...))
	}},
	{"LeakyRelu", func(b *ops.Builder, r *rand.Rand) *onnx.Value {
		return b.Op("LeakyRelu", onnx.NewAttrs("alpha", r.Float64()), input(b, "x", anyShape(r)...))
	}},
	{"Sigmoid", func(b *ops.Builder, r *rand.Rand) *onnx.Value {
		return b.Op("Sigmoid", nil, input(b, "x", anyShape(r)...))
	}},
	{"Softmax", func(b *ops.Builder, r *rand.Rand) *onnx.Value {
		return b.Op("Softmax", onnx.NewAttrs("axis", r.IntN(2)), input(b, "x", anyShape(r)...))
	}},
	{"AveragePool", func(b *ops.Builder, r *rand.Rand) *onnx.Value {
		as := onnx.NewAttrs("kernel_shape", []int{2 + r.IntN(2), 2 + r.IntN(2)}, "strides", []int{1 + r.IntN(2), 1}, "pads", []int{1, 0, r.IntN(2), 1}, "count_include_pad", r.IntN(2))
		return b.Op("AveragePool", as, input(b, "x", imageShape(r)...))
	}},
	{"GlobalAveragePool", func(b *ops.Builder, r *rand.Rand) *onnx.Value {
		return b.Op("GlobalAveragePool", nil, input(b, "x", imageShape(r)...))
	}},
	{"MaxPool", func(b *ops.Builder, r *rand.Rand) *onnx.Value {
		h := named("h", b.Op("LeakyRelu", nil, input(b, "x", imageShape(r)...)))
		return b.Op("MaxPool", onnx.NewAttrs("kernel_shape", []int{2, 3}, "strides", []int{1, 1 + r.IntN(2)}, "pads", []int{1, 1, 0, 1}), h)
	}},
	{"Concat", func(b *ops.Builder, r *rand.Rand) *onnx.Value {
		x := imageShape(r)
		z := []int{x[0], 1 + r.IntN(20), x[2], x[3]}
		h := named("h", b.Op("LeakyRelu", nil, input(b, "x", x...)))
		return b.Op("Concat", onnx.NewAttrs("axis", 1), h, input(b, "z", z...), named("s", b.Op("Sigmoid", nil, h)))
	}},
}

// Each integer operator is within one step of its output's scale of the same
// roundings around floats, whatever the sizes: as the runtime joins QDQ to it, and
// as format QOperator writes it.
func TestIntegersWithinOneStep(t *testing.T) {
	configs := []StaticConfig{{}, {Activations: tensor.Int8, AsymmetricWeights: true, PerTensor: true}, {SymmetricActivations: true, Weights: tensor.Uint8}}
	for k, o := range randomOps {
		t.Run(fmt.Sprintf("%d/%s", k, o.op), func(t *testing.T) {
			exact, off := 0, 0
			for seed := range uint64(12) {
				cfg := configs[seed%3]
				r := rand.New(rand.NewPCG(seed, uint64(k)))
				m := newModel(t, 17, func(b *ops.Builder) []*onnx.Value { return one(o.build(b, r)) })
				cfg.Selection.Ops = slices.Compact(slices.Sorted(strings.FieldsSeq(opsOf(m)))) // also what is returned
				floats, s := quantised(t, m, cfg)
				require.True(t, s.Changed() > 0, s.Changes)
				step := float64(tensor.Data[float32](floats.Graph.Outputs[0].From.In[1].Const)[0])
				cfg.Format = QOperator
				integers, _ := quantised(t, m, cfg)
				require.NotEqual(t, opsOf(floats), opsOf(integers))
				in := samples(t, m, 2)
				want := tensor.Data[float32](run(t, floats, optimize.None, in)["y0"].(*tensor.Tensor))
				for name, got := range map[string]*tensor.Tensor{
					"QDQ":                  run(t, floats, optimize.Best, in)["y0"].(*tensor.Tensor),
					"QOperator":            run(t, integers, optimize.None, in)["y0"].(*tensor.Tensor),
					"QOperator, optimised": run(t, integers, optimize.Best, in)["y0"].(*tensor.Tensor),
				} {
					for i, v := range tensor.Data[float32](got) {
						d := math.Abs(float64(v-want[i])) / step
						require.LessOrEqual(t, d, 1.001, "%s, seed %d: y0[%d] of %v is %v, want %v", name, seed, i, got, v, want[i])
						if exact++; d > 0.5 {
							off++
						}
					}
				}
			}
			require.Less(t, 200*off, exact, "most are the very same integers")
		})
	}
}
