package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/tensor"
)

// QLinearWhere (com.microsoft): Z = quantize(dequantize(X) where condition,
// else dequantize(Y)), with broadcasting of all three.
//
//	condition: bool    X, Y: u8 or i8, both the same    Z: the same type
//	scales: float32, one; zero points: one
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QLinearWhere
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "QLinearWhere", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: N(9), Out: N(1), Infer: inferQLinearWhere, Build: buildQLinearWhere},
		},
	})
}

func inferQLinearWhere(c *InferContext) error { return inferBroadcastOf(c, c.In(1).DType, 0, 1, 4) }

func buildQLinearWhere(*BuildContext) (Kernel, error) {
	return func(c *Call) error {
		cond := c.T(0)
		if cond == nil || cond.DType() != tensor.Bool {
			return fmt.Errorf("condition is %v, want bool", c.In[0])
		}
		x, err := byteInput(c, 1, "X")
		if err != nil {
			return err
		}
		y, err := byteInput(c, 4, "Y")
		if err != nil {
			return err
		}
		d := x.DType()
		if y.DType() != d {
			return fmt.Errorf("Y is %v, want %v as X", y.DType(), d)
		}
		qx, err := quantParamsOf(c, 2, d, "x")
		if err != nil {
			return err
		}
		qy, err := quantParamsOf(c, 5, d, "y")
		if err != nil {
			return err
		}
		qz, err := quantParamsOf(c, 7, d, "z")
		if err != nil {
			return err
		}
		shape, err := tensor.Broadcast(cond.Shape(), x.Shape(), y.Shape())
		if err != nil {
			return err
		}
		same := func(v float32) float32 { return v }
		tx, ty := rescaleTable(c, qx, d, qz, d, same), rescaleTable(c, qy, d, qz, d, same)
		z, dc, dx, dy := c.Output(0, d, shape...).Bytes(), tensor.Data[bool](cond), x.Bytes(), y.Bytes()
		broadcastRows(c, shape, [][]int{cond.Shape(), x.Shape(), y.Shape()}, func(o, n int, at, step []int) {
			for k := range n {
				if dc[at[0]+k*step[0]] {
					z[o+k] = tx[dx[at[1]+k*step[1]]]
				} else {
					z[o+k] = ty[dy[at[2]+k*step[2]]]
				}
			}
		})
		return nil
	}, nil
}
