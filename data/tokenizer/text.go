package tokenizer

import (
	"slices"
	"unicode/utf8"
)

// span is a range of bytes [start, end).
type span struct{ start, end int }

// text is a piece of an input as it is being rewritten: what it has become, and
// for each byte of that the bytes of the input it stands for.
type text struct {
	s string
	// align has a span of the input for each byte of s. nil: s is the input from
	// shift on, unchanged.
	align []span
	shift int // where in the input the piece begins
}

// at returns the span of the input of byte i.
func (t *text) at(i int) span {
	if t.align != nil {
		return t.align[i]
	}
	for i > 0 && !utf8.RuneStart(t.s[i]) {
		i--
	}
	_, n := utf8.DecodeRuneInString(t.s[i:])
	return span{t.shift + i, t.shift + i + n}
}

// original returns what bytes [start, end) stand for in the input.
func (t *text) original(start, end int) span {
	switch {
	case start == end || end > len(t.s): // as the reference has it
		return span{t.shift + start, t.shift + end}
	case t.align == nil:
		return span{t.at(start).start, t.at(end - 1).end}
	}
	return span{t.align[start].start, t.align[end-1].end}
}

// slice returns the piece of bytes [start, end).
func (t *text) slice(start, end int) text {
	r := text{s: t.s[start:end], shift: t.original(start, end).start}
	if t.align != nil {
		r.align = t.align[start:end:end]
	}
	return r
}

// change is a rune of the text to be, and what it does to the one that was: 0
// takes the place of the next rune, 1 is inserted behind what is there, -n takes
// the place of the next rune and of the n ones behind it.
type change struct {
	r rune
	n int
}

// transform rewrites the text to the runes of to, where the first removed runes
// are left out.
func (t *text) transform(to []change, removed int) {
	out := make([]byte, 0, len(t.s))
	align := make([]span, 0, len(t.s))
	at := 0 // bytes of the old text that are done with
	skip := func(n int) {
		for ; n > 0 && at < len(t.s); n-- {
			_, size := utf8.DecodeRuneInString(t.s[at:])
			at += size
		}
	}
	skip(removed)
	for _, c := range to {
		var a span
		switch {
		case c.n <= 0 && at < len(t.s):
			a = t.at(at)
		case at > 0:
			a = t.at(at - 1)
		}
		if c.n <= 0 {
			skip(1 - c.n)
		}
		size := len(out)
		out = utf8.AppendRune(out, c.r)
		for range len(out) - size {
			align = append(align, a)
		}
	}
	t.s, t.align = string(out), align
}

// filter keeps the runes that keep holds for.
func (t *text) filter(keep func(rune) bool) {
	all := true
	for _, r := range t.s {
		if !keep(r) {
			all = false
			break
		}
	}
	if all {
		return
	}
	var to []change
	removed, first := 0, 0
	for _, r := range t.s {
		if !keep(r) {
			removed++
			continue
		}
		if len(to) > 0 {
			to[len(to)-1].n = -removed
		} else {
			first = removed
		}
		to = append(to, change{r, 0})
		removed = 0
	}
	t.transform(to, first)
}

// runes replaces each rune by one.
func (t *text) runes(f func(rune) rune) {
	to, same := make([]change, 0, len(t.s)), true
	for _, r := range t.s {
		n := f(r)
		same = same && n == r
		to = append(to, change{n, 0})
	}
	if !same {
		t.transform(to, 0)
	}
}

// prepend puts s before a text that is not empty; s stands for what the first
// rune does.
func (t *text) prepend(s string) {
	if t.s == "" || s == "" {
		return
	}
	_, first := utf8.DecodeRuneInString(t.s)
	a := t.at(0)
	align := make([]span, 0, len(s)+len(t.s))
	for range len(s) + first {
		align = append(align, a)
	}
	for i := first; i < len(t.s); i++ {
		align = append(align, t.at(i))
	}
	t.s, t.align = s+t.s, align
}

// replace puts with in the place of each match.
func (t *text) replace(m matcher, with string) error {
	parts, err := m.find(t.s)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(parts, func(p part) bool { return p.match }) {
		return nil
	}
	out := make([]byte, 0, len(t.s))
	align := make([]span, 0, len(t.s))
	for _, p := range parts {
		if !p.match {
			out = append(out, t.s[p.start:p.end]...)
			for i := p.start; i < p.end; i++ {
				align = append(align, t.at(i))
			}
			continue
		}
		var a span
		if p.end > 0 {
			a = t.at(p.end - 1)
		}
		out = append(out, with...)
		for range len(with) {
			align = append(align, a)
		}
	}
	t.s, t.align = string(out), align
	return nil
}

// strip removes white space at the ends.
func (t *text) strip(left, right bool) {
	from, to := 0, len(t.s)
	for left && from < to {
		r, n := utf8.DecodeRuneInString(t.s[from:])
		if !isSpace(r) {
			break
		}
		from += n
	}
	for right && from < to {
		r, n := utf8.DecodeLastRuneInString(t.s[:to])
		if !isSpace(r) {
			break
		}
		to -= n
	}
	if from == 0 && to == len(t.s) {
		return
	}
	shift := t.shift // the piece is the same one, with less in it
	if t.align == nil {
		t.align = make([]span, len(t.s))
		for i := range t.align {
			t.align[i] = (&text{s: t.s, shift: shift}).at(i)
		}
	}
	t.s, t.align = t.s[from:to], t.align[from:to]
}

// split cuts the text at the matches.
func (t *text) split(m matcher, b behavior, yield func(text)) error {
	parts, err := m.find(t.s)
	if err != nil {
		return err
	}
	for _, p := range b.apply(parts) {
		if !p.match && p.start < p.end {
			yield(t.slice(p.start, p.end))
		}
	}
	return nil
}
