package quantize

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// builtModel is a model under test: build adds nodes and returns the outputs.
func builtModel(t *testing.T, opset int, build func(b *ops.Builder) []*onnx.Value) *onnx.Model {
	t.Helper()
	m := &onnx.Model{IRVersion: 8, Opsets: map[string]int{"": opset}}
	m.Graph = onnx.NewGraph("g", m.Opsets)
	b := ops.NewBuilder(m.Graph)
	out := build(b)
	require.NoError(t, b.Err())
	for i, n := range b.Nodes {
		n.Name = fmt.Sprintf("%s%d", n.Op, i)
	}
	b.Insert(nil)
	for i, v := range out {
		v.Name = fmt.Sprintf("y%d", i)
	}
	m.Graph.Outputs = out
	require.Empty(t, onnx.Check(m))
	return m
}

func floatInput(b *ops.Builder, name string, dims ...int) *onnx.Value {
	return b.G.AddInput(name, onnx.TensorType(tensor.Float32, onnx.Sizes(dims...)...))
}

// normal returns an initializer of normally distributed numbers.
func normal(b *ops.Builder, seed uint64, dims ...int) *onnx.Value {
	r := rand.New(rand.NewPCG(seed, 1))
	t := tensor.New(tensor.Float32, dims...)
	x := tensor.Data[float32](t)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return b.G.NewConst(fmt.Sprintf("w%d", seed), t)
}

// results encodes m, reads it again and runs it with inputs drawn at random
// (integers: 0, 1, 2 …).
func results(t *testing.T, m *onnx.Model) map[string]*tensor.Tensor {
	t.Helper()
	require.Empty(t, onnx.Check(m))
	data, err := onnx.Encode(m)
	require.NoError(t, err)
	s, err := runtime.OpenBytes(data, runtime.Options{Threads: 1})
	require.NoError(t, err)
	defer s.Close()
	r := rand.New(rand.NewPCG(7, 7))
	in := map[string]tensor.Value{}
	for _, v := range m.Graph.Inputs {
		shape, ok := v.Type.Static()
		require.True(t, ok)
		n, err := tensor.Count(shape)
		require.NoError(t, err)
		switch v.Type.DType {
		case tensor.Bool:
			in[v.Name] = tensor.New(tensor.Bool, shape...)
		case tensor.Int64:
			x := tensor.New(tensor.Int64, shape...)
			for i := range n {
				tensor.Data[int64](x)[i] = int64(i)
			}
			in[v.Name] = x
		default:
			x := tensor.New(tensor.Float32, shape...)
			for i := range n {
				tensor.Data[float32](x)[i] = float32(r.NormFloat64())
			}
			y := tensor.New(v.Type.DType, shape...)
			tensor.Narrow(y, x)
			in[v.Name] = y
		}
	}
	out, err := s.Run(context.Background(), in)
	require.NoError(t, err)
	ts := map[string]*tensor.Tensor{}
	for k, v := range out {
		ts[k] = v.(*tensor.Tensor)
	}
	return ts
}

// deviation is the L2 norm of the difference by that of want, over all outputs.
func deviation(t *testing.T, got, want map[string]*tensor.Tensor) float64 {
	t.Helper()
	var d, s float64
	for name, w := range want {
		g := got[name]
		require.NotNil(t, g, name)
		require.Equal(t, w.Shape(), g.Shape(), name)
		a, b := tensor.Data[float32](tensor.Widen(g)), tensor.Data[float32](tensor.Widen(w))
		for i := range b {
			d += math.Pow(float64(a[i])-float64(b[i]), 2)
			s += math.Pow(float64(b[i]), 2)
		}
	}
	return math.Sqrt(d / s)
}

// counts returns how often each operator occurs in m, nested graphs included.
func countOps(m *onnx.Model) map[string]int {
	c := map[string]int{}
	m.Graph.Walk(func(g *onnx.Graph) {
		for _, n := range g.Nodes {
			c[n.Op]++
		}
	})
	return c
}

