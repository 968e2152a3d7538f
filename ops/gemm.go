package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	f16 "github.com/gneiss-run/gneiss/internal/kernels/half"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Gemm: Y = alpha·A'·B' + beta·C, where ' transposes if transA or transB is set.
//
//	A: T[m, k] or [k, m]    B: T[k, n] or [n, k]    C: T, broadcast to [m, n]; optional from 11    Y: T[m, n]
//
// T: float16, bfloat16 (both summed in float32), float32, float64, int32,
// int64, uint32, uint64 (integers: scaled in float64 and rounded towards 0
// unless alpha and beta are 1).
//
// Spec: https://onnx.ai/onnx/operators/onnx__Gemm.html
func init() {
	register(&Op{
		Name:     "Gemm",
		Numerics: Rounding,
		Flush:    true,
		Versions: []Version{
			// 6 is 1 with other words about C.
			{Since: 1, In: N(3), Out: N(1), Infer: inferGemm, Build: func(b *BuildContext) (Kernel, error) {
				p := readGemm(&b.attrs)
				p.sameShape = !b.Bool("broadcast", false)
				return buildGemm(b, p)
			}},
			// 9 added the integers.
			{Since: 7, In: N(3), Out: N(1), Infer: inferGemm, Build: buildGemmPlain},
			// 13 added bfloat16.
			{Since: 11, In: Arity{2, 3}, Out: N(1), Infer: inferGemm, Build: buildGemmPlain},
		},
	})
}

type gemmParams struct {
	alpha, beta    float32
	transA, transB bool
	sameShape      bool // C is not broadcast
	act            activation
}

func readGemm(a *attrs) gemmParams {
	return gemmParams{alpha: a.Float("alpha", 1), beta: a.Float("beta", 1), transA: a.Bool("transA", false), transB: a.Bool("transB", false)}
}

func inferGemm(c *InferContext) error {
	for i, name := range []string{"A", "B"} {
		if t := c.In(i); t.Ranked && len(t.Dims) != 2 {
			return fmt.Errorf("%s is %v, want rank 2", name, t)
		}
	}
	p := readGemm(&c.attrs)
	if err := inferMat(c, matParams{transA: p.transA, transB: p.transB}); err != nil {
		return err
	}
	if !c.Out[0].Ranked { // the rank is known all the same
		c.Out[0] = onnx.TensorType(c.Out[0].DType, onnx.Dim{}, onnx.Dim{})
	}
	return nil
}

func buildGemmPlain(b *BuildContext) (Kernel, error) { return buildGemm(b, readGemm(&b.attrs)) }

func buildGemm(b *BuildContext, p gemmParams) (Kernel, error) {
	w, err := packMatrix(b, 1, p.transB)
	if err != nil {
		return nil, err
	}
	if w != nil && len(w.shape) != 2 {
		return nil, fmt.Errorf("B has shape %v, want rank 2", w.shape)
	}
	return b.dispatch(0, numericKernels(gemmKernel[float32](tensor.Float32, p, w), gemmKernel[float64](tensor.Float64, p, w),
		gemmKernel[uint32](tensor.Int32, p, w), gemmKernel[uint64](tensor.Int64, p, w),
		gemmKernel[uint32](tensor.Uint32, p, w), gemmKernel[uint64](tensor.Uint64, p, w)))
}

