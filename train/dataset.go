package train

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/tensor"
)

// Dataset is a set of samples that can be read in any order. Batch may be called
// by several goroutines at once.
type Dataset interface {
	Len() int
	// Batch returns the samples at index, stacked along the first dimension of
	// each tensor, by names of inputs and targets. The tensors belong to the caller.
	Batch(ctx context.Context, index []int) (map[string]*tensor.Tensor, error)
}

// Arrays is a Dataset of tensors whose first dimensions count samples.
type Arrays map[string]*tensor.Tensor

// NewArrays returns a Dataset of tensors by name, which all have as many
// samples along their first dimension.
func NewArrays(tensors map[string]*tensor.Tensor) (Arrays, error) {
	if len(tensors) == 0 {
		return nil, fmt.Errorf("train: a data set without tensors")
	}
	first := ""
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		x := tensors[name]
		switch {
		case x == nil || x.Rank() == 0:
			return nil, fmt.Errorf("train: data %q is %v, want a first dimension of samples", name, x)
		case x.DType() == tensor.String:
			return nil, fmt.Errorf("train: data %q has strings, want numbers", name)
		case first == "":
			first = name
		case x.Dim(0) != tensors[first].Dim(0):
			return nil, fmt.Errorf("train: data %q has %d samples, %q has %d", name, x.Dim(0), first, tensors[first].Dim(0))
		}
	}
	return Arrays(tensors), nil
}

// Len returns the number of samples.
func (a Arrays) Len() int {
	for _, x := range a {
		return x.Dim(0)
	}
	return 0
}

// Batch implements Dataset.
func (a Arrays) Batch(_ context.Context, index []int) (map[string]*tensor.Tensor, error) {
	out := make(map[string]*tensor.Tensor, len(a))
	for name, x := range a {
		shape := slices.Clone(x.Shape())
		n := shape[0]
		shape[0] = len(index)
		y := tensor.New(x.DType(), shape...)
		if n > 0 {
			size := len(x.Bytes()) / n
			for i, k := range index {
				if k < 0 || k >= n {
					return nil, fmt.Errorf("train: there is no sample %d: data %q has %d", k, name, n)
				}
				copy(y.Bytes()[i*size:(i+1)*size], x.Bytes()[k*size:(k+1)*size])
			}
		}
		out[name] = y
	}
	return out, nil
}

// Collect reads all of src into memory, as a Dataset.
func Collect(ctx context.Context, src data.Source) (Arrays, error) {
	parts := map[string][]*tensor.Tensor{}
	n := 0
	for b, err := range src.Batches(ctx) {
		if err != nil {
			return nil, err
		}
		for name, x := range b.Inputs {
			if n > 0 && len(parts[name]) == 0 || x.Rank() == 0 {
				return nil, fmt.Errorf("train: %s: tensor %q is %v, which other batches do not have so", b.Name, name, x)
			}
			parts[name] = append(parts[name], x)
		}
		n++
		for name, list := range parts {
			if len(list) != n {
				return nil, fmt.Errorf("train: %s: there is no tensor %q, which other batches have", b.Name, name)
			}
		}
	}
	all := map[string]*tensor.Tensor{}
	for name, list := range parts {
		x, err := concat(list)
		if err != nil {
			return nil, fmt.Errorf("train: data %q: %w", name, err)
		}
		all[name] = x
	}
	return NewArrays(all)
}

// concat joins tensors along the first dimension.
func concat(list []*tensor.Tensor) (*tensor.Tensor, error) {
	shape := slices.Clone(list[0].Shape())
	shape[0] = 0
	for _, x := range list {
		if x.DType() != list[0].DType() || !slices.Equal(x.Shape()[1:], shape[1:]) {
			return nil, fmt.Errorf("batches of %v and %v do not go together", list[0], x)
		}
		if x.DType() == tensor.String {
			return nil, fmt.Errorf("%v: want numbers", x)
		}
		shape[0] += x.Dim(0)
	}
	if len(list) == 1 {
		return list[0], nil
	}
	y := tensor.New(list[0].DType(), shape...)
	at := 0
	for _, x := range list {
		at += copy(y.Bytes()[at:], x.Bytes())
	}
	return y, nil
}

// subset is some samples of another Dataset.
type subset struct {
	of    Dataset
	index []int
}

// Subset returns the samples of d at index, in that order. Its methods Index and Of, as those of the parts that Split and
// KFold return, give index and d back.
func Subset(d Dataset, index []int) Dataset { return subset{d, index} }

func (s subset) Len() int { return len(s.index) }

