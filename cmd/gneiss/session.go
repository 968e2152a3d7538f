package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gneiss-run/gneiss/conformance"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// sessionFlags are the flags of every command that runs a model.
type sessionFlags struct {
	threads int
	level   string
	disable []string
	dims    []string
	data    string
	inputs  []string
	seed    uint64
	packed  string
	bf16    bool
}

func (f *sessionFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.IntVar(&f.threads, "threads", 0, "threads of one run (0: one per CPU)")
	fl.StringVar(&f.level, "level", "", "how far the graph is rewritten: none, portable or machine (default: machine)")
	fl.StringArrayVar(&f.disable, "disable", nil, "do not use this optimiser pass or rule (repeatable)")
	fl.StringArrayVar(&f.dims, "dim", nil, "fix a symbolic size, NAME=N (repeatable)")
	fl.StringVar(&f.data, "data", "", "folder with input_*.pb and, to compare with, output_*.pb")
	fl.StringArrayVar(&f.inputs, "input", nil, "NAME=FILE: .npy, .npz, .pb, .json, .png or .jpg (repeatable); an .npz alone gives all it has arrays for")
	fl.StringVar(&f.packed, "pack-file", "", "keep packed weights in this file, which opens large models faster from the second time on")
	fl.BoolVar(&f.bf16, "bfloat16", false, "let products with constant matrices round their factors to bfloat16, each by up to 0.2%, where the processor multiplies these: up to twice as fast")
	fl.Uint64Var(&f.seed, "random", 1, "make the inputs that nothing else gives from this seed")
}

