package train

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/tensor"
)

// Feed gives Fit its batches. Loader is one, of samples in any order, and Stream
// another, of samples that are only read one after the other.
type Feed interface {
	// Len returns the number of batches of an epoch.
	Len() int
	// Epoch yields the batches of an epoch from number from on, the same ones each time. An
	// error, ctx's among them, is the last thing that it yields.
	Epoch(ctx context.Context, epoch, from int) iter.Seq2[map[string]*tensor.Tensor, error]
}

// UnitHash returns a number in [0, 1) that follows from a seed and a sample's number, for divisions of a data.Source, whose
// samples cannot be counted beforehand, by data.Select: UnitHash(seed, i) < 0.2 are about a fifth of them, as if drawn at
// random, the same ones each time. It is SplitMix64 (Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014).
func UnitHash(seed uint64, sample int) float64 {
	mix := func(z uint64) uint64 {
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return z ^ z>>31
	}
	const golden = 0x9e3779b97f4a7c15
	return float64(mix(mix(seed+golden)+golden*(uint64(sample)+1))>>11) / (1 << 53)
}

// Stream is a Feed of data that may be larger than memory: it holds a batch of its
// source and a buffer of samples. Each sample that is read takes the place of one
// drawn from the buffer, which is next; so the order is random within about the
// buffer's size, and files sorted by class want one larger than a class. The position
// is a batch's number: to go on from there the source is read again up to it.
type Stream struct {
	source data.Source
	o      StreamOptions
	len    int
	count  int // samples
}

// StreamOptions say how a Stream reads.
type StreamOptions struct {
	BatchSize int    // 0: 32
	Buffer    int    // samples among which the next is drawn. 0: 8192; 1: none, the order of the source
	Seed      uint64 // of the order, with the epoch's number
	DropLast  bool   // leave out a last batch that is smaller
	// Augment, if not nil, changes each batch; index has its samples' numbers in the source. It should give
	// the same results for the same epoch and index, as for Loader.
	Augment func(ctx context.Context, batch map[string]*tensor.Tensor, epoch int, index []int) (map[string]*tensor.Tensor, error)
	// Prefetch is how many batches another goroutine makes ahead. 0: 2.
	Prefetch int
}

// NewStream reads src through once, to know how many samples it has.
func NewStream(ctx context.Context, src data.Source, o StreamOptions) (*Stream, error) {
	if o.BatchSize < 0 || o.Buffer < 0 || o.Prefetch < 0 {
		return nil, fmt.Errorf("train: StreamOptions.BatchSize is %d, Buffer %d and Prefetch %d, want at least 0", o.BatchSize, o.Buffer, o.Prefetch)
	}
	if o.Prefetch == 0 {
		o.Prefetch = 2
	}
	if o.BatchSize == 0 {
		o.BatchSize = 32
	}
	if o.Buffer == 0 {
		o.Buffer = 8192
	}
	s := &Stream{source: src, o: o}
	n := 0
	for _, err := range s.samples(ctx, &layout{}) {
		if err != nil {
			return nil, err
		}
		n++
	}
	s.count = n
	if s.len = n / o.BatchSize; !o.DropLast && n%o.BatchSize > 0 {
		s.len++
	}
	if s.len == 0 {
		return nil, fmt.Errorf("train: %d samples make no batch of %d", n, o.BatchSize)
	}
	return s, nil
}

// Len implements Feed.
func (s *Stream) Len() int { return s.len }

// Samples returns the number of samples in the source.
func (s *Stream) Samples() int { return s.count }

// sample is one sample of a stream.
type sample struct {
	number int      // in the source
	bytes  [][]byte // a slice for each name
}

// layout is what all samples of a stream have in common.
type layout struct {
	names []string
	like  map[string]*tensor.Tensor // of the first batch
}

// check reports that b has other tensors than the first batch.
func (l *layout) check(b data.Batch) error {
	if l.like == nil {
		l.like, l.names = b.Inputs, slices.Sorted(maps.Keys(b.Inputs))
		if len(l.names) == 0 {
			return fmt.Errorf("train: %s: there is no tensor in it", b.Name)
		}
	}
	if len(b.Inputs) != len(l.names) {
		return fmt.Errorf("train: %s: it has %d tensors, the first batch has %d", b.Name, len(b.Inputs), len(l.names))
	}
	n := -1
	for _, name := range l.names {
		x, first := b.Inputs[name], l.like[name]
		switch {
		case x == nil || x.Rank() == 0 || x.DType() == tensor.String || x.DType().IsPacked():
			return fmt.Errorf("train: %s: tensor %q is %v, want numbers with a first dimension of samples", b.Name, name, x)
		case x.DType() != first.DType() || !slices.Equal(x.Shape()[1:], first.Shape()[1:]):
			return fmt.Errorf("train: %s: tensor %q is %v, in the first batch it is %v", b.Name, name, x, first)
		case n >= 0 && x.Dim(0) != n:
			return fmt.Errorf("train: %s: tensor %q has %d samples, %q has %d", b.Name, name, x.Dim(0), l.names[0], n)
		}
		n = x.Dim(0)
	}
	return nil
}

