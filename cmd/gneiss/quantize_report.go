package main

import (
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/internal/atomicfile"
	"github.com/gneiss-run/gneiss/quantize"
)

// quantizeResult is what quantize --json prints and its report shows.
type quantizeResult struct {
	Model    string          `json:"model"`
	Output   string          `json:"output,omitempty"`
	Mode     string          `json:"mode"`
	Settings []namedText     `json:"settings"`
	Before   modelFigures    `json:"before"`
	After    modelFigures    `json:"after"`
	Errors   []outputFigures `json:"outputs,omitempty"`
	Metric   *metricFigures  `json:"metric,omitempty"`
	// Changes has every node that could compute in another format.
	Changes     []quantize.Change        `json:"layers"`
	Inputs      []string                 `json:"inputs_gone,omitempty"` // whose defaults were weights of what was changed
	Equalized   *quantize.Equalized      `json:"equalized,omitempty"`
	Corrected   []quantize.CorrectedBias `json:"corrected_biases,omitempty"`
	Sensitivity []quantize.LayerError    `json:"sensitivity,omitempty"`
	Tried       []quantize.Candidate     `json:"tried,omitempty"`
	Best        *quantize.Candidate      `json:"best,omitempty"`
	Warnings    []string                 `json:"warnings,omitempty"`
	OK          bool                     `json:"ok"` // no bound was missed

	histograms []histogramPlot
}

type namedText struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// modelFigures are those of a model file. Latency and memory are 0 where they
// were not measured.
type modelFigures struct {
	FileBytes    int64 `json:"file_bytes"`
	WeightBytes  int64 `json:"weight_bytes"`
	LatencyNS    int64 `json:"latency_ns,omitempty"`
	PeakRSSBytes int64 `json:"peak_rss_bytes,omitempty"`
}

// outputFigures are an OutputError with figures that JSON can carry.
type outputFigures struct {
	quantize.OutputError
	SNR float64 `json:"snr_db"`
}

func figuresOf(es []quantize.OutputError) []outputFigures {
	var out []outputFigures
	for _, e := range es {
		f := outputFigures{e, decibels(e.SNR)}
		f.RelativeL2, f.Cosine, f.MaxAbs = finite(e.RelativeL2), finite(e.Cosine), finite(e.MaxAbs)
		out = append(out, f)
	}
	return out
}

// decibels keeps a ratio that JSON can carry: 200 is beyond what floats tell apart.
func decibels(x float64) float64 {
	if math.IsNaN(x) {
		return -200
	}
	return min(max(x, -200), 200)
}

// metricFigures are the task's metric before and after.
type metricFigures struct {
	Name    string  `json:"name"`
	Samples int     `json:"samples"`
	Before  float64 `json:"before"`
	After   float64 `json:"after"`
	Drop    float64 `json:"relative_drop"`
}

// histogramPlot is the distribution of a tensor with the range that is kept.
type histogramPlot struct {
	name, kind string
	counts     []float64
	lo, hi     float64
	clip       [2]float64
}

// inputsGone tells of inputs whose defaults were weights.
func inputsGone(names []string) string {
	return "no longer inputs, as their defaults are weights: " + printable(clip(strings.Join(names, ", "), 200))
}

func percent(x float64) string { return fmt.Sprintf("%.2f%%", 100*x) }

