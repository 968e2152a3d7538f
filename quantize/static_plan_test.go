package quantize

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/tensor"
)

// Every node that stays says why.
func TestStaticReasons(t *testing.T) {
	x4 := func(b *ops.Builder) *onnx.Value { return input(b, "x", 1, 4) }
	bad := func(b *ops.Builder, v float32) *onnx.Value {
		w := param(b, "w", 4, 4)
		tensor.Data[float32](w.Const)[5] = v
		return w
	}
	for why, c := range map[string]struct {
		build func(b *ops.Builder) []*onnx.Value
		c     StaticConfig
	}{
		`its weights "w" have NaN or infinite elements`: {build: func(b *ops.Builder) []*onnx.Value {
			return one(b.Op("MatMul", nil, x4(b), bad(b, float32(math.NaN()))))
		}},
		`the constant "w" has NaN or infinite elements`: {build: func(b *ops.Builder) []*onnx.Value {
			return one(b.Op("Add", nil, x4(b), bad(b, float32(math.Inf(-1)))))
		}},
		`the range of "w" is too wide for integers: -3.4028235e+38 to 0.99999714`: {build: func(b *ops.Builder) []*onnx.Value {
			w := bad(b, -math.MaxFloat32)
			tensor.Data[float32](w.Const)[0] = 0.99999714
			return one(b.Op("Add", nil, x4(b), w))
		}},
		`its weights "w" are not constant`: {build: func(b *ops.Builder) []*onnx.Value {
			return one(b.Op("Conv", nil, input(b, "x", 1, 3, 4, 4), input(b, "w", 2, 3, 2, 2)))
		}},
		`"x" is float64, not float32`: {build: func(b *ops.Builder) []*onnx.Value {
			x := b.G.AddInput("x", onnx.TensorType(tensor.Float64, onnx.Sizes(2)...))
			return one(b.Op("Add", nil, x, x))
		}},
		"there is no rule to quantise this operator": {build: func(b *ops.Builder) []*onnx.Value { return one(b.Op("Erf", nil, x4(b))) }},
		"excluded": {c: StaticConfig{Selection: Selection{Exclude: []string{"y0"}}},
			build: func(b *ops.Builder) []*onnx.Value { return one(b.Op("Tanh", nil, x4(b))) }},
		"it only moves elements, and what it reads is not quantised": {build: func(b *ops.Builder) []*onnx.Value {
			return one(b.Op("Transpose", nil, x4(b)))
		}},
		"it reads constants alone": {build: func(b *ops.Builder) []*onnx.Value {
			b.G.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Size(1)))
			return one(b.Op("Add", nil, param(b, "k", 2), param(b, "kk", 2)))
		}},
		"alpha is not positive": {build: func(b *ops.Builder) []*onnx.Value {
			return one(b.Op("Gemm", onnx.NewAttrs("alpha", -1.0), x4(b), param(b, "w", 4, 4)))
		}},
		"what it pads with is not constant": {build: func(b *ops.Builder) []*onnx.Value {
			h := b.Op("LeakyRelu", nil, x4(b))
			return one(b.Op("Pad", nil, h, b.Ints(0, 1, 0, 1), b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), input(b, "z", 2))))
		}},
		"its bounds are not constant": {c: StaticConfig{Format: QOperator}, build: func(b *ops.Builder) []*onnx.Value {
			h := b.Op("LeakyRelu", nil, x4(b))
			return one(b.Op("Clip", nil, h, b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), input(b, "z", 2))))
		}},
		"it pads with -Inf": {build: func(b *ops.Builder) []*onnx.Value {
			h := b.Op("LeakyRelu", nil, x4(b))
			return one(b.Op("Pad", nil, h, b.Ints(0, 1, 0, 1), b.Float(tensor.Float32, math.Inf(-1))))
		}},
		"there is no integer operator for it": {c: StaticConfig{Format: QOperator}, build: func(b *ops.Builder) []*onnx.Value {
			return one(b.Op("Elu", nil, x4(b)))
		}},
		"there is no integer operator for it that returns indices": {c: StaticConfig{Format: QOperator}, build: func(b *ops.Builder) []*onnx.Value {
			h := b.Op("LeakyRelu", nil, input(b, "x", 1, 1, 4, 4))
			return b.Ops("", "MaxPool", onnx.NewAttrs("kernel_shape", []int{2, 2}), 2, h)
		}},
		"there is no integer operator for dilated windows": {c: StaticConfig{Format: QOperator, Selection: Selection{}}, build: func(b *ops.Builder) []*onnx.Value {
			as := onnx.NewAttrs("kernel_shape", []int{2, 2}, "dilations", []int{2, 2})
			return one(b.Op("AveragePool", as, input(b, "x", 1, 1, 4, 4)))
		}},
	} {
		m := newModel(t, 19, c.build)
		rs := Ranges{}
		for _, name := range []string{"x", "z", "y0", "y1", "w"} {
			rs[name] = Range{-1, 1}
		}
		for _, n := range m.Graph.Nodes {
			rs[n.Out[0].Name] = Range{-1, 1}
		}
		_, s := static(t, m, rs, c.c)
		require.Equal(t, why, reasonOf(t, s, "y0"))
	}
}

