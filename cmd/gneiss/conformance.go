package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

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
		Long: "Runs every case below a folder, or in an archive: a case is a folder with model.onnx and test_data_set_*.\n" +
			"Exit code 3 says that a case failed or had an error; what is not supported is counted, and is no failure.",
		Example: "  gneiss conformance onnx-backend-tests.tar.xz --filter '^test_conv' --isa generic --level none -v",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			re, err := regexp.Compile(filter)
			if err != nil {
				return usageError("--filter: %v", err)
			}
			if threads < 0 || workers < 1 {
				return usageError("--threads %d --workers %d: want at least 0 and 1", threads, workers)
			}
			lv, err := parseLevel(level)
			if err != nil {
				return err
			}
			if isa != "" {
				restore, err := cpu.Force(isa)
				if err != nil {
					return usageError("--isa: %v", err)
				}
				defer restore()
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
				return fmt.Errorf("%s: none of %s matches --filter %q", args[0], counted(len(cases), "case"), filter)
			}
			var pass, other, wrong int
			w := cmd.ErrOrStderr()
			bar := newProgress(w, "cases", len(chosen), func() string {
				return fmt.Sprintf("%d pass, %d fail or error, %d unsupported", pass, wrong, other)
			})
			defer bar.end()
			rep, err := conformance.RunAll(cmd.Context(), chosen, workers,
				conformance.Options{Runtime: runtime.Options{Threads: threads, Level: lv}},
				func(r conformance.Result) {
					bar.update(func() {
						switch r.Status {
						case conformance.Pass:
							pass++
						case conformance.Unsupported:
							other++
						default:
							wrong++
						}
					})
					if verbose && r.Status != conformance.Pass {
						bar.printf("%s %s/%s: %s\n", statusText(w, r.Status), r.Kind, r.Name, r.Reason)
					}
				})
			bar.end()
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
					return fmt.Errorf("--json: %w", err)
				}
			}
			printReport(cmd.OutOrStdout(), rep)
			if rep.Fail+rep.Error > 0 {
				return &exitError{code: exitDiffers}
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&filter, "filter", "", "run the cases whose name this regular expression matches")
	fl.StringVar(&isa, "isa", "", "use matrix, convolution and integer kernels of this instruction set at most (GNEISS_ISA caps all kernels)")
	fl.StringVar(&level, "level", "", "how far graphs are rewritten: none, portable or machine (default: machine)")
	fl.StringVar(&jsonFile, "json", "", "write the outcome of every case to this file")
	fl.IntVar(&threads, "threads", 1, "threads of one run (0: one per CPU)")
	fl.IntVar(&workers, "workers", 2, "cases run at a time")
	fl.BoolVarP(&verbose, "verbose", "v", false, "print every case that does not pass")
	return cmd
}

func statusText(w io.Writer, s conformance.Status) string {
	colour := red
	if s == conformance.Unsupported {
		colour = yellow
	}
	return paint(w, colour, fmt.Sprintf("%-11s", s))
}

// printReport prints the cases that do not pass by their operators, and the sums.
func printReport(w io.Writer, rep *conformance.Report) {
	type row struct {
		ops                      string
		fail, error, unsupported int
		first                    string
	}
	rows := map[string]*row{}
	for _, c := range rep.Cases {
		if c.Status == conformance.Pass {
			continue
		}
		name := strings.Join(c.Ops, " ")
		if len(c.Ops) > 3 || name == "" {
			name = c.Name
		}
		r := rows[name]
		if r == nil {
			r = &row{ops: name, first: c.Name + ": " + c.Reason}
			rows[name] = r
		}
		switch c.Status {
		case conformance.Fail:
			r.fail++
		case conformance.Unsupported:
			r.unsupported++
		default:
			r.error++
		}
	}
	if len(rows) > 0 {
		list := make([]*row, 0, len(rows))
		for _, r := range rows {
			list = append(list, r)
		}
		slices.SortFunc(list, func(a, b *row) int {
			return cmp.Or(cmp.Compare(b.fail+b.error, a.fail+a.error), cmp.Compare(b.unsupported, a.unsupported), cmp.Compare(a.ops, b.ops))
		})
		t := table{head: []string{"operators", ">fail", ">error", ">unsupported", "the first of them"}}
		for _, r := range list {
			t.add(clip(r.ops, 40), r.fail, r.error, r.unsupported, clip(r.first, 120))
		}
		t.print(w)
		fmt.Fprintln(w)
	}
	colour := green
	if rep.Fail+rep.Error > 0 {
		colour = red
	}
	fmt.Fprintln(w, paint(w, colour, fmt.Sprintf("%s: %d pass, %d fail, %d unsupported, %d error", counted(rep.Total, "case"), rep.Pass, rep.Fail, rep.Unsupported, rep.Error)))
}
