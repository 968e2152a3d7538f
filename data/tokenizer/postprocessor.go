package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// item is a token of an encoding.
type item struct {
	id      uint32
	typ     uint32
	value   string
	input   string // the text that it is of
	span           // in input
	special bool
	masked  bool // padding
}

// postProcessor adds special tokens to the encodings of one or two texts.
type postProcessor interface {
	// added returns how many tokens it adds to one text, or two.
	added(pair bool) int
	process(parts [][]item, special bool) ([][]item, error)
}

var postProcessors map[string]maker[postProcessor]

func init() {
	postProcessors = map[string]maker[postProcessor]{
		"TemplateProcessing": makeTemplate,
		"BertProcessing":     makeBert,
		"RobertaProcessing":  makeRoberta,
		"ByteLevel":          makeTrim,
		"Sequence":           makePostProcessors,
	}
}

// processors are post-processors in turn.
type processors []postProcessor

func makePostProcessors(raw json.RawMessage, depth int) (postProcessor, error) {
	var c struct {
		tag
		Processors []json.RawMessage `json:"processors"`
	}
	if err := decode(raw, &c); err != nil {
		return nil, err
	}
	all, err := makeAll("processors", postProcessors, c.Processors, depth)
	return processors(all), err
}

func (p processors) added(pair bool) int {
	n := 0
	for _, x := range p {
		n += x.added(pair)
	}
	return n
}

