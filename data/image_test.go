package data

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func picture(w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	r := rand.New(rand.NewPCG(uint64(w), uint64(h)))
	for y := range h {
		for x := range w {
			img.SetNRGBA(x, y, color.NRGBA{uint8(x * 255 / w), uint8(y * 255 / h), uint8(r.IntN(256)), 255})
		}
	}
	return img
}

func pngOf(t *testing.T, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, picture(w, h)))
	return b.Bytes()
}

// exifJPEG is a JPEG file of a picture with Exif data of one entry, the orientation.
func exifJPEG(t *testing.T, img image.Image, orientation byte) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, img, &jpeg.Options{Quality: 95}))
	exif := append([]byte{0xff, 0xd8, 0xff, 0xe1, 0, 34}, "Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00"...)
	return append(append(exif, orientation, 0, 0, 0, 0, 0, 0), b.Bytes()[2:]...)
}

// Orientations turn images as Exif's words say: where the first row and the first column of what is stored lie.
func TestOrientation(t *testing.T) {
	const w, h = 23, 16
	g := image.NewGray(image.Rect(0, 0, w, h))
	for i := range g.Pix {
		g.Pix[i] = byte(i * 7)
	}
	for _, img := range []image.Image{picture(w, h), g} {
		read := func(orientation byte, o Options) *tensor.Tensor {
			dir := put(t, map[string][]byte{"a.jpg": exifJPEG(t, img, orientation)})
			o.Inputs = []Input{{"x", nchw(tensor.Uint8, 1, 3, -1, -1)}}
			vs, err := ReadFile("x", filepath.Join(dir, "a.jpg"), o)
			require.NoError(t, err)
			one := vs["x"].(*tensor.Tensor)
			many, err := NewImages(Options{Inputs: []Input{{"x", nchw(tensor.Uint8, -1, 3, -1, -1)}}, Orientation: o.Orientation}, 0)
			require.NoError(t, err)
			x, err := many.Read(t.Context(), []string{filepath.Join(dir, "a.jpg")})
			require.NoError(t, err)
			require.Equal(t, one.Bytes(), x.Bytes())
			return one
		}
		plain := read(1, Options{})
		for orientation, size := range map[string]image.Point{"": {h, w}, "exif": {h, w}, "stored": {w, h}} {
			turned, err := DecodeImage(exifJPEG(t, img, 6), orientation)
			require.NoError(t, err)
			require.Equal(t, size, turned.Bounds().Size(), orientation)
		}
		require.Equal(t, []int{1, 3, h, w}, plain.Shape())
		for o, sides := range map[byte][2]string{0: {"top", "left"}, 1: {"top", "left"}, 2: {"top", "right"}, 3: {"bottom", "right"}, 4: {"bottom", "left"},
			5: {"left", "top"}, 6: {"right", "top"}, 7: {"right", "bottom"}, 8: {"left", "bottom"}, 9: {"top", "left"}} {
			require.Equal(t, plain.Bytes(), read(o, Options{Orientation: "stored"}).Bytes())
			got := read(o, Options{})
			shape := []int{1, 3, h, w}
			if sides[0] == "left" || sides[0] == "right" {
				shape = []int{1, 3, w, h}
			}
			require.Equal(t, shape, got.Shape(), o)
			// Steps along stored rows and columns are away from these sides.
			from := map[string][2]int{"top": {0, 1}, "bottom": {shape[2] - 1, -1}, "left": {0, 1}, "right": {shape[3] - 1, -1}}
			for c := range 3 {
				for r := range h {
					for k := range w {
						var at [2]int // row and column
						for i, n := range []int{r, k} {
							side := sides[i]
							v := from[side][0] + from[side][1]*n
							if side == "top" || side == "bottom" {
								at[0] = v
							} else {
								at[1] = v
							}
						}
						require.Equal(t, tensor.Data[uint8](plain)[(c*h+r)*w+k], tensor.Data[uint8](got)[(c*shape[2]+at[0])*shape[3]+at[1]], "%d: %d %d %d", o, c, r, k)
					}
				}
			}
		}
	}
	in := []Input{{"x", nchw(tensor.Uint8, -1, 3, -1, -1)}}
	_, err := NewImages(Options{Inputs: in, Orientation: "up"}, 0)
	require.ErrorContains(t, err, `orientation is "up", want one of exif, stored`)
	_, err = DecodeImage(nil, "up")
	require.ErrorContains(t, err, `orientation is "up", want one of exif, stored`)
	_, err = DecodeImage([]byte("\xff\xd8 and no more"), "")
	require.ErrorContains(t, err, "data: it is no image that is read here")
}

