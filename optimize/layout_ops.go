package optimize

import (
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// anyOrder lists the operators that work in any order of dimensions, with
// other attributes or axes.
var anyOrder = map[string]layoutRule{
	".PRelu": since(7, layoutElementwise), ".Clip": layoutFirst,
	".Concat": layoutConcat, "com.microsoft.QLinearConcat": layoutQConcat,
	".Split": layoutSplit, ".Slice": layoutSlice, ".Pad": layoutPad, ".Expand": layoutExpand, ".Tile": since(6, layoutTile),
	".Resize": layoutResize, ".Upsample": since(7, layoutUpsample),
	".Softmax": since(13, axisRule(-1)), ".LogSoftmax": since(13, axisRule(-1)), ".Hardmax": since(13, axisRule(-1)),
	".LpNormalization": axisRule(-1), ".TopK": axisRule(-1), ".CumSum": layoutCumSum,
	".ArgMax": layoutArg, ".ArgMin": layoutArg, ".Gather": layoutGather,
	".QuantizeLinear": layoutQuantize, ".DequantizeLinear": layoutQuantize,
	"com.microsoft.QuantizeLinear": layoutQuantize, "com.microsoft.DequantizeLinear": layoutQuantize,
	".DynamicQuantizeLinear": layoutFirst,
	".BatchNormalization":    layoutBatchNorm, ".LayerNormalization": layoutNorm, ".RMSNormalization": layoutNorm,
	".MatMul": layoutMatMul, "x.MatMul": layoutMatMul,
	".Transpose": layoutTranspose, ".Shape": layoutShape, ".Size": layoutFirst0,
	".Reshape": layoutReshape, ".Flatten": layoutReshape, ".Squeeze": layoutReshape, ".Unsqueeze": layoutReshape,
	"x.Lookup": layoutFirst, "com.microsoft.QLinearSigmoid": layoutFirst, "com.microsoft.QLinearLeakyRelu": layoutFirst,
	"com.microsoft.QLinearAdd": layoutQBinary, "com.microsoft.QLinearMul": layoutQBinary,
}

// elementwise lists the operators that go element by element over input 0, of whatever type.
var elementwise = []string{"Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "Ceil", "Celu", "Cos", "Cosh",
	"Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu", "Log",
	"Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign",
	"Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu", "CastLike"}

// The operators that broadcast all their inputs, by the opset that made them so.
var (
	broadcastSince7 = []string{"Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Greater", "Less"}
	broadcastSince8 = []string{"Max", "Min", "Sum", "Mean", "GreaterOrEqual", "LessOrEqual", "Mod", "BitShift", "BitwiseAnd", "BitwiseOr",
		"BitwiseXor", "Where"}
)

func init() {
	for _, op := range elementwise {
		anyOrder["."+op] = layoutFirst
	}
	for _, op := range []string{"Gelu", "QuickGelu"} {
		anyOrder["com.microsoft."+op] = layoutFirst
	}
	for _, op := range broadcastSince7 {
		anyOrder["."+op] = since(7, layoutElementwise)
	}
	for _, op := range broadcastSince8 {
		anyOrder["."+op] = since(8, layoutElementwise)
	}
	for _, op := range []string{"L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"} {
		anyOrder[".Reduce"+op] = layoutReduce
	}
}

// since restricts a rule to nodes of an opset on, with other semantics before.
func since(opset int, r layoutRule) layoutRule {
	return func(l *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
		if n.Opset < opset {
			return nil
		}
		return r(l, n, port, p)
	}
}

// again makes n once more with other attributes and inputs.
func again(b *ops.Builder, n *onnx.Node, as onnx.Attrs, in []*onnx.Value) []*onnx.Value {
	k := b.G.NewNodeIn(n.Domain, n.Op, as, in, len(n.Out))
	k.Opset, k.Overload = n.Opset, n.Overload
	for i, v := range n.Out {
		if v == nil {
			k.Out[i] = nil
		}
	}
	return b.Add(k)
}

// with returns n's attributes with one of them changed.
func with(n *onnx.Node, name string, v any) onnx.Attrs {
	return append(n.Attrs.Without(name), onnx.NewAttrs(name, v)...)
}

// empty returns a plan of n that leaves all orders as they are.
func empty(n *onnx.Node) *layoutPlan {
	return &layoutPlan{in: make([]perm, len(n.In)), out: make([]perm, len(n.Out))}
}

// keepsOrder returns a plan for input 0 and all outputs in order p, if port is
// one of them and all have p's rank. The attributes are those of n but as.
func keepsOrder(n *onnx.Node, port int, p perm, as onnx.Attrs) *layoutPlan {
	if port > 0 || n.In[0] == nil || n.In[0].Type.Rank() != len(p) {
		return nil
	}
	pl := empty(n)
	pl.in[0] = p
	for i, v := range n.Out {
		if v == nil {
			continue
		}
		if v.Type.Rank() != len(p) {
			return nil
		}
		pl.out[i] = p
	}
	pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value { return again(b, n, as, in) }
	return pl
}

// layoutFirst is for operators that go element by element over input 0 and
// have no axes; other inputs are parameters of the whole.
func layoutFirst(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	if n.Op == "DynamicQuantizeLinear" {
		if port > 0 || port < ^0 || n.In[0].Type.Rank() != len(p) {
			return nil
		}
		pl := empty(n)
		pl.in[0], pl.out[0] = p, p
		pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value { return again(b, n, n.Attrs, in) }
		return pl
	}
	pl := keepsOrder(n, port, p, n.Attrs)
	if pl != nil && n.In[0].From != nil && n.In[0].Uses() == 1 && n.In[0].From.Op == "ConvTranspose" {
		pl.gain = viewCost // it can be joined with the convolution there
	}
	return pl
}

// layoutFirst0 is for operators whose result does not depend on the order.
func layoutFirst0(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	if port != 0 {
		return nil
	}
	pl := empty(n)
	pl.in[0] = p
	pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value { return again(b, n, n.Attrs, in) }
	return pl
}

// layoutElementwise is for operators that broadcast all their inputs.
func layoutElementwise(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	return broadcasting(n, port, p, func(int) bool { return true })
}

// layoutQBinary: A, A_scale, A_zero_point, B, B_scale, B_zero_point, C_scale, C_zero_point.
func layoutQBinary(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	return broadcasting(n, port, p, func(i int) bool { return i == 0 || i == 3 })
}

// broadcasting plans an operator that broadcasts the inputs that data tells of;
// other inputs are parameters of the whole.
func broadcasting(n *onnx.Node, port int, p perm, data func(int) bool) *layoutPlan {
	pl := empty(n)
	for i, v := range n.Out {
		if v == nil || v.Type.Rank() != len(p) {
			return nil
		}
		pl.out[i] = p
	}
	for i, v := range n.In {
		if v == nil || !data(i) {
			continue
		}
		r := v.Type.Rank()
		if r < 0 || r > len(p) {
			return nil
		}
		if r == len(p) && v.Const == nil && !scalarLike(v) {
			pl.in[i] = p
		}
	}
	if port >= 0 && pl.in[port] == nil {
		return nil
	}
	pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
		in = slices.Clone(in)
		for i, v := range in {
			if v != nil && data(i) && pl.in[i] == nil {
				in[i] = bring(b, v, p)
			}
		}
		return again(b, n, n.Attrs, in)
	}
	return pl
}

