package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/quantize"
	"github.com/gneiss-run/gneiss/tensor"
)

func convertCommand() *cobra.Command {
	var out, domain, to string
	var opset int
	var half halfFlags
	cmd := &cobra.Command{
		Use:   "convert IN -o OUT [--opset N] [--to TYPE]",
		Short: "Convert a model to another opset, or its weights to another type",
		Long: "Converts a model to another opset, up or down, and the type that its weights are stored in.\n" +
			"With --to float16 or bfloat16 large float32 weights take half the space; casts make them float32 again, so\n" +
			"that the model computes in float32, with rounded weights. --to float32 takes such casts away.\n" +
			"With --compute the graph computes in 16 bits as well, but for nodes whose values leave the range, which --calibrate\n" +
			"measures, or that have no form in 16 bits: they stay, and are listed with the reason.",
		Example: "  gneiss convert model.onnx -o model13.onnx --opset 13\n  gneiss convert model.onnx -o half.onnx --to float16\n" +
			"  gneiss convert model.onnx -o half.onnx --to float16 --compute --calibrate samples/",
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			types := map[string]tensor.DType{"float16": tensor.Float16, "bfloat16": tensor.BFloat16, "float32": tensor.Float32}
			switch {
			case out == "":
				return usageError("convert: where to? give -o OUT")
			case !cmd.Flags().Changed("opset") && to == "":
				return usageError("convert: to what? give --opset N, --to TYPE or both")
			case opset < 1 && cmd.Flags().Changed("opset"):
				return usageError("--opset %d: want 1 or more", opset)
			case to != "" && types[to] == tensor.Undefined:
				return usageError("--to %q: want float16, bfloat16 or float32", to)
			case half.given(cmd) && (!half.compute || to != "float16" && to != "bfloat16"):
				return usageError("--compute, and --calibrate, --half-io and --exclude with it, are for --to float16 or bfloat16")
			}
			m, err := openToRewrite(args[0], out)
			if err != nil {
				return err
			}
			defer m.Close()
			c := m.Clone()
			var did, gone []string
			if opset > 0 {
				domain = ops.NormalDomain(domain)
				from, ok := m.Opsets[domain]
				if !ok {
					return fmt.Errorf("%s: the model does not use domain %q", args[0], domain)
				}
				if err := optimize.ConvertOpset(c, domain, opset); err != nil {
					return fmt.Errorf("%s: %w", args[0], err)
				}
				did = append(did, fmt.Sprintf("opset %d, was %d", opset, from))
			}
			if half.compute {
				sum, err := half.convert(cmd, m, c, types[to])
				if err != nil {
					return named(args[0], err)
				}
				did = append(did, fmt.Sprintf("%d of %s in %s", sum.Changed(), counted(len(sum.Changes), "node"), to))
				half.tell(cmd, sum)
				gone = sum.Inputs
			} else if to != "" {
				defaults := quantize.FixDefaults(c)
				s, err := storeAs(c, types[to])
				if err != nil {
					return fmt.Errorf("%s: --to %s: %w", args[0], to, err)
				}
				did = append(did, fmt.Sprintf("%s stored as %s", counted(s.changed, "initializer"), to))
				gone = defaults.Restore(c.Graph)
				if len(s.kept) > 0 {
					did = append(did, fmt.Sprintf("%s out of its range stay: %s", counted(len(s.kept), "initializer"), clip(strings.Join(s.kept, ", "), 200)))
				}
			}
			if len(gone) > 0 {
				did = append(did, inputsGone(gone))
			}
			was, err := os.Stat(args[0])
			if err != nil {
				return err
			}
			if err := onnx.Save(c, out, onnx.SaveOptions{}); err != nil {
				return err
			}
			if info, err := os.Stat(out); err == nil {
				did = append(did, fmt.Sprintf("%s, was %s", bytesText(info.Size()), bytesText(was.Size())))
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", out, strings.Join(did, "; "))
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&out, "output", "o", "", "the file to write; may be IN")
	fl.IntVar(&opset, "opset", 0, "the version to convert to")
	fl.StringVar(&domain, "domain", "", "the operator domain that --opset is about (default: ai.onnx)")
	fl.StringVar(&to, "to", "", "the type to store float weights in: float16, bfloat16 or float32")
	half.add(cmd)
	return cmd
}
