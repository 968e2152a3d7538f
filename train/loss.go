package train

import (
	"fmt"
	"maps"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// Loss builds what training makes small.
type Loss interface {
	// Build adds nodes to the model's graph and returns the loss, a scalar: the mean
	// over the batch.
	Build(o *Objective) *onnx.Value
}

// Objective is what a Loss builds from: the model's outputs, and inputs for
// targets. Its Builder adds to the training graph.
type Objective struct {
	*ops.Builder
	// Outputs are the model's outputs that the loss is for, the first one unless
	// Config.Outputs names others.
	Outputs []*onnx.Value
	target  string
	inputs  map[string]*onnx.Value
	// classCount is how many classes the target has probabilities of; 0: it has none.
	classCount int
}

// Target returns the input of the training graph with the targets; t is what
// the loss wants it to be. If the model has an input of that name, as an
// autoencoder has, the target is this input.
func (o *Objective) Target(t onnx.Type) *onnx.Value { return o.Input(o.target, t) }

// Input is Target for an input by name: for losses of several targets, weights
// of samples and the like.
func (o *Objective) Input(name string, t onnx.Type) *onnx.Value {
	if v := o.inputs[name]; v != nil {
		if v.Type.DType != t.DType {
			o.Fail(fmt.Errorf("input %q is %v, the loss wants %v", name, v.Type, t))
		}
		return v
	}
	v := o.G.AddInput(name, t)
	o.inputs[name] = v
	return v
}

// Scalar adds a constant of the first output's element type.
func (o *Objective) Scalar(x float64) *onnx.Value { return o.Float(o.Outputs[0].Type.DType, x) }

// Mean returns the mean of all elements of v.
func (o *Objective) Mean(v *onnx.Value) *onnx.Value {
	return o.Op("ReduceMean", onnx.NewAttrs("keepdims", 0), v)
}

func (o *Objective) add(a, b *onnx.Value) *onnx.Value { return o.Op("Add", nil, a, b) }
func (o *Objective) sub(a, b *onnx.Value) *onnx.Value { return o.Op("Sub", nil, a, b) }
func (o *Objective) mul(a, b *onnx.Value) *onnx.Value { return o.Op("Mul", nil, a, b) }

// classes returns the first output as [samples, classes] and the targets as
// [samples], for an output whose classes are along axis.
func (o *Objective) classes(axis int) (scores, target *onnx.Value) {
	y := o.Outputs[0]
	if !y.Type.Ranked || len(y.Type.Dims) < 2 {
		o.Fail(fmt.Errorf("output %q is %v, want scores of classes, [batch, …, classes]", y.Name, y.Type))
		return nil, nil
	}
	rank := len(y.Type.Dims)
	at, err := tensor.Axis(axis, rank)
	if err != nil {
		o.Fail(fmt.Errorf("output %q: the axis of classes: %w", y.Name, err))
		return nil, nil
	}
	var dims []onnx.Dim
	perm := make([]int, 0, rank)
	for i, d := range y.Type.Dims {
		if i != at {
			dims, perm = append(dims, d), append(perm, i)
		}
	}
	target = o.Target(onnx.TensorType(tensor.Int64, dims...))
	if rank == 2 && at == 1 {
		return y, target
	}
	if at != rank-1 {
		y = o.Op("Transpose", onnx.NewAttrs("perm", append(perm, at)), y)
	}
	n := o.Op("Shape", onnx.NewAttrs("start", -1), y)
	y = o.Op("Reshape", nil, y, o.Op("Concat", onnx.NewAttrs("axis", 0), o.Ints(-1), n))
	return y, o.Op("Reshape", nil, target, o.Ints(-1))
}

// classLoss adds a loss of scores and classes, the mean over samples, and returns it with
// what it reads: [samples, classes] and [samples].
func (o *Objective) classLoss(op string, axis, ignoreIndex int, ignore bool, weights []float32) (loss, scores, target *onnx.Value) {
	scores, target = o.classes(axisOr(axis))
	as := onnx.NewAttrs("reduction", "mean")
	if ignore {
		as = as.Set("ignore_index", ignoreIndex)
	}
	in := []*onnx.Value{scores, target}
	if weights != nil {
		in = append(in, o.Const(floatsAs(o.DTypeOf(scores), weights)))
	}
	return o.Ops("", op, as, 1, in...)[0], scores, target
}

// CrossEntropy is the cross entropy of logits and classes (int64, the shape of
// the output without the dimension of classes): -log softmax(logits)[target], the
// mean over all samples whose target is not IgnoreIndex, weighted by Weights.
type CrossEntropy struct {
	// Axis is where the output has its classes. 0: the last dimension.
	Axis int
	// LabelSmoothing is the share of the target that is spread evenly over all classes.
	LabelSmoothing float64
	// IgnoreIndex is a target that does not count, if Ignore is set.
	IgnoreIndex int
	Ignore      bool
	Weights     []float32 // of classes; nil: 1 each
	// Soft has targets that are probabilities of the classes, of the output's type and shape: the
	// loss is -Σ weight·target·log softmax(logits), the mean over the samples. For an output [batch, classes] the
	// Trainer takes classes, too, which stand for a probability of 1.
	Soft bool
}

// Build adds the loss. Szegedy et al., Rethinking the Inception architecture for
// computer vision, 2016, section 7, has the smoothing.
func (l CrossEntropy) Build(o *Objective) *onnx.Value {
	if l.Soft {
		return l.soft(o)
	}
	loss, y, target := o.classLoss("SoftmaxCrossEntropyLoss", l.Axis, l.IgnoreIndex, l.Ignore, l.Weights)
	if o.Err() != nil {
		return nil
	}
	if l.LabelSmoothing == 0 {
		return loss
	}
	logs := o.Op("LogSoftmax", nil, y)
	if l.Weights != nil {
		logs = o.mul(logs, o.Const(floatsAs(o.DTypeOf(y), l.Weights)))
	}
	each := o.Op("ReduceMean", onnx.NewAttrs("keepdims", 0), logs, o.Ints(-1))
	counts := l.counts(o, target, o.DTypeOf(y))
	var even *onnx.Value
	if counts == nil {
		even = o.Mean(each)
	} else {
		if l.Ignore {
			each = o.mul(each, o.counted(target, l.IgnoreIndex, o.DTypeOf(y)))
		}
		even = o.Op("Div", nil, sumAll(o, each), sumAll(o, counts))
	}
	return o.sub(o.mul(loss, o.Scalar(1-l.LabelSmoothing)), o.mul(even, o.Scalar(l.LabelSmoothing)))
}

// counts returns how much each target counts, nil if all count the same.
func (l CrossEntropy) counts(o *Objective, target *onnx.Value, d tensor.DType) *onnx.Value {
	if l.Weights == nil && !l.Ignore {
		return nil
	}
	var w *onnx.Value
	if l.Ignore {
		w = o.counted(target, l.IgnoreIndex, d)
	}
	if l.Weights == nil {
		return w
	}
	if l.Ignore { // what is ignored may be no class
		target = o.Op("Where", nil, o.isIndex(target, l.IgnoreIndex), o.Const(tensor.Scalar(int64(0))), target)
	}
	each := o.Op("Gather", nil, o.Const(floatsAs(d, l.Weights)), target)
	if w != nil {
		each = o.mul(each, w)
	}
	return each
}

func (o *Objective) isIndex(target *onnx.Value, index int) *onnx.Value {
	return o.Op("Equal", nil, target, o.Const(tensor.Scalar(int64(index))))
}

// counted returns 1 for targets other than ignore, else 0.
func (o *Objective) counted(target *onnx.Value, ignore int, d tensor.DType) *onnx.Value {
	return o.Op("Cast", onnx.NewAttrs("to", int(d)), o.Op("Not", nil, o.isIndex(target, ignore)))
}

// soft adds the loss for targets that are probabilities.
func (l CrossEntropy) soft(o *Objective) *onnx.Value {
	y := o.Outputs[0]
	if !y.Type.Ranked || len(y.Type.Dims) < 2 {
		o.Fail(fmt.Errorf("output %q is %v, want scores of classes, [batch, …, classes]", y.Name, y.Type))
		return nil
	}
	rank := len(y.Type.Dims)
	at, err := tensor.Axis(axisOr(l.Axis), rank)
	if err != nil {
		o.Fail(fmt.Errorf("output %q: the axis of classes: %w", y.Name, err))
		return nil
	}
	n, known := y.Type.Dims[at].Size()
	switch {
	case !known || n < 1:
		o.Fail(fmt.Errorf("output %q is %v: the number of classes is not known", y.Name, y.Type))
	case l.Ignore:
		o.Fail(fmt.Errorf("targets that are probabilities have no index to ignore"))
	case l.Weights != nil && len(l.Weights) != n:
		o.Fail(fmt.Errorf("%d weights for %d classes", len(l.Weights), n))
	}
	if o.Err() != nil {
		return nil
	}
	target := o.Target(y.Type)
	if rank == 2 && at == 1 {
		o.classCount = n
	}
	if s := l.LabelSmoothing; s != 0 {
		target = o.add(o.mul(target, o.Scalar(1-s)), o.Scalar(s/float64(n)))
	}
	if l.Weights != nil {
		shape := make([]int, rank)
		for i := range shape {
			shape[i] = 1
		}
		shape[at] = n
		target = o.mul(target, o.Op("Reshape", nil, o.Const(floatsAs(o.DTypeOf(y), l.Weights)), o.Ints(shape...)))
	}
	logs := o.Op("LogSoftmax", onnx.NewAttrs("axis", at), y)
	each := o.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), o.mul(target, logs), o.Ints(at))
	return o.Op("Neg", nil, o.Mean(each))
}

