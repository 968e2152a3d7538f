package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/quantize"
	"github.com/gneiss-run/gneiss/quantize/prune"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// pruneResult is what prune --json prints.
type pruneResult struct {
	Model      string         `json:"model"`
	Output     string         `json:"output"`
	FileBefore int64          `json:"file_bytes_before"`
	FileAfter  int64          `json:"file_bytes_after"`
	Latency    *prunedLatency `json:"latency,omitempty"`
	*prune.Report
}

// prunedLatency are median times of a run.
type prunedLatency struct {
	Runs   int   `json:"runs"`
	Before int64 `json:"median_ns_before"`
	After  int64 `json:"median_ns_after"`
}

// pruneFlags are the flags of prune that say what goes.
type pruneFlags struct {
	structured, sparsity  float64
	pattern, block, scope string
	norm                  string
	multiple              int
	exclude, include, ops []string
}

// plan reads the flags and returns what does the pruning.
func (f *pruneFlags) plan(cmd *cobra.Command) (func(*onnx.Model) (*prune.Report, error), error) {
	given := func(name string) bool { return cmd.Flags().Changed(name) }
	sel := quantize.Selection{Exclude: f.exclude, Include: f.include, Ops: f.ops}
	scope, err := prune.ParseScope(f.scope)
	if err != nil {
		return nil, usageError("--scope %q: want per-layer or global", f.scope)
	}
	norm, ok := map[string]prune.Norm{"l1": prune.L1, "l2": prune.L2}[f.norm]
	part := func(name string, x float64) error {
		if !(x > 0 && x < 1) {
			return usageError("--%s %v: want more than 0 and less than 1", name, x)
		}
		return nil
	}
	pair := func(name, text, sep string) (a, b int, err error) {
		m := regexp.MustCompile(`^(\d{1,6})` + sep + `(\d{1,6})$`).FindStringSubmatch(text)
		if m == nil {
			return 0, 0, usageError("--%s %q: want two numbers with %q between them", name, text, sep)
		}
		a, _ = strconv.Atoi(m[1])
		b, _ = strconv.Atoi(m[2])
		return a, b, nil
	}
	switch {
	case !ok:
		return nil, usageError("--norm %q: want l1 or l2", f.norm)
	case f.multiple < 1:
		return nil, usageError("--multiple %d: want 1 or more", f.multiple)
	case given("structured") && (given("sparsity") || given("pattern") || given("block")), given("pattern") && (given("sparsity") || given("block")):
		return nil, usageError("prune: one thing at a time: --structured, --sparsity (with or without --block) or --pattern")
	case !given("structured") && (given("norm") || given("multiple")):
		return nil, usageError("prune: --norm and --multiple go with --structured")
	case given("pattern") && given("scope"):
		return nil, usageError("prune: --pattern keeps as many weights everywhere; it has no --scope")
	case given("structured"):
		return func(m *onnx.Model) (*prune.Report, error) {
			return prune.Structured(m, prune.Options{Fraction: f.structured, Scope: scope, Norm: norm, Multiple: f.multiple, Select: sel})
		}, part("structured", f.structured)
	case given("pattern"):
		n, m, err := pair("pattern", f.pattern, ":")
		if err == nil && (n < 1 || m <= n) {
			err = usageError("--pattern %q: want N:M with N at least 1 and less than M", f.pattern)
		}
		return func(model *onnx.Model) (*prune.Report, error) { return prune.NM(model, n, m, sel) }, err
	case given("block") && !given("sparsity"):
		return nil, usageError("prune: how many of the blocks? give --sparsity as well")
	case given("block"):
		rows, cols, err := pair("block", f.block, "x")
		if err == nil && (rows < 1 || cols < 1) {
			err = usageError("--block %q: want at least 1x1", f.block)
		}
		if err == nil {
			err = part("sparsity", f.sparsity)
		}
		return func(m *onnx.Model) (*prune.Report, error) { return prune.Block(m, rows, cols, f.sparsity, scope, sel) }, err
	case given("sparsity"):
		return func(m *onnx.Model) (*prune.Report, error) { return prune.Magnitude(m, f.sparsity, scope, sel) }, part("sparsity", f.sparsity)
	}
	return nil, usageError("prune: how? give --structured, --sparsity or --pattern")
}

