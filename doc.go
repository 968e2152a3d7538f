// Package gneiss runs ONNX models in pure Go.
//
// A model is opened once and run as often as needed, from as many goroutines
// as wanted:
//
//	s, err := gneiss.Open("model.onnx", gneiss.Options{Threads: 2})
//	if err != nil {
//		return err
//	}
//	defer s.Close()
//	out, err := s.Run(ctx, map[string]gneiss.Value{"input": gneiss.NewTensor(pixels, 1, 3, 224, 224)})
//	if err != nil {
//		return err
//	}
//	scores := gneiss.Data[float32](out["logits"].(*gneiss.Tensor))
//
// This package is the front door: the names a program needs to run models. The
// house behind it: package onnx reads, writes, checks and edits models; ops
// holds the operators; optimize rewrites graphs; runtime compiles and runs
// them; tensor holds values.
package gneiss
