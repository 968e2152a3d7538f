package optest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func init() { ops.RegisterTraining() }

// GradCase is one call of an operator whose gradient is checked.
type GradCase struct {
	Name   string
	Domain string
	Op     string
	Opset  int // 0: Latest
	Attrs  onnx.Attrs
	// In are the inputs, nil where absent. The gradients of those of float64 are
	// compared with finite differences, so they should be away from kinks.
	In   []tensor.Value
	Outs int   // outputs that are asked for; 0: 1
	Flat []int // float64 inputs that have no gradient
	// Silent are outputs that the loss does not depend on.
	Silent []int
	// Const marks inputs that must be constant for the operator to run or to be
	// differentiable.
	Const []int
	// Captures gives the values that nested graphs read of the graphs around them.
	Captures map[*onnx.Value]tensor.Value
	Only64   bool // there is no kernel of float32 to compare with
}

// Normal returns a float64 tensor of random numbers from a normal distribution.
func Normal(seed uint64, shape ...int) *tensor.Tensor {
	return Random(seed, func(r *rand.Rand) float64 { return r.NormFloat64() }, shape...)
}

// Between returns a float64 tensor of random numbers from [lo, hi).
func Between(seed uint64, lo, hi float64, shape ...int) *tensor.Tensor {
	return Random(seed, func(r *rand.Rand) float64 { return lo + (hi-lo)*r.Float64() }, shape...)
}

// Random returns a float64 tensor of what f draws.
func Random(seed uint64, f func(*rand.Rand) float64, shape ...int) *tensor.Tensor {
	r := rand.New(rand.NewPCG(seed, 77))
	x := tensor.New(tensor.Float64, shape...)
	for i := range tensor.Data[float64](x) {
		tensor.Data[float64](x)[i] = f(r)
	}
	return x
}

// Distinct returns a float64 tensor of the numbers 0, step, 2·step, … from lo
// on in random order: no two are equal, which maxima need.
func Distinct(seed uint64, lo, step float64, shape ...int) *tensor.Tensor {
	x := tensor.New(tensor.Float64, shape...)
	for i, p := range rand.New(rand.NewPCG(seed, 78)).Perm(x.Len()) {
		tensor.Data[float64](x)[i] = lo + step*float64(p)
	}
	return x
}

// Gradients checks the gradient of every case against finite differences in
// float64: |analytic - numeric| <= 1e-5·max(1, |both|), with the shapes known
// while the gradient is built and with unknown ones, and against itself in
// float32.
func Gradients(t *testing.T, cases []GradCase) {
	t.Helper()
	for i, c := range cases {
		name := c.Name
		if name == "" {
			name = fmt.Sprintf("gradient of %s/%d", c.Op, i)
		}
		t.Run(name, func(t *testing.T) {
			t.Helper()
			want, err := c.gradients(c.In, true)
			if err != nil {
				t.Fatal(err)
			}
			c.compare(t, want)
			got, err := c.gradients(c.In, false)
			if err != nil {
				t.Fatal("with unknown shapes:", err)
			}
			near(t, "with unknown shapes", got, want, 1e-12)
			if !c.Only64 {
				if got, err = c.gradients(single(c.In), true); err != nil {
					t.Fatal("in float32:", err)
				}
				near(t, "in float32", got, want, 2e-4)
			}
		})
	}
}

func single(in []tensor.Value) []tensor.Value {
	out := slices.Clone(in)
	for i, v := range in {
		if x, ok := v.(*tensor.Tensor); ok && x.DType() == tensor.Float64 {
			y := tensor.New(tensor.Float32, x.Shape()...)
			for k, e := range tensor.Data[float64](x) {
				tensor.Data[float32](y)[k] = float32(e)
			}
			out[i] = y
		}
	}
	return out
}

// node makes the operator's node in a graph of its own.
func (c GradCase) node(in []tensor.Value, shapes bool) (*onnx.Graph, *onnx.Node, error) {
	opset := c.Opset
	if opset == 0 {
		opset = Latest
	}
	g := onnx.NewGraph("g", map[string]int{"": Latest, ops.Private: 1, c.Domain: opset})
	args := make([]*onnx.Value, len(in))
	for i, v := range in {
		switch {
		case v == nil:
		case slices.Contains(c.Const, i):
			args[i] = g.NewConst("", v.(*tensor.Tensor))
		default:
			typ := onnx.TypeOf(v)
			if x, ok := v.(*tensor.Tensor); ok && !shapes {
				typ = onnx.TensorType(x.DType(), make([]onnx.Dim, x.Rank())...)
			}
			args[i] = g.AddInput(fmt.Sprint("in", i), typ)
		}
	}
	n := g.NewNodeIn(c.Domain, c.Op, c.Attrs, args, max(1, c.Outs))
	b := ops.NewBuilder(g)
	b.Env.Body = InferBody
	b.Add(n)
	if b.Err() != nil {
		return nil, nil, b.Err()
	}
	b.Insert(nil)
	return g, n, nil
}

// factors returns the factors of the outputs' elements in the loss.
func (c GradCase) factors(out []tensor.Value) []*tensor.Tensor {
	f := make([]*tensor.Tensor, len(out))
	for i, v := range out {
		x, ok := v.(*tensor.Tensor)
		if !ok || slices.Contains(c.Silent, i) || x.DType() != tensor.Float64 && x.DType() != tensor.Float32 {
			continue
		}
		f[i] = Normal(uint64(100+i), x.Shape()...)
	}
	return f
}

