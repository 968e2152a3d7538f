package ops

import (
	"fmt"

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

// oneOf returns the bytes of 1 as an element of type d.
func oneOf(d tensor.DType) ([]byte, error) {
	switch d {
	case tensor.Float32:
		return tensor.Scalar(float32(1)).Bytes(), nil
	case tensor.Float64:
		return tensor.Scalar(float64(1)).Bytes(), nil
	case tensor.Float16:
		return tensor.Scalar(tensor.F16Of(1)).Bytes(), nil
	case tensor.BFloat16:
		return tensor.Scalar(tensor.BF16Of(1)).Bytes(), nil
	}
	if size := d.Size(); size > 0 && (d.IsInt() || d == tensor.Bool) {
		b := make([]byte, size)
		b[0] = 1
		return b, nil
	}
	return nil, fmt.Errorf("%w: element type %v", ErrUnsupported, d)
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
		one, err := oneOf(d)
		if err != nil {
			return err
		}
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
