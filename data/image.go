package data

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/gif" // the formats of images
	_ "image/jpeg"
	_ "image/png"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"golang.org/x/image/draw"

	"github.com/gneiss-run/gneiss/internal/jpeg"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

const (
	maxSide   = 1 << 14 // pixels of an image's width and height
	maxPixels = 1 << 27 // of an image
)

func isImage(ext string) bool {
	return slices.Contains([]string{".png", ".jpg", ".jpeg", ".gif"}, ext)
}

// Preprocessing lists what may become of images (Options.Preprocess):
//
//   - "imagenet": the shorter side is brought to 256/224 of the input's size, the
//     centre is cut out, values are divided by 255, and mean and standard
//     deviation of ImageNet's channels are taken out, as torchvision's models
//     expect; for inputs of floats with 3 channels
//   - "crop": the centre is cut out as for "imagenet", values from 0 to 1; for floats
//   - "unit": stretched to the input's size, values from 0 to 1; for floats
//   - "none": stretched to the input's size, values from 0 to 255
//
// Sizes are changed bilinearly, with antialiasing when they shrink.
func Preprocessing() []string { return []string{"imagenet", "crop", "unit", "none"} }

// ImageNet returns mean and standard deviation of the channels of ImageNet, from 0 to 1,
// which "imagenet" takes out.
func ImageNet() (mean, std []float64) {
	return []float64{0.485, 0.456, 0.406}, []float64{0.229, 0.224, 0.225}
}

// imagePlan is what becomes of images for one input.
type imagePlan struct {
	typ      onnx.Type
	dtype    tensor.DType
	channels int
	h, w     int // 0: as the image is
	first    bool
	batched  bool // there is a first dimension for the number of images
	crop     bool
	values   [4][256]float32 // what a byte means, by channel
}

// planImages finds out what an input of type typ wants of images.
func planImages(typ onnx.Type, o *Options) (*imagePlan, error) {
	p := &imagePlan{typ: typ, dtype: typ.DType}
	dims := typ.Dims
	if p.batched = len(dims) == 4; p.batched {
		dims = dims[1:]
	}
	if typ.Kind != onnx.TensorKind || len(dims) != 3 {
		return nil, fmt.Errorf("an image cannot be an input of type %v: want [N,C,H,W] or [N,H,W,C]", typ)
	}
	channels := func(d onnx.Dim) int {
		n, ok := d.Size()
		if !ok && o.Layout != "" {
			return 3
		}
		if n == 1 || n == 3 || n == 4 {
			return n
		}
		return 0
	}
	first, last := channels(dims[0]), channels(dims[2])
	switch o.Layout {
	case "NCHW":
		last = 0
	case "NHWC":
		first = 0
	case "":
	default:
		return nil, fmt.Errorf("layout %q: want NCHW or NHWC", o.Layout)
	}
	hd, wd := dims[0], dims[1]
	if p.first, p.channels = first > 0, last; p.first {
		p.channels, hd, wd = first, dims[1], dims[2]
	}
	if p.channels == 0 {
		return nil, fmt.Errorf("an image cannot be an input of type %v: no dimension is 1, 3 or 4 channels", typ)
	}
	mode := o.Preprocess
	switch p.dtype {
	case tensor.Float32, tensor.Float16:
		if mode == "" {
			mode = "unit"
		}
	case tensor.Uint8:
		if mode == "" {
			mode = "none"
		}
		if mode != "none" {
			return nil, fmt.Errorf("preprocessing %q is for inputs of floats, the input is %v: want \"none\"", mode, typ)
		}
	default:
		return nil, fmt.Errorf("an image cannot be %v: want uint8, float32 or float16", p.dtype)
	}
	size := o.Size
	switch mode {
	case "imagenet", "crop":
		if p.channels != 3 && mode == "imagenet" {
			return nil, fmt.Errorf("preprocessing \"imagenet\" is for 3 channels, the input is %v", typ)
		}
		if p.crop = true; size == 0 {
			size = 224
		}
	case "unit", "none":
	default:
		return nil, fmt.Errorf("there is no preprocessing %q: want %s", mode, strings.Join(Preprocessing(), ", "))
	}
	var ok bool
	if p.h, ok = hd.Size(); !ok {
		p.h = size
	}
	if p.w, ok = wd.Size(); !ok {
		p.w = size
	}
	if p.h < 0 || p.w < 0 || p.h > maxSide || p.w > maxSide || hd.Is(0) || wd.Is(0) {
		return nil, fmt.Errorf("an image cannot be an input of type %v: want 1 to %d pixels each way", typ, maxSide)
	}
	mean, std := ImageNet()
	for k := range p.values {
		for b := range p.values[k] {
			v := float64(b)
			switch mode {
			case "unit", "crop":
				v = float64(float32(b) / 255)
			case "imagenet":
				v = (v/255 - mean[k%3]) / std[k%3]
			}
			p.values[k][b] = float32(v)
		}
	}
	return p, nil
}

