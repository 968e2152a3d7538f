package tokenizer

import (
	"encoding/json"
	"fmt"
)

// Encoding is a text, or a pair of texts, as tokens. All fields are as long.
type Encoding struct {
	IDs []int64
	// TypeIDs tells the first text from the second.
	TypeIDs []int64
	Tokens  []string
	// Offsets are the bytes [start, end) of the text that each token stands for; of
	// special tokens they are 0, 0.
	Offsets [][2]int
	// AttentionMask is 0 for padding and 1 for all else.
	AttentionMask []int64
	// SpecialTokensMask is 1 for what was added: special tokens and padding.
	SpecialTokensMask []int64
}

// Len returns the number of tokens.
func (e *Encoding) Len() int { return len(e.IDs) }

func newEncoding(items []item) *Encoding {
	n := len(items)
	all := make([]int64, 4*n)
	e := &Encoding{IDs: all[:n:n], TypeIDs: all[n : 2*n : 2*n], AttentionMask: all[2*n : 3*n : 3*n], SpecialTokensMask: all[3*n:],
		Tokens: make([]string, n), Offsets: make([][2]int, n)}
	for i, it := range items {
		e.IDs[i], e.TypeIDs[i], e.Tokens[i], e.Offsets[i] = int64(it.id), int64(it.typ), it.value, [2]int{it.start, it.end}
		if !it.masked {
			e.AttentionMask[i] = 1
		}
		if it.special {
			e.SpecialTokensMask[i] = 1
		}
	}
	return e
}

// Truncation says how long an encoding may be. What is cut off is dropped.
type Truncation struct {
	// MaxLength counts tokens, special ones included.
	MaxLength int
	// Strategy is LongestFirst, OnlyFirst or OnlySecond: which text of a pair is cut.
	// "": LongestFirst.
	Strategy string
	// Left cuts at the beginning instead of at the end.
	Left bool

	stride int // kept for the file
}

// truncationConfig is Truncation in a file.
type truncationConfig struct {
	Direction string `json:"direction"`
	MaxLength int    `json:"max_length"`
	Strategy  string `json:"strategy"`
	Stride    int    `json:"stride"`
}

// Padding says what encodings are filled up to.
type Padding struct {
	// Length is what encodings are at least; 0: the longest one of a batch.
	Length int
	// MultipleOf rounds the length up; 0: it does not.
	MultipleOf int
	ID         uint32
	TypeID     uint32
	Token      string
	// Left fills at the beginning instead of at the end.
	Left bool
}

// paddingConfig is Padding in a file.
type paddingConfig struct {
	Strategy   json.RawMessage `json:"strategy"`
	Direction  string          `json:"direction"`
	MultipleOf *int            `json:"pad_to_multiple_of"`
	ID         uint32          `json:"pad_id"`
	TypeID     uint32          `json:"pad_type_id"`
	Token      string          `json:"pad_token"`
}

// maxTokens is what encodings are padded to at most.
const maxTokens = 1 << 20

// leftOf reads a direction.
func leftOf(direction string) (bool, error) {
	switch direction {
	case "", "Right":
		return false, nil
	case "Left":
		return true, nil
	}
	return false, fmt.Errorf("direction is %q, want Left or Right", direction)
}

func readTruncation(raw json.RawMessage) (*Truncation, error) {
	var c truncationConfig
	if isNull(raw) {
		return nil, nil
	}
	if err := decode(raw, &c); err != nil {
		return nil, err
	}
	left, err := leftOf(c.Direction)
	return &Truncation{MaxLength: c.MaxLength, Strategy: c.Strategy, Left: left, stride: c.Stride}, err
}

func readPadding(raw json.RawMessage) (*Padding, error) {
	var c paddingConfig
	if isNull(raw) {
		return nil, nil
	}
	if err := decode(raw, &c); err != nil {
		return nil, err
	}
	left, err := leftOf(c.Direction)
	if err != nil {
		return nil, err
	}
	p := &Padding{MultipleOf: deref(c.MultipleOf), ID: c.ID, TypeID: c.TypeID, Token: c.Token, Left: left}
	var name string
	if json.Unmarshal(c.Strategy, &name) == nil && name == "BatchLongest" {
		return p, nil
	}
	var fixed struct{ Fixed *int }
	if decode(c.Strategy, &fixed) != nil || fixed.Fixed == nil {
		return nil, fmt.Errorf(`strategy is %s, want "BatchLongest" or {"Fixed": n}`, c.Strategy)
	}
	p.Length = *fixed.Fixed
	return p, nil
}

