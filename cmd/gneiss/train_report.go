package main

import (
	"context"
	"fmt"
	"html/template"
	"io"
	"maps"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/internal/atomicfile"
	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
)

// trainReport is what a page about a training run shows.
type trainReport struct {
	Output   string
	Seconds  float64
	Config   string
	Data     []namedText
	Layers   []layerRow
	More     int // layers that are not shown
	Params   int64
	Trained  int64
	FLOPs    int64
	Known    bool // FLOPs are all of them
	History  train.History
	Result   *analysis // nil without validation data
	Settings []namedText

	classes []string // what classes are called; may be nil
}

// layerRow is a node of the model.
type layerRow struct {
	Name, Op, Shape string
	Params, FLOPs   int64
}

// reportLayers is how many layers a report lists.
const reportLayers = 200

// report gathers what the page shows of a run on samples.
func (c *trainConfig) report(ctx context.Context, tr *train.Trainer, o *train.FitOptions, samples train.Dataset) (*trainReport, error) {
	r := &trainReport{Output: c.Output, Config: c.text, History: *o.History, classes: c.classNames()}
	for _, e := range r.History.Epochs {
		r.Seconds += e.Seconds
	}
	add := func(name, format string, v ...any) {
		r.Data = append(r.Data, namedText{name, fmt.Sprintf(format, v...)})
	}
	count := samples.Len()
	if s, ok := o.Train.(*train.Stream); ok {
		count = s.Samples()
	}
	add("training samples", "%d, %d batches of %d an epoch", count, o.Train.Len(), c.Data.size())
	if o.Validation != nil {
		add("validation samples", "%d", o.Validation.Dataset.Len())
	}
	first, err := samples.Batch(ctx, []int{0})
	if err != nil {
		return nil, err
	}
	if err := r.summarise(tr, first); err != nil {
		return nil, err
	}
	for _, name := range namesOf(first) {
		add(name, "%v %s", first[name].DType(), dimsText(first[name].Shape()[1:]))
	}
	threads := c.Threads
	if threads == 0 {
		threads = goruntime.GOMAXPROCS(0)
	}
	version, revision := buildVersion()
	r.Settings = []namedText{{"gneiss", strings.TrimSpace(version + " " + revision)}, {"Go", goruntime.Version()}, {"system", goruntime.GOOS + "/" + goruntime.GOARCH},
		{"instruction set", cpu.Level()}, {"threads", fmt.Sprint(threads)}, {"seed", fmt.Sprint(c.Seed)}, {"steps", fmt.Sprint(tr.Steps())}}
	if o.Validation != nil && o.Validation.Dataset.Len() > 0 {
		if r.Result, err = c.analyse(ctx, tr, o.Validation, o.Metrics); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// dimsText writes the shape of a sample.
func dimsText(shape []int) string {
	if len(shape) == 0 {
		return ""
	}
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(shape), "[]"), " ", "×")
}

// summarise lists the layers of the model, for a batch of one sample like first.
func (r *trainReport) summarise(tr *train.Trainer, first map[string]*tensor.Tensor) error {
	m := tr.Model()
	dims := map[string]int{}
	for _, v := range m.Graph.Inputs {
		x := first[v.Name]
		if x == nil || x.Rank() != len(v.Type.Dims) {
			continue
		}
		for i, d := range v.Type.Dims {
			if _, known := d.Size(); !known {
				dims[d.String()] = x.Dim(i)
			}
		}
	}
	if err := optimize.Infer(m, optimize.InferOptions{Dims: dims}); err != nil {
		return err
	}
	trained := tr.Names()
	sizes := map[*onnx.Value]int64{}
	for _, v := range train.Parameters(m) {
		sizes[v] = int64(v.Const.Len())
		r.Params += sizes[v]
		if slices.Contains(trained, v.Name) {
			r.Trained += sizes[v]
		}
	}
	r.Known = true
	for _, n := range m.Graph.Nodes {
		row := layerRow{Name: n.Name, Op: n.Op}
		for _, v := range n.In {
			if v != nil && sizes[v] > 0 {
				if row.Params == 0 {
					row.Name = v.Name
					if dot := strings.LastIndexByte(v.Name, '.'); dot > 0 {
						row.Name = v.Name[:dot]
					}
				}
				row.Params += sizes[v]
				delete(sizes, v) // a weight that is shared counts once
			}
		}
		if len(n.Out) > 0 && n.Out[0] != nil {
			row.Shape = n.Out[0].Type.String()
		}
		var known bool
		row.FLOPs, known = flops(n)
		r.FLOPs, r.Known = add(r.FLOPs, row.FLOPs), r.Known && known
		if n.Op == "Identity" || n.Op == "Constant" {
			continue
		}
		if len(r.Layers) < reportLayers {
			r.Layers = append(r.Layers, row)
		} else {
			r.More++
		}
	}
	return nil
}

