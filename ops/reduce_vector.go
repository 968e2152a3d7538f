package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
)

// The reducers of float32 by vectors.

// panelRows is the number of rows that are added up in float32 before they go
// to the float64 sums.
const panelRows = 16

// vectorSum adds elements: reduceSum for float32. all, unless nil, is done for many sums of a few elements, by vectors.
func vectorSum(done func(float64, int) float32, all func(t *vec.Table, y []float32, n int)) reducer[float32, float64] {
	t := vec.Best()
	r := reduceSum(done)
	r.row = func(a float64, x []float32) float64 { return a + t.Sum(x) }
	r.panel = func(a []float64, x []float32, rows, stride int) {
		if few(rows, len(a)) {
			for i := range rows {
				r.cols(a, x[i*stride:][:len(a)])
			}
			return
		}
		sumPanel(t, a, x, rows, stride)
	}
	r.short = func(y, x []float32, rows, stride int) {
		clear(y)
		t.AddColumns(y, x, rows, stride)
		if all != nil {
			all(t, y, rows)
			return
		}
		for i, v := range y {
			y[i] = done(float64(v), rows)
		}
	}
	return r
}

// few reports whether vectors do not pay for rows of n columns: then sums are made in float64.
func few(rows, n int) bool { return rows < 8 && n < 64 }

// vectorSum64 is reduceSum for float64.
func vectorSum64(done func(float64, int) float64) reducer[float64, float64] {
	r := reduceSum(done)
	if add := vec.Best().Float64[vec.Add].VV; add != nil {
		r.cols = func(a, x []float64) { add(startOf(a), startOf(a), startOf(x[:len(a)]), len(a), 1, 0, 0) }
	}
	return r
}

// vectorExtreme64 is reduceLargest or reduceSmallest for float64, with columns by vectors.
func vectorExtreme64(r reducer[float64, float64], op vec.Op) reducer[float64, float64] {
	if pick := vec.Best().Float64[op].VV; pick != nil {
		r.cols = func(a, x []float64) { pick(startOf(a), startOf(a), startOf(x[:len(a)]), len(a), 1, 0, 0) }
	}
	return r
}

// sumPanel adds rows of x to a by vectors.
func sumPanel(t *vec.Table, a []float64, x []float32, rows, stride int) {
	buf, pool := borrow[[reduceCols]float32]()
	defer pool.Put(buf)
	n := len(a)
	if fold := reduceCols / n; stride == n && fold >= 4 && rows >= 8*fold {
		// Several short rows are one long row, whose parts are joined at the end.
		part := buf[:fold*n]
		for rows >= fold {
			long := min(panelRows, rows/fold)
			clear(part)
			t.AddColumns(part, x, long, fold*n)
			for i := 0; i < len(part); i += n {
				for j, v := range part[i : i+n] {
					a[j] += float64(v)
				}
			}
			x, rows = x[long*fold*n:], rows-long*fold
		}
	}
	part := buf[:n]
	for i := 0; i < rows; i += panelRows {
		clear(part)
		t.AddColumns(part, x[i*stride:], min(panelRows, rows-i), stride)
		for j, v := range part {
			a[j] += float64(v)
		}
	}
}

var noMeans [panelRows]float32

// vectorSquares adds squares: reduceSquares for float32.
func vectorSquares(done func(float64, int) float32) reducer[float32, float64] {
	t := vec.Best()
	r := reduceSquares(done)
	r.row = func(a float64, x []float32) float64 { return a + t.SumSquares(x, 0) }
	r.panel = func(a []float64, x []float32, rows, stride int) {
		if few(rows, len(a)) {
			for i := range rows {
				r.cols(a, x[i*stride:][:len(a)])
			}
			return
		}
		buf, pool := borrow[[reduceCols]float32]()
		defer pool.Put(buf)
		part := buf[:len(a)]
		for i := 0; i < rows; i += panelRows {
			some := min(panelRows, rows-i)
			clear(part)
			t.AddSquares(part, x[i*stride:], noMeans[:some], stride)
			for j, v := range part {
				if v >= 1e-30 && v <= math.MaxFloat32 {
					a[j] += float64(v)
					continue
				}
				for k := range some { // what float32 has no room for
					w := float64(x[(i+k)*stride+j])
					a[j] += w * w
				}
			}
		}
	}
	return r
}

// vectorAbs adds magnitudes: reduceAbs for float32.
func vectorAbs(done func(float64, int) float32) reducer[float32, float64] {
	t := vec.Best()
	r := reduceAbs(done)
	r.row = func(a float64, x []float32) float64 { return a + t.SumAbs(x) }
	r.panel = func(a []float64, x []float32, rows, stride int) {
		buf, pool := borrow[[2 * reduceCols]float32]()
		defer pool.Put(buf)
		n := len(a)
		part, abs := buf[:n], buf[reduceCols:][:n]
		for i := 0; i < rows; i += panelRows {
			clear(part)
			for k := i; k < min(i+panelRows, rows); k++ {
				t.Abs(abs, x[k*stride:][:n])
				t.Add(part, part, abs)
			}
			for j, v := range part {
				a[j] += float64(v)
			}
		}
	}
	return r
}

// vectorExtreme takes the largest or smallest element of float32.
func vectorExtreme(r reducer[float32, float32], op vec.Op) reducer[float32, float32] {
	t := vec.Best()
	columns, all := t.MaxColumns, t.Largest
	if op == vec.Min {
		columns, all = t.MinColumns, t.Smallest
	}
	r.row = func(a float32, x []float32) float32 {
		m := all(x)
		if op == vec.Min {
			return min(a, m)
		}
		return max(a, m)
	}
	r.panel = columns
	r.short = func(y, x []float32, rows, stride int) {
		copy(y, x)
		if rows > 1 {
			columns(y, x[stride:], rows-1, stride)
		}
	}
	return r
}
