package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"
)

// part is a range of bytes that a matcher has found, or that lies between such.
type part struct {
	span
	match bool
}

// matcher finds patterns. The parts that it returns cover the text, in order.
type matcher interface {
	find(s string) ([]part, error)
}

// cover returns the parts of s whose matches next finds: it returns the first
// match at or behind from. An empty match that touches the one before is none.
func cover(s string, next func(from int) (span, bool, error)) ([]part, error) {
	if s == "" {
		return nil, nil
	}
	var parts []part
	prev, last := 0, -1
	for from := 0; from <= len(s); {
		m, ok, err := next(from)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if m.start == m.end && m.end == last {
			_, n := utf8.DecodeRuneInString(s[from:])
			from += max(n, 1)
			continue
		}
		from, last = m.end, m.end
		if prev != m.start {
			parts = append(parts, part{span{prev, m.start}, false})
		}
		parts = append(parts, part{m, true})
		prev = m.end
	}
	if prev != len(s) {
		parts = append(parts, part{span{prev, len(s)}, false})
	}
	return parts, nil
}

// literal matches a string.
type literal string

func (l literal) find(s string) ([]part, error) {
	return cover(s, func(from int) (span, bool, error) {
		i := strings.Index(s[from:], string(l))
		return span{from + i, from + i + len(l)}, i >= 0, nil
	})
}

// runesOf matches single runes.
type runesOf func(rune) bool

func (f runesOf) find(s string) ([]part, error) {
	var parts []part
	prev := 0
	for i, r := range s {
		if !f(r) {
			continue
		}
		if prev < i {
			parts = append(parts, part{span{prev, i}, false})
		}
		prev = i + utf8.RuneLen(r)
		parts = append(parts, part{span{i, prev}, true})
	}
	if prev < len(s) {
		parts = append(parts, part{span{prev, len(s)}, false})
	}
	return parts, nil
}

// scanner matches what a function finds at the beginning of a text, which may
// have looked at all of it: the length of the match, or 0.
type scanner func(s string) int

func (f scanner) find(s string) ([]part, error) {
	var parts []part
	prev := 0
	for i := 0; i < len(s); {
		if n := f(s[i:]); n > 0 {
			if prev < i {
				parts = append(parts, part{span{prev, i}, false})
			}
			parts = append(parts, part{span{i, i + n}, true})
			i += n
			prev = i
			continue
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		i += n
	}
	if prev < len(s) {
		parts = append(parts, part{span{prev, len(s)}, false})
	}
	return parts, nil
}

// inverted matches what lies between the matches of another.
type inverted struct{ matcher }

func (m inverted) find(s string) ([]part, error) {
	parts, err := m.matcher.find(s)
	for i := range parts {
		parts[i].match = !parts[i].match
	}
	return parts, err
}

// patternTimeout bounds the search for matches of a regular expression, with
// patternByte more for each byte of the text: the ones in files may backtrack
// without end.
const (
	patternTimeout = 5 * time.Second
	patternByte    = 20 * time.Microsecond
)

// expression matches a regular expression with look-around.
type expression struct{ re *regexp2.Regexp }

// newExpression compiles a pattern in the syntax of Oniguruma, which the
// reference uses, as far as it is also that of .NET.
func newExpression(pattern string) (matcher, error) {
	if pattern == gpt2Pattern {
		return scanner(scanGPT2), nil
	}
	net, err := translate(pattern)
	if err != nil {
		return nil, err
	}
	re, err := regexp2.Compile(net, regexp2.OptionMaxBacktrackingStackSize(1<<22))
	if err != nil {
		return nil, fmt.Errorf("regular expression %q: %w", pattern, err)
	}
	re.MatchTimeout = patternTimeout
	return expression{re}, nil
}

func (e expression) find(s string) ([]part, error) {
	runes := []rune(s)
	at := make([]int, 0, len(runes)+1) // the byte of each rune
	for i := range s {
		at = append(at, i)
	}
	at = append(at, len(s))
	end := time.Now().Add(patternTimeout + time.Duration(len(s))*patternByte)
	return cover(s, func(from int) (span, bool, error) {
		if time.Now().After(end) {
			return span{}, false, fmt.Errorf("regular expression %q takes too long on %q", e.re, shorten(s))
		}
		i, _ := slices.BinarySearch(at, from)
		m, err := e.re.FindRunesMatchStartingAt(runes, i)
		if err != nil || m == nil {
			return span{}, false, err
		}
		return span{at[m.RuneIndex], at[m.RuneIndex+m.RuneLength]}, true, nil
	})
}

// filePattern is a pattern as files have it: {"String": …} or {"Regex": …}.
type filePattern struct {
	String *string
	Regex  *string
}

func (p *filePattern) matcher() (matcher, error) {
	switch {
	case p == nil || (p.String == nil) == (p.Regex == nil):
		return nil, errors.New(`pattern: want {"String": …} or {"Regex": …}`)
	case p.String != nil:
		return literal(*p.String), nil
	}
	return newExpression(*p.Regex)
}

// behavior is what becomes of the matches that a text is split at.
type behavior int

const (
	removed behavior = iota
	isolated
	mergedWithPrevious
	mergedWithNext
	contiguous
)

var behaviors = []string{"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"}

// UnmarshalJSON implements json.Unmarshaler.
func (b *behavior) UnmarshalJSON(raw []byte) error {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	i := slices.Index(behaviors, s)
	if i < 0 {
		return fmt.Errorf("behavior %q: want one of %s", s, strings.Join(behaviors, ", "))
	}
	*b = behavior(i)
	return nil
}

// apply joins parts. Those that remain matches are to be left out.
func (b behavior) apply(parts []part) []part {
	switch b {
	case removed:
		return parts
	case isolated:
		for i := range parts {
			parts[i].match = false
		}
		return parts
	case mergedWithNext:
		slices.Reverse(parts)
	}
	var out []part
	previous := false
	for _, p := range parts {
		join := p.match && !previous
		if b == contiguous {
			join = p.match == previous
		}
		previous = p.match
		switch {
		case !join || len(out) == 0:
			out = append(out, part{p.span, false})
		case b == mergedWithNext:
			out[len(out)-1].start = p.start
		default:
			out[len(out)-1].end = p.end
		}
	}
	if b == mergedWithNext {
		slices.Reverse(out)
	}
	return out
}