func nchw(d tensor.DType, n ...int) onnx.Type {
	dims := make([]onnx.Dim, len(n))
	for i, k := range n {
		if dims[i] = onnx.Size(k); k < 0 {
			dims[i] = onnx.Name(fmt.Sprint("d", i))
		}
	}
	return onnx.TensorType(d, dims...)
}

// triangle resizes a row of values to n, of which it returns number at: the mean of
// what lies within a step of it, by distance.
func triangle(src []float64, n, at int) float64 {
	scale := float64(len(src)) / float64(n)
	reach := max(scale, 1)
	centre := (float64(at) + 0.5) * scale
	sum, weight := 0.0, 0.0
	for i, v := range src {
		if w := 1 - math.Abs(float64(i)+0.5-centre)/reach; w > 0 {
			sum += w * v
			weight += w
		}
	}
	return sum / weight
}

// TestImagenet compares with the definition, in float64: resized to a shorter
// side of 256, the centre cut out, normalised.
func TestImagenet(t *testing.T) {
	for _, size := range [][2]int{{300, 400}, {640, 300}, {200, 100}, {224, 224}, {1500, 20}} {
		dir := put(t, map[string][]byte{"a.png": pngOf(t, size[0], size[1])})
		o := inputs("x", nchw(tensor.Float32, -1, 3, 224, 224))
		o.Preprocess = "imagenet"
		x := open(t, dir, o)[0].Inputs["x"]
		require.Equal(t, []int{1, 3, 224, 224}, x.Shape())
		img := picture(size[0], size[1])
		w, h := size[0], size[1]
		left, right := 0, w
		if w > 4*h {
			left, right = (w-4*h)/2, (w-4*h)/2+4*h
		}
		rw, rh := 256, 256
		if right-left > h {
			rw = 256 * (right - left) / h
		} else {
			rh = 256 * h / (right - left)
		}
		for _, at := range [][2]int{{0, 0}, {5, 200}, {223, 223}, {100, 17}} {
			for k := range 3 {
				cols := make([]float64, right-left)
				for i := range cols {
					col := make([]float64, h)
					for j := range col {
						col[j] = float64(img.Pix[img.PixOffset(left+i, j)+k])
					}
					cols[i] = triangle(col, rh, at[0]+int(math.RoundToEven(float64(rh-224)/2)))
				}
				v := triangle(cols, rw, at[1]+int(math.RoundToEven(float64(rw-224)/2)))
				want := (v/255 - []float64{0.485, 0.456, 0.406}[k]) / []float64{0.229, 0.224, 0.225}[k]
				got := tensor.Data[float32](x)[(k*224+at[0])*224+at[1]]
				require.InDelta(t, want, got, 1.5/255/0.224, "%v at %v, channel %d", size, at, k)
			}
		}
	}
}

