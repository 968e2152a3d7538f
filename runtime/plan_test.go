package runtime

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPlansNeverOverlap: two allocations that live at the same time never
// share memory, whatever the recording.
func TestPlansNeverOverlap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		results := 0
		rec := &recording{}
		sum := 0
		for at := range 1 + r.IntN(60) {
			for range r.IntN(3) {
				a := allocation{at: at, result: results, size: r.IntN(5000), death: at + r.IntN(20)}
				if r.IntN(8) == 0 {
					a.death = -1
				}
				sum += a.size
				results++
				rec.allocs = append(rec.allocs, a)
			}
		}
		p := makePlan(rec, results)
		for i, a := range p.allocs {
			require.LessOrEqual(t, a.offset+a.size, p.size)
			for j, b := range p.allocs[:i] {
				space := a.offset < b.offset+b.size && b.offset < a.offset+a.size
				life := a.at <= b.death && b.at <= a.death
				require.False(t, space && life, "%+v and %+v (%d)", a, b, j)
				if space && b.at < a.at {
					require.Contains(t, a.before, j)
				}
			}
		}
		require.LessOrEqual(t, p.size, sum+64*len(p.allocs))
	}
}

func TestSizeClass(t *testing.T) {
	for n := 1; n < 1<<20; n += 1 + n/50 {
		c := sizeClass(n)
		require.GreaterOrEqual(t, c, n)
		require.LessOrEqual(t, c, max(n+n/8+1, (n+63)&^63))
		require.Equal(t, c, sizeClass(c))
	}
}
