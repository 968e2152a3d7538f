package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/qgemm"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// QGemm (com.microsoft): Y = alpha · a_scale·b_scale · ((A - a_zero_point) ·
// (B - b_zero_point) + C), as float32, or quantized to y_scale and y_zero_point
// if they are given.
//
//	A: u8 or i8 [m, k] ([k, m] with transA)    B: u8 or i8 [k, n] ([n, k] with transB)
//	C: int32, broadcast to [m, n]              b_scale, b_zero_point: one or [n]
//	Y: [m, n], float32 or the type of y_zero_point
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QGemm
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "QGemm", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: Arity{6, 9}, Out: N(1), Infer: inferQGemm, Build: buildQGemm},
		},
	})
}

func inferQGemm(c *InferContext) error {
	ta, tb := c.Bool("transA", false), c.Bool("transB", false)
	d := tensor.Float32
	if c.Has(8) {
		d = c.In(8).DType
	}
	c.Out[0] = onnx.UnrankedType(d)
	a, b := c.In(0), c.In(3)
	if !a.Ranked || !b.Ranked {
		return nil
	}
	if len(a.Dims) != 2 || len(b.Dims) != 2 {
		return fmt.Errorf("types %v and %v, want 2 dimensions", a, b)
	}
	m, n := a.Dims[0], b.Dims[1]
	if ta {
		m = a.Dims[1]
	}
	if tb {
		n = b.Dims[0]
	}
	c.Out[0] = onnx.TensorType(d, m, n)
	return nil
}

func buildQGemm(b *BuildContext) (Kernel, error) {
	transA, transB, alpha := b.Bool("transA", false), b.Bool("transB", false), b.Float("alpha", 1)
	pack := func(p par.P, w *tensor.Tensor) *qgemm.Right {
		if transB {
			return qgemm.Pack(p, w.Bytes(), w.Dim(1), w.Dim(0), 1, w.Dim(1), w.DType() == tensor.Int8)
		}
		return qgemm.Pack(p, w.Bytes(), w.Dim(0), w.Dim(1), w.Dim(1), 1, w.DType() == tensor.Int8)
	}
	var packed *qgemm.Right
	if t := b.Const(3); t != nil && t.Rank() == 2 && isByte(t.DType()) {
		layout := "qgemm/kn"
		if transB {
			layout = "qgemm/nk"
		}
		v, err := b.Pack(3, layout, func() (any, error) { return pack(par.P{}, t).Narrow(), nil })
		if err != nil {
			return nil, err
		}
		packed = v.(*qgemm.Right)
	}
	return func(c *Call) error {
		a, err := byteInput(c, 0, "A")
		if err != nil {
			return err
		}
		if a.Rank() != 2 {
			return fmt.Errorf("A has shape %v, want 2 dimensions", a.Shape())
		}
		right := packed
		if right == nil {
			w, err := byteInput(c, 3, "B")
			if err != nil {
				return err
			}
			if w.Rank() != 2 {
				return fmt.Errorf("B has shape %v, want 2 dimensions", w.Shape())
			}
			right = pack(c.P, w)
		}
		m, k, n := a.Dim(0), a.Dim(1), right.N
		if transA {
			m, k = k, m
		}
		if k != right.K {
			return fmt.Errorf("A has shape %v with k = %d, want k = %d as in B", a.Shape(), k, right.K)
		}
		bd := tensor.Uint8
		if right.Signed {
			bd = tensor.Int8
		}
		qa, err := quantParamsOf(c, 1, a.DType(), "a")
		if err != nil {
			return err
		}
		sb, err := scalesOf(c, 4, "b_scale")
		if err != nil {
			return err
		}
		zb, err := c.zeroPoints(5, bd, "b_zero_point")
		if err != nil {
			return err
		}
		if len(sb) != 1 && len(sb) != n || len(zb) > 1 && len(zb) != n {
			return fmt.Errorf("b_scale and b_zero_point have %d and %d elements, want 1 or %d", len(sb), len(zb), n)
		}
		if c.Has(7) != c.Has(8) {
			return fmt.Errorf("y_scale without y_zero_point, or the other way round")
		}
		var bias []int32
		var bs []int
		if t := c.T(6); t != nil {
			if t.DType() != tensor.Int32 {
				return fmt.Errorf("C is %v, want int32", t.DType())
			}
			shape := c.list(m, n)
			if out, err := c.broadcast(t.Shape(), shape); err != nil || !slices.Equal(out, shape) {
				return fmt.Errorf("C has shape %v, want one that broadcasts to %v", t.Shape(), []int{m, n})
			}
			bias, bs = tensor.Data[int32](t), c.broadcastStrides(t.Shape(), shape)
		}
		rows := a.Bytes()
		if transA {
			rows = Scratch[uint8](c, m*k)
			for p := range k {
				for i := range m {
					rows[i*k+p] = a.Bytes()[p*m+i]
				}
			}
		}
		left := qgemm.Left{M: m, K: k, Data: rows, Signed: a.DType() == tensor.Int8}
		if len(bias) == 0 || bs[0] == 0 && bs[1] == 1 { // the same for all rows
			st := State[intMatState](c)
			f := &st.finish
			f.SetShift(nil, n)
			f.SetZeros(right, k, unsignedZero(qa.zero, a.DType()), zb, bias)
			if !c.Has(7) {
				f.SetScale(sb, n, alpha*qa.scale)
				f.Product(c.P, left, right, nil, tensor.Data[float32](c.Output(0, tensor.Float32, m, n)), nil)
				return nil
			}
			zt, err := byteInput(c, 8, "y_zero_point")
			if err != nil {
				return err
			}
			qy, err := quantParamsOf(c, 7, zt.DType(), "y")
			if err != nil {
				return err
			}
			st.scale = append(st.scale[:0], sb...)
			for j, v := range st.scale {
				st.scale[j] = alpha * qa.scale * v / qy.scale
			}
			f.SetScale(st.scale, n, 1)
			f.Zero = qy.zero
			f.Lo, f.Hi = byteRange(zt.DType())
			f.Product(c.P, left, right, c.Output(0, zt.DType(), m, n).Bytes(), nil, nil)
			return nil
		}
		acc := Scratch[int32](c, m*n)
		left.Zero = []int32{qa.zero}
		qgemm.Mul(c.P, left, right, zb, acc, n, nil)
		for i := range m {
			for j := range n {
				acc[i*n+j] += bias[i*bs[0]+j*bs[1]]
			}
		}
		if !c.Has(7) {
			y := tensor.Data[float32](c.Output(0, tensor.Float32, m, n))
			for i := range y {
				y[i] = float32(acc[i]) * (alpha * qa.scale * at(sb, i%n))
			}
			return nil
		}
		zt, err := byteInput(c, 8, "y_zero_point")
		if err != nil {
			return err
		}
		qy, err := quantParamsOf(c, 7, zt.DType(), "y")
		if err != nil {
			return err
		}
		scale := make([]float32, len(sb))
		for j := range scale {
			scale[j] = alpha * qa.scale * sb[j] / qy.scale
		}
		y := c.Output(0, zt.DType(), m, n).Bytes()
		for i := range m {
			requantize(y[i*n:(i+1)*n], acc[i*n:(i+1)*n], scale, qy.zero, zt.DType())
		}
		return nil
	}, nil
}
