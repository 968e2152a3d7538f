package quantize

import (
	"cmp"
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// The formats of WeightOnly.
const (
	// MatMulNBits is com.microsoft.MatMulNBits, and GatherBlockQuantized for
	// embeddings: ONNX Runtime's operators, which multiply with the codes.
	MatMulNBits = "matmulnbits"
	// Dequantize is DequantizeLinear with block_size (opset 21) in front of MatMul,
	// Gemm and Gather, which any runtime has.
	Dequantize = "dequantize"
)

// WeightOnlyConfig says how WeightOnly quantises. The zero value gives 4 bits,
// symmetric, in blocks of 32, as MatMulNBits, the last product included and
// embeddings not.
type WeightOnlyConfig struct {
	Selection
	Bits int // 4 (0 too) or 8
	// Block is how many weights have one scale: 16, 32, 64, 128 or 256. 0 is 32 of 4
	// bits; of 8, which need a scale less often, whichever of 32, 64 and 128 makes a
	// matrix smallest (scales of blocks of 32 would be an eighth of the codes).
	Block int
	// Asymmetric gives each block a zero point.
	Asymmetric bool
	// Format is MatMulNBits ("" too) or Dequantize.
	Format string
	// AccuracyLevel is the attribute of MatMulNBits: 0 leaves it to the runtime, which
	// computes in the type of the activations; 4 lets it round activations to 8
	// bits, which is faster and less exact.
	AccuracyLevel int
	// Embeddings quantises tables that Gather reads by row too.
	Embeddings bool
	// SkipHead leaves the product that gives the logits: of those whose results
	// become an output of the model, the one with most columns.
	SkipHead bool
	// MinElements is the size below which weights stay; 0: 256.
	MinElements int
	// Round chooses the codes; nil: Balanced.
	Round Rounder
	// Hessian returns XᵀX [k, k] of a node's inputs for Round, or nil. It may be nil.
	Hessian func(node string) []float64
	// Threads bounds the goroutines; below 2: one. Results do not depend on it.
	Threads int
}

// WeightOnly rewrites m so that the weights of MatMul, Gemm and, if asked for, the
// tables of Gather are codes of a few bits in blocks along the dimension that is
// summed over. Activations stay floats. One matrix is worked on at a time, so that
// besides the result the memory needed is a few times the largest matrix in float32.
//
// Weights are float32 or float16, constant, of two dimensions and at least
// MinElements; others stay and the Summary says why. MatMulNBits pads the last block
// of a row, where K is no multiple of it, with codes that stand for 0. Convolutions,
// recurrent layers and com.microsoft.Attention stay: no operator has blocks of their weights. Weights that
// several nodes read are stored once. Model-local functions are inlined;
// below opset 21 the format Dequantize converts the model to it. A quantised model
// in which nothing is left to quantise is an error that wraps ErrQuantized. On an error m
// is unchanged. m must not be used by others meanwhile.
//
// Sources: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits,
// https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html
func WeightOnly(m *onnx.Model, c WeightOnlyConfig) (*Summary, error) {
	if c.Bits == 0 {
		c.Bits = 4
	}
	if c.Block == 0 && c.Bits == 4 {
		c.Block = 32
	}
	if c.Format == "" {
		c.Format = MatMulNBits
	}
	if c.MinElements == 0 {
		c.MinElements = 256
	}
	if c.Round == nil {
		c.Round = Balanced
	}
	g := BlockGrid{Bits: c.Bits, Block: cmp.Or(c.Block, 32), Symmetric: !c.Asymmetric, Positive: c.Format == Dequantize}
	if err := g.check(); err != nil {
		return nil, err
	}
	least := 13
	switch c.Format {
	case MatMulNBits:
	case Dequantize:
		least = 21
	default:
		return nil, fmt.Errorf("quantize: format %q, want %q or %q", c.Format, MatMulNBits, Dequantize)
	}
	if c.AccuracyLevel < 0 || c.AccuracyLevel > 4 {
		return nil, fmt.Errorf("quantize: accuracy level %d, want 0 to 4", c.AccuracyLevel)
	}
	r, err := rewrite(m, least)
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
	if c.Format == Dequantize {
		r.m.IRVersion = max(r.m.IRVersion, 10) // of opset 21, the first with 4 bits
	} else {
		r.use(msDomain)
	}
	w := &weightOnly{rewriting: r, c: c, grid: g, done: map[blockKey]*storedBlocks{}}
	if c.SkipHead {
		w.head = w.findHead()
	}
	s := &Summary{}
	var failed error
	r.eachNode(func(n *onnx.Node) {
		if w.unsuited(n) {
			s.Changes = append(s.Changes, Change{Node: NodeName(n), Op: n.Op, Reason: "no operator has blocks of its weights: static and dynamic quantise them"})
			return
		}
		if failed != nil || n.Domain != "" || n.Op != "MatMul" && n.Op != "Gemm" && n.Op != "Gather" ||
			n.Op == "Gather" && (n.In[0] == nil || n.In[0].Type.DType != tensor.Float32 && n.In[0].Type.DType != tensor.Float16) {
			return
		}
		ch := Change{Node: NodeName(n), Op: n.Op}
		var ok bool
		if ok, ch.Reason = c.Allows(n); ok {
			ch.Format, ch.Reason, failed = w.node(n)
			if ch.Reason != "" {
				ch.Format = ""
			}
		}
		s.Changes = append(s.Changes, ch)
	})
	if failed != nil {
		return nil, failed
	}
	if s.Changed() == 0 && m.Opsets[msDomain] == 0 {
		delete(r.m.Opsets, msDomain)
	}
	dropTraces(r.m.Graph)
	if err := r.finishModel(m, s); err != nil {
		return nil, err
	}
	return s, nil
}

// weightOnly is one run of WeightOnly.
type weightOnly struct {
	*rewriting
	c    WeightOnlyConfig
	grid BlockGrid
	done map[blockKey]*storedBlocks
	head *onnx.Node
}

// gridFor returns the grid of rows of k weights.
func (w *weightOnly) gridFor(k int) BlockGrid {
	g := w.grid
	if w.c.Block != 0 {
		return g
	}
	size := func(block int) int {
		per := (k + block - 1) / block
		if w.c.Format == MatMulNBits { // which pads the last block
			return per * (block + 4)
		}
		return k + 4*per
	}
	for _, block := range []int{64, 128} {
		if size(block) < size(g.Block) {
			g.Block = block
		}
	}
	return g
}

// unsuited reports whether n has weights that could be fewer bits, but not here.
func (w *weightOnly) unsuited(n *onnx.Node) bool {
	switch n.Domain + "." + n.Op {
	case ".Conv", ".ConvTranspose", ".LSTM", ".GRU", ".RNN", msDomain + ".Attention":
		v := inputOf(n, 1)
		return v != nil && v.Const != nil && v.Const.DType().IsFloat() && v.Const.Len() >= w.c.MinElements
	}
	return false
}

// node quantises n.
func (w *weightOnly) node(n *onnx.Node) (format, reason string, err error) {
	if n.Op == "Gather" {
		return w.gather(n)
	}
	v, turned := w.constant(n.In[1])
	if why := w.unfit(v); why != "" {
		return "", why, nil
	}
	if n == w.head {
		return "", "the product that gives the logits is left", nil
	}
	if a := n.In[0]; a == nil || a.Type.DType != v.Const.DType() {
		return "", "the activation has another type than the weights", nil
	}
	if left, _ := w.constant(n.In[0]); left != nil {
		return "", "both operands are constant", nil
	}
	return w.product(n, v, turned)
}

// unfit says why v cannot be quantised; "" if it can.
func (w *weightOnly) unfit(v *onnx.Value) string {
	if v == nil {
		return "the weights are not constant"
	}
	t := v.Const
	switch {
	case t.DType() != tensor.Float32 && t.DType() != tensor.Float16:
		return fmt.Sprintf("the weights are %v, want float32 or float16", t.DType())
	case t.Rank() != 2:
		return fmt.Sprintf("the weights have %d dimensions, want 2", t.Rank())
	case t.Len() < w.c.MinElements || t.Len() == 0:
		return fmt.Sprintf("the weights have %d elements, fewer than %d", t.Len(), max(1, w.c.MinElements))
	case !finiteTensor(tensor.Widen(t)):
		return "the weights have NaN or infinity"
	}
	return ""
}

// findHead returns the product with most columns of those whose results become
// outputs with nothing between but what adds, scales or moves elements.
func (w *weightOnly) findHead() *onnx.Node {
	var head *onnx.Node
	most := 0
	for _, n := range w.m.Graph.Nodes {
		if n.Domain != "" || n.Op != "MatMul" && n.Op != "Gemm" {
			continue
		}
		v, turned := w.constant(n.In[1])
		if v == nil || v.Const.Rank() != 2 || !w.becomesOutput(n.Out[0], 0) {
			continue
		}
		if n.Op == "Gemm" && intAttribute(n, "transB", 0) != 0 {
			turned = !turned
		}
		columns := v.Const.Dim(1)
		if turned {
			columns = v.Const.Dim(0)
		}
		if columns > most {
			head, most = n, columns
		}
	}
	return head
}

func (w *weightOnly) becomesOutput(v *onnx.Value, depth int) bool {
	if w.m.Graph.IsOutput(v) {
		return true
	}
	if depth > 8 {
		return false
	}
	for _, u := range v.Users() {
		switch u.Op {
		case "Add", "Mul", "Div", "Tanh", "Clip", "Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Slice", "Transpose", "Softmax", "LogSoftmax":
			if len(u.Out) > 0 && u.Out[0] != nil && w.becomesOutput(u.Out[0], depth+1) {
				return true
			}
		}
	}
	return false
}
