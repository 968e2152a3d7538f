package runtime_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// beams is a model that searches, with three beams, what a decoder with weights of the graph around it generates.
func beams(t *testing.T) *onnx.Model {
	const vocab, size = 40, 8
	m, g, b := model()
	m.Opsets["com.microsoft"] = 1
	ids := g.AddInput("ids", onnx.TensorType(tensor.Int32, onnx.Name("batch"), onnx.Name("length")))
	r := rand.New(rand.NewPCG(1, 2))
	weights := func(shape ...int) *onnx.Value {
		w := tensor.New(tensor.Float32, shape...)
		for i := range tensor.Data[float32](w) {
			tensor.Data[float32](w)[i] = float32(r.NormFloat64())
		}
		return b.Const(w)
	}
	embed, out := weights(vocab, size), weights(size, vocab)
	body := g.NewBody("decoder")
	two := onnx.TensorType(tensor.Int32, onnx.Dim{}, onnx.Dim{})
	in, pos := body.AddInput("input_ids", two), body.AddInput("position_ids", two)
	mask := body.AddInput("attention_mask", two)
	past := body.AddInput("past_0", onnx.TensorType(tensor.Float32, onnx.Size(2), onnx.Dim{}, onnx.Size(2), onnx.Dim{}, onnx.Size(4)))
	d := ops.NewBuilder(body)
	f := func(v *onnx.Value) *onnx.Value { return d.Op("Cast", onnx.NewAttrs("to", int(tensor.Float32)), v) }
	x := d.Op("Add", nil, d.Op("Gather", nil, embed, in), d.Op("Sin", nil, d.Op("Unsqueeze", nil, f(pos), d.Ints(2))))
	heads := func(v *onnx.Value) *onnx.Value {
		return d.Op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1, 3}), d.Op("Reshape", nil, v, d.Ints(0, -1, 2, 4)))
	}
	q := heads(x)
	kv := d.Op("Unsqueeze", nil, q, d.Ints(0))
	present := d.Op("Concat", onnx.NewAttrs("axis", 3), past, d.Op("Concat", onnx.NewAttrs("axis", 0), kv, d.Op("Tanh", nil, kv)))
	half := func(i int64) *onnx.Value { return d.Op("Gather", nil, present, d.Const(tensor.Scalar(i))) }
	s := d.Op("MatMul", nil, q, d.Op("Transpose", onnx.NewAttrs("perm", []int{0, 1, 3, 2}), half(0)))
	bias := d.Op("Mul", nil, d.Op("Sub", nil, f(mask), d.Const(tensor.Scalar(float32(1)))), d.Const(tensor.Scalar(float32(1000))))
	p := d.Op("Softmax", nil, d.Op("Add", nil, s, d.Op("Unsqueeze", nil, bias, d.Ints(1, 2))))
	y := d.Op("Reshape", nil, d.Op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1, 3}), d.Op("MatMul", nil, p, half(1))), d.Ints(0, -1, size))
	body.Outputs = []*onnx.Value{d.Op("MatMul", nil, d.Op("Add", nil, x, y), out), present}
	require.NoError(t, d.Err())
	d.Insert(nil)
	one := func(v int32) *onnx.Value { return b.Const(tensor.Of([]int32{v}, 1)) }
	z := b.Ops("com.microsoft", "BeamSearch", onnx.NewAttrs("decoder", body, "eos_token_id", 3, "pad_token_id", 0), 2,
		ids, one(20), one(0), one(3), one(2), b.Const(tensor.Of([]float32{1}, 1)))
	require.NoError(t, b.Err())
	b.Insert(nil)
	z[0].Name, z[1].Name = "sequences", "scores"
	g.Outputs = z
	return m
}

func beamInput() map[string]tensor.Value {
	return map[string]tensor.Value{"ids": tensor.Of([]int32{0, 5, 9, 11, 2, 30}, 2, 3)}
}

func beamOutput() map[string]tensor.Value {
	return map[string]tensor.Value{"sequences": tensor.New(tensor.Int32, 2, 2, 20), "scores": tensor.New(tensor.Float32, 2, 2)}
}

// TestGeneration: a search gives the same with one thread and more, optimised or not, run after run.
func TestGeneration(t *testing.T) {
	in := beamInput()
	var want map[string]tensor.Value
	for _, o := range []runtime.Options{{Level: optimize.None, Threads: 1}, {Level: optimize.Best, Threads: 1}, {Level: optimize.Best, Threads: 2}} {
		s := open(t, beams(t), o)
		out := beamOutput()
		for range 6 {
			require.NoError(t, s.RunInto(bg, in, out))
			if want == nil {
				want = map[string]tensor.Value{"sequences": out["sequences"].(*tensor.Tensor).Clone(), "scores": out["scores"].(*tensor.Tensor).Clone()}
			}
			require.NoError(t, tensor.Compare(out["sequences"], want["sequences"], tensor.Tolerance{}))
			require.NoError(t, near(out["scores"], want["scores"]))
		}
	}
	seq := tensor.Data[int32](want["sequences"].(*tensor.Tensor))
	require.Equal(t, []int32{0, 5, 9}, seq[:3])
	require.NotEqual(t, seq[:20], seq[20:40])
}
