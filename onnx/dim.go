package onnx

// Name returns the dimension with the symbolic size name. An empty name is unknown.
func Name(name string) Dim { return Dim{expr: name} }

// Add returns d + e.
func (d Dim) Add(e Dim) Dim { return d.op(e, func(a, b int) (int, bool) { return a + b, true }) }

// Sub returns d - e.
func (d Dim) Sub(e Dim) Dim { return d.op(e, func(a, b int) (int, bool) { return a - b, true }) }

// Mul returns d * e.
func (d Dim) Mul(e Dim) Dim { return d.op(e, func(a, b int) (int, bool) { return a * b, true }) }

// FloorDiv returns d / e rounded down.
func (d Dim) FloorDiv(e Dim) Dim {
	return d.op(e, func(a, b int) (int, bool) {
		if b == 0 {
			return 0, false
		}
		q := a / b
		if a%b != 0 && (a < 0) != (b < 0) {
			q--
		}
		return q, true
	})
}

// CeilDiv returns d / e rounded up.
func (d Dim) CeilDiv(e Dim) Dim { return Size(0).Sub(Size(0).Sub(d).FloorDiv(e)) }

// Max returns the larger of d and e.
func (d Dim) Max(e Dim) Dim { return d.op(e, func(a, b int) (int, bool) { return max(a, b), true }) }

// Min returns the smaller of d and e.
func (d Dim) Min(e Dim) Dim { return d.op(e, func(a, b int) (int, bool) { return min(a, b), true }) }

func (d Dim) op(e Dim, f func(a, b int) (int, bool)) Dim {
	if d.known && e.known {
		if n, ok := f(d.size, e.size); ok {
			return Size(n)
		}
	}
	return Dim{}
}

// Eval returns the size of d when the names have the given sizes.
func (d Dim) Eval(names map[string]int) (int, bool) {
	if d.known {
		return d.size, true
	}
	n, ok := names[d.expr]
	return n, ok
}
