package tokenizer

import (
	"encoding/json"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// normalizer rewrites a text before it is cut up.
type normalizer func(t *text) error

// normalizers are made by type. It is filled by init, as sequences are made of
// what is in it.
var normalizers map[string]maker[normalizer]

func init() {
	form := func(f norm.Form) maker[normalizer] {
		return plain[normalizer](func(t *text) error { t.normalForm(f); return nil })
	}
	normalizers = map[string]maker[normalizer]{
		"NFC": form(norm.NFC), "NFD": form(norm.NFD), "NFKC": form(norm.NFKC), "NFKD": form(norm.NFKD),
		"Lowercase":    plain[normalizer](func(t *text) error { t.lower(); return nil }),
		"StripAccents": plain[normalizer](func(t *text) error { t.filter(func(r rune) bool { return !unicode.Is(unicode.M, r) }); return nil }),
		"Nmt":          plain[normalizer](nmt),
		"ByteLevel": plain[normalizer](func(t *text) error {
			if t.s != "" {
				t.toByteRunes()
			}
			return nil
		}),
		"Strip":          makeStrip,
		"BertNormalizer": makeBertNormalizer,
		"Bert":           makeBertNormalizer,
		"Replace":        makeReplace,
		"Prepend":        makePrepend,
		"Precompiled":    makePrecompiled,
		"Sequence":       makeNormalizers,
	}
}

func makeNormalizers(raw json.RawMessage, depth int) (normalizer, error) {
	var c struct {
		tag
		Normalizers []json.RawMessage `json:"normalizers"`
	}
	if err := decode(raw, &c); err != nil {
		return nil, err
	}
	all, err := makeAll("normalizers", normalizers, c.Normalizers, depth)
	return func(t *text) error {
		for _, n := range all {
			if err := n(t); err != nil {
				return err
			}
		}
		return nil
	}, err
}

// lower writes all runes in lower case, as Unicode's SpecialCasing has them
// without a language.
func (t *text) lower() {
	to, same := make([]change, 0, len(t.s)), true
	for _, r := range t.s {
		l := unicode.ToLower(r)
		if same = same && l == r; r == 'İ' {
			to, same = append(to, change{'i', 0}, change{'\u0307', 1}), false
			continue
		}
		to = append(to, change{l, 0})
	}
	if !same {
		t.transform(to, 0)
	}
}

// nmt removes control characters and makes spaces of others.
func nmt(t *text) error {
	t.filter(func(r rune) bool {
		return !(r >= 1 && r <= 8 || r == 0xb || r >= 0xe && r <= 0x1f || r == 0x7f || r == 0x8f || r == 0x9f)
	})
	t.runes(func(r rune) rune {
		switch {
		case r == '\t', r == '\n', r == '\f', r == '\r', r == 0x1680, r >= 0x200b && r <= 0x200f,
			r == 0x2028, r == 0x2029, r == 0x2581, r == 0xfeff, r == 0xfffd:
			return ' '
		}
		return r
	})
	return nil
}

func makeStrip(raw json.RawMessage, _ int) (normalizer, error) {
	var c struct {
		tag
		Left  bool `json:"strip_left"`
		Right bool `json:"strip_right"`
	}
	err := decode(raw, &c)
	return func(t *text) error { t.strip(c.Left, c.Right); return nil }, err
}

func makeBertNormalizer(raw json.RawMessage, _ int) (normalizer, error) {
	var c struct {
		tag
		Clean   bool  `json:"clean_text"`
		Chinese bool  `json:"handle_chinese_chars"`
		Accents *bool `json:"strip_accents"`
		Lower   bool  `json:"lowercase"`
	}
	err := decode(raw, &c)
	accents := c.Lower
	if c.Accents != nil {
		accents = *c.Accents
	}
	return func(t *text) error {
		if c.Clean {
			t.filter(func(r rune) bool { return !(r == 0 || r == 0xfffd || isControl(r)) })
			t.runes(func(r rune) rune {
				if isSpace(r) {
					return ' '
				}
				return r
			})
		}
		if c.Chinese {
			t.spaceChinese()
		}
		if accents {
			t.normalForm(norm.NFD)
			t.filter(func(r rune) bool { return !unicode.Is(unicode.Mn, r) })
		}
		if c.Lower {
			t.lower()
		}
		return nil
	}, err
}

// spaceChinese puts spaces around Chinese characters.
func (t *text) spaceChinese() {
	var to []change
	found := false
	for _, r := range t.s {
		if isChinese(r) {
			found = true
			to = append(to, change{' ', 0}, change{r, 1}, change{' ', 1})
			continue
		}
		to = append(to, change{r, 0})
	}
	if found {
		t.transform(to, 0)
	}
}

// replaceConfig is Replace, which is a normalizer and a decoder.
type replaceConfig struct {
	tag
	Pattern *filePattern `json:"pattern"`
	Content string       `json:"content"`
}

func makeReplace(raw json.RawMessage, _ int) (normalizer, error) {
	var c replaceConfig
	if err := decode(raw, &c); err != nil {
		return nil, err
	}
	m, err := c.Pattern.matcher()
	return func(t *text) error { return t.replace(m, c.Content) }, err
}

func makePrepend(raw json.RawMessage, _ int) (normalizer, error) {
	var c struct {
		tag
		Prepend string `json:"prepend"`
	}
	err := decode(raw, &c)
	return func(t *text) error { t.prepend(c.Prepend); return nil }, err
}
