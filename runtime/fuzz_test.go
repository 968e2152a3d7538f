package runtime_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// FuzzLoad opens whatever bytes and, where they are a model, runs it on zeros.
// An error is fine; a panic, a hang or memory beyond the limit is not.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("../testdata/models/*/model.onnx")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if len(b) < 100_000 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<20 {
			return
		}
		start := time.Now()
		s, err := runtime.OpenBytes(data, runtime.Options{Threads: 1, MaxMemory: 64 << 20})
		if d := time.Since(start); d > 10*time.Second {
			t.Fatalf("opening took %v", d)
		}
		if err != nil {
			if strings.Contains(err.Error(), "internal error") {
				t.Fatal(err)
			}
			return
		}
		defer s.Close()
		in := map[string]tensor.Value{}
		for _, v := range s.Inputs() {
			x, ok := zeros(v.Type)
			if !ok {
				return
			}
			in[v.Name] = x
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		start = time.Now()
		for range 3 {
			if _, err = s.Run(ctx, in); err != nil {
				break
			}
		}
		if d := time.Since(start); d > 15*time.Second {
			t.Fatalf("running took %v", d)
		}
		if err != nil && strings.Contains(err.Error(), "internal error") {
			t.Fatal(err)
		}
	})
}

// zeros returns a small value of type t.
func zeros(t onnx.Type) (tensor.Value, bool) {
	switch t.Kind {
	case onnx.TensorKind:
		shape := make([]int, len(t.Dims))
		for i, d := range t.Dims {
			n, ok := d.Size()
			if !ok {
				n = 2
			}
			shape[i] = n
		}
		if size, err := tensor.ByteSize(t.DType, shape); err != nil || size > 16<<20 {
			return nil, false
		}
		return tensor.New(t.DType, shape...), true
	case onnx.SequenceKind:
		return &tensor.Sequence{DType: tensor.Float32}, true
	case onnx.OptionalKind:
		return &tensor.Optional{}, true
	}
	return nil, false
}
