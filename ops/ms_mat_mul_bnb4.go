package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// MatMulBnb4 (com.microsoft): Y = A · Wᵀ with a matrix W [N, K] of 4-bit numbers as
// bitsandbytes has them: W's elements one after the other are table[code] · absmax of
// their block of block_size, and quant_type says which table, 0: FP4, 1: NF4.
//
//	A: float [.., K]    B: uint8 [⌈N·K/2⌉], the first code in the highest bits
//	absmax: float [⌈N·K/block_size⌉]    Y: float [.., N]
//
// float is float32, float16 or bfloat16. The product is computed in float32.
// transB 0 is not supported.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulBnb4
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "MatMulBnb4", Numerics: Rounding, Flush: true,
		Versions: []Version{{Since: 1, In: N(3), Out: N(1), Infer: inferMatMulBnb4, Build: buildMatMulBnb4}},
	})
}

// bnb4Tables are the numbers that codes stand for.
var bnb4Tables = [2][16]float32{
	{0, 0.005208333333, 2.0 / 3, 1, 1.0 / 3, 0.5, 1.0 / 6, 0.25, 0, -0.005208333333, -2.0 / 3, -1, -1.0 / 3, -0.5, -1.0 / 6, -0.25},
	{-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
		0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1},
}

// bnb4 are the attributes of MatMulBnb4.
type bnb4 struct {
	k, n, block int
	table       *[16]float32
}

func parseBnb4(a *attrs) (*bnb4, error) {
	v := &bnb4{k: a.Int("K", 0), n: a.Int("N", 0), block: a.Int("block_size", 0)}
	a.Ignore("training_mode")
	kind := a.Int("quant_type", -1)
	switch {
	case v.k < 1 || v.n < 1:
		return nil, fmt.Errorf("K is %d and N is %d, want at least 1", v.k, v.n)
	case v.block < 16 || v.block&(v.block-1) != 0:
		return nil, fmt.Errorf("block_size is %d, want a power of 2 from 16 on", v.block)
	case kind != 0 && kind != 1:
		return nil, fmt.Errorf("quant_type is %d, want 0 or 1", kind)
	case !a.Bool("transB", true):
		return nil, fmt.Errorf("%w: transB is 0", ErrUnsupported)
	}
	v.table = &bnb4Tables[kind]
	return v, nil
}

func inferMatMulBnb4(c *InferContext) error {
	v, err := parseBnb4(&c.attrs)
	if err != nil {
		return err
	}
	t := c.In(0)
	if t.Ranked && len(t.Dims) > 0 {
		dims := append([]onnx.Dim(nil), t.Dims...)
		dims[len(dims)-1] = onnx.Size(v.n)
		t.Dims = dims
	}
	c.Out[0] = t
	return nil
}

func buildMatMulBnb4(b *BuildContext) (Kernel, error) {
	v, err := parseBnb4(&b.attrs)
	if err != nil {
		return nil, err
	}
	return b.dispatch(0, byType{tensor.Float32: v.run, tensor.Float16: v.run, tensor.BFloat16: v.run})
}

func (v *bnb4) run(c *Call) error {
	a, b := c.T(0), c.T(1)
	if a.Rank() < 1 || a.Dim(-1) != v.k {
		return fmt.Errorf("A has shape %v, want a last dimension of %d", a.Shape(), v.k)
	}
	if b == nil || b.DType() != tensor.Uint8 || b.Len() != (v.n*v.k+1)/2 {
		return fmt.Errorf("B is %v, want %d bytes", b, (v.n*v.k+1)/2)
	}
	scales, err := reals[float32](c, 2)
	if err != nil {
		return err
	}
	if want := (v.n*v.k + v.block - 1) / v.block; len(scales) != want {
		return fmt.Errorf("absmax has %d elements, want %d", len(scales), want)
	}
	x, err := reals[float32](c, 0)
	if err != nil {
		return err
	}
	shape := c.list(a.Shape()...)
	shape[len(shape)-1] = v.n
	y, done := realsOut[float32](c, 0, a.DType(), shape...)
	if m := len(x) / v.k; m > 0 {
		par.Run(c.P, (v.n+bnb4Width-1)/bnb4Width, max(1, (1<<17)/(bnb4Width*v.k*m)), par.With(bnb4Columns{v, par.P{Ctx: c.P.Ctx}, b.Bytes(), scales, x, y, m}))
	}
	done()
	return nil
}

const bnb4Width = gemm.Panel // columns of Y at a time

// bnb4Columns computes columns of Y, bnb4Width at a time.
type bnb4Columns struct {
	*bnb4
	p            par.P
	codes        []byte
	scales, x, y []float32
	m            int
}

func (a *bnb4Columns) Chunk(lo, hi int) {
	g, pool := borrow[gemm.Args[float32]]()
	defer pool.Put(g)
	w := gemm.Borrow[float32](bnb4Width * a.k)
	defer w.Return()
	for q := lo; q < hi; q++ {
		j0 := q * bnb4Width
		cols := min(bnb4Width, a.n-j0)
		a.numbers(w.S[:cols*a.k], a.codes, a.scales, j0*a.k)
		*g = gemm.Args[float32]{M: a.m, N: cols, K: a.k, A: a.x, ARS: a.k, ACS: 1, B: w.S, BRS: 1, BCS: a.k, C: a.y[j0:], LDC: a.n}
		gemm.Run(a.p, g)
	}
	*g = gemm.Args[float32]{}
}

// numbers sets dst to W's elements from one on.
func (v *bnb4) numbers(dst []float32, codes []byte, scales []float32, from int) {
	for at := 0; at < len(dst); {
		i := from + at
		n := min(v.block-i%v.block, len(dst)-at)
		s, part := scales[i/v.block], dst[at:at+n]
		j := 0
		if i%2 != 0 {
			part[0], j = v.table[codes[i/2]&15]*s, 1
		}
		src := codes[(i+j)/2:]
		for ; j+1 < n; j += 2 {
			c := src[0]
			src = src[1:]
			part[j], part[j+1] = v.table[c>>4]*s, v.table[c&15]*s
		}
		if j < n {
			part[j] = v.table[src[0]>>4] * s
		}
		at += n
	}
}
