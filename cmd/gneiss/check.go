package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/onnx/schema"
	"github.com/gneiss-run/gneiss/optimize"
)

// problem is one finding in check --json.
type problem struct {
	Where string `json:"where"`
	Text  string `json:"text"`
}

// checkReport is what check --json prints.
type checkReport struct {
	Model    string    `json:"model"`
	OK       bool      `json:"ok"`
	Problems []problem `json:"problems"`
	Warnings []string  `json:"warnings"`
}

func checkCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check MODEL",
		Short: "Validate a model: every problem, not only the first",
		Long: "Validates a model by the standard: structure, names, operators' signatures, types and shapes, external data.\n" +
			"What this version of gneiss cannot run is a warning. Exit code 1 says that there are problems.",
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := checkModel(args[0])
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			summary := "no problems"
			if n := len(r.Problems); n > 0 {
				summary = counted(n, "problem")
			}
			if n := len(r.Warnings); n > 0 {
				summary += ", " + counted(n, "warning")
			}
			if asJSON {
				if err := writeJSON(w, r); err != nil {
					return err
				}
			} else {
				for _, p := range r.Problems {
					fmt.Fprintf(w, "%s %s: %s\n", paint(w, red, "problem"), printable(p.Where), printable(p.Text))
				}
				for _, s := range r.Warnings {
					fmt.Fprintf(w, "%s %s\n", paint(w, yellow, "warning"), printable(s))
				}
			}
			if !r.OK {
				return fmt.Errorf("%s: %s", args[0], summary)
			}
			if !asJSON {
				fmt.Fprintf(w, "%s: %s\n", args[0], paint(w, green, summary))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// checkModel lists everything that is wrong with the file. A file that is not
// there is an error; one that cannot be read is a problem.
func checkModel(path string) (*checkReport, error) {
	r := &checkReport{Model: path, Problems: []problem{}, Warnings: []string{}}
	m, lost, err := openWithout(path)
	if m == nil {
		if isFileError(err) {
			return nil, err
		}
		r.Problems = append(r.Problems, problem{"file", strings.TrimPrefix(err.Error(), "onnx: "+path+": ")})
		return r, nil
	}
	defer m.Close()
	if lost != nil {
		r.Problems = append(r.Problems, problem{"weights", strings.TrimPrefix(lost.Error(), "onnx: "+path+": ")})
	}
	for _, p := range onnx.Check(m) {
		if p.Node != nil && schema.Newest(p.Node.Domain) == 0 && strings.HasPrefix(p.Text, "nothing defines") {
			continue // somebody's own operator: no fault of the model, and warned of below
		}
		where := p.Where
		if where == "" {
			where = "model"
		}
		r.Problems = append(r.Problems, problem{where, p.Text})
	}
	missing := map[string]bool{}
	local := localFunctions(m)
	m.Graph.Walk(func(g *onnx.Graph) {
		for _, n := range g.Nodes {
			name := operatorName(n)
			if !local[n.Domain+"."+n.Op] && !supported(n.Domain, n.Op, n.Opset) && !missing[name] {
				missing[name] = true
				r.Warnings = append(r.Warnings, fmt.Sprintf("this version cannot run operator %s of opset %d", name, n.Opset))
			}
		}
	})
	if len(r.Problems) == 0 {
		declared := between(m)
		if err := optimize.Infer(m, optimize.InferOptions{Strict: true}); err != nil {
			r.Problems = append(r.Problems, problem{"types", err.Error()})
		} else {
			r.compareTypes(m, declared)
		}
	}
	r.OK = len(r.Problems) == 0
	return r, nil
}

// between returns the types that the file declares for what nodes give.
func between(m *onnx.Model) map[*onnx.Value]onnx.Type {
	types := map[*onnx.Value]onnx.Type{}
	m.Graph.Walk(func(g *onnx.Graph) {
		for _, n := range g.Nodes {
			for _, v := range n.Out {
				if v != nil {
					types[v] = v.Type
				}
			}
		}
	})
	return types
}

// compareTypes lists the values whose declared type is not the inferred one. Another
// shape is only a warning: no runtime reads it, and exporters are often wrong about it.
func (r *checkReport) compareTypes(m *onnx.Model, declared map[*onnx.Value]onnx.Type) {
	m.Graph.Walk(func(g *onnx.Graph) {
		for _, n := range g.Nodes {
			for _, v := range n.Out {
				if v == nil {
					continue
				}
				was, text := declared[v], fmt.Sprintf("output %q is %v, declared %v", v.Name, v.Type, declared[v])
				switch {
				case !sameElements(was, v.Type):
					r.Problems = append(r.Problems, problem{n.String(), text})
				case !sameShape(was, v.Type):
					r.Warnings = append(r.Warnings, fmt.Sprintf("%v: %s", n, text))
				}
			}
		}
	})
}

// sameElements reports whether a value can be of both types but for its shape.
func sameElements(a, b onnx.Type) bool {
	switch {
	case a.Kind == onnx.UnknownKind || b.Kind == onnx.UnknownKind:
		return true
	case a.Kind != b.Kind || a.DType.Valid() && b.DType.Valid() && a.DType != b.DType:
		return false
	}
	return a.Elem == nil || b.Elem == nil || sameElements(*a.Elem, *b.Elem)
}

// sameShape reports whether a tensor can have the shapes of both types.
func sameShape(a, b onnx.Type) bool {
	if a.Kind != onnx.TensorKind || b.Kind != onnx.TensorKind || !a.Ranked || !b.Ranked {
		return true
	}
	if len(a.Dims) != len(b.Dims) {
		return false
	}
	for i, d := range a.Dims {
		n, ok := d.Size()
		k, ok2 := b.Dims[i].Size()
		if ok && ok2 && n != k {
			return false
		}
	}
	return true
}
