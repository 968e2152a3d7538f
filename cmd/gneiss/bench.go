package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	goruntime "runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/kernels/peak"
	"github.com/gneiss-run/gneiss/tensor"
)

// benchResult is what bench --json prints.
type benchResult struct {
	Model        string  `json:"model"`
	Threads      int     `json:"threads"`
	ISA          string  `json:"isa"`
	Warmup       int     `json:"warmup"`
	Runs         int     `json:"runs"`
	MedianNS     int64   `json:"median_ns"`
	MinNS        int64   `json:"min_ns"`
	P90NS        int64   `json:"p90_ns"`
	P99NS        int64   `json:"p99_ns"`
	MaxNS        int64   `json:"max_ns"`
	MeanNS       int64   `json:"mean_ns"`
	FirstNS      int64   `json:"first_ns"`
	LoadNS       int64   `json:"load_ns"`
	PeakRSSBytes int64   `json:"peak_rss_bytes"`
	AllocBytes   int64   `json:"alloc_bytes_per_run"` // outputs included
	Allocs       int64   `json:"allocs_per_run"`
	OutputBytes  int64   `json:"output_bytes"`
	MaxAbsErr    float64 `json:"max_abs_err"`
	MaxRelErr    float64 `json:"max_rel_err"`
	OK           bool    `json:"ok"`

	Profile *profileSummary `json:"profile,omitempty"`
	Compare *benchCompare   `json:"compare,omitempty"`
}

// benchCompare sets a result against an older one: new by old.
type benchCompare struct {
	File   string  `json:"file"`
	Median float64 `json:"median_ratio"`
	Min    float64 `json:"min_ratio"`
	P90    float64 `json:"p90_ratio"`
	Load   float64 `json:"load_ratio"`
	RSS    float64 `json:"rss_ratio"`
}

func benchCommand() *cobra.Command {
	var f sessionFlags
	var warmup, runs int
	var profile, compare string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "bench MODEL",
		Short: "Time a model",
		Long: "Times a model. Inputs come from --data and --input; what they do not give is random.\n" +
			"With output_*.pb in the folder of --data the last run's outputs are compared; exit code 3 says that one differs.",
		Example: "  gneiss bench model.onnx --dim batch=8 --threads 4\n  gneiss bench model.onnx --data test_data_set_0 --runs 100 --json > new.json",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if warmup < 0 || runs < 1 {
				return usageError("--warmup %d --runs %d: want at least 0 and 1", warmup, runs)
			}
			var old *benchResult
			if compare != "" {
				var err error
				if old, err = readBench(compare); err != nil {
					return fmt.Errorf("--compare: %w", err)
				}
			}
			s, load, err := f.open(cmd, args[0])
			if err != nil {
				return err
			}
			defer s.Close()
			res := benchResult{Model: args[0], Threads: s.Threads(), ISA: cpu.Level(), Warmup: warmup, Runs: runs, LoadNS: load.Nanoseconds()}
			set, rule, err := f.set(args[0], s, true)
			if err != nil {
				return err
			}
			var got map[string]tensor.Value
			times := make([]int64, 0, runs)
			bar := &progress{}
			defer func() { bar.end() }()
			var before, after goruntime.MemStats
			for i := range warmup + runs {
				if i == warmup {
					goruntime.ReadMemStats(&before)
				}
				t := time.Now()
				if got, err = s.Run(cmd.Context(), set.In); err != nil {
					return f.runError(args[0], err, len(f.inputs) == 0 && f.data == "")
				}
				d := time.Since(t)
				if i == 0 {
					res.FirstNS = d.Nanoseconds()
					if d*time.Duration(warmup+runs) > 2*time.Second {
						bar = newProgress(cmd.ErrOrStderr(), "runs", warmup+runs, func() string { return "first " + d.Round(time.Microsecond).String() })
					}
				}
				if i >= warmup {
					times = append(times, d.Nanoseconds())
				}
				bar.step()
			}
			goruntime.ReadMemStats(&after)
			bar.end()
			res.AllocBytes = int64(after.TotalAlloc-before.TotalAlloc) / int64(runs)
			res.Allocs = int64(after.Mallocs-before.Mallocs) / int64(runs)
			res.fill(times)
			res.PeakRSSBytes = peakRSS()
			for _, v := range got {
				if t, ok := v.(*tensor.Tensor); ok && t != nil {
					res.OutputBytes += int64(len(t.Bytes()))
				}
			}
			diff := set.Check(got, rule)
			res.OK = diff == nil
			res.MaxAbsErr, res.MaxRelErr = errorsOf(set, got)
			if profile != "" {
				p, err := fastestProfile(cmd.Context(), s, set.In, min(5, runs))
				if err != nil {
					return err
				}
				if err := writeTrace(p, profile); err != nil {
					return err
				}
				res.Profile = summarise(p, peak.Measure(s.Threads()))
			}
			if old != nil {
				res.Compare = res.against(old, compare)
			}
			if asJSON {
				res.MaxAbsErr, res.MaxRelErr = finite(res.MaxAbsErr), finite(res.MaxRelErr)
				if err := writeJSON(cmd.OutOrStdout(), res); err != nil {
					return err
				}
			} else {
				res.print(cmd.OutOrStdout(), diff == nil)
			}
			if diff != nil {
				return &exitError{exitDiffers, fmt.Errorf("%s: %w", args[0], diff)}
			}
			return nil
		},
	}
	f.add(cmd)
	fl := cmd.Flags()
	fl.IntVar(&warmup, "warmup", 3, "runs before the clock counts")
	fl.IntVar(&runs, "runs", 20, "runs that count")
	fl.StringVar(&profile, "profile", "", "profile more runs: of the fastest write a Chrome trace of every node to this file, and print the times by operator with their share of what this machine can do")
	fl.StringVar(&compare, "compare", "", "set the result against this one, the output of an earlier bench --json")
	fl.BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// finite keeps a figure that JSON can carry.
