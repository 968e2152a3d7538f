package quantize

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// CorrectConfig says how CorrectBias runs models. The zero value is right.
type CorrectConfig struct {
	// Threads caps the threads of a run; 0: one per CPU. The result does not depend on it.
	Threads int
	// MaxMemory bounds a run as runtime.Options.MaxMemory does.
	MaxMemory int64
	// Progress is called after each batch with how many are done and how many
	// there are, -1 if that is not known. May be nil.
	Progress func(done, total int)
}

// CorrectedBias says what became of the bias of one product that is quantised.
type CorrectedBias struct {
	Node string `json:"node"`
	Op   string `json:"op"`
	// Shift is the largest magnitude that was added to a channel.
	Shift float64 `json:"shift"`
	// Reason says why the bias stayed as it was.
	Reason string `json:"reason,omitempty"`
}

// CorrectBias changes the biases of m so that, quantised by Static with the same
// ranges and config, each Conv, ConvTranspose, Gemm and MatMul with constant weights
// gives on average over the samples of src what it gives in floating point, in
// each output channel: bias correction (Nagel et al. 2019, "Data-Free Quantization
// Through Weight Equalization and Bias Correction", section 4.2, in its empirical
// form). A product without bias gets one; that of a MatMul is the constant vector that an
// Add behind it adds, which format QOperator would round for, so that it is not given one there.
//
// Both models run on each batch, once. In the quantised one the results of each product
// are shifted at once by the mean error over the batches so far, so what
// later products see is corrected already: errors that earlier ones cause are not
// corrected twice, as they would be if all errors were measured in one
// pass, and there is no pass for each product. What of a mean may be due to chance, by
// the spread between batches, is not corrected: give several. Of a product sums by channel are kept and
// nothing else. How samples are batched, and in which order, matters a little.
//
// m is changed only if there is no error; its graph is then another one, of the opset
// that c needs. Give Static the same ranges and c afterwards.
func CorrectBias(ctx context.Context, m *onnx.Model, ranges Ranges, c StaticConfig, src data.Source, o CorrectConfig) ([]CorrectedBias, error) {
	if ctx == nil {
		ctx = context.Background()
	}
	if ranges == nil {
		ranges = Ranges{}
	}
	adds := c.Format == QDQ && len(c.Selection.Include) == 0 && (len(c.Selection.Ops) == 0 || slices.Contains(c.Selection.Ops, "Add"))
	c.Format = QDQ // which rounds where the operators on integers do
	k, p, err := planStatic(m, ranges, c)
	if err != nil {
		return nil, err
	}
	out, layers := biasLayers(p, adds)
	if len(layers) == 0 {
		return out, nil
	}
	exact := k.Clone()
	nodes := slices.Clone(exact.Graph.Nodes) // as in p.order
	p.write()
	if err := optimize.Infer(k, optimize.InferOptions{}); err != nil {
		return nil, err
	}
	measured := exact.Clone()
	observeMeans(measured, layers)
	shiftMeans(k, layers)
	if err := runBoth(ctx, measured, k, layers, src, o); err != nil {
		return nil, err
	}
	for _, l := range layers {
		if l.weight > 0 {
			out[l.report].Shift = l.apply(exact.Graph, nodes[l.at])
		} else {
			out[l.report].Reason = "no sample computed it"
		}
	}
	exact.Graph.Prune()
	p.defaults.Restore(exact.Graph)
	m.Graph, m.Opsets, m.IRVersion = exact.Graph, exact.Opsets, exact.IRVersion
	return out, nil
}

// biasLayer is a product whose bias is corrected.
type biasLayer struct {
	name   string
	node   *onnx.Node // that adds the bias, in the quantised model
	at     int        // its index before anything was written
	input  int        // its bias
	axis   int        // of channels in its results, from the front or, below 0, the back
	report int        // index of its CorrectedBias

	want, got []float64 // sums by channel of one batch
	sum       []float64 // of differences
	square    []float64 // sums of the squared mean differences of batches
	weight    float64   // elements of a channel so far
	batches   float64
}

