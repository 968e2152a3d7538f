package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	goruntime "runtime"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/onnx/schema"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// Trainer trains one model. Its methods must not be called concurrently.
type Trainer struct {
	cfg    Config
	model  *onnx.Model // as it was given, for inference; its parameters' values are in state
	names  []string    // the parameters that are trained
	eval   *runtime.Session
	apply  *runtime.Session // forward, backward and update; of sums of gradients when accumulating
	gather *runtime.Session // adds gradients to their sums; nil without accumulation
	// state is parameters, statistics, memories and averages by name. Steps update it
	// in place; only of the statistics is there a second set, next, which changes
	// places with them after a step.
	state, next map[string]*tensor.Tensor
	torn        error // why a step ended in the middle of its update
	// sums of gradients, by name of parameter, and the storage for the next ones.
	sums, nextSums map[string]*tensor.Tensor
	tables         map[string]*table   // parameters that are updated by rows
	stats          []string            // what the forward pass changes of the state
	batches        int                 // in sums
	step           int                 // updates so far
	targets        []runtime.ValueInfo // inputs of the training graph that the model lacks
	classCount     int                 // of targets that are probabilities; else 0
	loss           *tensor.Tensor
	norm           *tensor.Tensor // of the gradients, with Config.GradNorm
	normKnown      bool           // an update of this process has written it
	results        []result       // of the forward pass
	backward       []result       // of the backward pass
	plain          *onnx.Model    // with Config.Recompute or MixedPrecision: the training graph before the passes
	scaler         *scaler        // nil: the loss is not scaled
	gate           *tensor.Tensor // with a scaler: gateName
	at             position       // in the data of Fit
	fixedRate      float64        // while FindRate runs; else 0
	best           map[string]*tensor.Tensor
	test           *runtime.Session // inference and the loss; nil until it is needed
	scores         string           // the output of test that metrics get
}

// New returns a Trainer for a model as it is used for inference, which stays
// unchanged: Dropout drops and BatchNormalization takes statistics of the batch
// during steps only. See Parameters for what is trained.
func New(m *onnx.Model, cfg Config) (*Trainer, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Target == "" {
		cfg.Target = "target"
	}
	if cfg.Accumulate == 0 {
		cfg.Accumulate = 1
	}
	t := &Trainer{cfg: cfg, model: m.Clone(), state: map[string]*tensor.Tensor{}, next: map[string]*tensor.Tensor{}}
	if err := t.prepare(); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	return t, nil
}

// prepare brings the model to the newest opset and builds the sessions.
func (t *Trainer) prepare() error {
	if len(t.model.Functions) > 0 {
		if err := optimize.Inline(t.model, nil); err != nil {
			return err
		}
	}
	if err := optimize.ConvertOpset(t.model, "", schema.Newest("")); err != nil {
		return err
	}
	if err := optimize.Infer(t.model, optimize.InferOptions{}); err != nil {
		return err
	}
	if err := t.pick(); err != nil {
		return err
	}
	if err := t.buildSteps(); err != nil {
		return err
	}
	if err := t.buildEval(); err != nil {
		return err
	}
	bytes := 0
	for _, v := range t.model.Graph.Consts { // so that the first values are not kept beside the later ones
		if x := t.state[v.Name]; x != nil && !slices.Contains(t.stats, v.Name) {
			v.Const = x
			bytes += len(x.Bytes())
		}
	}
	if bytes >= minCollected {
		goruntime.GC()
	}
	return nil
}

// minCollected is the size of parameters from which on New has garbage collected: what building
// has left, often the caller's model too, is as large again, and the collector by itself would let
// the first steps take as much beside it. A collection takes less than a millisecond, as tensors hold no pointers.
const minCollected = 1 << 20

