package ops

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
)

// svm is what the two operators of support vector machines share: the kernel
// function and the vectors.
type svm struct {
	kind                string
	gamma, coef0, power float32
	vectors             []float32 // [n, features], after prepare [features, n]
	coef, rho           []float32
	n                   int
	t                   *vec.Table
	packed              *gemm.Packed[float32] // the vectors, of kernels of products
}

// rowsBlock is a number of vectors, rowsDeep one of features: so many products are in the
// cache of the core.
const rowsBlock, rowsDeep = 256, 16

type rowsBuffer [rowsBlock * rowsDeep]float32

var rowsBuffers = sync.Pool{New: func() any { return new(rowsBuffer) }}

func parseSVM(a *attrs) (*svm, error) {
	s := &svm{
		kind: a.OneOf("kernel_type", "LINEAR", "POLY", "RBF", "SIGMOID"), vectors: a.Floats("support_vectors", nil),
		coef: a.Floats("coefficients", nil), rho: a.Floats("rho", nil),
	}
	if p := a.Floats("kernel_params", nil); len(p) >= 3 {
		s.gamma, s.coef0, s.power = p[0], p[1], p[2]
	} else if len(p) > 0 {
		return nil, fmt.Errorf("kernel_params has %d elements, want 3", len(p))
	}
	return s, nil
}

// prepare lays the vectors out for kernels.
func (s *svm) prepare(features int) {
	s.t = vec.Best()
	if s.n == 0 {
		return
	}
	columns := make([]float32, len(s.vectors))
	for k := range s.n {
		for i, v := range s.vectors[k*features : (k+1)*features] {
			columns[i*s.n+k] = v
		}
	}
	if s.vectors = columns; s.kind != "RBF" && features > 0 {
		s.packed, s.vectors = gemm.Pack(par.P{}, columns, features, s.n, s.n, 1), nil
	}
}

// svmRows is how many rows are multiplied with the vectors together.
const svmRows = 8

// svmBuffer is the working memory for rows: kernels, decisions of pairs of classes and votes.
type svmBuffer struct{ k, out, votes []float32 }

// room returns room for the kernels of svmRows rows.
func (b *svmBuffer) room(n int) []float32 {
	b.k = slices.Grow(b.k[:0], svmRows*n)[:svmRows*n]
	return b.k
}

// grain is that of rows of f features.
func (s *svm) grain(f int) int {
	least := 1
	if s.packed != nil {
		least = svmRows
	}
	return max(least, (1<<14)/max(1, f*max(1, s.n)))
}

// kernels sets out[i*n+k] to the kernel function of row i of x and vector k, for at most svmRows rows of f.
func (s *svm) kernels(out, x []float32, f int) {
	buf := rowsBuffers.Get().(*rowsBuffer)
	defer rowsBuffers.Put(buf)
	rows := len(x) / max(f, 1)
	if s.packed != nil {
		gemm.Run(par.P{}, &gemm.Args[float32]{M: rows, N: s.n, K: f, A: x, ARS: f, ACS: 1, Packed: s.packed, C: out, LDC: s.n})
	}
	for i := range rows {
		s.function(out[i*s.n:(i+1)*s.n], x[i*f:(i+1)*f], buf)
	}
}

// function makes kernels of x of products, if there are any.
func (s *svm) function(out, x []float32, buf *rowsBuffer) {
	for k := 0; k < s.n; k += rowsBlock {
		sums := out[k:min(k+rowsBlock, s.n)]
		if s.packed == nil {
			clear(sums)
			s.t.AddSquares(sums, s.vectors[k:], x, s.n)
		}
		switch s.kind {
		case "RBF":
			s.t.MulScalar(sums, sums, -s.gamma)
			s.t.Exp(sums, sums)
		case "POLY":
			s.t.Affine(sums, sums, s.gamma, s.coef0)
			s.raise(sums, buf[:len(sums)])
		case "SIGMOID":
			s.t.Affine(sums, sums, s.gamma, s.coef0)
			s.t.Tanh(sums, sums)
		}
	}
}

// raise raises v to the power of POLY, a small integer nearly always.
func (s *svm) raise(v, tmp []float32) {
	n := int(s.power)
	if n < 1 || n > 8 || float32(n) != s.power {
		for i, x := range v {
			v[i] = float32(math.Pow(float64(x), float64(s.power)))
		}
		return
	}
	copy(tmp, v)
	for range n - 1 {
		s.t.Mul(v, v, tmp)
	}
}

// mlDot is the product of two vectors.
func mlDot(a, b []float32) float32 { return float32(dotOf(a, b)) }

// features returns the number of features, given the number of rows of what
// describes the machine.
func (s *svm) features(rows int) (int, error) {
	all := s.coef
	if s.n > 0 {
		all, rows = s.vectors, s.n
	}
	if rows < 1 || len(all)%rows != 0 {
		return 0, fmt.Errorf("%d values for %d vectors", len(all), rows)
	}
	return len(all) / rows, nil
}
