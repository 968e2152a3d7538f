package nhwc

import "unsafe"

// Takes reports whether Args may have these Parts: each position sees one pixel, that at its
// place, and w is read as it lies, or has a factor for each channel and parts end with a vector.
func (w *Weights[T]) Takes(parts []Part[T]) bool {
	if product(w.Kernel) != 1 || w.winograd != nil || w.taps != nil || w.pairs != nil || w.phases != nil {
		return false
	}
	if w.depthwise == nil {
		return w.Group == 1
	}
	for _, p := range parts {
		if p.C%w.lanes != 0 {
			return false
		}
	}
	return true
}

// checkParts panics if Parts and sizes do not fit.
func (a *Args[T]) checkParts(s *shape) {
	if !a.W.Takes(a.Parts) || !s.flat() {
		panic("nhwc: parts of what is not one pixel for each position")
	}
	all := 0
	for _, p := range a.Parts {
		if len(p.X) != a.N*product3(s.in)*p.C {
			panic("nhwc: sizes do not fit")
		}
		all += p.C
	}
	if all != a.W.C {
		panic("nhwc: sizes do not fit")
	}
}

// parts makes each unit of channels that all parts are whole numbers of a segment, as a tap
// of a larger kernel is one.
func (r *dense[T]) parts() {
	r.checkParts(&r.shape)
	r.cg = 0
	for _, p := range r.Parts {
		r.cg = gcd(r.cg, p.C)
	}
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

// byParts computes row i of a depthwise convolution of single pixels whose X is in parts.
func (r *depthwise) byParts(i int, out []float32, lim *[2]float32, l *lists) {
	taps, list := r.Table.Taps32(r.W.lanes), l.grow(1)
	for o := range r.out[2] {
		first := 0
		for j := range r.Parts {
			p := &r.Parts[j]
			if p.C == 0 {
				continue
			}
			var bias unsafe.Pointer
			if r.B != nil {
				bias = unsafe.Pointer(&r.B[first])
			}
			list[0] = uintptr(unsafe.Pointer(&p.X[(i*r.out[2]+o)*p.C]))
			taps(p.C, unsafe.Pointer(&out[o*r.c+first]), unsafe.Pointer(&list[0]), 1, unsafe.Pointer(&r.W.depthwise[first]), bias, unsafe.Pointer(lim))
			first += p.C
		}
	}
}
