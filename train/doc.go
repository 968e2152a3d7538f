// Package train trains ONNX graphs.
//
// Forward, backward and update are one graph that one session runs: [Gradient]
// appends the nodes that compute gradients, so the rewrites, kernels and the
// memory plan of inference serve training too.
package train
