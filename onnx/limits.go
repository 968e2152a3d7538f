package onnx

import "fmt"

// Limits bound what a file may ask for. They keep a hostile file from using
// much more memory or stack than its own size; no known exporter comes near
// them. The zero value of a field means the default below.
type Limits struct {
	// Depth is how deep graphs may nest in attributes, types in types and
	// values in values: each level is a level of recursion here and in every
	// pass. The default of 64 is ten times what loops in loops need.
	Depth int
	// Nodes is the number of nodes in all graphs and functions together. A node
	// takes some 300 bytes of memory and may take 10 bytes in the file. The
	// default is 4194304: unrolled models of 100 layers have less than 100 000.
	Nodes int
	// Name is the length in bytes of one name (of a value, node, operator,
	// attribute, dimension). Names are repeated in messages and maps. The
	// default is 65536; scoped names of exporters stay below 1000.
	Name int
	// Rank is the number of dimensions of a tensor. The default is 64, as in NumPy.
	Rank int
}

func (l Limits) withDefaults() Limits {
	def := func(x *int, d int) {
		if *x <= 0 {
			*x = d
		}
	}
	def(&l.Depth, 64)
	def(&l.Nodes, 1<<22)
	def(&l.Name, 1<<16)
	def(&l.Rank, 64)
	return l
}

// sentinelError is an error whose message does not repeat the sentinel's.
type sentinelError struct {
	msg  string
	kind error
}

func (e *sentinelError) Error() string { return e.msg }
func (e *sentinelError) Unwrap() error { return e.kind }

func invalid(format string, args ...any) error {
	return &sentinelError{fmt.Sprintf(format, args...), ErrInvalid}
}

func overLimit[T int | int64](what string, got, limit T) error {
	return &sentinelError{fmt.Sprintf("%s is %d, limit is %d", what, got, limit), ErrLimit}
}
