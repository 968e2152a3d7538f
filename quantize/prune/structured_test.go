package prune

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/quantize"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// net builds a model whose numbers are small multiples of powers of two, so that
// sums are exact in any order.
type net struct {
	*ops.Builder
	m *onnx.Model
	g *onnx.Graph
	r *rand.Rand
	n int
}

func newNet(opset int) *net {
	m := &onnx.Model{IRVersion: 8, Opsets: map[string]int{"": opset}}
	m.Graph = onnx.NewGraph("main", m.Opsets)
	return &net{ops.NewBuilder(m.Graph), m, m.Graph, rand.New(rand.NewPCG(1, 2)), 0}
}

// weight makes an initializer of integers from 1 to 3, of either sign. Where
// dead says so of an index along an axis, it is zero.
func (b *net) weight(axis int, dead func(int) bool, shape ...int) *onnx.Value {
	t := tensor.New(tensor.Float32, shape...)
	d := tensor.Data[float32](t)
	inner := 1
	for _, n := range shape[axis+1:] {
		inner *= n
	}
	for i := range d {
		if dead == nil || !dead(i/inner%shape[axis]) {
			d[i] = float32(1+b.r.IntN(3)) * float32(1-2*b.r.IntN(2))
		}
	}
	b.n++
	return b.g.NewConst("w"+string(rune('a'+b.n%26))+string(rune('a'+b.n/26)), t)
}

func odd(i int) bool { return i%2 == 1 }
func tail(n int) func(int) bool {
	return func(i int) bool { return i >= n }
}

// conv is a convolution whose outputs that dead names are zero.
func (b *net) conv(x *onnx.Value, in, out, kernel, group int, dead func(int) bool) *onnx.Value {
	p := int64(kernel / 2)
	return b.Op("Conv", onnx.NewAttrs("group", int64(group), "pads", []int64{p, p, p, p}), x, b.weight(0, dead, out, in/group, kernel, kernel), b.weight(0, dead, out))
}

func (b *net) finish(t *testing.T, outs ...*onnx.Value) *onnx.Model {
	t.Helper()
	require.NoError(t, b.Err())
	b.Insert(nil)
	for _, o := range outs {
		o.Type = onnx.UnrankedType(tensor.Float32)
	}
	b.g.Outputs = outs
	require.NoError(t, optimize.Infer(b.m, optimize.InferOptions{}))
	require.Empty(t, onnx.Check(b.m))
	return b.m
}

func image(c int) onnx.Type {
	return onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(c), onnx.Size(4), onnx.Size(4))
}

// outputs runs a model on small integers.
func outputs(t *testing.T, m *onnx.Model) map[string]tensor.Value {
	t.Helper()
	s, err := runtime.New(m, runtime.Options{Level: optimize.None})
	require.NoError(t, err)
	defer s.Close()
	r := rand.New(rand.NewPCG(7, 8))
	in := map[string]tensor.Value{}
	for _, v := range s.Inputs() {
		shape := make([]int, len(v.Type.Dims))
		for i, d := range v.Type.Dims {
			n, ok := d.Size()
			if !ok {
				n = 2
			}
			shape[i] = n
		}
		x := tensor.New(v.Type.DType, shape...)
		if v.Type.DType == tensor.Float32 {
			for i, d := 0, tensor.Data[float32](x); i < len(d); i++ {
				d[i] = float32(r.IntN(9) - 4)
			}
		}
		in[v.Name] = x
	}
	out, err := s.Run(context.Background(), in)
	require.NoError(t, err)
	return out
}

