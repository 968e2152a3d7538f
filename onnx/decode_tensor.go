package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unsafe"

	"github.com/gneiss-run/gneiss/tensor"
	"google.golang.org/protobuf/encoding/protowire"
)

// rawTensor is a TensorProto whose data is not converted yet.
type rawTensor struct {
	name, doc string
	dims      []int64
	dtype     tensor.DType
	raw       []byte
	hasRaw    bool
	chunks    [numTyped][][]byte // encoded elements of each typed field
	strings   [][]byte
	external  []Prop
	location  int32 // 1: external
	segment   bool
	metadata  []Prop
	unknown   []byte
}

// The typed data fields of TensorProto.
const (
	floatData = iota
	int32Data
	int64Data
	doubleData
	uint64Data
	numTyped
)

var typedNames = [numTyped]string{"float_data", "int32_data", "int64_data", "double_data", "uint64_data"}

func (d *decoder) rawTensor(b []byte) (*rawTensor, error) {
	t := &rawTensor{}
	f := d.fields("TensorProto", b)
	for f.next() {
		switch f.num {
		case 1:
			t.dims = f.ints(t.dims)
			if len(t.dims) > d.lim.Rank {
				return nil, overLimit("rank of a tensor", len(t.dims), d.lim.Rank)
			}
		case 2:
			t.dtype = tensor.DType(f.int32())
		case 3:
			t.segment = true
		case 4:
			t.chunks[floatData] = f.chunk(t.chunks[floatData], protowire.Fixed32Type)
		case 5:
			t.chunks[int32Data] = f.chunk(t.chunks[int32Data], protowire.VarintType)
		case 6:
			t.strings = append(t.strings, f.bytes())
		case 7:
			t.chunks[int64Data] = f.chunk(t.chunks[int64Data], protowire.VarintType)
		case 8:
			t.name = f.name()
		case 9:
			t.raw, t.hasRaw = f.bytes(), true
		case 10:
			t.chunks[doubleData] = f.chunk(t.chunks[doubleData], protowire.Fixed64Type)
		case 11:
			t.chunks[uint64Data] = f.chunk(t.chunks[uint64Data], protowire.VarintType)
		case 12:
			t.doc = f.text()
		case 13:
			t.external = append(t.external, f.prop())
		case 14:
			t.location = f.int32()
		case 16:
			t.metadata = append(t.metadata, f.prop())
		default:
			t.unknown = append(t.unknown, f.raw...)
		}
	}
	return t, f.err
}

func (t *rawTensor) info() tensorInfo {
	return tensorInfo{name: t.name, doc: t.doc, metadata: t.metadata, unknown: t.unknown}
}

func (t *rawTensor) infoOf(x *tensor.Tensor) tensorInfo {
	i := t.info()
	i.tensor = x
	return i
}

// shape checks the element type and dims and returns the shape.
func (t *rawTensor) shape(lim *Limits) ([]int, error) {
	if !t.dtype.Valid() {
		return nil, invalid("data_type is %v", t.dtype)
	}
	dims := make([]int, len(t.dims))
	for i, n := range t.dims {
		if n < 0 {
			return nil, invalid("dims are %v", t.dims)
		}
		if n > math.MaxInt {
			return nil, invalid("shape %v overflows", t.dims)
		}
		dims[i] = int(n)
	}
	if _, err := tensor.ByteSize(t.dtype, dims); err != nil {
		return nil, invalid("%v", err)
	}
	return dims, nil
}

// typedField returns the typed field that holds elements of type dt, and the
// number of its entries for n elements.
func typedField(dt tensor.DType, n int) (field, entries int) {
	switch dt {
	case tensor.Float32:
		return floatData, n
	case tensor.Complex64:
		return floatData, 2 * n
	case tensor.Float64:
		return doubleData, n
	case tensor.Complex128:
		return doubleData, 2 * n
	case tensor.Int64:
		return int64Data, n
	case tensor.Uint32, tensor.Uint64:
		return uint64Data, n
	}
	if dt.IsPacked() {
		return int32Data, (n*dt.Bits() + 7) / 8
	}
	return int32Data, n
}

// tensorOf converts t. The result is a view of the file where the file holds
// the elements as memory does.
func (d *decoder) tensorOf(t *rawTensor) (*tensor.Tensor, error) {
	dims, err := t.shape(&d.lim)
	if err != nil {
		return nil, err
	}
	if t.segment {
		return nil, invalid("tensors in segments are not supported")
	}
	n, _ := tensor.Count(dims)
	if t.location == 1 {
		return d.externalTensor(t, dims)
	}
	if t.location != 0 {
		return nil, invalid("data_location is %d", t.location)
	}
	field, entries := typedField(t.dtype, n)
	if t.dtype == tensor.String {
		field = -1
	}
	for i, c := range t.chunks {
		if len(c) > 0 && (i != field || t.hasRaw) {
			return nil, invalid("%s in a tensor of type %v%s", typedNames[i], t.dtype, also(t.hasRaw, " with raw_data"))
		}
	}
	if len(t.strings) > 0 && t.dtype != tensor.String {
		return nil, invalid("string_data in a tensor of type %v", t.dtype)
	}
	switch {
	case t.dtype == tensor.String:
		if t.hasRaw && len(t.raw) > 0 {
			return nil, invalid("raw_data in a tensor of strings")
		}
		if len(t.strings) != n {
			return nil, invalid("string_data has %d values for dims %v, want %d", len(t.strings), dims, n)
		}
		s := make([]string, n)
		for i, b := range t.strings {
			s[i] = string(b)
		}
		return tensor.Of(s, dims...), nil
	case t.hasRaw:
		return rawTensorData(t.dtype, dims, t.raw, d.owner, "raw_data")
	}
	return t.typed(field, entries, dims, d.owner)
}

