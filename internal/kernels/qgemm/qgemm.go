// Package qgemm multiplies matrices of 8-bit integers, exactly, in 32 bits.
//
// All four mixes of signed and unsigned are one kernel: a signed byte s is
// read as the unsigned byte s+128 (a flip of its top bit), and zero points
// move by as much. With unsigned bytes one 64-bit multiplication gives two
// products: the right matrix is stored in panels of eight columns, eight bytes
// for each k; columns j and j+4 of a panel share a 64-bit accumulator.
//
// Sums wrap around at 32 bits as ONNX's operators do.
package qgemm

import (
	"encoding/binary"

	"github.com/gneiss-run/gneiss/internal/par"
)

// Width is the number of columns of a panel.
const Width = 8

// maxK is how many products of bytes a 32-bit half of an accumulator holds.
const maxK = 1 << 16

// Left is the left matrix: M rows of K bytes, one after the other.
type Left struct {
	M, K   int
	Data   []byte
	Signed bool
	// Zero is the zero point, one or one for each row; nil: 0.
	Zero []int32
}

// Right is the right matrix in panels. It is not changed by Mul, so that one
// may serve many calls.
type Right struct {
	K, N   int
	Signed bool
	// Data is [panel][k][Width], as unsigned bytes; columns from N on are 0.
	Data []byte
	// Sums has the sum of each column of Data, Panels()*Width of them.
	Sums []int32
}

// PanelBytes returns the length of Right.Data for a k by n matrix.
func PanelBytes(k, n int) int { return (n + Width - 1) / Width * Width * k }

// Panels returns the number of panels.
func (r *Right) Panels() int { return (r.N + Width - 1) / Width }

// Pack makes panels of the k by n matrix whose element (p, j) is
// b[p*rowStride+j*colStride].
func Pack(b []byte, k, n, rowStride, colStride int, signed bool) *Right {
	r := &Right{K: k, N: n, Signed: signed, Data: make([]byte, PanelBytes(k, n))}
	r.Sums = make([]int32, r.Panels()*Width)
	r.Fill(b, rowStride, colStride)
	return r
}

// Fill writes the panels of r, whose K, N, Signed, Data and Sums are set.
func (r *Right) Fill(b []byte, rowStride, colStride int) {
	flip := flipOf(r.Signed)
	for j0 := 0; j0 < r.N; j0 += Width {
		dst := r.Data[j0*r.K : (j0+Width)*r.K]
		w := min(Width, r.N-j0)
		for p := range r.K {
			row := dst[p*Width : p*Width+Width]
			src := b[p*rowStride+j0*colStride:]
			for j := range w {
				row[j] = src[j*colStride] ^ flip
			}
			clear(row[w:])
		}
	}
	r.SumPanels(0, r.Panels())
}

// SumPanels sets Sums for panels [lo, hi) from Data.
func (r *Right) SumPanels(lo, hi int) {
	const mask = 0x000000ff000000ff
	for q := lo; q < hi; q++ {
		sums := r.Sums[q*Width : q*Width+Width]
		clear(sums)
		data := r.Data[q*Width*r.K : (q+1)*Width*r.K]
		for len(data) > 0 {
			part := data[:min(len(data), maxK*Width)]
			data = data[len(part):]
			var s0, s1, s2, s3 uint64
			for ; len(part) >= Width; part = part[Width:] {
				x := binary.LittleEndian.Uint64(part)
				s0 += x & mask
				s1 += x >> 8 & mask
				s2 += x >> 16 & mask
				s3 += x >> 24 & mask
			}
			for i, s := range [4]uint64{s0, s1, s2, s3} {
				sums[i] += int32(uint32(s))
				sums[i+4] += int32(uint32(s >> 32))
			}
		}
	}
}

// RowSums returns the sum of each row of a as unsigned bytes.
func RowSums(a Left) []int32 {
	flip := flipOf(a.Signed)
	out := make([]int32, a.M)
	for i := range out {
		s := int32(0)
		for _, v := range a.Data[i*a.K : (i+1)*a.K] {
			s += int32(v ^ flip)
		}
		out[i] = s
	}
	return out
}

