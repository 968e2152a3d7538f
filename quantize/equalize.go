package quantize

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// Equalized says what Equalize did.
type Equalized struct {
	Pairs  []EqualizedPair `json:"pairs"`
	Sweeps int             `json:"sweeps"` // over all pairs, until nothing changed
	// Left are products with constant weights whose results go to no other product
	// that could be equalised with them, and why.
	Left []Change `json:"left,omitempty"`
}

// EqualizedPair is a product and the one that reads its channels.
type EqualizedPair struct {
	First    string `json:"first"`
	Second   string `json:"second"`
	Channels int    `json:"channels"`
	// Before and After are the largest range of weights of a channel of the first
	// by the smallest, channels of zeros left out.
	Before float64 `json:"before"`
	After  float64 `json:"after"`
}

// Sweeps end when no channel is scaled by more than converged, or at maxSweeps.
const (
	converged = 1e-3
	maxSweeps = 100
)

// Equalize makes the ranges of weights alike over the channels between two
// products: cross-layer equalisation (Nagel et al. 2019, "Data-Free Quantization
// Through Weight Equalization and Bias Correction", section 4.1). Where only what is
// positively homogeneous stands between them (Relu, LeakyRelu, PRelu, pooling,
// or nothing), a channel that the first makes s times smaller and the second s
// times larger changes nothing; s is chosen so that both have the same range in it.
// Products are Conv, also depthwise, ConvTranspose, Gemm and MatMul by constants.
// Chains of them converge in sweeps over all pairs.
//
// It helps where channels differ much: values between the products have one scale for
// all of them, and weights may have. Where they hardly differ it can lose a little. The
// ranges of those values change, so calibrate afterwards. No bias is made larger than the largest
// of its layer, so that a channel without weights does not take over the range of
// activations. A Clip with an upper bound, such as Relu6, is not homogeneous: products on
// both sides of it stay as they are. g computes the same as before but for rounding.
func Equalize(g *onnx.Graph) *Equalized {
	e := &Equalized{}
	var pairs []*channelPair
	for _, n := range g.Nodes {
		if !isProduct(n) {
			continue
		}
		p, why := pairOf(g, n)
		if why != "" {
			if len(n.In) > 1 && n.In[1] != nil && n.In[1].Const != nil {
				e.Left = append(e.Left, Change{Node: NodeName(n), Op: n.Op, Reason: why})
			}
			continue
		}
		pairs = append(pairs, p)
	}
	owned := map[*onnx.Value]bool{}
	for _, p := range pairs {
		p.own(g, owned)
		e.Pairs = append(e.Pairs, EqualizedPair{First: NodeName(p.first.n), Second: NodeName(p.second.n), Channels: p.first.count, Before: spread(p.first.magnitudes())})
	}
	for moved := true; moved && e.Sweeps < maxSweeps; e.Sweeps++ {
		moved = false
		for _, p := range pairs {
			moved = p.equalize() > converged || moved
		}
	}
	for i, p := range pairs {
		e.Pairs[i].After = spread(p.first.magnitudes())
	}
	return e
}

// isProduct reports whether n multiplies by weights that can be scaled by channel.
func isProduct(n *onnx.Node) bool {
	if ops.NormalDomain(n.Domain) != "" {
		return false
	}
	switch n.Op {
	case "Conv", "ConvTranspose", "Gemm", "MatMul":
		return true
	}
	return false
}

// channelSide is the weights of a product as seen from the channels that it
// computes or reads.
type channelSide struct {
	n     *onnx.Node
	w     *onnx.Value
	count int // of channels
	// Elements [i, j, …] of the weights, rest of them for each i and j, belong to channel of(i, j).
	d0, d1, rest int
	of           func(i, j int) int
}

// sideOf returns the weights of n by the channels that it computes (out) or
// reads, or why there are none.
func sideOf(g *onnx.Graph, n *onnx.Node, out bool) (s channelSide, why string) {
	if len(n.In) < 2 || n.In[0] == nil || n.In[1] == nil || len(n.Out) == 0 || n.Out[0] == nil {
		return s, "it lacks inputs or its output"
	}
	s = channelSide{n: n, w: n.In[1], rest: 1}
	switch {
	case !fixedFloats(g, s.w):
		return s, fmt.Sprintf("its weights %q are not constant float32", s.w.Name)
	case s.w.Const.Rank() < 2 || s.w.Const.Len() == 0:
		return s, fmt.Sprintf("its weights %q have shape %v", s.w.Name, s.w.Const.Shape())
	}
	shape := s.w.Const.Shape()
	s.d0, s.d1 = shape[0], shape[1]
	for _, d := range shape[2:] {
		s.rest *= d
	}
	first := func(i, _ int) int { return i }
	if n.Op == "Conv" || n.Op == "ConvTranspose" {
		group, err := onnx.Attribute(n, "group", int64(1))
		if err != nil || group < 1 || group > int64(s.d0) || s.d0%int(group) != 0 || len(shape) < 3 {
			return s, fmt.Sprintf("its weights %q of shape %v do not fit %d groups", s.w.Name, shape, group)
		}
		// Dimension 0 has the channels of all groups, dimension 1 those of one.
		if out == (n.Op == "Conv") {
			s.count, s.of = s.d0, first
		} else {
			per := s.d0 / int(group)
			s.count, s.of = s.d1*int(group), func(i, j int) int { return i/per*s.d1 + j }
		}
		return s, ""
	}
	if len(shape) != 2 {
		return s, fmt.Sprintf("its weights %q are no matrix: %v", s.w.Name, shape)
	}
	transA, transB := int64(0), int64(0)
	if n.Op == "Gemm" {
		transA, _ = onnx.Attribute(n, "transA", int64(0))
		transB, _ = onnx.Attribute(n, "transB", int64(0))
	}
	switch {
	case transA != 0 && !out:
		return s, "it reads channels along its rows"
	case out == (transB != 0):
		s.count, s.of = s.d0, first
	default:
		s.count, s.of = s.d1, func(_, j int) int { return j }
	}
	return s, ""
}