// hardTargets returns batch with classes, where the loss wants probabilities of n classes, as these.
func hardTargets(batch map[string]*tensor.Tensor, target string, n int, d tensor.DType) (map[string]*tensor.Tensor, error) {
	y := batch[target]
	if n == 0 || y == nil || y.DType() != tensor.Int64 || y.Rank() != 1 {
		return batch, nil
	}
	p, err := OneHot(y, n, d)
	if err != nil {
		return nil, fmt.Errorf("target %q: %w", target, err)
	}
	out := maps.Clone(batch)
	out[target] = p
	return out, nil
}

// OneHot returns classes, int64 [batch], as probabilities, d [batch, classes]; d is Float32
// or Float64.
func OneHot(y *tensor.Tensor, classes int, d tensor.DType) (*tensor.Tensor, error) {
	if y.DType() != tensor.Int64 || y.Rank() != 1 {
		return nil, fmt.Errorf("%v, want classes as int64 [batch]", y)
	}
	if _, err := tensor.ByteSize(d, []int{y.Len(), classes}); err != nil {
		return nil, err
	}
	p := tensor.New(d, y.Len(), classes)
	for i, c := range tensor.Data[int64](y) {
		if c < 0 || c >= int64(classes) {
			return nil, fmt.Errorf("sample %d of the batch is %d, want a class below %d", i, c, classes)
		}
		if d == tensor.Float64 {
			tensor.Data[float64](p)[i*classes+int(c)] = 1
		} else {
			tensor.Data[float32](p)[i*classes+int(c)] = 1
		}
	}
	return p, nil
}

