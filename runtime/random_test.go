package runtime_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// grower builds a random graph of float32 values with known shapes. Its
// operators are smooth and its weights small, so that an error of rounding
// stays one.
type grower struct {
	*rand.Rand
	b    *ops.Builder
	in   map[string]tensor.Value
	vals []*onnx.Value // newest last
}

func (g *grower) one(choices ...int) int { return choices[g.IntN(len(choices))] }
func (g *grower) half() bool             { return g.IntN(2) == 0 }
func (g *grower) axis(v *onnx.Value) int { return g.IntN(2*v.Type.Rank()) - v.Type.Rank() }

func (g *grower) dims(v *onnx.Value) []int {
	if v == nil {
		return nil
	}
	s, ok := v.Type.Static()
	if !ok {
		g.b.Fail(fmt.Errorf("%s has type %v", v.Name, v.Type))
	}
	return s
}

// random returns normal numbers over the root of fan.
func (g *grower) random(fan int, shape ...int) *tensor.Tensor {
	t := tensor.New(tensor.Float32, shape...)
	for i := range tensor.Data[float32](t) {
		tensor.Data[float32](t)[i] = float32(g.NormFloat64() / math.Sqrt(float64(max(fan, 1))))
	}
	return t
}

// leaf is a constant or an input.
func (g *grower) leaf(fan int, shape ...int) *onnx.Value {
	t := g.random(fan, shape...)
	if g.IntN(3) > 0 {
		return g.b.Const(t)
	}
	return g.feed(t)
}

func (g *grower) feed(t *tensor.Tensor) *onnx.Value {
	dims := make([]onnx.Dim, t.Rank())
	for i, n := range t.Shape() {
		dims[i] = onnx.Size(n)
	}
	v := g.b.G.AddInput(fmt.Sprintf("in%d", len(g.in)), onnx.TensorType(tensor.Float32, dims...))
	g.in[v.Name] = t
	return v
}

// pick returns a value of one of the ranks, mostly a new one.
func (g *grower) pick(ranks ...int) *onnx.Value {
	var l []*onnx.Value
	for _, v := range g.vals {
		if slices.Contains(ranks, v.Type.Rank()) {
			l = append(l, v)
		}
	}
	if len(l) == 0 || g.IntN(12) == 0 {
		shape := make([]int, ranks[g.IntN(len(ranks))])
		for i := range shape {
			shape[i] = g.one(1, 2, 3, 4, 5, 8)
		}
		return g.feed(g.random(1, shape...))
	}
	if g.IntN(4) == 0 {
		return l[g.IntN(len(l))]
	}
	return l[max(0, len(l)-1-g.IntN(3))]
}

func (g *grower) op(name string, as onnx.Attrs, in ...*onnx.Value) *onnx.Value {
	v := g.b.Op(name, as, in...)
	if v != nil {
		g.vals = append(g.vals, v)
	}
	return v
}

// with returns a value that broadcasts to v.
func (g *grower) with(v *onnx.Value) *onnx.Value {
	shape := slices.Clone(g.dims(v))
	if g.IntN(3) == 0 {
		for _, w := range g.vals {
			if s, err := tensor.Broadcast(g.dims(w), shape); err == nil && slices.Equal(s, shape) && g.half() {
				return w
			}
		}
	}
	for i := range shape {
		if g.IntN(3) == 0 {
			shape[i] = 1
		}
	}
	return g.leaf(1, shape[g.IntN(len(shape)+1):]...)
}

func (g *grower) swap(name string, v, w *onnx.Value) *onnx.Value {
	if g.half() {
		v, w = w, v
	}
	return g.op(name, nil, v, w)
}

