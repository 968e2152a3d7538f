package qgemm

import (
	"math/bits"
	"unsafe"
)

// Thin computes tiles of narrow panels: Bytes, Floats and Ints are Table's, for
// up to MR rows as View has them.
//
// VPMADDUBSW multiplies twice as many bytes as VPMADDWD does words, but the sum of
// two products has to fit 16 bits: with any unsigned bytes on the left it does
// where the positive bytes of each pair add up to 128 at most and the negative ones
// to no less than -128. Few pairs are beyond it in a matrix that was quantised as a
// whole, some in one that was quantised by columns, and none in one that was reduced
// to 7 bits.
type Thin struct {
	MR                  int
	Bytes, Floats, Ints fusedTile

	// Mark sets for each markBytes bytes of panels the bits of those that are of a pair
	// that is beyond.
	Mark func(marks, panels unsafe.Pointer, n int)
	// Turn writes blocks of 16 bytes of each of turnRows rows as turnRows bytes of each
	// column of them.
	Turn func(dst unsafe.Pointer, rows *[turnRows]unsafe.Pointer, at, blocks int)
	// Fix sets turnRows int32 of each of Width columns to what fixes add to rows that
	// were turned.
	Fix func(dst, turned, list, counts unsafe.Pointer)
	// Start sets turnRows rows of Width int32 to bias and what Fix wrote.
	Start func(dst, added, bias unsafe.Pointer)
}

// markBytes is how many bytes have a bit each in a mark.
const markBytes = 32

// turnRows is how many rows fixes take at a time, turnBytes how many bytes of each a block of Turn has.
const turnRows, turnBytes = 16, 16

// fixes are what the columns of a panel are short of.
type fixes struct {
	counts [Width]uint32 // of each column's part of list
	list   []fix
}

// fix says that bytes p0 and p1 of a column, counted in turnRows, are short of the first
// and the second byte of by, which has them twice. These are within [-64, 64].
type fix struct{ p0, p1, by uint32 }

// pairsPerFix is how many pairs of bytes there have to be for each that is changed, and
// leastFixed how many bytes in a column: with more of them, and with less to compute,
// tiles of words are as fast.
const (
	pairsPerFix = 12
	leastFixed  = 128
)

// short is what byte p of column j of a panel is short of.
type short struct {
	p, by int32
	j     uint8
}

// Narrow makes r narrow if the processor gains by it and not too many bytes have to be
// changed for it: what these lose is added to each product. Data then is not the
// matrix any more; Sums stay. It returns r, and is for matrices that serve many
// calls: what changes from call to call would be looked through for nothing.
func (r *Right) Narrow() *Right {
	t, size := Best().Thin, PanelSize(r.K)
	if t == nil || size == 0 || r.N == 0 {
		return r
	}
	most := 0
	if r.K >= leastFixed {
		most = r.Panels() * size / 2 / pairsPerFix
	}
	marks := make([]uint32, r.Panels()*size/markBytes)
	t.Mark(unsafe.Pointer(&marks[0]), unsafe.Pointer(&r.Data[0]), len(marks))
	n := 0
	for _, m := range marks {
		n += bits.OnesCount32(m)
	}
	if n /= 2; n > most {
		return r
	}
	r.narrow = true
	if n == 0 {
		return r
	}
	r.fixes = make([]fixes, r.Panels())
	var l []short
	for q := range r.fixes {
		l = lighten(l[:0], r.Data[q*size:(q+1)*size], marks[q*size/markBytes:(q+1)*size/markBytes])
		r.fixes[q] = fixesOf(l)
	}
	return r
}

// lighten appends to l what is too much in the marked pairs of a panel, which it takes from
// the larger byte of each.
func lighten(l []short, panel []byte, marks []uint32) []short {
	for k, m := range marks {
		for ; m != 0; m &= m - 1 {
			i := k*markBytes + bits.TrailingZeros32(m)
			m &= m - 1 // the other byte of the pair
			a, b := int32(int8(panel[i])), int32(int8(panel[i+1]))
			by, e := a+b-128, i
			if a < 0 {
				by = a + b + 128
			}
			if b*b > a*a {
				e = i + 1
			}
			panel[e] -= byte(by)
			l = append(l, short{p: int32(e/(4*Width)*4 + e%4), by: by, j: uint8(e / 4 % Width)})
		}
	}
	return l
}

