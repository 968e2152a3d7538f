package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// byteRunes are the visible characters that GPT-2 writes bytes as, and runeBytes
// the bytes of these.
//
// Source: https://github.com/openai/gpt-2/blob/master/src/encoder.py
var (
	byteRunes = func() (t [256]rune) {
		next := rune(256)
		for b := range t {
			if b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae {
				t[b] = rune(b)
				continue
			}
			t[b] = next
			next++
		}
		return t
	}()
	runeBytes = func() map[rune]byte {
		m := map[rune]byte{}
		for b, r := range byteRunes {
			m[r] = byte(b)
		}
		return m
	}()
)

// spaceRune is what a space is written as.
const spaceRune = 'Ġ'

// toByteRunes writes each byte of the text as a character.
func (t *text) toByteRunes() {
	var b strings.Builder
	b.Grow(len(t.s) * 2)
	align := make([]span, 0, len(t.s)*2)
	for i := 0; i < len(t.s); {
		_, n := utf8.DecodeRuneInString(t.s[i:])
		a := t.at(i)
		for range n {
			size := b.Len()
			b.WriteRune(byteRunes[t.s[i]])
			for range b.Len() - size {
				align = append(align, a)
			}
			i++
		}
	}
	t.s, t.align = b.String(), align
}

// fromByteRunes is the way back; a token with other characters is its own bytes.
func fromByteRunes(dst []byte, token string) []byte {
	from := len(dst)
	for _, r := range token {
		b, ok := runeBytes[r]
		if !ok {
			return append(dst[:from], token...)
		}
		dst = append(dst, b)
	}
	return dst
}

// gpt2Pattern is how GPT-2 cuts text into words.
const gpt2Pattern = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

// scanGPT2 returns the length of the match of gpt2Pattern at the beginning of s;
// there is one wherever text is left.
func scanGPT2(s string) int {
	for _, c := range []string{"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"} {
		if strings.HasPrefix(s, c) {
			return len(c)
		}
	}
	from := 0
	if s[0] == ' ' && len(s) > 1 {
		from = 1
	}
	if kind := wordKind(s[from:]); kind != spaceKind {
		n := from
		for n < len(s) && wordKind(s[n:]) == kind {
			_, size := utf8.DecodeRuneInString(s[n:])
			n += size
		}
		return n
	}
	n, last := 0, 0
	for n < len(s) && wordKind(s[n:]) == spaceKind {
		_, last = utf8.DecodeRuneInString(s[n:])
		n += last
	}
	if n < len(s) && n > last { // the last one goes to the word behind it
		n -= last
	}
	return n
}

const (
	letterKind = iota
	numberKind
	spaceKind
	otherKind
)

// wordKind returns what the first rune of s is for gpt2Pattern.
func wordKind(s string) int {
	r := rune(s[0])
	if r < 0x80 {
		switch {
		case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z':
			return letterKind
		case r >= '0' && r <= '9':
			return numberKind
		case isSpace(r):
			return spaceKind
		}
		return otherKind
	}
	r, _ = utf8.DecodeRuneInString(s)
	switch {
	case unicode.IsLetter(r):
		return letterKind
	case unicode.IsNumber(r):
		return numberKind
	case isSpace(r):
		return spaceKind
	}
	return otherKind
}