// What stays in floating point reads the floats that are there; what is computed
// on integers is there as such alone.
func TestStaticReaders(t *testing.T) {
	m := newModel(t, 13, func(b *ops.Builder) []*onnx.Value {
		x := input(b, "x", 2, 4)
		e := named("e", b.Op("Exp", nil, x))
		h := named("h", b.Op("MatMul", nil, e, param(b, "w", 4, 4)))
		return []*onnx.Value{b.Op("Erf", nil, e), b.Op("Erf", nil, h), named("h", h), b.Op("Erf", nil, param(b, "w", 4, 4)), b.Op("MatMul", nil, h, param(b, "v", 4, 4))}
	})
	m.Graph.Outputs[2].Name = "h"
	q, _ := quantised(t, m, StaticConfig{})
	of := func(out string) *onnx.Node {
		for _, n := range q.Graph.Nodes {
			if n.Out[0].Name == out {
				return n
			}
		}
		t.Fatalf("no %q", out)
		return nil
	}
	require.Equal(t, "e", of("y0").In[0].Name)
	require.Equal(t, "h", of("y1").In[0].Name)
	require.Equal(t, "DequantizeLinear", of("h").Op)
	require.Equal(t, "h_QuantizeLinear_Input", of("h_q").In[0].Name)
	require.Equal(t, "e_dq", of("h_QuantizeLinear_Input").In[0].Name)
}

func TestStaticSharing(t *testing.T) {
	m := newModel(t, 17, func(b *ops.Builder) []*onnx.Value {
		x := input(b, "x", 2, 4)
		h := named("h", b.Op("LeakyRelu", nil, x))
		s := named("s", b.Op("Relu", nil, h))
		c := named("c", b.Op("Concat", onnx.NewAttrs("axis", 1), h, s))
		p := b.Ops("", "Split", onnx.NewAttrs("axis", 1), 2, c)
		return []*onnx.Value{b.Op("Mul", nil, p[0], p[1]), p[1]}
	})
	q, s := quantised(t, m, StaticConfig{})
	require.Equal(t, len(m.Graph.Nodes), s.Changed())
	groups := map[*onnx.Value]int{}
	for _, n := range q.Graph.Nodes {
		if n.Op == "QuantizeLinear" {
			groups[n.In[1]]++
		}
	}
	var sizes []int
	for _, k := range groups {
		sizes = append(sizes, k)
	}
	require.ElementsMatch(t, []int{1, 1, 5}, sizes) // x, the product, and the five in between
	requireNear(t, m, q, optimize.Best, 0.1, 1, 2)
}

// What is narrow keeps its scale beside what is wide, in whatever order they are
// joined, and what is 0 takes any.
func TestStaticJoinsAlike(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2, 3}, {1, 0, 3, 2}, {3, 2, 1, 0}} {
		m := newModel(t, 17, func(b *ops.Builder) []*onnx.Value {
			h := named("h", b.Op("LeakyRelu", nil, input(b, "x", 2, 4)))
			all := []*onnx.Value{h, named("narrow", b.Op("Softmax", nil, h)), named("alike", b.Op("Relu", nil, h)), named("zero", b.Op("Clip", nil, h, b.Float(tensor.Float32, 0), b.Float(tensor.Float32, 0)))}
			var in []*onnx.Value
			for _, i := range order {
				in = append(in, all[i])
			}
			return []*onnx.Value{b.Op("Concat", onnx.NewAttrs("axis", 1), in...), b.Op("Mul", nil, all[1], all[1])}
		})
		for _, c := range []StaticConfig{{}, {Format: QOperator, Activations: tensor.Int8}} {
			q, _ := quantised(t, m, c)
			scales := map[string]float32{}
			for _, v := range q.Graph.Consts {
				if name, ok := strings.CutSuffix(v.Name, "_scale"); ok {
					scales[name] = tensor.Data[float32](v.Const)[0]
				}
			}
			require.InDelta(t, 1.0/255, scales["narrow"], 1e-6, scales)
			for _, name := range []string{"alike", "zero"} {
				require.NotContains(t, scales, name, "it has the scale of the result")
			}
			requireNear(t, m, q, optimize.Best, 0.05, 1, 2)
		}
	}
}

