package optimize

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// optimised builds a model, runs the portable level with every check, compares
// results, and returns the model.
func optimised(t *testing.T, o Options, f func(*ops.Builder)) (*onnx.Model, *Report) {
	t.Helper()
	m := graphModel(t, 21, f)
	before := m.Clone()
	o.Check = true
	rep, err := Run(m, Portable, o)
	if err != nil {
		t.Fatal(err)
	}
	same(t, before.Graph, m.Graph, rand.New(rand.NewPCG(7, 8)))
	if o.MaxRewrites == 0 && len(o.Disable) == 0 {
		left, err := Leftovers(m, Portable, o)
		if err != nil || len(left) > 0 {
			t.Errorf("left over: %q, %v", left, err)
		}
	}
	return m, rep
}

func want(t *testing.T, m *onnx.Model, operators ...string) {
	t.Helper()
	if got := opNames(m.Graph); !slices.Equal(got, operators) {
		t.Errorf("operators %q, want %q", got, operators)
	}
}

func TestFold(t *testing.T) {
	m, _ := optimised(t, Options{}, func(b *ops.Builder) {
		c := b.Op("Constant", onnx.NewAttrs("value_floats", []float64{1, 2, 3}))
		d := b.Op("Exp", nil, b.Op("Neg", nil, c))
		ret(b, b.Op("Add", nil, in(b, "x", 2, 3), d), b.Op("Mul", nil, c, d))
	})
	want(t, m, "Add", "Identity") // the constant output needs a node to carry its name
}

func TestFoldKeepsWhatIsSmallerUncomputed(t *testing.T) {
	m, _ := optimised(t, Options{}, func(b *ops.Builder) {
		big := b.Op("Expand", nil, b.Float(tensor.Float32, 2), b.Ints(1024, 1024))
		q := b.Const(tensor.Of([]int8{1, 2, 3}))
		w := b.Op("DequantizeLinear", nil, q, b.Float(tensor.Float32, 0.5))
		ret(b, b.Op("ReduceSum", nil, b.Op("Mul", nil, big, in(b, "x", 1))), b.Op("Mul", nil, w, in(b, "y", 3)))
	})
	want(t, m, "Expand", "DequantizeLinear", "Mul", "ReduceSum", "Mul")
}

// How much working memory a node takes shows only when it runs.
func TestFoldTakesLittleMemory(t *testing.T) {
	m := graphModel(t, 21, func(b *ops.Builder) {
		flat := func(n int) *onnx.Value { return b.Op("Reshape", nil, b.Ints(n), b.Op("NonZero", nil, b.Ints(0))) }
		edge := func(x float64) *onnx.Value { return b.Float(tensor.Float32, x) }
		ret(b, b.Op("MelWeightMatrix", nil, flat(1<<24), flat(8), flat(8000), edge(0), edge(4000)))
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Run(m, Portable, Options{}); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 400<<20 {
		t.Errorf("folding took %d bytes", n)
	}
}

// Tied weights that another node reads, too, would be in the file twice.
func TestFoldKeepsWhatIsSharedUncomputed(t *testing.T) {
	m, _ := optimised(t, Options{}, func(b *ops.Builder) {
		w, small := floats(b, 1024, 512), floats(b, 4, 512)
		x := in(b, "x", 2, 512)
		ret(b, b.Op("MatMul", nil, x, b.Op("Transpose", nil, w)), b.Op("MatMul", nil, in(b, "y", 2, 1024), w),
			b.Op("MatMul", nil, x, b.Op("Transpose", nil, small)), b.Op("MatMul", nil, in(b, "z", 2, 4), small))
	})
	want(t, m, "Transpose", "MatMul", "MatMul", "MatMul", "MatMul")
}

func TestShapesBecomeConstants(t *testing.T) {
	m, _ := optimised(t, Options{}, func(b *ops.Builder) {
		x := in(b, "x", 2, 3, 4)
		s := b.Op("Shape", nil, x)
		n := b.Op("Gather", nil, s, b.Ints(0))
		ret(b, b.Op("Neg", nil, b.Op("Reshape", nil, x, b.Op("Concat", onnx.NewAttrs("axis", 0), n, b.Ints(-1)))))
	})
	want(t, m, "Reshape", "Neg")
}

func TestShapesWithFixedDims(t *testing.T) {
	m := graphModel(t, 21, func(b *ops.Builder) {
		x := b.G.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(3)))
		ret(b, b.Op("Mul", nil, x, b.Op("Cast", onnx.NewAttrs("to", tensor.Float32), b.Op("Size", nil, x))))
	})
	if _, err := Run(m, Portable, Options{Dims: map[string]int{"N": 4}, Check: true}); err != nil {
		t.Fatal(err)
	}
	want(t, m, "Mul")
	if got := m.Graph.Inputs[0].Type.String(); got != "float32[4,3]" {
		t.Errorf("input is %s", got)
	}
}

