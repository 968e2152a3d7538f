package onnx_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/onnx/onnxpb"
)

// file returns the bytes of a model that is written in protobuf's text format.
func file(t testing.TB, text string) []byte {
	t.Helper()
	var m onnxpb.ModelProto
	require.NoError(t, prototext.Unmarshal([]byte(text), &m))
	b, err := proto.Marshal(&m)
	require.NoError(t, err)
	return b
}

const head = `ir_version: 8 opset_import { version: 17 } `

// float is the type of a float vector of any length.
const float = `type { tensor_type { elem_type: 1 shape { dim { dim_param: "N" } } } }`

const boolean = `type { tensor_type { elem_type: 9 shape { } } }`

// graph returns a model with an input x, an output y and what is in body.
func graph(body string) string {
	return head + `graph { name: "main" ` + body + ` input { name: "x" ` + float + ` } output { name: "y" ` + float + ` } }`
}

func decode(t testing.TB, text string) *onnx.Model {
	t.Helper()
	m, err := onnx.Decode(file(t, text), onnx.DecodeOptions{Path: "m.onnx"})
	require.NoError(t, err)
	return m
}
