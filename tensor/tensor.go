package tensor

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"unsafe"
)

// Tensor is a dense n-dimensional array: an element type, a shape and
// contiguous row-major storage. A rank of 0 is a scalar. What New allocates is
// 64-byte aligned; tensors made by FromBytes may have any alignment. Storage
// may be shared between tensors (Reshape, views of a mapped model file), so a
// tensor is written only by whoever made it. Concurrent reads are safe.
type Tensor struct {
	dtype DType
	shape []int
	n     int
	data  []byte   // (n*bits+7)/8 bytes; nil for strings
	str   []string // for strings
	owner any      // what keeps data valid, e.g. a file mapping
}

// ErrSize is wrapped by errors about shapes that no tensor can have.
var ErrSize = errors.New("tensor: impossible size")

// Alignment is the alignment of storage made by New, in bytes.
const Alignment = 64

// Count returns the number of elements of shape. It is an error if a dimension
// is negative or the product overflows.
func Count(shape []int) (int, error) {
	n, zero := 1, false
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("%w: dimension %d in shape %v", ErrSize, d, shape)
		}
		if d == 0 {
			zero = true
			continue
		}
		if n > math.MaxInt/d {
			return 0, fmt.Errorf("%w: shape %v overflows", ErrSize, shape)
		}
		n *= d
	}
	if zero {
		return 0, nil
	}
	return n, nil
}

// ByteSize returns the storage in bytes of a tensor of type d and the given
// shape, and 16 bytes (a string header) per element for strings.
func ByteSize(d DType, shape []int) (int, error) {
	if !d.Valid() {
		return 0, fmt.Errorf("%w: element type %v", ErrSize, d)
	}
	n, err := Count(shape)
	if err != nil {
		return 0, err
	}
	bits := d.Bits()
	if d == String {
		bits = 128
	}
	if int64(n) <= (math.MaxInt64-7)/int64(bits) {
		if size := (int64(n)*int64(bits) + 7) / 8; size <= math.MaxInt-Alignment {
			return int(size), nil
		}
	}
	return 0, fmt.Errorf("%w: shape %v of %v overflows", ErrSize, shape, d)
}

// New returns a zeroed tensor. It panics on an impossible size: callers that
// take sizes from outside check them with ByteSize first.
func New(d DType, shape ...int) *Tensor {
	size, err := ByteSize(d, shape)
	if err != nil {
		panic(err)
	}
	n, _ := Count(shape)
	t := &Tensor{dtype: d, shape: slices.Clone(shape), n: n}
	if d == String {
		t.str = make([]string, n)
	} else {
		t.data = AlignedBytes(size)
	}
	return t
}

// AlignedBytes returns n zeroed bytes at an address that is a multiple of Alignment.
func AlignedBytes(n int) []byte {
	b := make([]byte, n+Alignment-1)
	off := 0
	if len(b) > 0 {
		off = int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (Alignment - 1))
	}
	return b[off : off+n : off+n]
}

// Of returns a tensor that uses data as storage, without a copy. Without a
// shape it is a vector. It panics if len(data) is not the product of shape.
func Of[T Element](data []T, shape ...int) *Tensor {
	if shape == nil {
		shape = []int{len(data)}
	}
	n, err := Count(shape)
	if err != nil || n != len(data) {
		panic(fmt.Sprintf("tensor: %d values for shape %v", len(data), shape))
	}
	t := &Tensor{dtype: DTypeOf[T](), shape: slices.Clone(shape), n: n}
	switch d := any(data).(type) {
	case []string:
		t.str = d
	default:
		t.data = unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(data))), n*t.dtype.Size())
	}
	return t
}

// Rows returns data as n vectors of the same length, without a copy. The
// vectors share their shape. It panics if n does not divide the number of elements.
func Rows[T Element](data []T, n int) []Tensor {
	if n == 0 && len(data) == 0 {
		return nil
	}
	if n <= 0 || len(data)%n != 0 {
		panic(fmt.Sprintf("tensor: %d values in %d rows", len(data), n))
	}
	whole, size := Of(data), len(data)/n
	shape := []int{size}
	rows := make([]Tensor, n)
	for i := range rows {
		rows[i] = Tensor{dtype: whole.dtype, shape: shape, n: size}
		if whole.dtype == String {
			rows[i].str = whole.str[i*size : (i+1)*size : (i+1)*size]
		} else {
			b := size * whole.dtype.Size()
			rows[i].data = whole.data[i*b : (i+1)*b : (i+1)*b]
		}
	}
	return rows
}

// Scalar returns a tensor of rank 0.
func Scalar[T Element](x T) *Tensor { return Of([]T{x}, []int{}...) }

// FromBytes returns a tensor over data, which holds the elements in the byte
// order of this machine and, for packed types, lowest bits first. owner is kept
// reachable as long as the tensor is; it may be nil. A copy is made only of
// bools that have other bytes than 0 and 1 (these become 1), and of data at an
// odd address on machines that cannot load from there.
func FromBytes(d DType, shape []int, data []byte, owner any) (*Tensor, error) {
	size, err := ByteSize(d, shape)
	if err != nil {
		return nil, err
	}
	if d == String {
		return nil, fmt.Errorf("tensor: strings have no byte form")
	}
	if len(data) != size {
		return nil, fmt.Errorf("tensor: %d bytes for %v %v, want %d", len(data), d, shape, size)
	}
	switch {
	case d == Bool:
		data = cleanBools(data)
	case !unalignedLoads && size > 0 && uintptr(unsafe.Pointer(unsafe.SliceData(data)))%uintptr(max(1, min(8, d.Size()))) != 0:
		aligned := AlignedBytes(size)
		copy(aligned, data)
		data = aligned
	}
	n, _ := Count(shape)
	return &Tensor{dtype: d, shape: slices.Clone(shape), n: n, data: data[:size:size], owner: owner}, nil
}

