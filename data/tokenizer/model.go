package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"strings"
	"sync"
)

// token is a piece of a word with its id; start and end are bytes of the word.
type token struct {
	id         uint32
	value      string
	start, end int
}

// model cuts words into tokens of its vocabulary. Its methods may be called
// concurrently.
type model interface {
	tokenize(word string) ([]token, error)
	id(token string) (uint32, bool)
	token(id uint32) (string, bool)
	size() int
	// describe returns the model as files have it.
	describe() any
}

// vocabulary maps tokens to ids and back.
type vocabulary struct {
	ids    map[string]uint32
	tokens map[uint32]string
	// longest is the number of bytes of the longest token.
	longest int
}

func newVocabulary(ids map[string]uint32) *vocabulary {
	v := &vocabulary{ids: ids, tokens: make(map[uint32]string, len(ids))}
	for s, id := range ids {
		if t, ok := v.tokens[id]; !ok || s < t { // whatever the order of the map
			v.tokens[id] = s
		}
		v.longest = max(v.longest, len(s))
	}
	return v
}

func (v *vocabulary) id(s string) (uint32, bool)     { id, ok := v.ids[s]; return id, ok }
func (v *vocabulary) token(id uint32) (string, bool) { s, ok := v.tokens[id]; return s, ok }
func (v *vocabulary) size() int                      { return len(v.ids) }

// makeModel makes the model that raw describes. Old files do not say its type.
func makeModel(raw json.RawMessage) (model, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	kind := ""
	if t := keys["type"]; !isNull(t) {
		if err := json.Unmarshal(t, &kind); err != nil {
			return nil, fmt.Errorf("model: type: %w", err)
		}
	} else {
		switch {
		case keys["merges"] != nil:
			kind = "BPE"
		case keys["max_input_chars_per_word"] != nil:
			kind = "WordPiece"
		case strings.HasPrefix(string(keys["vocab"]), "["):
			kind = "Unigram"
		default:
			kind = "WordLevel"
		}
	}
	var m model
	var err error
	switch kind {
	case "BPE":
		m, err = makeBPE(raw)
	case "WordPiece":
		m, err = makeWordPiece(raw)
	case "Unigram":
		m, err = makeUnigram(raw)
	case "WordLevel":
		m, err = makeWordLevel(raw)
	default:
		return nil, fmt.Errorf("model: there is no type %q; there are BPE, Unigram, WordLevel, WordPiece", kind)
	}
	if err != nil {
		return nil, fmt.Errorf("model: %s: %w", kind, err)
	}
	return m, nil
}

// byteToken is the token that stands for a byte.
func byteToken(b byte) string { return fmt.Sprintf("<0x%02X>", b) }

// wordLevel takes words whole.
type wordLevel struct {
	*vocabulary
	unk string
}

// wordLevelConfig is WordLevel in a file.
type wordLevelConfig struct {
	tag
	Vocab map[string]uint32 `json:"vocab"`
	Unk   string            `json:"unk_token"`
}

func makeWordLevel(raw json.RawMessage) (model, error) {
	var c wordLevelConfig
	err := decode(raw, &c)
	return &wordLevel{newVocabulary(c.Vocab), c.Unk}, err
}

func (m *wordLevel) describe() any {
	return wordLevelConfig{tag{"WordLevel"}, m.ids, m.unk}
}

func (m *wordLevel) tokenize(word string) ([]token, error) {
	if id, ok := m.ids[word]; ok {
		return []token{{id, word, 0, len(word)}}, nil
	}
	return unknown(m.vocabulary, m.unk, word)
}

// unknown returns the token of a word that has no others.
func unknown(v *vocabulary, unk, word string) ([]token, error) {
	id, ok := v.ids[unk]
	if !ok {
		return nil, fmt.Errorf("no token is for %q and the one for unknown words, %q, is not in the vocabulary", shorten(word), unk)
	}
	return []token{{id, unk, 0, len(word)}}, nil
}

// shorten returns the beginning of a long text, for messages.
func shorten(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}

// wordPiece cuts the longest token off the beginning, again and again.
//
// Source: https://arxiv.org/abs/1609.08144
type wordPiece struct {
	*vocabulary
	c wordPieceConfig
}

