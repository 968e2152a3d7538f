package onnxgo_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/gneiss-run/gneiss/interop/onnxgo"
	"github.com/owulveryck/onnx-go"
	"gorgonia.org/tensor"
)

// A program written against onnx-go runs on Gneiss once its backend is made by NewBackend.
func Example() {
	dir := filepath.Join("..", "..", "testdata", "models", "mlp_mnist")
	file, err := os.ReadFile(filepath.Join(dir, "model.onnx"))
	if err != nil {
		log.Fatal(err)
	}
	opsets, err := onnxgo.Opsets(file) // onnx-go does not pass them on
	if err != nil {
		log.Fatal(err)
	}
	backend := onnxgo.NewBackend(onnxgo.Options{Opsets: opsets})
	defer backend.Close()

	model := onnx.NewModel(backend)
	if err := model.UnmarshalBinary(file); err != nil {
		log.Fatal(err)
	}
	images, err := read(filepath.Join(dir, "test_data_set_0", "input_0.pb"))
	if err != nil {
		log.Fatal(err)
	}
	if err := model.SetInput(0, images); err != nil {
		log.Fatal(err)
	}
	if err := backend.Run(); err != nil {
		log.Fatal(err)
	}
	out, err := model.GetOutputTensors()
	if err != nil {
		log.Fatal(err)
	}
	want, err := read(filepath.Join(dir, "test_data_set_0", "output_0.pb"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(images.Shape(), "to", out[0].Shape())
	fmt.Println("as ONNX Runtime:", near(out[0].Data().([]float32), want.Data().([]float32)))
	// Output:
	// (1, 1, 28, 28) to (1, 10)
	// as ONNX Runtime: true
}

// read returns the tensor in a .pb file.
func read(path string) (tensor.Tensor, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return onnx.NewTensor(data)
}

func near(got, want []float32) bool {
	if len(got) != len(want) {
		return false
	}
	for i := range got {
		if d := got[i] - want[i]; d > 1e-5 || d < -1e-5 {
			return false
		}
	}
	return true
}
