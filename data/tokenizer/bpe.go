package tokenizer

import (
	"cmp"
	"container/heap"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// bpe begins with the characters of a word and joins pairs of tokens in the order
// that training has found them in.
//
// Source: https://arxiv.org/abs/1508.07909
type bpe struct {
	*vocabulary
	c      bpeConfig
	merges map[uint64]merge // by pair
}

// merge is what a pair becomes.
type merge struct{ rank, id uint32 }

// pairKey is a pair of tokens.
func pairKey(a, b uint32) uint64 { return uint64(a)<<32 | uint64(b) }

// bpeConfig is BPE in a file.
type bpeConfig struct {
	tag
	Dropout      *float64          `json:"dropout"`
	Unk          *string           `json:"unk_token"`
	Prefix       *string           `json:"continuing_subword_prefix"`
	Suffix       *string           `json:"end_of_word_suffix"`
	FuseUnk      *bool             `json:"fuse_unk"`
	ByteFallback *bool             `json:"byte_fallback"`
	IgnoreMerges *bool             `json:"ignore_merges"`
	Vocab        map[string]uint32 `json:"vocab"`
	Merges       []mergePair       `json:"merges"`
}

// mergePair is ["a", "b"], or "a b" in old files.
type mergePair [2]string

// UnmarshalJSON implements json.Unmarshaler.
func (p *mergePair) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '[' {
		var all []string
		if err := json.Unmarshal(raw, &all); err != nil {
			return err
		}
		if len(all) != 2 {
			return fmt.Errorf("a merge of %d tokens, want 2", len(all))
		}
		*p = mergePair(all)
		return nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	a, b, ok := strings.Cut(s, " ")
	if !ok || strings.Contains(b, " ") {
		return fmt.Errorf("merge %q: want two tokens with a space between", s)
	}
	*p = mergePair{a, b}
	return nil
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func makeBPE(raw json.RawMessage) (model, error) {
	var c bpeConfig
	if err := decode(raw, &c); err != nil {
		return nil, err
	}
	return newBPE(c)
}

func newBPE(c bpeConfig) (*bpe, error) {
	if d := deref(c.Dropout); d != 0 {
		return nil, fmt.Errorf("dropout is %g: only null is supported", d)
	}
	if c.Vocab == nil {
		return nil, errors.New("it has no vocab")
	}
	c.Type = "BPE"
	m := &bpe{vocabulary: newVocabulary(c.Vocab), c: c, merges: make(map[uint64]merge, len(c.Merges))}
	prefix := deref(c.Prefix)
	for rank, pair := range c.Merges {
		var ids [3]uint32
		joined := pair[1]
		if len(joined) < len(prefix) {
			return nil, fmt.Errorf("merge %d, %q and %q: the second is shorter than the prefix %q", rank, pair[0], pair[1], prefix)
		}
		joined = pair[0] + joined[len(prefix):]
		for i, s := range []string{pair[0], pair[1], joined} {
			id, ok := c.Vocab[s]
			if !ok {
				return nil, fmt.Errorf("merge %d, %q and %q: %q is not in the vocabulary", rank, pair[0], pair[1], s)
			}
			ids[i] = id
		}
		m.merges[pairKey(ids[0], ids[1])] = merge{uint32(rank), ids[2]}
	}
	return m, nil
}

func (m *bpe) describe() any { return m.c }

// symbol is a token of a word on the way; a list holds them in order.
type symbol struct {
	id         uint32
	len        int // bytes; 0: it is part of the one before
	prev, next int // -1: none
}

// candidate is a pair of symbols that can be joined.
type candidate struct {
	merge
	at int
}

// candidates is a heap of them, the one of lowest rank first.
type candidates []candidate

func (c candidates) Len() int { return len(c) }
func (c candidates) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(c[i].rank, c[j].rank), cmp.Compare(c[i].at, c[j].at)) < 0
}
func (c candidates) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c *candidates) Push(x any)   { *c = append(*c, x.(candidate)) }
func (c *candidates) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

// shortWord is up to how many symbols looking at all pairs is faster than a heap.
const shortWord = 24

