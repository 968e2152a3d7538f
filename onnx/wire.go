package onnx

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// fields reads the fields of one protobuf message, one after the other. The
// first error ends the iteration and stays in err. The accessors below read
// the current field.
type fields struct {
	what string // message name
	lim  *Limits
	rest []byte
	num  protowire.Number
	typ  protowire.Type
	x    uint64 // value of a varint, fixed32 or fixed64 field
	b    []byte // contents of a length-delimited field, a view
	raw  []byte // the whole field with its tag, a view
	err  error
}

func (d *decoder) fields(what string, b []byte) *fields {
	return &fields{what: what, lim: &d.lim, rest: b}
}

func (f *fields) next() bool {
	if f.err != nil || len(f.rest) == 0 {
		return false
	}
	num, typ, n := protowire.ConsumeTag(f.rest)
	if n < 0 {
		f.fail("field tag: %v", wireError(n))
		return false
	}
	if !num.IsValid() {
		f.fail("field tag: number %d", num)
		return false
	}
	v, m := f.rest[n:], 0
	f.num, f.typ, f.x, f.b = num, typ, 0, nil
	switch typ {
	case protowire.VarintType:
		f.x, m = protowire.ConsumeVarint(v)
	case protowire.Fixed32Type:
		var x uint32
		x, m = protowire.ConsumeFixed32(v)
		f.x = uint64(x)
	case protowire.Fixed64Type:
		f.x, m = protowire.ConsumeFixed64(v)
	case protowire.BytesType:
		f.b, m = protowire.ConsumeBytes(v)
	default:
		m = protowire.ConsumeFieldValue(num, typ, v)
	}
	if m < 0 {
		f.fail("field %d: %v", num, wireError(m))
		return false
	}
	f.raw, f.rest = f.rest[:n+m], f.rest[n+m:]
	return true
}

func (f *fields) fail(format string, args ...any) {
	if f.err == nil {
		f.err = invalid(f.what+" "+format, args...)
	}
}

func (f *fields) want(typ protowire.Type) bool {
	if f.typ != typ {
		f.fail("field %d has wire type %d, want %d", f.num, f.typ, typ)
		return false
	}
	return true
}

// bytes returns a view of a length-delimited field.
func (f *fields) bytes() []byte {
	f.want(protowire.BytesType)
	return f.b
}

// text copies a string that may hold any bytes (documentation, metadata).
func (f *fields) text() string { return string(f.bytes()) }

// name copies an identifier.
func (f *fields) name() string {
	b := f.bytes()
	if len(b) > f.lim.Name {
		if f.err == nil {
			f.err = overLimit(f.what+" length of a name", len(b), f.lim.Name)
		}
		return ""
	}
	if !utf8.Valid(b) {
		f.fail("field %d: name %q is not UTF-8", f.num, b)
	}
	return string(b)
}

func (f *fields) int() int64 {
	f.want(protowire.VarintType)
	return int64(f.x)
}

func (f *fields) int32() int32 {
	f.want(protowire.VarintType)
	return int32(f.x)
}

func (f *fields) float() float32 {
	f.want(protowire.Fixed32Type)
	return math.Float32frombits(uint32(f.x))
}

// texts appends a repeated string field. Strings that repeat, as the modes of
// the nodes of a tree do, share their memory.
func (f *fields) texts(to []string) []string {
	b := f.bytes()
	for i := 1; i <= min(4, len(to)); i++ {
		if s := to[len(to)-i]; s == string(b) {
			return append(to, s)
		}
	}
	return append(to, string(b))
}

// again returns the encoded tag of the current field if the next one has the
// same: elements of a repeated field follow each other.
func (f *fields) again() []byte {
	_, n := protowire.ConsumeVarint(f.raw)
	if tag := f.raw[:max(n, 0)]; n > 0 && starts(f.rest, tag) {
		return tag
	}
	return nil
}

// starts is bytes.HasPrefix for tags, which are mostly one byte.
func starts(b, tag []byte) bool {
	return len(b) > 0 && b[0] == tag[0] && (len(tag) == 1 || bytes.HasPrefix(b, tag))
}

// repeats counts the elements with this tag that follow, so that they find room
// at once: appending alone copies what there is again and again.
func (f *fields) repeats(tag []byte) (n int) {
	if tag == nil {
		return 0
	}
	for b := f.rest; starts(b, tag); n++ {
		b = b[len(tag):]
		size := 4
		if f.typ == protowire.VarintType {
			size = 1
			for size < len(b) && b[size-1] >= 0x80 {
				size++
			}
		}
		if len(b) < size {
			break
		}
		b = b[size:]
	}
	return n
}

