package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/optimize"
)

// problem is one finding in check --json.
type problem struct {
	Where string `json:"where"`
	Text  string `json:"text"`
}

func checkCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check MODEL",
		Short: "Validate a model: every problem, not only the first",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			problems := []problem{}
			var warnings []string
			m, err := onnx.Open(args[0], onnx.DecodeOptions{})
			if err != nil {
				problems = append(problems, problem{args[0], err.Error()})
			} else {
				defer m.Close()
				for _, p := range onnx.Check(m) {
					problems = append(problems, problem{p.Where, p.Text})
				}
				missing := map[string]bool{}
				local := map[string]bool{}
				for _, f := range m.Functions {
					local[f.Domain+"."+f.Name] = true
				}
				m.Graph.Walk(func(g *onnx.Graph) {
					for _, n := range g.Nodes {
						name := strings.TrimPrefix(n.Domain+"."+n.Op, ".")
						if !local[n.Domain+"."+n.Op] && !supported(n.Domain, n.Op, n.Opset) && !missing[name] {
							missing[name] = true
							warnings = append(warnings, fmt.Sprintf("this version cannot run operator %s of opset %d", name, n.Opset))
						}
					}
				})
				if len(problems) == 0 {
					if err := optimize.Infer(m, optimize.InferOptions{Strict: true}); err != nil {
						problems = append(problems, problem{"types", err.Error()})
					}
				}
			}
			w := cmd.OutOrStdout()
			if asJSON {
				b, err := json.Marshal(struct {
					Model    string    `json:"model"`
					OK       bool      `json:"ok"`
					Problems []problem `json:"problems"`
					Warnings []string  `json:"warnings,omitempty"`
				}{args[0], len(problems) == 0, problems, warnings})
				if err != nil {
					return err
				}
				fmt.Fprintln(w, string(b))
			} else {
				for _, p := range problems {
					fmt.Fprintf(w, "%s: %s\n", p.Where, p.Text)
				}
				for _, s := range warnings {
					fmt.Fprintf(w, "warning: %s\n", s)
				}
			}
			if n := len(problems); n > 0 {
				return fmt.Errorf("%s: %d problem(s)", args[0], n)
			}
			if !asJSON {
				fmt.Fprintf(w, "%s: no problems\n", args[0])
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}
