package optimize

import (
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// definitions write out operators whose definition by others depends on the
// node, for opsets that lack them.
var definitions = map[string]func(*converter, *onnx.Node) error{
	"LayerNormalization": defineLayerNorm,
	"RMSNormalization":   defineRMSNorm,
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
