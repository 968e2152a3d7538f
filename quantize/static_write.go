package quantize

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// staticWriter writes a plan into its graph.
type staticWriter struct {
	*staticShared
	p       *plan
	g       *onnx.Graph
	params  map[*onnx.Value]affine         // by the value that stands for its group
	scales  map[*onnx.Value][2]*onnx.Value // the same as initializers
	values  map[*onnx.Value]*onnx.Value    // what readers of a quantised value read
	weights map[weightKey]*weightUse
	after   map[*onnx.Node]*onnx.Node // the node behind each, before anything was written
}

// staticShared is what the writers of a graph and those nested in it have in common. Its
// initializers are of the outermost graph, which all can read.
type staticShared struct {
	root   *onnx.Graph
	used   map[string]bool
	zeros  map[zeroKey]*onnx.Value
	stored map[weightKey]storedUse
}

// storedUse is what DequantizeLinear reads of weights, the shape that they have behind it if that is another, and their parameters.
type storedUse struct {
	in    []*onnx.Value
	as    onnx.Attrs
	shape *onnx.Value
	ps    []affine
}

// weightKey is one use of a constant as weights.
type weightKey struct {
	v  *onnx.Value
	by granularity
}

// zeroKey tells apart zero points that are the same: a scalar, or a vector of zeros.
type zeroKey struct {
	dtype      tensor.DType
	len, value int // len is -1 of a scalar
}

type weightUse struct {
	out *onnx.Value // of DequantizeLinear
	ps  []affine
}

// write does what p and the plans nested in it say, inner ones first: they find values around them as they were.
func (p *plan) write() {
	s := newStaticShared(p.g)
	var write func(p *plan)
	write = func(p *plan) {
		for _, q := range p.nested {
			write(q)
		}
		if len(p.g.Nodes) > 0 {
			newStaticWriter(p, s).write()
		}
	}
	write(p)
}

func newStaticWriter(p *plan, s *staticShared) *staticWriter {
	w := &staticWriter{staticShared: s, p: p, g: p.g, params: p.parameters(), scales: map[*onnx.Value][2]*onnx.Value{}, values: map[*onnx.Value]*onnx.Value{},
		weights: map[weightKey]*weightUse{}, after: map[*onnx.Node]*onnx.Node{}}
	for i, n := range w.g.Nodes[1:] {
		w.after[w.g.Nodes[i]] = n
	}
	return w
}

func newStaticShared(root *onnx.Graph) *staticShared {
	w := &staticShared{root: root, used: map[string]bool{}, zeros: map[zeroKey]*onnx.Value{}, stored: map[weightKey]storedUse{}}
	root.Walk(func(h *onnx.Graph) {
		for _, vs := range [][]*onnx.Value{h.Inputs, h.Consts} {
			for _, v := range vs {
				w.used[v.Name] = true
			}
		}
		for _, n := range h.Nodes {
			w.used[n.Name] = true
			for _, v := range n.Out {
				if v != nil {
					w.used[v.Name] = true
				}
			}
		}
	})
	return w
}

// name returns the name, or if it is taken, one with a number behind it.
func (w *staticShared) name(s string) string {
	t := s
	for i := 2; w.used[t]; i++ {
		t = s + "_" + strconv.Itoa(i)
	}
	w.used[t] = true
	return t
}

// write does what the plan says. Nodes are visited in order, so that what they
// read has been written.
func (w *staticWriter) write() {
	order := slices.Clone(w.g.Nodes)
	for _, v := range w.p.values {
		if (v.From == nil || v.From.Graph != w.g) && !w.p.constant(v) {
			w.quantize(v, order[0])
		}
	}
	for _, n := range order {
		d := w.p.nodes[n]
		if d.reason != "" {
			continue
		}
		for _, i := range d.acts {
			w.read(n, i)
		}
		if len(d.weight) > 0 || d.op.bias > 0 {
			w.product(n, d)
		}
		for _, v := range n.Out {
			if v != nil && w.p.isIn[v] && w.values[v] == nil {
				w.quantize(v, w.after[n])
			}
		}
	}
	if w.p.c.Format == QOperator {
		w.integers(order)
	}
	w.g.Prune()
}

// node adds a node with one output of the given names before at. Without a name it is known
// by its output: the names of nodes that round would be some percent of the file.
func (w *staticWriter) node(at *onnx.Node, op, name, out string, as onnx.Attrs, in ...*onnx.Value) *onnx.Value {
	n := w.g.NewNode(op, as, in, 1)
	if name != "" {
		n.Name = w.name(name)
	}
	n.Out[0].Name = w.name(out)
	w.g.Insert(at, n)
	return n.Out[0]
}

// constant makes an initializer.
func (w *staticWriter) constant(name string, t *tensor.Tensor) *onnx.Value {
	v := w.root.NewConst(w.name(name), t)
	if w.g != w.root {
		w.root.AddConst(v)
	}
	return v
}

