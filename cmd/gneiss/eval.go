package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
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
			batches, count, err := evalBatches(cmd.Context(), m, file, target, batch)
			if err != nil {
				return err
			}
			s, err := runtime.New(m, runtime.Options{Threads: threads})
			if err != nil {
				return err
			}
			defer s.Close()
			if output == "" {
				output = s.Outputs()[0].Name
			}
			bar := newProgress(cmd.ErrOrStderr(), "eval", count, func() string { return "" })
			defer bar.end()
			samples := 0
			for b, err := range batches {
				if err != nil {
					return err
				}
				samples += data.Batch{Inputs: b}.Size()
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
			r := evalResult{Model: args[0], Samples: samples, Metrics: map[string]float64{}}
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
	fl.StringVar(&file, "data", "", "samples: a .npz file, a table with a column for each input, or a folder or file as for quantize --calibrate")
	fl.StringVar(&target, "target", "", "the tensor or column with the truth")
	fl.StringVar(&output, "output", "", "the model's output to measure (default: the first)")
	fl.StringArrayVar(&names, "metric", []string{"accuracy"}, "accuracy, top5, precision, recall, f1, auc, perplexity, mse, mae or r2 (repeatable)")
	fl.IntVar(&batch, "batch", 64, "samples in a run")
	fl.IntVar(&threads, "threads", 0, "threads of one run (0: one per CPU)")
	fl.BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// evalBatches returns the samples of file by batches, and how many there are of these. A
// table may be larger than memory, hold text, and miss numbers; its classes are
// those that the model's metadata names.
func evalBatches(ctx context.Context, m *onnx.Model, file, target string, size int) (iter.Seq2[map[string]*tensor.Tensor, error], int, error) {
	want := data.InputsOf(m)
	truth := data.Input{Name: target, Type: onnx.UnrankedType(tensor.Float32)}
	if data.IsTable(file) {
		classes := map[string]float32{}
		if i := slices.IndexFunc(m.Metadata, func(p onnx.Prop) bool { return p.Key == classesKey }); i >= 0 {
			var names []string
			if json.Unmarshal([]byte(m.Metadata[i].Value), &names) == nil { // else it is somebody else's
				for i, name := range names {
					classes[name] = float32(i)
				}
				truth.Type.DType = tensor.String
			}
		}
		o := data.Options{Inputs: want, BatchSize: size, Missing: true}
		if !slices.ContainsFunc(want, func(in data.Input) bool { return in.Name == target }) {
			o.Inputs = append(slices.Clone(want), truth)
		}
		src, err := data.Open(file, o)
		if err != nil {
			return nil, 0, err
		}
		return func(yield func(map[string]*tensor.Tensor, error) bool) {
			for b, err := range src.Batches(ctx) {
				if err == nil && truth.Type.DType == tensor.String {
					b.Inputs[target], err = classesOf(b.Inputs[target], classes)
					if err != nil {
						err = fmt.Errorf("%s: of %s, column %q: %w", file, b.Name, target, err)
					}
				}
				if !yield(b.Inputs, err) || err != nil {
					return
				}
			}
		}, src.Len(), nil
	}
	samples, err := readSamples(ctx, file, append(slices.Clone(want), truth))
	if err != nil {
		return nil, 0, err
	}
	if samples[target] == nil {
		return nil, 0, fmt.Errorf("%s has no %q: it has %s", file, target, strings.Join(slices.Sorted(maps.Keys(samples)), ", "))
	}
	inputs, err := fitted(file, samples, want)
	if err != nil {
		return nil, 0, err
	}
	if inputs[target] == nil {
		inputs[target] = samples[target]
	}
	l := &train.Loader{Dataset: inputs, BatchSize: size}
	return l.Epoch(ctx, 0, 0), l.Len(), nil
}

// classesOf returns the numbers of the classes that x names.
func classesOf(x *tensor.Tensor, classes map[string]float32) (*tensor.Tensor, error) {
	var out []float32
	for i, name := range tensor.Data[string](x) {
		c, ok := classes[name]
		if !ok {
			return nil, fmt.Errorf("%q, the %d. of these, is no class of the model: these are %s", name, i+1, strings.Join(namesOf(classes), ", "))
		}
		out = append(out, c)
	}
	return tensor.Of(out, len(out)), nil
}
