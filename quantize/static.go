package quantize

import (
	"errors"
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/tensor"
)

// StaticFormat is how a statically quantised model is written.
type StaticFormat uint8

const (
	// QDQ keeps the operators. QuantizeLinear and DequantizeLinear stand around
	// their activations and DequantizeLinear behind weights that are stored as
	// integers; a runtime joins them with the operators to integer kernels.
	QDQ StaticFormat = iota
	// QOperator writes operators on integers: QLinearConv, QLinearMatMul and those
	// of the domain com.microsoft. Activations and weights are of 8 bits.
	QOperator
)

// String returns "qdq" or "qoperator".
func (f StaticFormat) String() string {
	if f == QOperator {
		return "qoperator"
	}
	return "qdq"
}

// ErrQuantized says that a model is quantised already.
var ErrQuantized = errors.New("the model is quantised already")

// StaticConfig says how Static quantises. The zero value is right for most
// models: QDQ, activations in uint8 with a zero point, weights in int8 without,
// one scale for each output channel.
type StaticConfig struct {
	Selection Selection
	Format    StaticFormat
	// Activations and Weights are int or uint of 8 or 16, weights also of 4 bits;
	// Undefined: uint8 and int8. All but 8 bits need opset 21.
	Activations, Weights tensor.DType
	// PerTensor gives a weight one scale. Otherwise there is one for each output
	// channel of Conv, ConvTranspose, Gemm and a MatMul by a matrix, which needs
	// opset 13.
	PerTensor bool
	// BlockSize, if not 0, gives the weights of Gemm and MatMul one scale for each
	// output channel and so many of the elements that are summed (QDQ and opset 21 only).
	BlockSize int
	// SymmetricActivations have the zero point in the middle of their integers,
	// AsymmetricWeights have it where their range wants it.
	SymmetricActivations, AsymmetricWeights bool
	// ReduceRange uses half of the integers for weights (7 of 8 bits): runtimes
	// that add products of bytes in 16 bits do not saturate then.
	ReduceRange bool
}

// grids returns the integers of activations and weights, or what is wrong with c.
func (c *StaticConfig) grids() (acts, weights grid, err error) {
	a, w := c.Activations, c.Weights
	if a == tensor.Undefined {
		a = tensor.Uint8
	}
	if w == tensor.Undefined {
		w = tensor.Int8
	}
	if acts, err = gridOf(a, c.SymmetricActivations, false); err != nil {
		return
	}
	if weights, err = gridOf(w, !c.AsymmetricWeights, c.ReduceRange); err != nil {
		return
	}
	switch {
	case a.Bits() < 8:
		err = fmt.Errorf("quantize: activations are of 8 or 16 bits, not %v", a)
	case c.Format > QOperator:
		err = fmt.Errorf("quantize: there is no format %d", c.Format)
	case c.Format == QOperator && (a.Bits() != 8 || w.Bits() != 8 || c.BlockSize != 0):
		err = fmt.Errorf("quantize: format qoperator has operators on 8 bits without blocks alone, not %v x %v: use qdq", a, w)
	case c.BlockSize < 0 || c.BlockSize == 1:
		err = fmt.Errorf("quantize: blocks of %d weights", c.BlockSize)
	case c.BlockSize > 0 && c.PerTensor:
		err = errors.New("quantize: weights have one scale for each tensor or for each block, not both")
	}
	return
}

// opset is the least that c needs: QuantizeLinear is from 10 on, with an axis
// from 13 on, of other than 8 bits and in blocks from 21 on. Operators move
// bytes from 13 on.
func (c *StaticConfig) opset(acts, weights grid) int {
	switch {
	case acts.dtype.Bits() != 8 || weights.dtype.Bits() != 8 || c.BlockSize > 0:
		return 21
	case c.PerTensor && c.Format == QDQ:
		return 10
	}
	return 13
}

// Static quantises m with the given ranges of its activations, which Activations
// names: nodes compute on integers whose scales are constants of the model
// (Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
// Integer-Arithmetic-Only Inference"; the formulas are those of ONNX's
// QuantizeLinear).
//
//   - Operators that only move elements (Reshape, MaxPool, …) have one scale for
//     what they read and write, with the range of all of it. So has Concat, but for
//     inputs whose scale would more than double: they keep their own.
//
//   - Sums that only a Relu or Clip reads are not rounded before it.
//
//   - What stands behind the last products, and only goes to outputs, stays in floating
//     point with QDQ, and a last Gemm or MatMul gives floats: its results are not rounded
//     for anybody. So does one that an ArgMax chooses from. Nodes that only move what convolutions give move integers.
//
//   - A Softmax, and a Tanh of format QOperator, have the range of all results that there can be.
//
//   - A bias is int32 in units of the scales of input and weights. Where it does
//     not fit, the scale of the channel's weights is made wider.
//
//   - The scale of a channel's weights is the one near that of the greatest of them which has the least
//     squared error, and they are rounded so that their errors cancel (SQuant).
//
//   - Recurrent layers (LSTM, GRU, RNN) and com.microsoft.Attention have their weights
//     stored as integers behind a DequantizeLinear, with a scale for each row of each gate and
//     direction, and compute in floating point: there are no standard operators of integers for
//     them, and a runtime dequantises once, when it loads the model.
//
//   - What scales and shifts in normalizations stays in floating point, and so does
//     what masks the input of a Softmax (Add or Sub of two activations, Where).
//
//   - In a transformer (a Softmax weighs a computed matrix, and more of the weights
//     are of matrix products than of convolutions) only products with weights,
//     look-ups in tables and tables that are added are quantised, and with QDQ what they compute stays in
//     floating point until a product reads it. Few channels of the residual sums
//     are far wider than all others (Bondarenko et al. 2021, "Understanding and
//     Overcoming the Challenges of Efficient Transformer Quantization"), and one
//     scale for both would leave these few bits. Selection.Ops switches this and the rule for what
//     is returned off: the operators that it lists are quantised wherever they can be.
//
//   - Graphs in nodes are quantised as the main graph is, but in loops, where errors would add up,
//     only products with weights and look-ups, as in a transformer.
//
// m is changed only if a node was quantised; its graph is then another one, and
// its opset is raised to what the integers need. Nodes that stay as they were are
// in the summary with the reason: a value without range, weights that are not
// finite or not constant, another type than float32. A model in
// which nothing is left to quantise is an error that wraps ErrQuantized.
// It is best to run optimize.Run at level Portable before, which folds what
// stands between the operators.
//
// No other goroutine may use m meanwhile.
func Static(m *onnx.Model, ranges Ranges, c StaticConfig) (*Summary, error) {
	return writeStatic(m, ranges, c, true)
}

