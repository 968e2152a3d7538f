package main

import (
	"context"
	"fmt"
	"os"
	goruntime "runtime"
	"slices"
	"strings"
	"time"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/quantize"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

func runtimeThreads() int { return goruntime.GOMAXPROCS(0) }

// tell compares the model that was written with the original, and prints.
func (j *quantizeJob) tell(ctx context.Context) error {
	r := j.result
	var err error
	if r.After.FileBytes, err = fileBytes(j.out); err != nil {
		return err
	}
	s, err := runtime.Open(j.out, j.options())
	if err != nil {
		return err
	}
	defer s.Close()
	if j.base != nil {
		e, err := j.base.Compare(ctx, s)
		if err != nil {
			return err
		}
		r.Errors = figuresOf(e.Outputs)
		for _, o := range e.Outputs {
			if o.Reshaped > 0 {
				r.Warnings = append(r.Warnings, fmt.Sprintf("output %q has another shape than the original's in %s: all of it counts as error there", o.Name, counted(o.Reshaped, "batch")))
			}
		}
		if e.Labelled > 0 {
			now, before := e.Accuracy()
			r.Metric = &metricFigures{"accuracy", e.Labelled, before, now, e.Drop()}
		}
	}
	if !j.noBench {
		if err := j.bench(ctx, s); err != nil {
			return err
		}
	}
	if j.sensitivity {
		if _, err := j.layers(ctx, j.recipe()); err != nil {
			return err
		}
	}
	j.settings()
	if j.report != "" {
		if err := j.histograms(ctx); err != nil {
			return err
		}
		if err := r.writeReport(j.report); err != nil {
			return err
		}
	}
	return j.print()
}

func (j *quantizeJob) settings() {
	r := j.result
	set := func(name string, value any) { r.Settings = append(r.Settings, namedText{name, fmt.Sprint(value)}) }
	mode := j.mode
	if r.Best != nil { // the name of its recipe has the method and the bits
		mode, _, _ = strings.Cut(r.Best.Recipe, " ")
	}
	switch mode {
	case "static":
		set("format", j.format)
		set("types", j.activations+" x "+j.weights)
		if r.Best == nil {
			set("ranges", j.method)
		}
		if e := r.Equalized; e != nil {
			set("equalized", fmt.Sprintf("%s of products, %d left", counted(len(e.Pairs), "pair"), len(e.Left)))
		}
		if r.Corrected != nil {
			n := 0
			for _, c := range r.Corrected {
				if c.Reason == "" {
					n++
				}
			}
			set("biases corrected", fmt.Sprintf("%d of %d", n, len(r.Corrected)))
		}
	case "weight-only":
		if r.Best == nil {
			set("bits", j.bits)
		}
		set("block", max(j.block, 32))
	case "dynamic":
		set("weights", j.weights)
	}
	if j.base != nil {
		set("samples", j.base.Samples)
	}
}

// bench times both models on the same inputs, measures their memory, and warns if
// the new one is slower.
func (j *quantizeJob) bench(ctx context.Context, after *runtime.Session) error {
	before, err := runtime.New(j.model, j.options())
	if err != nil {
		return err
	}
	defer before.Close()
	r := j.result
	src := j.src
	if src == nil {
		src, err = randomSource(before)
	}
	var was, is time.Duration
	if err == nil {
		was, err = quantize.Latency(ctx, before, src)
	}
	if err != nil && j.src == nil && ctx.Err() == nil {
		r.Warnings = append(r.Warnings, "not timed, because the model does not take random inputs; give samples with --calibrate: "+err.Error())
		return nil
	}
	if err == nil {
		is, err = quantize.Latency(ctx, after, src)
	}
	if err != nil {
		return err
	}
	r.Before.LatencyNS, r.After.LatencyNS = was.Nanoseconds(), is.Nanoseconds()
	if err := j.memory(ctx, before, src); ctx.Err() != nil {
		return ctx.Err()
	} else if err != nil {
		r.Warnings = append(r.Warnings, "memory was not measured: "+err.Error())
	}
	if r.After.LatencyNS > r.Before.LatencyNS {
		r.Warnings = append(r.Warnings, fmt.Sprintf("the quantised model is slower on this machine: %.2f times the latency; what stayed float: %s",
			float64(r.After.LatencyNS)/float64(r.Before.LatencyNS), leftFloat(r.Changes)))
	}
	return nil
}

// leftFloat counts the operators that were not quantised.
func leftFloat(changes []quantize.Change) string {
	count := map[string]int{}
	var order []string
	for _, c := range changes {
		if c.Format != "" {
			continue
		}
		key := c.Op + " (" + c.Reason + ")"
		if count[key] == 0 {
			order = append(order, key)
		}
		count[key]++
	}
	if len(order) == 0 {
		return "nothing that could be quantised"
	}
	slices.SortStableFunc(order, func(a, b string) int { return count[b] - count[a] })
	for i, k := range order {
		order[i] = fmt.Sprintf("%d %s", count[k], k)
	}
	return clip(strings.Join(order, ", "), 300)
}

// maxHistograms bounds those of a report, of weights and of activations each.
const maxHistograms = 24

// histograms draws the largest weights and, of a static model, activations of the
// first samples with the ranges that were chosen for them.
func (j *quantizeJob) histograms(ctx context.Context) error {
	r := j.result
	formats := map[string]string{}
	for _, c := range r.Changes {
		formats[c.Node] = c.Format
	}
	var weights []*onnx.Value
	for _, n := range j.ready.Graph.Nodes {
		for _, v := range n.In {
			if v != nil && v.Const != nil && v.Const.DType() == tensor.Float32 && v.Const.Rank() > 1 && formats[quantize.NodeName(n)] != "" && !slices.Contains(weights, v) {
				weights = append(weights, v)
			}
		}
	}
	slices.SortStableFunc(weights, func(a, b *onnx.Value) int { return b.Const.Len() - a.Const.Len() })
	for _, v := range weights[:min(maxHistograms, len(weights))] {
		x, err := tensor.Float64s(v.Const)
		if err != nil || len(x) == 0 {
			continue
		}
		most := max(slices.Max(x), -slices.Min(x))
		r.histograms = append(r.histograms, histogramOf("weights", v.Name, x, [2]float64{-most, most}))
	}
	ranges := j.ranges[j.recipe().ranges()]
	if len(ranges) == 0 {
		return nil
	}
	c, err := j.staticConfig()
	if err != nil {
		return err
	}
	computed := map[string]bool{} // by nodes of the main graph
	for _, n := range j.ready.Graph.Nodes {
		for _, v := range n.Out {
			if v != nil {
				computed[v.Name] = true
			}
		}
	}
	var names []string
	for _, name := range quantize.Activations(j.ready, c) {
		if _, ok := ranges[name]; ok && len(names) < maxHistograms && computed[name] {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	s, err := runtime.New(j.ready, j.options())
	if err != nil {
		return err
	}
	defer s.Close()
	for b, err := range j.src.Batches(ctx) {
		if err != nil {
			return err
		}
		out, err := s.Run(ctx, b.Values(), names...)
		if err != nil {
			return err
		}
		for _, name := range names {
			t, ok := out[name].(*tensor.Tensor)
			if !ok || t.Len() == 0 {
				continue
			}
			x, err := tensor.Float64s(t)
			if err != nil {
				return err
			}
			g := ranges[name]
			r.histograms = append(r.histograms, histogramOf("values of", name, x, [2]float64{float64(g.Lo), float64(g.Hi)}))
		}
		break
	}
	return nil
}

// histogramOf counts x, which is not empty, in equal bins.
func histogramOf(kind, name string, x []float64, clip [2]float64) histogramPlot {
	const bins = 80
	h := histogramPlot{name: name, kind: kind, counts: make([]float64, bins), lo: slices.Min(x), hi: slices.Max(x), clip: clip}
	for _, v := range x {
		i := 0
		if h.hi > h.lo {
			i = min(int((v-h.lo)/(h.hi-h.lo)*bins), bins-1)
		}
		h.counts[i]++
	}
	return h
}

// fileBytes is the size of a model with its external data.
func fileBytes(path string) (int64, error) {
	files, err := onnx.Files(path)
	n := int64(0)
	for _, f := range files {
		info, serr := os.Stat(f)
		if serr != nil {
			return 0, serr
		}
		n += info.Size()
	}
	return n, err
}

// randomSource is one batch of random inputs.
func randomSource(s *runtime.Session) (data.Source, error) {
	in := map[string]tensor.Value{}
	if err := randomInputs(in, s, nil, 1); err != nil {
		return nil, err
	}
	b := data.Batch{Name: "random inputs", Inputs: map[string]*tensor.Tensor{}}
	for name, v := range in {
		t, ok := v.(*tensor.Tensor)
		if !ok {
			return nil, fmt.Errorf("input %q is no tensor", name)
		}
		b.Inputs[name] = t
	}
	return data.Of(b), nil
}

func (j *quantizeJob) print() error {
	w := j.cmd.OutOrStdout()
	if j.asJSON {
		return writeJSON(w, j.result)
	}
	j.result.print(w)
	for _, x := range j.result.Warnings {
		fmt.Fprintln(j.cmd.ErrOrStderr(), "gneiss: warning:", x)
	}
	return nil
}
