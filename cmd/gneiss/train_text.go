package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/data/tokenizer"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
)

// textReader makes token inputs of a column of text.
type textReader struct {
	tok    *tokenizer.Tokenizer
	path   string
	hash   string // SHA-256 of the file, in hexadecimal
	column string
	labels *labels // how columns become the tensor of targets
	ids    string  // the input that takes the ids
	limit  int     // tokens of a text; 0: what the tokenizer's file says
	least  int     // what texts are padded to at least: the length of those that were trained on
}

// newTextReader opens the tokenizer of the configuration; nil if there is none.
func newTextReader(c *dataConfig) (*textReader, error) {
	if c.Tokenizer == "" {
		return nil, nil
	}
	r := &textReader{path: c.Tokenizer, column: c.Text, ids: "input_ids", limit: c.MaxLength}
	if len(c.Inputs) == 1 {
		r.ids = c.Inputs[0]
	}
	var err error
	if r.tok, err = tokenizer.Open(c.Tokenizer); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(c.Tokenizer)
	if err != nil {
		return nil, err
	}
	r.hash = fmt.Sprintf("%x", sha256.Sum256(b))
	return r, nil
}

// The metadata of models that are trained on text.
const (
	tokenizerKey     = "tokenizer"        // the name of the file
	tokenizerHashKey = "tokenizer_sha256" // of the file
	textKey          = "text"             // textSettings, as JSON
)

// maxTokens bounds what metadata have texts padded to.
const maxTokens = 1 << 20

// textSettings is how texts became tokens.
type textSettings struct {
	Column    string `json:"column"`
	MaxLength int    `json:"max_length,omitempty"` // tokens of a text; 0: what the tokenizer's file says
	Length    int    `json:"length,omitempty"`     // what they were padded to
	Input     string `json:"input"`                // what takes the ids
}

// metadata is what the exported model says of the tokenizer.
func (r *textReader) metadata() []onnx.Prop {
	if r == nil {
		return nil
	}
	b, err := json.Marshal(textSettings{r.column, r.limit, r.least, r.ids})
	if err != nil {
		panic(err) // strings and numbers
	}
	return []onnx.Prop{{Key: tokenizerKey, Value: filepath.Base(r.path)}, {Key: tokenizerHashKey, Value: r.hash}, {Key: textKey, Value: string(b)}}
}

// textSettingsOf returns how m's metadata says that texts become tokens; nil where it does not.
func textSettingsOf(m *onnx.Model) (*textSettings, error) {
	text := metadataOf(m, textKey)
	if text == "" || metadataOf(m, tokenizerKey) == "" {
		return nil, nil
	}
	s := &textSettings{}
	if err := json.Unmarshal([]byte(text), s); err != nil || s.Column == "" || s.Input == "" || s.MaxLength < 0 || s.Length < 0 || s.Length > maxTokens {
		return nil, fmt.Errorf("metadata %q is %.200q, which gneiss train does not write", textKey, text)
	}
	return s, nil
}

// fitVocab gives a ready model as many words as the tokenizer has, where it has no number of its own.
func (c *trainConfig) fitVocab(r ready) error {
	m, ok := r.(interface{ vocab() *int })
	if !ok || c.tokens == nil {
		return nil
	}
	n := c.tokens.tok.VocabSize()
	switch v := m.vocab(); {
	case *v == 0:
		*v = n
	case *v < n:
		return fmt.Errorf("model: vocab is %d, and %s has %d tokens: leave it out to have as many", *v, c.tokens.path, n)
	}
	return nil
}

// padding returns how the tokenizer's file, or the names of its tokens, say that texts are filled up; known is
// false if neither does.
func (r *textReader) padding() (pad *tokenizer.Padding, known bool) {
	if pad := r.tok.Padding(); pad != nil {
		return pad, true
	}
	pad = &tokenizer.Padding{}
	for _, name := range []string{"[PAD]", "<pad>"} {
		if id, ok := r.tok.ID(name); ok {
			pad.ID, pad.Token, known = uint32(id), name, true
		}
	}
	return pad, known
}

// fitPad tells a ready model which id fills texts up, where it has not been told.
func (c *trainConfig) fitPad(r ready) {
	m, ok := r.(interface {
		padding() (id **int, behind bool)
	})
	if !ok || c.tokens == nil {
		return
	}
	id, behind := m.padding()
	if pad, known := c.tokens.padding(); *id == nil && known && !(behind && pad.Left) {
		v := int(pad.ID)
		*id = &v
	}
}

// check reports settings of text that do not go together.
func (c *dataConfig) checkText() error {
	switch {
	case (c.Tokenizer == "") != (c.Text == ""):
		return fmt.Errorf("data: tokenizer is %q and text %q: want both, a tokenizer.json and a column", c.Tokenizer, c.Text)
	case c.MaxLength < 0 || c.MaxLength > 0 && c.Tokenizer == "":
		return fmt.Errorf("data: max_length is %d: want at least 1, with a tokenizer", c.MaxLength)
	case c.Tokenizer != "" && (c.asksForFeatures() || c.Train.arrays != nil || c.Validation.arrays != nil):
		return fmt.Errorf("data: tokenizer makes the inputs of a column of text: leave out what makes features of other columns, and arrays by name")
	case c.Tokenizer != "" && len(c.Inputs) > 1:
		return fmt.Errorf("data: inputs are %q: with a tokenizer, name the one that takes the ids, or none", c.Inputs)
	}
	return nil
}

// textSource is a source whose texts are collected and taken out.
type textSource struct {
	data.Source
	r     *textReader
	texts []string
}