// print writes the result as a person reads it.
func (r *quantizeResult) print(w io.Writer) {
	t := table{head: []string{"", ">before", ">after", ">ratio"}}
	row := func(name string, before, after int64, text func(int64) string) {
		if before > 0 && after > 0 {
			t.add(name, text(before), text(after), fmt.Sprintf("%.3f", float64(after)/float64(before)))
		}
	}
	ms := func(ns int64) string { return fmt.Sprintf("%.3f ms", float64(ns)/1e6) }
	row("file", r.Before.FileBytes, r.After.FileBytes, bytesText)
	row("weights", r.Before.WeightBytes, r.After.WeightBytes, bytesText)
	row("latency", r.Before.LatencyNS, r.After.LatencyNS, ms)
	row("memory", r.Before.PeakRSSBytes, r.After.PeakRSSBytes, bytesText)
	if m := r.Metric; m != nil {
		t.add(m.Name, percent(m.Before), percent(m.After), fmt.Sprintf("%+.2f%%", -100*m.Drop))
	}
	t.print(w)
	if len(r.Errors) > 0 {
		fmt.Fprintln(w)
		e := table{head: []string{"output", ">SNR", ">relative L2", ">cosine", ">largest error"}}
		for _, o := range r.Errors {
			e.add(o.Name, fmt.Sprintf("%.1f dB", o.SNR), fmt.Sprintf("%.4g", o.RelativeL2), fmt.Sprintf("%.6f", o.Cosine), fmt.Sprintf("%.4g", o.MaxAbs))
		}
		e.print(w)
	}
	fmt.Fprintln(w)
	changed := 0
	reasons := map[string][]string{}
	var order []string
	for _, c := range r.Changes {
		if c.Format != "" {
			changed++
			continue
		}
		key := c.Op + ": " + c.Reason
		if reasons[key] == nil {
			order = append(order, key)
		}
		reasons[key] = append(reasons[key], c.Node)
	}
	fmt.Fprintf(w, "%d of %s quantised\n", changed, counted(len(r.Changes), "node"))
	if len(r.Inputs) > 0 {
		fmt.Fprintln(w, inputsGone(r.Inputs))
	}
	for _, s := range r.Settings {
		if s.Name == "equalized" || s.Name == "biases corrected" {
			fmt.Fprintf(w, "%s: %s\n", s.Name, s.Value)
		}
	}
	if len(order) > 0 {
		l := table{head: []string{"left as it was", "why", "nodes"}}
		for _, key := range order {
			op, why, _ := strings.Cut(key, ": ")
			l.add(fmt.Sprintf("%d %s", len(reasons[key]), op), why, clip(strings.Join(reasons[key], ", "), 80))
		}
		l.print(w)
	}
	if len(r.Sensitivity) > 0 {
		fmt.Fprintln(w)
		s := table{head: []string{"node, quantised alone", "operator", ">SNR", ">accuracy lost"}}
		for _, x := range r.Sensitivity[:min(15, len(r.Sensitivity))] {
			s.add(x.Node, x.Op, fmt.Sprintf("%.1f dB", decibels(x.SNR)), percent(x.Drop))
		}
		s.print(w)
		fmt.Fprintln(w, excludeLine(r.Sensitivity))
	}
	if len(r.Tried) > 0 {
		fmt.Fprintln(w)
		s := table{head: []string{"tried", ">excluded", ">weights", ">latency", ">accuracy", ">lost", ""}}
		for _, c := range r.Tried {
			s.add(c.Recipe, len(c.Exclude), bytesText(c.Bytes), ms(c.LatencyNS), percent(c.Accuracy), percent(c.Drop), r.Note(c))
		}
		s.print(w)
	}
}

// Note is what there is to say of a candidate.
func (r *quantizeResult) Note(c quantize.Candidate) string {
	if r.Best != nil && r.Best.Recipe == c.Recipe && slices.Equal(r.Best.Exclude, c.Exclude) {
		return "best"
	}
	return c.Error
}

// excludeLine is what to add to the command so that the nodes which lose most
// stay as they are.
func excludeLine(layers []quantize.LayerError) string {
	var args []string
	for _, x := range layers[:min(3, len(layers))] {
		args = append(args, "--exclude "+shellWord(x.Node))
	}
	return "to leave out what hurts most: " + strings.Join(args, " ")
}

// shellWord quotes s for a POSIX shell where it must be.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,+@%") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// writeReport writes the report as a page of HTML that needs nothing else.
func (r *quantizeResult) writeReport(path string) error {
	err := atomicfile.Write(path, func(w io.Writer) error { return reportPage.Execute(w, r) })
	if err != nil {
		return fmt.Errorf("--report: %w", err)
	}
	return nil
}

// Plots for the page.

func (r *quantizeResult) Layers() template.HTML {
	var names []string
	var values []float64
	for _, x := range r.Sensitivity[:min(60, len(r.Sensitivity))] {
		names, values = append(names, x.Node), append(values, decibels(x.SNR))
	}
	return levels(names, values, "signal-to-noise ratio of the model when only this node is quantised, dB")
}

func (r *quantizeResult) Front() template.HTML {
	var points []point
	for i, c := range r.Tried {
		if c.Error != "" {
			continue
		}
		front := true
		for j, d := range r.Tried {
			if i != j && d.Error == "" && d.Bytes <= c.Bytes && d.Accuracy >= c.Accuracy && (d.Bytes < c.Bytes || d.Accuracy > c.Accuracy || j < i) {
				front = false
			}
		}
		name := fmt.Sprintf("%s, %d excluded: %s, %s", c.Recipe, len(c.Exclude), bytesText(c.Bytes), percent(c.Accuracy))
		points = append(points, point{float64(c.Bytes) / 1e6, 100 * c.Accuracy, name, front})
	}
	return scatter(points, "weights, MB", "accuracy, %")
}

type namedPlot struct {
	Name, Kind string
	Plot       template.HTML
}

func (r *quantizeResult) Histograms() []namedPlot {
	var out []namedPlot
	for _, h := range r.histograms {
		out = append(out, namedPlot{h.name, h.kind, bars(h.counts, h.lo, h.hi, h.clip, "value")})
	}
	return out
}

