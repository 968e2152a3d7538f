//go:build !noasm

package par

// pause tells the processor that the thread polls.
func pause()
