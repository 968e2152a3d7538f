package ops

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/move"
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.Distances: Y[i, j] = Σ |A[i] - B[j]|^power, the distances of rows without the root
// at the end. This operator is private: a Scan that computes them row by row becomes it.
//
//	A: T[m, k]    B: T[n, k]    Y: T[m, n]
//
// Differences are raised, and not powers subtracted, so equal rows have distance 0.
//
// T: float32, float64. The attribute power is 2 without a value.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Scan.html
func init() {
	register(&Op{
		Domain: Private, Name: "Distances", Numerics: Rounding,
		Versions: []Version{{Since: 1, In: N(2), Out: N(1), Infer: inferDistances, Build: buildDistances}},
	})
}

func inferDistances(c *InferContext) error {
	a, b := c.In(0), c.In(1)
	dims := make([]onnx.Dim, 2)
	for i, t := range []onnx.Type{a, b} {
		if t.Ranked && len(t.Dims) != 2 {
			return fmt.Errorf("input %d has %d dimensions, want 2", i, len(t.Dims))
		}
		if t.Ranked {
			dims[i] = t.Dims[0]
		}
	}
	c.Out[0] = onnx.TensorType(a.DType, dims...)
	return nil
}

func buildDistances(b *BuildContext) (Kernel, error) {
	return distancesBetween(b, float64(b.Float("power", 2)), false)
}

// distancesBetween returns the kernel of sums of differences raised to power, or of the
// square roots of the sums.
func distancesBetween(b *BuildContext, power float64, root bool) (Kernel, error) {
	d := distances{t: vec.Best(), power: power, root: root}
	if t := b.Const(1); t != nil && t.DType() == tensor.Float32 && t.Rank() == 2 {
		p, err := b.Pack(1, "columns", func() (any, error) { return columnsOf(tensor.Data[float32](t), nil, t.Dim(0), t.Dim(1)), nil })
		if err != nil {
			return nil, err
		}
		d.columns, d.n, d.k = p.([]float32), t.Dim(0), t.Dim(1)
	}
	d.raise = raiser(d.t, d.power)
	return b.dispatch(0, byType{tensor.Float32: d.float32, tensor.Float64: d.float64})
}

// distances are those of rows from given ones, of which columns is the transpose if they are constant.
type distances struct {
	t       *vec.Table
	power   float64
	raise   func([]float32) // raises differences of any sign to the power, in place
	root    bool
	columns []float32
	n, k    int
}

// columnsOf returns the transpose of x, in dst if there is one.
func columnsOf(x, dst []float32, rows, cols int) []float32 {
	if dst == nil {
		dst = make([]float32, rows*cols)
	}
	if len(dst) > 0 {
		move.Transpose(float32Words(dst), float32Words(x), cols, rows, rows, cols)
	}
	return dst
}

// float32Words returns the bits of the elements of v.
func float32Words(v []float32) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(v))), len(v))
}

func notRows(a, b *tensor.Tensor) error {
	return fmt.Errorf("A is %v, B is %v: want rows of the same type and length", a, b)
}

func (d distances) float32(c *Call) error {
	at, bt := c.T(0), c.T(1)
	if d.columns == nil {
		if at.Rank() != 2 || bt == nil || bt.Rank() != 2 || at.Dim(1) != bt.Dim(1) || at.DType() != bt.DType() {
			return notRows(at, bt)
		}
		d.n, d.k = bt.Dim(0), bt.Dim(1)
		d.columns = columnsOf(tensor.Data[float32](bt), Scratch[float32](c, d.n*d.k), d.n, d.k)
	} else if at.Rank() != 2 || at.Dim(1) != d.k {
		return fmt.Errorf("A is %v, want rows of the same length as those of B, %d", at, d.k)
	}
	m, n := at.Dim(0), d.n
	x, out := tensor.Data[float32](at), tensor.Data[float32](c.Output(0, at.DType(), m, n))
	blocks := (n + rowsBlock - 1) / rowsBlock
	par.Each(c.P, m*blocks, par.Grain(m*blocks, float64(min(n, rowsBlock)*d.k)/4), distanceRows{d, x, out, m}, (*distanceRows).run)
	return nil
}

