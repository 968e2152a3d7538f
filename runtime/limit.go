package runtime

import (
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
)

// fallbackMemory is the memory of a machine that does not say what it has.
const fallbackMemory = 20 << 30

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
		total = fallbackMemory
	}
	return min(total, math.MaxInt) / 5 * 4 // pointers of 32 bits reach no further
})

// DefaultMemory returns the default of Options.MaxMemory, in bytes.
func DefaultMemory() int64 { return defaultMemory() }
