package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// DynamicTimeWarping (com.microsoft): the path from the first to the last element of a matrix of costs that costs
// least, by steps to the next row, the next column or both. Of steps that cost the same the one along a column is
// taken, unless both others cost more.
//
//	input: float32[m, n] or [1, m, n]    output: int32[2, x], the rows and columns of the path
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.DynamicTimeWarping
func init() {
	register(&Op{Domain: "com.microsoft", Name: "DynamicTimeWarping", Versions: []Version{
		{Since: 1, In: N(1), Out: N(1),
			Infer: func(c *InferContext) error {
				c.Out[0] = onnx.TensorType(tensor.Int32, onnx.Size(2), onnx.Dim{})
				return nil
			},
			Build: func(*BuildContext) (Kernel, error) { return warp, nil }},
	}})
}

func warp(c *Call) error {
	x := c.T(0)
	s := x.Shape()
	if len(s) == 3 && s[0] == 1 {
		s = s[1:]
	}
	if len(s) != 2 || s[0] < 1 || s[1] < 1 {
		return fmt.Errorf("input has shape %v, want [m n] or [1 m n] with elements", x.Shape())
	}
	m, n := s[0], s[1]
	cost, prev := tensor.Data[float32](x), Scratch[float32](c, 2*(n+1))
	from := Scratch[uint8](c, m*n) // 0: both, 1: the row before, 2: the column before
	last, now := prev[:n+1], prev[n+1:]
	for j := range last {
		last[j] = float32(math.Inf(1))
	}
	last[0] = 0
	for i := range m {
		now[0] = float32(math.Inf(1))
		for j := range n {
			both, up, left := last[j], last[j+1], now[j]
			step, best := uint8(2), left
			switch {
			case both < up && both < left:
				step, best = 0, both
			case up < both && up < left:
				step, best = 1, up
			}
			from[i*n+j], now[j+1] = step, cost[i*n+j]+best
		}
		last, now = now, last
	}
	var rows, cols []int32
	for i, j := m-1, n-1; i >= 0 && j >= 0; {
		rows, cols = append(rows, int32(i)), append(cols, int32(j))
		switch step := from[i*n+j]; {
		case i == 0 && j == 0:
			i = -1
		case i == 0 || step == 2 && j > 0:
			j--
		case j == 0 || step == 1:
			i--
		default:
			i, j = i-1, j-1
		}
	}
	slices.Reverse(rows)
	slices.Reverse(cols)
	out := tensor.Data[int32](c.Output(0, tensor.Int32, 2, len(rows)))
	copy(out[copy(out, rows):], cols)
	return nil
}
