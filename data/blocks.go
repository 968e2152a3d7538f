package data

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"sync"
)

// blockSize is about how many bytes of a table are parsed as one piece.
const blockSize = 256 << 10

// blocked is a Table whose rows are parsed by pieces, in parallel.
type blocked interface {
	// blocks yields functions that return the cells of consecutive rows, one row after the other,
	// in buf if it is large enough. They may be called by any goroutine, each once.
	blocks(ctx context.Context) iter.Seq2[parseBlock, error]
}

type parseBlock func(buf []string) ([]string, error)

// MapRows yields what work makes of the rows of t, block by block, in their order. work gets the
// cells of one or more rows, len(t.Columns()) of each, may change them, and is called by several
// goroutines at once. The cells are valid until the block behind theirs is asked for; what is kept of a cell's
// text should be a copy (strings.Clone): it may be part of the text of all its block. An error, of reading or ctx's, is the last thing that is
// yielded. Memory is bounded by a few blocks of some 256 KiB of text.
func MapRows[T any](ctx context.Context, t Table, work func(cells []string) T) iter.Seq2[T, error] {
	type result struct {
		out   T
		cells []string
		err   error // behind the cells
	}
	free := make(chan []string, 2*runtime.GOMAXPROCS(0)+1) // what blocks may be parsed into
	return func(yield func(T, error) bool) {
		parsed := inOrder(ctx, blocksOf(ctx, t), func(parse parseBlock) (r result) {
			select {
			case r.cells = <-free:
			default:
			}
			if r.cells, r.err = parse(r.cells[:0]); r.err == nil || len(r.cells) > 0 {
				r.out = work(r.cells)
			}
			return r
		})
		var none T
		for r, err := range parsed {
			if err == nil && (r.err == nil || len(r.cells) > 0) && !yield(r.out, nil) {
				return
			}
			if err == nil {
				err = r.err
			}
			if err != nil {
				yield(none, err)
				return
			}
			select {
			case free <- r.cells:
			default:
			}
		}
	}
}

// inOrder yields what work makes of all that in yields, in that order. work is called by several goroutines at once. An
// error, of in or ctx's, is the last thing that is yielded. A few more than GOMAXPROCS of in are taken ahead.
func inOrder[In, Out any](ctx context.Context, in iter.Seq2[In, error], work func(In) Out) iter.Seq2[Out, error] {
	type result struct {
		out Out
		err error
	}
	return func(yield func(Out, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		workers := runtime.GOMAXPROCS(0)
		busy := make(chan struct{}, workers)
		queue := make(chan chan result, workers)
		wg.Go(func() {
			defer close(queue)
			for x, err := range in {
				c := make(chan result, 1)
				select {
				case queue <- c:
				case <-ctx.Done():
					return
				}
				if err != nil {
					c <- result{err: err}
					return
				}
				busy <- struct{}{}
				wg.Go(func() {
					defer func() { <-busy }()
					c <- result{out: work(x)}
				})
			}
		})
		for c := range queue {
			r := <-c
			if err := ctx.Err(); err != nil {
				r = result{err: err}
			}
			if !yield(r.out, r.err) || r.err != nil {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(result{}.out, err)
		}
	}
}

// blocksOf returns the blocks of any table.
func blocksOf(ctx context.Context, t Table) iter.Seq2[parseBlock, error] {
	if b, ok := t.(blocked); ok {
		return b.blocks(ctx)
	}
	width := len(t.Columns())
	return func(yield func(parseBlock, error) bool) {
		var cells []string
		size := 0
		flush := func() bool {
			block := cells
			cells, size = make([]string, 0, len(block)), 0
			return yield(func([]string) ([]string, error) { return block, nil }, nil)
		}
		for row, err := range t.Rows(ctx) {
			if err == nil && len(row) != width {
				err = fmt.Errorf("a row has %d cells, there are %d columns", len(row), width)
			}
			if err != nil {
				if len(cells) == 0 || flush() {
					yield(nil, err)
				}
				return
			}
			cells = append(cells, row...)
			for _, c := range row {
				size += len(c) + 8
			}
			if size >= blockSize && !flush() {
				return
			}
		}
		if len(cells) > 0 {
			flush()
		}
	}
}

// rowsByBlock yields the rows of t by way of its blocks.
func rowsByBlock(ctx context.Context, t Table) iter.Seq2[[]string, error] {
	width := len(t.Columns())
	return func(yield func([]string, error) bool) {
		for cells, err := range MapRows(ctx, t, func(cells []string) []string { return cells }) {
			if err != nil {
				yield(nil, err)
				return
			}
			for at := 0; at < len(cells); at += width {
				if !yield(cells[at:at+width:at+width], nil) {
					return
				}
			}
		}
	}
}