func (g *grower) activation(v *onnx.Value) *onnx.Value {
	switch g.IntN(6) {
	case 0: // Swish
		return g.swap("Mul", v, g.op("Sigmoid", nil, v))
	case 1: // Gelu
		e := g.op("Add", nil, g.op("Erf", nil, g.op("Div", nil, v, g.b.Float(tensor.Float32, math.Sqrt2))), g.b.Float(tensor.Float32, 1))
		return g.op("Mul", nil, g.swap("Mul", v, e), g.b.Float(tensor.Float32, 0.5))
	case 2: // HardSwish
		c := g.op("Clip", nil, g.op("Add", nil, v, g.b.Float(tensor.Float32, 3)), g.b.Float(tensor.Float32, 0), g.b.Float(tensor.Float32, 6))
		return g.op("Div", nil, g.swap("Mul", v, c), g.b.Float(tensor.Float32, 6))
	}
	names := []string{"Relu", "Sigmoid", "Tanh", "Erf", "Softplus", "LeakyRelu", "Neg", "Abs", "HardSwish", "Elu", "Identity", "Softsign", "Mish", "Gelu"}
	return g.op(names[g.IntN(len(names))], nil, v)
}

// after adds what fusions take in behind v.
func (g *grower) after(v *onnx.Value) {
	for range g.IntN(4) {
		switch d := g.dims(v); g.IntN(5) {
		case 0:
			v = g.swap("Add", v, g.with(v))
		case 1:
			v = g.swap("Mul", v, g.with(v))
		case 2:
			v = g.op("Sub", nil, v, g.leaf(1, d[max(0, len(d)-1):]...))
		case 3:
			v = g.op("Div", nil, v, g.b.Float(tensor.Float32, 2))
		default:
			v = g.activation(v)
		}
	}
}

func (g *grower) product() {
	a := g.pick(1, 2, 3, 4)
	d := g.dims(a)
	k, n, batch := d[len(d)-1], g.one(1, 3, 4, 8, 17), d[:max(0, len(d)-2)]
	var w *onnx.Value
	switch g.IntN(5) {
	case 0:
		w = g.leaf(k, k)
	case 1:
		w = g.leaf(k, append(slices.Clone(batch), k, n)...)
	case 2:
		perm := []int{1, 0}
		w = g.op("Transpose", onnx.NewAttrs("perm", perm), g.leaf(k, n, k))
	case 3:
		if len(d) == 2 {
			ta, tb := g.IntN(2), g.IntN(2)
			as := onnx.NewAttrs("transA", ta, "transB", tb, "alpha", float32(g.one(1, 2)), "beta", float32(g.IntN(3)))
			k, m := d[1-ta], d[ta]
			w = g.leaf(k, [][]int{{k, n}, {n, k}}[tb]...)
			c := g.leaf(1, [][]int{{n}, {1, n}, {m, 1}, {m, n}, {}}[g.IntN(5)]...)
			g.after(g.op("Gemm", as, a, w, c))
			return
		}
		fallthrough
	default:
		w = g.leaf(k, k, n)
	}
	g.after(g.op("MatMul", nil, a, w))
}

func (g *grower) conv() {
	x := g.pick(3, 4)
	d := g.dims(x)
	c, sp := d[1], d[2:]
	kernel := make([]int, len(sp))
	pads := make([]int, 2*len(sp))
	stride := make([]int, len(sp))
	for i := range sp {
		kernel[i], stride[i] = g.one(1, 1, 3), g.one(1, 1, 2)
		pads[i], pads[i+len(sp)] = kernel[i]/2, kernel[i]/2+g.IntN(2)
	}
	group, out := 1, g.one(1, 4, 8, 12)
	if g.IntN(3) == 0 {
		group, out = c, c*g.one(1, 2)
	}
	w := g.leaf(c/group*9, append([]int{out, c / group}, kernel...)...)
	in := []*onnx.Value{x, w}
	if g.half() {
		in = append(in, g.leaf(1, out))
	}
	y := g.op("Conv", onnx.NewAttrs("pads", pads, "strides", stride, "group", group), in...)
	if g.IntN(3) == 0 {
		variance := g.random(1, out)
		for i, x := range tensor.Data[float32](variance) {
			tensor.Data[float32](variance)[i] = x*x + 0.5
		}
		y = g.op("BatchNormalization", nil, y, g.leaf(1, out), g.leaf(1, out), g.leaf(1, out), g.b.Const(variance))
	}
	g.after(y)
}

