package nn

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// Pool is a maximum, a mean or a norm over windows of the dimensions behind the channels: as
// many as x has.
//
//	x: [batch, channels, size…]    y: [batch, channels, size'…]
type Pool struct {
	Kernel, Stride, Pad int // Stride 0: Kernel
	Mean                bool
	// Norm above 0 is (Σ |x|^Norm)^(1/Norm).
	Norm int
	// Ceil rounds sizes up instead of down: the last windows may reach over the end.
	Ceil bool
	// Dilation is the distance of a window's elements. 0: 1.
	Dilation int
	// ExcludePad has means be over what is not padding.
	ExcludePad bool
}

// MaxPool and AvgPool pool windows that do not overlap.
func MaxPool(kernel int) Pool { return Pool{Kernel: kernel} }

// AvgPool is the mean of windows that do not overlap.
func AvgPool(kernel int) Pool { return Pool{Kernel: kernel, Mean: true} }

// Forward implements Layer.
func (l Pool) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	dims := s.Rank(x) - 2
	if s.Err() == nil && (dims < 1 || l.Kernel < 1 || l.Stride < 0 || l.Pad < 0 || l.Norm < 0 || l.Norm > 0 && l.Mean || l.Dilation < 0) {
		s.Fail(fmt.Errorf("Pool with kernel %d, stride %d, pad %d, dilation %d, norm %d and mean %v of %v", l.Kernel, l.Stride, l.Pad, l.Dilation, l.Norm, l.Mean, x.Type))
	}
	if s.Err() != nil {
		return nil
	}
	stride := l.Stride
	if stride == 0 {
		stride = l.Kernel
	}
	kernel, strides, pads, dilations := make([]int, dims), make([]int, dims), make([]int, 2*dims), make([]int, dims)
	for i := range kernel {
		kernel[i], strides[i], pads[i], pads[dims+i], dilations[i] = l.Kernel, stride, l.Pad, l.Pad, max(l.Dilation, 1)
	}
	as := onnx.NewAttrs("kernel_shape", kernel, "strides", strides, "pads", pads)
	if l.Ceil {
		as = as.Set("ceil_mode", 1)
	}
	if l.Dilation > 1 {
		as = as.Set("dilations", dilations)
	}
	switch {
	case l.Norm > 0:
		return s.Op("LpPool", as.Set("p", l.Norm), x)
	case l.Mean && l.ExcludePad:
		return s.Op("AveragePool", as, x)
	case l.Mean:
		return s.Op("AveragePool", as.Set("count_include_pad", 1), x)
	}
	return s.Op("MaxPool", as, x)
}

// GlobalAvgPool and GlobalMaxPool are the mean and the maximum over all positions: [batch,
// channels, 1…].
var (
	GlobalAvgPool = Op{Name: "GlobalAveragePool"}
	GlobalMaxPool = Op{Name: "GlobalMaxPool"}
)

// AdaptivePool is a maximum or mean over windows such that each dimension behind the channels
// gets the size Out, which must divide it.
type AdaptivePool struct {
	Out  int
	Mean bool
}

// Forward implements Layer.
func (l AdaptivePool) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	dims := s.Rank(x) - 2
	kernel := make([]int, max(dims, 0))
	for i := range kernel {
		n := s.Size(x, 2+i)
		if s.Err() == nil && (l.Out < 1 || n%l.Out != 0) {
			s.Fail(fmt.Errorf("AdaptivePool to %d of %v, want a divisor of its sizes", l.Out, x.Type))
		}
		kernel[i] = n / max(l.Out, 1)
	}
	if s.Err() == nil && dims < 1 {
		s.Fail(fmt.Errorf("AdaptivePool of %v, want [batch, channels, size…]", x.Type))
	}
	if s.Err() != nil {
		return nil
	}
	op := "MaxPool"
	if l.Mean {
		op = "AveragePool"
	}
	return s.Op(op, onnx.NewAttrs("kernel_shape", kernel, "strides", kernel), x)
}