// samples yields one sample after the other.
func (s *Stream) samples(ctx context.Context, l *layout) iter.Seq2[sample, error] {
	return func(yield func(sample, error) bool) {
		number := 0
		for b, err := range s.source.Batches(ctx) {
			if err == nil {
				err = ctx.Err()
			}
			if err == nil {
				err = l.check(b)
			}
			if err != nil {
				yield(sample{}, err)
				return
			}
			n := b.Inputs[l.names[0]].Dim(0)
			for i := range n {
				one := sample{number, make([][]byte, len(l.names))}
				for k, name := range l.names {
					bytes := b.Inputs[name].Bytes()
					size := len(bytes) / n
					one.bytes[k] = bytes[i*size : (i+1)*size]
				}
				if number++; !yield(one, nil) {
					return
				}
			}
		}
	}
}

// order yields the samples as an epoch has them.
func (s *Stream) order(ctx context.Context, epoch int, l *layout) iter.Seq2[sample, error] {
	return func(yield func(sample, error) bool) {
		r := rand.New(rand.NewPCG(s.o.Seed, uint64(epoch)))
		var buffer []sample
		for one, err := range s.samples(ctx, l) {
			if err != nil {
				yield(sample{}, err)
				return
			}
			if s.o.Buffer > 1 {
				// A sample that waits must not hold the batch that it came with.
				for i, b := range one.bytes {
					one.bytes[i] = slices.Clone(b)
				}
				if len(buffer) < s.o.Buffer {
					buffer = append(buffer, one)
					continue
				}
				i := r.IntN(len(buffer))
				buffer[i], one = one, buffer[i]
			}
			if !yield(one, nil) {
				return
			}
		}
		r.Shuffle(len(buffer), func(i, j int) { buffer[i], buffer[j] = buffer[j], buffer[i] })
		for _, one := range buffer {
			if !yield(one, nil) {
				return
			}
		}
	}
}

// Epoch implements Feed.
func (s *Stream) Epoch(ctx context.Context, epoch, from int) iter.Seq2[map[string]*tensor.Tensor, error] {
	return ahead(ctx, s.o.Prefetch, func(ctx context.Context) iter.Seq2[map[string]*tensor.Tensor, error] {
		return s.batches(ctx, epoch, from)
	})
}

// ahead yields what of yields, which another goroutine reads up to n items ahead.
func ahead[T any](ctx context.Context, n int, of func(ctx context.Context) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		type result struct {
			item T
			err  error
		}
		queue := make(chan result, n)
		inner, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		wg.Go(func() {
			defer close(queue)
			for item, err := range of(inner) {
				select {
				case queue <- result{item, err}:
				case <-inner.Done():
					return
				}
			}
		})
		for r := range queue {
			if err := ctx.Err(); err != nil {
				r = result{err: err}
			}
			if !yield(r.item, r.err) || r.err != nil {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			var none T
			yield(none, err)
		}
	}
}

// batches yields the batches of an epoch from number from on.
func (s *Stream) batches(ctx context.Context, epoch, from int) iter.Seq2[map[string]*tensor.Tensor, error] {
	return func(yield func(map[string]*tensor.Tensor, error) bool) {
		l := &layout{}
		var batch []sample
		done := 0
		flush := func() bool {
			skip := done < from
			if done++; skip {
				batch = batch[:0]
				return true
			}
			out := map[string]*tensor.Tensor{}
			for k, name := range l.names {
				shape := slices.Clone(l.like[name].Shape())
				shape[0] = len(batch)
				x := tensor.New(l.like[name].DType(), shape...)
				at := 0
				for _, one := range batch {
					at += copy(x.Bytes()[at:], one.bytes[k])
				}
				out[name] = x
			}
			var err error
			if s.o.Augment != nil {
				index := make([]int, len(batch))
				for i, one := range batch {
					index[i] = one.number
				}
				out, err = s.o.Augment(ctx, out, epoch, index)
			}
			batch = batch[:0]
			return yield(out, err) && err == nil
		}
		for one, err := range s.order(ctx, epoch, l) {
			if err != nil {
				yield(nil, err)
				return
			}
			if batch = append(batch, one); len(batch) == s.o.BatchSize && !flush() {
				return
			}
		}
		if len(batch) > 0 && !s.o.DropLast {
			if !flush() {
				return
			}
		}
		if done < s.len {
			yield(nil, fmt.Errorf("train: the source gave %d batches, it had %d at first", done, s.len))
		}
	}
}
