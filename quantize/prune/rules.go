package prune

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
)

// rule couples the dimensions of a node; the text says why it cannot.
type rule func(*coupling, *onnx.Node) string

// rules lists the operators of ai.onnx that units pass through.
var rules map[string]rule

func init() { // a variable's initializer may not refer to itself through the rules
	rules = map[string]rule{
		"Conv": conv, "ConvTranspose": convTranspose, "Gemm": gemm, "MatMul": matMul, "LSTM": recurrent, "GRU": recurrent, "RNN": recurrent,
		"Attention":          attention,
		"BatchNormalization": perChannel, "InstanceNormalization": perChannel, "GroupNormalization": groupNorm,
		"LayerNormalization": layerNorm, "RMSNormalization": layerNorm,
		"Softmax": softmax, "LogSoftmax": softmax, "Hardmax": softmax,
		"Reshape": reshape, "Flatten": reshapeFree, "Squeeze": reshapeFree, "Unsqueeze": reshapeFree,
		"Transpose": transpose, "Concat": concat, "Split": split, "Slice": slice, "Gather": gather, "Expand": expand, "Pad": pad,
		"Resize": resize, "Upsample": resize, "Shape": shapeOf,
		"QuantizeLinear": quantizeLinear, "DequantizeLinear": quantizeLinear,
	}
	for r, ops := range map[*rule][]string{
		ptr(elementwise): {"Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "CastLike", "Ceil", "Celu", "Clip", "Cos", "Cosh",
			"Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu", "Log", "Mish",
			"Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Swish", "Tan",
			"Tanh", "ThresholdedRelu"},
		ptr(broadcast): {"Add", "And", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max",
			"Mean", "Min", "Mod", "Mul", "Or", "Pow", "PRelu", "Sub", "Sum", "Where", "Xor"},
		ptr(pool): {"AveragePool", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "LpPool", "MaxPool"},
		ptr(reduce): {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
			"ReduceSumSquare"},
	} {
		for _, op := range ops {
			rules[op] = *r
		}
	}
}

// positions is why the dimensions stay that an image has behind its channels.
const positions = "it takes all positions of this dimension together"

func ptr(r rule) *rule { return &r }

// input returns input i of n, nil if it is absent.
func input(n *onnx.Node, i int) *onnx.Value {
	if i < len(n.In) {
		return n.In[i]
	}
	return nil
}

// attr returns an attribute of n, or def where it is absent or of another type,
// which inference has refused before.
func attr[T any](n *onnx.Node, name string, def T) T {
	v, err := onnx.Attribute(n, name, def)
	if err != nil {
		return def
	}
	return v
}

// axisOf makes an axis of -rank to rank-1 one of 0 to rank-1.
func axisOf(a int64, rank int) int {
	if a < 0 {
		a += int64(rank)
	}
	return int(a)
}

// spread is the layout of an output that has the first axes of l and is opaque
// behind them.
func spread(out *onnx.Value, first ...axis) layout {
	l := opaques(out.Type.Dims)
	copy(l, first)
	return l
}

func elementwise(c *coupling, n *onnx.Node) string {
	l := c.layout(n.In[0])
	for _, v := range n.Out { // Dropout has a mask
		if v != nil {
			c.layouts[v] = l
		}
	}
	return ""
}

func broadcast(c *coupling, n *onnx.Node) string {
	c.layouts[n.Out[0]] = c.broadcast(n.In, len(n.Out[0].Type.Dims), 0)
	return ""
}

// broadcast matches the dimensions of values that are broadcast to a rank, all
// but the last of each.
func (c *coupling) broadcast(vs []*onnx.Value, rank, last int) layout {
	out := make(layout, rank-last)
	for _, v := range vs {
		if v == nil {
			continue
		}
		l := c.layout(v)
		for i := range len(l) - last {
			k := i + rank - len(l)
			switch {
			case v.Type.Dims[i].Is(1) || k < 0:
			case out[k] == nil:
				out[k] = l[i]
			default:
				out[k] = c.match(out[k], l[i])
			}
		}
	}
	return out
}

