package nn

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// Conv is a convolution over the dimensions behind the channels: as many as x
// has, so it is Conv1d, Conv2d and Conv3d.
//
//	x: [batch, in, size…]    weight: [Out, in/Groups, kernel…]    bias: [Out]
//	y: [batch, Out, size'…]
type Conv struct {
	Out    int
	Kernel int // of each dimension
	Stride int // 0: 1
	Pad    int // zeros on each side
	// Dilation is the distance of a kernel's elements. 0: 1.
	Dilation int
	Groups   int // 0: 1
	NoBias   bool
	Init     Init // of the weight. nil: uniform in ±1/sqrt(in/Groups·kernel)
}

// Forward implements Layer.
func (l Conv) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	dims := s.Rank(x) - 2
	in, groups := s.Size(x, 1), max(l.Groups, 1)
	if s.Err() == nil && (dims < 1 || l.Out < 1 || l.Kernel < 1 || l.Stride < 0 || l.Pad < 0 || in%groups != 0 || l.Out%groups != 0) {
		s.Fail(fmt.Errorf("Conv of %d to %d channels with kernel %d, stride %d, pad %d and %d groups of %v", in, l.Out, l.Kernel, l.Stride, l.Pad, groups, x.Type))
	}
	if s.Err() != nil {
		return nil
	}
	return s.conv("Conv", x, dims, []int{l.Out, in / groups}, []int{l.Kernel, l.Stride, l.Pad, l.Dilation, groups}, in/groups, l.NoBias, l.Init, l.Out, nil)
}

// conv adds a convolution; p is kernel, stride, padding, dilation and groups.
func (s *Scope) conv(op string, x *onnx.Value, dims int, shape, p []int, fan int, noBias bool, init Init, out int, more onnx.Attrs) *onnx.Value {
	each := func(v int) []int {
		list := make([]int, dims)
		for i := range list {
			list[i] = max(v, 1)
		}
		return list
	}
	kernel := each(p[0])
	for _, k := range kernel {
		fan *= k
	}
	if init == nil {
		init = byFan(fan)
	}
	in := []*onnx.Value{x, s.Param("weight", init, append(shape, kernel...)...)}
	if !noBias {
		in = append(in, s.Param("bias", byFan(fan), out))
	}
	pads := make([]int, 2*dims)
	for i := range pads {
		pads[i] = p[2]
	}
	as := onnx.NewAttrs("kernel_shape", kernel, "strides", each(p[1]), "pads", pads, "dilations", each(p[3]), "group", p[4])
	return s.Op(op, append(as, more...), in...)
}

// ConvTranspose is the transpose of a convolution: it makes sizes larger.
//
//	x: [batch, in, size…]    weight: [in, Out/Groups, kernel…]    bias: [Out]
//	y: [batch, Out, (size-1)·Stride - 2·Pad + Kernel + OutputPad…]
type ConvTranspose struct {
	Out       int
	Kernel    int
	Stride    int // 0: 1
	Pad       int
	OutputPad int
	Groups    int // 0: 1
	NoBias    bool
	Init      Init // of the weight. nil: uniform in ±1/sqrt(Out/Groups·kernel)
}

// Forward implements Layer.
func (l ConvTranspose) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	dims := s.Rank(x) - 2
	in, groups := s.Size(x, 1), max(l.Groups, 1)
	if s.Err() == nil && (dims < 1 || l.Out < 1 || l.Kernel < 1 || l.Stride < 0 || l.Pad < 0 || l.OutputPad < 0 || in%groups != 0 || l.Out%groups != 0) {
		s.Fail(fmt.Errorf("ConvTranspose of %d to %d channels with kernel %d, stride %d and %d groups of %v", in, l.Out, l.Kernel, l.Stride, groups, x.Type))
	}
	if s.Err() != nil {
		return nil
	}
	extra := make([]int, dims)
	for i := range extra {
		extra[i] = l.OutputPad
	}
	return s.conv("ConvTranspose", x, dims, []int{in, l.Out / groups}, []int{l.Kernel, l.Stride, l.Pad, 1, groups}, l.Out/groups, l.NoBias, l.Init, l.Out,
		onnx.NewAttrs("output_padding", extra))
}
