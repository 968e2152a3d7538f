package data

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCSVBlocks compares files of many blocks with encoding/csv.
func TestCSVBlocks(t *testing.T) {
	cells := []string{"", "a", "1.5", " x ", `"q"`, `"a,b"`, "\"two\nlines\"", `"he said ""no"""`, "\"cr\r\nlf\"", "é", `""`}
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 1))
		kinds := cells[:5+2*int(seed%4)]
		if seed == 0 {
			kinds = cells[:4] // without quotes
		}
		var b strings.Builder
		b.WriteString("\ufeffa,b,c\n")
		for range 60000 {
			end := []string{"\n", "\r\n"}[r.IntN(2)]
			if r.IntN(50) == 0 {
				b.WriteString(end)
			}
			b.WriteString(kinds[r.IntN(len(kinds))] + "," + kinds[r.IntN(len(kinds))] + "," + kinds[r.IntN(len(kinds))] + end)
		}
		b.WriteString("x,y,z" + []string{"", "\r", "\n"}[seed%3])
		text := b.String()
		path := filepath.Join(put(t, map[string][]byte{"t.csv": []byte(text)}), "t.csv")
		want, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\ufeff"))).ReadAll()
		require.NoError(t, err)
		require.Greater(t, len(text), 2*blockSize)

		table, err := OpenTable(path)
		require.NoError(t, err)
		require.Equal(t, len(want)-1, table.Len())
		i := 0
		for row, err := range table.Rows(t.Context()) {
			require.NoError(t, err)
			i++
			if !slices.Equal(want[i], row) {
				require.Equal(t, want[i], row, "row %d", i)
			}
		}
		require.Equal(t, len(want), i+1)
	}
}

func TestCSVBlockErrors(t *testing.T) {
	good := strings.Repeat("1,2,3\n", 50000) // more than a block
	for want, text := range map[string]string{
		"line 50002: wrong number of fields: it has 2, the header has 3": good + "1,2\n",
		"line 50002: wrong number of fields: it has 4, the header has 3": good + "1,2,3,4\n" + good,
		`line 50002, column 4: bare "`:                                   good + "1,a\",3\n",
		`record on line 50002; line 50003, column 2: extraneous`:         good + "1,\"a\nb\"c,3\n",
		`extraneous or missing " in quoted-field`:                        good + "\"1,2,3",
	} {
		path := filepath.Join(put(t, map[string][]byte{"t.csv": []byte("a,b,c\n" + text)}), "t.csv")
		_, err := OpenTable(path)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, path)
	}
	// A quote that is never closed is no reason to hold a file of any size.
	n := 0
	var err error
	for _, err = range textBlocks(t.Context(), &endless{}, wholeRows, openQuote) {
		n++
	}
	require.Equal(t, 1, n)
	require.ErrorContains(t, err, "a quote in it is not closed")
}

// endless is a file that begins with a quote, which nothing closes.
type endless struct{ begun bool }

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'a'
	}
	b[len(b)-1] = '\n'
	if !e.begun {
		b[0], e.begun = '"', true
	}
	return len(b), nil
}

// lines is a Table of rows that fail after some.
type lines struct{ n int }

func (l lines) Columns() []string { return []string{"a", "b"} }
func (l lines) Len() int          { return l.n }
func (l lines) Rows(ctx context.Context) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		row := make([]string, 2) // which is written over
		for i := range l.n {
			row[0], row[1] = fmt.Sprint(i), strings.Repeat("x", i%50)
			if !yield(row, nil) {
				return
			}
		}
		yield(nil, errors.New("it broke"))
	}
}

// TestMapRows reads a table that has no blocks of its own, and stops early.
func TestMapRows(t *testing.T) {
	next := 0
	var last error
	for first, err := range MapRows(t.Context(), lines{40000}, func(cells []string) []string { return slices.Clone(cells) }) {
		if last = err; err != nil {
			break
		}
		for row := range slices.Chunk(first, 2) {
			require.Equal(t, []string{fmt.Sprint(next), strings.Repeat("x", next%50)}, row)
			next++
		}
	}
	require.Equal(t, 40000, next)
	require.EqualError(t, last, "it broke")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for _, err := range MapRows(ctx, lines{400000}, func([]string) int { return 0 }) {
		cancel()
		if n++; err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
	}
	require.LessOrEqual(t, n, 2)
	for range MapRows(t.Context(), lines{400000}, func([]string) int { return 0 }) {
		break
	}
}

func TestIsMissing(t *testing.T) {
	for _, text := range MissingTexts {
		require.True(t, IsMissing(text), text)
	}
	require.False(t, IsMissing("0"))
}

// BenchmarkCSV reads rows of 30 numbers.
func BenchmarkCSV(b *testing.B) {
	row := strings.TrimSuffix(strings.Repeat("-0.1234567,", 30), ",") + "\n"
	path := filepath.Join(put(b, map[string][]byte{"t.csv": []byte(header(30) + strings.Repeat(row, 20000))}), "t.csv")
	table, err := OpenTable(path)
	require.NoError(b, err)
	b.SetBytes(int64(len(row) * 20000))
	for b.Loop() {
		for _, err := range table.Rows(b.Context()) {
			require.NoError(b, err)
		}
	}
}

func header(n int) string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprint("f", i))
	}
	return strings.Join(names, ",") + "\n"
}
