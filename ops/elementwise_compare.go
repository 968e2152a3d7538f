package ops

import "github.com/gneiss-run/gneiss/tensor"

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
func flip[A, B, R tensor.Element](p pair[A, B, R]) pair[B, A, R] {
	return pair[B, A, R]{
		vv: func(d []R, b []B, a []A) { p.vv(d, a, b) },
		vs: func(d []R, b []B, a A) { p.sv(d, a, b) },
		sv: func(d []R, b B, a []A) { p.vs(d, a, b) },
	}
}

func lessTable() byType {
	f := lessPair[float32]()
	return merge(integerPairs(
		lessPair[int8]().kernel(), lessPair[int16]().kernel(), lessPair[int32]().kernel(), lessPair[int64]().kernel(),
		lessPair[uint8]().kernel(), lessPair[uint16]().kernel(), lessPair[uint32]().kernel(), lessPair[uint64]().kernel()),
		byType{
			tensor.Float32: f.kernel(), tensor.Float64: lessPair[float64]().kernel(),
			tensor.Float16: widenCompare[tensor.F16](f).kernel(), tensor.BFloat16: widenCompare[tensor.BF16](f).kernel(),
		})
}

func greaterTable() byType {
	f := flip(lessPair[float32]())
	return merge(integerPairs(
		flip(lessPair[int8]()).kernel(), flip(lessPair[int16]()).kernel(), flip(lessPair[int32]()).kernel(), flip(lessPair[int64]()).kernel(),
		flip(lessPair[uint8]()).kernel(), flip(lessPair[uint16]()).kernel(), flip(lessPair[uint32]()).kernel(), flip(lessPair[uint64]()).kernel()),
		byType{
			tensor.Float32: f.kernel(), tensor.Float64: flip(lessPair[float64]()).kernel(),
			tensor.Float16: widenCompare[tensor.F16](f).kernel(), tensor.BFloat16: widenCompare[tensor.BF16](f).kernel(),
		})
}

func lessOrEqualTable() byType {
	f := lessOrEqualPair[float32]()
	return merge(integerPairs(
		lessOrEqualPair[int8]().kernel(), lessOrEqualPair[int16]().kernel(), lessOrEqualPair[int32]().kernel(), lessOrEqualPair[int64]().kernel(),
		lessOrEqualPair[uint8]().kernel(), lessOrEqualPair[uint16]().kernel(), lessOrEqualPair[uint32]().kernel(), lessOrEqualPair[uint64]().kernel()),
		byType{
			tensor.Float32: f.kernel(), tensor.Float64: lessOrEqualPair[float64]().kernel(),
			tensor.Float16: widenCompare[tensor.F16](f).kernel(), tensor.BFloat16: widenCompare[tensor.BF16](f).kernel(),
		})
}

func greaterOrEqualTable() byType {
	f := flip(lessOrEqualPair[float32]())
	return merge(integerPairs(
		flip(lessOrEqualPair[int8]()).kernel(), flip(lessOrEqualPair[int16]()).kernel(), flip(lessOrEqualPair[int32]()).kernel(), flip(lessOrEqualPair[int64]()).kernel(),
		flip(lessOrEqualPair[uint8]()).kernel(), flip(lessOrEqualPair[uint16]()).kernel(), flip(lessOrEqualPair[uint32]()).kernel(), flip(lessOrEqualPair[uint64]()).kernel()),
		byType{
			tensor.Float32: f.kernel(), tensor.Float64: flip(lessOrEqualPair[float64]()).kernel(),
			tensor.Float16: widenCompare[tensor.F16](f).kernel(), tensor.BFloat16: widenCompare[tensor.BF16](f).kernel(),
		})
}

func equalTable() byType {
	f := equalPair[float32]()
	return merge(wrappingKernels(equalPair[uint8]().erase(nil), equalPair[uint16]().erase(nil), equalPair[uint32]().erase(nil), equalPair[uint64]().erase(nil)),
		byType{
			tensor.Float32: f.kernel(), tensor.Float64: equalPair[float64]().kernel(),
			tensor.Float16: widenCompare[tensor.F16](f).kernel(), tensor.BFloat16: widenCompare[tensor.BF16](f).kernel(),
			tensor.Bool: equalPair[bool]().kernel(), tensor.String: equalPair[string]().kernel(),
		})
}
