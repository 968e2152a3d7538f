package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Tile: input repeated repeats[i] times along dimension i.
//
//	input: T[d0, …], repeats: int64[rank]    output: T[d0*repeats[0], …]
//
// Spec: https://onnx.ai/onnx/operators/onnx__Tile.html
func init() {
	register(&Op{
		Name: "Tile",
		Versions: []Version{
			// Version 1 repeats along one axis; tiles and axis are tensors.
			{Since: 1, In: N(3), Out: N(1), Infer: inferTile1, Build: buildTile1},
			{Since: 6, In: N(2), Out: N(1), Infer: inferTile, Build: buildTile},
		},
	})
}

func inferTile1(c *InferContext) error {
	x := c.In(0)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if x.Ranked {
		c.setRank(0, x.DType, len(x.Dims))
	}
	return nil
}

func inferTile(c *InferContext) error {
	x := c.In(0)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if !x.Ranked {
		return nil
	}
	c.setRank(0, x.DType, len(x.Dims))
	rep, ok := c.KnownInts(1)
	if !ok {
		return nil
	}
	if len(rep) != len(x.Dims) {
		return fmt.Errorf("repeats has %d elements, want %d", len(rep), len(x.Dims))
	}
	for i, r := range rep {
		c.Out[0].Dims[i] = x.Dims[i].Mul(r)
	}
	if v, ok := c.KnownInts(0); ok && len(rep) == 1 {
		if n, ok := rep[0].Size(); ok && n >= 0 && n <= 1024 && n*len(v) <= 1024 {
			var out []onnx.Dim
			for range n {
				out = append(out, v...)
			}
			if out == nil {
				out = []onnx.Dim{}
			}
			c.SetInts(0, out)
		}
	}
	return nil
}

func buildTile1(*BuildContext) (Kernel, error) {
	return func(c *Call) error {
		x := c.T(0)
		var v [2]int
		for i := range v { // of the input's type, which may be a float
			t := c.T(i + 1)
			if t.Len() != 1 {
				return fmt.Errorf("input %d has %d elements, want 1", i+1, t.Len())
			}
			f, err := numberOf(t)
			if err != nil {
				return err
			}
			if f != math.Trunc(f) || math.Abs(f) > math.MaxInt32 {
				return fmt.Errorf("input %d is %g, want an integer", i+1, f)
			}
			v[i] = int(f)
		}
		a, err := tensor.Axis(v[1], x.Rank())
		if err != nil {
			return err
		}
		rep := make([]int, x.Rank())
		for i := range rep {
			rep[i] = 1
		}
		rep[a] = v[0]
		return tileTensor(c, rep)
	}, nil
}

func buildTile(*BuildContext) (Kernel, error) {
	return bytewise(func(c *Call) error {
		rep, err := c.Ints(1)
		if err != nil {
			return err
		}
		return tileTensor(c, rep)
	}, 0), nil
}

func tileTensor(c *Call, rep []int) error {
	x := c.T(0)
	s := x.Shape()
	if len(rep) != len(s) {
		return fmt.Errorf("repeats has %d elements, want %d", len(rep), len(s))
	}
	shape := c.Dims(len(s))
	// each dimension as two: [repeat, d], where src does not move along the first
	l := strided{shape: c.Dims(2 * len(s))[:0], ds: c.Dims(2 * len(s))[:0], ss: c.Dims(2 * len(s))[:0]}
	xs := c.strides(s)
	for i, r := range rep {
		if r < 0 {
			return fmt.Errorf("repeats %v has a negative count", rep)
		}
		if s[i] > 0 && r > math.MaxInt/s[i] {
			return fmt.Errorf("%w: dimension %d times %d", tensor.ErrSize, s[i], r)
		}
		shape[i] = s[i] * r
		l.shape = append(l.shape, r, s[i])
		l.ss = append(l.ss, 0, xs[i])
	}
	y := c.Output(0, x.DType(), shape...)
	ys := c.strides(shape)
	for i := range s {
		l.ds = append(l.ds, ys[i]*s[i], ys[i])
	}
	moverOf(x.DType()).copy(c.P, y, x, l)
	return nil
}

// gradTile: the sum over the repetitions, which are dimensions of their own in
// [repeats[0], d0, repeats[1], d1, …].
func gradTile(c *GradContext) []*onnx.Value {
	x := c.X(0)
	if !x.Type.Ranked {
		c.Fail(fmt.Errorf("input is %v, want a known rank", x.Type))
		return nil
	}
	if len(x.Type.Dims) == 0 {
		return []*onnx.Value{c.DOut[0]}
	}
	last := c.Ints(-1)
	pairs := c.Op("Concat", onnx.NewAttrs("axis", 1), c.Op("Unsqueeze", nil, c.X(1), last), c.Op("Unsqueeze", nil, c.shapeOf(x), last))
	apart := c.Op("Reshape", onnx.NewAttrs("allowzero", 1), c.DOut[0], c.Op("Reshape", nil, pairs, last))
	axes := make([]int, len(x.Type.Dims))
	for i := range axes {
		axes[i] = 2 * i
	}
	return []*onnx.Value{c.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), apart, c.Ints(axes...))}
}
