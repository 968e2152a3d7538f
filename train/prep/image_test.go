package prep_test

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train/prep"
)

// passing is a model that gives its images [batch, …] back.
func passing(opset int, dims ...int) *onnx.Model {
	opsets := map[string]int{"": opset}
	g := onnx.NewGraph("pass", opsets)
	typ := onnx.TensorType(tensor.Float32, append([]onnx.Dim{onnx.Name("batch")}, onnx.Sizes(dims...)...)...)
	for i, n := range dims {
		if n < 0 {
			typ.Dims[i+1] = onnx.Name(fmt.Sprint("open", i))
		}
	}
	x := g.AddInput("image", typ)
	n := g.NewNode("Relu", nil, []*onnx.Value{g.AddConst(&onnx.Value{Name: "bias", Const: tensor.Of([]float32{0}, 1), Type: onnx.TensorType(tensor.Float32, onnx.Size(1))})}, 1)
	add := g.NewNode("Add", nil, []*onnx.Value{x, n.Out[0]}, 1)
	add.Out[0].Name, add.Out[0].Type = "y", typ
	g.Insert(nil, n, add)
	g.Outputs = add.Out
	return &onnx.Model{IRVersion: 8, Opsets: opsets, Graph: g}
}

// TestImagePixels holds what a graph makes of pixels against what package data does.
func TestImagePixels(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range [][2]int{{31, 20}, {12, 50}, {90, 14}, {7, 9}, {16, 24}} {
		img := image.NewNRGBA(image.Rect(0, 0, size[0], size[1]))
		grey := image.NewGray(img.Rect)
		for i := range img.Rect.Dx() * img.Rect.Dy() {
			x, y := i%size[0], i/size[0]
			img.SetNRGBA(x, y, color.NRGBA{uint8(x * 255 / size[0]), uint8(r.IntN(256)), uint8(y * 255 / size[1]), 255})
			grey.SetGray(x, y, color.Gray{Y: uint8(r.IntN(256))})
		}
		for _, c := range []struct {
			mode, layout string
			shape        []int // of the model's images
			size         [2]int
		}{
			{"unit", "NCHW", []int{3, 16, 24}, [2]int{}}, {"unit", "NHWC", []int{3, 16, 24}, [2]int{}}, {"none", "", []int{16, 24, 3}, [2]int{}},
			{"crop", "NHWC", []int{3, 16, 13}, [2]int{}}, {"imagenet", "NHWC", []int{3, -1, -1}, [2]int{20, 21}}, {"unit", "NHWC", []int{1, 5, 40}, [2]int{}},
		} {
			name := fmt.Sprint(size, c)
			var from image.Image = img
			if c.shape[0] == 1 {
				from = grey
			}
			path := filepath.Join(dir, "a.png")
			f, err := os.Create(path)
			require.NoError(t, err)
			require.NoError(t, png.Encode(f, from))
			require.NoError(t, f.Close())
			m := passing(13, c.shape...)
			dims := m.Graph.Inputs[0].Type.Dims
			for i, d := range dims {
				if _, known := d.Size(); !known && i > 0 {
					dims[i] = onnx.Size(c.size[i-2])
				}
			}
			batch := func(typ onnx.Type, mode string) *tensor.Tensor {
				images, err := data.NewImages(data.Options{Inputs: []data.Input{{Name: "x", Type: typ}}, Preprocess: mode}, 0)
				require.NoError(t, err, name)
				x, err := images.Read(ctx, []string{path})
				require.NoError(t, err, name)
				return x
			}
			want := batch(onnx.TensorType(tensor.Float32, dims...), c.mode)
			m = passing(13, c.shape...)
			p := prep.Image{Pixels: tensor.Uint8, Layout: c.layout, Preprocess: c.mode, Size: c.size}
			tolerance := 2e-6
			if c.mode == "none" {
				tolerance = 0
			} else if c.shape[0] < 10 {
				p.Normalize = []prep.Normalization{{Mean: []float64{0.25}, Std: []float64{0.5}}}
				v := tensor.Data[float32](want)
				for i := range v {
					v[i] = (v[i] - 0.25) / 0.5
				}
			}
			require.NoError(t, p.Attach(m, "image"), name)
			open := []onnx.Dim{onnx.Name("n"), onnx.Size(min(c.shape[0], 3)), onnx.Name("h"), onnx.Name("w")}
			if c.layout == "NHWC" {
				open = []onnx.Dim{open[0], open[2], open[3], open[1]}
			}
			pixels := batch(onnx.TensorType(tensor.Uint8, open...), "none")
			got := run(t, m, "image", pixels)
			require.Equal(t, want.Shape(), got.Shape(), name)
			require.InDeltaSlice(t, tensor.Data[float32](want), tensor.Data[float32](got), tolerance, name)
		}
	}
}

