package onnx_test

import (
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
)

func TestSuiteCheck(t *testing.T) {
	for _, c := range suite(t) {
		m, err := onnx.Decode(c.model, onnx.DecodeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range onnx.Check(m) {
			t.Errorf("%s: %v", c.name, p)
		}
		graphs := []*onnx.Graph{m.Graph}
		for _, f := range m.Functions {
			graphs = append(graphs, f.Graph)
		}
		for _, g := range graphs {
			if err := g.Check(); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
}
