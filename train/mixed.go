package train

import (
	"fmt"
	"maps"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// MixedPrecision has steps compute in float16 or bfloat16 where most of the work is, and keep activations for the
// backward pass as such. Parameters, what the optimizer remembers, normalisations, softmax, losses, sums and all
// other operators stay float32, and so does the model that is written.
//
// MatMul, Gemm, Conv, ConvTranspose, Attention, RNN, GRU and LSTM, forward and backward, read and write 16 bits and sum in
// float32; so do biases that are added to their results, Relu and what only moves elements there. The bodies of If, Loop
// and Scan stay float32. The split is that of torch.autocast (its lists of CPU operators), after Micikevicius et al.,
// Mixed precision training, 2018. On a CPU without arithmetic of 16 bits this saves memory, not time.
type MixedPrecision struct {
	Type  tensor.DType // BFloat16 or Float16
	Scale LossScale    // for BFloat16, which has float32's range, used only if Initial is set
}

func (p *MixedPrecision) check() error {
	if p.Type != tensor.BFloat16 && p.Type != tensor.Float16 {
		return fmt.Errorf("train: Config.MixedPrecision.Type is %v, want bfloat16 or float16", p.Type)
	}
	return p.Scale.check()
}

// lowered are the operators that compute in 16 bits, with the inputs that keep their type.
var lowered = map[string][]int{
	"MatMul": nil, "Gemm": nil, "Conv": nil, "ConvTranspose": nil, "Attention": {3}, // the mask, which may hold float32's least number
	"RNN": nil, "GRU": nil, "LSTM": nil,
}

// moving are the operators that stay in 16 bits behind those: they round nothing.
var moving = []string{"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Relu"}

// autocast rewrites a graph whose results stay float32.
type autocast struct {
	g       *onnx.Graph
	to      tensor.DType
	weights map[*onnx.Value]bool
	half    map[*onnx.Value]*onnx.Value // of float32 values: the same in 16 bits
	raised  map[*onnx.Value]bool        // float32 values that were made from 16 bits
}

// lowerGraph rewrites g to compute in to where that pays. weights are inputs that are parameters.
func lowerGraph(g *onnx.Graph, to tensor.DType, weights map[*onnx.Value]bool) error {
	a := &autocast{g, to, weights, map[*onnx.Value]*onnx.Value{}, map[*onnx.Value]bool{}}
	some := false
	for _, n := range slices.Clone(g.Nodes) {
		kept, ok := lowered[n.Op]
		ok = ok && n.Domain == "" && a.float32s(n, kept)
		some = some || ok
		if !ok && !a.follows(n) {
			continue
		}
		if err := a.node(n, kept); err != nil {
			return fmt.Errorf("mixed precision: %v: %w", n, err)
		}
	}
	if !some {
		return fmt.Errorf("mixed precision: the model has no operator of float32 that it is for: %q", slices.Sorted(maps.Keys(lowered)))
	}
	g.Prune()
	return nil
}

// float32s reports whether all inputs of floating-point types but those in kept are float32.
func (a *autocast) float32s(n *onnx.Node, kept []int) bool {
	some := false
	for i, v := range n.In {
		if v == nil || !isFloat(v.Type.DType) || slices.Contains(kept, i) {
			continue
		}
		if v.Type.DType != tensor.Float32 {
			return false
		}
		some = true
	}
	return some
}

// follows reports whether n takes what it gets in 16 bits.
func (a *autocast) follows(n *onnx.Node) bool {
	if n.Domain != "" || len(n.In) == 0 {
		return false
	}
	if n.Op == "Add" {
		weight := func(v *onnx.Value) bool {
			return v.Type.DType == tensor.Float32 && (a.weights[v] || v.Const != nil)
		}
		return a.raised[n.In[0]] && weight(n.In[1]) || a.raised[n.In[1]] && weight(n.In[0])
	}
	return slices.Contains(moving, n.Op) && a.raised[n.In[0]]
}

// node puts n's twin of 16 bits, between casts, in its place.
func (a *autocast) node(n *onnx.Node, kept []int) error {
	b := ops.NewBuilder(a.g)
	in := slices.Clone(n.In)
	for i, v := range in {
		if v != nil && v.Type.DType == tensor.Float32 && !slices.Contains(kept, i) {
			if a.half[v] == nil {
				a.half[v] = b.Op("Cast", onnx.NewAttrs("to", int(a.to)), v)
			}
			in[i] = a.half[v]
		}
	}
	k := a.g.NewNodeIn(n.Domain, n.Op, slices.Clone(n.Attrs), in, len(n.Out))
	k.Opset, k.Name = n.Opset, label(n)
	for i, v := range n.Out {
		if v == nil {
			k.Out[i] = nil
		}
	}
	out := b.Add(k)
	up := make([]*onnx.Value, len(n.Out))
	for i, v := range n.Out {
		if v == nil || b.Err() != nil {
			continue
		}
		if up[i] = out[i]; out[i].Type.DType == a.to {
			up[i] = b.Op("Cast", onnx.NewAttrs("to", int(tensor.Float32)), out[i])
			a.half[up[i]], a.raised[up[i]] = out[i], true
		}
	}
	if b.Err() != nil {
		return b.Err()
	}
	b.Insert(n)
	for i, v := range n.Out {
		if v != nil {
			a.g.Replace(v, up[i])
		}
	}
	a.g.Remove(n)
	return nil
}

// keepHalves has the backward pass of g, a graph that the passes have been through, read what is kept of the
// forward pass in the type half: where a float32 value was made from one of 16 bits, or is cast to one anyway,
// that one is kept, and widened again when the backward pass comes to it. What recurrent layers keep is rounded for that.
func keepHalves(g *onnx.Graph, loss *onnx.Value, half tensor.DType) error {
	f := newForward(g, loss)
	cast := func(to tensor.DType, v *onnx.Value, at int) (*onnx.Value, error) {
		b := ops.NewBuilder(g)
		w := b.Op("Cast", onnx.NewAttrs("to", int(to)), v)
		if b.Err() != nil {
			return nil, b.Err()
		}
		w.Type = v.Type
		w.Type.DType = to
		var before *onnx.Node
		if at < len(g.Nodes) {
			before = g.Nodes[at]
		}
		b.Insert(before)
		return w, nil
	}
	type pair struct{ wide, half *onnx.Value }
	var pairs []pair
	seen := map[*onnx.Value]bool{}
	add := func(wide, h *onnx.Value) {
		if wide.From != nil && !f.keep[wide] && !seen[wide] {
			seen[wide] = true
			pairs = append(pairs, pair{wide, h})
		}
	}
	for _, n := range f.nodes {
		switch {
		case n.Domain == "" && n.Op == "Cast":
			from, to := n.In[0], n.Out[0]
			switch {
			case from.Type.DType == half && to.Type.DType == tensor.Float32:
				add(to, from)
			case from.Type.DType == tensor.Float32 && to.Type.DType == half:
				add(from, to)
			}
		case n.Domain == ops.Private && slices.Contains([]string{"LSTMTrain", "GRUTrain", "RNNTrain"}, n.Op) && n.In[0].Type.DType == half:
			for _, v := range n.Out[3:] {
				if v == nil || !f.backward(v) {
					continue
				}
				h, err := cast(half, v, slices.Index(g.Nodes, n)+1)
				if err != nil {
					return err
				}
				f.at[h.From] = f.at[n]
				add(v, h)
			}
		}
	}
	for _, p := range pairs {
		users := map[*onnx.Node]bool{}
		for _, u := range p.wide.Users() {
			if _, ok := f.at[u]; !ok && u.Graph == g {
				users[u] = true
			}
		}
		first := slices.IndexFunc(g.Nodes, func(n *onnx.Node) bool { return users[n] })
		if first < 0 {
			continue
		}
		w, err := cast(tensor.Float32, p.half, first)
		if err != nil {
			return err
		}
		for u := range users {
			for i, v := range u.In {
				if v == p.wide {
					u.SetInput(i, w)
				}
			}
		}
	}
	return nil
}
