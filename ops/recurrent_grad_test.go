package ops_test

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

var recurrentGates = map[string]int{"RNN": 1, "GRU": 3, "LSTM": 4}

// recurrentGrad makes a case of op over the optional inputs and attributes that bits choose.
func recurrentGrad(op string, bits int, direction string, n, h int, names ...string) GradCase {
	const s, i = 4, 3
	gates, d := recurrentGates[op], 1
	if direction == "bidirectional" {
		d = 2
	}
	as := onnx.NewAttrs("direction", direction, "hidden_size", h)
	c := GradCase{Name: fmt.Sprint(op, " ", direction, " ", bits, " ", names), Op: op, Outs: 2, In: make([]tensor.Value, 6)}
	x, state := []int{s, n, i}, []int{d, n, h}
	if bits&1 != 0 {
		as, x, state = as.Set("layout", 1), []int{n, s, i}, []int{n, d, h}
	}
	c.In[0], c.In[1], c.In[2] = Normal(1, x...), Between(2, -0.7, 0.7, d, gates*h, i), Between(3, -0.7, 0.7, d, gates*h, h)
	if bits&2 != 0 {
		c.In[3] = Normal(4, d, 2*gates*h)
	}
	if bits&4 != 0 {
		lens := make([]int32, n)
		for b := range lens {
			lens[b] = []int32{2, 4, 0, 1}[b%4]
		}
		c.In[4] = I32([]int{n}, lens...)
	}
	if bits&8 != 0 {
		c.In[5] = Normal(5, state...)
	}
	if op == "LSTM" {
		c.Outs, c.In = 3, append(c.In, nil, nil)
		if bits&8 != 0 {
			c.In[6] = Normal(6, state...)
		}
		if bits&16 != 0 {
			c.In[7] = Normal(7, d, 3*h)
		}
		if bits&32 != 0 {
			as = as.Set("input_forget", 1)
		}
	}
	if op == "GRU" && bits&16 != 0 {
		as = as.Set("linear_before_reset", 1)
	}
	if bits&128 != 0 { // some arguments are beyond, most are not
		as = as.Set("clip", 0.6)
	}
	if bits&64 != 0 {
		c.Silent = []int{0}
	}
	if len(names) > 0 {
		as = as.Set("activations", slices.Repeat(names, d)).Set("activation_alpha", []float64{0.3, 0.7, 0.4})
	}
	for len(c.In) > 0 && c.In[len(c.In)-1] == nil {
		c.In = c.In[:len(c.In)-1]
	}
	c.Attrs = as
	return c
}

func testRecurrentGrad(t *testing.T, op string) {
	var cases []GradCase
	for i, direction := range []string{"forward", "reverse", "bidirectional"} {
		for _, bits := range []int{0, 1, 2 + 16, 4 + 8, 2 + 4 + 8 + 16, 1 + 2 + 4 + 8 + 16, 8 + 16 + 32, 1 + 2 + 32, 2 + 8 + 64, 2 + 8 + 128, 2 + 4 + 8 + 16 + 128} {
			cases = append(cases, recurrentGrad(op, bits, direction, 3+2*i, 5-i))
		}
	}
	// Each function in a gate, with its neighbours.
	all := []string{"Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu", "Softsign", "Softplus", "Relu", "Sigmoid", "Tanh"}
	for i := range all {
		per := map[string]int{"RNN": 1, "GRU": 2, "LSTM": 3}[op]
		names := slices.Concat(all, all)[i : i+per]
		cases = append(cases, recurrentGrad(op, 2+8, "forward", 2, 3, names...), recurrentGrad(op, 2+8+128, "forward", 2, 3, names...))
	}
	Gradients(t, cases)
	t.Run("nothing to do", func(t *testing.T) {
		c := recurrentGrad(op, 2+8, "bidirectional", 2, 3)
		c.In[0] = tensor.New(tensor.Float64, 0, 2, 3)
		Gradients(t, []GradCase{c})
	})
}

