package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/gneiss-run/gneiss/conformance"
	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/runtime"
)

func conformanceCommand() *cobra.Command {
	var filter, isa, level, jsonFile string
	var threads, workers int
	var verbose bool
	cmd := &cobra.Command{
		Use:   "conformance DIR|SUITE.tar.xz",
		Short: "Run the cases of ONNX's backend test suite",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			re, err := regexp.Compile(filter)
			if err != nil {
				return usageError("--filter: %v", err)
			}
			if isa != "" {
				restore, err := cpu.Force(isa)
				if err != nil {
					return usageError("--isa: %v", err)
				}
				defer restore()
			}
			lv, err := parseLevel(level)
			if err != nil {
				return err
			}
			cases, err := conformance.Suite(args[0])
			if err != nil {
				return err
			}
			var chosen []conformance.Case
			for _, c := range cases {
				if re.MatchString(c.Name) {
					chosen = append(chosen, c)
				}
			}
			if len(chosen) == 0 {
				return fmt.Errorf("%s: none of %d cases matches --filter %q", args[0], len(cases), filter)
			}
			done := 0
			w := cmd.ErrOrStderr()
			rep, err := conformance.RunAll(cmd.Context(), chosen, workers,
				conformance.Options{Runtime: runtime.Options{Threads: threads, Level: lv}},
				func(r conformance.Result) {
					if done++; verbose && r.Status != conformance.Pass {
						fmt.Fprintf(w, "%-11s %s/%s: %s\n", r.Status, r.Kind, r.Name, r.Reason)
					}
				})
			if err != nil {
				return err
			}
			rep.ISA = cpu.Level()
			if jsonFile != "" {
				b, err := json.MarshalIndent(rep, "", " ")
				if err != nil {
					return err
				}
				if err := os.WriteFile(jsonFile, append(b, '\n'), 0o644); err != nil {
					return err
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d cases: %d pass, %d fail, %d unsupported, %d error\n", rep.Total, rep.Pass, rep.Fail, rep.Unsupported, rep.Error)
			if rep.Fail+rep.Error > 0 {
				return &exitError{code: exitDiffers}
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&filter, "filter", "", "run the cases whose name this regular expression matches")
	fl.StringVar(&isa, "isa", "", "use kernels of this instruction set at most")
	fl.StringVar(&level, "level", "", "how far graphs are rewritten: none or portable (default: the best)")
	fl.StringVar(&jsonFile, "json", "", "write the outcome of every case to this file")
	fl.IntVar(&threads, "threads", 1, "threads of one run")
	fl.IntVar(&workers, "workers", 2, "cases run at a time")
	fl.BoolVarP(&verbose, "verbose", "v", false, "print every case that does not pass")
	return cmd
}
