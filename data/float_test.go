package data

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestParseFloat compares with strconv, bit for bit.
func TestParseFloat(t *testing.T) {
	texts := []string{"", "-", "+", ".", "1.", ".5", "-.5e-3", "1e", "1e+", "1e5x", "1_0", "0x1p-2", "inf", "-0", "0e99999", "1e-400", "1e400",
		"9007199254740993", "16777217", "33554435", "1.00000005960464477539", "1.000000059604644775390625", "1e-40", "3.4028236e38", "3.4028235e38", "1.4e-45", "1e22", "1e23",
		"12345678901234567890", "0.00000000000000000001", "1e00005", " 1", "1 ", "NaN", "nan", "٣"}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200000 {
		switch r.IntN(4) {
		case 0:
			texts = append(texts, strconv.FormatFloat(r.NormFloat64()*math.Pow(10, float64(r.IntN(60)-30)), 'g', 1+r.IntN(18), 64))
		case 1:
			texts = append(texts, strconv.FormatFloat(r.NormFloat64(), 'f', r.IntN(12), 64))
		case 2: // halfway between two float32
			f := math.Float32frombits(r.Uint32N(0x7f000000) + 0x800000)
			mid := (float64(f) + float64(math.Nextafter32(f, math.MaxFloat32))) / 2
			texts = append(texts, strconv.FormatFloat(mid, 'f', -1, 64), strconv.FormatFloat(mid, 'e', -1, 64))
		default:
			texts = append(texts, fmt.Sprintf("%d.%de%d", r.IntN(1e6), r.IntN(1e6), r.IntN(40)-20))
		}
	}
	fast := 0
	for _, s := range texts {
		want, werr := strconv.ParseFloat(s, 64)
		v, err := ParseFloat(s)
		require.Equal(t, werr == nil, err == nil, s)
		require.Equal(t, math.Float64bits(want), math.Float64bits(v), s)
		want, werr = strconv.ParseFloat(s, 32)
		f, err := parseFloat32(s)
		require.Equal(t, werr == nil, err == nil, s)
		require.Equal(t, math.Float32bits(float32(want)), math.Float32bits(f), s)
		if _, ok := decimal(s); ok {
			fast++
		}
	}
	require.Greater(t, fast, len(texts)/3, "numbers that take the fast way")
}

func BenchmarkParseFloat(b *testing.B) {
	for range b.N {
		if _, err := ParseFloat("-1.2345678"); err != nil {
			b.Fatal(err)
		}
	}
}
