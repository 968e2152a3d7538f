package train

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/tensor"
)

// ReplaceHead gives an output of m (a name, "" for the first) another number of
// classes: the weight and bias of the last Gemm, or MatMul and Add, on the way to it are drawn
// anew by seed, uniform in ±1/sqrt(in). Operators between it and the output must
// work element by element or along the classes, as Softmax does.
func ReplaceHead(m *onnx.Model, output string, classes int, seed uint64) error {
	if classes < 1 {
		return fmt.Errorf("train: a head with %d classes, want at least 1", classes)
	}
	out, err := outputOf(m, output)
	if err != nil {
		return err
	}
	fail := func(format string, args ...any) error {
		return fmt.Errorf("train: head of output %q: %w", out.Name, fmt.Errorf(format, args...))
	}
	v := out
	var bias *onnx.Value
	for range 16 {
		n := v.From
		if n == nil {
			return fail("there is no Gemm or MatMul on the way to it")
		}
		switch n.Op {
		case "Gemm", "MatMul":
			w := n.In[1]
			if w.Const == nil || w.Const.Rank() != 2 || w.Const.DType() != tensor.Float32 {
				return fail("the weight of %v is %v, want a float32 matrix", n, describe(w))
			}
			transposed, err := onnx.Attribute(n, "transB", int64(0))
			if err != nil {
				return fail("%v: %w", n, err)
			}
			in, axis := w.Const.Dim(0), 1
			if transposed != 0 && n.Op == "Gemm" {
				in, axis = w.Const.Dim(1), 0
			}
			if n.Op == "Gemm" && len(n.In) > 2 {
				bias = n.In[2]
			}
			old := w.Const.Dim(axis)
			if w.Uses() > 1 || bias != nil && bias.Uses() > 1 {
				return fail("%q is read by other nodes too", w.Name)
			}
			shape := []int{in, classes}
			if axis == 0 {
				shape = []int{classes, in}
			}
			r := rand.New(rand.NewPCG(seed, 0x4ead))
			renew(r, w, in, shape...)
			if bias != nil {
				if bias.Const == nil || bias.Const.Len() != old && bias.Const.Len() != 1 {
					return fail("its bias is %v, want %d numbers", describe(bias), old)
				}
				renew(r, bias, in, classes)
			}
			return retype(m)
		case "Add":
			i := 0
			if n.In[0].Const != nil {
				i = 1
			}
			if n.In[1-i].Const == nil || n.In[1-i].Const.DType() != tensor.Float32 {
				return fail("%v adds two results: the last product is not the head", n)
			}
			bias, v = n.In[1-i], n.In[i]
		case "Softmax", "LogSoftmax", "Sigmoid", "Identity", "Dropout", "Relu", "Tanh":
			v = n.In[0]
		default:
			return fail("%v is on the way to it, want a Gemm or MatMul", n)
		}
	}
	return fail("there is no Gemm or MatMul near it")
}

func outputOf(m *onnx.Model, name string) (*onnx.Value, error) {
	for _, v := range m.Graph.Outputs {
		if name == "" || v.Name == name {
			return v, nil
		}
	}
	var have []string
	for _, v := range m.Graph.Outputs {
		have = append(have, v.Name)
	}
	return nil, fmt.Errorf("train: there is no output %q: the model has %s", name, few(have))
}

func renew(r *rand.Rand, v *onnx.Value, in int, shape ...int) {
	x := tensor.New(tensor.Float32, shape...)
	a := float32(1 / math.Sqrt(float64(max(in, 1))))
	data := tensor.Data[float32](x)
	for i := range data {
		data[i] = (2*r.Float32() - 1) * a
	}
	v.Const, v.Type = x, onnx.TypeOf(x)
}

// retype infers the types of m anew: those that it declares may be wrong now.
func retype(m *onnx.Model) error {
	for _, v := range m.Graph.Outputs {
		v.Type = onnx.UnrankedType(v.Type.DType)
	}
	for _, n := range m.Graph.Nodes {
		for _, v := range n.Out {
			if v != nil && v.Type.Kind == onnx.TensorKind {
				v.Type = onnx.UnrankedType(v.Type.DType)
			}
		}
	}
	m.Graph.Infos = nil
	if err := optimize.Infer(m, optimize.InferOptions{}); err != nil {
		return fmt.Errorf("train: with the new head: %w", err)
	}
	return nil
}
