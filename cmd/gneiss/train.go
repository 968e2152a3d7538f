package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
	"github.com/gneiss-run/gneiss/train/nn"
)

func trainCommand() *cobra.Command {
	cmd := trainingCommand(func(c *trainConfig, path string) error {
		if c.Teacher != nil {
			return fmt.Errorf("%s: it has a teacher: gneiss distill learns from one", path)
		}
		return nil
	})
	cmd.Use = "train CONFIG.yaml"
	cmd.Short = "Train a model: an imported one, a ready one or a stack of layers"
	cmd.Long = "Trains what the configuration describes and writes it as ONNX. Interrupted, it leaves a checkpoint, where the\n" +
		"configuration names a folder for them, from which --resume goes on as if nothing had happened."
	cmd.Example = "  gneiss train digits.yaml\n" +
		"  gneiss train digits.yaml --set optimizer.lr=0.01 --set epochs=20\n" +
		"  gneiss train digits.yaml --resume run/"
	return cmd
}

func distillCommand() *cobra.Command {
	cmd := trainingCommand(func(c *trainConfig, path string) error {
		if c.Teacher == nil {
			return fmt.Errorf("%s: there is no teacher: {model: big.onnx, temperature: 4, alpha: 0.7}", path)
		}
		return nil
	})
	cmd.Use = "distill CONFIG.yaml"
	cmd.Short = "Train a model to give the logits of a teacher"
	cmd.Long = "Trains as gneiss train does, with a teacher, a model that takes the same inputs: alpha of the loss is how far the\n" +
		"logits, softened by the temperature, are from the teacher's, the rest is the loss on the targets. Without a loss in\n" +
		"the configuration the data needs no targets."
	cmd.Example = "  gneiss distill student.yaml --set teacher.model=big.onnx"
	return cmd
}

// trainingCommand is train or distill; check looks at the configuration.
func trainingCommand(check func(c *trainConfig, path string) error) *cobra.Command {
	var set []string
	var resume, report string
	var asJSON bool
	cmd := &cobra.Command{
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := readTrainConfig(args[0], set)
			if err != nil {
				return err
			}
			if err := check(c, args[0]); err != nil {
				return err
			}
			return c.run(cmd, resume, report, asJSON)
		},
	}
	cmd.Flags().StringArrayVar(&set, "set", nil, "KEY=VALUE: set a key of the configuration, such as optimizer.lr=0.01 (repeatable)")
	cmd.Flags().StringVar(&resume, "resume", "", "go on from this checkpoint, or the newest in this folder")
	cmd.Flags().StringVar(&report, "report", "", "write a page of HTML about the run to this file")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for each epoch")
	return cmd
}

// run trains and writes the model, or validates it on folds of the data first.
func (c *trainConfig) run(cmd *cobra.Command, resume, report string, asJSON bool) error {
	for key, path := range map[string]string{"output": c.Output, "save_weights": c.SaveWeights, "history": c.History, "--report": report} {
		if path == "" {
			continue
		}
		if err := checkOutput(key, path); err != nil { // now, not after hours of training
			return err
		}
	}
	if err := c.checkFolds(report); err != nil {
		return err
	}
	if c.Folds > 0 {
		return c.crossValidate(cmd, resume, report, asJSON)
	}
	c.whole = c.Checkpoint
	if !c.Data.Validation.given() {
		c.division = division{share: c.Data.Split, seed: c.Seed}
	}
	_, err := c.once(cmd, resume, report, asJSON)
	return err
}

