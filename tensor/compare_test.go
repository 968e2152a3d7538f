package tensor

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCompare(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	tight := Tolerance{Rel: 1e-9, Abs: 1e-12}
	f := func(v ...float32) *Tensor { return Of(v) }
	i4, err := Pack(Int4, Of([]int8{1, -2, 3}))
	require.NoError(t, err)
	i4b, err := Pack(Int4, Of([]int8{1, -3, 3}))
	require.NoError(t, err)
	f4, err := Pack(Float4E2M1, Of([]uint8{1, 2, 3}))
	require.NoError(t, err)
	f4b, err := Pack(Float4E2M1, Of([]uint8{1, 2, 4}))
	require.NoError(t, err)
	for _, c := range []struct {
		name      string
		got, want Value
		tol       Tolerance
		err       string
	}{
		{"equal", f(1, nan, inf), f(1, nan, inf), Tolerance{}, ""},
		{"close", f(1.0005), f(1), Tolerance{}, ""},
		{"far", f(1, 1.01, 2.5), f(1, 1, 2), Tolerance{},
			"2 of 3 elements of float32 [3] differ; first at [1]: 1.01, want 1; worst at [2]: 2.5, want 2; max absolute error 0.5, max relative error 0.25"},
		{"nan", f(nan), f(1), Tolerance{}, "first at [0]: NaN, want 1; max absolute error +Inf"},
		{"infinities", f(inf), f(-inf), Tolerance{}, "1 of 1"},
		{"large is not infinite", f(3e38), f(inf), Tolerance{}, "1 of 1"},
		{"shape", Of([]float32{1, 2}, 2, 1), f(1, 2), Tolerance{}, "float32 [2 1], want float32 [2]"},
		{"type", Of([]float64{1}), f(1), Tolerance{}, "float64 [1], want float32 [1]"},
		{"double", Of([]float64{1 + 1e-8}), Of([]float64{1}), tight, "1 of 1"},
		{"bfloat16", Of([]BF16{BF16Of(1.0078125)}), Of([]BF16{BF16Of(1)}), tight, ""},
		{"float16", Of([]F16{F16Of(1.5)}), Of([]F16{F16Of(1)}), Tolerance{}, "first at [0]: 1.5, want 1"},
		{"float8", Of([]F8E5M2{0x40}), Of([]F8E5M2{0x41}), Tolerance{}, "first at [0]: 2, want 2.5"},
		{"float8 within", Of([]F8E5M2{0x40}), Of([]F8E5M2{0x41}), Tolerance{Rel: 0.5}, ""},
		{"int4", i4, i4b, Tolerance{Rel: 9}, "first at [1]: -2, want -3"},
		{"int4 equal", i4, i4, Tolerance{}, ""},
		{"float4", f4, f4b, Tolerance{}, "first at [2]: 1.5, want 2"},
		{"int", Of([]int64{1, 5}, 1, 2), Of([]int64{1, 6}, 1, 2), Tolerance{Abs: 9}, "1 of 2 elements of int64 [1 2] differ; first at [0 1]: 5, want 6"},
		{"bool", Of([]bool{true}), Of([]bool{false}), Tolerance{}, "first at [0]: true, want false"},
		{"string", Of([]string{"a"}), Of([]string{"b"}), Tolerance{}, `first at [0]: "a", want "b"`},
		{"complex", Of([]complex64{1 + 2i}), Of([]complex64{1 + 3i}), Tolerance{}, "1 of 1"},
		{"complex128", Of([]complex128{2 + 2i}), Of([]complex128{1 + 3i}), Tolerance{}, "1 of 1"},
		{"kinds", &Sequence{}, f(1), Tolerance{}, "sequence of 0, want float32 [1]"},
		{"sequence", &Sequence{Elems: []Value{f(1), f(2)}}, &Sequence{Elems: []Value{f(1), f(3)}}, Tolerance{}, "element 1 of the sequence: 1 of 1"},
		{"sequence length", &Sequence{}, &Sequence{Elems: []Value{f(1)}}, Tolerance{}, "sequence of 0, want sequence of 1"},
		{"empty sequences", &Sequence{DType: Float32}, &Sequence{DType: Int64}, Tolerance{}, "empty sequence of float32, want int64"},
		{"optional", &Optional{f(1)}, &Optional{}, Tolerance{}, "float32 [1], want nothing"},
		{"optional equal", &Optional{}, &Optional{}, Tolerance{}, ""},
		{"map", &Map{Of([]string{"a"}), f(1)}, &Map{Of([]string{"a"}), f(2)}, Tolerance{}, "values: 1 of 1"},
		{"map keys", &Map{Of([]string{"a"}), f(1)}, &Map{Of([]string{"b"}), f(1)}, Tolerance{}, "keys: 1 of 1"},
		{"map equal", &Map{Of([]int64{1}), f(1)}, &Map{Of([]int64{1}), f(1)}, Tolerance{}, ""},
		{"sparse", &Sparse{f(1), Of([]int64{0}), []int{3}}, &Sparse{f(1), Of([]int64{1}), []int{3}}, Tolerance{}, "indices: 1 of 1"},
		{"sparse values", &Sparse{f(1), Of([]int64{0}), []int{3}}, &Sparse{f(2), Of([]int64{0}), []int{3}}, Tolerance{}, "values: 1 of 1"},
		{"sparse shape", &Sparse{f(1), Of([]int64{0}), []int{3}}, &Sparse{f(1), Of([]int64{0}), []int{4}}, Tolerance{}, "sparse float32 [3]"},
		{"sparse equal", &Sparse{f(1), Of([]int64{0}), []int{3}}, &Sparse{f(1), Of([]int64{0}), []int{3}}, Tolerance{}, ""},
		{"nil", (*Tensor)(nil), f(1), Tolerance{}, "nothing, want float32 [1]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Compare(c.got, c.want, c.tol)
			if c.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.err)
		})
	}
}