// What an exporter traced stands as the shape of the output; the sizes of the
// input are others. The rewrites must not take it for true.
func TestDeclaredOutputShapesAreNotBelieved(t *testing.T) {
	m := graphModel(t, 14, func(b *ops.Builder) {
		x := b.G.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(4), onnx.Size(6)))
		s := b.Op("Shape", nil, x)
		y := b.Op("Reshape", nil, x, b.Op("Concat", onnx.NewAttrs("axis", 0), b.Op("Slice", nil, s, b.Ints(0), b.Ints(1)), b.Ints(2, -1), b.Ints(6)))
		y.Type = onnx.TensorType(tensor.Float32, onnx.Sizes(2, 2, 2, 6)...)
		ret(b, y)
	})
	if _, err := Run(m, Portable, Options{Check: true}); err != nil {
		t.Fatal(err)
	}
	want(t, m, "Reshape")
	if got := tensor.Data[int64](m.Graph.Nodes[0].In[1].Const); !slices.Equal(got, []int64{0, 2, 2, 6}) {
		t.Errorf("reshaped to %v, want the first size of the input kept", got)
	}
	if got := m.Graph.Outputs[0].Type.String(); got != "float32[2,2,2,6]" {
		t.Errorf("the output is now declared %s", got)
	}
}

func branch(b *ops.Builder, f func(*ops.Builder) *onnx.Value) *onnx.Graph {
	g := b.G.NewBody("branch")
	n := ops.NewBuilder(g)
	g.Outputs = []*onnx.Value{f(n)}
	if n.Err() != nil {
		b.Fail(n.Err())
	}
	n.Insert(nil)
	return g
}

func TestBranches(t *testing.T) {
	m, _ := optimised(t, Options{}, func(b *ops.Builder) {
		x := in(b, "x", 2)
		y := b.Op("Abs", nil, x)
		then := branch(b, func(n *ops.Builder) *onnx.Value { return n.Op("Exp", nil, n.Op("Neg", nil, y)) })
		other := branch(b, func(n *ops.Builder) *onnx.Value { return n.Op("Sqrt", nil, y) })
		c := b.Const(tensor.Scalar(false))
		ret(b, b.Op("If", onnx.NewAttrs("then_branch", then, "else_branch", other), c))
	})
	want(t, m, "Abs", "Sqrt")
}

func TestRulesAndCommonNodesInBodies(t *testing.T) {
	var then *onnx.Graph
	m, _ := optimised(t, Options{}, func(b *ops.Builder) {
		x := in(b, "x", 2)
		c := inOf(b, tensor.Bool, "c")
		y := b.Op("Abs", nil, x)
		then = branch(b, func(n *ops.Builder) *onnx.Value { // |x| is there already
			return n.Op("Neg", nil, n.Op("Identity", nil, n.Op("Abs", nil, x)))
		})
		other := branch(b, func(n *ops.Builder) *onnx.Value { return n.Op("Relu", nil, n.Op("Relu", nil, y)) })
		ret(b, b.Op("Add", nil, y, b.Op("If", onnx.NewAttrs("then_branch", then, "else_branch", other), c)))
	})
	want(t, m, "Abs", "If", "Add")
	if got := opNames(then); !slices.Equal(got, []string{"Neg"}) {
		t.Errorf("then has %v", got)
	}
}

