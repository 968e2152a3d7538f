package conformance_test

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/conformance"
	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/shared"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

const suiteFile = "onnx-backend-tests-1.23.2.tar.xz"

var standard struct {
	sync.Once
	cases []conformance.Case
	err   error
}

// standardSuite returns the cases of the standard suite, which is unpacked once.
func standardSuite(t *testing.T) []conformance.Case {
	file := shared.File(t, "conformance", suiteFile)
	standard.Do(func() { standard.cases, standard.err = conformance.Suite(file) })
	require.NoError(t, standard.err)
	require.Len(t, standard.cases, 2036)
	return slices.Clone(standard.cases)
}

// TestSuite runs the standard suite. By default at the best level and ISA;
// GNEISS_TEST_LEVEL and GNEISS_ISA choose others. GNEISS_TEST_FILTER is a regular
// expression for the names of the cases to run.
func TestSuite(t *testing.T) {
	cases := standardSuite(t)
	var err error
	o := conformance.Options{Runtime: runtime.Options{Threads: 2}}
	if l := os.Getenv("GNEISS_TEST_LEVEL"); l != "" {
		o.Runtime.Level, err = optimize.ParseLevel(l)
		require.NoError(t, err)
	}
	filter := os.Getenv("GNEISS_TEST_FILTER")
	if filter != "" {
		re, err := regexp.Compile(filter)
		require.NoError(t, err)
		cases = slices.DeleteFunc(cases, func(c conformance.Case) bool { return !re.MatchString(c.Name) })
		require.NotEmpty(t, cases)
	}
	rep, err := conformance.RunAll(context.Background(), cases, 2, o, nil)
	require.NoError(t, err)
	expected, err := conformance.Expected()
	require.NoError(t, err)
	for _, bad := range expected.Check(rep, filter == "") {
		t.Error(bad)
	}
	t.Logf("%d of %d pass (%d fail, %d unsupported, %d error) at level %s on %s", rep.Pass, rep.Total, rep.Fail, rep.Unsupported, rep.Error, rep.Level, cpu.Level())
}

// TestModels runs every model of a folder that shared/models/generate.py
// wrote, by each number of threads and at each level.
func TestModels(t *testing.T) {
	dir := shared.Models(t)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	n := 0
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(dir, e.Name(), "model.onnx")); err != nil {
			continue
		}
		n++
		t.Run(e.Name(), func(t *testing.T) {
			c := conformance.Case{Name: e.Name(), Kind: "model", FS: os.DirFS(dir), Dir: e.Name()}
			for _, o := range []runtime.Options{{Threads: 1}, {Threads: 2}, {Threads: 1, Level: optimize.None}, {Threads: 2, Level: optimize.None}} {
				res := c.Run(context.Background(), conformance.Options{Runtime: o})
				if res.Status == conformance.Fail && restless(t, c, o) {
					t.Logf("threads %d, level %v: %s, which is within what roundings of the inputs do", o.Threads, o.Level, res.Reason)
					continue
				}
				require.Equal(t, conformance.Pass, res.Status, "threads %d, level %v: %s", o.Threads, o.Level, res.Reason)
			}
		})
	}
	require.NotZero(t, n, "no model in %s", dir)
}

// restless reports whether the outputs are within 1.5 times what they change by when each
// float of the inputs moves to one of its neighbours (of 8 draws the largest), and within 4 times the
// rule. Models with untrained weights carry roundings far, and what ONNX Runtime differs by from
// itself, which is what the rule is made of, is one draw of that.
func restless(t *testing.T, c conformance.Case, o runtime.Options) bool {
	s, err := runtime.Open(filepath.Join(shared.Models(t), c.Dir, "model.onnx"), o)
	require.NoError(t, err)
	defer s.Close()
	set, err := conformance.ReadSet(c.FS, c.Dir+"/test_data_set_0", s)
	require.NoError(t, err)
	rule, err := conformance.ReadRule(c.FS, c.Dir, tensor.Rule{})
	require.NoError(t, err)
	got, err := s.Run(context.Background(), set.In)
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(1, 2))
	most := 0.0
	for range 8 {
		in := maps.Clone(set.In)
		for name, v := range in {
			if x, ok := v.(*tensor.Tensor); ok && x.DType() == tensor.Float32 {
				x = x.Clone()
				for i, e := range tensor.Data[float32](x) {
					tensor.Data[float32](x)[i] = math.Nextafter32(e, float32(math.Inf(1-2*r.IntN(2))))
				}
				in[name] = x
			}
		}
		moved, err := s.Run(context.Background(), in)
		require.NoError(t, err)
		for name, v := range moved {
			if y, ok := v.(*tensor.Tensor); ok && y.DType() == tensor.Float32 {
				d, err := tensor.Diff(y, got[name].(*tensor.Tensor), tensor.Tolerance{})
				require.NoError(t, err)
				most = max(most, d.RelL2)
			}
		}
	}
	rule.RelRMS = min(1.5*most, 4*rule.RelRMS)
	return rule.RelRMS > 0 && set.Check(got, rule) == nil
}

func TestExpectations(t *testing.T) {
	rep := &conformance.Report{Cases: []conformance.Result{
		{Name: "a", Kind: "node", Status: conformance.Pass},
		{Name: "b", Kind: "node", Status: conformance.Fail, Reason: "off"},
		{Name: "c", Kind: "node", Status: conformance.Unsupported},
	}}
	e, err := conformance.ParseExpectations(strings.NewReader("# why\nnode/c unsupported no such operator\nnode/z fail gone\nnode/a fail was wrong\n"))
	require.NoError(t, err)
	bad := e.Check(rep, true)
	require.Len(t, bad, 4) // a passes, b fails, z is gone, and a's line is stale
	_, err = conformance.ParseExpectations(strings.NewReader("node/c maybe so"))
	require.ErrorContains(t, err, "line 1")
	_, err = conformance.ParseExpectations(strings.NewReader("( fail so"))
	require.ErrorContains(t, err, "line 1")
}