// testRecurrentGradErrors runs the private operator itself on sizes that do not fit.
func testRecurrentGradErrors(t *testing.T, op string) {
	gates := recurrentGates[op]
	in := func() []tensor.Value {
		return Vals(waveT(1, 4, 3, 5), waveT(2, 1, gates*6, 5), waveT(3, 1, gates*6, 6), nil, nil, nil, nil, nil,
			waveT(4, 4, 1, 3, 6), waveT(5, 4, 1, 3, 6), waveT(6, 1, 3, 6), nil, waveT(7, 12, gates*6), waveT(8, 1, 12, 6))
	}
	for _, c := range []struct {
		i    int
		v    tensor.Value
		want string
	}{
		{8, waveT(1, 4, 1, 2, 6), "Y has shape [4 1 2 6], want [4 1 3 6]"},
		{9, waveT(1, 4, 3, 6), "dL/dY has shape [4 3 6], want [4 1 3 6]"},
		{10, waveT(1, 1, 6), "dL/dY_h has shape [1 6], want [1 3 6]"},
		{1, waveT(1, 1, gates*6, 4), "the last of size 4 as in W"},
		{2, waveT(1, 1, gates*5, 5), "want"},
		{4, I32([]int{3}, 1, 2, 5), "sequence_lens has 5, want 0 to 4"},
		{12, waveT(1, 11, gates*6), "gates is"},
		{13, nil, "cells is"},
	} {
		if c.i == 12 && op == "RNN" || c.i == 13 && op != "LSTM" {
			continue // not read
		}
		args := in()
		args[c.i] = c.v
		g := onnx.NewGraph("g", map[string]int{"": Latest, ops.Private: 1})
		vs := make([]*onnx.Value, len(args))
		for i, v := range args {
			if v != nil {
				vs[i] = g.AddInput(fmt.Sprint("in", i), onnx.TypeOf(v))
			}
		}
		n := g.NewNodeIn(ops.Private, op+"Grad", nil, vs, 3)
		_, err := ops.Eval(par.P{Threads: 1}, n, args, ops.BuildEnv{})
		require.ErrorContains(t, err, c.want)
	}
}

// testRecurrentTrain holds the outputs of the private operator against those of op.
func testRecurrentTrain(t *testing.T, op string) {
	var cases []Case
	for _, direction := range []string{"forward", "bidirectional"} {
		for _, bits := range []int{0, 31, 95} {
			c := recurrentCaseOf(op, bits, direction, 9, 17)
			c.Name, c.Op, c.Domain = c.Name+" with gates", op+"Train", ops.Private
			for len(c.Want) < 4 {
				c.Want = append(c.Want, nil)
			}
			cases = append(cases, c)
		}
	}
	Run(t, cases)
}

// TestRecurrentThreads has the same bits from any number of threads, among which sequences are shared out.
func TestRecurrentThreads(t *testing.T) {
	const s, in, h = 3, 7, 200
	for op, gates := range recurrentGates {
		for _, n := range []int{3, 9, 16, 17, 40} {
			args := Vals(waveT(1, s, n, in), waveT(2, 1, gates*h, in), waveT(3, 1, gates*h, h), nil, nil, nil)
			if op == "LSTM" {
				args = append(args, nil, waveT(9, 1, 3*h))
			}
			for _, grad := range []bool{false, true} {
				name, outs := op, 2
				if grad {
					name, outs = op+"Grad", 7
					args = append(slices.Grow(args, 8)[:8], waveT(4, s, 1, n, h), waveT(5, s, 1, n, h), waveT(6, 1, n, h), nil, waveT(7, s*n, gates*h), nil)
					if op == "LSTM" {
						args[13] = waveT(8, 1, s*n, h)
					}
				}
				g := onnx.NewGraph("g", map[string]int{"": Latest, ops.Private: 1})
				vs := make([]*onnx.Value, len(args))
				for i, v := range args {
					if v != nil {
						vs[i] = g.AddInput(fmt.Sprint("in", i), onnx.TypeOf(v))
					}
				}
				domain := ""
				if grad {
					domain = ops.Private
				}
				node := g.NewNodeIn(domain, name, onnx.NewAttrs("hidden_size", h), vs, outs)
				var want []tensor.Value
				for threads := 1; threads < 7; threads++ {
					got, err := ops.Eval(par.P{Threads: threads}, node, args, ops.BuildEnv{})
					require.NoError(t, err, name)
					if threads == 1 {
						want = got
					}
					require.Equal(t, want, got, "%s, %d sequences, %d threads", name, n, threads)
				}
			}
		}
	}
}

