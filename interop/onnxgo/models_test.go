package onnxgo_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/gneiss-run/gneiss/interop/onnxgo"
	gonnx "github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/owulveryck/onnx-go"
	gorgonia "gorgonia.org/tensor"
)

// TestModels runs exported models through onnx-go, twice.
func TestModels(t *testing.T) {
	root := filepath.Join("..", "..", "testdata", "models")
	dirs, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	// Results of ZipMap are maps, which onnx-go has no value for.
	refused := map[string]bool{"sk_rf_zipmap": true}
	seen := 0
	for _, d := range dirs {
		if !d.IsDir() {
			continue
		}
		seen++
		t.Run(d.Name(), func(t *testing.T) {
			err := runModel(t, filepath.Join(root, d.Name()))
			if refused[d.Name()] {
				if err == nil {
					t.Error("no error")
				}
				t.Logf("%v", err)
				return
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	if seen < 6 {
		t.Errorf("%d models", seen)
	}
}

func runModel(t *testing.T, dir string) error {
	file, err := os.ReadFile(filepath.Join(dir, "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	opsets, err := onnxgo.Opsets(file)
	if err != nil {
		t.Fatal(err)
	}
	b := onnxgo.NewBackend(onnxgo.Options{Opsets: opsets})
	defer b.Close()
	m := onnx.NewModel(b)
	if err := m.UnmarshalBinary(file); err != nil {
		return err
	}
	for range 2 {
		for i := range m.Input {
			if err := m.SetInput(i, load(t, dir, "input", i)); err != nil {
				return err
			}
		}
		if err := b.Run(); err != nil {
			return err
		}
		out, err := m.GetOutputTensors()
		if err != nil {
			return err
		}
		for i, g := range out {
			got, err := onnxgo.FromGorgonia(g)
			if err != nil {
				return err
			}
			want, err := onnxgo.FromGorgonia(load(t, dir, "output", i))
			if err != nil {
				return err
			}
			if err := tensor.Compare(got, want, tensor.Tolerance{Rel: 1e-3, Abs: 1e-5}); err != nil {
				return fmt.Errorf("output %d: %w", i, err)
			}
		}
	}
	return nil
}

func load(t *testing.T, dir, kind string, i int) gorgonia.Tensor {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "test_data_set_0", fmt.Sprintf("%s_%d.pb", kind, i)))
	if errors.Is(err, os.ErrNotExist) {
		t.Fatalf("%s %d has no data", kind, i)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, x, err := gonnx.DecodeTensor(data)
	if err != nil {
		t.Fatal(err)
	}
	g, err := onnxgo.ToGorgonia(x)
	if err != nil {
		t.Fatal(err)
	}
	return g
}