func (g *grower) attention() {
	x := g.pick(3)
	d := g.dims(x)
	heads, e := 2, 8
	head := func(perm ...int) *onnx.Value {
		p := g.op("MatMul", nil, x, g.leaf(d[2], d[2], e))
		if g.half() {
			p = g.swap("Add", p, g.leaf(1, e))
		}
		return g.op("Transpose", onnx.NewAttrs("perm", perm), g.op("Reshape", nil, p, g.b.Ints(0, -1, heads, e/heads)))
	}
	s := g.op("Mul", nil, g.op("MatMul", nil, head(0, 2, 1, 3), head(0, 2, 3, 1)), g.b.Float(tensor.Float32, 0.5))
	if g.half() {
		s = g.op("Add", nil, s, g.leaf(1, [][]int{{d[0], 1, 1, d[1]}, {d[1], d[1]}, {1, heads, d[1], d[1]}, {}}[g.IntN(4)]...))
	}
	o := g.op("MatMul", nil, g.op("Softmax", onnx.NewAttrs("axis", g.one(-1, 3)), s), head(0, 2, 1, 3))
	g.after(g.op("Reshape", nil, g.op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1, 3}), o), g.b.Ints(0, 0, e)))
}

func (g *grower) move() {
	v := g.pick(1, 2, 3, 4)
	d := g.dims(v)
	axis := g.axis(v)
	n := d[(axis+len(d))%len(d)]
	switch g.IntN(8) {
	case 0:
		g.op("Transpose", onnx.NewAttrs("perm", g.Perm(len(d))), v)
	case 1:
		g.op("Reshape", nil, v, g.b.Ints(append([]int{1}, d...)[g.IntN(2):]...))
	case 2:
		g.op("Flatten", onnx.NewAttrs("axis", axis), v)
	case 3:
		g.op("Slice", nil, v, g.b.Ints(g.IntN(n)), g.b.Ints(math.MaxInt32), g.b.Ints(axis))
	case 4:
		g.op("Concat", onnx.NewAttrs("axis", axis), v, g.leaf(1, d...), v)
	case 5:
		g.op("Gather", onnx.NewAttrs("axis", axis), v, g.b.Const(tensor.Of([]int64{int64(g.IntN(n))}, [][]int{{}, {1}}[g.IntN(2)]...)))
	case 6:
		pads := make([]int, 2*len(d))
		for i := range pads {
			pads[i] = g.IntN(2)
		}
		g.op("Pad", nil, v, g.b.Ints(pads...))
	default:
		g.op("Unsqueeze", nil, v, g.b.Ints(axis))
	}
}

func (g *grower) reduce() {
	v := g.pick(1, 2, 3, 4)
	switch g.IntN(5) {
	case 0: // as the definition of LayerNormalization is written out
		axis, two := g.b.Ints(-1), g.b.Float(tensor.Float32, 2)
		c := g.op("Sub", nil, v, g.op("ReduceMean", nil, v, axis))
		s := g.op("Sqrt", nil, g.op("Add", nil, g.op("ReduceMean", nil, g.op("Pow", nil, c, two), axis), g.b.Float(tensor.Float32, 0.1)))
		d := g.dims(v)
		g.after(g.swap("Mul", g.op("Div", nil, c, s), g.leaf(1, d[len(d)-1])))
	case 1:
		g.op("Softmax", onnx.NewAttrs("axis", g.axis(v)), v)
	case 2:
		if v.Type.Rank() > 2 {
			g.after(g.op([]string{"GlobalAveragePool", "GlobalMaxPool"}[g.IntN(2)], nil, v))
		}
	default:
		names := []string{"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceLogSumExp"}
		g.op(names[g.IntN(len(names))], onnx.NewAttrs("keepdims", g.IntN(2)), v, g.b.Ints(g.axis(v)))
	}
}

