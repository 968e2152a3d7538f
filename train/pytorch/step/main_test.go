package main

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// TestFamilies trains each family and exports it in old and new opsets; Export
// itself compares the outputs.
func TestFamilies(t *testing.T) {
	for name, f := range families {
		t.Run(name, func(t *testing.T) {
			dir, r := t.TempDir(), rand.New(rand.NewPCG(1, 2))
			const steps, samples = 3, 4
			var all []tensor.Named
			fill := func(name string, d tensor.DType, below int64, dims ...int) {
				x := tensor.New(d, append([]int{steps, samples}, dims...)...)
				if d == tensor.Int64 {
					for i := range tensor.Data[int64](x) {
						tensor.Data[int64](x)[i] = r.Int64N(below)
					}
				} else {
					for i := range tensor.Data[float32](x) {
						tensor.Data[float32](x)[i] = r.Float32()
					}
				}
				all = append(all, tensor.Named{Name: name, Tensor: x})
			}
			for _, in := range f.inputs {
				var dims []int
				for _, d := range in.Dims[1:] {
					n, _ := d.Size()
					dims = append(dims, n)
				}
				fill(in.Name, in.DType, 5, dims...)
			}
			switch {
			case name == "gpt":
				fill("target", tensor.Int64, 5, 12)
			case f.loss == "cross_entropy":
				fill("target", tensor.Int64, 5)
			case f.loss == "mse":
				fill("target", tensor.Float32, 0, 20)
			default:
				fill("target", tensor.Float32, 0, 1)
			}
			file, err := os.Create(filepath.Join(dir, "batches.npz"))
			require.NoError(t, err)
			require.NoError(t, tensor.WriteNPZ(file, all))
			require.NoError(t, file.Close())
			j := job{family: name, batches: file.Name(), optimizer: "adam", rate: 0.01, opsets: "13,17,20,28", out: dir}
			require.NoError(t, j.run(context.Background()))
			text, err := os.ReadFile(filepath.Join(dir, "result.json"))
			require.NoError(t, err)
			var got report
			require.NoError(t, json.Unmarshal(text, &got))
			require.Len(t, got.Losses, steps)
			require.Len(t, got.Exports, 4)
			for opset, problem := range got.Exports {
				require.Empty(t, problem, opset)
				m, err := onnx.Open(filepath.Join(dir, "opset-"+opset+".onnx"), onnx.DecodeOptions{})
				require.NoError(t, err)
				require.Empty(t, onnx.Check(m))
			}
		})
	}
}

func TestRunErrors(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	require.ErrorContains(t, (&job{family: "mpl"}).run(ctx), `no family "mpl"`)
	empty := filepath.Join(dir, "b.npz")
	f, err := os.Create(empty)
	require.NoError(t, err)
	require.NoError(t, tensor.WriteNPZ(f, []tensor.Named{{Name: "x", Tensor: tensor.New(tensor.Float32, 2, 3)}, {Name: "y", Tensor: tensor.New(tensor.Float32, 3, 3)}}))
	require.NoError(t, f.Close())
	require.ErrorContains(t, (&job{family: "mlp", batches: empty}).run(ctx), `"y" has 3 batches, others have 2`)
}
