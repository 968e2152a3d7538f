package main

import (
	"context"
	"fmt"
	"math/bits"
	"os"
	goruntime "runtime"

	"github.com/spf13/cobra"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// verifyRule is how far an optimised model's outputs may be from the original's.
var verifyRule = tensor.Rule{RTol: 1e-3, ATol: 1e-5}

func optimizeCommand() *cobra.Command {
	var f sessionFlags
	var out, data string
	var trace, bisect, raise, list bool
	var verify int
	cmd := &cobra.Command{
		Use:   "optimize IN -o OUT",
		Short: "Rewrite a model: plain ONNX that any runtime loads",
		Long: "Rewrites a model to plain ONNX that any runtime loads, and compares it with the original before writing it.\n" +
			"OUT may be IN. Exit code 3 says that an output differs; nothing is written then.",
		Example: "  gneiss optimize model.onnx -o smaller.onnx --trace\n  gneiss optimize model.onnx --bisect --data test_data_set_0\n  gneiss optimize --list",
		Args: func(cmd *cobra.Command, args []string) error {
			if list {
				return exactArgs(0)(cmd, args)
			}
			return exactArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if list {
				t := table{head: []string{"pass or rule", "what it does"}}
				for _, n := range optimize.Names() {
					t.add(n.Name, n.Doc)
				}
				t.print(cmd.OutOrStdout())
				return nil
			}
			if out == "" && !bisect {
				return usageError("optimize: where to? give -o OUT")
			}
			if verify < 0 {
				return usageError("--verify %d: want 0 or more", verify)
			}
			level := optimize.Portable
			if f.level != "" {
				var err error
				if level, err = optimize.ParseLevel(f.level); err != nil || level != optimize.Portable && level != optimize.None {
					return usageError("--level %q: want portable or none", f.level)
				}
			}
			o, err := (&sessionFlags{dims: f.dims, disable: f.disable}).options()
			if err != nil {
				return err
			}
			m, err := openToRewrite(args[0], out)
			if err != nil {
				return err
			}
			defer m.Close()
			warnDims(cmd, args[0], o.Dims)
			oo := optimize.Options{Disable: f.disable, Dims: o.Dims, RaiseOpset: raise}
			if trace {
				oo.Trace = func(e optimize.Event) { fmt.Fprintln(cmd.ErrOrStderr(), e) }
			}
			if bisect {
				return bisectRewrites(cmd, m, level, oo, max(verify, 1), data)
			}
			c := m.Clone()
			rep, err := optimize.Run(c, level, oo)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if err := verifyRewritten(cmd, m, c, o.Dims, verify, data); err != nil {
				return err
			}
			was, err := os.Stat(args[0])
			if err != nil {
				return err
			}
			if err := onnx.Save(c, out, onnx.SaveOptions{}); err != nil {
				return err
			}
			size := ""
			if info, err := os.Stat(out); err == nil {
				size = fmt.Sprintf("; %s, was %s", bytesText(info.Size()), bytesText(was.Size()))
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s%s\n", out, rep, size)
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&out, "output", "o", "", "the file to write")
	fl.StringVar(&f.level, "level", "", "portable or none (default: portable)")
	fl.StringArrayVar(&f.disable, "disable", nil, "do not use this pass or rule (repeatable); --list names them")
	fl.StringArrayVar(&f.dims, "dim", nil, "fix a symbolic size, NAME=N (repeatable)")
	fl.BoolVar(&trace, "trace", false, "print every rewrite")
	fl.IntVar(&verify, "verify", 1, "compare with the original on this many random inputs; 0: do not compare")
	fl.StringVar(&data, "data", "", "compare on the inputs of this folder instead of random ones")
	fl.BoolVar(&bisect, "bisect", false, "find the first rewrite that changes an output, and write nothing")
	fl.BoolVar(&raise, "raise-opset", false, "allow operators of newer opsets than the model declares")
	fl.BoolVar(&list, "list", false, "list the passes and rules")
	return cmd
}

// openToRewrite opens the model at path, whose rewritten form goes to out. A
// file that is mapped can be replaced, but not on Windows. Where out cannot be
// written, that is said at once.
func openToRewrite(path, out string) (*onnx.Model, error) {
	if out != "" {
		if err := checkOutput("-o", out); err != nil {
			return nil, err
		}
	}
	same := false
	if a, err := os.Stat(path); err == nil {
		if b, err := os.Stat(out); err == nil {
			same = os.SameFile(a, b)
		}
	}
	return onnx.Open(path, onnx.DecodeOptions{NoMmap: same && goruntime.GOOS == "windows"})
}

// verifyRewritten compares m and its rewritten form c on n inputs.
func verifyRewritten(cmd *cobra.Command, m, c *onnx.Model, dims map[string]int, n int, data string) error {
	if data != "" {
		n = min(n, 1)
	}
	total := n
	if n < 2 {
		total = 0 // no bar for one
	}
	bar := newProgress(cmd.ErrOrStderr(), "verify", total, func() string { return "" })
	defer bar.end()
	for i := range n {
		diff, err := compareModels(cmd.Context(), m, c, dims, uint64(i+1), data)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Path, err)
		}
		if diff != nil {
			return &exitError{exitDiffers, fmt.Errorf("%s: the optimised model gives other outputs: %w; nothing is written, --bisect finds the rewrite", m.Path, diff)}
		}
		bar.step()
	}
	return nil
}

// compareModels runs both models on the same inputs, without further
// rewriting, and returns how their outputs differ.
func compareModels(ctx context.Context, a, b *onnx.Model, dims map[string]int, seed uint64, data string) (diff, err error) {
	open := func(m *onnx.Model) (*runtime.Session, error) {
		return runtime.New(m, runtime.Options{Level: optimize.None})
	}
	sa, err := open(a)
	if err != nil {
		return nil, err
	}
	defer sa.Close()
	sb, err := open(b)
	if err != nil {
		return nil, fmt.Errorf("the rewritten model: %w", err)
	}
	defer sb.Close()
	in := map[string]tensor.Value{}
	if data != "" {
		set, _, err := readSet(a.Path, data, sa)
		if err != nil {
			return nil, err
		}
		in = set.In
	}
	if err := randomInputs(in, sa, dims, seed); err != nil {
		return nil, err
	}
	want, err := sa.Run(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("the original model cannot be run to compare with: %w; give good inputs with --data, sizes with --dim, or --verify 0", err)
	}
	got, err := sb.Run(ctx, in)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return err, nil
	}
	var g, w []tensor.Value
	var names []string
	for _, o := range sa.Outputs() {
		g, w, names = append(g, got[o.Name]), append(w, want[o.Name]), append(names, o.Name)
	}
	return verifyRule.Check(g, w, names), nil
}

