package train_test

import (
	"context"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
)

func TestImages(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	var files []string
	for _, v := range []uint8{10, 20, 30} {
		img := image.NewGray(image.Rect(0, 0, 3, 2))
		for i := range img.Pix {
			img.SetGray(i%3, i/3, color.Gray{Y: v})
		}
		path := filepath.Join(dir, string(rune('a'+v))+".png")
		f, err := os.Create(path)
		require.NoError(t, err)
		require.NoError(t, png.Encode(f, img))
		require.NoError(t, f.Close())
		files = append(files, path)
	}
	in := onnx.TensorType(tensor.Float32, onnx.Name("batch"), onnx.Size(1), onnx.Size(4), onnx.Size(4))
	reader, err := data.NewImages(data.Options{Inputs: []data.Input{{Name: "x", Type: in}}, Preprocess: "none"}, 1<<20)
	require.NoError(t, err)
	d, err := train.NewImages(files, "x", reader, train.Arrays{"y": tensor.Of([]int64{5, 6, 7}, 3)})
	require.NoError(t, err)
	require.Equal(t, 3, d.Len())
	require.Equal(t, files[1], d.File(1))
	part := train.Subset(d, []int{2, 0})
	// A loader reads them ahead, in its order.
	l := &train.Loader{Dataset: part, BatchSize: 1}
	var got []float32
	var labels []int64
	for b, err := range l.Epoch(ctx, 0, 0) {
		require.NoError(t, err)
		require.Equal(t, []int{1, 1, 4, 4}, b["x"].Shape())
		got, labels = append(got, tensor.Data[float32](b["x"])[7]), append(labels, tensor.Data[int64](b["y"])...)
	}
	require.Equal(t, []float32{30, 10}, got)
	require.Equal(t, []int64{7, 5}, labels)

	_, err = d.Batch(ctx, []int{3})
	require.ErrorContains(t, err, "no sample 3: there are 3 images")
	_, err = train.NewImages(nil, "x", reader, nil)
	require.ErrorContains(t, err, "no images")
	_, err = train.NewImages(files, "y", reader, train.Arrays{"y": tensor.Of([]int64{1}, 1)})
	require.ErrorContains(t, err, `both called "y"`)
	_, err = train.NewImages(files, "x", reader, train.Arrays{"y": tensor.Of([]int64{1}, 1)})
	require.ErrorContains(t, err, "3 images have 1 targets")
}
