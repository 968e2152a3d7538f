package onnx

import (
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/tensor"
	"google.golang.org/protobuf/encoding/protowire"
)

// encodeTensor makes a TensorProto. With info.external the data is elsewhere,
// else it is x's, in raw_data or string_data.
func encodeTensor(dt tensor.DType, dims []int, x *tensor.Tensor, info tensorInfo) *rope {
	r := &rope{}
	for _, d := range dims {
		r.int(1, int64(d))
	}
	r.int(2, int64(dt))
	if dt == tensor.String && len(info.external) == 0 {
		for _, s := range tensor.Data[string](x) {
			r.text(6, s)
		}
	}
	r.optText(8, info.name)
	if dt != tensor.String && len(info.external) == 0 {
		r.bytes(9, littleEndian(x))
	}
	r.optText(12, info.doc)
	if len(info.external) > 0 {
		r.props(13, info.external)
		r.int(14, 1)
	}
	r.props(16, info.metadata)
	r.raw(info.unknown)
	return r
}

// littleEndian returns the elements of x as a file holds them. It is x's own
// storage where that is the same.
func littleEndian(x *tensor.Tensor) []byte {
	b := x.Bytes()
	if bigEndian {
		b = slices.Clone(b)
		swapBytes(x.DType(), b)
	}
	return b
}

func encodeSparse(s *tensor.Sparse, info tensorInfo) *rope {
	r := &rope{}
	r.message(1, encodeTensor(s.Values.DType(), s.Values.Shape(), s.Values, info))
	r.message(2, encodeTensor(s.Indices.DType(), s.Indices.Shape(), s.Indices, tensorInfo{}))
	for _, d := range s.Shape {
		r.int(3, int64(d))
	}
	return r
}

func encodeValueInfo(v *Value) *rope {
	r := &rope{}
	r.text(1, v.Name)
	if v.Type.Kind != UnknownKind {
		r.message(2, encodeType(v.Type))
	}
	r.optText(3, v.Doc)
	r.props(4, v.Metadata)
	r.raw(v.unknown)
	return r
}

// typeFields are the numbers of TypeProto's fields by kind.
var typeFields = [...]protowire.Number{UnknownKind: 0, TensorKind: 1, SparseKind: 8, SequenceKind: 4, OptionalKind: 9,
	MapKind: 5, OpaqueKind: 7}

func encodeType(t Type) *rope {
	r, c := &rope{}, &rope{}
	extra := typeExtra{}
	if t.extra != nil {
		extra = *t.extra
	}
	switch t.Kind {
	case TensorKind, SparseKind:
		c.int(1, int64(t.DType))
		if t.Ranked {
			c.message(2, encodeShape(t.Dims, extra.denotations))
		}
	case SequenceKind, OptionalKind:
		if t.Elem != nil {
			c.message(1, encodeType(*t.Elem))
		}
	case MapKind:
		c.int(1, int64(t.DType))
		if t.Elem != nil {
			c.message(2, encodeType(*t.Elem))
		}
	case OpaqueKind:
		domain, name := extra.opaqueDomain, t.Opaque
		if domain != "" && strings.HasPrefix(name, domain+".") {
			name = name[len(domain)+1:]
		} else if i := strings.LastIndexByte(name, '.'); i >= 0 && t.extra == nil {
			domain, name = name[:i], name[i+1:]
		}
		c.optText(1, domain)
		c.optText(2, name)
	}
	if t.Kind != UnknownKind {
		r.message(typeFields[t.Kind], c)
	}
	r.optText(6, t.Denotation)
	r.raw(extra.unknown)
	return r
}

func encodeShape(dims []Dim, denotations []string) *rope {
	r := &rope{}
	for i, d := range dims {
		c := &rope{}
		if n, ok := d.Size(); ok {
			c.int(1, int64(n))
		} else if name := d.Param(); name != "" {
			c.text(2, name)
		}
		if i < len(denotations) {
			c.optText(3, denotations[i])
		}
		r.message(1, c)
	}
	return r
}

// EncodeTensor returns t as a TensorProto called name.
func EncodeTensor(name string, t *tensor.Tensor) []byte {
	return encodeTensor(t.DType(), t.Shape(), t, tensorInfo{name: name}).join()
}

// EncodeValue returns v as the message that DecodeValue reads, called name.
// Maps of packed types and sequences of different kinds of values are errors.
func EncodeValue(name string, v tensor.Value) ([]byte, error) {
	r, err := encodeValue(name, v)
	if err != nil {
		return nil, err
	}
	return r.join(), nil
}

func encodeValue(name string, v tensor.Value) (*rope, error) {
	r := &rope{}
	switch v := v.(type) {
	case *tensor.Tensor:
		return encodeTensor(v.DType(), v.Shape(), v, tensorInfo{name: name}), nil
	case *tensor.Sparse:
		return encodeSparse(v, tensorInfo{name: name}), nil
	case *tensor.Sequence:
		r.optText(1, name)
		kind := 1 // an empty one is a sequence of tensors
		for i, e := range v.Elems {
			k := valueKind(e)
			if i > 0 && k != kind {
				return nil, invalid("a sequence of %v and %v", v.Elems[0], e)
			}
			kind = k
		}
		r.int(2, int64(kind))
		for _, e := range v.Elems {
			c, err := encodeValue("", e)
			if err != nil {
				return nil, err
			}
			r.message(protowire.Number(kind+2), c)
		}
		return r, nil
	case *tensor.Optional:
		r.optText(1, name)
		if v.Elem == nil {
			r.int(2, 0)
			return r, nil
		}
		kind := valueKind(v.Elem)
		c, err := encodeValue("", v.Elem)
		if err != nil {
			return nil, err
		}
		r.int(2, int64(kind))
		r.message(protowire.Number(kind+2), c)
		return r, nil
	case *tensor.Map:
		r.optText(1, name)
		return r, encodeMap(r, v)
	}
	return nil, invalid("a value of type %T", v)
}

// valueKind returns the elem_type of v in SequenceProto and OptionalProto.
func valueKind(v tensor.Value) int {
	return slices.Index(elemKinds[:], TypeOf(v).Kind)
}

func encodeMap(r *rope, m *tensor.Map) error {
	r.int(2, int64(m.Keys.DType()))
	switch m.Keys.DType() {
	case tensor.Int64:
		for _, k := range tensor.Data[int64](m.Keys) {
			r.int(3, k)
		}
	case tensor.String:
		for _, k := range tensor.Data[string](m.Keys) {
			r.text(4, k)
		}
	default:
		return invalid("a map with keys of type %v", m.Keys.DType())
	}
	dt := m.Values.DType()
	if dt.IsPacked() || m.Values.Len() != m.Keys.Len() {
		return invalid("a map of %d keys to %v %v", m.Keys.Len(), dt, m.Values.Shape())
	}
	var seq rope
	seq.int(2, 1)
	for i := range m.Values.Len() {
		var x *tensor.Tensor
		if dt == tensor.String {
			x = tensor.Scalar(tensor.Data[string](m.Values)[i])
		} else {
			n := dt.Size()
			var err error
			if x, err = tensor.FromBytes(dt, nil, m.Values.Bytes()[i*n:(i+1)*n], nil); err != nil {
				return err
			}
		}
		seq.message(3, encodeTensor(dt, nil, x, tensorInfo{}))
	}
	r.message(5, &seq)
	return nil
}
