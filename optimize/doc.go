// Package optimize infers types, inlines functions, converts between opsets and
// rewrites graphs.
//
// [Infer] gives every value a type. [Inline] replaces calls of functions by
// their bodies, so that only operators with kernels are left. [Run] does both
// and then applies the passes of a level; what comes out of level [Portable] is
// plain ONNX again and can be saved. [ConvertOpset] rewrites a model for another
// opset.
//
// All of them change the model they are given. None may run while another
// goroutine reads the same model.
package optimize
