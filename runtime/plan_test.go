package runtime

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/tensor"
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
			}
		}
		require.LessOrEqual(t, p.size, sum+64*len(p.allocs))
	}
}

// TestPlacesAreFree: whatever a run does otherwise than the one that was recorded, two results that live at
// the same time never share memory, and a place is refused only where something lives.
func TestPlacesAreFree(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		rec, results := &recording{}, 0
		for at := range 1 + r.IntN(60) {
			for range r.IntN(4) {
				a := allocation{at: at, result: results, size: 1 + r.IntN(9000), death: at + r.IntN(20)}
				if results++; r.IntN(6) == 0 {
					a.result = -1
					a.death = at
				}
				rec.allocs = append(rec.allocs, a)
			}
		}
		p := makePlan(rec, results)
		a := arena{plan: p, slab: p.slab(), out: new(atomic.Int64)}
		var live []*buffer
		free := func(b []byte) bool {
			return !slices.ContainsFunc(live, func(l *buffer) bool { return overlap(l.data, b) })
		}
		for _, x := range rec.allocs {
			if x.result < 0 {
				place := a.scratchPlace(x.at)
				require.True(t, free(place))
				continue
			}
			want := x.size + r.IntN(2)
			if b := a.place(x.result, want); b != nil {
				require.GreaterOrEqual(t, len(b.data), want)
				require.True(t, free(b.data))
				b.refs = 1
				live = append(live, b)
			} else if o := p.allocs[p.index[x.result]].offset; want == x.size {
				require.False(t, free(a.slab.data[o:o+x.size]))
			}
			for k := len(live) - 1; k >= 0; k-- { // in another order than in the recording
				if r.IntN(6) == 0 {
					live[k].refs = 0
					a.release(live[k], x.at)
					live = slices.Delete(live, k, k+1)
				}
			}
		}
		for _, b := range live {
			a.release(b, 0)
		}
		require.False(t, a.slab.used.any(0, 64*len(a.slab.used)))
	}
}

// TestUnits compares sets with lists of bools.
func TestUnits(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 100 {
		n := 1 + r.IntN(400)
		u, want := newUnits(n), make([]bool, n)
		for range 200 {
			from := r.IntN(n)
			to := from + 1 + r.IntN(n-from)
			require.Equal(t, slices.Contains(want[from:to], true), u.any(from, to), "%d to %d", from, to)
			in := r.IntN(2) == 0
			if in {
				u.set(from, to)
			} else {
				u.unset(from, to)
			}
			for i := from; i < to; i++ {
				want[i] = in
			}
		}
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

// TestLooseBuffers: a free buffer serves tensors down to a quarter of its size, which do not
// keep it when they leave; small tensors do not take it, nor does any where memory is short.
func TestLooseBuffers(t *testing.T) {
	var out atomic.Int64
	for _, c := range []struct {
		size  int
		limit int64
		same  bool
	}{{100 << 10, 1 << 30, true}, {64 << 10, 1 << 30, true}, {60 << 10, 1 << 30, false}, {10 << 10, 1 << 30, false}, {100 << 10, 400 << 10, false}} {
		a := arena{limit: c.limit, out: &out, reuse: &recycler{}}
		big, err := a.take(256 << 10)
		require.NoError(t, err)
		a.release(big, 0)
		b, err := a.take(c.size)
		require.NoError(t, err)
		require.Equal(t, c.same, b == big, c)
		if c.same {
			x, err := tensor.FromBytes(tensor.Uint8, []int{c.size}, b.data[:c.size], b)
			require.NoError(t, err)
			require.Equal(t, c.size < 128<<10, !overlap(a.detach(x).(*tensor.Tensor).Bytes(), b.data), c)
		}
	}
}
