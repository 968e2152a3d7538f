package train

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/onnx/schema"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// ExportOptions say what a trained model is written as.
type ExportOptions struct {
	// Opset is the version of the standard's operators, 13 to the newest. 0: 20, which
	// the common runtimes have, or the next that can say what the model does.
	Opset int
	// FoldBatchNorm has BatchNormalization become part of the weights before it.
	// The other parameters keep their names in any case.
	FoldBatchNorm bool
	// Metadata is added to the model's metadata: classes, metrics, configuration.
	Metadata []onnx.Prop
	// From and To name values between which a part of the model is exported, such as the code
	// and the output of an autoencoder: inputs and outputs of what is written. To
	// nil: the whole model.
	From, To []string
	// Inputs are samples to compare the written model with the trained one on, in
	// this runtime: values of From where it is given. Nil: no comparison.
	Inputs map[string]*tensor.Tensor
}

// defaultOpset is what Export writes if nothing is said.
const defaultOpset = 20

// Export returns the model for inference, as other runtimes take it: without
// Dropout, in the opset asked for, checked against the standard, and compared
// with what t computes where samples are given.
func (t *Trainer) Export(ctx context.Context, o ExportOptions) (*onnx.Model, error) {
	m, err := t.exported(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("train: export: %w", err)
	}
	return m, nil
}

func (t *Trainer) exported(ctx context.Context, o ExportOptions) (*onnx.Model, error) {
	if t.torn != nil {
		return nil, t.torn
	}
	m := t.Model()
	want := map[string]*tensor.Tensor{}
	var err error
	if o.To != nil {
		if m, err = onnx.Extract(m, o.From, o.To); err != nil {
			return nil, err
		}
		if o.Inputs != nil {
			want, err = t.outputsOf(ctx, m.Clone(), o.Inputs)
		}
	} else if o.Inputs != nil {
		want, err = t.Evaluate(ctx, o.Inputs)
	}
	if err != nil {
		return nil, err
	}
	if m, err = export(m, o); err != nil || o.Inputs == nil {
		return m, err
	}
	return m, t.compare(ctx, m, o.Inputs, want)
}

func export(m *onnx.Model, o ExportOptions) (*onnx.Model, error) {
	newest := schema.Newest("")
	if o.Opset != 0 && (o.Opset < 13 || o.Opset > newest) {
		return nil, fmt.Errorf("opset %d: want 13 to %d", o.Opset, newest)
	}
	dropTrainingNoise(m.Graph)
	if err := tidy(m, o.FoldBatchNorm); err != nil {
		return nil, err
	}
	plainReshapes(m.Graph)
	var err error
	if o.Opset != 0 {
		err = optimize.ConvertOpset(m, "", o.Opset)
	} else {
		for v := defaultOpset; v <= newest; v++ {
			if err = optimize.ConvertOpset(m, "", v); err == nil {
				break
			}
		}
	}
	if err != nil {
		return nil, err
	}
	nameNodes(m.Graph)
	m.ProducerName = "gneiss"
	for _, p := range o.Metadata {
		i := slices.IndexFunc(m.Metadata, func(q onnx.Prop) bool { return q.Key == p.Key })
		if i >= 0 {
			m.Metadata[i] = p
		} else {
			m.Metadata = append(m.Metadata, p)
		}
	}
	if problems := onnx.Check(m); len(problems) > 0 {
		return nil, fmt.Errorf("the checker: %v", problems[0])
	}
	return m, nil
}

// tidy drops what inference has no use for, without renaming parameters.
func tidy(m *onnx.Model, fold bool) error {
	used := []string{"identities", "dce", "drop-dropout", "drop-identity", "drop-cast", "shapes"}
	if fold {
		if _, err := optimize.Run(m, optimize.Portable, optimize.Options{Only: append(used, "channels", "fold-batch-norm")}); err != nil {
			return err
		}
	}
	// Sizes and axes that are computed from constants become constants, which older
	// opsets may want. What is computed from parameters stays: they keep their names.
	g := m.Graph
	inputs, consts, hidden := g.Inputs, g.Consts, map[*onnx.Value]*tensor.Tensor{}
	g.Inputs, g.Consts = slices.Clone(inputs), nil
	for _, v := range consts {
		if v.Const == nil || !isFloat(v.Const.DType()) || v.Const.Len() == 1 {
			g.Consts = append(g.Consts, v)
			continue
		}
		hidden[v], v.Type, v.Const = v.Const, onnx.TypeOf(v.Const), nil
		g.Inputs = append(g.Inputs, v)
	}
	_, err := optimize.Run(m, optimize.Portable, optimize.Options{Only: append(used, "fold")})
	for v, t := range hidden {
		v.Const = t
	}
	consts = slices.DeleteFunc(consts, func(v *onnx.Value) bool { return hidden[v] == nil && !slices.Contains(g.Consts, v) })
	for _, v := range g.Consts {
		if !slices.Contains(consts, v) {
			consts = append(consts, v)
		}
	}
	g.Inputs, g.Consts = inputs, consts
	g.Prune()
	return err
}

