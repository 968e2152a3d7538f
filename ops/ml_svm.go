package ops

import (
	"fmt"
	"math"
)

// svm is what the two operators of support vector machines share: the kernel
// function and the vectors.
type svm struct {
	kind                string
	gamma, coef0, power float32
	vectors             []float32 // [n, features]
	coef, rho           []float32
	n                   int
}

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

// kernel returns the kernel function of two vectors.
func (s *svm) kernel(x, v []float32) float32 {
	sum := float32(0)
	if s.kind == "RBF" {
		for i, a := range x {
			d := a - v[i]
			sum += d * d
		}
		return mlExp(-s.gamma * sum)
	}
	for i, a := range x {
		sum += a * v[i]
	}
	switch s.kind {
	case "POLY":
		return float32(math.Pow(float64(s.gamma*sum+s.coef0), float64(s.power)))
	case "SIGMOID":
		return float32(math.Tanh(float64(s.gamma*sum + s.coef0)))
	}
	return sum
}

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
