package optimize

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
)

// scanUp writes a Scan of opset 8, all of whose values have a batch in front, as a Scan over
// the batch around the Scan over the sequence: each element has its own states.
func scanUp(_ *converter, n *onnx.Node) error {
	if n.In[0] != nil {
		return need("Scan before opset 9 has lengths of sequences")
	}
	old, err := onnx.Attribute(n, "body", (*onnx.Graph)(nil))
	if err != nil {
		return err
	}
	directions, err := onnx.Attribute(n, "directions", []int64(nil))
	if err != nil {
		return err
	}
	scans, err := onnx.Attribute(n, "num_scan_inputs", int64(0))
	if err != nil {
		return err
	}
	in := n.In[1:]
	if old == nil || len(old.Inputs) != len(in) || len(old.Outputs) < len(n.Out) {
		return need("its body does not fit its inputs and outputs")
	}
	g := n.Graph
	batch := g.NewBody("batch")
	for _, v := range in {
		t := v.Type
		if t.Ranked && len(t.Dims) > 0 {
			t.Dims = slices.Clone(t.Dims[1:])
		}
		batch.AddInput("", t)
	}
	as := onnx.NewAttrs("body", old.CloneInto(batch, batch.Opsets, map[*onnx.Value]*onnx.Value{}), "num_scan_inputs", scans)
	if directions != nil {
		as = as.Set("scan_input_directions", directions)
	}
	inner := batch.NewNode("Scan", as, slices.Clone(batch.Inputs), len(old.Outputs))
	batch.Insert(nil, inner)
	batch.Outputs = slices.Clone(inner.Out)
	outer := g.NewNode("Scan", onnx.NewAttrs("body", batch, "num_scan_inputs", int64(len(in))), slices.Clone(in), len(old.Outputs))
	outer.Name = n.Name
	g.Insert(n, outer)
	for i, v := range n.Out {
		if v != nil {
			outer.Out[i].Type = v.Type
			name := v.Name
			g.Replace(v, outer.Out[i])
			if v.Name == name { // no output of the graph, which would have passed it on
				outer.Out[i].Name, v.Name = v.Name, outer.Out[i].Name
			}
		}
	}
	g.Remove(n)
	return nil
}

func scanDown(*converter, *onnx.Node) error {
	return need("Scan before opset 9 has a batch axis and lengths of sequences")
}
