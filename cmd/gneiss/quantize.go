package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/quantize"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// quantizeFlags are the flags of quantize.
type quantizeFlags struct {
	out, mode, format, method                  string
	calibrate, preprocess, labels, orientation string
	scores, maxDrop, state, report             string
	activations, weights                       string
	exclude, include, ops                      []string
	percentile                                 float64
	batch, samples, bits, block                int
	accuracyLevel, threads                     int
	perTensor, symmetric                       bool
	asymmetric, reduceRange                    bool
	embeddings, skipHead, portable             bool
	sensitivity, fastest, noBench              bool
	equalize, correct                          bool
	noSearch, asJSON                           bool
	drop                                       float64 // of maxDrop
}

func quantizeCommand() *cobra.Command {
	var f quantizeFlags
	cmd := &cobra.Command{
		Use:   "quantize IN -o OUT",
		Short: "Quantise a model: smaller, and faster where the processor multiplies integers",
		Long: "Quantises a model to int8 with calibrated ranges (--mode static), with ranges found at run time (dynamic), or its\n" +
			"weights alone, to 4 or 8 bits in blocks (weight-only). It writes plain ONNX, and says what that did to size, speed,\n" +
			"memory and outputs, and which nodes stayed as they were and why.\n\n" +
			"With --max-drop it looks for the smallest (or --fastest) model that loses no more accuracy than that, in the modes\n" +
			"and with the methods that are given, or else all; with --no-search it makes only the one model that the flags ask for.\n" +
			"Exit code 3 says that the bound was missed: nothing is written then. --json has ok, and the metric with its\n" +
			"relative_drop, in both cases: where the bound was missed, those of the model that loses least.",
		Example: "  gneiss quantize resnet50.onnx -o resnet50.int8.onnx --calibrate images/ --preprocess imagenet\n" +
			"  gneiss quantize bert.onnx -o bert.int8.onnx --mode dynamic\n" +
			"  gneiss quantize gpt2.onnx -o gpt2.int4.onnx --mode weight-only --bits 4 --block 32\n" +
			"  gneiss quantize cnn.onnx -o cnn.int8.onnx --calibrate images/ --labels labels.csv --max-drop 1%\n" +
			"  gneiss quantize cnn.onnx -o cnn.int8.onnx --calibrate images/ --labels labels.csv --max-drop 1% --no-search --json",
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			return f.run(cmd, args[0])
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.out, "output", "o", "", "the file to write")
	fl.StringVar(&f.mode, "mode", "static", "static, dynamic or weight-only")
	fl.StringVar(&f.calibrate, "calibrate", "", "samples for ranges and comparison: a folder or file of .npz, .npy, .pb, images, CSV, JSON lines or Parquet; each array file is one batch")
	fl.StringVar(&f.preprocess, "preprocess", "", "what becomes of images: imagenet, crop, unit or none")
	fl.StringVar(&f.orientation, "orientation", "exif", "of JPEG files: exif, turned upright as Exif data say, or stored, as torchvision's ImageFolder reads them")
	fl.IntVar(&f.batch, "batch", 0, "images or rows in a batch (0: what the model's input says, or 1)")
	fl.IntVar(&f.samples, "samples", 0, "use this many batches of the samples (0: all)")
	fl.StringVar(&f.method, "method", "minmax", "how ranges are chosen: minmax, moving-average, percentile, entropy or mse")
	fl.Float64Var(&f.percentile, "percentile", 99.99, "percent of the values that --method percentile keeps")
	fl.StringVar(&f.format, "format", "qdq", "static: qdq or qoperator")
	fl.StringVar(&f.activations, "activations", "uint8", "static: type of activations: uint8, int8, uint16 or int16")
	fl.StringVar(&f.weights, "weights", "int8", "type of weights: int8 or uint8; static also int4 and uint4")
	fl.BoolVar(&f.perTensor, "per-tensor", false, "one scale for a weight instead of one for each output channel")
	fl.BoolVar(&f.symmetric, "symmetric", false, "static: activations with their zero point in the middle")
	fl.BoolVar(&f.asymmetric, "asymmetric", false, "weights with a zero point")
	fl.BoolVar(&f.equalize, "equalize", false, "static: make the weights of channels alike first, without changing results (cross-layer equalisation)")
	fl.BoolVar(&f.correct, "bias-correction", false, "static: fold the mean error of each product over the samples into its bias")
	fl.BoolVar(&f.reduceRange, "reduce-range", false, "weights of 7 bits, for runtimes that saturate on processors without VNNI (gneiss does not)")
	fl.IntVar(&f.bits, "bits", 4, "weight-only: 4 or 8")
	fl.IntVar(&f.block, "block", 0, "weights that share a scale: of weight-only 16, 32 (the default of 4 bits), 64, 128 or 256; static: 0 for none")
	fl.BoolVar(&f.portable, "portable", false, "weight-only: standard operators (DequantizeLinear) instead of MatMulNBits")
	fl.IntVar(&f.accuracyLevel, "accuracy-level", 0, "weight-only: the attribute of MatMulNBits: 4 lets a runtime round activations to 8 bits")
	fl.BoolVar(&f.embeddings, "embeddings", false, "weight-only: quantise tables of embeddings too")
	fl.BoolVar(&f.skipHead, "skip-head", false, "weight-only: leave the product that gives the logits")
	fl.StringArrayVar(&f.exclude, "exclude", nil, "leave this node as it is (repeatable)")
	fl.StringArrayVar(&f.include, "include", nil, "quantise this node and no others (repeatable)")
	fl.StringArrayVar(&f.ops, "op", nil, "quantise this operator and no others (repeatable); static: also where it stays in floating point by default, as in transformers all but what reads weights")
	fl.StringVar(&f.labels, "labels", "", "CSV with the class of each sample: accuracy before and after")
	fl.StringVar(&f.scores, "scores", "", "the output with the scores of classes (default: the first of floats)")
	fl.StringVar(&f.maxDrop, "max-drop", "", "accuracy that may be lost, relative to the original's, such as 1%: search for the best model within it")
	fl.BoolVar(&f.noSearch, "no-search", false, "with --max-drop: only see whether the model that the other flags give is within it")
	fl.BoolVar(&f.fastest, "fastest", false, "with --max-drop: the fastest model instead of the smallest")
	fl.StringVar(&f.state, "state", "", "with --max-drop: keep what was tried in this file, and go on from it")
	fl.BoolVar(&f.sensitivity, "sensitivity", false, "quantise each node alone and say which hurt most")
	fl.StringVar(&f.report, "report", "", "write a page with tables and plots to this .html file")
	fl.BoolVar(&f.noBench, "no-bench", false, "do not time the model before and after")
	fl.IntVar(&f.threads, "threads", 0, "threads of one run (0: one per CPU)")
	fl.BoolVar(&f.asJSON, "json", false, "print one JSON object")
	return cmd
}

