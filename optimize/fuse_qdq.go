package optimize

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// quantize matches QuantizeLinear of either domain.
func quantize(inner *Pattern) *Pattern {
	return AnyOf(Op("QuantizeLinear", inner).Rest(), Op("com.microsoft.QuantizeLinear", inner).Rest())
}

// bounded matches what inner does, or Relu or Clip of it.
func bounded(inner *Pattern) *Pattern {
	return AnyOf(inner, Op("Relu", inner).As("act"), Op("Clip", inner).Rest().As("act"))
}

// any0 matches an operator whatever its inputs are.
func any0(names ...string) *Pattern {
	ps := make([]*Pattern, len(names))
	for i, n := range names {
		ps[i] = Op(n).Rest().As("op")
	}
	return AnyOf(ps...)
}

// integerOps are rules that make integer operators of those on floating-point
// numbers between DequantizeLinear and QuantizeLinear with constant parameters.
// The result differs from that of the floats by rounding alone.
var integerOps = []*Rule{
	{
		Name: "qdq-conv", Doc: "Conv of dequantized values, Relu or Clip, quantized => QLinearConv",
		Pattern: quantize(bounded(any0("Conv"))),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			n, y := m.Node("op"), quantOf(m.Root)
			x, w := dequantOf(n.In[0]), dequantOf(n.In[1])
			if !y.whole() || !x.whole() || !w.weights(0) {
				return nil
			}
			if _, _, _, ok := y.limits(m.Node("act")); !ok {
				return nil
			}
			if len(w.v.Type.Dims) == 0 {
				return nil
			}
			channels, ok := w.v.Type.Dims[0].Size()
			if !ok || len(w.scales) > 1 && len(w.scales) != channels {
				return nil
			}
			bias, _, ok := intBias(b, input(n, 2), channels, x.scales[0], w.scales)
			if !ok {
				return nil
			}
			in := w.inputs(b, x.inputs(b)...)
			in = append(in, y.scale, y.zeroValue(b))
			if bias != nil {
				in = append(in, bias)
			}
			v := b.Op("QLinearConv", n.Attrs, in...)
			return []*onnx.Value{y.clipped(b, v, m.Node("act"))}
		},
		Example: func(b *ops.Builder) {
			x := fakeQuant(b, in(b, "x", 1, 3, 6, 6), 0.03, uint8(120))
			w := quantWeights(b, int8(0), 0, 4, 3, 3, 3)
			y := b.Op("Relu", nil, b.Op("Conv", onnx.NewAttrs("pads", []int{1, 1, 1, 1}), x, w, floats(b, 4)))
			ret(b, fakeQuant(b, y, 0.1, int8(3)))
		},
	},
	{
		Name: "qdq-gemm", Doc: "Gemm of dequantized values => com.microsoft.QGemm",
		Pattern: AnyOf(quantize(bounded(any0("Gemm"))), any0("Gemm")),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			n := m.Node("op")
			trans := intAttr(n, "transB", 0)
			a, w := dequantOf(n.In[0]), dequantOf(n.In[1])
			if !a.whole() || !w.weights(int(1-min(trans, 1))) || n.Opset < 7 || floatAttr(n, "alpha", 1) != 1 || floatAttr(n, "beta", 1) != 1 ||
				w.v.Type.Rank() != 2 || m.Root.Out[0].Type.DType == tensor.Undefined {
				return nil
			}
			columns, ok := w.v.Type.Dims[1-min(trans, 1)].Size()
			if !ok || len(w.scales) > 1 && len(w.scales) != columns {
				return nil
			}
			if c := input(n, 2); c != nil && c.Type.Rank() > 1 {
				return nil
			}
			bias, exact, ok := intBias(b, input(n, 2), columns, a.scales[0], w.scales)
			if !ok {
				return nil
			}
			in := w.inputs(b, a.inputs(b)...)
			sum := m.Root == n && bias != nil && !exact // of floats
			if bias != nil && !sum {
				in = append(in, bias)
			}
			as := onnx.NewAttrs("transA", intAttr(n, "transA", 0), "transB", trans)
			if m.Root == n {
				v := b.Ops("com.microsoft", "QGemm", as, 1, in...)[0]
				if sum {
					v = b.Op("Add", nil, v, input(n, 2))
				}
				return []*onnx.Value{v}
			}
			y := quantOf(m.Root)
			if !y.whole() {
				return nil
			}
			if _, _, _, ok := y.limits(m.Node("act")); !ok {
				return nil
			}
			if bias == nil {
				in = append(in, nil)
			}
			in = append(in, y.scale, y.zeroValue(b))
			v := b.Ops("com.microsoft", "QGemm", as, 1, in...)[0]
			return []*onnx.Value{y.clipped(b, v, m.Node("act"))}
		},
		Example: func(b *ops.Builder) {
			as := onnx.NewAttrs("transB", 1)
			w := quantWeights(b, int8(0), 0, 5, 6)
			y := b.Op("Gemm", as, fakeQuant(b, in(b, "x", 3, 6), 0.03, uint8(120)), w, floats(b, 5))
			z := b.Op("Gemm", as, fakeQuant(b, in(b, "z", 3, 6), 0.03, uint8(120)), w, floats(b, 5))
			ret(b, fakeQuant(b, b.Op("Relu", nil, y), 0.1, uint8(9)), z)
		},
	},
	{
		Name: "qdq-matmul", Doc: "MatMul of dequantized values, quantized => QLinearMatMul",
		Pattern: quantize(bounded(any0("MatMul"))),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			n, y := m.Node("op"), quantOf(m.Root)
			a, w := dequantOf(n.In[0]), dequantOf(n.In[1])
			if !y.whole() || !a.whole() || !w.weights(w.lastAxis()) || len(w.scales) > 1 && w.v.Type.Rank() != 2 {
				return nil
			}
			if _, _, _, ok := y.limits(m.Node("act")); !ok {
				return nil
			}
			in := append(w.inputs(b, a.inputs(b)...), y.scale, y.zeroValue(b))
			v := b.Op("QLinearMatMul", nil, in...)
			return []*onnx.Value{y.clipped(b, v, m.Node("act"))}
		},
		Example: func(b *ops.Builder) {
			x := fakeQuant(b, in(b, "x", 2, 3, 6), 0.03, uint8(120))
			y := b.Op("MatMul", nil, x, quantWeights(b, uint8(100), 1, 6, 5))
			ret(b, fakeQuant(b, y, 0.1, uint8(3)))
		},
	},
	{
		Name: "qdq-matmul-float", Doc: "MatMul of dequantized values, and a bias => com.microsoft.MatMulIntegerToFloat",
		Pattern: AnyOf(Op("Add", Op("MatMul", Var("a"), Var("b")).As("op"), ConstAny("bias")), Op("MatMul", Var("a"), Var("b")).As("op")),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			n := m.Node("op")
			a, w := dequantOf(n.In[0]), dequantOf(n.In[1])
			if !a.whole() || !w.weights(w.lastAxis()) || w.v.Type.Rank() != 2 {
				return nil
			}
			in := []*onnx.Value{a.v, w.v, a.scale, w.scale, a.zeroValue(b), w.zeroValue(b)}
			if len(w.scales) == 1 {
				in[3], in[5] = b.Const(tensor.Scalar(w.scales[0])), withoutDims(b, in[5])
			}
			in[2], in[4] = b.Const(tensor.Scalar(a.scales[0])), withoutDims(b, in[4])
			bias, ok := columnBias(m.Var("bias"), n.Out[0])
			if !ok {
				return nil
			}
			if bias != nil {
				in = append(in, bias)
			}
			return b.Ops("com.microsoft", "MatMulIntegerToFloat", nil, 1, in...)
		},
		Example: func(b *ops.Builder) {
			w := quantWeights(b, int8(0), 1, 6, 5)
			x := fakeQuant(b, in(b, "x", 2, 3, 6), 0.03, int8(12))
			y := fakeQuant(b, in(b, "y", 3, 6), 0.03, uint8(12))
			ret(b, b.Op("Add", nil, b.Op("MatMul", nil, x, w), floats(b, 5)), b.Op("MatMul", nil, y, w))
		},
	},
	{
		Name: "qdq-binary", Doc: "Add or Mul of dequantized values, Relu or Clip, quantized => com.microsoft.QLinearAdd or QLinearMul",
		Pattern: quantize(bounded(any0("Add", "Mul"))),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			n, y := m.Node("op"), quantOf(m.Root)
			if n.Opset < 7 {
				return nil
			}
			p, q := dequantOf(n.In[0]), dequantOf(n.In[1])
			if !y.whole() || !p.whole() || !q.whole() || p.v.Type.DType != q.v.Type.DType || p.v.Type.DType != y.v.Type.DType {
				return nil
			}
			if _, _, _, ok := y.limits(m.Node("act")); !ok {
				return nil
			}
			in := append(q.inputs(b, p.inputs(b)...), y.scale, y.zeroValue(b))
			v := b.Ops("com.microsoft", "QLinear"+n.Op, nil, 1, in...)[0]
			return []*onnx.Value{y.clipped(b, v, m.Node("act"))}
		},
		Example: func(b *ops.Builder) {
			x, y := fakeQuant(b, in(b, "x", 2, 3), 0.03, uint8(120)), fakeQuant(b, in(b, "y", 3), 0.04, uint8(99))
			ret(b, fakeQuant(b, b.Op("Relu", nil, b.Op("Add", nil, x, y)), 0.05, uint8(17)))
		},
	},
	{
		Name: "qdq-mean", Doc: "GlobalAveragePool, or ReduceMean over the spatial axes, of a dequantized value, quantized => com.microsoft.QLinearGlobalAveragePool",
		Pattern: quantize(any0("GlobalAveragePool", "ReduceMean")),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			n, y := m.Node("op"), quantOf(m.Root)
			x := dequantOf(n.In[0])
			if !y.whole() || !x.whole() || x.v.Type.DType != y.v.Type.DType || !meansSpatial(n) {
				return nil
			}
			return b.Ops("com.microsoft", "QLinearGlobalAveragePool", nil, 1, append(x.inputs(b), y.scale, y.zeroValue(b))...)
		},
		Example: func(b *ops.Builder) {
			x, y := fakeQuant(b, in(b, "x", 1, 2, 3, 4), 0.03, uint8(120)), fakeQuant(b, in(b, "y", 1, 2, 3, 4), 0.03, int8(7))
			ret(b, fakeQuant(b, b.Op("GlobalAveragePool", nil, x), 0.0117, uint8(17)), fakeQuant(b, b.Op("ReduceMean", nil, y, b.Ints(-1, 2)), 0.0117, int8(7)))
		},
	},
	{
		Name: "qdq-average-pool", Doc: "AveragePool of a dequantized value, quantized => com.microsoft.QLinearAveragePool",
		Pattern: quantize(any0("AveragePool")),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			n, y := m.Node("op"), quantOf(m.Root)
			x := dequantOf(n.In[0])
			dilations, _, ok := constInts(n, len(n.In), "dilations")
			if !y.whole() || !x.whole() || x.v.Type.DType != y.v.Type.DType || !ok || !all(dilations, 1) {
				return nil
			}
			as := n.Attrs.Without("dilations")
			return b.Ops("com.microsoft", "QLinearAveragePool", as, 1, append(x.inputs(b), y.scale, y.zeroValue(b))...)
		},
		Example: func(b *ops.Builder) {
			x := fakeQuant(b, in(b, "x", 1, 2, 5, 5), 0.03, uint8(120))
			// No scale that gives halves, which QLinearAveragePool rounds with the zero point and QuantizeLinear without.
			ret(b, fakeQuant(b, b.Op("AveragePool", onnx.NewAttrs("kernel_shape", []int{2, 2}), x), 0.0217, uint8(17)))
		},
	},
	{
		Name: "qdq-softmax", Doc: "Softmax of a dequantized value, quantized => com.microsoft.QLinearSoftmax",
		Pattern: quantize(any0("Softmax")),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			n, y := m.Node("op"), quantOf(m.Root)
			x := dequantOf(n.In[0])
			if !y.whole() || !x.whole() || x.v.Type.DType != y.v.Type.DType {
				return nil
			}
			def := int64(-1)
			if n.Opset < 13 {
				def = 1
			}
			as := onnx.NewAttrs("axis", intAttr(n, "axis", def), "opset", n.Opset)
			return b.Ops("com.microsoft", "QLinearSoftmax", as, 1, append(x.inputs(b), y.scale, y.zeroValue(b))...)
		},
		Example: func(b *ops.Builder) {
			x := fakeQuant(b, in(b, "x", 2, 5), 0.03, uint8(120))
			ret(b, fakeQuant(b, b.Op("Softmax", nil, x), 0.005, uint8(0)))
		},
	},
	{
		Name: "qdq-concat", Doc: "Concat of dequantized values, quantized => com.microsoft.QLinearConcat",
		Pattern: quantize(any0("Concat")),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			n, y := m.Node("op"), quantOf(m.Root)
			if n.Opset < 4 || !y.whole() {
				return nil
			}
			in := []*onnx.Value{y.scale, y.zeroValue(b)}
			for _, v := range n.In {
				x := dequantOf(v)
				if !x.whole() || x.v.Type.DType != y.v.Type.DType {
					return nil
				}
				in = x.inputs(b, in...)
			}
			return b.Ops("com.microsoft", "QLinearConcat", onnx.NewAttrs("axis", intAttr(n, "axis", 0)), 1, in...)
		},
		Example: func(b *ops.Builder) {
			x, y := fakeQuant(b, in(b, "x", 2, 3), 0.03, uint8(120)), fakeQuant(b, in(b, "y", 2, 4), 0.04, uint8(99))
			ret(b, fakeQuant(b, b.Op("Concat", onnx.NewAttrs("axis", 1), x, y), 0.05, uint8(110)))
		},
	},
	{
		Name: "qdq-where", Doc: "Where of dequantized values, quantized => com.microsoft.QLinearWhere",
		Pattern: quantize(any0("Where")),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			n, y := m.Node("op"), quantOf(m.Root)
			p, q := dequantOf(n.In[1]), dequantOf(n.In[2])
			if !y.whole() || !p.whole() || !q.whole() || p.v.Type.DType != q.v.Type.DType || p.v.Type.DType != y.v.Type.DType {
				return nil
			}
			in := append(q.inputs(b, p.inputs(b, n.In[0])...), y.scale, y.zeroValue(b))
			return b.Ops("com.microsoft", "QLinearWhere", nil, 1, in...)
		},
		Example: func(b *ops.Builder) {
			x, y := fakeQuant(b, in(b, "x", 2, 3), 0.03, uint8(120)), fakeQuant(b, in(b, "y", 3), 0.04, uint8(99))
			ret(b, fakeQuant(b, b.Op("Where", nil, inOf(b, tensor.Bool, "c", 2, 1), x, y), 0.05, uint8(110)))
		},
	},
	{
		Name: "qdq-table", Doc: "functions of single elements of a dequantized value, quantized => x.Lookup of their 256 results",
		Pattern: quantize(elementChain(4)),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			y := quantOf(m.Root)
			if y == nil || !isBytes(y.v) || len(y.scales) != 1 {
				return nil
			}
			v, table := tableOf(m.Root)
			if v == nil {
				return nil
			}
			if v.Type.DType == y.v.Type.DType {
				same := true
				for i, x := range table.Bytes() {
					same = same && int(x) == i
				}
				if same {
					return []*onnx.Value{v}
				}
			}
			return b.Ops("x", "Lookup", nil, 1, v, b.Const(table))
		},
		Example: func(b *ops.Builder) {
			x, y := fakeQuant(b, in(b, "x", 2, 3), 0.03, uint8(120)), fakeQuant(b, in(b, "y", 2, 3), 0.03, int8(-3))
			z := fakeQuant(b, in(b, "z", 2, 3), 0.03, int8(-3))
			ret(b, fakeQuant(b, b.Op("Sigmoid", nil, x), 0.005, int8(-100)), fakeQuant(b, b.Op("Relu", nil, b.Op("Mul", nil, y, b.Float(tensor.Float32, 0.5))), 0.005, uint8(3)),
				fakeQuant(b, z, 0.03, int8(-3)))
		},
	},
	{
		Name: "qdq-move", Doc: "moving elements of a dequantized value => dequantizing after moving bytes",
		Pattern: any0("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Gather", "MaxPool", "DepthToSpace", "SpaceToDepth", "Expand", "Tile", "Pad"),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			n := m.Node("op")
			q := dequantOf(n.In[0])
			if q == nil || len(n.Out) > 1 || !isBytes(q.v) {
				return nil
			}
			axis := q.axis
			if len(q.scales) > 1 {
				perm, ok := permOf(n)
				if n.Op != "Transpose" || !ok {
					return nil
				}
				axis = slices.Index(perm, q.axis)
			}
			in := slices.Clone(n.In)
			in[0] = q.v
			var v []*onnx.Value
			switch n.Op {
			case "MaxPool":
				if n.Opset < 8 {
					return nil
				}
				v = b.Ops("", "MaxPool", n.Attrs, 1, in...)
			case "Pad":
				pads, ok := zeroPads(n)
				if !ok || !meetsIntegers(n.Out[0]) {
					return nil
				}
				v = b.Ops("", "Pad", nil, 1, q.v, b.Ints(pads...), withoutDims(b, q.zeroValue(b)))
			default:
				v = again(b, n, n.Attrs, in)
			}
			ins := []*onnx.Value{v[0], q.scale}
			if q.zero != nil {
				ins = append(ins, q.zero)
			}
			var as onnx.Attrs
			if len(q.scales) > 1 {
				as = onnx.NewAttrs("axis", axis)
			}
			return []*onnx.Value{b.Op("DequantizeLinear", as, ins...)}
		},
		Example: func(b *ops.Builder) {
			x := fakeQuant(b, in(b, "x", 2, 3), 0.03, uint8(120))
			w := quantWeights(b, int8(0), 0, 4, 3)
			p := b.Op("Pad", nil, x, b.Ints(1, 2), nil, b.Ints(-1))
			ret(b, b.Op("Transpose", onnx.NewAttrs("perm", []int{1, 0}), w), b.Op("Reshape", nil, x, b.Ints(3, 2)), fakeQuant(b, p, 0.03, uint8(120)))
		},
	},
	{
		Name: "qconv-pad", Doc: "Pad by the zero point before QLinearConv => pads",
		Pattern: Op("QLinearConv", paddedInput()).Rest().As("c"),
		Rewrite: rewriteConvPad,
		Example: func(b *ops.Builder) {
			x := b.Op("QuantizeLinear", nil, in(b, "x", 1, 3, 6), b.Float(tensor.Float32, 0.03), b.Const(tensor.Scalar(uint8(128))))
			x = b.Op("Pad", nil, x, b.Ints(2, 0), b.Const(tensor.Scalar(uint8(128))), b.Ints(2))
			w := b.Const(tensor.Of([]int8{1, 2, 3, 4, 5, 6, 7, 8, -9}, 1, 3, 3))
			one, zero := b.Float(tensor.Float32, 0.1), b.Const(tensor.Scalar(int8(0)))
			ret(b, b.Op("QLinearConv", onnx.NewAttrs("pads", []int{1, 1}), x, one, b.Const(tensor.Scalar(uint8(128))), w, one, zero, one, b.Const(tensor.Scalar(uint8(100)))))
		},
	},
	{
		Name: "qdq-bounds", Doc: "QuantizeLinear of a Relu or Clip that leaves no fewer integers => QuantizeLinear",
		Pattern: quantize(AnyOf(Op("Relu", Var("x")).As("act"), Op("Clip", Var("x")).Rest().As("act"))),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			n, y := m.Root, quantOf(m.Root)
			if !y.whole() {
				return nil
			}
			if _, _, bounded, ok := y.limits(m.Node("act")); !ok || bounded {
				return nil
			}
			return b.Ops(n.Domain, n.Op, n.Attrs, 1, append([]*onnx.Value{m.Var("x")}, n.In[1:]...)...)
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 3)
			ret(b, fakeQuant(b, b.Op("Relu", nil, x), 0.02, uint8(0)), fakeQuant(b, b.Op("Clip", nil, x, f32(b, -1), f32(b, 1.5)), 0.01, int8(-28)))
		},
	},
	{
		Name: "fold-quantize", Doc: "QuantizeLinear of a constant => constant",
		Pattern: quantize(ConstAny("x")),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			in := make([]tensor.Value, len(m.Root.In))
			for i, v := range m.Root.In {
				if v == nil {
					continue
				}
				if v.Const == nil {
					return nil
				}
				in[i] = v.Const
			}
			t := evalNode(m.Root, in)
			if t == nil {
				return nil
			}
			return []*onnx.Value{b.Op("Identity", nil, b.Const(t))}
		},
		Example: func(b *ops.Builder) {
			ret(b, b.Op("Add", nil, in(b, "x", 2, 3), fakeQuant(b, floats(b, 2, 3), 0.1, uint8(3))))
		},
	},
}

