package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestFlexAttention(t *testing.T) {
	const b, hq, hk, lq, lk, d, dv = 2, 4, 2, 5, 7, 8, 3
	n := naiveAttention{b: b, hq: hq, hk: hk, lq: lq, lk: lk, d: d, dv: dv, scale: 1 / math.Sqrt(d),
		q: wave(b*hq*lq*d, 1), k: wave(b*hk*lk*d, 2), v: wave(b*hk*lk*dv, 3)}
	in := Vals(heads4(b, hq, lq, d, n.q), heads4(b, hk, lk, d, n.k), heads4(b, hk, lk, dv, n.v))
	y, _ := n.run()
	n.scale = 0.2
	scaled, _ := n.run()
	Run(t, []Case{
		{Op: "FlexAttention", Domain: "ai.onnx.preview", In: in, Want: Vals(heads4(b, hq, lq, dv, y)), Tol: close5},
		{Op: "FlexAttention", Domain: "ai.onnx.preview", In: in, Attrs: onnx.NewAttrs("scale", 0.2, "softmax_precision", 11), Want: Vals(heads4(b, hq, lq, dv, scaled)), Tol: close5},
		{Op: "FlexAttention", Domain: "ai.onnx.preview", In: Vals(in[0], in[1], in[1]), Attrs: onnx.NewAttrs("softmax_precision", 7), Want: Vals(in[0]), Err: "not supported"},
		{Op: "FlexAttention", Domain: "ai.onnx.preview", In: Vals(in[0], in[1], in[0]), Want: Vals(in[0]), Err: "they do not fit"},
		{Op: "FlexAttention", Domain: "ai.onnx.preview", In: Vals(in[0], in[1], in[2]), Attrs: onnx.NewAttrs("score_mod", onnx.NewGraph("m", nil)), Want: Vals(in[0]), Err: "score_mod"},
	})
}