// biasLayers lists the products that are quantised, and those that can be
// corrected; adds says whether an Add behind a MatMul that has none would be quantised.
func biasLayers(p *plan, adds bool) (out []CorrectedBias, layers []*biasLayer) {
	out = []CorrectedBias{}
	for i, n := range p.order {
		d := p.nodes[n]
		if d.reason != "" || !isProduct(n) || len(d.weight) == 0 {
			continue
		}
		l := &biasLayer{name: p.names[n], node: n, at: i, input: 2, axis: 1, report: len(out)}
		out = append(out, CorrectedBias{Node: l.name, Op: n.Op})
		s, why := sideOf(p.g, n, true)
		if n.Op == "Gemm" || n.Op == "MatMul" {
			l.axis = -1
		}
		if beta, _ := onnx.Attribute(n, "beta", float32(1)); n.Op == "Gemm" && beta == 0 && why == "" {
			why = "it ignores its bias, beta is 0"
		}
		if n.Op == "MatMul" && why == "" {
			switch add, i := biasAdd(p, n); {
			case add != nil:
				l.node, l.input, l.at = add, i, slices.Index(p.order, add)
			case !adds:
				why = "no Add of a constant vector follows it, and none is to be quantised"
			}
		}
		if why == "" && len(l.node.In) > l.input && l.node.In[l.input] != nil {
			b := l.node.In[l.input]
			if !p.constant(b) || b.Const.DType() != tensor.Float32 || !vector(b.Const) || b.Const.Len() != s.count {
				why = fmt.Sprintf("its bias %q is no constant vector of float32 for its %d channels", b.Name, s.count)
			}
		}
		if why != "" {
			out[l.report].Reason = why
			continue
		}
		l.want, l.got, l.sum, l.square = make([]float64, s.count), make([]float64, s.count), make([]float64, s.count), make([]float64, s.count)
		layers = append(layers, l)
	}
	return out, layers
}

// biasAdd returns the Add that alone reads what the MatMul n computes and adds
// a constant vector, and which input that is; nil if there is none.
func biasAdd(p *plan, n *onnx.Node) (*onnx.Node, int) {
	v := n.Out[0]
	if v.Uses() != 1 || p.g.IsOutput(v) {
		return nil, 0
	}
	u := v.Users()[0]
	if u.Graph != p.g || u.Op != "Add" || ops.NormalDomain(u.Domain) != "" || !p.columnBias(u, v) {
		return nil, 0
	}
	return u, 1 - slices.Index(u.In, v)
}

// apply adds the mean error to the bias of n and returns the largest shift.
func (l *biasLayer) apply(g *onnx.Graph, n *onnx.Node) (most float64) {
	beta := float32(1)
	if n.Op == "Gemm" {
		beta, _ = onnx.Attribute(n, "beta", float32(1))
	}
	b := tensor.New(tensor.Float32, len(l.sum))
	name := l.name + "_bias"
	if len(n.In) > l.input && n.In[l.input] != nil {
		old := n.In[l.input]
		name = old.Name
		b = old.Const.Clone()
	}
	x := tensor.Data[float32](b)
	for c := range x {
		shift := l.mean(c)
		x[c] += float32(shift / float64(beta))
		most = max(most, math.Abs(shift))
	}
	bias := g.AddConst(g.NewConst(g.FreshName(name), b))
	if n.Op == "MatMul" {
		addBehind(g, n.Out[0], bias)
	} else {
		n.SetInput(l.input, bias)
	}
	return most
}

// addBehind adds bias to v. The sum takes v's name, by which its range is known.
func addBehind(g *onnx.Graph, v, bias *onnx.Value) {
	name := v.Name
	add := g.NewNode("Add", nil, []*onnx.Value{v, bias}, 1)
	sum := add.Out[0]
	sum.Type = v.Type
	g.Insert(after(g, v), add)
	g.Replace(v, sum)
	add.SetInput(0, v)
	if sum.Name != name {
		sum.Name, v.Name = name, g.FreshName(name)
	}
}

