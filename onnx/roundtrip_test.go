package onnx_test

import (
	"fmt"
	"path"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/onnx/onnxpb"
)

// roundTrip decodes and encodes data and compares what ONNX's own schema reads
// before and after.
func roundTrip(t *testing.T, data []byte) *onnx.Model {
	t.Helper()
	m, err := onnx.Decode(data, onnx.DecodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := onnx.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	var want, got onnxpb.ModelProto
	if err := proto.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	normalize(&want)
	normalize(&got)
	if !proto.Equal(&want, &got) {
		t.Fatalf("-want +got\n%s", cmp.Diff(&want, &got, protocmp.Transform()))
	}
	return m
}

func TestSuiteRoundTrip(t *testing.T) {
	for _, c := range suite(t) {
		t.Run(c.name, func(t *testing.T) { roundTrip(t, c.model) })
	}
}

// valueProto returns the message that holds a value of type t in a test data set.
func valueProto(t onnx.Type) proto.Message {
	switch t.Kind {
	case onnx.SequenceKind:
		return &onnxpb.SequenceProto{}
	case onnx.OptionalKind:
		return &onnxpb.OptionalProto{}
	case onnx.MapKind:
		return &onnxpb.MapProto{}
	case onnx.SparseKind:
		return &onnxpb.SparseTensorProto{}
	}
	return &onnxpb.TensorProto{}
}

// normalValue does for values what normalize does for models.
func normalValue(m proto.Message) proto.Message {
	var walk func(m proto.Message)
	walk = func(m proto.Message) {
		switch m := m.(type) {
		case *onnxpb.TensorProto:
			normalTensor(m)
		case *onnxpb.SequenceProto:
			m.Name = nil
			for _, x := range m.TensorValues {
				x.Name = nil
				walk(x)
			}
			for _, x := range m.SequenceValues {
				walk(x)
			}
			for _, x := range m.OptionalValues {
				walk(x)
			}
			for _, x := range m.MapValues {
				walk(x)
			}
		case *onnxpb.OptionalProto:
			m.Name = nil
			if m.TensorValue != nil {
				m.TensorValue.Name = nil
				walk(m.TensorValue)
			}
			if m.SequenceValue != nil {
				walk(m.SequenceValue)
			}
		case *onnxpb.MapProto:
			m.Name = nil
			walk(m.Values)
		}
	}
	walk(m)
	dropEmpty(m.ProtoReflect())
	return m
}

func TestSuiteValues(t *testing.T) {
	n := 0
	for _, c := range suite(t) {
		m, err := onnx.Decode(c.model, onnx.DecodeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for file, data := range c.files {
			var i int
			var vs []*onnx.Value
			base := path.Base(file)
			if _, err := fmt.Sscanf(base, "input_%d.pb", &i); err == nil {
				vs = m.Graph.Inputs
			} else if _, err := fmt.Sscanf(base, "output_%d.pb", &i); err == nil {
				vs = m.Graph.Outputs
			} else {
				continue
			}
			n++
			typ := vs[i].Type
			v, err := onnx.DecodeValue(data, typ)
			if err != nil {
				t.Errorf("%s/%s: %v", c.name, file, err)
				continue
			}
			out, err := onnx.EncodeValue("", v)
			if err != nil {
				t.Errorf("%s/%s: %v", c.name, file, err)
				continue
			}
			want, got := valueProto(typ), valueProto(typ)
			if err := proto.Unmarshal(data, want); err != nil {
				t.Fatal(err)
			}
			if err := proto.Unmarshal(out, got); err != nil {
				t.Fatal(err)
			}
			if w, ok := want.(*onnxpb.TensorProto); ok {
				w.Name = nil
			}
			if !proto.Equal(normalValue(want), normalValue(got)) {
				t.Errorf("%s/%s: -want +got\n%s", c.name, file, cmp.Diff(want, got, protocmp.Transform()))
			}
		}
	}
	if n < 4000 {
		t.Errorf("only %d values", n)
	}
}

func TestEverythingRoundTrip(t *testing.T) {
	m := roundTrip(t, file(t, everything))
	c := m.Clone()
	out, err := onnx.Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, out)
}
