package nhwc

import (
	"math"
	"runtime"
	"unsafe"
)

// The functions below set dst[i] to the largest or to the sum of x[r+i] for all r of rows, of
// which there is one at least; NaN is the largest. dst and x do not overlap.

// MaxRows takes the largest.
func MaxRows(dst, x []float32, rows []int) {
	joinRows(maxRows, unsafe.Pointer(unsafe.SliceData(dst)), unsafe.Pointer(unsafe.SliceData(x)), 4, len(dst), len(x), rows)
}

// SumRows adds one row after the other.
func SumRows(dst, x []float32, rows []int) {
	joinRows(sumRows, unsafe.Pointer(unsafe.SliceData(dst)), unsafe.Pointer(unsafe.SliceData(x)), 4, len(dst), len(x), rows)
}

// MaxInt8Rows takes the largest of signed bytes.
func MaxInt8Rows(dst, x []uint8, rows []int) {
	joinRows(maxInt8Rows, unsafe.Pointer(unsafe.SliceData(dst)), unsafe.Pointer(unsafe.SliceData(x)), 1, len(dst), len(x), rows)
}

// MaxUint8Rows takes the largest of unsigned bytes.
func MaxUint8Rows(dst, x []uint8, rows []int) {
	joinRows(maxUint8Rows, unsafe.Pointer(unsafe.SliceData(dst)), unsafe.Pointer(unsafe.SliceData(x)), 1, len(dst), len(x), rows)
}

type rowsOp int

const (
	maxRows rowsOp = iota
	sumRows
	maxInt8Rows
	maxUint8Rows
)

// joinWork is about how many elements one call of assembly takes, which the garbage collector waits for.
const joinWork = 1 << 15

func joinRows(op rowsOp, dst, x unsafe.Pointer, size, n, have int, rows []int) {
	if n == 0 {
		return
	}
	for _, r := range rows {
		if r < 0 || r > have-n {
			panic("nhwc: rows do not fit")
		}
	}
	mem := listPool.Get().(*lists)
	list := mem.grow(len(rows))[:len(rows)]
	t := pooler(n * size)
	most := min(n, max(joinWork/len(rows), 256)) // 256: no less than a vector
	for i := 0; i < n; i += most {
		i = min(i, n-most) // some elements are computed twice
		for k, r := range rows {
			list[k] = uintptr(unsafe.Add(x, (r+i)*size))
		}
		to := unsafe.Add(dst, i*size)
		if t.Max32 == nil {
			joinGo(op, to, most, list)
			continue
		}
		switch first := unsafe.Pointer(&list[0]); op {
		case maxRows:
			t.Max32(most*4, to, first, len(list))
		case sumRows:
			t.Mean32(most*4, to, first, len(list), 1)
		case maxInt8Rows:
			t.MaxInt8(most, to, first, len(list))
		case maxUint8Rows:
			t.MaxUint8(most, to, first, len(list))
		}
	}
	runtime.KeepAlive(x)
	listPool.Put(mem)
}

func joinGo(op rowsOp, dst unsafe.Pointer, n int, list []uintptr) {
	switch op {
	case maxRows:
		maxGo(unsafe.Slice((*float32)(dst), n), list, float32(math.Inf(-1)))
	case sumRows:
		y := unsafe.Slice((*float32)(dst), n)
		clear(y)
		for i := range list {
			for j, v := range unsafe.Slice(*(**float32)(unsafe.Pointer(&list[i])), n) {
				y[j] += v
			}
		}
	case maxInt8Rows:
		maxGo(unsafe.Slice((*int8)(dst), n), list, math.MinInt8)
	case maxUint8Rows:
		maxGo(unsafe.Slice((*uint8)(dst), n), list, 0)
	}
}
