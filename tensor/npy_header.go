package tensor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// npyHeader is what the Python dictionary at the start of an array says.
type npyHeader struct {
	descr   string
	fortran bool
	shape   []int
}

func readNPYHeader(r io.Reader) (npyHeader, error) {
	var b [12]byte
	if _, err := io.ReadFull(r, b[:10]); err != nil {
		return npyHeader{}, fmt.Errorf("header: %w", err)
	}
	if string(b[:6]) != npyMagic {
		return npyHeader{}, fmt.Errorf("header begins with %q, want %q", b[:6], npyMagic)
	}
	n := int(binary.LittleEndian.Uint16(b[8:]))
	switch b[6] {
	case 1:
	case 2, 3:
		if _, err := io.ReadFull(r, b[10:]); err != nil {
			return npyHeader{}, fmt.Errorf("header: %w", err)
		}
		size := binary.LittleEndian.Uint32(b[8:])
		if size > maxNPYHeader {
			return npyHeader{}, fmt.Errorf("header has %d bytes, want at most %d", size, maxNPYHeader)
		}
		n = int(size)
	default:
		return npyHeader{}, fmt.Errorf("version %d.%d, want 1 to 3", b[6], b[7])
	}
	text, err := readExactly(r, n)
	if err != nil {
		return npyHeader{}, fmt.Errorf("header: %w", err)
	}
	p := npyParser{s: string(text)}
	h, err := p.header()
	if err != nil {
		return npyHeader{}, fmt.Errorf("header, byte %d: %w", p.i, err)
	}
	return h, nil
}

// npyParser reads the part of Python's literals that headers are made of.
type npyParser struct {
	s string
	i int
}

func (p *npyParser) header() (npyHeader, error) {
	var h npyHeader
	seen := map[string]bool{}
	if err := p.want("{"); err != nil {
		return h, err
	}
	for !p.accept("}") {
		key, err := p.str()
		if err != nil {
			return h, err
		}
		if seen[key] {
			return h, fmt.Errorf("key %q twice", key)
		}
		seen[key] = true
		if err := p.want(":"); err != nil {
			return h, err
		}
		switch key {
		case "descr":
			if p.space(); strings.HasPrefix(p.s[p.i:], "[") {
				return h, fmt.Errorf("an array of records, want numbers or strings")
			}
			h.descr, err = p.str()
		case "fortran_order":
			h.fortran = p.accept("True")
			if !h.fortran {
				err = p.want("False")
			}
		case "shape":
			h.shape, err = p.shape()
		default:
			err = fmt.Errorf("key %q", key)
		}
		if err != nil {
			return h, err
		}
		if !p.accept(",") {
			if err := p.want("}"); err != nil {
				return h, err
			}
			break
		}
	}
	if p.space(); p.i < len(p.s) {
		return h, fmt.Errorf("text after the dictionary")
	}
	for _, key := range []string{"descr", "fortran_order", "shape"} {
		if !seen[key] {
			return h, fmt.Errorf("no key %q", key)
		}
	}
	return h, nil
}

func (p *npyParser) space() {
	for p.i < len(p.s) && strings.IndexByte(" \t\n\r", p.s[p.i]) >= 0 {
		p.i++
	}
}

func (p *npyParser) accept(word string) bool {
	p.space()
	if !strings.HasPrefix(p.s[p.i:], word) {
		return false
	}
	p.i += len(word)
	return true
}

func (p *npyParser) want(word string) error {
	if !p.accept(word) {
		rest := p.s[p.i:]
		return fmt.Errorf("%q, want %q", rest[:min(len(rest), 20)], word)
	}
	return nil
}

func (p *npyParser) str() (string, error) {
	p.space()
	if p.i == len(p.s) || p.s[p.i] != '\'' && p.s[p.i] != '"' {
		return "", fmt.Errorf("want a string")
	}
	quote := p.s[p.i]
	end := strings.IndexByte(p.s[p.i+1:], quote)
	if end < 0 {
		return "", fmt.Errorf("a string without end")
	}
	text := p.s[p.i+1 : p.i+1+end]
	if strings.Contains(text, `\`) {
		return "", fmt.Errorf("a string with an escape")
	}
	p.i += end + 2
	return text, nil
}

func (p *npyParser) shape() ([]int, error) {
	shape := []int{}
	if err := p.want("("); err != nil {
		return nil, err
	}
	for !p.accept(")") {
		p.space()
		start := p.i
		for p.i < len(p.s) && digitByte(p.s[p.i]) {
			p.i++
		}
		n, err := strconv.Atoi(p.s[start:p.i])
		if errors.Is(err, strconv.ErrRange) {
			return nil, fmt.Errorf("%w: dimension %s overflows", ErrSize, p.s[start:p.i])
		}
		if err != nil {
			return nil, fmt.Errorf("want a dimension: %w", err)
		}
		p.accept("L") // Python 2's long integers
		if shape = append(shape, n); len(shape) > maxNPYRank {
			return nil, fmt.Errorf("more than %d dimensions", maxNPYRank)
		}
		if !p.accept(",") {
			if err := p.want(")"); err != nil {
				return nil, err
			}
			break
		}
	}
	return shape, nil
}
