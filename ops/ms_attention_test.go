package ops_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// expanded evaluates what an operator of com.microsoft without a kernel stands
// for. The model is of an opset in which Split has no input.
func expanded(t *testing.T, op string, as onnx.Attrs, in []tensor.Value, outs int) ([]tensor.Value, error) {
	t.Helper()
	g := onnx.NewGraph("g", map[string]int{"": 11, "com.microsoft": 1})
	values := map[*onnx.Value]tensor.Value{}
	args := make([]*onnx.Value, len(in))
	for i, v := range in {
		if v != nil {
			x := v.(*tensor.Tensor)
			args[i] = g.AddInput(string(rune('a'+i)), onnx.TypeOf(x))
			values[args[i]] = x
		}
	}
	n := g.NewNodeIn("com.microsoft", op, as, args, outs)
	g.Insert(nil, n)
	nodes, results, err := ops.Expand(n, nil)
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		var call []tensor.Value
		for _, v := range n.In {
			switch {
			case v == nil:
				call = append(call, nil)
			case v.Const != nil:
				call = append(call, v.Const)
			default:
				call = append(call, values[v])
			}
		}
		y, err := ops.Eval(par.P{Threads: 1}, n, call, ops.BuildEnv{})
		if err != nil {
			return nil, err
		}
		for i, v := range n.Out {
			values[v] = y[i]
		}
	}
	var out []tensor.Value
	for _, v := range results {
		out = append(out, values[v])
	}
	return out, nil
}

// projected returns x [rows, n] · w [n, cols] + bias, columns [from, from+size).
func projected(x, w, bias []float32, n, from, size int) []float32 {
	cols, rows := len(w)/n, len(x)/n
	y := make([]float32, rows*size)
	for i := range y {
		col := from + i%size
		s := float64(bias[col])
		for k := range n {
			s += float64(x[i/size*n+k]) * float64(w[k*cols+col])
		}
		y[i] = float32(s)
	}
	return y
}

func TestMicrosoftAttention(t *testing.T) {
	const b, l, n, h, d, dv, past = 2, 4, 6, 2, 4, 3, 2
	x, w, bias := wave(b*l*n, 1), wave(n*h*(2*d+dv), 2), wave(h*(2*d+dv), 3)
	part := func(from, size int) []float32 {
		return swapHeads(projected(x, w, bias, n, from*h, size*h), b, l, h, size)
	}
	in := Vals(F32([]int{b, l, n}, x...), F32([]int{n, h * (2*d + dv)}, w...), F32([]int{len(bias)}, bias...))
	heads := func(more ...any) onnx.Attrs {
		return onnx.NewAttrs(append([]any{"num_heads", h, "qkv_hidden_sizes", []int64{h * d, h * d, h * dv}}, more...)...)
	}
	check := func(as onnx.Attrs, in []tensor.Value, outs int, want ...*tensor.Tensor) {
		t.Helper()
		got, err := expanded(t, "Attention", as, in, outs)
		require.NoError(t, err)
		for i, v := range want {
			require.Nil(t, tensor.Compare(got[i], v, close5))
		}
	}
	a := naiveAttention{b: b, hq: h, hk: h, lq: l, lk: l, d: d, dv: dv, q: part(0, d), k: part(d, d), v: part(2*d, dv), scale: 1 / math.Sqrt(d)}
	out := func() *tensor.Tensor {
		y, _ := a.run()
		return F32([]int{b, l, h * dv}, swapHeads(y, b, h, l, dv)...)
	}
	check(heads(), in, 1, out())
	a.bias = func(b, _, _, j int) float64 {
		if j >= []int{4, 3}[b] || j < []int{1, 0}[b] {
			return -10000
		}
		return 0
	}
	check(heads(), append(in[:3:3], I32([]int{2 * b}, 4, 3, 1, 0)), 1, out())
	_, err := expanded(t, "Attention", heads("do_rotary", 1), in, 1)
	require.ErrorIs(t, err, ops.ErrUnsupported)
	_, err = expanded(t, "Attention", onnx.NewAttrs("num_heads", h, "qkv_hidden_sizes", []int64{1}), in, 1)
	require.ErrorContains(t, err, "want 3 sizes")

	// With a past, whose keys and values have one size.
	w, bias = w[:n*3*h*3], bias[:3*h*3]
	a = naiveAttention{b: b, hq: h, hk: h, lq: l, lk: past + l, d: 3, dv: 3, q: part(0, 3), scale: 0.3}
	pk, pv := wave(b*h*past*3, 4), wave(b*h*past*3, 5)
	a.k, a.v = joinLength(pk, part(3, 3), b*h, past, l, 3), joinLength(pv, part(6, 3), b*h, past, l, 3)
	a.bias = func(_, _, i, j int) float64 {
		if j > i+past {
			return math.Inf(-1)
		}
		return 0
	}
	in = Vals(in[0], F32([]int{n, 3 * h * 3}, w...), F32([]int{len(bias)}, bias...), nil, F32([]int{2, b, h, past, 3}, append(pk, pv...)...))
	present := F32([]int{2, b, h, past + l, 3}, append(append([]float32{}, a.k...), a.v...)...)
	check(onnx.NewAttrs("num_heads", h, "unidirectional", 1, "scale", 0.3), in, 2, out(), present)
}
