package train

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/tensor"
)

// measure adds batches of two samples to a metric.
func measure(t *testing.T, m Metric, output, target *tensor.Tensor) float64 {
	t.Helper()
	m.Reset()
	a, err := NewArrays(map[string]*tensor.Tensor{"o": output, "t": target})
	require.NoError(t, err)
	for b, err := range (&Loader{Dataset: a, BatchSize: 2}).Epoch(t.Context(), 0, 0) {
		require.NoError(t, err)
		require.NoError(t, m.Add(b["o"], b["t"]))
	}
	return m.Value()
}

func TestMetrics(t *testing.T) {
	scores := tensor.Of([]float32{3, 2, 1, 0, 1, 2, 1, 3, 2, 5, 4, 0}, 4, 3) // 0 2 1 0
	classes := tensor.Of([]int64{0, 1, 1, 1}, 4)
	value := func(name string, o, y *tensor.Tensor) float64 {
		m, err := ParseMetric(name)
		require.NoError(t, err)
		require.Equal(t, name, m.Name())
		return measure(t, m, o, y)
	}
	require.Equal(t, 0.5, value("accuracy", scores, classes))
	require.Equal(t, 1.0, value("top2", scores, classes))
	// Class 0: precision 1/2, recall 1; class 1: 1/1, 1/3; class 2: 0, 0 (predicted once).
	require.InDelta(t, (0.5+1+0)/3, value("precision", scores, classes), 1e-12)
	require.InDelta(t, (1+1.0/3+0)/3, value("recall", scores, classes), 1e-12)
	require.InDelta(t, (2.0/3+0.5+0)/3, value("f1", scores, classes), 1e-12)

	logits := tensor.Of([]float32{-1, 2, 2, 0.5, -3}, 5, 1)
	binary := tensor.Of([]float32{0, 1, 0, 1, 0}, 5, 1)
	require.Equal(t, 0.8, value("accuracy", logits, binary))
	require.InDelta(t, 2.0/3, value("precision", logits, binary), 1e-12)
	require.Equal(t, 1.0, value("recall", logits, binary))
	// Pairs: 2 beats -1, ties 2, beats -3; 0.5 beats -1 and -3, loses to 2.
	require.InDelta(t, 4.5/6, value("auc", logits, binary), 1e-12)

	even := tensor.Of([]float32{1, 1, 1, 1}, 2, 2)
	require.InDelta(t, 2, value("perplexity", even, tensor.Of([]int64{0, 1}, 2)), 1e-12)

	x, y := tensor.Of([]float32{1, 2, 4}, 3), tensor.Of([]float32{1, 3, 2}, 3)
	require.InDelta(t, 5.0/3, value("mse", x, y), 1e-12)
	require.InDelta(t, 1, value("mae", x, y), 1e-12)
	require.InDelta(t, 1-5.0/2, value("r2", x, y), 1e-12)

	// What scikit-learn says of several labels and of several numbers (roc_auc_score and r2_score with their defaults,
	// accuracy_score, f1_score with average="macro").
	labels := tensor.Of([]float32{1, 0, 1, 0, 1, 1, 0, 0, 1, 1, 0, 1}, 4, 3) // the last one has one class
	scored := tensor.Of([]float32{2, -1, 1, 0.5, -0.5, 3, -2, 1, 0.5, 0.25, -3, 2}, 4, 3)
	require.InDelta(t, 9.0/12, value("accuracy", scored, labels), 1e-12)
	require.InDelta(t, 2.0/4, value("exact_match", scored, labels), 1e-12)
	require.InDelta(t, (4.0/5+0+1)/3, value("f1", scored, labels), 1e-12)
	require.InDelta(t, (3.0/4+2.0/3)/2, value("auc", scored, labels), 1e-12)
	x, y = tensor.Of([]float32{0, 2, 7, -1, 2, 7, 8, -5, 7}, 3, 3), tensor.Of([]float32{0.5, 1, 7, -1, 1, 7, 7, -6, 7}, 3, 3)
	require.InDelta(t, 0.957867017774852, value("r2", x, y), 1e-12)
	require.Zero(t, value("r2", tensor.Of([]float32{1, 2}, 2), tensor.Of([]float32{3, 3}, 2)))
	m := &AUC{}
	require.NoError(t, m.Add(scored, labels))
	require.ErrorContains(t, m.Add(logits, binary), "they have 1 labels, those before 3")

	_, err := ParseMetric("top0")
	require.ErrorContains(t, err, "top0")
	require.True(t, math.IsNaN((&Accuracy{}).Value()))
	require.ErrorContains(t, (&Accuracy{}).Add(scores, tensor.Of([]int64{0, 1, 2, 3}, 4)), "target 3 is 3")
	require.ErrorContains(t, (&Accuracy{}).Add(scores, tensor.Of([]int64{0, 1, 2, 0, 1}, 5)), "for targets")
}

