package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// SVMClassifier: one decision for each pair of classes, and the class that wins
// most of them. With prob_a and prob_b the scores are probabilities, by Platt's
// sigmoid of each decision and pairwise coupling. Without support
// vectors the machine is linear, with a row of coefficients for each class.
//
//	X: float32, float64, int64 or int32 [n, f] or [f]    Y: int64 or string [n]
//	Z: float32 [n, classes] probabilities, or [n, classes·(classes-1)/2] decisions (two classes: [-s, s])
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxml_SVMClassifier.html
func init() {
	register(&Op{
		Domain: "ai.onnx.ml", Name: "SVMClassifier", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(2), Infer: inferSVMClassifier, Build: buildSVMClassifier},
		},
	})
}

// svmClassifier is an svm with classes.
type svmClassifier struct {
	*svm
	labels       *mlLabels
	perClass     []int
	start        []int
	probA, probB []float32
	post         mlPost
	classes      int // of the machine, which may know more than there are labels
	features     int
}

func parseSVMClassifier(a *attrs) (*svmClassifier, error) {
	s, err := parseSVM(a)
	if err != nil {
		return nil, err
	}
	v := &svmClassifier{svm: s, perClass: a.Ints("vectors_per_class", nil), probA: a.Floats("prob_a", nil), probB: a.Floats("prob_b", nil), post: parsePost(a)}
	if v.labels, err = parseLabels(a, "classlabels_ints", "classlabels_strings"); err != nil {
		return nil, err
	}
	for _, k := range v.perClass {
		if k < 0 || k > len(s.coef) { // there is one for each vector, at least
			return nil, fmt.Errorf("vectors_per_class has %d", k)
		}
		v.start = append(v.start, s.n)
		s.n += k
	}
	v.classes = v.labels.len()
	if s.n == 0 {
		s.kind = "LINEAR"
	}
	if v.features, err = s.features(v.classes); err != nil {
		return nil, err
	}
	pairs := v.classes * (v.classes - 1) / 2
	switch {
	case s.n > 0 && (len(v.perClass) != v.classes || v.classes < 2):
		return nil, fmt.Errorf("vectors_per_class has %d elements, want %d for as many labels, at least 2", len(v.perClass), v.classes)
	case s.n > 0 && (len(s.coef) != s.n*(v.classes-1) || len(s.rho) != pairs):
		return nil, fmt.Errorf("%d coefficients and %d values of rho, want %d and %d", len(s.coef), len(s.rho), s.n*(v.classes-1), pairs)
	case s.n == 0 && len(s.rho) < 1:
		return nil, fmt.Errorf("rho is empty")
	case len(v.probA) != len(v.probB) || len(v.probA) != 0 && len(v.probA) != pairs:
		return nil, fmt.Errorf("prob_a and prob_b have %d and %d elements, want %d", len(v.probA), len(v.probB), pairs)
	}
	return v, nil
}

// width returns the number of columns of Z.
func (v *svmClassifier) width() int {
	if v.n == 0 || len(v.probA) > 0 {
		return v.classes
	}
	if v.classes == 2 {
		return 2
	}
	return v.classes * (v.classes - 1) / 2
}

func inferSVMClassifier(c *InferContext) error {
	v, err := parseSVMClassifier(&c.attrs)
	if err != nil {
		return err
	}
	return inferClassifier(c, v.labels, onnx.Size(v.width()))
}

func buildSVMClassifier(b *BuildContext) (Kernel, error) {
	v, err := parseSVMClassifier(&b.attrs)
	if err != nil {
		return nil, err
	}
	v.prepare(v.features)
	return func(c *Call) error {
		x, n, f, err := mlMatrix[float32](c)
		if err != nil {
			return err
		}
		if f != v.features {
			return fmt.Errorf("X has %d features, want %d", f, v.features)
		}
		out, w := v.labels.output(c, n), v.width()
		z := tensor.Data[float32](c.Output(1, tensor.Float32, n, w))
		par.Run(c.P, n, v.grain(f), par.With(svmClasses{v, out, x, z, f, w}))
		return nil
	}, nil
}

