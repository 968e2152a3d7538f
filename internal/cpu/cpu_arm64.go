package cpu

import (
	"runtime"

	"golang.org/x/sys/cpu"
)

// detect relies on x/sys/cpu for dot products: all processors of Apple have them,
// and where the operating system does not say they are taken to be missing.
func detect() Features {
	return Features{NEON: true, DotProd: cpu.ARM64.HasASIMDDP || runtime.GOOS == "darwin"}
}
