package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// LinearRegressor: Y = post_transform(X · coefficientsᵀ + intercepts).
//
//	X: float32, float64, int64 or int32 [n, f] or [f]    coefficients: [targets, f]    Y: float32 [n, targets]
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxml_LinearRegressor.html
func init() {
	register(&Op{
		Domain: "ai.onnx.ml", Name: "LinearRegressor", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), Infer: inferLinearRegressor, Build: buildLinearRegressor},
		},
	})
}

func inferLinearRegressor(c *InferContext) error {
	n, err := mlBatch(c.In(0))
	if err != nil {
		return err
	}
	c.Out[0] = onnx.TensorType(tensor.Float32, n, onnx.Size(c.Int("targets", 1)))
	return nil
}

func buildLinearRegressor(b *BuildContext) (Kernel, error) {
	targets, coef, bias := b.Int("targets", 1), b.Floats("coefficients", nil), b.Floats("intercepts", nil)
	post := parsePost(&b.attrs)
	if targets < 1 || len(coef)%targets != 0 || len(bias) != 0 && len(bias) != targets {
		return nil, fmt.Errorf("%d coefficients and %d intercepts for %d targets", len(coef), len(bias), targets)
	}
	lin, err := newLinear(coef, bias, targets)
	if err != nil {
		return nil, err
	}
	return func(c *Call) error {
		x, n, f, err := mlMatrix[float32](c)
		if err != nil {
			return err
		}
		if f != lin.f {
			return fmt.Errorf("X has %d features, want %d", f, lin.f)
		}
		y := tensor.Data[float32](c.Output(0, tensor.Float32, n, targets))
		par.Each(c.P, n, lin.grain(n), regressRun{lin, x, y, post}, (*regressRun).run)
		return nil
	}, nil
}

type regressRun struct {
	*linear
	x, y []float32
	post mlPost
}

func (r *regressRun) run(lo, hi int) {
	y := r.y[lo*r.rows : hi*r.rows]
	r.scores(y, r.x[lo*r.f:hi*r.f])
	if r.rows > 1 || r.post == postProbit { // one score is no distribution
		r.post.all(y, r.rows, r.t)
	}
}

// linear are rows of coefficients and what is added to their products with features.
type linear struct {
	packed  *gemm.Packed[float32]
	bias    []float32
	rows, f int
	t       *vec.Table
}

func newLinear(coef, bias []float32, rows int) (*linear, error) {
	l := &linear{bias: bias, rows: rows, f: len(coef) / rows, t: vec.Best()}
	if l.f == 0 {
		return nil, fmt.Errorf("there are no coefficients")
	}
	l.packed = gemm.Pack(par.P{}, coef, l.f, rows, 1, l.f)
	return l, nil
}

// grain is that of n rows of features.
func (l *linear) grain(n int) int { return par.Grain(n, float64(l.rows)*(4+float64(l.f)/8)) }

// scores sets s to coef · x + bias for each of some rows x.
func (l *linear) scores(s, x []float32) {
	g, pool := borrow[gemm.Args[float32]]()
	*g = gemm.Args[float32]{M: len(x) / l.f, N: l.rows, K: l.f, A: x, ARS: l.f, ACS: 1, Packed: l.packed, C: s, LDC: l.rows}
	if len(l.bias) > 0 {
		g.Col = l.bias
	}
	gemm.Run(par.P{}, g)
	*g = gemm.Args[float32]{}
	pool.Put(g)
}
