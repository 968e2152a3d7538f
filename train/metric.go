package train

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/tensor"
)

// Metric says how good outputs are. It sees the batches of an evaluation one by one.
type Metric interface {
	Name() string
	// Reset forgets what was added.
	Reset()
	// Add takes a batch: the model's output and the targets.
	Add(output, target *tensor.Tensor) error
	// Value is the metric of all that was added, NaN of nothing.
	Value() float64
	// Greater reports whether larger values are better.
	Greater() bool
}

// ParseMetric returns the metric that configurations call name: accuracy, top5 (or
// any number), exact_match, precision, recall, f1, auc, perplexity, mse, mae, r2.
func ParseMetric(name string) (Metric, error) {
	var k int
	switch {
	case name == "accuracy":
		return &Accuracy{}, nil
	case name == "exact_match":
		return &ExactMatch{}, nil
	case name == "precision" || name == "recall" || name == "f1":
		return &Confusion{Kind: name}, nil
	case name == "auc":
		return &AUC{}, nil
	case name == "perplexity":
		return &Perplexity{}, nil
	case name == "mse" || name == "mae" || name == "r2":
		return &Regression{Kind: name}, nil
	}
	if n, err := fmt.Sscanf(name, "top%d", &k); err == nil && n == 1 && k > 0 && name == fmt.Sprint("top", k) {
		return &Accuracy{K: k}, nil
	}
	return nil, fmt.Errorf("there is no metric %q: there are accuracy, top5, exact_match, precision, recall, f1, auc, perplexity, mse, mae and r2", name)
}

// scoresOf returns the scores of output as rows of classes and the targets as
// classes. An output with one score, or of the targets' shape, is binary: its
// logit counts as the score of class 1, and 0 as that of class 0.
func scoresOf(output, target *tensor.Tensor) (rows [][]float64, classes []int, err error) {
	s, err := tensor.Float64s(output)
	if err != nil {
		return nil, nil, err
	}
	y, err := tensor.Float64s(target)
	if err != nil {
		return nil, nil, err
	}
	if len(y) == 0 {
		return nil, nil, nil
	}
	if len(s)%len(y) != 0 {
		return nil, nil, fmt.Errorf("train: an output %v for targets %v", output, target)
	}
	n := len(s) / len(y)
	for i, v := range y {
		row := s[i*n : (i+1)*n]
		if n == 1 {
			row = []float64{0, row[0]}
		}
		c := int(v)
		if float64(c) != v || c >= len(row) {
			return nil, nil, fmt.Errorf("train: target %d is %g, want a class below %d", i, v, len(row))
		}
		rows, classes = append(rows, row), append(classes, c)
	}
	return rows, classes, nil
}

// best returns the class with the highest score, the first of equal ones.
func best(row []float64) int {
	k := 0
	for i, v := range row {
		if v > row[k] {
			k = i
		}
	}
	return k
}

// Accuracy is the share of samples whose class is the one with the highest score,
// or among the K highest. Negative targets do not count. Of several labels each counts as a sample: 1 less
// the Hamming loss.
type Accuracy struct {
	K          int // 0: 1
	right, all int
}

// Name implements Metric.
func (m *Accuracy) Name() string {
	if m.K > 1 {
		return fmt.Sprint("top", m.K)
	}
	return "accuracy"
}

// Reset implements Metric.
func (m *Accuracy) Reset() { m.right, m.all = 0, 0 }

// Greater implements Metric.
func (m *Accuracy) Greater() bool { return true }

// Add implements Metric.
func (m *Accuracy) Add(output, target *tensor.Tensor) error {
	rows, classes, err := scoresOf(output, target)
	for i, row := range rows {
		if classes[i] < 0 {
			continue
		}
		m.all++
		higher := 0
		for c, v := range row {
			if v > row[classes[i]] || v == row[classes[i]] && c < classes[i] {
				higher++
			}
		}
		if higher < max(m.K, 1) {
			m.right++
		}
	}
	return err
}

// Value implements Metric.
func (m *Accuracy) Value() float64 { return float64(m.right) / float64(m.all) }

// ExactMatch is the share of samples all of whose labels (the last dimension of targets of the output's
// shape) are right: what scikit-learn calls the accuracy of several labels. Of one label it is Accuracy.
type ExactMatch struct{ right, all int }

// Name implements Metric.
func (m *ExactMatch) Name() string { return "exact_match" }

// Reset implements Metric.
func (m *ExactMatch) Reset() { m.right, m.all = 0, 0 }

// Greater implements Metric.
func (m *ExactMatch) Greater() bool { return true }

