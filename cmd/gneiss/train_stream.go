package main

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
)

// streamBatch is how many rows of a table a stream reads at once.
const streamBatch = 256

// streamConfig asks for training on samples that are read one after the other: true, or a
// mapping with the samples that are drawn from.
type streamConfig struct {
	on     bool
	Buffer int `yaml:"buffer"` // where data are shuffled; 0: 8192
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (s *streamConfig) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&s.on)
	}
	s.on = true
	if err := checkKeys(n, "data: stream", keysOf(s)); err != nil {
		return err
	}
	type plain streamConfig
	if err := n.Decode((*plain)(s)); err != nil {
		return err
	}
	if s.Buffer < 1 {
		return fmt.Errorf("line %d: data: stream: buffer is %d, want at least 1", n.Line, s.Buffer)
	}
	return nil
}

// checkStream reports what a stream cannot do.
func (c *trainConfig) checkStream() error {
	d := &c.Data
	switch {
	case !d.Stream.on || c.pictured(): // whose settings are checked with the images
		return nil
	case d.Train.arrays != nil:
		return fmt.Errorf("data: stream: arrays by name are held in memory: give .npz files, JSON lines or tables")
	case d.Tokenizer != "" && d.MaxLength == 0:
		return fmt.Errorf("data: stream: max_length is missing: what all texts are padded to")
	}
	return nil
}

// openPart returns the source of a part of the training samples, 0 to train on and 1 held for validation, with what
// want names; nil: all. targets says that want names these alone.
func (c *trainConfig) openPart(ctx context.Context, part int, want []data.Input, targets bool) (data.Source, error) {
	from := c.Data.Train
	var src data.Source
	var err error
	switch {
	case c.prep != nil:
		return fittedSource{c.prep.Source(c.table, c.training), want, c}, nil
	case targets && from.tables():
		src, err = c.openTargets(want)
	case c.tokens != nil:
		src, err = c.tokens.source(from, want, streamBatch, c.Data.MaxLength)
	default:
		src, err = openSamples(from, want, streamBatch, c.labels)
	}
	if err != nil {
		return nil, err
	}
	if c.division.given() {
		src = data.Select(src, func(i int) bool { return c.division.held(i) == (part == 1) })
	}
	return fittedSource{src, want, c}, nil
}

// head returns the first samples of the stream.
func (c *trainConfig) head(ctx context.Context, want []data.Input) (train.Arrays, error) {
	src, err := c.openPart(ctx, 0, want, false)
	if err != nil {
		return nil, err
	}
	return c.collected(ctx, data.First(src, 1), "train on")
}

// heldSamples reads the samples that a stream holds for validation.
func (c *trainConfig) heldSamples(ctx context.Context, want []data.Input) (train.Arrays, error) {
	src, err := c.openPart(ctx, 1, want, false)
	if err != nil {
		return nil, err
	}
	return c.collected(ctx, src, "validate on")
}

// collected reads all of src, which must have something.
func (c *trainConfig) collected(ctx context.Context, src data.Source, what string) (train.Arrays, error) {
	for b, err := range data.First(src, 1).Batches(ctx) {
		if err != nil {
			return nil, err
		}
		if len(b.Inputs) > 0 {
			return train.Collect(ctx, src)
		}
	}
	return nil, fmt.Errorf("%v: %s leaves no sample to %s", c.Data.Train, c.division.key(), what)
}

// feed returns what trains on the stream.
func (c *trainConfig) feed(ctx context.Context, augment augmentation) (*train.Stream, error) {
	if teach, change := c.lesson, augment; teach != nil { // which sees the samples as they are
		augment = teach
		if change != nil {
			augment = func(ctx context.Context, b map[string]*tensor.Tensor, epoch int, index []int) (map[string]*tensor.Tensor, error) {
				b, err := teach(ctx, b, epoch, index)
				if err != nil {
					return nil, err
				}
				return change(ctx, b, epoch, index)
			}
		}
	}
	o := train.StreamOptions{BatchSize: c.Data.BatchSize, Buffer: c.Data.Stream.Buffer, Seed: c.Seed, DropLast: c.Data.DropLast, Augment: augment, Prefetch: c.Data.Prefetch}
	if !c.Data.Shuffle {
		o.Buffer = 1
	}
	s, err := train.NewStream(ctx, c.source, o)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", c.Data.Train, err)
	}
	return s, nil
}

// fittedSource is a source whose batches are made what is wanted, as fitted does it.
type fittedSource struct {
	data.Source
	want []data.Input // nil: all, as it is
	c    *trainConfig
}

func (s fittedSource) Batches(ctx context.Context) iter.Seq2[data.Batch, error] {
	return func(yield func(data.Batch, error) bool) {
		for b, err := range s.Source.Batches(ctx) {
			if err == nil && s.want != nil {
				if b.Inputs, err = fitted(b.Name, b.Inputs, s.want); err == nil {
					err = s.c.checkTargets(b.Place, b.Inputs)
				}
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// openSamples opens files or folders of samples, one after the other. want is what a table's columns are read as;
// files of named tensors, and a folder of .npz files, are read as they are.
func openSamples(from sources, want []data.Input, batch int, l *labels) (data.Source, error) {
	return from.open(func(path string) (data.Source, error) { return openSample(path, want, batch, l) })
}

func openSample(path string, want []data.Input, batch int, l *labels) (data.Source, error) {
	o := data.Options{}
	parts, err := filepath.Glob(filepath.Join(path, "*.npz"))
	switch ext := filepath.Ext(path); {
	case ext == ".npz" || err == nil && len(parts) > 0:
	case want == nil && ext != ".jsonl": // whose fields say what they are
		return nil, fmt.Errorf("%s: a model that is built needs its samples in a .npz file, a table or arrays by name", path)
	default:
		o.Inputs, o.BatchSize = l.wants(want), batch
		if want == nil && l != nil && l.classes != nil {
			o.Ignore = []string{l.name} // text, where all else is numbers
		}
	}
	src, err := data.Open(path, o)
	if err != nil {
		return nil, err
	}
	return l.of(src), nil
}

// tokenSource is a source of tables whose texts become token inputs, batch by batch.
type tokenSource struct {
	data.Source
	r      *textReader
	length int             // of all texts; 0: of the longest of the batch
	needed map[string]bool // token inputs
}

func (s tokenSource) Batches(ctx context.Context) iter.Seq2[data.Batch, error] {
	return func(yield func(data.Batch, error) bool) {
		for b, err := range s.Source.Batches(ctx) {
			if err == nil {
				var texts []string
				if texts, err = s.r.take(b); err == nil {
					b.Inputs = maps.Clone(b.Inputs)
					if err = s.r.encode(ctx, texts, s.length, s.needed, b.Inputs); err != nil && ctx.Err() == nil {
						err = fmt.Errorf("%s: column %q: %w", b.Name, s.r.column, err)
					}
				}
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// source reads tables as read does, by batches, without holding them. length is what all texts are
// padded to, where no input says it; 0: the longest of a batch.
func (r *textReader) source(from sources, want []data.Input, batch, length int) (data.Source, error) {
	o, needed, fixed, err := r.plan(from.String(), want)
	if err != nil {
		return nil, err
	}
	if fixed > 0 {
		length = fixed
	}
	r.least = max(r.least, length)
	o.BatchSize, o.Inputs = batch, r.labels.wants(o.Inputs)
	src, err := from.open(func(path string) (data.Source, error) { return data.Open(path, o) })
	if err != nil {
		return nil, err
	}
	return tokenSource{r.labels.of(src), r, length, needed}, nil
}
