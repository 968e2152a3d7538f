package quantize

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// noIdleCasts fails if a Cast of m undoes another, changes nothing or is there twice.
func noIdleCasts(t *testing.T, m *onnx.Model) {
	t.Helper()
	type to struct {
		v *onnx.Value
		d tensor.DType
	}
	seen := map[to]bool{}
	m.Graph.Walk(func(g *onnx.Graph) {
		for _, n := range g.Nodes {
			if n.Op != "Cast" {
				continue
			}
			v, d := n.In[0], n.Out[0].Type.DType
			require.NotEqual(t, v.Type.DType, d, "%v", n)
			require.False(t, seen[to{v, d}], "%v", n)
			seen[to{v, d}] = true
			if v.From != nil && v.From.Op == "Cast" && v.Type.DType.IsFloat() {
				require.NotEqual(t, d, v.From.In[0].Type.DType, "%v", n)
			}
		}
	})
}

// dtypeOf returns the type of what node writes.
func dtypeOf(t *testing.T, m *onnx.Model, node string) tensor.DType {
	t.Helper()
	d := tensor.Undefined
	m.Graph.Walk(func(g *onnx.Graph) {
		for _, n := range g.Nodes {
			if n.Name == node {
				d = n.Out[0].Type.DType
			}
		}
	})
	return d
}

func perceptron(b *ops.Builder) []*onnx.Value {
	x := floatInput(b, "x", 4, 32)
	h := b.Op("Relu", nil, b.Op("Gemm", nil, x, normal(b, 1, 32, 64), normal(b, 2, 64)))
	h = b.Op("LayerNormalization", nil, h, normal(b, 3, 64), normal(b, 4, 64))
	return []*onnx.Value{b.Op("MatMul", nil, h, normal(b, 5, 64, 10)), b.Op("Softmax", nil, h)}
}

func TestHalf(t *testing.T) {
	for _, c := range []struct {
		name  string
		c     HalfConfig
		bound float64
	}{
		{"float16", HalfConfig{}, 2e-3}, {"bfloat16", HalfConfig{Type: tensor.BFloat16}, 2e-2}, {"whole", HalfConfig{HalfIO: true}, 2e-3},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := builtModel(t, 17, perceptron)
			want := results(t, m)
			s, err := Half(m, c.c)
			require.NoError(t, err)
			require.Equal(t, len(s.Changes), s.Changed(), s.Changes)
			require.Equal(t, s.Before, 2*s.After)
			d := tensor.Float16
			if c.c.Type != tensor.Undefined {
				d = c.c.Type
			}
			require.Equal(t, d.String(), change(t, s, "Gemm0").Format)
			for _, v := range m.Graph.Consts {
				require.Equal(t, d, v.Const.DType(), v.Name)
			}
			io, casts := tensor.Float32, 3
			if c.c.HalfIO {
				io, casts = d, 0
			}
			require.Equal(t, casts, countOps(m)["Cast"])
			require.Equal(t, io, m.Graph.Inputs[0].Type.DType)
			for i, name := range []string{"y0", "y1"} {
				require.Equal(t, io, m.Graph.Outputs[i].Type.DType)
				require.Equal(t, name, m.Graph.Outputs[i].Name)
			}
			noIdleCasts(t, m)
			require.Less(t, deviation(t, results(t, m), want), c.bound)
		})
	}
}

