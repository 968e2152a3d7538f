package qgemm

import (
	"encoding/binary"
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

	// Turn writes blocks of 16 bytes of each of turnRows rows as turnRows bytes of each
	// column of them.
	Turn func(dst unsafe.Pointer, rows *[turnRows]unsafe.Pointer, at, blocks int)
	// Fix sets turnRows int32 of each of Width columns to what fixes add to rows that
	// were turned.
	Fix func(dst, turned, list, counts unsafe.Pointer)
	// Start sets turnRows rows of Width int32 to bias and what Fix wrote.
	Start func(dst, added, bias unsafe.Pointer)
}

// turnRows is how many rows fixes take at a time.
const turnRows = 16

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
type short struct{ p, j, by int }

// Narrow makes r narrow if the processor gains by it and not too many bytes have to be
// changed for it: what these lose is added to each product. Data then is not the
// matrix any more; Sums stay. It returns r, and is for matrices that serve many
// calls: what changes from call to call would be looked through for nothing.
func (r *Right) Narrow() *Right {
	size := PanelSize(r.K)
	if Best().Thin == nil || size == 0 {
		return r
	}
	left := 0
	if r.K >= leastFixed {
		left = r.Panels() * size / 2 / pairsPerFix
	}
	for q := range r.Panels() {
		if left -= crowded(r.Data[q*size : (q+1)*size]); left < 0 {
			return r
		}
	}
	r.narrow = true
	for q := range r.Panels() {
		if l := lighten(r.Data[q*size : (q+1)*size]); len(l) > 0 {
			if r.fixes == nil {
				r.fixes = make([]fixes, r.Panels())
			}
			r.fixes[q] = fixesOf(l)
		}
	}
	return r
}

// excess returns by how much two bytes are beyond what Thin takes.
func excess(a, b int8) int {
	x, y := int(a), int(b)
	if x > 0 && y > 0 {
		return max(x+y-128, 0)
	} else if x < 0 && y < 0 {
		return min(x+y+128, 0)
	}
	return 0
}

// large calls do with where there are pairs of bytes of which one is beyond [-64, 63],
// by eight.
func large(panel []byte, do func(at int)) {
	for at := 0; at < len(panel); at += 8 {
		if x := binary.LittleEndian.Uint64(panel[at:]); (x^x<<1)&0x8080808080808080 != 0 {
			do(at)
		}
	}
}

// crowded returns how many pairs of a panel are beyond what Thin takes.
func crowded(panel []byte) (n int) {
	large(panel, func(at int) {
		for i := at; i < at+8; i += 2 {
			if excess(int8(panel[i]), int8(panel[i+1])) != 0 {
				n++
			}
		}
	})
	return n
}

// lighten takes from the larger byte of each pair what is too much and returns it.
func lighten(panel []byte) (l []short) {
	large(panel, func(at int) {
		for i := at; i < at+8; i += 2 {
			by := excess(int8(panel[i]), int8(panel[i+1]))
			if by == 0 {
				continue
			}
			e := i
			if abs(int8(panel[i+1])) > abs(int8(panel[i])) {
				e = i + 1
			}
			panel[e] -= byte(by)
			l = append(l, short{p: e/(4*Width)*4 + e%4, j: e / 4 % Width, by: by})
		}
	})
	return l
}

func abs(x int8) int { return max(int(x), -int(x)) }

// fixesOf puts what a panel is short of in the order of columns.
func fixesOf(l []short) (f fixes) {
	var columns [Width][]short
	n := 0
	for _, s := range l {
		for s.by != 0 { // products of two bytes and their factors have to fit 16 bits
			part := s
			part.by = min(max(s.by, -64), 64)
			columns[s.j] = append(columns[s.j], part)
			s.by -= part.by
		}
	}
	for j, c := range columns {
		f.counts[j] = uint32(len(c)+1) / 2
		n += int(f.counts[j])
	}
	f.list = make([]fix, 0, n)
	for _, c := range columns {
		if len(c)%2 == 1 {
			c = append(c, short{})
		}
		for i := 0; i < len(c); i += 2 {
			by := uint32(uint8(c[i].by)) | uint32(uint8(c[i+1].by))<<8
			f.list = append(f.list, fix{uint32(c[i].p) * turnRows, uint32(c[i+1].p) * turnRows, by | by<<16})
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
	wk.turned = sized(wk.turned, (n+turnRows-1)/turnRows*turnRows*k)
	for i := 0; i < n; i += turnRows {
		var at [turnRows]int
		for x := range at {
			at[x] = a.at(i0 + min(i+x, n-1))
			wk.rows[x] = unsafe.Pointer(&a.Data[at[x]])
		}
		dst := wk.turned[i*k:][:k*turnRows]
		for s := range p.segments {
			to := dst[s*run*turnRows:][:run*turnRows]
			if run < 16 {
				for b := range run {
					for x, o := range at {
						to[b*turnRows+x] = a.Data[o+s*a.Step+b]
					}
				}
				continue
			}
			p.t.Thin.Turn(unsafe.Pointer(&to[0]), &wk.rows, s*a.Step, run/16)
			if rest := run - 16; run%16 != 0 {
				p.t.Thin.Turn(unsafe.Pointer(&to[rest*turnRows]), &wk.rows, s*a.Step+rest, 1)
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