func also(b bool, s string) string {
	if b {
		return s
	}
	return ""
}

// rawTensorData makes a tensor of little-endian bytes.
func rawTensorData(dt tensor.DType, dims []int, data []byte, owner any, what string) (*tensor.Tensor, error) {
	size, err := tensor.ByteSize(dt, dims)
	if err != nil {
		return nil, invalid("%v", err)
	}
	if len(data) != size {
		return nil, invalid("%s has %d bytes for %v %v, want %d", what, len(data), dt, dims, size)
	}
	if dt == tensor.Bool { // Go's bools are 0 or 1
		if slices.ContainsFunc(data, func(b byte) bool { return b > 1 }) {
			data, owner = slices.Clone(data), nil
			for i, b := range data {
				if b > 1 {
					data[i] = 1
				}
			}
		}
	}
	if bigEndian {
		data, owner = slices.Clone(data), nil
		swapBytes(dt, data)
	}
	return tensor.FromBytes(dt, dims, data, owner)
}

var bigEndian = func() bool {
	x := uint16(1)
	return *(*byte)(unsafe.Pointer(&x)) == 0
}()

// swapBytes reverses the bytes of each number in data.
func swapBytes(dt tensor.DType, data []byte) {
	w := dt.Size()
	if dt.IsComplex() {
		w /= 2
	}
	if w < 2 {
		return
	}
	for ; len(data) >= w; data = data[w:] {
		slices.Reverse(data[:w])
	}
}

// typed converts one of the typed data fields, which must have the given number of entries.
func (t *rawTensor) typed(field, entries int, dims []int, owner any) (*tensor.Tensor, error) {
	chunks := t.chunks[field]
	width := map[int]int{floatData: 4, doubleData: 8}[field]
	got := 0
	for _, c := range chunks {
		if width > 0 {
			if len(c)%width != 0 {
				return nil, invalid("%s has %d bytes, want a multiple of %d", typedNames[field], len(c), width)
			}
			got += len(c) / width
		} else {
			if c[len(c)-1] >= 0x80 {
				return nil, invalid("%s ends in the middle of a value", typedNames[field])
			}
			got += countVarints(c)
		}
	}
	if got != entries {
		return nil, invalid("%s has %d values for %v %v, want %d", typedNames[field], got, t.dtype, dims, entries)
	}
	if width > 0 {
		if len(chunks) == 1 {
			return rawTensorData(t.dtype, dims, chunks[0], owner, typedNames[field])
		}
		return rawTensorData(t.dtype, dims, slices.Concat(chunks...), nil, typedNames[field])
	}
	x := tensor.New(t.dtype, dims...)
	if err := fillVarints(x, chunks); err != nil {
		return nil, invalid("%s: %v", typedNames[field], err)
	}
	return x, nil
}

// fillVarints stores the varints of chunks as x's elements, or as its bytes if
// x is packed.
func fillVarints(x *tensor.Tensor, chunks [][]byte) error {
	switch x.DType() {
	case tensor.Int64:
		return fill(tensor.Data[int64](x), chunks, func(v uint64) (int64, bool) { return int64(v), true })
	case tensor.Uint64:
		return fill(tensor.Data[uint64](x), chunks, func(v uint64) (uint64, bool) { return v, true })
	case tensor.Uint32:
		return fill(tensor.Data[uint32](x), chunks, func(v uint64) (uint32, bool) { return uint32(v), v <= math.MaxUint32 })
	case tensor.Int32:
		return fill(tensor.Data[int32](x), chunks, func(v uint64) (int32, bool) { return int32(v), true })
	case tensor.Int16:
		return fill(tensor.Data[int16](x), chunks, func(v uint64) (int16, bool) { return int16(v), int32(v) == int32(int16(v)) })
	case tensor.Int8:
		return fill(tensor.Data[int8](x), chunks, func(v uint64) (int8, bool) { return int8(v), int32(v) == int32(int8(v)) })
	case tensor.Uint16:
		return fill(tensor.Data[uint16](x), chunks, func(v uint64) (uint16, bool) { return uint16(v), uint32(v) <= math.MaxUint16 })
	case tensor.Bool:
		return fill(tensor.Data[bool](x), chunks, func(v uint64) (bool, bool) { return v != 0, true })
	case tensor.Float16, tensor.BFloat16: // bits; some writers extend the sign
		b := x.Bytes()
		return fill(unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/2), chunks,
			func(v uint64) (uint16, bool) {
				return uint16(v), int32(v) >= math.MinInt16 && int32(v) <= math.MaxUint16
			})
	case tensor.Uint8:
		return fill(x.Bytes(), chunks, func(v uint64) (byte, bool) { return byte(v), uint32(v) <= math.MaxUint8 })
	}
	return fill(x.Bytes(), chunks, func(v uint64) (byte, bool) { return byte(v), int32(v) >= math.MinInt8 && int32(v) <= math.MaxUint8 })
}