// structuredCases are models half of whose channels are zero. gone is how many
// units are to go in all.
var structuredCases = []struct {
	name  string
	opset int
	gone  int
	build func(b *net) []*onnx.Value
}{
	{"chain", 17, 8 + 4, func(b *net) []*onnx.Value {
		x := b.g.AddInput("x", image(3))
		x = b.Op("Relu", nil, b.conv(x, 3, 16, 3, 1, odd))
		x = b.Op("MaxPool", onnx.NewAttrs("kernel_shape", []int64{2, 2}, "strides", []int64{2, 2}), x)
		x = b.Op("LeakyRelu", onnx.NewAttrs("alpha", 0.5), b.conv(x, 16, 8, 1, 1, tail(4)))
		return []*onnx.Value{b.conv(x, 8, 5, 1, 1, nil)}
	}},
	{"batch normalisation", 17, 8, func(b *net) []*onnx.Value {
		x := b.conv(b.g.AddInput("x", image(3)), 3, 16, 3, 1, odd)
		v := b.Const(tensor.Of(slices.Repeat([]float32{1}, 16), 16))
		x = b.Op("BatchNormalization", onnx.NewAttrs("epsilon", 0.0), x, b.weight(0, odd, 16), b.weight(0, odd, 16), b.weight(0, odd, 16), v)
		x = b.Op("Pad", nil, x, b.Ints(0, 0, 1, 0, 0, 0, 0, 1))
		return []*onnx.Value{b.conv(x, 16, 4, 1, 1, nil)}
	}},
	{"residual", 17, 8 + 8, func(b *net) []*onnx.Value {
		x := b.conv(b.g.AddInput("x", image(3)), 3, 16, 3, 1, odd)
		for range 2 {
			h := b.Op("Relu", nil, b.conv(x, 16, 8, 1, 1, tail(4)))
			x = b.Op("Relu", nil, b.Op("Add", nil, x, b.conv(h, 8, 16, 3, 1, odd)))
		}
		x = b.Op("Flatten", nil, b.Op("GlobalAveragePool", nil, x))
		return []*onnx.Value{b.Op("Gemm", onnx.NewAttrs("transB", int64(1)), x, b.weight(0, nil, 5, 16), b.weight(0, nil, 5))}
	}},
	{"flatten", 17, 4, func(b *net) []*onnx.Value {
		x := b.conv(b.g.AddInput("x", image(3)), 3, 8, 3, 1, odd)
		x = b.Op("Reshape", nil, x, b.Ints(-1, 8*16))
		return []*onnx.Value{b.Op("Gemm", nil, x, b.weight(0, nil, 128, 5))}
	}},
	{"concat and split", 17, 8 + 4 + 2, func(b *net) []*onnx.Value {
		x := b.g.AddInput("x", image(3))
		u, v := b.conv(x, 3, 8, 1, 1, odd), b.conv(x, 3, 16, 1, 1, tail(8))
		c := b.Op("Concat", onnx.NewAttrs("axis", int64(1)), u, v, x)
		s := b.Ops("", "Split", onnx.NewAttrs("axis", int64(1)), 2, b.conv(c, 27, 8, 1, 1, func(i int) bool { return i%4 > 1 }), b.Ints(4, 4))
		g := b.Op("Mul", nil, s[0], b.Op("HardSigmoid", onnx.NewAttrs("alpha", 0.25, "beta", 0.5), s[1]))
		return []*onnx.Value{b.conv(g, 4, 3, 1, 1, nil), b.conv(b.Op("Slice", nil, c, b.Ints(4), b.Ints(20), b.Ints(1)), 16, 3, 1, 1, nil)}
	}},
	{"depthwise", 17, 8, func(b *net) []*onnx.Value {
		x := b.conv(b.g.AddInput("x", image(3)), 3, 16, 1, 1, odd)
		x = b.Op("Clip", nil, x, b.Float(tensor.Float32, 0), b.Float(tensor.Float32, 6))
		x = b.conv(x, 16, 16, 3, 16, odd)
		return []*onnx.Value{b.conv(x, 16, 4, 1, 1, nil)}
	}},
	{"depthwise with a multiplier", 17, 4, func(b *net) []*onnx.Value {
		x := b.conv(b.g.AddInput("x", image(3)), 3, 8, 1, 1, odd)
		x = b.conv(x, 8, 16, 3, 8, func(i int) bool { return odd(i / 2) })
		return []*onnx.Value{b.conv(x, 16, 4, 1, 1, nil)}
	}},
	{"grouped", 17, 2 + 2, func(b *net) []*onnx.Value {
		x := b.conv(b.g.AddInput("x", image(3)), 3, 16, 1, 1, func(i int) bool { return i%4 > 1 })
		x = b.conv(x, 16, 16, 3, 4, func(i int) bool { return i%4 < 2 })
		return []*onnx.Value{b.conv(x, 16, 4, 1, 1, nil)}
	}},
	{"squeeze and excite", 17, 8 + 4, func(b *net) []*onnx.Value {
		x := b.conv(b.g.AddInput("x", image(3)), 3, 16, 3, 1, odd)
		s := b.Op("Relu", nil, b.conv(b.Op("GlobalAveragePool", nil, x), 16, 8, 1, 1, tail(4)))
		s = b.Op("HardSigmoid", onnx.NewAttrs("alpha", 0.25, "beta", 0.5), b.conv(s, 8, 16, 1, 1, odd))
		return []*onnx.Value{b.conv(b.Op("Mul", nil, x, s), 16, 4, 1, 1, nil)}
	}},
	{"transposed convolution", 17, 4, func(b *net) []*onnx.Value {
		x := b.conv(b.g.AddInput("x", image(3)), 3, 4, 1, 1, odd)
		x = b.Op("ConvTranspose", onnx.NewAttrs("strides", []int64{2, 2}), x, b.weight(1, odd, 4, 4, 2, 2), b.weight(0, odd, 4))
		x = b.Op("Resize", onnx.NewAttrs("mode", "nearest"), x, nil, b.Const(tensor.Of([]float32{1, 1, 2, 2}, 4)))
		return []*onnx.Value{b.conv(x, 4, 4, 1, 1, nil)}
	}},
	{"perceptron of a transformer", 17, 16, func(b *net) []*onnx.Value {
		x := b.g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Name("S"), onnx.Size(8)))
		h := b.Op("Relu", nil, b.Op("Add", nil, b.Op("MatMul", nil, x, b.weight(1, odd, 8, 32)), b.weight(0, odd, 32)))
		y := b.Op("Add", nil, x, b.Op("Add", nil, b.Op("MatMul", nil, h, b.weight(0, nil, 32, 8)), b.weight(0, nil, 8)))
		return []*onnx.Value{b.Op("LayerNormalization", nil, y, b.weight(0, nil, 8), b.weight(0, nil, 8))}
	}},
	{"heads", 17, 2, func(b *net) []*onnx.Value { // one position: the softmax is 1
		x := b.g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(1), onnx.Size(8)))
		dead := func(i int) bool { return odd(i / 4) }
		heads := func(perm ...int64) *onnx.Value {
			y := b.Op("Reshape", nil, b.Op("MatMul", nil, x, b.weight(1, dead, 8, 16)), b.Ints(0, 0, 4, 4))
			return b.Op("Transpose", onnx.NewAttrs("perm", perm), y)
		}
		q, k, v := heads(0, 2, 1, 3), heads(0, 2, 3, 1), heads(0, 2, 1, 3)
		y := b.Op("MatMul", nil, b.Op("Softmax", onnx.NewAttrs("axis", int64(-1)), b.Op("MatMul", nil, q, k)), v)
		y = b.Op("Reshape", nil, b.Op("Transpose", onnx.NewAttrs("perm", []int64{0, 2, 1, 3}), y), b.Ints(0, -1, 16))
		return []*onnx.Value{b.Op("MatMul", nil, y, b.weight(0, nil, 16, 8))}
	}},
	{"channels last", 17, 8 + 4, func(b *net) []*onnx.Value {
		x := b.conv(b.g.AddInput("x", image(3)), 3, 16, 1, 1, odd)
		x = b.Op("Transpose", onnx.NewAttrs("perm", []int64{0, 2, -1, 1}), x)
		x = b.Op("Mul", nil, b.Op("MatMul", nil, x, b.weight(1, tail(4), 16, 8)), b.weight(0, nil, 8))
		x = b.Op("ReduceMean", onnx.NewAttrs("axes", []int64{1, 2}, "keepdims", int64(0)), x)
		x = b.Op("Unsqueeze", nil, x, b.Ints(1))
		return []*onnx.Value{b.Op("MatMul", nil, x, b.weight(0, nil, 8, 4))}
	}},
	{"group normalisation", 21, 2, func(b *net) []*onnx.Value {
		dead := func(i int) bool { return odd(i / 4) }
		x := b.conv(b.g.AddInput("x", image(3)), 3, 16, 1, 1, dead)
		x = b.Op("GroupNormalization", onnx.NewAttrs("num_groups", int64(4)), x, b.weight(0, dead, 16), b.weight(0, dead, 16))
		return []*onnx.Value{b.Op("Floor", nil, b.conv(b.Op("Round", nil, x), 16, 4, 1, 1, nil))}
	}},
	{"a bias that layers share by chance", 17, 8 + 8, func(b *net) []*onnx.Value {
		zero := b.Const(tensor.New(tensor.Float32, 16))
		x := b.Op("Conv", nil, b.g.AddInput("x", image(3)), b.weight(0, odd, 16, 3, 1, 1), zero)
		x = b.Op("Conv", nil, x, b.weight(0, tail(8), 16, 16, 1, 1), zero)
		return []*onnx.Value{b.Op("Conv", nil, x, b.weight(0, nil, 16, 16, 1, 1), zero)}
	}},
	{"embedding", 17, 4 + 4, func(b *net) []*onnx.Value {
		x := b.g.AddInput("x", onnx.TensorType(tensor.Int64, onnx.Name("N"), onnx.Size(3)))
		e := b.Op("Add", nil, b.Op("Gather", nil, b.weight(1, odd, 10, 8), x), b.weight(1, odd, 3, 8))
		s := b.Op("Expand", nil, b.weight(2, odd, 1, 1, 8), b.Op("Concat", onnx.NewAttrs("axis", int64(0)),
			b.Op("Slice", nil, b.Op("Shape", nil, x), b.Ints(0), b.Ints(1)), b.Ints(1), b.Ints(8)))
		e = b.Op("Concat", onnx.NewAttrs("axis", int64(1)), s, e)
		h := b.Op("MatMul", nil, e, b.weight(1, odd, 8, 8))
		return []*onnx.Value{b.Op("MatMul", nil, h, b.weight(0, nil, 8, 4))}
	}},
	{"split without sizes, opset 11", 11, 4, func(b *net) []*onnx.Value {
		x := b.conv(b.g.AddInput("x", image(3)), 3, 8, 1, 1, func(i int) bool { return i > 1 && i < 6 })
		s := b.Ops("", "Split", onnx.NewAttrs("axis", int64(1)), 2, x)
		return []*onnx.Value{b.conv(s[0], 4, 3, 1, 1, nil), b.conv(s[1], 4, 3, 1, 1, nil)}
	}},
}

