package quantize

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// DynamicConfig says how Dynamic quantises. The zero value quantises all that
// can be, to int8 weights with a scale for each output channel, symmetric.
type DynamicConfig struct {
	Selection
	// Weights is the type of quantised weights: Int8 (default) or Uint8.
	Weights tensor.DType
	// PerTensor gives weights one scale each instead of one for each output channel.
	PerTensor bool
	// Asymmetric gives weights zero points, so that all codes are used where
	// values are not centred on 0. Convolutions have one scale then, since
	// ONNX Runtime has one zero point for all channels. LSTM stays symmetric.
	Asymmetric bool
	// ReduceRange uses 7 bits of a weight: on processors without VNNI, ONNX
	// Runtime's products of uint8 and int8 saturate with 8; those with Uint8
	// weights, and this runtime's, do not.
	ReduceRange bool
	// MinElements is the size below which weights stay; 0: 256.
	MinElements int
	// Threads bounds the goroutines; below 2: one. Results do not depend on it.
	Threads int
}

// Dynamic rewrites m so that it stores weights in bytes and multiplies integers,
// quantising activations by their range when it runs. What it writes, as
// onnxruntime.quantization does:
//
//	MatMul, Gemm  DynamicQuantizeLinear → MatMulInteger → Cast → Mul by both scales → Add bias
//	Conv          the same with ConvInteger
//	LSTM          com.microsoft.DynamicQuantizeLSTM
//	GRU, RNN, com.microsoft.Attention   weights are stored in bytes, with a DequantizeLinear: there is no
//	              operator of integers for them, so they compute in float32
//	Add           a table, such as that of positions, is stored in float16 with a Cast: in bytes,
//	              its error would be as large as that of all products together
//	Gather        rows of a table are gathered as bytes and scaled after that; scales of
//	              rows of less than 256 elements are float16
//
// The scale of a channel is the one near that of its greatest weight which has the least
// squared error. Weights are rounded so that the errors of each channel cancel (SQuant).
//
// An activation that several nodes read is quantised once, weights that several
// nodes read are stored once. Weights that are not constant, have NaN or infinity,
// or are small, stay, and the Summary says why; so does it of MatMul with weights
// of more than two dimensions unless they have one scale (they get one), and of
// LSTM with layout 1. Model-local functions are inlined; below opset 13 the model
// is converted to it. A quantised model in which nothing is left to quantise is an
// error that wraps ErrQuantized. On an error m is unchanged. m must not be used by others meanwhile.
//
// Sources: https://onnx.ai/onnx/operators/onnx__DynamicQuantizeLinear.html,
// https://onnx.ai/onnx/operators/onnx__MatMulInteger.html,
// https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
func Dynamic(m *onnx.Model, c DynamicConfig) (*Summary, error) {
	switch c.Weights {
	case tensor.Undefined:
		c.Weights = tensor.Int8
	case tensor.Int8, tensor.Uint8:
	default:
		return nil, fmt.Errorf("quantize: weights are %v, want int8 or uint8", c.Weights)
	}
	if c.MinElements == 0 {
		c.MinElements = 256
	}
	g, err := gridOf(c.Weights, !c.Asymmetric, c.ReduceRange)
	if err != nil {
		return nil, err
	}
	r, err := rewrite(m, 13)
	if err != nil {
		return nil, err
	}
	if err := c.Check(r.m.Graph); err != nil {
		return nil, fmt.Errorf("quantize: %w", err)
	}
	if err := r.foldWeights(); err != nil {
		return nil, err
	}
	r.tie()
	d := &dynamic{
		rewriting: r, c: c, grid: g, p: par.P{Threads: c.Threads},
		weights:     map[byteKey]*storedWeight{},
		activations: map[activationKey][]*onnx.Value{},
	}
	s := &Summary{}
	r.eachNode(func(n *onnx.Node) {
		f := d.handler(n)
		if f == nil {
			return
		}
		ch := Change{Node: NodeName(n), Op: n.Op}
		var ok bool
		if ok, ch.Reason = c.Allows(n); ok {
			if ch.Format, ch.Reason = f(n); ch.Reason != "" {
				ch.Format = ""
				if slices.ContainsFunc(n.In[min(1, len(n.In)):], dequantized) { // its weights are integers
					ch.Reason = quantizedAlready
				}
			}
		}
		s.Changes = append(s.Changes, ch)
	})
	dropTraces(r.m.Graph)
	if err := r.finishModel(m, s); err != nil {
		return nil, err
	}
	return s, nil
}

