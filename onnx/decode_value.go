package onnx

import (
	"fmt"

	"github.com/gneiss-run/gneiss/tensor"
)

// DecodeValue reads a value of type t from the message that ONNX's test data
// sets use for it: a TensorProto, SparseTensorProto, SequenceProto,
// OptionalProto or MapProto. A type of unknown kind is read as a tensor.
func DecodeValue(data []byte, t Type) (tensor.Value, error) {
	d := newDecoder(DecodeOptions{})
	v, err := d.value(data, t, 1)
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	return v, nil
}

func (d *decoder) value(b []byte, t Type, depth int) (tensor.Value, error) {
	if depth > d.lim.Depth {
		return nil, overLimit("depth of values in values", depth, d.lim.Depth)
	}
	elem := Type{}
	if t.Elem != nil {
		elem = *t.Elem
	}
	switch t.Kind {
	case UnknownKind, TensorKind:
		rt, err := d.rawTensor(b)
		if err != nil {
			return nil, err
		}
		x, err := d.tensorOf(rt)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", rt.name, err)
		}
		return x, nil
	case SparseKind:
		s, info, err := d.sparse(b)
		if err != nil {
			return nil, fmt.Errorf("sparse tensor %q: %w", info.name, err)
		}
		return s, nil
	case SequenceKind:
		return d.sequence(b, elem, depth)
	case OptionalKind:
		return d.optional(b, elem, depth)
	case MapKind:
		return d.mapValue(b, t, depth)
	}
	return nil, invalid("values of type %v have no file format", t)
}

// elemKinds maps the elem_type of SequenceProto and OptionalProto to a kind. A
// field with value number n+2 (SequenceProto and OptionalProto agree) has elem_type n.
var elemKinds = [...]Kind{UnknownKind, TensorKind, SparseKind, SequenceKind, MapKind, OptionalKind}

func (d *decoder) sequence(b []byte, elem Type, depth int) (tensor.Value, error) {
	s := &tensor.Sequence{}
	kind := UnknownKind
	var msgs [][]byte
	f := d.fields("SequenceProto", b)
	for f.next() {
		if f.num < 3 || f.num > 7 {
			continue
		}
		k := elemKinds[f.num-2]
		if kind != UnknownKind && kind != k {
			f.fail("has elements of two kinds")
		}
		kind = k
		msgs = append(msgs, f.bytes())
	}
	if f.err != nil {
		return nil, f.err
	}
	if elem.Kind != UnknownKind && kind != UnknownKind && kind != elem.Kind {
		return nil, invalid("SequenceProto has elements of kind %s, want %s", kindNames[kind], kindNames[elem.Kind])
	}
	if kind != UnknownKind {
		elem.Kind = kind
	}
	for i, b := range msgs {
		v, err := d.value(b, elem, depth+1)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		s.Elems = append(s.Elems, v)
	}
	if elem.Kind == TensorKind {
		s.DType = elem.DType
		if len(s.Elems) > 0 {
			s.DType = s.Elems[0].(*tensor.Tensor).DType()
		}
	}
	return s, nil
}

func (d *decoder) optional(b []byte, elem Type, depth int) (tensor.Value, error) {
	o := &tensor.Optional{}
	kind := UnknownKind
	var msg merged
	f := d.fields("OptionalProto", b)
	for f.next() {
		if f.num < 3 || f.num > 7 {
			continue
		}
		if k := elemKinds[f.num-2]; k != kind {
			if kind != UnknownKind {
				f.fail("has values of two kinds")
			}
			kind = k
		}
		msg.add(f)
	}
	if f.err != nil {
		return nil, f.err
	}
	if !msg.set {
		return o, nil
	}
	if elem.Kind != UnknownKind && kind != elem.Kind {
		return nil, invalid("OptionalProto has a value of kind %s, want %s", kindNames[kind], kindNames[elem.Kind])
	}
	elem.Kind = kind
	v, err := d.value(msg.b, elem, depth+1)
	if err != nil {
		return nil, err
	}
	o.Elem = v
	return o, nil
}

func (d *decoder) mapValue(b []byte, t Type, depth int) (tensor.Value, error) {
	var keyType int32
	var ints []int64
	var strs []string
	var values merged
	f := d.fields("MapProto", b)
	for f.next() {
		switch f.num {
		case 2:
			keyType = f.int32()
		case 3:
			ints = f.ints(ints)
		case 4:
			strs = append(strs, f.text())
		case 5:
			values.add(f)
		}
	}
	if f.err != nil {
		return nil, f.err
	}
	m := &tensor.Map{}
	switch dt := tensor.DType(keyType); {
	case dt == tensor.String && ints == nil:
		m.Keys = tensor.Of(orEmpty(strs))
	case dt == tensor.Int64 && strs == nil:
		m.Keys = tensor.Of(orEmpty(ints))
	default:
		return nil, invalid("MapProto has keys of type %v, want int64 or string", dt)
	}
	dt := tensor.Float32
	if t.Elem != nil && t.Elem.DType.Valid() {
		dt = t.Elem.DType
	}
	v, err := d.sequence(values.b, Type{Kind: TensorKind, DType: dt}, depth+1)
	if err != nil {
		return nil, fmt.Errorf("values: %w", err)
	}
	elems := v.(*tensor.Sequence).Elems
	if len(elems) != m.Keys.Len() {
		return nil, invalid("MapProto has %d keys and %d values", m.Keys.Len(), len(elems))
	}
	m.Values, err = concatScalars(elems, v.(*tensor.Sequence).DType)
	return m, err
}

// concatScalars makes a vector of tensors of one element each.
func concatScalars(elems []tensor.Value, dt tensor.DType) (*tensor.Tensor, error) {
	var data []byte
	var strs []string
	for i, e := range elems {
		x, ok := e.(*tensor.Tensor)
		if !ok || x.Len() != 1 || x.DType() != dt || dt.IsPacked() {
			return nil, invalid("value %d of a map is %v, want a %v scalar", i, e, dt)
		}
		if dt == tensor.String {
			strs = append(strs, tensor.Data[string](x)[0])
		} else {
			data = append(data, x.Bytes()...)
		}
	}
	if dt == tensor.String {
		return tensor.Of(orEmpty(strs)), nil
	}
	return tensor.FromBytes(dt, []int{len(elems)}, data, nil)
}
