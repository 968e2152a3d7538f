package onnx

import (
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Arithmetic on Dims is exact integer arithmetic: a result evaluates to what
// the operations give, whenever these are defined (no division by zero, no
// overflow). It is unknown if an operand is, if a number overflows or if the
// expression grows beyond maxDimText; only 0 times an unknown dim is 0.

// Name returns the dimension with the symbolic size name, which may be any
// text; what is no plain identifier is quoted in Expr. An empty name is unknown.
func Name(name string) Dim {
	if name == "" {
		return Dim{}
	}
	return Dim{expr: quoteName(name)}
}

// Param returns the text by which the dimension is written as a dim_param: the
// name itself or the expression; "" for sizes and unknown dims.
func (d Dim) Param() string {
	if d.expr == "" {
		return ""
	}
	if end := scanAtom(d.expr, 0); end == len(d.expr) && d.expr[0] == '"' {
		return unquoteName(d.expr)
	}
	return d.expr
}

// Names returns the sorted names in the expression.
func (d Dim) Names() []string {
	if d.expr == "" {
		return nil
	}
	var names []string
	var walk func(poly)
	walk = func(p poly) {
		for _, t := range p {
			for _, a := range t.mono {
				kind, args := splitAtom(a)
				if kind == nameAtom {
					names = append(names, unquoteName(a))
				}
				for _, x := range args {
					walk(x)
				}
			}
		}
	}
	walk(parsePoly(d.expr))
	slices.Sort(names)
	return slices.Compact(names)
}

// poly returns d as a polynomial. d is known.
func (d Dim) poly() poly {
	if d.known {
		return constPoly(d.size)
	}
	return parsePoly(d.expr)
}

// Add returns d + e.
func (d Dim) Add(e Dim) Dim {
	switch {
	case !d.Known() || !e.Known():
		return Dim{}
	case d.Is(0):
		return e
	case e.Is(0):
		return d
	case d.known && e.known:
		return sizeIf(addInt(d.size, e.size))
	}
	return addPoly(d.poly(), e.poly(), 1).dim()
}

// Sub returns d - e.
func (d Dim) Sub(e Dim) Dim {
	switch {
	case !d.Known() || !e.Known():
		return Dim{}
	case e.Is(0):
		return d
	case d == e:
		return Size(0)
	case d.known && e.known:
		return sizeIf(subInt(d.size, e.size))
	}
	return addPoly(d.poly(), e.poly(), -1).dim()
}

// Mul returns d * e.
func (d Dim) Mul(e Dim) Dim {
	switch {
	case d.Is(0) || e.Is(0):
		return Size(0)
	case !d.Known() || !e.Known():
		return Dim{}
	case d.Is(1):
		return e
	case e.Is(1):
		return d
	case d.known && e.known:
		return sizeIf(mulInt(d.size, e.size))
	}
	return mulPoly(d.poly(), e.poly()).dim()
}

// FloorDiv returns d / e rounded down. It is unknown if e is 0.
func (d Dim) FloorDiv(e Dim) Dim {
	switch {
	case !d.Known() || !e.Known() || e.Is(0):
		return Dim{}
	case e.Is(1):
		return d
	case d == e:
		return Size(1)
	case d.known && e.known:
		return sizeIf(floorInt(d.size, e.size))
	}
	return floorPoly(d.poly(), e.poly()).dim()
}

// CeilDiv returns d / e rounded up. It is unknown if e is 0.
func (d Dim) CeilDiv(e Dim) Dim {
	if n, ok := e.Size(); ok && n > 0 {
		return d.Add(Size(n - 1)).FloorDiv(e)
	}
	return Size(0).Sub(Size(0).Sub(d).FloorDiv(e))
}

// Max returns the larger of d and e.
func (d Dim) Max(e Dim) Dim { return d.extreme(e, maxAtom) }

// Min returns the smaller of d and e.
func (d Dim) Min(e Dim) Dim { return d.extreme(e, minAtom) }

func (d Dim) extreme(e Dim, kind atomKind) Dim {
	switch {
	case !d.Known() || !e.Known():
		return Dim{}
	case d == e:
		return d
	case d.known && e.known && kind == maxAtom:
		return Size(max(d.size, e.size))
	case d.known && e.known:
		return Size(min(d.size, e.size))
	case d.known:
		d, e = e, d
	}
	if e.known && !strings.HasPrefix(d.expr, atomPrefix[kind]) {
		// A number and what is none differ by no constant: neither is left out.
		a, b := d.expr, strconv.Itoa(e.size)
		if b < a {
			a, b = b, a
		}
		return atomPoly(atomPrefix[kind] + a + "," + b + ")").dim()
	}
	return extremePoly(kind, d.poly(), e.poly()).dim()
}

// NonNegative reports whether d is known to be 0 or more whatever sizes its
// names stand for. False means that it is not known.
func (d Dim) NonNegative() bool {
	switch {
	case !d.Known():
		return false
	case d.known:
		return d.size >= 0
	}
	return d.poly().nonNegative()
}

// CappedBy returns n if d is min(e, n) with a number n.
func (d Dim) CappedBy(e Dim) (n int, ok bool) {
	if d.known || d.expr == "" || !e.Known() {
		return 0, false
	}
	p := d.poly()
	if len(p) != 1 || p[0].coef != 1 || len(p[0].mono) != 1 || !strings.HasPrefix(p[0].mono[0], atomPrefix[minAtom]) {
		return 0, false
	}
	_, args := splitAtom(p[0].mono[0])
	if len(args) != 2 {
		return 0, false
	}
	for i, a := range args {
		if n, ok := a.constant(); ok && args[1-i].dim().Equal(e) {
			return n, true
		}
	}
	return 0, false
}

// Eval returns the size of d when the names have the given sizes. It is false
// if d is unknown, a name is missing, a divisor is 0 or a number overflows.
func (d Dim) Eval(names map[string]int) (int, bool) {
	switch {
	case d.known:
		return d.size, true
	case d.expr == "":
		return 0, false
	}
	return compilePoly(parsePoly(d.expr))(names)
}

// Compile returns a function that does what Eval does, without parsing the
// expression again. It is safe for concurrent use.
func (d Dim) Compile() func(names map[string]int) (int, bool) {
	if d.known || d.expr == "" {
		return d.Eval
	}
	return compilePoly(parsePoly(d.expr))
}

// Subst returns d with names replaced; those that are not in the map stay.
func (d Dim) Subst(names map[string]Dim) Dim {
	if d.expr == "" {
		return d
	}
	return substPoly(parsePoly(d.expr), names)
}

func substPoly(p poly, names map[string]Dim) Dim {
	sum := Size(0)
	for _, t := range p {
		prod := Size(t.coef)
		for _, a := range t.mono {
			prod = prod.Mul(substAtom(a, names))
		}
		sum = sum.Add(prod)
	}
	return sum
}

func substAtom(a string, names map[string]Dim) Dim {
	kind, args := splitAtom(a)
	if kind == nameAtom {
		if d, ok := names[unquoteName(a)]; ok {
			return d
		}
		return Dim{expr: a}
	}
	out := substPoly(args[0], names)
	for _, p := range args[1:] {
		x := substPoly(p, names)
		switch kind {
		case floorAtom:
			out = out.FloorDiv(x)
		case maxAtom:
			out = out.Max(x)
		case minAtom:
			out = out.Min(x)
		}
	}
	return out
}

type evalFunc = func(map[string]int) (int, bool)

func compilePoly(p poly) evalFunc {
	type step struct {
		coef  int
		atoms []evalFunc
	}
	steps := make([]step, len(p))
	for i, t := range p {
		steps[i].coef = t.coef
		for _, a := range t.mono {
			steps[i].atoms = append(steps[i].atoms, compileAtom(a))
		}
	}
	return func(names map[string]int) (int, bool) {
		sum := 0
		for _, s := range steps {
			n := s.coef
			for _, f := range s.atoms {
				v, ok := f(names)
				if !ok {
					return 0, false
				}
				if n, ok = mulInt(n, v); !ok {
					return 0, false
				}
			}
			var ok bool
			if sum, ok = addInt(sum, n); !ok {
				return 0, false
			}
		}
		return sum, true
	}
}

func compileAtom(a string) evalFunc {
	kind, args := splitAtom(a)
	if kind == nameAtom {
		name := unquoteName(a)
		return func(names map[string]int) (int, bool) { n, ok := names[name]; return n, ok }
	}
	fs := make([]evalFunc, len(args))
	for i, p := range args {
		fs[i] = compilePoly(p)
	}
	return func(names map[string]int) (int, bool) {
		n, ok := fs[0](names)
		for _, f := range fs[1:] {
			m, ok2 := f(names)
			if !ok || !ok2 {
				return 0, false
			}
			switch kind {
			case floorAtom:
				n, ok = floorInt(n, m)
			case maxAtom:
				n = max(n, m)
			case minAtom:
				n = min(n, m)
			}
		}
		return n, ok
	}
}

func sizeIf(n int, ok bool) Dim {
	if !ok {
		return Dim{}
	}
	return Size(n)
}

func addInt(a, b int) (int, bool) {
	s := a + b
	return s, (a < 0) != (b < 0) || (s < 0) == (a < 0)
}

func subInt(a, b int) (int, bool) {
	s := a - b
	return s, (a < 0) == (b < 0) || (s < 0) == (a < 0)
}

func mulInt(a, b int) (int, bool) {
	if a == 0 || b == 0 {
		return 0, true
	}
	const least = -1 << (bits.UintSize - 1)
	if a == least && b == -1 || b == least && a == -1 {
		return 0, false
	}
	p := a * b
	return p, p/b == a
}

func floorInt(a, b int) (int, bool) {
	const least = -1 << (bits.UintSize - 1)
	if b == 0 || a == least && b == -1 {
		return 0, false
	}
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q, true
}

// isIdent reports whether name can stand in an expression as it is.
func isIdent(name string) bool {
	for i := range len(name) {
		if !identByte(name[i]) || i == 0 && (digit(name[i]) || name[i] == '.') {
			return false
		}
	}
	return name != ""
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func identByte(c byte) bool {
	return c == '_' || c == '.' || digit(c) || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// quoteName returns name as an atom. Quotes and backslashes get a backslash.
func quoteName(name string) string {
	if isIdent(name) {
		return name
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

func unquoteName(atom string) string {
	if atom[0] != '"' {
		return atom
	}
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(atom[1 : len(atom)-1])
}
