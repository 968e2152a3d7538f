package train

import (
	"context"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// Operators give what PyTorch and torchvision give, and have the gradients that they have
// (train/pytorch/operators.py).
func TestPyTorchOperators(t *testing.T) {
	f, err := os.Open("testdata/operators.npz")
	require.NoError(t, err)
	defer f.Close()
	st, err := f.Stat()
	require.NoError(t, err)
	arrays, err := tensor.ReadNPZ(f, st.Size(), 1<<24)
	require.NoError(t, err)
	given := map[string]*tensor.Tensor{}
	for _, a := range arrays {
		given[a.Name] = a.Tensor
	}
	for _, c := range []struct {
		name, domain string
		in           int
		as           onnx.Attrs
	}{
		{"Col2Im", "", 3, onnx.NewAttrs("pads", []int{1, 1, 1, 1})},
		{"Det", "", 1, nil},
		{"DFT", "", 3, nil},
		{"DFT onesided", "", 3, onnx.NewAttrs("onesided", 1)},
		{"STFT", "", 3, nil},
		{"MaxRoiPool", "", 2, onnx.NewAttrs("pooled_shape", []int{2, 3}, "spatial_scale", 0.5)},
		{"RoiAlign", "", 3, onnx.NewAttrs("output_height", 2, "output_width", 3, "spatial_scale", 0.5, "sampling_ratio", 2)},
		{"MaxUnpool", "", 2, onnx.NewAttrs("kernel_shape", []int{2, 2}, "strides", []int{2, 2})},
		{"CausalConvWithState", "", 4, onnx.NewAttrs("activation", "silu")},
		{"DeformConv", "", 5, onnx.NewAttrs("group", 2, "offset_group", 2, "pads", []int{1, 0, 1, 0}, "strides", []int{2, 1}, "dilations", []int{1, 2})},
		{"SoftmaxCrossEntropyLoss", "", 3, onnx.NewAttrs("ignore_index", -1)},
		{"RotaryEmbedding", "", 4, onnx.NewAttrs("rotary_embedding_dim", 6)},
		{"Attention", "", 4, onnx.NewAttrs("softcap", 1.5, "qk_matmul_output_mode", 2)},
		{"FlexAttention", "ai.onnx.preview", 3, onnx.NewAttrs("scale", 0.5)},
	} {
		t.Run(c.name, func(t *testing.T) {
			op, _, _ := strings.Cut(c.name, " ")
			in, order := map[string]*tensor.Tensor{}, []string{}
			names := make([]string, c.in) // "" where the input is absent or constant
			for i := range c.in {
				key := c.name + "/in/" + string(rune('0'+i))
				if given[strings.Replace(key, "/in/", "/g/", 1)] != nil {
					names[i] = string(rune('a' + i))
					in[names[i]], order = given[key], append(order, names[i])
				}
			}
			var result *onnx.Value
			m, loss := graph(t, in, order, func(b *ops.Builder, x []*onnx.Value) *onnx.Value {
				b.G.Opsets["ai.onnx.preview"] = 1
				args := make([]*onnx.Value, c.in)
				for i, name := range names {
					if v := given[c.name+"/in/"+string(rune('0'+i))]; name != "" {
						args[i], x = x[0], x[1:]
					} else if v != nil {
						args[i] = b.Const(v)
					}
				}
				outs := map[string]int{"Attention": 4, "CausalConvWithState": 2}[op]
				y := slices.Clone(b.Ops(c.domain, op, c.as, max(1, outs), args...))
				if op == "Attention" { // the scores behind the result
					y[0] = b.Op("Concat", onnx.NewAttrs("axis", -1), y[0], y[3])
				}
				result = y[0]
				return b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), b.Op("Mul", nil, y[0], y[0]))
			})
			m.Graph.Outputs = []*onnx.Value{loss, result}
			grads, err := Gradient(m, loss, nil, m.Graph.Inputs)
			require.NoError(t, err)
			for i, d := range grads {
				require.NotNil(t, d, order[i])
				m.Graph.Outputs = append(m.Graph.Outputs, d)
			}
			s, err := runtime.New(m, runtime.Options{Private: true, Threads: 2})
			require.NoError(t, err)
			defer s.Close()
			vals := map[string]tensor.Value{}
			for k, v := range in {
				vals[k] = v
			}
			res, err := s.Run(context.Background(), vals)
			require.NoError(t, err)
			worst := 0.0
			compare := func(out int, key string) {
				got, want := res[s.Outputs()[out].Name].(*tensor.Tensor), given[c.name+key]
				require.True(t, slices.Equal(want.Shape(), got.Shape()), "%s has shape %v, want %v", key, got.Shape(), want.Shape())
				for k, v := range tensor.Data[float64](want) {
					worst = max(worst, math.Abs(tensor.Data[float64](got)[k]-v)/max(1, math.Abs(v)))
				}
			}
			compare(1, "/y")
			for i, name := range order {
				compare(2+i, "/g/"+string(name[0]-'a'+'0'))
			}
			t.Logf("%s: the result and the gradients of %d inputs differ by at most %.2g", c.name, len(order), worst)
			require.LessOrEqual(t, worst, 1e-9)
		})
	}
}