// Index returns the numbers of the samples in the data set that s is a part of; the caller must not
// change it.
func (s subset) Index() []int { return s.index }

// Of returns the data set that s is a part of.
func (s subset) Of() Dataset { return s.of }

func (s subset) Batch(ctx context.Context, index []int) (map[string]*tensor.Tensor, error) {
	at := make([]int, len(index))
	for i, k := range index {
		if k < 0 || k >= len(s.index) {
			return nil, fmt.Errorf("train: there is no sample %d: the part has %d", k, len(s.index))
		}
		at[i] = s.index[k]
	}
	return s.of.Batch(ctx, at)
}

// mapped is a Dataset whose batches go through a function.
type mapped struct {
	Dataset
	f func(map[string]*tensor.Tensor) (map[string]*tensor.Tensor, error)
}

// Map returns d with f applied to every batch.
func Map(d Dataset, f func(batch map[string]*tensor.Tensor) (map[string]*tensor.Tensor, error)) Dataset {
	return mapped{d, f}
}

func (m mapped) Batch(ctx context.Context, index []int) (map[string]*tensor.Tensor, error) {
	b, err := m.Dataset.Batch(ctx, index)
	if err != nil {
		return nil, err
	}
	return m.f(b)
}

// Split divides d at random, by seed, into parts of the given shares, which are
// at most 1 together; the last part takes what rounding leaves if they are 1.
// With strata, one class for each sample, every part has each class in
// the same shares.
func Split(d Dataset, seed uint64, strata []int64, shares ...float64) ([]Dataset, error) {
	sum := 0.0
	for _, s := range shares {
		if !(s >= 0) {
			return nil, fmt.Errorf("train: a part of share %g", s)
		}
		sum += s
	}
	if sum > 1+1e-9 || len(shares) == 0 {
		return nil, fmt.Errorf("train: parts of shares %v, which are %g together, want at most 1", shares, sum)
	}
	groups, err := grouped(d.Len(), seed, strata)
	if err != nil {
		return nil, err
	}
	parts := make([][]int, len(shares))
	for _, g := range groups {
		from, upTo := 0, 0.0
		for i, s := range shares {
			upTo += s
			to := int(upTo*float64(len(g)) + 0.5)
			if i == len(shares)-1 && sum > 1-1e-9 {
				to = len(g)
			}
			parts[i] = append(parts[i], g[from:to]...)
			from = to
		}
	}
	out := make([]Dataset, len(parts))
	for i, p := range parts {
		slices.Sort(p)
		out[i] = Subset(d, p)
	}
	return out, nil
}

// KFold divides d at random, by seed, into k parts and returns for each the other
// parts, to train on, and itself, to validate on. strata is as for Split.
func KFold(d Dataset, seed uint64, strata []int64, k int) (training, validation []Dataset, err error) {
	fold, err := Folds(d.Len(), seed, strata, k)
	if err != nil {
		return nil, nil, err
	}
	in, out := make([][]int, k), make([][]int, k)
	for i, of := range fold {
		for f := range k {
			if f == of {
				out[f] = append(out[f], i)
			} else {
				in[f] = append(in[f], i)
			}
		}
	}
	for f := range k {
		training, validation = append(training, Subset(d, in[f])), append(validation, Subset(d, out[f]))
	}
	return training, validation, nil
}

// Folds divides n samples at random, by seed, into k parts whose sizes differ by at most 1, and returns each sample's
// part, from 0. strata is as for Split.
func Folds(n int, seed uint64, strata []int64, k int) ([]int, error) {
	if k < 2 || k > n {
		return nil, fmt.Errorf("train: %d folds of %d samples", k, n)
	}
	groups, err := grouped(n, seed, strata)
	if err != nil {
		return nil, err
	}
	fold, at := make([]int, n), 0
	for _, g := range groups {
		for _, i := range g {
			fold[i] = at % k
			at++
		}
	}
	return fold, nil
}

// grouped returns the numbers below n in random order, by class.
func grouped(n int, seed uint64, strata []int64) ([][]int, error) {
	if strata != nil && len(strata) != n {
		return nil, fmt.Errorf("train: %d classes for %d samples", len(strata), n)
	}
	order := rand.New(rand.NewPCG(seed, 0x5eed)).Perm(n)
	if strata == nil {
		return [][]int{order}, nil
	}
	by := map[int64][]int{}
	for _, i := range order {
		by[strata[i]] = append(by[strata[i]], i)
	}
	var out [][]int
	for _, c := range slices.Sorted(maps.Keys(by)) {
		out = append(out, by[c])
	}
	return out, nil
}