// change returns what s says of a node.
func change(t *testing.T, s *Summary, node string) Change {
	t.Helper()
	for _, c := range s.Changes {
		if c.Node == node {
			return c
		}
	}
	t.Fatalf("the summary has no %q: %v", node, s.Changes)
	return Change{}
}

func TestDynamicOperators(t *testing.T) {
	configs := map[string]DynamicConfig{
		"default": {}, "uint8": {Weights: tensor.Uint8}, "per tensor": {PerTensor: true}, "asymmetric": {Asymmetric: true},
		"asymmetric uint8 per tensor": {Weights: tensor.Uint8, PerTensor: true, Asymmetric: true}, "reduced": {ReduceRange: true, Threads: 2},
	}
	for _, c := range []struct {
		name  string
		opset int
		node  string
		bound float64
		has   map[string]int
		build func(b *ops.Builder) []*onnx.Value
	}{
		{"MatMul", 13, "MatMul0", 0.03, map[string]int{"MatMulInteger": 1, "MatMul": 0}, func(b *ops.Builder) []*onnx.Value {
			return []*onnx.Value{b.Op("MatMul", nil, floatInput(b, "x", 2, 5, 24), normal(b, 1, 24, 20))}
		}},
		{"MatMul of a transpose", 13, "MatMul1", 0.03, map[string]int{"MatMulInteger": 1, "Transpose": 0}, func(b *ops.Builder) []*onnx.Value {
			w := b.Op("Transpose", onnx.NewAttrs("perm", []int{1, 0}), normal(b, 1, 20, 24))
			return []*onnx.Value{b.Op("MatMul", nil, floatInput(b, "x", 5, 24), w)}
		}},
		{"MatMul of a transpose of negative axes", 13, "MatMul1", 0.03, map[string]int{"MatMulInteger": 1, "Transpose": 0}, func(b *ops.Builder) []*onnx.Value {
			w := b.Op("Transpose", onnx.NewAttrs("perm", []int{-1, 0}), normal(b, 1, 20, 24))
			return []*onnx.Value{b.Op("MatMul", nil, floatInput(b, "x", 5, 24), w)}
		}},
		{"MatMul of three dimensions", 13, "MatMul0", 0.03, map[string]int{"MatMulInteger": 1}, func(b *ops.Builder) []*onnx.Value {
			return []*onnx.Value{b.Op("MatMul", nil, floatInput(b, "x", 3, 5, 24), normal(b, 1, 3, 24, 20))}
		}},
		{"Gemm", 13, "Gemm0", 0.03, map[string]int{"MatMulInteger": 1, "Add": 1}, func(b *ops.Builder) []*onnx.Value {
			as := onnx.NewAttrs("alpha", 0.5, "beta", 2.0, "transB", 1)
			return []*onnx.Value{b.Op("Gemm", as, floatInput(b, "x", 5, 24), normal(b, 1, 20, 24), normal(b, 2, 20))}
		}},
		{"Gemm, transposed A, computed C", 13, "Gemm0", 0.03, map[string]int{"MatMulInteger": 1, "Add": 1}, func(b *ops.Builder) []*onnx.Value {
			as := onnx.NewAttrs("alpha", 3.0, "beta", 0.25, "transA", 1)
			return []*onnx.Value{b.Op("Gemm", as, floatInput(b, "x", 24, 5), normal(b, 1, 24, 20), floatInput(b, "c", 5, 1))}
		}},
		{"Conv", 13, "Conv0", 0.04, map[string]int{"ConvInteger": 1}, func(b *ops.Builder) []*onnx.Value {
			as := onnx.NewAttrs("pads", []int{1, 1, 1, 1}, "strides", []int{2, 2}, "group", 2)
			return []*onnx.Value{b.Op("Conv", as, floatInput(b, "x", 2, 8, 9, 9), normal(b, 1, 6, 4, 3, 3), normal(b, 2, 6))}
		}},
		{"Conv, computed bias", 13, "Conv0", 0.04, map[string]int{"ConvInteger": 1}, func(b *ops.Builder) []*onnx.Value {
			return []*onnx.Value{b.Op("Conv", nil, floatInput(b, "x", 1, 16, 30), normal(b, 1, 6, 16, 3), floatInput(b, "b", 6))}
		}},
		{"LSTM", 14, "LSTM0", 0.03, map[string]int{"DynamicQuantizeLSTM": 1, "LSTM": 0}, func(b *ops.Builder) []*onnx.Value {
			as := onnx.NewAttrs("hidden_size", 8, "direction", "bidirectional")
			ys := b.Ops("", "LSTM", as, 3, floatInput(b, "x", 6, 2, 12), normal(b, 1, 2, 32, 12), normal(b, 2, 2, 32, 8), normal(b, 3, 2, 64))
			return []*onnx.Value{ys[0], ys[2]}
		}},
		{"GRU", 14, "GRU0", 0.03, map[string]int{"GRU": 1, "DequantizeLinear": 2}, func(b *ops.Builder) []*onnx.Value {
			as := onnx.NewAttrs("hidden_size", 8, "direction", "bidirectional", "linear_before_reset", 1)
			return []*onnx.Value{b.Op("GRU", as, floatInput(b, "x", 6, 2, 12), normal(b, 1, 2, 24, 12), normal(b, 2, 2, 24, 8), normal(b, 3, 2, 48))}
		}},
		{"RNN", 14, "RNN0", 0.04, map[string]int{"RNN": 1, "DequantizeLinear": 2, "Reshape": 0}, func(b *ops.Builder) []*onnx.Value {
			return []*onnx.Value{b.Op("RNN", onnx.NewAttrs("hidden_size", 16), floatInput(b, "x", 6, 2, 16), normal(b, 1, 1, 16, 16), normal(b, 2, 1, 16, 16))}
		}},
		{"Gather", 13, "Gather0", 0.02, map[string]int{"Gather": -1}, func(b *ops.Builder) []*onnx.Value {
			ids := b.G.AddInput("ids", onnx.TensorType(tensor.Int64, onnx.Sizes(2, 3)...))
			return []*onnx.Value{b.Op("Gather", nil, normal(b, 1, 30, 16), ids)}
		}},
		{"Gather of columns", 13, "Gather0", 0.02, map[string]int{"Gather": 1, "DequantizeLinear": 1}, func(b *ops.Builder) []*onnx.Value {
			ids := b.G.AddInput("ids", onnx.TensorType(tensor.Int64, onnx.Sizes(4)...))
			return []*onnx.Value{b.Op("Gather", onnx.NewAttrs("axis", -1), normal(b, 1, 30, 16), ids)}
		}},
	} {
		for name, config := range configs {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				m := builtModel(t, c.opset, c.build)
				want := results(t, m)
				config.MinElements = 64
				s, err := Dynamic(m, config)
				require.NoError(t, err)
				require.NotEmpty(t, change(t, s, c.node).Format, s.Changes)
				require.Less(t, s.After, s.Before)
				got := countOps(m)
				for op, n := range c.has {
					if n >= 0 {
						require.Equal(t, n, got[op], op)
					}
				}
				bound := c.bound
				if config.ReduceRange || config.PerTensor {
					bound *= 2
				}
				require.Less(t, deviation(t, results(t, m), want), bound)
			})
		}
	}
}