// svmClasses classifies rows of f features.
type svmClasses struct {
	*svmClassifier
	out  labelsOut
	x, z []float32
	f, w int
}

func (a *svmClasses) Chunk(lo, hi int) {
	buf, pool := borrow[svmBuffer]()
	defer pool.Put(buf)
	v, x, f, w := a.svmClassifier, a.x, a.f, a.w
	k := buf.room(v.n)
	for i := lo; i < hi; i++ {
		at := (i - lo) % svmRows
		if at == 0 && v.n > 0 {
			v.kernels(k, x[i*f:min(i+svmRows, hi)*f], f)
		}
		scores, class := v.scores(x[i*f:(i+1)*f], k[at*v.n:][:v.n], buf)
		extra := oneScoreAlone
		if len(v.rho) == 1 && v.classes == 2 {
			extra = oneScoreProb
			if v.post == postNone {
				extra = oneScoreSigned
			}
		}
		a.out.set(i, class)
		v.post.write(a.z[i*w:(i+1)*w], scores, extra)
	}
}

// scores returns the scores of one row and the class that they choose. k are
// the kernels. The scores are in buf or new.
func (v *svmClassifier) scores(x, k []float32, buf *svmBuffer) ([]float32, int) {
	f := len(x)
	if v.n == 0 {
		buf.out = slices.Grow(buf.out[:0], v.classes)[:v.classes]
		out := buf.out
		for i := range out {
			out[i] = mlDot(x, v.coef[i*f:(i+1)*f]) + v.rho[0]
		}
		return out, argmax(out)
	}
	out := buf.out[:0]
	votes := slices.Grow(buf.votes[:0], v.classes)[:v.classes]
	clear(votes)
	for i := range v.classes {
		for j := i + 1; j < v.classes; j++ {
			ki, kj := k[v.start[i]:][:v.perClass[i]], k[v.start[j]:][:v.perClass[j]]
			sum := mlDot(ki, v.coef[v.n*(j-1)+v.start[i]:]) + mlDot(kj, v.coef[v.n*i+v.start[j]:]) + v.rho[len(out)]
			out = append(out, sum)
			if sum > 0 {
				votes[i]++
			} else {
				votes[j]++
			}
		}
	}
	buf.out, buf.votes = out, votes
	if len(v.probA) == 0 {
		return out, argmax(votes)
	}
	return v.couple(out), argmax(votes)
}

// couple turns the decisions of all pairs into probabilities of the classes, by
// the second method of Wu, Lin and Weng, "Probability Estimates for Multi-class
// Classification by Pairwise Coupling" (2004).
func (v *svmClassifier) couple(decisions []float32) []float32 {
	n := v.classes
	r := make([]float32, n*n)
	at := 0
	for i := range n {
		for j := i + 1; j < n; j++ {
			p := 1 - mlLogistic(decisions[at]*v.probA[at]+v.probB[at])
			p = min(max(p, 1e-7), 1-1e-7)
			r[i*n+j], r[j*n+i] = p, 1-p
			at++
		}
	}
	q := make([]float32, n*n)
	p, qp := make([]float32, n), make([]float32, n)
	for i := range n {
		p[i] = 1 / float32(n)
		for j := range n {
			if j != i {
				q[i*n+i] += r[j*n+i] * r[j*n+i]
				q[i*n+j] = -r[j*n+i] * r[i*n+j]
			}
		}
	}
	eps := 0.005 / float32(n)
	for range max(100, n) {
		pqp := float32(0)
		for i := range n {
			qp[i] = 0
			for j := range n {
				qp[i] += q[i*n+j] * p[j]
			}
			pqp += p[i] * qp[i]
		}
		worst := float32(0)
		for i := range n {
			worst = max(worst, mlAbs(qp[i]-pqp))
		}
		if worst < eps {
			break
		}
		for i := range n {
			d := (pqp - qp[i]) / q[i*n+i]
			p[i] += d
			pqp = (pqp + d*(d*q[i*n+i]+2*qp[i])) / (1 + d) / (1 + d)
			for j := range n {
				qp[j] = (qp[j] + d*q[i*n+j]) / (1 + d)
				p[j] /= 1 + d
			}
		}
	}
	return p
}
