package data

import (
	"encoding/json"
	"unicode/utf8"
)

// plainObject adds to into the fields of the JSON object that s is, as a json.Decoder with UseNumber has them in
// an any. It is for what nearly all lines are: an object of numbers, text without escapes, bools, nulls and arrays of
// these. Of what else there is, errors too, it returns false: encoding/json is to see.
func plainObject(s string, into map[string]any) bool {
	p := plainJSON{s: s}
	if !p.take('{') {
		return false
	}
	if !p.take('}') {
		for {
			p.blanks()
			name, ok := p.text()
			if !ok || !p.take(':') {
				return false
			}
			if into[name], ok = p.value(0); !ok {
				return false
			}
			if p.take('}') {
				break
			}
			if !p.take(',') {
				return false
			}
		}
	}
	p.blanks()
	return p.at == len(p.s)
}

type plainJSON struct {
	s  string
	at int
}

func (p *plainJSON) blanks() {
	for p.at < len(p.s) {
		switch p.s[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return
		}
	}
}

// take passes over blanks and c, which must come then.
func (p *plainJSON) take(c byte) bool {
	p.blanks()
	if p.at < len(p.s) && p.s[p.at] == c {
		p.at++
		return true
	}
	return false
}

// text reads a string.
func (p *plainJSON) text() (string, bool) {
	if p.at >= len(p.s) || p.s[p.at] != '"' {
		return "", false
	}
	p.at++
	start, ascii := p.at, true
	for ; p.at < len(p.s); p.at++ {
		switch c := p.s[p.at]; {
		case c == '"':
			t := p.s[start:p.at]
			p.at++
			return t, ascii || utf8.ValidString(t)
		case c == '\\' || c < ' ':
			return "", false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return "", false
}

func (p *plainJSON) value(depth int) (any, bool) {
	p.blanks()
	if p.at >= len(p.s) {
		return nil, false
	}
	switch c := p.s[p.at]; {
	case c == '"':
		t, ok := p.text()
		return t, ok
	case c == '-' || '0' <= c && c <= '9':
		n, ok := p.number()
		return json.Number(n), ok
	case c == '[':
		return p.array(depth)
	case p.word("true"):
		return true, true
	case p.word("false"):
		return false, true
	}
	return nil, p.word("null")
}

func (p *plainJSON) word(w string) bool {
	if len(p.s)-p.at < len(w) || p.s[p.at:p.at+len(w)] != w {
		return false
	}
	p.at += len(w)
	return true
}

func (p *plainJSON) array(depth int) (any, bool) {
	const deepest = 64
	p.at++
	out := []any{}
	if p.take(']') {
		return out, true
	}
	for depth < deepest {
		v, ok := p.value(depth + 1)
		if !ok {
			break
		}
		out = append(out, v)
		if p.take(']') {
			return out, true
		}
		if !p.take(',') {
			break
		}
	}
	return nil, false
}

// number reads -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?.
func (p *plainJSON) number() (string, bool) {
	start := p.at
	is := func(c byte) bool { return p.at < len(p.s) && p.s[p.at] == c }
	digits := func() bool {
		from := p.at
		for p.at < len(p.s) && '0' <= p.s[p.at] && p.s[p.at] <= '9' {
			p.at++
		}
		return p.at > from
	}
	if is('-') {
		p.at++
	}
	if is('0') {
		p.at++
	} else if !digits() {
		return "", false
	}
	if is('.') {
		if p.at++; !digits() {
			return "", false
		}
	}
	if is('e') || is('E') {
		if p.at++; is('+') || is('-') {
			p.at++
		}
		if !digits() {
			return "", false
		}
	}
	return p.s[start:p.at], true
}
