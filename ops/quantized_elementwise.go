package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/quant"
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
			quant.Lookup(y[lo:hi], src[lo:hi], table)
		})
		return nil
	}
}

// buildQuantizedBinary makes a kernel of C = quantize(A + B), or A · B, with
// broadcasting, for A, A_scale, A_zero_point, B, B_scale, B_zero_point,
// C_scale, C_zero_point.
func buildQuantizedBinary(product bool) Kernel {
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
		k := quant.Binary{Product: product, Signed: d == tensor.Int8, ZA: q[0].zero, ZB: q[1].zero, Zero: q[2].zero,
			FA: q[0].scale / q[2].scale, FB: q[1].scale / q[2].scale}
		if product {
			k.FA *= q[1].scale
		}
		k.Lo, k.Hi = byteRange(d)
		y, da, db := c.Output(0, d, shape...).Bytes(), a.Bytes(), b.Bytes()
		if len(da) == len(y) && len(db) == len(y) {
			c.P.For(len(y), 1<<15, func(lo, hi int) { k.Run(y[lo:hi], da[lo:hi], db[lo:hi]) })
			return nil
		}
		broadcastRows(c, shape, [][]int{a.Shape(), b.Shape()}, func(o, n int, at, step []int) {
			i, j := at[0], at[1]
			var same [2][256]byte // of an operand that does not move
			for p := 0; p < n; p += len(same[0]) {
				m := min(n-p, len(same[0]))
				x, z := same[0][:m], same[1][:m]
				if step[0] != 0 {
					x = da[i+p : i+p+m]
				} else if p == 0 {
					fillBytes(x, da[i])
				}
				if step[1] != 0 {
					z = db[j+p : j+p+m]
				} else if p == 0 {
					fillBytes(z, db[j])
				}
				k.Run(y[o+p:o+p+m], x, z)
			}
		})
		return nil
	}
}

func fillBytes(b []byte, v byte) {
	for i := range b {
		b[i] = v
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
