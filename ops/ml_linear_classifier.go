package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// LinearClassifier: the scores are X · coefficientsᵀ + intercepts, one for each
// row of coefficients; Y is the label of the largest, or, with one row, that of
// a positive or negative score. Z are the scores after post_transform; two
// labels with one row give [1-s, s].
//
//	X: float32, float64, int64 or int32 [n, f] or [f]    coefficients: [rows, f]
//	Y: int64 or string [n]    Z: float32 [n, classes]
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxml_LinearClassifier.html
func init() {
	register(&Op{
		Domain: "ai.onnx.ml", Name: "LinearClassifier", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(2), Infer: inferLinearClassifier, Build: buildLinearClassifier},
		},
	})
}

func inferLinearClassifier(c *InferContext) error {
	l, err := parseLabels(&c.attrs, "classlabels_ints", "classlabels_strings")
	if err != nil {
		return err
	}
	rows := len(c.Floats("intercepts", nil))
	if rows == 0 {
		rows = l.len()
	}
	if rows == 1 && l.len() == 2 {
		rows = 2
	}
	return inferClassifier(c, l, onnx.Size(rows))
}

func buildLinearClassifier(b *BuildContext) (Kernel, error) {
	labels, err := parseLabels(&b.attrs, "classlabels_ints", "classlabels_strings")
	if err != nil {
		return nil, err
	}
	coef, bias := b.Floats("coefficients", nil), b.Floats("intercepts", nil)
	b.Ignore("multi_class")
	post := parsePost(&b.attrs)
	rows := len(bias)
	if rows == 0 {
		rows = labels.len()
	}
	if len(coef)%rows != 0 || rows > 1 && rows != labels.len() {
		return nil, fmt.Errorf("%d coefficients, %d intercepts and %d labels, want the same number of each for every class", len(coef), len(bias), labels.len())
	}
	classes := rows
	if rows == 1 && labels.len() == 2 {
		classes = 2
	}
	return func(c *Call) error {
		x, n, f, err := mlMatrix[float32](c)
		if err != nil {
			return err
		}
		if f*rows != len(coef) {
			return fmt.Errorf("X has %d features, want %d", f, len(coef)/rows)
		}
		out := labels.output(c, n)
		z := tensor.Data[float32](c.Output(1, tensor.Float32, n, classes))
		par.Each(c.P, n, max(1, (1<<14)/max(1, len(coef))), linearRun{out, x, z, coef, bias, f, rows, classes, post}, (*linearRun).run)
		return nil
	}, nil
}

// linearRun classifies rows of f features.
type linearRun struct {
	labelsOut
	x, z, coef, bias []float32
	f, rows, classes int
	post             mlPost
}

func (r *linearRun) run(lo, hi int) {
	mem, pool := borrow[classScores]()
	defer pool.Put(mem)
	for i := lo; i < hi; i++ {
		mem.s = slices.Grow(mem.s[:0], r.rows+1)[:r.rows] // post may add one
		linearScores(mem.s, r.x[i*r.f:(i+1)*r.f], r.coef, r.bias)
		class := argmax(mem.s)
		if r.rows == 1 {
			switch {
			case r.len() == 2 && mem.s[0] > 0:
				class = 1
			case r.len() == 2:
				class = 0
			case mem.s[0] > 0:
				class = labelPositive
			default:
				class = labelNegative
			}
		}
		r.set(i, class)
		r.post.write(r.z[i*r.classes:(i+1)*r.classes], mem.s, oneScoreProb)
	}
}

type classScores struct{ s []float32 }
