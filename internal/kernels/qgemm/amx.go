package qgemm

import (
	"sync"
	"unsafe"
)

// The routines of the level amx take blocks of 32 rows; several share a call.
const (
	blockRows  = 32
	blockBytes = blockRows * Width * 4 // of sums

	// lineK is how many k rows and columns are taken at a time, so that a panel
	// stays in the first-level cache while rows come from the second: half of
	// its 48 KiB.
	lineK = 640
	// wholeK is the number of k that are taken at once.
	wholeK = 704

	manyBlocks = 32             // blocks of a call: below 50 µs
	partBlocks = 4              // blocks whose sums are kept from one part of the k to the next
	leastRows  = 4              // below, other routines do as well
	slack      = 15 * 4 * Width // bytes of a panel that tiles see beyond the end of a run
)

// tileArgs says what a routine for tiles does: for each of some blocks of rows,
//
//	sums = from + Σ over segments of rows times panel
//
// and then, unless it keeps sums, what Finish says. Strides and steps are in
// bytes. A routine counts blocks down.
type tileArgs struct {
	a          unsafe.Pointer
	lda        int
	a1         int            // from the first tile of rows to the second
	b          unsafe.Pointer // of the panel
	steps      int            // of 64 k in a segment
	tail       int            // groups of 4 k after these
	tailMask   uint64         // a bit for each
	segments   int
	step       int // from the end of a segment to the next
	from       unsafe.Pointer
	fromStride int
	fromNext   int
	sums       unsafe.Pointer
	sumsNext   int
	blocks     int
	rows       int // of each block: 32, unless there is one block
	rows0      int // of the first tile
	rows1      int // of the second
	spare      unsafe.Pointer
	spare1     int // from its first tile to the second
	config     *tileConfig

	dst            unsafe.Pointer
	ldd            int
	mask           uint64 // a bit for each column
	rowSums, zeros unsafe.Pointer
	scale, more    unsafe.Pointer

	// What the fields of these names are for the block that a routine is at.
	//
	//lint:ignore U1000 the routines use them
	aAt, fromAt, sumsAt, dstAt, rowSumsAt uintptr
}

// tileConfig is what LDTILECFG reads: the palette, bytes of the rows of each tile,
// and rows.
type tileConfig struct {
	palette byte
	_       [15]byte
	columns [16]uint16
	rows    [16]byte
}

// tileConfigs are those for blocks of each number of rows. Without rows for the
// second tile it sees a row of the first again.
var tileConfigs = func() (all [blockRows + 1]tileConfig) {
	for n := 1; n < len(all); n++ {
		c := &all[n]
		c.palette = 1
		first, second := byte(min(n, 16)), byte(max(1, n-16))
		for t, rows := range [8]byte{first, first, second, second, first, second, 16, 16} {
			c.columns[t], c.rows[t] = 64, rows
		}
	}
	return all
}()

// tileWork is the memory of one computation.
type tileWork struct {
	args  tileArgs
	cells [partBlocks*blockBytes + 2*1024 + 64]byte
}

var tileWorks = sync.Pool{New: func() any { return new(tileWork) }}

// tilesOf are the routines for tiles: of sums that are kept, bytes, floats, ints,
// and sums that are added to ints.
type tilesOf struct{ keep, bytes, floats, ints, add func(x *tileArgs) }

// part is some of the k of all segments: segments of groups of 4 k each, from the
// byte at of the row and the byte panel of the panel on.
type part struct{ at, panel, groups, segments int }

// parts splits the k of rows into what is taken at a time.
func (a *View) parts(do func(p part, first, last bool)) {
	segments, groups := a.segments()
	switch {
	case segments*groups*4 <= wholeK:
		do(part{groups: groups, segments: segments}, true, true)
	case groups*4 <= lineK:
		some := lineK / (groups * 4)
		for s := 0; s < segments; s += some {
			n := min(some, segments-s)
			do(part{s * a.Step, s * groups * 4 * Width, groups, n}, s == 0, s+n == segments)
		}
	default:
		n := (groups*4 + lineK - 1) / lineK
		size := ((groups+n-1)/n + 15) &^ 15
		for s := range segments {
			for g := 0; g < groups; g += size {
				k := min(size, groups-g)
				do(part{s*a.Step + g*4, (s*groups + g) * 4 * Width, k, 1}, s+g == 0, s == segments-1 && g+k == groups)
			}
		}
	}
}

