package data

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	turbo "github.com/gneiss-run/gneiss/internal/jpeg"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestImagesInAnyOrder(t *testing.T) {
	ctx := context.Background()
	dir := put(t, map[string][]byte{"a.png": pngOf(t, 9, 7), "b.png": pngOf(t, 30, 21)})
	a, b := filepath.Join(dir, "a.png"), filepath.Join(dir, "b.png")
	o := inputs("x", nchw(tensor.Float32, -1, 3, 16, 16))
	o.BatchSize = 2
	both := open(t, dir, o)[0].Inputs["x"]
	images, err := NewImages(o, 16*16*4)
	require.NoError(t, err)
	x, err := images.Read(ctx, []string{b, a})
	require.NoError(t, err)
	require.Equal(t, []int{2, 3, 16, 16}, x.Shape())
	n := x.Len() / 2
	require.Equal(t, tensor.Data[float32](both)[:n], tensor.Data[float32](x)[n:])
	require.Equal(t, tensor.Data[float32](both)[n:], tensor.Data[float32](x)[:n])

	// The first one is kept; there is no room for the other.
	require.NoError(t, os.Remove(a))
	require.NoError(t, os.Remove(b))
	again, err := images.Read(ctx, []string{b})
	require.NoError(t, err)
	require.Equal(t, tensor.Data[float32](x)[:n], tensor.Data[float32](again))
	_, err = images.Read(ctx, []string{a})
	require.ErrorContains(t, err, "a.png")
	_, err = images.Read(ctx, nil)
	require.ErrorContains(t, err, "no images")
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = images.Read(ended, []string{b})
	require.ErrorIs(t, err, context.Canceled)
	_, err = NewImages(inputs("x", nchw(tensor.Float32, 3, 8, 8)), 0)
	require.ErrorContains(t, err, "first dimension of images")
}

// JPEG files are read to the pixels that libjpeg-turbo, and so most other libraries, reads.
func TestJPEGPixels(t *testing.T) {
	var colours, grey bytes.Buffer
	require.NoError(t, jpeg.Encode(&colours, picture(37, 23), &jpeg.Options{Quality: 60}))
	g := image.NewGray(image.Rect(0, 0, 11, 9))
	for i := range g.Pix {
		g.Pix[i] = uint8(37 * i)
	}
	require.NoError(t, jpeg.Encode(&grey, g, nil))
	for _, b := range [][]byte{colours.Bytes(), grey.Bytes()} {
		want, err := turbo.Decode(b, maxPixels)
		require.NoError(t, err)
		images, err := NewImages(inputs("x", nchw(tensor.Uint8, -1, -1, -1, want.Channels)), 0)
		require.NoError(t, err)
		dir := put(t, map[string][]byte{"a.jpg": b, "cut.jpg": b[:len(b)/2]})
		x, err := images.Read(context.Background(), []string{filepath.Join(dir, "a.jpg")})
		require.NoError(t, err)
		require.Equal(t, []int{1, want.Height, want.Width, want.Channels}, x.Shape())
		require.Equal(t, want.Pix, tensor.Data[uint8](x))
		_, err = images.Read(context.Background(), []string{filepath.Join(dir, "cut.jpg")})
		require.ErrorContains(t, err, "cut.jpg")
	}
}

// crop is imagenet without mean and standard deviation.
func TestCrop(t *testing.T) {
	dir := put(t, map[string][]byte{"a.png": pngOf(t, 60, 37)})
	o := inputs("x", nchw(tensor.Float32, -1, 3, 20, 24))
	o.Preprocess = "crop"
	plain := tensor.Data[float32](open(t, dir, o)[0].Inputs["x"])
	o.Preprocess = "imagenet"
	mean, std := ImageNet()
	for i, v := range tensor.Data[float32](open(t, dir, o)[0].Inputs["x"]) {
		c := i / (20 * 24)
		require.InDelta(t, (float64(plain[i])-mean[c])/std[c], v, 1e-6)
	}
}

func TestImageTable(t *testing.T) {
	ctx := context.Background()
	dir := put(t, map[string][]byte{"p/a.png": pngOf(t, 2, 2), "p/q/b.png": pngOf(t, 2, 2), "p/n.txt": nil,
		"t.csv": []byte("kind,Image\ncat, a.png\ndog,q/b.png\n")})
	read := func(text, column, target string) ([]string, [][]string, error) {
		path := filepath.Join(dir, "t.csv")
		if text != "" {
			require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		}
		table, err := OpenTable(path)
		require.NoError(t, err)
		return ImageTable(ctx, table, filepath.Join(dir, "p"), column, target)
	}
	files, labels, err := read("", "", "kind")
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(dir, "p", "a.png"), filepath.Join(dir, "p", "q", "b.png")}, files)
	require.Equal(t, [][]string{{"cat"}, {"dog"}}, labels)
	for _, c := range []struct{ text, column, target, want string }{
		{"a,b\nx,y\n", "", "b", "no column of a, b is called one of file"},
		{"file,b\nx,y\n", "c", "b", `no column "c" for the images; there are file, b`},
		{"file,b\nx,y\n", "", "c", `no column "c" for the target`},
		{"file,b\na.png,1\n../p/a.png,y\n", "", "b", "t.csv, row 2: column \"file\" is \"../p/a.png\", want a file below"},
		{"file,b\nn.txt,1\n", "", "b", "want a file .png"},
		{"file,b\na.png,\n", "", "b", `row 1: column "b" has no value`},
		{"file,b\na.png,1\nq/b.png,1\n./a.png,2\n", "", "b", "row 3: column \"file\": \"./a.png\" is there already, in"},
		{"file,b\nc.png,1\n", "", "b", "row 1: stat"},
	} {
		_, _, err := read(c.text, c.column, c.target)
		require.ErrorContains(t, err, c.want)
	}
}
