// Package parquet has package data read Parquet files: importing it is enough.
//
//	import _ "github.com/gneiss-run/gneiss/data/parquet"
//
// It is apart from package data so that only programs which need it link the
// reader.
package parquet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"

	"github.com/gneiss-run/gneiss/data"
)

func init() {
	data.RegisterTable(".parquet", func(path string) (data.Table, error) { return newTable(path) })
}

// Open returns the rows of the file at path as data.FromTable does. Columns are
// read that hold one number, bool or text in each row; a field of a group is
// called "group.field". Lists, decimals and binary values are passed over. An
// empty cell is empty text, which is an error for a number.
func Open(path string, o data.Options) (data.Source, error) {
	t, err := newTable(path)
	if err != nil {
		return nil, err
	}
	return data.FromTable(path, t, o)
}

func newTable(path string) (*table, error) {
	t := &table{path: path}
	err := t.with(func(f *parquet.File) error {
		if f.NumRows() <= 0 || f.NumRows() > math.MaxInt {
			return fmt.Errorf("it has %d rows", f.NumRows())
		}
		t.rows = int(f.NumRows())
		for _, p := range f.Schema().Columns() {
			leaf, ok := f.Schema().Lookup(p...)
			if ok && leaf.MaxRepetitionLevel == 0 && readable(leaf.Node.Type()) {
				t.at = append(t.at, leaf.ColumnIndex)
				t.unsigned = append(t.unsigned, unsigned(leaf.Node.Type()))
				t.cols = append(t.cols, strings.Join(p, "."))
			}
		}
		if len(t.cols) == 0 {
			return errors.New("none of its columns has one number, bool or text in each row")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// readable reports whether values of a column are numbers, bools or text. What
// old writers said by a converted type is now a logical one.
func readable(t parquet.Type) bool {
	switch t.Kind() {
	case parquet.Boolean, parquet.Float, parquet.Double:
		return true
	case parquet.Int32, parquet.Int64:
		_, decimal := logical(t).(*format.DecimalType)
		return !decimal && !converted(t, deprecated.Decimal)
	case parquet.ByteArray:
		switch logical(t).(type) {
		case *format.StringType, *format.EnumType:
			return true
		}
		return converted(t, deprecated.UTF8, deprecated.Enum)
	}
	return false
}

func unsigned(t parquet.Type) bool {
	if i, ok := logical(t).(*format.IntType); ok {
		return !i.IsSigned
	}
	return converted(t, deprecated.Uint8, deprecated.Uint16, deprecated.Uint32, deprecated.Uint64)
}

func logical(t parquet.Type) format.LogicalTypeValue {
	if l := t.LogicalType(); l != nil {
		return l.Value
	}
	return nil
}

func converted(t parquet.Type, types ...deprecated.ConvertedType) bool {
	c := t.ConvertedType()
	return c != nil && slices.Contains(types, *c)
}

// table is the rows of a file.
type table struct {
	path     string
	cols     []string
	at       []int // where each column is among the leaves
	unsigned []bool
	rows     int
}

func (t *table) Columns() []string { return t.cols }
func (t *table) Len() int          { return t.rows }

// with opens the file for f. What the reader panics with, over a damaged file,
// is an error.
func (t *table) with(f func(*parquet.File) error) (err error) {
	file, err := os.Open(t.path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	var p *parquet.File
	if err := safely(func() error {
		p, err = parquet.OpenFile(file, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
		return err
	}); err != nil {
		return err
	}
	return f(p)
}

// safely turns a panic of f into an error.
func safely(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the file is damaged: %v", r)
		}
	}()
	return f()
}

// Rows implements data.Table.
func (t *table) Rows(ctx context.Context) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		err := t.with(func(f *parquet.File) error {
			for _, g := range f.RowGroups() {
				if more, err := t.group(ctx, g, yield); err != nil || !more {
					return err
				}
			}
			return nil
		})
		if err != nil {
			yield(nil, err)
		}
	}
}

// group yields the rows of g. It reports whether more are wanted.
func (t *table) group(ctx context.Context, g parquet.RowGroup, yield func([]string, error) bool) (bool, error) {
	rows := g.Rows()
	defer rows.Close()
	var buf [64]parquet.Row
	place := map[int]int{}
	for i, at := range t.at {
		place[at] = i
	}
	cells := make([]string, len(t.cols))
	for {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n := 0
		err := safely(func() (err error) {
			n, err = rows.ReadRows(buf[:])
			return err
		})
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		for _, row := range buf[:n] {
			clear(cells)
			for _, v := range row {
				if i, ok := place[v.Column()]; ok {
					cells[i] = text(v, t.unsigned[i])
				}
			}
			if !yield(cells, nil) {
				return false, nil
			}
		}
		if err != nil {
			return true, nil
		}
		if n == 0 {
			return false, errors.New("the file is damaged: rows are missing")
		}
	}
}

// text returns v as it is written in a table.
func text(v parquet.Value, unsigned bool) string {
	if v.IsNull() {
		return ""
	}
	switch v.Kind() {
	case parquet.Boolean:
		return strconv.FormatBool(v.Boolean())
	case parquet.Int32:
		if unsigned {
			return strconv.FormatUint(uint64(v.Uint32()), 10)
		}
		return strconv.FormatInt(int64(v.Int32()), 10)
	case parquet.Int64:
		if unsigned {
			return strconv.FormatUint(v.Uint64(), 10)
		}
		return strconv.FormatInt(v.Int64(), 10)
	case parquet.Float:
		return strconv.FormatFloat(float64(v.Float()), 'g', -1, 32)
	case parquet.Double:
		return strconv.FormatFloat(v.Double(), 'g', -1, 64)
	}
	return string(v.ByteArray())
}