// Add implements Metric.
func (m *ExactMatch) Add(output, target *tensor.Tensor) error {
	rows, classes, err := scoresOf(output, target)
	if err != nil {
		return err
	}
	labels := labelsOf(output, target)
	for i := 0; i < len(rows); i += labels {
		right := 0
		for k := range labels {
			if best(rows[i+k]) == classes[i+k] {
				right++
			}
		}
		if m.all++; right == labels {
			m.right++
		}
	}
	return nil
}

// Value implements Metric.
func (m *ExactMatch) Value() float64 { return float64(m.right) / float64(m.all) }

// labelsOf returns how many labels, or numbers, a sample has: the last dimension of targets of the output's shape.
func labelsOf(output, target *tensor.Tensor) int {
	if k := target.Rank(); k >= 2 && output.Len() == target.Len() {
		return max(target.Dim(k-1), 1)
	}
	return 1
}

// Confusion counts how often each class was taken for each. Its value is what scikit-learn calls the
// precision, recall or F1 of average="binary" where there are two classes (of one logit, too): that of class 1; else
// of average="macro": the mean over the classes that occur, or that were predicted. Of several labels it is the mean over
// all of them, each a class of its own. What is 0/0 counts as 0.
type Confusion struct {
	Kind string  // precision, recall or f1
	M    [][]int // M[true][predicted]; of several labels, of all together

	labels [][2][2]int // of several labels: each one's
}

// Name implements Metric.
func (m *Confusion) Name() string { return m.Kind }

// Reset implements Metric.
func (m *Confusion) Reset() { m.M, m.labels = nil, nil }

// Greater implements Metric.
func (m *Confusion) Greater() bool { return true }

// Add implements Metric.
func (m *Confusion) Add(output, target *tensor.Tensor) error {
	rows, classes, err := scoresOf(output, target)
	if err != nil || len(rows) == 0 {
		return err
	}
	labels := labelsOf(output, target)
	if m.M == nil && labels > 1 {
		m.labels = make([][2][2]int, labels)
	}
	if m.M != nil && max(len(m.labels), 1) != labels {
		return fmt.Errorf("train: %s of targets %v: they have %d labels, those before %d", m.Kind, target, labels, max(len(m.labels), 1))
	}
	for i, row := range rows {
		for len(m.M) < len(row) {
			m.M = append(m.M, nil)
		}
		for c := range m.M {
			for len(m.M[c]) < len(m.M) {
				m.M[c] = append(m.M[c], 0)
			}
		}
		if classes[i] < 0 {
			continue
		}
		k := best(row)
		m.M[classes[i]][k]++
		if labels > 1 {
			m.labels[i%labels][classes[i]][k]++
		}
	}
	return nil
}

// Value implements Metric.
func (m *Confusion) Value() float64 {
	sum, n := 0.0, 0
	switch {
	case m.labels != nil:
		for _, l := range m.labels {
			sum += m.of(l[1][1], l[1][0]+l[1][1], l[0][1]+l[1][1])
		}
		return sum / float64(len(m.labels))
	case len(m.M) == 2:
		return m.of(m.M[1][1], m.M[1][0]+m.M[1][1], m.M[0][1]+m.M[1][1])
	}
	for c := range m.M {
		row, col := 0, 0
		for k := range m.M {
			row += m.M[c][k]
			col += m.M[k][c]
		}
		if row+col > 0 {
			sum += m.of(m.M[c][c], row, col)
			n++
		}
	}
	return sum / float64(n)
}

// of returns the value of a class that hit of row samples are found to be, among col that are taken for it; 0
// where it is 0/0.
func (m *Confusion) of(hit, row, col int) float64 {
	of := row + col
	switch m.Kind {
	case "precision":
		of = col
	case "recall":
		of = row
	default:
		hit *= 2
	}
	return float64(hit) / float64(max(of, 1))
}

// AUC is the area under the ROC curve of binary scores: the chance that a
// sample of class 1 has a higher score than one of class 0, equal ones counting half. Of several labels it is
// the mean of those that have samples of both classes (macro average).
type AUC struct{ labels []scored }

// scored is the scores of one label.
type scored struct {
	score []float64
	class []int
}

// Name implements Metric.
func (m *AUC) Name() string { return "auc" }

// Reset implements Metric.
func (m *AUC) Reset() { m.labels = nil }

// Greater implements Metric.
func (m *AUC) Greater() bool { return true }