// writeStatic is Static, with or without what is in nested graphs.
func writeStatic(m *onnx.Model, ranges Ranges, c StaticConfig, nested bool) (*Summary, error) {
	if ranges == nil {
		ranges = Ranges{}
	}
	k, p, err := planStatic(m, ranges, c)
	if err != nil {
		return nil, err
	}
	if nested {
		p.nest()
	}
	s := &Summary{Before: constBytes(k.Graph)}
	s.After = s.Before
	if p.count() == 0 {
		s.Changes = p.changes()
		if err := nothingLeft(m, s); err != nil {
			return nil, err
		}
		return s, nil
	}
	p.write()
	if err := optimize.Infer(k, optimize.InferOptions{}); err != nil {
		return nil, fmt.Errorf("quantize: %w", err)
	}
	dropTraces(k.Graph)
	s.Changes = p.changes()
	s.Inputs = p.defaults.Restore(k.Graph)
	s.After = constBytes(k.Graph)
	m.Graph, m.Opsets, m.IRVersion = k.Graph, k.Opsets, k.IRVersion
	return s, nil
}

// Activations returns the names of the values of m whose ranges Static needs
// with c, in the order of the graph. With these, and no others, Static quantises
// whatever it can. It is empty if c is not valid. m is not changed.
func Activations(m *onnx.Model, c StaticConfig) []string {
	_, p, err := planStatic(m, nil, c)
	if err != nil {
		return nil
	}
	p.nest()
	known := map[string]bool{}
	m.Graph.Walk(func(g *onnx.Graph) {
		for _, v := range produced(g) {
			known[v.Name] = true
		}
	})
	return slices.DeleteFunc(p.needed(), func(name string) bool { return !known[name] })
}

// planStatic decides what becomes of each node of a copy of m, of the opset that
// c needs. Without ranges every value counts as having one.
func planStatic(m *onnx.Model, ranges Ranges, c StaticConfig) (*onnx.Model, *plan, error) {
	acts, weights, err := c.grids()
	if err != nil {
		return nil, nil, err
	}
	if m.Graph == nil {
		return nil, nil, fmt.Errorf("quantize: %w: the model has no graph", onnx.ErrInvalid)
	}
	if err := c.Selection.Check(m.Graph); err != nil {
		return nil, nil, fmt.Errorf("quantize: %w", err)
	}
	k := m.Clone()
	defaults := FixDefaults(k)
	if need := c.opset(acts, weights); k.Opsets[""] < need {
		if err := optimize.ConvertOpset(k, "", need); err != nil {
			return nil, nil, fmt.Errorf("quantize: the integers asked for need opset %d: %w", need, err)
		}
	} else if err := optimize.Infer(k, optimize.InferOptions{}); err != nil {
		return nil, nil, fmt.Errorf("quantize: %w", err)
	}
	k.IRVersion = max(k.IRVersion, leastIR(k.Opsets[""]))
	k.Graph.Walk(func(g *onnx.Graph) {
		if err == nil {
			err = constantsOf(g)
		}
	})
	if err != nil {
		return nil, nil, fmt.Errorf("quantize: %w", err)
	}
	defaults.recount(k.Graph)
	p := newPlan(k.Graph, ranges, c, acts, weights)
	p.defaults = defaults
	p.decide()
	return k, p, nil
}

// leastIR is the IR version that came with an opset, which other runtimes want.
func leastIR(opset int) int64 {
	switch {
	case opset >= 21:
		return 10
	case opset >= 15:
		return 8
	}
	return 7
}

// constantsOf makes initializers of the Constant nodes of g.
func constantsOf(g *onnx.Graph) error {
	for _, n := range slices.Clone(g.Nodes) {
		if n.Op != "Constant" || ops.NormalDomain(n.Domain) != "" || g.IsOutput(n.Out[0]) || returned(n.Out[0]) {
			continue
		}
		out, err := ops.Eval(par.P{}, n, nil, ops.BuildEnv{})
		if err != nil {
			return fmt.Errorf("%v: %w", n, err)
		}
		t, ok := out[0].(*tensor.Tensor)
		if !ok {
			continue
		}
		v := n.Out[0]
		g.Remove(n)
		v.From, v.Const = nil, t
		g.AddConst(v)
	}
	return nil
}

// constBytes is the size of all initializers of g and the graphs nested in it.
func constBytes(g *onnx.Graph) (n int64) {
	g.Walk(func(h *onnx.Graph) {
		for _, v := range h.Consts {
			if v.Const != nil {
				n += int64(len(v.Const.Bytes()))
			}
		}
	})
	return n
}