// unsigned makes activations unsigned, which the integer kernels read as they
// are; the rules behind it need one QuantizeLinear for all readers again.
var unsigned = []*Rule{{
	Name: "qdq-unsigned", Doc: "DequantizeLinear of QuantizeLinear to int8 => to uint8, with a zero point that is 128 larger",
	Pattern: AnyOf(Op("DequantizeLinear", Op("QuantizeLinear").Rest().Shared().As("q")).Rest(),
		Op("com.microsoft.DequantizeLinear", Op("com.microsoft.QuantizeLinear").Rest().Shared().As("q")).Rest()),
	Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
		n := m.Node("q")
		x, y := quantOf(n), dequantOf(m.Root.Out[0])
		if !x.whole() || !y.whole() || x.v.Type.DType != tensor.Int8 || x.zero == nil || y.zero == nil || n.In[0].Const != nil {
			return nil
		}
		for _, u := range x.v.Users() {
			if u.Op != "DequantizeLinear" || u.Graph != n.Graph {
				return nil
			}
		}
		more := func(q *quantized) *onnx.Value {
			t := tensor.New(tensor.Uint8, q.zero.Const.Shape()...)
			t.Bytes()[0] = q.zero.Const.Bytes()[0] ^ 0x80
			return b.Const(t)
		}
		v := b.Op("QuantizeLinear", nil, n.In[0], x.scale, more(x))
		return []*onnx.Value{b.Op("DequantizeLinear", nil, v, y.scale, more(y))}
	},
	Example: func(b *ops.Builder) { ret(b, fakeQuant(b, in(b, "x", 2, 3), 0.03, int8(-5))) },
}, {
	Name: "qdq-widen", Doc: "weights of Conv that have 4 bits => bytes, which integer convolutions take",
	Pattern: Op("DequantizeLinear", ConstAny("x")).Rest(),
	Where: func(m *Match) bool {
		for _, u := range m.Root.Out[0].Users() {
			if u.Op != "Conv" || u.In[1] != m.Root.Out[0] || u.Graph != m.Root.Graph {
				return false
			}
		}
		return m.Root.Out[0].Uses() > 0 && intAttr(m.Root, "block_size", 0) == 0
	},
	Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
		x := widened(m.Root.In[0])
		if x == nil {
			return nil
		}
		in := append([]*onnx.Value{b.Const(x)}, m.Root.In[1:]...)
		if len(in) > 2 && in[2] != nil {
			z := widened(in[2])
			if z == nil {
				return nil
			}
			in[2] = b.Const(z)
		}
		return []*onnx.Value{b.Op("DequantizeLinear", m.Root.Attrs, in...)}
	},
	Example: func(b *ops.Builder) {
		d := tensor.New(tensor.Int4, 2, 3, 1, 1)
		copy(d.Bytes(), []byte{0x71, 0x9f, 0x38})
		w := b.Op("DequantizeLinear", onnx.NewAttrs("axis", 0), b.Const(d), b.Const(tensor.Of([]float32{0.5, 0.25})), b.Const(tensor.New(tensor.Int4, 2)))
		ret(b, b.Op("Conv", nil, in(b, "x", 1, 3, 2, 2), w))
	},
}}

