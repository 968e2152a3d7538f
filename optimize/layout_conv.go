package optimize

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// channelOps lists the operators that have a form of their own with the
// channels last. They start the search for orders.
var channelOps = map[string]layoutRule{
	".Conv": layoutConv, "com.microsoft.FusedConv": layoutConv, ".ConvTranspose": layoutConv, ".QLinearConv": layoutConv,
	".MaxPool": layoutPool, ".AveragePool": layoutPool,
	".GlobalAveragePool": layoutGlobalPool, ".GlobalMaxPool": layoutGlobalPool,
	"com.microsoft.QLinearAveragePool": layoutQPool, "com.microsoft.QLinearGlobalAveragePool": layoutQPool,
	".InstanceNormalization": layoutGroupNorm, ".GroupNormalization": layoutGroupNorm,
	".DepthToSpace": layoutBlocks, ".SpaceToDepth": layoutBlocks,
}

// lastPlan returns a plan of n with input 0 and output 0 channels-last, if port
// is one of them or among more and p is that order.
func lastPlan(n *onnx.Node, port int, p perm, more ...int) *layoutPlan {
	if n.In[0] == nil || n.In[0].Type.Rank() != len(p) || len(p) < 3 || len(p) > 5 || !slices.Equal(p, channelsLast(len(p))) ||
		n.Out[0] == nil || n.Out[0].Type.Rank() != len(p) || port > 0 && !slices.Contains(more, port) || port < ^0 {
		return nil
	}
	for _, v := range n.Out[1:] {
		if v != nil {
			return nil
		}
	}
	pl := empty(n)
	pl.in[0], pl.out[0] = p, p
	for _, i := range more {
		if v := input(n, i); v != nil && v.Const == nil {
			if v.Type.Rank() != len(p) {
				return nil
			}
			pl.in[i] = p
		}
	}
	return pl
}

// fewChannels is a number of channels that fill less than a vector.
const fewChannels = 8

// layoutConv: the rewritten node saves some part of its arithmetic.
func layoutConv(l *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	to, weights, summand := n.Op, 1, []int(nil)
	switch n.Op {
	case "FusedConv":
		to, summand = "Conv", []int{3}
	case "QLinearConv":
		weights = 3
	}
	if !l.has(to) || weights == 1 && !isReal(n.In[0]) || input(n, 3) != nil && n.In[3].Const != nil && summand != nil {
		return nil
	}
	pl := lastPlan(n, port, p, summand...)
	if pl == nil {
		return nil
	}
	w := n.In[weights]
	if w == nil || w.Type.Rank() != len(p) {
		return nil
	}
	// Products: one per weight and position, of the output or, transposed, of the input.
	spatial := n.Out[0]
	if n.Op == "ConvTranspose" {
		spatial = n.In[0]
	}
	positions := elements(spatial)
	if c, ok := spatial.Type.Dims[1].Size(); ok && c > 0 {
		positions /= c
	} else {
		positions /= 128
	}
	pl.gain = elements(w)*positions/32 + elements(n.Out[0])
	group := max(1, int(intAttr(n, "group", 1)))
	m, known := w.Type.Dims[0].Size()
	if known = known && m > 0; known && n.Op != "QLinearConv" && n.Op != "ConvTranspose" {
		switch {
		case w.Type.Dims[1].Is(1) && group < fewChannels && (group > 1 || m < fewChannels):
			return nil // a plane after the other fills vectors
		case group == 1 && m < fewChannels:
			pl.gain += elements(w) / m * positions / 8 // otherwise what each position sees is gathered
		}
	}
	if known && n.Op == "ConvTranspose" {
		// What each pixel gives is added element by element.
		pl.gain += 2 * elements(w) / m * group * positions
	}
	if known && n.Op == "QLinearConv" {
		// What each output sees is gathered byte by byte, which few output channels do not pay for.
		pl.gain += 2 * elements(w) / m * group * positions
	}
	pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value { return b.Ops("x", to, n.Attrs, 1, in...) }
	return pl
}

func layoutPool(l *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	x := n.In[0]
	if !l.has(n.Op) || !isReal(x) && (n.Op != "MaxPool" || x.Type.DType != tensor.Int8 && x.Type.DType != tensor.Uint8) {
		return nil
	}
	pl := lastPlan(n, port, p)
	if pl == nil {
		return nil
	}
	pl.gain = elements(n.In[0])/2 + elements(n.Out[0])
	pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value { return b.Ops("x", n.Op, n.Attrs, 1, in...) }
	return pl
}

// layoutGlobalPool reduces over the spatial dimensions.
func layoutGlobalPool(l *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	pl := lastPlan(n, port, p)
	if pl == nil || !isReal(n.In[0]) {
		return nil
	}
	op := map[string]string{"GlobalAveragePool": "ReduceMean", "GlobalMaxPool": "ReduceMax"}[n.Op]
	pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
		if l.has(n.Op) {
			return b.Ops("x", n.Op, nil, 1, in[0])
		}
		axes := upTo(len(p) - 1)[1:]
		return []*onnx.Value{b.Op(op, onnx.NewAttrs("keepdims", 1), in[0], b.Ints(axes...))}
	}
	return pl
}

// layoutQPool is for operators with an attribute that says where the channels are.
func layoutQPool(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	if intAttr(n, "channels_last", 0) != 0 {
		return nil
	}
	pl := lastPlan(n, port, p)
	if pl == nil {
		return nil
	}
	pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
		return again(b, n, with(n, "channels_last", 1), in)
	}
	return pl
}

// layoutGroupNorm is for normalization over groups of channels.
func layoutGroupNorm(l *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	if !l.has("GroupNormalization") || n.Opset < 6 && n.Domain == "" || !isReal(n.In[0]) {
		return nil
	}
	as := onnx.NewAttrs("epsilon", floatAttr(n, "epsilon", 1e-5))
	switch n.Op {
	case "GroupNormalization":
		if n.Opset < 21 { // scale and bias were per group
			return nil
		}
		as = as.Set("num_groups", intAttr(n, "num_groups", 0))
	}
	pl := lastPlan(n, port, p)
	if pl == nil {
		return nil
	}
	pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
		return b.Ops("x", "GroupNormalization", as, 1, in...)
	}
	return pl
}

// layoutBlocks is for DepthToSpace and SpaceToDepth.
func layoutBlocks(l *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	if !l.has(n.Op) {
		return nil
	}
	pl := lastPlan(n, port, p)
	if pl == nil {
		return nil
	}
	as := onnx.NewAttrs("blocksize", intAttr(n, "blocksize", 0))
	if mode, err := onnx.Attribute(n, "mode", ""); err == nil && mode != "" {
		as = as.Set("mode", mode)
	}
	pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value { return b.Ops("x", n.Op, as, 1, in...) }
	return pl
}
