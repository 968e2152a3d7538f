//go:build !noasm

package cpu

import (
	"syscall"

	"golang.org/x/sys/cpu"
)

// xcr0 returns the low half of the register that says which states the
// operating system keeps.
func xcr0() uint32

// allowTiles reports whether this process may use tiles. Linux lets a process use
// them only after it has asked to, once for all its threads, those that there are
// and those to come: then each gets a place for 8 KiB of tiles when it first uses
// them. A process with a thread whose signal stack is too small for tiles is
// refused; Go's own have 32 KiB, which is enough.
//
// See https://docs.kernel.org/arch/x86/xstate.html.
func allowTiles() bool {
	const (
		tileConfig, tileData = 17, 18 // bits of XCR0
		both                 = 1<<tileConfig | 1<<tileData

		archReqXCompPerm = 0x1023
	)
	if !cpu.X86.HasOSXSAVE || xcr0()&both != both {
		return false
	}
	_, _, e := syscall.RawSyscall(syscall.SYS_ARCH_PRCTL, archReqXCompPerm, tileData, 0)
	return e == 0
}
