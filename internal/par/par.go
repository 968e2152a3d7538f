// Package par owns the goroutines of the module: one worker pool per process,
// on which kernels run their loops.
package par

import "context"

// P is what a kernel needs to run a loop in parallel: who may stop it and how
// many threads it may use. The zero P runs on the caller alone.
type P struct {
	Ctx     context.Context // nil: cannot be cancelled
	Threads int             // the caller included; below 2: the caller alone
}

// For calls f for chunks [lo, hi) that together cover [0, n). Chunks have at
// least grain elements (but the last); their bounds depend on n and grain
// alone, never on Threads, so that a result built per chunk is the same at any
// number of threads. Calls of f may run at once. Once p.Ctx is done no further
// chunk starts: the caller must treat its result as void when Ctx.Err() is set.
// A panic in f is raised again in the caller.
func (p P) For(n, grain int, f func(lo, hi int)) {
	if n <= 0 {
		return
	}
	grain = max(grain, 1)
	for lo := 0; lo < n; lo += grain {
		if p.Ctx != nil && p.Ctx.Err() != nil {
			return
		}
		f(lo, min(lo+grain, n))
	}
}
