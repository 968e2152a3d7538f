package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/quant"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// QLinearGlobalAveragePool (com.microsoft): the mean of dequantize(X) over all
// spatial dimensions, quantized.
//
//	X: u8 or i8 [n, c, d…] ([n, d…, c] with channels_last)    Y: the same type, each d 1
//	scales: float32, one; zero points: one
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QLinearGlobalAveragePool
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "QLinearGlobalAveragePool", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: N(5), Out: N(1), Infer: inferQLinearGlobalAveragePool, Build: buildQLinearGlobalAveragePool},
		},
	})
}

func inferQLinearGlobalAveragePool(c *InferContext) error {
	last := c.Bool("channels_last", false)
	t := c.In(0)
	if t.Ranked {
		if len(t.Dims) < 3 {
			return fmt.Errorf("X is %v, want at least 3 dimensions", t)
		}
		t.Dims = slices.Clone(t.Dims)
		spatial := t.Dims[2:]
		if last {
			spatial = t.Dims[1 : len(t.Dims)-1]
		}
		for i := range spatial {
			spatial[i] = onnx.Size(1)
		}
	}
	c.Out[0] = t
	return nil
}

func buildQLinearGlobalAveragePool(b *BuildContext) (Kernel, error) {
	last := b.Bool("channels_last", false)
	return func(c *Call) error {
		x, err := byteInput(c, 0, "X")
		if err != nil {
			return err
		}
		d := x.DType()
		qx, err := quantParamsOf(c, 1, d, "x")
		if err != nil {
			return err
		}
		qy, err := quantParamsOf(c, 3, d, "y")
		if err != nil {
			return err
		}
		if x.Rank() < 3 {
			return fmt.Errorf("X has shape %v, want at least 3 dimensions", x.Shape())
		}
		shape := c.list(x.Shape()...)
		spatial, ch := shape[2:], shape[1]
		if last {
			spatial, ch = shape[1:len(shape)-1], shape[len(shape)-1]
		}
		size := 1
		for i, n := range spatial {
			size *= n
			spatial[i] = 1
		}
		if size == 0 {
			return fmt.Errorf("X has shape %v, want no empty spatial dimension", x.Shape())
		}
		y := c.Output(0, d, shape...).Bytes()
		scale := qx.scale / (qy.scale * float32(size))
		lo, hi := byteRange(d)
		data := x.Bytes()
		if last {
			// Sums of unsigned bytes: signed ones are made 128 larger.
			n := len(y) / max(ch, 1)
			off := int32(size) * qx.zero
			if d == tensor.Int8 {
				off += 128 * int32(size)
			}
			par.Each(c.P, n, max(1, (1<<16)/max(1, size*ch)), averageRows{data, y, size, ch, d == tensor.Int8, off, scale, qy.zero, lo, hi}, (*averageRows).run)
			return nil
		}
		par.Each(c.P, len(y), max(1, (1<<16)/size), averagePlanes{data, y, size, d == tensor.Int8, int64(size) * int64(qx.zero), scale, qy.zero, lo, hi}, (*averagePlanes).run)
		return nil
	}, nil
}

// averagePlanes averages planes of size bytes.
type averagePlanes struct {
	x, y        []byte
	size        int
	signed      bool
	off         int64 // of a sum
	scale       float32
	zero        int32
	least, most int32
}

func (a *averagePlanes) run(from, to int) {
	for o := from; o < to; o++ {
		sum, plane := -a.off, a.x[o*a.size:(o+1)*a.size]
		if a.signed {
			for _, v := range plane {
				sum += int64(int8(v))
			}
		} else {
			for _, v := range plane {
				sum += int64(v)
			}
		}
		a.y[o] = byte(roundClamp(float32(sum)*a.scale, a.zero, a.least, a.most))
	}
}

// averageRows averages size positions of ch channels.
type averageRows struct {
	x, y        []byte
	size, ch    int
	signed      bool
	off         int32 // of a sum
	scale       float32
	zero        int32
	least, most int32
}

type averageMemory struct {
	wide    []int32
	flipped []byte
}

func (r *averageRows) run(from, to int) {
	size, ch := r.size, r.ch
	// Several rows at a time if they are short.
	rows := max(1, min(size, 512/max(1, ch)))
	mem, pool := borrow[averageMemory]()
	defer pool.Put(mem)
	mem.wide, mem.flipped = slices.Grow(mem.wide[:0], rows*ch)[:rows*ch], slices.Grow(mem.flipped[:0], rows*ch)[:rows*ch]
	wide, flipped := mem.wide, mem.flipped
	sums := wide[:ch]
	for i := from; i < to; i++ {
		clear(wide)
		for k := 0; k < size; k += rows {
			row := r.x[(i*size+k)*ch : (i*size+min(k+rows, size))*ch]
			if r.signed {
				for k, v := range row {
					flipped[k] = v ^ 0x80
				}
				row = flipped[:len(row)]
			}
			quant.Sum(wide[:len(row)], row)
		}
		for k := ch; k < len(wide); k++ {
			sums[k%ch] += wide[k]
		}
		for k := range sums {
			sums[k] -= r.off
		}
		quant.Requantize(r.y[i*ch:(i+1)*ch], sums, r.scale, r.zero, r.least, r.most)
	}
}
