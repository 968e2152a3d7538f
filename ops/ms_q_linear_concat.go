package ops

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/quant"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// QLinearConcat (com.microsoft): the inputs, each with a scale and zero point,
// requantized to Y_scale and Y_zero_point and put together along axis.
//
//	Y_scale, Y_zero_point    inputs: (tensor u8 or i8, scale, zero point)…    Y: type of Y_zero_point
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QLinearConcat
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "QLinearConcat", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: Arity{3, Many}, Out: N(1), Infer: inferQLinearConcat, Build: buildQLinearConcat},
		},
	})
}

func inferQLinearConcat(c *InferContext) error {
	axis := c.Int("axis", 0)
	d := c.In(1).DType
	c.Out[0] = onnx.UnrankedType(d)
	var dims []onnx.Dim
	for i := 2; i < c.NumIn(); i += 3 {
		t := c.In(i)
		if !t.Ranked {
			return nil
		}
		at, err := tensor.Axis(axis, len(t.Dims))
		if err != nil {
			return err
		}
		if dims == nil {
			dims = slices.Clone(t.Dims)
			continue
		}
		if len(t.Dims) != len(dims) {
			return fmt.Errorf("input %d is %v, want %d dimensions", i, t, len(dims))
		}
		for k, e := range t.Dims {
			if k == at {
				dims[k] = dims[k].Add(e)
			} else if _, ok := dims[k].Size(); !ok {
				dims[k] = e
			}
		}
	}
	c.Out[0] = onnx.TensorType(d, dims...)
	return nil
}

func buildQLinearConcat(b *BuildContext) (Kernel, error) {
	axis := b.Int("axis", 0)
	if (b.NumIn()-2)%3 != 0 {
		return nil, fmt.Errorf("%d inputs, want 2 and 3 for each tensor", b.NumIn())
	}
	return func(c *Call) error {
		zt, err := byteInput(c, 1, "Y_zero_point")
		if err != nil {
			return err
		}
		d := zt.DType()
		qy, err := quantParamsOf(c, 0, d, "Y")
		if err != nil {
			return err
		}
		var shape []int
		at := 0
		for i := 2; i < len(c.In); i += 3 {
			t, err := byteInput(c, i, "it")
			if err != nil {
				return fmt.Errorf("input %d: %w", i, err)
			}
			if shape == nil {
				shape = c.list(t.Shape()...)
				if at, err = tensor.Axis(axis, len(shape)); err != nil {
					return err
				}
				continue
			}
			if t.Rank() != len(shape) {
				return fmt.Errorf("input %d has shape %v, want %d dimensions", i, t.Shape(), len(shape))
			}
			for k, e := range t.Shape() {
				if k == at {
					shape[k] += e
				} else if shape[k] != e {
					return fmt.Errorf("input %d has shape %v, want %d in dimension %d", i, t.Shape(), shape[k], k)
				}
			}
		}
		y := c.Output(0, d, shape...).Bytes()
		if len(y) == 0 {
			return nil
		}
		tables := State[concatTables](c)
		*tables = slices.Grow(*tables, (len(c.In)-2)/3)[:(len(c.In)-2)/3]
		outer, inner := axisBlocks(shape, at)
		row, first := shape[at]*inner, 0
		for i := 2; i < len(c.In); i += 3 {
			t := c.T(i)
			q, err := quantParamsOf(c, i+1, t.DType(), "it")
			if err != nil {
				return fmt.Errorf("input %d: %w", i, err)
			}
			n := t.Dim(at) * inner
			part := concatBytes{y: y[first:], x: t.Bytes(), n: n, row: row}
			if q != qy || q.scale <= 0 || t.DType() != d {
				k := concatKey{q, qy, t.DType(), d}
				e := &(*tables)[(i-2)/3]
				if !e.set || e.key != k {
					e.key, e.set, e.table = k, true, *rescaleTable(c, q, t.DType(), qy, d, func(v float32) float32 { return v })
				}
				part.table = &e.table
			}
			par.Each(c.P, outer, 1+(1<<16)/max(1, n), part, (*concatBytes).run)
			first += n
		}
		return nil
	}, nil
}

// concatTables is what the bytes of each input become, kept from run to run.
type concatTables []struct {
	key   concatKey
	set   bool
	table [256]byte
}

type concatKey struct {
	from, to         quantParams
	fromType, toType tensor.DType
}

// concatBytes puts one input, in pieces of n bytes, into the rows of the output.
type concatBytes struct {
	y, x   []byte
	n, row int
	table  *[256]byte // what bytes become; nil: they stay
}

func (a *concatBytes) run(lo, hi int) {
	n := a.n
	switch {
	case n == 0:
	case a.table == nil:
		copyPieces(a.y[lo*a.row:], a.x[lo*n:hi*n], n, a.row)
	case n >= 256 || n == a.row:
		for o := lo; o < hi; o++ {
			quant.Lookup(a.y[o*a.row:][:n], a.x[o*n:][:n], a.table)
		}
	default:
		// Pieces follow each other in x, so that vectors are full.
		buf, pool := borrow[[4096]byte]()
		defer pool.Put(buf)
		for most := len(buf) / n; lo < hi; lo += most {
			m := min(most, hi-lo)
			quant.Lookup(buf[:m*n], a.x[lo*n:][:m*n], a.table)
			copyPieces(a.y[lo*a.row:], buf[:m*n], n, a.row)
		}
	}
}

// copyPieces puts pieces of n bytes of x into dst, row bytes apart.
func copyPieces(dst, x []byte, n, row int) {
	if n < 8 || n > 64 {
		for at := 0; len(x) > 0; at += row {
			copy(dst[at:][:n], x)
			x = x[n:]
		}
		return
	}
	// A call of copy is longer than these words; the last of them may overlap.
	for at := 0; len(x) > 0; at += row {
		to, from := dst[at:][:n], x[:n]
		x = x[n:]
		binary.LittleEndian.PutUint64(to[n-8:], binary.LittleEndian.Uint64(from[n-8:]))
		for len(from) > 8 && len(to) > 8 {
			binary.LittleEndian.PutUint64(to, binary.LittleEndian.Uint64(from))
			to, from = to[8:], from[8:]
		}
	}
}
