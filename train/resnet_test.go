package train

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/onnx/schema"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestGradientOfConvolutions(t *testing.T) {
	in := map[string]*tensor.Tensor{
		"x": optest.Normal(1, 2, 2, 7, 6), "w1": optest.Normal(2, 4, 2, 3, 3), "s": optest.Between(3, 0.5, 2, 4), "b": optest.Normal(4, 4),
		"w2": optest.Normal(5, 4, 4, 3, 3), "d": optest.Normal(6, 4), "w3": optest.Normal(7, 4, 4, 1, 1),
	}
	zero, one := tensor.New(tensor.Float64, 4), tensor.New(tensor.Float64, 4)
	for i := range 4 {
		tensor.Data[float64](one)[i] = 1
	}
	check(t, in, []string{"x", "w1", "s", "b", "w2", "d", "w3"}, func(b *ops.Builder, in []*onnx.Value) *onnx.Value {
		pads := onnx.NewAttrs("pads", []int{1, 1, 1, 1})
		h := b.Op("Conv", pads, in[0], in[1])
		h = b.Ops("", "BatchNormalization", onnx.NewAttrs("training_mode", 1), 1, h, in[2], in[3], b.Const(zero), b.Const(one))[0]
		h = b.Op("MaxPool", onnx.NewAttrs("kernel_shape", []int{3, 3}, "strides", []int{2, 2}, "pads", []int{1, 1, 1, 1}), b.Op("Relu", nil, h))
		y := b.Op("Add", nil, b.Op("Conv", onnx.NewAttrs("pads", []int{1, 1, 1, 1}), h, in[4], in[5]), b.Op("Conv", nil, h, in[6]))
		y = b.Op("GlobalAveragePool", nil, b.Op("Tanh", nil, y))
		return b.Op("ReduceMean", onnx.NewAttrs("keepdims", 0), b.Op("Mul", nil, y, y))
	})
}

// network is a model under construction whose parameters are inputs.
type network struct {
	*ops.Builder
	m      *onnx.Model
	values map[string]tensor.Value
	params []*onnx.Value
}

func newNetwork() *network {
	m := &onnx.Model{IRVersion: 10, Opsets: map[string]int{"": schema.Newest("")}}
	m.Graph = onnx.NewGraph("g", m.Opsets)
	return &network{Builder: ops.NewBuilder(m.Graph), m: m, values: map[string]tensor.Value{}}
}

// input adds a float32 input of random numbers of the given size.
func (n *network) input(name string, scale float64, shape ...int) *onnx.Value {
	x, r := tensor.New(tensor.Float32, shape...), optest.Normal(uint64(len(n.values)), shape...)
	for i, v := range tensor.Data[float64](r) {
		tensor.Data[float32](x)[i] = float32(scale * v)
	}
	n.values[name] = x
	return n.m.Graph.AddInput(name, onnx.TypeOf(x))
}

func (n *network) param(scale float64, shape ...int) *onnx.Value {
	v := n.input(fmt.Sprint("p", len(n.params)), scale, shape...)
	n.params = append(n.params, v)
	return v
}

// convBN is a convolution and a BatchNormalization for training.
func (n *network) convBN(x *onnx.Value, c, m, k, stride, pad int) *onnx.Value {
	as := onnx.NewAttrs("strides", []int{stride, stride}, "pads", []int{pad, pad, pad, pad})
	y := n.Op("Conv", as, x, n.param(0.05, m, c, k, k))
	stats := tensor.New(tensor.Float32, m)
	return n.Op("BatchNormalization", onnx.NewAttrs("training_mode", 1), y, n.param(1, m), n.param(0.1, m), n.Const(stats), n.Const(stats))
}

// resNet18 is the network of He et al., Deep Residual Learning for Image
// Recognition, 2015, table 1, with batch images of size×size.
func (n *network) resNet18(batch, size int) *onnx.Value {
	x := n.input("x", 1, batch, 3, size, size)
	x = n.Op("Relu", nil, n.convBN(x, 3, 64, 7, 2, 3))
	x = n.Op("MaxPool", onnx.NewAttrs("kernel_shape", []int{3, 3}, "strides", []int{2, 2}, "pads", []int{1, 1, 1, 1}), x)
	c := 64
	for _, m := range []int{64, 64, 128, 128, 256, 256, 512, 512} {
		stride, short := 1, x
		if m != c {
			stride = 2
			short = n.convBN(x, c, m, 1, 2, 0)
		}
		y := n.convBN(n.Op("Relu", nil, n.convBN(x, c, m, 3, stride, 1)), m, m, 3, 1, 1)
		x, c = n.Op("Relu", nil, n.Op("Add", nil, y, short)), m
	}
	x = n.Op("Reshape", nil, n.Op("GlobalAveragePool", nil, x), n.Ints(-1, c))
	x = n.Op("Add", nil, n.Op("MatMul", nil, x, n.param(0.05, c, 1000)), n.param(0.1, 1000))
	return n.Op("ReduceMean", onnx.NewAttrs("keepdims", 0), n.Op("Mul", nil, x, x))
}

// BenchmarkResNet18 is the loss and all gradients of a step of training, without
// the optimizer. With -v it lists where the time goes.
func BenchmarkResNet18(b *testing.B) {
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprint("threads ", threads), func(b *testing.B) {
			n := newNetwork()
			loss := n.resNet18(16, 64)
			require.NoError(b, n.Err())
			n.Insert(nil)
			n.m.Graph.Outputs = []*onnx.Value{loss}
			grads, err := Gradient(n.m, loss, nil, n.params)
			require.NoError(b, err)
			n.m.Graph.Outputs = append(n.m.Graph.Outputs, grads...)
			s, err := runtime.New(n.m, runtime.Options{Private: true, Threads: threads})
			require.NoError(b, err)
			defer s.Close()
			for b.Loop() {
				_, err := s.Run(context.Background(), n.values)
				require.NoError(b, err)
			}
			if testing.Verbose() {
				p, err := s.Profile(context.Background(), n.values)
				require.NoError(b, err)
				total := map[string]time.Duration{}
				for _, n := range p.Nodes {
					total[n.Op] += n.Time
				}
				for _, op := range slices.SortedFunc(maps.Keys(total), func(x, y string) int { return cmp.Compare(total[y], total[x]) }) {
					b.Log(op, total[op])
				}
			}
		})
	}
}
