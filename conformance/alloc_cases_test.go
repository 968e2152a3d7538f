//go:build !race

package conformance_test

import (
	"context"
	"os"
	"path"
	"regexp"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/conformance"
	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// allocatingCases are the cases of the standard suite whose runs take memory, and why.
var allocatingCases = []struct {
	cases *regexp.Regexp
	why   string
}{
	{regexp.MustCompile(`^test_light_`), "weights that ConstantOfShape makes in each run are packed in each"},
	{regexp.MustCompile(`^test_(convinteger_|convtranspose_3d$|qlinearconv$)`), "weights that are inputs are packed in each run"},
	{regexp.MustCompile(`^test_bitcast_`), "a view of another element type is new"},
	{regexp.MustCompile(`^test_unique_`), "how much there is depends on the data"},
	{regexp.MustCompile(`^test_(sequence_model|optional_)`), "sequences and optional values are new"},
	{regexp.MustCompile(`^test_(image_decoder_|regex_full_match_)`), "decoders and regular expressions of the standard library"},
	{regexp.MustCompile(`^test_scan_sum$`), "Scan of opset 8 takes its batches apart"},
}

// TestCasesDoNotAllocate is TestRunsDoNotAllocate for the standard suite: for every operator,
// with the attributes and element types of its cases. GNEISS_TEST_FILTER is that of TestSuite.
func TestCasesDoNotAllocate(t *testing.T) {
	if cpu.Level() == cpu.Generic {
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection may empty pools
	filter, err := regexp.Compile(os.Getenv("GNEISS_TEST_FILTER"))
	require.NoError(t, err)
	seen, measured := map[string]bool{}, 0
	for _, c := range standardSuite(t) {
		if !filter.MatchString(c.Name) {
			continue
		}
		n, ok := allocations(t, c)
		if !ok {
			continue
		}
		measured++
		why := ""
		for _, a := range allocatingCases {
			if a.cases.MatchString(c.Name) {
				why = a.why
				seen[why] = seen[why] || n > 0
			}
		}
		if n > 0 && why == "" {
			t.Errorf("%s: %g allocations per run, want none", c.Name, n)
		}
	}
	if filter.String() == "" {
		require.Greater(t, measured, 1900)
		for _, a := range allocatingCases {
			if !seen[a.why] {
				t.Errorf("no case of %v allocates: %q is no exception any more", a.cases, a.why)
			}
		}
	}
	t.Logf("%d cases measured", measured)
}

// allocations returns how many pieces of memory a run of the case takes once it is warm, on one
// thread: what the sizes of the suite need. ok is false where results cannot be written into
// tensors that are there, or the case does not run.
func allocations(t *testing.T, c conformance.Case) (n float64, ok bool) {
	m, err := onnx.OpenFS(c.FS, path.Join(c.Dir, "model.onnx"), onnx.DecodeOptions{})
	require.NoError(t, err)
	defer m.Close()
	s, err := runtime.New(m, runtime.Options{Threads: 1})
	if err != nil {
		return 0, false
	}
	defer s.Close()
	set, err := conformance.ReadSet(c.FS, path.Join(c.Dir, "test_data_set_0"), s)
	require.NoError(t, err, c.Name)
	out, err := s.Run(context.Background(), set.In)
	if err != nil {
		return 0, false
	}
	for _, v := range out {
		if x, ok := v.(*tensor.Tensor); !ok || x.DType() == tensor.String {
			return 0, false
		}
	}
	run := func() {
		if err := s.RunInto(context.Background(), set.In, out); err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
	}
	start, warm, runs := time.Now(), 4, 10
	run()
	if time.Since(start) > 20*time.Millisecond {
		warm, runs = 1, 2
	}
	for range warm { // plans are made and pools filled
		run()
	}
	n = testing.AllocsPerRun(runs, run)
	for range 2 {
		if n > 0 {
			n = min(n, testing.AllocsPerRun(runs, run))
		}
	}
	return n, true
}
