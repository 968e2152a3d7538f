package data

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

const (
	maxLine    = 64 << 20 // bytes of a line of JSON
	maxColumns = 1 << 16  // of a table whose rows say which they have
)

// jsonLines is a file with a JSON object in each line (https://jsonlines.org). As a
// Table it has a column for each field that any object has, in order of
// names; a field that is missing or null is empty text, one with an array its JSON.
type jsonLines struct {
	path  string
	cols  []string
	lines []int32 // of rows, where blank lines are among them; nil: row i is line i+1
	rows  int
	array bool // the first object has a field with an array
}

// newJSONLines reads the file once, to know its rows and that they are objects.
func newJSONLines(path string) (*jsonLines, error) {
	j := &jsonLines{path: path}
	seen := map[string]bool{}
	for b, err := range inOrder(context.Background(), j.text(context.Background()), scanJSON) {
		if err != nil {
			return nil, err
		}
		for _, f := range b.fields {
			if !seen[f.name] {
				if seen[f.name] = true; len(seen) > maxColumns {
					return nil, fmt.Errorf("line %d: there are more than %d fields", f.line, maxColumns)
				}
			}
		}
		if b.err != nil {
			return nil, b.err
		}
		j.array = j.array || j.rows == 0 && b.array
		for _, line := range b.lines {
			j.rows++
			if j.lines == nil && int(line) != j.rows {
				for i := range j.rows - 1 {
					j.lines = append(j.lines, int32(i+1))
				}
			}
			if int(line) != j.rows || j.lines != nil {
				j.lines = append(j.lines, line)
			}
		}
	}
	if j.rows == 0 {
		return nil, errors.New("there is no object in it")
	}
	j.cols = slices.Sorted(maps.Keys(seen))
	return j, nil
}

// scanned is what a block of text has.
type scanned struct {
	fields []struct {
		name string
		line int // that has it first
	}
	lines []int32 // of its objects
	array bool    // the first object has a field with an array
	err   error   // behind these
}

func scanJSON(b textBlock) (s scanned) {
	seen := map[string]bool{}
	for o, err := range objectsOf(b, true) {
		if err != nil {
			s.err = err
			break
		}
		for name, v := range o.fields {
			if _, ok := v.([]any); ok && s.lines == nil {
				s.array = true
			}
			if !seen[name] {
				name = strings.Clone(name) // not all the block that it is part of
				seen[name] = true
				s.fields = append(s.fields, struct {
					name string
					line int
				}{name, o.line})
			}
		}
		s.lines = append(s.lines, int32(o.line))
	}
	return s
}

// text yields the file's lines by blocks. Errors name lines.
func (j *jsonLines) text(ctx context.Context) iter.Seq2[textBlock, error] {
	return func(yield func(textBlock, error) bool) {
		f, err := os.Open(j.path)
		if err != nil {
			yield(textBlock{}, err)
			return
		}
		defer f.Close()
		textBlocks(ctx, skipMark(f), wholeLines, fmt.Sprintf("it is longer than %d bytes", maxLine))(yield)
	}
}

// wholeLines returns the end of the last line of b that is whole.
func wholeLines(b []byte) int { return bytes.LastIndexByte(b, '\n') + 1 }

// object is one line.
type object struct {
	line   int
	fields map[string]any
}

// objectsOf yields the objects of a block. With reuse, each is valid until the next one. Their text may be part of
// the block's.
func objectsOf(b textBlock, reuse bool) iter.Seq2[object, error] {
	return func(yield func(object, error) bool) {
		for o := (object{line: b.line}); b.text != ""; o.line++ {
			var text string
			text, b.text, _ = strings.Cut(b.text, "\n")
			if text = strings.TrimSuffix(text, "\r"); strings.TrimSpace(text) == "" {
				continue
			}
			if o.fields == nil || !reuse {
				o.fields = map[string]any{}
			}
			clear(o.fields)
			if plainObject(text, o.fields) {
				if !yield(o, nil) {
					return
				}
				continue
			}
			o.fields = nil
			d := json.NewDecoder(strings.NewReader(text))
			d.UseNumber()
			err := d.Decode(&o.fields)
			if err == nil && o.fields == nil {
				err = errors.New("null")
			}
			if err == nil {
				if _, more := d.Token(); more != io.EOF {
					err = errors.New("something follows the object")
				}
			}
			if err != nil {
				yield(object{}, fmt.Errorf("line %d: want a JSON object: %w", o.line, err))
				return
			}
			if !yield(o, nil) {
				return
			}
		}
	}
}

// objects yields the objects of the file, which are parsed in parallel. Errors name lines.
func (j *jsonLines) objects(ctx context.Context) iter.Seq2[object, error] {
	type parsed struct {
		objects []object
		err     error // behind these
	}
	return func(yield func(object, error) bool) {
		for p, err := range inOrder(ctx, j.text(ctx), func(b textBlock) (p parsed) {
			for o, err := range objectsOf(b, false) {
				if err != nil {
					p.err = err
					break
				}
				p.objects = append(p.objects, o)
			}
			return p
		}) {
			for _, o := range p.objects {
				if !yield(o, nil) {
					return
				}
			}
			if err == nil {
				err = p.err
			}
			if err != nil {
				yield(object{}, err)
				return
			}
		}
	}
}

func (j *jsonLines) Columns() []string { return j.cols }
func (j *jsonLines) Len() int          { return j.rows }

