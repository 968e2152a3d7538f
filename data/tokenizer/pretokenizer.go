package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// preTokenizer cuts pieces of a text into smaller ones.
type preTokenizer func(t text, yield func(text)) error

var preTokenizers map[string]maker[preTokenizer]

func init() {
	preTokenizers = map[string]maker[preTokenizer]{
		"BertPreTokenizer": plain(inTurn([]preTokenizer{
			splitAt(runesOf(isSpace), removed), splitAt(runesOf(isPunctuation), isolated)})),
		"Whitespace":         plain(splitAt(inverted{scanner(scanWord)}, removed)),
		"WhitespaceSplit":    plain(splitAt(runesOf(isSpace), removed)),
		"ByteLevel":          makeByteLevel,
		"Metaspace":          makeMetaspace,
		"Split":              makeSplit,
		"Digits":             makeDigits,
		"Punctuation":        makePunctuation,
		"CharDelimiterSplit": makeDelimiter,
		"Delimiter":          makeDelimiter,
		"Sequence":           makePreTokenizers,
		"FixedLength":        makeFixedLength,
	}
}

func makePreTokenizers(raw json.RawMessage, depth int) (preTokenizer, error) {
	var c struct {
		tag
		Parts []json.RawMessage `json:"pretokenizers"`
	}
	if err := decode(raw, &c); err != nil {
		return nil, err
	}
	all, err := makeAll("pretokenizers", preTokenizers, c.Parts, depth)
	return inTurn(all), err
}

// inTurn cuts by each pre-tokenizer what the one before has left.
func inTurn(all []preTokenizer) preTokenizer {
	return func(t text, yield func(text)) error {
		pieces := []text{t}
		for _, p := range all {
			var next []text
			for _, t := range pieces {
				if err := p(t, func(t text) { next = append(next, t) }); err != nil {
					return err
				}
			}
			pieces = next
		}
		for _, t := range pieces {
			yield(t)
		}
		return nil
	}
}

// splitAt cuts at what m finds.
func splitAt(m matcher, b behavior) preTokenizer {
	return func(t text, yield func(text)) error { return t.split(m, b, yield) }
}

// scanWord matches \w+|[^\w\s]+.
func scanWord(s string) int {
	kind := func(r rune) int {
		switch {
		case isWord(r):
			return 1
		case isSpace(r):
			return 0
		}
		return 2
	}
	first := 0
	for i, r := range s {
		k := kind(r)
		if i == 0 {
			if first = k; k == 0 {
				return 0
			}
		}
		if k != first {
			return i
		}
	}
	return len(s)
}

// byteLevelConfig is ByteLevel, which is a pre-tokenizer, a decoder and a
// post-processor.
type byteLevelConfig struct {
	tag
	PrefixSpace bool  `json:"add_prefix_space"`
	Trim        bool  `json:"trim_offsets"`
	Regex       *bool `json:"use_regex"`
}

func makeByteLevel(raw json.RawMessage, _ int) (preTokenizer, error) {
	var c byteLevelConfig
	err := decode(raw, &c)
	return func(t text, yield func(text)) error {
		if c.PrefixSpace && !strings.HasPrefix(t.s, " ") {
			t.prepend(" ")
		}
		bytes := func(t text) {
			t.toByteRunes()
			yield(t)
		}
		if c.Regex == nil || *c.Regex {
			return t.split(scanner(scanGPT2), isolated, bytes)
		}
		bytes(t)
		return nil
	}, err
}

// metaspaceConfig is Metaspace, which is a pre-tokenizer and a decoder.
type metaspaceConfig struct {
	tag
	Replacement string  `json:"replacement"`
	PrefixSpace *bool   `json:"add_prefix_space"`
	Scheme      *string `json:"prepend_scheme"`
	Split       *bool   `json:"split"`
	StrRep      *string `json:"str_rep"`
}