// Add implements Metric.
func (m *AUC) Add(output, target *tensor.Tensor) error {
	rows, classes, err := scoresOf(output, target)
	if err != nil || len(rows) == 0 {
		return err
	}
	labels := labelsOf(output, target)
	if m.labels == nil {
		m.labels = make([]scored, labels)
	}
	if len(m.labels) != labels {
		return fmt.Errorf("train: auc of targets %v: they have %d labels, those before %d", target, labels, len(m.labels))
	}
	for i, row := range rows {
		if len(row) != 2 {
			return fmt.Errorf("train: auc is for two classes, found %d", len(row))
		}
		l := &m.labels[i%labels]
		l.score, l.class = append(l.score, row[1]-row[0]), append(l.class, classes[i])
	}
	return nil
}

// Value implements Metric.
func (m *AUC) Value() float64 {
	sum, n := 0.0, 0.0
	for _, l := range m.labels {
		if v := l.auc(); !math.IsNaN(v) {
			sum, n = sum+v, n+1
		}
	}
	return sum / n
}

// auc is NaN where there is one class. Mann and Whitney, 1947.
func (m *scored) auc() float64 {
	order := make([]int, len(m.score))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(m.score[a], m.score[b]) })
	below, sum, ones := 0.0, 0.0, 0.0
	for i := 0; i < len(order); {
		zeros, pos := 0.0, 0.0
		j := i
		for ; j < len(order) && m.score[order[j]] == m.score[order[i]]; j++ {
			if m.class[order[j]] == 1 {
				pos++
			} else {
				zeros++
			}
		}
		sum += pos * (below + zeros/2)
		below, ones, i = below+zeros, ones+pos, j
	}
	return sum / (ones * below)
}

// Perplexity is e to the mean cross entropy of logits and classes. Negative
// targets do not count.
type Perplexity struct {
	sum float64
	n   int
}

// Name implements Metric.
func (m *Perplexity) Name() string { return "perplexity" }

// Reset implements Metric.
func (m *Perplexity) Reset() { m.sum, m.n = 0, 0 }

// Greater implements Metric.
func (m *Perplexity) Greater() bool { return false }

// Add implements Metric.
func (m *Perplexity) Add(output, target *tensor.Tensor) error {
	rows, classes, err := scoresOf(output, target)
	for i, row := range rows {
		if classes[i] < 0 {
			continue
		}
		top, sum := row[best(row)], 0.0
		for _, v := range row {
			sum += math.Exp(v - top)
		}
		m.sum += top + math.Log(sum) - row[classes[i]]
		m.n++
	}
	return err
}

// Value implements Metric.
func (m *Perplexity) Value() float64 { return math.Exp(m.sum / float64(m.n)) }

// Regression compares numbers: mse and mae are the mean squared and absolute
// errors, r2 the coefficient of determination 1 - Σ(y-x)²/Σ(y-mean(y))², of several numbers a sample (the last
// dimension) the mean of each one's, where targets that are all the same have 1 for no errors, else 0, as in scikit-learn.
type Regression struct {
	Kind string // mse, mae or r2
	each []errorsOf
}

// errorsOf are sums over samples of one number; y is the mean of the targets, yy the sum of squares about it.
type errorsOf struct{ n, sq, abs, y, yy float64 }

// Name implements Metric.
func (m *Regression) Name() string { return m.Kind }

// Reset implements Metric.
func (m *Regression) Reset() { *m = Regression{Kind: m.Kind} }

// Greater implements Metric.
func (m *Regression) Greater() bool { return m.Kind == "r2" }

// Add implements Metric.
func (m *Regression) Add(output, target *tensor.Tensor) error {
	x, err := tensor.Float64s(output)
	if err != nil {
		return err
	}
	y, err := tensor.Float64s(target)
	if err != nil {
		return err
	}
	if len(x) != len(y) {
		return fmt.Errorf("train: an output %v for targets %v", output, target)
	}
	width := labelsOf(output, target)
	if m.each == nil {
		m.each = make([]errorsOf, width)
	}
	if len(m.each) != width {
		return fmt.Errorf("train: %s of targets %v: they have %d numbers a sample, those before %d", m.Kind, target, width, len(m.each))
	}
	for i, v := range y {
		e, d := &m.each[i%width], x[i]-v
		e.sq += d * d
		e.abs += math.Abs(d)
		// Sums about the running mean stay exact.
		e.n++
		step := v - e.y
		e.y += step / e.n
		e.yy += step * (v - e.y)
	}
	return nil
}

// Value implements Metric.
func (m *Regression) Value() float64 {
	sum := 0.0
	for _, e := range m.each {
		switch {
		case m.Kind == "mse":
			sum += e.sq / e.n
		case m.Kind == "mae":
			sum += e.abs / e.n
		case e.yy > 0:
			sum += 1 - e.sq/e.yy
		case e.sq == 0:
			sum++
		}
	}
	return sum / float64(len(m.each))
}