// dynamic is one run of Dynamic.
type dynamic struct {
	*rewriting
	c           DynamicConfig
	grid        grid // of weights
	p           par.P
	weights     map[byteKey]*storedWeight
	activations map[activationKey][]*onnx.Value // what DynamicQuantizeLinear gave
}

type activationKey struct {
	v *onnx.Value
	g *onnx.Graph // where it was quantised
}

// handler returns what quantises n, nil if nothing does.
func (d *dynamic) handler(n *onnx.Node) func(*onnx.Node) (format, reason string) {
	switch n.Domain + "." + n.Op {
	case ".MatMul":
		return d.matMul
	case ".Gemm":
		return d.gemm
	case ".Conv":
		return d.conv
	case ".LSTM":
		return d.lstm
	case ".GRU", ".RNN":
		return func(n *onnx.Node) (string, string) { return d.stored(n, 1, 2) }
	case msDomain + ".Attention":
		return func(n *onnx.Node) (string, string) { return d.stored(n, 1) }
	case ".Add":
		if i := d.tableOf(n); i >= 0 {
			return func(n *onnx.Node) (string, string) { return d.halved(n, i) }
		}
	case ".Gather":
		if n.In[0] != nil && n.In[0].Type.DType != tensor.Float32 { // most gather sizes
			return nil
		}
		return d.gather
	}
	return nil
}

// activation returns v as bytes, its scale and its zero point, for a node of g.
// Where a graph around g has quantised v before, that is used.
func (d *dynamic) activation(v *onnx.Value, n *onnx.Node) []*onnx.Value {
	for g := n.Graph; g != nil; g = g.Outer {
		if q := d.activations[activationKey{v, g}]; q != nil {
			return q
		}
	}
	b := ops.NewBuilder(n.Graph)
	q := b.Ops("", "DynamicQuantizeLinear", nil, 3, v)
	if b.Err() != nil {
		return nil
	}
	b.Insert(n)
	for i, suffix := range []string{"_quantized", "_scale", "_zero_point"} {
		q[i].Name = n.Graph.FreshName(v.Name + suffix)
	}
	d.activations[activationKey{v, n.Graph}] = q
	return q
}

// float32Activation says why v cannot be quantised when the model runs; "" if it can.
func (d *dynamic) float32Activation(v *onnx.Value) string {
	switch {
	case v == nil:
		return "an input is absent"
	case v.Type.DType != tensor.Float32:
		return fmt.Sprintf("the activation is %v, want float32", v.Type)
	}
	if w, _ := d.constant(v); w != nil {
		return "both operands are constant, or the left one is"
	}
	return ""
}

// float32Weight says why w cannot be quantised; "" if it can.
func (d *dynamic) float32Weight(w *onnx.Value) string {
	switch {
	case w == nil:
		return "the weights are not constant"
	case w.Const.DType() != tensor.Float32:
		return fmt.Sprintf("the weights are %v, want float32", w.Const.DType())
	case w.Const.Len() < d.c.MinElements || w.Const.Len() == 0:
		return fmt.Sprintf("the weights have %d elements, fewer than %d", w.Const.Len(), max(1, d.c.MinElements))
	case !finiteTensor(w.Const):
		return "the weights have NaN or infinity"
	}
	return ""
}

// scaled adds what makes floats of sums, integers: y = float(sums) · (activation
// scale · weight scale) + bias, which may be nil.
func scaled(b *ops.Builder, sums, activationScale, weightScale, bias *onnx.Value) *onnx.Value {
	f := b.Op("Cast", onnx.NewAttrs("to", tensor.Float32), sums)
	y := b.Op("Mul", nil, f, b.Op("Mul", nil, activationScale, weightScale))
	if bias != nil {
		y = b.Op("Add", nil, y, bias)
	}
	return y
}

func (d *dynamic) matMul(n *onnx.Node) (format, reason string) {
	w, transposed := d.constant(n.In[1])
	if why := d.float32Weight(w); why != "" {
		return "", why
	}
	if why := d.float32Activation(n.In[0]); why != "" {
		return "", why
	}
	return d.product(n, n.In[0], w, transposed, false, 1, nil)
}

func (d *dynamic) gemm(n *onnx.Node) (format, reason string) {
	w, transposed := d.constant(n.In[1])
	if why := d.float32Weight(w); why != "" {
		return "", why
	}
	if why := d.float32Activation(n.In[0]); why != "" {
		return "", why
	}
	if intAttribute(n, "transB", 0) != 0 {
		transposed = !transposed
	}
	bias, before := scaledBias(d.rewriting, n, floatAttribute(n, "beta", 1))
	if before != nil {
		n.Graph.Insert(n, before)
	}
	return d.product(n, n.In[0], w, transposed, intAttribute(n, "transA", 0) != 0, floatAttribute(n, "alpha", 1), bias)
}

