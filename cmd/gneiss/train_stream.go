package main

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/gneiss-run/gneiss/data"
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
	case c.Teacher != nil:
		return fmt.Errorf("data: stream: a teacher needs samples in any order: leave it out")
	case d.Train.arrays != nil:
		return fmt.Errorf("data: stream: arrays by name are held in memory: give .npz files, JSON lines or tables")
	case d.Split > 0 && !d.Validation.given() && !c.tabular():
		return fmt.Errorf("data: stream: split divides samples that are held in memory, and tables of features: give validation")
	case d.Tokenizer != "" && d.MaxLength == 0:
		return fmt.Errorf("data: stream: max_length is missing: what all texts are padded to")
	}
	return nil
}

// openStream returns the source of the training samples, with what want names; nil: all.
func (c *trainConfig) openStream(ctx context.Context, want []data.Input) (data.Source, error) {
	from := c.Data.Train
	path := from.String()
	var src data.Source
	var err error
	switch {
	case c.prep != nil:
		src = c.prep.Source(c.table, c.training)
	case len(from.paths) != 1:
		return nil, fmt.Errorf("%s: several files are read of tables that become features alone", path)
	case c.tokens != nil:
		src, err = c.tokens.source(path, want, streamBatch, c.Data.MaxLength)
	default:
		src, err = openSamples(path, want, streamBatch)
	}
	if err != nil || want == nil {
		return src, err
	}
	return fittedSource{src, want}, nil
}

// head returns the first samples of the stream.
func (c *trainConfig) head(ctx context.Context, want []data.Input) (train.Arrays, error) {
	src, err := c.openStream(ctx, want)
	if err != nil {
		return nil, err
	}
	return train.Collect(ctx, data.First(src, 1))
}

// feed returns what trains on the stream.
func (c *trainConfig) feed(ctx context.Context, augment augmentation) (*train.Stream, error) {
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
	want []data.Input
}

func (s fittedSource) Batches(ctx context.Context) iter.Seq2[data.Batch, error] {
	return func(yield func(data.Batch, error) bool) {
		for b, err := range s.Source.Batches(ctx) {
			if err == nil {
				b.Inputs, err = fitted(b.Name, b.Inputs, s.want)
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// openSamples opens a file or folder of samples. want is what a table's columns are read as; files of
// named tensors, and a folder of .npz files, are read as they are.
func openSamples(path string, want []data.Input, batch int) (data.Source, error) {
	o := data.Options{}
	parts, err := filepath.Glob(filepath.Join(path, "*.npz"))
	switch ext := filepath.Ext(path); {
	case ext == ".npz" || err == nil && len(parts) > 0:
	case want == nil && ext != ".jsonl": // whose fields say what they are
		return nil, fmt.Errorf("%s: a model that is built needs its samples in a .npz file, a table or arrays by name", path)
	default:
		o.Inputs, o.BatchSize = want, batch
	}
	return data.Open(path, o)
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

// source reads a table as read does, by batches, without holding it. length is what all texts are
// padded to, where no input says it; 0: the longest of a batch.
func (r *textReader) source(path string, want []data.Input, batch, length int) (data.Source, error) {
	o, needed, fixed, err := r.plan(path, want)
	if err != nil {
		return nil, err
	}
	if fixed > 0 {
		length = fixed
	}
	r.least = max(r.least, length)
	o.BatchSize = batch
	src, err := data.Open(path, o)
	if err != nil {
		return nil, err
	}
	return tokenSource{src, r, length, needed}, nil
}
