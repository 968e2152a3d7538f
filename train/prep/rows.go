package prep

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/data"
)

// record is a row of a table, parsed.
type record struct {
	cells  []string // trimmed; parts of a longer text: copy (strings.Clone) what stays
	values []float64
	kinds  []kind
}

type kind uint8

const (
	other   kind = iota // text, or a number that is not asked for or none that is allowed
	finite              // values has it
	missing             // there is no value
)

// number returns the number in column at; NaN is a missing one.
func (r *record) number(at int) (float64, error) {
	switch r.kinds[at] {
	case finite:
		return r.values[at], nil
	case missing:
		return math.NaN(), nil
	}
	return number(r.cells[at])
}

// missing reports whether column at has no value.
func (r *record) missing(at int) bool { return r.kinds[at] == missing }

// parsed is what was made of a block of rows.
type parsed struct {
	cells  []string
	values []float64
	kinds  []kind
}

// parse fills b with the rows of a block with width columns, with numbers in those that numeric has.
func (b *parsed) parse(cells []string, width int, numeric []bool) {
	b.cells = cells
	b.values, b.kinds = slices.Grow(b.values[:0], len(cells))[:len(cells)], slices.Grow(b.kinds[:0], len(cells))[:len(cells)]
	for at := 0; at < len(cells); at += width {
		for k, number := range numeric {
			i := at + k
			c := strings.TrimSpace(cells[i])
			if len(c) < len(cells[i]) {
				cells[i] = c
			}
			b.kinds[i] = other
			if number {
				if v, err := data.ParseFloat(c); err == nil && math.Abs(v) <= math.MaxFloat32 {
					b.values[i], b.kinds[i] = v, finite
					continue
				}
			}
			if data.IsMissing(c) {
				b.kinds[i] = missing
			}
		}
	}
}

// rows calls f with the rows of t that keep has (nil: all); a record is valid during the call. Numbers of the
// columns that are numbers are parsed in parallel, of all columns if columns is nil. Errors name
// files and rows.
func rows(ctx context.Context, t data.Table, keep func(row int) bool, columns []Column, f func(r *record) error) error {
	width := len(t.Columns())
	numeric := make([]bool, width)
	for i := range numeric {
		numeric[i] = columns == nil
	}
	for _, c := range columns {
		numeric[c.at] = c.numeric()
	}
	free := make(chan *parsed, 16) // blocks that are done with
	row := -1
	for b, err := range data.MapRows(ctx, t, func(cells []string) *parsed {
		var b *parsed
		select {
		case b = <-free:
		default:
			b = &parsed{}
		}
		b.parse(cells, width, numeric)
		return b
	}) {
		if err != nil {
			return err
		}
		for at := 0; at < len(b.cells); at += width {
			if row++; keep != nil && !keep(row) {
				continue
			}
			end := at + width
			if err := f(&record{b.cells[at:end:end], b.values[at:end:end], b.kinds[at:end:end]}); err != nil {
				return fmt.Errorf("prep: %s: %w", data.Place(t, row), err)
			}
		}
		select {
		case free <- b:
		default:
		}
	}
	return nil
}
