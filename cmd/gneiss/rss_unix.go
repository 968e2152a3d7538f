//go:build unix

package main

import (
	"bytes"
	"os"
	goruntime "runtime"
	"strconv"
	"syscall"
)

// peakRSS returns the largest resident set of this process so far, in bytes.
func peakRSS() int64 {
	if n := highWater(); n > 0 {
		return n
	}
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	if goruntime.GOOS == "darwin" || goruntime.GOOS == "ios" {
		return int64(u.Maxrss)
	}
	return int64(u.Maxrss) * 1024
}

// highWater is the figure as Linux has it of this program alone: getrusage there
// also counts what the process that started this one held at that moment. 0: unknown.
func highWater() int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		if f := bytes.Fields(line); len(f) == 3 && string(f[0]) == "VmHWM:" && string(f[2]) == "kB" {
			n, err := strconv.ParseInt(string(f[1]), 10, 64)
			if err == nil {
				return n * 1024
			}
		}
	}
	return 0
}
