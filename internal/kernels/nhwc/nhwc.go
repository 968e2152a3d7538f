// Package nhwc computes convolutions, their transposes and pooling of
// channels-last tensors [n, spatial…, c] with one to three spatial dimensions.
// Results do not depend on the number of threads.
//
// A dense convolution is a product of matrices whose left side is read where it
// lies: a tile takes, for each tap of the kernel, a list of pointers to the
// pixels that its rows see; padding is a pointer to zeros. So strides,
// dilations, padding and the phases of a transposed convolution cost nothing
// but the list.
package nhwc

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
)

// Float is an element type of convolutions.
type Float = conv.Float

// Panel is the number of output channels of a panel of weights.
const Panel = 32

// The parts of a tile's mode.
const (
	addC   = 1 << iota // the sums begin with what C holds
	addZ               // Z is added
	clamp              // the result is limited
	_                  // avx2Masked
	far                // C is so large that its lines are not in a near cache
	stream             // C is written past the caches, where the table has a Fence; then w is Panel and C a multiple of 64 bytes
)

// Tile computes rows pixels of up to Panel channels:
//
//	C[i][j] = bias[j] + Σ s,k A[s][i][k]·B[s·kc+k][j]
//
// a is a list of row pointers for each of segs segments, aseg bytes apart; aoff
// bytes are added to each. b is [segs·kc][Panel]. c is a list of row pointers,
// to each of which coff bytes are added; w columns are written. bias may be
// nil. With addZ, z is a list of row pointers like c; with clamp, lim has the
// least and the largest value (NaN stays NaN). rows is at most the MR beside
// the tile, segs may be 0, kc not. What lies at next, any address, may be fetched
// into the cache meanwhile. A call should take less than 50 µs.
type Tile func(rows, w, segs, kc int, a unsafe.Pointer, aseg, aoff int, b, c, z unsafe.Pointer, coff int, bias unsafe.Pointer, mode int, lim unsafe.Pointer, next uintptr)

// Table is one implementation of every routine of this package.
type Table struct {
	Name           string // "generic" or the level of package cpu
	MR32, MR64     int
	Tile32, Tile64 Tile
	Fence          func() // comes before others read what was written past the caches; nil: mode stream says nothing
	Ahead          int    // calls of Tile32 whose next fetches as much as one reads of weights; 0: it fetches nothing
	// Lanes are the numbers of channels that routines for depthwise convolutions
	// do at a time, largest first. Row32 returns the one for rows of k taps,
	// stride s and p positions, nil if there is none; Taps32 that for any kernel.
	Lanes  []int
	Row32  func(lanes, k, s, p int) Row
	Taps32 func(lanes int) Taps
	// Max… set c bytes of out to the largest elements of a list of pixels, of
	// which there is one at least; NaN is the largest. Mean32 sets them to the sum
	// times scale. c is at least Bytes. Nil: loops in Go.
	Max32, MaxInt8, MaxUint8 func(c int, out, list unsafe.Pointer, pixels int)
	Mean32                   func(c int, out, list unsafe.Pointer, pixels int, scale float32)
	Bytes                    int
	// The transforms of Winograd's convolution of c channels, of which there are
	// 16 at least. tmp is working memory for 36 vectors. WinIn turns a list of 6x6
	// pixels into v, whose elements lie vStep bytes apart; WinOut turns the sums m
	// into a list of 4x4 pixels and adds those of the list z (nil: none) and
	// bias (nil: none); WinWeights turns src [3·3][Panel] into dst.
	WinIn      func(c int, list, v unsafe.Pointer, vStep int, tmp, consts unsafe.Pointer)
	WinOut     func(c int, m unsafe.Pointer, mStep int, out, z, bias, lim, tmp, consts unsafe.Pointer)
	WinWeights func(src, dst unsafe.Pointer, step int, tmp, consts unsafe.Pointer)

	products *gemm.Table // of the same level, as is
	vectors  *vec.Table
}

// lanes returns the number of channels of a vector for c channels, 0 if they
// are fewer than a vector.
func (t *Table) lanes(c int) int {
	for _, n := range t.Lanes {
		if c >= n {
			return n
		}
	}
	return 0
}

// Tables lists what this machine can run, slowest first.
var Tables = tables()

// Best returns the fastest table that may be used (see package cpu).
func Best() *Table {
	for i := len(Tables) - 1; i > 0; i-- {
		if cpu.Has(Tables[i].Name) {
			return Tables[i]
		}
	}
	return Tables[0]
}

func tables() []*Table {
	l := []*Table{{
		Name: cpu.Generic, MR32: 4, MR64: 4, Tile32: tileGo[float32], Tile64: tileGo[float64],
		Lanes: []int{goLanes}, Row32: func(_, k, s, p int) Row { return rowGo(k, s, p) }, Taps32: func(int) Taps { return tapsGo },
		WinIn: winInGo, WinOut: winOutGo, WinWeights: winWeightsGo,
	}}
	for _, t := range archTables() {
		if t.Tile64 == nil {
			t.MR64, t.Tile64 = l[0].MR64, l[0].Tile64
		}
		l = append(l, t)
	}
	for _, t := range l {
		for _, g := range gemm.Tables {
			if g.Name == t.Name {
				t.products = g
			}
		}
		for _, v := range vec.Tables {
			if v.Name == t.Name {
				t.vectors = v
			}
		}
	}
	return l
}

// next returns what tile i of n should fetch that read size bytes of weights at
// b: a part of what lies at ahead, or else nothing new.
func (t *Table) next(i, n int, b, ahead uintptr, size int) uintptr {
	if t.Ahead == 0 {
		return b
	}
	every := max(n/t.Ahead, 1) // tiles that fetch are spread over all
	if i%every != 0 || i/every >= t.Ahead {
		return b
	}
	return ahead + uintptr(i/every*size/t.Ahead)
}

// shape is what a window says of its up to three dimensions; missing ones come
// first and have the size 1.
type shape struct{ in, kernel, out, stride, dil, before [3]int }

func shapeOf(w *conv.Window) shape {
	var s shape
	d := len(w.In)
	if d < 1 || d > 3 {
		panic("nhwc: want one to three spatial dimensions")
	}
	for i := range 3 {
		j := i - (3 - d)
		if j < 0 {
			s.in[i], s.kernel[i], s.out[i], s.stride[i], s.dil[i] = 1, 1, 1, 1, 1
			continue
		}
		s.in[i], s.kernel[i], s.out[i], s.stride[i], s.dil[i], s.before[i] = w.In[j], w.Kernel[j], w.Out[j], w.Strides[j], w.Dilations[j], w.Before[j]
	}
	return s
}

func product3(s [3]int) int { return s[0] * s[1] * s[2] }
