// Package cpu says which instruction sets kernels may use: what the processor
// has and the operating system keeps across context switches, capped by the
// knob GNEISS_ISA.
package cpu

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/gneiss-run/gneiss/internal/knob"
)

// The levels of instruction sets, as GNEISS_ISA spells them.
const (
	Generic = "generic"    // Go only
	AVX2    = "avx2"       // amd64: AVX2 and FMA
	AVX512  = "avx512"     // amd64: AVX-512 F, BW, CD, DQ and VL, and BMI2
	VNNI    = "avx512vnni" // amd64: AVX512 and its dot products of bytes
	AMX     = "amx"        // amd64: VNNI and the tiles of AMX, with products of bytes; on Linux
	NEON    = "neon"       // arm64: the baseline vector set
	DotProd = "dotprod"    // arm64: NEON and the dot products of bytes
)

var isa = knob.Choice("GNEISS_ISA", "", "highest instruction set that kernels use; empty: the best of this machine",
	Generic, AVX2, AVX512, VNNI, AMX, NEON, DotProd)

// Features are what detection found, whatever the cap.
type Features struct {
	AVX2, AVX512, AVX512VNNI, AVX512BF16, AVX512VBMI, AVXVNNI bool // amd64, with the vector state kept by the OS
	AMX, AMXBF16                                              bool // amd64, unless GNEISS_ISA names a lower level
	NEON, DotProd                                             bool // arm64
}

// Found is what this machine has. It is set before any other package's init runs.
var Found = detect()

// found lists the levels of this machine, slowest first.
var found = func() []string {
	l := []string{Generic}
	for _, e := range []struct {
		name string
		has  bool
	}{{AVX2, Found.AVX2}, {AVX512, Found.AVX2 && Found.AVX512},
		{VNNI, Found.AVX2 && Found.AVX512 && Found.AVX512VNNI}, {AMX, Found.AMX}, {NEON, Found.NEON}, {DotProd, Found.NEON && Found.DotProd}} {
		if e.has {
			l = append(l, e.name)
		}
	}
	return l
}()

// limit is the number of entries of found that may be used.
var limit atomic.Int32

func init() { limit.Store(int32(limitOf(isa.Get()))) }

// limitOf maps a cap to a number of levels. A cap that this machine lacks (avx512
// on a machine with avx2 alone, neon on amd64) is no cap.
func limitOf(name string) int {
	if i := slices.Index(found, name); i >= 0 {
		return i + 1
	}
	return len(found)
}

// Levels returns the levels that may be used, slowest first. The first is Generic.
func Levels() []string { return found[:limit.Load()] }

// Has reports whether the level may be used.
func Has(level string) bool { return slices.Contains(Levels(), level) }

// Force caps the levels at name until restore is called. It is for tests, which
// run every kernel at every level; it is an error if this machine lacks the level.
func Force(name string) (restore func(), err error) {
	i := slices.Index(found, name)
	if i < 0 {
		return nil, fmt.Errorf("this machine has %v, not %q", found, name)
	}
	old := limit.Swap(int32(i + 1))
	return func() { limit.Store(old) }, nil
}

var lost atomic.Pointer[error]

// Lose takes a level and those above it out of use, for the rest of the process,
// because of why: its first use did not compute what it should.
func Lose(level string, why error) {
	i := slices.Index(found, level)
	for old := limit.Load(); i > 0 && int(old) > i; old = limit.Load() {
		if limit.CompareAndSwap(old, int32(i)) {
			break
		}
	}
	lost.CompareAndSwap(nil, &why)
}

// Lost returns why a level was taken out of use; nil if none was.
func Lost() error {
	if e := lost.Load(); e != nil {
		return *e
	}
	return nil
}

// Level returns the name of the highest level in use.
func Level() string {
	l := Levels()
	return l[len(l)-1]
}