func (m *bpe) tokenize(word string) ([]token, error) {
	if deref(m.c.IgnoreMerges) {
		if id, ok := m.ids[word]; ok {
			return []token{{id, word, 0, len(word)}}, nil
		}
	}
	symbols, err := m.symbols(word)
	if err != nil {
		return nil, err
	}
	if len(symbols) <= shortWord {
		symbols = m.mergeShort(symbols)
	} else {
		m.mergeLong(symbols)
	}
	out := make([]token, 0, len(symbols))
	at := 0
	for _, s := range symbols {
		if s.len > 0 {
			out = append(out, token{s.id, m.tokens[s.id], at, at + s.len})
			at += s.len
		}
	}
	return out, nil
}

// symbols returns the tokens of the characters of a word.
func (m *bpe) symbols(word string) ([]symbol, error) {
	symbols := make([]symbol, 0, len(word))
	add := func(id uint32, n int) {
		symbols = append(symbols, symbol{id: id, len: n})
	}
	unkLen := 0 // of unknown characters that are not added yet
	var unk uint32
	for i, r := range word {
		size := utf8.RuneLen(r)
		s := word[i : i+size]
		if i > 0 && m.c.Prefix != nil {
			s = *m.c.Prefix + s
		}
		if i+size == len(word) && m.c.Suffix != nil {
			s += *m.c.Suffix
		}
		if id, ok := m.ids[s]; ok {
			if unkLen > 0 {
				add(unk, unkLen)
				unkLen = 0
			}
			add(id, size)
			continue
		}
		if deref(m.c.ByteFallback) {
			if all, ok := bytesOf(m.vocabulary, s, span{}); ok {
				for _, t := range all {
					add(t.id, 1)
				}
				continue
			}
		}
		if m.c.Unk == nil {
			continue // as the reference does
		}
		id, ok := m.ids[*m.c.Unk]
		if !ok {
			return nil, fmt.Errorf("no token is for %q and the one for unknown characters, %q, is not in the vocabulary", s, *m.c.Unk)
		}
		if unk = id; unkLen > 0 && !deref(m.c.FuseUnk) {
			add(unk, unkLen)
			unkLen = 0
		}
		unkLen += size
	}
	if unkLen > 0 {
		add(unk, unkLen)
	}
	return symbols, nil
}

// mergeShort joins pairs, each time the one of lowest rank.
func (m *bpe) mergeShort(symbols []symbol) []symbol {
	for {
		low, at := merge{}, -1
		for i := range len(symbols) - 1 {
			if g, ok := m.merges[pairKey(symbols[i].id, symbols[i+1].id)]; ok && (at < 0 || g.rank < low.rank) {
				low, at = g, i
			}
		}
		if at < 0 {
			return symbols
		}
		symbols[at].id = low.id
		symbols[at].len += symbols[at+1].len
		symbols = slices.Delete(symbols, at+1, at+2)
	}
}

// mergeLong does the same in n·log(n).
func (m *bpe) mergeLong(symbols []symbol) {
	var queue candidates
	look := func(a, b int) {
		if g, ok := m.merges[pairKey(symbols[a].id, symbols[b].id)]; ok {
			queue = append(queue, candidate{g, a})
		}
	}
	for i := range symbols {
		symbols[i].prev, symbols[i].next = i-1, i+1
		if i+1 < len(symbols) {
			look(i, i+1)
		} else {
			symbols[i].next = -1
		}
	}
	heap.Init(&queue)
	push := func(a, b int) {
		n := len(queue)
		if look(a, b); len(queue) > n {
			heap.Fix(&queue, n)
		}
	}
	for len(queue) > 0 {
		top := heap.Pop(&queue).(candidate)
		left := &symbols[top.at]
		if left.len == 0 || left.next < 0 {
			continue
		}
		right := &symbols[left.next]
		if g, ok := m.merges[pairKey(left.id, right.id)]; !ok || g.id != top.id {
			continue // one of the two has been joined with another
		}
		left.id = top.id
		left.len += right.len
		left.next = right.next
		right.len = 0
		if right.next >= 0 {
			symbols[right.next].prev = top.at
			push(top.at, right.next)
		}
		if left.prev >= 0 {
			push(left.prev, top.at)
		}
	}
}