// wordPieceConfig is WordPiece in a file.
type wordPieceConfig struct {
	tag
	Unk    string            `json:"unk_token"`
	Prefix string            `json:"continuing_subword_prefix"`
	Max    int               `json:"max_input_chars_per_word"`
	Vocab  map[string]uint32 `json:"vocab"`
}

func makeWordPiece(raw json.RawMessage) (model, error) {
	c := wordPieceConfig{Unk: "[UNK]", Prefix: "##", Max: 100}
	if err := decode(raw, &c); err != nil {
		return nil, err
	}
	if c.Max < 0 {
		return nil, fmt.Errorf("max_input_chars_per_word is %d, want at least 0", c.Max)
	}
	c.Type = "WordPiece"
	return &wordPiece{newVocabulary(c.Vocab), c}, nil
}

func (m *wordPiece) describe() any { return m.c }

func (m *wordPiece) tokenize(word string) ([]token, error) {
	chars := 0
	for range word {
		chars++
	}
	if chars > m.c.Max {
		return unknown(m.vocabulary, m.c.Unk, word)
	}
	var out []token
	buf := []byte(m.c.Prefix)
	for start := 0; start < len(word); {
		end := min(len(word), start+m.longest)
		found := false
		for ; end > start; end-- {
			if end < len(word) && word[end]&0xc0 == 0x80 {
				continue
			}
			part := word[start:end]
			var id uint32
			if start > 0 {
				buf = append(buf[:len(m.c.Prefix)], part...)
				id, found = m.ids[string(buf)]
			} else {
				id, found = m.ids[part]
			}
			if found {
				if start > 0 {
					part = string(buf)
				}
				out = append(out, token{id, part, start, end})
				break
			}
		}
		if !found {
			return unknown(m.vocabulary, m.c.Unk, word)
		}
		start = end
	}
	return out, nil
}

// cached is a model that remembers short words.
type cached struct {
	model
	seed   maphash.Seed
	shards [16]cacheShard
}

type cacheShard struct {
	mu    sync.RWMutex
	words map[string][]token
}

// What a cache holds at most.
const (
	maxCachedWords = 1 << 16
	maxCachedBytes = 256 // of a word
)

func newCached(m model) *cached {
	c := &cached{model: m, seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i].words = map[string][]token{}
	}
	return c
}

// tokenize is that of the model. The caller must not write to what it returns.
func (c *cached) tokenize(word string) ([]token, error) {
	if len(word) > maxCachedBytes {
		return c.model.tokenize(word)
	}
	s := &c.shards[maphash.String(c.seed, word)%uint64(len(c.shards))]
	s.mu.RLock()
	tokens, ok := s.words[word]
	s.mu.RUnlock()
	if ok {
		return tokens, nil
	}
	tokens, err := c.model.tokenize(word)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if len(s.words) < maxCachedWords/len(c.shards) {
		s.words[strings.Clone(word)] = tokens
	}
	s.mu.Unlock()
	return tokens, nil
}

// unigram finds the tokens whose probabilities have the largest product.
//
// Source: https://arxiv.org/abs/1804.10959
type unigram struct {
	*vocabulary
	pieces   []piece
	trie     *trie
	unk      int // -1: none
	unkScore float64
	bytes    bool
}

// piece is a token with the logarithm of its probability.
type piece struct {
	text  string
	score float64
}

// MarshalJSON implements json.Marshaler.
func (p piece) MarshalJSON() ([]byte, error) { return json.Marshal([]any{p.text, p.score}) }

// UnmarshalJSON implements json.Unmarshaler.
func (p *piece) UnmarshalJSON(raw []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(raw, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("a token of vocab has %d values, want its text and its score", len(pair))
	}
	if err := json.Unmarshal(pair[0], &p.text); err != nil {
		return err
	}
	return json.Unmarshal(pair[1], &p.score)
}

// unigramConfig is Unigram in a file.
type unigramConfig struct {
	tag
	Unk   *int     `json:"unk_id"`
	Vocab []piece  `json:"vocab"`
	Bytes *bool    `json:"byte_fallback"`
	Alpha *float64 `json:"alpha,omitempty"`
	NBest *int     `json:"nbest_size,omitempty"`
}

// unkPenalty is how much less than the least one the score of an unknown rune is.
const unkPenalty = 10