func conv(c *coupling, n *onnx.Node) string {
	if n.In[1].Const == nil && !c.layout(n.In[1]).labelled() {
		return "its weight is computed"
	}
	x, w := c.layout(n.In[0]), c.layout(n.In[1])
	if len(x) < 3 || len(w) != len(x) {
		return "its weight has not the rank of its input"
	}
	for _, k := range w[2:] {
		c.keepAxis(k, "it is the size of a kernel")
	}
	c.keepAll(x[2:], positions)
	if b := input(n, 2); b != nil {
		c.match(c.layout(b)[0], w[0])
	}
	c.layouts[n.Out[0]] = spread(n.Out[0], x[0], w[0])
	groups := int(attr(n, "group", int64(1)))
	if groups == 1 {
		c.match(x[1], w[1])
		return ""
	}
	in, ok1 := c.flat(x[1])
	out, ok2 := c.flat(w[0])
	depth, ok3 := c.flat(w[1])
	if !ok1 || !ok2 || !ok3 || len(in) != groups*len(depth) || len(out)%groups != 0 {
		return "its number of channels is not known"
	}
	const why = "a group of its channels is fixed"
	if len(depth) == 1 { // each input channel has outputs of its own
		per := len(out) / groups
		for k := range in {
			for j := range per {
				c.unite(in[k], out[k*per+j], why)
			}
		}
		channels := x[1]
		c.adapt = append(c.adapt, func(s *shrinker) error {
			n.Attrs = n.Attrs.Set("group", int64(s.size(channels)))
			return nil
		})
		return ""
	}
	// Every group has to keep the same number of channels.
	tie(c, in, groups, why)
	tie(c, out, groups, why)
	for j := range depth {
		c.unite(depth[j], in[j], why)
	}
	return ""
}

// tie unites what has the same place in each of several parts.
func tie(c *coupling, units []int, parts int, why string) {
	n := len(units) / parts
	for i := n; i < len(units); i++ {
		c.unite(units[i%n], units[i], why)
	}
}

func convTranspose(c *coupling, n *onnx.Node) string {
	x, w := c.layout(n.In[0]), c.layout(n.In[1])
	if len(x) < 3 || len(w) != len(x) {
		return "its weight has not the rank of its input"
	}
	for _, k := range w[2:] {
		c.keepAxis(k, "it is the size of a kernel")
	}
	c.keepAll(x[2:], positions)
	c.match(x[1], w[0])
	out := w[1]
	if groups := int(attr(n, "group", int64(1))); groups > 1 {
		if !n.In[1].Type.Dims[0].Is(groups) || !n.In[1].Type.Dims[1].Is(1) {
			return "it has groups of several channels"
		}
		out = w[0]
		c.adapt = append(c.adapt, func(s *shrinker) error {
			n.Attrs = n.Attrs.Set("group", int64(s.size(w[0])))
			return nil
		})
	}
	if b := input(n, 2); b != nil {
		c.match(c.layout(b)[0], out)
	}
	c.layouts[n.Out[0]] = spread(n.Out[0], x[0], out)
	return ""
}

func gemm(c *coupling, n *onnx.Node) string {
	a, b := slices.Clone(c.layout(n.In[0])), slices.Clone(c.layout(n.In[1]))
	if len(a) != 2 || len(b) != 2 {
		return "an input is no matrix"
	}
	if attr(n, "transA", int64(0)) != 0 {
		slices.Reverse(a)
	}
	if attr(n, "transB", int64(0)) != 0 {
		slices.Reverse(b)
	}
	c.match(a[1], b[0])
	out := layout{a[0], b[1]}
	if t := input(n, 2); t != nil {
		l := c.layout(t)
		for i := range l {
			if k := i + 2 - len(l); !t.Type.Dims[i].Is(1) {
				out[k] = c.match(out[k], l[i])
			}
		}
	}
	c.layouts[n.Out[0]] = out
	return ""
}

