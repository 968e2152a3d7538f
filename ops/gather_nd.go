package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// GatherND: each tuple in the last dimension of indices names a block of data;
// output is those blocks. The first batch_dims dimensions are shared.
//
//	data: T[b…, d…], indices: int64[b…, i…, k]    output: T[b…, i…, d[k:]…]
//
// Spec: https://onnx.ai/onnx/operators/onnx__GatherND.html
func init() {
	// 12 added batch_dims.
	register(&Op{
		Name:     "GatherND",
		Versions: []Version{{Since: 11, In: N(2), Out: N(1), Infer: inferGatherND, Build: buildGatherND}},
	})
}

// batchDims reads the attribute batch_dims, which com.microsoft's variant has not.
func batchDims(a *attrs) int {
	if a.node.Domain != "" {
		return 0
	}
	return a.Int("batch_dims", 0)
}

func inferGatherND(c *InferContext) error {
	x, idx := c.In(0), c.In(1)
	batch := batchDims(&c.attrs)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if !x.Ranked || !idx.Ranked {
		return nil
	}
	if len(idx.Dims) == 0 || batch < 0 || batch >= len(idx.Dims) || batch >= len(x.Dims) {
		return fmt.Errorf("data has rank %d, indices %d, batch_dims is %d", len(x.Dims), len(idx.Dims), batch)
	}
	k, ok := idx.Dims[len(idx.Dims)-1].Size()
	if !ok {
		return nil
	}
	if k < 1 || k > len(x.Dims)-batch {
		return fmt.Errorf("indices are tuples of %d, want between 1 and %d", k, len(x.Dims)-batch)
	}
	out := append([]onnx.Dim{}, idx.Dims[:len(idx.Dims)-1]...)
	c.Out[0] = onnx.TensorType(x.DType, append(out, x.Dims[batch+k:]...)...)
	return nil
}

func buildGatherND(b *BuildContext) (Kernel, error) {
	batch := batchDims(&b.attrs)
	return bytewise(func(c *Call) error {
		x, idx := c.T(0), c.T(1)
		from, n, err := tupleOffsets(c, x.Shape(), batch)
		if err != nil {
			return err
		}
		is := idx.Shape()
		k := is[len(is)-1]
		rest := x.Shape()[min(batch+k, x.Rank()):]
		shape := c.Dims(len(is) - 1 + len(rest))
		copy(shape[copy(shape, is[:len(is)-1]):], rest)
		y := c.Output(0, x.DType(), shape...)
		moverOf(x.DType()).blocks(c.P, y, nil, x, from, n, len(from))
		return nil
	}, 0), nil
}

// gradGatherND: what was taken several times gets the sum.
func gradGatherND(c *GradContext) []*onnx.Value {
	as := onnx.NewAttrs("batch_dims", batchDims(&c.Attr))
	return []*onnx.Value{c.Ops(Private, "GatherNDGrad", as, 1, c.DOut[0], c.X(1), c.shapeOf(c.X(0)))[0]}
}
