// Package vec holds the routines that run over plain vectors of float32:
// arithmetic, the functions that neural networks use, sums and extremes; and
// arithmetic of float64 and comparisons. Each instruction set has a Table of
// them; callers take Best.
package vec

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// Table is one implementation of every routine of this package. In all of
// them dst may be the same slice as an input, the inputs are at least as long
// as dst, and exactly len(dst) elements are computed. Safe for concurrent use.
//
// The functions of one variable follow IEEE 754 where it speaks: NaN gives
// NaN, infinities give their limits. Their error is below 9 units in the last
// place, or below 8e-7 where a formula cancels (Gelu below 0); where a function
// vanishes, results below 1e-9 are not exact to all digits.
type Table struct {
	Name string // level of package cpu

	// dst[i] = a[i] op b[i]
	Add, Sub, Mul, Div func(dst, a, b []float32)
	// dst[i] = a[i] op s
	AddScalar, MulScalar func(dst, a []float32, s float32)
	// Arith are all forms of the operators of two operands, by Op.
	Arith [NumOps]Arith
	// Float64 are the operators of float64, Int32 and Int64 those of integers, which wrap around.
	Float64, Int32, Int64 [NumOps]Rows
	// Exp64, Tanh64 and Log64 are functions of float64, within 3 units in the last place.
	Exp64, Tanh64, Log64 func(dst, x []float64)
	// Functions of float64 that are exact to the last place.
	Abs64, Neg64, Sqrt64, Floor64, Reciprocal64 func(dst, x []float64)
	// Comparisons give a byte of 0 or 1 for each element; NaN is not less than and not equal to anything.
	Less, LessOrEqual, Equal Comparison

	Relu     func(dst, x []float32)                 // max(x, 0); NaN stays NaN
	Clip     func(dst, x []float32, lo, hi float32) // min(max(x, lo), hi); NaN stays NaN
	Exp      func(dst, x []float32)                 // e^x
	Log      func(dst, x []float32)                 // natural logarithm
	Tanh     func(dst, x []float32)
	Sin, Cos func(dst, x []float32) // in radians, within one unit in the last place
	// Atan, Asin and Acos are in radians, within 3 units in the last place.
	Atan, Asin, Acos func(dst, x []float32)
	Sigmoid          func(dst, x []float32) // 1 / (1 + e^-x)
	Erf              func(dst, x []float32)
	Softplus         func(dst, x []float32)                // log(1 + e^x)
	Gelu             func(dst, x []float32)                // x/2 * (1 + erf(x/sqrt(2)))
	GeluTanh         func(dst, x []float32)                // x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715*x^3)))
	Swish            func(dst, x []float32, alpha float32) // x / (1 + e^(-alpha*x))
	Mish             func(dst, x []float32)                // x * tanh(softplus(x))
	Elu              func(dst, x []float32, alpha float32) // x where x >= 0, else alpha * (e^x - 1)

	Sqrt, Abs, Neg, Square, Reciprocal func(dst, x []float32)
	Round, Floor, Ceil, Trunc          func(dst, x []float32)                // Round: halves to even
	HardSwish                          func(dst, x []float32)                // x * min(max(x/6 + 1/2, 0), 1)
	HardSigmoid                        func(dst, x []float32, a, b float32)  // min(max(a*x + b, 0), 1)
	LeakyRelu                          func(dst, x []float32, alpha float32) // x where x >= 0, else alpha * x
	Affine                             func(dst, x []float32, a, b float32)  // a*x + b, rounded once

	// Sums are made of float32 sums over at most 256 elements, each of which
	// is the sum of at least 32 lanes, and added in float64.
	Sum        func(x []float32) float64
	SumAbs     func(x []float32) float64
	SumSquares func(x []float32, m float32) float64 // Σ (x-m)²
	// Largest and Smallest are -Inf and +Inf of no elements, NaN if there is one.
	Largest, Smallest func(x []float32) float32
	// ExpSum sets dst = e^(x*scale - shift), which must not be above 1, and
	// returns the sum.
	ExpSum func(dst, x []float32, scale, shift float32) float64
	// Normalize sets dst = (x - mean) * inv * scale + bias; scale and bias may
	// be nil.
	Normalize func(dst, x []float32, mean, inv float32, scale, bias []float32)
	// Steps of recurrent networks for len(h) hidden units: pre are the products
	// of the inputs with all biases that are not given apart, rec those of the
	// state. Gates lie stride elements apart. dst may be h.
	//
	// LSTM: gates in the order i, o, f, g. c = σ(f)·c + σ(i)·tanh(g), h = σ(o)·tanh(c).
	LSTM func(h, c, pre, rec []float32, stride int)
	// LSTMKeep is LSTM, and leaves σ(i), σ(o), σ(f) and tanh(g) in pre and c in cells.
	LSTMKeep func(h, c, cells, pre, rec []float32, stride int)
	// LSTMBack goes a step of LSTMKeep back, for len(dc) hidden units: dh and dc are the gradients of h
	// and c after the step, dc then that of before, the cell state before it; gates are what
	// LSTMKeep left in pre. The gradients of what went into the functions of the gates
	// go to out and copied. Gates of all three lie stride elements apart.
	LSTMBack func(out, copied, dc, dh, c, before, gates []float32, stride int)
	// GRU: gates in the order z, r, h. dst = (1-z)·tanh(ph + r·(rh + bias)) + z·h.
	GRU func(dst, h, pre, rec, bias []float32, stride int)
	// GRUReset: dst = σ(pre + rec)·h.
	GRUReset func(dst, h, pre, rec []float32)
	// GRUBlend: dst = (1-z)·tanh(preH + recH) + z·h, z = σ(pre + rec).
	GRUBlend func(dst, h, pre, rec, preH, recH []float32)
	// Adam does a step of Adam for len(w) elements: w, m and v are what was, w2, m2 and v2 what
	// will be, which may be the same. Nil: not written.
	Adam func(w2, w, g, m2, m, v2, v []float32, scale float32, r *AdamRates)
	// AddColumns adds to acc rows rows of x that begin stride elements apart.
	AddColumns func(acc, x []float32, rows, stride int)
	// MaxColumns and MinColumns set acc to the extremes of it and rows rows of x that begin stride
	// elements apart, NaN where there is one.
	MaxColumns, MinColumns func(acc, x []float32, rows, stride int)
	// ArgColumns are by Arg: where an element of rows of x that begin stride elements apart is better than that of best,
	// it takes its place, and at becomes the row's number, the first's being first. NaN is not better and
	// nothing is better than NaN.
	ArgColumns [NumArgs]func(at []int32, best, x []float32, rows, stride, first int)
	// AddSquares adds to acc the squares of what rows of x that begin stride elements apart differ
	// by from v, which has an element for each row.
	AddSquares func(acc, x, v []float32, stride int)
}