// scalarLike reports whether v has a single element, whatever its rank.
func scalarLike(v *onnx.Value) bool {
	for _, d := range v.Type.Dims {
		if !d.Is(1) {
			return false
		}
	}
	return v.Type.Ranked
}

// bring returns v, an operand that broadcasting aligns at the end, for a
// result in order p.
func bring(b *ops.Builder, v *onnx.Value, p perm) *onnx.Value {
	if scalarLike(v) {
		return v
	}
	if k := len(p) - v.Type.Rank(); k > 0 {
		axes := make([]int, k)
		for i := range axes {
			axes[i] = i
		}
		v = b.Op("Unsqueeze", nil, v, b.Ints(axes...))
	}
	return b.Op("Transpose", onnx.NewAttrs("perm", []int(p)), v)
}

// axisOf returns where axis of n's input 0 is in order p.
func axisOf(axis int, p perm) (int, bool) {
	if axis < 0 {
		axis += len(p)
	}
	i := slices.Index(p, axis)
	return i, i >= 0
}

// axisRule is for operators with an attribute axis.
func axisRule(def int) layoutRule {
	return func(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
		axis, ok := axisOf(int(intAttr(n, "axis", int64(def))), p)
		if !ok {
			return nil
		}
		return keepsOrder(n, port, p, with(n, "axis", axis))
	}
}

func layoutConcat(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	def := int64(0)
	if n.Opset < 4 {
		def = 1
	}
	return concatOf(n, port, p, def, func(int) bool { return true })
}