// scale returns the parameters of v as initializers, which all values of its
// group have in common.
func (w *staticWriter) scale(v *onnx.Value) (scale, zero *onnx.Value) {
	r := w.p.root(v)
	s, ok := w.scales[r]
	if !ok {
		a := w.params[r]
		s[0] = w.constant(r.Name+"_scale", tensor.Scalar(a.scale))
		s[1] = w.zero(zeroKey{w.p.acts.dtype, -1, a.zero})
		w.scales[r] = s
	}
	return s[0], s[1]
}

// zero returns the initializer of zero points, which all that have the same share:
// of models with many layers their names alone would be some percent of the file.
func (w *staticWriter) zero(k zeroKey) *onnx.Value {
	if w.zeros[k] == nil {
		if k.len < 0 {
			w.zeros[k] = w.constant(fmt.Sprintf("zero_point_%v_%d", k.dtype, k.value), scalarCode(k.dtype, k.value))
		} else {
			w.zeros[k] = w.constant(fmt.Sprintf("zero_points_%v_%d", k.dtype, k.len), tensor.New(k.dtype, k.len))
		}
	}
	return w.zeros[k]
}

// quantize puts QuantizeLinear and DequantizeLinear of v before at. All read the
// result if v itself is computed on integers, else only those that are quantised.
func (w *staticWriter) quantize(v *onnx.Value, at *onnx.Node) {
	name := v.Name
	s, z := w.scale(v)
	q := w.node(at, "QuantizeLinear", "", name+"_q", nil, v, s, z)
	d := w.node(at, "DequantizeLinear", "", name+"_dq", nil, q, s, z)
	q.Type = v.Type
	q.Type.DType = w.p.acts.dtype
	d.Type = v.Type
	w.values[v] = d
	if !w.p.quantized(v) {
		return
	}
	old := v.Name
	w.g.Replace(v, d)
	q.From.SetInput(0, v)
	if d.Name == old { // it is an output of the graph, and keeps its name
		v.Name = w.name(old + "_QuantizeLinear_Input")
	}
}

// read makes input i of n read its value from integers.
func (w *staticWriter) read(n *onnx.Node, i int) {
	v := n.In[i]
	if d := w.values[v]; d != nil {
		n.SetInput(i, d)
		return
	}
	if !w.p.isIn[v] { // it was replaced for all of its readers
		return
	}
	if !w.p.constant(v) { // of a node that is not quantised
		w.quantize(v, w.after[v.From])
		n.SetInput(i, w.values[v])
		return
	}
	s, z := w.scale(v)
	q := w.p.acts.quantizeBy(v.Const, perTensor, []affine{w.params[w.p.root(v)]})
	c := w.constant(v.Name+"_quantized", q.codes)
	d := w.node(n, "DequantizeLinear", "", v.Name+"_dq", nil, c, s, z)
	d.Type = v.Type
	w.values[v] = d
	n.SetInput(i, d)
}

// product makes n read its weights from integers, and its bias if it has one.
func (w *staticWriter) product(n *onnx.Node, d *decision) {
	var ps []affine
	unit, channels := 0.0, 0
	if b := d.op.bias; b > 0 {
		unit = float64(w.paramsOf(n.In[0]).scale)
		if n.Op == "Gemm" {
			alpha, _ := onnx.Attribute(n, "alpha", float32(1))
			unit *= float64(alpha)
		}
		channels = outChannels(n, b)
	}
	bias := biasOf(n, d, channels)
	fits := true
	for _, s := range d.weight {
		v := n.In[s.input]
		key := weightKey{v, w.p.granularity(n, s)}
		use := w.use(n, key)
		if use == nil {
			split := key.by.parts(v.Const.Shape())
			rs, _ := split.ranges(tensor.Data[float32](v.Const))
			use = &weightUse{ps: make([]affine, len(rs))}
			for i, r := range rs {
				use.ps[i] = w.p.weights.affine(r)
			}
			if key.by.axis >= 0 && key.by.block == 0 && d.op.sums {
				scales := make([]float32, len(rs))
				for i, a := range use.ps {
					scales[i] = a.scale
				}
				w.p.weights.fit(par.P{}, tensor.Data[float32](v.Const), split.outer, split.n, split.inner, scales)
				for i, s := range scales {
					use.ps[i].scale = s
				}
			}
			// One scale for all would lose precision everywhere for one bias.
			fixed := v.Uses() > 1 || key.by.axis < 0
			fits = w.p.weights.fitScales(use.ps, rs, bias, unit, fixed)
			q := w.p.weights.quantizeBy(v.Const, key.by, use.ps).byRow()
			if q.by.axis >= 0 && q.by.block == 0 && d.op.sums {
				w.p.weights.balance(par.P{}, tensor.Data[float32](v.Const), q.codes, q.by.axis, func(c int) affine { return use.ps[c] })
			}
			use.out = w.dequantize(n, v.Name, q, d.role == stores)
			stored := storedUse{in: slices.Clone(use.out.From.In), as: use.out.From.Attrs, ps: use.ps}
			if q.codes.Rank() != v.Const.Rank() {
				stored.shape = w.constant(v.Name+"_shape", ops.NewBuilder(w.g).Ints(v.Const.Shape()...).Const)
				use.out = w.reshape(n, v, use.out, stored.shape)
			}
			w.weights[key], w.stored[key] = use, stored
		} else {
			fits = w.p.weights.fitScales(use.ps, make([]Range, len(use.ps)), bias, unit, true)
		}
		n.SetInput(s.input, use.out)
		ps = use.ps
	}
	if bias == nil {
		if d.op.bias > 0 && len(n.In) > d.op.bias && n.In[d.op.bias] != nil && d.note == "" {
			d.note = ", float bias"
		}
		return
	}
	if ps == nil { // the other factor is computed
		ps = []affine{w.paramsOf(n.In[1])}
		fits = w.p.acts.fitScales(ps, []Range{{}}, bias, unit, true)
	}
	if !fits {
		d.note = ", float bias that does not fit int32"
		return
	}
	scales := make([]float32, len(ps))
	for i, p := range ps {
		scales[i] = p.scale
	}
	q := quantizeBias(bias, unit, scales)
	if n.Op == "Gemm" {
		n.Attrs = n.Attrs.Without("beta")
	}
	n.SetInput(d.op.bias, w.dequantize(n, n.In[d.op.bias].Name, q, false))
}

