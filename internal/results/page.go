package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// write writes the page and a plot for each run.
func write(dir string, runs []run) error {
	if err := os.WriteFile(filepath.Join(dir, "performance.md"), []byte(page(runs)), 0o644); err != nil {
		return err
	}
	for _, r := range runs {
		if err := os.WriteFile(filepath.Join(dir, "results", r.Name+".svg"), []byte(plot(r)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// geomean returns the geometric mean of f over the rows.
func geomean(rows []row, f func(row) float64) float64 {
	s := 0.0
	for _, r := range rows {
		s += math.Log(f(r))
	}
	return math.Exp(s / float64(len(rows)))
}

// compressed reports whether a model computes with quantized weights.
func compressed(r row) bool {
	return strings.Contains(r.Model, "_int8") || strings.Contains(r.Model, "_int4")
}

// small reports whether a model has next to nothing to compute.
func small(r row) bool {
	for _, p := range []string{"mlp_mnist", "gru_forecast", "keras_mlp", "sk_"} {
		if strings.HasPrefix(r.Model, p) {
			return true
		}
	}
	return false
}

var groups = []struct {
	name string
	in   func(row) bool
}{
	{"float32", func(r row) bool { return !compressed(r) }},
	{"int8 and int4", compressed},
	{"small models", small},
	{"language models, prefill and decoding", func(r row) bool { return strings.Contains(r.Model, "@") && !compressed(r) }},
	{"all", func(row) bool { return true }},
}

func threadsOf(rows []row) []int {
	var l []int
	for _, r := range rows {
		if !slices.Contains(l, r.Threads) {
			l = append(l, r.Threads)
		}
	}
	slices.Sort(l)
	return l
}

func filter(rows []row, keep func(row) bool) []row {
	var l []row
	for _, r := range rows {
		if keep(r) {
			l = append(l, r)
		}
	}
	return l
}

func page(runs []run) string {
	var b strings.Builder
	b.WriteString("# Performance\n\n" +
		"Gneiss beside ONNX Runtime 1.32: the same machine, models, inputs and number of threads, both programs started in turn, round by round.\n" +
		"A ratio is the median latency of Gneiss divided by that of ONNX Runtime: below 1 Gneiss is faster. Load is from opening the file to a session\n" +
		"that is ready, with all weights packed; memory is the most that the process held (for ONNX Runtime that includes Python, about 60 MB).\n" +
		"`go run ./internal/results page` writes this page from docs/results.\n")
	for _, r := range runs {
		threads := threadsOf(r.Rows)
		fmt.Fprintf(&b, "\n## %s\n\n%s, commit %s, measured with\n\n```\n%s\n```\n\n", r.Machine, r.Date, r.Commit, r.Command)
		b.WriteString("| geometric means | threads | cases | latency | highest | load | memory |\n|---|--:|--:|--:|--:|--:|--:|\n")
		for _, g := range groups {
			for _, th := range threads {
				rows := filter(r.Rows, func(x row) bool { return x.Threads == th && g.in(x) })
				if len(rows) == 0 {
					continue
				}
				worst := slices.MaxFunc(rows, func(a, b row) int { return cmpFloat(a.Ratio, b.Ratio) })
				fmt.Fprintf(&b, "| %s | %d | %d | %.2f | %.2f (%s) | %.2f | %.2f |\n", g.name, th, len(rows),
					geomean(rows, func(x row) float64 { return x.Ratio }), worst.Ratio, worst.Model,
					geomean(rows, func(x row) float64 { return x.Load }), geomean(rows, func(x row) float64 { return x.RSS }))
			}
		}
		if len(r.Failed) > 0 {
			b.WriteString("\nNot timed, because outputs were beyond the benchmark's rule:\n\n")
			for _, f := range r.Failed {
				fmt.Fprintf(&b, "- %s\n", f)
			}
		}
		fmt.Fprintf(&b, "\n![Latency of each model by that of ONNX Runtime](results/%s.svg)\n\n", r.Name)
		b.WriteString("| model | threads | Gneiss ms | ONNX Runtime ms | ratio | load | memory |\n|---|--:|--:|--:|--:|--:|--:|\n")
		for _, x := range sorted(r.Rows) {
			fmt.Fprintf(&b, "| %s | %d | %.3f | %.3f | %.2f | %.2f | %.2f |\n", x.Model, x.Threads, x.Ours, x.ORT, x.Ratio, x.Load, x.RSS)
		}
	}
	return b.String()
}

func cmpFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func sorted(rows []row) []row {
	l := slices.Clone(rows)
	slices.SortStableFunc(l, func(a, b row) int {
		if c := strings.Compare(a.Model, b.Model); c != 0 {
			return c
		}
		return a.Threads - b.Threads
	})
	return l
}
