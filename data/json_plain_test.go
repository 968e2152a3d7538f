package data

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// slowObject is what encoding/json makes of s.
func slowObject(s string) (m map[string]any, ok bool) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	if d.Decode(&m) != nil || m == nil {
		return nil, false
	}
	_, err := d.Token()
	return m, err == io.EOF
}

func comparePlain(t *testing.T, s string) (plain bool) {
	got := map[string]any{}
	if !plainObject(s, got) {
		return false
	}
	want, ok := slowObject(s)
	require.True(t, ok, "%q is no object", s)
	require.Equal(t, want, got, "%q", s)
	return true
}

func TestPlainObject(t *testing.T) {
	for _, s := range []string{
		`{}`, ` { } `, `{"a":1}`, "{\"a\" :\t-0.5e-7 , \"b\":\"text, {quoted} ü\"}\r", `{"a":true,"b":false,"c":null}`, `{"a":[],"b":[[1,2],[3,4.25]],"c":["x",null,true]}`,
		`{"a":1,"a":"last"}`, `{"":0}`, `{"a":10E+2,"b":0.10,"c":-0}`, "{\"a\":\"\x7f\"}",
	} {
		require.True(t, comparePlain(t, s), s)
	}
	for _, s := range []string{
		``, `1`, `[1]`, `null`, `{`, `{"a"}`, `{"a":}`, `{"a":1`, `{"a":1,}`, `{"a":1}}`, `{"a":1} 7`, `{"a":01}`, `{"a":1.}`, `{"a":.5}`, `{"a":+1}`, `{"a":1e}`, `{"a":-}`,
		`{"a":tru}`, `{"a":nul}`, `{"a":nan}`, `{a:1}`, `{'a':1}`, `{"a":"x}`, "{\"a\":\"\n\"}", "{\"a\":\"\xff\"}", `{"a":[1,]}`, `{"a":[1 2]}`, `{"a":[}`, `{,}`,
		`{"a":"\n"}`, `{"\u0061":1}`, `{"a":{"b":1}}`, `{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, // which encoding/json reads
	} {
		require.False(t, plainObject(s, map[string]any{}), s)
	}
}

func FuzzPlainObject(f *testing.F) {
	f.Add(`{"a": [1, -2.5e3], "b": "text", "c": null}`)
	f.Add(`{"a":"ü\u00fc"}`)
	f.Fuzz(func(t *testing.T, s string) { comparePlain(t, s) })
}
