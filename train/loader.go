package train

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sort"
	"sync"

	"github.com/gneiss-run/gneiss/tensor"
)

// Loader cuts a Dataset into batches. The zero values of all fields but Dataset
// are right for validation.
type Loader struct {
	Dataset   Dataset
	BatchSize int  // 0: 32
	Shuffle   bool // a new order in each epoch, by Seed and the epoch's number
	Seed      uint64
	DropLast  bool // leave out a last batch that is smaller
	// Weights has samples drawn with replacement, with probabilities in these
	// proportions; one for each sample.
	Weights []float64
	// Lengths has batches made of samples of similar length, which padding then
	// costs little; one for each sample. Batches keep a random order.
	Lengths []int
	// Augment, if not nil, changes each batch; index has its samples' numbers in Dataset. It is
	// called by several goroutines at once, and should give the same results for the same
	// epoch and index, as augment.Pipeline does: else training cannot be resumed exactly.
	Augment func(ctx context.Context, batch map[string]*tensor.Tensor, epoch int, index []int) (map[string]*tensor.Tensor, error)
	// Prefetch is how many batches are made ahead by as many goroutines. 0: 2.
	Prefetch int
}

func (l *Loader) size() int {
	if l.BatchSize == 0 {
		return 32
	}
	return l.BatchSize
}

// Len returns the number of batches of an epoch.
func (l *Loader) Len() int {
	n := l.Dataset.Len()
	if l.DropLast {
		return n / l.size()
	}
	return (n + l.size() - 1) / l.size()
}

func (l *Loader) check() error {
	switch {
	case l.Dataset == nil:
		return fmt.Errorf("train: Loader.Dataset is nil")
	case l.BatchSize < 0 || l.Prefetch < 0:
		return fmt.Errorf("train: Loader.BatchSize is %d and Prefetch %d, want at least 0", l.BatchSize, l.Prefetch)
	case l.Weights != nil && len(l.Weights) != l.Dataset.Len():
		return fmt.Errorf("train: %d weights for %d samples", len(l.Weights), l.Dataset.Len())
	case l.Lengths != nil && len(l.Lengths) != l.Dataset.Len():
		return fmt.Errorf("train: %d lengths for %d samples", len(l.Lengths), l.Dataset.Len())
	case l.Len() == 0:
		return fmt.Errorf("train: %d samples make no batch of %d", l.Dataset.Len(), l.size())
	}
	return nil
}

// order returns the samples of every batch of an epoch.
func (l *Loader) order(epoch int) ([][]int, error) {
	n := l.Dataset.Len()
	r := rand.New(rand.NewPCG(l.Seed, uint64(epoch)))
	index := make([]int, n)
	switch {
	case l.Weights != nil:
		sums := make([]float64, n)
		total := 0.0
		for i, w := range l.Weights {
			if !(w >= 0) {
				return nil, fmt.Errorf("train: sample %d has weight %g, want at least 0", i, w)
			}
			total += w
			sums[i] = total
		}
		if !(total > 0) {
			return nil, fmt.Errorf("train: all weights are 0")
		}
		for i := range index {
			x := r.Float64() * total
			index[i] = min(sort.Search(n, func(k int) bool { return sums[k] > x }), n-1)
		}
	case l.Shuffle:
		index = r.Perm(n)
	default:
		for i := range index {
			index[i] = i
		}
	}
	if l.Lengths != nil {
		// Only pools of many batches are sorted, so that the order stays random.
		for pool := range slices.Chunk(index, 64*l.size()) {
			slices.SortStableFunc(pool, func(a, b int) int { return l.Lengths[a] - l.Lengths[b] })
		}
	}
	var out [][]int
	for b := range slices.Chunk(index, l.size()) {
		if len(b) == l.size() || !l.DropLast {
			out = append(out, b)
		}
	}
	if l.Lengths != nil && l.Shuffle {
		r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	}
	return out, nil
}

// Epoch yields the batches of an epoch from number from on. The same epoch gives
// the same batches each time. An error, ctx's among them, is the last thing
// that it yields.
func (l *Loader) Epoch(ctx context.Context, epoch, from int) iter.Seq2[map[string]*tensor.Tensor, error] {
	return func(yield func(map[string]*tensor.Tensor, error) bool) {
		if err := l.check(); err != nil {
			yield(nil, err)
			return
		}
		order, err := l.order(epoch)
		if err != nil {
			yield(nil, err)
			return
		}
		order = order[min(from, len(order)):]
		ctx, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		type result struct {
			batch map[string]*tensor.Tensor
			err   error
		}
		ahead := l.Prefetch
		if ahead == 0 {
			ahead = 2
		}
		queue := make(chan chan result, ahead)
		wg.Go(func() { // hands out batches in order; at most ahead are made and waiting
			defer close(queue)
			for _, index := range order {
				c := make(chan result, 1)
				select {
				case queue <- c:
				case <-ctx.Done():
					return
				}
				wg.Go(func() {
					b, err := l.Dataset.Batch(ctx, index)
					if err == nil && l.Augment != nil {
						b, err = l.Augment(ctx, b, epoch, index)
					}
					c <- result{b, err}
				})
			}
		})
		for c := range queue {
			r := <-c
			if err := ctx.Err(); err != nil {
				r = result{nil, err}
			}
			if !yield(r.batch, r.err) || r.err != nil {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(nil, err)
		}
	}
}
