package prep

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/gneiss-run/gneiss/data"
)

const (
	maxCategories = 1 << 16 // of a column
	maxFeatures   = 1 << 20
)

// Fit reads the rows of t that keep has (by number, from 0; nil: all), which are to be the
// training part, three times: for the kinds of columns and the bounds of
// outliers; for what is missing; for what normalises the rest. Errors name file,
// row and column.
func Fit(ctx context.Context, t data.Table, keep func(row int) bool, c Config) (*Prep, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	p := &Prep{config: c, all: t.Columns(), Report: newReport()}
	find := func(name, what string) (int, error) {
		i := slices.Index(p.all, name)
		if i < 0 {
			return 0, fmt.Errorf("prep: there is no column %q, which is %s; the columns are %s", name, what, strings.Join(p.all, ", "))
		}
		return i, nil
	}
	targets := c.targets()
	for i, name := range targets {
		at, err := find(name, "the target")
		if err != nil {
			return nil, err
		}
		if slices.Contains(targets[:i], name) {
			return nil, fmt.Errorf("prep: target %q is there twice", name)
		}
		p.targets = append(p.targets, at)
	}
	features := c.Features
	if features == nil {
		features = slices.DeleteFunc(slices.Clone(p.all), func(name string) bool { return slices.Contains(targets, name) })
	}
	for i, name := range features {
		at, err := find(name, "a feature")
		if err != nil {
			return nil, err
		}
		if slices.Contains(targets, name) || slices.Contains(features[:i], name) {
			return nil, fmt.Errorf("prep: feature %q is there twice, or is the target", name)
		}
		p.Columns = append(p.Columns, Column{Name: name, at: at, Low: math.Inf(-1), High: math.Inf(1), Scale: 1})
	}
	for _, name := range slices.Concat(c.Categorical, c.Numeric) {
		if !slices.Contains(features, name) {
			return nil, fmt.Errorf("prep: column %q is said to be numeric or categorical, and is no feature; these are %s", name, strings.Join(features, ", "))
		}
	}
	if err := p.kinds(ctx, t, keep); err != nil {
		return nil, err
	}
	if err := p.fill(ctx, t, keep); err != nil {
		return nil, err
	}
	if err := p.scale(ctx, t, keep); err != nil {
		return nil, err
	}
	if n := len(p.Features()); n == 0 || n > maxFeatures {
		return nil, fmt.Errorf("prep: the columns make %d features, want 1 to %d", n, maxFeatures)
	}
	return p, nil
}

