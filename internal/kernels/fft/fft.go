// Package fft computes discrete Fourier transforms of any length in float64.
//
// Lengths whose prime factors are 2, 3 and 5 are done by Stockham's method,
// which needs no reordering, others as a convolution with a chirp, by Bluestein's
// (Van Loan, Computational Frameworks for the Fast Fourier Transform, 1992,
// sections 1.7 and 4.2).
package fft

import (
	"math"
	"math/cmplx"
	"sync"
)

// Plan is what transforms of one length share. It may be used concurrently.
type Plan struct {
	n      int
	stages []stage
	half   *Plan        // of n/2 elements, for even n
	turns  []complex128 // exp(-2πi·k/n) for k up to n/2
	chirp  *chirp       // for lengths with other factors
	lines  sync.Pool    // of *Line
}

// Line is room for one transform: X for its elements, Work for what it needs.
type Line struct{ X, Work []complex128 }

// Line returns room with undefined contents, to be given back to Done.
func (p *Plan) Line() *Line {
	if l, ok := p.lines.Get().(*Line); ok {
		return l
	}
	both := make([]complex128, 2*p.n)
	return &Line{both[:p.n], both[p.n:]}
}

// Done ends the use of l.
func (p *Plan) Done(l *Line) { p.lines.Put(l) }

// stage is a pass of butterflies of radix elements each.
type stage struct {
	radix, m, s int
	turns       []complex128 // radix-1 factors for each of m butterflies
}

// New returns the plan for n elements, n being 1 or more.
func New(n int) *Plan {
	p := newComplex(n)
	if n%2 == 0 {
		p.half = newComplex(n / 2)
		p.turns = make([]complex128, n/2+1)
		for k := range p.turns {
			p.turns[k] = turn(k, n)
		}
	}
	return p
}

func newComplex(n int) *Plan {
	p := &Plan{n: n}
	rest, s := n, 1
	for _, radix := range []int{4, 2, 3, 5} {
		for rest%radix == 0 {
			t := stage{radix: radix, m: rest / radix, s: s}
			for k := range t.m {
				for j := 1; j < radix; j++ {
					t.turns = append(t.turns, turn(j*k, rest))
				}
			}
			p.stages = append(p.stages, t)
			rest, s = t.m, s*radix
		}
	}
	if rest > 1 {
		p.stages, p.chirp = nil, newChirp(n)
	}
	return p
}

// turn returns exp(-2πi·k/n).
func turn(k, n int) complex128 {
	sin, cos := math.Sincos(-2 * math.Pi * float64(k%n) / float64(n))
	return complex(cos, sin)
}

// Len returns the number of elements of a transform.
func (p *Plan) Len() int { return p.n }

// Forward sets x to Σj x[j]·exp(-2πi·jk/n). x and work have n elements; what is
// left in work is undefined.
func (p *Plan) Forward(x, work []complex128) {
	x, work = x[:p.n], work[:p.n]
	if p.n == 1 {
		return
	}
	if p.chirp != nil {
		p.chirp.run(x)
		return
	}
	from, to := x, work
	for i := range p.stages {
		p.stages[i].run(to, from)
		from, to = to, from
	}
	if &from[0] != &x[0] {
		copy(x, from)
	}
}

// Inverse sets x to Σj x[j]·exp(2πi·jk/n), without the factor 1/n.
func (p *Plan) Inverse(x, work []complex128) {
	conjugate(x[:p.n])
	p.Forward(x, work)
	conjugate(x[:p.n])
}

// chirp is a transform of n elements as a convolution: with c[k] = exp(-πi·k²/n)
// it is c[k]·Σj x[j]·c[j]·conj(c[k-j]).
type chirp struct {
	c, filter []complex128 // filter: transform of the conjugate chirp
	plan      *Plan        // of the convolution
}

func newChirp(n int) *chirp {
	m := 1
	for m < 2*n-1 {
		m *= 2
	}
	c := &chirp{c: make([]complex128, n), filter: make([]complex128, m), plan: newComplex(m)}
	square := 0 // k² modulo 2n
	for k := range c.c {
		c.c[k] = turn(square, 2*n)
		square = (square + 2*k + 1) % (2 * n)
		c.filter[k] = cmplx.Conj(c.c[k])
		if k > 0 {
			c.filter[m-k] = c.filter[k]
		}
	}
	c.plan.Forward(c.filter, make([]complex128, m))
	for i := range c.filter {
		c.filter[i] *= complex(1/float64(m), 0)
	}
	return c
}

func (c *chirp) run(x []complex128) {
	l := c.plan.Line()
	a, work := l.X, l.Work
	for i, v := range x {
		a[i] = v * c.c[i]
	}
	clear(a[len(x):])
	c.plan.Forward(a, work)
	for i, v := range c.filter {
		a[i] = a[i] * v
	}
	c.plan.Inverse(a, work)
	for i, v := range c.c {
		x[i] = a[i] * v
	}
	c.plan.Done(l)
}

func conjugate(x []complex128) {
	for i, v := range x {
		x[i] = cmplx.Conj(v)
	}
}

// Real computes the first n/2+1 results of the transform of real numbers: x has
// n elements, of which the imaginary parts are not read, and gets the results.
func (p *Plan) Real(x, work []complex128) {
	if p.half == nil {
		for i, v := range x[:p.n] {
			x[i] = complex(real(v), 0)
		}
		p.Forward(x, work)
		return
	}
	m := p.n / 2
	for j := range m {
		x[j] = complex(real(x[2*j]), real(x[2*j+1]))
	}
	p.half.Forward(x, work)
	x[m] = x[0]
	for k := 0; k <= m/2; k++ {
		a, b := x[k], x[m-k]
		even, odd := a+cmplx.Conj(b), a-cmplx.Conj(b)
		x[k] = 0.5 * (even - 1i*p.turns[k]*odd)
		even, odd = cmplx.Conj(even), -cmplx.Conj(odd)
		x[m-k] = 0.5 * (even - 1i*p.turns[m-k]*odd)
	}
}

