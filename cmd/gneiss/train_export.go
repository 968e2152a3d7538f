package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
	"github.com/gneiss-run/gneiss/train/augment"
	"github.com/gneiss-run/gneiss/train/prep"
)

// exportConfig is what the model that is written takes, beside what it was trained on.
type exportConfig struct {
	Pixels string `yaml:"pixels"` // uint8: of images of any size; float32: before they are normalised
	Layout string `yaml:"layout"` // of pixels: NCHW (default) or NHWC
}

// preprocessKey is the metadata that says what is left to do with images, as JSON.
const preprocessKey = "preprocess"

// imageSteps is what becomes of images before they are what a model takes.
type imageSteps struct {
	Images      string               `json:"images"`         // of data.Preprocessing
	Size        []int                `json:"size,omitempty"` // height and width; none: any
	Normalize   []prep.Normalization `json:"normalize,omitempty"`
	Orientation string               `json:"orientation,omitempty"` // of data.Orientations; none: exif
}

var pixelTypes = map[string]tensor.DType{"uint8": tensor.Uint8, "float32": tensor.Float32}

// checkExport reports settings of export that do not go together with others.
func (c *trainConfig) checkExport() error {
	e := c.Export
	if e == nil {
		return nil
	}
	_, ok := pixelTypes[e.Pixels]
	switch {
	case !ok:
		return fmt.Errorf("export: pixels is %q, want uint8 or float32", e.Pixels)
	case e.Layout != "" && e.Layout != "NCHW" && e.Layout != "NHWC":
		return fmt.Errorf("export: layout is %q, want NCHW or NHWC", e.Layout)
	case e.Pixels == "uint8" && !c.pictured():
		return fmt.Errorf("export: pixels: uint8 is for models that are trained on image files; others take float32")
	case c.Model.Name == "vae":
		return fmt.Errorf("export: pixels: what a vae gives back is what it was trained on: leave it out")
	}
	return nil
}

// normalizations are the steps of data.augment that are no augmentation.
func (c *trainConfig) normalizations() ([]prep.Normalization, error) {
	steps, err := c.augmentSteps()
	if err != nil {
		return nil, err
	}
	var out []prep.Normalization
	for _, s := range steps {
		if n, ok := s.(augment.Normalize); ok {
			out = append(out, prep.Normalization(n))
		}
	}
	return out, nil
}

// takePixels puts what is done to images before m, as far as export asks for it, and returns what is
// left to do; nil where the samples are no image files.
func (c *trainConfig) takePixels(m *onnx.Model) (*imageSteps, error) {
	steps, err := c.normalizations()
	if err != nil {
		return nil, err
	}
	p := prep.Image{Preprocess: "none", Normalize: steps}
	var left *imageSteps
	input := c.pixelInput
	if im := c.images; im != nil {
		h, w := im.reader.Size()
		input, p.Preprocess, p.Size = im.input.Name, im.mode, [2]int{h, w}
		left = &imageSteps{Images: im.mode, Size: []int{h, w}, Normalize: steps, Orientation: c.Data.Orientation}
		if im.late { // the steps of data.augment come before it
			left.Normalize = nil
			p.Preprocess, p.Normalize = "crop", append(steps, lateNormalization())
			if len(steps) > 0 {
				left.Images, left.Normalize = "crop", p.Normalize
			}
		}
	}
	if c.Export == nil {
		return left, nil
	}
	if input == "" {
		return nil, fmt.Errorf("export: pixels: there is no input of images: want float32 [batch, channels, height, width]")
	}
	p.Pixels, p.Layout = pixelTypes[c.Export.Pixels], c.Export.Layout
	if err := p.Attach(m, input); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	switch {
	case left == nil:
	case p.Pixels == tensor.Uint8:
		left = &imageSteps{Images: "none", Orientation: left.Orientation}
	default:
		if left.Normalize = nil; left.Images == "imagenet" {
			left.Images = "crop"
		}
	}
	return left, nil
}

// tryExport reports, before hours of training, that the model cannot take what export asks for.
func (c *trainConfig) tryExport(ctx context.Context, tr *train.Trainer) error {
	if c.Export == nil {
		return nil
	}
	m := tr.Model()
	if c.qat == nil {
		var err error
		if m, err = tr.Export(ctx, train.ExportOptions{Opset: c.Opset}); err != nil {
			return err
		}
	}
	_, err := c.takePixels(m)
	return err
}

// stepsOf returns what m's metadata says is to be done with images; nil where it does not.
func stepsOf(m *onnx.Model) (*imageSteps, error) {
	text := metadataOf(m, preprocessKey)
	if text == "" {
		return nil, nil
	}
	s := &imageSteps{}
	if err := json.Unmarshal([]byte(text), s); err != nil || s.Images == "" {
		return nil, fmt.Errorf("metadata %q is %.200q, which gneiss train does not write", preprocessKey, text)
	}
	if len(s.Size) != 0 && len(s.Size) != 2 || slices.ContainsFunc(s.Size, func(n int) bool { return n < 1 }) {
		return nil, fmt.Errorf("metadata %q has size %v, want a height and a width", preprocessKey, s.Size)
	}
	return s, nil
}
