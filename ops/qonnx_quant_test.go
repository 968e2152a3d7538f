package ops_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// expandedQONNX computes an operator of QONNX from what it stands for, at an opset of the
// standard and of the domain, with all inputs but the first constant, unless computed. It
// returns the names of the operators, too.
func expandedQONNX(op string, standard, opset int, as onnx.Attrs, computed bool, in ...*tensor.Tensor) (*tensor.Tensor, string, error) {
	const domain = "qonnx.custom_op.general"
	g := onnx.NewGraph("g", map[string]int{"": standard, domain: opset})
	values := map[*onnx.Value]tensor.Value{}
	args := make([]*onnx.Value, len(in))
	for i, x := range in {
		if i > 0 && !computed {
			args[i] = g.NewConst("", x)
			continue
		}
		args[i] = g.AddInput(fmt.Sprint("x", i), onnx.TypeOf(x))
		values[args[i]] = x
	}
	n := g.NewNodeIn(domain, op, as, args, 1)
	g.Insert(nil, n)
	nodes, results, err := ops.Expand(n, nil)
	if err != nil {
		return nil, "", err
	}
	var names []string
	for _, n := range nodes {
		var call []tensor.Value
		for _, v := range n.In {
			if v.Const != nil {
				call = append(call, v.Const)
			} else {
				call = append(call, values[v])
			}
		}
		y, err := ops.Eval(par.P{Threads: 1}, n, call, ops.BuildEnv{})
		if err != nil {
			return nil, "", err
		}
		values[n.Out[0]] = y[0]
		names = append(names, n.Op)
	}
	return values[results[0]].(*tensor.Tensor), strings.Join(names, " "), nil
}

// rounded rounds as QONNX's modes say.
func rounded(mode string, x float64) float64 {
	switch mode {
	case "CEIL":
		return math.Ceil(x)
	case "FLOOR":
		return math.Floor(x)
	case "UP":
		return math.Copysign(math.Ceil(math.Abs(x)), x)
	case "DOWN":
		return math.Trunc(x)
	case "HALF_UP":
		return math.Copysign(math.Floor(math.Abs(x)+0.5), x)
	case "HALF_DOWN":
		return math.Copysign(math.Ceil(math.Abs(x)-0.5), x)
	}
	return math.RoundToEven(x)
}

var roundingModes = []string{"ROUND", "HALF_EVEN", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN"}

// rangeOf is the range of integers of so many bits.
func rangeOf(bits int, signed, narrow bool) (lo, hi float64) {
	switch {
	case signed && narrow:
		return -float64(int(1)<<(bits-1)) + 1, float64(int(1)<<(bits-1)) - 1
	case signed:
		return -float64(int(1) << (bits - 1)), float64(int(1)<<(bits-1)) - 1
	case narrow:
		return 0, float64(int(1)<<bits) - 2
	}
	return 0, float64(int(1)<<bits) - 1
}

func number(x float64) *tensor.Tensor { return tensor.Scalar(float32(x)) }

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Values are on a grid of a quarter of the scale, which is a power of two, so that there are
// halves everywhere and nothing is rounded but what the operator rounds.
func TestQuantOfQONNX(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pairs := 0
	for range 600 {
		bits, signed, narrow := 1+r.IntN(10), r.IntN(2) == 0, r.IntN(2) == 0
		mode := roundingModes[r.IntN(len(roundingModes))]
		channels, per := 3, r.IntN(2) == 0
		zero := 0.0
		if r.IntN(2) == 0 {
			zero = float64(r.IntN(5))
		}
		scales := tensor.New(tensor.Float32)
		if per {
			scales = tensor.New(tensor.Float32, channels, 1)
		}
		s := tensor.Data[float32](scales)
		for i := range s {
			s[i] = float32(math.Exp2(float64(r.IntN(5) - 3)))
		}
		x, want := tensor.New(tensor.Float32, 2, channels, 8), tensor.New(tensor.Float32, 2, channels, 8)
		lo, hi := rangeOf(bits, signed, narrow)
		for i := range x.Len() {
			k := float64(s[0])
			if per {
				k = float64(s[i/8%channels])
			}
			v := (math.Floor(r.Float64()*(hi-lo+6)*4)/4 + lo - 3 - zero) * k
			tensor.Data[float32](x)[i] = float32(v)
			q := min(max(v/k+zero, lo), hi)
			if bits == 1 && signed {
				q = 1
				if v/k+zero < 0 {
					q = -1
				}
			} else {
				q = rounded(mode, q)
			}
			tensor.Data[float32](want)[i] = float32((q - zero) * k)
		}
		op := []string{"Quant", "IntQuant"}[r.IntN(2)]
		as := onnx.NewAttrs("signed", flag(signed), "narrow", flag(narrow), "rounding_mode", mode)
		if r.IntN(2) == 0 {
			as = onnx.NewAttrs("signed", flag(signed), "narrow", flag(narrow), "rounding_mode", strings.ToLower(mode))
		}
		got, names, err := expandedQONNX(op, []int{9, 11, 13, 21}[r.IntN(4)], 1+r.IntN(2), as, false, x, scales, number(zero), number(float64(bits)))
		require.NoError(t, err)
		require.Nil(t, tensor.Compare(got, want, tensor.Tolerance{}), "%d bits, signed %t, narrow %t, %s, zero %v: %s", bits, signed, narrow, mode, zero, names)
		pair := strings.HasSuffix(names, "DequantizeLinear")
		if pair {
			pairs++
		}
		even := mode == "ROUND" || mode == "HALF_EVEN"
		require.Equal(t, even && bits <= 8 && (bits > 1 || !signed) && int(zero)%2 == 0 && zero <= 127, pair, "%d bits, %s, zero %v: %s", bits, mode, zero, names)
	}
	require.Greater(t, pairs, 30)
}

func TestQuantOfQONNXRefuses(t *testing.T) {
	x, one := F32([]int{2}, 1, 2), number(1)
	_, _, err := expandedQONNX("Quant", 21, 1, onnx.NewAttrs("rounding_mode", "NEAREST"), false, x, one, number(0), number(8))
	require.ErrorIs(t, err, ops.ErrUnsupported)
	require.ErrorContains(t, err, "NEAREST")
	_, _, err = expandedQONNX("Quant", 21, 1, nil, true, x, one, number(0), number(8))
	require.ErrorIs(t, err, ops.ErrUnsupported)
	require.ErrorContains(t, err, "bitwidth is computed")
	for _, bits := range []float64{0, -3, 65, math.NaN(), math.Inf(1)} {
		_, _, err = expandedQONNX("Quant", 21, 1, nil, false, x, one, number(0), number(bits))
		require.ErrorContains(t, err, "want 1 to 64")
	}
	_, _, err = expandedQONNX("Quant", 21, 1, nil, false, I64([]int{2}, 1, 2), one, number(0), number(8))
	require.ErrorContains(t, err, "want floats")
	// Scales that no QuantizeLinear has, and such as add a dimension.
	for _, scale := range []*tensor.Tensor{F32([]int{2, 2}, 1, 2, 1, 2), F32([]int{1, 1, 1}, 1)} {
		y, names, err := expandedQONNX("Quant", 21, 1, nil, false, F32([]int{2, 2}, 1.25, 2.5, -3, 7), scale, number(0), number(8))
		require.NoError(t, err)
		require.Contains(t, names, "Div")
		require.Equal(t, max(2, scale.Rank()), y.Rank())
	}
}