func matMul(c *coupling, n *onnx.Node) string {
	a, b := c.layout(n.In[0]), c.layout(n.In[1])
	if len(a) < 2 || len(b) < 2 {
		return "an input is a vector"
	}
	c.match(a[len(a)-1], b[len(b)-2])
	out := c.broadcast(n.In[:2], max(len(a), len(b)), 2)
	c.layouts[n.Out[0]] = append(out, a[len(a)-2], b[len(b)-1])
	return ""
}

// recurrent lets the input of a recurrent layer shrink; its state stays.
func recurrent(c *coupling, n *onnx.Node) string {
	x, w := c.layout(n.In[0]), c.layout(n.In[1])
	c.match(x[2], w[2])
	const why = "the state of a recurrent layer stays"
	c.keepAll(x[:2], why)
	c.keepAll(w[:2], why)
	for _, v := range n.In[2:] {
		if v != nil {
			c.keepAll(c.layout(v), why)
		}
	}
	for _, v := range n.Out {
		if v != nil {
			c.layouts[v] = opaques(v.Type.Dims)
		}
	}
	return ""
}

// attention lets heads go that are a dimension of their own: inputs of shape
// [batch, heads, sequence, size].
func attention(c *coupling, n *onnx.Node) string {
	q, k, v := c.layout(n.In[0]), c.layout(n.In[1]), c.layout(n.In[2])
	switch {
	case len(q) != 4 || len(k) != 4 || len(v) != 4:
		return "its heads are beside each other"
	case !n.In[0].Type.Dims[1].Equal(n.In[1].Type.Dims[1]) || !n.In[0].Type.Dims[1].Equal(n.In[2].Type.Dims[1]):
		return "several heads share keys and values"
	case len(n.In) > 4 || len(n.Out) > 1:
		return "it has a cache"
	}
	heads := c.match(c.match(q[1], k[1]), v[1])
	if c.match(q[3], k[3]); attr(n, "scale", float32(0)) == 0 {
		c.keepAxis(q[3], "scores are scaled by this size")
	}
	c.keepAxis(k[2], "it compares all positions with each other")
	c.keepAxis(v[2], "it compares all positions with each other")
	if mask := input(n, 3); mask != nil {
		l := c.layout(mask)
		for i, a := range l {
			if i == len(l)-3 && !mask.Type.Dims[i].Is(1) {
				c.match(a, heads)
			} else {
				c.keepAxis(a, "it is a mask of positions")
			}
		}
	}
	c.layouts[n.Out[0]] = layout{q[0], heads, q[2], v[3]}
	return ""
}

// perChannel is for operators with a parameter for each element of dimension 1.
func perChannel(c *coupling, n *onnx.Node) string {
	x := c.layout(n.In[0])
	if len(x) < 2 || len(n.Out) > 1 && slices.ContainsFunc(n.Out[1:], func(v *onnx.Value) bool { return v != nil }) {
		return "it is in training mode"
	}
	for _, v := range n.In[1:] {
		if l := c.layout(v); len(l) == 1 {
			c.match(x[1], l[0])
		}
	}
	if n.Op == "InstanceNormalization" {
		c.keepAll(x[2:], positions)
	}
	c.layouts[n.Out[0]] = x
	return ""
}

