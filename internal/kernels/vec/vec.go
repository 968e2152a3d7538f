// Package vec holds the routines that run over plain vectors of float32:
// arithmetic and the functions that neural networks use. Each instruction set
// has a Table of them; callers take Best.
package vec

import "github.com/gneiss-run/gneiss/internal/cpu"

// Table is one implementation of every routine of this package. In all of
// them dst may be the same slice as an input, the inputs are at least as long
// as dst, and exactly len(dst) elements are computed. Safe for concurrent use.
//
// The functions of one variable follow IEEE 754 where it speaks: NaN gives
// NaN, infinities and signed zeros give their limits, subnormal numbers are
// not flushed. Their error is below 2 units in the last place.
type Table struct {
	Name string // level of package cpu

	// dst[i] = a[i] op b[i]
	Add, Sub, Mul, Div func(dst, a, b []float32)
	// dst[i] = a[i] op s
	AddScalar, MulScalar func(dst, a []float32, s float32)

	Relu     func(dst, x []float32)                 // max(x, 0); NaN stays NaN
	Clip     func(dst, x []float32, lo, hi float32) // min(max(x, lo), hi); NaN stays NaN
	Exp      func(dst, x []float32)                 // e^x
	Log      func(dst, x []float32)                 // natural logarithm
	Tanh     func(dst, x []float32)
	Sigmoid  func(dst, x []float32) // 1 / (1 + e^-x)
	Erf      func(dst, x []float32)
	Softplus func(dst, x []float32)                // log(1 + e^x)
	Gelu     func(dst, x []float32)                // x/2 * (1 + erf(x/sqrt(2)))
	GeluTanh func(dst, x []float32)                // x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715*x^3)))
	Swish    func(dst, x []float32, alpha float32) // x / (1 + e^(-alpha*x))
	Mish     func(dst, x []float32)                // x * tanh(softplus(x))
	Elu      func(dst, x []float32, alpha float32) // x where x >= 0, else alpha * (e^x - 1)
}

// Tables are the tables that this machine can run, slowest first.
var Tables = append([]*Table{&generic}, archTables()...)

// Best returns the fastest table that may be used now (see package cpu). Ask
// when a kernel is built, not in an init: the level may be capped later.
func Best() *Table {
	for i := len(Tables) - 1; i > 0; i-- {
		if cpu.Has(Tables[i].Name) {
			return Tables[i]
		}
	}
	return Tables[0]
}