// What has only zeros goes, and the outputs stay what they were, bit by bit.
func TestStructuredExact(t *testing.T) {
	for _, c := range structuredCases {
		t.Run(c.name, func(t *testing.T) {
			for _, norm := range []Norm{L1, L2} {
				b := newNet(c.opset)
				m := b.finish(t, c.build(b)...)
				want := outputs(t, m)
				p := m.Clone()
				r, err := Structured(p, Options{Fraction: 0.5, Multiple: 1, Norm: norm})
				require.NoError(t, err)
				gone := 0
				for _, g := range r.Groups {
					gone += g.Removed
				}
				require.GreaterOrEqual(t, gone, c.gone, "%+v", r.Groups)
				require.Less(t, r.After.FLOPs, r.Before.FLOPs)
				require.Less(t, r.After.Parameters, r.Before.Parameters)
				require.Empty(t, onnx.Check(p))
				require.NoError(t, p.Graph.Check())
				got := outputs(t, p)
				for name, v := range want {
					require.Equal(t, v.(*tensor.Tensor).Shape(), got[name].(*tensor.Tensor).Shape())
					require.Equal(t, tensor.Data[float32](v.(*tensor.Tensor)), tensor.Data[float32](got[name].(*tensor.Tensor)))
				}
				require.Equal(t, want, outputs(t, m), "the original was written to")
			}
		})
	}
}