// The operators that measure: meanOp sums its input by channel, shiftOp also
// adds the mean error so far and passes that on.
const (
	meanOp  = "ChannelMean"
	shiftOp = "ChannelShift"
)

// observeMeans makes the sums of all layers the outputs of m, which is as before
// the layers were quantised.
func observeMeans(m *onnx.Model, layers []*biasLayer) {
	g := m.Graph
	nodes := slices.Clone(g.Nodes)
	m.Opsets[domain], g.Opsets[domain] = 1, 1
	g.Outputs = nil
	for i, l := range layers {
		n := g.NewNodeIn(domain, meanOp, onnx.NewAttrs("index", i), []*onnx.Value{nodes[l.at].Out[0]}, 1)
		g.Insert(after(g, nodes[l.at].Out[0]), n)
		g.Outputs = append(g.Outputs, n.Out[0])
	}
	g.RebuildUses()
}

// shiftMeans puts a shift behind each layer of the quantised model m.
func shiftMeans(m *onnx.Model, layers []*biasLayer) {
	g := m.Graph
	m.Opsets[domain], g.Opsets[domain] = 1, 1
	for i, l := range layers {
		v := l.node.Out[0]
		readers := slices.Clone(v.Users())
		n := g.NewNodeIn(domain, shiftOp, onnx.NewAttrs("index", i), []*onnx.Value{v}, 1)
		n.Out[0].Type = v.Type
		g.Insert(after(g, v), n)
		for _, u := range readers {
			for k, x := range u.In {
				if x == v {
					u.SetInput(k, n.Out[0])
				}
			}
		}
		for k, x := range g.Outputs {
			if x == v {
				g.Outputs[k] = n.Out[0]
			}
		}
	}
}

// runBoth runs both models on all batches.
func runBoth(ctx context.Context, exact, quantised *onnx.Model, layers []*biasLayer, src data.Source, o CorrectConfig) error {
	fail := func(err error) error { return fmt.Errorf("quantize: correct biases: %w", err) }
	var sessions [2]*runtime.Session
	for i, m := range []*onnx.Model{exact, quantised} {
		s, err := runtime.New(m, runtime.Options{Threads: o.Threads, MaxMemory: o.MaxMemory, Operators: biasOps(layers)})
		if err != nil {
			return fail(err)
		}
		defer s.Close()
		sessions[i] = s
	}
	done := 0
	for b, err := range src.Batches(ctx) {
		if err != nil {
			return fail(err)
		}
		in := b.Values()
		for _, s := range sessions {
			if _, err := s.Run(ctx, in); err != nil {
				return fail(fmt.Errorf("batch %d (%s): %w", done+1, b.Name, err))
			}
		}
		if done++; o.Progress != nil {
			o.Progress(done, src.Len())
		}
	}
	if done == 0 {
		return fail(errors.New("the source has no batches: errors are measured on at least one sample"))
	}
	return nil
}

// biasOps returns the operators that measure layers: attribute index tells which.
// As a kernel changes its layer, their Numerics is Random.
func biasOps(layers []*biasLayer) []*ops.Op {
	layer := func(b *ops.BuildContext) (*biasLayer, error) {
		i := b.Int("index", -1)
		if i < 0 || i >= len(layers) {
			return nil, fmt.Errorf("index %d is not in [0, %d)", i, len(layers))
		}
		return layers[i], nil
	}
	return []*ops.Op{
		{
			Domain: domain, Name: meanOp, Numerics: ops.Random,
			Versions: []ops.Version{{Since: 1, In: ops.N(1), Out: ops.N(1), Build: func(b *ops.BuildContext) (ops.Kernel, error) {
				l, err := layer(b)
				return func(c *ops.Call) error {
					c.Output(0, tensor.Bool)
					_, err := l.sums(c, l.want)
					return err
				}, err
			}, Infer: func(c *ops.InferContext) error {
				c.Int("index", 0)
				c.Out[0] = onnx.TensorType(tensor.Bool)
				return nil
			}}},
		},
		{
			Domain: domain, Name: shiftOp, Numerics: ops.Random,
			Versions: []ops.Version{{Since: 1, In: ops.N(1), Out: ops.N(1), Build: func(b *ops.BuildContext) (ops.Kernel, error) {
				l, err := layer(b)
				return l.shift, err
			}, Infer: func(c *ops.InferContext) error {
				c.Int("index", 0)
				c.Out[0] = c.Node.In[0].Type
				return nil
			}}},
		},
	}
}

