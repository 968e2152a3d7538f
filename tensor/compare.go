package tensor

import (
	"bytes"
	"fmt"
	"math"
	"slices"
)

// Tolerance bounds what counts as equal. Floats: |got - want| <= Abs + Rel*|want|,
// NaN equals NaN, infinities by sign. Complex numbers: both parts so. Everything
// else must be equal. The zero Tolerance stands for DefaultTolerance. For
// bfloat16, Rel is at least 2^-6: one step of the last place or two.
type Tolerance struct{ Rel, Abs float64 }

// DefaultTolerance is the one of ONNX's own backend tests.
var DefaultTolerance = Tolerance{Rel: 1e-3, Abs: 1e-7}

// Compare returns nil if got equals want within tol, else an error that says
// what differs: for tensors the number of elements, the first and the worst of
// them and the largest errors. The kind of value, element types, shapes,
// lengths, presence and map keys must agree.
func Compare(got, want Value, tol Tolerance) error {
	if isNil(got) || isNil(want) {
		if isNil(got) && isNil(want) {
			return nil
		}
		return fmt.Errorf("%v, want %v", describe(got), describe(want))
	}
	switch w := want.(type) {
	case *Tensor:
		if g, ok := got.(*Tensor); ok {
			return compareTensors(g, w, tol)
		}
	case *Sequence:
		if g, ok := got.(*Sequence); ok {
			return compareSequences(g, w, tol)
		}
	case *Optional:
		if g, ok := got.(*Optional); ok {
			return Compare(g.Elem, w.Elem, tol)
		}
	case *Map:
		if g, ok := got.(*Map); ok {
			if err := compareTensors(g.Keys, w.Keys, tol); err != nil {
				return fmt.Errorf("keys: %w", err)
			}
			if err := compareTensors(g.Values, w.Values, tol); err != nil {
				return fmt.Errorf("values: %w", err)
			}
			return nil
		}
	case *Sparse:
		if g, ok := got.(*Sparse); ok {
			return compareSparse(g, w, tol)
		}
	}
	return fmt.Errorf("%v, want %v", got, want)
}

func isNil(v Value) bool {
	switch v := v.(type) {
	case nil:
		return true
	case *Tensor:
		return v == nil
	case *Sequence:
		return v == nil
	case *Optional:
		return v == nil
	case *Map:
		return v == nil
	case *Sparse:
		return v == nil
	}
	return false
}

func describe(v Value) string {
	if isNil(v) {
		return "nothing"
	}
	return v.String()
}

func compareSequences(g, w *Sequence, tol Tolerance) error {
	if len(g.Elems) != len(w.Elems) {
		return fmt.Errorf("%v, want %v", g, w)
	}
	if len(w.Elems) == 0 && g.DType != w.DType && g.DType != Undefined && w.DType != Undefined {
		return fmt.Errorf("empty sequence of %v, want %v", g.DType, w.DType)
	}
	for i := range w.Elems {
		if err := Compare(g.Elems[i], w.Elems[i], tol); err != nil {
			return fmt.Errorf("element %d of the sequence: %w", i, err)
		}
	}
	return nil
}

func compareSparse(g, w *Sparse, tol Tolerance) error {
	if !slices.Equal(g.Shape, w.Shape) {
		return fmt.Errorf("%v, want %v", g, w)
	}
	if err := compareTensors(g.Indices, w.Indices, tol); err != nil {
		return fmt.Errorf("indices: %w", err)
	}
	if err := compareTensors(g.Values, w.Values, tol); err != nil {
		return fmt.Errorf("values: %w", err)
	}
	return nil
}

func compareTensors(g, w *Tensor, tol Tolerance) error {
	if g.dtype != w.dtype || !slices.Equal(g.shape, w.shape) {
		return fmt.Errorf("%v, want %v", g, w)
	}
	d, err := Diff(g, w, tol)
	if err != nil {
		return err
	}
	if d.Wrong == 0 {
		return nil
	}
	return &MismatchError{Difference: d, Type: w.dtype, first: [2]any{g.At(d.First), w.At(d.First)},
		worst: [2]any{g.At(d.Worst), w.At(d.Worst)}, shape: w.shape}
}

// MismatchError is what Compare returns, wrapped or not, about tensors of the
// same type and shape with different elements.
type MismatchError struct {
	Difference
	Type         DType
	shape        []int
	first, worst [2]any // got, want
}

// Error describes the difference in one line.
func (e *MismatchError) Error() string {
	s := fmt.Sprintf("%d of %d elements of %v %v differ; first at %v: %v, want %v", e.Wrong, e.Len, e.Type, e.shape,
		index(e.First, e.shape), show(e.first[0]), show(e.first[1]))
	if !e.Type.IsFloat() && !e.Type.IsComplex() {
		return s
	}
	if e.Worst != e.First {
		s += fmt.Sprintf("; worst at %v: %v, want %v", index(e.Worst, e.shape), show(e.worst[0]), show(e.worst[1]))
	}
	return s + fmt.Sprintf("; max absolute error %.3g, max relative error %.3g", e.MaxAbs, e.MaxRel)
}