func TestHalfRanges(t *testing.T) {
	build := func(b *ops.Builder) []*onnx.Value {
		x := floatInput(b, "x", 4, 16)
		h := b.Op("MatMul", nil, x, normal(b, 1, 16, 16)) // MatMul0
		h = b.Op("Transpose", nil, h)                     // Transpose1
		h = b.Op("MatMul", nil, normal(b, 2, 16, 16), h)  // MatMul2
		h = b.Op("Softmax", onnx.NewAttrs("axis", -1), h) // Softmax3
		return []*onnx.Value{b.Op("Sigmoid", nil, h)}     // Sigmoid4
	}
	m := builtModel(t, 17, build)
	name := m.Graph.Nodes[0].Out[0].Name
	ranges := Ranges{name: {-1e5, 3}}
	want := results(t, m)
	s, err := Half(m, HalfConfig{Ranges: ranges})
	require.NoError(t, err)
	for node, d := range map[string]tensor.DType{
		"MatMul0": tensor.Float32, "Transpose1": tensor.Float32, "MatMul2": tensor.Float32, "Softmax3": tensor.Float32, "Sigmoid4": tensor.Float16,
	} {
		require.Equal(t, d, dtypeOf(t, m, node), node)
	}
	require.Contains(t, change(t, s, "MatMul0").Reason, "-100000 to 3, exceeds 65504")
	noIdleCasts(t, m)
	require.Less(t, deviation(t, results(t, m), want), 2e-3)

	// What follows has a range of its own.
	m = builtModel(t, 17, build)
	for i := 1; i < 4; i++ {
		ranges[m.Graph.Nodes[i].Out[0].Name] = Range{-1e5, 1}
	}
	ranges[m.Graph.Nodes[2].Out[0].Name] = Range{-5, 5}
	ranges[m.Graph.Nodes[3].Out[0].Name] = Range{0, 1}
	_, err = Half(m, HalfConfig{Ranges: ranges})
	require.NoError(t, err)
	require.Equal(t, tensor.Float32, dtypeOf(t, m, "MatMul2"), "it reads too much")
	require.Equal(t, tensor.Float16, dtypeOf(t, m, "Softmax3"))

	// A lower limit, and ranges that let an Exp through.
	exp := func(b *ops.Builder) []*onnx.Value {
		return []*onnx.Value{b.Op("MatMul", nil, b.Op("Exp", nil, floatInput(b, "x", 4, 16)), normal(b, 1, 16, 16))}
	}
	m = builtModel(t, 17, exp)
	e := m.Graph.Nodes[0].Out[0].Name
	s, err = Half(m, HalfConfig{})
	require.NoError(t, err)
	require.Contains(t, change(t, s, "Exp0").Reason, "not known")
	require.Contains(t, change(t, s, "MatMul1").Reason, "a result of Exp")
	m = builtModel(t, 17, exp)
	s, err = Half(m, HalfConfig{Ranges: Ranges{e: {0, 100}}})
	require.NoError(t, err)
	require.Equal(t, 2, s.Changed())
	m = builtModel(t, 17, exp)
	s, err = Half(m, HalfConfig{Ranges: Ranges{e: {0, 100}}, Limit: 64})
	require.NoError(t, err)
	require.Zero(t, s.Changed())
	m = builtModel(t, 17, exp)
	s, err = Half(m, HalfConfig{Allow: []string{"Exp"}, Ranges: Ranges{e: {0, 100}}})
	require.NoError(t, err)
	require.Equal(t, 2, s.Changed())
}

func TestHalfConstants(t *testing.T) {
	m := builtModel(t, 17, func(b *ops.Builder) []*onnx.Value {
		x := floatInput(b, "x", 4, 32)
		w, bias := normal(b, 1, 32, 32), normal(b, 2, 32)
		for i := range tensor.Data[float32](bias.Const) {
			tensor.Data[float32](bias.Const)[i] *= 1e-9
		}
		h := b.Op("Gemm", nil, x, w, bias)                                                           // 0: a bias may underflow
		h = b.Op("Sqrt", nil, b.Op("Add", nil, b.Op("Abs", nil, h), b.Float(tensor.Float32, 1e-12))) // 1 Abs, 2 Add: the epsilon does not
		mask := b.Op("Mul", nil, x, b.Float(tensor.Float32, -1e6))                                   // 4
		p := b.Op("Softmax", nil, b.Op("Add", nil, mask, h))                                         // 5, 6
		inf := b.Op("Where", nil, b.Op("Less", nil, x, h), b.Float(tensor.Float32, math.Inf(-1)), h)
		return []*onnx.Value{b.Op("MatMul", nil, p, w), b.Op("Softmax", nil, inf), b.Op("Cos", nil, b.Op("MatMul", nil, x, w))}
	})
	want := results(t, m)
	s, err := Half(m, HalfConfig{})
	require.NoError(t, err)
	for node, why := range map[string]string{
		"Gemm0": "", "Add2": "underflows", "Mul4": "exceeds the range", "Add5": "exceeds the range", "Softmax6": "exceeds the range",
		"Less7": "", "Where8": "", "MatMul9": "", "Softmax10": "", "MatMul11": "angle", "Cos12": "precision",
	} {
		c := change(t, s, node)
		require.Contains(t, c.Reason, why, node)
		require.Equal(t, why == "", c.Format == "float16", "%v", c)
	}
	types := map[tensor.DType]int{}
	for _, v := range m.Graph.Consts {
		if v.Const.Len() == 32*32 {
			types[v.Const.DType()]++
		}
	}
	require.Equal(t, map[tensor.DType]int{tensor.Float32: 1, tensor.Float16: 1}, types, "the weights have readers of both types")
	noIdleCasts(t, m)
	require.Less(t, deviation(t, results(t, m), want), 3e-3)

	m = builtModel(t, 17, func(b *ops.Builder) []*onnx.Value {
		return []*onnx.Value{b.Op("Softmax", nil, b.Op("Mul", nil, floatInput(b, "x", 4, 32), b.Float(tensor.Float32, -math.MaxFloat32)))}
	})
	s, err = Half(m, HalfConfig{Type: tensor.BFloat16}) // rounds to infinity
	require.NoError(t, err)
	require.Zero(t, s.Changed(), s.Changes)
}

