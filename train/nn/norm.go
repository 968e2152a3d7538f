package nn

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// BatchNorm brings each channel to mean 0 and variance 1: over the batch while
// training, by running statistics otherwise, then scales and shifts it.
//
//	x: [batch, channels, …]    weight, bias, running_mean, running_var: [channels]
//
// Ioffe and Szegedy, Batch normalization, 2015.
type BatchNorm struct {
	Epsilon  float64 // 0: 1e-5
	Momentum float64 // of the running statistics: how much of the old stays. 0: 0.9
}

// Forward implements Layer.
func (l BatchNorm) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	n := s.Size(x, 1)
	as := onnx.NewAttrs("epsilon", float32(or(l.Epsilon, 1e-5)), "momentum", float32(or(l.Momentum, 0.9)))
	return s.Op("BatchNormalization", as, x, s.Param("weight", Ones, n), s.Param("bias", Zeros, n), s.Param("running_mean", Zeros, n), s.Param("running_var", Ones, n))
}

func or(x, def float64) float64 {
	if x == 0 {
		return def
	}
	return x
}

// LayerNorm brings the last dimension to mean 0 and variance 1, then scales and
// shifts its elements. Ba, Kiros and Hinton, Layer normalization, 2016.
type LayerNorm struct {
	Epsilon float64 // 0: 1e-5
}

// Forward implements Layer.
func (l LayerNorm) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	n := s.Size(x, -1)
	return s.Op("LayerNormalization", onnx.NewAttrs("epsilon", float32(or(l.Epsilon, 1e-5))), x, s.Param("weight", Ones, n), s.Param("bias", Zeros, n))
}

// RMSNorm divides by the root of the mean square over the last dimension, then
// scales. Zhang and Sennrich, Root mean square layer normalization, 2019.
type RMSNorm struct {
	Epsilon float64 // 0: 1e-6
}

// Forward implements Layer.
func (l RMSNorm) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	return s.Op("RMSNormalization", onnx.NewAttrs("epsilon", float32(or(l.Epsilon, 1e-6))), x, s.Param("weight", Ones, s.Size(x, -1)))
}

// GroupNorm brings groups of channels to mean 0 and variance 1, then scales and
// shifts each channel. Wu and He, Group normalization, 2018.
type GroupNorm struct {
	Groups  int
	Epsilon float64 // 0: 1e-5
}

// Forward implements Layer.
func (l GroupNorm) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	n := s.Size(x, 1)
	if l.Groups < 1 || n%l.Groups != 0 {
		s.Fail(fmt.Errorf("GroupNorm of %d channels in %d groups", n, l.Groups))
		return nil
	}
	as := onnx.NewAttrs("epsilon", float32(or(l.Epsilon, 1e-5)), "num_groups", l.Groups)
	return s.Op("GroupNormalization", as, x, s.Param("weight", Ones, n), s.Param("bias", Zeros, n))
}
