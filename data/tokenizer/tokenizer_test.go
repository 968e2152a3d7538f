package tokenizer

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// fixture is a tokenizer and what the reference makes of texts with it.
type fixture struct {
	Name      string
	Tokenizer json.RawMessage
	Cases     []struct {
		Text        string
		Pair        *string
		Special     bool
		Error       string
		IDs         []int64
		Types       []int64
		Tokens      []string
		Offsets     [][2]int
		Mask        []int64
		SpecialMask []int64 `json:"special_mask"`
		Decoded     string
		Skipped     string
	}
	Batch [][]int64
}

// fixtures reads what testdata/make.py has written.
func fixtures(t testing.TB) []fixture {
	f, err := os.Open("testdata/cases.json.gz")
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	var all []fixture
	require.NoError(t, json.NewDecoder(z).Decode(&all))
	require.Greater(t, len(all), 40)
	return all
}

func TestReference(t *testing.T) {
	for _, f := range fixtures(t) {
		t.Run(f.Name, func(t *testing.T) {
			tok, err := Parse(f.Tokenizer)
			require.NoError(t, err)
			for _, c := range f.Cases {
				o := Options{NoSpecialTokens: !c.Special}
				var e *Encoding
				if c.Pair != nil {
					e, err = tok.EncodePair(c.Text, *c.Pair, o)
				} else {
					e, err = tok.Encode(c.Text, o)
				}
				if c.Error != "" {
					require.Error(t, err, "%q: %s", c.Text, c.Error)
					continue
				}
				require.NoError(t, err, "%q", c.Text)
				require.Equal(t, c.Tokens, e.Tokens, "%q", c.Text)
				require.Equal(t, c.IDs, e.IDs, "%q", c.Text)
				require.Equal(t, c.Types, e.TypeIDs, "%q", c.Text)
				require.Equal(t, c.Offsets, e.Offsets, "%q", c.Text)
				require.Equal(t, c.Mask, e.AttentionMask, "%q", c.Text)
				require.Equal(t, c.SpecialMask, e.SpecialTokensMask, "%q", c.Text)
				s, err := tok.Decode(e.IDs, false)
				require.NoError(t, err)
				require.Equal(t, c.Decoded, s, "%q", c.Text)
				s, err = tok.Decode(e.IDs, true)
				require.NoError(t, err)
				require.Equal(t, c.Skipped, s, "%q", c.Text)
			}
			var texts []string
			for _, c := range f.Cases {
				if n := len([]rune(c.Text)); c.Pair == nil && n < 30 {
					texts = append(texts, c.Text)
				}
			}
			if len(f.Batch) > 0 {
				all, err := tok.EncodeBatch(context.Background(), texts, nil, Options{})
				require.NoError(t, err)
				require.Len(t, all, len(f.Batch))
				for i, e := range all {
					require.Equal(t, f.Batch[i], e.IDs, "%q", texts[i])
				}
			}
		})
	}
}
