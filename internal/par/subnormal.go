package par

import (
	"runtime"
	"sync/atomic"
)

// FlushSubnormals makes subnormal numbers count as zero, as operands and as
// results, in all arithmetic of the calling goroutine until Restore. Processors
// take a hundred cycles and more for an instruction that meets one of them.
//
// The mode is the thread's, so the goroutine stays on its thread meanwhile: the
// runtime starts no thread from one that is locked, which would inherit the mode,
// and runs no other goroutine on it. Calls may nest. On processors without such a
// mode, or that need none, nothing happens; nor does it where so many goroutines
// flush already that the process would have too many threads.
func FlushSubnormals() FlushMode {
	if !flushes {
		return 0
	}
	if flushing.Add(1) > mostFlushing {
		flushing.Add(-1)
		return 0
	}
	runtime.LockOSThread()
	m := control()
	if m&flushBits != flushBits {
		setControl(m | flushBits)
	}
	return FlushMode(m)
}

// mostFlushing bounds the threads that wait for a processor together with their goroutines:
// Go ends a program that has 10,000.
const mostFlushing = 256

var flushing atomic.Int32

// FlushMode is how a thread was before FlushSubnormals; 0: nothing was changed.
type FlushMode uint32

// Restore undoes FlushSubnormals. It must be called on the same goroutine.
func (m FlushMode) Restore() {
	if m == 0 {
		return
	}
	setControl(uint32(m))
	runtime.UnlockOSThread()
	flushing.Add(-1)
}
