package quantize

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// role is how an operator's scales hang together.
type role uint8

const (
	computes role = iota // inputs and outputs have scales of their own
	moves                // outputs hold elements of input 0: they have its scale
	joins                // outputs hold elements of all inputs: all have one scale if their ranges are alike
	reads                // the output is no number to quantise
	stores               // weights are stored as integers; what it reads and computes stays in floating point
)

// same is the integer form of an operator that runs on integers as it is.
const same = "="

// staticOp is what Static knows of an operator.
type staticOp struct {
	role role
	// acts are the inputs that hold activations; nil: the first, for joins all.
	acts []int
	// weights are the inputs that hold constants with a scale per index of an axis.
	// A product of two activations has weights only if they are constant.
	weights []weightSlot
	either  bool // what is listed in weights may be computed too
	bias    int  // the input that is added in int32; 0: none
	// bounded is the interval that no result leaves, where that gives the scale (plan.given).
	bounded *Range
	// sums says that a result is a sum over all weights of one scale.
	sums bool
	// ends says that a Relu or Clip behind it works on its sums before they are rounded.
	ends bool
	// integer is the operator of format QOperator, in domain; "": there is none.
	domain, integer string
}

// weightSlot is an input that holds weights, and the axis of its output channels.
type weightSlot struct {
	input int
	axis  func(n *onnx.Node, rank int) int // -1: one scale for all
	// blocks is the axis along which blocks lie, -1: none.
	blocks func(n *onnx.Node, rank int) int
	// rows says that the dimensions before the axis are part of it: of recurrent
	// weights [d, g·h, n] each gate has rows of its own in each direction.
	rows bool
}

const microsoft = "com.microsoft"

func constAxis(k int) func(*onnx.Node, int) int { return func(*onnx.Node, int) int { return k } }

// matMulAxis is the last of two dimensions. Of more, the kernels take one scale.
func matMulAxis(back int) func(*onnx.Node, int) int {
	return func(_ *onnx.Node, rank int) int {
		if rank != 2 {
			return -1
		}
		return rank - back
	}
}

// gemmAxis is dimension k of B as it is multiplied.
func gemmAxis(k int) func(*onnx.Node, int) int {
	return func(n *onnx.Node, _ int) int {
		if t, _ := onnx.Attribute(n, "transB", int64(0)); t != 0 {
			return 1 - k
		}
		return k
	}
}

var (
	none = constAxis(-1)
	unit = &Range{0, 1}
	// upTo1 is [-1, 1], made wider so that on 8 bits 1 is a multiple of the scale.
	upTo1 = &Range{-128. / 127, 1}
	table = func(axis int, inputs ...int) (w []weightSlot) {
		for _, i := range inputs {
			w = append(w, weightSlot{input: i, axis: constAxis(axis), blocks: none})
		}
		return w
	}
	matMulWeights = []weightSlot{{input: 1, axis: matMulAxis(1), blocks: matMulAxis(2)}}
	gemmWeights   = []weightSlot{{input: 1, axis: gemmAxis(1), blocks: gemmAxis(0)}}
	// recurrent are W and R of LSTM, GRU and RNN.
	recurrent = &staticOp{role: stores, acts: []int{}, sums: true, integer: same, weights: []weightSlot{
		{input: 1, axis: constAxis(1), blocks: none, rows: true}, {input: 2, axis: constAxis(1), blocks: none, rows: true}}}
)

// staticOps are the operators that Static quantises, by domain and name. What
// scales and shifts in normalizations stays in floating point: it is small, and
// no kernel computes it in integers.
var staticOps = map[string]*staticOp{
	"Conv":          {weights: table(0, 1), bias: 2, sums: true, ends: true, integer: "QLinearConv"},
	"ConvTranspose": {weights: table(1, 1), bias: 2, ends: true},
	"Gemm":          {weights: gemmWeights, either: true, bias: 2, sums: true, ends: true, domain: microsoft, integer: "QGemm"},
	"MatMul":        {weights: matMulWeights, either: true, sums: true, ends: true, integer: "QLinearMatMul"},

	"LSTM": recurrent, "GRU": recurrent, "RNN": recurrent,
	"com.microsoft.Attention": {role: stores, acts: []int{}, sums: true, integer: same, weights: table(1, 1)},

	"Add":   {acts: []int{0, 1}, ends: true, domain: microsoft, integer: "QLinearAdd"},
	"Mul":   {acts: []int{0, 1}, ends: true, domain: microsoft, integer: "QLinearMul"},
	"Sub":   {acts: []int{0, 1}, ends: true},
	"Where": {acts: []int{1, 2}, domain: microsoft, integer: "QLinearWhere"},

	"Relu":               {integer: "Clip"},
	"Clip":               {integer: "Clip"},
	"LeakyRelu":          {domain: microsoft, integer: "QLinearLeakyRelu"},
	"Sigmoid":            {domain: microsoft, integer: "QLinearSigmoid"},
	"Softmax":            {bounded: unit, domain: microsoft, integer: "QLinearSoftmax"},
	"HardSigmoid":        {domain: microsoft, integer: "QLinearAdd"},
	"Tanh":               {bounded: upTo1, domain: microsoft, integer: "QLinearSigmoid"},
	"HardSwish":          {domain: microsoft, integer: "QLinearMul"},
	"Elu":                {},
	"Gelu":               {},
	"com.microsoft.Gelu": {},

	"AveragePool":                           {domain: microsoft, integer: "QLinearAveragePool"},
	"GlobalAveragePool":                     {domain: microsoft, integer: "QLinearGlobalAveragePool"},
	"ReduceMean":                            {domain: microsoft, integer: "QLinearGlobalAveragePool"},
	"CumSum":                                {},
	"BatchNormalization":                    {ends: true},
	"InstanceNormalization":                 {ends: true},
	"LayerNormalization":                    {ends: true},
	"com.microsoft.EmbedLayerNormalization": {acts: []int{}, weights: table(0, 2, 3, 4)},

	"MaxPool":        {role: moves, integer: same},
	"GlobalMaxPool":  {role: moves},
	"ReduceMax":      {role: moves, integer: same},
	"ReduceMin":      {role: moves, integer: same},
	"Reshape":        {role: moves, integer: same},
	"Flatten":        {role: moves, integer: same},
	"Squeeze":        {role: moves, integer: same},
	"Unsqueeze":      {role: moves, integer: same},
	"Transpose":      {role: moves, integer: same},
	"Slice":          {role: moves, integer: same},
	"Split":          {role: moves, integer: same},
	"Gather":         {role: moves, integer: same},
	"GatherElements": {role: moves, integer: same},
	"GatherND":       {role: moves, integer: same},
	"Expand":         {role: moves, integer: same},
	"Tile":           {role: moves, integer: same},
	"Identity":       {role: moves, integer: same},
	"DepthToSpace":   {role: moves, integer: same},
	"SpaceToDepth":   {role: moves, integer: same},
	"Pad":            {role: moves, integer: same},
	"Resize":         {role: moves, integer: same},
	"TopK":           {role: moves, integer: same},
	"Concat":         {role: joins, domain: microsoft, integer: "QLinearConcat"},
	"ArgMax":         {role: reads, integer: same},
}

