package data

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Placed is a Table that knows where its rows are, for messages.
type Placed interface {
	// Place names the file and row, such as "a.csv, row 3", of row i, from 0.
	Place(i int) string
}

// Place says where row i, from 0, of t is.
func Place(t Table, i int) string {
	if p, ok := t.(Placed); ok {
		return p.Place(i)
	}
	return fmt.Sprintf("row %d", i+1)
}

// RegisterTable has Open and OpenTable read files whose names end in ext, such as
// ".parquet", by f, whose errors do not name the file. It is for init functions,
// like Register.
func RegisterTable(ext string, f func(path string) (Table, error)) {
	formatsMu.Lock()
	tables[ext] = f
	formatsMu.Unlock()
	Register(ext, func(path string, o Options) (Source, error) {
		t, err := f(path)
		if err != nil {
			return nil, err
		}
		return FromTable(path, t, o)
	})
}

var tables = map[string]func(path string) (Table, error){
	".csv":    func(path string) (Table, error) { return newCSVTable(path) },
	".jsonl":  func(path string) (Table, error) { return newJSONLines(path) },
	".ndjson": func(path string) (Table, error) { return newJSONLines(path) },
}

// IsTable reports whether OpenTable reads files with names like path.
func IsTable(path string) bool { return tableOf(path) != nil }

func tableOf(path string) func(string) (Table, error) {
	formatsMu.RLock()
	defer formatsMu.RUnlock()
	return tables[kindOf(path)]
}

// OpenTable opens .csv, .jsonl and what RegisterTable has added as one table: the
// rows of all files (shards) in the order given. Each must have the columns of
// the first, in any order. The table may be larger than memory: files are read
// through once, for their columns and rows, and again whenever Rows is called.
func OpenTable(paths ...string) (Table, error) {
	if len(paths) == 0 {
		return nil, fmt.Errorf("data: a table of no files")
	}
	all := &shards{}
	for _, path := range paths {
		open := tableOf(path)
		if open == nil {
			return nil, fmt.Errorf("data: %s: it is no kind of table that is read", path)
		}
		t, err := open(path)
		if err != nil {
			if strings.Contains(err.Error(), path) {
				return nil, fmt.Errorf("data: %w", err)
			}
			return nil, fmt.Errorf("data: %s: %w", path, err)
		}
		s := shard{Table: t, path: path, first: all.rows}
		cols := t.Columns()
		for i, c := range cols {
			if slices.Contains(cols[:i], c) {
				return nil, fmt.Errorf("data: %s: it has two columns %q", path, c)
			}
		}
		if len(all.list) == 0 {
			all.cols = cols
		}
		for _, c := range all.cols {
			i := slices.Index(cols, c)
			if _, lines := t.(*jsonLines); i < 0 && !lines { // which leaves out fields that it has no value for
				return nil, fmt.Errorf("data: %s: it has no column %q, which %s has", path, c, paths[0])
			}
			s.at = append(s.at, i)
		}
		for _, c := range cols {
			if !slices.Contains(all.cols, c) {
				return nil, fmt.Errorf("data: %s: it has a column %q, which %s has not", path, c, paths[0])
			}
		}
		all.list = append(all.list, s)
		all.rows += t.Len()
	}
	return all, nil
}

// Glob returns the files that the patterns name, each pattern's in order; one without
// *, ? or [ is a file. A pattern that names nothing is an error.
func Glob(patterns ...string) ([]string, error) {
	var out []string
	for _, p := range patterns {
		if !strings.ContainsAny(p, "*?[") {
			out = append(out, p)
			continue
		}
		if _, err := os.Stat(p); err == nil { // a file that is called so
			out = append(out, p)
			continue
		}
		files, err := filepath.Glob(p)
		if err != nil {
			return nil, fmt.Errorf("data: %s: %w", p, err)
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("data: %s: there is no such file", p)
		}
		out = append(out, files...)
	}
	return out, nil
}

// shards is several tables as one.
type shards struct {
	cols []string
	list []shard
	rows int
}

type shard struct {
	Table
	path  string
	at    []int // where the columns of the first table are; -1: nowhere
	first int   // row
}

func (s *shards) Columns() []string { return s.cols }
func (s *shards) Len() int          { return s.rows }

func (s *shards) Place(i int) string {
	for _, t := range slices.Backward(s.list) {
		if i >= t.first {
			if p, ok := t.Table.(Placed); ok {
				return p.Place(i - t.first)
			}
			return fmt.Sprintf("%s, row %d", t.path, i-t.first+1)
		}
	}
	return fmt.Sprintf("row %d", i+1)
}

func (s *shards) Rows(ctx context.Context) iter.Seq2[[]string, error] { return rowsByBlock(ctx, s) }

// blocks implements blocked.
func (s *shards) blocks(ctx context.Context) iter.Seq2[parseBlock, error] {
	return func(yield func(parseBlock, error) bool) {
		for _, t := range s.list {
			named := func(err error) error {
				if err == nil || ctx.Err() != nil {
					return err
				}
				return fmt.Errorf("data: %s: %w", t.path, err)
			}
			for parse, err := range blocksOf(ctx, t.Table) {
				if err != nil {
					yield(nil, named(err))
					return
				}
				if !yield(func(buf []string) ([]string, error) {
					cells, err := parse(buf)
					return t.arrange(cells), named(err)
				}, nil) {
					return
				}
			}
		}
	}
}

// arrange returns the cells of rows of t in the order of the first table's columns.
func (t *shard) arrange(cells []string) []string {
	width, same := len(t.Columns()), true
	for i, k := range t.at {
		same = same && i == k
	}
	if same && width == len(t.at) {
		return cells
	}
	out := make([]string, 0, len(cells)/width*len(t.at))
	for row := range slices.Chunk(cells, width) {
		for _, k := range t.at {
			cell := ""
			if k >= 0 {
				cell = row[k]
			}
			out = append(out, cell)
		}
	}
	return out
}

// IsMissing reports whether a cell says that there is no value: it is one of MissingTexts.
func IsMissing(cell string) bool {
	switch cell {
	case "", "NA", "N/A", "NaN", "nan", "null", "NULL":
		return true
	}
	return false
}

// MissingTexts are the cells that say that there is no value.
var MissingTexts = []string{"", "NA", "N/A", "NaN", "nan", "null", "NULL"}