// open opens the model at path and says how long that took.
func (f *sessionFlags) open(cmd *cobra.Command, path string) (*runtime.Session, time.Duration, error) {
	o, err := f.options()
	if err != nil {
		return nil, 0, err
	}
	if o.PackFile = f.packed; f.packed != "" {
		o.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	start := time.Now()
	s, err := runtime.Open(path, o)
	if err != nil {
		return nil, 0, err
	}
	took := time.Since(start)
	warnDims(cmd, path, o.Dims)
	return s, took, nil
}

// runError names the whole path of the model in an error of a node, and says so
// if inputs were made up.
func (f *sessionFlags) runError(path string, err error, random bool) error {
	var n *runtime.NodeError
	if !errors.As(err, &n) || errors.Is(err, context.Canceled) {
		return err
	}
	n.Model = path
	if random {
		return fmt.Errorf("%w; the inputs were random, which this model may not take: give real ones with --data or --input, sizes with --dim", err)
	}
	return err
}

// warnDims says which sizes of --dim name nothing in the model.
func warnDims(cmd *cobra.Command, path string, dims map[string]int) {
	if len(dims) == 0 {
		return
	}
	m, err := onnx.Open(path, onnx.DecodeOptions{SkipWeights: true})
	if err != nil {
		return
	}
	defer m.Close()
	known := symbols(m.Graph)
	for _, name := range slices.Sorted(maps.Keys(dims)) {
		if slices.Contains(known, name) {
			continue
		}
		have := "it has none"
		if len(known) > 0 {
			have = "it has " + strings.Join(known, ", ")
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "gneiss: warning: --dim %s: the inputs of %s have no size of that name; %s\n", name, path, have)
	}
}

// symbols lists the names of sizes in the types of g's inputs, in order.
func symbols(g *onnx.Graph) []string {
	var names []string
	for _, v := range g.Inputs {
		for _, d := range v.Type.Dims {
			for _, n := range d.Names() {
				if !slices.Contains(names, n) {
					names = append(names, n)
				}
			}
		}
	}
	return names
}

// set gives the inputs that the flags name: of --data, then of --input; what
// is missing then is random if random says so. Want is what --data expects.
func (f *sessionFlags) set(model string, s *runtime.Session, random bool) (set *conformance.Set, rule tensor.Rule, err error) {
	set, rule = &conformance.Set{In: map[string]tensor.Value{}}, tensor.DefaultRule
	if f.data != "" {
		if set, rule, err = readSet(model, f.data, s); err != nil {
			return nil, rule, err
		}
	}
	if err := readInputs(set.In, f.inputs, s); err != nil {
		return nil, rule, err
	}
	if !random {
		return set, rule, nil
	}
	o, err := f.options()
	if err != nil {
		return nil, rule, err
	}
	return set, rule, randomInputs(set.In, s, o.Dims, f.seed)
}

func (f *sessionFlags) options() (runtime.Options, error) {
	o, err := f.dimOptions()
	if err != nil {
		return o, err
	}
	if o.Level, err = parseLevel(f.level); err != nil {
		return o, err
	}
	if f.threads < 0 {
		return o, usageError("--threads %d: want 0 or more", f.threads)
	}
	o.Threads, o.Disable, o.BFloat16 = f.threads, f.disable, f.bf16
	names := optimize.Names()
	for _, d := range f.disable {
		if !slices.ContainsFunc(names, func(n optimize.Name) bool { return n.Name == d }) {
			return o, usageError("--disable %q: there is no such pass or rule; gneiss optimize --list names them", d)
		}
	}
	return o, nil
}

// dimOptions are the options that --dim gives.
func (f *sessionFlags) dimOptions() (runtime.Options, error) {
	var o runtime.Options
	for _, d := range f.dims {
		name, size, ok := strings.Cut(d, "=")
		n, err := strconv.Atoi(size)
		if !ok || name == "" || err != nil || n < 0 {
			return o, usageError("--dim %q: want NAME=N", d)
		}
		if o.Dims == nil {
			o.Dims = map[string]int{}
		}
		o.Dims[name] = n
	}
	return o, nil
}

// parseLevel reads --level.
func parseLevel(s string) (optimize.Level, error) {
	if s == "" {
		return optimize.Machine, nil
	}
	l, err := optimize.ParseLevel(s)
	if err != nil || l == optimize.Best {
		return l, usageError("--level %q: want none, portable or machine", s)
	}
	return l, nil
}

// readSet reads the folder of --data for s and the rule beside the model.
func readSet(model, dir string, s *runtime.Session) (*conformance.Set, tensor.Rule, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, tensor.Rule{}, fmt.Errorf("--data: %w", err)
	}
	if !info.IsDir() {
		return nil, tensor.Rule{}, fmt.Errorf("--data %s: no folder; a single file is given by --input NAME=FILE", dir)
	}
	set, err := conformance.ReadSet(os.DirFS(dir), ".", s)
	if err != nil {
		return nil, tensor.Rule{}, fmt.Errorf("--data %s: %w", dir, err)
	}
	if len(set.In) == 0 && len(s.Inputs()) > 0 && !slices.ContainsFunc(set.Want, func(v tensor.Value) bool { return v != nil }) {
		return nil, tensor.Rule{}, fmt.Errorf("--data %s: no input_*.pb and no output_*.pb in it; a case's files are in its test_data_set_0", dir)
	}
	rule, err := conformance.ReadRule(os.DirFS(filepath.Dir(model)), ".", tensor.DefaultRule)
	if err != nil {
		return nil, rule, fmt.Errorf("%s: %w", filepath.Join(filepath.Dir(model), "data.json"), err)
	}
	return set, rule, nil
}

// errorsOf returns the largest absolute and relative error over all float outputs.
func errorsOf(set *conformance.Set, got map[string]tensor.Value) (maxAbs, maxRel float64) {
	for i, w := range set.Want {
		want, ok := w.(*tensor.Tensor)
		g, ok2 := got[set.Out[i]].(*tensor.Tensor)
		if !ok || !ok2 || !want.DType().IsFloat() {
			continue
		}
		if d, err := tensor.Diff(g, want, tensor.Tolerance{}); err == nil {
			maxAbs, maxRel = max(maxAbs, d.MaxAbs), max(maxRel, d.MaxRel)
		}
	}
	return maxAbs, maxRel
}