// once trains, and writes the model if there is a file to write. It returns the epoch that the model is of.
func (c *trainConfig) once(cmd *cobra.Command, resume, report string, asJSON bool) (*train.Epoch, error) {
	ctx, out, errs := cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	c.recorded = report != "" || c.History != "" || c.Plots != ""
	var err error
	switch {
	case c.pictured():
		err = c.findImages(ctx, errs, nil)
	case c.tabular():
		err = c.prepare(ctx, errs)
	default:
		if err = c.findLabels(ctx, errs); err == nil {
			if c.tokens, err = newTextReader(&c.Data); c.tokens != nil {
				c.tokens.labels = c.labels
			}
		}
	}
	if err != nil {
		return nil, err
	}
	tr, sets, err := c.trainer(ctx)
	if err != nil {
		return nil, err
	}
	defer tr.Close()
	if c.teacher != nil {
		defer c.teacher.Close()
	}
	if c.weights != "" && !asJSON {
		fmt.Fprintf(errs, "gneiss: class weights: %s\n", c.weights)
	}
	if c.loaded != "" && !asJSON {
		fmt.Fprintf(errs, "gneiss: %s\n", c.loaded)
	}
	if resume != "" {
		if err := tr.Resume(resume); err != nil {
			return nil, err
		}
		if !asJSON {
			fmt.Fprintf(errs, "gneiss: goes on behind step %d; %d of %d epochs are done\n", tr.Steps(), len(tr.History()), c.Epochs)
		}
	}
	loader := &train.Loader{Dataset: sets[0], BatchSize: c.Data.BatchSize, Shuffle: c.Data.Shuffle, DropLast: c.Data.DropLast, Seed: c.Seed, Prefetch: c.Data.Prefetch}
	o := train.FitOptions{
		Train: loader, Epochs: c.Epochs, Checkpoint: c.Checkpoint, CheckpointSteps: c.Every, Keep: c.Keep, Patience: c.Patience, Monitor: c.Monitor,
	}
	if sets[1] != nil {
		o.Validation = &train.Loader{Dataset: sets[1], BatchSize: max(c.Data.BatchSize, 64), Prefetch: c.Data.Prefetch}
		for _, name := range c.Metrics {
			m, err := train.ParseMetric(name)
			if err != nil {
				return nil, err
			}
			o.Metrics = append(o.Metrics, m)
		}
	} else if len(c.Metrics) > 0 {
		return nil, fmt.Errorf("metrics %q need validation data: give data.validation, data.split or folds", c.Metrics)
	}
	if c.recorded {
		o.History = &train.History{Epochs: tr.History()}
	}
	changes, err := c.augmented(ctx, tr, sets[0])
	if err != nil {
		return nil, err
	}
	if loader.Augment = changes[0]; o.Validation != nil {
		o.Validation.Augment = changes[1]
	}
	if err := c.tryExport(ctx, tr); err != nil {
		return nil, err
	}
	if loader.Weights, err = c.samplingWeights(ctx); err != nil {
		return nil, err
	}
	if c.source != nil {
		if o.Train, err = c.feed(ctx, changes[0]); err != nil {
			return nil, err
		}
	}
	var events *train.Events
	if c.TensorBoard != "" {
		if events, err = train.NewEvents(c.TensorBoard); err != nil {
			return nil, err
		}
		defer events.Close()
	}
	var state trainState
	var bar *progress
	start := func(epoch int) {
		state.begin(time.Now())
		bar = newProgress(errs, c.epochText(epoch), o.Train.Len(), func() string { return state.text(time.Now()) })
	}
	printed := len(tr.History()) // the interrupted run has told of these
	o.OnStep = func(p *train.Progress) error {
		if bar == nil {
			start(p.Epoch + 1)
			bar.skip(p.Batch - 1)
		}
		bar.update(func() { state.step(p, c.Data.size(), time.Now()) })
		return nil
	}
	o.OnEpoch = func(p *train.Progress) error {
		if bar != nil {
			bar.end()
			bar = nil
		}
		for _, e := range p.History[printed:] {
			if err := c.tellEpoch(out, e, asJSON); err != nil {
				return err
			}
			if events != nil {
				if err := events.Epoch(p.Step, e); err != nil {
					return err
				}
			}
		}
		printed = len(p.History)
		return nil
	}
	_, err = tr.Fit(ctx, o)
	if bar != nil {
		bar.end()
	}
	if err != nil {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) && c.Checkpoint != "" {
			fmt.Fprintf(errs, "gneiss: interrupted; --resume %s goes on from here\n", c.whole)
			return nil, &exitError{code: exitFailed}
		}
		return nil, err
	}
	history := tr.History()
	last := &history[len(history)-1]
	if k := tr.BestEpoch(); c.Patience > 0 && k > 0 {
		last = &history[k-1]
	}
	if c.Output == "" {
		return last, nil
	}
	if err := c.write(cmd, tr, sets[0], asJSON); err != nil {
		return nil, err
	}
	return last, c.tell(ctx, tr, &o, sets[0], report)
}