func TestDynamicWeights(t *testing.T) {
	build := func(b *ops.Builder) []*onnx.Value {
		w := b.Const(tensor.Of([]float32{1, -2, 0, 0.5, 4, 0, -0.25, 1, 0}, 3, 3))
		return []*onnx.Value{b.Op("MatMul", nil, floatInput(b, "x", 2, 3), w)}
	}
	read := func(c DynamicConfig) (codes []byte, scale []float32, zero []byte) {
		m := builtModel(t, 13, build)
		c.MinElements = 1
		_, err := Dynamic(m, c)
		require.NoError(t, err)
		for _, n := range m.Graph.Nodes {
			switch {
			case n.Op == "MatMulInteger":
				codes, zero = n.In[1].Const.Bytes(), n.In[3].Const.Bytes()
			case n.Op == "Mul" && n.In[1].Const != nil:
				scale = tensor.Data[float32](n.In[1].Const)
			}
		}
		return codes, scale, zero
	}
	signed := func(v ...int) []byte {
		b := make([]byte, len(v))
		for i, x := range v {
			b[i] = byte(int8(x))
		}
		return b
	}
	codes, scale, zero := read(DynamicConfig{})
	require.Equal(t, signed(108, -54, 0, 54, 108, 0, -27, 27, 0), codes) // of 127, a half would be 63.5
	require.InEpsilonSlice(t, []float32{1.0 / 108, 4.0 / 108, 1}, scale, fitStep)
	require.Equal(t, signed(0), zero)

	codes, scale, zero = read(DynamicConfig{PerTensor: true, Weights: tensor.Uint8})
	require.Equal(t, []byte{160, 64, 128, 144, 255, 128, 120, 160, 128}, codes)
	require.Equal(t, []float32{4.0 / 127}, scale)
	require.Equal(t, []byte{128}, zero)

	codes, scale, zero = read(DynamicConfig{PerTensor: true, Asymmetric: true, Weights: tensor.Uint8})
	require.Equal(t, []float32{6.0 / 255}, scale)
	require.Equal(t, []byte{85}, zero)
	require.Equal(t, []byte{85 + 42, 0, 85, 85 + 21, 255, 85, 85 - 11, 85 + 42, 85}, codes) // 42.5, 21.25, 10.6

	codes, _, _ = read(DynamicConfig{ReduceRange: true, PerTensor: true})
	require.Equal(t, signed(16, -31, 0, 8, 63, 0, -4, 16, 0), codes) // 4/63 rounded up: 31.4999…
}

