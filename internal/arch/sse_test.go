package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNoSSEAmongAVX: an instruction of SSE while the upper halves of vectors are in use takes a quarter of a
// microsecond on some of Intel's processors, and so does Go's code after a function that leaves them so.
func TestNoSSEAmongAVX(t *testing.T) {
	files, err := filepath.Glob("../kernels/*/*_amd64.s")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	upper, low := regexp.MustCompile(`\b[YZ]\d+\b`), regexp.MustCompile(`\bX\d+\b`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		name, dirty := "", false
		for _, line := range strings.Split(string(text), "\n") {
			if rest, ok := strings.CutPrefix(line, "TEXT "); ok {
				name, dirty = strings.Split(rest, "(")[0], false
				continue
			}
			for _, in := range strings.Split(line, ";") {
				in = strings.TrimSpace(in)
				switch {
				case in == "VZEROUPPER":
					dirty = false
				case upper.MatchString(in):
					dirty = true
				case dirty && in == "RET", dirty && low.MatchString(in) && !strings.HasPrefix(in, "V"):
					t.Errorf("%s: %s: %s before VZEROUPPER", file, name, in)
				}
			}
		}
	}
}
