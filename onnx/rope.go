package onnx

import (
	"io"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// rope is an encoded message in pieces. The data of large tensors is not
// copied into it: their bytes are a piece of their own.
type rope struct {
	parts [][]byte
	tail  []byte // not in parts yet
	size  int64
}

// ropeCopy is the size up to which bytes are copied rather than referred to:
// below it a piece costs more than the copy.
const ropeCopy = 4096

func (r *rope) add(b []byte) {
	r.size += int64(len(b))
	if len(b) <= ropeCopy {
		r.tail = append(r.tail, b...)
		return
	}
	r.flush()
	r.parts = append(r.parts, b)
}

func (r *rope) flush() {
	if len(r.tail) > 0 {
		r.parts = append(r.parts, r.tail)
		r.tail = nil
	}
}

func (r *rope) tag(num protowire.Number, typ protowire.Type) {
	n := len(r.tail)
	r.tail = protowire.AppendTag(r.tail, num, typ)
	r.size += int64(len(r.tail) - n)
}

func (r *rope) varint(x uint64) {
	n := len(r.tail)
	r.tail = protowire.AppendVarint(r.tail, x)
	r.size += int64(len(r.tail) - n)
}

// int writes a varint field, also if it is 0.
func (r *rope) int(num protowire.Number, x int64) {
	r.tag(num, protowire.VarintType)
	r.varint(uint64(x))
}

// optInt writes a varint field unless it is 0.
func (r *rope) optInt(num protowire.Number, x int64) {
	if x != 0 {
		r.int(num, x)
	}
}

func (r *rope) float(num protowire.Number, x float32) {
	r.tag(num, protowire.Fixed32Type)
	r.tail = protowire.AppendFixed32(r.tail, math.Float32bits(x))
	r.size += 4
}

func (r *rope) bytes(num protowire.Number, b []byte) {
	r.tag(num, protowire.BytesType)
	r.varint(uint64(len(b)))
	r.add(b)
}

func (r *rope) text(num protowire.Number, s string) {
	r.tag(num, protowire.BytesType)
	r.varint(uint64(len(s)))
	r.size += int64(len(s))
	r.tail = append(r.tail, s...)
}

// optText writes a string field unless it is empty.
func (r *rope) optText(num protowire.Number, s string) {
	if s != "" {
		r.text(num, s)
	}
}

// message writes a message field.
func (r *rope) message(num protowire.Number, c *rope) {
	r.tag(num, protowire.BytesType)
	r.varint(uint64(c.size))
	r.append(c)
}

// append adds the pieces of c, which is not used afterwards.
func (r *rope) append(c *rope) {
	for _, p := range c.parts {
		r.add(p)
	}
	r.add(c.tail)
}

func (r *rope) props(num protowire.Number, ps []Prop) {
	for _, p := range ps {
		var c rope
		c.text(1, p.Key)
		c.text(2, p.Value)
		r.message(num, &c)
	}
}

// raw adds fields that are encoded already.
func (r *rope) raw(b []byte) { r.add(b) }

func (r *rope) join() []byte {
	r.flush()
	return slices.Concat(r.parts...)
}

// WriteTo writes the pieces in order.
func (r *rope) WriteTo(w io.Writer) (int64, error) {
	r.flush()
	var n int64
	for _, p := range r.parts {
		m, err := w.Write(p)
		n += int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
