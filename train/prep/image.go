package prep

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// Image is the preprocessing of images, as package data and an augment.Normalize behind it do
// it, as a graph that is put before a model of images, in standard operators.
//
// Bytes are resized and rounded as by package data, up to the roundings of float32: where a value
// lies on the edge between two of the 256 steps, the step can be the other one. Files that are not made of bytes
// (16 bits a channel, transparent ones) and colours for a model of one channel are the caller's to convert.
type Image struct {
	// Pixels is what the model takes then: tensor.Uint8, bytes of images of any size, all of a batch of
	// one; or tensor.Float32, images of the model's size before anything was normalised, from 0 to 1 but
	// for "none".
	Pixels tensor.DType
	// Layout is where they have their channels: "NCHW" (or "") or "NHWC".
	Layout string
	// Preprocess is one of data.Preprocessing, which the model was trained with.
	Preprocess string
	// Size is height and width that the model takes, where its input's type leaves them open.
	Size [2]int
	// Normalize is what follows.
	Normalize []Normalization
}

// Normalization takes the mean out and divides by the standard deviation: one number for all channels
// or one for each.
type Normalization struct {
	Mean []float64 `json:"mean"`
	Std  []float64 `json:"std"`
}

// Attach puts the preprocessing before the input of m, which is float32 of [N, C, H, W] or [N, H, W, C] and
// keeps its name. The opset is 13 or newer.
func (p *Image) Attach(m *onnx.Model, input string) error {
	g := m.Graph
	at := slices.IndexFunc(g.Inputs, func(v *onnx.Value) bool { return v.Name == input })
	if at < 0 {
		return fmt.Errorf("prep: the model has no input %q to put the preprocessing before", input)
	}
	old := g.Inputs[at]
	s, err := p.plan(m, old.Type)
	if err != nil {
		return fmt.Errorf("prep: input %q: %w", input, err)
	}
	dims := []onnx.Dim{old.Type.Dims[0], onnx.Size(s.c), onnx.Size(s.h), onnx.Size(s.w)}
	if p.Pixels == tensor.Uint8 {
		dims[2], dims[3] = onnx.Name("pixel_rows"), onnx.Name("pixel_columns")
	}
	if p.Layout == "NHWC" {
		dims = []onnx.Dim{dims[0], dims[2], dims[3], dims[1]}
	}
	old.Name = g.FreshName("model/" + input)
	v := g.NewValue(input, onnx.TensorType(p.Pixels, dims...))
	g.Inputs[at] = v
	b := ops.NewBuilder(g)
	out := p.build(b, v, s)
	if err := b.Err(); err != nil {
		return fmt.Errorf("prep: input %q: %w", input, err)
	}
	g.Replace(old, out)
	return insert(m, b)
}

// imageShape is what the model takes.
type imageShape struct {
	c, h, w int
	last    bool // channels are
}

// plan reports settings that do not go together, or not with a model that takes typ.
func (p *Image) plan(m *onnx.Model, typ onnx.Type) (s imageShape, err error) {
	if typ.DType != tensor.Float32 || !typ.Ranked || len(typ.Dims) != 4 {
		return s, fmt.Errorf("it is %v, want float32 [N, C, H, W] or [N, H, W, C]", typ)
	}
	colours := func(d onnx.Dim) bool { return d.Is(1) || d.Is(3) }
	d := typ.Dims[1:]
	if s.last = !colours(d[0]); s.last {
		d = []onnx.Dim{d[2], d[0], d[1]}
	}
	sizes := [3]int{0, p.Size[0], p.Size[1]}
	for i, d := range d {
		n, known := d.Size()
		if !known {
			n = sizes[i]
		}
		if sizes[i] > 0 && n != sizes[i] {
			return s, fmt.Errorf("it is %v, and images were brought to %v", typ, p.Size)
		}
		sizes[i] = n
	}
	s.c, s.h, s.w = sizes[0], sizes[1], sizes[2]
	switch opset := m.Opsets[""]; {
	case s.c != 1 && s.c != 3:
		return s, fmt.Errorf("it is %v, want 1 or 3 channels", typ)
	case s.h < 1 || s.w < 1 || s.h > math.MaxInt32 || s.w > math.MaxInt32:
		return s, fmt.Errorf("it is %v: its height and width must be known", typ)
	case p.Pixels != tensor.Uint8 && p.Pixels != tensor.Float32:
		return s, fmt.Errorf("pixels are %v, want uint8 or float32", p.Pixels)
	case p.Layout != "" && p.Layout != "NCHW" && p.Layout != "NHWC":
		return s, fmt.Errorf("layout is %q, want NCHW or NHWC", p.Layout)
	case !slices.Contains(data.Preprocessing(), p.Preprocess):
		return s, fmt.Errorf("there is no preprocessing %q, want one of %q", p.Preprocess, data.Preprocessing())
	case p.Preprocess == "imagenet" && s.c != 3:
		return s, fmt.Errorf("preprocessing imagenet is for 3 channels, it is %v", typ)
	case opset < 13:
		return s, fmt.Errorf("the model is of opset %d, want 13 or newer", opset)
	}
	for _, n := range p.Normalize {
		for _, v := range [][]float64{n.Mean, n.Std} {
			if len(v) != 1 && len(v) != s.c {
				return s, fmt.Errorf("%d means and %d standard deviations, want 1 or %d of each", len(n.Mean), len(n.Std), s.c)
			}
		}
		if slices.ContainsFunc(n.Std, func(v float64) bool { return !(v > 0) || math.IsInf(v, 0) }) {
			return s, fmt.Errorf("standard deviations are %v, want numbers above 0", n.Std)
		}
	}
	return s, nil
}

