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

// The operator is linear in A: W is what it makes of the identity, and dA = dY·W.
// Weights have float32 alone, so finite differences would say less.
func TestGradientOfMatMulNBits(t *testing.T) {
	const k, n = 600, 70
	codes := func(size int) []uint8 {
		v := make([]uint8, size)
		for i := range v {
			v[i] = byte(i*37 + i/7)
		}
		return v
	}
	for _, c := range []struct {
		bits, block   int
		zeros, groups bool
		half          bool
	}{{4, 32, false, false, false}, {4, 32, true, false, false}, {8, 16, true, false, false}, {2, 512, false, false, false}, {4, 64, false, true, false}, {8, 128, true, true, true}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			blocks := (k + c.block - 1) / c.block
			in := Vals(nil, Of([]int{n, blocks, c.block * c.bits / 8}, codes(n*blocks*c.block*c.bits/8)...), waveT(2, n, blocks), nil, nil, waveT(4, n))
			if c.zeros {
				in[3] = waveT(3, n, blocks)
			}
			if c.groups {
				g := make([]int32, k)
				for i := range g {
					g[i] = int32(i * 7 % blocks)
				}
				in[4] = I32([]int{k}, g...)
			}
			identity := tensor.New(tensor.Float32, k, k)
			for i := range k {
				tensor.Data[float32](identity)[i*(k+1)] = 1
			}
			as := onnx.NewAttrs("K", k, "N", n, "bits", c.bits, "block_size", c.block)
			eval := func(domain, op string, in []tensor.Value, threads int) *tensor.Tensor {
				g := onnx.NewGraph("g", map[string]int{"": Latest, ops.Private: 1, "com.microsoft": 1})
				vs := make([]*onnx.Value, len(in))
				for i, v := range in {
					if v != nil {
						vs[i] = g.AddInput(fmt.Sprint("in", i), onnx.TypeOf(v))
					}
				}
				out, err := ops.Eval(par.P{Threads: threads}, g.NewNodeIn(domain, op, as, vs, 1), in, ops.BuildEnv{})
				require.NoError(t, err)
				return out[0].(*tensor.Tensor)
			}
			w := tensor.Data[float32](eval("com.microsoft", "MatMulNBits", append(Vals(identity), in[1:5]...), 1)) // [k, n]
			for _, rows := range []int{1, 9} {
				dy := waveT(5, rows, n)
				tol := 1e-5
				if c.half {
					tol = 1e-3
					h := tensor.New(tensor.Float16, rows, n)
					for i, v := range tensor.Data[float32](dy) {
						tensor.Data[tensor.F16](h)[i] = tensor.F16Of(v)
					}
					dy = h
				}
				d, err := tensor.Float64s(dy)
				require.NoError(t, err)
				args := append(Vals(dy), in[1:5]...)
				one, more := eval(ops.Private, "MatMulNBitsGrad", args, 1), eval(ops.Private, "MatMulNBitsGrad", args, 3)
				require.Equal(t, one.Bytes(), more.Bytes(), "results depend on threads")
				got, err := tensor.Float64s(one)
				require.NoError(t, err)
				require.Equal(t, []int{rows, k}, one.Shape())
				for i := range got {
					want, size := 0.0, 1.0
					for j := range n {
						v := d[i/k*n+j] * float64(w[i%k*n+j])
						want += v
						size = max(size, math.Abs(v))
					}
					require.InDelta(t, want, got[i], tol*size*4)
				}
			}
		})
	}
}

func TestMatMulNBitsGradErrors(t *testing.T) {
	as := onnx.NewAttrs("K", 32, "N", 3, "bits", 4, "block_size", 16)
	w, scales := Of([]int{3, 2, 8}, make([]uint8, 48)...), waveT(1, 3, 2)
	Run(t, []Case{
		{Domain: ops.Private, Op: "MatMulNBitsGrad", Opset: 1, Attrs: as, In: Vals(waveT(1, 2, 4), w, scales), Want: Vals(nil), Err: "want a last dimension of 3"},
		{Domain: ops.Private, Op: "MatMulNBitsGrad", Opset: 1, Attrs: as, In: Vals(waveT(1, 2, 3), w, waveT(1, 5)), Want: Vals(nil), Err: "scales have 5 elements, want 6"},
		{Domain: ops.Private, Op: "MatMulNBitsGrad", Opset: 1, Attrs: as, In: Vals(waveT(1, 2, 3), scales, scales), Want: Vals(nil), Err: "want uint8"},
		{Domain: ops.Private, Op: "MatMulNBitsGrad", Opset: 1, Attrs: as, In: Vals(waveT(1, 2, 3), Of[uint8]([]int{0}), scales), Want: Vals(tensor.New(tensor.Float32, 2, 32))},
	})
}

// The gradients are reached through the operator, with a bias.
func TestMatMulNBitsGradIsBuilt(t *testing.T) {
	g := onnx.NewGraph("g", map[string]int{"": Latest, ops.Private: 1, "com.microsoft": 1})
	f := func(name string, s ...int) *onnx.Value {
		return g.AddInput(name, onnx.TypeOf(tensor.New(tensor.Float32, s...)))
	}
	b := ops.NewBuilder(g)
	x := []*onnx.Value{f("a", 2, 32), g.AddInput("b", onnx.TypeOf(tensor.New(tensor.Uint8, 3, 2, 8))), f("s", 3, 2), nil, nil, f("bias", 3)}
	y := b.Ops("com.microsoft", "MatMulNBits", onnx.NewAttrs("K", 32, "N", 3, "block_size", 16, "accuracy_level", 4), 1, x...)[0]
	d, err := ops.Gradient(b, y.From, []*onnx.Value{f("d", 2, 3)}, []bool{true, false, false, false, false, true})
	require.NoError(t, err)
	require.Equal(t, x[0].Type, d[0].Type)
	require.Equal(t, x[5].Type, d[5].Type)
	d, err = ops.Gradient(b, y.From, []*onnx.Value{f("e", 2, 3)}, []bool{false, false, true, false, false, false})
	require.NoError(t, err)
	require.Equal(t, x[2].Type, d[2].Type)
	require.Nil(t, d[0])
}