func TestDiff(t *testing.T) {
	d, err := Diff(Of([]float32{3, 4, 1}), Of([]float32{3, 3, 0}), Tolerance{})
	require.NoError(t, err)
	require.Equal(t, Difference{Len: 3, Wrong: 2, First: 1, Worst: 2, MaxAbs: 1, MaxRel: 1.0 / 3, RelL2: 1.0 / 3}, d)
	d, err = Diff(Of([]float64{1}), Of([]float64{0}), Tolerance{Abs: 2})
	require.NoError(t, err)
	require.Equal(t, Difference{Len: 1, First: -1, Worst: -1, MaxAbs: 1, RelL2: math.Inf(1)}, d)
	_, err = Diff(Of([]float32{1}), Of([]float32{}), Tolerance{})
	require.Error(t, err)
}

func TestParseRule(t *testing.T) {
	for in, want := range map[string]Rule{
		`{}`:                     DefaultRule,
		`{"rtol": 0.5}`:          {RTol: 0.5, ATol: 1e-4},
		`{"rel_rms": 0.02}`:      {RTol: 1e-3, ATol: 1e-4, RelRMS: 0.02},
		`{"rtol": 0, "atol": 0}`: {ATol: math.SmallestNonzeroFloat64},
		`{"unordered": true, "rtol": 0.001, "atol": 0.001}`: {RTol: 1e-3, ATol: 1e-3, Unordered: true},
	} {
		r, err := ParseRule([]byte(in))
		require.NoError(t, err)
		require.Equal(t, want, r)
	}
	for _, in := range []string{``, `[]`, `{"tolerance": 1}`, `{} {}`, `{"rtol": -1}`} {
		_, err := ParseRule([]byte(in))
		require.Error(t, err, in)
	}
}

func TestRule(t *testing.T) {
	v := func(x ...Value) []Value { return x }
	one := Of([]float32{1, 100})
	require.NoError(t, Rule{}.Check(v(Of([]float32{1.0009, 100})), v(one), nil))
	require.ErrorContains(t, Rule{}.Check(v(Of([]float32{1.002, 100})), v(one), []string{"y"}), `output "y": 1 of 2`)
	require.ErrorContains(t, Rule{}.Check(nil, v(one), nil), "0 outputs, want 1")
	rms := Rule{RelRMS: 0.01}
	require.NoError(t, rms.Check(v(Of([]float32{1.5, 100})), v(one), nil))
	require.ErrorContains(t, rms.Check(v(Of([]float32{1.5, 102})), v(one), nil), "output 0: relative L2 error 0.0206, want at most 0.01")
	require.Error(t, rms.Check(v(Of([]int64{1})), v(Of([]int64{2})), nil))
	require.Error(t, rms.Check(v(Of([]float32{1}, 1, 1)), v(Of([]float32{1})), nil))
}

func TestUnordered(t *testing.T) {
	v := func(x ...Value) []Value { return x }
	r := Rule{RTol: 1e-3, ATol: 1e-3, Unordered: true}
	boxes := Of([]float32{0, 0, 1, 1, 5, 5, 6, 6, 9, 9, 10, 10}, 3, 4)
	labels, scores := Of([]int64{1, 2, 3}), Of([]float32{.9, .8, .7})
	mixed := Of([]float32{9, 9, 10, 10.001, 0, 0, 1, 1, 5, 5, 6, 6}, 3, 4)
	want := v(boxes, labels, scores)
	require.NoError(t, r.Check(v(mixed, Of([]int64{3, 1, 2}), Of([]float32{.7, .9, .8})), want, nil))
	require.ErrorContains(t, r.Check(v(mixed, Of([]int64{3, 1, 1}), Of([]float32{.7, .9, .8})), want, nil), "3 rows, want 3: 2 match, want 3")
	require.ErrorContains(t, r.Check(v(mixed, Of([]int64{3, 1, 2}), Of([]float32{.7, .9})), want, nil), "output 2: 2 rows, the outputs before have 3")
	require.ErrorContains(t, r.Check(v(mixed, Of([]int32{3, 1, 2}), scores), want, nil), "output 1: int32 [3], want int64 [3]")
	require.ErrorContains(t, r.Check(v(&Sequence{}, labels, scores), want, nil), "output 0: sequence of 0, want a tensor")
	require.Error(t, r.Check(want, v(Scalar[float32](1), labels, scores), nil))

	// Two per cent may be missing; a batch of one is looked through.
	n := 100
	a, b := New(Float32, 1, n, 2), New(Float32, 1, n-2, 2)
	la, lb := New(Int64, 1, n), New(Int64, 1, n-2)
	for i := range n {
		copy(Data[float32](a)[2*i:], []float32{float32(i), float32(n - i)})
	}
	for i := range n - 2 {
		copy(Data[float32](b)[2*i:], []float32{float32(n - 1 - i), float32(i + 1)})
	}
	require.NoError(t, r.Check(v(b, lb), v(a, la), nil))
	Data[int64](lb)[7] = 1
	require.ErrorContains(t, r.Check(v(b, lb), v(a, la), nil), "98 rows, want 100: 97 match, want 98")
	require.NoError(t, r.Check(nil, nil, nil))

	// The nearest pair first would leave a row over.
	w := Of([]float32{0, 1.5}, 2, 1)
	g := Of([]float32{0.8, -0.9}, 2, 1)
	require.NoError(t, Rule{ATol: 1, Unordered: true}.Check(v(g), v(w), nil))
	require.NoError(t, r.Check(v(Of([]float32{float32(math.NaN()), 1})), v(Of([]float32{1, float32(math.NaN())})), nil))
}
