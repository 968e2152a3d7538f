package qgemm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/par"
)

// tilesInGo does what the assembly for tiles does, from the definitions of its
// instructions, so that what calls it is tested on all machines.
var tilesInGo = tilesOf{
	keep:   func(x *tileArgs) { x.inGo(nil) },
	bytes:  func(x *tileArgs) { x.inGo(x.byteRow) },
	floats: func(x *tileArgs) { x.inGo(x.floatRow) },
	ints: func(x *tileArgs) {
		x.inGo(func(i int, sums []int32) {
			copy(unsafe.Slice((*int32)(unsafe.Add(x.dst, i*x.ldd)), x.columns()), sums)
		})
	},
	add: func(x *tileArgs) {
		x.inGo(func(i int, sums []int32) {
			for j, v := range unsafe.Slice((*int32)(unsafe.Add(x.dst, i*x.ldd)), x.columns()) {
				*(*int32)(unsafe.Add(x.dst, i*x.ldd+j*4)) = v + sums[j]
			}
		})
	},
}

func (x *tileArgs) columns() (n int) {
	for m := x.mask; m != 0; m >>= 1 {
		n++
	}
	return n
}

func (x *tileArgs) byteRow(i int, sums []int32) {
	words := (*[5]uint32)(x.more)
	lo, hi, zero := int32(words[1]&0xffff), int32(words[2]&0xffff), int32(int16(words[0]))
	for j := range x.columns() {
		v := int32(math.RoundToEven(float64(float32(sums[j])**(*float32)(unsafe.Add(x.scale, 4*j))))) + zero
		*(*byte)(unsafe.Add(x.dst, i*x.ldd+j)) = byte(min(max(v, lo), hi)) ^ byte(words[4])
	}
}

func (x *tileArgs) floatRow(i int, sums []int32) {
	for j := range x.columns() {
		v := float32(float32(sums[j]) * *(*float32)(unsafe.Add(x.scale, 4*j)))
		if x.more != nil {
			v += *(*float32)(unsafe.Add(x.more, 4*j))
		}
		*(*float32)(unsafe.Add(x.dst, i*x.ldd+4*j)) = v
	}
}

// goTile is the contents of a tile register.
type goTile struct {
	rows int
	data [16][64]byte
}

func (x *tileArgs) load(t int, p unsafe.Pointer, stride int) (r goTile) {
	r.rows = int(x.config.rows[t])
	for i := range r.rows {
		copy(r.data[i][:x.config.columns[t]], unsafe.Slice((*byte)(unsafe.Add(p, i*stride)), 64))
	}
	return r
}

func (c *goTile) word(i, j int) *int32 { return (*int32)(unsafe.Pointer(&c.data[i][4*j])) }

// dot is TDPBUSD.
func (c *goTile) dot(a, b *goTile) {
	if c.rows != a.rows || b.rows != 16 {
		panic("tiles do not fit")
	}
	for i := range c.rows {
		for j := range 16 {
			for k := range 64 {
				*c.word(i, j) += int32(a.data[i][k]) * int32(int8(b.data[k/4][4*j+k%4]))
			}
		}
	}
}

func (x *tileArgs) inGo(finish func(i int, sums []int32)) {
	for n := range x.blocks {
		var c [4]goTile
		for t := range c {
			c[t] = x.load(t, unsafe.Add(x.from, n*x.fromNext+t/2*16*x.fromStride+t%2*64), x.fromStride)
		}
		at, b := n*blockRows*x.lda, x.b
		for range x.segments {
			step := func(rows func(t int) goTile) {
				for t := range c {
					left, right := rows(t/2), x.load(6+t%2, unsafe.Add(b, t%2*64), 128)
					c[t].dot(&left, &right)
				}
			}
			for range x.steps {
				step(func(t int) goTile { return x.load(4+t, unsafe.Add(x.a, at+t*x.a1), x.lda) })
				at, b = at+64, unsafe.Add(b, 2048)
			}
			if x.tail > 0 {
				for i := range x.rows0 + x.rows1 {
					row := (*[64]byte)(unsafe.Add(x.spare, i*64))
					*row = [64]byte{}
					copy(row[:], unsafe.Slice((*byte)(unsafe.Add(x.a, at+i*x.lda)), 4*x.tail))
				}
				step(func(t int) goTile { return x.load(4+t, unsafe.Add(x.spare, t*x.spare1), 64) })
				at, b = at+4*x.tail, unsafe.Add(b, 128*x.tail)
			}
			at += x.step
		}
		sums := unsafe.Add(x.sums, n*x.sumsNext)
		for t := range c {
			for i := range c[t].rows {
				*(*[64]byte)(unsafe.Add(sums, (t/2*16+i)*128+t%2*64)) = c[t].data[i]
			}
		}
		if finish == nil {
			continue
		}
		for i := range x.rows {
			row := unsafe.Slice((*int32)(unsafe.Add(sums, i*128)), Width)
			if x.rowSums != nil {
				for j := range row {
					row[j] -= *(*int32)(unsafe.Add(x.rowSums, 4*(n*blockRows+i))) * *(*int32)(unsafe.Add(x.zeros, 4*j))
				}
			}
			finish(n*blockRows+i, row)
		}
	}
}

// eachTiles runs f with tiles in plain Go and with those of this machine.
func eachTiles(t *testing.T, f func(t *testing.T, tab *Table)) {
	inGo := *Tables[0]
	inGo.tiles = &tilesInGo
	for _, tab := range append([]*Table{&inGo}, Tables...) {
		if tab.tiles != nil {
			t.Run(tab.Name, func(t *testing.T) { f(t, tab) })
		}
	}
}