// nameNodes names the nodes without a name after their results. Some importers
// give them numbers, which must not meet the names that others have.
func nameNodes(g *onnx.Graph) {
	g.Walk(func(g *onnx.Graph) {
		for _, n := range g.Nodes {
			if i := slices.IndexFunc(n.Out, func(v *onnx.Value) bool { return v != nil }); n.Name == "" && i >= 0 {
				n.Name = "node/" + n.Out[i].Name
			}
		}
	})
}

// plainReshapes drops allowzero, which opsets below 14 and some runtimes do not
// know, where the shape holds no constant 0. An element that is computed is a
// size, 0 for an empty batch alone.
func plainReshapes(g *onnx.Graph) {
	g.Walk(func(g *onnx.Graph) {
		for _, n := range g.Nodes {
			if n.Op == "Reshape" && n.Domain == "" && !slices.ContainsFunc(elementsOf(n.In[1], 8), func(v int64) bool { return v == 0 }) {
				n.Attrs = n.Attrs.Without("allowzero")
			}
		}
	})
}

// elementsOf returns the elements that v is made of, as far as they are constant;
// 0 among them if that cannot be told.
func elementsOf(v *onnx.Value, depth int) []int64 {
	switch {
	case v == nil || depth == 0:
		return []int64{0}
	case v.Const != nil && v.Const.DType() == tensor.Int64:
		return tensor.Data[int64](v.Const)
	case v.From == nil:
		return []int64{0}
	}
	switch n := v.From; n.Op {
	case "Shape", "Size", "Add", "Sub", "Mul", "Div":
		return nil
	case "Constant":
		if a := n.Attrs.Get("value"); a != nil {
			if t, ok := a.Value.(*tensor.Tensor); ok && t.DType() == tensor.Int64 {
				return tensor.Data[int64](t)
			}
		}
	case "Concat":
		var out []int64
		for _, x := range n.In {
			out = append(out, elementsOf(x, depth-1)...)
		}
		return out
	case "Gather", "Slice", "Unsqueeze", "Squeeze", "Reshape", "Identity", "Cast":
		return elementsOf(n.In[0], depth-1)
	}
	return []int64{0}
}

// outputsOf runs m on those of inputs that it has.
func (t *Trainer) outputsOf(ctx context.Context, m *onnx.Model, inputs map[string]*tensor.Tensor) (map[string]*tensor.Tensor, error) {
	s, err := runtime.New(m, runtime.Options{Threads: t.cfg.Threads})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	in := map[string]tensor.Value{}
	for _, p := range s.Inputs() {
		if x := inputs[p.Name]; x != nil {
			in[p.Name] = x
		}
	}
	res, err := s.Run(ctx, in)
	if err != nil {
		return nil, err
	}
	return tensors(res)
}

// compare runs m on inputs and holds its outputs against want.
func (t *Trainer) compare(ctx context.Context, m *onnx.Model, inputs, want map[string]*tensor.Tensor) error {
	got, err := t.outputsOf(ctx, m, inputs)
	if err != nil {
		return err
	}
	for name, w := range want {
		g := got[name]
		if g == nil || !slices.Equal(g.Shape(), w.Shape()) {
			return fmt.Errorf("output %q is %v, it was %v in training", name, got[name], w)
		}
		if d := distance(g, w); !(d <= 1e-4) {
			return fmt.Errorf("output %q differs by %.2g of its norm from what it was in training", name, d)
		}
	}
	return nil
}

// distance returns |a-b| relative to |b| in the L2 norm.
func distance(a, b *tensor.Tensor) float64 {
	x, err := tensor.Float64s(a)
	if err != nil {
		return math.Inf(1)
	}
	y, err := tensor.Float64s(b)
	if err != nil {
		return math.Inf(1)
	}
	d, n := 0.0, 0.0
	for i, v := range y {
		d += (x[i] - v) * (x[i] - v)
		n += v * v
	}
	return math.Sqrt(d / math.Max(n, 1e-30))
}