func fill[T any](to []T, chunks [][]byte, convert func(uint64) (T, bool)) error {
	i := 0
	for _, c := range chunks {
		for len(c) > 0 {
			// Most values of most tensors have one or two bytes: which, no branch asks.
			var v uint64
			var n int
			if len(c) > 1 && c[0]&c[1] < 0x80 {
				more := uint64(c[0] >> 7)
				v, n = uint64(c[0]&0x7f)|uint64(c[1])&-more<<7, 1+int(more)
			} else if v, n = protowire.ConsumeVarint(c); n < 0 {
				return errors.New(wireError(n))
			}
			x, ok := convert(v)
			if !ok {
				return fmt.Errorf("value %d at %d is out of range", int64(v), i)
			}
			to[i] = x
			i++
			c = c[n:]
		}
	}
	return nil
}

// sparse reads a SparseTensorProto. The info is that of its values.
func (d *decoder) sparse(b []byte) (*tensor.Sparse, tensorInfo, error) {
	var info tensorInfo
	var values, indices merged
	var dims []int64
	f := d.fields("SparseTensorProto", b)
	for f.next() {
		switch f.num {
		case 1:
			values.add(f)
		case 2:
			indices.add(f)
		case 3:
			dims = f.ints(dims)
			if len(dims) > d.lim.Rank {
				return nil, info, overLimit("rank of a sparse tensor", len(dims), d.lim.Rank)
			}
		}
	}
	if f.err != nil {
		return nil, info, f.err
	}
	rv, err := d.rawTensor(values.b)
	if err != nil {
		return nil, info, fmt.Errorf("values: %w", err)
	}
	info = rv.info()
	s := &tensor.Sparse{Shape: make([]int, len(dims))}
	for i, n := range dims {
		if n < 0 || n > math.MaxInt {
			return nil, info, invalid("dims are %v", dims)
		}
		s.Shape[i] = int(n)
	}
	if s.Values, err = d.tensorOf(rv); err != nil {
		return nil, info, fmt.Errorf("values: %w", err)
	}
	if _, err := tensor.ByteSize(s.Values.DType(), s.Shape); err != nil {
		return nil, info, invalid("%v", err)
	}
	ri, err := d.rawTensor(indices.b)
	if err != nil {
		return nil, info, fmt.Errorf("indices: %w", err)
	}
	if s.Indices, err = d.tensorOf(ri); err != nil {
		return nil, info, fmt.Errorf("indices: %w", err)
	}
	if err := checkSparse(s); err != nil {
		return nil, info, err
	}
	info.tensor = s
	return s, info, nil
}

// checkSparse makes sure that every index of s is inside its shape.
func checkSparse(s *tensor.Sparse) error {
	nnz := s.Values.Len()
	if s.Values.Rank() != 1 {
		return invalid("values have shape %v, want [nnz]", s.Values.Shape())
	}
	if s.Indices.DType() != tensor.Int64 {
		return invalid("indices are %v, want int64", s.Indices.DType())
	}
	idx := tensor.Data[int64](s.Indices)
	total, _ := tensor.Count(s.Shape)
	switch sh := s.Indices.Shape(); {
	case slices.Equal(sh, []int{nnz}):
		for i, x := range idx {
			if x < 0 || x >= int64(total) {
				return invalid("index %d at %d is not in shape %v", x, i, s.Shape)
			}
		}
	case slices.Equal(sh, []int{nnz, len(s.Shape)}):
		for i, x := range idx {
			if x < 0 || x >= int64(s.Shape[i%len(s.Shape)]) {
				return invalid("index %d at %d is not in shape %v", x, i, s.Shape)
			}
		}
	default:
		return invalid("indices have shape %v, want [%d] or [%d %d]", sh, nnz, nnz, len(s.Shape))
	}
	return nil
}

// DecodeTensor reads a TensorProto, such as the input_0.pb files of ONNX's test
// data sets. The tensor is a view of data where that is possible.
func DecodeTensor(data []byte) (name string, t *tensor.Tensor, err error) {
	d := newDecoder(DecodeOptions{})
	rt, err := d.rawTensor(data)
	if err == nil {
		name = rt.name
		t, err = d.tensorOf(rt)
	}
	if err != nil {
		return "", nil, fmt.Errorf("onnx: tensor %s: %w", strconv.Quote(name), err)
	}
	return name, t, nil
}
