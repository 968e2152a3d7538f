package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestMoEGroupRouter(t *testing.T) {
	x := []float32{0, 3, 2, 2, 1, 1, -5, 4}
	logits, none := F32([]int{1, 1, 8}, x...), F32([]int{8}, 0, 0, 0, 0, 0, 0, 0, 0)
	probs := func(sentinel float32, chosen ...int) tensor.Value {
		y := make([]float32, 8)
		for i := range y {
			y[i] = sentinel
		}
		for _, i := range chosen {
			y[i] = float32(math.Log(sigm(float64(x[i]))))
		}
		return F32([]int{1, 8}, y...)
	}
	op := func(bias tensor.Value, want tensor.Value, attrs ...any) Case {
		return Case{Op: "MoEGroupRouter", Domain: "com.microsoft", In: Vals(logits, bias), Attrs: onnx.NewAttrs(attrs...), Want: Vals(want), Tol: close5}
	}
	var scores, weights []float32
	for _, v := range x {
		weights = append(weights, float32(sigm(float64(v))))
		scores = append(scores, float32(sigm(float64(v)))+0.5)
	}
	full := op(F32([]int{8}, .5, .5, .5, .5, .5, .5, .5, .5), nil, "top_k", 2)
	full.Want = []tensor.Value{nil, F32([]int{1, 8}, scores...), F32([]int{1, 8}, weights...)}
	projected := full
	projected.In = Vals(F32([]int{1, 2}, 1, 2), full.In[1], F32([]int{8, 2}, 0, 0, 1, 1, 0, 1, 2, 0, 1, 0, -1, 1, -5, 0, 0, 2))
	bad := op(none, probs(0), "top_k", 3, "n_group", 8)
	bad.Err = "for the best 3 in 1 of 8 groups"
	Run(t, []Case{
		op(none, probs(-1e4, 1, 7), "top_k", 2),
		op(none, probs(-50, 2, 3), "top_k", 2, "n_group", 4, "router_sentinel", float32(-50)),   // 2 and 3 are the best pair
		op(none, probs(-1e4, 6, 7), "top_k", 2, "n_group", 4, "group_topk", 1),                  // 7 is the best one
		op(none, probs(-1e4, 1, 7), "top_k", 2, "n_group", 4, "group_topk", 1, "topk_group", 2), //
		op(F32([]int{8}, 9, 0, 0, 0, 0, 0, 0, 0), probs(-1e4, 0, 1), "top_k", 2, "n_group", 4),  // the bias chooses, and does not weigh
		op(F32([]int{8}, 0, 0, 0, 0, 9, 9, 0, 0), probs(-1e4, 4), "top_k", 1, "n_group", 2),     // the first of equals
		full, projected, bad,
	})
}
