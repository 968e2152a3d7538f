package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
)

// balanced asks for weights by how often classes occur.
const balanced = "balanced"

// classWeights is how much each class counts in the loss: "balanced", a list in the order of classes, or numbers by
// the names of classes.
type classWeights struct {
	balanced bool
	list     []float32
	byName   map[string]float32
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (w *classWeights) UnmarshalYAML(n *yaml.Node) error {
	fail := func() error {
		return fmt.Errorf("line %d: class_weights: want %s, a list of numbers, or numbers by the names of classes", n.Line, balanced)
	}
	var err error
	switch n.Kind {
	case yaml.ScalarNode:
		if w.balanced = n.Value == balanced; !w.balanced {
			return fail()
		}
		return nil
	case yaml.SequenceNode:
		err = n.Decode(&w.list)
	default:
		err = n.Decode(&w.byName)
	}
	if err != nil || len(w.list)+len(w.byName) == 0 {
		return fail()
	}
	for _, v := range w.list {
		if !(v >= 0) || math.IsInf(float64(v), 0) {
			return fmt.Errorf("line %d: class_weights: %g, want a number of at least 0", n.Line, v)
		}
	}
	for _, name := range namesOf(w.byName) {
		if v := w.byName[name]; !(v >= 0) || math.IsInf(float64(v), 0) {
			return fmt.Errorf("line %d: class_weights: %s is %g, want a number of at least 0", n.Line, name, v)
		}
	}
	return nil
}

// checkWeights reports weights that the loss cannot have.
func (c *trainConfig) checkWeights() error {
	w := c.ClassWeights
	switch s := c.Data.Sampling; {
	case s != "" && s != balanced:
		return fmt.Errorf("data: sampling is %q, want %s", s, balanced)
	case s != "" && c.Data.Stream.on:
		return fmt.Errorf("data: sampling draws from all samples, and stream reads one after the other: use class_weights")
	case s != "" && (!c.takesClasses() || c.Loss.Name == ""):
		return fmt.Errorf("data: sampling: %s is for losses of classes, not %q", balanced, c.Loss.Name)
	case s != "" && c.Data.Target.columns != nil:
		return fmt.Errorf("data: sampling: a sample with several targets has no class of its own: use class_weights")
	}
	if w == nil {
		return nil
	}
	switch c.Loss.Name {
	case "cross_entropy", "nll":
	case "bce_with_logits":
		if !w.balanced {
			return fmt.Errorf("class_weights: for bce_with_logits want %s; other weights are {name: bce_with_logits, pos_weight: 3} or pos_weights", balanced)
		}
	default:
		return fmt.Errorf("class_weights are for cross_entropy, nll and bce_with_logits, not %q", c.Loss.Name)
	}
	for _, key := range []string{"weights", "pos_weight", "pos_weights"} {
		if child(c.Loss.node, key) != nil {
			return fmt.Errorf("class_weights: loss has %s, too: want one of these", key)
		}
	}
	return nil
}

// weighted returns the loss with class_weights, for the model m.
func (c *trainConfig) weighted(ctx context.Context, l train.Loss, m *onnx.Model) (train.Loss, error) {
	if c.ClassWeights == nil {
		return l, nil
	}
	switch l := l.(type) {
	case train.CrossEntropy:
		w, err := c.weightsOf(ctx, m, l.Axis, l.Ignore, l.IgnoreIndex)
		l.Weights = w
		return l, err
	case train.NLL:
		w, err := c.weightsOf(ctx, m, l.Axis, l.Ignore, l.IgnoreIndex)
		l.Weights = w
		return l, err
	case train.BCEWithLogits:
		w, err := c.positiveWeights(ctx)
		l.PosWeights = w
		return l, err
	}
	return l, nil
}

// weightsOf returns the weights of classes: balanced, samples/(classes·samples of the class), and 1 for a class without
// samples, as scikit-learn's compute_class_weight has them.
func (c *trainConfig) weightsOf(ctx context.Context, m *onnx.Model, axis int, ignore bool, index int) ([]float32, error) {
	k, names, w := c.classesOn(m, axis), c.classNames(), c.ClassWeights
	if k < 0 {
		return nil, fmt.Errorf("class_weights: how many classes the model's output has is not known: give loss.weights")
	}
	switch {
	case w.list != nil:
		if len(w.list) != k {
			return nil, fmt.Errorf("class_weights: %d numbers, and the model's output has %d classes", len(w.list), k)
		}
		return w.list, nil
	case w.byName != nil:
		out := slices.Repeat([]float32{1}, k)
		for _, name := range namesOf(w.byName) {
			at := slices.Index(names, name)
			if at < 0 || at >= k {
				return nil, fmt.Errorf("class_weights: there is no class %q; there are %s", name, someNames(names))
			}
			out[at] = w.byName[name]
		}
		return out, nil
	}
	counts, n, present, seen := make([]float64, k), 0.0, 0.0, 0
	err := c.eachTarget(ctx, func(y *tensor.Tensor) error {
		v, err := tensor.Float64s(y)
		if err != nil {
			return fmt.Errorf("class_weights: %q: %w", c.target(), err)
		}
		width := max(len(v)/max(y.Dim(0), 1), 1)
		for i, e := range v {
			if ignore && e == float64(index) {
				continue
			}
			if !(e >= 0 && e < float64(k) && e == math.Trunc(e)) {
				return fmt.Errorf("%v: sample %d: %q is %g, want a class below %d", c.Data.Train, seen+i/width+1, c.target(), e, k)
			}
			counts[int(e)]++
			n++
		}
		seen += y.Dim(0)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, q := range counts {
		if q > 0 {
			present++
		}
	}
	out := make([]float32, k)
	for i, q := range counts {
		if out[i] = 1; q > 0 {
			out[i] = float32(n / (present * q))
		}
	}
	return out, nil
}

// classesOn is the size of the model's output along the axis of classes (0: the last); -1 where it is not known.
func (c *trainConfig) classesOn(m *onnx.Model, axis int) int {
	for _, v := range m.Graph.Outputs {
		if h := c.Model.Head; h != nil && h.Output != "" && v.Name != h.Output {
			continue
		}
		d := v.Type.Dims
		if axis <= 0 {
			axis += len(d)
			if axis == len(d) {
				axis--
			}
		}
		if !v.Type.Ranked || axis < 0 || axis >= len(d) {
			return -1
		}
		if n, ok := d[axis].Size(); ok && n > 0 {
			return n
		}
		return -1
	}
	return -1
}

// positiveWeights returns how much positive targets count, for each label: negative over positive ones.
func (c *trainConfig) positiveWeights(ctx context.Context) ([]float32, error) {
	var positive []float64
	n := 0
	err := c.eachTarget(ctx, func(y *tensor.Tensor) error {
		v, err := tensor.Float64s(y)
		if err != nil {
			return fmt.Errorf("class_weights: %q: %w", c.target(), err)
		}
		if y.Rank() == 0 || y.Dim(0) == 0 {
			return nil
		}
		width := 1
		if y.Rank() > 1 {
			width = max(y.Dim(y.Rank()-1), 1)
		}
		if positive == nil {
			positive = make([]float64, width)
		}
		if len(positive) != width {
			return fmt.Errorf("%v: %q is %v, and had %d labels before", c.Data.Train, c.target(), y, len(positive))
		}
		for i, e := range v {
			if !(e >= 0 && e <= 1) {
				return fmt.Errorf("%v: sample %d: %q is %g, want 0 to 1 for loss bce_with_logits", c.Data.Train, n+i/width+1, c.target(), e)
			}
			positive[i%width] += e
		}
		n += len(v) / width
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]float32, len(positive))
	for i, p := range positive {
		if out[i] = 1; p > 0 && p < float64(n) {
			out[i] = float32((float64(n) - p) / p)
		}
	}
	return out, nil
}

// samplingWeights returns how often each sample to train on is drawn, for data.sampling; nil without it.
func (c *trainConfig) samplingWeights(ctx context.Context) ([]float64, error) {
	if c.Data.Sampling == "" {
		return nil, nil
	}
	var classes []float64
	err := c.eachTarget(ctx, func(y *tensor.Tensor) error {
		v, err := tensor.Float64s(y)
		if err == nil && len(v) != y.Dim(0) {
			err = fmt.Errorf("it is %v, want one class for each sample", y)
		}
		if err != nil {
			return fmt.Errorf("data: sampling: %q: %w", c.target(), err)
		}
		classes = append(classes, v...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	counts := map[float64]float64{}
	for _, k := range classes {
		counts[k]++
	}
	for i, k := range classes {
		classes[i] = 1 / counts[k]
	}
	return classes, nil
}

// weightsText says what the loss weighs classes by.
func (c *trainConfig) weightsText(l train.Loss) string {
	var w []float32
	switch l := l.(type) {
	case train.CrossEntropy:
		w = l.Weights
	case train.NLL:
		w = l.Weights
	case train.BCEWithLogits:
		w = l.PosWeights
	}
	names := c.classNames()
	if _, ok := l.(train.BCEWithLogits); ok {
		names = c.Data.Target.all()
	}
	var list []string
	for i, v := range w[:min(len(w), 10)] {
		text := fmt.Sprintf("%.4g", v)
		if i < len(names) {
			text = names[i] + " " + text
		}
		list = append(list, text)
	}
	if len(w) > len(list) {
		list = append(list, fmt.Sprintf("and %d more", len(w)-len(list)))
	}
	return strings.Join(list, ", ")
}
