package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gneiss-run/gneiss/conformance"
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
}

func (f *sessionFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.IntVar(&f.threads, "threads", 0, "threads of one run (0: one per CPU)")
	fl.StringVar(&f.level, "level", "", "how far the graph is rewritten: none or portable (default: the best)")
	fl.StringArrayVar(&f.disable, "disable", nil, "do not use this optimiser pass or rule (repeatable)")
	fl.StringArrayVar(&f.dims, "dim", nil, "fix a symbolic size, NAME=N (repeatable)")
	fl.StringVar(&f.data, "data", "", "folder with input_*.pb and, to compare with, output_*.pb")
}

func (f *sessionFlags) options() (runtime.Options, error) {
	level, err := parseLevel(f.level)
	if err != nil {
		return runtime.Options{}, err
	}
	o := runtime.Options{Threads: f.threads, Level: level, Disable: f.disable}
	if f.threads < 0 {
		return o, usageError("--threads %d: want 0 or more", f.threads)
	}
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

// parseLevel reads --level. Rewrites for the machine alone come with the
// machine rules; until a session has them, the level is the best there is.
func parseLevel(s string) (optimize.Level, error) {
	switch s {
	case "", "machine":
		return optimize.Best, nil
	}
	l, err := optimize.ParseLevel(s)
	if err != nil {
		return l, usageError("--level %q: want none, portable or machine", s)
	}
	return l, nil
}

// readSet reads the folder of --data for s and the rule beside the model.
func readSet(model, dir string, s *runtime.Session) (*conformance.Set, tensor.Rule, error) {
	set, err := conformance.ReadSet(os.DirFS(dir), ".", s)
	if err != nil {
		return nil, tensor.Rule{}, fmt.Errorf("--data %s: %w", dir, err)
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