func TestHalfOperators(t *testing.T) {
	m := builtModel(t, 19, func(b *ops.Builder) []*onnx.Value {
		x := floatInput(b, "x", 1, 3, 8, 8)
		scales := b.Const(tensor.Of([]float32{1, 1, 2, 2}, 4))
		r := b.Op("Resize", onnx.NewAttrs("mode", "linear"), b.Op("Relu", nil, x), nil, scales)
		shape := b.Op("Shape", nil, x)
		zeros := b.Op("ConstantOfShape", onnx.NewAttrs("value", tensor.Of([]float32{0.5}, 1)), shape)
		q := b.Op("QuantizeLinear", nil, b.Op("Conv", nil, x, normal(b, 1, 3, 3, 1, 1)), b.Float(tensor.Float32, 0.1), b.Const(tensor.Scalar(uint8(128))))
		d := b.Op("DequantizeLinear", nil, q, b.Float(tensor.Float32, 0.1), b.Const(tensor.Scalar(uint8(128))))
		i := b.Op("Cast", onnx.NewAttrs("to", tensor.Int64), x)
		f := b.Op("Cast", onnx.NewAttrs("to", tensor.Float32), i)
		return []*onnx.Value{r, b.Op("Add", nil, zeros, d), b.Op("Mul", nil, f, f), b.Op("Relu", nil, f)}
	})
	want := results(t, m)
	s, err := Half(m, HalfConfig{})
	require.NoError(t, err)
	for _, n := range m.Graph.Nodes {
		if n.Op == "Resize" {
			require.Equal(t, tensor.Float16, n.In[0].Type.DType)
			require.Equal(t, tensor.Float32, n.In[2].Type.DType)
		}
		if n.Op == "ConstantOfShape" {
			require.Equal(t, n.Out[0].Type.DType, n.Attrs.Get("value").Value.(*tensor.Tensor).DType())
		}
	}
	require.Contains(t, change(t, s, "QuantizeLinear5").Reason, "scales")
	require.Equal(t, "float16", change(t, s, "Resize1").Format)
	noIdleCasts(t, m)
	require.Less(t, deviation(t, results(t, m), want), 0.1) // a rounding of the quantiser may tip over

	m = builtModel(t, 17, func(b *ops.Builder) []*onnx.Value {
		x := floatInput(b, "x", 4, 4)
		r := b.Op("RandomNormalLike", onnx.NewAttrs("dtype", tensor.Float32, "seed", 1.0), x)
		h := b.Op("Cast", onnx.NewAttrs("to", tensor.Float16), x)
		return []*onnx.Value{b.Op("EyeLike", onnx.NewAttrs("dtype", tensor.Float32), x), r, b.Op("Sigmoid", nil, b.Op("Cast", onnx.NewAttrs("to", tensor.Float32), h))}
	})
	s, err = Half(m, HalfConfig{})
	require.NoError(t, err)
	require.Equal(t, tensor.Float32, dtypeOf(t, m, "RandomNormalLike0"))
	require.Equal(t, tensor.Float32, dtypeOf(t, m, "EyeLike2"))
	require.Contains(t, change(t, s, "EyeLike2").Reason, "attribute")
	noIdleCasts(t, m)
	require.Empty(t, onnx.Check(m))
}

