package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds sequences in sequences.
const maxDepth = 32

// isNull reports whether a value is absent or null.
func isNull(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) == 0 || bytes.Equal(raw, []byte("null"))
}

// decode reads raw to v, whose keys are the only ones there may be.
func decode(raw json.RawMessage, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more than one value")
	}
	return nil
}

// tag is the key that says what a part is.
type tag struct {
	Type string `json:"type"`
}

// typeOf reads the tag of a part.
func typeOf(raw json.RawMessage) (string, error) {
	var t tag
	if err := json.Unmarshal(raw, &t); err != nil {
		return "", err
	}
	if t.Type == "" {
		return "", errors.New(`it has no "type"`)
	}
	return t.Type, nil
}

// maker makes a part of type T from its description.
type maker[T any] func(raw json.RawMessage, depth int) (T, error)

// build makes the part that raw describes by the maker of its type. where is for
// messages.
func build[T any](where string, makers map[string]maker[T], raw json.RawMessage, depth int) (T, error) {
	var none T
	if depth > maxDepth {
		return none, fmt.Errorf("%s: sequences in sequences, more than %d deep", where, maxDepth)
	}
	kind, err := typeOf(raw)
	if err != nil {
		return none, fmt.Errorf("%s: %w", where, err)
	}
	m := makers[kind]
	if m == nil {
		var names []string
		for k := range makers {
			names = append(names, k)
		}
		slices.Sort(names)
		return none, fmt.Errorf("%s: there is no type %q; there are %s", where, kind, strings.Join(names, ", "))
	}
	v, err := m(raw, depth)
	if err != nil {
		return none, fmt.Errorf("%s: %s: %w", where, kind, err)
	}
	return v, nil
}

// makeAll makes the parts of a sequence.
func makeAll[T any](where string, makers map[string]maker[T], raws []json.RawMessage, depth int) ([]T, error) {
	var all []T
	for i, raw := range raws {
		v, err := build(fmt.Sprintf("%s[%d]", where, i), makers, raw, depth+1)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// plain is the maker of a part without settings.
func plain[T any](v T) maker[T] {
	return func(raw json.RawMessage, _ int) (T, error) {
		var t tag
		return v, decode(raw, &t)
	}
}

// oneRune returns the only rune of s.
func oneRune(key, s string) (rune, error) {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 || n != len(s) {
		return 0, fmt.Errorf("%s is %q, want one character", key, s)
	}
	return r, nil
}