// build adds the nodes from the pixels to what the model takes.
func (p *Image) build(b *ops.Builder, x *onnx.Value, s imageShape) *onnx.Value {
	turn := func(x *onnx.Value, perm ...int64) *onnx.Value {
		return b.Op("Transpose", onnx.NewAttrs("perm", perm), x)
	}
	if p.Layout == "NHWC" {
		x = turn(x, 0, 3, 1, 2)
	}
	normalize := p.Normalize
	if p.Preprocess == "imagenet" {
		mean, std := data.ImageNet()
		normalize = append([]Normalization{{mean, std}}, normalize...)
	}
	if p.Pixels == tensor.Uint8 {
		x = scale(b, x, s, p.Preprocess == "imagenet" || p.Preprocess == "crop")
		// Package data rounds so: to 16 bits, of which it takes the upper 8.
		x = b.Op("Floor", nil, b.Op("Add", nil, b.Op("Mul", nil, x, b.Float(tensor.Float32, 257.0/256)), b.Float(tensor.Float32, 0.5/256)))
		if p.Preprocess != "none" {
			x = b.Op("Div", nil, x, b.Float(tensor.Float32, 255))
		}
	}
	for _, n := range normalize {
		channels := func(v []float64) *onnx.Value {
			f := make([]float32, s.c)
			for c := range f {
				f[c] = float32(v[min(c, len(v)-1)])
			}
			return b.Const(tensor.Of(f, 1, s.c, 1, 1))
		}
		x = b.Op("Div", nil, b.Op("Sub", nil, x, channels(n.Mean)), channels(n.Std))
	}
	if s.last {
		x = turn(x, 0, 2, 3, 1)
	}
	return x
}

// scale brings bytes [N, C, H, W] to the size that the model takes, bilinearly, with antialiasing where they
// shrink. To crop is to bring the shorter side to 256/224 of that and to cut the size out of the
// middle, as package data does, which looks at 4:1 of longer images.
//
// It is a product with a matrix of weights for each side, of which those outside of the image are left
// out: Resize repeats the pixels at the edges when it has antialias, which moves values near them, and only opsets
// from 18 on have it.
func scale(b *ops.Builder, x *onnx.Value, s imageShape, crop bool) *onnx.Value {
	shape := b.Op("Shape", nil, x)
	sides := [2]*onnx.Value{b.Op("Gather", nil, shape, b.Ints(2)), b.Op("Gather", nil, shape, b.Ints(3))}
	want := [2]int{s.h, s.w}
	scaled, from := [2]*onnx.Value{b.Ints(s.h), b.Ints(s.w)}, [2]*onnx.Value{b.Ints(0), b.Ints(0)}
	if crop {
		var start, end [2]*onnx.Value
		whole := sides
		for i := range 2 {
			sides[i] = b.Op("Min", nil, whole[i], b.Op("Mul", nil, whole[1-i], b.Ints(4)))
			start[i] = b.Op("Div", nil, b.Op("Sub", nil, whole[i], sides[i]), b.Ints(2))
			end[i] = b.Op("Add", nil, start[i], sides[i])
		}
		pair := func(v [2]*onnx.Value) *onnx.Value { return b.Op("Concat", onnx.NewAttrs("axis", int64(0)), v[0], v[1]) }
		x = b.Op("Slice", nil, x, pair(start), pair(end), b.Ints(2, 3))
		short := b.Ints(int(math.Round(float64(max(s.h, s.w)) * 256 / 224)))
		for i := range 2 {
			scaled[i] = b.Op("Max", nil, short, b.Op("Div", nil, b.Op("Mul", nil, short, sides[i]), sides[1-i]))
			left := cast(b, b.Op("Sub", nil, scaled[i], b.Ints(want[i])), tensor.Float32)
			from[i] = cast(b, b.Op("Round", nil, b.Op("Mul", nil, left, b.Float(tensor.Float32, 0.5))), tensor.Int64)
		}
	}
	across := b.Op("Transpose", onnx.NewAttrs("perm", []int64{1, 0}), weights(b, sides[1], scaled[1], from[1], s.w))
	x = b.Op("MatMul", nil, cast(b, x, tensor.Float32), across)
	return b.Op("MatMul", nil, weights(b, sides[0], scaled[0], from[0], s.h), x)
}

func cast(b *ops.Builder, x *onnx.Value, d tensor.DType) *onnx.Value {
	return b.Op("Cast", onnx.NewAttrs("to", int64(d)), x)
}

// weights returns what each of n pixels contributes to pixels number from to from+size of m, float32
// [size, n]: a triangle around the place of the pixel, as wide as pixels are apart there. n, m and from are int64 [1].
// Float32 would not tell places in large images well enough.
func weights(b *ops.Builder, n, m, from *onnx.Value, size int) *onnx.Value {
	d := tensor.Float64
	middles := make([]float64, size)
	for i := range middles {
		middles[i] = float64(i) + 0.5
	}
	count := cast(b, n, d)
	apart := b.Op("Div", nil, count, cast(b, m, d))
	place := b.Op("Mul", nil, b.Op("Add", nil, b.Const(tensor.Of(middles, size, 1)), cast(b, from, d)), apart)
	pixels := b.Op("Range", nil, b.Float(d, 0), b.Op("Squeeze", nil, count, b.Ints(0)), b.Float(d, 1))
	off := b.Op("Abs", nil, b.Op("Sub", nil, b.Op("Sub", nil, place, b.Float(d, 0.5)), pixels))
	one := b.Float(d, 1)
	w := b.Op("Max", nil, b.Op("Sub", nil, one, b.Op("Div", nil, off, b.Op("Max", nil, apart, one))), b.Float(d, 0))
	return cast(b, b.Op("Div", nil, w, b.Op("ReduceSum", onnx.NewAttrs("keepdims", int64(1)), w, b.Ints(1))), tensor.Float32)
}
