package tokenizer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
)

// TrainOptions say what Train makes.
type TrainOptions struct {
	// Model is BPE, for bytes as GPT-2 has it, WordPiece as BERT has it, or Unigram as
	// T5 has it.
	Model string
	// VocabSize is how many tokens there are at most, special ones included.
	VocabSize int
	// MinFrequency is how often a pair must be there to be joined, with BPE and
	// WordPiece.
	MinFrequency int
	// SpecialTokens come first. nil: those of the model's family, in its order.
	SpecialTokens []string
	// Lowercase trains on, and encodes, text in lower case without accents.
	Lowercase bool
}

// maxVocab is how many tokens can be asked for.
const maxVocab = 1 << 24

// recipe is the tokenizer around a model that is trained.
type recipe struct {
	special []string
	file    file
	train   func(ctx context.Context, words []wordCount, o *TrainOptions) (any, error)
}

// recipes are by model. In %[1]d and so on they want the ids of special tokens.
func recipeOf(o *TrainOptions) (*recipe, error) {
	lower := ""
	if o.Lowercase {
		lower = `{"type":"NFD"},{"type":"Lowercase"},{"type":"StripAccents"}`
	}
	sequence := func(parts ...string) json.RawMessage {
		parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
		if len(parts) == 0 {
			return nil
		}
		return json.RawMessage(`{"type":"Sequence","normalizers":[` + strings.Join(parts, ",") + `]}`)
	}
	const byteLevel = `{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}`
	switch o.Model {
	case "BPE":
		return &recipe{[]string{"<|endoftext|>"}, file{
			Normalizer: sequence(lower), PreTokenizer: json.RawMessage(byteLevel), PostProcessor: json.RawMessage(byteLevel), Decoder: json.RawMessage(byteLevel),
		}, trainByteBPE}, nil
	case "WordPiece":
		return &recipe{[]string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}, file{
			Normalizer:   json.RawMessage(fmt.Sprintf(`{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":%v}`, o.Lowercase)),
			PreTokenizer: json.RawMessage(`{"type":"BertPreTokenizer"}`),
			Decoder:      json.RawMessage(`{"type":"WordPiece","prefix":"##","cleanup":true}`),
		}, trainWordPiece}, nil
	case "Unigram":
		const metaspace = `{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true}`
		return &recipe{[]string{"<pad>", "</s>", "<unk>"}, file{
			Normalizer:   sequence(`{"type":"Nmt"}`, `{"type":"NFKC"}`, `{"type":"Replace","pattern":{"Regex":" {2,}"},"content":" "}`, lower),
			PreTokenizer: json.RawMessage(metaspace), Decoder: json.RawMessage(metaspace),
		}, trainUnigram}, nil
	}
	return nil, fmt.Errorf("there is no model %q to train; there are BPE, Unigram, WordPiece", o.Model)
}

// post returns the post-processor that puts special tokens where the model's
// family has them, if they are there.
func (r *recipe) post(model string, special []string) json.RawMessage {
	id := func(s string) int { return slices.Index(special, s) }
	piece := func(name, s string) string { return fmt.Sprintf(`{"SpecialToken":{"id":%q,"type_id":%s}}`, name, s) }
	text := func(s, typ string) string { return fmt.Sprintf(`{"Sequence":{"id":%q,"type_id":%s}}`, s, typ) }
	var names []string
	var single, pair []string
	switch {
	case model == "WordPiece" && id("[CLS]") >= 0 && id("[SEP]") >= 0:
		names = []string{"[CLS]", "[SEP]"}
		single = []string{piece("[CLS]", "0"), text("A", "0"), piece("[SEP]", "0")}
		pair = append(slices.Clone(single), text("B", "1"), piece("[SEP]", "1"))
	case model == "Unigram" && id("</s>") >= 0:
		names = []string{"</s>"}
		single = []string{text("A", "0"), piece("</s>", "0")}
		pair = append(slices.Clone(single), text("B", "0"), piece("</s>", "0"))
	default:
		return r.file.PostProcessor
	}
	var tokens []string
	for _, n := range names {
		tokens = append(tokens, fmt.Sprintf(`%q:{"id":%q,"ids":[%d],"tokens":[%q]}`, n, n, id(n), n))
	}
	return json.RawMessage(fmt.Sprintf(`{"type":"TemplateProcessing","single":[%s],"pair":[%s],"special_tokens":{%s}}`,
		strings.Join(single, ","), strings.Join(pair, ","), strings.Join(tokens, ",")))
}

// wordCount is a word of the texts, and how often it is there.
type wordCount struct {
	word  string
	count int
}

