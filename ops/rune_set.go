package ops

import (
	"regexp/syntax"
	"slices"
	"unicode/utf8"
)

// runeSet is a set of characters: those in classes, or with outside all others.
type runeSet struct {
	classes [][]rune // of each the ranges in order, pairs of a first and a last one
	outside bool
	ascii   [utf8.RuneSelf]bool // whether these are in classes
}

// add puts another class into s.
func (s *runeSet) add(class []rune) {
	s.classes = append(s.classes, class)
	for i := 0; i < len(class); i += 2 {
		for r := class[i]; r <= class[i+1] && r < utf8.RuneSelf; r++ {
			s.ascii[r] = true
		}
	}
}

// has reports whether r is in the set.
func (s *runeSet) has(r rune) bool {
	for _, c := range s.classes {
		lo, hi := 0, len(c)/2 // ranges before lo end before r, those from hi on do not
		for lo < hi {
			if m := (lo + hi) / 2; c[2*m+1] < r {
				lo = m + 1
			} else {
				hi = m
			}
		}
		if 2*lo < len(c) && c[2*lo] <= r {
			return !s.outside
		}
	}
	return s.outside
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