func TestCSE(t *testing.T) {
	m, rep := optimised(t, Options{}, func(b *ops.Builder) {
		x, y := in(b, "x", 2), in(b, "y", 2)
		a := b.Op("Add", nil, x, y)
		c := b.Op("Add", nil, y, x)
		r := b.Op("RandomNormalLike", nil, x)
		s := b.Op("RandomNormalLike", nil, x)
		z := b.Op("Mul", nil, b.Op("Sub", nil, r, r), b.Op("Sub", nil, s, s))
		d := b.Op("Mul", nil, a, b.Const(tensor.Of([]float32{1, 2})))
		e := b.Op("Mul", nil, c, b.Const(tensor.Of([]float32{1, 2})))
		ret(b, b.Op("Sub", nil, d, b.Op("Exp", nil, e)), z)
	})
	want(t, m, "Add", "RandomNormalLike", "RandomNormalLike", "Sub", "Sub", "Mul", "Mul", "Exp", "Sub")
	if rep.Counts["cse"] != 3 {
		t.Errorf("%v", rep)
	}
}

func TestDCE(t *testing.T) {
	m, _ := optimised(t, Options{}, func(b *ops.Builder) {
		x := in(b, "x", 1, 1, 4, 4)
		b.Op("Exp", nil, b.Op("Neg", nil, x))
		ret(b, b.Ops("", "MaxPool", onnx.NewAttrs("kernel_shape", []int{2, 2}), 2, x)[0])
	})
	want(t, m, "MaxPool")
	if len(m.Graph.Nodes[0].Out) != 1 || len(m.Graph.Consts) != 0 {
		t.Errorf("outputs %d, initializers %d", len(m.Graph.Nodes[0].Out), len(m.Graph.Consts))
	}
}

func TestBatchNormAfterGemmAndConvTranspose(t *testing.T) {
	norm := func(b *ops.Builder, x *onnx.Value, n int) *onnx.Value {
		return b.Op("BatchNormalization", nil, x, floats(b, n), floats(b, n), floats(b, n), floats(b, n))
	}
	m, _ := optimised(t, Options{}, func(b *ops.Builder) {
		y := b.Op("Gemm", onnx.NewAttrs("alpha", 0.5, "beta", 2.0, "transB", 1), in(b, "x", 2, 3), floats(b, 4, 3), floats(b, 4))
		ret(b, norm(b, y, 4))
	})
	want(t, m, "Gemm")
	m, _ = optimised(t, Options{}, func(b *ops.Builder) {
		ret(b, norm(b, b.Op("MatMul", nil, in(b, "x", 2, 3), floats(b, 3, 4)), 4))
	})
	want(t, m, "Gemm")
	m, _ = optimised(t, Options{}, func(b *ops.Builder) {
		y := b.Op("ConvTranspose", onnx.NewAttrs("group", 2), in(b, "x", 1, 4, 3, 3), floats(b, 4, 3, 2, 2))
		ret(b, norm(b, y, 6))
	})
	want(t, m, "ConvTranspose")
	m, _ = optimised(t, Options{}, func(b *ops.Builder) { // the channel is not the last axis
		ret(b, norm(b, b.Op("MatMul", nil, in(b, "x", 2, 4, 3), floats(b, 3, 4)), 4))
	})
	want(t, m, "MatMul", "BatchNormalization")
}

// TestProductTimesZero: 0·NaN and 0·Inf are NaN at every level.
func TestProductTimesZero(t *testing.T) {
	nan := float32(math.NaN())
	for _, level := range []Level{None, Machine} {
		m := graphModel(t, 21, func(b *ops.Builder) {
			ret(b, b.Op("Gemm", onnx.NewAttrs("alpha", 0.0), in(b, "x", 2, 3), floats(b, 3, 2)))
		})
		if _, err := Run(m, level, Options{Check: true}); err != nil {
			t.Fatal(err)
		}
		out := eval(t, m.Graph, []tensor.Value{tensor.Of([]float32{1, 2, nan, 1, 2, 3}, 2, 3)})
		if err := tensor.Compare(out[0], tensor.Of([]float32{nan, nan, 0, 0}, 2, 2), tensor.Tolerance{}); err != nil {
			t.Errorf("level %v: %v", level, err)
		}
	}
}

func TestDisableAndNames(t *testing.T) {
	build := func(b *ops.Builder) {
		ret(b, b.Op("Neg", nil, b.Op("Identity", nil, b.Op("Relu", nil, in(b, "x", 2)))))
	}
	m, _ := optimised(t, Options{Disable: []string{"drop-identity"}}, build)
	want(t, m, "Relu", "Identity", "Neg")
	m, _ = optimised(t, Options{Disable: []string{"identities"}}, build)
	want(t, m, "Relu", "Identity", "Neg")
	_, err := Run(m, Portable, Options{Disable: []string{"drop-identiy"}})
	if err == nil || !strings.Contains(err.Error(), `the nearest is "drop-identity"`) {
		t.Errorf("error %v", err)
	}
	seen := map[string]bool{}
	for _, n := range Names() {
		if n.Name == "" || n.Doc == "" || seen[n.Name] {
			t.Errorf("name %q, doc %q", n.Name, n.Doc)
		}
		seen[n.Name] = true
	}
}

