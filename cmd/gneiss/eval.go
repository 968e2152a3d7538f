package main

import (
	"fmt"

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
	Targets []string           `json:"targets"`
	Classes []string           `json:"classes,omitempty"` // of a target of classes, by their numbers
	Metrics map[string]float64 `json:"metrics"`
}

// classesText names the classes, for those who read metrics of them.
func classesText(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return ", classes " + someNames(names)
}

func evalCommand() *cobra.Command {
	var from evalData
	var output string
	var names, targets []string
	var threads int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "eval MODEL --data FILE [--target NAME]",
		Short: "Metrics of a model on labelled data",
		Example: "  gneiss eval digits.onnx --data test.npz --target y --metric accuracy --metric f1\n" +
			"  gneiss eval animals.onnx --data photos/test\n" +
			"  gneiss eval reviews.onnx --data test.csv --tokenizer tokenizer.json",
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case from.file == "":
				return usageError("eval: on what? give --data FILE")
			case from.batch < 1:
				return usageError("--batch %d: want 1 or more", from.batch)
			case from.limit < 0:
				return usageError("--max-length %d: want 1 or more", from.limit)
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
			from.model = args[0]
			if from.target = targetsOf(targets); len(targets) == 0 {
				from.target = targetsOf(namedTargets(m))
			}
			if from.target.name == "" && !from.pictures() {
				return usageError("eval: which of the data is the truth? give --target NAME")
			}
			batches, count, err := from.open(cmd.Context(), cmd.ErrOrStderr(), m)
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
					if err := m.Add(y, b[from.target.tensor()]); err != nil {
						return fmt.Errorf("metric %s: %w", m.Name(), err)
					}
				}
				bar.step()
			}
			bar.end()
			r := evalResult{Model: args[0], Samples: samples, Targets: from.target.all(), Classes: namedClasses(m), Metrics: map[string]float64{}}
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
			fmt.Fprintf(cmd.OutOrStdout(), "%d samples%s\n", r.Samples, classesText(r.Classes))
			t.print(cmd.OutOrStdout())
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&from.file, "data", "", "samples: a .npz file, a table with a column for each input or of text, a folder with a folder of images for each class, or a folder or file as for quantize --calibrate")
	fl.StringArrayVar(&targets, "target", nil, "the tensor or column with the truth, repeatable for several (default: what the model's metadata says; for images: their folders)")
	fl.StringVar(&from.images, "images", "", "the folder of the images that the table names")
	fl.StringVar(&from.preprocess, "preprocess", "", "what becomes of images: imagenet, crop, unit or none (default: what the model's metadata says)")
	fl.StringVar(&from.orientation, "orientation", "", "of JPEG files: exif, turned upright as Exif data say, or stored (default: what the model's metadata says, else exif)")
	fl.StringVar(&from.tokenizer, "tokenizer", "", "a tokenizer.json for text (default: the file that the model's metadata names, beside the model)")
	fl.StringVar(&from.text, "text", "", "the column of text (default: what the model's metadata says)")
	fl.IntVar(&from.limit, "max-length", 0, "tokens of a text (default: what the model's metadata says)")
	fl.StringVar(&output, "output", "", "the model's output to measure (default: the first)")
	fl.StringArrayVar(&names, "metric", []string{"accuracy"}, "accuracy, top5, exact_match, precision, recall, f1, auc, perplexity, mse, mae or r2 (repeatable)")
	fl.IntVar(&from.batch, "batch", 64, "samples in a run")
	fl.IntVar(&threads, "threads", 0, "threads of one run (0: one per CPU)")
	fl.BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}
