package nhwc

import "unsafe"

// InParts reports whether Args may have Parts: w is read as it lies, and each position
// sees one pixel, that at its place.
func (w *Weights[T]) InParts() bool {
	return product(w.Kernel) == 1 && w.Group == 1 && w.depthwise == nil && w.winograd == nil && w.taps == nil && w.pairs == nil && w.phases == nil
}

// parts makes each unit of channels that all parts are whole numbers of a segment, as a tap
// of a larger kernel is one.
func (r *dense[T]) parts() {
	if !r.W.InParts() || !r.flat() {
		panic("nhwc: parts of what is not one pixel for each position")
	}
	unit, all := 0, 0
	for _, p := range r.Parts {
		if len(p.X) != r.N*product3(r.in)*p.C {
			panic("nhwc: sizes do not fit")
		}
		unit = gcd(unit, p.C)
		all += p.C
	}
	if all != r.W.C {
		panic("nhwc: sizes do not fit")
	}
	r.cg = unit
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// partPointers is pointers where X is in parts.
func (r *dense[T]) partPointers(words []uintptr, q, n int) {
	list := words
	for _, p := range r.Parts {
		step := uintptr(p.C * r.size)
		for c := 0; c < p.C; c += r.cg {
			at := uintptr(unsafe.Pointer(unsafe.SliceData(p.X))) + uintptr(q)*step + uintptr(c*r.size)
			for i := range list[:n] {
				list[i] = at
				at += step
			}
			list = list[n:]
		}
	}
	place := uintptr(r.W.M * r.size)
	at := uintptr(unsafe.Pointer(unsafe.SliceData(r.Y))) + uintptr(q)*place
	for i := range list[:n] {
		list[i] = at
		at += place
	}
}