// layoutQConcat: Y_scale, Y_zero_point, then X, X_scale, X_zero_point of each.
func layoutQConcat(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	return concatOf(n, port, p, 0, func(i int) bool { return i >= 2 && i%3 == 2 })
}

func concatOf(n *onnx.Node, port int, p perm, def int64, data func(int) bool) *layoutPlan {
	axis, ok := axisOf(int(intAttr(n, "axis", def)), p)
	if !ok || port >= 0 && !data(port) {
		return nil
	}
	pl := empty(n)
	pl.out[0] = p
	for i, v := range n.In {
		if data(i) {
			if v == nil || v.Type.Rank() != len(p) {
				return nil
			}
			pl.in[i] = p
		}
	}
	pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value { return again(b, n, with(n, "axis", axis), in) }
	return pl
}

func layoutSplit(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	axis, ok := axisOf(int(intAttr(n, "axis", 0)), p)
	if !ok {
		return nil
	}
	return keepsOrder(n, port, p, with(n, "axis", axis))
}

// places maps axes of a value to where they are in order p.
func places(axes []int, p perm) ([]int, bool) {
	out := make([]int, len(axes))
	for i, a := range axes {
		k, ok := axisOf(a, p)
		if !ok {
			return nil, false
		}
		out[i] = k
	}
	return out, true
}

func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func layoutSlice(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	axes, given, ok := constInts(n, 3, "axes")
	if !ok {
		return nil
	}
	if !given {
		k := -1
		if n.Opset < 10 {
			if starts, _, ok := constInts(n, len(n.In), "starts"); ok {
				k = len(starts)
			}
		} else if t := n.In[1].Type; t.Rank() == 1 {
			k, _ = t.Dims[0].Size()
		}
		if k <= 0 || k > len(p) {
			return nil
		}
		axes = upTo(k)
	}
	axes, ok = places(axes, p)
	if !ok {
		return nil
	}
	if n.Opset < 10 {
		return keepsOrder(n, port, p, with(n, "axes", axes))
	}
	pl := keepsOrder(n, port, p, n.Attrs)
	if pl != nil {
		pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
			in = append(slices.Clone(in), nil, nil)[:max(4, len(in))]
			in[3] = ints(b, axes, n.In[1].Type.DType)
			return again(b, n, n.Attrs, in)
		}
	}
	return pl
}

// ints makes a constant of type d, int32 or int64.
func ints(b *ops.Builder, v []int, d tensor.DType) *onnx.Value {
	if d != tensor.Int32 {
		return b.Ints(v...)
	}
	t := make([]int32, len(v))
	for i, x := range v {
		t[i] = int32(x)
	}
	return b.Const(tensor.Of(t, len(t)))
}

// pick returns elements idx of the vector v.
func pick(b *ops.Builder, v *onnx.Value, idx []int) *onnx.Value {
	return b.Op("Gather", onnx.NewAttrs("axis", 0), v, b.Ints(idx...))
}

func layoutPad(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	if n.Opset < 11 {
		name := "pads"
		if n.Opset < 2 {
			name = "paddings"
		}
		pads, _, ok := constInts(n, len(n.In), name)
		if !ok || len(pads) != 2*len(p) {
			return nil
		}
		out := make([]int, len(pads))
		for i, k := range p {
			out[i], out[len(p)+i] = pads[k], pads[len(p)+k]
		}
		return keepsOrder(n, port, p, with(n, name, out))
	}
	pl := keepsOrder(n, port, p, n.Attrs)
	if pl == nil {
		return nil
	}
	if input(n, 3) != nil {
		axes, _, ok := constInts(n, 3, "")
		if axes, ok = placesIf(axes, p, ok); !ok {
			return nil
		}
		pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
			in = slices.Clone(in)
			in[3] = ints(b, axes, n.In[3].Type.DType)
			return again(b, n, n.Attrs, in)
		}
		return pl
	}
	pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
		in = slices.Clone(in)
		idx := slices.Clone([]int(p))
		for _, k := range p {
			idx = append(idx, k+len(p))
		}
		in[1] = pick(b, in[1], idx)
		return again(b, n, n.Attrs, in)
	}
	return pl
}

func placesIf(axes []int, p perm, ok bool) ([]int, bool) {
	if !ok {
		return nil, false
	}
	return places(axes, p)
}