func TestDynamicShares(t *testing.T) {
	m := builtModel(t, 13, func(b *ops.Builder) []*onnx.Value {
		x := floatInput(b, "x", 4, 16)
		w, table := normal(b, 1, 16, 16), normal(b, 2, 40, 16)
		ids := b.G.AddInput("ids", onnx.TensorType(tensor.Int64, onnx.Sizes(4)...))
		e := b.Op("Gather", nil, table, ids)
		head := b.Op("MatMul", nil, e, b.Op("Transpose", onnx.NewAttrs("perm", []int{1, 0}), table))
		return []*onnx.Value{b.Op("MatMul", nil, x, w), b.Op("MatMul", nil, x, w), head}
	})
	want := results(t, m)
	_, err := Dynamic(m, DynamicConfig{})
	require.NoError(t, err)
	c := countOps(m)
	require.Equal(t, 2, c["DynamicQuantizeLinear"], "x once, what is gathered once")
	require.Equal(t, 1, c["Transpose"], "the table's codes are stored once")
	stored := 0
	for _, v := range m.Graph.Consts {
		if v.Const.DType() == tensor.Int8 && v.Const.Len() > 1 {
			stored++
		}
	}
	require.Equal(t, 2, stored)
	require.Less(t, deviation(t, results(t, m), want), 0.03)
}

// Where the Transpose of a tied table was folded, its codes are stored once all the same.
func TestDynamicTied(t *testing.T) {
	for _, differs := range []bool{false, true} {
		m := builtModel(t, 13, func(b *ops.Builder) []*onnx.Value {
			table := normal(b, 2, 1100, 64)
			turned := tensor.New(tensor.Float32, 64, 1100)
			for i, v := range tensor.Data[float32](table.Const) {
				tensor.Data[float32](turned)[i%64*1100+i/64] = v
			}
			if differs {
				tensor.Data[float32](turned)[63*1100+1099]++
			}
			ids := b.G.AddInput("ids", onnx.TensorType(tensor.Int64, onnx.Sizes(4)...))
			e := b.Op("Gather", nil, table, ids)
			return []*onnx.Value{b.Op("MatMul", nil, e, b.Const(turned))}
		})
		want := results(t, m)
		_, err := Dynamic(m, DynamicConfig{})
		require.NoError(t, err)
		stored := 0
		for _, v := range m.Graph.Consts {
			if v.Const.Len() == 1100*64 {
				require.Equal(t, tensor.Int8, v.Const.DType())
				stored++
			}
		}
		require.Equal(t, map[bool]int{false: 1, true: 2}[differs], stored)
		require.Empty(t, onnx.Check(m))
		require.Less(t, deviation(t, results(t, m), want), 0.03)
	}
}

