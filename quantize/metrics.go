package quantize

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/tensor"
)

// OutputError says how far an output of a quantised model is from that of the
// original, over all samples.
type OutputError struct {
	Name string `json:"name"`
	// SNR is the signal-to-noise ratio in decibels: 10·log10(Σ want² / Σ (want-got)²).
	// It is +Inf where nothing differs.
	SNR float64 `json:"-"`
	// RelativeL2 is the L2 norm of the difference by that of the original.
	RelativeL2 float64 `json:"relative_l2"`
	// Cosine is the cosine of the angle between both, all samples as one vector.
	Cosine float64 `json:"cosine"`
	MaxAbs float64 `json:"max_abs"`
	// Elements that were compared.
	Elements int64 `json:"elements"`
	// Reshaped is how many batches gave another shape, as where boxes are chosen by
	// their scores or steps are counted by a value. All of such a result, and of what was wanted, counts as error.
	Reshaped int `json:"reshaped,omitempty"`
}

// errorSum sums what an OutputError is made of. The zero value is ready.
type errorSum struct {
	signal, noise, other, dot, worst float64
	n                                int64
	reshaped                         int
}

// add compares two float tensors. Sums are in float64. Tensors of different shapes have nothing in common.
// Infinities at the same places with the same signs, and NaN for NaN, are equal.
func (s *errorSum) add(want, got *tensor.Tensor) error {
	if d := want.DType(); !d.IsFloat() {
		return fmt.Errorf("%v is not a tensor of floats", want)
	}
	a, err := tensor.Float64s(want)
	if err != nil {
		return err
	}
	b, err := tensor.Float64s(got)
	if err != nil {
		return err
	}
	if !slices.Equal(want.Shape(), got.Shape()) {
		s.reshaped++
		a, b = slices.Concat(a, make([]float64, len(b))), slices.Concat(make([]float64, len(a)), b)
	}
	for i, x := range a {
		y := b[i]
		if x == y || math.IsNaN(x) && math.IsNaN(y) {
			if math.IsInf(x, 0) || math.IsNaN(x) {
				continue
			}
		}
		d := x - y
		s.signal += x * x
		s.noise += d * d
		s.other += y * y
		s.dot += x * y
		if d = math.Abs(d); d > s.worst || math.IsNaN(d) {
			s.worst = d
		}
	}
	s.n += int64(want.Len())
	return nil
}

func (s *errorSum) result(name string) OutputError {
	e := OutputError{Name: name, SNR: math.Inf(1), Cosine: 1, MaxAbs: s.worst, Elements: s.n, Reshaped: s.reshaped}
	if s.noise != 0 {
		e.SNR = 10 * math.Log10(s.signal/s.noise)
		e.RelativeL2 = math.Sqrt(s.noise / s.signal)
		e.Cosine = s.dot / math.Sqrt(s.signal*s.other)
	}
	return e
}

// Correct returns how many rows of scores have their largest element where
// labels say, and how many rows there are: scores are [N, C], C > 1 of any float
// type, one label in [0, C) a row; of scores [N] or [N, 1] the label is 1 for
// what is above 0 and 0 for the rest, as of logits. NaN is never right.
func Correct(scores *tensor.Tensor, labels []int) (right, rows int, err error) {
	v, err := tensor.Float64s(scores)
	if err != nil {
		return 0, 0, err
	}
	shape := scores.Shape()
	if len(shape) == 0 || shape[0] != len(labels) || len(v)%max(shape[0], 1) != 0 {
		return 0, 0, fmt.Errorf("scores have shape %v, want one row for each of %d labels", shape, len(labels))
	}
	if len(labels) == 0 {
		return 0, 0, nil
	}
	c := len(v) / len(labels)
	for i, label := range labels {
		row := v[i*c : (i+1)*c]
		switch {
		case c == 0 || label < 0 || label >= max(c, 2):
			return 0, 0, fmt.Errorf("label %d of row %d: want one from 0 to %d", label, i, max(c, 2)-1)
		case c == 1:
			if row[0] > 0 == (label == 1) && !math.IsNaN(row[0]) {
				right++
			}
		default:
			best := 0
			for j, x := range row {
				if x > row[best] || math.IsNaN(x) {
					best = j
				}
				if math.IsNaN(x) {
					best = -1
					break
				}
			}
			if best == label {
				right++
			}
		}
	}
	return right, len(labels), nil
}