// distanceRows is the work by blocks of columns, which stay near while all rows pass them.
type distanceRows struct {
	distances
	x, out []float32
	m      int // rows
}

func (d *distanceRows) run(lo, hi int) {
	buf := rowsBuffers.Get().(*rowsBuffer)
	defer rowsBuffers.Put(buf)
	for u := lo; u < hi; u++ {
		i, j := u%d.m, u/d.m*rowsBlock
		sums, row := d.out[i*d.n+j:i*d.n+min(j+rowsBlock, d.n)], d.x[i*d.k:][:d.k]
		if d.power == 2 {
			clear(sums)
			d.t.AddSquares(sums, d.columns[j:], row, d.n)
		} else {
			d.sumPowers(sums, row, j, buf)
		}
		if d.root {
			d.t.Sqrt(sums, sums)
		}
	}
}

// sumPowers sets sums, at most rowsBlock, to those of the powers of what columns from first on differ by from row.
func (d *distances) sumPowers(sums, row []float32, first int, buf *rowsBuffer) {
	clear(sums)
	for i := 0; i < len(row); i += rowsDeep {
		deep := min(rowsDeep, len(row)-i)
		part := buf[:deep*len(sums)]
		d.t.Arith[vec.Sub].RowsVS(part, d.columns[i*d.n+first:], row[i:], len(sums), deep, d.n, 1)
		d.raise(part)
		d.t.AddColumns(sums, part, deep, len(sums))
	}
}

// raiser returns what raises differences of any sign to a power, in place.
func raiser(t *vec.Table, power float64) func([]float32) {
	switch power {
	case 1:
		return func(v []float32) { t.Abs(v, v) }
	case 2:
		return nil // by AddSquares
	}
	pow := powFloat32(t).vs
	return func(v []float32) {
		t.Abs(v, v)
		pow(v, v, float32(power))
	}
}

func (d distances) float64(c *Call) error {
	at, bt := c.T(0), c.T(1)
	if at.Rank() != 2 || bt == nil || bt.Rank() != 2 || at.Dim(1) != bt.Dim(1) || at.DType() != bt.DType() {
		return notRows(at, bt)
	}
	m, n, k := at.Dim(0), bt.Dim(0), at.Dim(1)
	x, y := tensor.Data[float64](at), tensor.Data[float64](bt)
	out := tensor.Data[float64](c.Output(0, at.DType(), m, n))
	c.P.For(m, par.Grain(m, float64(n)*float64(k+2)), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row := x[i*k:][:k]
			for j := range n {
				v := powerDistance(row, y[j*k:][:k], d.power)
				if d.root {
					v = math.Sqrt(v)
				}
				out[i*n+j] = v
			}
		}
	})
	return nil
}

func powerDistance(x, y []float64, power float64) float64 {
	if power == 2 {
		return squaredDistance(x, y)
	}
	s := 0.0
	for i, v := range x {
		if d := math.Abs(v - y[i]); power == 1 {
			s += d
		} else {
			s += math.Pow(d, power)
		}
	}
	return s
}

// squaredDistance sums in four accumulators, which the processor can add at once.
func squaredDistance(x, y []float64) float64 {
	var s [4]float64
	for len(x) >= 4 && len(y) >= 4 {
		a, b, c, d := x[0]-y[0], x[1]-y[1], x[2]-y[2], x[3]-y[3]
		s[0], s[1], s[2], s[3] = s[0]+a*a, s[1]+b*b, s[2]+c*c, s[3]+d*d
		x, y = x[4:], y[4:]
	}
	for i, v := range x {
		d := v - y[i]
		s[0] += d * d
	}
	return s[0] + s[1] + (s[2] + s[3])
}
