package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/onnx"
)

// windowParams are the attributes that convolutions and pooling share. Nil
// lists stand for their defaults.
type windowParams struct {
	autoPad                          string
	kernel, strides, dilations, pads []int
	ceil                             bool
}

func readWindow(a *attrs) windowParams {
	v := windowParams{
		autoPad: a.OneOf("auto_pad", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"),
		kernel:  a.Ints("kernel_shape", nil), strides: a.Ints("strides", nil), pads: a.Ints("pads", nil),
	}
	v.check(a, "kernel_shape", v.kernel, 1)
	v.check(a, "strides", v.strides, 1)
	// Convolutions may crop, so pads may be negative; padding by 2^31 is a mistake.
	v.check(a, "pads", v.pads, -math.MaxInt32)
	return v
}

// withDilations reads the attribute dilations too.
func (v windowParams) withDilations(a *attrs) windowParams {
	v.dilations = a.Ints("dilations", nil)
	v.check(a, "dilations", v.dilations, 1)
	return v
}

func (v *windowParams) check(a *attrs, name string, list []int, least int) {
	for _, x := range list {
		if x < least || x > math.MaxInt32 {
			a.Fail("%s is %v, want values from %d to %d", name, list, least, math.MaxInt32)
		}
	}
}

// lists returns strides, dilations and pads for d dimensions.
func (v *windowParams) lists(d int) (strides, dilations, pads []int, err error) {
	return v.listsIn(newInts, d)
}

// listsIn is lists in memory of ints.
func (v *windowParams) listsIn(ints func(int) []int, d int) (strides, dilations, pads []int, err error) {
	filled := func(s []int, n, x int) []int {
		if s == nil {
			s = ints(n)
			for i := range s {
				s[i] = x
			}
		}
		return s
	}
	if pads = v.pads; v.autoPad != "NOTSET" {
		pads = nil
	}
	strides, dilations, pads = filled(v.strides, d, 1), filled(v.dilations, d, 1), filled(pads, 2*d, 0)
	if len(strides) != d || len(dilations) != d || len(pads) != 2*d {
		err = fmt.Errorf("%d strides, %d dilations and %d pads for %d spatial dimensions", len(strides), len(dilations), len(pads), d)
	}
	return
}

// window is a conv.Window with the padding at the end, which only averages need.
type window struct {
	conv.Window
	after []int
}

// over returns the window of a kernel over an image.
func (v *windowParams) over(in, kernel []int) (window, error) {
	d := len(in)
	w := window{Window: conv.Window{In: in, Kernel: kernel}}
	strides, dilations, pads, err := v.lists(d)
	if err != nil {
		return w, err
	}
	w.Strides, w.Dilations = strides, dilations
	w.Before, w.Out, w.after = make([]int, d), make([]int, d), make([]int, d)
	for i := range d {
		if kernel[i] < 1 || in[i] > math.MaxInt32 {
			return w, fmt.Errorf("a kernel of %v over %v", kernel, in)
		}
		ext := (kernel[i]-1)*dilations[i] + 1
		s, before, after := strides[i], pads[i], pads[i+d]
		switch v.autoPad {
		case "SAME_UPPER", "SAME_LOWER":
			n := (in[i] + s - 1) / s
			total := max(0, (n-1)*s+ext-in[i])
			before, after = total/2, total-total/2
			if v.autoPad == "SAME_LOWER" {
				before, after = after, before
			}
			w.Before[i], w.after[i], w.Out[i] = before, after, n
			continue
		}
		room := in[i] + before + after - ext
		if room < 0 {
			return w, fmt.Errorf("dimension %d of %d with pads %d and %d is smaller than the kernel of %d", i+2, in[i], before, after, ext)
		}
		out := room/s + 1
		if v.ceil { // windows that would start in the padding at the end do not exist
			out = min((room+s-1)/s+1, (max(in[i]+before, 0)+s-1)/s)
		}
		w.Before[i], w.after[i], w.Out[i] = before, after, out
	}
	return w, nil
}

// infer returns the dims of the output; the zero Dim where nothing is known.
func (v *windowParams) infer(in, kernel []onnx.Dim) ([]onnx.Dim, error) {
	d := len(in)
	strides, dilations, pads, err := v.lists(d)
	if err != nil {
		return nil, err
	}
	out := make([]onnx.Dim, d)
	for i := range d {
		s, one := onnx.Size(strides[i]), onnx.Size(1)
		if v.autoPad == "SAME_UPPER" || v.autoPad == "SAME_LOWER" {
			out[i] = in[i].CeilDiv(s)
			continue
		}
		k, kernelKnown := kernel[i].Size()
		n, known := in[i].Size()
		if kernelKnown && known {
			w, err := (&windowParams{autoPad: v.autoPad, strides: strides[i : i+1], dilations: dilations[i : i+1], pads: []int{pads[i], pads[i+d]}, ceil: v.ceil}).
				over([]int{n}, []int{k})
			if err != nil {
				return nil, err
			}
			out[i] = onnx.Size(w.Out[0])
			continue
		}
		ext := kernel[i].Sub(one).Mul(onnx.Size(dilations[i])).Add(one)
		room := in[i].Add(onnx.Size(pads[i] + pads[i+d])).Sub(ext)
		switch {
		case !v.ceil:
			out[i] = room.FloorDiv(s).Add(one)
		default:
			// The last window must start before in+before, that is before
			// ceil((in+before)/s) windows.
			out[i] = room.CeilDiv(s).Add(one).Min(in[i].Add(onnx.Size(pads[i])).CeilDiv(s))
		}
	}
	return out, nil
}

// kernelDims returns kernel_shape, or the spatial dims of W without one.
func (v *windowParams) kernelDims(w onnx.Type, d int) ([]onnx.Dim, error) {
	if v.kernel == nil {
		if w.Ranked {
			return w.Dims[2:], nil
		}
		return make([]onnx.Dim, d), nil
	}
	if len(v.kernel) != d {
		return nil, fmt.Errorf("kernel_shape is %v for %d spatial dimensions", v.kernel, d)
	}
	return onnx.Sizes(v.kernel...), nil
}

// inferPool gives output 0 (and 1, if any) the shape of pooling input 0.
func inferPool(c *InferContext, v windowParams) error {
	x := c.In(0)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if !x.Ranked || c.err != nil {
		return nil
	}
	d := len(x.Dims) - 2
	if d < 1 {
		return fmt.Errorf("X is %v, want [n c d…]", x)
	}
	k, err := v.kernelDims(onnx.Type{}, d)
	if err != nil {
		return err
	}
	dims, err := v.infer(x.Dims[2:], k)
	if err != nil {
		return err
	}
	c.Out[0] = onnx.TensorType(x.DType, append(slices.Clone(x.Dims[:2]), dims...)...)
	return nil
}

// poolWindow returns the window of pooling a tensor of shape x.
func (v *windowParams) poolWindow(x []int) (window, error) {
	if len(x) < 3 {
		return window{}, fmt.Errorf("X has shape %v, want [n c d…]", x)
	}
	return v.spatialWindow(x[2:])
}

// spatialWindow returns the window of pooling an image.
func (v *windowParams) spatialWindow(in []int) (window, error) {
	if len(v.kernel) != len(in) {
		return window{}, fmt.Errorf("kernel_shape is %v, the spatial shape is %v", v.kernel, in)
	}
	return v.over(in, v.kernel)
}

// poolState is what pooling and convolutions keep from call to call: the window of
// a kernel over images of one size.
type poolState struct {
	window
	counts [][]int
	seen   [][]int // what divisors has found
	known  bool
}

// keptWindow is spatialWindow, computed when the size of the image changes;
// with padding, counts are what window.padded gives.
func (v *windowParams) keptWindow(c *Call, in []int, padding bool) (*poolState, error) {
	s := State[poolState](c)
	if s.known && slices.Equal(s.In, in) {
		return s, nil
	}
	w, err := v.spatialWindow(slices.Clone(in))
	if err != nil {
		return nil, err
	}
	*s = poolState{window: w, known: true}
	if padding {
		s.counts = w.padded()
	}
	return s, nil
}

// keptOver is over, computed when the size of the image or of the kernel changes.
func (v *windowParams) keptOver(c *Call, in, kernel []int) (window, error) {
	s := State[poolState](c)
	if s.known && slices.Equal(s.In, in) && slices.Equal(s.Kernel, kernel) {
		return s.window, nil
	}
	w, err := v.over(slices.Clone(in), slices.Clone(kernel))
	if err == nil {
		*s = poolState{window: w, known: true}
	}
	return w, err
}
