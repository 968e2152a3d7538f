package runtime

// units is a set of small numbers: of the pieces of a slab that are in use.
type units []uint64

// newUnits returns a set that numbers below n fit in.
func newUnits(n int) units { return make(units, (n+63)/64) }

// ends returns the words of a range that is not empty, and which bits of the first and of the last are in it.
func ends(from, to int) (i, j int, first, last uint64) {
	return from >> 6, (to - 1) >> 6, ^uint64(0) << (from & 63), ^uint64(0) >> (63 - (to-1)&63)
}

// any reports whether there is one from from to to-1.
func (u units) any(from, to int) bool {
	i, j, first, last := ends(from, to)
	if i == j {
		return u[i]&first&last != 0
	}
	or := u[i]&first | u[j]&last
	for _, w := range u[i+1 : j] {
		or |= w
	}
	return or != 0
}

// set adds all from from to to-1.
func (u units) set(from, to int) {
	i, j, first, last := ends(from, to)
	if i == j {
		u[i] |= first & last
		return
	}
	u[i] |= first
	u[j] |= last
	for k := i + 1; k < j; k++ {
		u[k] = ^uint64(0)
	}
}

// unset takes all from from to to-1 away.
func (u units) unset(from, to int) {
	i, j, first, last := ends(from, to)
	if i == j {
		u[i] &^= first & last
		return
	}
	u[i] &^= first
	u[j] &^= last
	clear(u[i+1 : j])
}
