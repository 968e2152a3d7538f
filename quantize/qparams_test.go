package quantize

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

var gridTypes = []tensor.DType{tensor.Uint8, tensor.Int8, tensor.Uint16, tensor.Int16, tensor.Uint4, tensor.Int4}

func TestGrid(t *testing.T) {
	for _, c := range []struct {
		d                  tensor.DType
		symmetric, reduced bool
		lo, hi             int
	}{
		{tensor.Uint8, false, false, 0, 255}, {tensor.Uint8, true, false, 1, 255}, {tensor.Uint8, false, true, 0, 127},
		{tensor.Int8, false, false, -128, 127}, {tensor.Int8, true, false, -127, 127}, {tensor.Int8, true, true, -63, 63},
		{tensor.Int4, false, false, -8, 7}, {tensor.Uint4, false, false, 0, 15}, {tensor.Int16, true, false, -32767, 32767},
	} {
		g, err := gridOf(c.d, c.symmetric, c.reduced)
		require.NoError(t, err)
		require.Equal(t, []int{c.lo, c.hi}, []int{g.lo, g.hi}, c)
	}
	for _, d := range []tensor.DType{tensor.Float32, tensor.Int32, tensor.Int2, tensor.Undefined} {
		_, err := gridOf(d, false, false)
		require.Error(t, err, d)
	}
}

// Within its range a number is at most half a step from what its integer stands
// for, and zero is exact.
func TestAffine(t *testing.T) {
	for _, d := range gridTypes {
		for _, symmetric := range []bool{false, true} {
			g, err := gridOf(d, symmetric, false)
			require.NoError(t, err)
			for _, r := range []Range{{-1, 3}, {0, 6}, {-5, 0}, {2, 3}, {-7, -2}, {0, 0}, {1e-42, 1e-41}, {-3e38, 3e38}} {
				a := g.affine(r)
				require.Equal(t, float32(0), a.value(g.code(0, a)))
				require.True(t, a.scale > 0 && isFinite(a.scale))
				for k := range 101 {
					x := float32(float64(r.Lo) + (float64(r.Hi)-float64(r.Lo))*float64(k)/100)
					// The zero point was rounded, which moves the ends by half a step.
					require.LessOrEqual(t, math.Abs(float64(x)-float64(a.value(g.code(x, a)))), 1.01*float64(a.scale), "%v %v %v", d, r, x)
				}
				require.Equal(t, g.lo, g.code(float32(math.Inf(-1)), a))
				require.Equal(t, g.hi, g.code(float32(math.Inf(1)), a))
			}
		}
	}
}

func TestFiniteRange(t *testing.T) {
	r, ok := finiteRange([]float32{3, -1, 2})
	require.True(t, ok)
	require.Equal(t, Range{-1, 3}, r)
	for _, x := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
		_, ok = finiteRange([]float32{1, x})
		require.False(t, ok)
	}
	require.False(t, Range{2, 1}.finite())
	require.False(t, Range{0, float32(math.NaN())}.finite())
}

// What quantize makes, DequantizeLinear reads with the attributes of the granularity.
func TestIntegers(t *testing.T) {
	x := tensor.New(tensor.Float32, 4, 6, 3)
	for i := range x.Len() {
		tensor.Data[float32](x)[i] = float32(math.Sin(float64(i*i))) * float32(1+i%7)
	}
	for _, d := range gridTypes {
		for _, by := range []granularity{perTensor, {axis: 0}, {axis: 1}, {axis: 2}, {axis: 1, block: 4}, {axis: 0, block: 2}} {
			for _, symmetric := range []bool{false, true} {
				g, err := gridOf(d, symmetric, false)
				require.NoError(t, err)
				q, ok := g.quantize(x, by)
				require.True(t, ok)
				graph := onnx.NewGraph("g", map[string]int{"": 21})
				var as onnx.Attrs
				if by.axis >= 0 {
					as = onnx.NewAttrs("axis", by.axis, "block_size", by.block)
				}
				in := []*onnx.Value{graph.NewConst("q", q.codes), graph.NewConst("s", q.scale), graph.NewConst("z", q.zero)}
				out, err := ops.Eval(par.P{}, graph.NewNode("DequantizeLinear", as, in, 1), []tensor.Value{q.codes, q.scale, q.zero}, ops.BuildEnv{})
				require.NoError(t, err, "%v %v", d, by)
				y := tensor.Data[float32](out[0].(*tensor.Tensor))
				scales := tensor.Data[float32](q.scale)
				by.parts(x.Shape()).each(func(i, p int) {
					require.InDelta(t, tensor.Data[float32](x)[i], y[i], 1.01*float64(scales[p]))
				})
			}
		}
	}
	tensor.Data[float32](x)[5] = float32(math.NaN())
	g, _ := gridOf(tensor.Int8, true, false)
	_, ok := g.quantize(x, perTensor)
	require.False(t, ok)
}

// value returns what the integer q stands for.
func (a affine) value(q int) float32 { return float32(q-a.zero) * a.scale }

// quantize is quantizeBy with parameters from the ranges of x's own elements.
// ok is false if an element is NaN or infinite.
func (g grid) quantize(x *tensor.Tensor, by granularity) (q integers, ok bool) {
	rs, ok := by.parts(x.Shape()).ranges(tensor.Data[float32](x))
	if !ok {
		return integers{}, false
	}
	ps := make([]affine, len(rs))
	for i, r := range rs {
		ps[i] = g.affine(r)
	}
	return g.quantizeBy(x, by, ps), true
}