// fixesOf puts what a panel is short of in the order of columns. Products of two bytes and
// their factors have to fit 16 bits, which takes two factors for some.
func fixesOf(l []short) (f fixes) {
	var at [Width]int // of each column, in halves of elements of the list
	for _, s := range l {
		at[s.j]++
		if s.by > 64 || s.by < -64 {
			at[s.j]++
		}
	}
	n := 0
	for j, k := range at {
		f.counts[j] = uint32(k+1) / 2
		at[j] = 2 * n
		n += (k + 1) / 2
	}
	f.list = make([]fix, n)
	for _, s := range l {
		for left := s.by; left != 0; at[s.j]++ {
			by := min(max(left, -64), 64)
			left -= by
			to, code := &f.list[at[s.j]/2], uint32(uint8(by))*0x00010001
			if at[s.j]%2 == 0 {
				to.p0, to.by = uint32(s.p)*turnRows, code
			} else {
				to.p1, to.by = uint32(s.p)*turnRows, to.by|code<<8
			}
		}
	}
	return f
}

// fix adds to c, whose rows are ldc apart, what panel q lacks for rows [i0, i1) of
// a, less taken from each of their bytes.
func (r *Right) fix(a *View, i0, i1, q int, less int32, c []int32, ldc int) {
	if r.fixes == nil {
		return
	}
	segments, kg := a.segments()
	run := 4 * kg
	for i := i0; i < i1; i++ {
		row, out, list := a.Data[a.at(i):], c[(i-i0)*ldc:], r.fixes[q].list
		for j, n := range r.fixes[q].counts {
			for _, f := range list[:n] {
				p0, p1 := int(f.p0/turnRows), int(f.p1/turnRows)
				if segments > 1 {
					p0, p1 = p0/run*a.Step+p0%run, p1/run*a.Step+p1%run
				}
				out[j] += (int32(row[p0])-less)*int32(int8(f.by)) + (int32(row[p1])-less)*int32(int8(f.by>>8))
			}
			list = list[n:]
		}
	}
}

// fixRows is how many rows have their first sums computed at a time.
const fixRows = 96

// turn turns n rows from row i0 on.
func (p *product) turn(i0, n int) {
	wk, a, run := p.wk, p.a, p.kg*4
	k := p.segments * run
	rows := (n + turnRows - 1) / turnRows * turnRows
	wk.turned = sized(wk.turned, rows*k+turnBytes*turnRows)
	for i := 0; i < n; i += turnRows {
		var at [turnRows]int
		last := 0
		for x := range at {
			at[x] = a.at(i0 + min(i+x, n-1))
			last = max(last, at[x])
			wk.rows[x] = unsafe.Pointer(&a.Data[at[x]])
		}
		dst := wk.turned[i*k:]
		for s := range p.segments {
			to := dst[s*run*turnRows:]
			switch {
			case run >= turnBytes:
				p.t.Thin.Turn(unsafe.Pointer(&to[0]), &wk.rows, s*a.Step, run/turnBytes)
				if rest := run - turnBytes; run%turnBytes != 0 {
					p.t.Thin.Turn(unsafe.Pointer(&to[rest*turnRows]), &wk.rows, s*a.Step+rest, 1)
				}
			case last+s*a.Step+turnBytes <= len(a.Data): // what follows is written over it
				p.t.Thin.Turn(unsafe.Pointer(&to[0]), &wk.rows, s*a.Step, 1)
			default:
				for b := range run {
					for x, o := range at {
						to[b*turnRows+x] = a.Data[o+s*a.Step+b]
					}
				}
			}
		}
	}
	clear(wk.rows[:])
}

// start sets sums to what the n rows that turn has turned begin with.
func (p *product) start(n, q int) {
	wk, f, j := p.wk, &p.b.fixes[q], q*Width
	wk.start = sized(wk.start, (n+turnRows-1)/turnRows*turnRows*Width)
	p.sums = wk.start
	k := p.segments * p.kg * 4
	for i := 0; i < n; i += turnRows {
		p.t.Thin.Fix(unsafe.Pointer(&wk.added), unsafe.Pointer(&wk.turned[i*k]), unsafe.Pointer(unsafe.SliceData(f.list)), unsafe.Pointer(&f.counts))
		p.t.Thin.Start(unsafe.Pointer(&p.sums[i*Width]), unsafe.Pointer(&wk.added), unsafe.Pointer(&p.f.Bias[j]))
	}
}