// withoutDims returns a constant of one element without dimensions.
// zeroPads returns the pads of a Pad by zeros, for each dimension.
func zeroPads(n *onnx.Node) ([]int, bool) {
	rank := n.In[0].Type.Rank()
	if rank < 1 {
		return nil, false
	}
	value, pads, ok := padsOf(n, rank)
	return pads, ok && value == 0
}

// meetsIntegers reports whether all that read v quantize it or convolve it with
// dequantized weights.
func meetsIntegers(v *onnx.Value) bool {
	for _, u := range v.Users() {
		if u.Op != "QuantizeLinear" && (u.Op != "Conv" || u.In[0] != v || dequantOf(input(u, 1)) == nil) {
			return false
		}
	}
	return v.Uses() > 0
}

func withoutDims(b *ops.Builder, v *onnx.Value) *onnx.Value {
	if v.Const.Rank() == 0 {
		return v
	}
	t := tensor.New(v.Const.DType())
	copy(t.Bytes(), v.Const.Bytes())
	return b.Const(t)
}

// lastAxis returns the index of the last dimension.
func (q *quantized) lastAxis() int {
	if q == nil {
		return 0
	}
	return q.v.Type.Rank() - 1
}

// columnBias returns c, which is added to y, as a vector if it has one element
// for each column and leaves y's shape alone; nil if c is nil.
func columnBias(c, y *onnx.Value) (*onnx.Value, bool) {
	if c == nil {
		return nil, true
	}
	if c.Const == nil || c.Const.DType() != tensor.Float32 || y.Type.Rank() < c.Const.Rank() || c.Const.Rank() < 1 || y.Type.Rank() < 1 {
		return nil, false
	}
	n, ok := y.Type.Dims[y.Type.Rank()-1].Size()
	if !ok || c.Const.Len() != n || c.Const.Dim(-1) != n || c.Const.Rank() != 1 {
		return nil, false
	}
	return c, true
}

