package optimize

import (
	"math"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// definitions write out operators whose definition by others depends on the
// node, for opsets that lack them.
var definitions = map[string]func(*converter, *onnx.Node) error{
	"Attention":          defineAttention,
	"Gelu":               defineGelu,
	"GroupNormalization": defineGroupNorm,
	"LayerNormalization": defineLayerNorm,
	"RMSNormalization":   defineRMSNorm,
	"Trilu":              defineTrilu,
}

// lastAxes returns the axes from the attribute axis on.
func lastAxes(n *onnx.Node) ([]int, error) {
	axis, rank := int(intAttr(n, "axis", -1)), n.In[0].Type.Rank()
	if axis >= 0 {
		if rank < 0 {
			return nil, need("axis is %d and the rank is unknown", axis)
		}
		axis -= rank
	} else if rank >= 0 && axis < -rank {
		return nil, need("axis %d with rank %d", axis, rank)
	}
	var axes []int
	for ; axis < 0; axis++ {
		if rank >= 0 { // not negative, which opsets before 11 do not take
			axes = append(axes, rank+axis)
		} else {
			axes = append(axes, axis)
		}
	}
	return axes, nil
}

// mean adds ReduceMean in the form of the target.
func (c *converter) mean(b *ops.Builder, x *onnx.Value, axes []int) *onnx.Value {
	if c.target < 18 {
		return b.Op("ReduceMean", onnx.NewAttrs("axes", axes), x)
	}
	return b.Op("ReduceMean", nil, x, b.Ints(axes...))
}

// stash returns x in the type in which statistics are computed, and that type.
func stash(b *ops.Builder, n *onnx.Node) (*onnx.Value, tensor.DType, error) {
	d := n.In[0].Type.DType
	to := tensor.DType(intAttr(n, "stash_type", int64(tensor.Float32)))
	if d == tensor.Undefined {
		return nil, 0, need("the element type of X is unknown")
	}
	if d == tensor.Float64 || d == to {
		return n.In[0], d, nil
	}
	return b.Op("Cast", onnx.NewAttrs("to", to), n.In[0]), to, nil
}

// defineLayerNorm: Y = (X - mean)·invStd·Scale + B, invStd = 1/√(var + ε).
func defineLayerNorm(c *converter, n *onnx.Node) error {
	axes, err := lastAxes(n)
	if err != nil {
		return err
	}
	var outs [3]*onnx.Value
	var fault error
	err = c.build(n, func(b *ops.Builder) {
		x, d, err := stash(b, n)
		if fault = err; err != nil {
			return
		}
		mean := c.mean(b, x, axes)
		dev := b.Op("Sub", nil, x, mean)
		variance := c.mean(b, b.Op("Mul", nil, dev, dev), axes)
		inv := b.Op("Reciprocal", nil, b.Op("Sqrt", nil, b.Op("Add", nil, variance, b.Float(d, float64(floatAttr(n, "epsilon", 1e-5))))))
		y := b.Op("Mul", nil, dev, inv)
		if t := n.In[0].Type.DType; t != d {
			y = b.Op("Cast", onnx.NewAttrs("to", t), y)
		}
		y = b.Op("Mul", nil, y, n.In[1])
		if input(n, 2) != nil {
			y = b.Op("Add", nil, y, n.In[2])
		}
		outs = [3]*onnx.Value{y, mean, inv}
	})
	if fault != nil {
		return fault
	}
	if err != nil {
		return err
	}
	for i, v := range n.Out {
		if v != nil {
			n.Graph.Replace(v, outs[i])
		}
	}
	n.Graph.Remove(n)
	return nil
}

// defineRMSNorm: Y = X / √(mean(X²) + ε) · scale.
func defineRMSNorm(c *converter, n *onnx.Node) error {
	axes, err := lastAxes(n)
	if err != nil {
		return err
	}
	var out *onnx.Value
	var fault error
	err = c.build(n, func(b *ops.Builder) {
		x, d, err := stash(b, n)
		if fault = err; err != nil {
			return
		}
		square := c.mean(b, b.Op("Mul", nil, x, x), axes)
		inv := b.Op("Reciprocal", nil, b.Op("Sqrt", nil, b.Op("Add", nil, square, b.Float(d, float64(floatAttr(n, "epsilon", 1e-5))))))
		y := b.Op("Mul", nil, x, inv)
		if t := n.In[0].Type.DType; t != d {
			y = b.Op("Cast", onnx.NewAttrs("to", t), y)
		}
		out = b.Op("Mul", nil, y, n.In[1])
	})
	if fault != nil {
		return fault
	}
	return c.instead(n, out, err)
}

// defineGelu: Y = X/2 · (1 + erf(X/√2)), or the approximation by tanh.
func defineGelu(c *converter, n *onnx.Node) error {
	form, err := onnx.Attribute(n, "approximate", "none")
	if err != nil {
		return err
	}
	x := n.In[0]
	d := x.Type.DType
	if d == tensor.Undefined {
		return need("the element type of X is unknown")
	}
	var out *onnx.Value
	err = c.build(n, func(b *ops.Builder) {
		times := func(v *onnx.Value, f float64) *onnx.Value { return b.Op("Mul", nil, v, b.Float(d, f)) }
		var t *onnx.Value
		if form == "tanh" {
			cube := b.Op("Mul", nil, b.Op("Mul", nil, x, x), x)
			t = b.Op("Tanh", nil, times(b.Op("Add", nil, x, times(cube, 0.044715)), math.Sqrt(2/math.Pi)))
		} else {
			t = b.Op("Erf", nil, times(x, math.Sqrt2/2))
		}
		out = b.Op("Mul", nil, times(x, 0.5), b.Op("Add", nil, t, b.Float(d, 1)))
	})
	return c.instead(n, out, err)
}

// defineTrilu keeps x[…, i, j] where j ≥ i + k (upper) or j ≤ i + k.
func defineTrilu(c *converter, n *onnx.Node) error {
	x := n.In[0]
	d := x.Type.DType
	if d == tensor.Undefined || c.target < 12 {
		return need("Trilu of X %v before opset 12", x.Type)
	}
	var out *onnx.Value
	err := c.build(n, func(b *ops.Builder) {
		i64 := func(v int64) *onnx.Value { return b.Const(tensor.Scalar(v)) }
		count := func(at int64) *onnx.Value {
			return b.Op("Range", nil, i64(0), b.Op("Gather", nil, b.Op("Shape", nil, x), i64(at)), i64(1))
		}
		rows := count(-2)
		if k := input(n, 1); k != nil {
			rows = b.Op("Add", nil, rows, k)
		}
		compare := "LessOrEqual"
		if intAttr(n, "upper", 1) != 0 {
			compare = "GreaterOrEqual"
		}
		keep := b.Op(compare, nil, count(-1), b.Op("Reshape", nil, rows, b.Ints(-1, 1)))
		if d == tensor.Bool {
			out = b.Op("And", nil, keep, x)
		} else {
			out = b.Op("Where", nil, keep, x, b.Const(tensor.New(d)))
		}
	})
	return c.instead(n, out, err)
}

// defineGroupNorm normalises groups as the instances of InstanceNormalization.
func defineGroupNorm(c *converter, n *onnx.Node) error {
	x, groups := n.In[0], int(intAttr(n, "num_groups", 0))
	rank := x.Type.Rank()
	if rank < 2 || x.Type.DType == tensor.Undefined {
		return need("X is %v, want its rank and element type", x.Type)
	}
	if k, ok := n.In[1].Type.Static(); n.Opset < 21 && (!ok || k[0] != groups) || groups < 1 {
		return need("num_groups is %d and scale %v", groups, n.In[1].Type)
	}
	if n.Opset < 21 { // scale and bias have an element for each group
		if err := groupNormUp(c, n); err != nil {
			return err
		}
	}
	var out *onnx.Value
	err := c.build(n, func(b *ops.Builder) {
		one, zero := tensor.New(x.Type.DType, groups), tensor.New(x.Type.DType, groups)
		unit := floatConst(x.Type.DType, 1)
		if unit == nil {
			b.Fail(need("X has element type %v", x.Type.DType))
			return
		}
		for i := range groups {
			copy(one.Bytes()[i*len(unit.Bytes()):], unit.Bytes())
		}
		y := b.Op("Reshape", nil, x, b.Ints(0, groups, -1))
		y = b.Op("InstanceNormalization", onnx.NewAttrs("epsilon", floatAttr(n, "epsilon", 1e-5)), y, b.Const(one), b.Const(zero))
		y = b.Op("Reshape", nil, y, b.Op("Shape", nil, x))
		column := []int{-1}
		for range rank - 2 {
			column = append(column, 1)
		}
		y = b.Op("Mul", nil, y, b.Op("Reshape", nil, n.In[1], b.Ints(column...)))
		out = b.Op("Add", nil, y, b.Op("Reshape", nil, n.In[2], b.Ints(column...)))
	})
	return c.instead(n, out, err)
}
