package onnx

import (
	"strconv"
	"strings"

	"github.com/gneiss-run/gneiss/tensor"
)

// Kind says what a value is.
type Kind uint8

// The kinds of values.
const (
	UnknownKind Kind = iota
	TensorKind
	SparseKind
	SequenceKind
	OptionalKind
	MapKind
	OpaqueKind
)

// Type is what is known about a value before it is computed. The zero Type
// knows nothing.
type Type struct {
	Kind  Kind
	DType tensor.DType // tensors: element type, Undefined if unknown. Maps: the key type
	// Ranked says that Dims is known (a scalar has Ranked and no Dims).
	Ranked     bool
	Dims       []Dim
	Elem       *Type // element of a sequence or optional, value of a map
	Denotation string
	Opaque     string // domain.name of an opaque type
	extra      *typeExtra
}

// typeExtra is what a file says about a type and nothing here uses.
type typeExtra struct {
	denotations  []string // by dimension, perhaps fewer
	opaqueDomain string
	unknown      []byte
}

func (t *Type) more() *typeExtra {
	if t.extra == nil {
		t.extra = &typeExtra{}
	}
	return t.extra
}

// TensorType returns the type of a tensor with known rank.
func TensorType(d tensor.DType, dims ...Dim) Type {
	return Type{Kind: TensorKind, DType: d, Ranked: true, Dims: dims}
}

// UnrankedType returns the type of a tensor of which only the element type is known.
func UnrankedType(d tensor.DType) Type { return Type{Kind: TensorKind, DType: d} }

// TypeOf returns the exact type of v.
func TypeOf(v tensor.Value) Type {
	switch v := v.(type) {
	case *tensor.Tensor:
		return TensorType(v.DType(), Sizes(v.Shape()...)...)
	case *tensor.Sparse:
		return Type{Kind: SparseKind, DType: v.Values.DType(), Ranked: true, Dims: Sizes(v.Shape...)}
	case *tensor.Sequence:
		e := UnrankedType(v.DType)
		if len(v.Elems) > 0 {
			e = TypeOf(v.Elems[0])
			if e.Kind == TensorKind && len(v.Elems) > 1 {
				e = UnrankedType(e.DType)
			}
		}
		return Type{Kind: SequenceKind, Elem: &e}
	case *tensor.Optional:
		t := Type{Kind: OptionalKind}
		if v.Elem != nil {
			e := TypeOf(v.Elem)
			t.Elem = &e
		}
		return t
	case *tensor.Map:
		e := TensorType(v.Values.DType())
		return Type{Kind: MapKind, DType: v.Keys.DType(), Elem: &e}
	}
	return Type{}
}

// Static returns the sizes of all dimensions, if all are known.
func (t Type) Static() ([]int, bool) {
	if !t.Ranked {
		return nil, false
	}
	s := make([]int, len(t.Dims))
	for i, d := range t.Dims {
		n, ok := d.Size()
		if !ok {
			return nil, false
		}
		s[i] = n
	}
	return s, true
}

// Rank returns the number of dimensions, or -1 if it is unknown.
func (t Type) Rank() int {
	if !t.Ranked {
		return -1
	}
	return len(t.Dims)
}

// String returns e.g. "float32[N,3,224,224]", "sequence(int64[...])".
func (t Type) String() string {
	switch t.Kind {
	case TensorKind, SparseKind:
		var b strings.Builder
		if t.Kind == SparseKind {
			b.WriteString("sparse ")
		}
		if t.DType == tensor.Undefined {
			b.WriteString("?")
		} else {
			b.WriteString(t.DType.String())
		}
		if !t.Ranked {
			return b.String() + "[...]"
		}
		b.WriteByte('[')
		for i, d := range t.Dims {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(d.String())
		}
		return b.String() + "]"
	case SequenceKind, OptionalKind:
		name := "sequence("
		if t.Kind == OptionalKind {
			name = "optional("
		}
		if t.Elem == nil {
			return name + "?)"
		}
		return name + t.Elem.String() + ")"
	case MapKind:
		if t.Elem == nil {
			return "map(" + t.DType.String() + ",?)"
		}
		return "map(" + t.DType.String() + "," + t.Elem.String() + ")"
	case OpaqueKind:
		return "opaque(" + t.Opaque + ")"
	}
	return "?"
}

// Dim is one dimension: a size, an expression over named sizes, or unknown.
// Dims are comparable: two equal expressions have equal Dims. The zero Dim is
// unknown, and unknown dims are not known to be equal.
type Dim struct {
	known bool
	size  int
	expr  string // canonical form of an expression over names
}

// Size returns the dimension of n elements.
func Size(n int) Dim { return Dim{known: true, size: n} }

// Sizes returns a Dim for each size.
func Sizes(ns ...int) []Dim {
	ds := make([]Dim, len(ns))
	for i, n := range ns {
		ds[i] = Size(n)
	}
	return ds
}

// Size returns the number of elements if it is known.
func (d Dim) Size() (int, bool) { return d.size, d.known }

// Is reports whether d is known to be n.
func (d Dim) Is(n int) bool { return d.known && d.size == n }

// Known reports whether d is a size or an expression.
func (d Dim) Known() bool { return d.known || d.expr != "" }

// Equal reports whether d and e are known to be equal.
func (d Dim) Equal(e Dim) bool { return d == e && d.Known() }

// Expr returns the canonical expression, "" for sizes and unknown dims.
func (d Dim) Expr() string { return d.expr }

// String returns the size, the expression, or "?".
func (d Dim) String() string {
	switch {
	case d.known:
		return strconv.Itoa(d.size)
	case d.expr != "":
		return d.expr
	}
	return "?"
}