// scheme returns where the replacement is prepended: always, first or never.
func (c *metaspaceConfig) scheme() (string, error) {
	scheme := "always"
	if c.Scheme != nil {
		scheme = *c.Scheme
	}
	if scheme != "always" && scheme != "first" && scheme != "never" {
		return "", fmt.Errorf("prepend_scheme is %q, want always, first or never", scheme)
	}
	if c.PrefixSpace != nil && !*c.PrefixSpace {
		if c.Scheme != nil && scheme != "never" {
			return "", fmt.Errorf("add_prefix_space is false and prepend_scheme %q: want never", scheme)
		}
		scheme = "never"
	}
	return scheme, nil
}

func makeMetaspace(raw json.RawMessage, _ int) (preTokenizer, error) {
	var c metaspaceConfig
	if err := decode(raw, &c); err != nil {
		return nil, err
	}
	scheme, err := c.scheme()
	if err != nil {
		return nil, err
	}
	r, err := oneRune("replacement", c.Replacement)
	if err != nil {
		return nil, err
	}
	cut := runesOf(func(x rune) bool { return x == r })
	return func(t text, yield func(text)) error {
		if err := t.replace(literal(" "), c.Replacement); err != nil {
			return err
		}
		if (scheme == "always" || scheme == "first" && t.shift == 0) && !strings.HasPrefix(t.s, c.Replacement) {
			t.prepend(c.Replacement)
		}
		if c.Split == nil || *c.Split {
			return t.split(cut, mergedWithNext, yield)
		}
		yield(t)
		return nil
	}, nil
}

func makeSplit(raw json.RawMessage, _ int) (preTokenizer, error) {
	var c struct {
		tag
		Pattern  *filePattern `json:"pattern"`
		Behavior *behavior    `json:"behavior"`
		Invert   bool         `json:"invert"`
	}
	if err := decode(raw, &c); err != nil {
		return nil, err
	}
	if c.Behavior == nil {
		return nil, fmt.Errorf("it has no behavior: want one of %s", strings.Join(behaviors, ", "))
	}
	m, err := c.Pattern.matcher()
	if c.Invert {
		m = inverted{m}
	}
	return splitAt(m, *c.Behavior), err
}

func makeDigits(raw json.RawMessage, _ int) (preTokenizer, error) {
	var c struct {
		tag
		Individual bool `json:"individual_digits"`
	}
	err := decode(raw, &c)
	b := contiguous
	if c.Individual {
		b = isolated
	}
	return splitAt(runesOf(unicode.IsNumber), b), err
}

func makePunctuation(raw json.RawMessage, _ int) (preTokenizer, error) {
	var c struct {
		tag
		Behavior *behavior `json:"behavior"`
	}
	err := decode(raw, &c)
	b := isolated
	if c.Behavior != nil {
		b = *c.Behavior
	}
	return splitAt(runesOf(isPunctuation), b), err
}

func makeDelimiter(raw json.RawMessage, _ int) (preTokenizer, error) {
	var c struct {
		tag
		Delimiter string `json:"delimiter"`
	}
	if err := decode(raw, &c); err != nil {
		return nil, err
	}
	r, err := oneRune("delimiter", c.Delimiter)
	return splitAt(runesOf(func(x rune) bool { return x == r }), removed), err
}

func makeFixedLength(raw json.RawMessage, _ int) (preTokenizer, error) {
	c := struct {
		tag
		Length int `json:"length"`
	}{Length: 5}
	err := decode(raw, &c)
	if err == nil && c.Length < 1 {
		err = fmt.Errorf("length is %d, want at least 1", c.Length)
	}
	return func(t text, yield func(text)) error {
		for from := 0; from < len(t.s); {
			to := from
			for n := 0; n < c.Length && to < len(t.s); n++ {
				_, size := utf8.DecodeRuneInString(t.s[to:])
				to += size
			}
			yield(t.slice(from, to))
			from = to
		}
		return nil
	}, err
}
