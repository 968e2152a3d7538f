package quantize

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// BaselineOptions say what a Baseline compares.
type BaselineOptions struct {
	// Classes returns the classes of the samples of a batch, whose first sample is
	// the first-th of the source (see data.Classes). Nil: right answers are not
	// counted.
	Classes func(b data.Batch, first int) ([]int, error)
	// Scores is the output whose rows are scores of classes: the first output of
	// floats if empty.
	Scores string
	// MaxBytes bounds the outputs that are kept: batches after those that fit are
	// not looked at. 0: 256 MiB.
	MaxBytes int64
}

// Baseline is what the original model gives for some samples. It is safe for
// concurrent use.
type Baseline struct {
	src     data.Source
	classes [][]int // by batch; nil: right answers are not counted
	scores  string
	out     []map[string]*tensor.Tensor // by batch
	names   []string                    // outputs that are compared

	// All says that the whole source was run, not only what fits in MaxBytes.
	All bool
	// Samples that were run, and of those with a label how many the model gets right.
	Samples, Labelled, Right int
}

// Evaluation is how a model does beside its Baseline.
type Evaluation struct {
	Samples int           `json:"samples"`
	Outputs []OutputError `json:"outputs"`
	// Labelled is the number of samples with a label, Right and RightBefore how
	// many of them this model and the original get right.
	Labelled    int `json:"labelled,omitempty"`
	Right       int `json:"right,omitempty"`
	RightBefore int `json:"right_before,omitempty"`
}

// Accuracy returns the share of right answers of this model and the original.
func (e *Evaluation) Accuracy() (now, before float64) {
	n := float64(max(e.Labelled, 1))
	return float64(e.Right) / n, float64(e.RightBefore) / n
}

// Drop is the loss of accuracy relative to the original's: 0.01 for 1%. It is
// below 0 where the model does better.
func (e *Evaluation) Drop() float64 {
	if e.RightBefore == 0 {
		return 0
	}
	return float64(e.RightBefore-e.Right) / float64(e.RightBefore)
}

// SNR is the lowest signal-to-noise ratio of the outputs, in decibels.
func (e *Evaluation) SNR() float64 {
	least := math.Inf(1)
	for _, o := range e.Outputs {
		if !(o.SNR >= least) {
			least = o.SNR
		}
	}
	return least
}

// worst is the highest relative L2 error of the outputs: a number that JSON can
// carry, also where outputs are infinite or NaN.
func (e *Evaluation) worst() float64 {
	worst := 0.0
	for _, o := range e.Outputs {
		worst = max(worst, o.RelativeL2)
	}
	if math.IsNaN(worst) {
		return math.MaxFloat64
	}
	return min(worst, math.MaxFloat64)
}

// ErrNoFloats says that a model has no outputs to compare.
var ErrNoFloats = errors.New("no output of the model holds floats: there is nothing to compare")

// NewBaseline runs the original model s on the samples of src and keeps its
// outputs of floats. Without any the error is ErrNoFloats; outputs that are NaN throughout are
// an error, too.
func NewBaseline(ctx context.Context, s *runtime.Session, src data.Source, o BaselineOptions) (*Baseline, error) {
	if o.MaxBytes == 0 {
		o.MaxBytes = 256 << 20
	}
	b := &Baseline{scores: o.Scores}
	for _, out := range s.Outputs() {
		if out.Type.DType.IsFloat() {
			b.names = append(b.names, out.Name)
		}
	}
	switch {
	case len(b.names) == 0:
		return nil, ErrNoFloats
	case b.scores == "":
		b.scores = b.names[0]
	case !slices.Contains(b.names, b.scores):
		return nil, fmt.Errorf("the model has no output %q of floats with scores; it has %q", b.scores, b.names)
	}
	b.All = true
	var bytes int64
	for batch, err := range src.Batches(ctx) {
		if err != nil {
			return nil, err
		}
		var classes []int
		if o.Classes != nil {
			if classes, err = o.Classes(batch, b.Samples); err != nil {
				return nil, err
			}
		}
		got, right, err := b.run(ctx, s, batch, classes)
		if err != nil {
			return nil, err
		}
		for _, name := range b.names {
			bytes += int64(len(got[name].Bytes()))
			if nothingButNaN(got[name]) {
				return nil, fmt.Errorf("%s: output %q of the original model is NaN throughout%s: check the data and its preprocessing", batch.Name, name, notFinite(batch))
			}
		}
		if bytes > o.MaxBytes && len(b.out) > 0 {
			b.All = false
			break
		}
		b.Samples += batch.Size()
		b.Labelled += len(classes)
		b.Right += right
		b.out, b.classes = append(b.out, got), append(b.classes, classes)
	}
	if b.Samples == 0 {
		return nil, errors.New("there are no samples")
	}
	b.src = data.First(src, len(b.out))
	return b, nil
}

// run returns the outputs for a batch, and how many of its classes they get right.
func (b *Baseline) run(ctx context.Context, s *runtime.Session, batch data.Batch, classes []int) (map[string]*tensor.Tensor, int, error) {
	out, err := s.Run(ctx, batch.Values(), b.names...)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", batch.Name, err)
	}
	got := map[string]*tensor.Tensor{}
	for _, name := range b.names {
		t, ok := out[name].(*tensor.Tensor)
		if !ok {
			return nil, 0, fmt.Errorf("%s: output %q is %v, not a tensor", batch.Name, name, out[name])
		}
		got[name] = t
	}
	if classes == nil {
		return got, 0, nil
	}
	right, _, err := Correct(got[b.scores], classes)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: output %q: %w", batch.Name, b.scores, err)
	}
	return got, right, nil
}

// nothingButNaN reports whether t, which has elements of floats, is all NaN.
func nothingButNaN(t *tensor.Tensor) bool {
	x, err := tensor.Float64s(t)
	return err == nil && len(x) > 0 && !slices.ContainsFunc(x, func(v float64) bool { return !math.IsNaN(v) })
}

// notFinite says which input of b has elements that are NaN or infinite, if one has.
func notFinite(b data.Batch) string {
	for _, name := range slices.Sorted(maps.Keys(b.Inputs)) {
		x, err := tensor.Float64s(b.Inputs[name])
		if err == nil && slices.ContainsFunc(x, func(v float64) bool { return v-v != 0 }) {
			return fmt.Sprintf("; input %q has an element that is NaN or infinite", name)
		}
	}
	return ""
}

// Compare runs s, which has the original's inputs and outputs, on the same samples.
func (b *Baseline) Compare(ctx context.Context, s *runtime.Session) (*Evaluation, error) {
	e := &Evaluation{RightBefore: b.Right}
	sums := make([]errorSum, len(b.names))
	i := 0
	for batch, err := range b.src.Batches(ctx) {
		if err != nil {
			return nil, err
		}
		got, right, err := b.run(ctx, s, batch, b.classes[i])
		if err != nil {
			return nil, err
		}
		e.Samples += batch.Size()
		e.Labelled += len(b.classes[i])
		e.Right += right
		for k, name := range b.names {
			if err := sums[k].add(b.out[i][name], got[name]); err != nil {
				return nil, fmt.Errorf("%s: output %q: %w", batch.Name, name, err)
			}
		}
		i++
	}
	for k, name := range b.names {
		e.Outputs = append(e.Outputs, sums[k].result(name))
	}
	return e, nil
}