// vectorInput plans an operator whose input i has one element per dimension.
func vectorInput(n *onnx.Node, port int, p perm, i int) *layoutPlan {
	pl := keepsOrder(n, port, p, n.Attrs)
	v := input(n, i)
	if pl == nil || v == nil || v.Type.Rank() != 1 || !v.Type.Dims[0].Is(len(p)) {
		return nil
	}
	pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
		in = slices.Clone(in)
		in[i] = pick(b, in[i], p)
		return again(b, n, n.Attrs, in)
	}
	return pl
}

func layoutExpand(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	return vectorInput(n, port, p, 1)
}

func layoutTile(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	return vectorInput(n, port, p, 1)
}

func layoutResize(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	if n.Opset < 11 {
		return vectorInput(n, port, p, 1)
	}
	if axes, given, ok := constInts(n, len(n.In), "axes"); given {
		if axes, ok = placesIf(axes, p, ok); !ok {
			return nil
		}
		return keepsOrder(n, port, p, with(n, "axes", axes))
	}
	pl := keepsOrder(n, port, p, n.Attrs)
	if pl == nil {
		return nil
	}
	for i, v := range n.In[1:] {
		if v != nil && v.Type.Rank() != 1 {
			return nil
		}
		if v != nil && !v.Type.Dims[0].Is(0) && !v.Type.Dims[0].Is(len(p)) && !(i == 0 && v.Type.Dims[0].Is(2*len(p))) {
			return nil
		}
	}
	pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
		in = slices.Clone(in)
		for i, v := range in {
			if i == 0 || v == nil || v.Type.Dims[0].Is(0) {
				continue
			}
			idx := slices.Clone([]int(p))
			if i == 1 { // roi: starts, then ends
				for _, k := range p {
					idx = append(idx, k+len(p))
				}
			}
			in[i] = pick(b, v, idx)
		}
		return again(b, n, n.Attrs, in)
	}
	return pl
}

func layoutUpsample(l *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	if n.Opset >= 9 {
		return vectorInput(n, port, p, 1)
	}
	s, err := onnx.Attribute(n, "scales", []float32(nil))
	if err != nil || len(s) != len(p) {
		return nil
	}
	out := make([]float32, len(s))
	for i, k := range p {
		out[i] = s[k]
	}
	return keepsOrder(n, port, p, with(n, "scales", out))
}

func layoutCumSum(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	axes, given, ok := constInts(n, 1, "")
	if axes, ok = placesIf(axes, p, ok && given && len(axes) == 1); !ok {
		return nil
	}
	pl := keepsOrder(n, port, p, n.Attrs)
	if pl != nil {
		pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
			return again(b, n, n.Attrs, []*onnx.Value{in[0], b.Const(tensor.Scalar(int64(axes[0])))})
		}
	}
	return pl
}

// remaining returns the order of the dimensions that stay when axes, of what is
// kept in order p, are dropped.
func remaining(p perm, axes []int) perm {
	var q perm
	for i, k := range p {
		if slices.Contains(axes, i) {
			continue
		}
		at := k
		for _, a := range axes {
			if p[a] < k {
				at--
			}
		}
		q = append(q, at)
	}
	return q
}

func layoutReduce(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	axes, given, ok := constInts(n, 1, "axes")
	keep := intAttr(n, "keepdims", 1) != 0
	if !ok || n.In[0].Type.Rank() != len(p) {
		return nil
	}
	if len(axes) == 0 {
		if given = false; intAttr(n, "noop_with_empty_axes", 0) != 0 {
			return nil
		}
		axes = upTo(len(p))
	}
	if axes, ok = places(axes, p); !ok {
		return nil
	}
	slices.Sort(axes)
	pl := empty(n)
	switch {
	case keep && port <= 0:
		pl.out[0] = p
	case !keep && port == 0:
		pl.out[0] = remaining(p, axes)
	default:
		return nil
	}
	pl.in[0] = p
	pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
		switch {
		case !given:
			return again(b, n, n.Attrs, in)
		case input(n, 1) == nil:
			return again(b, n, with(n, "axes", axes), in)
		}
		return again(b, n, n.Attrs, []*onnx.Value{in[0], b.Ints(axes...)})
	}
	return pl
}

func layoutArg(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	axis, ok := axisOf(int(intAttr(n, "axis", 0)), p)
	if !ok || n.In[0].Type.Rank() != len(p) {
		return nil
	}
	if intAttr(n, "keepdims", 1) != 0 {
		return keepsOrder(n, port, p, with(n, "axis", axis))
	}
	if port != 0 {
		return nil
	}
	pl := empty(n)
	pl.in[0], pl.out[0] = p, remaining(p, []int{axis})
	pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value { return again(b, n, with(n, "axis", axis), in) }
	return pl
}