func (s *textSource) Batches(ctx context.Context) iter.Seq2[data.Batch, error] {
	return func(yield func(data.Batch, error) bool) {
		for b, err := range s.Source.Batches(ctx) {
			if err == nil {
				var texts []string
				texts, err = s.r.take(b)
				s.texts = append(s.texts, texts...)
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// take takes the texts out of b.
func (r *textReader) take(b data.Batch) ([]string, error) {
	x := b.Inputs[r.column]
	if x == nil || x.DType() != tensor.String {
		return nil, fmt.Errorf("%s: there is no column %q of text", b.Name, r.column)
	}
	delete(b.Inputs, r.column)
	return tensor.Data[string](x), nil
}

// plan returns what is read of a table, the token inputs that are made of it, and the length of texts where an
// input's size is fixed, else 0. want nil are the ids alone.
func (r *textReader) plan(path string, want []data.Input) (o data.Options, needed map[string]bool, length int, err error) {
	tokens := []string{r.ids, "attention_mask", "token_type_ids"}
	o.Inputs = []data.Input{{Name: r.column, Type: onnx.UnrankedType(tensor.String)}}
	needed = map[string]bool{r.ids: want == nil}
	for _, w := range want {
		if !slices.Contains(tokens, w.Name) {
			if w.Name == r.column {
				return o, nil, 0, fmt.Errorf("%s: column %q is the text of the tokens and model input %q", path, r.column, w.Name)
			}
			o.Inputs = append(o.Inputs, w)
			continue
		}
		needed[w.Name] = true
		if w.Type.Ranked && len(w.Type.Dims) == 2 {
			if n, ok := w.Type.Dims[1].Size(); ok {
				length = n
			}
		}
	}
	if !needed[r.ids] {
		var names []string
		for _, w := range want {
			names = append(names, w.Name)
		}
		return o, nil, 0, fmt.Errorf("%s: no input is called %q, for the ids of tokens; there are %s: name it in data.inputs", path, r.ids, strings.Join(names, ", "))
	}
	return o, needed, length, nil
}

// read reads tables whose column of text becomes the token inputs among want, or
// the ids alone, if want is nil. All texts are as long as the longest.
func (r *textReader) read(ctx context.Context, from sources, want []data.Input) (train.Arrays, error) {
	path := from.String()
	o, needed, length, err := r.plan(path, want)
	if err != nil {
		return nil, err
	}
	o.Inputs = r.labels.wants(o.Inputs)
	src, err := from.open(func(path string) (data.Source, error) { return data.Open(path, o) })
	if err != nil {
		return nil, err
	}
	s := &textSource{Source: r.labels.of(src), r: r}
	all := map[string]*tensor.Tensor{}
	if len(o.Inputs) > 1 {
		rest, err := train.Collect(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = rest
	} else {
		for _, err := range s.Batches(ctx) {
			if err != nil {
				return nil, err
			}
		}
	}
	if err := r.encode(ctx, s.texts, length, needed, all); err != nil {
		return nil, fmt.Errorf("%s: column %q: %w", path, r.column, err)
	}
	for name := range needed {
		if all[name] != nil {
			r.least = max(r.least, all[name].Dim(1))
		}
	}
	return train.NewArrays(all)
}

// encode adds the needed token inputs to all. length is what all texts must have;
// 0: the longest, or r.least if that is more.
func (r *textReader) encode(ctx context.Context, texts []string, length int, needed map[string]bool, all map[string]*tensor.Tensor) error {
	tr := r.tok.Truncation()
	pad, _ := r.padding()
	limit := r.limit
	if length > 0 && (limit == 0 || limit > length) {
		limit = length
	}
	if limit > 0 {
		cut := tokenizer.Truncation{}
		if tr != nil {
			cut = *tr
		}
		cut.MaxLength = limit
		tr = &cut
	}
	fill := *pad
	fill.Length, fill.MultipleOf = length, 0
	if length == 0 {
		fill.Length = r.least
	}
	var encodings []*tokenizer.Encoding
	for done := false; !done; {
		tok, err := r.tok.Limited(tr, &fill)
		if err != nil {
			return err
		}
		if encodings, err = tok.EncodeBatch(ctx, texts, nil, tokenizer.Options{}); err != nil {
			return err
		}
		if len(encodings) == 0 {
			return fmt.Errorf("there are no texts")
		}
		done = length > 0 || fill.Length == 0 || !slices.ContainsFunc(encodings, func(e *tokenizer.Encoding) bool { return e.Len() > fill.Length })
		if !done { // some are longer than those that were trained on
			fill.Length = 0
		}
	}
	shape := []int{len(encodings), encodings[0].Len()}
	if shape[1] == 0 {
		return fmt.Errorf("all texts are empty")
	}
	for name, field := range map[string]func(e *tokenizer.Encoding) []int64{
		r.ids:            func(e *tokenizer.Encoding) []int64 { return e.IDs },
		"attention_mask": func(e *tokenizer.Encoding) []int64 { return e.AttentionMask },
		"token_type_ids": func(e *tokenizer.Encoding) []int64 { return e.TypeIDs },
	} {
		if !needed[name] {
			continue
		}
		if _, err := tensor.ByteSize(tensor.Int64, shape); err != nil {
			return err
		}
		x := tensor.New(tensor.Int64, shape...)
		for i, e := range encodings {
			copy(tensor.Data[int64](x)[i*shape[1]:], field(e))
		}
		all[name] = x
	}
	return nil
}