// Weights that are a table and a matrix are quantised for each use.
func TestStaticTied(t *testing.T) {
	m := newModel(t, 17, func(b *ops.Builder) []*onnx.Value {
		w := param(b, "w", 6, 6)
		ids := b.G.AddInput("ids", onnx.TensorType(tensor.Int32, onnx.Sizes(3)...))
		e := named("e", b.Op("Gather", nil, w, ids))
		h := named("h", b.Op("MatMul", nil, e, w))
		return one(b.Op("MatMul", nil, h, w))
	})
	for _, c := range []StaticConfig{{}, {Format: QOperator}} {
		q, s := quantised(t, m, c)
		require.Equal(t, 3, s.Changed())
		require.EqualValues(t, 6*6*4, s.Before)
		var tables int
		for _, v := range q.Graph.Consts {
			if v.Const.Rank() == 2 {
				tables++
				require.Equal(t, 1, v.Const.DType().Size())
			}
		}
		require.Equal(t, 2, tables)
		requireNear(t, m, q, optimize.Best, 0.2, 1, 2)
	}
}

func TestStaticNested(t *testing.T) {
	m := newModel(t, 17, func(b *ops.Builder) []*onnx.Value {
		x := input(b, "x", 2, 4)
		c := b.G.AddInput("c", onnx.TensorType(tensor.Bool))
		h := named("h", b.Op("LeakyRelu", nil, x))
		body := func(name string, op string) *onnx.Graph {
			g := b.G.NewBody(name)
			n := ops.NewBuilder(g)
			v := named(name+"_out", n.Op(op, nil, h))
			n.Insert(nil)
			g.Outputs = one(v)
			return g
		}
		return one(b.Op("If", onnx.NewAttrs("then_branch", body("then", "Tanh"), "else_branch", body("else", "Exp")), c))
	})
	for _, c := range []StaticConfig{{}, {Format: QOperator}} {
		q, s := quantised(t, m, c)
		require.Equal(t, 1, s.Changed())
		require.Equal(t, "what it reads is computed in floating point", reasonOf(t, s, "then_out"))
		requireNear(t, m, q, optimize.None, 0.3, 1, 2)
	}
}

// Constant nodes are constants, and so are initializers that are inputs, too.
func TestStaticConstants(t *testing.T) {
	m := newModel(t, 13, func(b *ops.Builder) []*onnx.Value {
		w := named("w", b.Op("Constant", onnx.NewAttrs("value", param(b, "c", 4, 3).Const)))
		return one(b.Op("MatMul", nil, input(b, "x", 2, 4), w))
	})
	q, s := quantised(t, m, StaticConfig{})
	require.Equal(t, "uint8 x int8 per channel", s.Changes[0].Format)
	requireNear(t, m, q, optimize.Best, 0.2, 1)

	m = newModel(t, 13, func(b *ops.Builder) []*onnx.Value {
		return one(b.Op("MatMul", nil, input(b, "x", 2, 4), param(b, "w", 4, 3)))
	})
	w := m.Graph.Consts[0]
	m.Graph.Inputs = append(m.Graph.Inputs, w)
	for _, ir := range []int64{3, 8} {
		m.IRVersion = ir
		k := m.Clone()
		s, err := Static(k, Ranges{"x": {-1, 1}, "y0": {-4, 4}}, StaticConfig{})
		require.NoError(t, err)
		require.Equal(t, "uint8 x int8 per channel", s.Changes[0].Format)
		require.Len(t, k.Graph.Inputs, 1)
		require.Len(t, m.Graph.Inputs, 2)
		require.Empty(t, onnx.Check(k))
	}
}

func TestStaticSelection(t *testing.T) {
	m := residual(t, 13)
	c := StaticConfig{Selection: Selection{Exclude: []string{"r1"}}}
	q, s := quantised(t, m, c)
	require.Equal(t, "excluded", reasonOf(t, s, "r1"))
	require.Equal(t, "", reasonOf(t, s, "c1"))
	requireNear(t, m, q, optimize.Best, 0.05, 1)
	require.Contains(t, Activations(m, c), "c1") // the sums are rounded before what stays

	c = StaticConfig{Selection: Selection{Ops: []string{"Gemm"}}}
	require.Equal(t, []string{"f", "g"}, Activations(m, c))
	q, s = quantised(t, m, c)
	require.Equal(t, 1, s.Changed())
	require.Equal(t, "not among the chosen operators", reasonOf(t, s, "c1"))
	requireNear(t, m, q, optimize.Best, 0.05, 1)
}