// layoutGather is for one index or a vector of indices.
func layoutGather(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	r := n.In[1].Type.Rank()
	if r != 0 && r != 1 || n.In[0].Type.Rank() != len(p) && port >= 0 {
		return nil
	}
	if r == 1 {
		axis, ok := axisOf(int(intAttr(n, "axis", 0)), p)
		if !ok {
			return nil
		}
		return keepsOrder(n, port, p, with(n, "axis", axis))
	}
	axis, ok := axisOf(int(intAttr(n, "axis", 0)), p)
	if port != 0 || !ok {
		return nil
	}
	pl := empty(n)
	pl.in[0], pl.out[0] = p, remaining(p, []int{axis})
	pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value { return again(b, n, with(n, "axis", axis), in) }
	return pl
}

func layoutQuantize(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	if len(n.In) < 2 || n.In[1] == nil || intAttr(n, "block_size", 0) != 0 {
		return nil
	}
	switch s := n.In[1]; {
	case scalarLike(s):
		return keepsOrder(n, port, p, n.Attrs)
	case s.Type.Rank() == 1:
		axis, ok := axisOf(int(intAttr(n, "axis", 1)), p)
		if !ok {
			return nil
		}
		return keepsOrder(n, port, p, with(n, "axis", axis))
	}
	return nil
}

// layoutBatchNorm writes what inference does as a product and a sum per channel.
func layoutBatchNorm(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	if n.Opset < 9 || intAttr(n, "training_mode", 0) != 0 || len(n.In) != 5 || len(p) < 2 {
		return nil
	}
	for _, v := range n.Out[1:] {
		if v != nil {
			return nil
		}
	}
	d := n.In[0].Type.DType
	for _, v := range n.In {
		if v == nil || v.Type.DType != d {
			return nil
		}
	}
	if d != tensor.Float32 && d != tensor.Float64 {
		return nil
	}
	pl := keepsOrder(n, port, p, n.Attrs)
	if pl == nil {
		return nil
	}
	after := len(p) - 1 - slices.Index(p, 1) // dimensions behind the channels
	pl.build = func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
		eps := b.Float(d, float64(floatAttr(n, "epsilon", 1e-5)))
		s := b.Op("Div", nil, in[1], b.Op("Sqrt", nil, b.Op("Add", nil, in[4], eps)))
		t := b.Op("Sub", nil, in[2], b.Op("Mul", nil, in[3], s))
		if after > 0 {
			axes := b.Ints(upTo(after + 1)[1:]...)
			s, t = b.Op("Unsqueeze", nil, s, axes), b.Op("Unsqueeze", nil, t, axes)
		}
		out := make([]*onnx.Value, len(n.Out))
		out[0] = b.Op("Add", nil, b.Op("Mul", nil, in[0], s), t)
		return out
	}
	return pl
}

// layoutNorm is for normalization over the last dimensions, if they stay where they are.
func layoutNorm(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	axis := int(intAttr(n, "axis", -1))
	if axis < 0 {
		axis += len(p)
	}
	for i := max(axis, 0); i < len(p); i++ {
		if p[i] != i {
			return nil
		}
	}
	if axis < 0 || len(n.Out) > 1 {
		return nil
	}
	for _, v := range n.In[1:] {
		if v != nil && v.Type.Rank() != len(p)-axis {
			return nil
		}
	}
	return keepsOrder(n, port, p, n.Attrs)
}

// layoutMatMul is for products with a matrix, if the last dimension stays.
func layoutMatMul(_ *layouter, n *onnx.Node, port int, p perm) *layoutPlan {
	k := len(p) - 1
	if k < 1 || p[k] != k || len(n.In) < 2 || n.In[1] == nil || n.In[1].Type.Rank() != 2 || n.In[0].Type.Rank() != len(p) || port > 0 {
		return nil
	}
	for _, a := range n.Attrs {
		if strings.HasPrefix(a.Name, "trans") && intAttr(n, a.Name, 0) != 0 && a.Name != "transB" || strings.HasPrefix(a.Name, "perm") {
			return nil
		}
	}
	pl := keepsOrder(n, port, p, n.Attrs)
	if pl != nil && input(n, 3) != nil {
		if n.In[3].Type.Rank() != len(p) {
			return nil
		}
		pl.in[3] = p
	}
	return pl
}
