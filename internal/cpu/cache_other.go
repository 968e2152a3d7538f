//go:build !amd64 || noasm

package cpu

// LastCache returns the size in bytes of the cache in front of memory, 0 if it is not known.
func LastCache() int { return 0 }