func TestMaxRewritesAndTrace(t *testing.T) {
	build := func(b *ops.Builder) {
		x := in(b, "x", 2)
		for range 4 {
			x = b.Op("Identity", nil, b.Op("Neg", nil, x))
		}
		ret(b, x)
	}
	for limit := 1; limit <= 3; limit++ {
		var events []string
		o := Options{MaxRewrites: limit, Trace: func(e Event) { events = append(events, e.String()) }}
		m, rep := optimised(t, o, build)
		if rep.Rewrites != limit || len(events) != limit || len(m.Graph.Nodes) != rep.NodesAfter {
			t.Errorf("limit %d: %v, events %q", limit, rep, events)
		}
	}
}

// ONNX Runtime loads no graph in which two nodes have one name.
func TestNodesHaveDifferentNames(t *testing.T) {
	m := graphModel(t, 21, func(b *ops.Builder) {
		x := b.G.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("batch"), onnx.Name("time"), onnx.Size(8)))
		v := b.Op("Transpose", perms(1, 0, 2), b.Op("Tanh", nil, b.Op("MatMul", nil, x, floats(b, 8, 8))))
		ret(b, b.Op("Gather", onnx.NewAttrs("axis", 0), v, b.Const(tensor.Scalar(int64(0)))))
	})
	for i, n := range m.Graph.Nodes {
		n.Name = fmt.Sprintf("node%d", i)
	}
	m.Graph.Nodes[1].Name = "node0_2" // which would be next
	if _, err := Run(m, Portable, Options{Check: true}); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, n := range m.Graph.Nodes {
		if seen[n.Name] {
			t.Errorf("two nodes are called %q:\n%s", n.Name, graphText(m))
		}
		seen[n.Name] = true
	}
	if len(seen) < 4 {
		t.Errorf("nothing was narrowed:\n%s", graphText(m))
	}
}

func TestLevelNone(t *testing.T) {
	m := graphModel(t, 21, func(b *ops.Builder) { ret(b, b.Op("Identity", nil, in(b, "x", 2))) })
	m.Graph.Outputs[0].Type = onnx.Type{}
	rep, err := Run(m, None, Options{})
	if err != nil || rep.Rewrites != 0 || m.Graph.Outputs[0].Type.String() != "float32[2]" {
		t.Errorf("%v, %v, %v", rep, err, m.Graph.Outputs[0].Type)
	}
}

func TestInputDefaultsAreNotFolded(t *testing.T) {
	build := func(ir int64) *onnx.Model {
		m := graphModel(t, 13, func(b *ops.Builder) {
			x, w := in(b, "x", 2), in(b, "w", 2)
			w.Const = tensor.Of([]float32{1, 2})
			ret(b, b.Op("Add", nil, x, b.Op("Neg", nil, w)))
		})
		m.IRVersion = ir
		if _, err := Run(m, Portable, Options{Check: true}); err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := build(8)
	want(t, m, "Neg", "Add")
	if len(m.Graph.Inputs) != 2 || m.Graph.Inputs[1].Const == nil {
		t.Error("the default is lost")
	}
	m = build(3)
	want(t, m, "Add")
	if len(m.Graph.Inputs) != 1 || m.IRVersion != 4 {
		t.Errorf("%d inputs, IR version %d", len(m.Graph.Inputs), m.IRVersion)
	}
}

func TestFunctionsOfAnotherOpsetAreAligned(t *testing.T) {
	m := testModel()
	m.Opsets["f"] = 1
	f := function("F", []string{"x"}, func(g *onnx.Graph, in []*onnx.Value) []*onnx.Value {
		n := g.NewNode("Unsqueeze", onnx.NewAttrs("axes", []int{0}), in, 1)
		n.Opset = 11
		g.Insert(nil, n)
		return n.Out
	})
	f.Opsets = map[string]int{"": 11}
	m.Functions = []*onnx.Function{f}
	x := m.Graph.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Size(2)))
	m.Graph.Outputs = call(m.Graph, "F", nil, 1, x).Out
	if _, err := Run(m, Portable, Options{Check: true}); err != nil {
		t.Fatal(err)
	}
	if n := m.Graph.Nodes[0]; n.Opset != 17 || len(n.In) != 2 {
		t.Errorf("%v has opset %d and %d inputs", n, n.Opset, len(n.In))
	}
}