// What precision_score, recall_score and f1_score of scikit-learn 1.9 say, average="binary" of two classes and
// "macro" else, whichever way the samples come in batches.
func TestConfusionAsInScikitLearn(t *testing.T) {
	const n = 50
	number := func(columns int, f func(i, k int) int) *tensor.Tensor {
		v := make([]float32, n*columns)
		for i := range v {
			v[i] = float32(f(i/columns, i%columns))
		}
		if columns == 1 {
			return tensor.Of(v, n)
		}
		return tensor.Of(v, n, columns)
	}
	truth := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	scores := func(i, k int) int { // of five, the last of which never wins
		if k == 4 {
			return -1
		}
		return (i*37 + k*17) % 23
	}
	logit := number(1, func(i, _ int) int { return i*37%23 - 10 })
	binary := number(1, func(i, _ int) int { return truth(i*13%5 < 2) })
	for _, c := range []struct {
		name              string
		output, target    *tensor.Tensor
		precision, recall float64
		f1                float64
	}{
		{"two classes, one logit", logit, binary, 0.15384615384615385, 0.2, 0.17391304347826086},
		{"two classes, two scores", number(2, func(i, k int) int { return k * (i*37%23 - 10) }), binary, 0.15384615384615385, 0.2, 0.17391304347826086},
		// The fifth class does not occur; the second and fourth are predicted alone.
		{"several classes", number(5, scores), number(1, func(i, _ int) int {
			if y := (i*i*7 + i) % 4; y < 3 || i%2 == 0 {
				return y
			}
			return 0
		}), 0.26325757575757575, 0.11939102564102563, 0.16403903903903905},
		// The fourth label is never there, the fifth neither there nor predicted.
		{"several labels", number(5, func(i, k int) int {
			if k == 4 {
				return -1
			}
			return scores(i, k) - 12
		}), number(5, func(i, k int) int { return truth(k < 3 && (i*13+k*7)%5 < 2+k%2) }), 0.2865047995482778, 0.25, 0.2653430631341354},
	} {
		for kind, want := range map[string]float64{"precision": c.precision, "recall": c.recall, "f1": c.f1} {
			for _, batch := range []int{n, 7} {
				m, err := ParseMetric(kind)
				require.NoError(t, err)
				for at := 0; at < n; at += batch {
					end := min(at+batch, n)
					require.NoError(t, m.Add(rowsOf(c.output, at, end), rowsOf(c.target, at, end)))
				}
				require.InDelta(t, want, m.Value(), 1e-12, "%s of %s", kind, c.name)
			}
		}
	}
	m := &Confusion{Kind: "f1"}
	require.True(t, math.IsNaN(m.Value()))
	require.NoError(t, m.Add(tensor.Of([]float32{1, 2}, 1, 2), tensor.Of([]float32{1, 0}, 1, 2)))
	require.ErrorContains(t, m.Add(tensor.Of([]float32{1, 2, 3}, 1, 3), tensor.Of([]float32{1, 0, 1}, 1, 3)), "they have 3 labels, those before 2")
	m.Reset()
	require.NoError(t, m.Add(tensor.Of([]float32{1, 2, 3}, 1, 3), tensor.Of([]float32{1, 0, 1}, 1, 3)))
}

// rowsOf returns rows [from, to) of x.
func rowsOf(x *tensor.Tensor, from, to int) *tensor.Tensor {
	size := x.Len() / x.Dim(0)
	return tensor.Of(tensor.Data[float32](x)[from*size:to*size], append([]int{to - from}, x.Shape()[1:]...)...)
}
