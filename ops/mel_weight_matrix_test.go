package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestMelWeightMatrix(t *testing.T) {
	s := func(v int64) tensor.Value { return I64([]int{}, v) }
	f := func(v float32) tensor.Value { return F32([]int{}, v) }
	// The example of the specification: 8 bands, 16 samples, 8192 Hz, 0 to 4096 Hz.
	want := F32([]int{9, 8},
		1, 1, 0, 0, 0, 0, 0, 0,
		0, 0, 1, 1, 0, 0, 0, 0,
		0, 0, 0, 0, 1, 0, 0, 0,
		0, 0, 0, 0, 0, 1, 0, 0,
		0, 0, 0, 0, 0, 0, 1, 0,
		0, 0, 0, 0, 0, 0, 0, 1,
		0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0)
	cut := make([]int32, 72)
	for i, v := range tensor.Data[float32](want) {
		cut[i] = int32(v)
	}
	Run(t, []Case{
		{Op: "MelWeightMatrix", In: Vals(s(8), s(16), s(8192), f(0), f(4096)), Want: Vals(want)},
		{Op: "MelWeightMatrix", In: Vals(s(8), s(16), s(8192), f(0), f(4096)), Attrs: onnx.NewAttrs("output_datatype", tensor.Int32), Want: Vals(I32([]int{9, 8}, cut...))},
		{Op: "MelWeightMatrix", In: Vals(s(0), s(16), s(8192), f(0), f(4096)), Want: Vals(want), Err: "num_mel_bins is 0"},
		{Op: "MelWeightMatrix", In: Vals(s(8), s(16), s(800), f(0), f(4096)), Want: Vals(want), Err: "upper_edge_hertz is too high"},
	})
}