// setState overwrites the state with tensors of the same types and shapes, by name.
func (t *Trainer) setState(state map[string]*tensor.Tensor) error {
	for name, x := range state {
		if err := t.state[name].CopyFrom(x); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	return nil
}

// pick chooses the parameters.
func (t *Trainer) pick() error {
	frozen, only := matcher(t.cfg.Freeze), matcher(t.cfg.Only)
	var all []string
	for _, v := range append(Parameters(t.model), blockScales(t.model, t.cfg.Only)...) {
		all = append(all, v.Name)
		if frozen(v.Name) || len(t.cfg.Only) > 0 && !only(v.Name) {
			continue
		}
		if d := v.Const.DType(); d != tensor.Float32 && d != tensor.Float64 {
			return fmt.Errorf("parameter %q is %v: training is for float32 and float64: convert the model first", v.Name, v.Const)
		}
		t.names = append(t.names, v.Name)
	}
	for _, p := range slices.Concat(t.cfg.Freeze, t.cfg.Only) {
		if !slices.ContainsFunc(all, matcher([]string{p})) {
			return fmt.Errorf("pattern %q is no parameter's name: there are %s", p, few(all))
		}
	}
	if len(t.names) == 0 {
		return fmt.Errorf("there is nothing to train: all of the model's %d parameters are frozen", len(all))
	}
	return nil
}

// few lists some names.
func few(names []string) string {
	if len(names) > 8 {
		return fmt.Sprintf("%q and %d more", names[:8], len(names)-8)
	}
	return fmt.Sprintf("%q", names)
}

// Step trains on one batch: the model's inputs and the targets, by name. It
// returns the loss before the update. A loss that is no number is an error that names
// the first node with such a result. With a loss scale, a step with gradients that are not finite is skipped: Skipped
// counts it, and it is an error only when the scale is at its least. On this and other errors, a cancelled ctx among
// them, the parameters are as they were: the update begins when the loss is known, and a step
// whose update has begun is finished whatever becomes of ctx. The exception is a step that fails after that,
// for want of memory (Config.MaxMemory): its error is an ErrTorn, and so are those of all methods that would use
// the state then, until Resume.
func (t *Trainer) Step(ctx context.Context, batch map[string]*tensor.Tensor) (float64, error) {
	if t.torn != nil {
		return 0, t.torn
	}
	batch, err := t.probabilities(batch)
	if err != nil {
		return 0, fmt.Errorf("train: step %d: %w", t.step+1, err)
	}
	in := make(map[string]tensor.Value, len(batch)+2*len(t.state))
	for name, x := range batch {
		if t.state[name] != nil {
			return 0, fmt.Errorf("train: the batch has %q, which is a parameter", name)
		}
		in[name] = x
	}
	s := t.apply
	if t.gather != nil {
		s = t.gather
	}
	for _, p := range s.Inputs() {
		if x := t.state[p.Name]; x != nil {
			in[p.Name] = x
		}
	}
	in[stepName] = tensor.Scalar(int64((t.step+t.Skipped())*t.cfg.Accumulate + t.batches))
	if t.scaler != nil {
		in[scaleName] = tensor.Scalar(float32(t.scaler.Scale))
	}
	if t.gather != nil {
		loss, err := t.addGradients(ctx, in)
		if err != nil || t.batches < t.cfg.Accumulate {
			return loss, err
		}
		if err := t.applySums(ctx); err != nil {
			if t.torn == nil {
				t.swapGathered(-1) // the batch has not been
			}
			return 0, err
		}
		return loss, nil
	}
	return t.update(ctx, in)
}

// probabilities returns batch with its target as the loss wants it.
func (t *Trainer) probabilities(batch map[string]*tensor.Tensor) (map[string]*tensor.Tensor, error) {
	return hardTargets(batch, t.cfg.Target, t.classCount, t.loss.DType())
}

// TargetClasses is the number of classes that the targets have probabilities of, 0 where the loss
// wants other targets. Steps and validation take classes, too, then.
func (t *Trainer) TargetClasses() int { return t.classCount }

func (t *Trainer) lossValue() float64 { return scalarValue(t.loss) }

func scalarValue(x *tensor.Tensor) float64 {
	if x.DType() == tensor.Float64 {
		return tensor.Data[float64](x)[0]
	}
	return float64(tensor.Data[float32](x)[0])
}

// settings adds what an update needs besides gradients.
func (t *Trainer) settings(in map[string]tensor.Value) {
	in[rateName] = tensor.Scalar(float32(t.LearningRate()))
	in[countName] = tensor.Scalar(int64(t.step + 1))
}

// LearningRate is that of the next step.
func (t *Trainer) LearningRate() float64 { return t.rate(t.step) }

// rate is the learning rate of a step, counted from 0.
func (t *Trainer) rate(step int) float64 {
	if t.fixedRate > 0 {
		return t.fixedRate
	}
	f := 1.0
	if t.cfg.Schedule != nil {
		f = t.cfg.Schedule.Factor(step, t.cfg.Steps)
	}
	return t.cfg.Optimizer.Rate() * f
}

// ErrTorn is wrapped by the errors of a Trainer whose last step failed in the middle of its
// update: some parameters are new and some are old. Resume from a checkpoint mends it.
var ErrTorn = errors.New("the state is half updated: resume from a checkpoint")

// tear notes that a step failed when it had begun to update.
func (t *Trainer) tear(err error) error {
	t.torn = fmt.Errorf("train: step %d: %w: %w", t.step+1, ErrTorn, err)
	return t.torn
}

// errNotFinite is what ends a run whose loss is no finite number.
var errNotFinite = errors.New("the loss is not finite")

// update runs forward, backward and update as one graph.
func (t *Trainer) update(ctx context.Context, in map[string]tensor.Value) (float64, error) {
	t.settings(in)
	out := t.wants()
	if t.norm != nil {
		out[normName+nextSuffix] = t.norm
	}
	gate := lossName
	if t.scaler != nil {
		gate, out[gateName] = gateName, t.gate
	}
	var loss float64
	begun, err := t.apply.RunInPlace(ctx, in, out, gate, func(l *tensor.Tensor) error {
		v, err := tensor.Float64s(l)
		if err != nil {
			return err
		}
		loss = v[0]
		return finite(v, true)
	})
	switch {
	case errors.Is(err, errNotFinite):
		return loss, t.notFinite(ctx, t.apply, in, loss)
	case errors.Is(err, errOverflow):
		return loss, t.skip(func() string { return t.badGradient(ctx, t.apply, in) })
	case err != nil && begun:
		return 0, t.tear(err)
	case err != nil:
		return 0, err
	}
	if err := t.writeRows(out); err != nil {
		return 0, t.tear(err)
	}
	t.swapStats()
	t.updated()
	return loss, nil
}

// updated notes that an update has been made.
func (t *Trainer) updated() {
	t.step, t.normKnown = t.step+1, true
	if t.scaler != nil {
		t.scaler.grow()
	}
}

// addGradients runs forward and backward, and adds the gradients to the sums.
func (t *Trainer) addGradients(ctx context.Context, in map[string]tensor.Value) (float64, error) {
	out := map[string]tensor.Value{lossName: t.loss}
	for name, x := range t.sums {
		if t.batches == 0 {
			clear(x.Bytes())
		}
		in[name+sumSuffix], out[name+sumSuffix+nextSuffix] = x, t.nextSums[name]
	}
	for _, name := range t.stats {
		out[name+nextSuffix] = t.next[name]
	}
	if err := t.gather.RunInto(ctx, in, out); err != nil {
		return 0, err
	}
	l := t.lossValue()
	if math.IsNaN(l) || math.IsInf(l, 0) {
		return l, t.notFinite(ctx, t.gather, in, l)
	}
	t.swapGathered(1)
	return l, nil
}

// swapGathered takes over what gather has made of one batch, or with -1 goes back
// to what was before.
func (t *Trainer) swapGathered(batches int) {
	t.sums, t.nextSums = t.nextSums, t.sums
	t.swapStats()
	t.batches += batches
}

// swapStats takes over what the forward pass has made of the statistics, or goes back.
func (t *Trainer) swapStats() {
	for _, name := range t.stats {
		t.state[name], t.next[name] = t.next[name], t.state[name]
	}
}

// applySums updates from the sums of gradients.
func (t *Trainer) applySums(ctx context.Context) error {
	in := map[string]tensor.Value{}
	t.settings(in)
	for name, x := range t.sums {
		in[name+sumSuffix] = x
	}
	for _, p := range t.apply.Inputs() {
		if x := t.state[p.Name]; x != nil {
			in[p.Name] = x
		}
	}
	out := map[string]tensor.Value{}
	for _, p := range t.apply.Outputs() {
		if p.Name == gateName {
			out[gateName] = t.gate
			continue
		}
		name := p.Name[:len(p.Name)-len(nextSuffix)]
		if out[p.Name] = t.state[name]; name == normName {
			out[p.Name] = t.norm
		}
	}
	gate, check := "", (func(*tensor.Tensor) error)(nil)
	if t.scaler != nil {
		gate, check = gateName, func(g *tensor.Tensor) error { return finite([]float64{scalarValue(g)}, false) }
	}
	begun, err := t.apply.RunInPlace(ctx, in, out, gate, check)
	switch {
	case errors.Is(err, errOverflow):
		if err := t.skip(t.badSum); err != nil {
			return err
		}
		t.batches = 0
		return nil
	case err != nil && begun:
		return t.tear(err)
	case err != nil:
		return err
	}
	t.updated()
	t.batches = 0
	return nil
}

// notFinite finds the first node of the forward pass with a result that is not finite.
func (t *Trainer) notFinite(ctx context.Context, s *runtime.Session, in map[string]tensor.Value, loss float64) error {
	return fmt.Errorf("train: step %d: the loss is %g%s", t.step+1, loss, t.culprit(ctx, s, in))
}

// Evaluate runs the model for inference with the parameters as they are (the
// averaged ones with Config.EMA) and returns its outputs by name.
func (t *Trainer) Evaluate(ctx context.Context, inputs map[string]*tensor.Tensor) (map[string]*tensor.Tensor, error) {
	if t.torn != nil {
		return nil, t.torn
	}
	in := make(map[string]tensor.Value, len(inputs)+len(t.state))
	for _, p := range t.eval.Inputs() {
		switch x, own := inputs[p.Name], t.parameter(p.Name); {
		case own != nil:
			in[p.Name] = own
		case x != nil:
			in[p.Name] = x
		}
	}
	res, err := t.eval.Run(ctx, in)
	if err != nil {
		return nil, err
	}
	out, err := tensors(res)
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	return out, nil
}

// tensors returns the outputs of a run, which must be tensors.
func tensors(res map[string]tensor.Value) (map[string]*tensor.Tensor, error) {
	out := make(map[string]*tensor.Tensor, len(res))
	for name, v := range res {
		x, ok := v.(*tensor.Tensor)
		if !ok {
			return nil, fmt.Errorf("output %q is a %v, want a tensor", name, v)
		}
		out[name] = x
	}
	return out, nil
}

// parameter returns what inference uses for a parameter or statistic, nil if name
// is neither.
func (t *Trainer) parameter(name string) *tensor.Tensor {
	if x := t.state[name+averageSuffix]; x != nil {
		return x
	}
	return t.state[name]
}

// Model returns the model for inference with copies of the parameters as they
// are now (the averaged ones with Config.EMA).
func (t *Trainer) Model() *onnx.Model {
	m := t.model.Clone()
	for _, v := range m.Graph.Consts {
		if x := t.parameter(v.Name); x != nil {
			v.Const = x.Clone()
		}
	}
	return m
}

// Steps is how many updates have been made.
func (t *Trainer) Steps() int { return t.step }

// History returns the records of the epochs that Fit has finished.
func (t *Trainer) History() []Epoch { return slices.Clone(t.at.History) }

// BestEpoch is the epoch, from 1, whose parameters FitOptions.Patience has kept as the best so far; 0 without Patience.
func (t *Trainer) BestEpoch() int { return t.at.BestEpoch }

// Names returns the names of the parameters that are trained.
func (t *Trainer) Names() []string { return slices.Clone(t.names) }

// Targets returns the inputs of the training graph that the model lacks.
func (t *Trainer) Targets() []runtime.ValueInfo { return slices.Clone(t.targets) }

// Close frees the sessions.
func (t *Trainer) Close() {
	for _, s := range []*runtime.Session{t.eval, t.apply, t.gather, t.test} {
		if s != nil {
			s.Close()
		}
	}
}