// meansSpatial reports whether n is the mean over all spatial dimensions of
// [n, c, d…], which it keeps.
func meansSpatial(n *onnx.Node) bool {
	if n.Op == "GlobalAveragePool" {
		return true
	}
	axes, given, ok := constInts(n, 1, "axes")
	rank := n.In[0].Type.Rank()
	if !ok || !given || rank < 3 || intAttr(n, "keepdims", 1) == 0 || len(axes) != rank-2 {
		return false
	}
	for i := 2; i < rank; i++ {
		if !slices.Contains(axes, i) && !slices.Contains(axes, i-rank) {
			return false
		}
	}
	return true
}

// elementOps are operators that compute each element from that of input 0 alone,
// if other inputs have one element.
var elementOps = map[string]bool{
	"Abs": true, "Add": true, "Celu": true, "Clip": true, "Cos": true, "Div": true, "Elu": true, "Erf": true, "Exp": true, "Gelu": true,
	"HardSigmoid": true, "HardSwish": true, "LeakyRelu": true, "Log": true, "Mish": true, "Mul": true, "Neg": true, "Pow": true,
	"Reciprocal": true, "Relu": true, "Selu": true, "Sigmoid": true, "Sin": true, "Softplus": true, "Softsign": true, "Sqrt": true,
	"Sub": true, "Swish": true, "Tanh": true, "ThresholdedRelu": true, "DequantizeLinear": true,
}

