package nhwc

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/frozen"
)

const kind = "nhwc"

func init() { frozen.Register(kind, thaw) }

// How the weights lie, as the file says it.
const (
	plain = iota
	byLanes
	forWinograd
)

// Freeze implements frozen.Freezer, for float32 and convolutions that are not transposed and not to few channels.
func (w *Weights[T]) Freeze() (frozen.Form, bool) {
	f, ok := any(w).(*Weights[float32])
	if !ok || f.classes[0] != nil || f.pairs != nil || f.taps != nil {
		return frozen.Form{}, false
	}
	lie, data := plain, f.data
	switch {
	case f.depthwise != nil:
		lie, data = byLanes, f.depthwise
	case f.winograd != nil:
		lie, data = forWinograd, f.winograd
	}
	return frozen.Form{Kind: kind, Header: append([]int{lie, f.M, f.C, f.Group, f.lanes}, f.Kernel...), Blocks: [][]byte{frozen.Bytes(data)}}, true
}

func thaw(f frozen.Form) (any, error) {
	if err := f.Expect(max(len(f.Header), 6), 1); err != nil {
		return nil, err
	}
	h := f.Header
	w := &Weights[float32]{M: h[1], C: h[2], Group: h[3], lanes: h[4], Kernel: h[5:]}
	if w.Group < 1 || w.C%w.Group != 0 || w.M%w.Group != 0 {
		return nil, fmt.Errorf("nhwc: %d groups of %d and %d channels", w.Group, w.C, w.M)
	}
	taps, err := frozen.Product(w.Kernel...)
	if err != nil {
		return nil, err
	}
	var to *[]float32
	var sizes []int
	switch {
	case h[0] == plain && w.lanes == 0:
		to, sizes = &w.data, []int{w.Group, w.panels(), taps, w.C / w.Group, Panel}
	case h[0] == byLanes && w.lanes > 0 && w.C >= w.lanes:
		to, sizes = &w.depthwise, []int{(w.C + w.lanes - 1) / w.lanes, taps, w.lanes}
	case h[0] == forWinograd && w.Group == 1 && taps == 9:
		to, sizes = &w.winograd, []int{36, w.panels(), w.C, Panel}
	default:
		return nil, fmt.Errorf("nhwc: weights of form %d", h[0])
	}
	n, err := frozen.Product(sizes...)
	if err == nil {
		*to, err = frozen.Numbers[float32](f, 0, n)
	}
	return w, err
}

// Winograd reports whether the weights are those of Winograd's method.
func (w *Weights[T]) Winograd() bool { return w.winograd != nil }
