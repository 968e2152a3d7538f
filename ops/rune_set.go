package ops

import (
	"cmp"
	"regexp/syntax"
	"slices"
	"sort"
	"unicode/utf8"
)

// runeSet is a set of characters: those in ranges, or with outside all others.
type runeSet struct {
	ranges  []runeRange // in order, apart from each other
	outside bool
	ascii   [utf8.RuneSelf]bool // whether these are in ranges
}

type runeRange struct{ first, last rune }

// add puts more ranges into s, pairs of a first and a last one.
func (s *runeSet) add(pairs []rune) {
	for i := 0; i < len(pairs); i += 2 {
		s.ranges = append(s.ranges, runeRange{pairs[i], pairs[i+1]})
		for r := pairs[i]; r <= pairs[i+1] && r < utf8.RuneSelf; r++ {
			s.ascii[r] = true
		}
	}
	slices.SortFunc(s.ranges, func(a, b runeRange) int { return cmp.Compare(a.first, b.first) })
	n := 0
	for _, r := range s.ranges {
		if n > 0 && r.first <= s.ranges[n-1].last {
			s.ranges[n-1].last = max(s.ranges[n-1].last, r.last)
			continue
		}
		s.ranges[n] = r
		n++
	}
	s.ranges = s.ranges[:n]
}

// has reports whether r is in the set.
func (s *runeSet) has(r rune) bool {
	i := sort.Search(len(s.ranges), func(i int) bool { return s.ranges[i].last >= r })
	return (i < len(s.ranges) && s.ranges[i].first <= r) != s.outside
}

// runs appends where text has its longest runs of characters of the set, those of least characters or more.
func (s *runeSet) runs(to []span, text string, least int) []span {
	begin, n := 0, 0 // of the run that text[:i] ends with
	for i := 0; i < len(text); {
		in, size := false, 1
		if b := text[i]; b < utf8.RuneSelf {
			in = s.ascii[b] != s.outside
		} else {
			var r rune
			r, size = utf8.DecodeRuneInString(text[i:])
			in = s.has(r)
		}
		switch {
		case in:
			n++
		case n >= least:
			to = append(to, span{begin, i})
			fallthrough
		default:
			begin, n = i+size, 0
		}
		i += size
	}
	if n >= least {
		to = append(to, span{begin, len(text)})
	}
	return to
}

// runsOf returns the set of an expression whose leftmost longest matches are the longest runs of n or more
// characters of it; n is 0 if the expression is another.
func runsOf(exp string) (set *runeSet, n int) {
	e, err := syntax.Parse(exp, syntax.Perl)
	if err != nil {
		return nil, 0
	}
	parts := []*syntax.Regexp{e}
	if e.Op == syntax.OpConcat {
		parts = e.Sub
	}
	var class []rune
	for i, p := range parts {
		times := 1
		if i == len(parts)-1 {
			switch {
			case p.Op == syntax.OpPlus:
			case p.Op == syntax.OpRepeat && p.Max < 0 && p.Min > 0:
				times = p.Min
			default:
				return nil, 0
			}
			p = p.Sub[0]
		}
		c := classOf(p)
		if c == nil || i > 0 && !slices.Equal(c, class) {
			return nil, 0
		}
		class, n = c, n+times
	}
	set = &runeSet{}
	set.add(class)
	return set, n
}

// classOf returns the ranges of an expression that matches each single character of them, or nil.
func classOf(e *syntax.Regexp) []rune {
	switch {
	case e.Op == syntax.OpCharClass:
		return e.Rune
	case e.Op == syntax.OpLiteral && len(e.Rune) == 1 && e.Flags&syntax.FoldCase == 0:
		return []rune{e.Rune[0], e.Rune[0]}
	case e.Op == syntax.OpAnyCharNotNL:
		return []rune{0, '\n' - 1, '\n' + 1, utf8.MaxRune}
	}
	return nil
}

// separatorOf returns the class of an expression that matches single characters or runs of them, or nil.
func separatorOf(exp string) []rune {
	e, err := syntax.Parse(exp, syntax.Perl)
	if err != nil {
		return nil
	}
	if e.Op == syntax.OpPlus {
		e = e.Sub[0]
	}
	return classOf(e)
}
