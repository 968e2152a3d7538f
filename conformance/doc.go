// Package conformance runs models in the layout of ONNX's backend tests: a
// folder with model.onnx and one or more test_data_set_N, each with
// input_i.pb and output_i.pb. The standard suite is such a tree.
//
// ReadSet reads one data set for a session; Suite finds the cases below a
// folder or in an archive; Run runs them and Report sums up.
package conformance
