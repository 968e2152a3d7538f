package tokenizer

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func FuzzParse(f *testing.F) {
	for _, x := range fixtures(f) {
		if len(x.Tokenizer) < 1<<14 {
			f.Add([]byte(x.Tokenizer))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tok, err := Parse(b)
		if err != nil {
			return
		}
		e, err := tok.Encode("Hello, wörld 123 <s>\t我 \u0301", Options{})
		if err != nil {
			return
		}
		_, _ = tok.Decode(e.IDs, false) // a pattern of the file may take too long
		again, err := tok.MarshalJSON()
		require.NoError(t, err)
		_, err = Parse(again)
		require.NoError(t, err)
	})
}

func FuzzEncode(f *testing.F) {
	var toks []*Tokenizer
	for _, x := range fixtures(f) {
		tok, err := Parse(x.Tokenizer)
		require.NoError(f, err)
		toks = append(toks, tok)
		for i, c := range x.Cases {
			if i%8 != len(toks)%8 {
				continue // all of them take long to begin with
			}
			f.Add(uint8(len(toks)-1), c.Text)
		}
	}
	f.Fuzz(func(t *testing.T, k uint8, s string) {
		tok := toks[int(k)%len(toks)]
		e, err := tok.Encode(s, Options{})
		if !utf8.ValidString(s) {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		for i, o := range e.Offsets {
			require.LessOrEqual(t, o[0], o[1], e.Tokens[i])
			require.LessOrEqual(t, o[1], len(s), e.Tokens[i])
		}
		_, err = tok.Decode(e.IDs, true)
		require.NoError(t, err)
	})
}

// TestScanGPT2 holds the scanner against the expression that it stands for.
func TestScanGPT2(t *testing.T) {
	m, err := newExpression("(?:" + gpt2Pattern + ")")
	require.NoError(t, err)
	require.IsType(t, expression{}, m)
	for _, x := range fixtures(t)[:1] {
		for _, c := range x.Cases {
			want, err := m.find(c.Text)
			require.NoError(t, err)
			got, err := scanner(scanGPT2).find(c.Text)
			require.NoError(t, err)
			require.Equal(t, want, got, "%q", c.Text)
		}
	}
}

// TestLong encodes texts whose cost grows with the square of their length where
// nothing is done about it.
func TestLong(t *testing.T) {
	for _, x := range fixtures(t)[:18] {
		tok, err := Parse(x.Tokenizer)
		require.NoError(t, err)
		for _, unit := range []string{"a", " ", "lowest", "a\u0301", "我"} {
			start := time.Now()
			_, err := tok.Encode(strings.Repeat(unit, 30000), Options{})
			require.NoError(t, err, "%s %q", x.Name, unit)
			require.Less(t, time.Since(start), 5*time.Second, "%s %q", x.Name, unit)
		}
	}
}

func TestParseErrors(t *testing.T) {
	const model = `"model":{"type":"WordLevel","vocab":{"a":0},"unk_token":"a"}`
	for _, c := range []struct{ file, want string }{
		{`{`, "unexpected EOF"},
		{`{"version":"2.0",` + model + `}`, `version is "2.0"`},
		{`{"version":"1.0"}`, "no model"},
		{`{"version":"1.0","model":{"type":"X"}}`, `there is no type "X"`},
		{`{"version":"1.0",` + model + `,"extra":1}`, `unknown field "extra"`},
		{`{"version":"1.0",` + model + `,"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Foo"}]}}`, `normalizers[1]: there is no type "Foo"`},
		{`{"version":"1.0",` + model + `,"pre_tokenizer":{"type":"Split","pattern":{"Regex":"("},"behavior":"Isolated","invert":false}}`, `regular expression "("`},
		{`{"version":"1.0",` + model + `,"pre_tokenizer":{"type":"Split","pattern":{"Regex":"[a[b]]"},"behavior":"Isolated","invert":false}}`, `a class in a class`},
		{`{"version":"1.0",` + model + `,"pre_tokenizer":{"type":"Digits","individual_digits":true,"more":1}}`, `unknown field "more"`},
		{`{"version":"1.0",` + model + `,"added_tokens":[{"id":3,"content":"a"}]}`, `"a" has the id 3, in the vocabulary it has 0`},
		{`{"version":"1.0",` + model + `,"padding":{"strategy":{"Fixed":1000000000},"direction":"Right","pad_to_multiple_of":null,"pad_id":0,"pad_type_id":0,"pad_token":"a"}}`, "a length of 1000000000"},
		{`{"version":"1.0",` + model + `,"normalizer":{"type":"Precompiled","precompiled_charsmap":"/////w=="}}`, "an array of 4294967295 bytes in 0"},
		{`{"version":"1.0","model":{"type":"BPE","vocab":{"a":0},"merges":["a b"]}}`, `"b" is not in the vocabulary`},
		{`{"version":"1.0","model":{"type":"BPE","dropout":0.1,"vocab":{"a":0},"merges":[]}}`, "dropout is 0.1"},
		{`{"version":"1.0","model":{"type":"Unigram","unk_id":5,"vocab":[["a",-1]]}}`, "unk_id is 5, there are 1 tokens"},
	} {
		_, err := Parse([]byte(c.file))
		require.ErrorContains(t, err, c.want)
	}
	_, err := Open("testdata/none.json")
	require.ErrorContains(t, err, "none.json")
}
