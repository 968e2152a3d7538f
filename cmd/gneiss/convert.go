package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/optimize"
)

func convertCommand() *cobra.Command {
	var out, domain string
	var opset int
	cmd := &cobra.Command{
		Use:   "convert IN -o OUT --opset N",
		Short: "Convert a model to another opset, up or down",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" || opset < 1 {
				return usageError("convert: give -o OUT and --opset N")
			}
			m, err := onnx.Open(args[0], onnx.DecodeOptions{})
			if err != nil {
				return err
			}
			defer m.Close()
			from := m.Opsets[domain]
			c := m.Clone()
			if err := optimize.ConvertOpset(c, domain, opset); err != nil {
				return err
			}
			if err := onnx.Save(c, out, onnx.SaveOptions{}); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: opset %d, was %d\n", out, opset, from)
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&out, "output", "o", "", "the file to write")
	fl.IntVar(&opset, "opset", 0, "the version to convert to")
	fl.StringVar(&domain, "domain", "", "the operator domain to convert (default: ai.onnx)")
	return cmd
}