// DecodeImage decodes a PNG, JPEG or GIF file of at most 2²⁷ pixels as files are read for models: JPEG to the pixels of
// libjpeg-turbo, and upright, unless orientation (see Options) is "stored". Its errors do not name the file.
func DecodeImage(b []byte, orientation string) (image.Image, error) {
	stored, err := (&Options{Orientation: orientation}).stored()
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	img, err := decode(bytes.NewReader(b), stored)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	return img, nil
}

// decode reads an image, after a look at its size. Of a JPEG file it is upright, unless stored has it as it is stored.
func decode(r io.ReadSeeker, stored bool) (image.Image, error) {
	config, format, unread := image.DecodeConfig(r)
	if unread != nil {
		unread = fmt.Errorf("it is no image that is read here: %w", unread)
		if format != "jpeg" {
			return nil, unread
		}
	} else if err := readable(config.Width, config.Height); err != nil {
		return nil, err
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	if format != "jpeg" {
		img, _, err := image.Decode(r)
		return img, err
	}
	b, err := io.ReadAll(io.LimitReader(r, maxFile))
	if err != nil {
		return nil, err
	}
	o := 1
	if !stored {
		o = jpeg.Orientation(b)
	}
	// The pixels of libjpeg-turbo, which other libraries read with; it reads kinds that the standard library does not.
	if im, err := jpeg.Decode(b, maxPixels); err == nil {
		if err := readable(im.Width, im.Height); err != nil {
			return nil, err
		}
		return orient(pixels(im), o), nil
	}
	if unread != nil {
		return nil, unread
	}
	img, _, err := image.Decode(bytes.NewReader(b)) // of a kind that only the standard library reads, or damaged
	if err != nil {
		return nil, err
	}
	return orient(img, o), nil
}

// readable reports sizes that are not read.
func readable(w, h int) error {
	switch {
	case w > maxSide || h > maxSide:
		return fmt.Errorf("%d × %d pixels, at most %d × %d are read", w, h, maxSide, maxSide)
	case w*h > maxPixels:
		return fmt.Errorf("%d × %d pixels, at most %d are read", w, h, maxPixels)
	case w < 1 || h < 1:
		return errors.New("the image is empty")
	}
	return nil
}

// pixels returns im as an image of the standard library.
func pixels(im *jpeg.Image) image.Image {
	size := image.Rect(0, 0, im.Width, im.Height)
	if im.Channels == 1 {
		return &image.Gray{Pix: im.Pix, Stride: im.Width, Rect: size}
	}
	out := image.NewRGBA(size)
	for i := range im.Width * im.Height {
		copy(out.Pix[4*i:], im.Pix[3*i:3*i+3])
		out.Pix[4*i+3] = 255
	}
	return out
}

// fit brings img to the size that p wants.
func (p *imagePlan) fit(img image.Image) *image.NRGBA {
	from := img.Bounds()
	h, w := p.h, p.w
	if h == 0 {
		h = from.Dy()
	}
	if w == 0 {
		w = from.Dx()
	}
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	to := out.Bounds()
	if p.crop {
		// What is far from the centre of a long image is not seen, and would make
		// the scaled image as large as one likes.
		if most := 4 * from.Dy(); from.Dx() > most {
			from.Min.X += (from.Dx() - most) / 2
			from.Max.X = from.Min.X + most
		}
		if most := 4 * from.Dx(); from.Dy() > most {
			from.Min.Y += (from.Dy() - most) / 2
			from.Max.Y = from.Min.Y + most
		}
		short := int(math.Round(float64(max(h, w)) * 256 / 224))
		sw, sh := short, short
		if from.Dx() > from.Dy() {
			sw = short * from.Dx() / from.Dy()
		} else {
			sh = short * from.Dy() / from.Dx()
		}
		at := image.Pt(int(math.RoundToEven(float64(sw-w)/2)), int(math.RoundToEven(float64(sh-h)/2)))
		to = image.Rect(0, 0, sw, sh).Sub(at)
	}
	if o, ok := img.(interface{ Opaque() bool }); ok && o.Opaque() {
		// Without transparency the bytes are the same, and faster to get at. What has more bits or is in
		// another space of colours becomes bytes first, as a model that takes bytes gets it.
		switch img.(type) {
		case *image.RGBA, *image.NRGBA, *image.Gray, *image.Paletted:
		default:
			plain := image.NewRGBA(from)
			draw.Draw(plain, from, img, from.Min, draw.Src)
			img = plain
		}
		draw.BiLinear.Scale(&image.RGBA{Pix: out.Pix, Stride: out.Stride, Rect: out.Rect}, to, img, from, draw.Src, nil)
		return out
	}
	draw.BiLinear.Scale(out, to, img, from, draw.Src, nil)
	return out
}

// put writes img as image i of t.
func (p *imagePlan) put(t *tensor.Tensor, i int, img *image.NRGBA) {
	w, h, c := img.Rect.Dx(), img.Rect.Dy(), p.channels
	base := i * h * w * c
	set := func(at, _ int, x byte) { tensor.Data[uint8](t)[at] = x }
	switch p.dtype {
	case tensor.Float32:
		d := tensor.Data[float32](t)
		set = func(at, k int, x byte) { d[at] = p.values[k][x] }
	case tensor.Float16:
		d := tensor.Data[tensor.F16](t)
		set = func(at, k int, x byte) { d[at] = tensor.F16Of(p.values[k][x]) }
	}
	for y := range h {
		for x := range w {
			pix := img.Pix[img.PixOffset(x, y):]
			for k := range c {
				v := pix[k]
				if c == 1 { // luma, as in ITU-R BT.601
					v = byte((299*int(pix[0]) + 587*int(pix[1]) + 114*int(pix[2]) + 500) / 1000)
				}
				at := (y*w+x)*c + k
				if p.first {
					at = (k*h+y)*w + x
				}
				set(base+at, k, v)
			}
		}
	}
}

// make returns a tensor for n images of height h and width w.
func (p *imagePlan) make(n, h, w int) (*tensor.Tensor, error) {
	shape := []int{h, w, p.channels}
	if p.first {
		shape = []int{p.channels, h, w}
	}
	if p.batched {
		shape = append([]int{n}, shape...)
	}
	if size, err := tensor.ByteSize(p.dtype, shape); err != nil {
		return nil, err
	} else if int64(size) > maxFile {
		return nil, fmt.Errorf("a batch of %d images of %d × %d pixels is %d bytes, at most %d are made", n, w, h, size, int64(maxFile))
	}
	return tensor.New(p.dtype, shape...), nil
}

// readImage reads one image for an input of type typ.
func readImage(r io.ReadSeeker, typ onnx.Type, o *Options) (*tensor.Tensor, error) {
	p, err := planImages(typ, o)
	if err != nil {
		return nil, err
	}
	if n, ok := typ.Dims[0].Size(); p.batched && ok && n != 1 {
		return nil, fmt.Errorf("an image is a batch of 1, the input is %v", typ)
	}
	stored, err := o.stored()
	if err != nil {
		return nil, err
	}
	img, err := decode(r, stored)
	if err != nil {
		return nil, err
	}
	pix := p.fit(img)
	t, err := p.make(1, pix.Rect.Dy(), pix.Rect.Dx())
	if err == nil {
		p.put(t, 0, pix)
	}
	return t, err
}

// pictures reads batches of images.
type pictures struct {
	plan   *imagePlan
	input  string
	batch  int
	fixed  bool // the model takes no smaller ones
	stored bool // files' orientation is left alone
	kept   *keptImages
}

func newPictures(o *Options) (*pictures, error) {
	in, err := o.single("an image")
	if err != nil {
		return nil, err
	}
	plan, err := planImages(in.Type, o)
	if err != nil {
		return nil, err
	}
	p := &pictures{plan: plan, input: in.Name, batch: max(o.BatchSize, 1)}
	if p.stored, err = o.stored(); err != nil {
		return nil, err
	}
	n, fixed := 1, true
	if plan.batched {
		n, fixed = in.Type.Dims[0].Size()
	}
	if p.fixed = fixed; fixed {
		if n < 1 || o.BatchSize > 0 && o.BatchSize != n {
			return nil, fmt.Errorf("batches of %d images for an input %v: want %d", o.BatchSize, in.Type, n)
		}
		p.batch = n
	}
	return p, nil
}

// read reads a batch.
func (p *pictures) read(ctx context.Context, paths []string) (Batch, error) {
	b := Batch{Name: paths[0], Files: paths}
	if n := len(paths); n > 1 {
		b.Name += " to " + paths[n-1]
	}
	var t *tensor.Tensor
	var h, w int
	for i, path := range paths {
		if err := ctx.Err(); err != nil {
			return Batch{}, err
		}
		pix, err := p.open(path)
		if err != nil {
			return Batch{}, fmt.Errorf("data: %s: %w", path, err)
		}
		if i == 0 {
			h, w = pix.Rect.Dy(), pix.Rect.Dx()
			if t, err = p.plan.make(len(paths), h, w); err != nil {
				return Batch{}, fmt.Errorf("data: %s: %w", path, err)
			}
		}
		if pix.Rect.Dy() != h || pix.Rect.Dx() != w {
			return Batch{}, fmt.Errorf("data: %s: %d × %d pixels, but %s of the same batch has %d × %d: give a size, or batches of 1", path, pix.Rect.Dx(), pix.Rect.Dy(), paths[0], w, h)
		}
		p.plan.put(t, i, pix)
	}
	b.Inputs = map[string]*tensor.Tensor{p.input: t}
	return b, nil
}

func (p *pictures) open(path string) (*image.NRGBA, error) {
	if img := p.kept.get(path); img != nil {
		return img, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := sizeOf(f); err != nil {
		return nil, err
	}
	img, err := decode(f, p.stored)
	if err != nil {
		return nil, err
	}
	fit := p.plan.fit(img)
	p.kept.put(path, fit)
	return fit, nil
}