// write exports the model, compared with the trained one on some samples.
func (c *trainConfig) write(cmd *cobra.Command, tr *train.Trainer, samples train.Dataset, asJSON bool) error {
	some := make([]int, min(4, samples.Len()))
	for i := range some {
		some[i] = i
	}
	batch, err := samples.Batch(cmd.Context(), some)
	if err != nil {
		return err
	}
	var m *onnx.Model
	if c.qat != nil {
		if m, err = c.qat.integers(tr.Model()); err == nil && c.Opset > 0 {
			err = optimize.ConvertOpset(m, "", c.Opset)
		}
		if err == nil {
			m.Metadata = append(m.Metadata, c.tokens.metadata()...)
		}
	} else {
		m, err = tr.Export(cmd.Context(), train.ExportOptions{Opset: c.Opset, Inputs: batch, Metadata: c.tokens.metadata()})
	}
	if err != nil {
		return err
	}
	if err := c.describe(m, tr.History()); err != nil {
		return err
	}
	if err := tellSaved(cmd, m, c.Output, asJSON); err != nil {
		return err
	}
	for _, p := range c.parts {
		if m, err = tr.Export(cmd.Context(), train.ExportOptions{Opset: c.Opset, From: p.from, To: p.to}); err != nil {
			return fmt.Errorf("%s: %w", p.path, err)
		}
		if err := tellSaved(cmd, m, p.path, asJSON); err != nil {
			return err
		}
	}
	if c.SaveWeights != "" {
		if err := train.SaveWeights(c.SaveWeights, tr.Model(), train.WeightOptions{Lenient: true}); err != nil {
			return err
		}
	}
	return nil
}

// tellSaved writes m, and says so unless asJSON.
func tellSaved(cmd *cobra.Command, m *onnx.Model, path string, asJSON bool) error {
	if err := onnx.Save(m, path, onnx.SaveOptions{}); err != nil || asJSON {
		return err
	}
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: opset %d, %s\n", path, m.Opsets[""], bytesText(st.Size()))
	return nil
}

// tell writes what was recorded.
func (c *trainConfig) tell(ctx context.Context, tr *train.Trainer, o *train.FitOptions, samples train.Dataset, report string) error {
	if c.History != "" {
		if err := o.History.WriteFile(c.History); err != nil {
			return err
		}
	}
	if report == "" && c.Plots == "" {
		return nil
	}
	r, err := c.report(ctx, tr, o, samples)
	if err != nil {
		return fmt.Errorf("--report: %w", err)
	}
	if c.Plots != "" {
		if err := r.writePlots(c.Plots); err != nil {
			return err
		}
	}
	if report == "" {
		return nil
	}
	return r.writeReport(report)
}

// epochText names an epoch.
func (c *trainConfig) epochText(epoch int) string {
	text := fmt.Sprintf("epoch %d/%d", epoch, c.Epochs)
	if c.fold > 0 {
		text = fmt.Sprintf("fold %d/%d, %s", c.fold, c.Folds, text)
	}
	return text
}

func (c *trainConfig) tellEpoch(w io.Writer, e train.Epoch, asJSON bool) error {
	if asJSON {
		b, err := json.Marshal(toldEpoch{c.fold, e})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s\n", b)
		return err
	}
	text := fmt.Sprintf("%s: loss %.4f", c.epochText(e.Epoch), e.TrainLoss)
	if e.ValidationLoss != nil {
		text += fmt.Sprintf(", validation %.4f", *e.ValidationLoss)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Metrics)) {
		text += fmt.Sprintf(", %s %.4f", name, e.Metrics[name])
	}
	if e.Skipped > 0 {
		text += fmt.Sprintf(", %d steps skipped", e.Skipped)
	}
	_, err := fmt.Fprintf(w, "%s, %.1f s\n", text, e.Seconds)
	return err
}