func TestImageForms(t *testing.T) {
	var j, g bytes.Buffer
	require.NoError(t, jpeg.Encode(&j, picture(8, 8), nil))
	require.NoError(t, gif.Encode(&g, picture(8, 8), nil))
	dir := put(t, map[string][]byte{"cat/a.png": pngOf(t, 8, 8), "cat/b.jpg": j.Bytes(), "dog/a.gif": g.Bytes(), "labels.csv": []byte("cat/a.png,1\n")})
	img := picture(8, 8)
	for _, c := range []struct {
		typ        onnx.Type
		preprocess string
		layout     string
		size       int
		shape      []int
		at         func(x *tensor.Tensor) float64 // of pixel (3, 5), green
		want       float64
	}{
		{nchw(tensor.Float32, -1, 3, 8, 8), "", "", 0, []int{2, 3, 8, 8}, func(x *tensor.Tensor) float64 { return float64(tensor.Data[float32](x)[64+5*8+3]) }, 1.0 / 255},
		{nchw(tensor.Float32, -1, 8, 8, 3), "none", "", 0, []int{2, 8, 8, 3}, func(x *tensor.Tensor) float64 { return float64(tensor.Data[float32](x)[(5*8+3)*3+1]) }, 1},
		{nchw(tensor.Float32, -1, -1, -1, -1), "none", "NHWC", 0, []int{2, 8, 8, 3}, func(x *tensor.Tensor) float64 { return float64(tensor.Data[float32](x)[(5*8+3)*3+1]) }, 1},
		{nchw(tensor.Uint8, -1, 3, -1, -1), "", "NCHW", 0, []int{2, 3, 8, 8}, func(x *tensor.Tensor) float64 { return float64(tensor.Data[uint8](x)[64+5*8+3]) }, 1},
		{nchw(tensor.Float16, -1, 3, -1, -1), "none", "", 0, []int{2, 3, 8, 8}, func(x *tensor.Tensor) float64 { return tensor.Data[tensor.F16](x)[64+5*8+3].Float64() }, 1},
		{nchw(tensor.Float32, -1, 1, -1, -1), "unit", "", 4, []int{2, 1, 4, 4}, nil, 0},
	} {
		o := inputs("x", c.typ)
		o.Preprocess, o.Layout, o.Size, o.BatchSize = c.preprocess, c.layout, c.size, 2
		bs := open(t, dir, o)
		require.Len(t, bs, 2)
		require.Equal(t, filepath.Join(dir, "cat", "a.png")+" to "+filepath.Join(dir, "cat", "b.jpg"), bs[0].Name)
		require.Equal(t, c.shape, bs[0].Inputs["x"].Shape())
		require.Equal(t, 1, bs[1].Inputs["x"].Dim(0), "what is left")
		if c.at != nil {
			require.InDelta(t, c.want*float64(img.NRGBAAt(3, 5).G), c.at(bs[0].Inputs["x"]), 1e-6)
		}
	}
	o := inputs("x", nchw(tensor.Float32, 2, 3, 8, 8))
	bs := open(t, dir, o)
	require.Len(t, bs, 1, "the model takes two at a time; the third is left out")
}

func TestImageErrors(t *testing.T) {
	wide := bytes.Clone(pngOf(t, 2, 2))
	copy(wide[16:], []byte{0, 0, 0xff, 0xff}) // the header's width, and its checksum
	binary.BigEndian.PutUint32(wide[29:], crc32.ChecksumIEEE(wide[12:29]))
	dir := put(t, map[string][]byte{"a.png": pngOf(t, 2, 2), "wide/w.png": wide})
	ok := nchw(tensor.Float32, -1, 3, 8, 8)
	for _, c := range []struct {
		path string
		typ  onnx.Type
		f    func(*Options)
		want string
	}{
		{"a.png", ok, func(o *Options) { o.Preprocess = "imgnet" }, `no preprocessing "imgnet": want imagenet, crop, unit, none`},
		{"a.png", ok, func(o *Options) { o.Layout = "CHWN" }, `layout "CHWN": want NCHW or NHWC`},
		{"a.png", ok, func(o *Options) { o.Layout = "NHWC" }, "no dimension is 1, 3 or 4 channels"},
		{"a.png", ok, func(o *Options) { o.Size = maxSide + 1 }, ""},
		{"a.png", nchw(tensor.Float32, -1, 3, -1, -1), func(o *Options) { o.Size = maxSide + 1 }, "pixels each way"},
		{"a.png", nchw(tensor.Float32, -1, 1, 8, 8), func(o *Options) { o.Preprocess = "imagenet" }, "for 3 channels"},
		{"a.png", nchw(tensor.Uint8, -1, 3, 8, 8), func(o *Options) { o.Preprocess = "unit" }, "for inputs of floats"},
		{"a.png", nchw(tensor.Int64, -1, 3, 8, 8), nil, "an image cannot be int64"},
		{"a.png", nchw(tensor.Float32, 4, 3, 8, 8), func(o *Options) { o.BatchSize = 3 }, "want 4"},
		{"wide/w.png", ok, nil, "65535 × 2 pixels"},
	} {
		o := inputs("x", c.typ)
		if c.f != nil {
			c.f(&o)
		}
		err := readErr(filepath.Join(dir, filepath.FromSlash(c.path)), o)
		if c.want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, c.want)
		require.ErrorContains(t, err, filepath.Base(c.path))
	}
	require.Equal(t, []string{"imagenet", "crop", "unit", "none"}, Preprocessing())
}
