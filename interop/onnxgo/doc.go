// Package onnxgo makes Gneiss a backend of github.com/owulveryck/onnx-go: programs written
// against onnx-go keep their code and get the operators of Gneiss.
//
//	backend := onnxgo.NewBackend(onnxgo.Options{Opsets: map[string]int{"": 9}})
//	defer backend.Close()
//	model := onnx.NewModel(backend)
//	if err := model.UnmarshalBinary(file); err != nil {
//		return err
//	}
//	if err := model.SetInput(0, image); err != nil {
//		return err
//	}
//	if err := backend.Run(); err != nil {
//		return err
//	}
//	scores, err := model.GetOutputTensors()
//
// onnx-go decodes the file itself and hands the backend a graph of values, in which an edge
// runs from a result to each operand of its operator, with the operand's position as weight.
// That graph does not carry everything a file says:
//
//   - Opset and domain of an operator are not passed on. Options.Opsets gives them; Opsets
//     reads them from a file. An operator that ai.onnx lacks is looked for in the other domains.
//   - Attributes that are graphs, so If, Loop and Scan, are refused by onnx-go, and so are
//     element types that gorgonia.org/tensor lacks (float16, bfloat16 and the small ones),
//     initializers and tensor attributes of other types than bool, int32, int64, float32 and
//     float64, and values that are not tensors.
//   - An attribute without a type (files of IR version 1) arrives without its value.
//   - Symbolic sizes are dropped, so declared shapes are not used: shapes come from the tensors.
//
// Operands that are repeated and inputs or outputs that are left out do survive, as do
// several values with one name, which onnx-go makes of an output that is also an input.
//
// A program that does not need onnx-go's API has all of ONNX with gneiss.Open.
package onnxgo
