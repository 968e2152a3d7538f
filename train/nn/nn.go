// Package nn builds networks as ONNX models: layers with the names, parameters
// and first values that PyTorch users know.
//
// [Build] makes a model as inference uses it; package train trains it, and
// onnx.Save writes it. Parameters are initializers, called as in a PyTorch
// state_dict: "encoder.0.weight".
package nn

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/onnx/schema"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// Layer is a part of a network: it adds its nodes and parameters to s and
// returns its output for x.
type Layer interface {
	Forward(s *Scope, x *onnx.Value) *onnx.Value
}

// Func is a Layer without parameters of its own.
type Func func(s *Scope, x *onnx.Value) *onnx.Value

// Forward calls f.
func (f Func) Forward(s *Scope, x *onnx.Value) *onnx.Value { return f(s, x) }

// Input is an input of a model under construction.
type Input struct {
	Name  string
	DType tensor.DType
	// Dims are its sizes, those of a batch first: onnx.Name("batch") for any.
	Dims []onnx.Dim
}

// Floats is a float32 input [batch, dims…].
func Floats(name string, dims ...int) Input {
	return Input{name, tensor.Float32, append([]onnx.Dim{onnx.Name("batch")}, onnx.Sizes(dims...)...)}
}

// Ints is an int64 input [batch, dims…]: token ids, categories.
func Ints(name string, dims ...int) Input {
	return Input{name, tensor.Int64, append([]onnx.Dim{onnx.Name("batch")}, onnx.Sizes(dims...)...)}
}

// Output is a result of a network, under the name that the model gives it.
type Output struct {
	Name  string
	Value *onnx.Value
}

// Scope is where a layer puts its nodes and parameters: a Builder with a place
// in the hierarchy of names. It keeps the first error.
type Scope struct {
	*ops.Builder
	prefix string
	seed   uint64
	names  map[string]bool
	left   *int64 // bytes that parameters may still take
}

// Build makes a model of the newest opset from what f builds. The first values
// of parameters follow from seed and their names. All parameters together may take
// runtime.DefaultMemory bytes.
func Build(seed uint64, inputs []Input, f func(s *Scope, in []*onnx.Value) []Output) (*onnx.Model, error) {
	m := &onnx.Model{IRVersion: 10, ProducerName: "gneiss", Opsets: map[string]int{"": schema.Newest("")}}
	m.Graph = onnx.NewGraph("network", m.Opsets)
	for _, in := range inputs {
		m.Graph.AddInput(in.Name, onnx.TensorType(in.DType, in.Dims...))
	}
	s := &Scope{Builder: ops.NewBuilder(m.Graph), seed: seed, names: map[string]bool{}, left: new(int64)}
	*s.left = runtime.DefaultMemory()
	outs := f(s, m.Graph.Inputs)
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("nn: %w", err)
	}
	s.Insert(nil)
	for _, o := range outs {
		if o.Value == nil || o.Value.From == nil || m.Graph.IsOutput(o.Value) {
			return nil, fmt.Errorf("nn: output %q is not the result of a layer, or an output twice", o.Name)
		}
		o.Value.Name = o.Name
		m.Graph.Outputs = append(m.Graph.Outputs, o.Value)
	}
	if len(outs) == 0 {
		return nil, fmt.Errorf("nn: the network has no outputs")
	}
	m.Graph.Prune()
	return m, nil
}

// Sub returns the scope of a part: names of parameters in it begin with name
// and a dot.
func (s *Scope) Sub(name string) *Scope {
	t := *s
	t.prefix += name + "."
	return &t
}

// Apply builds l in the part called name.
func (s *Scope) Apply(name string, l Layer, x *onnx.Value) *onnx.Value {
	if s.Err() != nil {
		return nil
	}
	y := l.Forward(s.Sub(name), x)
	return y
}

// Param adds a float32 parameter with first values from init.
func (s *Scope) Param(name string, init Init, shape ...int) *onnx.Value {
	if s.Err() != nil {
		return nil
	}
	full := s.prefix + name
	if s.names[full] {
		s.Fail(fmt.Errorf("there are two parameters %q", full))
		return nil
	}
	s.names[full] = true
	n, err := tensor.Count(shape)
	if err != nil {
		s.Fail(fmt.Errorf("parameter %q: %w", full, err))
		return nil
	}
	if int64(n) > *s.left/4 {
		s.Fail(fmt.Errorf("parameter %q: %w: shape %v of float32, and %d bytes are left of the memory for parameters", full, tensor.ErrSize, shape, *s.left))
		return nil
	}
	*s.left -= 4 * int64(n)
	h := fnv.New64a()
	h.Write([]byte(full))
	data := make([]float32, n)
	init(rand.New(rand.NewPCG(s.seed, h.Sum64())), data, shape)
	return s.G.NewConst(full, tensor.Of(data, shape...))
}

// Fail keeps err, with the place it comes from, if it is the first.
func (s *Scope) Fail(err error) {
	if s.prefix != "" {
		err = fmt.Errorf("%s: %w", s.prefix[:len(s.prefix)-1], err)
	}
	s.Builder.Fail(err)
}

// Size returns dimension i of x, which must be known; a negative i counts from
// the end.
func (s *Scope) Size(x *onnx.Value, i int) int {
	if s.Err() != nil || x == nil {
		return 1
	}
	if rank := len(x.Type.Dims); x.Type.Ranked && i >= -rank && i < rank {
		if n, ok := x.Type.Dims[(i+rank)%rank].Size(); ok {
			return n
		}
	}
	s.Fail(fmt.Errorf("dimension %d of %v is not known", i, x.Type))
	return 1
}

// Rank returns the number of dimensions of x, which must be known.
func (s *Scope) Rank(x *onnx.Value) int {
	if s.Err() != nil || x == nil {
		return 0
	}
	if !x.Type.Ranked {
		s.Fail(fmt.Errorf("the rank of %v is not known", x.Type))
	}
	return len(x.Type.Dims)
}

// Sequential applies layers one after another, in parts called "0", "1", ….
type Sequential []Layer

// Forward implements Layer.
func (l Sequential) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	for i, layer := range l {
		x = s.Apply(fmt.Sprint(i), layer, x)
	}
	return x
}

// Residual adds what Body makes of x to x, or to what Shortcut makes of it.
type Residual struct {
	Body     Layer
	Shortcut Layer // nil: x itself
}

// Forward implements Layer.
func (l Residual) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	y := s.Apply("body", l.Body, x)
	if l.Shortcut != nil {
		x = s.Apply("shortcut", l.Shortcut, x)
	}
	return s.Op("Add", nil, y, x)
}
