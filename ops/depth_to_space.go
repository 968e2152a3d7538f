package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// DepthToSpace: blocks of b*b channels become squares of b by b pixels. With
// mode DCR channel (i*b + j)*C' + c, with mode CRD channel (c*b + i)*b + j,
// gives pixel (i, j) of the block of output channel c.
//
//	input: T[N, C, H, W]    output: T[N, C/b², H*b, W*b]
//
// Spec: https://onnx.ai/onnx/operators/onnx__DepthToSpace.html
func init() {
	register(&Op{
		Name: "DepthToSpace",
		// 11 added mode; before, it is DCR.
		Versions: []Version{{Since: 1, In: N(1), Out: N(1), Infer: inferDepthToSpace, Build: buildDepthToSpace}},
	})
}

// blockSize reads the attribute blocksize.
func blockSize(a *attrs) int {
	b := a.Int("blocksize", 0)
	if b < 1 || b > 1<<20 {
		a.Fail("attribute %q is %d, want a positive number", "blocksize", b)
		return 1
	}
	return b
}

func inferDepthToSpace(c *InferContext) error {
	return inferBlocks(c, func(d []onnx.Dim, b onnx.Dim) []onnx.Dim {
		return []onnx.Dim{d[0], d[1].FloorDiv(b.Mul(b)), d[2].Mul(b), d[3].Mul(b)}
	})
}

// inferBlocks infers an operator that moves elements between the channels and
// blocks of an image.
func inferBlocks(c *InferContext, dims func(d []onnx.Dim, block onnx.Dim) []onnx.Dim) error {
	x := c.In(0)
	b := onnx.Size(blockSize(&c.attrs))
	c.setRank(0, x.DType, 4)
	if !x.Ranked {
		return nil
	}
	if len(x.Dims) != 4 {
		return fmt.Errorf("input has rank %d, want 4", len(x.Dims))
	}
	c.Out[0] = onnx.TensorType(x.DType, dims(x.Dims, b)...)
	return nil
}

func buildDepthToSpace(bc *BuildContext) (Kernel, error) {
	b := blockSize(&bc.attrs)
	crd := bc.OneOf("mode", "DCR", "CRD") == "CRD"
	return bytewise(func(c *Call) error {
		x := c.T(0)
		s := x.Shape()
		if len(s) != 4 || s[1]%(b*b) != 0 {
			return fmt.Errorf("input has shape %v, want rank 4 and channels that are a multiple of %d", s, b*b)
		}
		n, ch, h, w := s[0], s[1]/(b*b), s[2], s[3]
		y := c.Output(0, x.DType(), n, ch, h*b, w*b)
		shape := c.list(n, ch, h, b, w, b) // of the output; i is dimension 3, j dimension 5
		plane := h * w
		i, j, k := b*ch*plane, ch*plane, plane
		if crd {
			i, j, k = b*plane, plane, b*b*plane
		}
		moverOf(x.DType()).copy(c.P, y, x, strided{shape: shape, ds: c.strides(shape), ss: c.list(s[1]*plane, k, w, i, 1, j)})
		return nil
	}, 0), nil
}

// gradDepthToSpace: the inverse rearrangement. SpaceToDepth orders the channels of
// its result as DCR does, [b, b, C']; CRD has them as [C', b, b].
func gradDepthToSpace(c *GradContext) []*onnx.Value {
	b := blockSize(&c.Attr)
	d := c.Op("SpaceToDepth", onnx.NewAttrs("blocksize", b), c.DOut[0])
	if c.Attr.OneOf("mode", "DCR", "CRD") == "DCR" {
		return []*onnx.Value{d}
	}
	size := func(from, to int) *onnx.Value { return c.Op("Shape", onnx.NewAttrs("start", from, "end", to), d) }
	apart := c.Op("Concat", onnx.NewAttrs("axis", 0), size(0, 1), c.Ints(b, b, -1), size(2, 4))
	d = c.Op("Transpose", onnx.NewAttrs("perm", []int{0, 3, 1, 2, 4, 5}), c.Op("Reshape", nil, d, apart))
	return []*onnx.Value{c.Like(d, c.X(0))}
}