// elementChain matches up to depth of elementOps, the last of them DequantizeLinear.
func elementChain(depth int) *Pattern {
	ps := []*Pattern{Op("DequantizeLinear").Rest().Shared(), Op("com.microsoft.DequantizeLinear").Rest().Shared()}
	if depth > 0 {
		inner := elementChain(depth - 1)
		for op := range elementOps {
			if op != "DequantizeLinear" {
				ps = append(ps, Op(op, inner).Rest())
			}
		}
	}
	return AnyOf(ps...)
}

// tableOf computes what n makes of all bytes of the value that a chain of
// elementOps before it starts from; nil if it cannot.
func tableOf(n *onnx.Node) (*onnx.Value, *tensor.Tensor) {
	chain := []*onnx.Node{n}
	var from *onnx.Value
	for from == nil {
		k := chain[len(chain)-1]
		var x *onnx.Value
		for i, v := range k.In {
			if v == nil {
				continue
			}
			if v.Const == nil && x == nil && (i == 0 || i == 1 && (k.Op == "Add" || k.Op == "Mul" || k.Op == "Sub" || k.Op == "Div" || k.Op == "Pow")) {
				x = v
				continue
			}
			if v.Const == nil || v.Const.Len() != 1 || v.Const.Rank() > x0rank(k) {
				return nil, nil
			}
		}
		if k.Op == "DequantizeLinear" {
			if q := dequantOf(k.Out[0]); q == nil || !q.whole() || q.v.Const != nil {
				return nil, nil
			}
			from = k.In[0]
			break
		}
		if x == nil || x.From == nil || !elementOps[x.From.Op] || k != n && k.Opset < 7 {
			return nil, nil
		}
		chain = append(chain, x.From)
	}
	t := tensor.New(from.Type.DType, 256)
	for i := range t.Bytes() {
		t.Bytes()[i] = byte(i)
	}
	for i := len(chain) - 1; i >= 0; i-- {
		k := chain[i]
		in := make([]tensor.Value, len(k.In))
		for j, v := range k.In {
			switch {
			case v == nil:
			case v.Const != nil:
				in[j] = v.Const
			default:
				in[j] = t
			}
		}
		if t = evalNode(k, in); t == nil || t.Rank() != 1 || t.Len() != 256 {
			return nil, nil
		}
	}
	return from, t
}

