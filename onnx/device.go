package onnx

import "google.golang.org/protobuf/encoding/protowire"

// layout is the part of a message's definition that says where other messages
// and lists of integers are.
type layout struct {
	messages map[protowire.Number]*layout
	ints     protowire.Number // a repeated integer field, which may come packed; 0: none
}

// Device configurations are kept as read; these say whether they can be read.
var (
	deviceConfiguration     = &layout{}
	nodeDeviceConfiguration = &layout{messages: map[protowire.Number]*layout{2: {
		ints: 2,
		messages: map[protowire.Number]*layout{
			3: {ints: 2},
			4: {messages: map[protowire.Number]*layout{2: {}}},
		},
	}}}
)

// verify checks that b is a message of the given layout.
func (d *decoder) verify(what string, b []byte, l *layout) error {
	f := d.fields(what, b)
	for f.next() {
		if f.typ != protowire.BytesType {
			continue
		}
		if inner := l.messages[f.num]; inner != nil {
			if err := d.verify(what, f.b, inner); err != nil {
				return err
			}
		}
		if f.num == l.ints && l.ints != 0 {
			for rest := f.b; len(rest) > 0; {
				_, n := protowire.ConsumeVarint(rest)
				if n < 0 {
					return invalid("%s field %d: %v", what, f.num, wireError(n))
				}
				rest = rest[n:]
			}
		}
	}
	return f.err
}