// Train makes a tokenizer of texts: its vocabulary, in the pipeline that the
// model's family has. BPE and WordPiece come out as the reference library's
// trainers make them; with ties, which these leave to chance, the first in the
// order of Unicode wins. It ends when ctx does.
func Train(ctx context.Context, texts iter.Seq2[string, error], o TrainOptions) (*Tokenizer, error) {
	t, err := trainTokenizer(ctx, texts, &o)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("tokenizer: %w", err)
	}
	return t, err
}

func trainTokenizer(ctx context.Context, texts iter.Seq2[string, error], o *TrainOptions) (*Tokenizer, error) {
	r, err := recipeOf(o)
	if err != nil {
		return nil, err
	}
	if o.SpecialTokens == nil {
		o.SpecialTokens = r.special
	}
	for i, s := range o.SpecialTokens {
		if s == "" || slices.Contains(o.SpecialTokens[:i], s) {
			return nil, fmt.Errorf("special token %d, %q, is empty or there twice", i, s)
		}
	}
	if o.VocabSize <= len(o.SpecialTokens) || o.VocabSize > maxVocab {
		return nil, fmt.Errorf("a vocabulary of %d tokens: want more than the %d special ones, at most %d", o.VocabSize, len(o.SpecialTokens), maxVocab)
	}
	f := r.file
	f.Version = "1.0"
	f.PostProcessor = r.post(o.Model, o.SpecialTokens)
	for i, s := range o.SpecialTokens {
		f.AddedTokens = append(f.AddedTokens, AddedToken{ID: uint32(i), Content: s, Special: true})
	}
	words, err := countWords(ctx, texts, f)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, errors.New("there are no words in the texts")
	}
	m, err := r.train(ctx, words, o)
	if err != nil {
		return nil, err
	}
	if f.Model, err = json.Marshal(m); err != nil {
		return nil, err
	}
	b, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	return parse(b)
}

// countWords cuts the texts into words as f's tokenizer will, in order.
func countWords(ctx context.Context, texts iter.Seq2[string, error], f file) ([]wordCount, error) {
	f.AddedTokens, f.PostProcessor = nil, nil
	f.Model = json.RawMessage(`{"type":"WordLevel","vocab":{},"unk_token":""}`)
	b, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	t, err := parse(b)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	n := 0
	for s, err := range texts {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = t.words(s, func(w *found) error { counts[w.s]++; return nil })
		}
		if err != nil {
			return nil, fmt.Errorf("text %d: %w", n, err)
		}
		n++
	}
	words := make([]wordCount, 0, len(counts))
	for _, w := range slices.Sorted(maps.Keys(counts)) {
		words = append(words, wordCount{w, counts[w]})
	}
	return words, nil
}

// trainByteBPE trains on words that are written as bytes.
func trainByteBPE(ctx context.Context, words []wordCount, o *TrainOptions) (any, error) {
	b, err := trainBPE(ctx, words, slices.Collect(slices.Values(byteRunes[:])), "", o)
	if err != nil {
		return nil, err
	}
	no := false
	return bpeConfig{tag: tag{"BPE"}, FuseUnk: &no, ByteFallback: &no, IgnoreMerges: &no, Vocab: b.ids, Merges: b.merges}, nil
}

// trainWordPiece finds tokens as BPE does.
func trainWordPiece(ctx context.Context, words []wordCount, o *TrainOptions) (any, error) {
	b, err := trainBPE(ctx, words, nil, "##", o)
	if err != nil {
		return nil, err
	}
	return wordPieceConfig{tag{"WordPiece"}, "[UNK]", "##", 100, b.ids}, nil
}

// trainUnigram finds tokens by expectation maximization.
func trainUnigram(ctx context.Context, words []wordCount, o *TrainOptions) (any, error) {
	if o.VocabSize > math.MaxInt32 {
		return nil, fmt.Errorf("a vocabulary of %d tokens", o.VocabSize)
	}
	pieces, err := emPieces(ctx, words, o.VocabSize-len(o.SpecialTokens))
	if err != nil {
		return nil, err
	}
	all := make([]piece, 0, o.VocabSize)
	for _, s := range o.SpecialTokens {
		all = append(all, piece{s, 0})
	}
	c := unigramConfig{tag: tag{"Unigram"}, Bytes: new(bool)}
	if i := slices.Index(o.SpecialTokens, "<unk>"); i >= 0 {
		c.Unk = &i
	}
	for _, p := range pieces {
		if !slices.Contains(o.SpecialTokens, p.text) {
			all = append(all, p)
		}
	}
	c.Vocab = all
	return c, nil
}
