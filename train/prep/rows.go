package prep

import (
	"context"
	"fmt"
	"math"
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

// parse returns the rows of a block with width columns, with numbers in those that numeric has.
func parse(cells []string, width int, numeric []bool) (out []record) {
	values, kinds := make([]float64, len(cells)), make([]kind, len(cells))
	for i := range cells {
		c := strings.TrimSpace(cells[i])
		cells[i] = c
		if data.IsMissing(c) {
			kinds[i] = missing
		} else if numeric[i%width] {
			if v, err := data.ParseFloat(c); err == nil && math.Abs(v) <= math.MaxFloat32 {
				values[i], kinds[i] = v, finite
			}
		}
	}
	for at := 0; at < len(cells); at += width {
		end := at + width
		out = append(out, record{cells[at:end:end], values[at:end:end], kinds[at:end:end]})
	}
	return out
}

// rows calls f with the rows of t that keep has (nil: all). Numbers of the columns that are numbers are parsed
// in parallel, of all columns if columns is nil. Errors name files and rows.
func rows(ctx context.Context, t data.Table, keep func(row int) bool, columns []Column, f func(r *record) error) error {
	width := len(t.Columns())
	numeric := make([]bool, width)
	for i := range numeric {
		numeric[i] = columns == nil
	}
	for _, c := range columns {
		numeric[c.at] = c.numeric()
	}
	i := -1
	blocks := data.MapRows(ctx, t, func(cells []string) []record { return parse(cells, width, numeric) })
	for block, err := range blocks {
		if err != nil {
			return err
		}
		for k := range block {
			if i++; keep != nil && !keep(i) {
				continue
			}
			if err := f(&block[k]); err != nil {
				return fmt.Errorf("prep: %s: %w", data.Place(t, i), err)
			}
		}
	}
	return nil
}