// DTypeOf returns the element type of v.
func (o *Objective) DTypeOf(v *onnx.Value) tensor.DType {
	if v == nil {
		return tensor.Undefined
	}
	return v.Type.DType
}

func axisOr(axis int) int {
	if axis == 0 {
		return -1
	}
	return axis
}

func sumAll(o *Objective, v *onnx.Value) *onnx.Value {
	return o.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), v)
}

// floatsAs returns v as a tensor of d, float32 or float64.
func floatsAs(d tensor.DType, v []float32) *tensor.Tensor {
	if d == tensor.Float64 {
		w := make([]float64, len(v))
		for i, x := range v {
			w[i] = float64(x)
		}
		return tensor.Of(w, len(w))
	}
	return tensor.Of(v, len(v))
}

// NLL is the negative log-likelihood of classes (int64) under log-probabilities.
type NLL struct {
	Axis        int // where the output has its classes. 0: the last dimension
	IgnoreIndex int // a target that does not count, if Ignore is set
	Ignore      bool
	Weights     []float32 // of classes; nil: 1 each
}

// Build adds the loss.
func (l NLL) Build(o *Objective) *onnx.Value {
	loss, _, _ := o.classLoss("NegativeLogLikelihoodLoss", l.Axis, l.IgnoreIndex, l.Ignore, l.Weights)
	return loss
}

// BCEWithLogits is the binary cross entropy of logits x and targets y in [0, 1],
// of the output's type and shape: (1-y)·x + (1 + (PosWeight-1)·y)·softplus(-x).
type BCEWithLogits struct {
	PosWeight float64 // of positive targets. 0: 1
	// PosWeights are those of each class, along the output's last dimension, in the place of
	// PosWeight. nil: PosWeight for all.
	PosWeights []float32
}

// Build adds the loss.
func (l BCEWithLogits) Build(o *Objective) *onnx.Value {
	x := o.Outputs[0]
	y := o.Target(x.Type)
	soft := o.Op("Softplus", nil, o.Op("Neg", nil, x))
	var more *onnx.Value // than 1 for positive targets
	switch {
	case l.PosWeights != nil:
		if k := len(x.Type.Dims); k == 0 || x.Type.Dims[k-1].Known() && !x.Type.Dims[k-1].Is(len(l.PosWeights)) {
			o.Fail(fmt.Errorf("%d weights of positive targets for the classes of %v", len(l.PosWeights), x.Type))
			return nil
		}
		more = o.sub(o.Const(floatsAs(o.DTypeOf(x), l.PosWeights)), o.Scalar(1))
	case l.PosWeight != 0 && l.PosWeight != 1:
		more = o.Scalar(l.PosWeight - 1)
	}
	if more != nil {
		soft = o.mul(soft, o.add(o.Scalar(1), o.mul(y, more)))
	}
	return o.Mean(o.add(o.mul(o.sub(o.Scalar(1), y), x), soft))
}

// MSE is the mean squared error.
type MSE struct{}