// Mul computes c[i*ldc+j] = Σ_p (a[i,p] - a.Zero)·(b[p,j] - zero), with zero
// one or one for each column (nil: 0). After each block of rows [i0, i1) and
// columns [j0, j1) it calls done, if that is not nil; calls may be concurrent.
func Mul(p par.P, a Left, b *Right, zero []int32, c []int32, ldc int, done func(i0, i1, j0, j1 int)) {
	sums := RowSums(a)
	const rows = 32
	// A task is about 64k products at least.
	panels := max(1, min(b.Panels(), (1<<16)/max(1, Width*b.K*min(a.M, rows))))
	rowTasks, colTasks := (a.M+rows-1)/rows, (b.Panels()+panels-1)/panels
	p.For(rowTasks*colTasks, 1, func(lo, hi int) {
		for t := lo; t < hi; t++ {
			i0, q0 := t%rowTasks*rows, t/rowTasks*panels
			i1, q1 := min(i0+rows, a.M), min(q0+panels, b.Panels())
			Block(a, sums, i0, i1, b, zero, q0, q1, c, ldc)
			if done != nil {
				done(i0, i1, q0*Width, min(q1*Width, b.N))
			}
		}
	})
}

// Block computes rows [i0, i1) of panels [q0, q1). sums are a's RowSums.
func Block(a Left, sums []int32, i0, i1 int, b *Right, zero []int32, q0, q1 int, c []int32, ldc int) {
	k := a.K
	for q := q0; q < q1; q++ {
		panel := b.Data[q*Width*k : (q+1)*Width*k]
		j0 := q * Width
		w := min(Width, b.N-j0)
		var zb [Width]int32
		for j := range w {
			zb[j] = zeroAt(zero, j0+j, b.Signed)
		}
		for i := i0; i < i1; i += 2 {
			r0 := a.Data[i*k : (i+1)*k]
			r1 := r0
			if i+1 < i1 {
				r1 = a.Data[(i+1)*k : (i+2)*k]
			}
			var acc [2][Width]int32
			for p := 0; p < k; p += maxK {
				e := min(p+maxK, k)
				two(&acc, r0[p:e], r1[p:e], panel[p*Width:e*Width], flipOf(a.Signed))
			}
			for r := range min(2, i1-i) {
				za, s := zeroAt(a.Zero, i+r, a.Signed), sums[i+r]
				out := c[(i+r)*ldc+j0 : (i+r)*ldc+j0+w]
				for j := range out {
					out[j] = acc[r][j] - za*b.Sums[j0+j] - zb[j]*s + int32(k)*za*zb[j]
				}
			}
		}
	}
}

// two adds to acc the products of two rows with a panel.
func two(acc *[2][Width]int32, r0, r1, panel []byte, flip byte) {
	const mask = 0x000000ff000000ff
	var a0, a1, a2, a3, b0, b1, b2, b3 uint64
	r1 = r1[:len(r0)]
	panel = panel[:len(r0)*Width]
	for p, v := range r0 {
		x := binary.LittleEndian.Uint64(panel[p*Width:])
		u, w := uint64(v^flip), uint64(r1[p]^flip)
		x0, x1, x2, x3 := x&mask, x>>8&mask, x>>16&mask, x>>24&mask
		a0 += u * x0
		a1 += u * x1
		a2 += u * x2
		a3 += u * x3
		b0 += w * x0
		b1 += w * x1
		b2 += w * x2
		b3 += w * x3
	}
	for i, s := range [4]uint64{a0, a1, a2, a3} {
		acc[0][i] += int32(uint32(s))
		acc[0][i+4] += int32(uint32(s >> 32))
	}
	for i, s := range [4]uint64{b0, b1, b2, b3} {
		acc[1][i] += int32(uint32(s))
		acc[1][i+4] += int32(uint32(s >> 32))
	}
}

func flipOf(signed bool) byte {
	if signed {
		return 0x80
	}
	return 0
}

// zeroAt returns the zero point i for the unsigned form.
func zeroAt(zero []int32, i int, signed bool) int32 {
	z := int32(0)
	switch {
	case len(zero) == 1:
		z = zero[0]
	case len(zero) > 1:
		z = zero[i]
	}
	if signed {
		z += 128
	}
	return z
}
