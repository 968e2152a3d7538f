package ops_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// The operator is affine in each scale and in each zero point, so differences of any size
// are its derivatives, up to the rounding of float32.
func TestGradientOfMatMulNBitsScales(t *testing.T) {
	const k, n, rows = 200, 19, 5
	for _, c := range []struct {
		bits, block           int
		zeros, packed, groups bool
		half                  bool
	}{
		{4, 32, false, false, false, false}, {4, 32, true, false, false, false}, {4, 32, false, true, false, false}, {8, 16, true, false, false, false},
		{2, 512, true, false, false, false}, {4, 64, true, false, true, false}, {8, 128, true, false, true, true},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			blocks := (k + c.block - 1) / c.block
			codes := make([]uint8, n*blocks*c.block*c.bits/8)
			for i := range codes {
				codes[i] = byte(i*37 + i/7)
			}
			as := onnx.NewAttrs("K", k, "N", n, "bits", c.bits, "block_size", c.block)
			in := Vals(waveT(1, rows, k), Of([]int{n, blocks, c.block * c.bits / 8}, codes...), waveT(2, n, blocks), nil, nil)
			if c.zeros {
				in[3] = waveT(3, n, blocks)
			}
			if c.packed {
				z := make([]uint8, n*((blocks*c.bits+7)/8))
				for i := range z {
					z[i] = byte(i * 29)
				}
				in[3] = Of([]int{len(z)}, z...)
			}
			if c.groups {
				g := make([]int32, k)
				for i := range g {
					g[i] = int32(i * 7 % blocks)
				}
				in[4] = I32([]int{k}, g...)
			}
			eval := func(domain, op string, in []tensor.Value, outs, threads int) []tensor.Value {
				g := onnx.NewGraph("g", map[string]int{"": Latest, ops.Private: 1, "com.microsoft": 1})
				vs := make([]*onnx.Value, len(in))
				for i, v := range in {
					if v != nil {
						vs[i] = g.AddInput(fmt.Sprint("in", i), onnx.TypeOf(v))
					}
				}
				out, err := ops.Eval(par.P{Threads: threads}, g.NewNodeIn(domain, op, as, vs, outs), in, ops.BuildEnv{})
				require.NoError(t, err)
				return out
			}
			dy := waveT(5, rows, n)
			loss := func() []float64 { // by columns of Y, each of which reads its own scales
				y := tensor.Data[float32](eval("com.microsoft", "MatMulNBits", in, 1, 1)[0].(*tensor.Tensor))
				sum := make([]float64, n)
				for i, v := range y {
					sum[i%n] += float64(v) * float64(tensor.Data[float32](dy)[i])
				}
				return sum
			}
			outs := 1
			if c.zeros {
				outs = 2
			}
			args := append(Vals(dy), in...)
			tol := 2e-5
			if c.half {
				tol = 2e-3
				for _, i := range []int{0, 1, 3, 4} {
					args[i] = halfT(args[i].(*tensor.Tensor))
				}
			}
			got, more := eval(ops.Private, "MatMulNBitsScaleGrad", args, outs, 1), eval(ops.Private, "MatMulNBitsScaleGrad", args, outs, 3)
			for o := range got {
				require.Equal(t, got[o].(*tensor.Tensor).Bytes(), more[o].(*tensor.Tensor).Bytes(), "results depend on threads")
				grad, err := tensor.Float64s(got[o].(*tensor.Tensor))
				require.NoError(t, err)
				require.Equal(t, in[2+o].(*tensor.Tensor).Shape(), got[o].(*tensor.Tensor).Shape())
				require.Equal(t, args[3].(*tensor.Tensor).DType(), got[o].(*tensor.Tensor).DType())
				data := tensor.Data[float32](in[2+o].(*tensor.Tensor))
				for g := range blocks {
					old := make([]float32, n)
					for i := range n {
						old[i] = data[i*blocks+g]
						data[i*blocks+g] = old[i] + 1
					}
					up := loss()
					for i := range n {
						data[i*blocks+g] = old[i] - 1
					}
					down := loss()
					for i := range n {
						data[i*blocks+g] = old[i]
						size := max(1, math.Abs(up[i]), math.Abs(down[i]))
						require.InDelta(t, (up[i]-down[i])/2, grad[i*blocks+g], tol*size, "output %d, row %d, block %d", o, i, g)
					}
				}
			}
		})
	}
}

func halfT(x *tensor.Tensor) *tensor.Tensor {
	h := tensor.New(tensor.Float16, x.Shape()...)
	for i, v := range tensor.Data[float32](x) {
		tensor.Data[tensor.F16](h)[i] = tensor.F16Of(v)
	}
	return h
}

func TestMatMulNBitsScaleGradErrors(t *testing.T) {
	as := onnx.NewAttrs("K", 32, "N", 3, "bits", 4, "block_size", 16)
	w, scales, x := Of([]int{3, 2, 8}, make([]uint8, 48)...), waveT(1, 3, 2), waveT(2, 2, 32)
	op := func(outs []tensor.Value, err string, in ...tensor.Value) Case {
		return Case{Domain: ops.Private, Op: "MatMulNBitsScaleGrad", Opset: 1, Attrs: as, In: in, Want: outs, Err: err}
	}
	zeros := Vals(tensor.New(tensor.Float32, 3, 2))
	Run(t, []Case{
		op(Vals(nil), "want rows of 3 and of 32", waveT(1, 2, 4), x, w, scales),
		op(Vals(nil), "want rows of 3 and of 32", waveT(1, 1, 3), x, w, scales),
		op(Vals(nil), "want uint8", waveT(1, 2, 3), x, scales, scales),
		op(Vals(nil), "scales have 5 elements, want 6", waveT(1, 2, 3), x, w, waveT(1, 5)),
		op(zeros, "", waveT(1, 2, 3), x, Of[uint8]([]int{0}), scales),
		op(zeros, "", waveT(1, 0, 3), waveT(1, 0, 32), w, scales),
	})
}
