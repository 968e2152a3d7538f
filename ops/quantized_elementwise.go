package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// rescaleTable returns what each byte of type from under q becomes under r as
// type to, after f.
func rescaleTable(q quantParams, from tensor.DType, r quantParams, to tensor.DType, f func(float32) float32) *[256]byte {
	var t [256]byte
	for i, x := range dequantTable(q.scale, q.zero, from) {
		t[i] = r.quantize(f(x), to)
	}
	return &t
}

// buildQuantizedUnary makes a kernel of f for X, X_scale, X_zero_point,
// Y_scale, Y_zero_point: a table of 256 results per call.
func buildQuantizedUnary(f func(float32) float32) Kernel {
	return func(c *Call) error {
		x, err := byteInput(c, 0, "X")
		if err != nil {
			return err
		}
		d := x.DType()
		qx, err := quantParamsOf(c, 1, d, "X")
		if err != nil {
			return err
		}
		qy, err := quantParamsOf(c, 3, d, "Y")
		if err != nil {
			return err
		}
		table := rescaleTable(qx, d, qy, d, f)
		y, src := c.Output(0, d, x.Shape()...).Bytes(), x.Bytes()
		c.P.For(len(src), 1<<15, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				y[i] = table[src[i]]
			}
		})
		return nil
	}
}

// buildQuantizedBinary makes a kernel of C = quantize(f(A, B)) with
// broadcasting, for A, A_scale, A_zero_point, B, B_scale, B_zero_point,
// C_scale, C_zero_point.
func buildQuantizedBinary(f func(a, b float32) float32) Kernel {
	return func(c *Call) error {
		a, err := byteInput(c, 0, "A")
		if err != nil {
			return err
		}
		b, err := byteInput(c, 3, "B")
		if err != nil {
			return err
		}
		d := a.DType()
		if b.DType() != d {
			return fmt.Errorf("B is %v, want %v as A", b.DType(), d)
		}
		var q [3]quantParams
		for i, name := range []string{"A", "B", "C"} {
			at := 3*i + 1
			if i == 2 {
				at = 6
			}
			if q[i], err = quantParamsOf(c, at, d, name); err != nil {
				return err
			}
		}
		shape, err := tensor.Broadcast(a.Shape(), b.Shape())
		if err != nil {
			return err
		}
		ta, tb := dequantTable(q[0].scale, q[0].zero, d), dequantTable(q[1].scale, q[1].zero, d)
		y, da, db := c.Output(0, d, shape...).Bytes(), a.Bytes(), b.Bytes()
		broadcastRows(c, shape, [][]int{a.Shape(), b.Shape()}, func(o, n int, at, step []int) {
			i, j := at[0], at[1]
			for k := o; k < o+n; k++ {
				y[k] = q[2].quantize(f(ta[da[i]], tb[db[j]]), d)
				i += step[0]
				j += step[1]
			}
		})
		return nil
	}
}

// broadcastRows calls row for each run of out along its last dimension: o and n
// are its offset and length; at and step say where each of the inputs starts and
// how it moves. Calls may be at once.
func broadcastRows(c *Call, out []int, in [][]int, row func(o, n int, at, step []int)) {
	n, rows := 1, 1
	if len(out) > 0 {
		n = out[len(out)-1]
		for _, d := range out[:len(out)-1] {
			rows *= d
		}
	}
	if n == 0 || rows == 0 {
		return
	}
	strides := make([][]int, len(in))
	step := make([]int, len(in))
	for i, s := range in {
		strides[i] = tensor.BroadcastStrides(s, out)
		if len(out) > 0 {
			step[i] = strides[i][len(out)-1]
		}
	}
	c.P.For(rows, max(1, (1<<14)/n), func(lo, hi int) {
		at := make([]int, len(in))
		for r := lo; r < hi; r++ {
			clear(at)
			for d, left := len(out)-2, r; d >= 0; d-- {
				x := left % out[d]
				left /= out[d]
				for i := range at {
					at[i] += x * strides[i][d]
				}
			}
			row(r*n, n, at, step)
		}
	})
}

// inferBroadcastOf gives output 0 the element type d and the broadcast of the
// listed inputs.
func inferBroadcastOf(c *InferContext, d tensor.DType, in ...int) error {
	ts := make([]onnx.Type, len(in))
	for i, k := range in {
		ts[i] = c.In(k)
	}
	dims, ok, err := broadcastDims(ts...)
	if err != nil {
		return err
	}
	c.Out[0] = onnx.Type{Kind: onnx.TensorKind, DType: d, Ranked: ok, Dims: dims}
	return nil
}
