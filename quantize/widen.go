package quantize

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/tensor"
)

// typed lists the operators whose result has the element type that an attribute names.
var typed = map[string]string{
	"Cast": "to", "RandomNormal": "dtype", "RandomNormalLike": "dtype", "RandomUniform": "dtype", "RandomUniformLike": "dtype",
	"EyeLike": "dtype", "Bernoulli": "dtype", "BlackmanWindow": "output_datatype", "HannWindow": "output_datatype", "HammingWindow": "output_datatype",
}

// Widen makes a model of float16 or bfloat16 compute in float32, which Dynamic and Static quantise:
// constants, what nodes compute and what they name as their type. Inputs and outputs of the model keep their
// types, with a Cast. It reports whether there was anything to widen; if not, and on an
// error, m is unchanged. Functions of the model are inlined. A sequence or optional of such values is an error.
func Widen(m *onnx.Model) (bool, error) {
	if m.Graph == nil {
		return false, fmt.Errorf("quantize: %w: the model has no graph", onnx.ErrInvalid)
	}
	k := m.Clone()
	if err := optimize.Inline(k, nil); err != nil {
		return false, err
	}
	if err := optimize.Infer(k, optimize.InferOptions{}); err != nil {
		return false, err
	}
	w := widening{kept: map[*onnx.Value]tensor.DType{}}
	root := k.Graph
	for _, v := range root.Inputs {
		if v.Const == nil && isHalf(v.Type.DType) {
			w.kept[v] = v.Type.DType
		}
	}
	outs := make([]tensor.DType, len(root.Outputs))
	for i, v := range root.Outputs {
		outs[i] = v.Type.DType
	}
	root.Walk(w.graph)
	if w.err != nil || !w.some {
		return false, w.err
	}
	outputs := root.Outputs
	root.Outputs = nil // an input that is returned stays as it is
	for i, v := range root.Inputs {
		if d, ok := w.kept[v]; ok {
			c := castTo(root, v, tensor.Float32)
			root.Replace(v, c.Out[0])
			c.SetInput(0, v)
			var first *onnx.Node
			if len(root.Nodes) > 0 {
				first = root.Nodes[0]
			}
			root.Insert(first, c)
			root.Inputs[i], v.Type.DType = v, d
		}
	}
	root.Outputs = outputs
	for i, v := range root.Outputs {
		if !isHalf(outs[i]) || v.Type.DType == outs[i] {
			continue
		}
		c := castTo(root, v, outs[i])
		root.Insert(nil, c)
		root.Outputs[i] = c.Out[0]
		if v.From != nil {
			c.Out[0].Name, v.Name = v.Name, c.Out[0].Name
		}
	}
	root.RebuildUses()
	if err := optimize.Infer(k, optimize.InferOptions{}); err != nil {
		return false, fmt.Errorf("quantize: in float32: %w", err)
	}
	if err := root.Check(); err != nil {
		return false, fmt.Errorf("quantize: in float32: %w", err)
	}
	m.Graph, m.Opsets, m.IRVersion, m.Functions = k.Graph, k.Opsets, k.IRVersion, k.Functions
	return true, nil
}

func isHalf(d tensor.DType) bool { return d == tensor.Float16 || d == tensor.BFloat16 }

func castTo(g *onnx.Graph, v *onnx.Value, d tensor.DType) *onnx.Node {
	n := g.NewNode("Cast", onnx.NewAttrs("to", d), []*onnx.Value{v}, 1)
	n.Out[0].Name = g.FreshName(v.Name + "_" + d.String())
	n.Out[0].Type = v.Type
	n.Out[0].Type.DType = d
	return n
}

// widening is one run of Widen.
type widening struct {
	kept map[*onnx.Value]tensor.DType // inputs of the model that keep their type
	some bool
	err  error
}

func (w *widening) graph(g *onnx.Graph) {
	for _, v := range g.Inputs {
		w.value(v)
	}
	for _, v := range g.Consts {
		w.value(v)
	}
	for _, n := range g.Nodes {
		for i, a := range n.Attrs {
			if t, ok := a.Value.(*tensor.Tensor); ok {
				n.Attrs[i].Value = w.tensor(t)
			}
		}
		if name := typed[n.Op]; name != "" && n.Domain == "" {
			if d := tensor.DType(intAttribute(n, name, 0)); isHalf(d) {
				n.Attrs = append(n.Attrs.Without(name), onnx.NewAttrs(name, tensor.Float32)...)
				w.some = true
			}
		}
		for _, v := range n.Out {
			if v != nil {
				w.value(v)
			}
		}
	}
}

func (w *widening) value(v *onnx.Value) {
	if v.Const != nil {
		v.Const = w.tensor(v.Const)
	}
	t := &v.Type
	if t.Kind != onnx.TensorKind && t.Kind != onnx.UnknownKind {
		if e := t.Elem; e != nil && isHalf(e.DType) && w.err == nil {
			w.err = fmt.Errorf("quantize: value %q is %v, which is not made float32", v.Name, v.Type)
		}
		return
	}
	if isHalf(t.DType) {
		t.DType, w.some = tensor.Float32, true
	}
}

// tensor returns t in float32 if it is of 16 bits.
func (w *widening) tensor(t *tensor.Tensor) *tensor.Tensor {
	if t == nil || !isHalf(t.DType()) {
		return t
	}
	w.some = true
	wide := tensor.New(tensor.Float32, t.Shape()...)
	tensor.WidenTo(tensor.Data[float32](wide), t, 0)
	return wide
}
