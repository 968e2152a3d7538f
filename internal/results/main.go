// Command results keeps docs/performance.md and its plots.
//
//	go run ./internal/results add -name zen4 -machine "AMD Zen 4, 2 cores" -commit abc123 -command "compare.py …" compare.json
//	go run ./internal/results page
//
// add stores what the side-by-side benchmark measured in docs/results/NAME.json;
// page writes the page from all that is stored there.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// run is one run of the benchmark on one machine.
type run struct {
	Name    string `json:"name"`    // of the file and of its plot
	Machine string `json:"machine"` // processor, cores, what else is known
	Date    string `json:"date"`
	Commit  string `json:"commit"`
	Command string `json:"command"`
	Rows    []row  `json:"rows"`
	// Failed are the models that were not timed, because outputs were beyond the rule: "MODEL with N threads: why".
	Failed []string `json:"failed,omitempty"`
}

// row is one model at one number of threads, as compare.py writes it. Ratios
// are ours by ONNX Runtime's.
type row struct {
	Model   string  `json:"model"`
	Threads int     `json:"threads"`
	Ours    float64 `json:"ours_ms"`
	ORT     float64 `json:"ort_ms"`
	Ratio   float64 `json:"ratio"`
	Load    float64 `json:"load_ratio"`
	RSS     float64 `json:"rss_ratio"`
}

func main() {
	if err := command(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "results:", err)
		os.Exit(1)
	}
}

func command(args []string) error {
	if len(args) == 0 {
		return errors.New("want add or page")
	}
	f := flag.NewFlagSet(args[0], flag.ContinueOnError)
	dir := f.String("docs", "docs", "folder of the page")
	switch args[0] {
	case "page":
		if err := f.Parse(args[1:]); err != nil {
			return err
		}
		runs, err := read(*dir)
		if err != nil {
			return err
		}
		return write(*dir, runs)
	case "add":
		var r run
		f.StringVar(&r.Name, "name", "", "name of the file, e.g. zen4")
		f.StringVar(&r.Machine, "machine", "", "the machine in words")
		f.StringVar(&r.Date, "date", "", "day, e.g. 2026-01-31")
		f.StringVar(&r.Commit, "commit", "", "commit that was measured")
		f.StringVar(&r.Command, "command", "", "command that measured")
		if err := f.Parse(args[1:]); err != nil {
			return err
		}
		if r.Name == "" || r.Machine == "" || r.Date == "" || r.Commit == "" || r.Command == "" || f.NArg() == 0 {
			return errors.New("add: want -name, -machine, -date, -commit, -command and the files that compare.py wrote")
		}
		for _, name := range f.Args() {
			b, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			var got struct {
				Rows   []row
				Failed [][]any
			}
			if err := json.Unmarshal(b, &got); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			for _, f := range got.Failed {
				if len(f) != 3 {
					return fmt.Errorf("%s: a failed case is %v, want model, threads and why", name, f)
				}
				r.Failed = append(r.Failed, fmt.Sprintf("%v with %v threads: %v", f...))
			}
			r.Rows = append(r.Rows, got.Rows...)
		}
		b, err := json.MarshalIndent(r, "", " ")
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(*dir, "results"), 0o755); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(*dir, "results", r.Name+".json"), append(b, '\n'), 0o644)
	}
	return fmt.Errorf("unknown command %q: want add or page", args[0])
}

// read returns the stored runs, the newest first.
func read(dir string) ([]run, error) {
	files, err := filepath.Glob(filepath.Join(dir, "results", "*.json"))
	if err != nil {
		return nil, err
	}
	var runs []run
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var r run
		if err := json.Unmarshal(b, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if len(r.Rows) == 0 {
			return nil, fmt.Errorf("%s: no rows", name)
		}
		runs = append(runs, r)
	}
	slices.SortStableFunc(runs, func(a, b run) int {
		if c := strings.Compare(b.Date, a.Date); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return runs, nil
}
