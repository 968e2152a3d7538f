package main

import (
	"math"

	"github.com/gneiss-run/gneiss/onnx"
)

// flops returns the floating-point operations of one node, two for a
// multiply-add, when the inferred shapes tell them; 0 for operators whose work
// is not arithmetic. known is false if a shape that matters is not known.
func flops(n *onnx.Node) (count int64, known bool) {
	in := func(i int) ([]int, bool) {
		if i >= len(n.In) || n.In[i] == nil {
			return nil, false
		}
		return n.In[i].Type.Static()
	}
	out, ok := []int(nil), false
	if len(n.Out) > 0 && n.Out[0] != nil {
		out, ok = n.Out[0].Type.Static()
	}
	switch n.Op {
	case "Conv", "ConvInteger", "FusedConv", "QLinearConv":
		at := 1
		if n.Op == "QLinearConv" {
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
	case "MatMul", "MatMulInteger", "FusedMatMul", "Gemm", "FusedGemm", "QLinearMatMul":
		a, aok := in(0)
		if !ok || !aok || len(a) == 0 {
			return 0, false
		}
		k := a[len(a)-1]
		if at := n.Attrs.Get("transA"); at != nil && at.Value == int64(1) {
			k = a[0]
		}
		return product(2, product(1, out...), int64(k)), true
	case "MatMulNBits":
		k, err := onnx.Attribute(n, "K", int64(0))
		if !ok || err != nil {
			return 0, false
		}
		return product(2, product(1, out...), k), true
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