func TestRaiseOpset(t *testing.T) {
	rule := &Rule{Name: "r", Pattern: Op("Neg", Op("Abs", Var("x"))),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value { return b.Ops("", "Mish", nil, 1, m.Var("x")) }}
	for _, raise := range []bool{false, true} {
		m := graphModel(t, 13, func(b *ops.Builder) { ret(b, b.Op("Neg", nil, b.Op("Abs", nil, in(b, "x", 2)))) })
		s := newState(t, m, Options{Check: true, RaiseOpset: raise})
		if err := s.apply(indexOf([]*Rule{rule})); err != nil {
			t.Fatal(err)
		}
		if got := m.Graph.Nodes[0].Op == "Mish"; got != raise || s.raised != raise || m.Opsets[""] != 13 {
			t.Errorf("RaiseOpset %v: rewritten %v, opsets %v", raise, got, m.Opsets)
		}
	}
}

// ONNX Runtime knows LayerNormalization in all opsets, the standard since 17.
func TestPortableOpsets(t *testing.T) {
	for _, c := range []struct {
		opset int
		level Level
		raise bool
		norm  bool
	}{{17, Portable, false, true}, {13, Portable, false, false}, {13, Portable, true, true}, {13, Machine, false, true}} {
		m := graphModel(t, c.opset, func(b *ops.Builder) {
			x := in(b, "x", 2, 3, 4)
			mean := func(x *onnx.Value) *onnx.Value { return b.Op("ReduceMean", onnx.NewAttrs("axes", []int{-1}), x) }
			d := b.Op("Sub", nil, x, mean(x))
			ret(b, b.Op("Div", nil, d, b.Op("Sqrt", nil, b.Op("Add", nil, mean(b.Op("Mul", nil, d, d)), f32(b, 1e-5)))))
		})
		if _, err := Run(m, c.level, Options{Check: true, RaiseOpset: c.raise}); err != nil {
			t.Fatal(err)
		}
		if got := slices.ContainsFunc(m.Graph.Nodes, func(n *onnx.Node) bool { return n.Op == "LayerNormalization" }); got != c.norm {
			t.Errorf("%+v: LayerNormalization %v", c, got)
		}
		if problems := onnx.Check(m); c.level == Portable && len(problems) > 0 {
			t.Error(problems)
		}
	}
}

func TestApplyGuards(t *testing.T) {
	wrongType := &Rule{Name: "wrong", Pattern: Op("Neg", Var("x")),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			return b.Ops("", "Cast", onnx.NewAttrs("to", tensor.Int8), 1, m.Var("x"))
		}}
	endless := &Rule{Name: "endless", Pattern: Op("Neg", Var("x")),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value { return b.Ops("", "Neg", nil, 1, m.Var("x")) }}
	build := func(b *ops.Builder) { ret(b, b.Op("Neg", nil, in(b, "x", 2))) }
	s := newState(t, graphModel(t, 13, build), Options{})
	if err := s.apply(indexOf([]*Rule{wrongType})); err != nil || s.report.Rewrites != 0 {
		t.Errorf("a rewrite to another type: %v, %v", err, s.report)
	}
	s = newState(t, graphModel(t, 13, build), Options{Check: true})
	if err := s.apply(indexOf([]*Rule{wrongType})); err == nil || !strings.Contains(err.Error(), "rule wrong at Neg") {
		t.Errorf("a rewrite to another type, checked: %v", err)
	}
	s = newState(t, graphModel(t, 13, build), Options{})
	if err := s.apply(indexOf([]*Rule{endless})); err == nil || !strings.Contains(err.Error(), "do not come to an end") {
		t.Errorf("an endless rule: %v", err)
	}
}