func (p processors) process(parts [][]item, special bool) ([][]item, error) {
	for _, x := range p {
		var err error
		if parts, err = x.process(parts, special); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// namedToken is ["[SEP]", 102].
type namedToken struct {
	text string
	id   uint32
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *namedToken) UnmarshalJSON(raw []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(raw, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("%d values, want a token and its id", len(pair))
	}
	if err := json.Unmarshal(pair[0], &t.text); err != nil {
		return err
	}
	return json.Unmarshal(pair[1], &t.id)
}

func (t *namedToken) item(typ uint32) item {
	return item{id: t.id, value: t.text, typ: typ, special: true}
}

// bert is [CLS] a [SEP] b [SEP]; roberta has two separators and one type.
type bert struct {
	sep, cls namedToken
	roberta  *trimOffsets // nil: bert
}

func makeBert(raw json.RawMessage, _ int) (postProcessor, error) {
	var c struct {
		tag
		Sep *namedToken `json:"sep"`
		Cls *namedToken `json:"cls"`
	}
	if err := decode(raw, &c); err != nil {
		return nil, err
	}
	if c.Sep == nil || c.Cls == nil {
		return nil, errors.New("want sep and cls")
	}
	return &bert{sep: *c.Sep, cls: *c.Cls}, nil
}

func makeRoberta(raw json.RawMessage, _ int) (postProcessor, error) {
	var c struct {
		tag
		Sep    *namedToken `json:"sep"`
		Cls    *namedToken `json:"cls"`
		Trim   bool        `json:"trim_offsets"`
		Prefix bool        `json:"add_prefix_space"`
	}
	if err := decode(raw, &c); err != nil {
		return nil, err
	}
	if c.Sep == nil || c.Cls == nil {
		return nil, errors.New("want sep and cls")
	}
	return &bert{*c.Sep, *c.Cls, &trimOffsets{c.Trim, c.Prefix}}, nil
}

func (b *bert) added(pair bool) int {
	switch {
	case !pair:
		return 2
	case b.roberta != nil:
		return 4
	}
	return 3
}

func (b *bert) process(parts [][]item, special bool) ([][]item, error) {
	if b.roberta != nil {
		if _, err := b.roberta.process(parts, special); err != nil {
			return nil, err
		}
		for _, p := range parts {
			for i := range p {
				p[i].typ = 0
			}
		}
	}
	if !special {
		return parts, nil
	}
	out := make([][]item, len(parts))
	for i, p := range parts {
		switch {
		case i == 0:
			out[i] = append(append([]item{b.cls.item(0)}, p...), b.sep.item(0))
		case b.roberta != nil:
			out[i] = append(append([]item{b.sep.item(0)}, p...), b.sep.item(0))
		default:
			out[i] = append(p, b.sep.item(1))
		}
	}
	return out, nil
}

// trimOffsets takes the white space at the ends of byte-level tokens out of their
// offsets.
type trimOffsets struct{ trim, prefixSpace bool }

func makeTrim(raw json.RawMessage, _ int) (postProcessor, error) {
	var c byteLevelConfig
	err := decode(raw, &c)
	return &trimOffsets{c.Trim, c.PrefixSpace}, err
}

func (t *trimOffsets) added(bool) int { return 0 }

func (t *trimOffsets) process(parts [][]item, _ bool) ([][]item, error) {
	if !t.trim {
		return parts, nil
	}
	for _, p := range parts {
		for i := range p {
			it := &p[i]
			lead, trail := 0, 0 // runes
			for _, r := range it.value {
				if r != spaceRune && !isSpace(r) {
					break
				}
				lead++
			}
			for s := it.value; s != ""; trail++ {
				r, n := utf8.DecodeLastRuneInString(s)
				if r != spaceRune && !isSpace(r) {
					break
				}
				s = s[:len(s)-n]
			}
			if (i == 0 || it.start == 0) && t.prefixSpace && lead == 1 {
				lead = 0
			}
			for ; lead > 0 && it.start < it.end; lead-- {
				_, n := utf8.DecodeRuneInString(it.input[it.start:it.end])
				it.start += n
			}
			for ; trail > 0 && it.start < it.end; trail-- {
				_, n := utf8.DecodeLastRuneInString(it.input[it.start:it.end])
				it.end -= n
			}
		}
	}
	return parts, nil
}

// template places texts and special tokens.
type template struct {
	single, pair []templatePiece
	tokens       map[string]specialToken
}

// templatePiece is a text or a special token.
type templatePiece struct {
	Sequence *struct {
		ID   string `json:"id"`
		Type uint32 `json:"type_id"`
	} `json:"Sequence,omitempty"`
	Special *struct {
		ID   string `json:"id"`
		Type uint32 `json:"type_id"`
	} `json:"SpecialToken,omitempty"`
}

// specialToken is what a name in a template stands for.
type specialToken struct {
	ID     string   `json:"id"`
	IDs    []uint32 `json:"ids"`
	Tokens []string `json:"tokens"`
}

func makeTemplate(raw json.RawMessage, _ int) (postProcessor, error) {
	var c struct {
		tag
		Single []templatePiece         `json:"single"`
		Pair   []templatePiece         `json:"pair"`
		Tokens map[string]specialToken `json:"special_tokens"`
	}
	if err := decode(raw, &c); err != nil {
		return nil, err
	}
	for name, t := range c.Tokens {
		if len(t.IDs) != len(t.Tokens) {
			return nil, fmt.Errorf("special_tokens: %q has %d ids and %d tokens", name, len(t.IDs), len(t.Tokens))
		}
	}
	for k, pieces := range [][]templatePiece{c.Single, c.Pair} {
		where := []string{"single", "pair"}[k]
		for i, p := range pieces {
			switch {
			case (p.Sequence == nil) == (p.Special == nil):
				return nil, fmt.Errorf("%s[%d]: want a Sequence or a SpecialToken", where, i)
			case p.Sequence != nil && p.Sequence.ID != "A" && (p.Sequence.ID != "B" || k == 0):
				return nil, fmt.Errorf("%s[%d]: there is no sequence %q", where, i, p.Sequence.ID)
			case p.Special != nil:
				if _, ok := c.Tokens[p.Special.ID]; !ok {
					return nil, fmt.Errorf("%s[%d]: %q is not among special_tokens", where, i, p.Special.ID)
				}
			}
		}
	}
	return &template{c.Single, c.Pair, c.Tokens}, nil
}

func (t *template) added(pair bool) int {
	pieces := t.single
	if pair {
		pieces = t.pair
	}
	n := 0
	for _, p := range pieces {
		if p.Special != nil {
			n += len(t.tokens[p.Special.ID].IDs)
		}
	}
	return n
}

func (t *template) process(parts [][]item, special bool) ([][]item, error) {
	pieces := t.single
	switch len(parts) {
	case 1:
	case 2:
		pieces = t.pair
	default:
		return nil, fmt.Errorf("a template behind a post-processor that has left %d parts: want one or two", len(parts))
	}
	var out [][]item
	for _, p := range pieces {
		if p.Special != nil {
			if !special {
				continue
			}
			tok := t.tokens[p.Special.ID]
			all := make([]item, len(tok.IDs))
			for i, id := range tok.IDs {
				all[i] = item{id: id, value: tok.Tokens[i], typ: p.Special.Type, special: true}
			}
			out = append(out, all)
			continue
		}
		i := 0
		if p.Sequence.ID == "B" {
			i = 1
		}
		all := append([]item(nil), parts[i]...)
		for k := range all {
			all[k].typ = p.Sequence.Type
		}
		out = append(out, all)
	}
	return out, nil
}
