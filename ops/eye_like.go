package ops

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// EyeLike: a matrix of input's shape with ones on diagonal k and zeros elsewhere.
//
//	input: T1[n, m]    output: T2[n, m], T2 = dtype or T1
//
// Spec: https://onnx.ai/onnx/operators/onnx__EyeLike.html
func init() {
	register(&Op{
		Name:     "EyeLike",
		Versions: []Version{{Since: 9, In: N(1), Out: N(1), Infer: inferEyeLike, Build: buildEyeLike}},
	})
}

func inferEyeLike(c *InferContext) error {
	x := c.In(0)
	d := c.DType("dtype", x.DType)
	if x.Ranked && len(x.Dims) != 2 {
		return fmt.Errorf("input has rank %d, want 2", len(x.Dims))
	}
	c.setRank(0, d, 2)
	if x.Ranked {
		c.Out[0] = onnx.TensorType(d, x.Dims...)
	}
	return nil
}

// oneOf returns the bytes of 1 as an element of type d, which are the first of one.
func oneOf(d tensor.DType) (one [8]byte, err error) {
	switch d {
	case tensor.Float32:
		binary.NativeEndian.PutUint32(one[:], math.Float32bits(1))
	case tensor.Float64:
		binary.NativeEndian.PutUint64(one[:], math.Float64bits(1))
	case tensor.Float16:
		binary.NativeEndian.PutUint16(one[:], uint16(tensor.F16Of(1)))
	case tensor.BFloat16:
		binary.NativeEndian.PutUint16(one[:], uint16(tensor.BF16Of(1)))
	default:
		if d.Size() == 0 || !d.IsInt() && d != tensor.Bool {
			return one, fmt.Errorf("%w: element type %v", ErrUnsupported, d)
		}
		one[0] = 1
	}
	return one, nil
}

func buildEyeLike(b *BuildContext) (Kernel, error) {
	dtype, k := b.DType("dtype", tensor.Undefined), b.Int("k", 0)
	return func(c *Call) error {
		x := c.T(0)
		if x.Rank() != 2 {
			return fmt.Errorf("input has shape %v, want rank 2", x.Shape())
		}
		d := dtype
		if d == tensor.Undefined {
			d = x.DType()
		}
		first, err := oneOf(d)
		if err != nil {
			return err
		}
		one := first[:d.Size()]
		rows, cols := x.Dim(0), x.Dim(1)
		y := c.Output(0, d, rows, cols)
		data := y.Bytes()
		clear(data)
		if k < -rows || k > cols {
			return nil
		}
		for i := max(0, -k); i < rows && i+k < cols; i++ {
			copy(data[(i*cols+i+k)*len(one):], one)
		}
		return nil
	}, nil
}
