package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/move"
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
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
	lin, err := newLinear(coef, bias, rows)
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
		out := labels.output(c, n)
		z := tensor.Data[float32](c.Output(1, tensor.Float32, n, classes))
		s := z
		if rows != classes {
			s = Scratch[float32](c, n*rows)
		}
		par.Each(c.P, n, lin.grain(n), linearRun{out, lin, x, z, s, classes, post}, (*linearRun).run)
		return nil
	}, nil
}

// linearRun classifies rows by scores s, which may be z.
type linearRun struct {
	labelsOut
	*linear
	x, z, s []float32
	classes int
	post    mlPost
}

func (r *linearRun) run(lo, hi int) {
	s, z := r.s[lo*r.rows:hi*r.rows], r.z[lo*r.classes:hi*r.classes]
	r.scores(s, r.x[lo*r.f:hi*r.f])
	if n := r.rows; n > 1 && n <= shortLine && hi-lo >= turnedFew {
		r.turned(s, lo, hi)
		return
	}
	if r.rows > 1 {
		for i := lo; i < hi; i++ {
			r.set(i, argmax(s[(i-lo)*r.rows:][:r.rows]))
		}
		r.post.all(s, r.rows, r.t)
		return
	}
	for i, v := range s {
		class := labelNegative
		switch {
		case r.len() == 2 && v > 0:
			class = 1
		case r.len() == 2:
			class = 0
		case v > 0:
			class = labelPositive
		}
		r.set(lo+i, class)
		r.post.write(z[i*r.classes:][:r.classes], s[i:i+1], oneScoreProb)
	}
}

// turned is run for many rows of few scores.
func (r *linearRun) turned(s []float32, lo, hi int) {
	b, pool := borrow[turnedBuffers]()
	defer pool.Put(b)
	for n, from := r.rows, lo; from < hi; {
		k := min(turnedLines, turnedMost/n, hi-from)
		line := s[(from-lo)*n:][:k*n]
		d := b.turn(line, k, n)
		r.setAll(from, b.arg(r.t, vec.ArgMax, d, k, n, k))
		if r.post == postSoftmax {
			b.softmax(r.t, d, k, n)
			move.Transpose(float32Words(line), float32Words(d), k, n, n, k)
		} else {
			r.post.all(line, n, r.t)
		}
		from += k
	}
}
