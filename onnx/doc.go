// Package onnx: see the declarations.
package onnx