// ints appends a repeated int64 field, packed or not.
func (f *fields) ints(to []int64) []int64 {
	if f.typ == protowire.VarintType {
		tag := f.again()
		to = append(slices.Grow(to, 1+f.repeats(tag)), int64(f.x))
		for tag != nil {
			b := f.rest[len(tag):]
			if len(b) > 0 && b[0] < 0x80 {
				to, f.rest = append(to, int64(b[0])), b[1:]
			} else {
				x, m := protowire.ConsumeVarint(b)
				if m < 0 {
					f.fail("field %d: %v", f.num, wireError(m))
					return to
				}
				to, f.rest = append(to, int64(x)), b[m:]
			}
			if !starts(f.rest, tag) {
				break
			}
		}
		return to
	}
	b := f.bytes()
	n := countVarints(b)
	to = slices.Grow(to, n)
	for len(b) > 0 {
		x, m := protowire.ConsumeVarint(b)
		if m < 0 {
			f.fail("field %d: %v", f.num, wireError(m))
			return to
		}
		to, b = append(to, int64(x)), b[m:]
	}
	return to
}

// floats appends a repeated float field, packed or not.
func (f *fields) floats(to []float32) []float32 {
	if f.typ == protowire.Fixed32Type {
		tag := f.again()
		to = append(slices.Grow(to, 1+f.repeats(tag)), math.Float32frombits(uint32(f.x)))
		for tag != nil {
			b := f.rest[len(tag):]
			if len(b) < 4 {
				break // the error is next's
			}
			to, f.rest = append(to, math.Float32frombits(binary.LittleEndian.Uint32(b))), b[4:]
			if !starts(f.rest, tag) {
				break
			}
		}
		return to
	}
	b := f.bytes()
	if len(b)%4 != 0 {
		f.fail("field %d: %d bytes of packed floats", f.num, len(b))
		return to
	}
	to = slices.Grow(to, len(b)/4)
	for ; len(b) > 0; b = b[4:] {
		to = append(to, math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return to
}

// chunk appends the encoded elements of a repeated scalar field of wire type
// elem: the packed bytes, or the bytes of one element.
func (f *fields) chunk(to [][]byte, elem protowire.Type) [][]byte {
	if f.typ == elem {
		_, n := protowire.ConsumeVarint(f.raw) // the tag
		return append(to, f.raw[n:])
	}
	if b := f.bytes(); len(b) > 0 {
		return append(to, b)
	}
	return to
}

// countVarints returns the number of varints that end in b.
func countVarints(b []byte) int {
	n := 0
	for _, c := range b {
		if c < 0x80 {
			n++
		}
	}
	return n
}

// prop reads a StringStringEntryProto.
func (f *fields) prop() Prop {
	var p Prop
	e := &fields{what: "StringStringEntryProto", lim: f.lim, rest: f.bytes()}
	for e.next() {
		switch e.num {
		case 1:
			p.Key = e.text()
		case 2:
			p.Value = e.text()
		}
	}
	if f.err == nil {
		f.err = e.err
	}
	return p
}

// merged collects a singular message field. Protobuf merges a message that
// occurs more than once, which is the same as concatenating its encodings.
type merged struct {
	b        []byte
	set, own bool
}

// add takes the current field of f.
func (m *merged) add(f *fields) {
	b := f.bytes()
	if m.set { // two broken parts could make a whole
		part := &fields{what: f.what, lim: f.lim, rest: b}
		if !m.own {
			part.rest = m.b
			for part.next() {
			}
			part.rest = b
		}
		for part.next() {
		}
		if f.err == nil {
			f.err = part.err
		}
	}
	switch {
	case !m.set:
		m.b, m.set = b, true
	case !m.own:
		m.b, m.own = append(slices.Clone(m.b), b...), true
	default:
		m.b = append(m.b, b...)
	}
}

// wireError says what is wrong with an encoding, without the prefix of protobuf's errors.
func wireError(n int) string {
	s := protowire.ParseError(n).Error()
	if _, after, ok := strings.Cut(s, "proto:"); ok {
		s = strings.TrimSpace(after)
	}
	return s
}