func show(v any) string {
	if s, ok := v.(string); ok {
		if len(s) > 60 {
			return fmt.Sprintf("%q…", s[:60])
		}
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprint(v)
}

// index returns the coordinates of element i of a tensor with the given shape.
func index(i int, shape []int) []int {
	at := make([]int, len(shape))
	for k := len(shape) - 1; k >= 0; k-- {
		at[k] = i % shape[k]
		i /= shape[k]
	}
	return at
}

// Difference tells how far two tensors of one element type and length are
// apart. The errors are of floats and complex numbers; they are infinite where
// one of two elements is NaN or infinite and the other is not the same, and
// zero for other types.
type Difference struct {
	Len   int // elements compared
	Wrong int // elements that are not equal within the tolerance
	First int // index of the first wrong element; -1 if there is none
	Worst int // index of the wrong element farthest off by the rule |got-want| / (Abs + Rel*|want|); -1 if there is none

	MaxAbs float64 // largest |got - want|
	MaxRel float64 // largest |got - want| / |want| where want is not 0
	RelL2  float64 // L2 norm of got - want by that of want; 0 if the former is 0
}

// Diff returns the difference between two tensors of the same element type and
// number of elements; shapes are not looked at. Other tensors are an error.
func Diff(got, want *Tensor, tol Tolerance) (Difference, error) {
	d := Difference{Len: want.n, First: -1, Worst: -1}
	if got.dtype != want.dtype || got.n != want.n {
		return d, fmt.Errorf("%v, want %v", got, want)
	}
	if tol == (Tolerance{}) {
		tol = DefaultTolerance
	}
	if want.dtype == BFloat16 {
		tol.Rel = max(tol.Rel, 1.0/64)
	}
	m := meter{tol: tol, d: &d}
	switch t := want.dtype; {
	case t == Float32:
		a, b := Data[float32](got), Data[float32](want)
		for i, y := range b {
			m.float(i, float64(a[i]), float64(y))
		}
	case t.IsFloat():
		a, err := Float64s(got)
		if err != nil {
			return d, err
		}
		b, err := Float64s(want)
		if err != nil {
			return d, err
		}
		for i, y := range b {
			m.float(i, a[i], y)
		}
	case t == Complex64:
		a, b := Data[complex64](got), Data[complex64](want)
		for i, y := range b {
			m.float(i, float64(real(a[i])), float64(real(y)))
			m.float(i, float64(imag(a[i])), float64(imag(y)))
		}
	case t == Complex128:
		a, b := Data[complex128](got), Data[complex128](want)
		for i, y := range b {
			m.float(i, real(a[i]), real(y))
			m.float(i, imag(a[i]), imag(y))
		}
	case t == String:
		for i, s := range want.str {
			if got.str[i] != s {
				m.wrong(i, 1)
			}
		}
	case t.IsPacked():
		for i := range want.n {
			if got.PackedCode(i) != want.PackedCode(i) {
				m.wrong(i, 1)
			}
		}
	case t == Bool: // any byte but 0 is true
		for i, v := range want.data {
			if (v != 0) != (got.data[i] != 0) {
				m.wrong(i, 1)
			}
		}
	default:
		size := t.Size()
		if !bytes.Equal(got.data, want.data) {
			for i := range want.n {
				if !bytes.Equal(got.data[i*size:(i+1)*size], want.data[i*size:(i+1)*size]) {
					m.wrong(i, 1)
				}
			}
		}
	}
	m.finish()
	return d, nil
}

// meter accumulates a Difference.
type meter struct {
	tol          Tolerance
	d            *Difference
	worst        float64
	last         int // last wrong element, plus 1
	diff2, want2 float64
}

func (m *meter) float(i int, x, y float64) {
	if x == y || x != x && y != y {
		if !math.IsInf(y, 0) && y == y {
			m.want2 += y * y
		}
		return
	}
	e, a := math.Abs(x-y), math.Abs(y)
	if e != e || math.IsInf(e, 0) || math.IsInf(a, 0) {
		m.d.MaxAbs, m.d.MaxRel, m.diff2 = math.Inf(1), math.Inf(1), math.Inf(1)
		m.wrong(i, math.Inf(1))
		return
	}
	m.d.MaxAbs = max(m.d.MaxAbs, e)
	if a > 0 {
		m.d.MaxRel = max(m.d.MaxRel, e/a)
	}
	m.diff2 += e * e
	m.want2 += y * y
	if bound := m.tol.Abs + m.tol.Rel*a; e > bound {
		m.wrong(i, e/bound)
	}
}

func (m *meter) wrong(i int, by float64) {
	if m.last != i+1 { // the parts of a complex number count once
		m.d.Wrong++
		m.last = i + 1
	}
	if m.d.First < 0 {
		m.d.First = i
	}
	if m.d.Worst < 0 || by > m.worst {
		m.d.Worst, m.worst = i, by
	}
}

func (m *meter) finish() {
	switch {
	case m.diff2 == 0:
	case m.want2 == 0 || math.IsInf(m.diff2, 0):
		m.d.RelL2 = math.Inf(1)
	default:
		m.d.RelL2 = math.Sqrt(m.diff2 / m.want2)
	}
}