// AdamRates are the numbers of a step of Adam:
//
//	d = scale·g + Decay·w    m' = B1·m + A1·d    v' = B2·v + A2·d²
//	w' = Keep·w - Rate·m'/(Correct·√v' + Eps)
type AdamRates struct {
	Decay, B1, A1, B2, A2, Correct, Eps, Rate, Keep float32
}

// Op is an operator of two operands.
type Op int

// The operators. Max and Min give NaN if an operand is.
const (
	Add Op = iota
	Sub
	Mul
	Div
	Max
	Min
	NumOps
)

// Arg says what is better.
type Arg int

// The last ones are better than what equals them.
const (
	ArgMax Arg = iota
	ArgMin
	ArgMaxLast
	ArgMinLast
	NumArgs
)

// Arith is an operator of two operands.
type Arith struct {
	VV func(dst, a, b []float32)                   // dst[i] = a[i] op b[i]
	VS func(dst, a []float32, b float32)           // dst[i] = a[i] op b
	SV func(dst []float32, a float32, b []float32) // dst[i] = a op b[i]
	// The same over rows of n elements: those of dst follow each other, those
	// of a and b begin sa and sb elements apart (0: one row for all). RowsVS and
	// RowsSV take a single element of b or a for each row.
	RowsVV, RowsVS, RowsSV func(dst, a, b []float32, n, rows, sa, sb int)
}

// Rows are the forms of an operator of two operands of any type over rows of n elements: those of dst follow
// each other, those of a and b begin sa and sb bytes apart (0: one row for all). VS and SV take a
// single element of b or a for each row. dst may be an operand of its size. Nil: not written.
type Rows struct{ VV, VS, SV rowsFunc }

type rowsFunc = func(dst, a, b unsafe.Pointer, n, rows, sa, sb int)

// Comparison is a comparison by the type of its operands.
type Comparison struct{ Float32, Float64, Int32, Int64 Rows }

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

// sumPiece is the number of elements that are summed in float32.
const sumPiece = 256