// Renew makes t a tensor over data, as FromBytes returns it but without a look
// at the bytes of bools, in the place of what t was. It is for runtimes that
// use their tensors again: nobody else may hold t or its shape.
func (t *Tensor) Renew(d DType, shape []int, data []byte, owner any) error {
	size, err := ByteSize(d, shape)
	if err != nil {
		return err
	}
	if d == String || len(data) != size {
		return fmt.Errorf("tensor: %d bytes for %v %v, want %d", len(data), d, shape, size)
	}
	n, _ := Count(shape)
	*t = Tensor{dtype: d, shape: append(t.shape[:0], shape...), n: n, data: data[:size:size], owner: owner}
	return nil
}

// RenewView makes t what src.Reshape(shape...) returns, in the place of what t
// was; see Renew.
func (t *Tensor) RenewView(src *Tensor, shape []int) error {
	n, err := Count(shape)
	if err != nil {
		return err
	}
	if n != src.n {
		return fmt.Errorf("tensor: shape %v has %d elements, want %d as in %v", shape, n, src.n, src.shape)
	}
	own := append(t.shape[:0], shape...)
	*t = *src
	t.shape = own
	return nil
}

// cleanBools returns data if all bytes are 0 or 1, the only ones that Go's bool
// may have, else a copy with 1 for the others.
func cleanBools(data []byte) []byte {
	if !slices.ContainsFunc(data, func(b byte) bool { return b > 1 }) {
		return data
	}
	clean := AlignedBytes(len(data))
	for i, b := range data {
		if b != 0 {
			clean[i] = 1
		}
	}
	return clean
}

// Data returns the storage of t as []T, without a copy. It panics if T is not
// t's element type: callers have checked DType, so a mismatch is a bug.
func Data[T Element](t *Tensor) []T {
	if d := DTypeOf[T](); d != t.dtype {
		panic(fmt.Sprintf("tensor: %v read as %v", t.dtype, d))
	}
	if t.dtype == String {
		return any(t.str).([]T)
	}
	if t.n == 0 { // there may be no room for a T
		return []T{}
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(t.data))), t.n)
}

// DType returns the element type.
func (t *Tensor) DType() DType { return t.dtype }

// Shape returns the dimensions. The caller must not change them. It is never
// nil, so that Of takes a scalar's for one.
func (t *Tensor) Shape() []int {
	if t.shape == nil {
		return []int{}
	}
	return t.shape
}

// Rank returns the number of dimensions.
func (t *Tensor) Rank() int { return len(t.shape) }

// Dim returns dimension i; a negative i counts from the end.
func (t *Tensor) Dim(i int) int {
	if i < 0 {
		i += len(t.shape)
	}
	return t.shape[i]
}

// Len returns the number of elements.
func (t *Tensor) Len() int { return t.n }

// Bytes returns the storage; nil for strings. Packed types: lowest bits first.
func (t *Tensor) Bytes() []byte { return t.data }

// Reshape returns a tensor with another shape over the same storage.
func (t *Tensor) Reshape(shape ...int) (*Tensor, error) {
	n, err := Count(shape)
	if err != nil {
		return nil, err
	}
	if n != t.n {
		return nil, fmt.Errorf("tensor: shape %v has %d elements, want %d as in %v", shape, n, t.n, t.shape)
	}
	r := *t
	r.shape = slices.Clone(shape)
	return &r, nil
}

// Clone returns a copy with storage of its own.
func (t *Tensor) Clone() *Tensor {
	c := New(t.dtype, t.shape...)
	copy(c.data, t.data)
	copy(c.str, t.str)
	return c
}

// CloneAll returns copies of the given tensors, all of whose storage is
// allocated at once: it stays as long as one of them does.
func CloneAll(list []*Tensor) []Tensor {
	dims, size := 0, 0
	for _, t := range list {
		dims += len(t.shape)
		size += (len(t.data) + Alignment - 1) &^ (Alignment - 1)
	}
	copies, shapes, data := make([]Tensor, len(list)), make([]int, 0, dims), AlignedBytes(size)
	for i, t := range list {
		first := len(shapes)
		shapes = append(shapes, t.shape...)
		n := len(t.data)
		copies[i] = Tensor{dtype: t.dtype, shape: shapes[first:len(shapes):len(shapes)], n: t.n, data: data[:n:n], str: slices.Clone(t.str)}
		copy(copies[i].data, t.data)
		data = data[min((n+Alignment-1)&^(Alignment-1), len(data)):]
	}
	return copies
}

// CopyFrom copies the elements of src, which must have t's type and shape.
func (t *Tensor) CopyFrom(src *Tensor) error {
	if t.dtype != src.dtype || !slices.Equal(t.shape, src.shape) {
		return fmt.Errorf("tensor: copy of %v %v to %v %v", src.dtype, src.shape, t.dtype, t.shape)
	}
	copy(t.data, src.data)
	copy(t.str, src.str)
	return nil
}

// Owner returns what keeps the storage valid: the owner given to FromBytes,
// nil for storage on the Go heap.
func (t *Tensor) Owner() any { return t.owner }
