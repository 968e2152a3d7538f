package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestXPadGrad(t *testing.T) {
	d := F32([]int{5}, 1, 2, 4, 8, 16)
	pad := func(mode string, n, lo, hi int64) Case {
		return Case{Domain: "x", Op: "PadGrad", Opset: 1, Attrs: onnx.NewAttrs("mode", mode), In: Vals(d, I64([]int{1}, n), I64([]int{2}, lo, hi))}
	}
	with := func(c Case, want tensor.Value) Case { c.Want = Vals(want); return c }
	bad := with(pad("edge", 4, 2, 0), d)
	bad.Err = "want [6]"
	Run(t, []Case{
		with(pad("constant", 3, 1, 1), F32([]int{3}, 2, 4, 8)),
		with(pad("constant", 6, -1, 0), F32([]int{6}, 0, 1, 2, 4, 8, 16)),
		with(pad("edge", 2, 2, 1), F32([]int{2}, 7, 24)),
		with(pad("reflect", 3, 1, 1), F32([]int{3}, 2, 1+4+16, 8)),
		with(pad("wrap", 2, 2, 1), F32([]int{2}, 1+4+16, 2+8)),
		with(pad("edge", 6, -2, 1), F32([]int{6}, 0, 0, 1, 2, 4, 24)),
		bad,
	})
}
