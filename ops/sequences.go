package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// What the operators on sequences and optionals share.

// sequence returns input i as a sequence.
func (c *Call) sequence(i int) (*tensor.Sequence, error) {
	if i < len(c.In) {
		if s, ok := c.In[i].(*tensor.Sequence); ok {
			return s, nil
		}
		if c.In[i] != nil {
			return nil, fmt.Errorf("input %d is %v, want a sequence", i, c.In[i])
		}
	}
	return nil, fmt.Errorf("input %d is absent", i)
}

// position returns input i, an index into a sequence of n, or def if it is
// absent. The index is in [-n, n-1+extra].
func (c *Call) position(i, n, def, extra int) (int, error) {
	if !c.Has(i) {
		return def, nil
	}
	p, err := c.one(i)
	if err != nil {
		return 0, err
	}
	if p < -n || p >= n+extra {
		return 0, fmt.Errorf("position %d is not in [%d, %d]", p, -n, n-1+extra)
	}
	if p < 0 {
		p += n
	}
	return p, nil
}

// sequenceOf returns the type of sequences of e.
func sequenceOf(e onnx.Type) onnx.Type { return onnx.Type{Kind: onnx.SequenceKind, Elem: &e} }

// elemOf returns the type of what t, a sequence or optional, holds.
func elemOf(t onnx.Type) onnx.Type {
	if t.Elem == nil {
		return onnx.Type{}
	}
	return *t.Elem
}

// commonType returns what is true of both a and b.
func commonType(a, b onnx.Type) onnx.Type {
	if a.Kind != b.Kind {
		return onnx.Type{}
	}
	out := onnx.Type{Kind: a.Kind}
	if a.DType == b.DType {
		out.DType = a.DType
	}
	if a.Ranked && b.Ranked && len(a.Dims) == len(b.Dims) {
		out.Ranked, out.Dims = true, make([]onnx.Dim, len(a.Dims))
		for i, d := range a.Dims {
			if d.Equal(b.Dims[i]) {
				out.Dims[i] = d
			}
		}
	}
	if a.Elem != nil && b.Elem != nil {
		e := commonType(*a.Elem, *b.Elem)
		out.Elem = &e
	}
	return out
}

// sequenceDType returns the element type of a sequence of tensors.
func sequenceDType(elems []tensor.Value) tensor.DType {
	for _, v := range elems {
		if t, ok := v.(*tensor.Tensor); ok {
			return t.DType()
		}
	}
	return tensor.Undefined
}

// checkSame reports a tensor whose element type is not that of the sequence.
func checkSame(d tensor.DType, i int, v tensor.Value) error {
	if t, ok := v.(*tensor.Tensor); ok && d != tensor.Undefined && t.DType() != d {
		return fmt.Errorf("input %d is %v, the sequence has %v", i, t.DType(), d)
	}
	return nil
}

// inserted returns the elements with v inserted at p.
func inserted(elems []tensor.Value, p int, v tensor.Value) []tensor.Value {
	return slices.Insert(slices.Clone(elems), p, v)
}