func makeUnigram(raw json.RawMessage) (model, error) {
	var c unigramConfig
	if err := decode(raw, &c); err != nil {
		return nil, err
	}
	if c.Alpha != nil && *c.Alpha != 0 {
		return nil, fmt.Errorf("alpha is %g: sampling is not supported", *c.Alpha)
	}
	if len(c.Vocab) > math.MaxInt32 {
		return nil, fmt.Errorf("%d tokens", len(c.Vocab))
	}
	m := &unigram{pieces: c.Vocab, unk: -1, bytes: c.Bytes != nil && *c.Bytes}
	if c.Unk != nil {
		if *c.Unk < 0 || *c.Unk >= len(c.Vocab) {
			return nil, fmt.Errorf("unk_id is %d, there are %d tokens", *c.Unk, len(c.Vocab))
		}
		m.unk = *c.Unk
	}
	ids := make(map[string]uint32, len(c.Vocab))
	keys := make([]string, len(c.Vocab))
	least := math.Inf(1)
	for i, p := range c.Vocab {
		keys[i], ids[p.text] = p.text, uint32(i)
		least = min(least, p.score)
	}
	m.vocabulary, m.trie, m.unkScore = newVocabulary(ids), newTrie(keys), least-unkPenalty
	return m, nil
}

func (m *unigram) describe() any {
	c := unigramConfig{tag: tag{"Unigram"}, Vocab: m.pieces, Bytes: &m.bytes}
	if m.unk >= 0 {
		c.Unk = &m.unk
	}
	return c
}

func (m *unigram) token(id uint32) (string, bool) {
	if int(id) < len(m.pieces) {
		return m.pieces[id].text, true
	}
	return "", false
}

func (m *unigram) size() int { return len(m.pieces) }

// best is the best way to a byte of a word.
type best struct {
	id    int32
	from  int32 // where its last token begins; -1: there is no way
	score float64
}

var errNoUnk = errors.New("a text has characters that no token is for, and the model has no unk_id")

func (m *unigram) tokenize(word string) ([]token, error) {
	if len(word) >= math.MaxInt32 {
		return nil, fmt.Errorf("a word of %d bytes", len(word))
	}
	ends := make([]best, len(word)+1)
	for i := range ends[1:] {
		ends[i+1].from = -1
	}
	better := func(end, from, id int, score float64) {
		if e := &ends[end]; e.from < 0 || score > e.score {
			*e = best{int32(id), int32(from), score}
		}
	}
	for at, r := range word {
		size := len(string(r))
		here, single := ends[at].score, false
		node := int32(0)
		for i := at; i < len(word); i++ {
			if node = m.trie.next(node, word[i]); node == 0 {
				break
			}
			if id := int(m.trie.nodes[node].value); id >= 0 {
				better(i+1, at, id, m.pieces[id].score+here)
				single = single || i+1-at == size
			}
		}
		if !single {
			if m.unk < 0 {
				if ends[at+size].from < 0 || m.unkScore+here > ends[at+size].score {
					return nil, errNoUnk
				}
				continue
			}
			better(at+size, at, m.unk, m.unkScore+here)
		}
	}
	var parts []span
	unknown := false // whether the part before is made of unknown runes
	for end := len(word); end > 0; {
		e := ends[end]
		is := int(e.id) == m.unk
		if is && unknown {
			parts[len(parts)-1].start = int(e.from)
		} else {
			parts = append(parts, span{int(e.from), end})
		}
		unknown, end = is, int(e.from)
	}
	out := make([]token, 0, len(parts))
	for i := len(parts) - 1; i >= 0; i-- {
		p := parts[i]
		s := word[p.start:p.end]
		if id, ok := m.ids[s]; ok {
			out = append(out, token{id, s, p.start, p.end})
			continue
		}
		if m.bytes {
			if all, ok := bytesOf(m.vocabulary, s, p); ok {
				out = append(out, all...)
				continue
			}
		}
		if m.unk < 0 {
			return nil, errNoUnk
		}
		out = append(out, token{uint32(m.unk), s, p.start, p.end})
	}
	return out, nil
}

// bytesOf returns the tokens of the bytes of s, each of which stands for p; false
// if one of them has none.
func bytesOf(v *vocabulary, s string, p span) ([]token, bool) {
	var out []token
	for i := range len(s) {
		t := byteToken(s[i])
		id, ok := v.ids[t]
		if !ok {
			return nil, false
		}
		out = append(out, token{id, t, p.start, p.end})
	}
	return out, true
}