func (j *jsonLines) Place(i int) string {
	line := i + 1
	if i < len(j.lines) {
		line = int(j.lines[i])
	}
	return fmt.Sprintf("%s, line %d", j.path, line)
}

func (j *jsonLines) Rows(ctx context.Context) iter.Seq2[[]string, error] { return rowsByBlock(ctx, j) }

// blocks implements blocked.
func (j *jsonLines) blocks(ctx context.Context) iter.Seq2[parseBlock, error] {
	return func(yield func(parseBlock, error) bool) {
		for b, err := range j.text(ctx) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(func(buf []string) ([]string, error) { return j.cells(buf, b) }, nil) {
				return
			}
		}
	}
}

// cells appends the cells of the objects of b to buf, those before the error if there is one.
func (j *jsonLines) cells(buf []string, b textBlock) ([]string, error) {
	for o, err := range objectsOf(b, true) {
		if err != nil {
			return buf, err
		}
		for i, c := range j.cols {
			cell, err := cellOf(o.fields[c])
			if err != nil {
				return buf[:len(buf)-i], fmt.Errorf("line %d: field %q: %w", o.line, c, err)
			}
			buf = append(buf, cell)
		}
	}
	return buf, nil
}

// cellOf returns v as a cell of a table.
func cellOf(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		return strconv.FormatBool(v), nil
	case []any:
		b, err := json.Marshal(v)
		return string(b), err
	}
	return "", errors.New("an object, want a number, text, a bool or an array")
}

// openJSONLines reads fields called like inputs: numbers and text as one column, as in
// any table, or arrays of one shape, which are stacked.
func openJSONLines(path string, o Options) (Source, error) {
	j, err := newJSONLines(path)
	if err != nil {
		return nil, err
	}
	if !j.array || o.Columns != nil {
		return FromTable(path, j, o)
	}
	inputs := o.Inputs
	if len(inputs) == 0 {
		for _, c := range j.cols {
			if !slices.Contains(o.Ignore, c) {
				inputs = append(inputs, Input{c, onnx.UnrankedType(tensor.Float32)})
			}
		}
	}
	for _, in := range inputs {
		if !slices.Contains(j.cols, in.Name) {
			return nil, fmt.Errorf("no field is called like input %q; the fields are %s", in.Name, strings.Join(j.cols, ", "))
		}
	}
	s := &jsonSource{j: j, inputs: inputs, size: max(o.BatchSize, 1), o: o}
	for _, in := range inputs {
		if d := in.Type.Dims; in.Type.Ranked && len(d) > 0 {
			if n, ok := d[0].Size(); ok && n > 0 {
				if o.BatchSize > 0 && o.BatchSize != n {
					return nil, fmt.Errorf("batches of %d for input %q, %v: want %d", o.BatchSize, in.Name, in.Type, n)
				}
				s.size, s.fixed = n, true
			}
		}
	}
	return s, nil
}

// jsonSource is batches of the arrays of objects.
type jsonSource struct {
	j      *jsonLines
	inputs []Input
	size   int
	fixed  bool // no smaller batches
	o      Options
}

func (s *jsonSource) Len() int {
	if s.fixed {
		return s.j.rows / s.size
	}
	return (s.j.rows + s.size - 1) / s.size
}

func (s *jsonSource) Batches(ctx context.Context) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		parts := map[string][]any{}
		row, first := 0, 0
		flush := func() bool {
			b := Batch{Name: fmt.Sprintf("%s, rows %d to %d", s.j.path, first+1, row), Table: s.j.path, Row: first + 1, Inputs: map[string]*tensor.Tensor{}}
			for _, in := range s.inputs {
				typ := in.Type
				if typ.DType == tensor.Undefined {
					typ.DType = tensor.Float32
				}
				typ.Kind = onnx.TensorKind
				t, err := jsonTensor(parts[in.Name], typ)
				if err == nil && len(s.o.Inputs) > 0 {
					err = Fits(t, typ)
				}
				if err != nil {
					yield(Batch{}, fmt.Errorf("data: %s: field %q: %w", b.Name, in.Name, err))
					return false
				}
				b.Inputs[in.Name] = t
				parts[in.Name] = nil
			}
			first = row
			return yield(b, nil)
		}
		shapes := map[string][]int{}
		for o, err := range s.j.objects(ctx) {
			if err == nil {
				err = s.check(o, shapes)
			}
			if err != nil {
				if ctx.Err() == nil {
					err = fmt.Errorf("data: %s: %w", s.j.path, err)
				}
				yield(Batch{}, err)
				return
			}
			for _, in := range s.inputs {
				parts[in.Name] = append(parts[in.Name], o.fields[in.Name])
			}
			if row++; row-first == s.size && !flush() {
				return
			}
		}
		if row > first && !s.fixed {
			flush()
		}
	}
}

// check reports fields of o that are missing, or not of the shape that the first
// object's have.
func (s *jsonSource) check(o object, shapes map[string][]int) error {
	for _, in := range s.inputs {
		v := o.fields[in.Name]
		if v == nil {
			return fmt.Errorf("line %d: there is no %q", o.line, in.Name)
		}
		shape, err := shapeOf(v)
		if err != nil {
			return fmt.Errorf("line %d: field %q: %w", o.line, in.Name, err)
		}
		want, ok := shapes[in.Name]
		if !ok {
			shapes[in.Name] = shape
		} else if !slices.Equal(shape, want) {
			return fmt.Errorf("line %d: field %q is of shape %v, in the first object it is %v", o.line, in.Name, shape, want)
		}
	}
	return nil
}