func (c GradCase) eval(g *onnx.Graph, in []tensor.Value) ([]tensor.Value, error) {
	var args []tensor.Value
	for i, v := range in {
		if v != nil && !slices.Contains(c.Const, i) {
			args = append(args, v)
		}
	}
	out := make([]tensor.Value, len(g.Outputs))
	return out, (&body{g, c.Captures}).Run(&ops.Call{P: par.P{Threads: 2}}, args, out)
}

// gradients returns the analytic gradients, nil for inputs that have none.
func (c GradCase) gradients(in []tensor.Value, shapes bool) ([][]float64, error) {
	g, n, err := c.node(in, shapes)
	if err != nil {
		return nil, err
	}
	g.Outputs = n.Out
	out, err := c.eval(g, in)
	if err != nil {
		return nil, err
	}
	need, dOut := make([]bool, len(in)), make([]*onnx.Value, len(n.Out))
	for i, v := range in {
		x, ok := v.(*tensor.Tensor)
		need[i] = ok && (x.DType() == tensor.Float64 || x.DType() == tensor.Float32)
	}
	for i, f := range c.factors(out) {
		if f == nil {
			continue
		}
		if out[i].(*tensor.Tensor).DType() == tensor.Float32 {
			f = single(Vals(f))[0].(*tensor.Tensor)
		}
		dOut[i] = g.NewConst("", f)
	}
	b := ops.NewBuilder(g)
	b.Env.Body = InferBody
	ds, err := ops.Gradient(b, n, dOut, need)
	if err != nil {
		return nil, err
	}
	b.Insert(nil)
	g.Outputs = nil
	for i, d := range ds {
		flat := slices.Contains(c.Flat, i)
		switch {
		case need[i] && !flat && d == nil:
			return nil, fmt.Errorf("input %d has no gradient", i)
		case d != nil && flat:
			return nil, fmt.Errorf("input %d has a gradient", i)
		case d != nil:
			if x := n.In[i].Type; d.Type.DType != x.DType {
				return nil, fmt.Errorf("the gradient of input %d is %v, want %v", i, d.Type, x)
			}
			g.Outputs = append(g.Outputs, d)
		}
	}
	vals, err := c.eval(g, in)
	if err != nil {
		return nil, err
	}
	res := make([][]float64, len(in))
	for i, d := range ds {
		if d == nil {
			continue
		}
		v := vals[0].(*tensor.Tensor)
		vals = vals[1:]
		if x := in[i].(*tensor.Tensor); !slices.Equal(v.Shape(), x.Shape()) {
			return nil, fmt.Errorf("the gradient of input %d has shape %v, want %v", i, v.Shape(), x.Shape())
		}
		if res[i], err = tensor.Float64s(v); err != nil {
			return nil, err
		}
		res[i] = slices.Clone(res[i])
	}
	return res, nil
}

// compare holds grads against finite differences.
func (c GradCase) compare(t *testing.T, grads [][]float64) {
	t.Helper()
	g, n, err := c.node(c.In, true)
	if err != nil {
		t.Fatal(err)
	}
	g.Outputs = n.Out
	in := slices.Clone(c.In)
	loss := func() float64 {
		out, err := c.eval(g, in)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for i, f := range c.factors(out) {
			if f == nil {
				continue
			}
			y := tensor.Data[float64](out[i].(*tensor.Tensor))
			for k, w := range tensor.Data[float64](f) {
				sum += w * y[k]
			}
		}
		return sum
	}
	for i, grad := range grads {
		x, ok := c.In[i].(*tensor.Tensor)
		if !ok || x.DType() != tensor.Float64 {
			continue
		}
		moved := x.Clone()
		in[i] = moved
		data := tensor.Data[float64](moved)
		if slices.Contains(c.Const, i) { // the graph holds it
			data = tensor.Data[float64](x)
			if g, n, err = c.node(c.In, true); err != nil {
				t.Fatal(err)
			}
			g.Outputs = n.Out
		}
		for k := 0; k < len(data); k += 1 + len(data)/150 {
			old := data[k]
			h := 1e-5 * max(1, math.Abs(old))
			data[k] = old + h
			up := loss()
			data[k] = old - h
			down := loss()
			data[k] = old
			numeric, analytic := (up-down)/(2*h), 0.0
			if grad != nil {
				analytic = grad[k]
			}
			if !(math.Abs(analytic-numeric) <= 1e-5*max(1, math.Abs(analytic), math.Abs(numeric))) {
				t.Fatalf("input %d, element %d: the gradient is %g, finite differences give %g", i, k, analytic, numeric)
			}
		}
		in[i] = x
	}
}

func near(t *testing.T, what string, got, want [][]float64, tol float64) {
	t.Helper()
	for i := range want {
		if len(got[i]) != len(want[i]) {
			t.Fatalf("%s: input %d: %d elements, want %d", what, i, len(got[i]), len(want[i]))
		}
		scale := 1.0
		for _, v := range want[i] {
			scale = max(scale, math.Abs(v))
		}
		for k, v := range want[i] {
			if !(math.Abs(got[i][k]-v) <= tol*scale) {
				t.Fatalf("%s: input %d, element %d: the gradient is %g, want %g", what, i, k, got[i][k], v)
			}
		}
	}
}