// check reports flags that do not fit each other.
func (f *quantizeFlags) check(cmd *cobra.Command) error {
	given := func(name string) bool { return cmd.Flags().Changed(name) }
	only := func(mode string, names ...string) error {
		for _, n := range names {
			if given(n) && f.mode != mode {
				return usageError("--%s is for --mode %s, not %s", n, mode, f.mode)
			}
		}
		return nil
	}
	switch {
	case f.out == "":
		return usageError("quantize: where to? give -o OUT")
	case f.mode != "static" && f.mode != "dynamic" && f.mode != "weight-only":
		return usageError("--mode %q: want static, dynamic or weight-only", f.mode)
	case f.mode == "static" && f.calibrate == "":
		return usageError("quantize: --mode static needs samples of what the model gets: give --calibrate DIR, or choose --mode dynamic")
	case f.format != "qdq" && f.format != "qoperator":
		return usageError("--format %q: want qdq or qoperator", f.format)
	case f.bits != 4 && f.bits != 8:
		return usageError("--bits %d: want 4 or 8", f.bits)
	case f.batch < 0 || f.samples < 0 || f.block < 0 || f.threads < 0:
		return usageError("quantize: --batch, --samples, --block and --threads are 0 or more")
	case f.maxDrop != "" && f.labels == "":
		return usageError("--max-drop needs the classes of the samples: give --labels FILE")
	case (f.labels != "" || f.sensitivity) && f.calibrate == "":
		return usageError("--labels and --sensitivity need samples: give --calibrate DIR")
	case f.maxDrop == "" && (f.fastest || f.noSearch || f.state != ""):
		return usageError("--fastest, --state and --no-search go with a bound: give --max-drop")
	case f.noSearch && (f.fastest || f.state != ""):
		return usageError("--fastest and --state are for a search: leave --no-search out")
	case f.report != "" && filepath.Ext(f.report) != ".html" && filepath.Ext(f.report) != ".htm":
		return usageError("--report %q: it is a page, call it .html", f.report)
	}
	if err := only("static", "format", "activations", "method", "percentile", "symmetric", "equalize", "bias-correction"); err != nil {
		return err
	}
	if err := only("weight-only", "bits", "portable", "accuracy-level", "embeddings", "skip-head"); err != nil {
		return err
	}
	if _, err := quantize.ParseMethod(f.method); err != nil {
		return usageError("--method: %v", err)
	}
	if f.maxDrop != "" {
		s, isPercent := strings.CutSuffix(strings.TrimSpace(f.maxDrop), "%")
		v, err := strconv.ParseFloat(s, 64)
		if isPercent {
			v /= 100
		}
		if err != nil || !(v >= 0 && v < 1) {
			return usageError("--max-drop %q: want a share below 1, such as 1%% or 0.01", f.maxDrop)
		}
		f.drop = v
	}
	return nil
}