// tileCase is a product that tiles take.
type tileCase struct {
	m, k, segments, n int

	v *View
	b *Right
	f *Finish
}

func (d *tileCase) make(t *testing.T, rng *rand.Rand) {
	k := d.k * d.segments
	d.b = Pack(par.P{}, randomBytes(rng, k*d.n), k, d.n, d.n, 1, d.m%2 == 0)
	d.v = &View{M: d.m, K: d.k, Stride: d.k + 3, Segments: d.segments, Step: d.m*(d.k+3) + 5}
	d.v.Data = randomBytes(rng, (d.m-1)*d.v.Stride+(d.segments-1)*d.v.Step+d.k)
	d.v.Sums = make([]int32, d.m)
	d.v.RowSums(d.v.Sums)
	d.f = &Finish{Zero: 5, Lo: 2, Hi: 200}
	if d.n%2 == 0 {
		d.f = &Finish{Zero: -3, Lo: -128, Hi: 100}
	}
	d.f.SetScale([]float32{0.37 / float32(k)}, d.n, 1)
	d.f.SetZeros(d.b, k, 9, []int32{int32(d.n % 3)}, nil)
	if !tilesInGo.takes(d.v, d.b, d.b.Panels()) {
		t.Fatalf("%s: tiles do not take it", d.name())
	}
}

func (d *tileCase) name() string { return fmt.Sprint(d.m, d.k, d.segments, d.n) }

// same compares what two tables compute.
func (d *tileCase) same(t *testing.T, tabs ...*Table) {
	type results struct {
		bytes  []byte
		floats []float32
		ints   []int32
	}
	var r [2]results
	for i, tab := range tabs {
		ldd := d.n + 2
		n := d.m * ldd
		r[i] = results{make([]byte, n), make([]float32, n), make([]int32, n)}
		d.f.Bytes(tab, d.v, d.b, 0, d.b.Panels(), r[i].bytes, ldd)
		d.f.Floats(tab, d.v, d.b, 0, d.b.Panels(), r[i].floats, ldd)
		d.f.Ints(tab, d.v, d.b, 0, d.b.Panels(), r[i].ints, ldd)
	}
	if !slices.Equal(r[0].ints, r[1].ints) {
		t.Errorf("%s: other sums", d.name())
	}
	if !slices.Equal(r[0].bytes, r[1].bytes) {
		t.Errorf("%s: other bytes", d.name())
	}
	if !slices.Equal(r[0].floats, r[1].floats) {
		t.Errorf("%s: other floats", d.name())
	}
}

// TestTiles compares products by tiles with those of plain Go: rows and k of all
// remainders, several parts of k and calls, and rows in segments.
func TestTiles(t *testing.T) {
	eachTiles(t, func(t *testing.T, tab *Table) {
		if !sameAsGo(tab) {
			t.Fatal("the first check fails")
		}
		rng := rand.New(rand.NewPCG(3, 9))
		for _, d := range []tileCase{
			{m: 4, k: 4, segments: 1, n: 1}, {m: 16, k: 64, segments: 1, n: 32}, {m: 17, k: 60, segments: 1, n: 33},
			{m: 31, k: 68, segments: 1, n: 40}, {m: 33, k: 128, segments: 1, n: 64}, {m: 64, k: 4, segments: 1, n: 3},
			{m: 1100, k: 8, segments: 1, n: 5}, {m: 20, k: wholeK, segments: 1, n: 33}, {m: 20, k: wholeK + 4, segments: 1, n: 33},
			{m: 150, k: 1400, segments: 1, n: 10}, {m: 7, k: 2048, segments: 1, n: 32}, {m: 14, k: 48, segments: 3, n: 32},
			{m: 28, k: 192, segments: 3, n: 40}, {m: 35, k: 300, segments: 3, n: 20}, {m: 40, k: 700, segments: 3, n: 20},
			{m: 140, k: 4, segments: 300, n: 9},
		} {
			d.make(t, rng)
			d.same(t, Tables[0], tab)
		}
	})
}

// TestTilesAtOnce computes in more goroutines than there are processors, while the
// collector runs: tiles survive that another thread gets the processor, and signals.
func TestTilesAtOnce(t *testing.T) {
	eachTiles(t, func(t *testing.T, tab *Table) {
		const threads = 4
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
		var wg sync.WaitGroup
		for i := range threads {
			rng := rand.New(rand.NewPCG(4, uint64(i)))
			d := tileCase{m: 70 + 7*i, k: 740 + 4*i, segments: 1, n: 40 + i}
			d.make(t, rng)
			wg.Go(func() {
				for range 5 {
					d.same(t, Tables[0], tab)
					runtime.GC()
				}
			})
		}
		wg.Wait()
	})
}

// TestCheckOfTiles has tiles that are wrong.
func TestCheckOfTiles(t *testing.T) {
	for i := range 5 {
		broken := tilesInGo
		p := []*func(x *tileArgs){&broken.keep, &broken.bytes, &broken.floats, &broken.ints, &broken.add}[i]
		right := *p
		*p = func(x *tileArgs) {
			c := *x.config
			defer func(old *tileConfig) { x.config = old }(x.config)
			c.columns[4] = 60 // the last group of each tile is lost
			x.config = &c
			right(x)
		}
		tab := *Tables[0]
		tab.tiles = &broken
		if sameAsGo(&tab) {
			t.Errorf("routine %d may lose products", i)
		}
	}
}