func TestDynamicNested(t *testing.T) {
	m := builtModel(t, 13, func(b *ops.Builder) []*onnx.Value {
		x, w := floatInput(b, "x", 4, 16), normal(b, 1, 16, 20)
		first := b.Op("MatMul", nil, x, w)
		branch := func(scale float64) *onnx.Graph {
			body := b.G.NewBody("branch")
			k := ops.NewBuilder(body)
			y := k.Op("Mul", nil, k.Op("MatMul", nil, x, w), k.Float(tensor.Float32, scale))
			require.NoError(t, k.Err())
			b.G.AddConst(w)
			k.Insert(nil)
			b.G.Consts = b.G.Consts[:len(b.G.Consts)-1]
			body.Outputs = []*onnx.Value{y}
			return body
		}
		cond := b.G.AddInput("cond", onnx.TensorType(tensor.Bool))
		b.G.AddConst(w)
		return []*onnx.Value{first, b.Op("If", onnx.NewAttrs("then_branch", branch(1), "else_branch", branch(2)), cond)}
	})
	want := results(t, m)
	s, err := Dynamic(m, DynamicConfig{})
	require.NoError(t, err)
	require.Equal(t, 3, s.Changed())
	require.Equal(t, 1, countOps(m)["DynamicQuantizeLinear"], "branches use what is quantised around them")
	require.Less(t, deviation(t, results(t, m), want), 0.03)
}

func TestDynamicReasons(t *testing.T) {
	nan := float32(math.NaN())
	m := builtModel(t, 14, func(b *ops.Builder) []*onnx.Value {
		x := floatInput(b, "x", 16, 16)
		bad := normal(b, 1, 16, 16)
		tensor.Data[float32](bad.Const)[3] = nan
		ok := normal(b, 2, 16, 16)
		return []*onnx.Value{
			b.Op("MatMul", nil, x, x), b.Op("MatMul", nil, x, bad), b.Op("MatMul", nil, x, normal(b, 3, 16, 2)),
			b.Op("MatMul", nil, x, ok), b.Op("MatMul", nil, ok, ok), b.Op("MatMul", nil, x, normal(b, 4, 16, 17)),
			b.Op("LSTM", onnx.NewAttrs("hidden_size", 8, "layout", 1), floatInput(b, "s", 2, 6, 12), normal(b, 5, 1, 32, 12), normal(b, 6, 1, 32, 8)),
		}
	})
	s, err := Dynamic(m, DynamicConfig{Selection: Selection{Exclude: []string{"MatMul3"}}})
	require.NoError(t, err)
	for i, why := range []string{"not constant", "NaN", "32 elements, fewer than 256", "excluded", "both operands", ""} {
		c := change(t, s, fmt.Sprintf("MatMul%d", i))
		require.Contains(t, c.Reason, why)
		require.Equal(t, why == "", c.Format != "", c)
	}
	require.Contains(t, change(t, s, "LSTM6").Reason, "layout")
	require.Equal(t, 1, s.Changed())

	static := builtModel(t, 14, func(b *ops.Builder) []*onnx.Value {
		return []*onnx.Value{b.Op("MatMul", nil, floatInput(b, "x", 16, 16), normal(b, 1, 16, 32))}
	})
	q, _ := quantised(t, static, StaticConfig{})
	_, err = Dynamic(q, DynamicConfig{})
	require.ErrorIs(t, err, ErrQuantized)
	require.ErrorContains(t, err, quantizedAlready)

	_, err = Dynamic(m, DynamicConfig{Weights: tensor.Int16})
	require.ErrorContains(t, err, "int8 or uint8")
	_, err = Dynamic(m, DynamicConfig{Selection: Selection{Exclude: []string{"MatMul33"}}})
	require.ErrorContains(t, err, "did you mean")
	_, err = Dynamic(&onnx.Model{}, DynamicConfig{})
	require.ErrorIs(t, err, onnx.ErrInvalid)
}