// chain is three convolutions of 32, 48 and 4 channels.
func chain(t *testing.T) *onnx.Model {
	b := newNet(17)
	x := b.conv(b.g.AddInput("x", image(3)), 3, 32, 3, 1, nil)
	x = b.conv(b.Op("Relu", nil, x), 32, 48, 3, 1, nil)
	x = b.conv(b.Op("Relu", nil, x), 48, 4, 3, 1, nil)
	m := b.finish(t, x)
	i := 0
	for _, n := range m.Graph.Nodes {
		if n.Op == "Conv" {
			n.Name = []string{"first", "second", "third"}[i]
			i++
		}
	}
	return m
}

func TestStructuredOptions(t *testing.T) {
	for _, c := range []struct {
		o             Options
		first, second int
	}{
		{Options{Fraction: 0.5}, 16, 24},
		{Options{Fraction: 0.4}, 16, 32}, // 19.2 and 28.8 channels
		{Options{Fraction: 0.4, Multiple: 1}, 19, 29},
		{Options{Fraction: 0.99}, 8, 8},
		{Options{Fraction: 0.99, Multiple: 1}, 1, 1},
		{Options{Fraction: 0}, 32, 48},
		{Options{Fraction: 0.5, Select: quantize.Selection{Exclude: []string{"second"}}}, 32, 48},
		{Options{Fraction: 0.5, Select: quantize.Selection{Include: []string{"second"}}}, 32, 24},
		{Options{Fraction: 0.5, Select: quantize.Selection{Include: []string{"first"}}}, 16, 48},
	} {
		m := chain(t)
		r, err := Structured(m, c.o)
		require.NoError(t, err)
		require.Equal(t, []int{c.first, 3, 3, 3}, r.Layers[0].Is, "%+v", c.o)
		require.Equal(t, []int{c.second, c.first, 3, 3}, r.Layers[1].Is)
		require.Equal(t, []int{4, c.second, 3, 3}, r.Layers[2].Is)
		require.Equal(t, []int{48, 32, 3, 3}, r.Layers[1].Was)
		require.EqualValues(t, 2*16*9*(3*c.first+c.first*c.second+4*c.second), r.After.FLOPs)
		require.Equal(t, 4, r.Groups[2].Pinned)
		outputs(t, m)
	}
	for _, f := range []float64{-0.1, 1, math.NaN()} {
		_, err := Structured(chain(t), Options{Fraction: f})
		require.ErrorContains(t, err, "want at least 0 and less than 1")
	}
	_, err := Structured(chain(t), Options{Fraction: 0.5, Multiple: -1})
	require.Error(t, err)
	_, err = Structured(chain(t), Options{Select: quantize.Selection{Exclude: []string{"secnd"}}})
	require.ErrorContains(t, err, `did you mean "second"?`)
}

