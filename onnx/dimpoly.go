package onnx

import (
	"slices"
	"strconv"
	"strings"
)

// The expression of a Dim is the canonical text of a polynomial: terms in
// graded lexicographic order of their atoms, joined by + and -, each a
// coefficient and atoms joined by *. An atom is a name, floor(a/b), max(a,b,…)
// or min(a,b,…) with polynomials within. Monomials hold atoms as text, which
// makes them comparable; an atom is taken apart only where that is needed.

const (
	maxDimText  = 400 // bytes of an expression
	maxDimTerms = 32  // terms of a polynomial
)

type atomKind uint8

const (
	nameAtom atomKind = iota
	floorAtom
	maxAtom
	minAtom
)

var atomPrefix = [...]string{floorAtom: "floor(", maxAtom: "max(", minAtom: "min("}

type term struct {
	coef int
	mono []string // sorted atoms, with repetition; not written to
}

// poly is a sum of terms with distinct monomials in order and no zero
// coefficients. nil stands for a polynomial that could not be computed; zero is
// an empty slice that is not nil.
type poly []term

func constPoly(n int) poly {
	if n == 0 {
		return poly{}
	}
	return poly{{coef: n}}
}

// constant returns the value of a polynomial without atoms.
func (p poly) constant() (int, bool) {
	switch {
	case p == nil:
		return 0, false
	case len(p) == 0:
		return 0, true
	}
	return p[0].coef, len(p) == 1 && len(p[0].mono) == 0
}

// dim returns the Dim of p, unknown if p is nil or too large.
func (p poly) dim() Dim {
	if p == nil {
		return Dim{}
	}
	if n, ok := p.constant(); ok {
		return Size(n)
	}
	if len(p) > maxDimTerms {
		return Dim{}
	}
	s := p.String()
	if len(s) > maxDimText {
		return Dim{}
	}
	return Dim{expr: s}
}

// String returns the canonical text.
func (p poly) String() string {
	if len(p) == 0 {
		return "0"
	}
	var b strings.Builder
	for i, t := range p {
		if i > 0 && t.coef > 0 {
			b.WriteByte('+')
		}
		switch {
		case len(t.mono) == 0:
			b.WriteString(strconv.Itoa(t.coef))
			continue
		case t.coef == -1:
			b.WriteByte('-')
		case t.coef != 1:
			b.WriteString(strconv.Itoa(t.coef))
			b.WriteByte('*')
		}
		for j, a := range t.mono {
			if j > 0 {
				b.WriteByte('*')
			}
			b.WriteString(a)
		}
	}
	return b.String()
}

// parsePoly reads what poly.String has written.
func parsePoly(s string) poly {
	p := poly{}
	for i := 0; i < len(s); {
		t := term{coef: 1}
		start := i
		if s[i] == '+' {
			i++
			start++
		} else if s[i] == '-' {
			i++
			t.coef = -1
		}
		if digit(s[i]) {
			for i < len(s) && digit(s[i]) {
				i++
			}
			t.coef, _ = strconv.Atoi(s[start:i])
			if i == len(s) || s[i] != '*' {
				p = append(p, t)
				continue
			}
			i++
		}
		for {
			end := scanAtom(s, i)
			t.mono = append(t.mono, s[i:end])
			i = end
			if i == len(s) || s[i] != '*' {
				break
			}
			i++
		}
		p = append(p, t)
	}
	return p
}

// scanAtom returns the end of the atom that begins at s[i].
func scanAtom(s string, i int) int {
	if s[i] == '"' {
		return scanQuoted(s, i)
	}
	for i < len(s) && identByte(s[i]) {
		i++
	}
	if i < len(s) && s[i] == '(' {
		return scanParens(s, i)
	}
	return i
}

