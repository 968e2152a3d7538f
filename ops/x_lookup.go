package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/quant"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
)

// x.Lookup: Y[i] = T[X[i]], where the bytes of X count as unsigned. It stands
// for any function of single bytes.
//
//	X: u8 or i8 [...]    T: u8 or i8 [256]    Y: T's type, X's shape; may share X's storage
//
// T is what QuantizeLinear makes of a function of all dequantized bytes.
//
// Spec: https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html
func init() {
	register(&Op{
		Domain: "x", Name: "Lookup",
		Versions: []Version{{Since: 1, In: N(2), Out: N(1), InPlace: []int{0}, Infer: inferLookup, Build: buildLookup}},
	})
}

func inferLookup(c *InferContext) error {
	t := c.In(0)
	t.Kind, t.DType = onnx.TensorKind, c.In(1).DType
	c.Out[0] = t
	return nil
}

func buildLookup(*BuildContext) (Kernel, error) {
	return func(c *Call) error {
		x, err := byteInput(c, 0, "X")
		if err != nil {
			return err
		}
		t, err := byteInput(c, 1, "T")
		if err != nil {
			return err
		}
		if t.Len() != 256 {
			return fmt.Errorf("T has shape %v, want [256]", t.Shape())
		}
		lookup(c, c.Output(0, t.DType(), x.Shape()...).Bytes(), x.Bytes(), (*[256]byte)(t.Bytes()))
		return nil
	}, nil
}

// lookup sets y to what the table has for each byte of x.
func lookup(c *Call, y, x []byte, table *[256]byte) {
	par.Each(c.P, len(x), 1<<16, lookups{y, x, table}, func(l *lookups, lo, hi int) { quant.Lookup(l.y[lo:hi], l.x[lo:hi], l.table) })
}

type lookups struct {
	y, x  []byte
	table *[256]byte
}
