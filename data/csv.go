package data

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
)

// csvTable is a CSV file with a header (RFC 4180). Its text is cut between rows into blocks, which
// are parsed in parallel.
type csvTable struct {
	path string
	cols []string
	rows int
}

// newCSVTable reads the file once, to know its rows and that they are complete.
func newCSVTable(path string) (*csvTable, error) {
	t := &csvTable{path: path}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head, err := newCSV(f).Read()
	if err == io.EOF {
		return nil, errors.New("it is empty: want a header with the names of columns")
	}
	if err != nil {
		return nil, err
	}
	for _, c := range head {
		t.cols = append(t.cols, strings.TrimSpace(c))
	}
	for n, err := range MapRows(context.Background(), t, func(cells []string) int { return len(cells) / len(head) }) {
		if err != nil {
			return nil, err
		}
		t.rows += n
	}
	if t.rows == 0 {
		return nil, errors.New("it has a header and no rows")
	}
	return t, nil
}

func openCSV(path string, o Options) (Source, error) {
	t, err := newCSVTable(path)
	if err != nil {
		return nil, err
	}
	return FromTable(path, t, o)
}

// newCSV returns a reader whose rows must all be as long as the first.
func newCSV(r io.Reader) *csv.Reader {
	c := csv.NewReader(skipMark(r))
	c.ReuseRecord = true
	return c
}

// skipMark passes over a byte order mark, which spreadsheets write.
func skipMark(r io.Reader) io.Reader {
	var b [3]byte
	n, _ := io.ReadFull(r, b[:])
	if string(b[:n]) == "\ufeff" {
		return r
	}
	return io.MultiReader(strings.NewReader(string(b[:n])), r)
}

func (t *csvTable) Columns() []string { return t.cols }
func (t *csvTable) Len() int          { return t.rows }

func (t *csvTable) Rows(ctx context.Context) iter.Seq2[[]string, error] { return rowsByBlock(ctx, t) }

// Place implements Placed.
func (t *csvTable) Place(i int) string { return fmt.Sprintf("%s, row %d", t.path, i+1) }

// blocks implements blocked.
func (t *csvTable) blocks(ctx context.Context) iter.Seq2[parseBlock, error] {
	return func(yield func(parseBlock, error) bool) {
		f, err := os.Open(t.path)
		if err != nil {
			yield(nil, err)
			return
		}
		defer f.Close()
		head := len(t.cols) // cells of the header, which the first block with rows begins with
		for b, err := range textBlocks(ctx, skipMark(f), wholeRows, openQuote) {
			if err != nil {
				yield(nil, err)
				return
			}
			skip := head
			if strings.Trim(b.text, "\r\n") != "" {
				head = 0
			}
			if !yield(func(buf []string) ([]string, error) {
				cells, err := parseCSV(buf, b, len(t.cols))
				return cells[min(skip, len(cells)):], err
			}, nil) {
				return
			}
		}
	}
}

var openQuote = fmt.Sprintf("what begins here is longer than %d bytes, or a quote in it is not closed", maxLine)

// textBlock is whole lines of a file.
type textBlock struct {
	text string
	line int // of its first line, from 1
}

// textBlocks cuts what r has into blocks of blockSize, or more where whole finds no end. whole
// returns how much of b is whole rows, 0 for none; what is the error for more than maxLine bytes without an end.
func textBlocks(ctx context.Context, r io.Reader, whole func(b []byte) int, what string) iter.Seq2[textBlock, error] {
	return func(yield func(textBlock, error) bool) {
		buf, n, line := make([]byte, blockSize), 0, 1
		for {
			if err := ctx.Err(); err != nil {
				yield(textBlock{}, err)
				return
			}
			k, err := io.ReadFull(r, buf[n:])
			n += k
			last := err == io.EOF || err == io.ErrUnexpectedEOF
			if err != nil && !last {
				yield(textBlock{}, err)
				return
			}
			end := n
			if !last {
				if end = whole(buf[:n]); end == 0 {
					if n >= maxLine {
						yield(textBlock{}, fmt.Errorf("line %d: %s", line, what))
						return
					}
					buf = slices.Concat(buf, make([]byte, len(buf)))
					continue
				}
			}
			if end > 0 {
				b := textBlock{string(buf[:end]), line}
				line += bytes.Count(buf[:end], []byte{'\n'})
				n = copy(buf, buf[end:n])
				if !yield(b, nil) {
					return
				}
			}
			if last {
				return
			}
		}
	}
}

