package optimize

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// TestPrecision sees which values of 16 bits are kept in float32, by the Casts that are left, and that weights stay in 16 bits.
func TestPrecision(t *testing.T) {
	const f16, bf16, f32 = tensor.Float16, tensor.BFloat16, tensor.Float32
	cast := func(b *ops.Builder, d tensor.DType, v *onnx.Value) *onnx.Value {
		return b.Op("Cast", onnx.NewAttrs("to", d), v)
	}
	mlp := func(b *ops.Builder, x *onnx.Value) *onnx.Value {
		h := b.Op("Relu", nil, b.Op("MatMul", nil, x, b.Const(halves(64, 160))))
		return b.Op("MatMul", nil, h, b.Const(halves(160, 64)))
	}
	for name, c := range map[string]struct {
		build func(b *ops.Builder)
		casts string // the types of what is left cast, and what it is cast to
		wide  int    // products of float32 with weights of 16 bits
	}{
		"between casts": {func(b *ops.Builder) { ret(b, cast(b, f32, mlp(b, cast(b, f16, in(b, "x", 5, 64))))) }, "", 2},
		"halves":        {func(b *ops.Builder) { ret(b, mlp(b, inOf(b, f16, "x", 5, 64))) }, "float16>float32 float32>float16", 2},
		"bfloat16": {func(b *ops.Builder) {
			y := b.Op("Mul", nil, inOf(b, bf16, "x", 5, 64), b.Float(bf16, 3))
			ret(b, b.Op("Tanh", nil, b.Op("Sigmoid", nil, b.Op("Sub", nil, y, b.Float(bf16, 1)))))
		}, "bfloat16>float32 float32>bfloat16", 0},
		"alone":           {func(b *ops.Builder) { ret(b, b.Op("Tanh", nil, inOf(b, f16, "x", 5, 64))) }, "", 0},
		"there and back":  {func(b *ops.Builder) { ret(b, b.Op("Neg", nil, cast(b, f32, cast(b, f16, in(b, "x", 5, 64))))) }, "float32>float16 float16>float32", 0},
		"to integers":     {func(b *ops.Builder) { ret(b, cast(b, tensor.Int32, mlp(b, cast(b, f16, in(b, "x", 5, 64))))) }, "float32>int32", 2},
		"both types read": {func(b *ops.Builder) { y := mlp(b, cast(b, f16, in(b, "x", 5, 64))); ret(b, y, cast(b, f32, y)) }, "float32>float16", 2},
		"shape": {func(b *ops.Builder) {
			rows := b.Op("Transpose", nil, b.Op("NonZero", nil, inOf(b, tensor.Bool, "which", 7)))
			y := mlp(b, cast(b, f16, b.Op("GatherND", nil, in(b, "x", 7, 64), rows)))
			ret(b, b.Op("Shape", nil, y), cast(b, f32, y))
		}, "", 2},
		"cache": {func(b *ops.Builder) {
			x := mlp(b, inOf(b, f16, "x", 1, 64))
			past := inOf(b, f16, "past", 1, 2, 4000, 32)
			row := b.Op("Reshape", nil, x, b.Ints(1, 2, 1, 32))
			keys := b.Op("Concat", onnx.NewAttrs("axis", 2), past, row)
			y := b.Op("Attention", nil, row, keys, keys)
			ret(b, keys, mlp(b, b.Op("Reshape", nil, y, b.Ints(1, 64))))
		}, "float16>float32 float32>float16 float16>float32 float32>float16", 4},
	} {
		t.Run(name, func(t *testing.T) {
			before, m := graphModel(t, 24, c.build), graphModel(t, 24, c.build)
			if _, err := Run(m, Machine, Options{Check: true}); err != nil {
				t.Fatal(err)
			}
			var casts []string
			wide := 0
			for _, n := range m.Graph.Nodes {
				switch {
				case n.Op == "Cast":
					casts = append(casts, n.In[0].Type.DType.String()+">"+n.Out[0].Type.DType.String())
				case n.Op == "MatMul" && n.In[0].Type.DType == f32 && is16(n.In[1]):
					wide++
				}
			}
			if got := strings.Join(casts, " "); got != c.casts || wide != c.wide {
				t.Errorf("casts %q, want %q; %d products with weights of 16 bits, want %d\n%s", got, c.casts, wide, c.wide, graphText(m))
			}
			r := rand.New(rand.NewPCG(1, 2))
			in := random(t, before.Graph, r)
			want, got := eval(t, before.Graph, in), eval(t, m.Graph, in)
			for i, w := range want {
				if before.Graph.Outputs[i].Type.DType == tensor.Int32 {
					continue // which goes by what has been rounded before
				}
				if err := tensor.Compare(got[i], w, tensor.Tolerance{Rel: 1.0 / 64, Abs: 1.0 / 16}); err != nil {
					t.Errorf("output %d: %v", i, err)
				}
			}
		})
	}
}
