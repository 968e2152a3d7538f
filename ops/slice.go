package ops

import (
	"fmt"
	"math"
	"strings"

	"github.com/gneiss-run/gneiss/onnx"
)

// Slice: along each of axes, the elements starts, starts+steps, … before ends.
// Negative starts and ends count from the end; both are clamped to the
// dimension. A negative step walks backwards.
//
//	data: T[...], starts, ends: int32 or int64[k], axes and steps: the same, optional    output: T[...]
//
// Spec: https://onnx.ai/onnx/operators/onnx__Slice.html
func init() {
	register(&Op{
		Name: "Slice",
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), Infer: inferSlice1, Build: buildSlice1},
			// 10 made starts, ends and axes inputs and added steps; 11 allowed negative axes.
			{Since: 10, In: Arity{3, 5}, Out: N(1), Infer: inferSlice, Build: buildSlice},
		},
	})
}

// sliceDim returns the first index and the number of elements along a
// dimension of size n.
func sliceDim(n, start, end, step int) (int, int) {
	if n == 0 {
		return 0, 0
	}
	if start < 0 {
		start = max(start, -n-1) + n
	}
	if end < 0 {
		end = max(end, -n-1) + n
	}
	if step > 0 {
		start, end = min(max(start, 0), n), min(max(end, 0), n)
		if end <= start {
			return start, 0
		}
		return start, (end-start-1)/step + 1
	}
	start, end = min(max(start, 0), n-1), min(max(end, -1), n-1)
	if end >= start {
		return start, 0
	}
	if step == math.MinInt {
		return start, 1
	}
	return start, (start-end-1)/-step + 1
}

// sliceArgs checks the arguments of a slice of a tensor of the given rank and
// fills in axes and steps, in memory that ints gives.
func sliceArgs(ints func(int) []int, rank int, starts, ends, axes, steps []int) ([]int, []int, error) {
	if len(starts) != len(ends) {
		return nil, nil, fmt.Errorf("starts has %d elements, ends %d", len(starts), len(ends))
	}
	if axes == nil {
		if len(starts) > rank {
			return nil, nil, fmt.Errorf("starts has %d elements, data has rank %d", len(starts), rank)
		}
		axes = ints(len(starts))
		for i := range axes {
			axes[i] = i
		}
	}
	if steps == nil {
		steps = ints(len(starts))
		for i := range steps {
			steps[i] = 1
		}
	}
	if len(axes) != len(starts) || len(steps) != len(starts) {
		return nil, nil, fmt.Errorf("starts has %d elements, axes %d, steps %d", len(starts), len(axes), len(steps))
	}
	for _, s := range steps {
		if s == 0 {
			return nil, nil, fmt.Errorf("steps %v has a 0", steps)
		}
	}
	axes, err := normAxesInto(ints(len(axes)), axes, rank)
	return axes, steps, err
}

func inferSlice1(c *InferContext) error {
	starts, ends := onnx.Sizes(c.Ints("starts", nil)...), onnx.Sizes(c.Ints("ends", nil)...)
	return inferSliceOf(c, starts, ends, c.Ints("axes", nil), nil)
}

func inferSlice(c *InferContext) error {
	starts, ok1 := c.KnownInts(1)
	ends, ok2 := c.KnownInts(2)
	axes, ok3 := c.sizesKnown(3)
	steps, ok4 := c.sizesKnown(4)
	x := c.In(0)
	if !ok3 && c.Has(3) || !ok1 && !ok2 {
		c.Out[0] = onnx.UnrankedType(x.DType)
		if x.Ranked {
			c.setRank(0, x.DType, len(x.Dims))
		}
		return nil
	}
	if !ok1 {
		starts = make([]onnx.Dim, len(ends))
	}
	if !ok2 {
		ends = make([]onnx.Dim, len(starts))
	}
	if !ok4 && c.Has(4) {
		c.Out[0] = onnx.UnrankedType(x.DType)
		if !x.Ranked {
			return nil
		}
		dims := append([]onnx.Dim{}, x.Dims...)
		if axes == nil {
			clear(dims)
		}
		norm, err := normAxes(axes, len(dims))
		if err != nil {
			return err
		}
		for _, a := range norm {
			dims[a] = onnx.Dim{}
		}
		c.Out[0] = onnx.TensorType(x.DType, dims...)
		return nil
	}
	return inferSliceOf(c, starts, ends, axes, steps)
}

// neverNegative reports whether d cannot be below 0: a size, or an expression
// without subtraction over the sizes of dimensions.
func neverNegative(d onnx.Dim) bool {
	if n, ok := d.Size(); ok {
		return n >= 0
	}
	return d.Known() && !strings.Contains(d.Expr(), "-")
}