// x0rank returns the rank of n's output, to which constants may be broadcast.
func x0rank(n *onnx.Node) int { return min(n.Out[0].Type.Rank(), 1) }

// boundConvs fuses bounds into convolutions, which only the private operator has.
var boundConvs = []*Rule{{
	Name: "qconv-bounds", Doc: "Clip of x.QLinearConv by constants => x.QLinearConv with bounds",
	Pattern: Op("Clip", Op("x.QLinearConv").Rest().As("op"), ConstAny("lo"), ConstAny("hi")),
	Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
		n := m.Node("op")
		lo, err := ops.IntsOf(m.Const("lo"))
		hi, err2 := ops.IntsOf(m.Const("hi"))
		if err != nil || err2 != nil || len(lo) != 1 || len(hi) != 1 || lo[0] > hi[0] || n.Attrs.Get("min") != nil || n.Attrs.Get("max") != nil {
			return nil
		}
		as := append(slices.Clone(n.Attrs), onnx.NewAttrs("min", lo[0], "max", hi[0])...)
		return b.Ops("x", "QLinearConv", as, 1, n.In...)
	},
	Example: func(b *ops.Builder) {
		x := b.Op("QuantizeLinear", nil, in(b, "x", 1, 4, 4, 3), b.Float(tensor.Float32, 0.03), b.Const(tensor.Scalar(uint8(128))))
		w := b.Const(tensor.Of([]int8{1, 2, 3, 4, 5, 6}, 2, 3, 1, 1))
		one, zero := b.Float(tensor.Float32, 0.1), b.Const(tensor.Scalar(int8(0)))
		y := b.Ops("x", "QLinearConv", nil, 1, x, one, b.Const(tensor.Scalar(uint8(128))), w, one, zero, one, b.Const(tensor.Scalar(uint8(100))))[0]
		ret(b, b.Op("Clip", nil, y, b.Const(tensor.Scalar(uint8(90))), b.Const(tensor.Scalar(uint8(120)))))
	},
}}