// TestPatterns tries the combinators on one small graph each.
func TestPatterns(t *testing.T) {
	var root, x, y *onnx.Value
	cases := []struct {
		name  string
		build func(*ops.Builder)
		p     *Pattern
		want  bool
	}{
		{"commutative, with a choice to take back", func(b *ops.Builder) {
			root = b.Op("Mul", nil, b.Op("Add", nil, x, b.Op("Neg", nil, y)), b.Op("Neg", nil, x))
		}, Op("Mul", Op("Neg", Var("a")), Op("Add", Op("Neg", Var("b")), Var("a"))), true},
		{"one name, two values", func(b *ops.Builder) { root = b.Op("Add", nil, x, y) }, Op("Add", Var("a"), Var("a")), false},
		{"constant", func(b *ops.Builder) { root = b.Op("Add", nil, b.Float(tensor.Float32, 0.501), x) }, Op("Add", Var("a"), Const(0.5, 0.01)), true},
		{"another constant", func(b *ops.Builder) { root = b.Op("Add", nil, b.Float(tensor.Float32, 0.6), x) }, Op("Add", Var("a"), Const(0.5, 0.01)), false},
		{"not commutative", func(b *ops.Builder) { root = b.Op("Sub", nil, b.Float(tensor.Float32, 1), x) }, Op("Sub", Var("a"), ConstAny("c")), false},
		{"optional, there", func(b *ops.Builder) { root = b.Op("Exp", nil, b.Op("Neg", nil, x)) }, Op("Exp", Optional("Neg", Var("a"))), true},
		{"optional, not there", func(b *ops.Builder) { root = b.Op("Exp", nil, x) }, Op("Exp", Optional("Neg", Var("a"))), true},
		{"absent input", func(b *ops.Builder) { root = b.Op("Clip", nil, x, nil, b.Float(tensor.Float32, 1)) }, Op("Clip", Var("a"), Absent(), ConstAny("c")), true},
		{"more inputs than the pattern", func(b *ops.Builder) { root = b.Op("Sum", nil, x, y) }, Op("Sum", Var("a")), false},
		{"rest", func(b *ops.Builder) { root = b.Op("Sum", nil, x, y) }, Op("Sum", Var("a")).Rest(), true},
		{"another output", func(b *ops.Builder) {
			root = b.Op("Neg", nil, b.Ops("", "Split", onnx.NewAttrs("num_outputs", 2), 2, x)[1])
		}, Op("Neg", Out(1, "Split", Var("a"))), true},
		{"not that output", func(b *ops.Builder) {
			root = b.Op("Neg", nil, b.Ops("", "Split", onnx.NewAttrs("num_outputs", 2), 2, x)[1])
		}, Op("Neg", Op("Split", Var("a"))), false},
	}
	for _, c := range cases {
		graphModel(t, 21, func(b *ops.Builder) {
			x, y = in(b, "x", 2), in(b, "y", 2)
			c.build(b)
			if root == nil {
				return
			}
			ret(b, root)
			root.From.Graph = b.G
			for _, n := range b.Nodes {
				n.Graph = b.G
			}
			if got := match(ops.Standard(), c.p, root.From, func(*Match) bool { return true }); got != c.want {
				t.Errorf("%s: %v", c.name, got)
			}
		})
	}
}

