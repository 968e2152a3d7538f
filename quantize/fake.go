package quantize

import (
	"fmt"
	"strings"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/tensor"
)

// FakeQuantized returns a copy of m that computes with the roundings of what
// Static would write, in floating point, for quantisation-aware training: weights and
// biases are initializers of floats, by the names that they have in m, and
// weights go through QuantizeLinear and DequantizeLinear. Format is QDQ whatever c says. When it is
// trained, WithWeights and Static with the same ranges make the integer model.
//
// Jacob et al., Quantization and training of neural networks for efficient
// integer-arithmetic-only inference, 2018, section 3.
func FakeQuantized(m *onnx.Model, ranges Ranges, c StaticConfig) (*onnx.Model, *Summary, error) {
	c.Format = QDQ
	k := m.Clone()
	s, err := writeStatic(k, ranges, c, false)
	if err != nil {
		return nil, nil, err
	}
	floats := map[string]*tensor.Tensor{}
	for _, v := range m.Graph.Consts {
		if v.Const != nil && v.Const.DType() == tensor.Float32 {
			floats[v.Name] = v.Const
		}
	}
	betas := map[string]float32{}
	for _, n := range m.Graph.Nodes {
		if n.Op != "Gemm" || len(n.In) < 3 || n.In[2] == nil {
			continue
		}
		b, err := onnx.Attribute(n, "beta", float32(1))
		if err != nil {
			return nil, nil, fmt.Errorf("quantize: %v: %w", n, err)
		}
		if b != 1 {
			betas[n.In[2].Name] = b
		}
	}
	g := k.Graph
	for _, n := range append([]*onnx.Node(nil), g.Nodes...) {
		if n.Op != "DequantizeLinear" || n.In[0].Const == nil {
			continue
		}
		name, _, ok := strings.Cut(n.In[0].Name, "_quantized")
		w := floats[name]
		bias := n.In[0].Const.DType() == tensor.Int32 // which is rounded finely
		if !ok || w == nil || !bias && w.Len() != n.In[0].Const.Len() {
			return nil, nil, fmt.Errorf("quantize: %v: the weight that %q was made of is not in the model", n, n.In[0].Name)
		}
		if !bias {
			if w, err = w.Reshape(n.In[0].Const.Shape()...); err != nil {
				return nil, nil, fmt.Errorf("quantize: %v: %w", n, err)
			}
		}
		v := find(g, name)
		if v == nil {
			v = g.NewConst(name, w)
			g.AddConst(v)
		}
		if bias {
			for _, u := range n.Out[0].Users() {
				if b, ok := betas[name]; ok && u.Op == "Gemm" { // Static has multiplied the bias by it
					u.Attrs = u.Attrs.Set("beta", b)
				}
			}
			g.Replace(n.Out[0], v)
			g.Remove(n)
			continue
		}
		in := append([]*onnx.Value{v}, n.In[1:]...)
		if len(in) == 2 { // QuantizeLinear would give uint8
			zero := g.AddConst(g.NewConst(g.FreshName(name+"_zero_point"), tensor.New(n.In[0].Const.DType(), n.In[1].Const.Shape()...)))
			n.SetInput(2, zero)
			in = append(in, zero)
		}
		q := g.NewNode("QuantizeLinear", n.Attrs, in, 1)
		q.Out[0].Name = g.FreshName(name + "_q")
		q.Out[0].Type = n.In[0].Type
		g.Insert(n, q)
		n.SetInput(0, q.Out[0])
	}
	g.Prune()
	if err := optimize.Infer(k, optimize.InferOptions{}); err != nil {
		return nil, nil, fmt.Errorf("quantize: %w", err)
	}
	return k, s, nil
}

func find(g *onnx.Graph, name string) *onnx.Value {
	for _, v := range g.Consts {
		if v.Name == name {
			return v
		}
	}
	return nil
}

// WithWeights returns a copy of m whose initializers of floats have the values
// that trained, made by FakeQuantized of m and trained then, has for them.
func WithWeights(m, trained *onnx.Model) (*onnx.Model, error) {
	k := m.Clone()
	for _, v := range k.Graph.Consts {
		w := find(trained.Graph, v.Name)
		if v.Const == nil || w == nil || w.Const == nil || w.Const.DType() != v.Const.DType() {
			continue
		}
		x, err := w.Const.Reshape(v.Const.Shape()...)
		if err != nil {
			return nil, fmt.Errorf("quantize: weight %q: %w", v.Name, err)
		}
		v.Const = x.Clone()
	}
	return k, nil
}