// Inputs that have the weights as defaults are weights; those that lose nothing stay inputs.
func TestStructuredDefaults(t *testing.T) {
	m, plain := chain(t), chain(t)
	for _, v := range m.Graph.Consts {
		v.Type = onnx.TypeOf(v.Const)
		m.Graph.Inputs = append(m.Graph.Inputs, v)
	}
	bias := m.Graph.Nodes[len(m.Graph.Nodes)-1].In[2].Name
	r, err := Structured(m, Options{Fraction: 0.5})
	require.NoError(t, err)
	want, err := Structured(plain, Options{Fraction: 0.5})
	require.NoError(t, err)
	require.Equal(t, want.After, r.After)
	require.Len(t, r.Inputs, 5)
	require.Len(t, m.Graph.Inputs, 2)
	require.Equal(t, bias, m.Graph.Inputs[1].Name)
	require.Empty(t, onnx.Check(m))
	m.Graph.Inputs = m.Graph.Inputs[:1]
	require.Equal(t, outputs(t, plain), outputs(t, m))
}

// With global scope the fraction is one of FLOPs, taken where weights matter least.
func TestStructuredGlobal(t *testing.T) {
	for _, f := range []float64{0.2, 0.5, 0.8} {
		m := chain(t)
		r, err := Structured(m, Options{Fraction: f, Scope: Global, Multiple: 1})
		require.NoError(t, err)
		require.LessOrEqual(t, float64(r.After.FLOPs), (1-f)*float64(r.Before.FLOPs))
		require.Greater(t, float64(r.After.FLOPs), (1-f)*0.85*float64(r.Before.FLOPs))
		outputs(t, m)
	}
}