// run computes what Finish.run does, of sizes that it has checked. words is what
// Finish.Bytes needs. add: sums are added to those at dst instead, without f.
func (t *tilesOf) run(f *Finish, a *View, b *Right, q0, q1 int, dst unsafe.Pointer, ldd int, to kind, words *[5]uint32, add bool) {
	wk := tileWorks.Get().(*tileWork)
	base := unsafe.Pointer(&wk.cells)
	base = unsafe.Add(base, -uintptr(base)&63)
	spare := unsafe.Add(base, partBlocks*blockBytes)
	x := &wk.args
	finish, elem := t.floats, 4
	switch {
	case add:
		finish = t.add
	case to == asBytes:
		finish, elem = t.bytes, 1
	case to == asInts:
		finish = t.ints
	}
	segments, groups := a.segments()
	together := manyBlocks
	if segments*groups*4 > wholeK {
		together = partBlocks
	}
	panel := PanelSize(b.K)
	for q := q0; q < q1; q++ {
		j := q * Width
		for i := 0; i < a.M; {
			blocks, rows := min((a.M-i)/blockRows, together), blockRows
			if blocks == 0 {
				blocks, rows = 1, a.M-i
			}
			a.parts(func(p part, first, last bool) {
				*x = tileArgs{
					a: unsafe.Pointer(&a.Data[i*a.Stride+p.at]), lda: a.Stride, a1: 16 * a.Stride,
					b:     unsafe.Pointer(&b.Data[q*panel+p.panel]),
					steps: p.groups / 16, tail: p.groups % 16, tailMask: 1<<(p.groups%16) - 1,
					segments: p.segments, step: a.Step - p.groups*4,
					from: base, fromStride: 4 * Width, fromNext: blockBytes,
					sums: base, sumsNext: blockBytes, blocks: blocks,
					rows: rows, rows0: min(rows, 16), rows1: max(0, rows-16),
					spare: spare, spare1: 1024, config: &tileConfigs[rows],
				}
				if rows <= 16 {
					x.a1, x.spare1 = 0, 0
				}
				if first {
					x.from, x.fromStride, x.fromNext = unsafe.Pointer(&noSums), 0, 0
					if !add {
						x.from = unsafe.Pointer(&f.Bias[j])
					}
				}
				if !last {
					t.keep(x)
					return
				}
				if first {
					x.sumsNext = 0
				}
				x.dst, x.ldd, x.mask = unsafe.Add(dst, (i*ldd+j)*elem), ldd*elem, 1<<min(Width, b.N-j)-1
				if !add {
					if to != asInts {
						x.scale = unsafe.Pointer(&f.Scale[j])
					}
					if to == asBytes {
						x.more = unsafe.Pointer(words)
					} else if to == asFloats && f.Shift != nil {
						x.more = unsafe.Pointer(&f.Shift[j])
					}
					if f.Zeros != nil {
						x.rowSums, x.zeros = unsafe.Pointer(&a.Sums[i]), unsafe.Pointer(&f.Zeros[j])
					}
				}
				finish(x)
			})
			i += blocks * rows
		}
	}
	*x = tileArgs{}
	tileWorks.Put(wk)
}

var noSums [Width]int32

// takes reports whether run does for a and panels up to q1 of b: there must be
// enough rows, and bytes behind the panels that tiles see but do not count.
func (t *tilesOf) takes(a *View, b *Right, q1 int) bool {
	_, groups := a.segments()
	return t != nil && b.fixes == nil && a.M >= leastRows && groups > 0 && (groups%16 == 0 || q1*PanelSize(b.K)+slack <= len(b.Data))
}
