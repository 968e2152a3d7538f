// Package ops holds the operators: one file each, with versions, type
// inference and kernel.
//
// [Standard] is the registry; [NewSet] adds operators of a program's own.
// [Set.Lookup] finds the [Version] of an operator that a model's opset means.
// A Version is data and three functions: Infer tells what can be known before
// running, Build makes the [Kernel] of one node (attributes are parsed,
// constants packed and the instruction set chosen there, once), and Expand, for
// operators without a kernel, writes them as other operators.
//
// A kernel sees a [Call]: inputs, and ways to get outputs, scratch memory and
// threads. It keeps no state between calls and may run any number of times at
// once. [Eval] runs one node outside of a session; [Builder] adds nodes to a graph
// and infers their types on the way.
package ops
