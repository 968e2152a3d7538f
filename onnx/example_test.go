package onnx_test

import (
	"bytes"
	"fmt"
	"os"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Build a model, write it, read it back and print it.
func Example() {
	m := &onnx.Model{IRVersion: 10, Opsets: map[string]int{"": 21}}
	m.Graph = onnx.NewGraph("scale", m.Opsets)
	g := m.Graph
	x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(2)))
	w := g.NewConst("w", tensor.Of([]float32{2, 3}))
	mul := g.NewNode("Mul", nil, []*onnx.Value{x, w}, 1)
	mul.Out[0].Name, mul.Out[0].Type = "y", x.Type
	g.Insert(nil, mul)
	g.Outputs = mul.Out

	data, err := onnx.Encode(m)
	if err != nil {
		panic(err)
	}
	again, err := onnx.Decode(data, onnx.DecodeOptions{})
	if err != nil {
		panic(err)
	}
	if err := again.Text(os.Stdout, onnx.TextOptions{}); err != nil {
		panic(err)
	}
	// Output:
	// model ir_version 10, opset 21
	// graph "scale" (x: float32[N,2]) -> (y: float32[N,2]) {
	//   const w: float32[2] = [2 3]
	//   y: float32[N,2] = Mul(x, w)
	// }
}

func ExampleCheck() {
	m := &onnx.Model{IRVersion: 10, Opsets: map[string]int{"": 21}}
	m.Graph = onnx.NewGraph("g", m.Opsets)
	x := m.Graph.AddInput("x", onnx.UnrankedType(tensor.Float32))
	n := m.Graph.NewNode("Not", onnx.NewAttrs("axis", 1), []*onnx.Value{x}, 1)
	n.Out[0].Name = "y"
	m.Graph.Insert(nil, n)
	for _, p := range onnx.Check(m) {
		fmt.Println(p)
	}
	// Output:
	// graph "g": node 0 (Not of "y"): the operator has no attribute "axis"
	// graph "g": node 0 (Not of "y"): input 0, X, has type tensor(float), want tensor(bool)
}

func ExampleEncodeTensor() {
	var file bytes.Buffer
	file.Write(onnx.EncodeTensor("x", tensor.Of([]int64{1, 2, 3})))
	name, t, err := onnx.DecodeTensor(file.Bytes())
	fmt.Println(name, t, tensor.Data[int64](t), err)
	// Output: x int64 [3] [1 2 3] <nil>
}
