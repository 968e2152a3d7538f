//go:build !race

// The race detector empties pools.

package conformance_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/conformance"
	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/shared"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// allocating lists the models whose runs take memory, in how many pieces at most
// whatever the instruction set.
var allocating = map[string]float64{
	"espcn_x3":         2,   // intermediate values that have no place in the plan
	"sk_rf_zipmap":     166, // its output is new maps
	"transformer_tiny": 6,   // walks of reductions and a Cast of integers
}

// TestRunsDoNotAllocate: with RunInto and shapes that stay the same, a run takes
// no memory, on one thread and on several.
func TestRunsDoNotAllocate(t *testing.T) {
	models, err := filepath.Glob("../testdata/models/*/model.onnx")
	require.NoError(t, err)
	require.NotEmpty(t, models)
	for _, p := range models {
		name := filepath.Base(filepath.Dir(p))
		t.Run(name, func(t *testing.T) { doesNotAllocate(t, filepath.Dir(p), allocating[name]) })
	}
}

// generatedAllocating is allocating for the generated models, by their name without the exporter; -1: not bounded.
var generatedAllocating = map[string]float64{
	"espcn_x3":            2,
	"sk_rf_zipmap":        -1, // its output is new maps
	"keras_lstm":          0,
	"ssdlite_mobilenetv3": 0,
}

// TestGeneratedRunsDoNotAllocate is TestRunsDoNotAllocate for exported models. The routines
// in Go that stand in for those in assembly may allocate; those of AMX were not measured.
func TestGeneratedRunsDoNotAllocate(t *testing.T) {
	if cpu.Level() == cpu.Generic {
		return
	}
	if cpu.Has(cpu.AMX) {
		restore, err := cpu.Force(cpu.VNNI)
		require.NoError(t, err)
		defer restore()
	}
	models, err := filepath.Glob(filepath.Join(shared.Models(t), "*", "model.onnx"))
	require.NoError(t, err)
	require.NotEmpty(t, models)
	for _, p := range models {
		name := filepath.Base(filepath.Dir(p))
		base, _, _ := strings.Cut(name, ".")
		if most := generatedAllocating[base]; most >= 0 {
			t.Run(name, func(t *testing.T) { doesNotAllocate(t, filepath.Dir(p), most) })
		}
	}
}

func doesNotAllocate(t *testing.T, dir string, most float64) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection may empty pools
	defer func(rate int) { goruntime.MemProfileRate = rate }(goruntime.MemProfileRate)
	goruntime.MemProfileRate = 1 // so that what fails says where
	for _, threads := range []int{1, 2} {
		s, err := runtime.Open(filepath.Join(dir, "model.onnx"), runtime.Options{Threads: threads})
		require.NoError(t, err)
		set, err := conformance.ReadSet(os.DirFS(dir), "test_data_set_0", s)
		require.NoError(t, err)
		start := time.Now()
		first, err := s.Run(context.Background(), set.In)
		require.NoError(t, err)
		out := map[string]tensor.Value{}
		for name, v := range first {
			if x, ok := v.(*tensor.Tensor); ok {
				out[name] = x
			}
		}
		run := func() {
			if err := s.RunInto(context.Background(), set.In, out); err != nil {
				t.Fatal(err)
			}
		}
		warm, runs := 4, 20
		if time.Since(start) > time.Second/4 {
			warm, runs = 2, 2
		}
		for range warm { // plans are made and pools filled
			run()
		}
		before := sites()
		n := testing.AllocsPerRun(runs, run)
		for range 4 { // what the collections above took from pools is allocated again, that of helpers which come late to a run later
			if n > most {
				n = testing.AllocsPerRun(runs, run)
			}
		}
		t.Logf("%d threads: %g allocations per run", threads, n)
		if n > most {
			t.Errorf("%d threads: %g allocations per run, want %g; by place in all of them:\n%s", threads, n, most, difference(before, sites(), int64(5*(runs+1))))
		}
		s.Close()
	}
}

type site [12]uintptr

// settle waits for the finalizers of the collections before, which allocate and take away what
// runs keep: those of a collection run one after the other, before those of the next.
func settle() {
	for range 3 {
		ran := make(chan bool)
		goruntime.SetFinalizer(&struct{ c chan bool }{ran}, func(s *struct{ c chan bool }) { close(s.c) })
		goruntime.GC()
		<-ran
	}
}

// sites returns how often each place of the program has allocated.
func sites() map[site]int64 {
	goruntime.GC() // profiles show what happened before the last collection but one
	goruntime.GC()
	rs := make([]goruntime.MemProfileRecord, 100_000)
	n, _ := goruntime.MemProfile(rs, true)
	settle()
	m := map[site]int64{}
	for _, r := range rs[:n] {
		m[site(r.Stack0[:12])] += r.AllocObjects
	}
	return m
}

func difference(before, after map[site]int64, runs int64) string {
	var lines []string
	for s, n := range after {
		if n -= before[s]; n < runs-1 {
			continue
		}
		where := []string{}
		for frames, more := goruntime.CallersFrames(s[:]), true; more; {
			var f goruntime.Frame
			f, more = frames.Next()
			if f.Function != "" && !strings.HasPrefix(f.Function, "runtime.") && len(where) < 9 {
				where = append(where, fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line))
			}
		}
		lines = append(lines, fmt.Sprintf("%6.1f  %s", float64(n)/float64(runs), strings.Join(where, " < ")))
	}
	slices.Sort(lines)
	slices.Reverse(lines)
	return strings.Join(lines[:min(len(lines), 40)], "\n")
}
