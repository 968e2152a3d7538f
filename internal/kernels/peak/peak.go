// Package peak measures what this machine can do at most: multiply-adds of
// registers, and reading of memory. Profiles and benchmarks are set against it.
package peak

import (
	"runtime"
	"sync"
	"time"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// Machine is what was measured, over all threads together. A machine that does
// other things meanwhile, or that runs at another clock later, gives other figures.
type Machine struct {
	Threads int     `json:"threads"`
	Float32 float64 `json:"float32_flops"` // per second, a multiply-add counts as two
	Int8    float64 `json:"int8_ops"`      // per second, exact products of bytes, a multiply-add counts as two
	Read    float64 `json:"read_bytes"`    // per second, from memory that no cache holds
}

// table has the loops of one instruction set.
type table struct {
	name string
	// sums runs n steps over vectors x and y and stores the total of the sums;
	// a step has products multiply-adds.
	float, bytes       func(n int, x, y, out unsafe.Pointer)
	floatOps, bytesOps int
	// read stores the sum of n*block bytes as words of 64 bits.
	read  func(n int, src, out unsafe.Pointer)
	block int
}

const chains = 12 // sums beside each other

func best() *table {
	t := tables()
	return t[len(t)-1]
}

// tables returns the tables of the levels in use, the generic one first.
func tables() []*table {
	l := []*table{generic}
	for _, t := range archTables() {
		if cpu.Has(t.name) {
			l = append(l, t)
		}
	}
	return l
}

// Measure takes about a quarter of a second and, for a moment, 256 MiB.
func Measure(threads int) Machine {
	t := best()
	return Machine{
		Threads: threads,
		Float32: 2 * rate(threads, float64(t.floatOps), t.float),
		Int8:    2 * rate(threads, float64(t.bytesOps), t.bytes),
		Read:    t.bandwidth(threads),
	}
}

// rounds is how often a measurement is repeated: the best counts.
const rounds = 7

// steps keeps one call short: the scheduler cannot interrupt it.
const steps = 2000

// rate returns the products per second of all threads.
func rate(threads int, products float64, f func(n int, x, y, out unsafe.Pointer)) float64 {
	const calls = 300
	return products * steps * calls * float64(threads) / fastest(threads, func(int) {
		var x, y, out [64]byte
		for range calls {
			f(steps, unsafe.Pointer(&x), unsafe.Pointer(&y), unsafe.Pointer(&out))
		}
	})
}

func (t *table) bandwidth(threads int) float64 {
	buf := make([]byte, 256<<20)
	for i := 0; i < len(buf); i += 4096 {
		buf[i] = 1 // or all pages are one page of zeros
	}
	const piece = 64 << 10
	part := len(buf) / threads / piece * piece
	s := fastest(threads, func(i int) {
		var out [64]byte
		for at := i * part; at < (i+1)*part; at += piece {
			t.read(piece/t.block, unsafe.Pointer(&buf[at]), unsafe.Pointer(&out))
		}
	})
	return float64(part*threads) / s
}

// fastest returns the seconds of the fastest of several rounds, in each of
// which every thread calls f with its number.
func fastest(threads int, f func(i int)) float64 {
	best := time.Duration(1<<63 - 1)
	for range rounds {
		var ready, done sync.WaitGroup
		start := make(chan struct{})
		ready.Add(threads)
		for i := range threads {
			done.Go(func() {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				ready.Done()
				<-start
				f(i)
			})
		}
		ready.Wait()
		t := time.Now()
		close(start)
		done.Wait()
		best = min(best, time.Since(t))
	}
	return best.Seconds()
}
