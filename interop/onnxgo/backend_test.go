package onnxgo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gneiss-run/gneiss"
	gonnx "github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/owulveryck/onnx-go"
	"gonum.org/v1/gonum/graph"
	"gonum.org/v1/gonum/graph/simple"
	"gonum.org/v1/gonum/graph/topo"
	gorgonia "gorgonia.org/tensor"
)

// file is a model in the making. Values are made by their first use.
type file struct {
	g      *gonnx.Graph
	values map[string]*gonnx.Value
}

func newFile(opset int) *file {
	return &file{gonnx.NewGraph("test", map[string]int{"": opset, "ai.onnx.ml": 1}), map[string]*gonnx.Value{}}
}

func (f *file) value(name string) *gonnx.Value {
	if name == "" {
		return nil
	}
	if f.values[name] == nil {
		f.values[name] = f.g.NewValue(name, gonnx.UnrankedType(tensor.Float32))
	}
	return f.values[name]
}

// in declares inputs of float32 with unknown size.
func (f *file) in(names ...string) *file {
	for _, n := range names {
		v := f.value(n)
		v.Type = gonnx.TensorType(tensor.Float32, gonnx.Name("N"))
		f.g.Inputs = append(f.g.Inputs, v)
	}
	return f
}

func (f *file) out(names ...string) *file {
	for _, n := range names {
		f.g.Outputs = append(f.g.Outputs, f.value(n))
	}
	return f
}

func (f *file) constant(name string, t *tensor.Tensor) *file {
	v := f.value(name)
	v.Const, v.Type = t, gonnx.TypeOf(t)
	f.g.AddConst(v)
	return f
}

// op adds a node; names are separated by spaces, "-" is absent.
func (f *file) op(domain, op, ins, outs string, attrs ...any) *file {
	n := &gonnx.Node{Domain: domain, Op: op, Opset: f.g.Opsets[domain], Attrs: gonnx.NewAttrs(attrs...), Graph: f.g}
	for _, name := range strings.Fields(ins) {
		n.In = append(n.In, f.value(strings.Trim(name, "-")))
	}
	for _, name := range strings.Fields(outs) {
		v := f.value(strings.Trim(name, "-"))
		if v != nil {
			v.From = n
		}
		n.Out = append(n.Out, v)
	}
	f.g.Nodes = append(f.g.Nodes, n)
	return f
}

