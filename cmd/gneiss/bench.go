package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/gneiss-run/gneiss/conformance"
	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/runtime"
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
	MeanNS       int64   `json:"mean_ns"`
	FirstNS      int64   `json:"first_ns"`
	LoadNS       int64   `json:"load_ns"`
	PeakRSSBytes int64   `json:"peak_rss_bytes"`
	MaxAbsErr    float64 `json:"max_abs_err"`
	MaxRelErr    float64 `json:"max_rel_err"`
	OK           bool    `json:"ok"`
}

func benchCommand() *cobra.Command {
	var f sessionFlags
	var warmup, runs int
	var profile string
	var asJSON bool
	var seed uint64
	cmd := &cobra.Command{
		Use:   "bench MODEL",
		Short: "Time a model",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if warmup < 0 || runs < 1 {
				return usageError("--warmup %d --runs %d: want at least 0 and 1", warmup, runs)
			}
			o, err := f.options()
			if err != nil {
				return err
			}
			start := time.Now()
			s, err := runtime.Open(args[0], o)
			if err != nil {
				return err
			}
			defer s.Close()
			res := benchResult{Model: args[0], Threads: s.Threads(), ISA: cpu.Level(), Warmup: warmup, Runs: runs, OK: true,
				LoadNS: time.Since(start).Nanoseconds()}
			set := &conformance.Set{}
			rule := tensor.DefaultRule
			if f.data != "" {
				if set, rule, err = readSet(args[0], f.data, s); err != nil {
					return err
				}
			} else if set.In, err = randomInputs(s, o.Dims, seed); err != nil {
				return err
			}
			var got map[string]tensor.Value
			times := make([]int64, 0, runs)
			for i := range warmup + runs {
				t := time.Now()
				if got, err = s.Run(cmd.Context(), set.In); err != nil {
					return err
				}
				d := time.Since(t).Nanoseconds()
				if i == 0 {
					res.FirstNS = d
				}
				if i >= warmup {
					times = append(times, d)
				}
			}
			res.fill(times)
			res.PeakRSSBytes = peakRSS()
			diff := set.Check(got, rule)
			res.OK = diff == nil
			res.MaxAbsErr, res.MaxRelErr = errorsOf(set, got)
			if profile != "" {
				if err := writeProfile(cmd, s, set.In, profile); err != nil {
					return err
				}
			}
			if asJSON {
				res.MaxAbsErr, res.MaxRelErr = finite(res.MaxAbsErr), finite(res.MaxRelErr)
				b, err := json.Marshal(res)
				if err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), string(b))
			} else {
				res.print(cmd)
			}
			if diff != nil {
				return &exitError{exitDiffers, diff}
			}
			return nil
		},
	}
	f.add(cmd)
	fl := cmd.Flags()
	fl.IntVar(&warmup, "warmup", 3, "runs before the clock counts")
	fl.IntVar(&runs, "runs", 20, "runs that count")
	fl.StringVar(&profile, "profile", "", "write the time of each node as a Chrome trace to this file, and print the slowest operators")
	fl.Uint64Var(&seed, "random", 1, "seed of the random inputs when there is no --data")
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
	r.MinNS, r.MedianNS, r.P90NS = times[0], times[n/2], times[min(n-1, n*9/10)]
	if n%2 == 0 {
		r.MedianNS = (times[n/2-1] + times[n/2]) / 2
	}
	sum := int64(0)
	for _, t := range times {
		sum += t
	}
	r.MeanNS = sum / int64(n)
}

func (r *benchResult) print(cmd *cobra.Command) {
	ms := func(ns int64) string { return fmt.Sprintf("%.3f ms", float64(ns)/1e6) }
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "model    %s\nthreads  %d (%s)\nload     %s\nfirst    %s\nmedian   %s of %d runs after %d\nmin      %s\np90      %s\nmean     %s\nmemory   %.1f MB at most\n",
		r.Model, r.Threads, r.ISA, ms(r.LoadNS), ms(r.FirstNS), ms(r.MedianNS), r.Runs, r.Warmup, ms(r.MinNS), ms(r.P90NS), ms(r.MeanNS), float64(r.PeakRSSBytes)/1e6)
	if r.MaxAbsErr != 0 || !r.OK {
		fmt.Fprintf(w, "error    %.3g absolute, %.3g relative\n", r.MaxAbsErr, r.MaxRelErr)
	}
}

// writeProfile profiles one run, writes its trace and prints a table by operator.
func writeProfile(cmd *cobra.Command, s *runtime.Session, in map[string]tensor.Value, file string) error {
	p, err := s.Profile(cmd.Context(), in)
	if err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := p.WriteTrace(f); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	type row struct {
		op    string
		n     int
		time  time.Duration
		bytes int64
	}
	rows := map[string]*row{}
	total := time.Duration(0)
	for _, n := range p.Nodes {
		if n.Depth > 0 {
			continue
		}
		r := rows[n.Op]
		if r == nil {
			r = &row{op: n.Op}
			rows[n.Op] = r
		}
		r.n++
		r.time += n.Time
		r.bytes += n.Bytes
		total += n.Time
	}
	list := make([]*row, 0, len(rows))
	for _, r := range rows {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *row) int { return int(b.time - a.time) })
	w := cmd.ErrOrStderr()
	fmt.Fprintf(w, "%-28s %6s %12s %6s %10s\n", "operator", "nodes", "time", "%", "GB/s")
	for _, r := range list {
		fmt.Fprintf(w, "%-28s %6d %12s %5.1f%% %10.2f\n", r.op, r.n, r.time.Round(time.Microsecond), 100*float64(r.time)/float64(max(total, 1)), float64(r.bytes)/float64(max(r.time, 1)))
	}
	return nil
}