func groupNorm(c *coupling, n *onnx.Node) string {
	x := c.layout(n.In[0])
	in, ok := c.flat(x[1])
	groups := int(attr(n, "num_groups", int64(0)))
	if !ok || groups < 1 || len(in)%groups != 0 {
		return "its number of channels is not known"
	}
	const why = "a group that is normalised together is fixed"
	per, p := len(in)/groups, parting{n, 0}
	c.part(n, p.place, factor{onnx.Size(len(in)), in}, groups)
	whole := !c.inner[p] // whole groups go, else as much of each
	for _, v := range n.In[1:] {
		l := c.layout(v)
		params, ok := c.flat(l[0])
		switch {
		case ok && len(params) == len(in):
			for i := range in {
				c.unite(in[i], params[i], why)
			}
		case !ok || len(params) != groups:
			return "its scale has another size"
		case whole: // before opset 21 they are one for each group
			for i := range in {
				c.unite(in[i], params[i/per], why)
			}
		default:
			c.keepAll(l, "all groups stay")
		}
	}
	c.keepAll(x[2:], positions)
	c.layouts[n.Out[0]] = x
	if whole {
		c.adapt = append(c.adapt, func(s *shrinker) error {
			n.Attrs = n.Attrs.Set("num_groups", int64(s.size(x[1])/per))
			return nil
		})
	}
	return ""
}

func layerNorm(c *coupling, n *onnx.Node) string {
	x := slices.Clone(c.layout(n.In[0]))
	first := axisOf(attr(n, "axis", int64(-1)), len(x))
	for _, v := range n.In[1:] {
		if v == nil {
			continue
		}
		l := c.layout(v)
		for i := range l {
			if k := i + len(x) - len(l); k >= 0 && !v.Type.Dims[i].Is(1) {
				x[k] = c.match(x[k], l[i])
			}
		}
	}
	c.layouts[n.Out[0]] = x
	for _, v := range n.Out[1:] {
		if v != nil {
			c.layouts[v] = spread(v, x[:first]...)
		}
	}
	return ""
}

func softmax(c *coupling, n *onnx.Node) string {
	x := c.layout(n.In[0])
	def, last := int64(-1), 0
	if n.Opset < 13 { // all dimensions from axis on are one
		def = 1
	}
	a := axisOf(attr(n, "axis", def), len(x))
	if last = a + 1; n.Opset < 13 {
		last = len(x)
	}
	c.keepAll(x[a:last], "it compares all elements of this dimension with each other")
	c.layouts[n.Out[0]] = x
	return ""
}

func pool(c *coupling, n *onnx.Node) string {
	x := c.layout(n.In[0])
	if len(x) < 3 || len(n.Out) > 1 && n.Out[1] != nil {
		return "it tells where in the input a maximum was"
	}
	c.keepAll(x[2:], positions)
	c.layouts[n.Out[0]] = spread(n.Out[0], x[0], x[1])
	return ""
}

func reduce(c *coupling, n *onnx.Node) string {
	x := c.layout(n.In[0])
	over := attr(n, "axes", []int64(nil))
	if v := input(n, 1); v != nil {
		var ok bool
		if over, ok = ints(v); !ok {
			return "its axes are computed"
		}
	}
	gone := make([]bool, len(x))
	for _, a := range over {
		gone[axisOf(a, len(x))] = true
	}
	if len(over) == 0 && attr(n, "noop_with_empty_axes", int64(0)) == 0 {
		for i := range gone {
			gone[i] = true
		}
	}
	var out layout
	for i, a := range x {
		switch {
		case !gone[i]:
			out = append(out, a)
		default:
			c.keepAxis(a, "it reduces all elements of this dimension to one")
			if attr(n, "keepdims", int64(1)) != 0 {
				out = append(out, nil)
			}
		}
	}
	c.layouts[n.Out[0]] = out
	return ""
}

func quantizeLinear(c *coupling, n *onnx.Node) string {
	x := slices.Clone(c.layout(n.In[0]))
	for _, v := range n.In[1:] {
		if v == nil || len(v.Type.Dims) == 0 {
			continue
		}
		if len(v.Type.Dims) > 1 {
			return "it is quantised in blocks"
		}
		if a := axisOf(attr(n, "axis", int64(1)), len(x)); !v.Type.Dims[0].Is(1) && a < len(x) {
			x[a] = c.match(x[a], c.layout(v)[0])
		}
	}
	c.layouts[n.Out[0]] = x
	return ""
}
