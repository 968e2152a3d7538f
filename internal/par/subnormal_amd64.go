//go:build !noasm

package par

const flushes = true

// flushBits are FZ and DAZ of MXCSR (Intel SDM, volume 1, 10.2.3).
const flushBits = 1<<15 | 1<<6

// control returns MXCSR.
func control() uint32

// setControl sets MXCSR.
func setControl(v uint32)
