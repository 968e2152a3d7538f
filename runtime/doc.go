// Package runtime compiles a model to a flat program and runs it.
//
// [Open], [OpenBytes], [OpenFS] and [New] make a [Session]: functions are
// inlined, the graph is optimised, every node's kernel is built and its constants
// are packed. A Session is immutable: any number of goroutines may call
// [Session.Run] at once, each with memory of its own.
//
// A run binds its inputs, then executes the instructions in order. The first
// runs with given input shapes take buffers from free lists; when shapes come
// again, the allocations are recorded and placed in one slab that later runs use.
// [Session.RunInto] writes to tensors of the caller, [Session.RunInPlace] over inputs, [Session.Profile] times every
// node. The context of a run is polled between instructions and between the
// chunks of parallel loops.
//
// Products, convolutions, attention and recurrent layers take subnormal numbers
// for zero on x86, where they would be a hundred times slower; so do Gelu, Swish and the like.
//
// Nothing that a model, a tensor or a request contains makes these functions
// panic. A failing node is reported as a [NodeError]: its path through nested
// graphs, its operator, the types of its inputs and the cause.
package runtime