// trainer makes the trainer and the data sets of training and validation; the
// latter may be nil, and of a stream the former has the first samples.
func (c *trainConfig) trainer(ctx context.Context) (*train.Trainer, [2]train.Dataset, error) {
	var sets [2]train.Dataset
	fail := func(err error) (*train.Trainer, [2]train.Dataset, error) { return nil, sets, err }
	cfg := train.Config{Freeze: c.Model.Freeze, Only: c.Model.Only, Target: c.target(), ClipNorm: c.ClipNorm, ClipValue: c.ClipValue,
		GradNorm: c.recorded, Accumulate: c.Accumulate, EMA: c.EMA, Recompute: c.Recompute.Recompute, MixedPrecision: c.Mixed.MixedPrecision, Seed: c.Seed, Threads: c.Threads}
	var err error
	var hard train.Loss
	if c.Loss.Name != "" {
		if hard, err = c.loss(); err != nil {
			return fail(err)
		}
	}
	cfg.Loss = c.taught(hard)
	if cfg.Optimizer, err = c.optimizer(); err != nil {
		return fail(err)
	}
	if cfg.Schedule, err = c.schedule(); err != nil {
		return fail(err)
	}
	for _, g := range c.Groups {
		cfg.Groups = append(cfg.Groups, train.Group{Names: g.Names, RateFactor: g.LR, WeightDecay: g.WeightDecay})
	}
	m, err := c.model(ctx, &cfg)
	if err != nil {
		return fail(err)
	}
	if err := c.checkClasses(m); err != nil {
		return fail(err)
	}
	if hard, err = c.weighted(ctx, hard, m); err != nil {
		return fail(err)
	}
	if c.ClassWeights != nil {
		c.weights = c.weightsText(hard)
	}
	cfg.Loss = c.taught(hard)
	if c.loaded, err = c.Model.load(m); err != nil {
		return fail(err)
	}
	if c.images != nil {
		if err := c.openImages(m); err != nil {
			return fail(err)
		}
	}
	want := data.InputsOf(m)
	if c.QAT != nil {
		have, err := c.samples(ctx, 0, want)
		if err == nil && c.division.given() && !c.ownPart() {
			have, _, err = c.divided(have) // ranges are those of what is trained on
		}
		if err != nil {
			return fail(err)
		}
		if c.qat, m, err = newQAT(ctx, m, c.QAT, have, c.Threads); err != nil {
			return fail(err)
		}
	}
	tr, err := train.New(m, cfg)
	if err != nil {
		return fail(err)
	}
	for _, t := range tr.Targets() {
		if c.Teacher == nil || t.Name != train.TeacherInput {
			if t.Name == cfg.Target {
				t.Type = classTarget(tr, t.Type)
			}
			want = append(want, data.Input{Name: t.Name, Type: t.Type})
		}
	}
	if c.Data.Stream.on {
		c.source, err = c.openPart(ctx, 0, want, false)
	}
	if err == nil {
		sets, err = c.sets(ctx, want)
	}
	if err != nil {
		tr.Close()
		return fail(err)
	}
	return tr, sets, nil
}

// taught is the loss with what a teacher, if there is one, adds to it.
func (c *trainConfig) taught(hard train.Loss) train.Loss {
	if t := c.Teacher; t != nil {
		return train.Distillation{Hard: hard, Temperature: t.Temperature, Alpha: t.Alpha}
	}
	return hard
}

// model opens or builds the model, and has cfg name the output that a new head is for.
func (c *trainConfig) model(ctx context.Context, cfg *train.Config) (*onnx.Model, error) {
	if c.Model.Import != "" {
		m, err := onnx.Open(c.Model.Import, onnx.DecodeOptions{})
		if err != nil {
			return nil, err
		}
		if h := c.Model.Head; h != nil {
			if h.Output != "" {
				cfg.Outputs = []string{h.Output}
			}
			if err := train.ReplaceHead(m, h.Output, h.Classes, c.Seed); err != nil {
				return nil, fmt.Errorf("%s: %w", c.Model.Import, err)
			}
		}
		return m, nil
	}
	in, err := c.builtInput(ctx, cfg.Target)
	if err != nil {
		return nil, err
	}
	return c.build(in, cfg)
}

