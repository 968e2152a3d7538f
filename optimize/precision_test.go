package optimize

import (
	"math"
	"math/rand/v2"
	"slices"
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

// TestPrecisionNested widens what the body of a loop computes of its state and of a value of the graph around, which keep their types.
func TestPrecisionNested(t *testing.T) {
	state := onnx.TensorType(tensor.Float16, onnx.Sizes(4, 64)...)
	build := func(b *ops.Builder) {
		x := inOf(b, tensor.Float16, "x", 4, 64)
		outer := b.Op("Relu", nil, b.Op("MatMul", nil, x, b.Const(halves(64, 64))))
		body := loopBody(b, []string{"i", "c", "h"}, []onnx.Type{counter, yes, state}, func(n *ops.Builder, in []*onnx.Value) []*onnx.Value {
			h := n.Op("Sigmoid", nil, n.Op("Tanh", nil, n.Op("Add", nil, in[2], outer)))
			return []*onnx.Value{n.Op("Identity", nil, in[1]), n.Op("Mul", nil, h, n.Float(tensor.Float16, 0.7))}
		})
		y := b.Ops("", "Loop", onnx.NewAttrs("body", body), 1, b.Const(tensor.Scalar(int64(3))), nil, x)[0]
		ret(b, b.Op("Exp", nil, b.Op("Neg", nil, y)))
	}
	before, m := graphModel(t, 24, build), graphModel(t, 24, build)
	if _, err := Run(m, Machine, Options{Check: true}); err != nil {
		t.Fatal(err)
	}
	var types []tensor.DType
	m.Graph.Walk(func(g *onnx.Graph) {
		for _, n := range g.Nodes {
			if n.Op == "Tanh" {
				types = append(types, n.Out[0].Type.DType, g.Inputs[2].Type.DType, g.Outputs[1].Type.DType)
			}
		}
	})
	if !slices.Equal(types, []tensor.DType{tensor.Float32, tensor.Float16, tensor.Float16}) {
		t.Errorf("Tanh, the state before and after have types %v\n%s", types, graphText(m))
	}
	in := random(t, before.Graph, rand.New(rand.NewPCG(1, 2)))
	if err := tensor.Compare(eval(t, m.Graph, in)[0], eval(t, before.Graph, in)[0], tensor.Tolerance{Rel: 1.0 / 256, Abs: 1.0 / 256}); err != nil {
		t.Error(err)
	}
}

// TestPrecisionOfConstants: what is computed ahead is rounded once, when it is stored, and not at all where it goes on in float32.
func TestPrecisionOfConstants(t *testing.T) {
	build := func(b *ops.Builder) {
		c := b.Op("Exp", nil, b.Op("Mul", nil, b.Const(halves(4, 5)), b.Float(tensor.Float16, 3)))
		c = b.Op("Log", nil, b.Op("Add", nil, c, b.Float(tensor.Float16, 0.1)))
		x := b.Op("Cast", onnx.NewAttrs("to", tensor.Float16), in(b, "x", 4, 5))
		ret(b, b.Op("Cast", onnx.NewAttrs("to", tensor.Float32), b.Op("Tanh", nil, b.Op("Mul", nil, b.Op("Sigmoid", nil, x), c))))
	}
	m := graphModel(t, 24, build)
	if _, err := Run(m, Machine, Options{Check: true}); err != nil {
		t.Fatal(err)
	}
	x := tensor.New(tensor.Float32, 4, 5) // sigmoid(0) is a half
	got := tensor.Data[float32](eval(t, m.Graph, []tensor.Value{x})[0].(*tensor.Tensor))
	point1 := float64(tensor.F16Of(0.1).Float32())
	for i, v := range got {
		want := math.Tanh(math.Log(math.Exp(float64(i%7-3)/8*3)+point1) / 2)
		if math.Abs(float64(v)-want) > 1e-6 {
			t.Errorf("element %d is %g, want %g", i, v, want)
		}
	}
}