func pruneCommand() *cobra.Command {
	var f pruneFlags
	var out string
	var asJSON, all bool
	var bench int
	cmd := &cobra.Command{
		Use:   "prune IN -o OUT (--structured F | --sparsity F [--block RxC] | --pattern N:M)",
		Short: "Take the least important weights away",
		Long: "Prunes a model. --structured removes channels, neurons and heads, so that the model gets smaller and faster;\n" +
			"--sparsity and --pattern set single weights, or blocks of them, to zero. What pruning costs in accuracy\n" +
			"depends on the model; most want training afterwards. OUT may be IN.",
		Example: "  gneiss prune model.onnx -o small.onnx --structured 0.5 --bench 10\n  gneiss prune model.onnx -o sparse.onnx --sparsity 0.8 --scope global\n" +
			"  gneiss prune model.onnx -o sparse.onnx --pattern 2:4 --exclude /fc/Gemm",
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return usageError("prune: where to? give -o OUT")
			}
			if bench < 0 {
				return usageError("--bench %d: want 0 or more runs", bench)
			}
			do, err := f.plan(cmd)
			if err != nil {
				return err
			}
			m, err := openToRewrite(args[0], out)
			if err != nil {
				return err
			}
			defer m.Close()
			c := m.Clone()
			res := pruneResult{Model: args[0], Output: out}
			if res.Report, err = do(c); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if bench > 0 {
				res.Latency = &prunedLatency{Runs: bench}
				if res.Latency.Before, err = medianRun(cmd.Context(), m, bench); err != nil {
					return fmt.Errorf("%s: --bench: %w", args[0], err)
				}
				if res.Latency.After, err = medianRun(cmd.Context(), c, bench); err != nil {
					return fmt.Errorf("%s: --bench: the pruned model: %w", args[0], err)
				}
			}
			if res.FileBefore, err = modelBytes(args[0]); err != nil {
				return err
			}
			if err := onnx.Save(c, out, onnx.SaveOptions{}); err != nil {
				return err
			}
			if res.FileAfter, err = modelBytes(out); err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), res)
			}
			res.print(cmd.OutOrStdout(), all)
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&out, "output", "o", "", "the file to write; may be IN")
	fl.Float64Var(&f.structured, "structured", 0, "remove this fraction of the channels, neurons and heads of each group of layers; with --scope global of the model's FLOPs")
	fl.Float64Var(&f.sparsity, "sparsity", 0, "set this fraction of the weights to zero")
	fl.StringVar(&f.pattern, "pattern", "", "keep N of every M weights along the input dimension, such as 2:4")
	fl.StringVar(&f.block, "block", "", "with --sparsity: blocks of R outputs by C inputs, such as 4x4")
	fl.StringVar(&f.scope, "scope", prune.PerLayer.String(), "per-layer: every layer loses the same fraction; global: layers are compared with each other")
	fl.StringVar(&f.norm, "norm", "l2", "with --structured: what importance is measured by, l1 or l2")
	fl.IntVar(&f.multiple, "multiple", 8, "with --structured: round the channels that stay to a multiple of this")
	fl.StringArrayVar(&f.exclude, "exclude", nil, "leave this node as it is (repeatable)")
	fl.StringArrayVar(&f.include, "include", nil, "prune only this node (repeatable)")
	fl.StringArrayVar(&f.ops, "op", nil, "prune only nodes of this operator (repeatable)")
	fl.IntVar(&bench, "bench", 0, "time this many runs before and after, on random inputs with symbolic sizes 1")
	fl.BoolVar(&all, "layers", false, "print every layer")
	fl.BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// modelBytes is the size of a model's files.
func modelBytes(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	size := info.Size()
	if data, err := os.Stat(path + ".data"); err == nil {
		size += data.Size()
	}
	return size, nil
}

// medianRun times runs of m on random inputs.
func medianRun(ctx context.Context, m *onnx.Model, runs int) (int64, error) {
	s, err := runtime.New(m, runtime.Options{})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	in := map[string]tensor.Value{}
	if err := randomInputs(in, s, nil, 1); err != nil {
		return 0, err
	}
	const warmup = 3
	times := make([]int64, 0, runs)
	for i := range warmup + runs {
		t := time.Now()
		if _, err := s.Run(ctx, in); err != nil {
			return 0, err
		}
		if i >= warmup {
			times = append(times, time.Since(t).Nanoseconds())
		}
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

// print writes the tables for people.
func (r *pruneResult) print(w io.Writer, all bool) {
	change := func(before, after int64) string {
		if before == 0 {
			return ""
		}
		return fmt.Sprintf("%+.1f%%", 100*(float64(after)/float64(before)-1))
	}
	t := table{head: []string{r.Output, ">before", ">after", ">change"}}
	row := func(what string, before, after int64, text func(int64) string) {
		t.add(what, text(before), text(after), change(before, after))
	}
	row("file", r.FileBefore, r.FileAfter, bytesText)
	row("parameters", r.Before.Parameters, r.After.Parameters, countText)
	row("not zero", r.Before.Nonzeros, r.After.Nonzeros, countText)
	row("FLOPs", r.Before.FLOPs, r.After.FLOPs, countText)
	if l := r.Latency; l != nil {
		row("latency", l.Before, l.After, func(ns int64) string { return fmt.Sprintf("%.3f ms", float64(ns)/1e6) })
	}
	t.print(w)
	if all {
		fmt.Fprintln(w)
		t = table{head: []string{"layer", "operator", "weight was", "is", ">zeros", ">FLOPs was", ">is", "note"}}
		for _, l := range r.Layers {
			zeros := "0%"
			if l.After.Parameters > 0 {
				zeros = fmt.Sprintf("%.1f%%", 100*float64(l.After.Parameters-l.After.Nonzeros)/float64(l.After.Parameters))
			}
			t.add(printable(l.Node), l.Op, fmt.Sprint(l.Was), fmt.Sprint(l.Is), zeros, countText(l.Before.FLOPs), countText(l.After.FLOPs), l.Reason)
		}
		t.print(w)
	}
	r.notes(w, all)
}

// notes says which groups and layers stayed, and why; those with one cause are
// told together.
func (r *pruneResult) notes(w io.Writer, all bool) {
	if len(r.Inputs) > 0 {
		fmt.Fprintf(w, "\n%s\n", inputsGone(r.Inputs))
	}
	t := table{head: []string{"stays", ">units", "because of", "why"}}
	stays := func(names []string, units int, by, why string) {
		text := printable(strings.Join(names, ", "))
		if !all {
			text = clip(text, 60)
		}
		t.add(text, units, printable(by), printable(why))
	}
	for _, g := range r.Groups {
		if g.Why != "" {
			stays(g.Layers, max(g.Pinned, 1), g.PinnedBy, g.Why)
		}
	}
	for _, l := range r.Layers {
		if l.Reason != "" {
			stays([]string{l.Node}, int(l.Before.Parameters), "", l.Reason)
		}
	}
	if len(t.rows) > 0 {
		fmt.Fprintln(w)
		t.print(w)
	}
}