// check reports settings that cannot be kept; added is how many tokens are added
// to one text.
func (tr *Truncation) check(added int) error {
	if tr == nil {
		return nil
	}
	switch tr.Strategy {
	case "", "LongestFirst", "OnlyFirst", "OnlySecond":
	default:
		return fmt.Errorf("strategy is %q, want LongestFirst, OnlyFirst or OnlySecond", tr.Strategy)
	}
	if tr.MaxLength < added || tr.stride < 0 || tr.stride > tr.MaxLength-added {
		return fmt.Errorf("max_length is %d and stride %d, %d tokens are added to a text", tr.MaxLength, tr.stride, added)
	}
	return nil
}

func (p *Padding) check() error {
	if p != nil && (p.Length < 0 || p.Length > maxTokens || p.MultipleOf < 0 || p.MultipleOf > maxTokens) {
		return fmt.Errorf("a length of %d and multiples of %d: want 0 to %d", p.Length, p.MultipleOf, maxTokens)
	}
	return nil
}

// cut keeps n items.
func (tr *Truncation) cut(items []item, n int) []item {
	switch {
	case n >= len(items):
		return items
	case tr.Left:
		return items[len(items)-n:]
	}
	return items[:n]
}

// apply cuts one or two texts to limit tokens together.
func (tr *Truncation) apply(parts [][]item, limit int) error {
	total := 0
	for _, p := range parts {
		total += len(p)
	}
	if total <= limit {
		return nil
	}
	i := 0
	switch tr.Strategy {
	case "OnlyFirst":
	case "OnlySecond":
		if i = 1; len(parts) < 2 {
			return fmt.Errorf("%d tokens, at most %d: only the second text may be cut, and there is none", total, limit)
		}
	default:
		if len(parts) < 2 || limit <= 0 {
			for i := range parts {
				parts[i] = tr.cut(parts[i], max(limit, 0))
			}
			return nil
		}
		a, b := 0, 1 // the shorter and the longer one
		if len(parts[0]) > len(parts[1]) {
			a, b = 1, 0
		}
		n, m := len(parts[a]), 0
		if n > limit {
			m = n
		} else {
			m = max(n, limit-n)
		}
		if n+m > limit {
			n = limit / 2
			m = n + limit%2
		}
		parts[a], parts[b] = tr.cut(parts[a], n), tr.cut(parts[b], m)
		return nil
	}
	n := len(parts[i]) - (total - limit)
	if n <= 0 && limit > 0 {
		return fmt.Errorf("%d tokens, at most %d: the text that may be cut has only %d", total, limit, len(parts[i]))
	}
	parts[i] = tr.cut(parts[i], max(n, 0))
	return nil
}

// length returns what an encoding of at most longest tokens is filled up to.
func (p *Padding) length(longest int) int {
	n := longest
	if p.Length > 0 {
		n = p.Length
	}
	if m := p.MultipleOf; m > 0 && n%m > 0 {
		n += m - n%m
	}
	return n
}

// pad fills an encoding up to n tokens.
func (p *Padding) pad(e *Encoding, n int) {
	if e.Len() >= n {
		return
	}
	k := n - e.Len()
	e.IDs = padded(e.IDs, k, int64(p.ID), p.Left)
	e.TypeIDs = padded(e.TypeIDs, k, int64(p.TypeID), p.Left)
	e.Tokens = padded(e.Tokens, k, p.Token, p.Left)
	e.Offsets = padded(e.Offsets, k, [2]int{}, p.Left)
	e.AttentionMask = padded(e.AttentionMask, k, 0, p.Left)
	e.SpecialTokensMask = padded(e.SpecialTokensMask, k, 1, p.Left)
}

func padded[T any](s []T, n int, v T, left bool) []T {
	out := make([]T, 0, len(s)+n)
	if !left {
		out = append(out, s...)
	}
	for range n {
		out = append(out, v)
	}
	if left {
		out = append(out, s...)
	}
	return out
}