// kinds finds out which columns are numbers, their bounds, and the classes.
func (p *Prep) kinds(ctx context.Context, t data.Table, keep func(int) bool) error {
	all := make([]*stats, len(p.Columns))
	text := make([]bool, len(p.Columns))
	for i, c := range p.Columns {
		all[i], text[i] = newStats(i, p.config.Outliers != ""), slices.Contains(p.config.Categorical, c.Name)
	}
	classes, numbers, n := map[string]bool{}, !p.config.Classes, 0
	err := rows(ctx, t, keep, nil, func(r *record) error {
		n++
		for i := range p.Columns {
			c := &p.Columns[i]
			if text[i] || r.missing(c.at) {
				continue
			}
			if v, err := r.number(c.at); err != nil {
				cell := r.cells[c.at]
				if _, bad := strconv.ParseFloat(cell, 64); bad == nil || slices.Contains(p.config.Numeric, c.Name) {
					return fmt.Errorf("column %q: %w", c.Name, err)
				}
				text[i], all[i] = true, nil
			} else if !math.IsNaN(v) {
				all[i].add(v)
			}
		}
		if target := p.targets[0]; p.config.Targets == nil && !r.missing(target) {
			cell := r.cells[target]
			if numbers {
				_, err := r.number(target)
				numbers = err == nil
			}
			if !classes[cell] {
				classes[strings.Clone(cell)] = true
			}
			if len(classes) > maxCategories {
				if !numbers {
					return fmt.Errorf("column %q: it has more than %d classes", p.config.Target, maxCategories)
				}
				clear(classes)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("prep: there are no rows to fit on")
	}
	if !numbers {
		p.Classes = Sorted(classes)
	}
	for i := range p.Columns {
		c, s := &p.Columns[i], all[i]
		switch {
		case text[i]:
			c.Categories = []string{}
		case s.n == 0:
			return fmt.Errorf("prep: column %q has no value in any of %d rows", c.Name, n)
		case p.config.Outliers == "":
		case p.config.Rule == "quantile":
			c.Low, c.High = s.quantile(p.config.Low), s.quantile(p.config.High)
		default:
			q1, q3 := s.quantile(0.25), s.quantile(0.75)
			c.Low, c.High = q1-p.config.Factor*(q3-q1), q3+p.config.Factor*(q3-q1)
		}
		// Comparisons are with what the model's float32 can say.
		c.Low, c.High = float64(float32(c.Low)), float64(float32(c.High))
	}
	slices.SortStableFunc(p.Columns, func(a, b Column) int {
		switch {
		case a.numeric() == b.numeric():
			return 0
		case a.numeric():
			return -1
		}
		return 1
	})
	return nil
}

// Sorted returns the names of classes or categories in the order of their numbers: by
// value if all are numbers, else by text.
func Sorted(names map[string]bool) []string {
	out := slices.Sorted(maps.Keys(names))
	if slices.ContainsFunc(out, func(s string) bool { _, err := number(s); return err != nil || data.IsMissing(s) }) {
		return out
	}
	slices.SortStableFunc(out, func(a, b string) int {
		x, _ := number(a)
		y, _ := number(b)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return out
}

// fill finds what missing values become, and the categories, of rows that stay.
func (p *Prep) fill(ctx context.Context, t data.Table, keep func(int) bool) error {
	all, counts := make([]*stats, len(p.Columns)), make([]map[string]int, len(p.Columns))
	for i := range p.Columns {
		all[i], counts[i] = newStats(i, p.config.Missing == Median || p.config.Missing == Mode), map[string]int{}
	}
	k := p.cleaner(newReport())
	err := rows(ctx, t, keep, p.Columns, func(r *record) error {
		ok, err := k.keeps(r)
		if err != nil || !ok {
			return err
		}
		for i := range p.Columns {
			c := &p.Columns[i]
			if r.missing(c.at) {
				c.Missing = true
				continue
			}
			if c.numeric() {
				v, err := r.number(c.at)
				if err != nil {
					return fmt.Errorf("column %q: %w", c.Name, err)
				}
				all[i].add(min(max(v, c.Low), c.High))
				continue
			}
			cell := r.cells[c.at]
			if counts[i][cell] == 0 {
				cell = strings.Clone(cell)
			}
			if counts[i][cell]++; len(counts[i]) > maxCategories {
				return fmt.Errorf("column %q: it has more than %d categories", c.Name, maxCategories)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range p.Columns {
		c, s := &p.Columns[i], all[i]
		if s.n == 0 && len(counts[i]) == 0 {
			return fmt.Errorf("prep: column %q has no value in any row that cleaning leaves", c.Name)
		}
		if c.numeric() {
			switch p.config.Missing {
			case Mean:
				c.Fill = s.mean
			case Median:
				c.Fill = s.quantile(0.5)
			case Mode:
				c.Fill = s.mode()
			case Constant:
				c.Fill = p.config.Fill
			}
			continue
		}
		names := map[string]bool{}
		for _, name := range slices.Sorted(maps.Keys(counts[i])) {
			names[name] = true
			if counts[i][name] > counts[i][c.FillText] {
				c.FillText = name
			}
		}
		c.Categories = Sorted(names)
		if p.config.Missing == Constant {
			if c.FillText = ""; c.Missing {
				c.Categories = append([]string{""}, c.Categories...)
			}
		}
	}
	return nil
}

// scale finds what normalises the numbers of rows that stay, and constant columns.
func (p *Prep) scale(ctx context.Context, t data.Table, keep func(int) bool) error {
	all := make([]*stats, len(p.Columns))
	for i := range all {
		all[i] = newStats(i, p.config.Normalize == Robust)
	}
	k := p.cleaner(p.Report)
	err := rows(ctx, t, keep, p.Columns, func(r *record) error {
		ok, err := k.keeps(r)
		if err != nil || !ok {
			return err
		}
		for i := range p.Columns {
			if c := &p.Columns[i]; c.numeric() {
				v, err := r.number(c.at)
				if err != nil {
					return fmt.Errorf("column %q: %w", c.Name, err)
				}
				if math.IsNaN(v) {
					v = c.Fill
				} else {
					v = min(max(v, c.Low), c.High)
				}
				all[i].add(v)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	var left []Column
	for i := range p.Columns {
		c, s := p.Columns[i], all[i]
		constant := len(c.Categories) == 1
		if c.numeric() {
			constant = s.min == s.max
			switch p.config.Normalize {
			case Standard:
				c.Offset, c.Scale = s.mean, s.std()
			case MinMax:
				c.Offset, c.Scale = s.min, s.max-s.min
			case Robust:
				c.Offset, c.Scale = s.quantile(0.5), s.quantile(0.75)-s.quantile(0.25)
			}
			if !(float32(c.Scale) > 0) { // a constant column, or one whose quartiles are equal
				c.Scale = 1
			}
		}
		if constant && p.config.DropConstant && !p.indicates(&c) {
			p.Report.Constant = append(p.Report.Constant, c.Name)
			continue
		}
		left = append(left, c)
	}
	p.Columns = left
	return nil
}
