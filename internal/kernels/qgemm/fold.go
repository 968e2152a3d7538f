package qgemm

import (
	"sync"

	"github.com/gneiss-run/gneiss/internal/par"
)

// Where the right matrix has few columns and rows, most of a tile would lie idle, and
// what is done for each row of the left one would take longer than its products. Then
// several of these rows, which follow one another, are taken for one, and so are those
// of the result: the right matrix has itself on its diagonal as often. A sum of a row
// and zero points would be of all rows that were joined, so zero points are taken
// from the bytes of the right matrix; what then are more than bytes are the sums of
// up to three, whose rows follow one another, as many segments of the left matrix in the
// same place.

// foldedWidth is how many columns joined rows have at most, foldedK how many rows the
// right matrix has at most of all segments together, wholeFolded of one, and leastFolded how many the left
// one has to have, or it is not worth it.
const (
	foldedWidth = halfWidth
	foldedK     = 48
	wholeFolded = 32
	leastFolded = 512
)

// Joins says whether a product of m by k times k by n is one of joined rows.
func Joins(m, k, n int) bool { return joined(m, k, n) > 1 }

// joined returns how many rows of the left matrix are to be taken for one, or 1.
func joined(m, k, n int) int {
	if n == 0 || n > foldedWidth/2 || k == 0 || k > wholeFolded || m < leastFolded {
		return 1
	}
	rows := foldedWidth / n
	for rows > 1 && rows*k%4 != 0 {
		rows--
	}
	return rows
}

// folding is what a product of joined rows works in.
type folding struct {
	right        Right
	finish       Finish
	data         []byte
	sums, bias   [Width]int32
	scale, shift [Width]float32
}

var foldings = sync.Pool{New: func() any { return new(folding) }}

// set makes g what f and b are for n rows that are joined. It returns the number of
// segments, 0 if there would be too many.
func (g *folding) set(f *Finish, b *Right, n int) (segments int) {
	k, wide := n*b.K, n*b.N
	var values [wholeFolded * foldedWidth / 2]int32 // of b, less zero points, by columns
	low, high := int32(0), int32(0)
	for j := range b.N {
		for p := range b.K {
			v := int32(int8(b.Data[p/4*4*Width+j*4+p%4]))
			if f.Zeros != nil {
				v -= f.Zeros[j]
			}
			low, high = min(low, v), max(high, v)
			values[j*b.K+p] = v
		}
	}
	segments = 1
	for low < -128*int32(segments) || high > 127*int32(segments) {
		segments++
	}
	if segments*b.K > foldedK {
		return 0
	}
	g.data = sized(g.data, PanelBytes(segments*k, wide))
	g.right = Right{K: segments * k, N: wide, Signed: true, Data: g.data, Sums: g.sums[:]}
	clear(g.data)
	g.finish = Finish{Bias: g.bias[:], Scale: g.scale[:], Zero: f.Zero, Lo: f.Lo, Hi: f.Hi, Small: f.Small}
	if len(f.Shift) >= b.N {
		g.finish.Shift = g.shift[:]
	}
	for j := range wide {
		x := j % b.N
		g.bias[j] = f.Bias[x]
		if x < len(f.Scale) { // int32 need none
			g.scale[j] = f.Scale[x]
		}
		if x < len(f.Shift) {
			g.shift[j] = f.Shift[x]
		}
		for p, v := range values[x*b.K : (x+1)*b.K] {
			for s := range segments {
				part := min(max(v, -128), 127)
				v -= part
				row := s*k + j/b.N*b.K + p
				g.data[row/4*4*Width+j*4+row%4] = byte(part)
			}
		}
	}
	g.right.SumPanels(0, 1)
	return segments
}

// folded computes what Product does of rows that are joined, n at a time, and returns how many: 0 if it is not worth it.
func (f *Finish) folded(p par.P, a Left, b *Right, n int, toBytes []byte, toFloats []float32, toInts []int32) int {
	g := foldings.Get().(*folding)
	defer foldings.Put(g)
	segments := g.set(f, b, n)
	if segments == 0 {
		return 0
	}
	rows := Left{M: a.M / n, K: n * a.K, Data: a.Data, Signed: a.Signed}
	var data []byte
	if size := rows.Moved(); size > 0 {
		l := borrow[byte](&byteLists, size)
		defer byteLists.Put(l)
		data = *l
	}
	v := rows.View(p, data, nil)
	v.Segments = segments
	g.finish.ProductOf(p, v, &g.right, toBytes, toFloats, toInts)
	return rows.M * n
}
