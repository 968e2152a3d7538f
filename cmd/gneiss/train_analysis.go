package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
)

// The most classes that are told apart in reports, and those of a matrix that is drawn.
const (
	reportClasses = 1000
	matrixClasses = 40
)

// example is a sample of the validation data.
type example struct {
	Index           int
	File            string  // of images
	Loss            float64 // cross entropy, or mean squared error
	Target, Guess   int     // of classifiers
	Positions, Hits int     // of classifiers: what the sample has targets for, and got right
}

// sampleErrors is a train.Metric that keeps each sample's error, for validation data in
// their order.
type sampleErrors struct {
	classes bool // targets are classes
	all     []example
	unfit   bool // outputs and targets do not have a sample's errors
}

func (m *sampleErrors) Name() string   { return "errors" }
func (m *sampleErrors) Reset()         { m.all, m.unfit = nil, false }
func (m *sampleErrors) Greater() bool  { return false }
func (m *sampleErrors) Value() float64 { return math.NaN() }

// Add implements train.Metric.
func (m *sampleErrors) Add(output, target *tensor.Tensor) error {
	y, err := tensor.Float64s(output)
	if err != nil {
		return err
	}
	z, err := tensor.Float64s(target)
	if err != nil {
		return err
	}
	if target.Rank() == 0 || len(z) == 0 {
		return nil
	}
	samples := target.Dim(0)
	positions := len(z) / samples
	if m.unfit || len(y)%len(z) != 0 || !m.classes && len(y) != len(z) {
		m.all, m.unfit = nil, true // a loss may broadcast them
		return nil
	}
	width := len(y) / len(z)
	for i := range samples {
		e := example{Index: len(m.all), Positions: positions}
		for p := i * positions; p < (i+1)*positions; p++ {
			row := y[p*width : (p+1)*width]
			if !m.classes {
				e.Loss += (row[0] - z[p]) * (row[0] - z[p]) / float64(positions)
				continue
			}
			if width == 1 {
				row = []float64{0, row[0]}
			}
			c := int(z[p])
			if c < 0 || c >= len(row) {
				continue
			}
			guess := slices.Index(row, slices.Max(row))
			e.Loss += crossEntropy(row, c) / float64(positions)
			e.Target, e.Guess = c, guess
			if guess == c {
				e.Hits++
			}
		}
		m.all = append(m.all, e)
	}
	return nil
}

// crossEntropy of logits and a class.
func crossEntropy(row []float64, c int) float64 {
	top, sum := slices.Max(row), 0.0
	for _, v := range row {
		sum += math.Exp(v - top)
	}
	return top + math.Log(sum) - row[c]
}

// worst returns the n samples with the largest errors.
func (m *sampleErrors) worst(n int) []example {
	all := slices.Clone(m.all)
	slices.SortStableFunc(all, func(a, b example) int { return cmp.Compare(b.Loss, a.Loss) })
	return all[:min(n, len(all))]
}

// analysis is what a report says of the trained model on the validation data.
type analysis struct {
	Loss      float64
	Metrics   []namedText
	Samples   int
	Confusion [][]int // nil where there are no classes, or too many
	Classes   []classFigures
	Worst     []example
	Classify  bool
	Single    bool         // a sample has one target
	Sheet     []sheetImage // of classified images
	Part      bool         // the validation data are a part of the training file, where samples have their numbers
}

type classFigures struct {
	Class, Samples        int
	Precision, Recall, F1 float64
}

// analyse evaluates the trained model.
func (c *trainConfig) analyse(ctx context.Context, tr *train.Trainer, l *train.Loader, metrics []train.Metric) (*analysis, error) {
	batch, err := l.Dataset.Batch(ctx, []int{0})
	if err != nil {
		return nil, err
	}
	target := c.target()
	a := &analysis{Samples: l.Dataset.Len()}
	binary := c.Loss.Name == "bce_with_logits"
	a.Classify = c.Loss.Name == "cross_entropy" || c.Loss.Name == "nll" || binary
	y := batch[target]
	if y == nil || c.Loss.Name == "triplet" || c.classAxis() { // nothing that outputs can be held against one by one
		loss, err := tr.Validate(ctx, l, nil)
		a.Loss = loss
		return a, err
	}
	if binary && !zeroOrOne(ctx, l, target) {
		a.Classify = false
	}
	errs := &sampleErrors{classes: a.Classify}
	all := append(slices.Clone(metrics), errs)
	confusion := &train.Confusion{Kind: "f1"}
	classes := 2
	if a.Classify && !binary {
		classes = c.outputClasses(tr.Model())
	}
	if a.Classify && classes <= reportClasses {
		all = append(all, confusion)
	}
	if a.Loss, err = tr.Validate(ctx, l, all); err != nil {
		return nil, err
	}
	for _, m := range metrics {
		a.Metrics = append(a.Metrics, namedText{m.Name(), fmt.Sprintf("%.5g", m.Value())})
	}
	a.Worst, a.Confusion = errs.worst(20), confusion.M
	for i := range a.Worst {
		a.Worst[i].File = fileOf(l.Dataset, a.Worst[i].Index)
	}
	a.Single = len(a.Worst) > 0 && a.Worst[0].Positions == 1
	if a.Classify && a.Single {
		if a.Sheet, err = sheet(ctx, l.Dataset, errs.all); err != nil {
			return nil, err
		}
	}
	if part, ok := l.Dataset.(interface{ Index() []int }); ok {
		a.Part = true
		for i := range a.Worst {
			a.Worst[i].Index = part.Index()[a.Worst[i].Index]
		}
	}
	a.Classes = perClass(confusion.M)
	return a, nil
}

// perClass returns precision, recall and F1 of each class.
func perClass(m [][]int) []classFigures {
	var out []classFigures
	for c := range m {
		row, col := 0, 0
		for k := range m {
			row += m[c][k]
			col += m[k][c]
		}
		share := func(n int) float64 {
			if n == 0 {
				return 0
			}
			return float64(m[c][c]) / float64(n)
		}
		out = append(out, classFigures{c, row, share(col), share(row), 2 * share(row+col)})
	}
	return out
}

// zeroOrOne reports whether all targets are classes 0 and 1.
func zeroOrOne(ctx context.Context, l *train.Loader, target string) bool {
	for b, err := range l.Epoch(ctx, 0, 0) {
		if err != nil {
			return false // which the evaluation will report
		}
		v, err := tensor.Float64s(b[target])
		if err != nil || slices.ContainsFunc(v, func(x float64) bool { return x != 0 && x != 1 }) {
			return false
		}
	}
	return true
}

// classAxis reports whether the classes are not along the last dimension.
func (c *trainConfig) classAxis() bool {
	axis := child(c.Loss.node, "axis")
	return axis != nil && axis.Value != "0" && axis.Value != "-1"
}

// outputClasses is the last dimension of the model's first output, or of the one that the head is of.
func (c *trainConfig) outputClasses(m *onnx.Model) int {
	for _, v := range m.Graph.Outputs {
		if h := c.Model.Head; h != nil && h.Output != "" && v.Name != h.Output {
			continue
		}
		if d := v.Type.Dims; v.Type.Ranked && len(d) > 0 {
			if n, ok := d[len(d)-1].Size(); ok {
				return n
			}
		}
		break
	}
	return reportClasses + 1
}
