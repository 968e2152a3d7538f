package conformance

import (
	"context"
	"sync"
)

// Report is the outcome of many cases.
type Report struct {
	ISA         string   `json:"isa"`
	Level       string   `json:"level"`
	Cases       []Result `json:"cases"`
	Pass        int      `json:"pass"`
	Fail        int      `json:"fail"`
	Unsupported int      `json:"unsupported"`
	Error       int      `json:"error"`
	Total       int      `json:"total"`
}

// RunAll runs cases, workers at a time, and calls progress (if not nil) after
// each, one call at a time. The report lists them in order.
func RunAll(ctx context.Context, cases []Case, workers int, o Options, progress func(Result)) (*Report, error) {
	results := make([]Result, len(cases))
	next := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range max(1, workers) {
		wg.Go(func() {
			for i := range next {
				r := cases[i].Run(ctx, o)
				mu.Lock()
				results[i] = r
				if progress != nil {
					progress(r)
				}
				mu.Unlock()
			}
		})
	}
	for i := range cases {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rep := &Report{Level: o.Runtime.Level.String(), Cases: results, Total: len(results)}
	for _, r := range results {
		switch r.Status {
		case Pass:
			rep.Pass++
		case Fail:
			rep.Fail++
		case Unsupported:
			rep.Unsupported++
		default:
			rep.Error++
		}
	}
	return rep, nil
}
