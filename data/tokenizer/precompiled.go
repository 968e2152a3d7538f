package tokenizer

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"
)

// charsMap is the table of SentencePiece's normalizers: a double array that finds
// characters, and what they become.
//
// Source: https://github.com/google/sentencepiece/blob/master/src/normalizer.cc
type charsMap struct {
	units []uint32
	texts []byte // each ends with a zero
}

// graphemes matches user-perceived characters.
var graphemes = regexp2.MustCompile(`\X`)

func makePrecompiled(raw json.RawMessage, _ int) (normalizer, error) {
	var c struct {
		tag
		Map *string `json:"precompiled_charsmap"`
	}
	if err := decode(raw, &c); err != nil {
		return nil, err
	}
	if c.Map == nil {
		return nil, errors.New("it has no precompiled_charsmap")
	}
	b, err := base64.StdEncoding.DecodeString(*c.Map)
	if err != nil {
		return nil, fmt.Errorf("precompiled_charsmap: %w", err)
	}
	m, err := newCharsMap(b)
	if err != nil {
		return nil, fmt.Errorf("precompiled_charsmap: %w", err)
	}
	return m.normalize, nil
}

func newCharsMap(b []byte) (*charsMap, error) {
	if len(b) < 4 {
		return nil, fmt.Errorf("%d bytes, want a size of 4 bytes first", len(b))
	}
	size := binary.LittleEndian.Uint32(b)
	b = b[4:]
	if uint64(size) > uint64(len(b)) || size%4 != 0 || size == 0 {
		return nil, fmt.Errorf("an array of %d bytes in %d: want a multiple of 4", size, len(b))
	}
	m := &charsMap{units: make([]uint32, size/4), texts: b[size:]}
	for i := range m.units {
		m.units[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	if !utf8.Valid(m.texts) {
		return nil, errors.New("the texts are not UTF-8")
	}
	return m, nil
}

// find returns what the shortest beginning of s that is in the map becomes.
func (m *charsMap) find(s string) (string, bool) {
	at := unitOffset(m.units[0])
	for i := 0; i < len(s) && s[i] != 0; i++ {
		at ^= uint32(s[i])
		if int(at) >= len(m.units) {
			return "", false
		}
		u := m.units[at]
		if u&(1<<31|0xff) != uint32(s[i]) {
			return "", false
		}
		at ^= unitOffset(u)
		if u>>8&1 == 0 {
			continue
		}
		if int(at) >= len(m.units) {
			return "", false
		}
		from := m.units[at] & (1<<31 - 1)
		if uint64(from) > uint64(len(m.texts)) {
			return "", false
		}
		text := m.texts[from:]
		if end := bytes.IndexByte(text, 0); end >= 0 {
			text = text[:end]
		}
		return string(text), utf8.Valid(text)
	}
	return "", false
}

func unitOffset(u uint32) uint32 { return u >> 10 << (u & (1 << 9) >> 6) }

// normalize looks for whole characters of up to 5 bytes first, then for the runes
// of a character.
func (m *charsMap) normalize(t *text) error {
	to := make([]change, 0, len(t.s))
	modified := false
	replace := func(old, with string) {
		modified = true
		for _, r := range with {
			to = append(to, change{r, 0})
		}
		diff := utf8.RuneCountInString(with) - utf8.RuneCountInString(old)
		switch {
		case diff > 0:
			for i := len(to) - diff; i < len(to); i++ {
				to[i].n = 1
			}
		case diff < 0 && len(to) > 0: // of nothing: the rune before takes it in
			to[len(to)-1].n += diff
		}
	}
	one := func(g string) {
		if len(g) < 6 {
			if with, ok := m.find(g); ok {
				replace(g, with)
				return
			}
		}
		for i, r := range g {
			if with, ok := m.find(g[i : i+utf8.RuneLen(r)]); ok {
				replace(g[i:i+utf8.RuneLen(r)], with)
			} else {
				to = append(to, change{r, 0})
			}
		}
	}
	if isASCII(t.s) {
		for i := 0; i < len(t.s); i++ {
			n := 1
			if i+1 < len(t.s) && t.s[i:i+2] == "\r\n" {
				n = 2
			}
			one(t.s[i : i+n])
			i += n - 1
		}
	} else {
		all, err := graphemes.FindAllStringIndex(t.s, -1)
		if err != nil {
			return err
		}
		for _, g := range all {
			one(t.s[g[0]:g[1]])
		}
	}
	if modified {
		t.transform(to, 0)
	}
	return nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
