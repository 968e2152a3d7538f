package prep

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
)

// batchRows is how many rows are made into features at once.
const batchRows = 1024

// Samples returns the features and the target of the rows of t that keep has (nil: all) and
// cleaning leaves, as Source reads them, and what cleaning did.
func (p *Prep) Samples(ctx context.Context, t data.Table, keep func(row int) bool) (train.Arrays, *Report, error) {
	r := newReport()
	a, err := train.Collect(ctx, p.source(t, keep, r))
	if err == nil && r.Kept == 0 {
		err = fmt.Errorf("prep: of %d rows none is left: %v are dropped", r.Rows, r.Dropped)
	}
	if err != nil {
		return nil, nil, err
	}
	r.Constant = p.Report.Constant
	return a, r, nil
}

// Source returns the rows of t that keep has (nil: all) and cleaning leaves, by batches: Input,
// float32 [N, F], and the target, int64 [N] of classes or float32 [N], of several float32 [N, T]. t must have
// the columns that p was fitted on. Its memory does not grow with t, but for hashes of
// 16 bytes a row where duplicates go.
func (p *Prep) Source(t data.Table, keep func(row int) bool) data.Source {
	return p.source(t, keep, nil)
}

func (p *Prep) source(t data.Table, keep func(int) bool, r *Report) data.Source {
	return &source{p: p, t: t, keep: keep, report: r}
}

type source struct {
	p      *Prep
	t      data.Table
	keep   func(row int) bool
	report *Report // counts of one reading; nil: not asked for
}

func (s *source) Len() int { return -1 }

// place returns p with its columns where t has them.
func (p *Prep) place(t data.Table) (*Prep, error) {
	q := *p
	q.Columns = slices.Clone(p.Columns)
	cols := t.Columns()
	find := func(name string) (int, error) {
		i := slices.Index(cols, name)
		if i < 0 {
			return 0, fmt.Errorf("prep: %s: there is no column %q, which the training part has", data.Place(t, 0), name)
		}
		return i, nil
	}
	var err error
	for i := range q.Columns {
		if q.Columns[i].at, err = find(q.Columns[i].Name); err != nil {
			return nil, err
		}
	}
	q.targets = nil
	for _, name := range p.config.targets() {
		at, err := find(name)
		if err != nil {
			return nil, err
		}
		q.targets = append(q.targets, at)
	}
	return &q, nil
}

func (s *source) Batches(ctx context.Context) iter.Seq2[data.Batch, error] {
	return func(yield func(data.Batch, error) bool) {
		if err := s.read(ctx, yield); err != nil {
			yield(data.Batch{}, err)
		}
	}
}

// errStop ends a reading that is wanted no more.
var errStop = errors.New("no more is wanted")

func (s *source) read(ctx context.Context, yield func(data.Batch, error) bool) error {
	p, err := s.p.place(s.t)
	if err != nil {
		return err
	}
	m, err := p.Model()
	if err != nil {
		return err
	}
	session, err := runtime.New(m, runtime.Options{})
	if err != nil {
		return fmt.Errorf("prep: %w", err)
	}
	defer session.Close()
	classes := map[string]int64{}
	for i, c := range p.Classes {
		classes[c] = int64(i)
	}
	report := s.report
	if report == nil {
		report = newReport()
	}
	k := p.cleaner(report)
	numbers, texts := make([][]float32, len(p.Columns)), make([][]string, len(p.Columns))
	var labels []int64
	var targets []float32
	count := func() int { return len(labels) + len(targets)/len(p.targets) }
	flush := func() error {
		n := count()
		in := map[string]tensor.Value{}
		for i, c := range p.Columns {
			if c.numeric() {
				in[c.Name], numbers[i] = tensor.Of(numbers[i], n, 1), nil
			} else {
				in[c.Name], texts[i] = tensor.Of(texts[i], n, 1), nil
			}
		}
		out, err := session.Run(ctx, in)
		if err != nil {
			return err
		}
		b := data.Batch{Name: fmt.Sprintf("%d rows", n), Inputs: map[string]*tensor.Tensor{Input: out[Input].(*tensor.Tensor)}}
		switch {
		case p.Classes != nil:
			b.Inputs[p.config.Target] = tensor.Of(labels, n)
		case p.config.Targets != nil:
			b.Inputs[p.config.Target] = tensor.Of(targets, n, len(p.targets))
		default:
			b.Inputs[p.config.Target] = tensor.Of(targets, n)
		}
		if labels, targets = nil, nil; !yield(b, nil) {
			return errStop
		}
		return nil
	}
	inner := error(nil) // without the row that rows adds
	err = rows(ctx, s.t, s.keep, p.Columns, func(r *record) error {
		ok, err := k.keeps(r)
		if err != nil || !ok {
			return err
		}
		for i := range p.Columns {
			c := &p.Columns[i]
			if !c.numeric() {
				if !r.missing(c.at) && !slices.Contains(c.Categories, r.cells[c.at]) {
					report.Categories[c.Name]++
				}
				texts[i] = append(texts[i], r.cells[c.at])
				continue
			}
			v, err := r.number(c.at)
			if err != nil {
				return fmt.Errorf("column %q: %w", c.Name, err)
			}
			numbers[i] = append(numbers[i], float32(v))
		}
		if p.Classes != nil {
			cell := r.cells[p.targets[0]]
			l, ok := classes[cell]
			if !ok {
				return fmt.Errorf("column %q: %q is no class that the training part has: these are %s", p.config.Target, cell, some(p.Classes))
			}
			labels = append(labels, l)
		} else {
			for i, at := range p.targets {
				v, err := r.number(at)
				if truth, ok := data.ParseTruth(r.cells[at]); err != nil && ok && p.config.Targets != nil {
					v, err = truth, nil
				}
				if err != nil {
					return fmt.Errorf("column %q: %w", p.config.targets()[i], err)
				}
				targets = append(targets, float32(v))
			}
		}
		if count() == batchRows {
			inner = flush()
			return inner
		}
		return nil
	})
	if inner == nil && err == nil && count() > 0 {
		inner = flush()
	}
	switch {
	case inner == errStop:
		return nil
	case inner != nil:
		return inner
	}
	return err
}

// some lists names for messages.
func some(names []string) string {
	if len(names) > 10 {
		return fmt.Sprintf("%q and %d more", names[:10], len(names)-10)
	}
	return fmt.Sprintf("%q", names)
}
