package optimize

import (
	"errors"
	"strings"
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// single returns a graph of one operator of outs outputs on x of a shape and
// constants; nil is an absent input.
func single(op string, outs int, as onnx.Attrs, shape []int, more ...*tensor.Tensor) func(*ops.Builder) {
	return func(b *ops.Builder) {
		args := []*onnx.Value{in(b, "x", shape...)}
		for _, c := range more {
			if c == nil {
				args = append(args, nil)
			} else {
				args = append(args, b.Const(c))
			}
		}
		ret(b, b.Ops("", op, as, outs, args...)...)
	}
}

func TestConvertSteps(t *testing.T) {
	a := onnx.NewAttrs
	f32 := func(v ...float32) *tensor.Tensor { return tensor.Of(v) }
	ints := func(v ...int64) *tensor.Tensor { return tensor.Of(v) }
	image := []int{1, 1, 4, 4}
	channels := []*tensor.Tensor{f32(1, 2), f32(0.5, -1), f32(0.1, 0.2), f32(1, 4)}
	batch := func(as onnx.Attrs) func(*ops.Builder) {
		return single("BatchNormalization", 1, as, []int{3, 2, 2}, channels...)
	}
	converts(t, []conversion{
		{"batch normalization from 1", 1, 15, batch(a("is_test", 1, "consumed_inputs", []int{0, 0, 0, 1, 1})), "BatchNormalization"},
		{"batch normalization to 1", 15, 1, batch(nil), "BatchNormalization"},
		{"dropout from 1", 1, 13, single("Dropout", 1, a("is_test", 1, "ratio", 0.25), []int{2, 3}), "Dropout"},
		{"dropout to 6", 13, 6, single("Dropout", 1, a("seed", 3), []int{2, 3}, f32One(0.25), tensor.Scalar(false)), "Dropout"},
		{"global lp pool from 1", 1, 2, single("GlobalLpPool", 1, a("p", 3.0), image), "GlobalLpPool"},
		{"global lp pool to 1", 2, 1, single("GlobalLpPool", 1, a("p", 1), image), "GlobalLpPool"},
		{"lp pool", 18, 2, single("LpPool", 1, a("kernel_shape", []int{2, 2}, "dilations", []int{1, 1}), image), "LpPool"},
		{"average pool", 19, 1, single("AveragePool", 1, a("kernel_shape", []int{2, 2}, "ceil_mode", 0, "count_include_pad", 0), image), "AveragePool"},
		{"selu to 1", 6, 1, single("Selu", 1, nil, []int{4}), "Selu"},
		{"constant pad from 1", 1, 11, single("Pad", 1, a("paddings", []int{1, 0}), []int{3}), "Pad"},
		{"constant pad to 1", 11, 1, single("Pad", 1, nil, []int{3}, ints(1, 2), tensor.Scalar(float32(3))), "Pad"},
		{"edge pad to 18", 19, 18, single("Pad", 1, a("mode", "edge"), []int{3}, ints(1, 2)), "Pad"},
		{"tile from 1", 1, 13, single("Tile", 1, nil, []int{2, 3}, f32One(2), f32One(1)), "Tile"},
		{"top k from 1", 1, 11, single("TopK", 2, a("k", 2, "axis", 1), []int{2, 3}), "TopK"},
		{"dft from 17", 17, 20, single("DFT", 1, a("axis", 1), []int{1, 4, 1}), "DFT"},
		{"dft to 17", 20, 17, single("DFT", 1, nil, []int{1, 4, 1}), "DFT"},
		{"dft with axis to 17", 20, 17, single("DFT", 1, nil, []int{1, 4, 1}, nil, tensor.Scalar(int64(1))), "DFT"},
		{"gemm to 6", 11, 6, func(b *ops.Builder) {
			ret(b, b.Op("Gemm", nil, in(b, "x", 2, 3), floats(b, 3, 4), floats(b, 4)))
		}, "Gemm"},
		{"split with an input from 1", 1, 13, func(b *ops.Builder) {
			ret(b, b.Ops("", "Split", onnx.NewAttrs("axis", 1), 2, in(b, "x", 2, 3), b.Const(f32(1, 2)))...)
		}, "Split"},
		{"split by attribute", 2, 13, single("Split", 2, a("axis", 1, "split", []int{1, 2}), []int{2, 3}), "Split"},
		{"upsample from 1", 1, 13, single("Upsample", 1, a("height_scale", 2.0, "width_scale", 3.0), []int{1, 1, 2, 3}), "Resize"},
		{"upsample bilinear from 1", 1, 9, single("Upsample", 1, a("height_scale", 2.0, "width_scale", 2.0, "mode", "bilinear"), []int{1, 1, 2, 3}), "Upsample"},
		{"upsample to 1", 9, 1, single("Upsample", 1, a("mode", "linear"), []int{1, 1, 2, 3}, f32(1, 1, 2, 3)), "Upsample"},
		{"resize 19 to 9", 19, 9, single("Resize", 1, a("coordinate_transformation_mode", "asymmetric", "nearest_mode", "floor", "axes", []int{0, 1, 2, 3}), image, nil, f32(1, 1, 2, 2)), "Upsample"},
		{"shrinking resize to 10", 11, 10, single("Resize", 1, a("coordinate_transformation_mode", "asymmetric", "nearest_mode", "ceil"), image, f32(), f32(1, 1, 0.5, 0.5)), "Resize"},
		{"linear resize from 10", 10, 11, single("Resize", 1, a("mode", "linear"), image, f32(1, 1, 2, 0.5)), "Resize"},
		{"enlarging resize from 10", 10, 19, single("Resize", 1, nil, image, f32(1, 1, 2, 3)), "Resize"},
		{"roi align from 10", 10, 16, single("RoiAlign", 1, a("output_height", 2, "output_width", 2), image, tensor.Of([]float32{0, 0, 3, 3}, 1, 4), ints(0)), "RoiAlign"},
		{"roi align to 10", 16, 10, single("RoiAlign", 1, a("coordinate_transformation_mode", "output_half_pixel"), image, tensor.Of([]float32{0, 0, 3, 3}, 1, 4), ints(0)), "RoiAlign"},
		{"scatter from 9", 9, 13, single("Scatter", 1, nil, []int{3}, ints(2, 0), f32(7, 8)), "ScatterElements"},
		{"scatter to 9", 18, 9, single("ScatterElements", 1, a("reduction", "none"), []int{3}, ints(2, 0), f32(7, 8)), "Scatter"},
		{"scatter nd", 18, 16, single("ScatterND", 1, a("reduction", "add"), []int{3}, tensor.Of([]int64{2, 0}, 2, 1), f32(7, 8)), "ScatterND"},
		{"maximum of equal shapes", 13, 6, single("Max", 1, nil, []int{3}, f32(0.1, 0.2, 0.3)), "Max"},
		{"grid sample", 16, 20, single("GridSample", 1, a("mode", "bilinear"), image, tensor.Of([]float32{0, 0, 0.5, -0.5}, 1, 1, 2, 2)), "GridSample"},
		{"grid sample back", 20, 16, single("GridSample", 1, a("mode", "cubic"), image, tensor.Of([]float32{0, 0, 0.5, -0.5}, 1, 1, 2, 2)), "GridSample"},
		{"quantize per tensor", 13, 10, single("QuantizeLinear", 1, a("axis", 0), []int{3}, f32One(0.5), tensor.Scalar(uint8(3))), "QuantizeLinear"},
		{"quantize with one scale in a vector", 13, 10, single("QuantizeLinear", 1, nil, []int{3, 1}, f32(0.5), tensor.Of([]uint8{3})), "QuantizeLinear"},
		{"constants of version 12", 12, 9, func(b *ops.Builder) {
			v := []*onnx.Value{in(b, "x", 2)}
			for _, as := range []onnx.Attrs{a("value_floats", []float32{1, 2}), a("value_int", 3), a("value_string", "s"), a("value_strings", []string{"a", "b"}), a("value", f32(4))} {
				v = append(v, b.Op("Constant", as))
			}
			ret(b, v[1:]...)
		}, "Constant Constant Constant Constant Constant"},
	})
}

func f32One(v float32) *tensor.Tensor { return tensor.Scalar(v) }

func TestConvertStepsRefuse(t *testing.T) {
	a := onnx.NewAttrs
	f32 := func(v ...float32) *tensor.Tensor { return tensor.Of(v) }
	ints := func(v ...int64) *tensor.Tensor { return tensor.Of(v) }
	image := []int{1, 1, 4, 4}
	// computed is an operator whose input i is an input of the graph.
	computed := func(op string, d tensor.DType, more ...*tensor.Tensor) func(*ops.Builder) {
		return func(b *ops.Builder) {
			args := []*onnx.Value{in(b, "x", 2, 4, 3)}
			for _, c := range more {
				if c != nil {
					args = append(args, b.Const(c))
				} else {
					args = append(args, inOf(b, d, "k", 1))
				}
			}
			ret(b, b.Op(op, nil, args...))
		}
	}
	for _, c := range []struct {
		name     string
		from, to int
		build    func(*ops.Builder)
		err      string
	}{
		{"dropout in training", 1, 13, single("Dropout", 1, nil, []int{2}), "is_test is 0"},
		{"dropout that may train", 13, 10, single("Dropout", 1, nil, []int{2}, f32One(0.5), tensor.Scalar(true)), "training_mode is not known to be false"},
		{"dropout with its mask", 10, 9, single("Dropout", 2, nil, []int{2}), "the mask is read"},
		{"batch normalization in training", 15, 9, single("BatchNormalization", 3, a("training_mode", 1), []int{2, 1}, f32(1), f32(1), f32(1), f32(1)), "training_mode"},
		{"norm of a fraction", 1, 2, single("GlobalLpPool", 1, a("p", 2.5), image), "p is 2.5"},
		{"wrapping pad", 19, 18, single("Pad", 1, a("mode", "wrap"), []int{3}, ints(1, 1)), `mode is "wrap"`},
		{"tile to 1", 6, 1, single("Tile", 1, nil, []int{3}, ints(2)), "version 1 takes tiles"},
		{"upsampled channels", 7, 1, single("Upsample", 1, a("scales", []float64{1, 2, 2, 2}), image), "are not for height and width alone"},
		{"resize that shrinks to 9", 10, 9, single("Resize", 1, nil, image, f32(1, 1, 0.5, 0.5)), "not known to enlarge"},
		{"resize both ways", 10, 11, single("Resize", 1, nil, image, f32(1, 1, 2, 0.5)), "enlarge and shrink"},
		{"resize by pixel centers", 11, 10, single("Resize", 1, nil, image, f32(), f32(1, 1, 2, 2)), "coordinate_transformation_mode half_pixel"},
		{"resize to sizes", 13, 10, single("Resize", 1, nil, image, nil, nil, ints(1, 1, 2, 2)), "sizes are given"},
		{"resize of some axes", 18, 13, single("Resize", 1, a("axes", []int{2, 3}), image, nil, f32(2, 2)), "axes are [2 3]"},
		{"smooth resize", 18, 13, single("Resize", 1, a("antialias", 1, "mode", "linear"), image, nil, f32(1, 1, 0.5, 0.5)), "antialias"},
		{"symmetric resize", 19, 18, single("Resize", 1, a("coordinate_transformation_mode", "half_pixel_symmetric"), image, nil, f32(1, 1, 2, 2)), "half_pixel_symmetric"},
		{"roi align by pixel centers", 16, 10, single("RoiAlign", 1, nil, image, tensor.Of([]float32{0, 0, 3, 3}, 1, 4), ints(0)), `coordinate_transformation_mode is "half_pixel"`},
		{"scatter the maximum", 18, 16, single("ScatterElements", 1, a("reduction", "max"), []int{3}, ints(2), f32(7)), `reduction is "max"`},
		{"broadcasting maximum", 13, 6, single("Max", 1, nil, []int{3}, f32(1)), "does not broadcast"},
		{"quantize per axis", 13, 10, single("QuantizeLinear", 1, a("axis", 0), []int{2}, f32(1, 2), tensor.Of([]uint8{0, 0})), "the scale is per axis"},
		{"smallest first", 11, 9, single("TopK", 2, a("largest", 0), []int{3}, ints(2)), "largest"},
		{"computed k", 11, 9, func(b *ops.Builder) {
			ret(b, b.Ops("", "TopK", nil, 2, in(b, "x", 4), inOf(b, tensor.Int64, "k", 1))...)
		}, "K is computed"},
		{"computed bounds", 13, 9, computed("Slice", tensor.Int64, nil, ints(1)), "starts are computed"},
		{"computed axes", 18, 13, computed("ReduceMean", tensor.Int64, nil), "axes are computed"},
		{"computed ratio", 13, 10, computed("Dropout", tensor.Float32, nil), "ratio is computed"},
		{"computed minimum", 13, 6, computed("Clip", tensor.Float32, nil), "min is computed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := graphModel(t, c.from, c.build)
			err := ConvertOpset(m, "", c.to)
			if !errors.Is(err, ops.ErrUnsupported) || !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want one with %q", err, c.err)
			}
		})
	}
}