// gemmKernel is the kernel for element type d, computed as T: d or, for signed
// integers, the unsigned ones of the same size.
func gemmKernel[T gemm.Number](d tensor.DType, p gemmParams, w *constMatrix) Kernel {
	m := matParams{transA: p.transA, transB: p.transB}
	end := activationEpilogue[T](p.act)
	switch d {
	case tensor.Int32:
		end.Act = onWords[T](activationFor[int32](p.act))
	case tensor.Int64:
		end.Act = onWords[T](activationFor[int64](p.act))
	}
	return func(c *Call) error {
		a := c.T(0)
		var bShape []int
		st := State[matState[T]](c)
		defer st.clear()
		g := &st.Args
		var halves f16.Matrix
		if w != nil {
			var err error
			if g.Packed, halves, err = constSide[T](w, a); err != nil {
				return err
			}
			bShape = w.shape
		} else {
			b := c.T(1)
			if b.DType() != a.DType() {
				return fmt.Errorf("A is %v and B is %v, want the same", a.DType(), b.DType())
			}
			g.B, bShape = wordsOf[T](b), b.Shape()
		}
		if a.Rank() != 2 || len(bShape) != 2 {
			return fmt.Errorf("A has shape %v and B has shape %v, want rank 2", a.Shape(), bShape)
		}
		l, _ := m.side(c, "A", a.Shape(), true)
		r, _ := m.side(c, "B", bShape, false)
		if l.cols != r.rows {
			return fmt.Errorf("A has shape %v and B has shape %v: %d columns against %d rows", a.Shape(), bShape, l.cols, r.rows)
		}
		g.M, g.N, g.K, g.LDC = l.rows, r.cols, l.cols, r.cols
		g.A, g.ARS, g.ACS, g.BRS, g.BCS = wordsOf[T](a), l.rs, l.cs, r.rs, r.cs
		var cd []T
		var cs []int // strides of C as [m n]
		if t := c.T(2); t != nil {
			if t.DType() != a.DType() {
				return fmt.Errorf("C is %v, want %v", t.DType(), a.DType())
			}
			out := c.Dims(2)
			out[0], out[1] = g.M, g.N
			if s, err := c.broadcast(t.Shape(), out); err != nil || !slices.Equal(s, out) || p.sameShape && t.Rank() > 0 && !slices.Equal(t.Shape(), out) {
				return fmt.Errorf("C has shape %v, want one that broadcasts to %v", t.Shape(), out)
			}
			if p.beta != 0 { // as in BLAS, a C that does not count is not read: it may hold NaN
				cd, cs = wordsOf[T](t), c.broadcastStrides(t.Shape(), out)
			}
		}
		y := c.Output(0, d, g.M, g.N)
		g.C = wordsOf[T](y)
		if y.Len() == 0 {
			return nil
		}
		if p.alpha != 1 || p.beta != 1 && cd != nil {
			runMat(c.P, g, halves)
			switch d {
			case tensor.Int32:
				addScaled(c, wordsAs[int32](g.C), wordsAs[int32](cd), cs, g.M, g.N, p)
			case tensor.Int64:
				addScaled(c, wordsAs[int64](g.C), wordsAs[int64](cd), cs, g.M, g.N, p)
			default:
				addScaled(c, g.C, cd, cs, g.M, g.N, p)
			}
			return nil
		}
		switch {
		case cd == nil:
		case cs[0] == 0 && cs[1] == 1:
			g.Col = cd
		case cs[0] == 1 && cs[1] == 0:
			g.Row = cd
		default:
			g.Acc = true
			for i := range g.M {
				row := g.C[i*g.N : (i+1)*g.N]
				if cs[1] == 1 {
					copy(row, cd[i*cs[0]:])
					continue
				}
				for j := range row {
					row[j] = cd[i*cs[0]+j*cs[1]]
				}
			}
		}
		g.Clip, g.Lo, g.Hi, g.Act = end.Clip, end.Lo, end.Hi, end.Act
		runMat(c.P, g, halves)
		return nil
	}
}

// addScaled sets y = act(alpha·y + beta·c); cd may be nil.
func addScaled[T gemm.Number](c *Call, y, cd []T, cs []int, m, n int, p gemmParams) {
	floats, alpha, beta, act := dtypeOf[T]().IsFloat(), p.alpha, p.beta, activationFor[T](p.act)
	c.P.For(m, max(1, (1<<15)/n), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row := y[i*n : (i+1)*n]
			for j := range row {
				switch {
				case cd == nil && floats:
					row[j] *= T(alpha)
				case cd == nil:
					row[j] = T(float64(alpha) * float64(row[j]))
				case floats:
					row[j] = T(alpha)*row[j] + T(beta)*cd[i*cs[0]+j*cs[1]]
				default:
					row[j] = T(float64(alpha)*float64(row[j]) + float64(beta)*float64(cd[i*cs[0]+j*cs[1]]))
				}
			}
			if act != nil {
				act(row)
			}
		}
	})
}

// gradGemm: with A', B' as they enter the product, dA' = alpha·dY·B'ᵀ,
// dB' = alpha·A'ᵀ·dY, dC = beta·dY summed over what was broadcast.
func gradGemm(c *GradContext) []*onnx.Value {
	p, a, b, d := readGemm(&c.Attr), c.X(0), c.X(1), c.DOut[0]
	gemm := func(x, y *onnx.Value, tx, ty bool) *onnx.Value {
		return c.Op("Gemm", onnx.NewAttrs("alpha", p.alpha, "transA", tx, "transB", ty), x, y)
	}
	out := make([]*onnx.Value, 3)
	if c.Needs(0) {
		if p.transA { // A = A'ᵀ
			out[0] = gemm(b, d, p.transB, true)
		} else {
			out[0] = gemm(d, b, false, !p.transB)
		}
	}
	if c.Needs(1) {
		if p.transB {
			out[1] = gemm(d, a, true, p.transA)
		} else {
			out[1] = gemm(a, d, !p.transA, false)
		}
	}
	if c.Needs(2) {
		out[2] = c.Scaled(c.SumTo(d, c.X(2)), float64(p.beta))
	}
	return out
}
