package onnxgo_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"sort"
	"strings"
	"testing"

	"github.com/gneiss-run/gneiss"
	"github.com/gneiss-run/gneiss/interop/onnxgo"
	gonnx "github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/owulveryck/onnx-go"
	"github.com/owulveryck/onnx-go/backend/testbackend"
	_ "github.com/owulveryck/onnx-go/backend/testbackend/onnx"
	gorgonia "gorgonia.org/tensor"
)

// suiteSize is the number of cases in onnx-go v0.5.0.
const suiteSize = 348

// delta is the tolerance of onnx-go's own harness: an absolute one.
const delta = 1e-6

// oneCase is a case of onnx-go's suite with the model that its bytes say.
type oneCase struct {
	*testbackend.TestCase
	model *gonnx.Model
}

func suite(t *testing.T) []oneCase {
	t.Helper()
	var cases []oneCase
	for _, make := range testbackend.GetAllRegisteredTests() {
		c := oneCase{TestCase: make()}
		m, err := gonnx.Decode(c.ModelB, gonnx.DecodeOptions{})
		if err != nil {
			t.Fatalf("%s: %v", c.Title, err)
		}
		c.model = m
		cases = append(cases, c)
	}
	sort.Slice(cases, func(i, j int) bool { return cases[i].Title < cases[j].Title })
	if len(cases) != suiteSize {
		t.Fatalf("%d cases, want %d", len(cases), suiteSize)
	}
	return cases
}

// asDeclared returns x as the type that the model declares. The program that wrote the suite
// wrote every tensor of one element as float32 of shape (1), whatever it had been.
func asDeclared(t *testing.T, x gorgonia.Tensor, typ gonnx.Type) *tensor.Tensor {
	t.Helper()
	g, err := onnxgo.FromGorgonia(x)
	if err != nil {
		t.Fatal(err)
	}
	if g.Len() != 1 {
		return g
	}
	v := tensor.Data[float32](g)[0]
	shape := g.Shape()
	if s, ok := typ.Static(); ok {
		shape = s
	}
	switch typ.DType {
	case tensor.Float32:
		return tensor.Of([]float32{v}, shape...)
	case tensor.Int32:
		return tensor.Of([]int32{int32(v)}, shape...)
	case tensor.Int64:
		return tensor.Of([]int64{int64(v)}, shape...)
	}
	t.Fatalf("one element of type %v", typ)
	return nil
}

func (c *oneCase) declaredInputs(t *testing.T) []*tensor.Tensor {
	var in []*tensor.Tensor
	for i, x := range c.Input {
		in = append(in, asDeclared(t, x, c.model.Graph.Inputs[i].Type))
	}
	return in
}

func (c *oneCase) declaredOutputs(t *testing.T) []*tensor.Tensor {
	var out []*tensor.Tensor
	for i, x := range c.ExpectedOutput {
		out = append(out, asDeclared(t, x, c.model.Graph.Outputs[i].Type))
	}
	return out
}

// ulp is one unit in the last place of a float32, at most. NumPy's float32 sums, products and
// powers, which the suite expects, are this far from the nearest float32 to the exact result,
// which Gneiss gives. Above 8 it is more than delta.
var ulp = tensor.Tolerance{Rel: 0x1p-23, Abs: delta}

// rounded has the cases whose expected values are less exact than delta, with the tolerance
// that they allow.
var rounded = map[string]tensor.Tolerance{
	"TestPow": ulp,
	"TestReduceProdDefaultAxesKeepdimsRandom":      ulp,
	"TestReduceSumSquareDefaultAxesKeepdimsRandom": ulp,
	"TestRoialign": {Abs: 1e-4}, // written with four decimals
}

// diff compares as onnx-go's harness does, and element types too.
func (c *oneCase) diff(got tensor.Value, want *tensor.Tensor) error {
	err := tensor.Compare(got, want, tensor.Tolerance{Abs: delta})
	tol, listed := rounded[c.Title]
	if !listed {
		return err
	}
	if err == nil {
		return errors.New("is within the tolerance, but listed as rounded")
	}
	return tensor.Compare(got, want, tol)
}

// TestSuiteDirect runs the models of onnx-go's suite as they are, without onnx-go's decoder:
// all pass.
func TestSuiteDirect(t *testing.T) {
	for _, c := range suite(t) {
		t.Run(c.Title, func(t *testing.T) {
			out := c.outputs(t)
			if len(out) != len(c.ExpectedOutput) {
				t.Fatalf("%d outputs, want %d", len(out), len(c.ExpectedOutput))
			}
			for i, want := range c.declaredOutputs(t) {
				if err := c.diff(out[i], want); err != nil {
					t.Errorf("output %d: %v", i, err)
				}
			}
		})
	}
}