// Images of one pixel are too small for many models: work is measured on larger ones.
func TestSymbolicSizes(t *testing.T) {
	build := func(c int, dims ...onnx.Dim) *onnx.Model {
		b := newNet(17)
		x := b.g.AddInput("x", onnx.TensorType(tensor.Float32, dims...))
		x = b.Op("Relu", nil, b.Op("Conv", nil, x, b.weight(0, odd, 16, c, 6, 6)))
		return b.finish(t, b.conv(x, 16, 4, 1, 1, nil))
	}
	n := onnx.Name("N")
	open, set := build(3, n, onnx.Size(3), onnx.Name("H"), onnx.Name("W")), build(3, n, onnx.Size(3), onnx.Size(32), onnx.Size(32))
	for _, f := range []func(*onnx.Model) (*Report, error){
		func(m *onnx.Model) (*Report, error) { return Structured(m, Options{Fraction: 0.3, Scope: Global}) },
		func(m *onnx.Model) (*Report, error) { return Magnitude(m, 0.5, PerLayer, quantize.Selection{}) },
	} {
		got, err := f(open.Clone())
		require.NoError(t, err)
		want, err := f(set.Clone())
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Positive(t, got.Before.FLOPs)
	}
	// Where no size fits all, work is known only of what does not depend on sizes.
	b := newNet(17)
	x, y := b.g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Size(16), onnx.Name("N"))), b.g.AddInput("y", onnx.TensorType(tensor.Float32, onnx.Size(2), onnx.Size(16)))
	x = b.Op("Reshape", nil, x, b.Ints(48, 16))
	m := b.finish(t, b.Op("MatMul", nil, x, b.weight(0, nil, 16, 8)), b.Op("MatMul", nil, y, b.weight(0, nil, 16, 8)))
	r, err := Magnitude(m, 0.5, PerLayer, quantize.Selection{})
	require.NoError(t, err)
	require.EqualValues(t, 2*(2+48)*16*8, r.Before.FLOPs)
}