// InverseReal is the inverse of Real, without the factor 1/n: x has n elements,
// of which the first n/2+1 are read, and gets real numbers. The imaginary parts
// of the first one, and for even n of the last, are taken to be 0.
func (p *Plan) InverseReal(x, work []complex128) {
	x[0] = complex(real(x[0]), 0)
	if p.half == nil {
		for k := 1; k < (p.n+1)/2; k++ {
			x[p.n-k] = cmplx.Conj(x[k])
		}
		p.Inverse(x, work)
		return
	}
	m := p.n / 2
	x[m] = complex(real(x[m]), 0)
	for k := 0; k <= m/2; k++ {
		a, b := x[k], x[m-k]
		even, odd := a+cmplx.Conj(b), a-cmplx.Conj(b)
		x[k] = even + 1i*cmplx.Conj(p.turns[k])*odd
		even, odd = cmplx.Conj(even), -cmplx.Conj(odd)
		x[m-k] = even + 1i*cmplx.Conj(p.turns[m-k])*odd
	}
	p.half.Inverse(x, work)
	for j := m - 1; j >= 0; j-- {
		x[2*j], x[2*j+1] = complex(real(x[j]), 0), complex(imag(x[j]), 0)
	}
}

func (t *stage) run(y, x []complex128) {
	switch t.radix {
	case 2:
		t.two(y, x)
	case 3:
		t.three(y, x)
	case 4:
		t.four(y, x)
	default:
		t.five(y, x)
	}
}

// in returns the rows of s elements that butterfly k reads, out those it writes.
func (t *stage) in(x []complex128, k, j int) []complex128 { return x[t.s*(k+t.m*j):][:t.s] }
func (t *stage) out(y []complex128, k, j int) []complex128 {
	return y[t.s*(t.radix*k+j):][:t.s]
}

func (t *stage) two(y, x []complex128) {
	for k := range t.m {
		w := t.turns[k]
		x0, x1, y0, y1 := t.in(x, k, 0), t.in(x, k, 1), t.out(y, k, 0), t.out(y, k, 1)
		for q, a := range x0 {
			b := x1[q]
			y0[q], y1[q] = a+b, w*(a-b)
		}
	}
}

func (t *stage) three(y, x []complex128) {
	sin := math.Sqrt(3) / 2
	for k := range t.m {
		w1, w2 := t.turns[2*k], t.turns[2*k+1]
		x0, x1, x2 := t.in(x, k, 0), t.in(x, k, 1), t.in(x, k, 2)
		y0, y1, y2 := t.out(y, k, 0), t.out(y, k, 1), t.out(y, k, 2)
		for q, a := range x0 {
			sum, diff := x1[q]+x2[q], x1[q]-x2[q]
			mid := complex(real(a)-0.5*real(sum), imag(a)-0.5*imag(sum))
			side := complex(sin*imag(diff), -sin*real(diff)) // -i·sin·diff
			y0[q], y1[q], y2[q] = a+sum, w1*(mid+side), w2*(mid-side)
		}
	}
}

func (t *stage) four(y, x []complex128) {
	for k := range t.m {
		w1, w2, w3 := t.turns[3*k], t.turns[3*k+1], t.turns[3*k+2]
		x0, x1, x2, x3 := t.in(x, k, 0), t.in(x, k, 1), t.in(x, k, 2), t.in(x, k, 3)
		y0, y1, y2, y3 := t.out(y, k, 0), t.out(y, k, 1), t.out(y, k, 2), t.out(y, k, 3)
		for q, a := range x0 {
			b, c, d := x1[q], x2[q], x3[q]
			s, u := a+c, a-c
			v, e := b+d, b-d
			r := complex(imag(e), -real(e)) // -i·(b-d)
			y0[q], y1[q], y2[q], y3[q] = s+v, w1*(u+r), w2*(s-v), w3*(u-r)
		}
	}
}

func (t *stage) five(y, x []complex128) {
	sin1, cos1 := math.Sincos(2 * math.Pi / 5)
	sin2, cos2 := math.Sincos(4 * math.Pi / 5)
	for k := range t.m {
		w := t.turns[4*k:][:4]
		x0, x1, x2, x3, x4 := t.in(x, k, 0), t.in(x, k, 1), t.in(x, k, 2), t.in(x, k, 3), t.in(x, k, 4)
		y0, y1, y2, y3, y4 := t.out(y, k, 0), t.out(y, k, 1), t.out(y, k, 2), t.out(y, k, 3), t.out(y, k, 4)
		for q, a := range x0 {
			s1, d1, s2, d2 := x1[q]+x4[q], x1[q]-x4[q], x2[q]+x3[q], x2[q]-x3[q]
			m1 := complex(real(a)+cos1*real(s1)+cos2*real(s2), imag(a)+cos1*imag(s1)+cos2*imag(s2))
			m2 := complex(real(a)+cos2*real(s1)+cos1*real(s2), imag(a)+cos2*imag(s1)+cos1*imag(s2))
			r1 := complex(sin1*imag(d1)+sin2*imag(d2), -sin1*real(d1)-sin2*real(d2))
			r2 := complex(sin2*imag(d1)-sin1*imag(d2), -sin2*real(d1)+sin1*real(d2))
			y0[q] = a + s1 + s2
			y1[q], y2[q], y3[q], y4[q] = w[0]*(m1+r1), w[1]*(m2+r2), w[2]*(m2-r2), w[3]*(m1-r1)
		}
	}
}
