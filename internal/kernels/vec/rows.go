package vec

import "math"

// The loops behind the generic table that are not functions of one variable.

// arith makes the loops of an operator.
func arith(vv func(dst, a, b []float32), f func(a, b float32) float32) Arith {
	vs := func(dst, a []float32, s float32) {
		for i, v := range a[:len(dst)] {
			dst[i] = f(v, s)
		}
	}
	sv := func(dst []float32, s float32, b []float32) {
		for i, v := range b[:len(dst)] {
			dst[i] = f(s, v)
		}
	}
	return Arith{
		VV: vv, VS: vs, SV: sv,
		RowsVV: func(dst, a, b []float32, n, rows, sa, sb int) {
			for r := range rows {
				vv(dst[r*n:(r+1)*n], a[r*sa:r*sa+n], b[r*sb:r*sb+n])
			}
		},
		RowsVS: func(dst, a, b []float32, n, rows, sa, sb int) {
			for r := range rows {
				vs(dst[r*n:(r+1)*n], a[r*sa:r*sa+n], b[r*sb])
			}
		},
		RowsSV: func(dst, a, b []float32, n, rows, sa, sb int) {
			for r := range rows {
				sv(dst[r*n:(r+1)*n], a[r*sa], b[r*sb:r*sb+n])
			}
		},
	}
}

func maxOf(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = max(a[i], b[i])
	}
}

func minOf(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = min(a[i], b[i])
	}
}

// each makes a loop of a function that costs no more than a call.
func each(f func(float32) float32) func(dst, x []float32) {
	return func(dst, x []float32) {
		for i, v := range x[:len(dst)] {
			dst[i] = f(v)
		}
	}
}

func math32(f func(float64) float64) func(dst, x []float32) {
	return func(dst, x []float32) {
		for i, v := range x[:len(dst)] {
			dst[i] = float32(f(float64(v)))
		}
	}
}

func hardSwishLoop(dst, x []float32) {
	for i, v := range x[:len(dst)] {
		switch h := v*(1.0/6) + 0.5; {
		case h <= 0:
			v = 0
		case h < 1:
			v *= h
		}
		dst[i] = v
	}
}

func hardSigmoidLoop(dst, x []float32, a, b float32) {
	for i, v := range x[:len(dst)] {
		v = v*a + b
		if v < 0 {
			v = 0
		}
		if v > 1 {
			v = 1
		}
		dst[i] = v
	}
}

func leakyReluLoop(dst, x []float32, alpha float32) {
	for i, v := range x[:len(dst)] {
		if v < 0 {
			v *= alpha
		}
		dst[i] = v
	}
}

func affineLoop(dst, x []float32, a, b float32) {
	s, t := float64(a), float64(b)
	for i, v := range x[:len(dst)] {
		dst[i] = float32(float64(v)*s + t)
	}
}

func sum(x []float32) float64 {
	var s0, s1, s2, s3 float64
	for ; len(x) >= 4; x = x[4:] {
		s0 += float64(x[0])
		s1 += float64(x[1])
		s2 += float64(x[2])
		s3 += float64(x[3])
	}
	for _, v := range x {
		s0 += float64(v)
	}
	return (s0 + s1) + (s2 + s3)
}

func sumAbs(x []float32) float64 {
	s := 0.0
	for _, v := range x {
		s += math.Abs(float64(v))
	}
	return s
}

func sumSquares(x []float32, m float32) float64 {
	c := float64(m)
	var s0, s1 float64
	for ; len(x) >= 2; x = x[2:] {
		a, b := float64(x[0])-c, float64(x[1])-c
		s0 += a * a
		s1 += b * b
	}
	for _, v := range x {
		s0 += (float64(v) - c) * (float64(v) - c)
	}
	return s0 + s1
}

func largest(x []float32) float32 {
	m := -inf
	for _, v := range x {
		if v > m || v != v {
			m = v
		}
	}
	return m
}

func smallest(x []float32) float32 {
	m := inf
	for _, v := range x {
		if v < m || v != v {
			m = v
		}
	}
	return m
}

func expSum(dst, x []float32, scale, shift float32) float64 {
	s := 0.0
	for i, v := range x[:len(dst)] {
		e := exp(float64(v)*float64(scale) - float64(shift))
		dst[i] = float32(e)
		s += e
	}
	return s
}

func normalize(dst, x []float32, mean, inv float32, scale, bias []float32) {
	x = x[:len(dst)]
	for i, v := range x {
		v = (v - mean) * inv
		if scale != nil {
			v *= scale[i]
		}
		if bias != nil {
			v += bias[i]
		}
		dst[i] = v
	}
}

func addColumns(acc, x []float32, rows, stride int) {
	for r := range rows {
		for i, v := range x[r*stride:][:len(acc)] {
			acc[i] += v
		}
	}
}

func maxColumns(acc, x []float32, rows, stride int) {
	for r := range rows {
		for i, v := range x[r*stride:][:len(acc)] {
			acc[i] = max(acc[i], v)
		}
	}
}

func minColumns(acc, x []float32, rows, stride int) {
	for r := range rows {
		for i, v := range x[r*stride:][:len(acc)] {
			acc[i] = min(acc[i], v)
		}
	}
}

type argColumns = func(at []int32, best, x []float32, rows, stride, first int)

func (a Arg) columns(at []int32, best, x []float32, rows, stride, first int) {
	at = at[:len(best)]
	for r := range rows {
		row, k := x[r*stride:][:len(best)], int32(first+r)
		switch a {
		case ArgMax:
			for i, v := range row {
				if v > best[i] {
					best[i], at[i] = v, k
				}
			}
		case ArgMin:
			for i, v := range row {
				if v < best[i] {
					best[i], at[i] = v, k
				}
			}
		case ArgMaxLast:
			for i, v := range row {
				if v >= best[i] {
					best[i], at[i] = v, k
				}
			}
		default:
			for i, v := range row {
				if v <= best[i] {
					best[i], at[i] = v, k
				}
			}
		}
	}
}