// dequantized are rules for what no integer operator takes.
var dequantized = []*Rule{{
	Name: "fold-dequantize", Doc: "DequantizeLinear of a constant => constant, for all but Gather",
	Pattern: AnyOf(Op("DequantizeLinear", ConstAny("x")).Rest(), Op("com.microsoft.DequantizeLinear", ConstAny("x")).Rest()),
	Where: func(m *Match) bool {
		for _, u := range m.Root.Out[0].Users() {
			if u.Op == "Gather" || u.Graph != m.Root.Graph {
				return false
			}
		}
		return true
	},
	Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
		in := make([]tensor.Value, len(m.Root.In))
		for i, v := range m.Root.In {
			if v != nil {
				if v.Const == nil {
					return nil
				}
				in[i] = v.Const
			}
		}
		t := evalNode(m.Root, in)
		if t == nil {
			return nil
		}
		return []*onnx.Value{b.Op("Identity", nil, b.Const(t))}
	},
	Example: func(b *ops.Builder) {
		ret(b, b.Op("Add", nil, in(b, "x", 2, 3), quantWeights(b, int8(0), 1, 2, 3)))
	},
}}

// widened returns the bytes of a constant of 4-bit integers, nil for others.
func widened(v *onnx.Value) *tensor.Tensor {
	if v == nil || v.Const == nil {
		return nil
	}
	switch v.Const.DType() {
	case tensor.Int4, tensor.Uint4:
		return tensor.Unpack(v.Const)
	}
	return nil
}

// fakeQuant quantizes x and dequantizes it again, for examples.
func fakeQuant[T uint8 | int8](b *ops.Builder, x *onnx.Value, scale float64, zero T) *onnx.Value {
	s, z := b.Float(tensor.Float32, scale), b.Const(tensor.Scalar(zero))
	return b.Op("DequantizeLinear", nil, b.Op("QuantizeLinear", nil, x, s, z), s, z)
}

// quantWeights makes dequantized constants with a scale for each index of axis, for examples.
func quantWeights[T uint8 | int8](b *ops.Builder, zero T, axis int, shape ...int) *onnx.Value {
	n, _ := tensor.Count(shape)
	d, s, z := make([]T, n), make([]float32, shape[axis]), make([]T, shape[axis])
	for i := range d {
		d[i] = T(i * 37)
	}
	for i := range s {
		s[i], z[i] = 0.01+float32(i)/300, zero
	}
	return b.Op("DequantizeLinear", onnx.NewAttrs("axis", axis), b.Const(tensor.Of(d, shape...)), b.Const(tensor.Of(s)), b.Const(tensor.Of(z)))
}
