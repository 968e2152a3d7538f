// Package functions holds the operators that the ONNX standard defines as
// functions of others, with their bodies. Bodies that depend on the node (its
// types or which inputs it has) are not here: they are ops.Version.Expand.
package functions

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/gneiss-run/gneiss/onnx"
)

// table is made by gen/gen.py, which documents the format.
//
//go:embed functions.bin.gz
var table []byte

// record is one body: it computes what the operator means from opset since up
// to, not including, until (0: no end), in operators of opset.
type record struct {
	since, until, opset int
	body                []byte
}

type key struct{ domain, name string }

var records = sync.OnceValue(func() map[key][]record {
	r, err := parse(table)
	if err != nil {
		panic(err) // the table is part of the program: every test run shows it
	}
	return r
})

func parse(packed []byte) (map[key][]record, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("functions: %w", err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		return nil, fmt.Errorf("functions: %w", err)
	}
	bad := false
	number := func() int {
		v, n := binary.Uvarint(data)
		if n <= 0 || v > 1<<30 {
			bad = true
			return 0
		}
		data = data[n:]
		return int(v)
	}
	chunk := func() []byte {
		n := number()
		if n > len(data) {
			bad = true
			return nil
		}
		b := data[:n:n]
		data = data[n:]
		return b
	}
	out := map[key][]record{}
	for len(data) > 0 && !bad {
		k := key{domain: string(chunk()), name: string(chunk())}
		out[k] = append(out[k], record{since: number(), until: number(), opset: number(), body: chunk()})
	}
	if bad {
		return nil, errors.New("functions: the table is damaged")
	}
	return out, nil
}

// Body returns the body of the operator that domain ("" or "ai.onnx" is the
// default one) and op name at the given opset, and false if the standard does
// not define it by one. The nodes of the body carry the opset that it is written
// in, which may differ from opset. Attributes have the defaults of the schema.
// The function is the caller's; calls may run at once.
func Body(domain, op string, opset int) (*onnx.Function, bool) {
	if domain == "ai.onnx" {
		domain = ""
	}
	var found *record
	for i, r := range records()[key{domain, op}] {
		if opset < r.since || r.until > 0 && opset >= r.until {
			continue
		}
		// The newest body that is not newer than the model, else the oldest.
		if found == nil || r.opset <= opset {
			found = &records()[key{domain, op}][i]
		}
	}
	if found == nil {
		return nil, false
	}
	f, err := onnx.DecodeFunction(found.body)
	if err != nil {
		panic(err) // the test decodes every body
	}
	return f, true
}