// use returns what has been written of weights for readers in the graph of n, nil if
// they are not stored yet. What is stored for another graph is dequantised here, too.
func (w *staticWriter) use(n *onnx.Node, key weightKey) *weightUse {
	s, ok := w.stored[key]
	if w.weights[key] != nil || !ok {
		return w.weights[key]
	}
	use := &weightUse{ps: s.ps}
	use.out = w.node(n, "DequantizeLinear", "", key.v.Name+"_dq", s.as, s.in...)
	use.out.Type = onnx.TensorType(tensor.Float32, onnx.Sizes(s.in[0].Const.Shape()...)...)
	if s.shape != nil {
		use.out = w.reshape(n, key.v, use.out, s.shape)
	}
	w.weights[key] = use
	return use
}

// reshape gives x, which is made of v, the shape of v.
func (w *staticWriter) reshape(n *onnx.Node, v, x, shape *onnx.Value) *onnx.Value {
	y := w.node(n, "Reshape", v.Name+"_Reshape", v.Name+"_Reshape_Output", nil, x, shape)
	y.Type = v.Type
	return y
}

// paramsOf returns the parameters of v, the result of a DequantizeLinear of activations.
func (w *staticWriter) paramsOf(v *onnx.Value) affine {
	c := v.From.In[1].Const
	return affine{scale: tensor.Data[float32](c)[0]}
}

// outChannels returns how many elements are needed of the bias of n, its input i.
func outChannels(n *onnx.Node, i int) int {
	if len(n.In) > i && n.In[i] != nil && n.In[i].Const != nil && n.In[i].Const.Len() > 1 {
		return n.In[i].Const.Len()
	}
	if t := n.Out[0].Type; t.Rank() >= 2 { // [m, n] or [n, m, …]
		if size, ok := t.Dims[1].Size(); ok {
			return size
		}
	}
	return 0
}

// dequantize stores q under names that begin with name and returns its
// DequantizeLinear, which is put before n. Zero points that are all 0 are stored
// once for all weights, or, if the result is read as floats or is a bias, not at all: where
// runtimes join nodes to integer kernels, ONNX Runtime wants those of weights to be there.
func (w *staticWriter) dequantize(n *onnx.Node, name string, q integers, floats bool) *onnx.Value {
	var as onnx.Attrs
	if q.by.axis >= 0 {
		as = onnx.NewAttrs("axis", q.by.axis)
		if q.by.block > 0 {
			as = onnx.NewAttrs("axis", q.by.axis, "block_size", q.by.block)
		}
	}
	prefix := name
	if q.codes.DType() == tensor.Int32 { // a bias is quantised for each of its readers
		prefix = name + "_quantized"
	}
	in := []*onnx.Value{w.constant(name+"_quantized", q.codes), w.constant(prefix+"_scale", q.scale)}
	switch none := allZero(q.zero); {
	case none && (floats || q.codes.DType() == tensor.Int32):
	case none && q.zero.Rank() == 0:
		in = append(in, w.zero(zeroKey{q.zero.DType(), -1, 0}))
	case none && q.zero.Rank() == 1:
		in = append(in, w.zero(zeroKey{q.zero.DType(), q.zero.Len(), 0}))
	default:
		in = append(in, w.constant(prefix+"_zero_point", q.zero))
	}
	d := w.node(n, "DequantizeLinear", "", name+"_dq", as, in...)
	d.Type = onnx.TensorType(tensor.Float32, onnx.Sizes(q.codes.Shape()...)...)
	return d
}
