package conformance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// Status is how a case ended.
type Status string

// The statuses of a case.
const (
	Pass        Status = "pass"        // every output of every data set matches
	Fail        Status = "fail"        // it ran and an output differs
	Unsupported Status = "unsupported" // loading said that an operator, version or type does not exist here
	Error       Status = "error"       // anything else
)

// Result is the outcome of one case.
type Result struct {
	Name   string   `json:"name"`
	Kind   string   `json:"kind"`
	Ops    []string `json:"ops"` // operators in the model, sorted
	Status Status   `json:"status"`
	Reason string   `json:"reason"`
	NS     int64    `json:"ns"`
}

// Options says how cases are run.
type Options struct {
	Runtime runtime.Options
	Timeout time.Duration // of one case; 0: two minutes
}

// suiteRule is the rule of ONNX's own runner.
var suiteRule = tensor.Rule{RTol: 1e-3, ATol: 1e-7}

// Run runs one case. It does not panic and does not outlast the timeout by
// more than one operator's chunk.
func (c Case) Run(ctx context.Context, o Options) (res Result) {
	start := time.Now()
	res = Result{Name: c.Name, Kind: c.Kind, Ops: []string{}}
	timeout := o.Timeout
	if timeout == 0 {
		timeout = 2 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	done := make(chan Result, 1)
	go func() {
		r := res
		defer func() {
			if p := recover(); p != nil {
				r.Status, r.Reason = Error, ops.Recovered(p).Error()
			}
			done <- r
		}()
		c.run(ctx, o.Runtime, &r)
	}()
	select {
	case res = <-done:
	case <-time.After(timeout + 10*time.Second): // the operator in progress does not look at ctx
		res.Status, res.Reason = Error, "hangs"
	}
	res.NS = time.Since(start).Nanoseconds()
	return res
}

func (c Case) run(ctx context.Context, o runtime.Options, res *Result) {
	set := func(s Status, err error) { res.Status, res.Reason = s, err.Error() }
	file := path.Join(c.Dir, "model.onnx")
	m, err := onnx.OpenFS(c.FS, file, onnx.DecodeOptions{})
	if err != nil {
		set(Error, err)
		return
	}
	defer m.Close()
	res.Ops = operators(m)
	s, err := runtime.New(m, o)
	if err != nil {
		set(Error, err)
		if errors.Is(err, ops.ErrUnsupported) {
			res.Status = Unsupported
		}
		return
	}
	defer s.Close()
	rule, err := ReadRule(c.FS, c.Dir, suiteRule)
	if err != nil {
		set(Error, err)
		return
	}
	entries, err := fs.ReadDir(c.FS, c.Dir)
	if err != nil {
		set(Error, err)
		return
	}
	sets := 0
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "test_data_set_") {
			continue
		}
		sets++
		data, err := ReadSet(c.FS, path.Join(c.Dir, e.Name()), s)
		if err != nil {
			set(Error, err)
			return
		}
		got, err := s.Run(ctx, data.In)
		if err != nil {
			set(Error, err)
			return
		}
		if strings.HasPrefix(c.Name, "test_bernoulli") {
			err = checkBernoulli(data, got)
		} else {
			err = data.Check(got, rule)
		}
		if err != nil {
			set(Fail, fmt.Errorf("%s: %w", e.Name(), err))
			return
		}
	}
	if sets == 0 {
		set(Error, errors.New("no test_data_set"))
		return
	}
	res.Status = Pass
}

// checkBernoulli checks what is not random of a random result: type, shape,
// and that every element is 0 or 1.
func checkBernoulli(s *Set, got map[string]tensor.Value) error {
	for i, w := range s.Want {
		want, ok := w.(*tensor.Tensor)
		g, ok2 := got[s.Out[i]].(*tensor.Tensor)
		if !ok || !ok2 || g.DType() != want.DType() || !slices.Equal(g.Shape(), want.Shape()) {
			return fmt.Errorf("output %q: %v, want %v", s.Out[i], got[s.Out[i]], w)
		}
		elems, err := tensor.Float64s(g)
		if err != nil {
			return err
		}
		for k, x := range elems {
			if x != 0 && x != 1 {
				return fmt.Errorf("output %q: element %d is %g, want 0 or 1", s.Out[i], k, x)
			}
		}
	}
	return nil
}

// operators returns the names of the operators in m, sorted.
func operators(m *onnx.Model) []string {
	seen := map[string]bool{}
	see := func(g *onnx.Graph) {
		for _, n := range g.Nodes {
			name := n.Op
			if n.Domain != "" {
				name = n.Domain + "." + n.Op
			}
			seen[name] = true
		}
	}
	m.Graph.Walk(see)
	for _, f := range m.Functions {
		f.Graph.Walk(see)
	}
	names := make([]string, 0, len(seen))
	for n := range seen {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
