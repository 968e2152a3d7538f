package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// TreeEnsembleClassifier: the scores of the classes are the sums of the weights
// of the leaves that a row reaches, plus base_values, after post_transform; Y is
// the label of the largest. With two classes and weights for one of them only,
// that one score decides: above 0.5 where all weights are positive, else above
// 0; the scores of the two classes are then [1-s, s] or [-s, s]. With other weights
// for at most two classes, Y is 1 or 0 (strings: the second or first label) as the last score is positive or not.
//
//	X: float32, float64, int64 or int32 [n, f]
//	Y: int64 or string [n]    Z: float32 [n, classes]
//
// Sums are in float32, and for a float64 X in float64. Where the standard is
// silent, the results are those of ONNX Runtime.
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleClassifier.html
func init() {
	register(&Op{
		Domain: "ai.onnx.ml", Name: "TreeEnsembleClassifier", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(2), Infer: inferTreeEnsembleClassifier, Build: func(b *BuildContext) (Kernel, error) {
				return buildTreeEnsembleClassifier(b, false)
			}},
			// 3 adds the attributes that are tensors; 5 deprecates the operator.
			{Since: 3, In: N(1), Out: N(2), Infer: inferTreeEnsembleClassifier, Build: func(b *BuildContext) (Kernel, error) {
				return buildTreeEnsembleClassifier(b, true)
			}},
		},
	})
}

func inferTreeEnsembleClassifier(c *InferContext) error {
	l, err := parseLabels(&c.attrs, "classlabels_int64s", "classlabels_strings")
	if err != nil {
		return err
	}
	if _, err := treeBatch(c.In(0)); err != nil {
		return err
	}
	return inferClassifier(c, l, onnx.Size(l.len()))
}

// inferClassifier sets the types of the labels and of the scores of a classifier.
func inferClassifier(c *InferContext, l *mlLabels, classes onnx.Dim) error {
	n, err := mlBatch(c.In(0))
	if err != nil {
		return err
	}
	c.Out[0] = onnx.TensorType(l.dtype(), n)
	if len(c.Out) > 1 {
		c.Out[1] = onnx.TensorType(tensor.Float32, n, classes)
	}
	return nil
}

func buildTreeEnsembleClassifier(b *BuildContext, tensors bool) (Kernel, error) {
	labels, err := parseLabels(&b.attrs, "classlabels_int64s", "classlabels_strings")
	if err != nil {
		return nil, err
	}
	classes := labels.len()
	e, err := parseTrees(&b.attrs, "class", classes, tensors)
	if err != nil {
		return nil, err
	}
	e.compile()
	base, err := floatsOrTensor(&b.attrs, "base_values", tensors)
	if err != nil {
		return nil, err
	}
	if k := len(base); k != 0 && k != classes && (k != 1 || classes != 2) {
		return nil, fmt.Errorf("base_values has %d elements, want %d", k, classes)
	}
	post := parsePost(&b.attrs)
	positive, only := true, len(e.weights) > 0
	for _, w := range e.weights {
		positive = positive && w.value >= 0
		only = only && w.id == e.weights[0].id
	}
	binary := classes == 2 && only
	return func(c *Call) error {
		x, err := e.input(c)
		if err != nil {
			return err
		}
		double := c.T(0).DType() == tensor.Float64
		st := State[treeClasses](c)
		if st.f == nil {
			st.f = st.row
		}
		st.out, st.classes, st.base, st.post, st.binary, st.positive = labels.output(c, x.n), classes, base, post, binary, positive
		st.z = tensor.Data[float32](c.Output(1, tensor.Float32, x.n, classes))
		err = e.each(c, x, double, st.f)
		st.out, st.z = labelsOut{}, nil
		return err
	}, nil
}

// treeClasses is what turns the scores of a row into its outputs.
type treeClasses struct {
	out              labelsOut
	z                []float32
	classes          int
	base             []float64
	post             mlPost
	binary, positive bool
	f                func(score []float64, has []bool, tmp []float32, i int) // row
}

func (s *treeClasses) row(score []float64, has []bool, tmp []float32, i int) {
	out := s.z[i*s.classes : (i+1)*s.classes]
	if s.classes > 2 {
		s.out.set(i, pickClass(score, has, s.base))
		for k, v := range score {
			tmp[k] = float32(v)
		}
		s.post.write(out, tmp, oneScoreAlone)
		return
	}
	scores := binaryScores(score, has, s.base)
	for k, v := range scores {
		tmp[k] = float32(v)
	}
	class, extra := binaryClass(scores, has, s.binary, s.positive)
	s.out.set(i, class)
	s.post.write(out, tmp[:len(scores)], extra)
}

// pickClass adds the base values and returns the class with the largest of the
// scores that are there.
func pickClass(score []float64, has []bool, base []float64) int {
	best := -1
	for k := range score {
		if len(base) > 0 {
			score[k] += base[k]
			has[k] = true
		}
		if has[k] && (best < 0 || score[k] > score[best]) {
			best = k
		}
	}
	return max(best, 0)
}

// binaryScores adds the base values of at most two classes and returns the
// scores that count: one if the second class has none.
func binaryScores(score []float64, has []bool, base []float64) []float64 {
	if len(score) == 1 {
		if len(base) == 1 {
			score[0] += base[0]
		}
		return score
	}
	switch {
	case len(base) == 2 && has[1]: // the two base values are taken to be the same
		score[1] = base[1] + score[0]
		score[0] = -score[1]
	case len(base) == 2:
		score[0] += base[0]
	default:
		if len(base) == 1 {
			score[0] += base[0]
		}
		if !has[1] {
			return score[:1]
		}
	}
	for k := range score {
		if !has[k] {
			score[k] = 0
		}
	}
	return score
}

// binaryClass returns the class that the scores of a classifier with at most
// two classes decide for, and how a single score becomes two.
func binaryClass(s []float64, has []bool, binary, positive bool) (class, extra int) {
	p := 0.0
	switch {
	case len(s) == 2 && has[1]:
		p = s[1]
	case has[0]:
		p = s[0]
	}
	limit, extra := 0.0, oneScoreSigned
	if binary && positive {
		limit, extra = 0.5, oneScoreProb
	}
	switch {
	case p > limit && binary:
		return 1, extra
	case binary:
		return 0, extra
	case p > limit:
		return labelPositive, extra
	}
	return labelNegative, extra
}
