package onnx

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gneiss-run/gneiss/tensor"
)

func TestSwapBytes(t *testing.T) {
	for dt, want := range map[tensor.DType][]byte{
		tensor.Uint8:      {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
		tensor.Int4:       {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
		tensor.Float16:    {2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15},
		tensor.Float32:    {4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13},
		tensor.Complex64:  {4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13},
		tensor.Int64:      {8, 7, 6, 5, 4, 3, 2, 1, 16, 15, 14, 13, 12, 11, 10, 9},
		tensor.Complex128: {8, 7, 6, 5, 4, 3, 2, 1, 16, 15, 14, 13, 12, 11, 10, 9},
	} {
		b := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
		swapBytes(dt, b)
		assert.Equal(t, want, b, dt)
	}
}
