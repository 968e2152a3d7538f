package gneiss

import (
	"io/fs"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// Session is a model that is ready to run; it is safe for concurrent use.
type Session = runtime.Session

// Options says how a model is opened and run. The zero value is right for most programs.
type Options = runtime.Options

// ValueInfo describes an input or output of a model.
type ValueInfo = runtime.ValueInfo

// NodeError says which node failed and what it was given.
type NodeError = runtime.NodeError

// Profile is what one run spent on each node.
type Profile = runtime.Profile

// Value is what a model takes and gives: *Tensor, *Sequence, *Optional or *Map.
type Value = tensor.Value

// The kinds of values.
type (
	Tensor   = tensor.Tensor
	Sequence = tensor.Sequence
	Optional = tensor.Optional
	Map      = tensor.Map
)

// Type is the element type and symbolic shape of a value.
type Type = onnx.Type

// DType is an element type.
type DType = tensor.DType

// Element is the set of Go types that tensors hold.
type Element = tensor.Element

// ErrClosed is returned by methods of a closed Session.
var ErrClosed = runtime.ErrClosed

// Open reads and compiles the model file at path.
func Open(path string, o Options) (*Session, error) { return runtime.Open(path, o) }

// OpenBytes compiles a model from memory; model must not change while the session is open.
func OpenBytes(model []byte, o Options) (*Session, error) { return runtime.OpenBytes(model, o) }

// OpenFS reads and compiles the model file at path in fsys, an embed.FS for example.
func OpenFS(fsys fs.FS, path string, o Options) (*Session, error) {
	return runtime.OpenFS(fsys, path, o)
}

// NewTensor returns a tensor that uses data as storage, without a copy.
// Without a shape it is a vector; a scalar is tensor.Scalar. It panics if
// len(data) is not the product of shape.
func NewTensor[T Element](data []T, shape ...int) *Tensor { return tensor.Of(data, shape...) }

// Data returns the elements of t, without a copy. It panics if T is not t's
// element type.
func Data[T Element](t *Tensor) []T { return tensor.Data[T](t) }
