package ops_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestLinearAttentionGradient(t *testing.T) {
	var cases []GradCase
	for _, rule := range []string{"linear", "gated", "delta", "gated_delta"} {
		gated, delta := rule == "gated" || rule == "gated_delta", rule == "delta" || rule == "gated_delta"
		for bits := range 16 {
			if bits&8 != 0 && !gated && !delta {
				continue
			}
			hq, n := 2, 5
			if bits&1 != 0 {
				hq = 4
			}
			as := onnx.NewAttrs("update_rule", rule, "q_num_heads", hq, "kv_num_heads", 2)
			in := Vals(Normal(1, 2, n, hq*3), Between(2, -1, 1, 2, n, 6), Normal(3, 2, n, 4), nil, nil, nil)
			if bits&2 != 0 {
				in[3] = Normal(4, 2, 2, 3, 2)
			}
			if bits&4 != 0 {
				as = as.Set("scale", 0.7)
			}
			per := func(small, large int) int {
				if bits&8 != 0 {
					return large
				}
				return small
			}
			if gated {
				in[4] = Between(5, -1, 0.2, 2, n, per(2, 6))
			}
			if delta {
				in[5] = Between(6, 0.1, 1, 2, n, per(1, 2))
			}
			cases = append(cases, GradCase{Name: fmt.Sprint(rule, " ", bits), Op: "LinearAttention", In: in, Attrs: as, Outs: 2})
		}
	}
	all := func(n int) []tensor.Value {
		return Vals(Normal(1, 1, n, 6), Between(2, -1, 1, 1, n, 6), Normal(3, 1, n, 4), Normal(4, 1, 2, 3, 2), Between(5, -1, 0.2, 1, n, 2), Between(6, 0.1, 1, 1, n, 2))
	}
	as := onnx.NewAttrs("q_num_heads", 2, "kv_num_heads", 2)
	Gradients(t, append(cases,
		GradCase{Name: "the output alone", Op: "LinearAttention", In: all(3), Attrs: as, Outs: 2, Silent: []int{1}},
		GradCase{Name: "present_state alone", Op: "LinearAttention", In: all(3), Attrs: as, Outs: 2, Silent: []int{0}, Flat: []int{0}},
		GradCase{Name: "one token", Op: "LinearAttention", In: all(1), Attrs: as, Outs: 2},
		GradCase{Name: "no token", Op: "LinearAttention", In: all(0), Attrs: as, Outs: 2},
		// States between kept ones are made again, of the last stretch not all.
		GradCase{Name: "many tokens", Op: "LinearAttention", In: all(18), Attrs: as, Outs: 2},
	))
}

func TestLinearAttentionGradErrors(t *testing.T) {
	X := waveT(1, 1, 2, 4)
	as := onnx.NewAttrs("q_num_heads", 2, "kv_num_heads", 2, "update_rule", "linear")
	run := func(threads, outs int, as onnx.Attrs, in ...tensor.Value) ([]tensor.Value, error) {
		g := onnx.NewGraph("g", map[string]int{"": Latest, ops.Private: 1})
		vs := make([]*onnx.Value, len(in))
		for i, v := range in {
			if v != nil {
				vs[i] = g.AddInput(fmt.Sprint("in", i), onnx.TypeOf(v))
			}
		}
		return ops.Eval(par.P{Threads: threads}, g.NewNodeIn(ops.Private, "LinearAttentionGrad", as, vs, outs), in, ops.BuildEnv{})
	}
	_, err := run(1, 3, as, X, X, X, nil, nil, nil, waveT(1, 1, 2, 5))
	require.ErrorContains(t, err, "dL/doutput has shape [1 2 5], want [1 2 4]")
	_, err = run(1, 3, as, X, X, X, nil, nil, nil, X, X)
	require.ErrorContains(t, err, "dL/dpresent_state has shape [1 2 4], want [1 2 2 2]")
	_, err = run(1, 4, as, X, X, X, nil, nil, nil, X)
	require.ErrorContains(t, err, "the gradient of input 3 is asked for, which is absent")
	_, err = run(1, 3, as.Set("update_rule", "none"), X, X, X, nil, nil, nil, X)
	require.ErrorContains(t, err, "want linear, gated, delta or gated_delta")

	as = onnx.NewAttrs("q_num_heads", 6, "kv_num_heads", 3)
	in := Vals(waveT(1, 2, 40, 48), waveT(2, 2, 40, 24), waveT(3, 2, 40, 15), waveT(4, 2, 3, 8, 5), waveT(5, 2, 40, 3), waveT(6, 2, 40, 1), waveT(7, 2, 40, 30), waveT(8, 2, 3, 8, 5))
	one, err := run(1, 6, as, in...)
	require.NoError(t, err)
	more, err := run(3, 6, as, in...)
	require.NoError(t, err)
	for i := range one {
		require.Equal(t, one[i].(*tensor.Tensor).Bytes(), more[i].(*tensor.Tensor).Bytes(), "results depend on threads")
	}
}
