package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// MoEGroupRouter (com.microsoft): which experts a token goes to. Of s = sigmoid(logits), the topk_group groups with
// the largest sums of their group_topk best s + expert_bias compete, and of their experts the best top_k are chosen;
// the first of equal ones. router_probs is log(max(s, 1e-20)) for these, router_sentinel for the others.
//
//	logits: T[…, e]    expert_bias: float32[e]    router_probs: T[tokens, e]
//	or instead of router_probs, with one group: selection_scores, router_weights: float32[tokens, e], s + expert_bias and s,
//	where logits may be T[tokens, w] to be multiplied by projection_weight, T[e, w]
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MoEGroupRouter
func init() {
	register(&Op{Domain: "com.microsoft", Name: "MoEGroupRouter", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: Arity{2, 3}, Out: Arity{0, 3}, Infer: inferMoEGroupRouter, Build: buildMoEGroupRouter},
	}})
}

func inferMoEGroupRouter(c *InferContext) error {
	x, bias := c.In(0), c.In(1)
	tokens, experts := onnx.Dim{}, onnx.Dim{}
	if bias.Ranked && len(bias.Dims) == 1 {
		experts = bias.Dims[0]
	}
	if x.Ranked && len(x.Dims) == 2 {
		tokens = x.Dims[0]
	}
	for i, d := range [...]tensor.DType{x.DType, tensor.Float32, tensor.Float32} {
		if i < len(c.Out) {
			c.Out[i] = onnx.TensorType(d, tokens, experts)
		}
	}
	return nil
}

// groupRouter are the attributes of MoEGroupRouter.
type groupRouter struct {
	groups, kept, perGroup, chosen int
	sentinel                       float32
}

func buildMoEGroupRouter(b *BuildContext) (Kernel, error) {
	g := groupRouter{
		groups: b.Int("n_group", 1), kept: b.Int("topk_group", 1), perGroup: b.Int("group_topk", 2), chosen: b.Int("top_k", 0),
		sentinel: b.Float("router_sentinel", -1e4),
	}
	full := b.Wants(1) || b.Wants(2)
	switch {
	case g.groups < 1 || g.kept < 1 || g.kept > g.groups || g.perGroup < 1 || g.chosen < 1:
		return nil, fmt.Errorf("attributes n_group, topk_group, group_topk and top_k are %d, %d, %d and %d, want at least 1 and no more groups than there are", g.groups, g.kept, g.perGroup, g.chosen)
	case full && (b.Wants(0) || g.groups > 1):
		return nil, fmt.Errorf("selection_scores and router_weights are wanted with router_probs, or with n_group %d", g.groups)
	case b.Has(2) && !full:
		return nil, fmt.Errorf("projection_weight goes with selection_scores and router_weights")
	}
	return b.dispatch(0, byType{tensor.Float32: g.run, tensor.Float16: g.run, tensor.BFloat16: g.run})
}

func (g groupRouter) run(c *Call) error {
	x, err := reals[float32](c, 0)
	if err != nil {
		return err
	}
	bias, err := reals[float32](c, 1)
	if err != nil {
		return err
	}
	t, e := c.T(0), len(bias)
	if e == 0 || t.Rank() == 0 || !c.Has(2) && t.Dim(t.Rank()-1) != e || e%g.groups != 0 || g.chosen > e/g.groups*g.kept {
		return fmt.Errorf("logits has shape %v and expert_bias %v, for the best %d in %d of %d groups", t.Shape(), c.T(1).Shape(), g.chosen, g.kept, g.groups)
	}
	if c.Has(2) {
		if x, err = project(c, x, e); err != nil {
			return err
		}
	}
	s := Scratch[float32](c, len(x))
	for i, v := range x {
		s[i] = float32(1 / (1 + math.Exp(-float64(v))))
	}
	if c.Wants(1) || c.Wants(2) {
		scores := tensor.Data[float32](c.Output(1, tensor.Float32, len(s)/e, e))
		for i, v := range s {
			scores[i] = v + bias[i%e]
		}
		if c.Wants(2) {
			copy(tensor.Data[float32](c.Output(2, tensor.Float32, len(s)/e, e)), s)
		}
		return nil
	}
	y, done := realsOut[float32](c, 0, t.DType(), len(s)/e, e)
	w := routerWork{score: make([]float32, e), order: make([]int, e), sums: make([]float32, g.groups)}
	for at := 0; at < len(s); at += e {
		g.route(y[at:][:e], s[at:][:e], bias, &w)
	}
	done()
	return nil
}

// project returns the products of rows of x with each of e rows of input 2.
func project(c *Call, x []float32, e int) ([]float32, error) {
	w, err := reals[float32](c, 2)
	if err != nil {
		return nil, err
	}
	t := c.T(0)
	if t.Rank() != 2 || !slices.Equal(c.T(2).Shape(), []int{e, t.Dim(1)}) {
		return nil, fmt.Errorf("logits has shape %v and projection_weight %v, want [tokens w] and [%d w]", t.Shape(), c.T(2).Shape(), e)
	}
	n := t.Dim(1)
	y := Scratch[float32](c, t.Dim(0)*e)
	par.Run(c.P, len(y), 1+moveGrain/(1+n), par.With(projections{y, x, w, e, n}))
	return y, nil
}

// projections are products of rows of x and e rows of w, of n elements.
type projections struct {
	y, x, w []float32
	e, n    int
}

func (a *projections) Chunk(lo, hi int) {
	e, n := a.e, a.n
	for i := lo; i < hi; i++ {
		sum := float32(0)
		row := a.w[i%e*n:][:n]
		for j, v := range a.x[i/e*n:][:n] {
			sum += v * row[j]
		}
		a.y[i] = sum
	}
}

type routerWork struct {
	score, sums []float32
	order       []int
}

// route chooses the experts of one token.
func (g groupRouter) route(y, s, bias []float32, w *routerWork) {
	size := len(s) / g.groups
	for i, v := range s {
		w.score[i] = v + bias[i]
	}
	best := func(list []int, by []float32, n int) []int { // the first n of list, the largest first
		slices.SortStableFunc(list, func(a, b int) int {
			switch {
			case by[a] > by[b]:
				return -1
			case by[a] < by[b]:
				return 1
			}
			return 0
		})
		return list[:min(n, len(list))]
	}
	numbers := func(from, to int) []int {
		l := w.order[:0]
		for i := from; i < to; i++ {
			l = append(l, i)
		}
		return l
	}
	for k := range w.sums {
		w.sums[k] = 0
		for _, i := range best(numbers(k*size, (k+1)*size), w.score, g.perGroup) {
			w.sums[k] += w.score[i]
		}
	}
	kept := slices.Clone(best(numbers(0, g.groups), w.sums, g.kept))
	slices.Sort(kept)
	l := w.order[:0]
	for _, k := range kept {
		for i := k * size; i < (k+1)*size; i++ {
			l = append(l, i)
		}
	}
	for i := range y {
		y[i] = g.sentinel
	}
	for _, i := range best(l, w.score, g.chosen) {
		y[i] = float32(math.Log(max(float64(s[i]), 1e-20)))
	}
}
