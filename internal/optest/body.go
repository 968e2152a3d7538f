package optest

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// body evaluates a nested graph node by node.
type body struct {
	g        *onnx.Graph
	captures map[*onnx.Value]tensor.Value
}

// Bodies returns what compiles nested graphs for ops.BuildEnv. captures gives
// the values that they read of the graphs around them.
func Bodies(captures map[*onnx.Value]tensor.Value) func(*onnx.Graph) (ops.Body, error) {
	return func(g *onnx.Graph) (ops.Body, error) { return &body{g, captures}, nil }
}

func typesOf(vs []*onnx.Value) []onnx.Type {
	ts := make([]onnx.Type, len(vs))
	for i, v := range vs {
		ts[i] = v.Type
	}
	return ts
}

// In returns the types of the graph's inputs.
func (b *body) In() []onnx.Type { return typesOf(b.g.Inputs) }

// Out returns the types of the graph's outputs.
func (b *body) Out() []onnx.Type { return typesOf(b.g.Outputs) }

// Run evaluates the graph.
func (b *body) Run(c *ops.Call, in, out []tensor.Value) error {
	if len(in) != len(b.g.Inputs) {
		return fmt.Errorf("%d values for a graph with %d inputs", len(in), len(b.g.Inputs))
	}
	vals := map[*onnx.Value]tensor.Value{}
	for v, x := range b.captures {
		vals[v] = x
	}
	for i, v := range b.g.Inputs {
		vals[v] = in[i]
	}
	get := func(v *onnx.Value) (tensor.Value, error) {
		if x := vals[v]; x != nil {
			return x, nil
		}
		if v.Const != nil {
			return v.Const, nil
		}
		return nil, fmt.Errorf("value %q is not there", v.Name)
	}
	for _, n := range b.g.Nodes {
		args := make([]tensor.Value, len(n.In))
		for i, v := range n.In {
			if v == nil {
				continue
			}
			var err error
			if args[i], err = get(v); err != nil {
				return err
			}
		}
		env := ops.BuildEnv{Body: Bodies(vals), Packed: func(i int) { args[i] = nil }}
		res, err := ops.Eval(par.P{Ctx: c.P.Ctx, Threads: c.P.Threads}, n, args, env)
		if err != nil {
			return fmt.Errorf("%v: %w", n, err)
		}
		for i, v := range n.Out {
			if v != nil {
				vals[v] = res[i]
			}
		}
	}
	for i := range out {
		var err error
		if out[i], err = get(b.g.Outputs[i]); err != nil {
			return err
		}
	}
	return nil
}

// InferBody infers a nested graph for ops.InferEnv. It leaves the types in the
// graph.
func InferBody(g *onnx.Graph, in []onnx.Type) ([]onnx.Type, error) {
	if len(in) != len(g.Inputs) {
		return nil, fmt.Errorf("%d types for a graph with %d inputs", len(in), len(g.Inputs))
	}
	for i, v := range g.Inputs {
		v.Type = in[i]
	}
	for _, n := range g.Nodes {
		types, _, err := ops.InferNode(n, ops.InferEnv{Body: InferBody})
		if err != nil {
			return nil, fmt.Errorf("%v: %w", n, err)
		}
		for i, v := range n.Out {
			if v != nil {
				v.Type = types[i]
			}
		}
	}
	return typesOf(g.Outputs), nil
}

// BodyGraph makes a nested graph: build adds nodes to it and returns its outputs.
func BodyGraph(in []onnx.Type, build func(b *ops.Builder, in []*onnx.Value) []*onnx.Value) *onnx.Graph {
	outer := onnx.NewGraph("outer", map[string]int{"": Latest, "com.microsoft": 1})
	g := outer.NewBody("body")
	for i, t := range in {
		g.AddInput(fmt.Sprintf("body_in%d", i), t)
	}
	b := ops.NewBuilder(g)
	b.Env.Body = InferBody
	g.Outputs = build(b, g.Inputs)
	if err := b.Err(); err != nil {
		panic(err)
	}
	b.Insert(nil)
	return g
}
