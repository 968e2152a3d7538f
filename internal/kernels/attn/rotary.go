package attn

import "unsafe"

// Rotor turns pairs of elements (see Rotate) with the routines of one table.
type Rotor struct{ t *table }

// NewRotor returns a Rotor of the fastest routines that may be used now.
func NewRotor() Rotor { return Rotor{best()} }

// Rotate turns src by the angles whose cosines and sines are c and s: (x1, x2)
// becomes (c·x1 - s·x2, s·x1 + c·x2). The pairs are elements i and len(c)+i, or
// neighbours. dst may be src; both have 2·len(c) elements.
func (r Rotor) Rotate(dst, src, c, s []float32, neighbours bool) {
	n := len(c)
	if n == 0 {
		return
	}
	dst, src, s = dst[:2*n], src[:2*n], s[:n]
	if neighbours {
		r.t.rotatePairs(unsafe.Pointer(&dst[0]), unsafe.Pointer(&src[0]), unsafe.Pointer(&c[0]), unsafe.Pointer(&s[0]), 2*n)
		return
	}
	r.t.rotate(unsafe.Pointer(&dst[0]), unsafe.Pointer(&src[0]), 4*n, unsafe.Pointer(&c[0]), unsafe.Pointer(&s[0]), n)
}