func TestHalfNested(t *testing.T) {
	m := builtModel(t, 17, func(b *ops.Builder) []*onnx.Value {
		x, w := floatInput(b, "x", 4, 16), normal(b, 1, 16, 16)
		h := b.Op("MatMul", nil, x, b.G.AddConst(w))
		cond := b.G.AddInput("cond", onnx.TensorType(tensor.Bool))
		branch := func(act string) *onnx.Graph {
			body := b.G.NewBody(act)
			k := ops.NewBuilder(body)
			y := k.Op(act, nil, k.Op("MatMul", nil, h, w))
			k.Insert(nil)
			require.NoError(t, k.Err())
			body.Outputs = []*onnx.Value{y}
			return body
		}
		plain := b.G.NewBody("plain") // returns a value of the graph around it
		plain.Outputs = []*onnx.Value{h}
		chosen := b.Op("If", onnx.NewAttrs("then_branch", branch("Relu"), "else_branch", branch("Tanh")), cond)
		other := b.Op("If", onnx.NewAttrs("then_branch", branch("Relu"), "else_branch", plain), cond)
		loop := b.G.NewBody("loop")
		i := loop.AddInput("i", onnx.TensorType(tensor.Int64))
		again := loop.AddInput("again", onnx.TensorType(tensor.Bool))
		state := loop.AddInput("state", onnx.TensorType(tensor.Float32, onnx.Sizes(4, 16)...))
		k := ops.NewBuilder(loop)
		next := k.Op("Tanh", nil, k.Op("MatMul", nil, state, w))
		loop.Outputs = []*onnx.Value{k.Op("Identity", nil, again), next}
		k.Insert(nil)
		require.NoError(t, k.Err())
		_ = i
		last := b.Op("Loop", onnx.NewAttrs("body", loop), b.Const(tensor.Scalar(int64(3))), nil, h)
		return []*onnx.Value{b.Op("Add", nil, chosen, other), b.Op("Sigmoid", nil, last)}
	})
	want := results(t, m)
	s, err := Half(m, HalfConfig{})
	require.NoError(t, err)
	require.NoError(t, m.Graph.Check())
	for _, c := range s.Changes {
		float := c.Op == "If" || c.Op == "Loop" || c.Node == "Add4" // which adds what two Ifs give
		require.Equal(t, float, c.Reason != "", "%v", c)
	}
	noIdleCasts(t, m)
	require.Less(t, deviation(t, results(t, m), want), 5e-3)
}

func TestHalfChoices(t *testing.T) {
	m := builtModel(t, 17, perceptron)
	s, err := Half(m, HalfConfig{Selection: Selection{Exclude: []string{"Gemm0"}}, Float32: []string{"Softmax"}})
	require.NoError(t, err)
	require.Equal(t, "excluded", change(t, s, "Gemm0").Reason)
	require.Contains(t, change(t, s, "Softmax4").Reason, "is to stay")
	require.Equal(t, tensor.Float16, dtypeOf(t, m, "MatMul3"))
	noIdleCasts(t, m)
	results(t, m)

	// What lies between nodes that stay stays.
	m = builtModel(t, 17, func(b *ops.Builder) []*onnx.Value {
		h := b.Op("Gemm", nil, floatInput(b, "x", 4, 32), normal(b, 1, 32, 32))
		h = b.Op("Transpose", nil, b.Op("Reshape", nil, h, b.Ints(32, 4)))
		return []*onnx.Value{b.Op("Gemm", nil, h, normal(b, 2, 32, 32))}
	})
	s, err = Half(m, HalfConfig{Float32: []string{"Gemm"}})
	require.NoError(t, err)
	require.Zero(t, s.Changed())
	require.Zero(t, countOps(m)["Cast"])
	require.Contains(t, change(t, s, "Transpose2").Reason, "between")

	_, err = Half(m, HalfConfig{Type: tensor.Float64})
	require.ErrorContains(t, err, "want float16 or bfloat16")
	_, err = Half(m, HalfConfig{Limit: 1e9})
	require.ErrorContains(t, err, "limit")
	_, err = Half(m, HalfConfig{Selection: Selection{Ops: []string{"Cnov"}}})
	require.ErrorContains(t, err, "Cnov")
}
