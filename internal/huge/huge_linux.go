package huge

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gneiss-run/gneiss/internal/knob"
)

const page = 2 << 20

var use = knob.Bool("GNEISS_HUGE_PAGES", true, "ask the system for large pages for the memory of runs")

var wanted = sync.OnceValue(use.Bool)

// Advise asks for large pages for the n bytes at p, which should not have been
// written yet. Where the system has none, nothing happens.
func Advise(p unsafe.Pointer, n int) {
	if n < Least || !wanted() {
		return
	}
	head := int(-uintptr(p) & (page - 1))
	if n -= head; n < page {
		return
	}
	_ = unix.Madvise(unsafe.Slice((*byte)(unsafe.Add(p, head)), n&^(page-1)), unix.MADV_HUGEPAGE)
}
