package optimize

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/onnx/schema"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// TestConvertKnowsEveryChange holds the steps against the schema: every version
// that changed inputs or attributes must have one.
func TestConvertKnowsEveryChange(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range schema.All() {
		if s.Domain != "" || seen[s.Name] {
			continue
		}
		seen[s.Name] = true
		vs := schema.Versions("", s.Name)
		for i := 1; i < len(vs); i++ {
			if sameSignature(vs[i-1], vs[i]) {
				continue
			}
			found := false
			for _, st := range steps[s.Name] {
				found = found || st.at == vs[i].Since
			}
			if !found {
				t.Errorf("%s: version %d changed inputs or attributes, and there is no step", s.Name, vs[i].Since)
			}
		}
	}
	for op := range steps {
		if !seen[op] {
			t.Errorf("steps for %s, which the schema does not have", op)
		}
	}
}

func TestConvertKeepsTheMeaning(t *testing.T) {
	f32 := func(v ...float32) *tensor.Tensor { return tensor.Of(v) }
	one := func(op string, as onnx.Attrs, more ...*tensor.Tensor) func(*ops.Builder) {
		return func(b *ops.Builder) {
			args := []*onnx.Value{in(b, "x", 2, 3, 4)}
			for _, c := range more {
				if c == nil {
					args = append(args, nil)
				} else {
					args = append(args, b.Const(c))
				}
			}
			ret(b, b.Op(op, as, args...))
		}
	}
	ints := func(v ...int64) *tensor.Tensor { return tensor.Of(v) }
	converts(t, []conversion{
		{"softmax over two axes", 11, 21, one("Softmax", onnx.NewAttrs("axis", 1)), "Flatten Softmax Shape Reshape"},
		{"softmax over the last axis", 11, 13, one("Softmax", onnx.NewAttrs("axis", 2)), "Softmax"},
		{"softmax over the first axis", 13, 11, one("Softmax", onnx.NewAttrs("axis", 0)), "Transpose Softmax Transpose"},
		{"log softmax", 13, 9, one("LogSoftmax", nil), "LogSoftmax"},
		{"squeeze", 11, 13, one("Unsqueeze", onnx.NewAttrs("axes", []int{0, -1})), "Unsqueeze"},
		{"unsqueeze", 13, 10, one("Unsqueeze", nil, ints(0, -1)), "Unsqueeze"},
		{"reduce mean", 13, 18, one("ReduceMean", onnx.NewAttrs("axes", []int{1}, "keepdims", 0)), "ReduceMean"},
		{"reduce mean down", 18, 9, one("ReduceMean", nil, ints(-1)), "ReduceMean"},
		{"reduce sum that does nothing", 13, 11, one("ReduceSum", onnx.NewAttrs("noop_with_empty_axes", 1)), "Identity"},
		{"clip up", 6, 21, one("Clip", onnx.NewAttrs("min", -0.5, "max", 0.25)), "Clip"},
		{"clip down", 13, 7, one("Clip", nil, tensor.Scalar(float32(-0.5))), "Clip"},
		{"slice up", 1, 13, one("Slice", onnx.NewAttrs("starts", []int{1}, "ends", []int{3}, "axes", []int{2})), "Slice"},
		{"slice down", 13, 9, one("Slice", nil, ints(-2), ints(9), ints(-1), ints(1)), "Slice"},
		{"pad up", 2, 13, one("Pad", onnx.NewAttrs("pads", []int{0, 1, 0, 0, 0, 2}, "value", 2.0)), "Pad"},
		{"pad axes", 18, 10, one("Pad", nil, ints(1, 2), tensor.Scalar(float32(3)), ints(-1)), "Pad"},
		{"reshape", 1, 13, one("Reshape", onnx.NewAttrs("shape", []int{6, 4})), "Reshape"},
		{"reshape down", 14, 4, one("Reshape", nil, ints(4, -1)), "Reshape"},
		{"aligned add", 6, 7, one("Add", onnx.NewAttrs("broadcast", 1, "axis", 1), f32(1, 2, 3)), "Add"},
		{"aligned add back", 13, 6, func(b *ops.Builder) {
			ret(b, b.Op("Add", nil, b.Const(tensor.Of([]float32{1, 2, 3}, 1, 3, 1)), in(b, "x", 2, 3, 4)))
		}, "Add"},
		{"constant", 13, 9, func(b *ops.Builder) {
			ret(b, b.Op("Add", nil, in(b, "x", 2), b.Op("Constant", onnx.NewAttrs("value_float", 1.5))))
		}, "Constant Add"},
		{"selu", 1, 6, one("Selu", nil), "Selu"},
		{"arg max", 11, 12, one("ArgMax", onnx.NewAttrs("axis", 1)), "ArgMax"},
		{"split", 13, 18, func(b *ops.Builder) {
			ret(b, b.Ops("", "Split", onnx.NewAttrs("axis", 1), 3, in(b, "x", 2, 3))...)
		}, "Split"},
		{"uneven split", 18, 11, func(b *ops.Builder) {
			ret(b, b.Ops("", "Split", onnx.NewAttrs("axis", 1, "num_outputs", 2), 2, in(b, "x", 2, 5))...)
		}, "Split"},
		{"top k", 11, 9, func(b *ops.Builder) {
			ret(b, b.Ops("", "TopK", nil, 2, in(b, "x", 2, 5), b.Ints(3))...)
		}, "TopK"},
		{"prelu", 6, 9, one("PRelu", nil, f32(0.1, 0.2, 0.3)), "PRelu"},
		{"prelu down", 9, 6, one("PRelu", nil, tensor.Of([]float32{0.1, 0.2, 0.3}, 3, 1)), "PRelu"},
		{"gemm without c", 13, 9, func(b *ops.Builder) {
			ret(b, b.Op("Gemm", nil, in(b, "x", 2, 3), floats(b, 3, 4)))
		}, "Gemm"},
		{"layer normalization", 17, 13, func(b *ops.Builder) {
			ret(b, b.Ops("", "LayerNormalization", onnx.NewAttrs("axis", 1), 3, in(b, "x", 2, 3, 4), floats(b, 3, 4), floats(b, 3, 4))...)
		}, "ReduceMean Sub Mul ReduceMean Add Sqrt Reciprocal Mul Mul Add"},
		{"rms normalization", 23, 18, one("RMSNormalization", nil, f32(1, 2, 3, 4)), "Mul ReduceMean Add Sqrt Reciprocal Mul Mul"},
		{"hard swish", 14, 13, one("HardSwish", nil), "HardSigmoid Mul"},
		{"mish", 18, 17, one("Mish", nil), "Softplus Tanh Mul"},
		{"part of a shape", 15, 13, one("Shape", onnx.NewAttrs("start", -2, "end", -1)), "Shape Slice"},
		{"part of a shape, older", 15, 9, one("Shape", onnx.NewAttrs("start", 1)), "Shape Slice"},
		{"cast like", 15, 13, one("CastLike", nil, ints(1)), "Cast"},
		{"axes of a constant node", 13, 11, func(b *ops.Builder) {
			ret(b, b.Op("Unsqueeze", nil, in(b, "x", 2), b.Op("Constant", onnx.NewAttrs("value_ints", []int{0}))))
		}, "Unsqueeze"},
		{"cast", 13, 5, one("Cast", onnx.NewAttrs("to", tensor.Int32)), "Cast"},
		{"cast up", 1, 13, one("Cast", onnx.NewAttrs("to", "DOUBLE")), "Cast"},
		{"group normalization", 18, 21, func(b *ops.Builder) {
			ret(b, b.Op("GroupNormalization", onnx.NewAttrs("num_groups", 2), in(b, "x", 2, 4, 3), floats(b, 2), floats(b, 2)))
		}, "Reshape Expand Reshape Reshape Expand Reshape GroupNormalization"},
		{"upsample", 9, 13, func(b *ops.Builder) {
			ret(b, b.Op("Upsample", nil, in(b, "x", 1, 1, 2, 3), b.Const(f32(1, 1, 2, 2))))
		}, "Resize"},
		{"upsample by attribute", 7, 18, func(b *ops.Builder) {
			ret(b, b.Op("Upsample", onnx.NewAttrs("scales", []float64{1, 1, 2, 3}, "mode", "linear"), in(b, "x", 1, 1, 2, 3)))
		}, "Resize"},
		{"shrinking resize", 10, 11, func(b *ops.Builder) {
			ret(b, b.Op("Resize", nil, in(b, "x", 1, 1, 4, 4), b.Const(f32(1, 1, 0.5, 0.5))))
		}, "Resize"},
	})
}