func TestDynamicIsDeterministic(t *testing.T) {
	encoded := func(threads int) []byte {
		m := builtModel(t, 13, func(b *ops.Builder) []*onnx.Value {
			h := b.Op("MatMul", nil, floatInput(b, "x", 4, 300), normal(b, 1, 300, 400))
			return []*onnx.Value{b.Op("Gemm", onnx.NewAttrs("transB", 1), h, normal(b, 2, 500, 400))}
		})
		_, err := Dynamic(m, DynamicConfig{Threads: threads, Asymmetric: true})
		require.NoError(t, err)
		data, err := onnx.Encode(m)
		require.NoError(t, err)
		return data
	}
	one := encoded(1)
	require.Equal(t, one, encoded(2))
	require.Equal(t, one, encoded(7))
}

func TestDynamicOldModels(t *testing.T) {
	m := builtModel(t, 9, func(b *ops.Builder) []*onnx.Value {
		return []*onnx.Value{b.Op("MatMul", nil, floatInput(b, "x", 4, 16), normal(b, 1, 16, 16))}
	})
	m.IRVersion = 3 // initializers are inputs
	w := m.Graph.Consts[0]
	m.Graph.Inputs = append(m.Graph.Inputs, w)
	s, err := Dynamic(m, DynamicConfig{})
	require.NoError(t, err)
	require.Equal(t, 1, s.Changed())
	require.Len(t, m.Graph.Inputs, 1)
	require.GreaterOrEqual(t, m.Opsets[""], 13)
	results(t, m)
	require.Empty(t, s.Inputs)
}

func TestDynamicFoldsWeights(t *testing.T) {
	m := builtModel(t, 14, func(b *ops.Builder) []*onnx.Value {
		w := b.Op("Unsqueeze", nil, normal(b, 1, 32, 12), b.Ints(0))
		r := b.Op("Unsqueeze", nil, b.Op("Concat", onnx.NewAttrs("axis", 0), normal(b, 2, 16, 8), normal(b, 3, 16, 8)), b.Ints(0))
		x := floatInput(b, "x", 6, 2, 12)
		given := b.Op("Unsqueeze", nil, floatInput(b, "g", 12, 4), b.Ints(0))
		return []*onnx.Value{b.Ops("", "LSTM", onnx.NewAttrs("hidden_size", 8), 1, x, w, r)[0], b.Op("MatMul", nil, x, given)}
	})
	want := results(t, m)
	s, err := Dynamic(m, DynamicConfig{})
	require.NoError(t, err)
	require.Equal(t, 1, s.Changed(), s.Changes)
	require.Zero(t, countOps(m)["Concat"])
	require.Less(t, s.After, s.Before/2)
	require.Less(t, deviation(t, results(t, m), want), 0.03)
}

func TestDynamicAttention(t *testing.T) {
	m := &onnx.Model{IRVersion: 8, Opsets: map[string]int{"": 17, msDomain: 1}}
	g := onnx.NewGraph("g", m.Opsets)
	m.Graph = g
	b := ops.NewBuilder(g)
	in := []*onnx.Value{floatInput(b, "x", 2, 4, 16), normal(b, 1, 16, 48), normal(b, 2, 48)}
	n := g.NewNodeIn(msDomain, "Attention", onnx.NewAttrs("num_heads", 2), in, 1)
	n.Name = "attention"
	n.Out[0].Type = onnx.TensorType(tensor.Float32, onnx.Sizes(2, 4, 16)...)
	g.Insert(nil, n)
	g.Outputs = n.Out
	s, err := Dynamic(m, DynamicConfig{})
	require.NoError(t, err)
	require.Equal(t, "int8 weights, dequantized", change(t, s, "attention").Format)
	require.Empty(t, onnx.Check(m))
	dq := m.Graph.Nodes[0]
	require.Equal(t, "DequantizeLinear", dq.Op)
	require.Equal(t, []int{16, 48}, dq.In[0].Const.Shape())
	require.Equal(t, []int{48}, dq.In[1].Const.Shape())
	require.Less(t, s.After, s.Before/2)
}

