package tokenizer

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// AddedToken is a token that is found in texts before they are cut into words.
type AddedToken struct {
	ID      uint32 `json:"id"`
	Content string `json:"content"`
	// SingleWord finds it only where no word character touches it.
	SingleWord bool `json:"single_word"`
	// LStrip and RStrip take in the white space before and behind it.
	LStrip bool `json:"lstrip"`
	RStrip bool `json:"rstrip"`
	// Normalized looks for its normalized form in the normalized text.
	Normalized bool `json:"normalized"`
	// Special is what decoding can leave out.
	Special bool `json:"special"`
}

// addedTokens finds the added tokens in texts.
type addedTokens struct {
	list      []AddedToken
	byContent map[string]*AddedToken
	byID      map[uint32]*AddedToken
	decoded   map[uint32]string // what decoding begins with, where it is not the content
	raw, norm *finder           // in texts as they are, and normalized; nil: nothing to find
}

// finder finds the longest tokens.
type finder struct {
	*trie
	tokens []*AddedToken
	starts [256]bool // the first bytes of tokens
}

func newFinder(tokens []*AddedToken, keys []string) *finder {
	if len(keys) == 0 {
		return nil
	}
	f := &finder{trie: newTrie(keys), tokens: tokens}
	for _, k := range keys {
		if k != "" {
			f.starts[k[0]] = true
		}
	}
	return f
}

func newAddedTokens(list []AddedToken, m model, n normalizer) (*addedTokens, error) {
	a := &addedTokens{byContent: map[string]*AddedToken{}, byID: map[uint32]*AddedToken{}, decoded: map[uint32]string{}}
	for i := range list {
		t := list[i]
		if t.Content == "" {
			continue // as the reference does
		}
		if id, ok := m.id(t.Content); ok && id != t.ID {
			return nil, fmt.Errorf("added_tokens[%d]: %q has the id %d, in the vocabulary it has %d", i, t.Content, t.ID, id)
		}
		if other := a.byID[t.ID]; other != nil && other.Content != t.Content {
			return nil, fmt.Errorf("added_tokens[%d]: %q has the id %d, which %q has", i, t.Content, t.ID, other.Content)
		}
		a.byContent[t.Content], a.byID[t.ID] = &t, &t
	}
	var tokens [2][]*AddedToken
	var keys [2][]string
	for _, entry := range list {
		t := a.byContent[entry.Content]
		if t == nil {
			continue
		}
		key, k := t.Content, 0
		if t.Normalized {
			k = 1
			if n != nil {
				x := text{s: t.Content}
				if err := n(&x); err != nil {
					return nil, fmt.Errorf("added token %q: %w", t.Content, err)
				}
				if key = x.s; key != t.Content {
					a.decoded[t.ID] = key
				}
			}
		}
		tokens[k], keys[k] = append(tokens[k], t), append(keys[k], key)
		a.list = append(a.list, *t)
	}
	a.raw, a.norm = newFinder(tokens[0], keys[0]), newFinder(tokens[1], keys[1])
	return a, nil
}

// found is a piece of a text: an added token, or what lies between.
type found struct {
	text
	token *AddedToken
}

// split yields the pieces of t.
func (f *finder) split(t text, yield func(found)) {
	if f == nil {
		if t.s != "" {
			yield(found{text: t})
		}
		return
	}
	done := 0
	for at := 0; at < len(t.s); {
		v, n := int32(0), 0
		if f.starts[t.s[at]] {
			v, n = f.longest(t.s[at:])
		}
		if n == 0 {
			at++
			continue
		}
		start, stop, token := at, at+n, f.tokens[v]
		at = stop
		if token.SingleWord && (endsInWord(t.s[:start]) || beginsWithWord(t.s[stop:])) {
			continue
		}
		if token.LStrip {
			for start > done {
				r, n := utf8.DecodeLastRuneInString(t.s[:start])
				if !isSpace(r) {
					break
				}
				start -= n
			}
			start = max(start, done)
		}
		if token.RStrip {
			for stop < len(t.s) {
				r, n := utf8.DecodeRuneInString(t.s[stop:])
				if !isSpace(r) {
					break
				}
				stop += n
			}
		}
		if done < start {
			yield(found{text: t.slice(done, start)})
		}
		yield(found{t.slice(start, stop), token})
		done = stop
	}
	if done < len(t.s) {
		yield(found{text: t.slice(done, len(t.s))})
	}
}

func endsInWord(s string) bool {
	r, n := utf8.DecodeLastRuneInString(s)
	return n > 0 && isWord(r)
}

func beginsWithWord(s string) bool {
	r, n := utf8.DecodeRuneInString(s)
	return n > 0 && isWord(r)
}

var errNotUTF8 = errors.New("the text is not UTF-8")

// pieces cuts an input at added tokens and normalizes the rest.
func (t *Tokenizer) pieces(input string) ([]found, error) {
	var out []found
	var err error
	t.added.raw.split(text{s: input}, func(f found) {
		if f.token != nil {
			out = append(out, f)
			return
		}
		if t.normalizer != nil && err == nil {
			err = t.normalizer(&f.text)
		}
		if err == nil {
			t.added.norm.split(f.text, func(f found) { out = append(out, f) })
		}
	})
	return out, err
}
