// Package onnxpb is ONNX's own protobuf schema as Go types, generated from
// onnx-ml.proto and onnx-data.proto of ONNX 1.23.2 (Apache-2.0, the files are
// in the folder onnx). It gives access to every field of a file, such as the
// device configurations that package onnx only carries along:
//
//	var m onnxpb.ModelProto
//	err := proto.Unmarshal(data, &m)
//
// Package onnx does not use it to read and write files; its tests compare with it.
package onnxpb

// protoc and protoc-gen-go must be in PATH: "pip install grpcio-tools" has the
// first as "python -m grpc_tools.protoc", and
// "go install google.golang.org/protobuf/cmd/protoc-gen-go" installs the second.
//
//go:generate protoc -I. --go_out=. --go_opt=module=github.com/gneiss-run/gneiss/onnx/onnxpb --go_opt=Monnx/onnx-ml.proto=github.com/gneiss-run/gneiss/onnx/onnxpb --go_opt=Monnx/onnx-data.proto=github.com/gneiss-run/gneiss/onnx/onnxpb onnx/onnx-ml.proto onnx/onnx-data.proto
