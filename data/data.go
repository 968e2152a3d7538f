// Package data reads samples for models: batches of named tensors from .npz,
// .npy and .pb files, images, tables and folders of these, for calibration,
// evaluation and training.
//
// Open finds out what a path holds. What it returns is a Source, which can be
// read any number of times and keeps one batch in memory:
//
//	src, err := data.Open("calibration/", data.Options{Inputs: data.InputsOf(model), BatchSize: 8})
//	for b, err := range src.Batches(ctx) {
//		…
//	}
//
// Sizes are checked before memory is allocated for them, and every error names
// the file. What the numbers are, NaN included, is not looked at. Further
// formats are added by Register.
package data

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Batch is what a model takes in one run.
type Batch struct {
	// Name says where the samples come from, for messages, such as
	// "photos/cat.jpg" or "table.csv, rows 9 to 16".
	Name string
	// Files are those of the samples, where each is a file of its own; else nil.
	Files []string
	// Table and Row are the file and the number of the first sample's row, from 1, where samples are rows of one.
	Table string
	Row   int
	// Inputs are the tensors, by the names of the model's inputs.
	Inputs map[string]*tensor.Tensor
}

// Place says where sample i of b comes from, for messages.
func (b Batch) Place(i int) string {
	switch {
	case i < len(b.Files):
		return b.Files[i]
	case b.Row > 0:
		return fmt.Sprintf("%s, row %d", b.Table, b.Row+i)
	}
	return fmt.Sprintf("%s: sample %d", b.Name, i+1)
}

// Size returns the number of samples in b: what all inputs that are not scalars
// have as first dimension, and 1 where they differ or there is none.
func (b Batch) Size() int {
	n := -1
	for _, t := range b.Inputs {
		if t.Rank() == 0 {
			continue
		}
		if n >= 0 && n != t.Dim(0) {
			return 1
		}
		n = t.Dim(0)
	}
	if n < 0 {
		return 1
	}
	return n
}

// Values returns the inputs as a session's Run takes them.
func (b Batch) Values() map[string]tensor.Value {
	in := make(map[string]tensor.Value, len(b.Inputs))
	for name, t := range b.Inputs {
		in[name] = t
	}
	return in
}

// Source is a list of batches that can be read again and again. Batches may be
// called by several goroutines at once.
type Source interface {
	// Batches yields all batches, the same ones in the same order each time. An
	// error, ctx's among them, is the last thing that it yields. The tensors of
	// a batch belong to the caller.
	Batches(ctx context.Context) iter.Seq2[Batch, error]
	// Len returns how many batches there are, or -1 where only reading tells.
	Len() int
}

// Input is an input of the model that the data is for.
type Input struct {
	Name string
	Type onnx.Type
}

// InputsOf returns the inputs of m that have no default.
func InputsOf(m *onnx.Model) []Input {
	var in []Input
	for _, v := range m.Graph.Inputs {
		if v.Const == nil && v.Sparse == nil {
			in = append(in, Input{v.Name, v.Type})
		}
	}
	return in
}

// Options say how files become batches. The zero value reads files of named
// tensors as they are.
type Options struct {
	// Inputs are those of the model. Batches must have each of them, with its
	// element type and known sizes; other tensors are left out. Empty: nothing is
	// known of the model, so only files that name their tensors can be read.
	Inputs []Input
	// BatchSize is how many images or rows make a batch; 0: as many as the
	// input's first dimension says, or one. The last batch may be smaller where
	// the model allows it; else what does not fill it is left out.
	BatchSize int
	// Preprocess is what becomes of images: see Preprocessing. "": "unit" for
	// inputs of floats, "none" for integers. Where there are no images it must be "".
	Preprocess string
	// Layout is where images have their channels, "NCHW" or "NHWC". "": what the
	// input's type says.
	Layout string
	// Size is the height and width to which images are brought if the input's type
	// leaves it open; 0: 224 for "imagenet" and "crop", else as they are.
	Size int
	// Orientation is "exif" (or "") for JPEG files to be turned upright as their Exif data say, as viewers show them and
	// PIL.ImageOps.exif_transpose does; "stored" has them as they are stored, as torchvision's ImageFolder reads them.
	Orientation string
	// Columns are the columns of a table that make an input, by the input's
	// name. Nil: columns called like inputs, or, for a model with a single
	// input, all of them.
	Columns map[string][]string
	// Ignore lists columns of a table that are not used, such as that of labels.
	Ignore []string
	// Missing has cells of a table that IsMissing be NaN for inputs of floats; else
	// they are errors.
	Missing bool
}

