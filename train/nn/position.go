package nn

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Positions adds a learned vector for each position, up to Max.
//
//	x: [batch, time, dim]    weight: [Max, dim]
type Positions struct{ Max int }

// Forward implements Layer.
func (l Positions) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	w := s.Param("weight", Normal(0, 0.02), l.Max, s.Size(x, -1))
	n := s.Op("Shape", onnx.NewAttrs("start", 1, "end", 2), x)
	return s.Op("Add", nil, x, s.Op("Slice", nil, w, s.Ints(0), n, s.Ints(0)))
}

// Sinusoids adds sines and cosines of the position, up to Max, which are no parameters.
// Vaswani et al., 2017, section 3.5.
type Sinusoids struct{ Max int }

// Forward implements Layer.
func (l Sinusoids) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	dim := s.Size(x, -1)
	if l.Max < 1 || dim < 1 {
		s.Fail(fmt.Errorf("Sinusoids for %d positions of size %d", l.Max, dim))
		return nil
	}
	table := make([]float32, l.Max*dim)
	for p := range l.Max {
		for i := range dim {
			a := float64(p) / math.Pow(10000, float64(i/2*2)/float64(dim))
			if i%2 == 0 {
				table[p*dim+i] = float32(math.Sin(a))
			} else {
				table[p*dim+i] = float32(math.Cos(a))
			}
		}
	}
	t := s.Op("Constant", onnx.NewAttrs("value", tensor.Of(table, l.Max, dim)))
	n := s.Op("Shape", onnx.NewAttrs("start", 1, "end", 2), x)
	return s.Op("Add", nil, x, s.Op("Slice", nil, t, s.Ints(0), n, s.Ints(0)))
}

// Rotary has attention see the distance of positions: it turns the pairs of elements i and
// i + size/2 of each head by position · Base^(-2i/size). Su et al., RoFormer, 2021.
type Rotary struct {
	Max  int     // positions
	Base float64 // 0: 10000
}

// build returns what turns queries or keys [batch, time, heads·size] for x [batch, time, …].
func (l Rotary) build(s *Scope, x *onnx.Value, size, heads int) func(q *onnx.Value) *onnx.Value {
	if l.Max < 1 {
		s.Fail(fmt.Errorf("Rotary for %d positions, want at least 1", l.Max))
		return func(q *onnx.Value) *onnx.Value { return q }
	}
	half, base := size/2, or(l.Base, 10000)
	cos, sin := make([]float32, l.Max*half), make([]float32, l.Max*half)
	for p := range l.Max {
		for i := range half {
			y, x := math.Sincos(float64(p) * math.Pow(base, -2*float64(i)/float64(size)))
			cos[p*half+i], sin[p*half+i] = float32(x), float32(y)
		}
	}
	time := s.Op("Shape", onnx.NewAttrs("start", 1, "end", 2), x)
	table := func(v []float32) *onnx.Value { // [time, 1, half]
		t := s.Op("Constant", onnx.NewAttrs("value", tensor.Of(v, l.Max, 1, half)))
		return s.Op("Slice", nil, t, s.Ints(0), time, s.Ints(0))
	}
	cosines, sines := table(cos), table(sin)
	return func(q *onnx.Value) *onnx.Value {
		parts := s.Ops("", "Split", onnx.NewAttrs("axis", -1, "num_outputs", 2), 2, s.Op("Reshape", nil, q, s.Ints(0, 0, heads, size)))
		a, b := parts[0], parts[1]
		y := s.Op("Concat", onnx.NewAttrs("axis", -1),
			s.Op("Sub", nil, s.Op("Mul", nil, a, cosines), s.Op("Mul", nil, b, sines)),
			s.Op("Add", nil, s.Op("Mul", nil, b, cosines), s.Op("Mul", nil, a, sines)))
		return s.Op("Reshape", nil, y, s.Ints(0, 0, heads*size))
	}
}
