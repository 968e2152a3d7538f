package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gneiss-run/gneiss/conformance"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// outputReport is one output in run --json.
type outputReport struct {
	Name      string   `json:"name"`
	Type      string   `json:"type"`
	Shape     any      `json:"shape,omitempty"` // []int; only tensors have one
	Data      any      `json:"data,omitempty"`
	MaxAbsErr *float64 `json:"max_abs_err,omitempty"`
	MaxRelErr *float64 `json:"max_rel_err,omitempty"`
	RelL2     *float64 `json:"rel_l2,omitempty"`
}

func runCommand() *cobra.Command {
	var f sessionFlags
	var outDir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "run MODEL",
		Short: "Run a model once",
		Long: "Runs a model once and prints its outputs. Inputs come from --data, --input and --random, in this order.\n" +
			"With output_*.pb in the folder of --data the outputs are compared; exit code 3 says that one differs.",
		Example: "  gneiss run model.onnx --random 1 --dim batch=2\n  gneiss run model.onnx --input x=photo.jpg --output-dir out",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, _, err := f.open(cmd, args[0])
			if err != nil {
				return err
			}
			defer s.Close()
			set, rule, err := f.set(args[0], s, cmd.Flags().Changed("random"))
			if err != nil {
				return err
			}
			for _, v := range s.Inputs() {
				if set.In[v.Name] == nil && !v.Optional {
					return fmt.Errorf("%s: input %q (%v) is missing: give it with --input %s=FILE or --data DIR, or try --random 1", args[0], v.Name, v.Type, v.Name)
				}
			}
			got, err := s.Run(cmd.Context(), set.In)
			if err != nil {
				return f.runError(args[0], err, len(f.inputs) == 0 && f.data == "")
			}
			if outDir != "" {
				if err := writeOutputs(outDir, s.Outputs(), got); err != nil {
					return fmt.Errorf("--output-dir: %w", err)
				}
			}
			diff := set.Check(got, rule)
			if err := printOutputs(cmd, s.Outputs(), got, set, asJSON, diff == nil); err != nil {
				return err
			}
			if diff != nil {
				return &exitError{exitDiffers, fmt.Errorf("%s: %w", args[0], diff)}
			}
			return nil
		},
	}
	f.add(cmd)
	fl := cmd.Flags()
	fl.StringVar(&outDir, "output-dir", "", "write the outputs to this folder: .npy, or .pb for what NumPy has not")
	fl.BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// writeOutputs writes each output to a file of its own.
func writeOutputs(dir string, outs []runtime.ValueInfo, got map[string]tensor.Value) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	taken := map[string]bool{}
	for i, o := range outs {
		name := fileName(o.Name, i)
		if taken[strings.ToLower(name)] { // some file systems ignore case
			name = fmt.Sprintf("%s_%d", name, i)
		}
		taken[strings.ToLower(name)] = true
		base := filepath.Join(dir, name)
		if t, ok := got[o.Name].(*tensor.Tensor); ok {
			var npy bytes.Buffer
			if tensor.WriteNPY(&npy, t) == nil { // else NumPy lacks the type
				if err := os.WriteFile(base+".npy", npy.Bytes(), 0o644); err != nil {
					return err
				}
				continue
			}
		}
		b, err := onnx.EncodeValue(o.Name, got[o.Name])
		if err != nil {
			return fmt.Errorf("output %q: %w", o.Name, err)
		}
		if err := os.WriteFile(base+".pb", b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// fileName makes a file name of a value name.
func fileName(name string, i int) string {
	s := strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
	if s = strings.TrimLeft(s, "."); len(s) > 200 {
		s = s[:200]
	}
	if s == "" {
		return fmt.Sprintf("output_%d", i)
	}
	return s
}

// valueText prints the elements of v, at most about n of each tensor.
func valueText(v tensor.Value, n int) string {
	switch v := v.(type) {
	case *tensor.Tensor:
		return v.Format(n)
	case *tensor.Sequence:
		var b strings.Builder
		for i, e := range v.Elems {
			if i >= n {
				fmt.Fprintf(&b, "… %d more", len(v.Elems)-n)
				break
			}
			fmt.Fprintf(&b, "%d: %s\n", i, valueText(e, n))
		}
		return strings.TrimSuffix(b.String(), "\n")
	case *tensor.Optional:
		if v.Elem == nil {
			return "none"
		}
		return valueText(v.Elem, n)
	case *tensor.Map:
		var b strings.Builder
		for i := range min(n, v.Keys.Len()) {
			fmt.Fprintf(&b, "%v: %v  ", v.Keys.At(i), v.Values.At(i))
		}
		return strings.TrimSpace(b.String())
	}
	return v.String()
}

// printOutputs prints names, types and values, and both errors where there is
// something to compare with.
func printOutputs(cmd *cobra.Command, outs []runtime.ValueInfo, got map[string]tensor.Value, set *conformance.Set, asJSON, ok bool) error {
	w := cmd.OutOrStdout()
	reports := []outputReport{}
	compared := false
	for i, o := range outs {
		v := got[o.Name]
		r := outputReport{Name: o.Name, Type: onnx.TypeOf(v).String()}
		t, isTensor := v.(*tensor.Tensor)
		if isTensor {
			r.Type, r.Shape = t.DType().String(), t.Shape()
		}
		if i < len(set.Want) && set.Want[i] != nil {
			compared = true
			if want, ok := set.Want[i].(*tensor.Tensor); ok && isTensor && want.DType().IsFloat() {
				if d, err := tensor.Diff(t, want, tensor.Tolerance{}); err == nil {
					a, rel, l2 := finite(d.MaxAbs), finite(d.MaxRel), finite(d.RelL2)
					r.MaxAbsErr, r.MaxRelErr, r.RelL2 = &a, &rel, &l2
				}
			}
		}
		if asJSON {
			r.Data = jsonValue(v)
			reports = append(reports, r)
			continue
		}
		fmt.Fprintf(w, "%s %v\n%s\n", paint(w, bold, o.Name+":"), v, valueText(v, 40))
		if r.MaxAbsErr != nil {
			fmt.Fprintf(w, "largest error: %.3g absolute, %.3g relative; relative L2 %.3g\n", *r.MaxAbsErr, *r.MaxRelErr, *r.RelL2)
		}
	}
	if asJSON {
		return writeJSON(w, struct {
			Outputs  []outputReport `json:"outputs"`
			Compared bool           `json:"compared"`
			OK       bool           `json:"ok"`
		}{reports, compared, ok})
	}
	if compared && ok {
		fmt.Fprintln(w, paint(w, green, "outputs match the expected ones"))
	}
	return nil
}
