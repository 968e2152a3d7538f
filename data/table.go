package data

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Table is rows of text with a name for each column: what CSV files are, and
// what other formats (see Register) give to FromTable.
type Table interface {
	Columns() []string
	// Rows yields all rows from the first on, each time it is called. A row is
	// valid until the next one.
	Rows(ctx context.Context) iter.Seq2[[]string, error]
	// Len returns the number of rows.
	Len() int
}

// FromTable returns a Source whose batches are o.BatchSize rows of t. The
// columns of an input become its second and further dimensions. path is for
// messages.
func FromTable(path string, t Table, o Options) (Source, error) {
	s := &tableSource{path: path, t: t, size: max(o.BatchSize, 1), missing: o.Missing}
	cols := t.Columns()
	for i, c := range cols {
		if slices.Contains(cols[:i], c) {
			return nil, fmt.Errorf("it has two columns %q", c)
		}
	}
	for _, c := range o.Ignore {
		if !slices.Contains(cols, c) {
			return nil, fmt.Errorf("it has no column %q to leave out; its columns are %s", c, strings.Join(cols, ", "))
		}
	}
	inputs := o.Inputs
	if len(inputs) == 0 {
		for name := range o.Columns {
			inputs = append(inputs, Input{name, onnx.UnrankedType(tensor.Float32)})
		}
		slices.SortFunc(inputs, func(a, b Input) int { return strings.Compare(a.Name, b.Name) })
	}
	if len(inputs) == 0 {
		return nil, errors.New("a table does not say which columns are which input: give the model's inputs or Options.Columns")
	}
	for _, in := range inputs {
		p, err := planColumns(in, cols, len(inputs) == 1, &o)
		if err != nil {
			return nil, err
		}
		if p.rows > 0 {
			if o.BatchSize > 0 && o.BatchSize != p.rows {
				return nil, fmt.Errorf("batches of %d rows for input %q, %v: want %d", o.BatchSize, in.Name, in.Type, p.rows)
			}
			s.size, s.fixed = p.rows, true
		}
		s.plans = append(s.plans, p)
	}
	return s, nil
}

// columnPlan is how rows become one input.
type columnPlan struct {
	input string
	dtype tensor.DType
	cols  []int
	tail  []int // the dimensions behind the first
	rows  int   // what the first dimension is; 0: any
}

// planColumns finds the columns of an input.
func planColumns(in Input, cols []string, single bool, o *Options) (columnPlan, error) {
	p := columnPlan{input: in.Name, dtype: in.Type.DType}
	if p.dtype == tensor.Undefined {
		p.dtype = tensor.Float32
	}
	names := o.Columns[in.Name]
	switch {
	case names != nil:
	case slices.Contains(cols, in.Name):
		names = []string{in.Name}
	case single && o.Columns == nil:
		names = slices.DeleteFunc(slices.Clone(cols), func(c string) bool { return slices.Contains(o.Ignore, c) })
	default:
		return p, fmt.Errorf("no column is called like input %q; the columns are %s: say with Options.Columns which are meant", in.Name, strings.Join(cols, ", "))
	}
	if len(names) == 0 {
		return p, fmt.Errorf("no column is left for input %q", in.Name)
	}
	for _, c := range names {
		i := slices.Index(cols, c)
		if i < 0 {
			return p, fmt.Errorf("it has no column %q, which input %q is made of; its columns are %s", c, in.Name, strings.Join(cols, ", "))
		}
		p.cols = append(p.cols, i)
	}
	p.tail = []int{len(p.cols)}
	wrong := func() error {
		return fmt.Errorf("%d columns (%s) for input %q, which is %v", len(names), strings.Join(names, ", "), in.Name, in.Type)
	}
	if in.Type.Kind != onnx.TensorKind && in.Type.Kind != onnx.UnknownKind {
		return p, wrong()
	}
	if !in.Type.Ranked {
		return p, nil
	}
	dims := in.Type.Dims
	if len(dims) == 0 {
		return p, wrong()
	}
	p.rows, _ = dims[0].Size()
	// The dimensions behind the first hold the columns; one of them may be open.
	p.tail = make([]int, len(dims)-1)
	known, open := 1, -1
	for i, d := range dims[1:] {
		n, ok := d.Size()
		switch {
		case ok && n > 0 && n <= len(cols):
			p.tail[i] = n
			known = min(known*n, len(cols)+1)
		case !ok && open < 0:
			open = i
		default:
			return p, wrong()
		}
	}
	if open >= 0 && len(p.cols)%known == 0 {
		p.tail[open] = len(p.cols) / known
		known = len(p.cols)
	}
	if known != len(p.cols) {
		return p, wrong()
	}
	return p, nil
}

// tableSource is a Source of the rows of a table.
type tableSource struct {
	path  string
	t     Table
	plans []columnPlan
	size  int
	fixed bool // no smaller batches

	missing bool // empty cells are NaN
}

func (s *tableSource) Len() int {
	if s.fixed {
		return s.t.Len() / s.size
	}
	return (s.t.Len() + s.size - 1) / s.size
}

