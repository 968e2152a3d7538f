package ops

import "github.com/gneiss-run/gneiss/internal/kernels/vec"

// logSums makes logarithms of sums of exponentials of many lines, side by side. Exponentials are at
// most 1, which the largest of a line is. Where no other comes near, they decide the logarithm: so
// those of 1 are counted, and the others added up alone.
type logSums struct {
	n                                    int
	ones, rest, partOnes, part, floor, u [softmaxPanel]float32
}

// begin starts with n lines.
func (l *logSums) begin(n int) {
	l.n = n
	clear(l.ones[:n])
	clear(l.rest[:n])
	clear(l.partOnes[:n])
	clear(l.part[:n])
}

// add takes rows exponentials of each line, which it writes over.
func (l *logSums) add(t *vec.Table, e []float32, rows int) {
	for i := range rows {
		row, floor := e[i*l.n:][:l.n], l.floor[:l.n]
		t.Floor(floor, row)
		t.Add(l.partOnes[:l.n], l.partOnes[:l.n], floor)
		t.Sub(row, row, floor)
	}
	t.AddColumns(l.part[:l.n], e, rows, l.n)
}

// join ends a part of the sums: those of up to 32 exponentials stay exact.
func (l *logSums) join(t *vec.Table) {
	n := l.n
	t.Add(l.ones[:n], l.ones[:n], l.partOnes[:n])
	t.Add(l.rest[:n], l.rest[:n], l.part[:n])
	clear(l.partOnes[:n])
	clear(l.part[:n])
}

// of sets y to the logarithms.
//
// log(1+r) is log(u)·r/(u-1), where u is 1+r rounded: the quotient takes back what u lost. See
// D. Goldberg, What Every Computer Scientist Should Know About Floating-Point Arithmetic, theorem 4.
func (l *logSums) of(t *vec.Table, y []float32) {
	n := l.n
	ones, rest, u, q := l.ones[:n], l.rest[:n], l.u[:n], l.floor[:n]
	t.Add(u, ones, rest)
	t.AddScalar(q, u, -1)
	t.Div(q, rest, q)
	t.Log(y, u)
	for i, v := range u {
		switch {
		case v == 1:
			y[i] = rest[i]
		case v < 1.5: // ones is 1
			y[i] *= q[i]
		}
	}
}