// TestRecurrentGradSingles holds the gradients of float32, which has routines of its own, against those of
// float64, which the differences are taken of.
func TestRecurrentGradSingles(t *testing.T) {
	const s, in = 5, 6
	for op, gates := range recurrentGates {
		for bits := range 16 {
			n, h := []int{3, 16, 35}[bits%3], []int{64, 32, 20, 256}[bits/3%4]
			as, d := onnx.NewAttrs("hidden_size", h), 1
			if bits&4 != 0 {
				as, d = as.Set("direction", "bidirectional"), 2
			}
			x, y, state := []int{s, n, in}, []int{s, d, n, h}, []int{d, n, h}
			if bits&1 != 0 {
				as, x, y, state = as.Set("layout", 1), []int{n, s, in}, []int{n, s, d, h}, []int{n, d, h}
			}
			if bits&8 != 0 {
				as = as.Set("clip", 2.5)
			}
			args := append(Vals(waveT(1, x...), waveT(2, d, gates*h, in), waveT(3, d, gates*h, h), waveT(4, d, 2*gates*h), nil, waveT(5, state...)), make([]tensor.Value, 8)...)
			if bits&2 != 0 {
				lens := make([]int32, n)
				for b := range lens {
					lens[b] = []int32{s, 2, 0, 4}[b%4]
				}
				args[4] = I32([]int{n}, lens...)
			}
			inputs := 6
			if op == "LSTM" {
				inputs, args[6] = 7, waveT(6, state...)
			}
			both := func(dtype tensor.DType) []tensor.Value {
				args := slices.Clone(args)
				forward, outs := op+"Train", map[string]int{"GRU": 4, "LSTM": 5}[op]
				if op == "RNN" {
					forward, outs = op, 2
				}
				made := evalAs(t, dtype, forward, as, args[:inputs], outs)
				args[8], args[9], args[10] = made[0], waveT(7, y...), waveT(8, state...)
				if op != "RNN" {
					args[12] = made[3]
				}
				if op == "LSTM" {
					args[11], args[13] = waveT(9, state...), made[4]
				}
				return append(made, evalAs(t, dtype, op+"Grad", as, args, 5+gates/4)...)
			}
			want, got := both(tensor.Float64), both(tensor.Float32)
			bound := 1e-10
			if strconv.IntSize == 32 { // plain Go rounds otherwise there
				bound = 4e-10
			}
			for i := range want {
				if want[i] == nil { // the second state, of LSTM alone
					continue
				}
				var diff, norm float64
				single := tensor.Data[float32](got[i].(*tensor.Tensor))
				for j, v := range tensor.Data[float64](want[i].(*tensor.Tensor)) {
					diff += (float64(single[j]) - v) * (float64(single[j]) - v)
					norm += v * v
				}
				if !(diff <= bound*norm) {
					t.Errorf("%s %d, %d sequences, %d units: result %d is %g of its norm off", op, bits, n, h, i, math.Sqrt(diff/norm))
				}
			}
		}
	}
}

// evalAs runs an operator of the default or the private domain with its real arguments as dtype.
func evalAs(t *testing.T, dtype tensor.DType, op string, as onnx.Attrs, args []tensor.Value, outs int) []tensor.Value {
	t.Helper()
	g := onnx.NewGraph("g", map[string]int{"": Latest, ops.Private: 1})
	in, vs := make([]tensor.Value, len(args)), make([]*onnx.Value, len(args))
	for i, v := range args {
		x, ok := v.(*tensor.Tensor)
		if !ok {
			continue
		}
		if x.DType() == tensor.Float32 && dtype == tensor.Float64 {
			wide := tensor.New(dtype, x.Shape()...)
			for j, v := range tensor.Data[float32](x) {
				tensor.Data[float64](wide)[j] = float64(v)
			}
			x = wide
		}
		in[i], vs[i] = x, g.AddInput(fmt.Sprint("in", i), onnx.TypeOf(x))
	}
	domain := ops.Private
	if op == "RNN" {
		domain = ""
	}
	out, err := ops.Eval(par.P{Threads: 2}, g.NewNodeIn(domain, op, as, vs, outs), in, ops.BuildEnv{})
	require.NoError(t, err, op)
	return out
}
