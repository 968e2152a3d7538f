package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/quantize"
	"github.com/gneiss-run/gneiss/tensor"
)

// halfFlags are the flags of convert for graphs that compute in 16 bits.
type halfFlags struct {
	compute, io           bool
	calibrate, preprocess string
	exclude               []string
}

func (f *halfFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.BoolVar(&f.compute, "compute", false, "compute in the type of --to as well")
	fl.BoolVar(&f.io, "half-io", false, "with --compute: inputs and outputs are of the type too")
	fl.StringVar(&f.calibrate, "calibrate", "", "with --compute: samples that tell the ranges of values")
	fl.StringVar(&f.preprocess, "preprocess", "", "with --calibrate: what becomes of images: imagenet, crop, unit or none")
	fl.StringArrayVar(&f.exclude, "exclude", nil, "with --compute: leave this node in float32 (repeatable)")
}

// given reports whether one of the flags was used.
func (f *halfFlags) given(cmd *cobra.Command) bool {
	for _, n := range []string{"compute", "half-io", "calibrate", "preprocess", "exclude"} {
		if cmd.Flags().Changed(n) {
			return true
		}
	}
	return false
}

// convert makes c, a copy of m, compute in type to.
func (f *halfFlags) convert(cmd *cobra.Command, m, c *onnx.Model, to tensor.DType) (*quantize.Summary, error) {
	h := quantize.HalfConfig{Selection: quantize.Selection{Exclude: f.exclude}, Type: to, HalfIO: f.io}
	if f.calibrate != "" {
		src, err := data.Open(f.calibrate, data.Options{Inputs: data.InputsOf(m), Preprocess: f.preprocess})
		if err != nil {
			return nil, err
		}
		bar := newProgress(cmd.ErrOrStderr(), "ranges", max(src.Len(), 0), func() string { return "" })
		defer bar.end()
		h.Ranges, err = quantize.Calibrate(cmd.Context(), m, src, quantize.CalibrateConfig{Progress: func(int, int) { bar.step() }})
		if err != nil {
			return nil, err
		}
	}
	return quantize.Half(c, h)
}

// tell lists what stays in float32.
func (f *halfFlags) tell(cmd *cobra.Command, s *quantize.Summary) {
	if s.Changed() < len(s.Changes) {
		fmt.Fprintln(cmd.OutOrStdout(), "in float32 stay:", leftFloat(s.Changes))
	}
}
