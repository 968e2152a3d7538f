package cpu

import "golang.org/x/sys/cpu"

func detect() Features { return Features{NEON: true, DotProd: cpu.ARM64.HasASIMDDP} }
