// Package optest runs operators on tables of cases.
package optest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// Case is one call of one operator and what must come of it.
type Case struct {
	Name   string
	Domain string
	Op     string
	Opset  int // 0: Latest
	Attrs  onnx.Attrs
	In     []tensor.Value // nil: absent
	Want   []tensor.Value // nil: the output is not asked for
	Err    string         // part of the error; then Want gives only the number of outputs
	Tol    tensor.Tolerance
	// Const marks inputs that are initializers in this case (default: none; both
	// ways are run when the slice is nil).
	Const []int
	// Captures gives the values that nested graphs read of the graphs around them.
	Captures map[*onnx.Value]tensor.Value
}

// Latest is the newest opset of the default domain that tests take.
const Latest = 28

// Run runs every case: with the inputs computed and with them constant, with
// one thread and two, and holds the inferred type against the result.
func Run(t *testing.T, cases []Case) {
	t.Helper()
	for i, c := range cases {
		name := c.Name
		if name == "" {
			name = fmt.Sprintf("%s/%d", c.Op, i)
		}
		t.Run(name, func(t *testing.T) { t.Helper(); run(t, c) })
	}
}

func run(t *testing.T, c Case) {
	t.Helper()
	variants := [][]int{c.Const}
	if c.Const == nil {
		all := make([]int, len(c.In))
		for i := range all {
			all[i] = i
		}
		variants = [][]int{nil, all}
	}
	for _, consts := range variants {
		for _, threads := range []int{1, 2} {
			err := once(t, c, consts, threads)
			if c.Err != "" {
				if err == nil || !strings.Contains(err.Error(), c.Err) {
					t.Errorf("constant inputs %v: error %v, want one with %q", consts, err, c.Err)
				}
			} else if err != nil {
				t.Errorf("constant inputs %v, %d threads: %v", consts, threads, err)
			}
		}
	}
}

// Node returns the graph and node of a case. consts lists the inputs that are
// initializers.
func Node(c Case, consts []int) *onnx.Node {
	opset := c.Opset
	if opset == 0 {
		opset = Latest
		if c.Domain != "" {
			opset = 1
		}
	}
	g := onnx.NewGraph("test", map[string]int{c.Domain: opset})
	in := make([]*onnx.Value, len(c.In))
	for i, v := range c.In {
		if v == nil {
			continue
		}
		in[i] = g.AddInput(fmt.Sprintf("in%d", i), onnx.TypeOf(v))
		if x, ok := v.(*tensor.Tensor); ok && slices.Contains(consts, i) {
			in[i].Const = x
		}
	}
	n := g.NewNodeIn(c.Domain, c.Op, c.Attrs, in, len(c.Want))
	n.Name = "test"
	for i, v := range c.Want {
		if v == nil && c.Err == "" {
			n.Out[i] = nil
		}
	}
	g.Insert(nil, n)
	return n
}

func once(t *testing.T, c Case, consts []int, threads int) error {
	t.Helper()
	n := Node(c, consts)
	types, _, err := ops.InferNode(n, ops.InferEnv{Body: InferBody})
	if err != nil {
		return fmt.Errorf("infer: %w", err)
	}
	for i, v := range n.Out {
		if v != nil {
			v.Type = types[i]
		}
	}
	in := slices.Clone(c.In)
	env := ops.BuildEnv{Body: Bodies(c.Captures), Packed: func(i int) { in[i] = nil }}
	got, err := ops.Eval(par.P{Threads: threads}, n, in, env)
	if err != nil {
		return err
	}
	for i, want := range c.Want {
		if want == nil || c.Err != "" {
			continue
		}
		if got[i] == nil {
			return fmt.Errorf("output %d: nothing, want %v", i, want)
		}
		if d := tensor.Compare(got[i], want, c.Tol); d != nil {
			return fmt.Errorf("output %d: %w", i, d)
		}
		if err := agrees(types[i], onnx.TypeOf(got[i])); err != nil {
			return fmt.Errorf("output %d: inferred %v, is %v: %w", i, types[i], onnx.TypeOf(got[i]), err)
		}
	}
	if c.Err != "" || len(consts) > 0 {
		return nil
	}
	return inPlace(c, n, env, threads)
}

