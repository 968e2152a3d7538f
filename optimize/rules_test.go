package optimize

import (
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// graphModel makes a model whose graph f builds.
func graphModel(t *testing.T, opset int, f func(*ops.Builder)) *onnx.Model {
	t.Helper()
	m := &onnx.Model{IRVersion: 10, Opsets: map[string]int{"": opset, "com.microsoft": 1, "x": 1}}
	m.Graph = onnx.NewGraph("g", m.Opsets)
	b := ops.NewBuilder(m.Graph)
	f(b)
	if err := b.Err(); err != nil {
		t.Fatalf("building the example: %v", err)
	}
	b.Insert(nil)
	for i, v := range m.Graph.Outputs {
		v.Name = "out" + string(rune('0'+i))
	}
	return m
}

// random returns a value for each of g's inputs, which have static types.
func random(t *testing.T, g *onnx.Graph, r *rand.Rand) []tensor.Value {
	t.Helper()
	in := make([]tensor.Value, len(g.Inputs))
	for i, v := range g.Inputs {
		shape, ok := v.Type.Static()
		if !ok {
			t.Fatalf("input %q has type %v", v.Name, v.Type)
		}
		x := tensor.New(v.Type.DType, shape...)
		switch v.Type.DType {
		case tensor.Float32:
			for j := range tensor.Data[float32](x) {
				tensor.Data[float32](x)[j] = float32(r.NormFloat64())
			}
		case tensor.Float16, tensor.BFloat16:
			f := make([]float32, x.Len())
			for j := range f {
				f[j] = float32(r.NormFloat64())
			}
			tensor.Narrow(x, tensor.Of(f, shape...))
		case tensor.Int32:
			for j := range tensor.Data[int32](x) {
				tensor.Data[int32](x)[j] = int32(r.IntN(200) - 100)
			}
		case tensor.Int64:
			for j := range tensor.Data[int64](x) {
				tensor.Data[int64](x)[j] = int64(r.IntN(200) - 100)
			}
		case tensor.Bool:
			for j := range tensor.Data[bool](x) {
				tensor.Data[bool](x)[j] = r.IntN(2) == 0
			}
		default:
			t.Fatalf("input %q has type %v", v.Name, v.Type)
		}
		in[i] = x
	}
	return in
}

func eval(t *testing.T, g *onnx.Graph, in []tensor.Value) []tensor.Value {
	t.Helper()
	body, err := optest.Bodies(nil)(g)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]tensor.Value, len(g.Outputs))
	if err := body.Run(&ops.Call{}, in, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// same runs both graphs on random inputs and compares their outputs.
func same(t *testing.T, before, after *onnx.Graph, r *rand.Rand) {
	t.Helper()
	for range 3 {
		in := random(t, before, r)
		want, got := eval(t, before, in), eval(t, after, in)
		for i := range want {
			if err := tensor.Compare(got[i], want[i], tensor.Tolerance{Rel: 1e-5, Abs: 1e-5}); err != nil {
				t.Errorf("output %d: %v", i, err)
			}
			if before.Outputs[i].Name != after.Outputs[i].Name {
				t.Errorf("output %d is called %q, was %q", i, after.Outputs[i].Name, before.Outputs[i].Name)
			}
		}
	}
}

func newState(t *testing.T, m *onnx.Model, o Options) *state {
	t.Helper()
	s := &state{m: m, g: m.Graph, o: o, set: ops.Standard(), off: map[string]bool{}, report: &Report{Counts: map[string]int{}}}
	if err := s.infer(true); err != nil {
		t.Fatal(err)
	}
	return s
}

// allPasses returns the passes of all stages, the portable ones first.
func allPasses() []pass {
	var out []pass
	for _, st := range stages(Machine) {
		out = append(out, st.passes...)
	}
	return out
}

// TestRules builds the example of every rule, sees that the rule fires, and
// compares results before and after.
func TestRules(t *testing.T) {
	// Rules of later stages may read and write operators of any opset.
	anywhere, plain := map[*Rule]bool{}, map[*Rule]bool{}
	for _, p := range portable() {
		for _, r := range p.rules {
			plain[r] = true
		}
	}
	for _, p := range allPasses()[len(portable()):] {
		for _, r := range p.rules {
			anywhere[r] = true
		}
	}
	seen := map[*Rule]bool{}
	for _, p := range allPasses() {
		for _, r := range p.rules {
			if seen[r] {
				continue
			}
			seen[r] = true
			t.Run(r.Name, func(t *testing.T) {
				if r.Doc == "" || r.Example == nil {
					t.Fatal("no doc or no example")
				}
				opset := 21
				if !plain[r] {
					opset = machineOpsets[""]
				}
				m := graphModel(t, opset, r.Example)
				before := m.Clone()
				s := newState(t, m, Options{Check: true})
				if anywhere[r] {
					defer anyOpset(m.Graph)()
				}
				if err := s.apply(indexOf([]*Rule{r})); err != nil {
					t.Fatal(err)
				}
				if s.report.Counts[r.Name] == 0 {
					t.Fatal("the rule does not fire on its example")
				}
				same(t, before.Graph, m.Graph, rand.New(rand.NewPCG(1, 2)))
				// Read by others or returned, inner values must stay.
				m = graphModel(t, opset, r.Example)
				for _, n := range m.Graph.Nodes {
					for _, v := range n.Out {
						if v != nil && v.Uses() > 0 && !m.Graph.IsOutput(v) {
							m.Graph.Outputs = append(m.Graph.Outputs, v)
						}
					}
				}
				before = m.Clone()
				s = newState(t, m, Options{Check: true})
				if anywhere[r] {
					defer anyOpset(m.Graph)()
				}
				if err := s.apply(indexOf([]*Rule{r})); err != nil {
					t.Fatal(err)
				}
				same(t, before.Graph, m.Graph, rand.New(rand.NewPCG(3, 4)))
			})
		}
	}
}