// channelLayout is a tensor as [outer, channels, inner].
type channelLayout struct {
	x            []float32
	n, in, outer int
}

// layout returns input 0 of c by channels.
func (l *biasLayer) layout(c *ops.Call) (s channelLayout, err error) {
	t, ok := c.In[0].(*tensor.Tensor)
	axis := l.axis
	if ok && axis < 0 {
		axis += t.Rank()
	}
	if !ok || t.DType() != tensor.Float32 || axis < 0 || axis >= t.Rank() || t.Dim(axis) != len(l.sum) {
		return s, fmt.Errorf("the results of %q are %v, want float32 with %d channels in dimension %d", l.name, c.In[0], len(l.sum), l.axis)
	}
	s = channelLayout{x: tensor.Data[float32](t), n: len(l.sum), in: 1}
	for _, d := range t.Shape()[axis+1:] {
		s.in *= d
	}
	s.outer = t.Len() / max(s.n*s.in, 1)
	return s, nil
}

// sums writes the sums of input 0 of c by channel, each in one order whatever
// the number of threads.
func (l *biasLayer) sums(c *ops.Call, into []float64) (channelLayout, error) {
	s, err := l.layout(c)
	if err != nil {
		return s, err
	}
	c.P.For(s.n, max(1, 1<<14/max(s.outer*s.in, 1)), func(lo, hi int) {
		clear(into[lo:hi])
		for o := range s.outer {
			for ch := lo; ch < hi; ch++ {
				at := (o*s.n + ch) * s.in
				for _, v := range s.x[at : at+s.in] {
					into[ch] += float64(v)
				}
			}
		}
	})
	return s, c.P.Ctx.Err()
}

// mean returns the mean error of a channel so far, shrunk by what of it is due to
// chance (the positive part of James and Stein's estimator), as the spread between
// batches tells: of a few samples, the results of a classifier's last product have errors
// whose mean says nothing about other samples.
func (l *biasLayer) mean(c int) float64 {
	m := l.sum[c] / max(l.weight, 1)
	if l.batches < 2 || m == 0 {
		return m
	}
	chance := max(l.square[c]/l.batches-m*m, 0) / (l.batches - 1)
	return m * max(1-chance/(m*m), 0)
}

// shift takes in the error of a batch and returns its input with the mean error
// taken off.
func (l *biasLayer) shift(c *ops.Call) error {
	s, err := l.sums(c, l.got)
	if err != nil {
		return err
	}
	n := float64(s.outer * s.in)
	l.weight += n
	l.batches++
	for ch := range l.sum {
		d := l.want[ch] - l.got[ch]
		l.sum[ch] += d
		l.square[ch] += d / max(n, 1) * d / max(n, 1)
		if e := l.sum[ch]; e-e != 0 {
			return fmt.Errorf("the results of %q hold NaN or infinite elements in channel %d: check the data and its preprocessing, or leave the node out", l.name, ch)
		}
	}
	y := tensor.Data[float32](c.Output(0, tensor.Float32, c.In[0].(*tensor.Tensor).Shape()...))
	c.P.For(s.outer*s.n, max(1, 1<<14/max(s.in, 1)), func(lo, hi int) {
		for r := lo; r < hi; r++ {
			by := float32(l.mean(r % s.n))
			for i := r * s.in; i < (r+1)*s.in; i++ {
				y[i] = s.x[i] + by
			}
		}
	})
	return nil
}
