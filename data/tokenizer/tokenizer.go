// Package tokenizer turns text into the ids of tokens that models take, and back.
// It reads tokenizer.json, the format of Hugging Face's tokenizers, and gives the
// same ids as that library, and trains and writes such files.
//
// A text passes through stages, each of which a file may leave out: added tokens
// are found, the rest is normalized and cut into words, a model (BPE, WordPiece,
// Unigram or WordLevel) cuts these into tokens, and a post-processor adds special
// ones. Where the library has offsets in characters, there are bytes here, and
// what truncation cuts off is dropped. Properties of characters are those of Go's
// Unicode tables; the library has tables of several older versions, so that for
// characters that Unicode has had for few years what is punctuation, a mark or a
// digit can differ.
//
// Source: https://huggingface.co/docs/tokenizers
package tokenizer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// Tokenizer is what a tokenizer.json describes. Its methods may be called
// concurrently.
type Tokenizer struct {
	model        *cached
	added        *addedTokens
	normalizer   normalizer   // nil: none
	preTokenizer preTokenizer // nil: texts are words
	post         postProcessor
	decoder      decoder // nil: tokens with spaces between
	truncation   *Truncation
	padding      *Padding
	file         file
}

// file is a tokenizer.json.
type file struct {
	Version       string          `json:"version"`
	Truncation    json.RawMessage `json:"truncation"`
	Padding       json.RawMessage `json:"padding"`
	AddedTokens   []AddedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         json.RawMessage `json:"model"`
}

// maxFile is how long a file may be.
const maxFile = 1 << 29

