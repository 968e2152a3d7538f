package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Split: outputs[i] is the i-th piece of input along axis. The sizes are given
// by split, or equal; if num_outputs does not divide the dimension, the last
// piece is smaller.
//
//	input: T[..., n, ...], split: int64[k], optional    outputs: T[..., split[i], ...]
//
// Spec: https://onnx.ai/onnx/operators/onnx__Split.html
func init() {
	register(&Op{
		Name: "Split",
		Versions: []Version{
			// Version 1 takes split as an attribute or an input.
			{Since: 1, In: Arity{1, 2}, Out: Arity{1, Many}, Infer: inferSplit, Build: buildSplit},
			{Since: 2, In: N(1), Out: Arity{1, Many}, Infer: inferSplit, Build: buildSplit},
			// 11 allowed a negative axis.
			{Since: 13, In: Arity{1, 2}, Out: Arity{1, Many}, Infer: inferSplit13, Build: buildSplit13},
			{Since: 18, In: Arity{1, 2}, Out: Arity{1, Many}, Infer: inferSplit18, Build: buildSplit18},
		},
	})
}

// splitSizes returns the sizes of outs pieces of n elements. given are the
// sizes that the node asks for, or nil; otherwise the result is in out, which has outs elements.
func splitSizes(n, outs int, given []int, uneven bool, out []int) ([]int, error) {
	if given != nil {
		if len(given) != outs {
			return nil, fmt.Errorf("split %v has %d sizes, want %d", given, len(given), outs)
		}
		sum := 0
		for _, s := range given {
			if s < 0 || s > n {
				return nil, fmt.Errorf("split %v has size %d, want between 0 and %d", given, s, n)
			}
			sum += s
		}
		if sum != n {
			return nil, fmt.Errorf("split %v has sum %d, want %d", given, sum, n)
		}
		return given, nil
	}
	if !uneven && n%outs != 0 {
		return nil, fmt.Errorf("dimension %d does not split into %d equal parts", n, outs)
	}
	size := (n + outs - 1) / outs
	for i := range out {
		out[i] = min(size, n)
		n -= out[i]
	}
	return out, nil
}

func inferSplit(c *InferContext) error {
	if c.HasAttr("split") {
		return inferSplitOf(c, c.Ints("split", nil), true, false)
	}
	given, ok := c.sizesKnown(1)
	return inferSplitOf(c, given, ok || !c.Has(1), false)
}

func inferSplit13(c *InferContext) error {
	given, ok := c.sizesKnown(1)
	return inferSplitOf(c, given, ok || !c.Has(1), false)
}

func inferSplit18(c *InferContext) error {
	given, ok := c.sizesKnown(1)
	return inferSplitOf(c, given, ok || !c.Has(1), true)
}

func inferSplitOf(c *InferContext, given []int, sure, uneven bool) error {
	x := c.In(0)
	axis := c.Int("axis", 0)
	for i := range c.Out {
		c.Out[i] = onnx.UnrankedType(x.DType)
	}
	if !x.Ranked {
		return nil
	}
	a, err := tensor.Axis(axis, len(x.Dims))
	if err != nil {
		return err
	}
	var sizes []int
	if n, ok := x.Dims[a].Size(); ok && sure {
		if sizes, err = splitSizes(n, len(c.Out), given, uneven, make([]int, len(c.Out))); err != nil {
			return err
		}
	} else if sure && len(given) == len(c.Out) {
		sizes = given
	}
	vals, known := c.KnownInts(0)
	known = known && len(x.Dims) == 1 && sizes != nil
	for i := range c.Out {
		dims := append([]onnx.Dim{}, x.Dims...)
		dims[a] = onnx.Dim{}
		switch {
		case sizes != nil:
			dims[a] = onnx.Size(sizes[i])
		case len(c.Out) == 1:
			dims[a] = x.Dims[a]
		case given == nil && sure && !uneven:
			dims[a] = x.Dims[a].FloorDiv(onnx.Size(len(c.Out)))
		case given == nil && sure && i == 0:
			dims[a] = x.Dims[a].CeilDiv(onnx.Size(len(c.Out)))
		}
		c.Out[i].Ranked, c.Out[i].Dims = true, dims
		if known && sizes[i] <= len(vals) {
			c.SetInts(i, vals[:sizes[i]])
			vals = vals[sizes[i]:]
		}
	}
	return nil
}

func buildSplit(b *BuildContext) (Kernel, error) {
	var given []int
	if b.HasAttr("split") {
		given = b.Ints("split", nil)
	}
	return splitKernel(b, given, false), nil
}

func buildSplit13(b *BuildContext) (Kernel, error) { return splitKernel(b, nil, false), nil }

func buildSplit18(b *BuildContext) (Kernel, error) {
	if b.HasAttr("num_outputs") {
		if n := b.Int("num_outputs", 0); n != len(b.Node.Out) {
			return nil, fmt.Errorf("attribute %q is %d, the node has %d outputs", "num_outputs", n, len(b.Node.Out))
		}
		if b.Has(1) {
			return nil, fmt.Errorf("both split and num_outputs are given")
		}
	}
	return splitKernel(b, nil, true), nil
}

// splitInput returns the sizes of input split. Version 1 has them in the type
// of the other input.
func splitInput(c *Call, anyType bool) ([]int, error) {
	t := c.T(1)
	if t == nil || !anyType || t.DType().IsInt() {
		return c.Ints(1)
	}
	v, err := tensor.Float64s(t)
	if err != nil {
		return nil, err
	}
	out := make([]int, len(v))
	for i, x := range v {
		if !(math.Abs(x) < 1<<31) || x != math.Trunc(x) {
			return nil, fmt.Errorf("split has %v at %d, want whole numbers", x, i)
		}
		out[i] = int(x)
	}
	return out, nil
}

func splitKernel(b *BuildContext, attr []int, uneven bool) Kernel {
	axis := b.Int("axis", 0)
	anyType := b.Opset() < 2
	outs := len(b.Node.Out)
	all := make([]int, outs)
	wants := make([]bool, outs)
	for i := range all {
		all[i], wants[i] = i, b.Wants(i)
	}
	return bytewise(func(c *Call) error {
		x := c.T(0)
		s := x.Shape()
		a, err := tensor.Axis(axis, len(s))
		if err != nil {
			return err
		}
		given := attr
		if given == nil {
			if given, err = splitInput(c, anyType); err != nil {
				return err
			}
		}
		sizes, err := splitSizes(s[a], outs, given, uneven, c.Dims(outs))
		if err != nil {
			return err
		}
		m := moverOf(x.DType())
		outer, inner, at := sizeOf(s[:a]), sizeOf(s[a+1:]), 0
		for i, n := range sizes {
			if wants[i] {
				shape := c.list(s...)
				shape[a] = n
				y := c.Output(i, x.DType(), shape...)
				m.copy(c.P, y, x, strided{shape: c.list(outer, n*inner), ds: c.list(n*inner, 1), ss: c.list(s[a]*inner, 1), so: at * inner})
			}
			at += n
		}
		return nil
	}, all...)
}

// gradSplit: the pieces joined again, with zeros for those without a gradient.
func gradSplit(c *GradContext) []*onnx.Value {
	pieces := make([]*onnx.Value, len(c.DOut))
	for i, d := range c.DOut {
		if pieces[i] = d; d == nil {
			pieces[i] = c.Zeros(c.Save(i))
		}
	}
	return []*onnx.Value{c.Op("Concat", onnx.NewAttrs("axis", c.Attr.Int("axis", 0)), pieces...)}
}