// scalable says why the weights of s cannot be scaled, "" if they can.
func (s *channelSide) scalable(g *onnx.Graph) string {
	r, ok := finiteRange(tensor.Data[float32](s.w.Const))
	switch {
	case s.w.Uses() > 1 || g.IsOutput(s.w):
		return fmt.Sprintf("its weights %q are used elsewhere, too", s.w.Name)
	case !ok:
		return fmt.Sprintf("its weights %q have NaN or infinite elements", s.w.Name)
	case r == (Range{}):
		return fmt.Sprintf("its weights %q are all 0", s.w.Name)
	}
	return ""
}

// fixedFloats reports whether v is a float32 initializer that no caller can replace.
func fixedFloats(g *onnx.Graph, v *onnx.Value) bool {
	return v != nil && v.Const != nil && v.From == nil && v.Const.DType() == tensor.Float32 && !slices.Contains(g.Inputs, v)
}

// magnitudes returns the largest magnitude of each channel.
func (s *channelSide) magnitudes() []float32 {
	m, x := make([]float32, s.count), tensor.Data[float32](s.w.Const)
	s.each(func(c, lo, hi int) {
		for _, v := range x[lo:hi] {
			m[c] = max(m[c], v, -v)
		}
	})
	return m
}

// scale multiplies the weights by the factor of their channel.
func (s *channelSide) scale(by []float64) {
	x := tensor.Data[float32](s.w.Const)
	s.each(func(c, lo, hi int) {
		if by[c] != 1 {
			for k := lo; k < hi; k++ {
				x[k] = float32(float64(x[k]) * by[c])
			}
		}
	})
}

// each calls f with runs of elements of one channel.
func (s *channelSide) each(f func(c, lo, hi int)) {
	at := 0
	for i := range s.d0 {
		for j := range s.d1 {
			f(s.of(i, j), at, at+s.rest)
			at += s.rest
		}
	}
}

// channelBias is a constant vector that is added to the channels: input i of n.
type channelBias struct {
	n *onnx.Node
	i int
	v *onnx.Value // what is scaled in its place
	// most is its largest magnitude before anything was scaled.
	most float64
}

// channelPair are two products and what is added between them.
type channelPair struct {
	first, second channelSide
	biases        []*channelBias
}

// pairOf returns n with the product that reads its results, or why there is none.
func pairOf(g *onnx.Graph, n *onnx.Node) (*channelPair, string) {
	p := &channelPair{}
	var why string
	if p.first, why = sideOf(g, n, true); why == "" {
		why = p.first.scalable(g)
	}
	if why != "" {
		return nil, why
	}
	matrix := n.Op == "Gemm" || n.Op == "MatMul" // channels lie in the last dimension, else in the second
	if len(n.In) > 2 && n.In[2] != nil {
		if why = p.addBias(g, n, 2); why != "" {
			return nil, why
		}
	}
	v := n.Out[0]
	for {
		switch {
		case g.IsOutput(v):
			return nil, "its results are an output of the graph"
		case v.Uses() != 1:
			return nil, fmt.Sprintf("its results have %d readers", v.Uses())
		}
		u := v.Users()[0]
		at := slices.Index(u.In, v)
		switch {
		case at < 0 || u.Graph != g:
			return nil, "a nested graph reads its results"
		case isProduct(u):
			if at != 0 {
				return nil, fmt.Sprintf("%s %q multiplies by its results", u.Op, NodeName(u))
			}
			if matrix != (u.Op == "Gemm" || u.Op == "MatMul") {
				return nil, fmt.Sprintf("%s %q has its channels in another dimension", u.Op, NodeName(u))
			}
			if p.second, why = sideOf(g, u, false); why == "" {
				why = p.second.scalable(g)
			}
			if why != "" {
				return nil, fmt.Sprintf("%s %q, which reads its results: %s", u.Op, NodeName(u), why)
			}
			if p.first.count != p.second.count {
				return nil, fmt.Sprintf("%s %q reads %d channels of its %d", u.Op, NodeName(u), p.second.count, p.first.count)
			}
			return p, ""
		case matrix && u.Op == "Add" && ops.NormalDomain(u.Domain) == "" && len(u.In) == 2 && len(u.Out) == 1 && fixedFloats(g, u.In[1-at]):
			if why = p.addBias(g, u, 1-at); why != "" {
				return nil, why
			}
		case at != 0 || !homogeneous(g, u, matrix):
			return nil, fmt.Sprintf("%s %q, which reads its results, is not positively homogeneous in each channel", u.Op, NodeName(u))
		}
		v = u.Out[0]
	}
}