func scanQuoted(s string, i int) int {
	for i++; s[i] != '"'; i++ {
		if s[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// scanParens returns the end of the parenthesis that opens at s[i].
func scanParens(s string, i int) int {
	for depth := 0; ; {
		switch s[i] {
		case '"':
			i = scanQuoted(s, i)
			continue
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
}

// splitAtom returns the kind of an atom and its operands.
func splitAtom(a string) (atomKind, []poly) {
	if a[len(a)-1] != ')' { // a quoted name ends in a quote
		return nameAtom, nil
	}
	kind := floorAtom
	switch a[1] {
	case 'a':
		kind = maxAtom
	case 'i':
		kind = minAtom
	}
	body := a[len(atomPrefix[kind]) : len(a)-1]
	sep := byte(',')
	if kind == floorAtom {
		sep = '/'
	}
	var args []poly
	start := 0
	cut := func(end int) {
		x := body[start:end]
		if x[0] == '(' {
			x = x[1 : len(x)-1]
		}
		if x == "0" {
			args = append(args, poly{})
		} else {
			args = append(args, parsePoly(x))
		}
		start = end + 1
	}
	for i := 0; i < len(body); {
		switch body[i] {
		case '"':
			i = scanQuoted(body, i)
		case '(':
			i = scanParens(body, i)
		case sep:
			cut(i)
			i++
		default:
			i++
		}
	}
	cut(len(body))
	return kind, args
}

// atomPoly returns the polynomial that is one atom.
func atomPoly(atom string) poly {
	if len(atom) > maxDimText {
		return nil
	}
	return poly{{coef: 1, mono: []string{atom}}}
}

// compareMono orders monomials: higher degree first, then by atoms. It is an
// admissible order, so long division by the first terms ends.
func compareMono(a, b []string) int {
	if len(a) != len(b) {
		return len(b) - len(a)
	}
	return slices.Compare(a, b)
}

// addPoly returns a + sign*b; sign is 1 or -1.
func addPoly(a, b poly, sign int) poly {
	if a == nil || b == nil {
		return nil
	}
	out := make(poly, 0, len(a)+len(b))
	for len(a) > 0 || len(b) > 0 {
		c := 0
		switch {
		case len(b) == 0:
			c = -1
		case len(a) == 0:
			c = 1
		default:
			c = compareMono(a[0].mono, b[0].mono)
		}
		if c < 0 {
			out = append(out, a[0])
			a = a[1:]
			continue
		}
		n, ok := mulInt(b[0].coef, sign)
		if c == 0 && ok {
			n, ok = addInt(a[0].coef, n)
			a = a[1:]
		}
		if !ok {
			return nil
		}
		if n != 0 {
			out = append(out, term{n, b[0].mono})
		}
		b = b[1:]
	}
	return out
}

// mulTerm returns p * t. Multiplying by a monomial keeps the order.
func mulTerm(p poly, t term) poly {
	if p == nil {
		return nil
	}
	out := make(poly, len(p))
	for i, x := range p {
		n, ok := mulInt(x.coef, t.coef)
		if !ok {
			return nil
		}
		out[i] = term{n, mulMono(x.mono, t.mono)}
	}
	return out
}

func mulMono(a, b []string) []string {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	}
	m := slices.Concat(a, b)
	slices.Sort(m)
	return m
}

func mulPoly(a, b poly) poly {
	if a == nil || b == nil || len(a) > maxDimTerms || len(b) > maxDimTerms {
		return nil
	}
	out := poly{}
	for _, t := range b {
		out = addPoly(out, mulTerm(a, t), 1)
	}
	return out
}

// divMono returns a / b if b divides a.
func divMono(a, b []string) ([]string, bool) {
	if len(b) == 0 {
		return a, true
	}
	var rest []string
	j := 0
	for _, x := range a {
		if j < len(b) && b[j] == x {
			j++
			continue
		}
		rest = append(rest, x)
	}
	return rest, j == len(b)
}

// longDivision returns q and r with a = q*b + r, where no term of r that the
// first monomial of b divides has a coefficient outside [0, first coefficient
// of b), which is positive.
func longDivision(a, b poly) (q, r poly) {
	q, r = poly{}, a
	lead := b[0]
	for i, steps := 0, 0; i < len(r); {
		rest, ok := divMono(r[i].mono, lead.mono)
		n := 0
		if ok {
			n, _ = floorInt(r[i].coef, lead.coef)
		}
		if n == 0 {
			i++
			continue
		}
		if steps++; steps > 4*maxDimTerms {
			return nil, nil
		}
		t := term{n, rest}
		q = addPoly(q, poly{t}, 1)
		if r = addPoly(r, mulTerm(b, t), -1); q == nil || r == nil {
			return nil, nil
		}
	}
	return q, r
}

// floorPoly returns floor(a/b).
func floorPoly(a, b poly) poly {
	if a == nil || len(b) == 0 { // not computed, or a division by zero
		return nil
	}
	if b[0].coef < 0 { // floor(a/b) = floor(-a/-b)
		a, b = mulTerm(a, term{coef: -1}), mulTerm(b, term{coef: -1})
		if a == nil || b == nil {
			return nil
		}
	}
	q, r := longDivision(a, b)
	if q == nil {
		return nil
	}
	if n, ok := b.constant(); ok {
		return addPoly(q, floorByConst(r, n), 1)
	}
	if len(r) == 0 {
		return q
	}
	r, b = cancel(r, b)
	if n, ok := b.constant(); ok { // it may have become one
		return addPoly(q, floorPoly(r, constPoly(n)), 1)
	}
	return addPoly(q, floorAtomOf(r, b), 1)
}

// floorByConst returns floor(r/n) for n > 0 and coefficients of r in [0, n).
func floorByConst(r poly, n int) poly {
	if len(r) == 0 || n == 1 {
		return r // with n = 1 nothing is left
	}
	if k, ok := r.constant(); ok {
		k, _ = floorInt(k, n)
		return constPoly(k)
	}
	// floor((g*e+k)/(g*m)) = floor((e+floor(k/g))/m)
	g := n
	for _, t := range r {
		if len(t.mono) > 0 {
			g = gcd(g, t.coef)
		}
	}
	if g > 1 {
		s := make(poly, 0, len(r))
		for _, t := range r {
			if c := t.coef / g; c != 0 {
				s = append(s, term{c, t.mono})
			}
		}
		return floorPoly(s, constPoly(n/g))
	}
	if p := unnest(r, n); p != nil {
		return p
	}
	// Of floor(a/n) and -floor((n-1-a)/n), which are equal, the one with the
	// smaller first coefficient.
	if lead := r[0].coef; lead > n-lead {
		s := addPoly(constPoly(n-1), r, -1)
		q, rest := longDivision(s, constPoly(n))
		if q == nil {
			return nil
		}
		f := unnest(rest, n)
		if f == nil {
			f = floorAtomOf(rest, constPoly(n))
		}
		return mulTerm(addPoly(q, f, 1), term{coef: -1})
	}
	return floorAtomOf(r, constPoly(n))
}

// unnest returns floor((e+floor(x/m))/n) as floor((m*e+x)/(m*n)), if r is of
// that form with one such atom and constant m; else, and on overflow, nil.
func unnest(r poly, n int) poly {
	at := -1
	var x poly
	m := 0
	for i, t := range r {
		if len(t.mono) != 1 || !strings.HasPrefix(t.mono[0], atomPrefix[floorAtom]) {
			continue
		}
		_, args := splitAtom(t.mono[0])
		k, ok := args[1].constant()
		if !ok || t.coef != 1 {
			continue
		}
		if at >= 0 {
			return nil
		}
		at, x, m = i, args[0], k
	}
	if at < 0 {
		return nil
	}
	mn, ok := mulInt(m, n)
	if !ok {
		return nil
	}
	e := slices.Concat(r[:at], r[at+1:])
	if e == nil {
		e = poly{}
	}
	return floorPoly(addPoly(mulTerm(e, term{coef: m}), x, 1), constPoly(mn))
}

// cancel divides r and b, which are not zero, by the constant and the atoms
// that all their terms share.
func cancel(r, b poly) (poly, poly) {
	g, shared := 0, r[0].mono
	for _, p := range []poly{r, b} {
		for _, t := range p {
			g = gcd(g, t.coef)
			var both []string
			rest := t.mono
			for _, a := range shared {
				if i := slices.Index(rest, a); i >= 0 {
					both = append(both, a)
					rest = rest[i+1:]
				}
			}
			shared = both
		}
	}
	if g <= 1 && len(shared) == 0 {
		return r, b
	}
	divide := func(p poly) poly {
		out := make(poly, len(p))
		for i, t := range p {
			m, _ := divMono(t.mono, shared)
			out[i] = term{t.coef / max(g, 1), m}
		}
		return out
	}
	return divide(r), divide(b)
}

// gcd returns the greatest common divisor; negative only if it is math.MinInt.
func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	if a < 0 {
		a = -a
	}
	return a
}

func floorAtomOf(a, b poly) poly {
	num, den := a.String(), b.String()
	if len(a) > 1 {
		num = "(" + num + ")"
	}
	if len(b) > 1 || len(b[0].mono) > 0 && (b[0].coef != 1 || len(b[0].mono) > 1) {
		den = "(" + den + ")"
	}
	return atomPoly(atomPrefix[floorAtom] + num + "/" + den + ")")
}

// extremePoly returns the max or min of a and b.
func extremePoly(kind atomKind, a, b poly) poly {
	var args []poly
	for _, p := range []poly{a, b} {
		if len(p) == 1 && p[0].coef == 1 && len(p[0].mono) == 1 && strings.HasPrefix(p[0].mono[0], atomPrefix[kind]) {
			_, inner := splitAtom(p[0].mono[0])
			args = append(args, inner...)
		} else {
			args = append(args, p)
		}
	}
	// Of two operands with a constant difference one is never needed.
	var keep []poly
next:
	for _, p := range args {
		for i, k := range keep {
			if n, ok := addPoly(p, k, -1).constant(); ok {
				if (n > 0) == (kind == maxAtom) {
					keep[i] = p
				}
				continue next
			}
		}
		keep = append(keep, p)
	}
	if len(keep) == 1 {
		return keep[0]
	}
	texts := make([]string, len(keep))
	for i, p := range keep {
		texts[i] = p.String()
	}
	slices.Sort(texts)
	return atomPoly(atomPrefix[kind] + strings.Join(texts, ",") + ")")
}

// nonNegative reports whether p is 0 or more when every name is: each term is,
// or p is a max of which one part is.
func (p poly) nonNegative() bool {
	if p == nil {
		return false
	}
	for _, t := range p {
		if t.coef < 0 {
			return false
		}
		for _, a := range t.mono {
			if !atomNonNegative(a) {
				return false
			}
		}
	}
	return true
}

func atomNonNegative(a string) bool {
	kind, args := splitAtom(a)
	switch kind {
	case nameAtom:
		return true
	case floorAtom: // a divisor of 0 has no value
		return args[0].nonNegative() && args[1].nonNegative()
	case maxAtom:
		return slices.ContainsFunc(args, poly.nonNegative)
	}
	return !slices.ContainsFunc(args, func(p poly) bool { return !p.nonNegative() })
}