// Scales of narrow rows are float16, and the codes are rounded with what these
// are; where float16 does not hold them, or a product reads them, they are float32.
func TestDynamicNarrowRows(t *testing.T) {
	for name, c := range map[string]struct {
		columns int
		factor  float32
		tied    bool
		want    tensor.DType
	}{
		"narrow": {32, 1, false, tensor.Float16}, "wide": {256, 1, false, tensor.Float32}, "small": {32, 1e-4, false, tensor.Float32},
		"large": {32, 1e7, false, tensor.Float32}, "tied": {32, 1, true, tensor.Float32},
	} {
		for _, config := range []DynamicConfig{{}, {Weights: tensor.Uint8, Asymmetric: true}} {
			m := builtModel(t, 13, func(b *ops.Builder) []*onnx.Value {
				table := normal(b, 1, 40, c.columns)
				x := tensor.Data[float32](table.Const)
				for i := range x {
					x[i] *= c.factor
				}
				clear(x[:c.columns]) // a row of zeros
				ids := b.G.AddInput("ids", onnx.TensorType(tensor.Int64, onnx.Sizes(4)...))
				out := []*onnx.Value{b.Op("Gather", nil, table, ids), b.Op("Gather", nil, table, b.Ints(0, 39))}
				if c.tied {
					out = append(out, b.Op("MatMul", nil, floatInput(b, "x", 2, 40), table))
				}
				return out
			})
			want := results(t, m)
			s, err := Dynamic(m, config)
			require.NoError(t, err)
			require.Positive(t, s.Changed())
			tables := 0
			for _, v := range m.Graph.Consts {
				if v.Const.Rank() == 2 && v.Const.Dim(1) == 1 && strings.Contains(v.Name, "_scale") {
					require.Equal(t, c.want, v.Const.DType(), name)
					tables++
				}
			}
			require.Equal(t, 1, tables, name)
			require.Empty(t, onnx.Check(m))
			require.Less(t, deviation(t, results(t, m), want), 0.02, name)
		}
	}
}

// Large tables that are added are stored in float16, once; masks, vectors and what
// float16 does not hold stay. A session keeps nothing of that.
func TestDynamicTables(t *testing.T) {
	m := builtModel(t, 13, func(b *ops.Builder) []*onnx.Value {
		x, wide := floatInput(b, "x", 2, 300, 64), floatInput(b, "wide", 1, 20000)
		positions, mask, tiny := normal(b, 1, 1, 300, 64), normal(b, 2, 300, 64), normal(b, 3, 300, 64)
		tensor.Data[float32](mask.Const)[5] = -1e30
		for i := range tensor.Data[float32](tiny.Const) {
			tensor.Data[float32](tiny.Const)[i] *= 1e-6
		}
		return []*onnx.Value{b.Op("Add", nil, positions, x), b.Op("Add", nil, x, positions), b.Op("Add", nil, x, mask), b.Op("Add", nil, x, tiny),
			b.Op("Add", nil, x, normal(b, 5, 64)), b.Op("Add", nil, wide, normal(b, 4, 1, 20000))}
	})
	want := results(t, m)
	s, err := Dynamic(m, DynamicConfig{})
	require.NoError(t, err)
	require.Len(t, s.Changes, 2)
	require.Equal(t, 2, s.Changed())
	require.Equal(t, "float16 table", s.Changes[0].Format)
	require.EqualValues(t, 300*64*2, s.Before-s.After)
	for name, y := range results(t, m) {
		require.Less(t, deviation(t, map[string]*tensor.Tensor{name: y}, map[string]*tensor.Tensor{name: want[name]}), 1e-3)
	}
	_, err = optimize.Run(m, optimize.Best, optimize.Options{})
	require.NoError(t, err)
	require.Zero(t, countOps(m)["Cast"])
}