// conversion is a model that means the same in two opsets.
type conversion struct {
	name     string
	from, to int
	build    func(*ops.Builder)
	want     string // operators afterwards
}

func converts(t *testing.T, cases []conversion) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := graphModel(t, c.from, c.build)
			before := m.Clone()
			if err := ConvertOpset(m, "", c.to); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(opNames(m.Graph), " "); got != c.want {
				t.Errorf("operators %s, want %s", got, c.want)
			}
			if m.Opsets[""] != c.to {
				t.Errorf("opset %d", m.Opsets[""])
			}
			for _, n := range m.Graph.Nodes {
				if n.Opset != c.to {
					t.Errorf("%v is of opset %d", n, n.Opset)
				}
			}
			if err := m.Graph.Check(); err != nil {
				t.Error(err)
			}
			same(t, before.Graph, m.Graph, rand.New(rand.NewPCG(5, 6)))
		})
	}
}

func TestConvertRefuses(t *testing.T) {
	cases := []struct {
		name     string
		from, to int
		build    func(*ops.Builder)
		err      string
	}{
		{"computed axes", 13, 11, func(b *ops.Builder) {
			ret(b, b.Op("Squeeze", nil, in(b, "x", 1, 2), inOf(b, tensor.Int64, "axes", 1)))
		}, "axes is computed, and the older version wants it as an attribute"},
		{"unknown operator", 18, 13, func(b *ops.Builder) {
			ret(b, b.Op("NonZero", nil, in(b, "x", 2)), b.Op("BitwiseNot", nil, inOf(b, tensor.Int64, "y", 2)))
		}, "not there before opset 18"},
		{"a size of 0", 14, 13, func(b *ops.Builder) {
			ret(b, b.Op("Reshape", onnx.NewAttrs("allowzero", 1), in(b, "x", 0, 2), b.Ints(2, 0)))
		}, "the shape has or may have 0"},
		{"scores of attention", 23, 17, func(b *ops.Builder) {
			x := in(b, "x", 1, 2, 3, 4)
			ret(b, b.Ops("", "Attention", nil, 4, x, x, x)...)
		}, "qk_matmul_output is read"},
		{"a mask for some keys", 23, 17, func(b *ops.Builder) {
			x := in(b, "x", 1, 2, 3, 4)
			ret(b, b.Op("Attention", nil, x, x, x, in(b, "mask", 3, 2)))
		}, "attn_mask is float32[3,2] for 3 keys"},
		{"element type", 13, 12, func(b *ops.Builder) {
			ret(b, b.Op("Neg", nil, inOf(b, tensor.BFloat16, "x", 2)))
		}, "X of type bfloat16[2]"},
		{"lengths of sequences", 8, 9, func(b *ops.Builder) {
			ret(b, scan8(b, b.Const(tensor.Of([]int64{4, 2, 1})), nil)...)
		}, "Scan before opset 9 has lengths of sequences"},
		{"opset out of range", 13, 999, func(b *ops.Builder) { ret(b, b.Op("Neg", nil, in(b, "x", 2))) }, "there is no opset 999"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := graphModel(t, c.from, c.build)
			err := ConvertOpset(m, "", c.to)
			if !errors.Is(err, ops.ErrUnsupported) || !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want one with %q", err, c.err)
			}
			if m.Opsets[""] != c.from {
				t.Errorf("the model was changed: opset %d", m.Opsets[""])
			}
		})
	}
}