func (r *quantizeResult) Ratio(before, after int64) string {
	if before <= 0 || after <= 0 {
		return ""
	}
	return fmt.Sprintf("%.3f", float64(after)/float64(before))
}

func (r *quantizeResult) Gone() string { return inputsGone(r.Inputs) }

func (r *quantizeResult) Changed() int {
	return (&quantize.Summary{Changes: r.Changes}).Changed()
}

var reportPage = template.Must(template.New("report").Funcs(template.FuncMap{
	"bytes":   bytesText,
	"ms":      func(ns int64) string { return fmt.Sprintf("%.3f ms", float64(ns)/1e6) },
	"percent": percent,
	"db":      func(x float64) string { return fmt.Sprintf("%.1f dB", decibels(x)) },
	"g":       func(x float64) string { return fmt.Sprintf("%.4g", x) },
}).Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Quantisation of {{.Model}}</title>
<style>` + reportStyle + `</style>
</head>
<body>
<h1>{{.Model}}{{if .Output}} → {{.Output}}{{end}}</h1>
<p>{{.Mode}} quantisation, {{.Changed}} of {{len .Changes}} nodes.{{range .Settings}} {{.Name}}: {{.Value}}.{{end}}</p>
{{if .Inputs}}<p>{{.Gone}}.</p>{{end}}
{{range .Warnings}}<p class="warn">{{.}}</p>{{end}}
<table>
<tr><th></th><th class="n">before</th><th class="n">after</th><th class="n">ratio</th></tr>
<tr><td>file</td><td class="n">{{bytes .Before.FileBytes}}</td><td class="n">{{bytes .After.FileBytes}}</td><td class="n">{{.Ratio .Before.FileBytes .After.FileBytes}}</td></tr>
<tr><td>weights</td><td class="n">{{bytes .Before.WeightBytes}}</td><td class="n">{{bytes .After.WeightBytes}}</td><td class="n">{{.Ratio .Before.WeightBytes .After.WeightBytes}}</td></tr>
{{if .After.LatencyNS}}<tr><td>latency, median</td><td class="n">{{ms .Before.LatencyNS}}</td><td class="n">{{ms .After.LatencyNS}}</td><td class="n">{{.Ratio .Before.LatencyNS .After.LatencyNS}}</td></tr>{{end}}
{{if .After.PeakRSSBytes}}<tr><td>memory at most</td><td class="n">{{bytes .Before.PeakRSSBytes}}</td><td class="n">{{bytes .After.PeakRSSBytes}}</td><td class="n">{{.Ratio .Before.PeakRSSBytes .After.PeakRSSBytes}}</td></tr>{{end}}
{{with .Metric}}<tr><td>{{.Name}} of {{.Samples}} samples</td><td class="n">{{percent .Before}}</td><td class="n">{{percent .After}}</td><td class="n">lost {{percent .Drop}}</td></tr>{{end}}
</table>
{{if .Errors}}
<h2>Outputs</h2>
<table>
<tr><th>output</th><th class="n">signal to noise</th><th class="n">relative L2</th><th class="n">cosine</th><th class="n">largest error</th></tr>
{{range .Errors}}<tr><td class="name">{{.Name}}</td><td class="n">{{db .SNR}}</td><td class="n">{{g .RelativeL2}}</td><td class="n">{{printf "%.6f" .Cosine}}</td><td class="n">{{g .MaxAbs}}</td></tr>
{{end}}</table>
{{end}}
{{if .Tried}}
<h2>What was tried</h2>
{{.Front}}
<div class="wide"><table>
<tr><th>recipe</th><th class="n">excluded</th><th class="n">weights</th><th class="n">latency</th><th class="n">accuracy</th><th class="n">lost</th><th></th></tr>
{{range .Tried}}<tr><td>{{.Recipe}}</td><td class="n">{{len .Exclude}}</td><td class="n">{{bytes .Bytes}}</td><td class="n">{{ms .LatencyNS}}</td><td class="n">{{percent .Accuracy}}</td><td class="n">{{percent .Drop}}</td><td>{{$.Note .}}</td></tr>
{{end}}</table></div>
{{end}}
{{if .Sensitivity}}
<h2>Which nodes hurt</h2>
<div class="wide">{{.Layers}}</div>
{{end}}
{{with .Histograms}}
<h2>Distributions and the ranges that are kept</h2>
<div class="plots">
{{range .}}<figure>{{.Plot}}<figcaption>{{.Kind}} {{.Name}}</figcaption></figure>
{{end}}</div>
{{end}}
<h2>Nodes</h2>
<div class="wide"><table>
<tr><th>node</th><th>operator</th><th>now</th><th>why not</th></tr>
{{range .Changes}}<tr><td class="name">{{.Node}}</td><td>{{.Op}}</td><td>{{.Format}}</td><td>{{.Reason}}</td></tr>
{{end}}</table></div>
</body>
</html>
`))
