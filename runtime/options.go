package runtime

import (
	"log/slog"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
)

// Options says how a model is opened and run. The zero value is right for most
// programs; what is wrong with it is reported by Open.
type Options struct {
	// Threads caps the threads of one Run, the caller included. The workers are
	// shared by all sessions of the process. 0: one per CPU (GOMAXPROCS).
	Threads int
	// Level is how far the graph is rewritten. The zero value is the best level.
	Level optimize.Level
	// Disable lists passes and rules, by name, that are not used.
	Disable []string
	// Dims fixes symbolic sizes of the inputs, so that more is known when the
	// graph is optimised. Inputs must then have these sizes.
	Dims map[string]int
	// MaxMemory bounds, in bytes, what one Run may hold in intermediate and
	// output values. 0: 80% of the machine's memory.
	MaxMemory int64
	// Logger gets what Open did. Nil: nothing is logged.
	Logger *slog.Logger
	// Operators are added to the standard ones, for this session. One with the
	// domain and name of a standard operator takes its place.
	Operators []*ops.Op
	// Private allows operators of ops.Private in the model: for graphs that this
	// process built with package train. Models from outside must not have any.
	Private bool
	// NoMmap reads model files into memory instead of mapping them: for files
	// that others may truncate while they are in use.
	NoMmap bool
	// PackFile names a file in which weights are kept as kernels read them, such as the model's name with
	// ".packed" behind it. Where it has what this session packs, that is mapped instead of packed, which
	// opens large models in less than half the time, and processes share its memory. What it lacks is added
	// when the session is ready. Entries are found by the content of the weights, so a file of another
	// model or version does no harm, and deleting it neither, even while it is in use. Who may write the file
	// decides what the model computes. A file that cannot be read or written is no error; Logger is told.
	// "": nothing is kept.
	PackFile string
	// BFloat16 lets products of float32 with constant matrices (MatMul, Gemm and what is made of them) and
	// 1x1 convolutions without strides round both factors to bfloat16, where the processor multiplies these (AVX512-BF16):
	// up to twice as fast, and such weights take half the memory. Factors then have 8 bits instead of 24:
	// each is off by up to 0.2% (2^-9) of itself; sums stay float32. Elsewhere it changes nothing.
	BFloat16 bool
	// Limits bounds what a model file may contain. The zero value takes the
	// defaults of package onnx.
	Limits onnx.Limits
}
