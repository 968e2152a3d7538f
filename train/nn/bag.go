package nn

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// EmbeddingBag looks rows of a table up and joins those of each bag to one.
//
//	x: int64 [batch, n], ids in [0, Num)    weight: [Num, Dim]    y: [batch, Dim]
//	with Offsets, x: int64 [n], all bags one after another    y: [bags, Dim]
//
// An empty bag gives zeros.
type EmbeddingBag struct {
	Num, Dim int
	Mode     string // sum, mean or max. "": mean
	// Offsets is where each bag begins in x, int64 [bags], ascending. Ids before the first belong to
	// no bag. nil: each row of x is one.
	Offsets *onnx.Value
	// Weights are factors of the rows, of x's shape, where Mode is sum. nil: 1 each.
	Weights *onnx.Value
	// Pad is an id that does not count, if Padded.
	Pad    int
	Padded bool
	Init   Init // nil: normal with deviation 1
}

// Forward implements Layer.
func (l EmbeddingBag) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	if l.Mode == "" {
		l.Mode = "mean"
	}
	rank := 2
	if l.Offsets != nil {
		rank = 1
	}
	switch {
	case l.Mode != "sum" && l.Mode != "mean" && l.Mode != "max":
		s.Fail(fmt.Errorf("EmbeddingBag.Mode is %q, want sum, mean or max", l.Mode))
	case l.Weights != nil && l.Mode != "sum":
		s.Fail(fmt.Errorf("EmbeddingBag of Mode %s takes no weights: want sum", l.Mode))
	case s.Rank(x) != rank:
		s.Fail(fmt.Errorf("EmbeddingBag of %v, want int64 [batch, n], or [n] with Offsets", x.Type))
	}
	rows := Embedding{Num: l.Num, Dim: l.Dim, Init: l.Init}.Forward(s, x) // [batch, n, Dim] or [n, Dim]
	if s.Err() != nil {
		return nil
	}
	last := s.Ints(-1)
	counts := l.counted(s, x) // 1 for ids that count, [batch, n] or [n]; nil: all do
	if l.Weights != nil {
		rows = s.Op("Mul", nil, rows, s.Op("Unsqueeze", nil, l.Weights, last))
	}
	if counts != nil {
		mask := s.Op("Unsqueeze", nil, counts, last)
		if l.Mode == "max" {
			rows = s.Op("Where", nil, s.Op("Cast", onnx.NewAttrs("to", int(tensor.Bool)), mask), rows, s.Float(tensor.Float32, lowest))
		} else {
			rows = s.Op("Mul", nil, rows, mask)
		}
	}
	if l.Mode != "sum" && counts == nil { // 1 for each
		counts = s.Op("Expand", nil, s.Float(tensor.Float32, 1), s.Op("Shape", nil, x))
	}
	join := l.joinRows(s)
	if l.Offsets != nil {
		join = l.joinBags(s, x)
	}
	y := join(rows, l.Mode)
	if l.Mode == "sum" {
		return y
	}
	n := s.Op("Unsqueeze", nil, join(counts, "sum"), last) // [bags, 1]
	if l.Mode == "max" {
		return s.Op("Where", nil, s.Op("Cast", onnx.NewAttrs("to", int(tensor.Bool)), n), y, s.Float(tensor.Float32, 0))
	}
	return s.Op("Div", nil, y, s.Op("Max", nil, n, s.Float(tensor.Float32, 1)))
}

// lowest is what a maximum begins with.
const lowest = -math.MaxFloat32

// counted returns 1 for ids other than Pad and 0 for it, nil without one.
func (l EmbeddingBag) counted(s *Scope, x *onnx.Value) *onnx.Value {
	if !l.Padded {
		return nil
	}
	pad := s.Op("Equal", nil, x, s.Const(tensor.Scalar(int64(l.Pad))))
	return s.Op("Cast", onnx.NewAttrs("to", int(tensor.Float32)), s.Op("Not", nil, pad))
}

// joinRows reduces the second dimension.
func (l EmbeddingBag) joinRows(s *Scope) func(v *onnx.Value, mode string) *onnx.Value {
	return func(v *onnx.Value, mode string) *onnx.Value {
		op := "ReduceSum"
		if mode == "max" {
			op = "ReduceMax"
		}
		return s.Op(op, onnx.NewAttrs("keepdims", 0), v, s.Ints(1))
	}
}

// joinBags scatters along the first dimension to the bags, of which number 0 is what
// lies before the first offset.
func (l EmbeddingBag) joinBags(s *Scope, x *onnx.Value) func(v *onnx.Value, mode string) *onnx.Value {
	add := onnx.NewAttrs("reduction", "add")
	zero, one := s.Const(tensor.Scalar(int64(0))), s.Const(tensor.Scalar(int64(1)))
	n, bags := s.Op("Shape", nil, x), s.Op("Shape", nil, l.Offsets)
	// How many bags begin at each id, and summed up, the number of its bag. The last bags may be empty: they begin behind the ids.
	starts := s.Op("ScatterND", add, s.Op("Expand", nil, zero, s.Op("Add", nil, n, one)), s.Op("Unsqueeze", nil, l.Offsets, s.Ints(-1)), s.Op("Expand", nil, one, bags))
	number := s.Op("CumSum", nil, s.Op("Slice", nil, starts, s.Ints(0), n, s.Ints(0)), zero)
	number = s.Op("Unsqueeze", nil, number, s.Ints(-1))
	return func(v *onnx.Value, mode string) *onnx.Value {
		as, first := add, 0.0
		if mode == "max" {
			as, first = onnx.NewAttrs("reduction", "max"), lowest
		}
		shape := s.Op("Add", nil, bags, one)
		if s.Rank(v) > 1 {
			shape = s.Op("Concat", onnx.NewAttrs("axis", 0), shape, s.Ints(l.Dim))
		}
		y := s.Op("ScatterND", as, s.Op("Expand", nil, s.Float(tensor.Float32, first), shape), number, v)
		return s.Op("Slice", nil, y, s.Ints(1), s.Ints(math.MaxInt32), s.Ints(0))
	}
}
