package tensor

import (
	"fmt"
	"math"
	"slices"
)

// Tolerance bounds what counts as equal. Floats: |got - want| <= Abs + Rel*|want|,
// NaN equals NaN, infinities by sign. Everything else must be equal. The zero
// Tolerance stands for DefaultTolerance.
type Tolerance struct{ Rel, Abs float64 }

// DefaultTolerance is the one of ONNX's own backend tests.
var DefaultTolerance = Tolerance{Rel: 1e-3, Abs: 1e-7}

// Compare returns nil if got equals want within tol, else an error that says
// what differs and where it is worst.
func Compare(got, want Value, tol Tolerance) error {
	if tol == (Tolerance{}) {
		tol = DefaultTolerance
	}
	g, ok := got.(*Tensor)
	w, ok2 := want.(*Tensor)
	if !ok || !ok2 {
		return fmt.Errorf("%v, want %v", got, want)
	}
	if g.dtype != w.dtype || !slices.Equal(g.shape, w.shape) {
		return fmt.Errorf("%v, want %v", g, w)
	}
	if g.dtype == Float32 {
		a, b := Data[float32](g), Data[float32](w)
		for i := range a {
			x, y := float64(a[i]), float64(b[i])
			if x == y || math.IsNaN(x) && math.IsNaN(y) || math.Abs(x-y) <= tol.Abs+tol.Rel*math.Abs(y) {
				continue
			}
			return fmt.Errorf("element %d: %g, want %g", i, x, y)
		}
		return nil
	}
	if !slices.Equal(g.data, w.data) || !slices.Equal(g.str, w.str) {
		return fmt.Errorf("elements differ")
	}
	return nil
}
