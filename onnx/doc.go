// Package onnx is the model: its types, editing, the file codec and checks.
//
// # Reading
//
// [Open] maps a file and makes a [Model] of it; [OpenFS] and [Decode] read from
// a file system and from memory. Weights are not copied: the model's tensors
// are views of the file, those in external data of a second file in the same
// folder. [Model.Close] unmaps them. What a file may ask for is bounded by
// [Limits], and an error says where in the file it is:
//
//	onnx: m.onnx: graph "main": node 12 (Conv "conv1"): input 1: nothing is called "w"
//
// # The graph
//
// A [Graph] is a list of [Node] values in topological order, connected by pointers to [Value].
// A value knows its producer (From) and its readers (Users). Initializers are
// values with Const. Graphs nested in a node's attributes (the bodies of If,
// Loop and Scan) read the values around them directly: they hold the same *Value.
// Types ([Type]) may be partly unknown; a dimension ([Dim]) is a size, a name or
// an expression over names.
//
// Only the functions of edit.go change edges: [Graph.NewNode] makes a node that
// leaves no trace until [Graph.Insert]; [Graph.Replace] redirects the readers of
// a value; [Graph.Remove] and [Graph.Prune] take nodes out.
//
// # Checking and writing
//
// [Check] lists everything that makes a model invalid; [Graph.Check] finds broken
// edits. [Model.Text] writes a readable dump that is good for diff. [Encode],
// [Model.Write] and [Save] write ONNX, Save with large weights in a second file.
// They refuse a node that means another operator version than the model
// declares, rather than write a different model.
//
// # Values
//
// [DecodeTensor], [DecodeValue], [EncodeTensor] and [EncodeValue] read and write
// the input_0.pb files of ONNX's test data sets.
//
// What this package does not interpret (unknown fields, device configurations)
// is carried from Decode to Encode. Unknown fields inside of shapes, tensors of
// sequences, metadata and import entries are dropped. Package
// [github.com/gneiss-run/gneiss/onnx/onnxpb] has the whole schema as protobuf types,
// [github.com/gneiss-run/gneiss/onnx/schema] the signatures of all operators.
//
// A model may be read by many goroutines at a time, and changed by one.
package onnx
