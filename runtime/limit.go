package runtime

import (
	"os"
	"strconv"
	"strings"
	"sync"
)

// fallbackMemory is the limit where the machine does not say what it has.
const fallbackMemory = 16 << 30

// defaultMemory is 80% of what this process may use: the machine's memory or,
// on Linux, its control group's if that is less.
var defaultMemory = sync.OnceValue(func() int64 {
	total := machineMemory()
	if b, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && (total == 0 || n < total) {
			total = n
		}
	}
	if total <= 0 {
		return fallbackMemory
	}
	return total / 5 * 4
})

// DefaultMemory returns the default of Options.MaxMemory, in bytes.
func DefaultMemory() int64 { return defaultMemory() }
