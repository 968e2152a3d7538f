package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/build"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
)

// corpus is a text, cut for training.
type corpus struct {
	path       string
	size       int
	vocabulary []byte // by id, ascending
	training   train.Dataset
	validation train.Dataset
}

// mostText bounds what is read.
const mostText = 1 << 28

// readCorpus reads the text of the options.
func readCorpus(o options) (*corpus, error) {
	path := o.text
	if path == "" {
		path = filepath.Join(build.Default.GOROOT, "src", "testdata", "Isaac.Newton-Opticks.txt")
	}
	st, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) && o.text == "" {
		return nil, fmt.Errorf("%w: this Go came without its tests' data; give a text with -text", err)
	}
	if err != nil {
		return nil, err
	}
	if st.Size() > mostText {
		return nil, fmt.Errorf("%s has %d bytes, want at most %d", path, st.Size(), mostText)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	if o.limit > 0 {
		text = text[:min(o.limit, len(text))]
	}
	c := &corpus{path: path, size: len(text), vocabulary: slices.Compact(slices.Sorted(slices.Values(text)))}
	ids := encode(text, c.vocabulary)
	cut := len(ids) - len(ids)/10
	c.training, c.validation = windows{ids[:cut], o.context, max(o.context/2, 1)}, windows{ids[cut:], o.context, o.context}
	if c.training.Len() == 0 || c.validation.Len() == 0 {
		return nil, fmt.Errorf("%s: %d bytes; a tenth has no windows of %d characters", path, c.size, o.context)
	}
	return c, nil
}

// encode returns the ids of text's bytes, -1 for those that vocabulary lacks.
func encode(text, vocabulary []byte) []int64 {
	var id [256]int64
	for i := range id {
		id[i] = -1
	}
	for i, b := range vocabulary {
		id[b] = int64(i)
	}
	out := make([]int64, len(text))
	for i, b := range text {
		out[i] = id[b]
	}
	return out
}

// windows is a train.Dataset of parts of a text, and of what follows each of
// their characters.
//
//	x, target: int64 [batch, length]
type windows struct {
	ids            []int64
	length, stride int
}

// Len implements train.Dataset.
func (w windows) Len() int {
	if len(w.ids) <= w.length {
		return 0
	}
	return (len(w.ids)-w.length-1)/w.stride + 1
}

// Batch implements train.Dataset.
func (w windows) Batch(_ context.Context, index []int) (map[string]*tensor.Tensor, error) {
	x, y := make([]int64, 0, len(index)*w.length), make([]int64, 0, len(index)*w.length)
	for _, i := range index {
		at := i * w.stride
		x, y = append(x, w.ids[at:at+w.length]...), append(y, w.ids[at+1:at+w.length+1]...)
	}
	return map[string]*tensor.Tensor{"x": tensor.Of(x, len(index), w.length), "target": tensor.Of(y, len(index), w.length)}, nil
}

// dump writes the parameters of m by name, "setting/…", and as uint8 the
// characters of all batches, [batches, windows, length+1] each.
func dump(ctx context.Context, o options, m *onnx.Model, training, validation *train.Loader) error {
	var out []tensor.Named
	for _, v := range train.Parameters(m) {
		out = append(out, tensor.Named{Name: v.Name, Tensor: v.Const})
	}
	var batches []uint8
	add := func(l *train.Loader, epoch int) error {
		for b, err := range l.Epoch(ctx, epoch, 0) {
			if err != nil {
				return err
			}
			x, y := tensor.Data[int64](b["x"]), tensor.Data[int64](b["target"])
			for i, id := range x {
				batches = append(batches, uint8(id))
				if (i+1)%o.context == 0 {
					batches = append(batches, uint8(y[i]))
				}
			}
		}
		return nil
	}
	for epoch := range o.epochs {
		if err := add(training, epoch); err != nil {
			return err
		}
	}
	out = append(out, tensor.Named{Name: "train", Tensor: tensor.Of(batches, o.epochs*training.Len(), batchSize, o.context+1)})
	batches = nil
	if err := add(validation, 0); err != nil {
		return err
	}
	out = append(out, tensor.Named{Name: "validation", Tensor: tensor.Of(batches, validation.Dataset.Len(), o.context+1)})
	for name, v := range map[string]float64{"heads": float64(o.heads), "layers": float64(o.layers), "rate": o.rate, "warmup": warmup, "decay": decay,
		"clip": clipNorm, "epochs": float64(o.epochs), "threads": float64(o.threads)} {
		out = append(out, tensor.Named{Name: "setting/" + name, Tensor: tensor.Scalar(v)})
	}
	slices.SortFunc(out, func(a, b tensor.Named) int { return strings.Compare(a.Name, b.Name) })
	var b bytes.Buffer
	if err := tensor.WriteNPZ(&b, out); err != nil {
		return err
	}
	return os.WriteFile(o.dump, b.Bytes(), 0o644)
}
