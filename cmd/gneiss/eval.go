package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
)

// evalResult is what eval --json prints.
type evalResult struct {
	Model   string             `json:"model"`
	Samples int                `json:"samples"`
	Metrics map[string]float64 `json:"metrics"`
}

func evalCommand() *cobra.Command {
	var file, target, output string
	var names []string
	var batch, threads int
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "eval MODEL --data FILE --target NAME",
		Short:   "Metrics of a model on labelled data",
		Example: "  gneiss eval digits.onnx --data test.npz --target y --metric accuracy --metric f1",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case file == "":
				return usageError("eval: on what? give --data FILE")
			case target == "":
				return usageError("eval: which of the data is the truth? give --target NAME")
			case batch < 1:
				return usageError("--batch %d: want 1 or more", batch)
			}
			var metrics []train.Metric
			for _, n := range names {
				m, err := train.ParseMetric(n)
				if err != nil {
					return usageError("--metric: %v", err)
				}
				metrics = append(metrics, m)
			}
			m, err := onnx.Open(args[0], onnx.DecodeOptions{})
			if err != nil {
				return err
			}
			defer m.Close()
			want := data.InputsOf(m)
			samples, err := readSamples(cmd.Context(), file, append(slices.Clone(want), data.Input{Name: target, Type: onnx.UnrankedType(tensor.Float32)}))
			if err != nil {
				return err
			}
			truth := samples[target]
			if truth == nil {
				return fmt.Errorf("%s has no %q: it has %s", file, target, strings.Join(slices.Sorted(maps.Keys(samples)), ", "))
			}
			inputs, err := fitted(file, samples, want)
			if err != nil {
				return err
			}
			if target != "" && inputs[target] == nil {
				inputs[target] = truth
			}
			s, err := runtime.New(m, runtime.Options{Threads: threads})
			if err != nil {
				return err
			}
			defer s.Close()
			if output == "" {
				output = s.Outputs()[0].Name
			}
			l := &train.Loader{Dataset: inputs, BatchSize: batch}
			bar := newProgress(cmd.ErrOrStderr(), "eval", l.Len(), func() string { return "" })
			defer bar.end()
			for b, err := range l.Epoch(cmd.Context(), 0, 0) {
				if err != nil {
					return err
				}
				in := map[string]tensor.Value{}
				for _, w := range want {
					in[w.Name] = b[w.Name]
				}
				out, err := s.Run(cmd.Context(), in, output)
				if err != nil {
					return err
				}
				y, ok := out[output].(*tensor.Tensor)
				if !ok {
					return fmt.Errorf("output %q is a %v, want a tensor", output, out[output])
				}
				for _, m := range metrics {
					if err := m.Add(y, b[target]); err != nil {
						return fmt.Errorf("metric %s: %w", m.Name(), err)
					}
				}
				bar.step()
			}
			bar.end()
			r := evalResult{Model: args[0], Samples: inputs.Len(), Metrics: map[string]float64{}}
			for _, m := range metrics {
				r.Metrics[m.Name()] = m.Value()
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), r)
			}
			t := &table{head: []string{"metric", ">value"}}
			for _, m := range metrics {
				t.add(m.Name(), fmt.Sprintf("%.4f", m.Value()))
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d samples\n", r.Samples)
			t.print(cmd.OutOrStdout())
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&file, "data", "", "samples: a .npz file, or a folder or file as for quantize --calibrate")
	fl.StringVar(&target, "target", "", "the tensor or column with the truth")
	fl.StringVar(&output, "output", "", "the model's output to measure (default: the first)")
	fl.StringArrayVar(&names, "metric", []string{"accuracy"}, "accuracy, top5, precision, recall, f1, auc, perplexity, mse, mae or r2 (repeatable)")
	fl.IntVar(&batch, "batch", 64, "samples in a run")
	fl.IntVar(&threads, "threads", 0, "threads of one run (0: one per CPU)")
	fl.BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}
