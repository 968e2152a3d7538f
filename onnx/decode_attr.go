package onnx

import (
	"fmt"

	"github.com/gneiss-run/gneiss/tensor"
)

// attrType is AttributeProto.AttributeType.
type attrType int32

const (
	attrUndefined     attrType = 0
	attrFloat         attrType = 1
	attrInt           attrType = 2
	attrString        attrType = 3
	attrTensor        attrType = 4
	attrGraph         attrType = 5
	attrFloats        attrType = 6
	attrInts          attrType = 7
	attrStrings       attrType = 8
	attrTensors       attrType = 9
	attrGraphs        attrType = 10
	attrSparse        attrType = 11
	attrSparseTensors attrType = 12
	attrTypeProto     attrType = 13
	attrTypeProtos    attrType = 14
)

var attrTypeNames = [...]string{"UNDEFINED", "FLOAT", "INT", "STRING", "TENSOR", "GRAPH", "FLOATS", "INTS", "STRINGS",
	"TENSORS", "GRAPHS", "SPARSE_TENSOR", "SPARSE_TENSORS", "TYPE_PROTO", "TYPE_PROTOS"}

func (t attrType) String() string {
	if t < 0 || int(t) >= len(attrTypeNames) {
		return fmt.Sprintf("AttributeType(%d)", int32(t))
	}
	return attrTypeNames[t]
}

// attrFields maps the number of a field that holds a value to its type.
var attrFields = map[int32]attrType{
	2: attrFloat, 3: attrInt, 4: attrString, 5: attrTensor, 6: attrGraph, 7: attrFloats, 8: attrInts, 9: attrStrings,
	10: attrTensors, 11: attrGraphs, 14: attrTypeProto, 15: attrTypeProtos, 22: attrSparse, 23: attrSparseTensors,
}

// rawAttr is an AttributeProto. Messages in it are not decoded.
type rawAttr struct {
	typ     attrType
	set     attrType // the type of the field that is set
	f       float32
	i       int64
	s       string
	floats  []float32
	ints    []int64
	strings []string
	msg     merged   // t, g, sparse_tensor, tp
	msgs    [][]byte // tensors, graphs, sparse_tensors, type_protos
}

// attr reads an AttributeProto of a node in scope s, whose graph is nested depth deep.
func (d *decoder) attr(b []byte, s *scope, depth int) (Attr, error) {
	var a Attr
	var r rawAttr
	f := d.fields("AttributeProto", b)
	for f.next() {
		if t, ok := attrFields[int32(f.num)]; ok {
			if r.set != attrUndefined && r.set != t {
				f.fail("%q sets values of type %v and %v", a.Name, r.set, t)
			}
			r.set = t
			r.read(f, t)
			continue
		}
		switch f.num {
		case 1:
			a.Name = f.name()
		case 13:
			a.Doc = f.text()
		case 20:
			r.typ = attrType(f.int32())
		case 21:
			a.Ref = f.name()
		default:
			a.Unknown = append(a.Unknown, f.raw...)
		}
	}
	if f.err != nil {
		return a, f.err
	}
	if a.Name == "" {
		return a, invalid("an attribute has no name")
	}
	if err := d.attrValue(&a, r, s, depth); err != nil {
		return a, fmt.Errorf("attribute %q: %w", a.Name, err)
	}
	return a, nil
}

// read takes the current field of f, which holds a value of type t.
func (r *rawAttr) read(f *fields, t attrType) {
	switch t {
	case attrFloat:
		r.f = f.float()
	case attrInt:
		r.i = f.int()
	case attrString:
		r.s = f.text()
	case attrFloats:
		r.floats = f.floats(r.floats)
	case attrInts:
		r.ints = f.ints(r.ints)
	case attrStrings:
		r.strings = f.texts(r.strings)
	case attrTensor, attrGraph, attrSparse, attrTypeProto:
		r.msg.add(f)
	default:
		r.msgs = append(r.msgs, f.bytes())
	}
}

func (d *decoder) attrValue(a *Attr, r rawAttr, s *scope, depth int) error {
	t := r.typ
	if t == attrUndefined { // IR versions 1 and 2 have no type
		if t = r.set; t == attrUndefined {
			t = attrInts
		}
	}
	if r.set != attrUndefined && r.set != t {
		return invalid("a value of type %v in an attribute of type %v", r.set, t)
	}
	if !r.msg.set && a.Ref == "" {
		switch t {
		case attrTensor, attrGraph, attrSparse, attrTypeProto:
			return invalid("no value of type %v", t)
		}
	}
	none := !r.msg.set
	switch t {
	case attrFloat:
		a.Value = r.f
	case attrInt:
		a.Value = r.i
	case attrString:
		a.Value = r.s
	case attrFloats:
		a.Value = orEmpty(r.floats)
	case attrInts:
		a.Value = orEmpty(r.ints)
	case attrStrings:
		a.Value = orEmpty(r.strings)
	case attrTensor:
		var x *tensor.Tensor
		if !none {
			rt, err := d.rawTensor(r.msg.b)
			if err != nil {
				return err
			}
			if x, err = d.tensorOf(rt); err != nil {
				return err
			}
			a.tensors = []tensorInfo{rt.infoOf(x)}
		}
		a.Value = x
	case attrTensors:
		xs := make([]*tensor.Tensor, len(r.msgs))
		for i, b := range r.msgs {
			rt, err := d.rawTensor(b)
			if err != nil {
				return fmt.Errorf("tensor %d: %w", i, err)
			}
			if xs[i], err = d.tensorOf(rt); err != nil {
				return fmt.Errorf("tensor %d: %w", i, err)
			}
			a.tensors = append(a.tensors, rt.infoOf(xs[i]))
		}
		a.Value = xs
	case attrSparse:
		var x *tensor.Sparse
		if !none {
			var info tensorInfo
			var err error
			if x, info, err = d.sparse(r.msg.b); err != nil {
				return err
			}
			a.tensors = []tensorInfo{info}
		}
		a.Value = x
	case attrSparseTensors:
		xs := make([]*tensor.Sparse, len(r.msgs))
		for i, b := range r.msgs {
			x, info, err := d.sparse(b)
			if err != nil {
				return fmt.Errorf("sparse tensor %d: %w", i, err)
			}
			xs[i] = x
			a.tensors = append(a.tensors, info)
		}
		a.Value = xs
	case attrTypeProto:
		x, err := d.typeProto(r.msg.b, 1)
		if err != nil {
			return err
		}
		a.Value = x
	case attrTypeProtos:
		xs := make([]Type, len(r.msgs))
		for i, b := range r.msgs {
			x, err := d.typeProto(b, 1)
			if err != nil {
				return fmt.Errorf("type %d: %w", i, err)
			}
			xs[i] = x
		}
		a.Value = xs
	case attrGraph:
		var g *Graph
		if !none {
			var err error
			if g, _, err = d.graph(r.msg.b, s, s.g.Opsets, depth+1); err != nil {
				return err
			}
		}
		a.Value = g
	case attrGraphs:
		gs := make([]*Graph, len(r.msgs))
		for i, b := range r.msgs {
			g, _, err := d.graph(b, s, s.g.Opsets, depth+1)
			if err != nil {
				return err
			}
			gs[i] = g
		}
		a.Value = gs
	default:
		return invalid("type %v is not known", t)
	}
	return nil
}

// orEmpty returns a list that is not nil.
func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
