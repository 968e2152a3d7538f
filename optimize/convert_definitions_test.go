package optimize

import (
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestConvertWritesOut(t *testing.T) {
	a := onnx.NewAttrs
	ints := func(v ...int64) *tensor.Tensor { return tensor.Of(v) }
	group := func(n int) func(*ops.Builder) {
		return func(b *ops.Builder) {
			ret(b, b.Op("GroupNormalization", a("num_groups", 2, "epsilon", 1e-3), in(b, "x", 2, 4, 3, 2), floats(b, n), floats(b, n)))
		}
	}
	const grouped = "Reshape InstanceNormalization Shape Reshape Reshape Mul Reshape Add"
	converts(t, []conversion{
		{"gelu", 20, 13, single("Gelu", 1, nil, []int{2, 3}), "Mul Erf Mul Add Mul"},
		{"gelu by tanh", 20, 13, single("Gelu", 1, a("approximate", "tanh"), []int{2, 3}), "Mul Mul Mul Add Mul Tanh Mul Add Mul"},
		{"groups", 21, 17, group(4), grouped},
		{"groups to 18", 21, 18, group(4), grouped},
		{"groups with scales of their own", 18, 13, group(2), "Reshape Expand Reshape Reshape Expand Reshape " + grouped},
		{"upper triangle", 14, 13, single("Trilu", 1, nil, []int{2, 3, 4}), "Shape Gather Range Shape Gather Range Reshape GreaterOrEqual Where"},
		{"lower triangle", 14, 13, single("Trilu", 1, a("upper", 0), []int{4, 3}, tensor.Scalar(int64(-1))), "Shape Gather Range Add Shape Gather Range Reshape LessOrEqual Where"},
		{"reshape without zeros", 14, 13, single("Reshape", 1, a("allowzero", 1), []int{2, 3}, ints(3, -1)), "Reshape"},
	})
}

func TestConvertWritesOutAttention(t *testing.T) {
	a := onnx.NewAttrs
	heads := func(as onnx.Attrs, more func(b *ops.Builder) []*onnx.Value) func(*ops.Builder) {
		return func(b *ops.Builder) {
			args := []*onnx.Value{in(b, "q", 2, 4, 3, 6), in(b, "k", 2, 2, 5, 6), in(b, "v", 2, 2, 5, 7)}
			if more != nil {
				args = append(args, more(b)...)
			}
			ret(b, b.Op("Attention", as, args...))
		}
	}
	none := float32(-1e9)
	bias := tensor.Of([]float32{0, 1, 2, 3, 4, none, 0.5, none, 0.25, 0, none, none, 1, 0, 0}, 3, 5)
	hide := tensor.New(tensor.Bool, 3, 5) // the last query attends nothing
	for _, i := range []int{0, 2, 3, 6, 9} {
		tensor.Data[bool](hide)[i] = true
	}
	const products, end = "Gather Gather Mul Transpose MatMul ", "Softmax MatMul"
	const causal = "Shape Gather Range Reshape Shape Gather Range Less Not "
	converts(t, []conversion{
		{"shared heads", 23, 13, heads(nil, nil), products + end},
		{"scale and softcap", 23, 17, heads(a("scale", 0.3, "softcap", 0.7), nil), products + "Div Tanh Mul " + end},
		{"causal", 24, 17, heads(a("is_causal", 1), nil), products + causal + "Where Softmax Where MatMul"},
		{"numbers that are added", 23, 13, heads(nil, func(b *ops.Builder) []*onnx.Value { return []*onnx.Value{b.Const(bias)} }),
			products + "Add Softmax IsNaN Where MatMul"},
		{"mask, causal", 25, 13, heads(a("is_causal", 1), func(b *ops.Builder) []*onnx.Value { return []*onnx.Value{b.Const(hide)} }),
			products + causal + "And Where Softmax Where MatMul"},
		{"three dimensions", 23, 17, func(b *ops.Builder) {
			ret(b, b.Op("Attention", a("q_num_heads", 2, "kv_num_heads", 2), in(b, "q", 2, 3, 8), in(b, "k", 2, 5, 8), in(b, "v", 2, 5, 6)))
		}, "Reshape Transpose Reshape Transpose Reshape Transpose Mul Transpose MatMul Softmax MatMul Transpose Reshape"},
		{"past keys", 23, 17, func(b *ops.Builder) {
			ret(b, b.Ops("", "Attention", a("is_causal", 1), 3, in(b, "q", 1, 2, 3, 4), in(b, "k", 1, 2, 3, 4), in(b, "v", 1, 2, 3, 4), nil,
				in(b, "pk", 1, 2, 2, 4), in(b, "pv", 1, 2, 2, 4))...)
		}, "Concat Concat Mul Transpose MatMul Shape Gather Range Shape Gather Add Reshape Shape Gather Range Less Not Where Softmax Where MatMul"},
	})
}
