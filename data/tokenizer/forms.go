package tokenizer

import (
	"slices"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// normalForm rewrites the text in one of Unicode's normalization forms. It is
// not norm.Form.String, which does not tell what each rune came from and cuts
// long rows of marks.
//
// Source: https://www.unicode.org/reports/tr15/
func (t *text) normalForm(f norm.Form) {
	if f.IsNormalString(t.s) {
		return
	}
	to := decompose(t.s, f == norm.NFKC || f == norm.NFKD)
	if f == norm.NFC || f == norm.NFKC {
		to = compose(to)
	}
	t.transform(to, 0)
}

const (
	hangulBase, hangulEnd       = 0xac00, 0xd7a4
	hangulL, hangulV, hangulT   = 0x1100, 0x1161, 0x11a7
	hangulVs, hangulTs          = 21, 28
	hangulLEnd, hangulVT, hTEnd = 0x1113, hangulVs * hangulTs, hangulT + hangulTs
)

// decompose returns the full decomposition of s, marks in canonical order.
func decompose(s string, compatibility bool) []change {
	form := norm.NFD
	if compatibility {
		form = norm.NFKD
	}
	out := make([]change, 0, len(s))
	var classes []uint8
	marks := 0 // where the row of marks at the end begins
	add := func(r rune, n int) {
		var buf [utf8.UTFMax]byte
		class := norm.NFD.Properties(utf8.AppendRune(buf[:0], r)).CCC()
		out, classes = append(out, change{r, n}), append(classes, class)
		if class == 0 {
			marks = len(out)
		}
	}
	order := func(from int) {
		if len(out)-from < 2 {
			return
		}
		at := make([]int, len(out)-from)
		for i := range at {
			at[i] = from + i
		}
		slices.SortStableFunc(at, func(a, b int) int { return int(classes[a]) - int(classes[b]) })
		sorted, cs := make([]change, len(at)), make([]uint8, len(at))
		for i, a := range at {
			sorted[i], cs[i] = out[a], classes[a]
		}
		copy(out[from:], sorted)
		copy(classes[from:], cs)
	}
	for i, r := range s {
		if r >= hangulBase && r < hangulEnd {
			order(marks)
			x := int(r) - hangulBase
			add(rune(hangulL+x/hangulVT), 0)
			add(rune(hangulV+x%hangulVT/hangulTs), 1)
			if k := x % hangulTs; k > 0 {
				add(rune(hangulT+k), 1)
			}
			continue
		}
		d := form.PropertiesString(s[i:]).Decomposition()
		if d == nil {
			d = []byte(string(r))
		}
		first := 0
		for len(d) > 0 {
			r, n := utf8.DecodeRune(d)
			d = d[n:]
			from := marks
			add(r, first)
			if first = 1; marks != from { // a starter: what was before it is complete
				tail := out[marks-1]
				class := classes[marks-1]
				out, classes = out[:marks-1], classes[:marks-1]
				order(from)
				out, classes = append(out, tail), append(classes, class)
			}
		}
	}
	order(marks)
	return out
}

// compose joins what decompose returns to precomposed runes.
func compose(in []change) []change {
	out := make([]change, 0, len(in))
	starter := -1
	var last uint8 // the class of the last rune that stays behind the starter
	for _, c := range in {
		var buf [utf8.UTFMax]byte
		class := norm.NFD.Properties(utf8.AppendRune(buf[:0], c.r)).CCC()
		if starter >= 0 && (starter == len(out)-1 || last != 0 && last < class) {
			if r, ok := pair(out[starter].r, c.r); ok {
				// The rune is part of the one before, whose place it may have had.
				out[starter] = change{r, out[starter].n + c.n - 1}
				continue
			}
		}
		if last = class; class == 0 {
			starter = len(out)
		}
		out = append(out, c)
	}
	return out
}

// pair returns the primary composite of two runes.
func pair(a, b rune) (rune, bool) {
	switch {
	case a >= hangulL && a < hangulLEnd && b >= hangulV && b < hangulV+hangulVs:
		return hangulBase + ((a-hangulL)*hangulVs+(b-hangulV))*hangulTs, true
	case a >= hangulBase && a < hangulEnd && (a-hangulBase)%hangulTs == 0 && b > hangulT && b < hTEnd:
		return a + b - hangulT, true
	case b < 0x300:
		return 0, false
	}
	var buf [32]byte
	s := norm.NFC.AppendString(buf[:0], string([]rune{a, b}))
	r, n := utf8.DecodeRune(s)
	return r, n == len(s)
}