// Curves are the plots of the page.
func (r *trainReport) Curves() []namedPlot {
	epochs := func(f func(e train.Epoch) (float64, bool)) (x, y []float64) {
		for _, e := range r.History.Epochs {
			if v, ok := f(e); ok {
				x, y = append(x, float64(e.Epoch)), append(y, v)
			}
		}
		return
	}
	line := func(name string, f func(e train.Epoch) (float64, bool)) curve {
		x, y := epochs(f)
		return curve{name: name, x: x, y: y}
	}
	batches := func(name string, f func(b train.Record) (float64, bool)) curve {
		c := curve{name: name}
		for i, b := range r.History.Batches {
			if v, ok := f(b); ok {
				c.x, c.y = append(c.x, float64(i+1)), append(c.y, v)
			}
		}
		return c
	}
	names := map[string]bool{}
	for _, e := range r.History.Epochs {
		for name := range e.Metrics {
			names[name] = true
		}
	}
	loss := []curve{line("training", func(e train.Epoch) (float64, bool) { return e.TrainLoss, true }), line("validation", func(e train.Epoch) (float64, bool) {
		if e.ValidationLoss == nil {
			return 0, false
		}
		return *e.ValidationLoss, true
	})}
	var out []namedPlot
	plot := func(name, caption string, p template.HTML) {
		if p != "" {
			out = append(out, namedPlot{name, caption, p})
		}
	}
	plot("loss", "Loss", curves(loss, "epoch", "loss"))
	// Metrics that are shares have one scale; others have a plot each.
	var shares []curve
	for _, name := range slices.Sorted(maps.Keys(names)) {
		c := line(name, func(e train.Epoch) (float64, bool) { v, ok := e.Metrics[name]; return v, ok })
		if isShare(name) {
			shares = append(shares, c)
		} else {
			plot(name, name, curves([]curve{c}, "epoch", name))
		}
	}
	if len(shares) == 1 {
		plot("metrics", shares[0].name, curves(shares, "epoch", shares[0].name))
	} else {
		plot("metrics", "Metrics", curves(shares, "epoch", "share"))
	}
	each := batches("each batch", func(b train.Record) (float64, bool) { return b.Loss, true })
	each.faint = true
	plot("batch-loss", "Loss of each batch", curves([]curve{each, smooth(each)}, "batch", "loss"))
	plot("learning-rate", "Learning rate", curves([]curve{batches("rate", func(b train.Record) (float64, bool) { return b.Rate, true })}, "batch", "learning rate"))
	plot("gradients", "Norm of the gradients", curves([]curve{batches("norm", func(b train.Record) (float64, bool) {
		if b.GradNorm == nil {
			return 0, false
		}
		return *b.GradNorm, true
	})}, "batch", "L2 norm"))
	plot("speed", "Samples per second", curves([]curve{batches("speed", func(b train.Record) (float64, bool) { return float64(b.Samples) / b.Seconds, b.Seconds > 0 })}, "batch", "samples/s"))
	return out
}

// isShare reports whether a metric is in [0, 1].
func isShare(name string) bool {
	return slices.Contains([]string{"accuracy", "precision", "recall", "f1", "auc"}, name) || strings.HasPrefix(name, "top")
}

// smooth is the exponential moving average of a curve, without the bias of its start.
func smooth(c curve) curve {
	out := curve{name: "smoothed", x: c.x}
	sum, weight := 0.0, 0.0
	keep := min(0.9, max(0.5, 1-20/float64(max(len(c.y), 1))))
	for _, v := range c.y {
		sum, weight = keep*sum+(1-keep)*v, keep*weight+(1-keep)
		out.y = append(out.y, sum/weight)
	}
	return out
}

// Matrix is the confusion matrix, where it has a readable size.
func (r *trainReport) Matrix() template.HTML {
	if r.Result == nil || len(r.Result.Confusion) > matrixClasses {
		return ""
	}
	return matrix(r.Result.Confusion, r.ClassName)
}

// ClassName is the number of a class with its name, if it has one.
func (r *trainReport) ClassName(i int) string {
	if i >= 0 && i < len(r.classes) {
		return fmt.Sprint(i, " ", r.classes[i])
	}
	return fmt.Sprint(i)
}

// Shown are the classes that the page lists: all, or of many those with the lowest F1.
func (r *trainReport) Shown() []classFigures {
	if r.Result == nil {
		return nil
	}
	all := slices.Clone(r.Result.Classes)
	if len(all) > matrixClasses {
		slices.SortStableFunc(all, func(a, b classFigures) int {
			switch {
			case a.F1 < b.F1:
				return -1
			case a.F1 > b.F1:
				return 1
			}
			return 0
		})
		all = all[:matrixClasses]
	}
	return all
}

// writeReport writes the page.
func (r *trainReport) writeReport(path string) error {
	if err := atomicfile.Write(path, func(w io.Writer) error { return trainPage.Execute(w, r) }); err != nil {
		return fmt.Errorf("--report: %w", err)
	}
	return nil
}

// writePlots writes the curves as SVG and PNG files in dir.
func (r *trainReport) writePlots(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("plots: %w", err)
	}
	for _, p := range r.Curves() {
		err := atomicfile.Write(filepath.Join(dir, p.Name+".svg"), func(w io.Writer) error {
			_, err := io.WriteString(w, string(p.Plot))
			return err
		})
		if err == nil {
			err = atomicfile.Write(filepath.Join(dir, p.Name+".png"), func(w io.Writer) error { return writePNG(w, string(p.Plot)) })
		}
		if err != nil {
			return fmt.Errorf("plots: %w", err)
		}
	}
	return nil
}

func durationText(seconds float64) string {
	if seconds < 60 {
		return fmt.Sprintf("%.1f s", seconds)
	}
	s := int(seconds + 0.5)
	if s < 3600 {
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	}
	return fmt.Sprintf("%d h %d min", s/3600, s%3600/60)
}