func (f *file) bytes(t *testing.T) []byte {
	t.Helper()
	f.g.RebuildUses()
	data, err := gonnx.Encode(&gonnx.Model{IRVersion: 4, Opsets: f.g.Opsets, Graph: f.g})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// decode reads the model into a new backend.
func (f *file) decode(t *testing.T) (*Backend, *onnx.Model) {
	t.Helper()
	data := f.bytes(t)
	opsets, err := Opsets(data)
	if err != nil {
		t.Fatal(err)
	}
	b := NewBackend(Options{Opsets: opsets})
	t.Cleanup(func() { b.Close() })
	m := onnx.NewModel(b)
	if err := m.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	return b, m
}

func vec(x ...float32) gorgonia.Tensor {
	return gorgonia.New(gorgonia.WithShape(len(x)), gorgonia.WithBacking(x))
}

func floats(t *testing.T, g gorgonia.Tensor) []float32 {
	t.Helper()
	if g == nil {
		t.Fatal("no tensor")
	}
	x, err := FromGorgonia(g)
	if err != nil {
		t.Fatal(err)
	}
	return tensor.Data[float32](x)
}

// run sets the inputs, runs, and compares the outputs.
func run(t *testing.T, b *Backend, m *onnx.Model, in []gorgonia.Tensor, want ...[]float32) {
	t.Helper()
	for i, x := range in {
		if err := m.SetInput(i, x); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Run(); err != nil {
		t.Fatal(err)
	}
	out, err := m.GetOutputTensors()
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != len(want) {
		t.Fatalf("%d outputs, want %d", len(out), len(want))
	}
	for i, w := range want {
		if got := floats(t, out[i]); !slices.Equal(got, w) {
			t.Errorf("output %d is %v, want %v", i, got, w)
		}
	}
}

func TestRepeatedOperands(t *testing.T) {
	b, m := newFile(9).in("a", "b").op("", "Sum", "a b a a", "s").op("", "Mul", "s s", "y").out("y").decode(t)
	run(t, b, m, []gorgonia.Tensor{vec(1, 2), vec(10, 20)}, []float32{169, 676})
	if e := b.WeightedEdge(2, 0); e != nil {
		t.Errorf("edge from node 2, the result y, to the input: %v", e)
	}
	n, _ := m.GetNodeByName("s")
	if e := b.WeightedEdge(n.ID(), 0); e == nil || e.Weight() != 3 {
		t.Errorf("the edge has weight %v, want 3, the last position", e)
	}
}

func TestAbsentInputsAndOutputs(t *testing.T) {
	b, m := newFile(11).in("x", "max").op("", "Clip", "x - max", "y").out("y").decode(t)
	run(t, b, m, []gorgonia.Tensor{vec(-3, 2, 9), gorgonia.New(gorgonia.FromScalar(float32(5)))}, []float32{-3, 2, 5})

	// GRU has an absent first output, absent B and sequence_lens, and initial_h.
	w := func(n int) *tensor.Tensor { return tensor.New(tensor.Float32, 1, 3, n) }
	b, m = newFile(9).in("x", "h").constant("W", w(2)).constant("R", w(1)).
		op("", "GRU", "x W R - - h", "- last", "hidden_size", 1).out("last").decode(t)
	x := gorgonia.New(gorgonia.WithShape(1, 1, 2), gorgonia.WithBacking([]float32{1, 2}))
	h := gorgonia.New(gorgonia.WithShape(1, 1, 1), gorgonia.WithBacking([]float32{8}))
	run(t, b, m, []gorgonia.Tensor{x, h}, []float32{4}) // all gates are 1/2
}

func TestSeveralOutputs(t *testing.T) {
	f := newFile(9).in("x").op("", "Split", "x", "p q", "axis", 0).op("", "Neg", "p", "n").out("p", "n", "q")
	b, m := f.decode(t)
	// p is an output that an operator reads.
	run(t, b, m, []gorgonia.Tensor{vec(1, 2, 3, 4)}, []float32{1, 2}, []float32{-1, -2}, []float32{3, 4})
	run(t, b, m, []gorgonia.Tensor{vec(5, 6)}, []float32{5}, []float32{-5}, []float32{6})
}

func TestIntermediateValues(t *testing.T) {
	b, m := newFile(9).in("x").op("", "Neg", "x", "n").op("", "Relu", "n", "r").op("", "Exp", "r", "y").out("y").decode(t)
	gn, ok := m.GetNodeByName("n")
	if !ok {
		t.Fatal("no node n")
	}
	n := gn.(*Node)
	if v, err := n.Value(); v != nil || err != nil {
		t.Errorf("before the first run: %v, %v", v, err)
	}
	run(t, b, m, []gorgonia.Tensor{vec(1, 0)}, []float32{1, 1})
	if got := floats(t, n.GetTensor()); !slices.Equal(got, []float32{-1, 0}) {
		t.Errorf("n is %v", got)
	}
	if len(b.plan.wanted) != 2 {
		t.Errorf("%d values are computed by each run, want 2", len(b.plan.wanted))
	}
	run(t, b, m, []gorgonia.Tensor{vec(3, 4)}, []float32{1, 1})
	if n.v.run != b.runs {
		t.Error("the run left n out")
	}
	if got := floats(t, n.GetTensor()); !slices.Equal(got, []float32{-3, -4}) {
		t.Errorf("n is %v", got)
	}
	b.Close()
	r, _ := m.GetNodeByName("r")
	if v := r.(*Node).GetTensor(); v != nil {
		t.Errorf("after Close: %v", v)
	}
	if _, err := r.(*Node).Value(); err == nil {
		t.Error("after Close: no error")
	}
	run(t, b, m, []gorgonia.Tensor{vec(-2, 1)}, []float32{7.389056, 1})
}

func TestByproducts(t *testing.T) {
	// Nothing reads the mask of Dropout and the file does not return it.
	b, m := newFile(9).in("x").op("", "Dropout", "x", "y mask").out("y").decode(t)
	run(t, b, m, []gorgonia.Tensor{vec(1, 2)}, []float32{1, 2})
	if len(b.plan.wanted) != 1 {
		t.Errorf("%d values are computed, want 1", len(b.plan.wanted))
	}
}

func TestOutputThatIsAnInput(t *testing.T) {
	b, m := newFile(9).in("x").op("", "Neg", "x", "y").out("x", "y").decode(t)
	run(t, b, m, []gorgonia.Tensor{vec(1, 2)}, []float32{1, 2}, []float32{-1, -2})
}

func TestConstantNodes(t *testing.T) {
	c := tensor.Of([]float32{10, 20})
	b, m := newFile(9).in("x").op("", "Constant", "", "c", "value", c).op("", "Constant", "", "d", "value", c).
		op("", "Sum", "x c d", "y").out("y").decode(t)
	run(t, b, m, []gorgonia.Tensor{vec(1, 2)}, []float32{21, 42})
}

func TestSessionIsReused(t *testing.T) {
	b, m := newFile(9).in("x").constant("w", tensor.Of([]float32{2})).op("", "Mul", "x w", "y").out("y").decode(t)
	run(t, b, m, []gorgonia.Tensor{vec(1, 2)}, []float32{2, 4})
	if len(b.plan.consts) != 1 || len(b.plan.inputs) != 1 {
		t.Fatalf("%d constants, %d inputs", len(b.plan.consts), len(b.plan.inputs))
	}
	var last *runtime.Session
	reused := func(want bool, what string) {
		t.Helper()
		if (b.session == last) != want {
			t.Errorf("%s: session reused: %v", what, !want)
		}
		last = b.session
	}
	last = b.session
	run(t, b, m, []gorgonia.Tensor{vec(3, 4)}, []float32{6, 8})
	reused(true, "same size")
	run(t, b, m, []gorgonia.Tensor{vec(1, 2, 3)}, []float32{2, 4, 6})
	reused(false, "other size")
	run(t, b, m, []gorgonia.Tensor{vec(1, 2, 3, 4)}, []float32{2, 4, 6, 8})
	reused(true, "a third size")
	x := gorgonia.New(gorgonia.WithShape(2, 1), gorgonia.WithBacking([]float32{1, 2}))
	run(t, b, m, []gorgonia.Tensor{x}, []float32{2, 4})
	reused(false, "other rank")
	run(t, b, m, []gorgonia.Tensor{vec(7)}, []float32{14})
	reused(true, "a third rank")

	w, _ := m.GetNodeByName("w")
	if err := w.(*Node).SetTensor(vec(-1)); err != nil {
		t.Fatal(err)
	}
	run(t, b, m, []gorgonia.Tensor{vec(7)}, []float32{-7})
	reused(false, "another initializer")
	w.(*Node).SetTensor(vec(3))
	run(t, b, m, []gorgonia.Tensor{vec(7)}, []float32{21})
	reused(true, "an initializer that changes")

	x64 := gorgonia.New(gorgonia.WithBacking([]float64{1, 2}))
	m.SetInput(0, x64)
	if err := b.Run(); err == nil {
		t.Error("float64 times float32: no error")
	}
	run(t, b, m, []gorgonia.Tensor{vec(2)}, []float32{6})
}

func TestInputInPlace(t *testing.T) {
	b, m := newFile(9).in("x").op("", "Identity", "x", "y").out("y").decode(t)
	x := []float32{1, 2}
	run(t, b, m, []gorgonia.Tensor{vec(x...)}, []float32{1, 2})
	out, _ := m.GetOutputTensors()
	in := m.GetInputTensors()[0].Data().([]float32)
	in[0] = 5
	if got := floats(t, out[0]); got[0] != 1 {
		t.Errorf("the output changes with the input: %v", got)
	}
	run(t, b, m, nil, []float32{5, 2})
}

func TestOtherDomain(t *testing.T) {
	b, m := newFile(9).in("x").op("ai.onnx.ml", "Scaler", "x", "y", "offset", []float64{1}, "scale", []float64{3}).out("y").decode(t)
	x := gorgonia.New(gorgonia.WithShape(2, 1), gorgonia.WithBacking([]float32{1, 3}))
	run(t, b, m, []gorgonia.Tensor{x}, []float32{0, 6})
}

func TestCustomOperator(t *testing.T) {
	twice := &ops.Op{Domain: "test", Name: "Twice", Versions: []ops.Version{{
		Since: 1, In: ops.N(1), Out: ops.N(1),
		Infer: func(c *ops.InferContext) error { c.Out[0] = c.In(0); return nil },
		Build: func(*ops.BuildContext) (ops.Kernel, error) {
			return func(c *ops.Call) error {
				y := c.Output(0, tensor.Float32, c.T(0).Shape()...)
				for i, x := range tensor.Data[float32](c.T(0)) {
					tensor.Data[float32](y)[i] = 2 * x
				}
				return nil
			}, nil
		},
	}}}
	f := newFile(9).in("x")
	f.g.Opsets["test"] = 1
	data := f.op("test", "Twice", "x", "y").out("y").bytes(t)
	b := NewBackend(Options{Session: gneiss.Options{Operators: []*ops.Op{twice}}})
	defer b.Close()
	m := onnx.NewModel(b)
	if err := m.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	run(t, b, m, []gorgonia.Tensor{vec(1, 2)}, []float32{2, 4})
}

func TestNotImplemented(t *testing.T) {
	b := NewBackend(Options{})
	err := onnx.NewModel(b).UnmarshalBinary(newFile(9).in("x").op("", "NoSuchOp", "x", "y").out("y").bytes(t))
	if e, ok := err.(*onnx.ErrNotImplemented); !ok || e.Operator != "NoSuchOp" {
		t.Errorf("unknown operator: %v", err)
	}
	// Gelu is of opset 20.
	err = onnx.NewModel(NewBackend(Options{})).UnmarshalBinary(newFile(9).in("x").op("", "Gelu", "x", "y").out("y").bytes(t))
	if e, ok := err.(*onnx.ErrNotImplemented); !ok || !strings.Contains(e.Message, "opset 9") {
		t.Errorf("too new operator: %v", err)
	}
	b = NewBackend(Options{})
	n := add(b, "y")
	if err := b.ApplyOperation(onnx.Operation{Name: "Relu", Attributes: map[string]any{"alpha": struct{}{}}}, n); !errors.As(err, new(*onnx.ErrNotImplemented)) {
		t.Errorf("attribute without a type: %v", err)
	}
	if err := b.ApplyOperation(onnx.Operation{Name: "Relu", Attributes: map[string]any{"alpha": 1}}, n); !errors.As(err, new(*onnx.ErrNotImplemented)) {
		t.Errorf("attribute that is a Go int: %v", err)
	}
	// A result that onnx-go has no type for.
	b, m := newFile(9).in("x").op("", "Cast", "x", "h", "to", tensor.Float16).op("", "Cast", "h", "y", "to", tensor.Float32).out("y").decode(t)
	run(t, b, m, []gorgonia.Tensor{vec(1, 2)}, []float32{1, 2})
	h, _ := m.GetNodeByName("h")
	if _, err := h.(*Node).Value(); err == nil {
		t.Error("float16: no error")
	} else if _, ok := err.(*onnx.ErrNotImplemented); !ok {
		t.Errorf("float16: %v", err)
	}
	b, m = newFile(13).in("x").op("", "SequenceConstruct", "x", "y").out("y").decode(t)
	m.SetInput(0, vec(1))
	if _, ok := b.Run().(*onnx.ErrNotImplemented); !ok {
		t.Error("sequence: no ErrNotImplemented")
	}
}

// add adds a node by hand.
func add(b *Backend, name string) *Node {
	n := b.NewNode().(*Node)
	if name != "" {
		n.SetName(name)
	}
	b.AddNode(n)
	return n
}

// apply makes y the result of an operator, by hand.
func apply(t *testing.T, b *Backend, op string, y *Node, ins ...*Node) {
	t.Helper()
	for i, x := range ins {
		b.SetWeightedEdge(b.NewWeightedEdge(y, x, float64(i)))
	}
	if err := b.ApplyOperation(onnx.Operation{Name: op}, y); err != nil {
		t.Fatal(err)
	}
}

func TestGraphByHand(t *testing.T) {
	b := NewBackend(Options{})
	defer b.Close()
	// Nodes without names, operators in any order.
	x, w, s, y := add(b, ""), add(b, ""), add(b, ""), add(b, "")
	x.SetTensor(vec(3, 4))
	w.SetTensor(vec(1, 1))
	apply(t, b, "Sqrt", y, s)
	apply(t, b, "Sub", s, x, w)
	x.SetTensor(vec(5, 10))
	if err := b.RunContext(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := floats(t, y.GetTensor()); !slices.Equal(got, []float32{2, 3}) {
		t.Errorf("got %v", got)
	}
	// The graph can grow.
	z := add(b, "node 2")
	apply(t, b, "Neg", z, y)
	if _, err := s.Value(); err == nil {
		t.Error("value of a graph that changed: no error")
	}
	if err := b.Run(); err != nil {
		t.Fatal(err)
	}
	if got := floats(t, z.GetTensor()); !slices.Equal(got, []float32{-2, -3}) {
		t.Errorf("got %v", got)
	}
	if got := floats(t, s.GetTensor()); !slices.Equal(got, []float32{4, 9}) {
		t.Errorf("got %v", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.RunContext(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestMisuse(t *testing.T) {
	relu := onnx.Operation{Name: "Relu"}
	for name, f := range map[string]func(b *Backend) error{
		"empty graph":     func(b *Backend) error { return nil },
		"foreign node":    func(b *Backend) error { b.AddNode(simple.Node(1)); return nil },
		"node of another": func(b *Backend) error { b.AddNode(NewBackend(Options{}).NewNode()); return nil },
		"nil node":        func(b *Backend) error { b.AddNode(nil); return nil },
		"added twice":     func(b *Backend) error { b.AddNode(add(b, "x")); return nil },
		"nil edge":        func(b *Backend) error { b.SetWeightedEdge(nil); return nil },
		"foreign edge": func(b *Backend) error {
			b.SetWeightedEdge(b.NewWeightedEdge(add(b, "x"), simple.Node(1), 0))
			return nil
		},
		"foreign edge, from": func(b *Backend) error { b.SetWeightedEdge(b.NewWeightedEdge(nil, add(b, "x"), 0)); return nil },
		"negative position": func(b *Backend) error {
			b.SetWeightedEdge(b.NewWeightedEdge(add(b, "y"), add(b, "x"), -1))
			return nil
		},
		"fraction": func(b *Backend) error {
			b.SetWeightedEdge(b.NewWeightedEdge(add(b, "y"), add(b, "x"), 0.5))
			return nil
		},
		"huge position": func(b *Backend) error {
			b.SetWeightedEdge(b.NewWeightedEdge(add(b, "y"), add(b, "x"), 1e30))
			return nil
		},
		"operand twice": func(b *Backend) error {
			y := add(b, "y")
			b.SetWeightedEdge(b.NewWeightedEdge(y, add(b, "x"), 0))
			b.SetWeightedEdge(b.NewWeightedEdge(y, add(b, "z"), 0))
			return nil
		},
		"name of two": func(b *Backend) error {
			add(b, "x")
			add(b, "y").SetName("x")
			return nil
		},
		"foreign result":   func(b *Backend) error { return b.ApplyOperation(relu, simple.Node(1)) },
		"no result":        func(b *Backend) error { return b.ApplyOperation(relu) },
		"result not added": func(b *Backend) error { return b.ApplyOperation(relu, b.NewNode()) },
		"one result twice": func(b *Backend) error { y := add(b, "y"); return b.ApplyOperation(relu, y, y) },
		"nil tensor":       func(b *Backend) error { return add(b, "x").SetTensor(nil) },
		"unsuitable tensor": func(b *Backend) error {
			y, x := add(b, "y"), add(b, "x")
			apply(t, b, "Relu", y, x)
			return x.SetTensor(&gorgonia.CS{})
		},
		"two operators": func(b *Backend) error {
			y := add(b, "y")
			apply(t, b, "Relu", y, add(b, "x"))
			return b.ApplyOperation(relu, y)
		},
		"no tensor": func(b *Backend) error { apply(t, b, "Relu", add(b, "y"), add(b, "x")); return nil },
		"cycle": func(b *Backend) error {
			x, y := add(b, "x"), add(b, "y")
			apply(t, b, "Relu", y, x)
			apply(t, b, "Relu", x, y)
			return nil
		},
		"self": func(b *Backend) error { y := add(b, "y"); apply(t, b, "Relu", y, y); return nil },
		"operands differ": func(b *Backend) error {
			p, q := add(b, "p"), add(b, "q")
			b.SetWeightedEdge(b.NewWeightedEdge(p, add(b, "x"), 0))
			b.SetWeightedEdge(b.NewWeightedEdge(q, add(b, "z"), 0))
			return b.ApplyOperation(onnx.Operation{Name: "Split"}, p, q)
		},
		"too few operands": func(b *Backend) error {
			x := add(b, "x")
			apply(t, b, "Add", add(b, "y"), x)
			return x.SetTensor(vec(1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBackend(Options{})
			defer b.Close()
			err := f(b)
			if err == nil {
				err = b.Run()
			}
			if err == nil {
				t.Error("no error")
			}
		})
	}
	b := NewBackend(Options{Session: gneiss.Options{Threads: -1}})
	x, y := add(b, "x"), add(b, "y")
	apply(t, b, "Relu", y, x)
	x.SetTensor(vec(1))
	if err := b.Run(); err == nil {
		t.Error("wrong options: no error")
	}
	if _, err := Opsets([]byte("no model")); err == nil {
		t.Error("no model: no error")
	}
}

func TestInputNotSet(t *testing.T) {
	b, _ := newFile(9).in("x").op("", "Relu", "x", "y").out("y").decode(t)
	if err := b.Run(); err == nil || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("got %v", err)
	}
	// An initializer of zeros is none.
	b, m := newFile(9).in("x").constant("z", tensor.New(tensor.Float32, 2)).op("", "Add", "x z", "y").out("y").decode(t)
	run(t, b, m, []gorgonia.Tensor{vec(1, 2)}, []float32{1, 2})
	// Nor is one that is listed among the inputs, as files of IR version 3 do.
	f := newFile(9).in("x").constant("z", tensor.New(tensor.Float32, 2))
	f.g.Inputs = append(f.g.Inputs, f.value("z"))
	b, m = f.op("", "Add", "x z", "y").out("y").decode(t)
	run(t, b, m, []gorgonia.Tensor{vec(1, 2)}, []float32{1, 2})
	if len(b.plan.consts) != 1 {
		t.Errorf("%d constants, want 1", len(b.plan.consts))
	}
}

func TestGonum(t *testing.T) {
	b, m := newFile(9).in("x", "z").op("", "Add", "x z", "s").op("", "Mul", "s x", "y").out("y").decode(t)
	id := func(name string) int64 {
		n, ok := m.GetNodeByName(name)
		if !ok {
			t.Fatalf("no node %s", name)
		}
		return n.ID()
	}
	x, z, s, y := id("x"), id("z"), id("s"), id("y")
	names := func(it graph.Nodes) string {
		var out []string
		for it.Next() {
			out = append(out, it.Node().(*Node).GetName())
		}
		return strings.Join(out, " ")
	}
	for _, c := range [][2]string{
		{names(b.Nodes()), "x z y s"}, {names(b.From(y)), "s x"}, {names(b.From(x)), ""}, {names(b.To(x)), "s y"}, {names(b.To(y)), ""}, {names(b.To(99)), ""},
		{fmt.Sprint(b.HasEdgeFromTo(y, s), b.HasEdgeFromTo(s, y), b.HasEdgeBetween(s, y), b.HasEdgeBetween(x, z)), "true false true false"},
		{fmt.Sprint(b.Node(99) == nil, b.Edge(x, y) == nil, b.WeightedEdge(x, y) == nil, b.Edge(y, x) != nil), "true true true true"},
		{fmt.Sprint(b.WeightedEdge(y, x).Weight(), b.WeightedEdge(y, x).ReversedEdge().To().ID() == y), "1 true"},
		{fmt.Sprint(b.Weight(y, x)), "1 true"}, {fmt.Sprint(b.Weight(x, y)), "0 false"}, {fmt.Sprint(b.Weight(x, x)), "0 true"},
	} {
		if c[0] != c[1] {
			t.Errorf("got %q, want %q", c[0], c[1])
		}
	}
	order, err := topo.Sort(b)
	if err != nil || len(order) != 4 || order[0].ID() != y {
		t.Errorf("topological order %v, %v", order, err)
	}
}
