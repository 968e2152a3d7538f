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
	// Inputs are samples to compare the written model with the trained one on, in
	// this runtime. Nil: no comparison.
	Inputs map[string]*tensor.Tensor
}

// defaultOpset is what Export writes if nothing is said.
const defaultOpset = 20

// Export returns the model for inference, as other runtimes take it: without
// Dropout, in the opset asked for, checked against the standard, and compared
// with what t computes where samples are given.
func (t *Trainer) Export(ctx context.Context, o ExportOptions) (*onnx.Model, error) {
	m, err := export(t.Model(), o)
	if err != nil {
		return nil, fmt.Errorf("train: export: %w", err)
	}
	if o.Inputs != nil {
		if err := t.compare(ctx, m, o.Inputs); err != nil {
			return nil, fmt.Errorf("train: export: %w", err)
		}
	}
	return m, nil
}

func export(m *onnx.Model, o ExportOptions) (*onnx.Model, error) {
	newest := schema.Newest("")
	if o.Opset != 0 && (o.Opset < 13 || o.Opset > newest) {
		return nil, fmt.Errorf("opset %d: want 13 to %d", o.Opset, newest)
	}
	if err := tidy(m, o.FoldBatchNorm); err != nil {
		return nil, err
	}
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
	var off []string
	for _, n := range optimize.Names() {
		switch n.Name {
		case "identities", "dce", "drop-dropout", "drop-identity":
		case "channels", "fold-batch-norm":
			if !fold {
				off = append(off, n.Name)
			}
		default:
			off = append(off, n.Name)
		}
	}
	_, err := optimize.Run(m, optimize.Portable, optimize.Options{Disable: off})
	return err
}

// compare runs m and the trained model on the same inputs.
func (t *Trainer) compare(ctx context.Context, m *onnx.Model, inputs map[string]*tensor.Tensor) error {
	want, err := t.Evaluate(ctx, inputs)
	if err != nil {
		return err
	}
	s, err := runtime.New(m, runtime.Options{Threads: t.cfg.Threads})
	if err != nil {
		return err
	}
	defer s.Close()
	in := map[string]tensor.Value{}
	for _, p := range s.Inputs() {
		if x := inputs[p.Name]; x != nil {
			in[p.Name] = x
		}
	}
	got, err := s.Run(ctx, in)
	if err != nil {
		return err
	}
	for name, w := range want {
		g, ok := got[name].(*tensor.Tensor)
		if !ok || !slices.Equal(g.Shape(), w.Shape()) {
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