// Open reads a tokenizer.json. What it has that this package does not know is an
// error.
func Open(path string) (*Tokenizer, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	if st.Size() > maxFile {
		return nil, fmt.Errorf("tokenizer: %s: %d bytes, at most %d are read", path, st.Size(), maxFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	t, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %s: %w", path, err)
	}
	return t, nil
}

// Parse reads the text of a tokenizer.json.
func Parse(b []byte) (*Tokenizer, error) {
	t, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	return t, nil
}

func parse(b []byte) (*Tokenizer, error) {
	if len(b) > maxFile {
		return nil, fmt.Errorf("%d bytes, at most %d are read", len(b), maxFile)
	}
	t := &Tokenizer{}
	if err := decode(b, &t.file); err != nil {
		return nil, err
	}
	f := &t.file
	if f.Version != "1.0" {
		return nil, fmt.Errorf(`version is %q, want "1.0"`, f.Version)
	}
	if isNull(f.Model) {
		return nil, errors.New("it has no model")
	}
	m, err := makeModel(f.Model)
	if err != nil {
		return nil, err
	}
	t.model = newCached(m)
	if !isNull(f.Normalizer) {
		if t.normalizer, err = build("normalizer", normalizers, f.Normalizer, 0); err != nil {
			return nil, err
		}
	}
	if !isNull(f.PreTokenizer) {
		if t.preTokenizer, err = build("pre_tokenizer", preTokenizers, f.PreTokenizer, 0); err != nil {
			return nil, err
		}
	}
	if !isNull(f.PostProcessor) {
		if t.post, err = build("post_processor", postProcessors, f.PostProcessor, 0); err != nil {
			return nil, err
		}
	}
	if !isNull(f.Decoder) {
		if t.decoder, err = build("decoder", decoders, f.Decoder, 0); err != nil {
			return nil, err
		}
	}
	if t.added, err = newAddedTokens(f.AddedTokens, m, t.normalizer); err != nil {
		return nil, err
	}
	truncation, err := readTruncation(f.Truncation)
	if err != nil {
		return nil, fmt.Errorf("truncation: %w", err)
	}
	padding, err := readPadding(f.Padding)
	if err != nil {
		return nil, fmt.Errorf("padding: %w", err)
	}
	return t, t.limit(truncation, padding)
}

// limit sets truncation and padding.
func (t *Tokenizer) limit(tr *Truncation, p *Padding) error {
	if err := tr.check(t.extra(false)); err != nil {
		return fmt.Errorf("truncation: %w", err)
	}
	if err := p.check(); err != nil {
		return fmt.Errorf("padding: %w", err)
	}
	t.truncation, t.padding = tr, p
	return nil
}

// extra returns how many tokens are added to one text, or two.
func (t *Tokenizer) extra(pair bool) int {
	if t.post == nil {
		return 0
	}
	return t.post.added(pair)
}

// Limited returns the tokenizer with other truncation and padding; nil is none.
func (t *Tokenizer) Limited(tr *Truncation, p *Padding) (*Tokenizer, error) {
	c := *t
	if err := c.limit(tr, p); err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	return &c, nil
}

// Truncation returns how long encodings may be; nil: as long as they are.
func (t *Tokenizer) Truncation() *Truncation { return t.truncation }

// Padding returns what encodings are filled up to; nil: they are not.
func (t *Tokenizer) Padding() *Padding { return t.padding }

// AddedTokens returns the added tokens in the order of the file.
func (t *Tokenizer) AddedTokens() []AddedToken { return append([]AddedToken(nil), t.added.list...) }

// VocabSize returns the number of tokens, added ones included.
func (t *Tokenizer) VocabSize() int {
	n := t.model.size()
	for _, a := range t.added.byContent {
		if _, ok := t.model.id(a.Content); !ok {
			n++
		}
	}
	return n
}

// ID returns the id of a token.
func (t *Tokenizer) ID(token string) (int64, bool) {
	if a := t.added.byContent[token]; a != nil {
		return int64(a.ID), true
	}
	id, ok := t.model.id(token)
	return int64(id), ok
}

// Token returns the token of an id.
func (t *Tokenizer) Token(id int64) (string, bool) {
	if id < 0 || id > 1<<32-1 {
		return "", false
	}
	if a := t.added.byID[uint32(id)]; a != nil {
		return a.Content, true
	}
	return t.model.token(uint32(id))
}

// Options are those of encoding.
type Options struct {
	// NoSpecialTokens leaves out what the post-processor adds.
	NoSpecialTokens bool
}

// Encode returns the tokens of a text.
func (t *Tokenizer) Encode(text string, o Options) (*Encoding, error) {
	return t.one([]string{text}, o)
}

// EncodePair returns the tokens of two texts together.
func (t *Tokenizer) EncodePair(a, b string, o Options) (*Encoding, error) {
	return t.one([]string{a, b}, o)
}

func (t *Tokenizer) one(texts []string, o Options) (*Encoding, error) {
	e, err := t.encode(texts, o)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	return e, t.padAll([]*Encoding{e})
}

// padAll fills encodings up.
func (t *Tokenizer) padAll(all []*Encoding) error {
	if t.padding == nil {
		return nil
	}
	longest := 0
	for _, e := range all {
		longest = max(longest, e.Len())
	}
	n := t.padding.length(longest)
	if n > maxTokens {
		return fmt.Errorf("tokenizer: padding to %d tokens, at most %d", n, maxTokens)
	}
	for _, e := range all {
		t.padding.pad(e, n)
	}
	return nil
}

// EncodeBatch encodes texts, all at once on all cores. pairs has the second text
// of each, or is nil.
func (t *Tokenizer) EncodeBatch(ctx context.Context, texts, pairs []string, o Options) ([]*Encoding, error) {
	if pairs != nil && len(pairs) != len(texts) {
		return nil, fmt.Errorf("tokenizer: %d texts and %d second ones", len(texts), len(pairs))
	}
	out := make([]*Encoding, len(texts))
	errs := make([]error, len(texts))
	var next atomic.Int64
	var failed atomic.Bool
	var wg sync.WaitGroup
	for range min(goruntime.GOMAXPROCS(0), len(texts)) {
		wg.Go(func() {
			for ctx.Err() == nil && !failed.Load() {
				i := int(next.Add(1)) - 1
				if i >= len(texts) {
					return
				}
				parts := texts[i : i+1]
				if pairs != nil {
					parts = []string{texts[i], pairs[i]}
				}
				if out[i], errs[i] = t.encode(parts, o); errs[i] != nil {
					failed.Store(true)
				}
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("tokenizer: text %d: %w", i, err)
		}
	}
	return out, t.padAll(out)
}

// encode encodes one or two texts, without padding.
func (t *Tokenizer) encode(texts []string, o Options) (*Encoding, error) {
	parts := make([][]item, len(texts))
	for i, s := range texts {
		var err error
		if parts[i], err = t.items(s, i); err != nil {
			return nil, err
		}
	}
	if tr := t.truncation; tr != nil {
		limit := tr.MaxLength
		if !o.NoSpecialTokens {
			if limit -= t.extra(len(texts) == 2); limit < 0 {
				return nil, fmt.Errorf("at most %d tokens: the special ones of a pair are more", tr.MaxLength)
			}
		}
		if err := tr.apply(parts, limit); err != nil {
			return nil, err
		}
	}
	if t.post != nil {
		var err error
		if parts, err = t.post.process(parts, !o.NoSpecialTokens); err != nil {
			return nil, err
		}
	}
	all := parts[0]
	for _, p := range parts[1:] {
		all = append(all, p...)
	}
	return newEncoding(all), nil
}

// words calls yield with the added tokens and the words of a text.
func (t *Tokenizer) words(input string, yield func(w *found) error) error {
	if !utf8.ValidString(input) {
		return errNotUTF8
	}
	pieces, err := t.pieces(input)
	if err != nil {
		return err
	}
	for _, p := range pieces {
		if p.token != nil || t.preTokenizer == nil {
			if err := yield(&p); err != nil {
				return err
			}
			continue
		}
		var failed error
		err := t.preTokenizer(p.text, func(w text) {
			if w.s != "" && failed == nil {
				failed = yield(&found{text: w})
			}
		})
		if err := cmp.Or(err, failed); err != nil {
			return err
		}
	}
	return nil
}

// items returns the tokens of a text, which is number i of its input.
func (t *Tokenizer) items(input string, i int) ([]item, error) {
	var out []item
	err := t.words(input, func(w *found) error {
		if w.token != nil {
			out = append(out, item{id: w.token.ID, typ: uint32(i), value: w.s, input: input, span: w.original(0, len(w.s))})
			return nil
		}
		tokens, err := t.model.tokenize(w.s)
		for _, k := range tokens {
			s := w.original(k.start, k.end)
			if k.end > len(w.s) {
				s = span{k.start, min(k.end, len(input))} // bytes of a suffix, which the text does not have
			}
			out = append(out, item{id: k.id, typ: uint32(i), value: k.value, input: input, span: s})
		}
		return err
	})
	return out, err
}

// Decode returns the text of tokens. Ids that no token has are passed over; with
// skipSpecial, so are special tokens.
func (t *Tokenizer) Decode(ids []int64, skipSpecial bool) (string, error) {
	var tokens []string
	for _, id := range ids {
		s, ok := t.Token(id)
		if !ok {
			continue
		}
		if d, ok := t.added.decoded[uint32(id)]; ok {
			s = d
		}
		if a := t.added.byContent[s]; skipSpecial && a != nil && a.Special {
			continue
		}
		tokens = append(tokens, s)
	}
	if t.decoder == nil {
		return strings.Join(tokens, " "), nil
	}
	tokens, err := t.decoder(tokens)
	if err != nil {
		return "", fmt.Errorf("tokenizer: %w", err)
	}
	return strings.Join(tokens, ""), nil
}