// clampDim returns where a slice along n begins or ends, for a step of 1.
func clampDim(n, at onnx.Dim) onnx.Dim {
	k, ok := at.Size()
	switch {
	case ok && k == 0:
		return at
	case ok && k >= math.MaxInt32 || at.Equal(n):
		return n
	case ok && k < 0:
		return n.Add(at).Max(onnx.Size(0))
	case neverNegative(at):
		return at.Min(n)
	}
	return onnx.Dim{}
}

func inferSliceOf(c *InferContext, starts, ends []onnx.Dim, axes, steps []int) error {
	x := c.In(0)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if !x.Ranked {
		return nil
	}
	zeros := make([]int, len(starts))
	axes, steps, err := sliceArgs(newInts, len(x.Dims), zeros, make([]int, len(ends)), axes, steps)
	if err != nil {
		return err
	}
	dims := append([]onnx.Dim{}, x.Dims...)
	for i, a := range axes {
		n, ok := x.Dims[a].Size()
		s, ok1 := starts[i].Size()
		e, ok2 := ends[i].Size()
		dims[a] = onnx.Dim{}
		switch {
		case ok && ok1 && ok2:
			_, k := sliceDim(n, s, e, steps[i])
			dims[a] = onnx.Size(k)
		case ok1 && ok2 && s == 0 && e >= math.MaxInt32 && steps[i] == 1:
			dims[a] = x.Dims[a]
		case ok1 && ok2 && s == -1 && e <= -math.MaxInt32 && steps[i] == -1:
			dims[a] = x.Dims[a]
		case steps[i] > 0:
			from, to := clampDim(x.Dims[a], starts[i]), clampDim(x.Dims[a], ends[i])
			dims[a] = to.Sub(from).CeilDiv(onnx.Size(steps[i]))
			if !from.Is(0) {
				dims[a] = dims[a].Max(onnx.Size(0))
			}
		}
	}
	c.Out[0] = onnx.TensorType(x.DType, dims...)
	if v, ok := c.KnownInts(0); ok && len(dims) == 1 && len(axes) <= 1 {
		if len(axes) == 0 {
			c.SetInts(0, v)
			return nil
		}
		s, ok1 := starts[0].Size()
		e, ok2 := ends[0].Size()
		if ok1 && ok2 {
			from, k := sliceDim(len(v), s, e, steps[0])
			out := make([]onnx.Dim, k)
			for i := range out {
				out[i] = v[from+i*steps[0]]
			}
			c.SetInts(0, out)
		}
	}
	return nil
}

// sliceSpan returns the shape of a slice of a tensor of shape s, the strides with
// which it lies there, and where it begins, valid until the call ends.
func sliceSpan(c *Call, s, starts, ends, axes, steps []int) (shape, strides []int, from int, err error) {
	axes, steps, err = sliceArgs(c.Dims, len(s), starts, ends, axes, steps)
	if err != nil {
		return nil, nil, 0, err
	}
	shape, strides = c.list(s...), c.strides(s)
	for i, a := range axes {
		at, k := sliceDim(s[a], starts[i], ends[i], steps[i])
		shape[a] = k
		if k == 0 {
			continue
		}
		from += at * strides[a]
		if k > 1 {
			strides[a] *= steps[i]
		}
	}
	return shape, strides, from, nil
}

func sliceTensor(c *Call, starts, ends, axes, steps []int) error {
	x := c.T(0)
	shape, ss, from, err := sliceSpan(c, x.Shape(), starts, ends, axes, steps)
	if err != nil {
		return err
	}
	y := c.Output(0, x.DType(), shape...)
	if y.Len() > 0 {
		moverOf(x.DType()).copy(c.P, y, x, strided{shape: shape, ds: c.strides(shape), ss: ss, so: from})
	}
	return nil
}

func buildSlice1(b *BuildContext) (Kernel, error) {
	starts, ends, axes := b.Ints("starts", nil), b.Ints("ends", nil), b.Ints("axes", nil)
	return bytewise(func(c *Call) error { return sliceTensor(c, starts, ends, axes, nil) }, 0), nil
}

func buildSlice(*BuildContext) (Kernel, error) {
	return bytewise(func(c *Call) error {
		var args [4][]int
		for i := range args {
			v, err := c.Ints(i + 1)
			if err != nil {
				return err
			}
			args[i] = v
		}
		return sliceTensor(c, args[0], args[1], args[2], args[3])
	}, 0), nil
}

// gradSlice: zeros with dY where the slice is.
func gradSlice(c *GradContext) []*onnx.Value {
	return []*onnx.Value{c.Ops(Private, "SliceGrad", nil, 1, c.DOut[0], c.shapeOf(c.X(0)), c.X(1), c.X(2), c.X(3), c.X(4))[0]}
}
