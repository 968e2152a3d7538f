package tokenizer

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// decoder makes text of tokens, in steps: what all steps have left is joined.
type decoder func(tokens []string) ([]string, error)

var decoders map[string]maker[decoder]

func init() {
	decoders = map[string]maker[decoder]{
		"ByteLevel":    makeByteLevelDecoder,
		"WordPiece":    makeWordPieceDecoder,
		"Metaspace":    makeMetaspaceDecoder,
		"BPEDecoder":   makeBPEDecoder,
		"ByteFallback": plain[decoder](decodeBytes),
		"Fuse":         plain[decoder](func(tokens []string) ([]string, error) { return []string{strings.Join(tokens, "")}, nil }),
		"Strip":        makeStripDecoder,
		"Replace":      makeReplaceDecoder,
		"CTC":          makeCTC,
		"Sequence":     makeDecoders,
	}
}

func makeDecoders(raw json.RawMessage, depth int) (decoder, error) {
	var c struct {
		tag
		Decoders []json.RawMessage `json:"decoders"`
	}
	if err := decode(raw, &c); err != nil {
		return nil, err
	}
	all, err := makeAll("decoders", decoders, c.Decoders, depth)
	return func(tokens []string) ([]string, error) {
		for _, d := range all {
			var err error
			if tokens, err = d(tokens); err != nil {
				return nil, err
			}
		}
		return tokens, nil
	}, err
}

func makeByteLevelDecoder(raw json.RawMessage, _ int) (decoder, error) {
	var c byteLevelConfig
	err := decode(raw, &c)
	return func(tokens []string) ([]string, error) {
		var b []byte
		for _, t := range tokens {
			b = fromByteRunes(b, t)
		}
		return []string{lossy(b)}, nil
	}, err
}

// lossy writes U+FFFD for each longest beginning of a character that does not
// go on, as Unicode recommends and Rust does.
//
// Source: https://www.unicode.org/versions/latest/core-spec/chapter-3/#G66453
func lossy(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var out strings.Builder
	for len(b) > 0 {
		if r, n := utf8.DecodeRune(b); r != utf8.RuneError || n > 1 {
			out.Write(b[:n])
			b = b[n:]
			continue
		}
		out.WriteRune(utf8.RuneError)
		b = b[brokenLen(b):]
	}
	return out.String()
}

// brokenLen returns how many of the first bytes could have begun a character.
func brokenLen(b []byte) int {
	low, high, want := byte(0x80), byte(0xbf), 0
	switch c := b[0]; {
	case c >= 0xc2 && c <= 0xdf:
		want = 1
	case c >= 0xe0 && c <= 0xef:
		want = 2
		if c == 0xe0 {
			low = 0xa0
		} else if c == 0xed {
			high = 0x9f
		}
	case c >= 0xf0 && c <= 0xf4:
		want = 3
		if c == 0xf0 {
			low = 0x90
		} else if c == 0xf4 {
			high = 0x8f
		}
	}
	n := 1
	for ; n <= want && n < len(b) && b[n] >= low && b[n] <= high; n++ {
		low, high = 0x80, 0xbf
	}
	return n
}

