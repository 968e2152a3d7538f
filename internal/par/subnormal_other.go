//go:build noasm || !amd64

package par

const flushes = false

const flushBits = 0

func control() uint32 { return 0 }

func setControl(uint32) {}