func TestLevels(t *testing.T) {
	for _, l := range []Level{Best, None, Portable, Machine} {
		if got, err := ParseLevel(l.String()); err != nil || got != l {
			t.Errorf("%v: %v, %v", l, got, err)
		}
	}
	if _, err := ParseLevel("most"); err == nil {
		t.Error("there is no level most")
	}
	r := &Report{NodesBefore: 9, NodesAfter: 5, Counts: map[string]int{"cse": 1, "fold": 3}}
	if got, want := r.String(), "5 nodes, were 9: 3 × fold, 1 × cse"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestAllEqual(t *testing.T) {
	for _, c := range []struct {
		t    *tensor.Tensor
		want bool
	}{
		{tensor.Of([]float32{2, 2}), true}, {tensor.Of([]float32{2, 3}), false}, {tensor.Of([]float64{2, 2}), true},
		{tensor.Of([]tensor.F16{tensor.F16Of(2)}), true}, {tensor.Of([]tensor.BF16{tensor.BF16Of(1)}), false},
		{tensor.Of([]int64{2, 2}), true}, {tensor.Of([]uint8{2, 1}), false}, {tensor.Of([]float32{}), false},
		{tensor.Of([]string{"2"}), false}, {tensor.Of([]bool{true}), false},
	} {
		if got := allEqual(c.t, 2, 1e-6); got != c.want {
			t.Errorf("%v: %v", c.t, got)
		}
	}
}

func TestLossless(t *testing.T) {
	for _, c := range []struct {
		a, b tensor.DType
		want bool
	}{
		{tensor.Float32, tensor.Float32, true}, {tensor.Undefined, tensor.Undefined, false},
		{tensor.Bool, tensor.Int8, true}, {tensor.Bool, tensor.Float16, true}, {tensor.Bool, tensor.String, false},
		{tensor.Uint8, tensor.Uint16, true}, {tensor.Int16, tensor.Int8, false}, {tensor.Uint8, tensor.Int16, true},
		{tensor.Uint8, tensor.Int8, false}, {tensor.Int8, tensor.Uint16, false}, {tensor.Uint8, tensor.Float16, true},
		{tensor.Uint16, tensor.Float16, false}, {tensor.Int32, tensor.Float32, false}, {tensor.Int32, tensor.Float64, true},
		{tensor.Float16, tensor.Float32, true}, {tensor.BFloat16, tensor.Float16, false}, {tensor.Float32, tensor.Float64, true},
		{tensor.Float64, tensor.Float32, false}, {tensor.String, tensor.Int64, false},
	} {
		if got := lossless(c.a, c.b); got != c.want {
			t.Errorf("%v as %v: %v", c.a, c.b, got)
		}
	}
}
