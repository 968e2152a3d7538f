package optimize

import (
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// steps lists, by operator of the default domain, the versions that changed
// more than types.
var steps = map[string][]step{
	"ArgMax":             {axes11, added(12, "select_last_index", 0)},
	"ArgMin":             {axes11, added(12, "select_last_index", 0)},
	"Attention":          {added(24), added(25, "left_window_size", -1, "right_window_size", -1)},
	"AveragePool":        {added(7, "count_include_pad", 0), added(10, "ceil_mode", 0), added(19, "dilations", 1)},
	"BatchNormalization": {{6, without("consumed_inputs"), setDefault("consumed_inputs", []int{0, 0, 0, 1, 1})}, {7, testMode, batchNormTest}, {9, attrsGone("spatial", 1), keep}, {14, batchNormUp, attrsGone("training_mode", 0)}},
	"Cast":               {{6, castUp, castDown}, added(19, "saturate", nil), added(24, "round_mode", nil)},
	"CastLike":           {added(19, "saturate", nil), added(24, "round_mode", nil)},
	"Clip":               {consumed, {11, clipUp, clipDown}},
	"Concat":             {{4, setDefault("axis", 1), keep}, axes11},
	"Constant":           {{11, keep, attrsGone("sparse_value", "none")}, {12, keep, constantDown}},
	"Compress":           {axes11},
	"DFT":                {{20, dftUp, dftDown}},
	"DepthToSpace":       {added(11, "mode", "DCR")},
	"DequantizeLinear":   {{13, keep, perTensor}, added(21, "block_size", 0), added(23, "output_dtype", nil)},
	"Dropout":            {consumed, {7, testMode, setTest}, {10, keep, maskUnused}, {12, dropoutUp, dropoutDown}},
	"Flatten":            {axes11},
	"GRU":                {{3, renamed("direction", "forward", map[string]string{"foward": "forward"}), attrsGone("linear_before_reset", 0)}, {7, without("output_sequence"), keep}, added(14, "layout", 0)},
	"Gather":             {axes11},
	"GatherND":           {added(12, "batch_dims", 0)},
	"Gemm":               {{7, without("broadcast"), gemmBroadcast}, {11, keep, gemmDown}},
	"GlobalLpPool":       {{2, pToInt, pToFloat}},
	"GridSample":         {{20, renamed("mode", "bilinear", map[string]string{"bilinear": "linear", "bicubic": "cubic"}), renamed("mode", "linear", map[string]string{"linear": "bilinear", "cubic": "bicubic"})}},
	"GroupNormalization": {{21, groupNormUp, defineGroupNorm}},
	"Hardmax":            {axes11, {13, softmaxUp, softmaxDown}},
	"LSTM":               {{7, without("output_sequence"), keep}, added(14, "layout", 0)},
	"LogSoftmax":         {axes11, {13, softmaxUp, softmaxDown}},
	"LpPool":             {{2, pToInt, pToFloat}, added(18, "ceil_mode", 0, "dilations", 1)},
	"MaxPool":            {added(8, "storage_order", 0), added(10, "ceil_mode", 0, "dilations", 1)},
	"OneHot":             {axes11},
	"OptionalHasElement": {{18, keep, hasInputs}},
	"PRelu":              {consumed, {7, preluUp, preluDown}},
	"Pad":                {{2, padRename, padRenameBack}, {11, padUp, padDown}, {18, keep, padAxes}, {19, keep, padNoWrap}},
	"QuantizeLinear":     {{13, keep, perTensor}, added(19, "saturate", nil), added(21, "block_size", 0, "output_dtype", nil), added(23, "precision", nil)},
	"RNN":                {{7, without("output_sequence"), keep}, added(14, "layout", 0)},
	"Range":              {added(27, "stash_type", 1)},
	"ReduceSum":          {axes11, {13, intsToInput("axes", 1), reduceDown}},
	"Reshape":            {{5, reshapeUp, inputToInts("shape", 1)}, {14, keep, allowZeroDown}},
	"Resize":             {{10, keep, resizeToUpsample}, {11, resize11Up, resize11Down}, {13, keep, resize13Down}, {18, keep, resize18Down}, {19, keep, resize19Down}},
	"RoiAlign":           {{16, setDefault("coordinate_transformation_mode", "output_half_pixel"), roiAlignDown}},
	"Scan":               {{9, scanUp, scanDown}, axes11},
	"Scatter":            {{11, scatterUp, nil}},
	"ScatterElements":    {{11, keep, scatterDown}, added(16, "reduction", "none"), {18, keep, reductionDown}},
	"ScatterND":          {added(16, "reduction", "none"), {18, keep, reductionDown}},
	"Selu":               {{6, seluUp, seluDown}},
	"Shape":              {{15, keep, shapeDown}},
	"Slice":              {{10, sliceUp, sliceDown}, axes11},
	"Softmax":            {axes11, {13, softmaxUp, softmaxDown}},
	"SpaceToDepth":       {added(28, "mode", "DCR")},
	"Split":              {{2, splitInput, keep}, axes11, {13, intsToInput("split", 1), inputToInts("split", 1)}, {18, splitUp, splitDown}},
	"SplitToSequence":    {axes11},
	"Squeeze":            {axes11, {13, intsToInput("axes", 1), inputToInts("axes", 1)}},
	"Tile":               {{6, tileUp, tileDown}},
	"TopK":               {{10, topKUp, topKDown}, {11, keep, chain(attrsGone("largest", 1, "sorted", nil), nonNegative)}},
	"Unsqueeze":          {axes11, {13, intsToInput("axes", 1), inputToInts("axes", 1)}},
	"Upsample":           {{7, upsample7Up, upsample7Down}, {9, upsample9Up, upsample9Down}, {10, upsampleToResize, nil}},
}

// consumed is the step at which operators lost an attribute that old runtimes
// used to plan memory.
var consumed = step{at: 6, up: without("consumed_inputs"), down: keep}

func init() {
	for _, op := range []string{"Abs", "Ceil", "Elu", "Exp", "Floor", "HardSigmoid", "InstanceNormalization", "LeakyRelu", "Log",
		"Neg", "Reciprocal", "Relu", "Sigmoid", "Sqrt", "Tanh"} {
		steps[op] = append(steps[op], consumed)
	}
	for _, op := range []string{"Add", "Sub", "Mul", "Div"} {
		steps[op] = append(steps[op], consumed, step{7, broadcastUp, broadcastDown})
	}
	for _, op := range []string{"And", "Or", "Xor", "Equal", "Greater", "Less", "Pow"} {
		steps[op] = append(steps[op], step{7, broadcastUp, broadcastDown})
	}
	for _, op := range []string{"Max", "Min", "Mean", "Sum"} {
		steps[op] = append(steps[op], consumed, step{8, keep, equalShapes})
	}
	for _, op := range []string{"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin",
		"ReduceProd", "ReduceSumSquare"} {
		steps[op] = append(steps[op], axes11, step{18, intsToInput("axes", 1), reduceDown})
	}
}

// scalarOf returns the one element of an initializer.
func scalarOf(v *onnx.Value) (float64, bool) {
	if v == nil {
		return 0, false
	}
	t := constOf(v)
	if t == nil || t.Len() != 1 {
		return 0, false
	}
	f, err := tensor.Float64s(t)
	if err != nil {
		return 0, false
	}
	return f[0], true
}

func testMode(_ *converter, n *onnx.Node) error {
	if intAttr(n, "is_test", 0) == 0 {
		return need("is_test is 0: the node is in training mode")
	}
	n.Attrs = n.Attrs.Without("is_test")
	return nil
}

func setTest(_ *converter, n *onnx.Node) error {
	n.Attrs = n.Attrs.Set("is_test", 1)
	return nil
}

func batchNormTest(c *converter, n *onnx.Node) error {
	if len(n.Out) > 1 {
		return need("the node is in training mode")
	}
	return setTest(c, n)
}

func batchNormUp(_ *converter, n *onnx.Node) error {
	for _, v := range n.Out[1:] {
		if v != nil {
			return need("training mode with the outputs of versions before 14")
		}
	}
	n.Out = n.Out[:1]
	return nil
}

func castUp(_ *converter, n *onnx.Node) error {
	to, err := onnx.Attribute(n, "to", "")
	if err != nil {
		return err
	}
	for d := tensor.DType(1); d < tensor.NumDTypes; d++ {
		if lower(onnxName(d)) == lower(to) {
			n.Attrs = n.Attrs.Set("to", d)
			return nil
		}
	}
	return need("there is no element type %q", to)
}

func castDown(_ *converter, n *onnx.Node) error {
	to, err := onnx.Attribute(n, "to", int64(0))
	if err != nil {
		return err
	}
	n.Attrs = n.Attrs.Without("to").Set("to", upper(onnxName(tensor.DType(to))))
	return nil
}

func lower(s string) string { return mapBytes(s, 'A', 'Z', 'a'-'A') }
func upper(s string) string { return mapBytes(s, 'a', 'z', 256-('a'-'A')) }

func mapBytes(s string, lo, hi byte, by int) string {
	b := []byte(s)
	for i, x := range b {
		if x >= lo && x <= hi {
			b[i] = byte(int(x) + by)
		}
	}
	return string(b)
}

func clipUp(c *converter, n *onnx.Node) error {
	for i, name := range []string{"min", "max"} {
		a := n.Attrs.Get(name)
		if a == nil {
			continue
		}
		v, err := onnx.Attribute(n, name, float32(0))
		if err != nil {
			return err
		}
		t := floatConst(n.In[0].Type.DType, float64(v))
		if t == nil {
			return need("X has element type %v", n.In[0].Type.DType)
		}
		c.setConst(n, 1+i, t)
	}
	n.Attrs = n.Attrs.Without("min", "max")
	return nil
}

// floatConst returns a scalar of a float type; float32 if the type is unknown.
func floatConst(d tensor.DType, v float64) *tensor.Tensor {
	switch d {
	case tensor.Float64:
		return tensor.Scalar(v)
	case tensor.Float16:
		return tensor.Scalar(tensor.F16Of(float32(v)))
	case tensor.BFloat16:
		return tensor.Scalar(tensor.BF16Of(float32(v)))
	case tensor.Float32, tensor.Undefined:
		return tensor.Scalar(float32(v))
	}
	return nil
}

func clipDown(_ *converter, n *onnx.Node) error {
	for i, name := range []string{"min", "max"} {
		v := input(n, 1+i)
		if v == nil {
			continue
		}
		x, ok := scalarOf(v)
		if !ok {
			return need("%s is computed, and the older version wants it as an attribute", name)
		}
		n.Attrs = n.Attrs.Set(name, x)
	}
	drop(n, 1)
	return nil
}

func constantDown(_ *converter, n *onnx.Node) error {
	for _, a := range n.Attrs {
		var t *tensor.Tensor
		switch v := a.Value.(type) {
		case float32:
			t = tensor.Scalar(v)
		case []float32:
			t = tensor.Of(v, len(v))
		case int64:
			t = tensor.Scalar(v)
		case []int64:
			t = tensor.Of(v, len(v))
		case string:
			t = tensor.Scalar(v)
		case []string:
			t = tensor.Of(v, len(v))
		default:
			continue
		}
		n.Attrs = n.Attrs.Without(a.Name).Set("value", t)
		return nil
	}
	return nil
}

func perTensor(_ *converter, n *onnx.Node) error {
	n.Attrs = n.Attrs.Without("axis")
	if r := n.In[1].Type.Rank(); r != 0 {
		if k, ok := n.In[1].Type.Static(); !ok || len(k) != 1 || k[0] != 1 {
			return need("the scale is per axis (%v)", n.In[1].Type)
		}
	}
	return nil
}

func maskUnused(_ *converter, n *onnx.Node) error {
	if len(n.Out) > 1 && n.Out[1] != nil && (n.Out[1].Uses() > 0 || n.Graph.IsOutput(n.Out[1])) {
		return need("the mask is read, and has another type there")
	}
	return nil
}

func dropoutUp(c *converter, n *onnx.Node) error {
	if a := n.Attrs.Get("ratio"); a != nil {
		c.setConst(n, 1, tensor.Scalar(floatAttr(n, "ratio", 0.5)))
	}
	n.Attrs = n.Attrs.Without("ratio")
	return nil
}

func dropoutDown(_ *converter, n *onnx.Node) error {
	if t := input(n, 2); t != nil {
		if k := constOf(t); k == nil || k.DType() != tensor.Bool || k.Len() != 1 || tensor.Data[bool](k)[0] {
			return need("training_mode is not known to be false")
		}
	}
	if r := input(n, 1); r != nil {
		x, ok := scalarOf(r)
		if !ok {
			return need("ratio is computed, and the older version wants it as an attribute")
		}
		n.Attrs = n.Attrs.Set("ratio", x)
	}
	drop(n, 1)
	n.Attrs = n.Attrs.Without("seed")
	return nil
}

func pToInt(_ *converter, n *onnx.Node) error {
	p := floatAttr(n, "p", 2)
	if p != float32(math.Trunc(float64(p))) {
		return need("p is %v, want a whole number", p)
	}
	n.Attrs = n.Attrs.Without("p").Set("p", int(p))
	return nil
}

func pToFloat(_ *converter, n *onnx.Node) error {
	n.Attrs = n.Attrs.Without("p").Set("p", float64(intAttr(n, "p", 2)))
	return nil
}

func hasInputs(_ *converter, n *onnx.Node) error {
	if input(n, 0) == nil {
		return need("the input is absent")
	}
	return nil
}

func seluUp(c *converter, n *onnx.Node) error {
	return chain(without("consumed_inputs"), setDefault("alpha", 1.6732), setDefault("gamma", 1.0507))(c, n)
}

func seluDown(c *converter, n *onnx.Node) error {
	return chain(setDefault("alpha", 1.67326319217681884765625), setDefault("gamma", 1.05070102214813232421875))(c, n)
}

// shapeDown cuts the part [start, end) out of the whole shape.
func shapeDown(c *converter, n *onnx.Node) error {
	start, end := tensor.Int(intAttr(n, "start", 0)), tensor.Int(intAttr(n, "end", math.MaxInt64))
	if start == 0 && n.Attrs.Get("end") == nil {
		n.Attrs = n.Attrs.Without("start")
		return nil
	}
	var out *onnx.Value
	err := c.build(n, func(b *ops.Builder) {
		s := b.Op("Shape", nil, n.In[0])
		if c.target < 10 {
			out = b.Op("Slice", onnx.NewAttrs("axes", []int{0}, "starts", []int{start}, "ends", []int{end}), s)
		} else {
			out = b.Op("Slice", nil, s, b.Ints(start), b.Ints(end), b.Ints(0))
		}
	})
	return c.instead(n, out, err)
}

// allowZeroDown drops allowzero where no element of the shape can be 0.
func allowZeroDown(_ *converter, n *onnx.Node) error {
	if intAttr(n, "allowzero", 0) != 0 {
		shape, ok := n.Out[0].Type.Static()
		if k := constOf(n.In[1]); k != nil && k.DType() == tensor.Int64 {
			shape, ok = nil, true
			for _, v := range tensor.Data[int64](k) {
				shape = append(shape, tensor.Int(v))
			}
		}
		if !ok || slices.Contains(shape, 0) {
			return need("allowzero is 1, and the shape has or may have 0")
		}
	}
	n.Attrs = n.Attrs.Without("allowzero")
	return nil
}

func roiAlignDown(_ *converter, n *onnx.Node) error {
	v, err := onnx.Attribute(n, "coordinate_transformation_mode", "half_pixel")
	if err != nil {
		return err
	}
	if v != "output_half_pixel" {
		return need("coordinate_transformation_mode is %q", v)
	}
	n.Attrs = n.Attrs.Without("coordinate_transformation_mode")
	return nil
}

func scatterUp(_ *converter, n *onnx.Node) error {
	n.Op = "ScatterElements"
	return nil
}

func scatterDown(c *converter, n *onnx.Node) error {
	n.Op = "Scatter"
	return nonNegative(c, n)
}

func reductionDown(_ *converter, n *onnx.Node) error {
	v, err := onnx.Attribute(n, "reduction", "none")
	if err != nil {
		return err
	}
	if v == "max" || v == "min" {
		return need("reduction is %q", v)
	}
	return nil
}

func equalShapes(_ *converter, n *onnx.Node) error {
	for _, v := range n.In[1:] {
		if v != nil && !sameType(n.In[0], v) {
			return need("inputs are not known to have one shape (%v, %v), and the older version does not broadcast", n.In[0].Type, v.Type)
		}
	}
	return nil
}
