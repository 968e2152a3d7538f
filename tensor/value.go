package tensor

import "fmt"

// Value is what an edge of a graph carries: *Tensor, *Sequence, *Optional, *Map or *Sparse.
type Value interface {
	isValue()
	String() string
}

func (*Tensor) isValue()   {}
func (*Sequence) isValue() {}
func (*Optional) isValue() {}
func (*Map) isValue()      {}
func (*Sparse) isValue()   {}

// Sequence is an ordered list of values of one type. It is immutable once it
// is an operator's result: operators that change a sequence return a new one.
type Sequence struct {
	Elems []Value
	// DType is the element type of a sequence of tensors; it tells the type of an empty one.
	DType DType
}

// Optional holds a value or nothing (a nil Elem).
type Optional struct{ Elem Value }

// Map maps int64 or string keys to numbers or strings, as ai.onnx.ml's
// operators make them. Keys and Values are vectors of equal length in key order of
// insertion. The maps of a sequence may share their Keys.
type Map struct{ Keys, Values *Tensor }

// Sparse is a sparse tensor in COO form: Values [nnz], Indices int64 [nnz] or
// [nnz, rank], and the dense shape.
type Sparse struct {
	Values, Indices *Tensor
	Shape           []int
}

// String describes the sequence in one line.
func (s *Sequence) String() string { return fmt.Sprintf("sequence of %d", len(s.Elems)) }

// String describes the optional in one line.
func (o *Optional) String() string {
	if o.Elem == nil {
		return "optional(none)"
	}
	return "optional(" + o.Elem.String() + ")"
}

// String describes the map in one line.
func (m *Map) String() string {
	return fmt.Sprintf("map of %d (%v to %v)", m.Keys.Len(), m.Keys.DType(), m.Values.DType())
}

// String describes the sparse tensor in one line.
func (s *Sparse) String() string {
	return fmt.Sprintf("sparse %v %v with %d values", s.Values.DType(), s.Shape, s.Values.Len())
}
