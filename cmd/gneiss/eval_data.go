package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
	"github.com/gneiss-run/gneiss/train/augment"
)

// evalData is what a model is evaluated on.
type evalData struct {
	model, file        string
	target             targetConfig
	batch              int
	images, preprocess string // of image files
	orientation        string // of these
	tokenizer, text    string // of text
	limit              int    // tokens of a text
}

// evalBatches yields samples by batches.
type evalBatches = iter.Seq2[map[string]*tensor.Tensor, error]

// pictures reports whether the samples are image files.
func (e *evalData) pictures() bool { return e.images != "" || isClassFolder(e.file) }

// open returns the samples by batches, and how many there are of these. It tells w what is odd.
func (e *evalData) open(ctx context.Context, w io.Writer, m *onnx.Model) (evalBatches, int, error) {
	switch {
	case e.pictures():
		return e.openImages(ctx, m)
	case data.IsTable(e.file):
		return e.openTable(ctx, w, m)
	case metadataOf(m, preprocessKey) != "" && isImageFolder(e.file):
		return nil, 0, fmt.Errorf("%s: the model takes images, and these have no classes: want a folder with a folder for each class, or a table that names the images, with --images FOLDER", e.file)
	}
	return e.openArrays(ctx, m)
}

// isImageFolder reports whether path is a folder whose files are images.
func isImageFolder(path string) bool {
	entries, err := os.ReadDir(path)
	return err == nil && slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return slices.Contains([]string{".png", ".jpg", ".jpeg", ".gif"}, strings.ToLower(filepath.Ext(e.Name())))
	})
}

// openArrays reads files of named tensors, and what else readSamples reads.
func (e *evalData) openArrays(ctx context.Context, m *onnx.Model) (evalBatches, int, error) {
	want := data.InputsOf(m)
	l := e.labels(nil)
	samples, err := readSamples(ctx, sources{paths: []string{e.file}}, append(slices.Clone(want), data.Input{Name: l.name, Type: onnx.UnrankedType(tensor.Float32)}), l)
	if err != nil {
		return nil, 0, err
	}
	if samples[l.name] == nil {
		return nil, 0, fmt.Errorf("%s has no %s: it has %s", e.file, quotedList(e.target.all()), strings.Join(slices.Sorted(maps.Keys(samples)), ", "))
	}
	inputs, err := fitted(e.file, samples, want)
	if err != nil {
		return nil, 0, err
	}
	if inputs[l.name] == nil {
		inputs[l.name] = samples[l.name]
	}
	loader := &train.Loader{Dataset: inputs, BatchSize: e.batch}
	return loader.Epoch(ctx, 0, 0), loader.Len(), nil
}

// namedClasses are the classes that m's metadata names; nil where it does not, or is somebody else's.
func namedClasses(m *onnx.Model) (names []string) {
	if json.Unmarshal([]byte(metadataOf(m, classesKey)), &names) != nil {
		return nil
	}
	return names
}

// namedTargets are the columns that m's metadata says it predicts; nil where it does not.
func namedTargets(m *onnx.Model) (names []string) {
	if json.Unmarshal([]byte(metadataOf(m, targetsKey)), &names) != nil {
		return nil
	}
	return names
}

// labels says how the truth becomes a tensor, for a model of classes.
func (e *evalData) labels(classes []string) *labels {
	l := &labels{name: e.target.tensor(), columns: e.target.columns}
	if l.columns == nil {
		l.classes = classes
	}
	return l
}

// openTable reads a table, which may be larger than memory, hold text, and miss numbers; its classes are
// those that the model's metadata names.
func (e *evalData) openTable(ctx context.Context, w io.Writer, m *onnx.Model) (evalBatches, int, error) {
	want := data.InputsOf(m)
	l := e.labels(namedClasses(m))
	if slices.ContainsFunc(want, func(in data.Input) bool { return in.Name == l.name }) {
		l = nil // what goes in is the truth
	} else {
		want = append(want, data.Input{Name: l.name, Type: onnx.UnrankedType(tensor.Float32)})
	}
	text, err := e.textReader(w, m)
	if err != nil {
		return nil, 0, err
	}
	var src data.Source
	if text != nil {
		text.labels = l
		src, err = text.source(sources{paths: []string{e.file}}, want, e.batch, 0)
	} else {
		src, err = data.Open(e.file, data.Options{Inputs: l.wants(want), BatchSize: e.batch, Missing: true})
		if err == nil {
			src = l.of(src)
		}
	}
	if err != nil {
		return nil, 0, err
	}
	return func(yield func(map[string]*tensor.Tensor, error) bool) {
		for b, err := range src.Batches(ctx) {
			if !yield(b.Inputs, err) || err != nil {
				return
			}
		}
	}, src.Len(), nil
}

