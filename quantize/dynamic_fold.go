package quantize

import (
	"context"
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// movingOps put constants together to weights: exporters write the weights of
// recurrent operators so.
var movingOps = nameSet("Unsqueeze Squeeze Reshape Transpose Slice Concat Identity Split Flatten")

// foldWeights computes the float32 weights of products, convolutions and recurrent
// operators of the main graph that are moved constants, and lists them as initializers.
func (r *rewriting) foldWeights() error {
	var want []*onnx.Value
	for _, n := range r.m.Graph.Nodes {
		var from []int
		switch n.Op {
		case "LSTM", "GRU", "RNN":
			from = []int{1, 2}
		case "MatMul", "Gemm", "Conv":
			from = []int{1}
		}
		for _, i := range from {
			v := inputOf(n, i)
			if v == nil || v.Const != nil || !isFloat32(v) || slices.Contains(want, v) || r.m.Graph.IsOutput(v) {
				continue
			}
			if w, _ := r.constant(v); w == nil && r.moved(v, 0) {
				want = append(want, v)
			}
		}
	}
	if len(want) == 0 {
		return nil
	}
	c := r.m.Clone()
	byName := map[string]*onnx.Value{}
	for _, n := range c.Graph.Nodes {
		for _, v := range n.Out {
			if v != nil {
				byName[v.Name] = v
			}
		}
	}
	c.Graph.Inputs, c.Graph.Outputs, c.Training = nil, nil, nil
	for _, v := range want {
		c.Graph.Outputs = append(c.Graph.Outputs, byName[v.Name])
	}
	c.Graph.Prune()
	s, err := runtime.New(c, runtime.Options{Threads: 1})
	if err != nil {
		return fmt.Errorf("quantize: computing weights: %w", err)
	}
	defer s.Close()
	out, err := s.Run(context.Background(), nil)
	if err != nil {
		return fmt.Errorf("quantize: computing weights: %w", err)
	}
	for _, v := range want {
		k := r.m.Graph.AddConst(r.m.Graph.NewConst(r.m.Graph.FreshName(v.Name+"_folded"), out[v.Name].(*tensor.Tensor)))
		r.home[k] = r.m.Graph
		for _, u := range slices.Clone(v.Users()) {
			for i, in := range u.In {
				if in == v {
					u.SetInput(i, k)
				}
			}
		}
	}
	return nil
}

// moved reports whether v comes from constants by moves alone.
func (r *rewriting) moved(v *onnx.Value, depth int) bool {
	switch {
	case v.Const != nil:
		return r.home[v] != nil
	case v.From == nil || v.From.Graph != r.m.Graph || depth > 16:
		return false
	case v.From.Domain == "" && v.From.Op == "Constant":
		return true
	case v.From.Domain != "" || !movingOps[v.From.Op]:
		return false
	}
	for _, in := range v.From.In {
		if in != nil && !r.moved(in, depth+1) {
			return false
		}
	}
	return true
}
