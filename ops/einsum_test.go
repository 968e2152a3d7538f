package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestEinsum(t *testing.T) {
	eq := func(s string, want *tensor.Tensor, in ...tensor.Value) Case {
		return Case{Name: s, Op: "Einsum", Attrs: onnx.NewAttrs("equation", s), In: in, Want: Vals(want)}
	}
	bad := func(s, err string, in ...tensor.Value) Case {
		c := eq(s, F32([]int{}, 0), in...)
		c.Err = err
		return c
	}
	m := F32([]int{2, 3}, 1, 2, 3, 4, 5, 6)
	sq := F32([]int{2, 2}, 1, 2, 3, 4)
	v := F32([]int{3}, 1, 10, 100)
	a, b := ramp(3, 5, 7), ramp(3, 7, 4)
	ab := naiveMatMul(a, b)
	Run(t, []Case{
		eq("ij->ji", F32([]int{3, 2}, 1, 4, 2, 5, 3, 6), m),
		eq("ji", F32([]int{3, 2}, 1, 4, 2, 5, 3, 6), m),
		eq("ij->i", F32([]int{2}, 6, 15), m),
		eq("ij->", F32([]int{}, 21), m),
		eq("ij->j", F32([]int{3}, 5, 7, 9), m),
		eq("ii->i", F32([]int{2}, 1, 4), sq),
		eq("ii", F32([]int{}, 5), sq),
		eq("...ii->...i", F32([]int{2, 2}, 0, 3, 4, 7), count(2, 2, 2)),
		eq("...->...", m, m),
		eq("->", F32([]int{}, 3), F32([]int{}, 3)),
		eq("ij,j->i", F32([]int{2}, 321, 654), m, v),
		eq(" i j , j ", F32([]int{2}, 321, 654), m, v),
		eq("i,i", F32([]int{}, 321), F32([]int{3}, 1, 2, 3), v),
		eq("i,j->ij", F32([]int{2, 3}, 1, 10, 100, 2, 20, 200), F32([]int{2}, 1, 2), v),
		eq("i,j->ji", F32([]int{3, 2}, 1, 2, 10, 20, 100, 200), F32([]int{2}, 1, 2), v),
		eq("bij,bjk->bik", ab, a, b),
		eq("ij,jk", F32([]int{1, 1}, 321), F32([]int{1, 3}, 1, 2, 3), F32([]int{3, 1}, 1, 10, 100)),
		eq("...ij,...jk->...ik", ab, a, b),
		eq("...ij,jk->...ik", naiveMatMul(a, ramp(1, 7, 4)), a, ramp(7, 4)),
		eq("bji,bjk->bik", ab, permute(a, 0, 2, 1), b),
		eq("bij,bkj->kbi", permute(ab, 2, 0, 1), a, permute(b, 0, 2, 1)),
		eq("jbi,kjb->ibk", permute(ab, 1, 0, 2), permute(a, 2, 0, 1), permute(b, 2, 1, 0)),
		eq("bij,bjk->ik", F32([]int{1, 1}, 1*1+2*2), F32([]int{2, 1, 1}, 1, 2), F32([]int{2, 1, 1}, 1, 2)),
		eq("ij,jk,kl->il", F32([]int{1, 1}, 321*2), F32([]int{1, 3}, 1, 2, 3), F32([]int{3, 1}, 1, 10, 100), F32([]int{1, 1}, 2)),
		eq("i,i,i->i", F32([]int{2}, 1, 8), F32([]int{2}, 1, 2), F32([]int{2}, 1, 2), F32([]int{2}, 1, 2)),
		eq("i,i->i", F32([]int{3}, 2, 20, 200), F32([]int{1}, 2), v),
		eq("ij,ij->ij", F32([]int{2, 3}, 1, 20, 300, 4, 50, 600), m, F32([]int{1, 3}, 1, 10, 100)),
		eq("ik,j->i", F32([]int{2}, 6*111, 15*111), m, v),
		eq("aB,Bc->ca", F32([]int{1, 2}, 321, 654), m, F32([]int{3, 1}, 1, 10, 100)),
		eq("ij,j->i", I64([]int{1}, 11), I64([]int{1, 2}, 1, 2), I64([]int{2}, 3, 4)),
		eq("ij->i", F64([]int{1}, 3), F64([]int{1, 2}, 1, 2)),
		eq("i,i->", Of([]int{}, uint8(20)), Of([]int{2}, uint8(2), uint8(3)), Of([]int{2}, uint8(4), uint8(4))),
		eq("ij,jk->ik", F32([]int{1, 2}, 0, 0), F32([]int{1, 0}), F32([]int{0, 2})),
		eq("ij->ji", F32([]int{3, 0}), F32([]int{0, 3})),
		bad("ij,jk->ik", "against", m, m),
		bad("ij->ik", "in no input", m),
		bad("ij->ii", "twice", m),
		bad("ijk->i", "rank 2, want 3", m),
		bad("ij,jk->ik", "1 inputs, want 2", m),
		bad("i$j", "want letters", m),
		bad("ijk...->i", "want at least 3", m),
	})
}

func TestEinsumGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Einsum", Attrs: onnx.NewAttrs("equation", "bij,bjk->bik"), In: Vals(Normal(1, 2, 3, 4), Normal(2, 2, 4, 2))},
		{Op: "Einsum", Attrs: onnx.NewAttrs("equation", "ij,jk"), In: Vals(Normal(1, 3, 4), Normal(2, 4, 2))},
		{Op: "Einsum", Attrs: onnx.NewAttrs("equation", "...ij,jk->...ik"), In: Vals(Normal(1, 2, 3, 4), Normal(2, 4, 2))},
		{Op: "Einsum", Attrs: onnx.NewAttrs("equation", "...i,...i->..."), In: Vals(Normal(1, 2, 3), Normal(2, 3))},
		{Op: "Einsum", Attrs: onnx.NewAttrs("equation", "ij->i"), In: Vals(Normal(1, 2, 3))},
		{Op: "Einsum", Attrs: onnx.NewAttrs("equation", "ii->i"), In: Vals(Normal(1, 3, 3))},
		{Op: "Einsum", Attrs: onnx.NewAttrs("equation", "iji->j"), In: Vals(Normal(1, 3, 2, 3))},
		{Op: "Einsum", Attrs: onnx.NewAttrs("equation", "i,j,ik->jk"), In: Vals(Normal(1, 2), Normal(2, 3), Normal(3, 2, 2))},
		{Op: "Einsum", Attrs: onnx.NewAttrs("equation", "ij,ij->j"), In: Vals(Normal(1, 1, 3), Normal(2, 4, 3))},
	})
}
