package nn

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// Linear is y = x·Wᵀ + b over the last dimension, which must be known.
//
//	x: [batch, …, in]    weight: [Out, in]    bias: [Out]    y: [batch, …, Out]
type Linear struct {
	Out    int
	NoBias bool
	Init   Init // of the weight. nil: uniform in ±1/sqrt(in)
}

// Forward implements Layer.
func (l Linear) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	if l.Out < 1 {
		s.Fail(fmt.Errorf("Linear.Out is %d, want at least 1", l.Out))
		return nil
	}
	in := s.Size(x, -1)
	first := byFan(in)
	init := l.Init
	if init == nil {
		init = first
	}
	w := s.Param("weight", init, l.Out, in)
	var bias *onnx.Value
	if !l.NoBias {
		bias = s.Param("bias", first, l.Out)
	}
	if s.Rank(x) == 2 {
		return s.Op("Gemm", onnx.NewAttrs("transB", 1), x, w, bias)
	}
	y := s.Op("MatMul", nil, x, s.Op("Transpose", onnx.NewAttrs("perm", []int{1, 0}), w))
	if bias != nil {
		y = s.Op("Add", nil, y, bias)
	}
	return y
}

// Embedding looks rows of a table up.
//
//	x: int64 [batch, …], ids in [0, Num)    weight: [Num, Dim]    y: [batch, …, Dim]
type Embedding struct {
	Num, Dim int
	Init     Init // nil: normal with deviation 1
}

// Forward implements Layer.
func (l Embedding) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	if l.Num < 1 || l.Dim < 1 {
		s.Fail(fmt.Errorf("Embedding has Num %d and Dim %d, want at least 1", l.Num, l.Dim))
		return nil
	}
	init := l.Init
	if init == nil {
		init = Normal(0, 1)
	}
	return s.Op("Gather", nil, s.Param("weight", init, l.Num, l.Dim), x)
}

// Dropout drops elements with probability P while training.
type Dropout struct{ P float64 }

// Forward implements Layer.
func (l Dropout) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	if !(l.P >= 0 && l.P < 1) {
		s.Fail(fmt.Errorf("Dropout.P is %g, want a number in [0, 1)", l.P))
		return nil
	}
	return s.Op("Dropout", nil, x, s.Float(x.Type.DType, l.P))
}

// Flatten makes [batch, features] of [batch, …].
type Flatten struct{}

// Forward implements Layer.
func (Flatten) Forward(s *Scope, x *onnx.Value) *onnx.Value { return s.Op("Flatten", nil, x) }

// Op is a Layer that is one standard operator without parameters.
type Op struct {
	Name  string
	Attrs onnx.Attrs
}

// Forward implements Layer.
func (l Op) Forward(s *Scope, x *onnx.Value) *onnx.Value { return s.Op(l.Name, l.Attrs, x) }

// Activations, element by element unless they say otherwise.
var (
	ReLU     = Op{Name: "Relu"}
	Sigmoid  = Op{Name: "Sigmoid"}
	Tanh     = Op{Name: "Tanh"}
	GELU     = Op{Name: "Gelu"}
	SiLU     = Op{Name: "Swish"}
	Mish     = Op{Name: "Mish"}
	ELU      = Op{Name: "Elu"}
	SELU     = Op{Name: "Selu"}
	Softplus = Op{Name: "Softplus"}
	// Softmax is along the last dimension.
	Softmax = Op{Name: "Softmax"}
	// Identity is x.
	Identity = Op{Name: "Identity"}
)

// LeakyReLU is x where x >= 0, else slope·x.
func LeakyReLU(slope float64) Layer {
	return Op{"LeakyRelu", onnx.NewAttrs("alpha", float32(slope))}
}
