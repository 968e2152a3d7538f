package quantize

import (
	"context"
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

// newModel makes a model whose graph f builds; its outputs are y0, y1, …
func newModel(t *testing.T, opset int, f func(b *ops.Builder) []*onnx.Value) *onnx.Model {
	t.Helper()
	m := &onnx.Model{IRVersion: 8, Opsets: map[string]int{"": opset, microsoft: 1}}
	m.Graph = onnx.NewGraph("g", m.Opsets)
	b := ops.NewBuilder(m.Graph)
	out := f(b)
	require.NoError(t, b.Err())
	b.Insert(nil)
	for i, v := range out {
		v.Name = "y" + string(rune('0'+i))
	}
	m.Graph.Outputs = out
	return m
}

// input adds a float32 input.
func input(b *ops.Builder, name string, shape ...int) *onnx.Value {
	return b.G.AddInput(name, onnx.TensorType(tensor.Float32, onnx.Sizes(shape...)...))
}

// param adds an initializer with elements in [-1, 1] that are the same every time.
func param(b *ops.Builder, name string, shape ...int) *onnx.Value {
	r := rand.New(rand.NewPCG(1, uint64(len(name))))
	t := tensor.New(tensor.Float32, shape...)
	for i := range tensor.Data[float32](t) {
		tensor.Data[float32](t)[i] = 2*r.Float32() - 1
	}
	return b.G.NewConst(name, t)
}

// named gives a value its name.
func named(name string, v *onnx.Value) *onnx.Value {
	v.Name = name
	return v
}

// samples makes values for the inputs of m, in [-3, 3].
func samples(t *testing.T, m *onnx.Model, seed uint64) map[string]tensor.Value {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	in := map[string]tensor.Value{}
	for _, v := range m.Graph.Inputs {
		shape, ok := v.Type.Static()
		require.True(t, ok)
		x := tensor.New(v.Type.DType, shape...)
		for i := range x.Len() {
			switch v.Type.DType {
			case tensor.Bool:
				tensor.Data[bool](x)[i] = r.IntN(2) == 0
			case tensor.Int32:
				tensor.Data[int32](x)[i] = int32(r.IntN(4))
			default:
				tensor.Data[float32](x)[i] = 6*r.Float32() - 3
			}
		}
		in[v.Name] = x
	}
	return in
}

// run computes the named values of m.
func run(t *testing.T, m *onnx.Model, level optimize.Level, in map[string]tensor.Value, names ...string) map[string]tensor.Value {
	t.Helper()
	s, err := runtime.New(m, runtime.Options{Level: level, Threads: 1})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	out, err := s.Run(context.Background(), in, names...)
	require.NoError(t, err)
	return out
}

// calibrate returns the ranges that Static asks for over a few samples.
func calibrate(t *testing.T, m *onnx.Model, c StaticConfig, seeds ...uint64) Ranges {
	t.Helper()
	rs := Ranges{}
	names := Activations(m, c)
	if len(names) == 0 {
		return rs
	}
	for _, seed := range seeds {
		in := samples(t, m, seed)
		for name, v := range run(t, m, optimize.None, in, names...) {
			r, ok := finiteRange(tensor.Data[float32](v.(*tensor.Tensor)))
			require.True(t, ok)
			if old, ok := rs[name]; ok {
				r = r.union(old)
			}
			rs[name] = r
		}
	}
	return rs
}

// static quantises a clone of m and checks that it is valid and can be written.
func static(t *testing.T, m *onnx.Model, ranges Ranges, c StaticConfig) (*onnx.Model, *Summary) {
	t.Helper()
	q := m.Clone()
	s, err := Static(q, ranges, c)
	require.NoError(t, err)
	require.NoError(t, q.Graph.Check())
	require.Empty(t, onnx.Check(q))
	data, err := onnx.Encode(q)
	require.NoError(t, err)
	back, err := onnx.Decode(data, onnx.DecodeOptions{})
	require.NoError(t, err)
	for i, v := range m.Graph.Outputs {
		require.Equal(t, v.Name, back.Graph.Outputs[i].Name)
	}
	for i, v := range m.Graph.Inputs {
		require.Equal(t, v.Name, back.Graph.Inputs[i].Name)
	}
	return back, s
}

// quantised calibrates m and quantises a clone of it.
func quantised(t *testing.T, m *onnx.Model, c StaticConfig) (*onnx.Model, *Summary) {
	t.Helper()
	return static(t, m, calibrate(t, m, c, 1, 2), c)
}

// steps returns the sum of the scales of all activations of q, each counted once
// for each node that rounds to it, and the greatest scale of weights.
func steps(q *onnx.Model) (acts, weights float64) {
	scale := func(v *onnx.Value) (s float64) {
		for _, x := range tensor.Data[float32](v.Const) {
			s = max(s, float64(x))
		}
		return s
	}
	for _, n := range q.Graph.Nodes {
		switch {
		case n.Op == "QuantizeLinear", n.Op == "DequantizeLinear" && n.In[0].Const == nil && (n.In[0].From == nil || n.In[0].From.Op != "QuantizeLinear"):
			acts += scale(n.In[1])
		case n.Op == "DequantizeLinear" && n.In[0].Const != nil && n.In[0].Const.DType() != tensor.Int32:
			weights = max(weights, scale(n.In[1]))
		case quantizes(n) && n.Op != "DequantizeLinear":
			for _, v := range n.In {
				if v != nil && v.Const != nil && v.Const.DType() == tensor.Float32 {
					acts += scale(v)
				}
			}
		}
		for i, v := range n.In {
			if v != nil && v.Name == "w_quantized" && i+1 < len(n.In) && n.In[i+1] != nil && n.In[i+1].Const != nil && n.In[i+1].Const.DType() == tensor.Float32 {
				weights = max(weights, scale(n.In[i+1]))
			}
		}
	}
	return acts, weights
}

// requireNear fails if outputs of q and m differ by more than tolerance.
func requireNear(t *testing.T, m, q *onnx.Model, level optimize.Level, tolerance float64, seeds ...uint64) {
	t.Helper()
	for _, seed := range seeds {
		in := samples(t, m, seed)
		want, got := run(t, m, optimize.None, in), run(t, q, level, in)
		for name, w := range want {
			x, y := w.(*tensor.Tensor), got[name].(*tensor.Tensor)
			require.Equal(t, x.DType(), y.DType())
			require.Equal(t, x.Shape(), y.Shape())
			if x.DType() != tensor.Float32 {
				continue
			}
			for i, v := range tensor.Data[float32](x) {
				if d := math.Abs(float64(v - tensor.Data[float32](y)[i])); !(d <= tolerance) {
					t.Fatalf("level %v, %s[%d] is %v, want %v within %v", level, name, i, tensor.Data[float32](y)[i], v, tolerance)
				}
			}
		}
	}
}

// reasonOf returns why the node stayed as it was.
func reasonOf(t *testing.T, s *Summary, node string) string {
	t.Helper()
	for _, c := range s.Changes {
		if c.Node == node {
			return c.Reason
		}
	}
	t.Fatalf("%q is not in the summary %v", node, s.Changes)
	return ""
}

// opsOf lists the operators of m in order.
func opsOf(m *onnx.Model) string {
	var names []string
	for _, n := range m.Graph.Nodes {
		names = append(names, n.Op)
	}
	return strings.Join(names, " ")
}

// cutDomain splits the key of an operator.
func cutDomain(key string) (domain, op string, ok bool) {
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		return key[:i], key[i+1:], true
	}
	return "", key, false
}