func finite(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return math.MaxFloat64
	}
	return x
}

func (r *benchResult) fill(times []int64) {
	slices.Sort(times)
	n := len(times)
	at := func(p float64) int64 { return times[min(n-1, int(float64(n)*p))] }
	r.MinNS, r.MedianNS, r.P90NS, r.P99NS, r.MaxNS = times[0], times[n/2], at(0.9), at(0.99), times[n-1]
	if n%2 == 0 {
		r.MedianNS = (times[n/2-1] + times[n/2]) / 2
	}
	sum := int64(0)
	for _, t := range times {
		sum += t
	}
	r.MeanNS = sum / int64(n)
}

// readBench reads what bench --json printed.
func readBench(file string) (*benchResult, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var r benchResult
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%s: %w; want the output of gneiss bench --json", file, err)
	}
	if r.MedianNS <= 0 {
		return nil, fmt.Errorf("%s: no median_ns; want the output of gneiss bench --json", file)
	}
	return &r, nil
}

func (r *benchResult) against(old *benchResult, file string) *benchCompare {
	ratio := func(a, b int64) float64 { return float64(a) / float64(max(b, 1)) }
	return &benchCompare{file, ratio(r.MedianNS, old.MedianNS), ratio(r.MinNS, old.MinNS), ratio(r.P90NS, old.P90NS),
		ratio(r.LoadNS, old.LoadNS), ratio(r.PeakRSSBytes, old.PeakRSSBytes)}
}

func (r *benchResult) print(w io.Writer, ok bool) {
	ms := func(ns int64) string { return fmt.Sprintf("%.3f ms", float64(ns)/1e6) }
	t := table{head: []string{"model", r.Model}}
	t.add("threads", fmt.Sprintf("%d (%s)", r.Threads, r.ISA))
	t.add("load", ms(r.LoadNS))
	t.add("first", ms(r.FirstNS))
	t.add("median", fmt.Sprintf("%s of %s after %d", ms(r.MedianNS), counted(r.Runs, "run"), r.Warmup))
	t.add("min", ms(r.MinNS))
	t.add("p90", ms(r.P90NS))
	t.add("p99", ms(r.P99NS))
	t.add("max", ms(r.MaxNS))
	t.add("mean", ms(r.MeanNS))
	t.add("memory", bytesText(r.PeakRSSBytes)+" at most")
	t.add("allocated", fmt.Sprintf("%s in %s per run, outputs are %s", bytesText(r.AllocBytes), counted(int(r.Allocs), "piece"), bytesText(r.OutputBytes)))
	if r.MaxAbsErr != 0 || !ok {
		t.add("error", fmt.Sprintf("%.3g absolute, %.3g relative", r.MaxAbsErr, r.MaxRelErr))
	}
	if c := r.Compare; c != nil {
		t.add("compared", fmt.Sprintf("with %s: median × %.3f, min × %.3f, p90 × %.3f, load × %.3f, memory × %.3f", c.File, c.Median, c.Min, c.P90, c.Load, c.RSS))
	}
	t.print(w)
	if r.Profile != nil {
		fmt.Fprintln(w)
		r.Profile.print(w)
	}
}
