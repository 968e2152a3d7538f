package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	"image/png"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
)

const (
	sheetImages = 24
	thumbSide   = 96 // pixels
)

// sheetImage is an image with what the model takes it for.
type sheetImage struct {
	Src           template.URL
	File          string
	Target, Guess int
}

// Right reports whether the model is right.
func (s sheetImage) Right() bool { return s.Target == s.Guess }

// sheet returns some of all, which are samples of d, evenly spread; nil where these are no images.
func sheet(ctx context.Context, d train.Dataset, all []example) ([]sheetImage, error) {
	if len(all) == 0 || fileOf(d, all[0].Index) == "" {
		return nil, nil
	}
	typ := onnx.TensorType(tensor.Uint8, onnx.Size(1), onnx.Size(thumbSide), onnx.Size(thumbSide), onnx.Size(3))
	reader, err := data.NewImages(data.Options{Inputs: []data.Input{{Name: "thumbnail", Type: typ}}, Layout: "NHWC"}, 0)
	if err != nil {
		return nil, err
	}
	var out []sheetImage
	n := min(sheetImages, len(all))
	for i := range n {
		e := all[i*len(all)/n]
		file := fileOf(d, e.Index)
		x, err := reader.Read(ctx, []string{file})
		if err != nil {
			return nil, err
		}
		src, err := pngURL(x)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		out = append(out, sheetImage{src, file, e.Target, e.Guess})
	}
	return out, nil
}

// pngURL returns the first image of x, uint8 [N, H, W, 3], as a PNG in a data URL.
func pngURL(x *tensor.Tensor) (template.URL, error) {
	h, w := x.Dim(1), x.Dim(2)
	pix := tensor.Data[uint8](x)
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range h * w {
		copy(img.Pix[4*i:], append(pix[3*i:3*i+3:3*i+3], 255))
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return "", err
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())), nil
}