func (f *quantizeFlags) selection() quantize.Selection {
	return quantize.Selection{Exclude: f.exclude, Include: f.include, Ops: f.ops}
}

// dtypeOf returns the type of that name.
func dtypeOf(flag, name string, types ...tensor.DType) (tensor.DType, error) {
	var names []string
	for _, d := range types {
		if d.String() == name {
			return d, nil
		}
		names = append(names, d.String())
	}
	return 0, usageError("--%s %q: want %s", flag, name, strings.Join(names, ", "))
}

// staticConfig returns what the flags say of static quantisation.
func (f *quantizeFlags) staticConfig() (c quantize.StaticConfig, err error) {
	c = quantize.StaticConfig{Selection: f.selection(), PerTensor: f.perTensor, BlockSize: f.block,
		SymmetricActivations: f.symmetric, AsymmetricWeights: f.asymmetric, ReduceRange: f.reduceRange}
	if f.format == "qoperator" {
		c.Format = quantize.QOperator
	}
	if c.Activations, err = dtypeOf("activations", f.activations, tensor.Uint8, tensor.Int8, tensor.Uint16, tensor.Int16); err != nil {
		return c, err
	}
	c.Weights, err = dtypeOf("weights", f.weights, tensor.Int8, tensor.Uint8, tensor.Int4, tensor.Uint4)
	return c, err
}

// quantizeJob is one call of quantize.
type quantizeJob struct {
	*quantizeFlags
	cmd   *cobra.Command
	path  string
	model *onnx.Model // as it was
	ready *onnx.Model // what is quantised: rewritten at level portable
	// Inputs that are constants in ready, since their defaults are weights.
	defaults *quantize.Defaults
	src      data.Source // nil: no samples
	base     *quantize.Baseline
	// Of the model that was made last.
	equalized *quantize.Equalized
	corrected []quantize.CorrectedBias
	ranges    map[rangesKey]quantize.Ranges
	stored    int64 // bytes of weights of 16 bits, which are made float32 first
	result    *quantizeResult
}

// rangesKey is what ranges depend on within a job.
type rangesKey struct {
	method   quantize.Method
	equalize bool
}

func (f *quantizeFlags) run(cmd *cobra.Command, path string) error {
	m, err := openToRewrite(path, f.out)
	if err != nil {
		return err
	}
	defer m.Close()
	for flag, name := range map[string]string{"--report": f.report, "--state": f.state} {
		if name != "" {
			if err := checkOutput(flag, name); err != nil {
				return err
			}
		}
	}
	j := &quantizeJob{quantizeFlags: f, cmd: cmd, path: path, model: m, ranges: map[rangesKey]quantize.Ranges{}}
	j.result = &quantizeResult{Model: path, Output: f.out, Mode: f.mode, OK: true}
	if j.result.Before.FileBytes, err = fileBytes(path); err != nil { // now: OUT may be IN
		return err
	}
	err = j.work(cmd.Context())
	return named(path, err)
}

// constantBytes is the size of all initializers of g and the graphs nested in it.
func constantBytes(g *onnx.Graph) (n int64) {
	g.Walk(func(h *onnx.Graph) {
		for _, v := range h.Consts {
			if v.Const != nil {
				n += int64(len(v.Const.Bytes()))
			}
		}
	})
	return n
}

