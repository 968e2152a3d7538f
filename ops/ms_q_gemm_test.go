package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestQGemm(t *testing.T) {
	Run(t, []Case{
		{Domain: "com.microsoft", Op: "QGemm", Opset: 1, In: Vals(Of[uint8]([]int{3, 5}, 83, 166, 151, 104, 160, 52, 238, 234, 3, 123, 49, 114, 92, 223, 209), F32([]int{}, 0.1), Of[uint8]([]int{}, 4), Of[int8]([]int{5, 4}, -55, 12, -28, 3, 103, 66, -115, 39, 69, -54, 61, -106, -105, -10, -23, 97, 83, 25, 11, -115), F32([]int{}, 0.02), Of[int8]([]int{}, 3), I32([]int{4}, 5, -6, 700, 8)), Want: Vals(F32([]int{3, 4}, 46.010002, 9.328, -27.382002, -38.382, 90.858, 9.378, -28.164001, -61.548004, 13.902, 7.952, -25.250002, -18.456001)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-05}},
		{Domain: "com.microsoft", Op: "QGemm", Opset: 1, Attrs: onnx.NewAttrs("transA", 1, "transB", 1, "alpha", float32(0.5)), In: Vals(Of[uint8]([]int{5, 3}, 48, 112, 108, 98, 128, 149, 99, 150, 27, 243, 132, 86, 113, 104, 73), F32([]int{}, 0.1), Of[uint8]([]int{}, 4), Of[int8]([]int{4, 5}, 29, 99, 98, -86, 52, 65, -8, 48, 80, -102, -4, -120, 118, 7, -56, -112, -96, -56, 84, 123), F32([]int{4}, 0.02, 0.01, 0.03, 0.5), Of[int8]([]int{4}, 0, 0, 0, 0), I32([]int{4}, 5, -6, 700, 8), F32([]int{}, 1.5), Of[uint8]([]int{}, 100)), Want: Vals(Of[uint8]([]int{3, 4}, 103, 105, 96, 255, 116, 104, 98, 0, 111, 102, 82, 0))},
		{Domain: "com.microsoft", Op: "QGemm", Opset: 1, In: Vals(Of[uint8]([]int{3, 5}, 76, 87, 216, 25, 156, 153, 130, 213, 22, 72, 201, 77, 16, 117, 247), F32([]int{}, 0.1), Of[uint8]([]int{}, 4), Of[uint8]([]int{5, 4}, 202, 224, 72, 77, 39, 32, 71, 226, 172, 122, 120, 31, 125, 127, 196, 63, 221, 104, 15, 163), F32([]int{}, 0.02), Of[uint8]([]int{}, 3), nil, F32([]int{}, 0.3), Of[uint8]([]int{}, 3)), Want: Vals(Of[uint8]([]int{3, 4}, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255))},
		{Domain: "com.microsoft", Op: "QGemm", Opset: 1, In: Vals(Of[uint8]([]int{3, 5}, 154, 234, 141, 205, 61, 41, 164, 122, 202, 125, 203, 253, 247, 22, 248), F32([]int{}, 0.1), Of[uint8]([]int{}, 4), Of[uint8]([]int{4, 4}, 130, 95, 234, 43, 102, 213, 66, 239, 142, 131, 81, 32, 237, 0, 21, 19), F32([]int{}, 0.02), Of[uint8]([]int{}, 3)), Want: Vals(nil), Err: "want k = 4"},
		{Domain: "com.microsoft", Op: "QGemm", Opset: 1, In: Vals(Of[uint8]([]int{3, 5}, 52, 188, 21, 37, 182, 8, 75, 212, 230, 126, 228, 227, 239, 63, 65), F32([]int{}, 0.1), Of[uint8]([]int{}, 4), Of[uint8]([]int{5, 4}, 168, 0, 67, 99, 227, 246, 87, 195, 139, 15, 101, 179, 180, 234, 160, 247, 115, 183, 158, 220), F32([]int{}, 0.02), Of[uint8]([]int{}, 3), I32([]int{3}, 1, 2, 3)), Want: Vals(nil), Err: "C has shape [3]"},
	})
}
