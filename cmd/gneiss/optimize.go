package main

import (
	"context"
	"fmt"
	"os"

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
	var trace, bisect, raise bool
	var verify int
	cmd := &cobra.Command{
		Use:   "optimize IN -o OUT",
		Short: "Rewrite a model: plain ONNX that any runtime loads",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" && !bisect {
				return usageError("optimize: where to? give -o OUT")
			}
			o, err := f.options()
			if err != nil {
				return err
			}
			m, err := onnx.Open(args[0], onnx.DecodeOptions{})
			if err != nil {
				return err
			}
			defer m.Close()
			oo := optimize.Options{Disable: f.disable, Dims: o.Dims, RaiseOpset: raise}
			if trace {
				oo.Trace = func(e optimize.Event) { fmt.Fprintln(cmd.ErrOrStderr(), e) }
			}
			if bisect {
				return bisectRewrites(cmd, m, oo, max(verify, 1), data)
			}
			c := m.Clone()
			rep, err := optimize.Run(c, o.Level, oo)
			if err != nil {
				return err
			}
			for i := range verify {
				if diff, err := compareModels(cmd.Context(), m, c, o.Dims, uint64(i+1), data); err != nil {
					return err
				} else if diff != nil {
					return &exitError{exitDiffers, fmt.Errorf("%s: the optimised model gives other outputs: %w; --bisect finds the rewrite", args[0], diff)}
				}
			}
			if err := onnx.Save(c, out, onnx.SaveOptions{}); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", out, rep)
			if info, err := os.Stat(out); err == nil {
				if was, err := os.Stat(args[0]); err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "%s, was %s\n", bytesText(info.Size()), bytesText(was.Size()))
				}
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&out, "output", "o", "", "the file to write")
	fl.StringVar(&f.level, "level", "", "portable or none (default: portable)")
	fl.StringArrayVar(&f.disable, "disable", nil, "do not use this pass or rule (repeatable)")
	fl.StringArrayVar(&f.dims, "dim", nil, "fix a symbolic size, NAME=N (repeatable)")
	fl.BoolVar(&trace, "trace", false, "print every rewrite")
	fl.IntVar(&verify, "verify", 1, "compare with the original on this many random inputs")
	fl.StringVar(&data, "data", "", "compare on the inputs of this folder instead of random ones")
	fl.BoolVar(&bisect, "bisect", false, "find the first rewrite that changes an output, and write nothing")
	fl.BoolVar(&raise, "raise-opset", false, "allow operators of newer opsets than the model declares")
	return cmd
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
	var in map[string]tensor.Value
	if data != "" {
		set, _, err := readSet(a.Path, data, sa)
		if err != nil {
			return nil, err
		}
		in = set.In
	} else if in, err = randomInputs(sa, dims, seed); err != nil {
		return nil, err
	}
	want, err := sa.Run(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("the original on random inputs: %w; give inputs with --data, or --verify 0", err)
	}
	got, err := sb.Run(ctx, in)
	if err != nil {
		return err, nil
	}
	var g, w []tensor.Value
	var names []string
	for _, o := range sa.Outputs() {
		g, w, names = append(g, got[o.Name]), append(w, want[o.Name]), append(names, o.Name)
	}
	return verifyRule.Check(g, w, names), nil
}

// bisectRewrites finds the first rewrite after which an output differs.
func bisectRewrites(cmd *cobra.Command, m *onnx.Model, o optimize.Options, verify int, data string) error {
	try := func(n int) (optimize.Event, int, error, error) {
		var last optimize.Event
		o := o
		o.MaxRewrites = n
		o.Trace = func(e optimize.Event) { last = e }
		c := m.Clone()
		rep, err := optimize.Run(c, optimize.Best, o)
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
	_, total, diff, err := try(0)
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	if diff == nil {
		fmt.Fprintf(w, "no difference after all %d rewrites\n", total)
		return nil
	}
	lo, hi := 0, total // right after lo rewrites, wrong after hi
	for hi-lo > 1 {
		mid := (lo + hi) / 2
		fmt.Fprintf(cmd.ErrOrStderr(), "%d rewrites …\n", mid)
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
	e, _, diff, err := try(hi)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "rewrite %v\n", e)
	return &exitError{exitDiffers, fmt.Errorf("the outputs differ after it: %w; --disable %s leaves it out", diff, e.Rule)}
}