// builtInput is the input of a model that is built for the samples.
func (c *trainConfig) builtInput(ctx context.Context, target string) (in nn.Input, err error) {
	if c.images != nil {
		return c.Data.builtInput()
	}
	var samples train.Arrays
	if c.Data.Stream.on {
		samples, err = c.head(ctx, nil)
	} else {
		samples, err = c.file(ctx, c.Data.Train, nil)
	}
	if err != nil {
		return in, err
	}
	inputs := c.Data.Inputs
	if inputs == nil {
		for _, name := range slices.Sorted(maps.Keys(samples)) {
			if name != target {
				inputs = append(inputs, name)
			}
		}
	}
	for _, name := range inputs {
		if samples[name] == nil {
			return in, fmt.Errorf("%v has no %q: it has %s", c.Data.Train, name, strings.Join(slices.Sorted(maps.Keys(samples)), ", "))
		}
		if samples[name], err = single(samples[name]); err != nil {
			return in, fmt.Errorf("%v: %q: %w", c.Data.Train, name, err)
		}
	}
	if len(inputs) != 1 {
		return in, fmt.Errorf("data: inputs are %q, a model that is built takes one", inputs)
	}
	x := samples[inputs[0]]
	in = nn.Input{Name: inputs[0], DType: x.DType(), Dims: append([]onnx.Dim{onnx.Name("batch")}, onnx.Sizes(x.Shape()[1:]...)...)}
	if in.DType == tensor.Int64 && x.Rank() == 2 {
		in.Dims[1] = onnx.Name("length")
	}
	return in, nil
}

// sets reads the data sets of training and validation; the latter may be nil.
func (c *trainConfig) sets(ctx context.Context, want []data.Input) (sets [2]train.Dataset, err error) {
	if sets[0], err = c.samples(ctx, 0, want); err != nil {
		return sets, err
	}
	switch {
	case c.prep != nil:
		if c.prepared[1] != nil {
			sets[1], err = c.samples(ctx, 1, want)
		}
	case c.Data.Validation.given() || c.ownPart() && c.division.given():
		sets[1], err = c.samples(ctx, 1, want)
	case c.division.given():
		sets[0], sets[1], err = c.divided(sets[0])
	}
	if err == nil && c.Teacher != nil {
		err = c.teach(&sets)
	}
	return sets, err
}

// samples reads what want names of a part: 0 of training, 1 of validation.
func (c *trainConfig) samples(ctx context.Context, part int, want []data.Input) (train.Dataset, error) {
	if c.images != nil {
		return c.images.set(part, c.target(), want)
	}
	if c.Data.Stream.on && part == 0 {
		return c.head(ctx, want)
	}
	if c.Data.Stream.on && c.prep == nil && c.division.given() {
		return c.heldSamples(ctx, want)
	}
	from := []sources{c.Data.Train, c.Data.Validation}[part]
	name, a := from.String(), c.prepared[part]
	if c.prep == nil {
		var err error
		if a, err = c.file(ctx, from, want); err != nil {
			return nil, err
		}
	} else if part == 1 {
		name = "validation"
	}
	a, err := fitted(name, a, want)
	if err != nil {
		return nil, err
	}
	return a, c.checkTargets(func(i int) string { return fmt.Sprintf("%s: sample %d", name, i+1) }, a)
}

// file is readSamples, which reads files of named tensors once. Of tables that
// become features it returns the training part.
func (c *trainConfig) file(ctx context.Context, from sources, want []data.Input) (train.Arrays, error) {
	if c.prep != nil {
		return c.prepared[0], nil
	}
	path := from.String()
	if a := c.files[path]; a != nil {
		return a, nil
	}
	var a train.Arrays
	var err error
	switch {
	case from.arrays != nil:
		a, err = readArrays(from.arrays)
	case c.tokens != nil:
		return c.tokens.read(ctx, from, want)
	default:
		a, err = readSamples(ctx, from, want, c.labels)
	}
	if err == nil {
		b := data.Batch{Name: path, Inputs: a}
		if err = c.labels.put(&b); err == nil { // of arrays; those of tables are there
			a = b.Inputs
		}
	}
	if err == nil && (from.arrays != nil || filepath.Ext(path) == ".npz") {
		if c.files == nil {
			c.files = map[string]train.Arrays{}
		}
		c.files[path] = a
	}
	return a, err
}

