package quantize

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/internal/shared"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// forQuantising lists what static quantisation of m needs to know: inputs and
// outputs of the operators that it converts, those of a following activation for
// operators that one is fused to.
func forQuantising(m *onnx.Model) []string {
	ops := []string{"Conv", "MatMul", "Gemm", "Add", "GlobalAveragePool"}
	var names []string
	add := func(v *onnx.Value) {
		if v != nil && v.Const == nil && observable(v.Type) && !slices.Contains(names, v.Name) {
			names = append(names, v.Name)
		}
	}
	for _, n := range m.Graph.Nodes {
		if !slices.Contains(ops, n.Op) {
			continue
		}
		add(n.In[0])
		if n.Op == "Add" {
			add(n.In[1])
		}
		if u := n.Out[0].Users(); len(u) == 1 && (u[0].Op == "Relu" || u[0].Op == "Clip") {
			add(u[0].Out[0])
		} else {
			add(n.Out[0])
		}
	}
	return names
}

// BenchmarkCalibrate compares what a batch takes with and without observers.
func BenchmarkCalibrate(b *testing.B) {
	const name = "resnet50.dynamo"
	path := shared.ModelsNamed(b, name)[name]
	m, err := onnx.Open(path, onnx.DecodeOptions{})
	require.NoError(b, err)
	defer m.Close()
	_, err = optimize.Run(m, optimize.Portable, optimize.Options{})
	require.NoError(b, err)
	r := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, 3*224*224)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	batch := data.Batch{Inputs: map[string]*tensor.Tensor{m.Graph.Inputs[0].Name: tensor.Of(x, 1, 3, 224, 224)}}
	ctx := context.Background()
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("plain/t%d", threads), func(b *testing.B) {
			s, err := runtime.New(m, runtime.Options{Threads: threads})
			require.NoError(b, err)
			defer s.Close()
			for b.Loop() {
				_, err := s.Run(ctx, batch.Values())
				require.NoError(b, err)
			}
		})
		for _, method := range []Method{MinMax, Entropy} {
			b.Run(fmt.Sprintf("%v/t%d", method, threads), func(b *testing.B) {
				c, err := CalibrateConfig{Method: method, Values: forQuantising(m)}.withDefaults()
				require.NoError(b, err)
				w, obs, err := instrument(m, &c)
				require.NoError(b, err)
				s, err := runtime.New(w, runtime.Options{Threads: threads, Operators: observeOps(obs)})
				require.NoError(b, err)
				defer s.Close()
				for b.Loop() {
					_, err := s.Run(ctx, batch.Values())
					require.NoError(b, err)
				}
				b.ReportMetric(float64(len(obs)), "values")
			})
		}
	}
}