// bisectRewrites finds the first rewrite after which an output differs, by
// running the model with only the first so many.
func bisectRewrites(cmd *cobra.Command, m *onnx.Model, level optimize.Level, o optimize.Options, verify int, data string) error {
	try := func(n int) (optimize.Event, int, error, error) {
		var last optimize.Event
		o := o
		o.MaxRewrites = n
		trace := o.Trace
		o.Trace = func(e optimize.Event) {
			last = e
			if trace != nil && n == 0 {
				trace(e)
			}
		}
		c := m.Clone()
		rep, err := optimize.Run(c, level, o)
		if err != nil {
			return last, 0, nil, err
		}
		for i := range verify {
			diff, err := compareModels(cmd.Context(), m, c, o.Dims, uint64(i+1), data)
			if diff != nil || err != nil {
				return last, rep.Rewrites, diff, err
			}
		}
		return last, rep.Rewrites, nil, nil
	}
	if diff, err := compareModels(cmd.Context(), m, m.Clone(), o.Dims, 1, data); err != nil {
		return err
	} else if diff != nil {
		return fmt.Errorf("%s: two runs of the model as it is give different outputs: %w; no rewrite can be blamed", m.Path, diff)
	}
	_, total, diff, err := try(0)
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	if diff == nil {
		fmt.Fprintf(w, "no difference after all %s\n", counted(total, "rewrite"))
		return nil
	}
	lo, hi := 0, total // right after lo rewrites, wrong after hi
	left := total
	bar := newProgress(cmd.ErrOrStderr(), "bisect", bits.Len(uint(total)), func() string { return counted(left, "rewrite") + " in question" })
	defer bar.end()
	for hi-lo > 1 {
		bar.update(func() { left = hi - lo })
		mid := (lo + hi) / 2
		_, _, diff, err := try(mid)
		if err != nil {
			return err
		}
		if diff != nil {
			hi = mid
		} else {
			lo = mid
		}
	}
	bar.end()
	e, _, diff, err := try(hi)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "rewrite %v\n", e)
	return &exitError{exitDiffers, fmt.Errorf("the outputs differ after it: %w; --disable %s leaves it out", diff, e.Rule)}
}