// grow returns a model of about n operators, and inputs for it.
func grow(t *testing.T, seed uint64, n int) (*onnx.Model, map[string]tensor.Value) {
	m, graph, b := model()
	m.Opsets[""] = 22
	g := &grower{Rand: rand.New(rand.NewPCG(seed, 22)), b: b, in: map[string]tensor.Value{}}
	g.vals = []*onnx.Value{g.feed(g.random(1, [][]int{{2, 4, 6, 6}, {2, 5, 8}, {4, 8}}[g.IntN(3)]...))}
	for len(b.Nodes) < n && b.Err() == nil {
		switch g.IntN(8) {
		case 0:
			g.activation(g.pick(0, 1, 2, 3, 4))
		case 1:
			v := g.pick(0, 1, 2, 3, 4)
			g.swap([]string{"Add", "Sub", "Mul", "Max", "Min"}[g.IntN(5)], v, g.with(v))
		case 2:
			g.conv()
		case 3:
			g.attention()
		case 4, 5:
			g.product()
		case 6:
			g.move()
		case 7:
			g.reduce()
		}
		g.vals = slices.DeleteFunc(g.vals, func(v *onnx.Value) bool {
			n, err := tensor.Count(g.dims(v))
			return err != nil || n > 1<<14
		})
	}
	require.NoError(t, b.Err())
	b.Insert(nil)
	for _, node := range graph.Nodes {
		for _, v := range node.Out {
			// What is computed inside of a fusion may be asked for, too.
			if v.Uses() == 0 || g.IntN(12) == 0 {
				v.Name = fmt.Sprintf("out%d", len(graph.Outputs))
				graph.Outputs = append(graph.Outputs, v)
			}
			v.Type = onnx.Type{}
		}
	}
	if g.half() { // nothing is known of the shapes but ranks
		for _, v := range graph.Inputs {
			for i := range v.Type.Dims {
				v.Type.Dims[i] = onnx.Name(fmt.Sprintf("%s_%d", v.Name, i))
			}
		}
	}
	return m, g.in
}

// sameAtLevels runs a random model as it is and optimised, with one thread
// and with two, the latter with a region, each often enough for a plan of its memory.
func sameAtLevels(t *testing.T, seed uint64) {
	m, in := grow(t, seed, 5+int(seed%26))
	run := func(o runtime.Options) map[string]tensor.Value {
		s, err := runtime.New(m, o)
		require.NoError(t, err)
		defer s.Close()
		first, err := s.Run(bg, in)
		require.NoError(t, err)
		for range 3 {
			again, err := s.Run(bg, in)
			require.NoError(t, err)
			for name, v := range first {
				require.NoError(t, tensor.Compare(again[name], v, tensor.Tolerance{}), name)
			}
		}
		return first
	}
	want := run(runtime.Options{Level: optimize.None, Threads: 1})
	one := run(runtime.Options{Threads: 1})
	runtime.SmallRegions(t)
	two := run(runtime.Options{Threads: 2})
	for name, v := range want {
		w, err := tensor.Float64s(v.(*tensor.Tensor))
		require.NoError(t, err)
		most := 1.0
		for _, x := range w {
			if !math.IsInf(x, 0) {
				most = max(most, math.Abs(x))
			}
		}
		require.NoError(t, tensor.Compare(one[name], v, tensor.Tolerance{Rel: 1e-3, Abs: 1e-4 * most}), name)
		require.NoError(t, tensor.Compare(two[name], one[name], tensor.Tolerance{}), name)
	}
}

func TestRandomModels(t *testing.T) {
	n := uint64(300)
	if testing.Short() {
		n = 60
	}
	for seed := range n {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { sameAtLevels(t, seed) })
	}
}

// FuzzRandomModels looks for a seed whose model the optimiser changes.
func FuzzRandomModels(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(sameAtLevels)
}