// named says which file an error is about, unless it does.
func named(path string, err error) error {
	var exit *exitError
	if err == nil || errors.As(err, &exit) || errors.Is(err, context.Canceled) || strings.Contains(err.Error(), filepath.Base(path)) {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}

func (j *quantizeJob) work(ctx context.Context) error {
	if err := j.open(ctx); err != nil {
		return err
	}
	if j.maxDrop != "" {
		if done, err := j.search(ctx); !done {
			return err
		}
	} else {
		c := j.ready.Clone()
		s, err := j.make(ctx, c, j.recipe(), j.exclude)
		if err != nil {
			return err
		}
		if err := j.write(c, s); err != nil {
			return err
		}
	}
	return j.tell(ctx)
}

// open reads samples, rewrites the model and runs it on them.
func (j *quantizeJob) open(ctx context.Context) error {
	j.ready = j.model.Clone()
	j.defaults = quantize.FixDefaults(j.ready)
	if j.mode != "weight-only" { // which has blocks of float16, too
		wide, err := quantize.Widen(j.ready)
		if err != nil {
			return err
		}
		if wide {
			j.stored = constantBytes(j.model.Graph)
		}
	}
	if j.mode == "static" {
		j.ready = withNorms(withGelu(j.ready))
	}
	if j.mode != "weight-only" { // which must not hold a second copy of large models
		if _, err := optimize.Run(j.ready, optimize.Portable, optimize.Options{}); err != nil {
			return err
		}
	}
	if j.calibrate == "" {
		return nil
	}
	src, err := data.Open(j.calibrate, data.Options{Inputs: data.InputsOf(j.model), BatchSize: j.batch, Preprocess: j.preprocess, Orientation: j.orientation})
	if err != nil {
		return err
	}
	j.src = src
	if j.samples > 0 {
		j.src = data.First(src, j.samples)
	}
	o := quantize.BaselineOptions{Scores: j.scores}
	var labels []data.Label
	if j.labels != "" {
		if labels, err = data.Labels(j.labels); err != nil {
			return err
		}
		if o.Classes, err = data.Classes(labels); err != nil {
			return fmt.Errorf("%s: %w", j.labels, err)
		}
	}
	s, err := runtime.New(j.model, j.options())
	if err != nil {
		return err
	}
	defer s.Close()
	compared := j.src
	if j.labels == "" { // without labels some samples are enough
		compared = data.First(j.src, 32)
	}
	j.base, err = quantize.NewBaseline(ctx, s, compared, o)
	if errors.Is(err, quantize.ErrNoFloats) && j.labels == "" && !j.sensitivity { // classes of pixels, say
		j.result.Warnings = append(j.result.Warnings, "not compared: "+err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	// Labels without files go by the order: left over ones may mean that they are
	// of other samples. Of a fixed size of batch samples are left over, too.
	if n := len(labels); n > 0 && labels[0].File == "" && j.samples == 0 && j.base.All && n-j.base.Samples >= fixedBatch(j.model) {
		return fmt.Errorf("%s: it has %d labels, but %s has %d samples", j.labels, n, j.calibrate, j.base.Samples)
	}
	return nil
}

// fixedBatch is the number of samples that m takes at a time, at least 1.
func fixedBatch(m *onnx.Model) int {
	n := 1
	for _, in := range data.InputsOf(m) {
		if len(in.Type.Dims) > 0 {
			if k, ok := in.Type.Dims[0].Size(); ok {
				n = max(n, k)
			}
		}
	}
	return n
}

// withGelu returns m in the opset that has Gelu, if it may be written out with Erf
// there: as one operator it is one on integers, in parts it stays in floating point.
func withGelu(m *onnx.Model) *onnx.Model {
	const opset = 20
	if m.Opsets[""] >= opset || !slices.ContainsFunc(m.Graph.Nodes, func(n *onnx.Node) bool { return n.Op == "Erf" }) {
		return m
	}
	c := m.Clone()
	if err := optimize.ConvertOpset(c, "", opset); err != nil {
		return m // it is quantised as it is
	}
	return c
}

// withNorms returns m in the opset that has LayerNormalization, if one may be written out
// there, or ONNX Runtime has put it into an older one: in parts it would be rounded between them.
func withNorms(m *onnx.Model) *onnx.Model {
	const opset = 17
	has := func(g *onnx.Graph, ops ...string) bool {
		return slices.ContainsFunc(g.Nodes, func(n *onnx.Node) bool { return slices.Contains(ops, n.Op) })
	}
	if m.Opsets[""] >= opset || !has(m.Graph, "ReduceMean", "LayerNormalization") {
		return m
	}
	c := m.Clone()
	if err := optimize.ConvertOpset(c, "", opset); err != nil {
		return m
	}
	if _, err := optimize.Run(c, optimize.Portable, optimize.Options{}); err != nil || !has(c.Graph, "LayerNormalization") {
		return m
	}
	return c
}

func (j *quantizeJob) options() runtime.Options { return runtime.Options{Threads: j.threads} }

// recipe is what one candidate is made by.
type recipe struct {
	mode   string
	method quantize.Method
	bits   int
	// Of static: what is done against the loss of accuracy.
	equalize, correct bool
}

// name is how a search calls r.
func (r recipe) name() string {
	s := r.mode
	switch r.mode {
	case "static":
		s += " " + r.method.String()
	case "weight-only":
		s += fmt.Sprintf(" %d bits", r.bits)
	}
	if r.equalize {
		s += ", equalized"
	}
	if r.correct {
		s += ", biases corrected"
	}
	return s
}

func (r recipe) ranges() rangesKey { return rangesKey{r.method, r.equalize} }

func (j *quantizeJob) recipe() recipe {
	method, _ := quantize.ParseMethod(j.method) // checked
	return recipe{j.mode, method, j.bits, j.equalize, j.correct}
}

// make quantises m, but for the excluded nodes.
func (j *quantizeJob) make(ctx context.Context, m *onnx.Model, r recipe, exclude []string) (*quantize.Summary, error) {
	sel := j.selection()
	sel.Exclude = exclude
	j.equalized, j.corrected = nil, nil
	switch r.mode {
	case "dynamic":
		w, err := dtypeOf("weights", j.weights, tensor.Int8, tensor.Uint8)
		if err != nil {
			return nil, err
		}
		return quantize.Dynamic(m, quantize.DynamicConfig{Selection: sel, Weights: w, PerTensor: j.perTensor, Asymmetric: j.asymmetric, ReduceRange: j.reduceRange, Threads: j.workers()})
	case "weight-only":
		c := quantize.WeightOnlyConfig{Selection: sel, Bits: r.bits, Block: j.block, Asymmetric: j.asymmetric, AccuracyLevel: j.accuracyLevel,
			Embeddings: j.embeddings, SkipHead: j.skipHead, Threads: j.workers()}
		if j.portable {
			c.Format = quantize.Dequantize
		}
		return quantize.WeightOnly(m, c)
	}
	c, err := j.staticConfig()
	if err != nil {
		return nil, err
	}
	ranges, err := j.rangesBy(ctx, r.ranges(), c)
	if err != nil {
		return nil, err
	}
	c.Selection = sel
	if r.equalize {
		j.equalized = quantize.Equalize(m.Graph)
	}
	if r.correct {
		if j.corrected, err = j.correctBiases(ctx, m, ranges, c); err != nil {
			return nil, err
		}
	}
	return quantize.Static(m, ranges, c)
}

// workers is the number of threads that --threads asks for.
func (j *quantizeJob) workers() int {
	if j.threads > 0 {
		return j.threads
	}
	return runtimeThreads()
}

// correctBiases folds mean errors into the biases of m.
func (j *quantizeJob) correctBiases(ctx context.Context, m *onnx.Model, ranges quantize.Ranges, c quantize.StaticConfig) ([]quantize.CorrectedBias, error) {
	bar := newProgress(j.cmd.ErrOrStderr(), "correct biases", max(j.src.Len(), 0), func() string { return "" })
	defer bar.end()
	return quantize.CorrectBias(ctx, m, ranges, c, j.src, quantize.CorrectConfig{Threads: j.threads, Progress: func(int, int) { bar.step() }})
}

// rangesBy calibrates, once for each key.
func (j *quantizeJob) rangesBy(ctx context.Context, key rangesKey, c quantize.StaticConfig) (quantize.Ranges, error) {
	if r := j.ranges[key]; r != nil {
		return r, nil
	}
	m := j.ready
	if key.equalize {
		m = m.Clone()
		quantize.Equalize(m.Graph)
	}
	c.Selection.Exclude = nil // a search leaves out other nodes than it calibrates for
	values := quantize.Activations(m, c)
	bar := newProgress(j.cmd.ErrOrStderr(), "calibrate "+key.method.String(), max(j.src.Len(), 0), func() string { return "" })
	defer bar.end()
	levels := 256
	if c.Activations.Bits() == 16 {
		levels = 1 << 16
	}
	r, err := quantize.Calibrate(ctx, m, j.src, quantize.CalibrateConfig{Method: key.method, Values: values, Percentile: j.percentile,
		Levels: levels, Symmetric: j.symmetric, Threads: j.threads, Progress: func(int, int) { bar.step() }})
	if err != nil {
		return nil, err
	}
	j.ranges[key] = r
	return r, nil
}

// write writes the model and notes what became of its nodes.
func (j *quantizeJob) write(m *onnx.Model, s *quantize.Summary) error {
	if s.Changed() == 0 {
		why := "no node of it can be quantised"
		if len(s.Changes) > 0 {
			why = fmt.Sprintf("no node of it was quantised: %s %q: %s", s.Changes[0].Op, s.Changes[0].Node, s.Changes[0].Reason)
		}
		return errors.New(why)
	}
	r := j.result
	r.Inputs = j.defaults.Restore(m.Graph)
	if err := onnx.Save(m, j.out, onnx.SaveOptions{}); err != nil {
		return err
	}
	if n := quantize.QuantizedNodes(j.model); n > 0 {
		r.Warnings = []string{fmt.Sprintf("%s was quantised in part already: %d of its nodes quantise; what could be of the rest was quantised now", j.path, n)}
	}
	r.Changes, r.Before.WeightBytes, r.After.WeightBytes = s.Changes, s.Before, s.After
	if j.stored > 0 {
		r.Before.WeightBytes = j.stored
	}
	r.Equalized, r.Corrected = j.equalized, j.corrected
	return nil
}

// search tries recipes; done says that a model was written.
func (j *quantizeJob) search(ctx context.Context) (done bool, err error) {
	var list []quantize.Recipe
	by := map[string]recipe{}
	for _, r := range j.recipes() {
		name := r.name()
		by[name] = r
		list = append(list, quantize.Recipe{Name: name, Make: func(ctx context.Context, m *onnx.Model, exclude []string) (*quantize.Summary, error) {
			s, err := j.make(ctx, m, r, append(slices.Clone(j.exclude), exclude...))
			if err == nil && s.Changed() == 0 {
				err = errors.New("no node is quantised")
			}
			return s, err
		}})
	}
	id, err := j.id()
	if err != nil {
		return false, err
	}
	best := quantize.Candidate{}
	c := quantize.SearchConfig{MaxDrop: j.drop, Fastest: j.fastest, Runtime: j.options(), State: j.state,
		ID: id,
		Layers: func(ctx context.Context, r quantize.Recipe) ([]string, error) {
			layers, err := j.layers(ctx, by[r.Name])
			var names []string
			for _, x := range layers {
				names = append(names, x.Node)
			}
			return names, err
		},
		Better: func(m *onnx.Model, s *quantize.Summary, c quantize.Candidate) error {
			best = c
			return j.write(m, s)
		},
		Tried: func(c quantize.Candidate) {
			text := fmt.Sprintf("%s, %d excluded: %s of weights, accuracy %s, lost %s", c.Recipe, len(c.Exclude), bytesText(c.Bytes), percent(c.Accuracy), percent(c.Drop))
			if c.Error != "" {
				text = c.Recipe + ": " + c.Error
			}
			fmt.Fprintln(j.cmd.ErrOrStderr(), "tried", text)
		}}
	if j.noSearch {
		c.Layers = nil
	}
	tried, i, err := quantize.Search(ctx, j.ready, list, j.base, c)
	j.result.Tried = tried
	if i >= 0 {
		j.result.Best = &best
	}
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return false, j.interrupted(best)
	}
	if err != nil {
		return false, err
	}
	if !slices.ContainsFunc(tried, func(c quantize.Candidate) bool { return c.Error == "" }) {
		return false, fmt.Errorf("no way to quantise works: %s: %s", tried[0].Recipe, tried[0].Error)
	}
	if i < 0 {
		j.missed()
		if err := j.print(); err != nil {
			return false, err
		}
		return false, &exitError{exitDiffers, fmt.Errorf("%s: nothing that was tried loses at most %s; nothing is written", j.path, percent(j.drop))}
	}
	j.result.Mode = best.Recipe
	return true, nil
}

// interrupted is the error of a search that its context ended, with what it leaves;
// best is the zero value if nothing is written.
func (j *quantizeJob) interrupted(best quantize.Candidate) error {
	text := "interrupted"
	if best.Recipe != "" {
		text += fmt.Sprintf("; %s is the best so far: %s, lost %s", j.out, best.Recipe, percent(best.Drop))
	}
	if j.state != "" {
		text += fmt.Sprintf("; the same command goes on from --state %s", j.state)
	}
	return &exitError{exitFailed, errors.New(text)}
}

// recipes lists what a search tries: what the flags leave open.
func (j *quantizeJob) recipes() []recipe {
	if j.noSearch {
		return []recipe{j.recipe()}
	}
	given := j.cmd.Flags().Changed
	var all []recipe
	for _, method := range []quantize.Method{quantize.MinMax, quantize.Percentile, quantize.Entropy, quantize.MSE} {
		all = append(all, recipe{mode: "static", method: method, equalize: j.equalize, correct: j.correct})
	}
	if !j.equalize && !j.correct { // asked for, they are part of all that is static
		all = append(all, recipe{mode: "static", method: j.recipe().method, correct: true},
			recipe{mode: "static", method: j.recipe().method, equalize: true, correct: true})
	}
	all = append(all, recipe{mode: "dynamic"}, recipe{mode: "weight-only", bits: 4}, recipe{mode: "weight-only", bits: 8})
	if given("method") && j.recipe().method == quantize.MovingAverage {
		all[0].method = quantize.MovingAverage
	}
	return slices.DeleteFunc(all, func(r recipe) bool {
		return given("mode") && r.mode != j.mode || given("bits") && r.bits != j.bits ||
			given("method") && r.mode == "static" && r.method != j.recipe().method
	})
}

// id tells searches apart whose figures are not of the same things.
func (j *quantizeJob) id() (string, error) {
	var files []string
	for _, path := range []string{j.path, j.labels} {
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		files = append(files, fmt.Sprint(path, " ", info.Size(), " ", info.ModTime().UnixNano()))
	}
	f := j.quantizeFlags
	return fmt.Sprintf("%q", []any{files, f.calibrate, f.samples, f.batch, f.preprocess, f.orientation, f.scores, f.format, f.activations, f.weights, f.percentile,
		f.perTensor, f.symmetric, f.asymmetric, f.reduceRange, f.block, f.portable, f.accuracyLevel, f.embeddings, f.skipHead, f.equalize, f.correct,
		f.exclude, f.include, f.ops}), nil
}

// missed notes that nothing is within the bound, with the figures of what loses least.
func (j *quantizeJob) missed() {
	r := j.result
	r.OK, r.Output = false, ""
	if !j.noSearch {
		r.Mode = "search"
	}
	for _, c := range r.Tried {
		if c.Error == "" && (r.Metric == nil || c.Drop < r.Metric.Drop) {
			r.Metric = &metricFigures{"accuracy", j.base.Labelled, c.Before, c.Accuracy, c.Drop}
			r.After.WeightBytes = c.Bytes
		}
	}
}

// layers quantises each node alone.
func (j *quantizeJob) layers(ctx context.Context, r recipe) ([]quantize.LayerError, error) {
	if j.result.Sensitivity != nil {
		return j.result.Sensitivity, nil
	}
	r.correct = false // which would run all samples for each node
	s, err := j.make(ctx, j.ready.Clone(), r, j.exclude)
	if err != nil {
		return nil, err
	}
	var nodes []*onnx.Node
	changed := map[string]bool{}
	for _, c := range s.Changes {
		changed[c.Node] = changed[c.Node] || c.Format != ""
	}
	for _, n := range j.ready.Graph.Nodes {
		if changed[quantize.NodeName(n)] {
			nodes = append(nodes, n)
		}
	}
	bar := newProgress(j.cmd.ErrOrStderr(), "sensitivity", len(nodes), func() string { return "" })
	defer bar.end()
	one := *j
	layers, err := quantize.Sensitivity(ctx, j.ready, nodes, func(m *onnx.Model, node string) error {
		f := *j.quantizeFlags
		f.include = []string{node}
		one.quantizeFlags = &f
		_, err := one.make(ctx, m, r, nil)
		return err
	}, j.base, j.options(), func(int, int) { bar.step() })
	j.result.Sensitivity = layers
	return layers, err
}