// inPlace runs the case once for each input whose storage an output may take
// over, with that storage as the output.
func inPlace(c Case, n *onnx.Node, env ops.BuildEnv, threads int) error {
	k, v, err := ops.Build(n, env)
	if err != nil {
		return err
	}
	type pair struct{ in, out int }
	var pairs []pair
	for _, i := range v.InPlace {
		pairs = append(pairs, pair{i, 0})
	}
	for k, i := range v.Beside {
		if i >= 0 {
			pairs = append(pairs, pair{i, k})
		}
	}
	for _, p := range pairs {
		i, at := p.in, p.out
		if i >= len(c.In) || at >= len(c.Want) || c.Want[at] == nil || at >= len(n.Out) {
			continue
		}
		x, ok := c.In[i].(*tensor.Tensor)
		if !ok || x.DType() == tensor.String {
			continue
		}
		x = x.Clone()
		in := slices.Clone(c.In)
		in[i] = x
		call := &ops.Call{P: par.P{Threads: threads}, In: in, Out: make([]tensor.Value, len(n.Out)), Mem: reuse{x, at}}
		if err := k.Safely(call); err != nil {
			return fmt.Errorf("in place of input %d: %w", i, err)
		}
		for o, want := range c.Want[:min(len(c.Want), len(call.Out))] {
			if want == nil || o != at && len(v.Beside) == 0 {
				continue
			}
			if d := tensor.Compare(call.Out[o], want, c.Tol); d != nil {
				return fmt.Errorf("output %d in place of input %d: output %d: %w", at, i, o, d)
			}
		}
	}
	return nil
}

// reuse is a Memory that makes one output of the storage of a tensor, if it has
// the same element type and size.
type reuse struct {
	t   *tensor.Tensor
	out int
}

func (r reuse) Output(i int, d tensor.DType, shape []int) (*tensor.Tensor, error) {
	if _, err := tensor.ByteSize(d, shape); err != nil {
		return nil, err
	}
	if i == r.out && d == r.t.DType() {
		if y, err := r.t.Reshape(shape...); err == nil {
			return y, nil
		}
	}
	return tensor.New(d, shape...), nil
}

func (reuse) Scratch(n int) ([]byte, error) { return tensor.AlignedBytes(n), nil }

// agrees says whether what was inferred is true of the actual type.
func agrees(inferred, actual onnx.Type) error {
	if inferred.Kind == onnx.UnknownKind || actual.Kind == onnx.UnknownKind {
		return nil
	}
	if inferred.Kind != actual.Kind {
		return fmt.Errorf("another kind")
	}
	if inferred.DType != tensor.Undefined && inferred.DType != actual.DType {
		return fmt.Errorf("another element type")
	}
	if inferred.Kind != onnx.TensorKind || !inferred.Ranked {
		return nil
	}
	if len(inferred.Dims) != len(actual.Dims) {
		return fmt.Errorf("another rank")
	}
	for i, d := range inferred.Dims {
		n, ok := d.Size()
		if m, _ := actual.Dims[i].Size(); ok && n != m {
			return fmt.Errorf("another dimension %d", i)
		}
	}
	return nil
}

// F32 returns a float32 tensor.
func F32(shape []int, v ...float32) *tensor.Tensor { return tensor.Of(v, shape...) }

// F64 returns a float64 tensor.
func F64(shape []int, v ...float64) *tensor.Tensor { return tensor.Of(v, shape...) }

// I64 returns an int64 tensor.
func I64(shape []int, v ...int64) *tensor.Tensor { return tensor.Of(v, shape...) }

// I32 returns an int32 tensor.
func I32(shape []int, v ...int32) *tensor.Tensor { return tensor.Of(v, shape...) }

// Of returns a tensor of any element type.
func Of[T tensor.Element](shape []int, v ...T) *tensor.Tensor { return tensor.Of(v, shape...) }

// Vals lists values, so that tables stay short.
func Vals(v ...tensor.Value) []tensor.Value { return v }