func run(t *testing.T, m *onnx.Model, name string, x *tensor.Tensor) *tensor.Tensor {
	t.Helper()
	s, err := runtime.New(m, runtime.Options{})
	require.NoError(t, err)
	defer s.Close()
	out, err := s.Run(context.Background(), map[string]tensor.Value{name: x})
	require.NoError(t, err)
	return out["y"].(*tensor.Tensor)
}

// Floats of the model's size are normalised, in the oldest opset, too.
func TestImageFloats(t *testing.T) {
	m := passing(13, 3, 2, 1)
	p := prep.Image{Pixels: tensor.Float32, Layout: "NHWC", Preprocess: "imagenet", Normalize: []prep.Normalization{{Mean: []float64{1, 2, 3}, Std: []float64{1, 2, 4}}}}
	require.NoError(t, p.Attach(m, "image"))
	got := run(t, m, "image", tensor.Of([]float32{0.5, 0.5, 0.5, 1, 0, 0.25}, 1, 2, 1, 3))
	mean, std := data.ImageNet()
	var want []float32
	for c, v := range [][2]float64{{0.5, 1}, {0.5, 0}, {0.5, 0.25}} {
		for _, x := range v {
			want = append(want, float32(((x-mean[c])/std[c]-float64(c+1))/[]float64{1, 2, 4}[c]))
		}
	}
	require.InDeltaSlice(t, want, tensor.Data[float32](got), 1e-6)
	for _, n := range m.Graph.Nodes[:5] {
		require.Contains(t, n.Name, "prep/")
	}
}

func TestImageErrors(t *testing.T) {
	bytes := prep.Image{Pixels: tensor.Uint8, Preprocess: "unit"}
	for want, c := range map[string]struct {
		p prep.Image
		m *onnx.Model
	}{
		"of opset 12":             {bytes, passing(12, 3, 8, 8)},
		"1 or 3 channels":         {bytes, passing(13, 5, 8, 2)},
		"must be known":           {bytes, passing(13, 3, -1, 8)},
		"brought to [4 8]":        {prep.Image{Pixels: tensor.Uint8, Preprocess: "unit", Size: [2]int{4, 8}}, passing(13, 3, 8, 8)},
		"pixels are int8":         {prep.Image{Pixels: tensor.Int8, Preprocess: "unit"}, passing(13, 3, 8, 8)},
		`layout is "CHW"`:         {prep.Image{Pixels: tensor.Uint8, Preprocess: "unit", Layout: "CHW"}, passing(13, 3, 8, 8)},
		`no preprocessing "x"`:    {prep.Image{Pixels: tensor.Uint8, Preprocess: "x"}, passing(13, 3, 8, 8)},
		"is for 3 channels":       {prep.Image{Pixels: tensor.Uint8, Preprocess: "imagenet"}, passing(13, 1, 8, 8)},
		"2 means and 1":           {prep.Image{Pixels: tensor.Float32, Preprocess: "unit", Normalize: []prep.Normalization{{Mean: []float64{1, 2}, Std: []float64{1}}}}, passing(13, 3, 8, 8)},
		"standard deviations are": {prep.Image{Pixels: tensor.Float32, Preprocess: "unit", Normalize: []prep.Normalization{{Mean: []float64{1}, Std: []float64{0}}}}, passing(13, 3, 8, 8)},
		"want float32 [N":         {bytes, passing(13, 3, 8)},
	} {
		require.ErrorContains(t, c.p.Attach(c.m, "image"), want, want)
	}
	require.ErrorContains(t, bytes.Attach(passing(13, 3, 8, 8), "picture"), `no input "picture"`)
}
