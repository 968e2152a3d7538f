package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestTreeEnsemble(t *testing.T) {
	nan := float32(math.NaN())
	Run(t, []Case{
		{Name: "float32", Domain: "ai.onnx.ml", Op: "TreeEnsemble", Opset: 5, Attrs: onnx.NewAttrs("n_targets", 2, "aggregate_function", 1, "post_transform", 0, "tree_roots", []int{0, 2}, "nodes_modes", Of[uint8]([]int{3}, 0, 6, 3), "nodes_featureids", []int{0, 1, 1}, "nodes_splits", F32([]int{3}, 0.5, 0, 2), "nodes_truenodeids", []int{1, 0, 2}, "nodes_trueleafs", []int{0, 1, 1}, "nodes_falsenodeids", []int{1, 3, 0}, "nodes_falseleafs", []int{1, 1, 1}, "leaf_targetids", []int{0, 1, 0, 1}, "leaf_weights", F32([]int{4}, 1.5, -2, 3, 0.25), "membership_values", F32([]int{3}, 3, 1, nan)), In: Vals(F32([]int{5, 2}, 0, 1, 0, 2, 0, 3, 1, 1, 0.5, 5)), Want: Vals(F32([]int{5, 2}, 3, 0, 1.5, 0.25, 4.5, 0, 1.5, -2, 3, 0.25)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
	})
}