// outputs runs the case's model by a session of Gneiss.
func (c *oneCase) outputs(t *testing.T) []gneiss.Value {
	t.Helper()
	s, err := gneiss.OpenBytes(c.ModelB, gneiss.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	in := map[string]gneiss.Value{}
	for i, x := range c.declaredInputs(t) {
		in[s.Inputs()[i].Name] = x
	}
	out, err := s.Run(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	var list []gneiss.Value
	for _, o := range s.Outputs() {
		list = append(list, out[o.Name])
	}
	return list
}

// inexpressible has the cases that do not come through onnx-go's decoder, with the reason and
// a part of the error.
var inexpressible = map[string]struct{ reason, err string }{
	"TestScan9Sum": {"onnx-go refuses attributes that are graphs, here the body of Scan", "AttributeProto_GRAPH not handled"},
}

// TestSuiteGraph runs the suite through onnx-go's decoder and graph with this backend: all
// cases but the inexpressible ones pass.
func TestSuiteGraph(t *testing.T) {
	passed, seen := 0, 0
	for _, c := range suite(t) {
		t.Run(c.Title, func(t *testing.T) {
			err := c.runGraph(t)
			lost, listed := inexpressible[c.Title]
			if listed {
				seen++
			}
			var skip *onnx.ErrNotImplemented
			switch {
			case err == nil && listed:
				t.Errorf("passes, but is listed: %s", lost.reason)
			case err == nil:
				passed++
			case !listed:
				t.Error(err)
			case !errors.As(err, &skip) || !strings.Contains(err.Error(), lost.err):
				t.Errorf("%v, but listed: %s", err, lost.reason)
			}
		})
	}
	if seen != len(inexpressible) {
		t.Errorf("%d of %d listed cases exist", seen, len(inexpressible))
	}
	t.Logf("%d of %d cases pass", passed, suiteSize)
}

// runGraph runs a case as onnx-go's harness does, with the tensors that the model declares.
func (c *oneCase) runGraph(t *testing.T) error {
	b := onnxgo.NewBackend(onnxgo.Options{Opsets: c.model.Opsets})
	defer b.Close()
	m := onnx.NewModel(b)
	if err := m.UnmarshalBinary(c.ModelB); err != nil {
		return err
	}
	for i, x := range c.declaredInputs(t) {
		g, err := onnxgo.ToGorgonia(x)
		if err != nil {
			return err
		}
		if err := m.SetInput(i, g); err != nil {
			return err
		}
	}
	if err := b.Run(); err != nil {
		return err
	}
	out, err := m.GetOutputTensors()
	if err != nil {
		return err
	}
	want := c.declaredOutputs(t)
	if len(out) != len(want) {
		return fmt.Errorf("%d outputs, want %d", len(out), len(want))
	}
	for i, x := range out {
		g, err := onnxgo.FromGorgonia(x)
		if err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
		if err := c.diff(g, want[i]); err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
	}
	return nil
}

// TestRounded checks what is said of ulp: Gneiss's results are the nearest float32.
func TestRounded(t *testing.T) {
	one := func(x float32) *big.Rat { return new(big.Rat).SetFloat64(float64(x)) }
	exact := map[string]func(sum, x *big.Rat) *big.Rat{
		"ReduceL1":        func(sum, x *big.Rat) *big.Rat { return sum.Add(sum, new(big.Rat).Abs(x)) },
		"ReduceSum":       func(sum, x *big.Rat) *big.Rat { return sum.Add(sum, x) },
		"ReduceSumSquare": func(sum, x *big.Rat) *big.Rat { return sum.Add(sum, new(big.Rat).Mul(x, x)) },
		"ReduceProd":      func(sum, x *big.Rat) *big.Rat { return sum.Mul(sum, x) },
	}
	for _, c := range suite(t) {
		if rounded[c.Title] != ulp {
			continue
		}
		in := c.declaredInputs(t)
		got := tensor.Data[float32](c.outputs(t)[0].(*tensor.Tensor))
		x := tensor.Data[float32](in[0])
		if c.OpType == "Pow" {
			for i, y := range tensor.Data[float32](in[1]) {
				if want := float32(math.Pow(float64(x[i]), float64(y))); got[i] != want {
					t.Errorf("%s: got %v, want %v", c.Title, got[i], want)
				}
			}
			continue
		}
		r := new(big.Rat)
		if c.OpType == "ReduceProd" {
			r = one(1)
		}
		for _, v := range x {
			r = exact[c.OpType](r, one(v))
		}
		if want, _ := r.Float32(); got[0] != want {
			t.Errorf("%s: got %v, want %v", c.Title, got[0], want)
		}
	}
}

// mistyped reports whether the suite gives the case tensors of another type than its model
// declares, which is how tensors of one element were written.
func (c *oneCase) mistyped() bool {
	other := func(xs []gorgonia.Tensor, vs []*gonnx.Value, scalar bool) bool {
		for i, x := range xs {
			if x.Shape().TotalSize() == 1 && (vs[i].Type.DType != tensor.Float32 || scalar && vs[i].Type.Rank() == 0) {
				return true
			}
		}
		return false
	}
	return other(c.Input, c.model.Graph.Inputs, false) || other(c.ExpectedOutput, c.model.Graph.Outputs, true)
}

// TestSuiteHarness gives the cases to onnx-go's own harness, as they are: all pass but those
// that mistyped or rounded says it cannot judge, and those that it skips itself.
func TestSuiteHarness(t *testing.T) {
	passed, mistyped := 0, 0
	for _, c := range suite(t) {
		switch {
		case c.mistyped():
			mistyped++
		case rounded[c.Title] == tensor.Tolerance{}:
			t.Run(c.Title, c.RunTest(onnxgo.NewBackend(onnxgo.Options{Opsets: c.model.Opsets}), false))
			if c.Skipped != (inexpressible[c.Title].reason != "") {
				t.Errorf("%s: skipped: %v", c.Title, c.Skipped)
			}
			if c.Tested && !c.Skipped && !c.Failed {
				passed++
			}
		}
	}
	t.Logf("%d of %d cases pass; %d are mistyped, %d rounded", passed, suiteSize, mistyped, len(rounded))
}
