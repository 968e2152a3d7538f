package ops

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/internal/kernels/qconv"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// lastIntWeights is the weights of a convolution of bytes with the channels last.
type lastIntWeights struct {
	w     *qconv.Weights
	shape []int
	dtype tensor.DType
}

// buildLastWeights prepares input w with the zero points of input zero if they
// are constant, else it returns nil.
func (v *intConv) buildLastWeights(b *BuildContext, w, zero int) (*lastIntWeights, error) {
	t, zt := b.Const(w), b.Const(zero)
	if t == nil || !isByte(t.DType()) || t.Rank() < 3 || t.Len() == 0 || t.Dim(0)%v.group != 0 || zt == nil && b.Has(zero) {
		return nil, nil
	}
	zw, err := v.zerosOfWeights(zt, t.DType(), t.Dim(0))
	if err != nil {
		return nil, err
	}
	p, err := b.Pack(w, fmt.Sprintf("qconv/%d/%s/%s", v.group, qconv.Best().Name, strings.Trim(fmt.Sprint(zw), "[]")), func() (any, error) {
		return v.pack(par.P{}, t, zw).Narrow(), nil
	})
	if err != nil {
		return nil, err
	}
	return &lastIntWeights{p.(*qconv.Weights), slices.Clone(t.Shape()), t.DType()}, nil
}

// orInput returns l or, if it is nil, what inputs w and zero of a call hold.
func (l *lastIntWeights) orInput(c *Call, v *intConv, w, zero int) (*lastIntWeights, error) {
	if l != nil {
		return l, nil
	}
	t, err := byteInput(c, w, "w")
	if err != nil {
		return nil, err
	}
	if t.Rank() < 3 || t.Dim(0)%v.group != 0 {
		return nil, fmt.Errorf("w has shape %v, want [m c/%d k…] with m in %d groups", t.Shape(), v.group, v.group)
	}
	zw, err := v.zerosOfWeights(c.T(zero), t.DType(), t.Dim(0))
	if err != nil {
		return nil, err
	}
	return &lastIntWeights{v.pack(c.P, t, zw), t.Shape(), t.DType()}, nil
}

// zerosOfWeights returns the zero points of weights of type d and m output
// channels: one if they are equal.
func (v *intConv) zerosOfWeights(zero *tensor.Tensor, d tensor.DType, m int) ([]int32, error) {
	zw, err := zeroPoints(zero, d, "w_zero_point")
	if err != nil {
		return nil, err
	}
	if len(zw) > 1 && len(zw) != m {
		return nil, fmt.Errorf("w_zero_point has %d elements, want 1 or %d", len(zw), m)
	}
	if !slices.ContainsFunc(zw, func(z int32) bool { return z != zw[0] }) {
		zw = zw[:min(len(zw), 1)]
	}
	return zw, nil
}

// pack prepares weights.
func (v *intConv) pack(p par.P, w *tensor.Tensor, zw []int32) *qconv.Weights {
	s := w.Shape()
	taps := 1
	for _, n := range s[2:] {
		taps *= n
	}
	return qconv.NewWeights(p, w.Bytes(), s[0], s[1], v.group, taps, s[len(s)-1], w.DType() == tensor.Int8, zw)
}

// constantInputs returns a call with the constant inputs of b but those in
// except; nil if another one is not constant.
func constantInputs(b *BuildContext, except ...int) *Call {
	c := &Call{In: make([]tensor.Value, len(b.Node.In))}
	for i := range c.In {
		if slices.Contains(except, i) || !b.Has(i) {
			continue
		}
		t := b.Const(i)
		if t == nil {
			return nil
		}
		c.In[i] = t
	}
	return c
}
