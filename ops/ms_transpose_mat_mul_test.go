package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestTransposeMatMul(t *testing.T) {
	a, b := F32([]int{2, 2}, 1, 2, 3, 4), F32([]int{2, 2}, 5, 6, 7, 8)
	for _, c := range []struct {
		attrs onnx.Attrs
		want  []float32
	}{
		{nil, []float32{19, 22, 43, 50}},
		{onnx.NewAttrs("transA", 1), []float32{26, 30, 38, 44}},
		{onnx.NewAttrs("transB", 1, "alpha", float32(2)), []float32{34, 46, 78, 106}},
	} {
		Run(t, []Case{{Op: "TransposeMatMul", Domain: "com.microsoft", In: Vals(a, b), Attrs: c.attrs, Want: Vals(F32([]int{2, 2}, c.want...)), Tol: close5}})
	}
}