// addBias notes a constant vector that is added.
func (p *channelPair) addBias(g *onnx.Graph, n *onnx.Node, i int) string {
	v := n.In[i]
	if !fixedFloats(g, v) || v.Const.Rank() == 0 || v.Const.Len() != p.first.count || v.Const.Dim(-1) != p.first.count {
		return fmt.Sprintf("what is added to its results, %q, is no constant vector of float32 for its channels", v.Name)
	}
	r, ok := finiteRange(tensor.Data[float32](v.Const))
	if !ok {
		return fmt.Sprintf("what is added to its results, %q, has NaN or infinite elements", v.Name)
	}
	p.biases = append(p.biases, &channelBias{n: n, i: i, v: v, most: float64(max(r.Hi, -r.Lo))})
	return ""
}

// homogeneous reports whether n, applied to s·x with s > 0 for each channel,
// gives s times what it gives for x.
func homogeneous(g *onnx.Graph, n *onnx.Node, matrix bool) bool {
	if ops.NormalDomain(n.Domain) != "" || len(n.Out) != 1 || n.Out[0] == nil {
		return false
	}
	switch n.Op {
	case "Relu", "LeakyRelu", "PRelu", "Identity":
		return true
	case "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool":
		return !matrix
	case "Clip": // by 0 or nothing: a Relu
		return n.Opset >= 11 && clipsAt(g, n, 1, -1) && clipsAt(g, n, 2, 1)
	}
	return false
}

// clipsAt reports whether bound i of the Clip n is 0 or, in the direction of
// sign, beyond all numbers.
func clipsAt(g *onnx.Graph, n *onnx.Node, i int, sign float32) bool {
	if len(n.In) <= i || n.In[i] == nil {
		return true
	}
	v := n.In[i]
	if !fixedFloats(g, v) || v.Const.Len() != 1 {
		return false
	}
	x := tensor.Data[float32](v.Const)[0]
	return x == 0 || x*sign >= math.MaxFloat32
}

// own gives p weights and biases that nothing else refers to.
func (p *channelPair) own(g *onnx.Graph, owned map[*onnx.Value]bool) {
	for _, v := range []*onnx.Value{p.first.w, p.second.w} {
		if !owned[v] {
			v.Const, owned[v] = v.Const.Clone(), true
		}
	}
	for _, b := range p.biases {
		if b.v.Uses() > 1 || g.IsOutput(b.v) {
			b.v = g.AddConst(g.NewConst(g.FreshName(b.v.Name), b.v.Const))
			b.n.SetInput(b.i, b.v)
		}
		b.v.Const = b.v.Const.Clone()
	}
}

// equalize makes both products have the same range in each channel. It returns
// by how much the channel that changed most was scaled, as a logarithm.
func (p *channelPair) equalize() (most float64) {
	r1, r2 := p.first.magnitudes(), p.second.magnitudes()
	up, down := make([]float64, len(r1)), make([]float64, len(r1))
	for c := range r1 {
		s := 1.0
		if r1[c] > 0 && r2[c] > 0 {
			s = math.Sqrt(float64(r1[c]) / float64(r2[c]))
		}
		for _, b := range p.biases {
			if x := math.Abs(float64(tensor.Data[float32](b.v.Const)[c])); x > 0 {
				s = max(s, min(1, x/b.most))
			}
		}
		up[c], down[c] = s, 1/s
		most = max(most, math.Abs(math.Log(s)))
	}
	if most == 0 {
		return 0
	}
	p.first.scale(down)
	p.second.scale(up)
	for _, b := range p.biases {
		x := tensor.Data[float32](b.v.Const)
		for c := range x {
			x[c] = float32(float64(x[c]) * down[c])
		}
	}
	return most
}

// spread is the largest of m by the smallest that is not 0.
func spread(m []float32) float64 {
	least, most := math.Inf(1), 0.0
	for _, x := range m {
		if x > 0 {
			least, most = min(least, float64(x)), max(most, float64(x))
		}
	}
	if most == 0 {
		return 1
	}
	return most / least
}