// converted is the rows of a block.
type converted struct {
	Batch
	rows int
	bad  int // the row of err, from 0
	err  error
}

// convert makes a batch of the rows of a block.
func (s *tableSource) convert(cells []string) (c converted) {
	width := len(s.t.Columns())
	c.rows = len(cells) / width
	if c.Batch, c.err = s.make(c.rows); c.err != nil {
		return c
	}
	for i := range c.rows {
		if c.err = s.put(c.Batch, i, cells[i*width:(i+1)*width]); c.err != nil {
			c.bad = i
			return c
		}
	}
	return c
}

func (s *tableSource) Batches(ctx context.Context) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		fail := func(err error) {
			if ctx.Err() == nil {
				err = fmt.Errorf("data: %s: %w", s.path, err)
			}
			yield(Batch{}, err)
		}
		var b Batch
		filled, row := 0, 0
		for c, err := range MapRows(ctx, s.t, s.convert) {
			if err != nil {
				fail(err)
				return
			}
			good := c.rows
			if c.err != nil {
				good = c.bad
			}
			for at := 0; at < good; {
				if filled == 0 {
					if b, err = s.make(min(s.size, max(s.t.Len()-row, 1))); err != nil {
						fail(err)
						return
					}
				}
				n := min(b.Size()-filled, good-at)
				copyRows(b, filled, c.Batch, at, n)
				at, row, filled = at+n, row+n, filled+n
				if filled < b.Size() {
					continue
				}
				if filled < s.size && s.fixed {
					return
				}
				b.Name, b.Table, b.Row = fmt.Sprintf("%s, rows %d to %d", s.path, row-filled+1, row), s.path, row-filled+1
				if !yield(b, nil) {
					return
				}
				filled = 0
			}
			if c.err != nil {
				fail(fmt.Errorf("row %d: %w", row+1, c.err))
				return
			}
		}
	}
}

// copyRows copies n rows of from, from row at on, to rows of to.
func copyRows(to Batch, row int, from Batch, at, n int) {
	for name, x := range from.Inputs {
		y := to.Inputs[name]
		size := x.Len() / x.Dim(0)
		if x.DType() == tensor.String {
			copy(tensor.Data[string](y)[row*size:], tensor.Data[string](x)[at*size:(at+n)*size])
			continue
		}
		size = len(x.Bytes()) / x.Dim(0)
		copy(y.Bytes()[row*size:], x.Bytes()[at*size:(at+n)*size])
	}
}

// make returns a batch of rows rows.
func (s *tableSource) make(rows int) (Batch, error) {
	b := Batch{Inputs: map[string]*tensor.Tensor{}}
	for _, p := range s.plans {
		shape := append([]int{rows}, p.tail...)
		size, err := tensor.ByteSize(p.dtype, shape)
		if err != nil {
			return b, err
		}
		if int64(size) > maxFile {
			return b, fmt.Errorf("%d rows of input %q are %d bytes, at most %d are made", rows, p.input, size, int64(maxFile))
		}
		b.Inputs[p.input] = tensor.New(p.dtype, shape...)
	}
	return b, nil
}

// put writes the cells of a row to place i of b.
func (s *tableSource) put(b Batch, i int, cells []string) error {
	for _, p := range s.plans {
		t := b.Inputs[p.input]
		for k, c := range p.cols {
			text := strings.TrimSpace(cells[c])
			if s.missing && IsMissing(text) && t.DType().IsFloat() {
				text = "nan"
			}
			if err := setText(t, i*len(p.cols)+k, text); err != nil {
				return fmt.Errorf("column %q: %w", s.t.Columns()[c], err)
			}
		}
	}
	return nil
}

// setText sets element i of t to what text says.
func setText(t *tensor.Tensor, i int, text string) error {
	wrong := func() error { return fmt.Errorf("%q is no %v", text, t.DType()) }
	switch d := t.DType(); {
	case d == tensor.String:
		tensor.Data[string](t)[i] = strings.Clone(text) // not all the block that it is part of
	case d == tensor.Bool:
		v, err := strconv.ParseBool(text)
		if err != nil {
			return wrong()
		}
		tensor.Data[bool](t)[i] = v
	case d == tensor.Uint64:
		v, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return wrong()
		}
		tensor.Data[uint64](t)[i] = v
	case d.IsInt() && !d.IsPacked():
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return wrong()
		}
		return setInt(t, i, v)
	case d == tensor.Float64:
		v, err := ParseFloat(text)
		if truth, ok := ParseTruth(text); ok {
			v, err = truth, nil
		}
		if err != nil {
			return wrong()
		}
		tensor.Data[float64](t)[i] = v
	case d.IsFloat() && !d.IsPacked():
		v, err := parseFloat32(text)
		if truth, ok := ParseTruth(text); ok {
			v, err = float32(truth), nil
		}
		if err != nil {
			return wrong()
		}
		if d == tensor.Float32 {
			tensor.Data[float32](t)[i] = v
			return nil
		}
		tensor.NarrowFrom(t, i, []float32{v})
	default:
		return fmt.Errorf("no cell of a table is %v", d)
	}
	return nil
}
