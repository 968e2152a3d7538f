package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// SVMRegressor: Y = Σ coefficients[i]·K(x, support_vectors[i]) + rho, or, without
// support vectors, coefficients·x + rho; with one_class 1 or -1, by its sign.
//
//	X: float32, float64, int64 or int32 [n, f] or [f]    Y: float32 [n, 1]
//
// K is x·v, (gamma·x·v + coef0)^degree, exp(-gamma·|x-v|²) or tanh(gamma·x·v +
// coef0). Any post_transform but NONE is not supported.
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxml_SVMRegressor.html
func init() {
	register(&Op{
		Domain: "ai.onnx.ml", Name: "SVMRegressor", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), Infer: inferSVMRegressor, Build: buildSVMRegressor},
		},
	})
}

func inferSVMRegressor(c *InferContext) error {
	n, err := mlBatch(c.In(0))
	if err != nil {
		return err
	}
	c.Out[0] = onnx.TensorType(tensor.Float32, n, onnx.Size(1))
	return nil
}

func buildSVMRegressor(b *BuildContext) (Kernel, error) {
	s, err := parseSVM(&b.attrs)
	if err != nil {
		return nil, err
	}
	s.n = b.Int("n_supports", 0)
	one := b.Bool("one_class", false)
	if parsePost(&b.attrs) != postNone {
		return nil, fmt.Errorf("%w: post_transform", ErrUnsupported)
	}
	features, err := s.features(1)
	if err != nil {
		return nil, err
	}
	if len(s.rho) < 1 || s.n < 0 || s.n > 0 && len(s.coef) != s.n {
		return nil, fmt.Errorf("%d coefficients and %d values of rho for %d vectors", len(s.coef), len(s.rho), s.n)
	}
	s.prepare(features)
	return func(c *Call) error {
		x, n, f, err := mlMatrix[float32](c)
		if err != nil {
			return err
		}
		if f != features {
			return fmt.Errorf("X has %d features, want %d", f, features)
		}
		y := tensor.Data[float32](c.Output(0, tensor.Float32, n, 1))
		par.Run(c.P, n, s.grain(f), par.With(svmAnswers{s, x, y, f, one}))
		return nil
	}, nil
}

// svmAnswers are those for rows of f features, or with one their signs.
type svmAnswers struct {
	*svm
	x, y []float32
	f    int
	one  bool
}

func (a *svmAnswers) Chunk(lo, hi int) {
	buf, pool := borrow[svmBuffer]()
	defer pool.Put(buf)
	k := buf.room(a.n)
	for i := lo; i < hi; i++ {
		row := a.x[i*a.f : (i+1)*a.f]
		if a.n > 0 {
			at := (i - lo) % svmRows
			if at == 0 {
				a.kernels(k, a.x[i*a.f:min(i+svmRows, hi)*a.f], a.f)
			}
			row = k[at*a.n:][:a.n]
		}
		v := mlDot(row, a.coef) + a.rho[0]
		if a.one {
			if v > 0 {
				v = 1
			} else {
				v = -1
			}
		}
		a.y[i] = v
	}
}
