package main

import (
	"math"
	"strings"

	"github.com/gneiss-run/gneiss/onnx"
)

// flops returns the floating-point operations of one node, by the inferred
// shapes; see flopsOf.
func flops(n *onnx.Node) (count int64, known bool) {
	static := func(vs []*onnx.Value) [][]int {
		shapes := make([][]int, len(vs))
		for i, v := range vs {
			if v == nil {
				continue
			}
			if s, ok := v.Type.Static(); ok {
				shapes[i] = append([]int{}, s...)
			}
		}
		return shapes
	}
	return flopsOf(n.Op, static(n.In), static(n.Out))
}

// flopsOf returns the floating-point operations of an operator, two for a
// multiply-add, by the shapes of its inputs and outputs; a nil shape is not
// known. It is 0 for operators whose work is not arithmetic. known is false if
// a shape that matters is not known.
func flopsOf(op string, ins, outs [][]int) (count int64, known bool) {
	in := func(i int) ([]int, bool) {
		if i >= len(ins) {
			return nil, false
		}
		return ins[i], ins[i] != nil
	}
	out, ok := []int(nil), false
	if len(outs) > 0 {
		out, ok = outs[0], outs[0] != nil
	}
	op = op[strings.LastIndexByte(op, '.')+1:]
	switch op {
	case "Conv", "ConvInteger", "FusedConv", "QLinearConv":
		at := 1
		if op == "QLinearConv" {
			at = 3
		}
		w, wok := in(at)
		if !ok || !wok || len(w) < 2 {
			return 0, false
		}
		return product(2, product(1, out...), product(1, w[1:]...)), true
	case "ConvTranspose":
		x, xok := in(0)
		w, wok := in(1)
		if !xok || !wok || len(w) < 2 {
			return 0, false
		}
		return product(2, product(1, x...), product(1, w[1:]...)), true
	case "MatMul", "MatMulInteger", "FusedMatMul", "QLinearMatMul", "MatMulNBits", "MatMulIntegerToFloat", "DynamicQuantizeMatMul":
		a, aok := in(0)
		if !ok || !aok || len(a) == 0 {
			return 0, false
		}
		return product(2, product(1, out...), int64(a[len(a)-1])), true
	case "Gemm", "FusedGemm", "QGemm": // A may be transposed: it has m*k elements either way
		a, aok := in(0)
		if !ok || !aok || len(a) != 2 || len(out) != 2 {
			return 0, false
		}
		if out[0] == 0 {
			return 0, true
		}
		return product(2, product(1, a...), int64(out[1])), true
	case "Attention", "MultiHeadAttention", "GroupQueryAttention": // Q·Kᵀ and the product with V
		q, qok := in(0)
		k, kok := in(1)
		if !qok || !kok || len(q) < 3 || len(k) < 3 {
			return 0, false
		}
		return product(4, product(1, q...), int64(k[len(k)-2])), true
	case "LSTM", "GRU", "RNN":
		x, xok := in(0)
		w, wok := in(1)
		r, rok := in(2)
		if !xok || !wok || !rok || len(x) != 3 {
			return 0, false
		}
		return product(2, int64(x[0]), int64(x[1]), product(1, w...)+product(1, r...)), true
	case "Add", "Sub", "Mul", "Div", "Relu", "Sigmoid", "Tanh", "Erf", "Gelu", "Exp", "Log", "Sqrt", "Pow", "Clip", "LeakyRelu",
		"HardSwish", "HardSigmoid", "Softmax", "LogSoftmax", "LayerNormalization", "BatchNormalization", "InstanceNormalization",
		"GroupNormalization", "RMSNormalization", "Neg", "Abs", "Max", "Min", "Sum", "Mean":
		if !ok {
			return 0, false
		}
		return product(1, out...), true
	case "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceProd", "GlobalAveragePool", "AveragePool", "MaxPool":
		x, xok := in(0)
		if !xok {
			return 0, false
		}
		return product(1, x...), true
	}
	return 0, true
}

// product multiplies, and stays at the largest int64 instead of overflowing.
func product[T int | int64](first int64, rest ...T) int64 {
	n := first
	for _, r := range rest {
		x := int64(r)
		if x != 0 && n > math.MaxInt64/x {
			return math.MaxInt64
		}
		n *= x
	}
	return n
}

// add adds, and stays at the largest int64 instead of overflowing.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