// scaledBias returns C of the Gemm n times beta, nil if there is none, and the node
// that computes it if it is not constant.
func scaledBias(r *rewriting, n *onnx.Node, beta float32) (*onnx.Value, *onnx.Node) {
	c := inputOf(n, 2)
	switch {
	case c == nil || beta == 0:
		return nil, nil
	case beta == 1:
		return c, nil
	}
	if w := c; w.Const != nil && r.home[w] != nil && w.Const.DType() == tensor.Float32 {
		t := w.Const.Clone()
		x := tensor.Data[float32](t)
		for i := range x {
			x[i] *= beta
		}
		return r.keep(w, "_scaled", t), nil
	}
	k := n.Graph.NewNode("Mul", nil, []*onnx.Value{c, n.Graph.NewConst("", tensor.Scalar(beta))}, 1)
	k.Out[0].Type = c.Type
	return k.Out[0], k
}

// product writes A · W, or A · Wᵀ, times alpha plus bias in place of n.
func (d *dynamic) product(n *onnx.Node, a, w *onnx.Value, transposed, transA bool, alpha float32, bias *onnx.Value) (format, reason string) {
	rank := w.Const.Rank()
	if rank < 2 {
		return "", fmt.Sprintf("the weights have %d dimensions, want 2", rank)
	}
	axis := 1 // of the columns of what is multiplied
	if transposed {
		axis = 0
	}
	if d.c.PerTensor || rank > 2 {
		axis = -1
	}
	q := d.activation(a, n)
	if q == nil {
		return "", fmt.Sprintf("DynamicQuantizeLinear cannot have %v", a.Type)
	}
	s := d.weight(w, axis, transposed, d.grid)
	b := ops.NewBuilder(n.Graph)
	x, codes := q[0], s.codes
	if transA {
		x = b.Op("Transpose", onnx.NewAttrs("perm", []int{1, 0}), x)
	}
	if s.turned != transposed {
		codes = b.Op("Transpose", onnx.NewAttrs("perm", []int{1, 0}), codes)
	}
	single := s.q.oneZero()
	y := b.Op("MatMulInteger", nil, x, codes, q[2], d.part(w, s, "_zero_point", s.q.zeroTensor(single, len(s.q.zeros))))
	shape := []int{len(s.q.scales)}
	if axis < 0 {
		shape = nil
	}
	y = scaled(b, y, q[1], d.part(w, s, fmt.Sprint("_scale", alpha), s.q.scaleTensor(alpha, shape...)), bias)
	return fmt.Sprintf("uint8 x %v", d.c.Weights), d.finish(b, n, y)
}

func (d *dynamic) conv(n *onnx.Node) (format, reason string) {
	w, transposed := d.constant(n.In[1])
	if why := d.float32Weight(w); why != "" {
		return "", why
	}
	if why := d.float32Activation(n.In[0]); why != "" {
		return "", why
	}
	if transposed || w.Const.Rank() < 3 {
		return "", fmt.Sprintf("the weights are %v, want at least 3 dimensions", w.Const)
	}
	axis := 0
	if d.c.PerTensor || d.c.Asymmetric {
		axis = -1
	}
	q := d.activation(n.In[0], n)
	if q == nil {
		return "", fmt.Sprintf("DynamicQuantizeLinear cannot have %v", n.In[0].Type)
	}
	s := d.weight(w, axis, false, d.grid)
	b := ops.NewBuilder(n.Graph)
	y := b.Op("ConvInteger", slices.Clone(n.Attrs), q[0], s.codes, q[2], d.part(w, s, "_zero_point", s.q.zeroTensor(true)))
	perChannel := make([]int, w.Const.Rank()-1) // broadcast over the batch and what the kernel slides over
	for i := range perChannel {
		perChannel[i] = 1
	}
	perChannel[0] = w.Const.Dim(0)
	bias := inputOf(n, 2)
	if bias != nil {
		if c := bias.Const; c != nil && d.home[bias] != nil {
			t, err := c.Reshape(perChannel...)
			if err != nil {
				return "", err.Error()
			}
			bias = d.keep(bias, "_per_channel", t)
		} else {
			bias = b.Op("Reshape", nil, bias, b.Ints(perChannel...))
		}
	}
	shape := perChannel
	if axis < 0 {
		shape = nil
	}
	y = scaled(b, y, q[1], d.part(w, s, "_scale", s.q.scaleTensor(1, shape...)), bias)
	return fmt.Sprintf("uint8 x %v", d.c.Weights), d.finish(b, n, y)
}