// teach adds the teacher's logits to the data sets.
func (c *trainConfig) teach(sets *[2]train.Dataset) error {
	s, err := runtime.Open(c.Teacher.Model, runtime.Options{Threads: c.Threads})
	if err != nil {
		return fmt.Errorf("teacher: %w", err)
	}
	output := c.Teacher.Output
	if output == "" {
		output = s.Outputs()[0].Name
	}
	as := map[string]string{output: train.TeacherInput}
	c.teacher = s
	if c.lesson, err = train.Teach(s, as); err != nil {
		return fmt.Errorf("%s: %w", c.Teacher.Model, err)
	}
	for i, d := range sets {
		if d == nil {
			continue
		}
		if sets[i], err = train.WithTeacher(d, s, as); err != nil {
			return fmt.Errorf("%s: %w", c.Teacher.Model, err)
		}
	}
	return nil
}

// readSamples reads files or folders of samples whole; see openSamples.
func readSamples(ctx context.Context, from sources, want []data.Input, l *labels) (train.Arrays, error) {
	src, err := openSamples(from, want, 0, l)
	if err != nil {
		return nil, err
	}
	a, err := train.Collect(ctx, src)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", from, err)
	}
	return a, nil
}

// fitted returns what want names of a, in the wanted element types and, where
// only ones differ, shapes.
func fitted(path string, a train.Arrays, want []data.Input) (train.Arrays, error) {
	out := map[string]*tensor.Tensor{}
	for _, w := range want {
		x := a[w.Name]
		if x == nil {
			return nil, fmt.Errorf("%s has no %q: it has %s", path, w.Name, strings.Join(slices.Sorted(maps.Keys(a)), ", "))
		}
		x, err := castTo(x, w.Type.DType)
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", path, w.Name, err)
		}
		if w.Type.Ranked && x.Rank()+1 == len(w.Type.Dims) && w.Type.Dims[x.Rank()].Is(1) {
			if x, err = x.Reshape(append(slices.Clone(x.Shape()), 1)...); err != nil {
				return nil, err
			}
		}
		if err := data.Fits(x, w.Type); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", path, w.Name, err)
		}
		out[w.Name] = x
	}
	a, err := train.NewArrays(out)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return a, nil
}

// single returns x with float64 as float32 and small integers as int64.
func single(x *tensor.Tensor) (*tensor.Tensor, error) {
	switch x.DType() {
	case tensor.Float64, tensor.Float16, tensor.BFloat16, tensor.Uint8, tensor.Bool:
		return castTo(x, tensor.Float32)
	case tensor.Int32, tensor.Int16, tensor.Int8, tensor.Uint16, tensor.Uint32:
		return castTo(x, tensor.Int64)
	}
	return x, nil
}

// castTo converts numbers; to integers only where nothing is lost.
func castTo(x *tensor.Tensor, d tensor.DType) (*tensor.Tensor, error) {
	if x.DType() == d || d == tensor.Undefined {
		return x, nil
	}
	v, err := tensor.Float64s(x)
	if err != nil {
		return nil, err
	}
	y := tensor.New(d, x.Shape()...)
	switch d {
	case tensor.Float32:
		for i, e := range v {
			tensor.Data[float32](y)[i] = float32(e)
		}
	case tensor.Float64:
		copy(tensor.Data[float64](y), v)
	case tensor.Int64:
		err = toIntegers(tensor.Data[int64](y), v)
	case tensor.Int32:
		err = toIntegers(tensor.Data[int32](y), v)
	default:
		return nil, fmt.Errorf("%v, want %v", x, d)
	}
	return y, err
}

func toIntegers[T int32 | int64](dst []T, v []float64) error {
	for i, e := range v {
		if dst[i] = T(e); float64(dst[i]) != e {
			return fmt.Errorf("element %d is %g, want an %T", i, e, dst[i])
		}
	}
	return nil
}
