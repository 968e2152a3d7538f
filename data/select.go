package data

import (
	"context"
	"iter"
	"slices"

	"github.com/gneiss-run/gneiss/tensor"
)

// selected is some samples of a Source.
type selected struct {
	src  Source
	keep func(sample int) bool
}

// Select returns a Source of the samples of src whose numbers, from 0 in the order of src, keep has. Its batches are
// those of src without the others; keep must say the same each time, and may be called by several goroutines at once.
func Select(src Source, keep func(sample int) bool) Source { return selected{src, keep} }

func (s selected) Len() int { return -1 }

func (s selected) Batches(ctx context.Context) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		number := 0
		for b, err := range s.src.Batches(ctx) {
			if err != nil {
				yield(b, err)
				return
			}
			var left []int
			n := b.Size()
			for i := range n {
				if s.keep(number + i) {
					left = append(left, i)
				}
			}
			number += n
			if len(left) == 0 {
				continue
			}
			if !yield(b.take(left, n), nil) {
				return
			}
		}
	}
}

// take returns some of the n samples of b.
func (b Batch) take(index []int, n int) Batch {
	if len(index) == n {
		return b
	}
	out := Batch{Name: b.Name, Inputs: map[string]*tensor.Tensor{}}
	if index[len(index)-1]-index[0] == len(index)-1 { // rows one after the other have numbers
		out.Table = b.Table
		if b.Row > 0 {
			out.Row = b.Row + index[0]
		}
	}
	for _, i := range index {
		if i < len(b.Files) {
			out.Files = append(out.Files, b.Files[i])
		}
	}
	for name, x := range b.Inputs {
		if x.Rank() == 0 || x.Dim(0) != n {
			out.Inputs[name] = x // a batch of one, whose inputs have no dimension of samples
			continue
		}
		shape := slices.Clone(x.Shape())
		shape[0] = len(index)
		y := tensor.New(x.DType(), shape...)
		to := Batch{Inputs: map[string]*tensor.Tensor{name: y}}
		for i, k := range index {
			copyRows(to, i, Batch{Inputs: map[string]*tensor.Tensor{name: x}}, k, 1)
		}
		out.Inputs[name] = y
	}
	return out
}

// Join returns the batches of all sources, those of one after those of the other.
func Join(all ...Source) Source {
	if len(all) == 1 {
		return all[0]
	}
	var c chain
	for _, s := range all {
		c = append(c, unit{src: s})
	}
	return c
}