// cleanup takes out the spaces that English text does not have.
var cleanup = func() func(string) string {
	pairs := [][2]string{{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"}, {" 'm", "'m"},
		{" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}}
	return func(s string) string {
		for _, p := range pairs {
			s = strings.ReplaceAll(s, p[0], p[1])
		}
		return s
	}
}()

func makeWordPieceDecoder(raw json.RawMessage, _ int) (decoder, error) {
	var c struct {
		tag
		Prefix  string `json:"prefix"`
		Cleanup bool   `json:"cleanup"`
	}
	err := decode(raw, &c)
	return func(tokens []string) ([]string, error) {
		out := make([]string, len(tokens))
		for i, t := range tokens {
			if i > 0 {
				if rest, ok := strings.CutPrefix(t, c.Prefix); ok {
					t = rest
				} else {
					t = " " + t
				}
			}
			if c.Cleanup {
				t = cleanup(t)
			}
			out[i] = t
		}
		return out, nil
	}, err
}

func makeMetaspaceDecoder(raw json.RawMessage, _ int) (decoder, error) {
	var c metaspaceConfig
	if err := decode(raw, &c); err != nil {
		return nil, err
	}
	scheme, err := c.scheme()
	if err != nil {
		return nil, err
	}
	_, err = oneRune("replacement", c.Replacement)
	return func(tokens []string) ([]string, error) {
		out := make([]string, len(tokens))
		for i, t := range tokens {
			with := " "
			if i == 0 && scheme != "never" {
				with = ""
			}
			out[i] = strings.ReplaceAll(t, c.Replacement, with)
		}
		return out, nil
	}, err
}

func makeBPEDecoder(raw json.RawMessage, _ int) (decoder, error) {
	var c struct {
		tag
		Suffix string `json:"suffix"`
	}
	err := decode(raw, &c)
	return func(tokens []string) ([]string, error) {
		out := make([]string, len(tokens))
		for i, t := range tokens {
			with := " "
			if i == len(tokens)-1 {
				with = ""
			}
			out[i] = strings.ReplaceAll(t, c.Suffix, with)
		}
		return out, nil
	}, err
}

// decodeBytes makes characters of tokens such as <0x41>.
func decodeBytes(tokens []string) ([]string, error) {
	var out []string
	var b []byte
	flush := func() {
		if utf8.Valid(b) && len(b) > 0 {
			out = append(out, string(b))
		} else {
			for range b {
				out = append(out, "\ufffd")
			}
		}
		b = b[:0]
	}
	for _, t := range tokens {
		if len(t) == 6 && strings.HasPrefix(t, "<0x") && t[5] == '>' {
			if v, err := strconv.ParseUint(t[3:5], 16, 8); err == nil {
				b = append(b, byte(v))
				continue
			}
		}
		flush()
		out = append(out, t)
	}
	flush()
	return out, nil
}

func makeStripDecoder(raw json.RawMessage, _ int) (decoder, error) {
	var c struct {
		tag
		Content string `json:"content"`
		Start   int    `json:"start"`
		Stop    int    `json:"stop"`
	}
	if err := decode(raw, &c); err != nil {
		return nil, err
	}
	if c.Start < 0 || c.Stop < 0 {
		return nil, fmt.Errorf("start is %d and stop %d, want at least 0", c.Start, c.Stop)
	}
	_, err := oneRune("content", c.Content)
	return func(tokens []string) ([]string, error) {
		out := make([]string, len(tokens))
		for i, t := range tokens {
			for n := 0; n < c.Start && strings.HasPrefix(t, c.Content); n++ {
				t = t[len(c.Content):]
			}
			for n := 0; n < c.Stop && strings.HasSuffix(t, c.Content); n++ {
				t = t[:len(t)-len(c.Content)]
			}
			out[i] = t
		}
		return out, nil
	}, err
}

func makeReplaceDecoder(raw json.RawMessage, _ int) (decoder, error) {
	var c replaceConfig
	if err := decode(raw, &c); err != nil {
		return nil, err
	}
	m, err := c.Pattern.matcher()
	return func(tokens []string) ([]string, error) {
		out := make([]string, len(tokens))
		for i, t := range tokens {
			x := text{s: t}
			if err := x.replace(m, c.Content); err != nil {
				return nil, err
			}
			out[i] = x.s
		}
		return out, nil
	}, err
}

func makeCTC(raw json.RawMessage, _ int) (decoder, error) {
	var c struct {
		tag
		Pad       string `json:"pad_token"`
		Delimiter string `json:"word_delimiter_token"`
		Cleanup   bool   `json:"cleanup"`
	}
	err := decode(raw, &c)
	return func(tokens []string) ([]string, error) {
		var out []string
		for i, t := range tokens {
			if i > 0 && t == tokens[i-1] {
				continue
			}
			t = strings.ReplaceAll(t, c.Pad, "")
			if c.Cleanup {
				t = strings.ReplaceAll(cleanup(t), c.Delimiter, " ")
			}
			if t != "" {
				out = append(out, t)
			}
		}
		return out, nil
	}, err
}