// Orientations lists what Options.Orientation may be.
func Orientations() []string { return []string{"exif", "stored"} }

// stored reports whether images are read as they are stored.
func (o *Options) stored() (bool, error) {
	if o.Orientation != "" && !slices.Contains(Orientations(), o.Orientation) {
		return false, fmt.Errorf("orientation is %q, want one of %s", o.Orientation, strings.Join(Orientations(), ", "))
	}
	return o.Orientation == "stored", nil
}

// input returns the input called name.
func (o *Options) input(name string) *Input {
	for i := range o.Inputs {
		if o.Inputs[i].Name == name {
			return &o.Inputs[i]
		}
	}
	return nil
}

// single returns the model's only input.
func (o *Options) single(what string) (*Input, error) {
	if len(o.Inputs) != 1 {
		return nil, fmt.Errorf("%s needs a model with a single input; the inputs are %s: give .npz files with an array for each", what, o.names())
	}
	return &o.Inputs[0], nil
}

// names lists the inputs for messages.
func (o *Options) names() string {
	if len(o.Inputs) == 0 {
		return "unknown"
	}
	var names []string
	for _, in := range o.Inputs {
		names = append(names, in.Name)
	}
	return strings.Join(names, ", ")
}

// complete checks that b is what the model takes, and drops what it does not.
func (o *Options) complete(b Batch) error {
	if len(o.Inputs) == 0 {
		return nil
	}
	for name := range b.Inputs {
		if o.input(name) == nil {
			delete(b.Inputs, name)
		}
	}
	for _, in := range o.Inputs {
		t := b.Inputs[in.Name]
		if t == nil {
			return fmt.Errorf("it has nothing for input %q (%v)", in.Name, in.Type)
		}
		if err := Fits(t, in.Type); err != nil {
			return fmt.Errorf("input %q: %w", in.Name, err)
		}
	}
	return nil
}

// Fits reports, with what to do about it, that v cannot be an input of type
// want: another element type, rank or size. Values that are not tensors are
// not looked at.
func Fits(v tensor.Value, want onnx.Type) error {
	t, ok := v.(*tensor.Tensor)
	if !ok || want.Kind != onnx.TensorKind {
		return nil
	}
	if want.DType != tensor.Undefined && t.DType() != want.DType {
		return fmt.Errorf("it holds %v, the input is %v: convert it first, with NumPy by .astype()", t, want)
	}
	if !want.Ranked {
		return nil
	}
	if len(want.Dims) != t.Rank() {
		return fmt.Errorf("it holds %v, the input is %v: give it %d dimensions", t, want, len(want.Dims))
	}
	for i, d := range want.Dims {
		if n, ok := d.Size(); ok && n != t.Dim(i) {
			return fmt.Errorf("it holds %v, the input is %v: dimension %d is %d, want %d", t, want, i, t.Dim(i), n)
		}
	}
	return nil
}

// list is a Source in memory.
type list []Batch

// Of returns a Source of the given batches.
func Of(batches ...Batch) Source { return list(batches) }

func (l list) Len() int { return len(l) }

func (l list) Batches(ctx context.Context) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		for _, b := range l {
			if err := ctx.Err(); err != nil {
				yield(Batch{}, err)
				return
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

// first is the beginning of a Source.
type first struct {
	src Source
	n   int
}

// First returns a Source of the first n batches of src.
func First(src Source, n int) Source { return first{src, max(n, 0)} }

func (f first) Len() int {
	if n := f.src.Len(); n >= 0 {
		return min(n, f.n)
	}
	return -1
}

func (f first) Batches(ctx context.Context) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		left := f.n
		if left == 0 {
			return
		}
		for b, err := range f.src.Batches(ctx) {
			if left--; !yield(b, err) || left == 0 {
				return
			}
		}
	}
}