func TestStructuredPins(t *testing.T) {
	aside := func(b *net, x *onnx.Value) *onnx.Value { // channels become positions
		return b.Op("Transpose", onnx.NewAttrs("perm", []int64{0, 2, 1, 3}), x)
	}
	for _, c := range []struct {
		op, why string
		build   func(b *net, x *onnx.Value) *onnx.Value
	}{
		{"DepthToSpace", "does not know", func(b *net, x *onnx.Value) *onnx.Value {
			return b.conv(b.Op("DepthToSpace", onnx.NewAttrs("blocksize", int64(2)), x), 4, 2, 1, 1, nil)
		}},
		{"Softmax", "compares all elements", func(b *net, x *onnx.Value) *onnx.Value {
			return b.conv(b.Op("Softmax", onnx.NewAttrs("axis", int64(1)), x), 16, 2, 1, 1, nil)
		}},
		{"Gather", "picks elements", func(b *net, x *onnx.Value) *onnx.Value {
			return b.conv(b.Op("Gather", onnx.NewAttrs("axis", int64(1)), x, b.Ints(3, 1)), 2, 2, 1, 1, nil)
		}},
		{"ReduceMean", "reduces all elements", func(b *net, x *onnx.Value) *onnx.Value {
			return b.conv(b.Op("ReduceMean", nil, x, b.Ints(1)), 1, 2, 1, 1, nil)
		}},
		{"Shape", "its size is read", func(b *net, x *onnx.Value) *onnx.Value {
			n := b.Op("Cast", onnx.NewAttrs("to", int64(tensor.Float32)), b.Op("ReduceSum", onnx.NewAttrs("keepdims", int64(0)), b.Op("Shape", nil, x)))
			return b.conv(b.Op("Div", nil, x, n), 16, 2, 1, 1, nil)
		}},
		{"Add", "fixed", func(b *net, x *onnx.Value) *onnx.Value {
			return b.conv(b.Op("Add", nil, x, b.g.AddInput("y", image(16))), 16, 2, 1, 1, nil)
		}},
		{"Conv", "all positions", func(b *net, x *onnx.Value) *onnx.Value {
			return b.conv(aside(b, x), 4, 2, 1, 1, nil)
		}},
		{"ConvTranspose", "all positions", func(b *net, x *onnx.Value) *onnx.Value {
			return b.Op("ConvTranspose", nil, aside(b, x), b.weight(0, nil, 4, 2, 1, 1))
		}},
		{"MaxPool", "all positions", func(b *net, x *onnx.Value) *onnx.Value {
			return b.Op("MaxPool", onnx.NewAttrs("kernel_shape", []int64{1, 2}), aside(b, x))
		}},
		{"InstanceNormalization", "all positions", func(b *net, x *onnx.Value) *onnx.Value {
			x = b.Op("InstanceNormalization", nil, aside(b, x), b.weight(0, nil, 4), b.weight(0, nil, 4))
			return b.conv(aside(b, x), 16, 2, 1, 1, nil)
		}},
		{"GroupNormalization", "all positions", func(b *net, x *onnx.Value) *onnx.Value {
			x = b.Op("GroupNormalization", onnx.NewAttrs("num_groups", int64(2)), aside(b, x), b.weight(0, nil, 4), b.weight(0, nil, 4))
			return b.conv(aside(b, x), 16, 2, 1, 1, nil)
		}},
		{"Pad", "pads this dimension", func(b *net, x *onnx.Value) *onnx.Value {
			return b.conv(b.Op("Pad", nil, x, b.Ints(0, 0, 0, 0, 0, 1, 0, 0)), 17, 2, 1, 1, nil)
		}},
	} {
		b := newNet(21)
		x := b.conv(b.g.AddInput("x", image(3)), 3, 16, 1, 1, nil)
		m := b.finish(t, c.build(b, x))
		want := outputs(t, m)
		r, err := Structured(m, Options{Fraction: 0.5})
		require.NoError(t, err, c.op)
		require.Equal(t, 16, r.Groups[0].Pinned, c.op)
		require.Zero(t, r.Groups[0].Removed)
		require.True(t, strings.HasPrefix(r.Groups[0].PinnedBy, c.op), "%+v", r.Groups)
		require.Contains(t, r.Groups[0].Why, c.why)
		require.Equal(t, want, outputs(t, m))
	}
}

// Nothing in the result depends on the order of maps.
func TestStructuredDeterministic(t *testing.T) {
	text := ""
	for range 4 {
		b := newNet(17)
		m := b.finish(t, structuredCases[4].build(b)...)
		_, err := Structured(m, Options{Fraction: 0.3, Multiple: 1})
		require.NoError(t, err)
		var s strings.Builder
		require.NoError(t, m.Text(&s, onnx.TextOptions{Sums: true}))
		if text == "" {
			text = s.String()
		}
		require.Equal(t, text, s.String())
	}
}
