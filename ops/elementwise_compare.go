package ops

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/tensor"
)

//go:noinline
func equalPair[T tensor.Element]() pair[T, T, bool] {
	return pair[T, T, bool]{
		vv: func(d []bool, a, b []T) { zipVV(d, a, b, func(x, y T) bool { return x == y }) },
		vs: func(d []bool, a []T, b T) { zipVS(d, a, b, func(x, y T) bool { return x == y }) },
		sv: func(d []bool, a T, b []T) { zipSV(d, a, b, func(x, y T) bool { return x == y }) },
	}
}

//go:noinline
func lessPair[T number]() pair[T, T, bool] {
	return pair[T, T, bool]{
		vv: func(d []bool, a, b []T) { zipVV(d, a, b, func(x, y T) bool { return x < y }) },
		vs: func(d []bool, a []T, b T) { zipVS(d, a, b, func(x, y T) bool { return x < y }) },
		sv: func(d []bool, a T, b []T) { zipSV(d, a, b, func(x, y T) bool { return x < y }) },
	}
}

//go:noinline
func lessOrEqualPair[T number]() pair[T, T, bool] {
	return pair[T, T, bool]{
		vv: func(d []bool, a, b []T) { zipVV(d, a, b, func(x, y T) bool { return x <= y }) },
		vs: func(d []bool, a []T, b T) { zipVS(d, a, b, func(x, y T) bool { return x <= y }) },
		sv: func(d []bool, a T, b []T) { zipSV(d, a, b, func(x, y T) bool { return x <= y }) },
	}
}

// flip returns the pair that takes its arguments the other way round.
//
//go:noinline
func flip[A, B, R tensor.Element](p pair[A, B, R]) pair[B, A, R] {
	return pair[B, A, R]{
		vv:   func(d []R, b []B, a []A) { p.vv(d, a, b) },
		vs:   func(d []R, b []B, a A) { p.sv(d, a, b) },
		sv:   func(d []R, b B, a []A) { p.vs(d, a, b) },
		rows: flipRows(p.rows),
	}
}

//go:noinline
func flipRows(r *vec.Rows) *vec.Rows {
	if r == nil {
		return nil
	}
	flip := func(f func(dst, a, b unsafe.Pointer, n, rows, sa, sb int)) func(dst, b, a unsafe.Pointer, n, rows, sb, sa int) {
		return func(dst, b, a unsafe.Pointer, n, rows, sb, sa int) { f(dst, a, b, n, rows, sa, sb) }
	}
	return &vec.Rows{VV: flip(r.VV), VS: flip(r.SV), SV: flip(r.VS)}
}

func lessTable(t *vec.Table) byType {
	f := withRows(lessPair[float32](), &t.Less.Float32)
	return merge(integerPairs(
		lessPair[int8]().kernel(), lessPair[int16]().kernel(), withRows(lessPair[int32](), &t.Less.Int32).kernel(), withRows(lessPair[int64](), &t.Less.Int64).kernel(),
		lessPair[uint8]().kernel(), lessPair[uint16]().kernel(), lessPair[uint32]().kernel(), lessPair[uint64]().kernel()),
		byType{
			tensor.Float32: f.kernel(), tensor.Float64: withRows(lessPair[float64](), &t.Less.Float64).kernel(),
			tensor.Float16: widenCompare[tensor.F16](f).kernel(), tensor.BFloat16: widenCompare[tensor.BF16](f).kernel(),
		})
}

func greaterTable(t *vec.Table) byType {
	f := flip(withRows(lessPair[float32](), &t.Less.Float32))
	return merge(integerPairs(
		flip(lessPair[int8]()).kernel(), flip(lessPair[int16]()).kernel(), flip(withRows(lessPair[int32](), &t.Less.Int32)).kernel(), flip(withRows(lessPair[int64](), &t.Less.Int64)).kernel(),
		flip(lessPair[uint8]()).kernel(), flip(lessPair[uint16]()).kernel(), flip(lessPair[uint32]()).kernel(), flip(lessPair[uint64]()).kernel()),
		byType{
			tensor.Float32: f.kernel(), tensor.Float64: flip(withRows(lessPair[float64](), &t.Less.Float64)).kernel(),
			tensor.Float16: widenCompare[tensor.F16](f).kernel(), tensor.BFloat16: widenCompare[tensor.BF16](f).kernel(),
		})
}

func lessOrEqualTable(t *vec.Table) byType {
	f := withRows(lessOrEqualPair[float32](), &t.LessOrEqual.Float32)
	return merge(integerPairs(
		lessOrEqualPair[int8]().kernel(), lessOrEqualPair[int16]().kernel(), withRows(lessOrEqualPair[int32](), &t.LessOrEqual.Int32).kernel(), withRows(lessOrEqualPair[int64](), &t.LessOrEqual.Int64).kernel(),
		lessOrEqualPair[uint8]().kernel(), lessOrEqualPair[uint16]().kernel(), lessOrEqualPair[uint32]().kernel(), lessOrEqualPair[uint64]().kernel()),
		byType{
			tensor.Float32: f.kernel(), tensor.Float64: withRows(lessOrEqualPair[float64](), &t.LessOrEqual.Float64).kernel(),
			tensor.Float16: widenCompare[tensor.F16](f).kernel(), tensor.BFloat16: widenCompare[tensor.BF16](f).kernel(),
		})
}

func greaterOrEqualTable(t *vec.Table) byType {
	f := flip(withRows(lessOrEqualPair[float32](), &t.LessOrEqual.Float32))
	return merge(integerPairs(
		flip(lessOrEqualPair[int8]()).kernel(), flip(lessOrEqualPair[int16]()).kernel(), flip(withRows(lessOrEqualPair[int32](), &t.LessOrEqual.Int32)).kernel(), flip(withRows(lessOrEqualPair[int64](), &t.LessOrEqual.Int64)).kernel(),
		flip(lessOrEqualPair[uint8]()).kernel(), flip(lessOrEqualPair[uint16]()).kernel(), flip(lessOrEqualPair[uint32]()).kernel(), flip(lessOrEqualPair[uint64]()).kernel()),
		byType{
			tensor.Float32: f.kernel(), tensor.Float64: flip(withRows(lessOrEqualPair[float64](), &t.LessOrEqual.Float64)).kernel(),
			tensor.Float16: widenCompare[tensor.F16](f).kernel(), tensor.BFloat16: widenCompare[tensor.BF16](f).kernel(),
		})
}

func equalTable(t *vec.Table) byType {
	f := withRows(equalPair[float32](), &t.Equal.Float32)
	return merge(wrappingKernels(equalPair[uint8]().erase(nil), equalPair[uint16]().erase(nil), withRows(equalPair[uint32](), &t.Equal.Int32).erase(nil), withRows(equalPair[uint64](), &t.Equal.Int64).erase(nil)),
		byType{
			tensor.Float32: f.kernel(), tensor.Float64: withRows(equalPair[float64](), &t.Equal.Float64).kernel(),
			tensor.Float16: widenCompare[tensor.F16](f).kernel(), tensor.BFloat16: widenCompare[tensor.BF16](f).kernel(),
			tensor.Bool: boolPair([4]bool{true, false, false, true}).kernel(), tensor.String: equalPair[string]().kernel(),
		})
}