// opOf returns what is known of n's operator, or nil.
func opOf(n *onnx.Node) *staticOp {
	name := n.Op
	if d := ops.NormalDomain(n.Domain); d != "" {
		name = d + "." + n.Op
	}
	return staticOps[name]
}

// roleOf returns the role of n: that of its operator but where attributes change it.
func (p *plan) roleOf(n *onnx.Node, op *staticOp) role {
	switch n.Op {
	case "Resize": // cubic interpolation leaves the range of its input
		if mode, _ := onnx.Attribute(n, "mode", "nearest"); mode == "cubic" {
			return computes
		}
	case "Relu", "Clip":
		if p.c.Format == QOperator { // on integers they keep the scale
			return moves
		}
	}
	return op.role
}

// masks reports whether n may exclude elements from a Softmax by values that
// samples without padding do not show, and no range of theirs holds.
func (p *plan) masks(n *onnx.Node) bool {
	switch {
	case !slices.ContainsFunc(n.Out[0].Users(), func(u *onnx.Node) bool { return u.Op == "Softmax" }):
		return false
	case n.Op == "Add" || n.Op == "Sub":
		return !slices.ContainsFunc(n.In, func(v *onnx.Value) bool { return v == nil || p.constant(v) })
	}
	return n.Op == "Where"
}

// refuses says why n's operator cannot be quantised with its attributes and
// opset, "" if it can.
func (p *plan) refuses(n *onnx.Node, op *staticOp) string {
	integers := p.c.Format == QOperator
	switch {
	case integers && op.integer == "":
		return "there is no integer operator for it"
	case p.masks(n):
		return "it masks what a Softmax reads: what is masked is far outside of any range"
	case n.Op == "Gemm":
		if alpha, _ := onnx.Attribute(n, "alpha", float32(1)); !(alpha > 0) {
			return "alpha is not positive"
		}
	case n.Op == "MaxPool" && integers && len(n.Out) > 1 && n.Out[1] != nil:
		return "there is no integer operator for it that returns indices"
	case n.Op == "BatchNormalization" && len(n.Out) > 1:
		return "it returns statistics"
	case n.Op == "Resize" && integers && p.roleOf(n, op) == computes:
		return "there is no integer operator for cubic interpolation"
	case n.Op == "Resize" && integers:
		if mode, _ := onnx.Attribute(n, "mode", "nearest"); mode != "nearest" {
			return "on integers only the nearest element is taken exactly"
		}
	case n.Op == "Clip" && integers:
		if _, _, ok := p.clipBounds(n); !ok {
			return "its bounds are not constant"
		}
	case n.Op == "ReduceMean" && integers:
		if ok, _ := p.isGlobalMean(n); !ok {
			return "there is no integer operator for means but over all dimensions behind the channels"
		}
	case n.Op == "HardSigmoid" && integers:
		if alpha, beta := hardSigmoidOf(n); !(alpha > 0) || !isFinite(alpha) || !isFinite(beta) {
			return fmt.Sprintf("there is no integer operator for it with alpha %v and beta %v", alpha, beta)
		}
	case n.Op == "Pad":
		switch x, ok := p.padValue(n); {
		case !ok:
			return "what it pads with is not constant"
		case !(x >= -tooWide && x <= tooWide):
			return fmt.Sprintf("it pads with %v", x)
		}
	case n.Op == "AveragePool" && integers:
		if d, _ := onnx.Attribute(n, "dilations", []int64(nil)); !allOnes(d) {
			return "there is no integer operator for dilated windows"
		}
	}
	return ""
}

// padValue returns what the Pad n puts in; ok is false if it is computed.
func (p *plan) padValue(n *onnx.Node) (x float32, ok bool) {
	if n.Opset < 11 {
		x, err := onnx.Attribute(n, "value", float32(0))
		return x, err == nil
	}
	if len(n.In) < 3 || n.In[2] == nil {
		return 0, true
	}
	v := n.In[2]
	if !p.constant(v) || v.Const.DType() != tensor.Float32 || v.Const.Len() != 1 {
		return 0, false
	}
	return tensor.Data[float32](v.Const)[0], true
}

func allOnes(d []int64) bool {
	for _, x := range d {
		if x != 1 {
			return false
		}
	}
	return true
}