// textReader makes token inputs of a column as m's metadata and e say; nil where m takes no text.
func (e *evalData) textReader(w io.Writer, m *onnx.Model) (*textReader, error) {
	s, err := textSettingsOf(m)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.model, err)
	}
	name := metadataOf(m, tokenizerKey)
	if s == nil && e.tokenizer == "" && e.text == "" {
		return nil, nil
	}
	c := dataConfig{Tokenizer: e.tokenizer, Text: e.text, MaxLength: e.limit}
	if s != nil {
		c.Inputs = []string{s.Input}
		if c.Text == "" {
			c.Text = s.Column
		}
		if c.MaxLength == 0 {
			c.MaxLength = s.MaxLength
		}
	}
	if c.Tokenizer == "" && name != "" {
		c.Tokenizer = filepath.Join(filepath.Dir(e.model), filepath.Base(name)) // a name from outside
	}
	switch {
	case c.Text == "":
		return nil, usageError("eval: which column is text? give --text COLUMN")
	case c.Tokenizer == "":
		return nil, usageError("eval: text needs a tokenizer: give --tokenizer FILE")
	}
	r, err := newTextReader(&c)
	if err == nil && s != nil {
		r.least = s.Length
	}
	if err != nil {
		if e.tokenizer == "" {
			err = fmt.Errorf("%w; --tokenizer FILE names another", err)
		}
		return nil, err
	}
	if hash := metadataOf(m, tokenizerHashKey); hash != "" && hash != r.hash {
		text := fmt.Sprintf("%s is not the tokenizer that the model was trained with, whose SHA-256 is %.64s", c.Tokenizer, hash)
		if e.tokenizer == "" {
			return nil, fmt.Errorf("%s; --tokenizer FILE names one", text)
		}
		fmt.Fprintf(w, "gneiss: %s\n", text) // it may be the same in another form
	}
	return r, nil
}

// openImages reads image files of class folders, or that a table names, as m's metadata says.
func (e *evalData) openImages(ctx context.Context, m *onnx.Model) (evalBatches, int, error) {
	c := trainConfig{Data: dataConfig{Train: sources{paths: []string{e.file}}, Target: e.target, imageConfig: imageConfig{Images: e.images}}}
	steps, err := stepsOf(m)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", e.model, err)
	}
	if steps == nil {
		steps = &imageSteps{}
	}
	if len(steps.Size) == 2 {
		c.Data.Size = imageSize(steps.Size)
	}
	if c.Data.Preprocess = steps.Images; e.preprocess != "" {
		c.Data.Preprocess, steps.Normalize = e.preprocess, nil
	}
	if c.Data.Orientation = steps.Orientation; e.orientation != "" {
		c.Data.Orientation = e.orientation
	}
	c.Model.Import = e.model
	names := namedClasses(m)
	if e.images != "" && names == nil {
		c.Loss.Name = "mse" // numbers, unless the table has text
	}
	if err := c.findImages(ctx, io.Discard, names); err != nil {
		return nil, 0, err
	}
	if err := c.openImages(m); err != nil {
		return nil, 0, err
	}
	target := c.target()
	set, err := c.images.set(0, target, []data.Input{c.images.input, {Name: target, Type: onnx.UnrankedType(tensor.Float32)}})
	if err != nil {
		return nil, 0, err
	}
	l := &train.Loader{Dataset: set, BatchSize: e.batch}
	if h, w := c.images.reader.Size(); h == 0 || w == 0 {
		l.BatchSize = 1 // each has a size of its own
	}
	var normalize []augment.Step
	for _, n := range steps.Normalize {
		normalize = append(normalize, augment.Normalize(n))
	}
	if normalize != nil {
		l.Augment = (&augment.Pipeline{Input: c.images.input.Name, Steps: normalize}).Augment
	}
	return l.Epoch(ctx, 0, 0), l.Len(), nil
}
