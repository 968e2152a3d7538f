package quantize

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// HalfConfig says how Half converts. The zero value converts to float16 and keeps
// float32 inputs and outputs.
type HalfConfig struct {
	Selection
	// Type is Float16 (Undefined too) or BFloat16.
	Type tensor.DType
	// HalfIO makes inputs and outputs of the model be of Type as well.
	HalfIO bool
	// Ranges are those that values were seen to have, by name. Without one, the range
	// of a value is guessed from constants and operators. For bfloat16 they hardly matter.
	Ranges Ranges
	// Limit is the magnitude above which values stay float32 instead of float16; 0:
	// 65504, the greatest float16. Calibration does not see everything: less is safer.
	Limit float32
	// Float32 lists more operators that stay float32.
	Float32 []string
	// Allow lists operators to convert that would stay float32 for their
	// precision or range.
	Allow []string
}

// Half rewrites m so that it computes in float16 or bfloat16: weights are rounded,
// and nodes read and write the type. Nodes stay float32, with a Cast where a value
// passes from one type to the other (one for each value, all its readers share
// it), where the Summary gives the reason:
//
//   - the range of a value that they read or write exceeds float16's: it is in
//     Ranges, or a constant has it, or it follows from these (squares and exponentials
//     are taken to exceed it if no range is known). Such values go on in float32 up to an
//     operator that bounds them, such as Softmax, Tanh or Sqrt;
//   - a constant becomes infinite, or loses more than 1 % in the L2 norm because it
//     underflows, such as an epsilon of 1e-12 (biases may: they are added to what is larger);
//   - the type is not among those that ONNX's signature of the operator has, or
//     this runtime has no kernel for it;
//   - they need the precision: Sin and Cos, and what computes their arguments, Range,
//     CumSum, coordinates of GridSample and RoiAlign;
//   - they quantise, draw random numbers, or make float32 by an attribute;
//   - they are moves and sums of elements between nodes that stay, which would only add Casts;
//   - they have nested graphs, whose inputs and outputs stay float32; the nodes inside are converted;
//   - the Selection or Float32 says so.
//
// Inputs of fixed type (such as the scales of Resize, which are float32) keep it.
// Integers are not touched. Model-local functions are inlined. For bfloat16 the
// model is converted to opset 22, which brought it to most operators, where that is
// possible, else to 13; few other runtimes have kernels for it on CPUs. On an error m is unchanged. m must not be used by others meanwhile.
//
// Sources: the type constraints of https://onnx.ai/onnx/operators/; Micikevicius
// et al., Mixed Precision Training, https://arxiv.org/abs/1710.03740.
func Half(m *onnx.Model, c HalfConfig) (*Summary, error) {
	switch c.Type {
	case tensor.Undefined:
		c.Type = tensor.Float16
	case tensor.Float16, tensor.BFloat16:
	default:
		return nil, fmt.Errorf("quantize: type %v, want float16 or bfloat16", c.Type)
	}
	if c.Limit == 0 {
		c.Limit = 65504
	}
	if !(c.Limit > 0 && c.Limit <= 65504) {
		return nil, fmt.Errorf("quantize: limit %g, want up to 65504", c.Limit)
	}
	r, err := rewriteForHalf(m, c.Type)
	if err != nil {
		return nil, err
	}
	if err := c.Check(r.m.Graph); err != nil {
		return nil, fmt.Errorf("quantize: %w", err)
	}
	h := &half{
		rewriting: r, c: c, limit: c.Limit, plans: map[*onnx.Node]*halfPlan{}, wide: map[*onnx.Value]string{}, stored: map[*onnx.Value]bool{},
		consts: map[*onnx.Value]*halfConst{}, casts: map[castKey]*onnx.Value{},
	}
	if c.Type == tensor.BFloat16 {
		h.limit = tensor.BF16(0x7f7f).Float32()
	}
	s := &Summary{Changes: h.plan()}
	h.apply()
	if err := r.finishModel(m, s); err != nil {
		return nil, err
	}
	return s, nil
}

// rewriteForHalf copies m, in an opset that has the type for most operators.
func rewriteForHalf(m *onnx.Model, d tensor.DType) (*rewriting, error) {
	if d == tensor.Float16 {
		return rewrite(m, 9)
	}
	if r, err := rewrite(m, 22); err == nil {
		return r, nil
	}
	return rewrite(m, 13)
}

// half is one run of Half.
type half struct {
	*rewriting
	c     HalfConfig
	limit float32      // greatest magnitude of the type that is used
	order []*onnx.Node // those that have floats, in order, bodies before what follows them
	plans map[*onnx.Node]*halfPlan
	// wide are values that exceed the range, with the reason.
	wide   map[*onnx.Value]string
	stored map[*onnx.Value]bool // values that are of the type now
	consts map[*onnx.Value]*halfConst
	casts  map[castKey]*onnx.Value
}

// halfPlan says which inputs and outputs of a node become half.
type halfPlan struct {
	in, out []bool
	reason  string // why the node stays float32; "": it does not
}

// stay makes the node stay.
func (p *halfPlan) stay(reason string) {
	clear(p.in)
	clear(p.out)
	p.reason = reason
}

// halfConst is what an initializer is in the type.
type halfConst struct {
	t     *tensor.Tensor
	v     *onnx.Value // its initializer, once somebody reads it
	fault string      // why it cannot be; "": it can
	wide  bool
}

type castKey struct {
	v  *onnx.Value
	to tensor.DType
}

// isFloat32 reports whether v is a tensor of float32.
func isFloat32(v *onnx.Value) bool {
	return v != nil && v.Type.Kind == onnx.TensorKind && v.Type.DType == tensor.Float32
}

// hasFloats reports whether n reads or writes float32, sequences of it included.
func hasFloats(n *onnx.Node) bool {
	for _, vs := range [][]*onnx.Value{n.In, n.Out} {
		for _, v := range vs {
			if isFloat32(v) || v != nil && v.Type.Elem != nil && v.Type.Elem.DType == tensor.Float32 {
				return true
			}
		}
	}
	return false
}

// constantHalf returns what the initializer v is in the type, nil if it is none.
func (h *half) constantHalf(v *onnx.Value) *halfConst {
	if v == nil || v.Const == nil || h.home[v] == nil || v.Const.DType() != tensor.Float32 {
		return nil
	}
	if c := h.consts[v]; c != nil {
		return c
	}
	c := &halfConst{t: tensor.New(h.c.Type, v.Const.Shape()...)}
	tensor.Narrow(c.t, v.Const)
	back := tensor.Data[float32](tensor.Widen(c.t))
	var lost, all float64
	for i, x := range tensor.Data[float32](v.Const) {
		if !isFinite(x) {
			continue
		}
		if max(x, -x) > h.limit || !isFinite(back[i]) {
			c.wide = true
			continue
		}
		lost += (float64(x) - float64(back[i])) * (float64(x) - float64(back[i]))
		all += float64(x) * float64(x)
	}
	switch {
	case c.wide:
		c.fault = fmt.Sprintf("the constant %q exceeds the range of %v", v.Name, h.c.Type)
	case lost > 1e-4*all:
		c.fault = fmt.Sprintf("the constant %q underflows in %v", v.Name, h.c.Type)
	}
	if c.wide {
		c.t = nil
	}
	h.consts[v] = c
	return c
}
