package train

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// Distillation has a model learn the logits z of a teacher beside the targets:
//
//	Alpha·T²·KL(softmax(z/T) ‖ softmax(y/T)) + (1-Alpha)·Hard
//
// with T the temperature and y the first output, classes along the last dimension. The
// teacher's logits are the input TeacherInput of the training graph, which
// WithTeacher adds to a data set.
//
// Hinton, Vinyals and Dean, Distilling the knowledge in a neural network, 2015.
type Distillation struct {
	Hard        Loss    // nil: none, Alpha is 1 then
	Temperature float64 // 0: 1
	Alpha       float64 // the share of the teacher, in (0, 1]
	// Hidden adds the mean squared error of other outputs of the model and the
	// teacher's values for them: names of outputs in Config.Outputs, which are in a data
	// set as TeacherInput + "." + the name.
	Hidden map[string]float64 // weights by output
}

// TeacherInput is the name of the input with the teacher's logits.
const TeacherInput = "teacher"

// Build adds the loss.
func (l Distillation) Build(o *Objective) *onnx.Value {
	alpha := l.Alpha
	if l.Hard == nil {
		alpha = 1
	}
	if !(alpha > 0 && alpha <= 1) || !(l.Temperature >= 0) {
		o.Fail(fmt.Errorf("distillation with alpha %g and temperature %g, want alpha in (0, 1] and a temperature above 0", l.Alpha, l.Temperature))
		return nil
	}
	t := or(l.Temperature, 1)
	y := o.Outputs[0]
	z := o.Input(TeacherInput, y.Type)
	scaled := func(v *onnx.Value) *onnx.Value { return o.mul(v, o.Scalar(1/t)) }
	logQ := o.Op("LogSoftmax", nil, scaled(y))
	logP := o.Op("LogSoftmax", nil, scaled(z))
	each := o.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), o.mul(o.Op("Exp", nil, logP), o.sub(logP, logQ)), o.Ints(-1))
	loss := o.mul(o.Mean(each), o.Scalar(alpha*t*t))
	if l.Hard != nil && alpha < 1 {
		if hard := l.Hard.Build(o); hard != nil {
			loss = o.add(loss, o.mul(hard, o.Scalar(1-alpha)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.Hidden)) {
		i := slices.IndexFunc(o.Outputs, func(v *onnx.Value) bool { return v.Name == name })
		if i < 0 {
			o.Fail(fmt.Errorf("distillation of output %q, which Config.Outputs does not name", name))
			return nil
		}
		h := o.Outputs[i]
		d := o.sub(h, o.Input(TeacherInput+"."+name, h.Type))
		loss = o.add(loss, o.mul(o.Mean(o.mul(d, d)), o.Scalar(l.Hidden[name])))
	}
	return loss
}

// taught is a Dataset with the outputs of a teacher.
type taught struct {
	Dataset
	teach teaching
}

// teaching adds the outputs of a teacher to a batch.
type teaching = func(ctx context.Context, batch map[string]*tensor.Tensor, epoch int, index []int) (map[string]*tensor.Tensor, error)

// WithTeacher returns d with outputs of the teacher for each batch: as maps them to
// names in batches, such as TeacherInput. The teacher gets what a
// batch has of its inputs; it runs while the model trains, on batches that are
// made ahead.
func WithTeacher(d Dataset, teacher *runtime.Session, as map[string]string) (Dataset, error) {
	teach, err := Teach(teacher, as)
	if err != nil {
		return nil, err
	}
	return taught{d, teach}, nil
}

// Teach is WithTeacher for what is no Dataset: it returns a function for StreamOptions.Augment or Loader.Augment that
// adds the outputs of the teacher for each batch. What else changes the batch comes after it, if the teacher is to see the
// samples as they are.
func Teach(teacher *runtime.Session, as map[string]string) (func(ctx context.Context, batch map[string]*tensor.Tensor, epoch int, index []int) (map[string]*tensor.Tensor, error), error) {
	for name := range as {
		if !slices.ContainsFunc(teacher.Outputs(), func(p runtime.ValueInfo) bool { return p.Name == name }) {
			var have []string
			for _, p := range teacher.Outputs() {
				have = append(have, p.Name)
			}
			return nil, fmt.Errorf("train: the teacher has no output %q: it has %q", name, have)
		}
	}
	return func(ctx context.Context, b map[string]*tensor.Tensor, _ int, _ []int) (map[string]*tensor.Tensor, error) {
		in := map[string]tensor.Value{}
		for _, p := range teacher.Inputs() {
			if x := b[p.Name]; x != nil {
				in[p.Name] = x
			}
		}
		out, err := teacher.Run(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("train: teacher: %w", err)
		}
		b = maps.Clone(b)
		for name, as := range as {
			x, ok := out[name].(*tensor.Tensor)
			if !ok {
				return nil, fmt.Errorf("train: the teacher's output %q is a %v, want a tensor", name, out[name])
			}
			b[as] = x
		}
		return b, nil
	}, nil
}

func (d taught) Batch(ctx context.Context, index []int) (map[string]*tensor.Tensor, error) {
	b, err := d.Dataset.Batch(ctx, index)
	if err != nil {
		return nil, err
	}
	return d.teach(ctx, b, 0, index)
}