// Build adds the loss.
func (MSE) Build(o *Objective) *onnx.Value {
	d := o.sub(o.Outputs[0], o.Target(o.Outputs[0].Type))
	return o.Mean(o.mul(d, d))
}

// MAE is the mean absolute error.
type MAE struct{}

// Build adds the loss.
func (MAE) Build(o *Objective) *onnx.Value {
	return o.Mean(o.Op("Abs", nil, o.sub(o.Outputs[0], o.Target(o.Outputs[0].Type))))
}

// Huber is d²/2 for errors d up to Delta, Delta·(|d| - Delta/2) beyond.
type Huber struct {
	Delta float64 // 0: 1
}

// Build adds the loss. Huber, Robust estimation of a location parameter, 1964.
func (l Huber) Build(o *Objective) *onnx.Value {
	if l.Delta == 0 {
		l.Delta = 1
	}
	a := o.Op("Abs", nil, o.sub(o.Outputs[0], o.Target(o.Outputs[0].Type)))
	q := o.Op("Min", nil, a, o.Scalar(l.Delta)) // q²/2 + Delta·(a-q)
	return o.Mean(o.add(o.mul(o.mul(q, q), o.Scalar(0.5)), o.mul(o.sub(a, q), o.Scalar(l.Delta))))
}

// Hinge is max(0, 1 - y·x) for scores x and targets y of -1 or 1, of the
// output's type and shape.
type Hinge struct{}

// Build adds the loss.
func (Hinge) Build(o *Objective) *onnx.Value {
	x := o.Outputs[0]
	return o.Mean(o.Op("Relu", nil, o.sub(o.Scalar(1), o.mul(x, o.Target(x.Type)))))
}

// KLDiv is the Kullback-Leibler divergence Σ y·(log y - x) of targets y, which are
// probabilities along the last dimension, from log-probabilities x: the mean
// over the batch of the sums over all other dimensions.
type KLDiv struct{}

// Build adds the loss.
func (KLDiv) Build(o *Objective) *onnx.Value {
	x := o.Outputs[0]
	y := o.Target(x.Type)
	logs := o.Op("Log", nil, o.Op("Max", nil, y, o.Scalar(1e-30))) // y·log y is 0 at 0
	return o.Op("Div", nil, sumAll(o, o.mul(y, o.sub(logs, x))), o.batch(x))
}

// Focal is the focal loss of binary logits x and targets y in [0, 1]: the cross
// entropy times (1-p)^Gamma, where p is what the model gives the true class,
// times Alpha for y = 1 and 1-Alpha for y = 0.
type Focal struct {
	Gamma float64 // 0: 2
	Alpha float64 // 0: no weights
}

// Build adds the loss. Lin et al., Focal loss for dense object detection, 2017.
func (l Focal) Build(o *Objective) *onnx.Value {
	if l.Gamma == 0 {
		l.Gamma = 2
	}
	x := o.Outputs[0]
	y := o.Target(x.Type)
	ce := o.binaryCrossEntropy(x, y)
	// 1-p = y·σ(-x) + (1-y)·σ(x)
	miss := o.add(o.mul(y, o.Op("Sigmoid", nil, o.Op("Neg", nil, x))), o.mul(o.sub(o.Scalar(1), y), o.Op("Sigmoid", nil, x)))
	loss := o.mul(ce, o.Op("Pow", nil, miss, o.Scalar(l.Gamma)))
	if l.Alpha != 0 {
		loss = o.mul(loss, o.add(o.Scalar(1-l.Alpha), o.mul(y, o.Scalar(2*l.Alpha-1))))
	}
	return o.Mean(loss)
}

// Triplet is max(0, |a-p| - |a-n| + Margin) for three outputs, the embeddings
// [batch, size] of an anchor, a sample of its class and one of another.
type Triplet struct {
	Margin float64 // 0: 1
}

// Build adds the loss. Schroff et al., FaceNet, 2015, with distances that are
// not squared, as in PyTorch's TripletMarginLoss.
func (l Triplet) Build(o *Objective) *onnx.Value {
	if len(o.Outputs) != 3 {
		o.Fail(fmt.Errorf("the triplet loss is for 3 outputs, anchor, positive and negative: found %d", len(o.Outputs)))
		return nil
	}
	if l.Margin == 0 {
		l.Margin = 1
	}
	distance := func(b *onnx.Value) *onnx.Value {
		d := o.add(o.sub(o.Outputs[0], b), o.Scalar(1e-6)) // away from the kink at 0
		return o.Op("ReduceL2", onnx.NewAttrs("keepdims", 0), d, o.Ints(-1))
	}
	return o.Mean(o.Op("Relu", nil, o.add(o.sub(distance(o.Outputs[1]), distance(o.Outputs[2])), o.Scalar(l.Margin))))
}
