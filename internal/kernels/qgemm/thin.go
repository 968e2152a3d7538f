package qgemm

import "encoding/binary"

// Thin computes tiles of narrow panels: Bytes, Floats and Ints are Table's, for
// up to MR rows as View has them.
//
// VPMADDUBSW multiplies twice as many bytes as VPMADDWD does words, but the sum of
// two products has to fit 16 bits: with any unsigned bytes on the left it does
// where the positive bytes of each pair add up to 128 at most and the negative ones
// to no less than -128. Few pairs of a matrix that was quantised as a whole are
// beyond it, and none of one that was reduced to 7 bits.
type Thin struct {
	MR                  int
	Bytes, Floats, Ints fusedTile
}

// fix is what byte p of column j of a panel is short of.
type fix struct {
	p     int32
	j, by int16
}

// pairsPerFix is how many pairs of bytes there have to be for each fix: one takes
// a row about as long as a hundred products.
const pairsPerFix = 512

// Narrow makes r narrow if the processor gains by it and few bytes have to be
// changed for it: what these lose is added to each product. Data then is not the
// matrix any more; Sums stay. It returns r, and is for matrices that serve many
// calls: what changes from call to call would be looked through for nothing.
func (r *Right) Narrow() *Right {
	size := PanelSize(r.K)
	if Best().Thin == nil || size == 0 {
		return r
	}
	left := r.Panels() * size / 2 / pairsPerFix
	fixes := make([][]fix, r.Panels())
	any := false
	for q := range fixes {
		panel := r.Data[q*size : (q+1)*size]
		for at := 0; at < size; at += 8 {
			x := binary.LittleEndian.Uint64(panel[at:])
			if (x^x<<1)&0x8080808080808080 == 0 {
				continue // all within [-64, 63]
			}
			for i := at; i < at+8; i += 2 {
				a, b := int(int8(panel[i])), int(int8(panel[i+1]))
				by := 0
				if a > 0 && b > 0 {
					by = max(a+b-128, 0)
				} else if a < 0 && b < 0 {
					by = min(a+b+128, 0)
				}
				if by == 0 {
					continue
				}
				if left--; left < 0 {
					r.widen(fixes)
					return r
				}
				e := i
				if b*b > a*a {
					e = i + 1
				}
				panel[e] -= byte(by)
				fixes[q] = append(fixes[q], fix{p: int32(e/(4*Width)*4 + e%4), j: int16(e / 4 % Width), by: int16(by)})
				any = true
			}
		}
	}
	r.narrow = true
	if any {
		r.fixes = fixes
	}
	return r
}

// widen gives bytes back what fixes took from them.
func (r *Right) widen(fixes [][]fix) {
	for q, l := range fixes {
		panel := r.Data[q*PanelSize(r.K):]
		for _, f := range l {
			panel[int(f.p)/4*4*Width+int(f.j)*4+int(f.p)%4] += byte(f.by)
		}
	}
}

// IsNarrow reports whether products with r are computed by Table.Thin.
func (r *Right) IsNarrow() bool { return r.narrow }

// fix adds to c, whose rows are ldc apart, what panel q lacks for rows [i0, i1) of
// a, less taken from each of their bytes.
func (r *Right) fix(a *View, i0, i1, q int, less int32, c []int32, ldc int) {
	if r.fixes == nil || len(r.fixes[q]) == 0 {
		return
	}
	_, kg := a.segments()
	run := 4 * kg
	for _, f := range r.fixes[q] {
		p := int(f.p)
		at := p/run*a.Step + p%run
		for i := i0; i < i1; i++ {
			c[(i-i0)*ldc+int(f.j)] += (int32(a.Data[i*a.Stride+at]) - less) * int32(f.by)
		}
	}
}