// wholeRows returns the end of the last row of b that is whole: a line's end with an even number of
// quotes before.
func wholeRows(b []byte) int {
	quote := []byte{'"'}
	open := bytes.Count(b, quote)%2 == 1 // at the end of b
	for {
		i := bytes.LastIndexByte(b, '\n')
		if i < 0 {
			return 0
		}
		if bytes.Count(b[i:], quote)%2 == 1 {
			open = !open
		}
		if !open {
			return i + 1
		}
		b = b[:i]
	}
}

// parseCSV appends the cells of rows of width cells to buf. What is not plain (escaped quotes, errors) is left to
// encoding/csv.
func parseCSV(buf []string, b textBlock, width int) ([]string, error) {
	s := b.text
	quoted := strings.IndexByte(s, '"') >= 0
	cells := slices.Grow(buf, strings.Count(s, ",")+strings.Count(s, "\n")+1)
	for len(s) > 0 {
		if s[0] == '\n' || s == "\r" || strings.HasPrefix(s, "\r\n") { // a blank line
			_, s, _ = strings.Cut(s, "\n")
			continue
		}
		first := len(cells)
		for more := true; more; {
			var cell string
			ok := true
			if quoted {
				cell, s, more, ok = quotedCell(s)
			} else {
				cell, s, more = plainCell(s)
			}
			if !ok {
				return slowCSV(b, width)
			}
			cells = append(cells, cell)
		}
		if len(cells)-first != width {
			return slowCSV(b, width)
		}
	}
	return cells, nil
}

// plainCell cuts the first cell off s, which has no quotes. more says that its row goes on.
func plainCell(s string) (cell, rest string, more bool) {
	i := 0
	for i < len(s) && s[i] != ',' && s[i] != '\n' {
		i++
	}
	if i < len(s) && s[i] == ',' {
		return s[:i], s[i+1:], true
	}
	cell = strings.TrimSuffix(s[:i], "\r")
	return cell, s[min(i+1, len(s)):], false
}

// quotedCell is plainCell of text with quotes; ok is false where encoding/csv is to see.
func quotedCell(s string) (cell, rest string, more, ok bool) {
	if len(s) == 0 || s[0] != '"' {
		cell, rest, more = plainCell(s)
		return cell, rest, more, strings.IndexByte(cell, '"') < 0
	}
	i := strings.IndexByte(s[1:], '"')
	if i < 0 {
		return "", "", false, false
	}
	cell, rest = s[1:1+i], s[2+i:]
	if strings.IndexByte(cell, '\r') >= 0 { // line ends are made \n
		return "", "", false, false
	}
	switch {
	case strings.HasPrefix(rest, ","):
		return cell, rest[1:], true, true
	case rest == "" || rest == "\r" || rest[0] == '\n' || strings.HasPrefix(rest, "\r\n"):
		_, rest, _ = strings.Cut(rest, "\n")
		return cell, rest, false, true
	}
	return "", "", false, false
}

// slowCSV is parseCSV by encoding/csv, whose errors get the lines of the file.
func slowCSV(b textBlock, width int) ([]string, error) {
	r := csv.NewReader(strings.NewReader(b.text))
	r.ReuseRecord, r.FieldsPerRecord = true, width
	var cells []string
	for {
		row, err := r.Read()
		if err == io.EOF {
			return cells, nil
		}
		if e := (*csv.ParseError)(nil); errors.As(err, &e) {
			line := e.StartLine + b.line - 1
			switch {
			case errors.Is(err, csv.ErrFieldCount):
				return nil, fmt.Errorf("line %d: wrong number of fields: it has %d, the header has %d", line, len(row), width)
			case e.Line != e.StartLine:
				return nil, fmt.Errorf("record on line %d; line %d, column %d: %w", line, e.Line+b.line-1, e.Column, e.Err)
			}
			return nil, fmt.Errorf("line %d, column %d: %w", line, e.Column, e.Err)
		}
		if err != nil {
			return nil, err
		}
		cells = append(cells, row...)
	}
}
