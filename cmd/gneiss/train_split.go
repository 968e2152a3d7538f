package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
)

// division says which of the training samples are held for validation: a share, or one fold of several.
type division struct {
	share       float64
	folds, fold int // fold from 0
	seed        uint64
}

// given reports whether any are.
func (d division) given() bool { return d.share > 0 || d.folds > 0 }

// key is the setting that it comes from.
func (d division) key() string {
	if d.folds > 0 {
		return "folds"
	}
	return "data: split"
}

// divide divides samples that can be read in any order, by their classes where strata has some.
func (d division) divide(all train.Dataset, strata []int64) (training, validation train.Dataset, err error) {
	if d.folds > 0 {
		in, out, err := train.KFold(all, d.seed, strata, d.folds)
		if err != nil {
			return nil, nil, fmt.Errorf("folds: %w", err)
		}
		return in[d.fold], out[d.fold], nil
	}
	parts, err := train.Split(all, d.seed, strata, 1-d.share, d.share)
	if err != nil {
		return nil, nil, err
	}
	return parts[0], parts[1], d.check(parts[1].Len(), all.Len())
}

// check reports that a part of n samples is empty.
func (d division) check(held, n int) error {
	switch held {
	case 0:
		return fmt.Errorf("%s is %g of %d samples: none is left to validate on", d.key(), d.share, n)
	case n:
		return fmt.Errorf("%s is %g of %d samples: none is left to train on", d.key(), d.share, n)
	}
	return nil
}

// held reports whether sample i of a stream is held for validation, by a hash of its number.
func (d division) held(i int) bool {
	u := train.UnitHash(d.seed, i)
	if d.folds > 0 {
		return int(u*float64(d.folds)) == d.fold
	}
	return u < d.share
}

// heldRows returns what reports whether row i of a table is held for validation.
func (c *trainConfig) heldRows(ctx context.Context, t data.Table) (func(i int) bool, error) {
	d, n := c.division, t.Len()
	if d.folds > 0 && c.Data.Stream.on {
		return d.held, nil
	}
	var strata []int64
	if d.folds > 0 && c.takesClasses() && c.Data.Target.columns == nil {
		at := slices.Index(t.Columns(), c.target())
		if at < 0 {
			return nil, fmt.Errorf("%v: there is no column %q, which is the target; the columns are %s", c.Data.Train, c.target(), strings.Join(t.Columns(), ", "))
		}
		numbers := map[string]int64{}
		for row, err := range t.Rows(ctx) {
			if err != nil {
				return nil, err
			}
			cell := strings.TrimSpace(row[at])
			class, ok := numbers[cell]
			if !ok {
				class = int64(len(numbers))
				numbers[strings.Clone(cell)] = class
			}
			strata = append(strata, class)
		}
		if len(strata) != n {
			return nil, fmt.Errorf("%v: it has %d rows, and had %d when it was opened", c.Data.Train, len(strata), n)
		}
	}
	held := make([]bool, n)
	if d.folds > 0 {
		fold, err := train.Folds(n, d.seed, strata, d.folds)
		if err != nil {
			return nil, fmt.Errorf("%v: folds: %w", c.Data.Train, err)
		}
		for i, f := range fold {
			held[i] = f == d.fold
		}
	} else {
		k := int(d.share*float64(n) + 0.5)
		for _, i := range rand.New(rand.NewPCG(d.seed, 0x5eed)).Perm(n)[:k] {
			held[i] = true
		}
		if err := d.check(k, n); err != nil {
			return nil, fmt.Errorf("%v: %w", c.Data.Train, err)
		}
	}
	return func(i int) bool { return i < n && held[i] }, nil
}

// strataOf returns the classes that folds are to have in the same shares: those of a target with one whole number
// for each sample. Nil for other targets.
func (c *trainConfig) strataOf(y *tensor.Tensor) []int64 {
	if c.division.folds == 0 || !c.takesClasses() || y == nil || y.Rank() == 0 || y.Len() != y.Dim(0) {
		return nil
	}
	v, err := tensor.Float64s(y)
	if err != nil {
		return nil
	}
	out := make([]int64, len(v))
	for i, e := range v {
		if out[i] = int64(e); float64(out[i]) != e {
			return nil
		}
	}
	return out
}

// divided divides the samples that were read of the training files, where they are held in memory or are images.
func (c *trainConfig) divided(all train.Dataset) (training, validation train.Dataset, err error) {
	strata := c.images.strata()
	if a, ok := all.(train.Arrays); ok && c.images == nil {
		strata = c.strataOf(a[c.target()])
	}
	if training, validation, err = c.division.divide(all, strata); err != nil {
		err = fmt.Errorf("%v: %w", c.Data.Train, err)
	}
	return training, validation, err
}

// ownPart reports whether data divide by themselves: tables of features row by row, before they are fitted, and streams.
func (c *trainConfig) ownPart() bool { return c.prep != nil || c.Data.Stream.on }

// eachTarget calls f with the targets of the samples to train on, in their order: those of train, but for what is
// held for validation.
func (c *trainConfig) eachTarget(ctx context.Context, f func(y *tensor.Tensor) error) error {
	name := c.target()
	want := []data.Input{{Name: name, Type: onnx.UnrankedType(tensor.Float32)}}
	var all train.Arrays
	switch {
	case c.images != nil:
		all = train.Arrays{name: c.images.parts[0].target}
	case c.prep != nil && !c.Data.Stream.on:
		return f(c.prepared[0][name])
	case c.Data.Stream.on:
		src, err := c.openPart(ctx, 0, want, true)
		if err != nil {
			return err
		}
		for b, err := range src.Batches(ctx) {
			if err != nil {
				return err
			}
			if err := f(b.Inputs[name]); err != nil {
				return err
			}
		}
		return nil
	case !c.Data.Train.tables():
		a, err := c.file(ctx, c.Data.Train, want)
		if err != nil {
			return err
		}
		all = train.Arrays{name: a[name]}
	default:
		src, err := c.openTargets(want)
		if err != nil {
			return err
		}
		if all, err = train.Collect(ctx, src); err != nil {
			return err
		}
	}
	y := all[name]
	if y == nil {
		return fmt.Errorf("%v: there is no %q", c.Data.Train, name)
	}
	if !c.division.given() {
		return f(y)
	}
	training, _, err := c.divided(train.Arrays{name: y})
	if err != nil {
		return err
	}
	index := training.(interface{ Index() []int }).Index()
	b, err := train.Arrays{name: y}.Batch(ctx, index)
	if err != nil {
		return err
	}
	return f(b[name])
}

// openTargets reads the targets alone of tables.
func (c *trainConfig) openTargets(want []data.Input) (data.Source, error) {
	o := data.Options{Inputs: c.labels.wants(want), BatchSize: streamBatch}
	src, err := c.Data.Train.open(func(path string) (data.Source, error) { return data.Open(path, o) })
	if err != nil {
		return nil, err
	}
	return c.labels.of(src), nil
}
