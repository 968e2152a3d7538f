package onnx_test

import (
	"io"
	"runtime"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/onnx/onnxpb"
)

// FuzzDecode decodes anything. It must not panic nor use much more memory than
// the file has; what it accepts must be protobuf, be written and read again,
// and pass through Check and Text.
func FuzzDecode(f *testing.F) {
	f.Add(file(f, everything))
	f.Add(file(f, graph(relu)))
	f.Add(msg(7, msg(11, str(1, "x")), msg(12, str(1, "x"))))
	f.Fuzz(func(t *testing.T, data []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := onnx.Decode(data, onnx.DecodeOptions{SkipWeights: true})
		runtime.ReadMemStats(&after)
		if used, most := after.TotalAlloc-before.TotalAlloc, uint64(1<<20+400*len(data)); used > most {
			t.Errorf("%d bytes allocated for a file of %d", used, len(data))
		}
		if err != nil {
			return
		}
		if err := proto.Unmarshal(data, &onnxpb.ModelProto{}); err != nil {
			t.Fatalf("accepted, but protobuf says %v", err)
		}
		if err := m.Graph.Check(); err != nil {
			hides := false // names may hide others, which Check reports
			for _, p := range onnx.Check(m) {
				hides = hides || len(p.Text) > 0
			}
			if !hides {
				t.Fatal(err)
			}
		}
		onnx.Check(m)
		if err := m.Text(io.Discard, onnx.TextOptions{Docs: true, Sums: true}); err != nil {
			t.Fatal(err)
		}
		out, err := onnx.Encode(m)
		if err != nil {
			return // such as a domain that is not imported
		}
		again, err := onnx.Decode(out, onnx.DecodeOptions{SkipWeights: true})
		if err != nil {
			t.Fatalf("written, but not read: %v", err)
		}
		twice, err := onnx.Encode(again)
		if err != nil {
			t.Fatal(err)
		}
		if string(out) != string(twice) {
			t.Fatal("the second writing differs from the first")
		}
		onnx.Check(again.Clone())
	})
}

// FuzzDecodeValue decodes anything as a value of each kind.
func FuzzDecodeValue(f *testing.F) {
	elem := onnx.Type{}
	types := []onnx.Type{{}, {Kind: onnx.SparseKind}, {Kind: onnx.SequenceKind, Elem: &elem}, {Kind: onnx.OptionalKind, Elem: &elem}, {Kind: onnx.MapKind}}
	for i := range types {
		f.Add(uint8(i), []byte{8, 2, 16, 1, 74, 0})
	}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		v, err := onnx.DecodeValue(data, types[int(kind)%len(types)])
		if err != nil {
			return
		}
		if _, err := onnx.EncodeValue("v", v); err != nil {
			t.Fatal(err)
		}
	})
}
