package qgemm

import "github.com/gneiss-run/gneiss/internal/kernels/quant"

// Direct computes products of matrices so small that panels cost more than they save.
// The zero value is ready; its memory serves one call after the other.
type Direct struct {
	columns, starts, sums []int32
	scale                 []float32
}

// ForDirect says whether to compute m by k times k by n by Direct.
func ForDirect(m, k, n int) bool { return n <= 4 && m*k*n <= 2048 || m*k*n <= 128 }

// Product computes what Finish.Product does to bytes or int32: f says what becomes of
// sums, and its zero points are not looked at but za and zb, as SetZeros has them.
// b is rows of n bytes.
func (d *Direct) Product(f *Finish, a Left, za int32, b []byte, signed bool, n int, zb []int32, toBytes []byte, toInts []int32) {
	if a.M == 0 || n == 0 {
		return
	}
	d.setColumns(b, a.K, n, signed, za, zb)
	sums := toInts
	if sums == nil {
		d.sums = sized(d.sums, a.M*n)
		sums = d.sums
	}
	sums = sums[:a.M*n]
	var flip byte
	if a.Signed {
		flip = 0x80
	}
	k := a.K
	for j, start := range d.starts {
		column := d.columns[j*k : (j+1)*k]
		for i := range a.M {
			s, row := start, a.Data[i*k:(i+1)*k]
			for p, v := range column {
				s += int32(row[p]^flip) * v
			}
			sums[i*n+j] = s
		}
	}
	switch {
	case toInts != nil:
	case n == 1:
		quant.Requantize(toBytes[:a.M], sums, f.Scale[0], f.Zero, f.Lo, f.Hi)
	default:
		d.scale = d.scale[:0]
		for range a.M {
			d.scale = append(d.scale, f.Scale[:n]...)
		}
		quant.RequantizeEach(toBytes[:a.M*n], sums, d.scale, f.Zero, f.Lo, f.Hi)
	}
}

// setColumns sets columns to those of b, less zero points, and starts to what their sums
// begin with.
func (d *Direct) setColumns(b []byte, k, n int, signed bool, za int32, zb []int32) {
	d.columns, d.starts = sized(d.columns, k*n), sized(d.starts, n)
	for j := range n {
		column, z, sum := d.columns[j*k:(j+1)*k], zeroAt(zb, j), int32(0)
		for p := range column {
			v := int32(b[p*n+j])
			if signed {
				v = int32(int8(v))
			}
			column[p] = v - z
			sum += v - z
		}
		d.starts[j] = -za * sum
	}
}
