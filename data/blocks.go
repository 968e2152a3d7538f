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
		err   error
	}
	return func(yield func(T, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		workers := runtime.GOMAXPROCS(0)
		busy := make(chan struct{}, workers)
		queue := make(chan chan result, workers) // in order
		free := make(chan []string, 2*workers+1) // what blocks may be parsed into
		wg.Go(func() {
			defer close(queue)
			for parse, err := range blocksOf(ctx, t) {
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
					var r result
					select {
					case r.cells = <-free:
					default:
					}
					if r.cells, r.err = parse(r.cells[:0]); r.err == nil {
						r.out = work(r.cells)
					}
					c <- r
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
			select {
			case free <- r.cells:
			default:
			}
		}
		if err := ctx.Err(); err != nil {
			var none T
			yield(none, err)
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
