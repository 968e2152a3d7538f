package ops

import (
	"fmt"
	"unsafe"

	"github.com/gneiss-run/gneiss/tensor"
)

// Sums and products of integers do the same to the bits of signed and unsigned ones,
// and the low bits of a result follow from those of the operands (arithmetic modulo a
// power of two). So what only adds and multiplies is compiled for uint32 and uint64,
// and serves all integer types.

// wordsOf returns the elements of t as Ts of the same size.
func wordsOf[T tensor.Element](t *tensor.Tensor) []T {
	if size := int(unsafe.Sizeof(*new(T))); t.DType().Bits() != 8*size {
		panic(fmt.Sprintf("ops: %v read in words of %d bytes", t.DType(), size))
	}
	v := vectorOf(t)
	return unsafe.Slice((*T)(v.p), v.n)
}

// wordsAs returns x as Ss of the same size.
func wordsAs[S, T tensor.Element](x []T) []S {
	if unsafe.Sizeof(*new(S)) != unsafe.Sizeof(*new(T)) {
		panic("ops: words of another size")
	}
	return unsafe.Slice((*S)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
}

// onWords returns f as a function of other elements of the same size; nil if f is.
func onWords[T, S tensor.Element](f func([]S)) func([]T) {
	if f == nil {
		return nil
	}
	return func(x []T) { f(wordsAs[S](x)) }
}

// throughUint32 computes an operator of integers of 8 or 16 bits that only adds and
// multiplies by its kernel of uint32: inputs of the element type of input 0 are
// widened, outputs of type uint32 are cut.
func throughUint32(k Kernel) Kernel {
	return func(c *Call) error {
		d := c.T(0).DType()
		w := innerCall(c, tensor.Uint32)
		defer w.end()
		for i, v := range c.In {
			if t, ok := v.(*tensor.Tensor); ok && t.DType() == d {
				x := w.input(t.Shape())
				if d.Bits() == 8 {
					convertWords(tensor.Data[uint32](x), wordsOf[uint8](t))
				} else {
					convertWords(tensor.Data[uint32](x), wordsOf[uint16](t))
				}
				w.call.In[i] = x
			}
		}
		if err := k(&w.call); err != nil {
			return err
		}
		for i, v := range w.call.Out {
			t, ok := v.(*tensor.Tensor)
			if !ok || t.DType() != tensor.Uint32 {
				if v != nil {
					c.Out[i] = v
				}
				continue
			}
			y := c.Output(i, d, t.Shape()...)
			if d.Bits() == 8 {
				convertWords(wordsOf[uint8](y), tensor.Data[uint32](t))
			} else {
				convertWords(wordsOf[uint16](y), tensor.Data[uint32](t))
			}
		}
		return nil
	}
}

func convertWords[D, S uint8 | uint16 | uint32](dst []D, src []S) {
	for i, v := range src[:len(dst)] {
		dst[i] = D(v)
	}
}