// randomGraph builds a graph of n nodes over values of shape [2, 3] or [3, 2],
// full of things that passes look for.
func randomGraph(r *rand.Rand, n int) func(*ops.Builder) {
	return func(b *ops.Builder) {
		vals := []*onnx.Value{in(b, "x", 2, 3), in(b, "y", 2, 3)}
		pick := func() *onnx.Value { return vals[r.IntN(len(vals))] }
		flip := onnx.NewAttrs("perm", []int{1, 0})
		for range n {
			v := pick()
			switch r.IntN(14) {
			case 0:
				v = b.Op("Identity", nil, v)
			case 1:
				v = b.Op("Neg", nil, v)
			case 2:
				v = b.Op("Add", nil, v, pick())
			case 3:
				v = b.Op("Mul", nil, b.Float(tensor.Float32, float64(r.IntN(2))), v)
			case 4:
				v = b.Op("Transpose", flip, b.Op("Transpose", flip, v))
			case 5:
				v = b.Op("Reshape", nil, b.Op("Transpose", flip, v), b.Ints(2, -1))
			case 6:
				v = b.Op("Reshape", nil, b.Op("Reshape", nil, v, b.Ints(6)), b.Op("Shape", nil, pick()))
			case 7:
				v = b.Op("Relu", nil, v)
			case 8:
				v = b.Op("Cast", onnx.NewAttrs("to", tensor.Float32), b.Op("Cast", onnx.NewAttrs("to", tensor.Float64), v))
			case 9:
				v = b.Op("Squeeze", nil, b.Op("Unsqueeze", nil, v, b.Ints(0)), b.Ints(0))
			case 10:
				v = b.Op("Tanh", nil, b.Op("Mul", nil, b.Op("MatMul", nil, v, floats(b, 3, 3)), floats(b, 3)))
			case 11:
				v = b.Op("Sub", nil, v, b.Op("Exp", nil, b.Const(tensor.Of([]float32{0, 1, -1}))))
			case 12:
				w, u := pick(), pick()
				then := branch(b, func(k *ops.Builder) *onnx.Value { return k.Op("Identity", nil, k.Op("Neg", nil, w)) })
				other := branch(b, func(k *ops.Builder) *onnx.Value { return k.Op("Mul", nil, u, k.Float(tensor.Float32, 1)) })
				c := b.Const(tensor.Scalar(r.IntN(2) == 0))
				if r.IntN(2) == 0 {
					c = b.Op("Less", nil, b.Op("ReduceMax", onnx.NewAttrs("keepdims", 0), v), b.Float(tensor.Float32, 0.5))
				}
				v = b.Op("If", onnx.NewAttrs("then_branch", then, "else_branch", other), c)
			case 13:
				v = b.Ops("", "Split", onnx.NewAttrs("axis", 0), 2, b.Op("Concat", onnx.NewAttrs("axis", 0), v, pick()), b.Ints(2, 2))[r.IntN(2)]
			}
			vals = append(vals, v)
		}
		ret(b, vals[len(vals)-1])
		if v := pick(); v != b.G.Outputs[0] && v.From != nil {
			ret(b, v)
		}
	}
}

func TestRandomGraphsKeepTheirMeaning(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			m := graphModel(t, 21, randomGraph(r, 5+r.IntN(25)))
			before := m.Clone()
			if _, err := Run(m, Portable, Options{Check: true}); err != nil {
				t.Fatal(err)
			}
			same(t, before.Graph, m.Graph, r)
			left, err := Leftovers(m, Portable, Options{})
			if err != nil || len(left) > 0 {
				t.Errorf("left over: %q, %v", left, err)
			}
		})
	}
}

func TestLargeGraphIsFast(t *testing.T) {
	m := graphModel(t, 21, func(b *ops.Builder) {
		x := in(b, "x", 8)
		for range 850 {
			x = b.Op("Neg", nil, b.Op("Identity", nil, b.Op("Add", nil, b.Op("Exp", nil, x), b.Float(tensor.Float32, 0))))
		}
		ret(b, x)
	})
	start := time.Now()
	if _, err := Run(m, Portable, Options{}); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("3400 nodes took %v", d)
	} else {
		t.Logf("3400 nodes took %v", d)
	}
	if len(m.Graph.Nodes) != 1700 {
		t.Errorf("%d nodes are left", len(m.Graph.Nodes))
	}
}

// TestPrivateOperatorsAreRefused: what rewriting writes is not a way in.
func TestPrivateOperatorsAreRefused(t *testing.T) {
	for name, wrap := range map[string]bool{"in the graph": false, "in a branch": true} {
		m := graphModel(t, 17, func(b *ops.Builder) {
			x := in(b, "x", 3, 3)
			y := func(b *ops.Builder) *onnx.Value { return b.Ops("x", "MatMul", nil, 1, x, x)[0] }
			if !wrap {
				ret(b, y(b))
				return
			}
			branch := func() *onnx.Graph {
				g := onnx.NewGraph("branch", b.G.Opsets)
				c := ops.NewBuilder(g)
				g.Outputs = []*onnx.Value{y(c)}
				c.Insert(nil)
				return g
			}
			ret(b, b.Op("If", onnx.NewAttrs("then_branch", branch(), "else_branch", branch()), inOf(b, tensor.Bool, "c")))
		})
		for _, l := range []Level{None, Portable, Machine} {
			_, err := Run(m, l, Options{})
			if !errors.Is(err, ops.ErrUnsupported) || !strings.Contains(err.Error(), `operator x.MatMul: the domain "x" is reserved`) {
				t.Errorf("%s, %v: %v", name, l, err)
			}
		}
	}
}
