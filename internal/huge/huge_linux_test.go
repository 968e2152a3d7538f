package huge

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// flags returns the flags of the mapping that p is in.
func flags(t *testing.T, p unsafe.Pointer) []string {
	f, err := os.Open("/proc/self/smaps")
	require.NoError(t, err)
	defer f.Close()
	in := false
	for s := bufio.NewScanner(f); s.Scan(); {
		var lo, hi uintptr
		if n, _ := fmt.Sscanf(s.Text(), "%x-%x ", &lo, &hi); n == 2 {
			in = lo <= uintptr(p) && uintptr(p) < hi
		}
		if rest, ok := strings.CutPrefix(s.Text(), "VmFlags:"); ok && in {
			return strings.Fields(rest)
		}
	}
	t.Fatal("no such mapping")
	return nil
}

// given reports whether the system takes such advice, which emulators and some containers do not.
func given(t *testing.T) bool {
	b, err := unix.Mmap(-1, 0, 3*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Munmap(b)) }()
	return unix.Madvise(b, unix.MADV_HUGEPAGE) == nil && slices.Contains(flags(t, unsafe.Pointer(&b[0])), "hg")
}

func TestAdvise(t *testing.T) {
	b := make([]byte, 4*Least+5)[5:]
	Advise(unsafe.Pointer(&b[0]), len(b))
	require.Equal(t, len(b), bytes.Count(b, []byte{0}))
	b[0], b[len(b)-1] = 1, 1
	if given(t) {
		require.True(t, slices.Contains(flags(t, unsafe.Pointer(&b[len(b)/2])), "hg"))
	}
	small := make([]byte, Least-1)
	Advise(unsafe.Pointer(&small[0]), len(small))
	Advise(nil, 0)
}
