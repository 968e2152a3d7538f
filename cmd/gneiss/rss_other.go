//go:build !unix

package main

import goruntime "runtime"

// peakRSS returns what the Go runtime took from the system, in bytes: the
// nearest figure that is the same on every system.
func peakRSS() int64 {
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	return int64(m.Sys)
}
