package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/quant"
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// QLinearAveragePool (com.microsoft): AveragePool of dequantize(X), quantized.
// Attributes as in AveragePool; padding counts as 0 with count_include_pad.
//
//	X: u8 or i8 [n, c, d…] ([n, d…, c] with channels_last)    Y: the same type [n, c, e…]
//	scales: float32, one; zero points: one, absent: 0
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QLinearAveragePool
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "QLinearAveragePool", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: Arity{4, 5}, Absent: []int{2}, Out: N(1), Infer: inferQLinearAveragePool, Build: buildQLinearAveragePool},
		},
	})
}

// quantPool are the attributes of QLinearAveragePool.
type quantPool struct {
	*intConv
	ceil, include, last bool
}

func parseQuantPool(a *attrs) (*quantPool, error) {
	v := &quantPool{ceil: a.Bool("ceil_mode", false), include: a.Bool("count_include_pad", false), last: a.Bool("channels_last", false)}
	var err error
	if v.intConv, err = parseIntConv(a); err != nil {
		return nil, err
	}
	if len(v.kernel) == 0 {
		return nil, fmt.Errorf("kernel_shape is missing")
	}
	n := len(v.kernel)
	v.strides = orOnes(v.strides, n)
	if v.pads == nil || v.autoPad != "NOTSET" {
		v.pads = make([]int, 2*n)
	}
	if len(v.strides) != n || len(v.pads) != 2*n {
		return nil, fmt.Errorf("%d strides and %d pads, want %d and %d", len(v.strides), len(v.pads), n, 2*n)
	}
	return v, nil
}

// axis returns the output size and the padding before and after, on spatial axis i of size in.
func (v *quantPool) axis(i, in int) (out, before, after int, err error) {
	k, s, n := v.kernel[i], v.strides[i], len(v.kernel)
	before, after = v.pads[i], v.pads[i+n]
	if v.autoPad == "SAME_UPPER" || v.autoPad == "SAME_LOWER" {
		out = (in + s - 1) / s
		total := max(0, (out-1)*s+k-in)
		before, after = total/2, total-total/2
		if v.autoPad == "SAME_LOWER" {
			before, after = after, before
		}
		return out, before, after, nil
	}
	room := in + before + after - k
	if room < 0 || before >= k || after >= k {
		return 0, 0, 0, fmt.Errorf("dimension of %d with pads %d and %d does not fit a kernel of %d", in, before, after, k)
	}
	out = room/s + 1
	if v.ceil && room%s != 0 && out*s < in+before { // the last window must start inside
		out++
	}
	return out, before, after, nil
}

// spatial returns which of rank dimensions are spatial.
func (v *quantPool) spatial(rank int) (lo, hi int, err error) {
	if rank != len(v.kernel)+2 {
		return 0, 0, fmt.Errorf("X has %d dimensions, want %d", rank, len(v.kernel)+2)
	}
	if v.last {
		return 1, rank - 1, nil
	}
	return 2, rank, nil
}

func inferQLinearAveragePool(c *InferContext) error {
	v, err := parseQuantPool(&c.attrs)
	if err != nil {
		return err
	}
	t := c.In(0)
	if t.Ranked {
		lo, hi, err := v.spatial(len(t.Dims))
		if err != nil {
			return err
		}
		t.Dims = slices.Clone(t.Dims)
		for i := lo; i < hi; i++ {
			d := onnx.Dim{}
			if n, ok := t.Dims[i].Size(); ok {
				out, _, _, err := v.axis(i-lo, n)
				if err != nil {
					return err
				}
				d = onnx.Size(out)
			}
			t.Dims[i] = d
		}
	}
	c.Out[0] = t
	return nil
}

func buildQLinearAveragePool(b *BuildContext) (Kernel, error) {
	v, err := parseQuantPool(&b.attrs)
	if err != nil {
		return nil, err
	}
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
		lo, hi, err := v.spatial(x.Rank())
		if err != nil {
			return err
		}
		shape := c.list(x.Shape()...)
		n := hi - lo
		before, after := c.Dims(n), c.Dims(n)
		for i := range n {
			if shape[lo+i], before[i], after[i], err = v.axis(i, x.Dim(lo+i)); err != nil {
				return err
			}
		}
		least, most := byteRange(d)
		out := c.Output(0, d, shape...)
		taps := 1
		for _, k := range v.kernel {
			taps *= k
		}
		w := windows{v, x.Shape()[lo:hi], shape[lo:hi], before, after, 1, qx, qy, least, most}
		if v.last && x.Dim(hi) >= leastPooled && qy.scale > 0 {
			w.ch = x.Dim(hi)
			if d == tensor.Int8 {
				averageLast(c.P, w, taps, tensor.Data[int8](x), tensor.Data[int8](out))
			} else {
				averageLast(c.P, w, taps, x.Bytes(), out.Bytes())
			}
			return nil
		}
		value := Scratch[float32](c, 256)
		for i, f := range dequantTable(qx.scale, qx.zero, d) {
			value[i] = f
		}
		par.Run(c.P, out.Len(), max(1, (1<<14)/taps), par.With(averages{w, out.Bytes(), x.Bytes(), value, shape, c.strides(x.Shape()), lo}))
		return nil
	}, nil
}

// averages are single elements of y of the given shape, whose spatial dimensions start at first.
type averages struct {
	windows
	y, src    []byte
	value     []float32 // what bytes stand for
	shape, st []int
	first     int
}

func (a *averages) Chunk(begin, end int) {
	mem, pool := borrow[windowMemory]()
	defer pool.Put(mem)
	n, shape, st, first := len(a.in), a.shape, a.st, a.first
	from, to, idx := mem.places(n)
	for o := begin; o < end; o++ {
		at, count := 0, 1
		left := o
		for i := len(shape) - 1; i >= 0; i-- {
			p := left % shape[i]
			left /= shape[i]
			k := i - first
			if k < 0 || k >= n {
				at += p * st[i]
				continue
			}
			w := p*a.strides[k] - a.before[k]
			e := w + a.kernel[k]
			from[k], to[k] = max(w, 0), min(e, a.in[k])
			if a.include {
				count *= min(e, a.in[k]+a.after[k]) - w
			} else {
				count *= to[k] - from[k]
			}
		}
		sum := float32(0)
		copy(idx, from)
		for ok := true; ok; {
			p := at
			for k := range n {
				p += idx[k] * st[first+k]
			}
			sum += a.value[a.src[p]]
			ok = false
			for k := n - 1; k >= 0; k-- {
				if idx[k]++; idx[k] < to[k] {
					ok = true
					break
				}
				idx[k] = from[k]
			}
		}
		// Halves are those of sums with the zero point, as in ONNX Runtime.
		a.y[o] = byte(roundClamp(sum/float32(count)/a.qy.scale+float32(a.qy.zero), 0, a.least, a.most))
	}
}

// leastPooled is how many channels make it worth to average all of a position at once.
const leastPooled = 8

// windows are those of a pool over the spatial dimensions in, with ch channels behind them, and how bytes are read and written.
type windows struct {
	*quantPool
	in, out, before, after []int
	ch                     int
	qx, qy                 quantParams
	least, most            int32
}

type windowMemory struct {
	sums, row     []float32
	from, to, idx []int
}

// places returns memory for places of n dimensions.
func (m *windowMemory) places(n int) (from, to, idx []int) {
	for _, s := range [...]*[]int{&m.from, &m.to, &m.idx} {
		*s = slices.Grow((*s)[:0], n)[:n]
	}
	return m.from, m.to, m.idx
}

// averageLast averages in the order of the loop over single elements, so results are the same.
func averageLast[S quant.Byte](p par.P, w windows, taps int, x, y []S) {
	par.Run(p, len(y)/w.ch, max(1, (1<<16)/(taps*w.ch)), par.With(averagesLast[S]{w, x, y}))
}

// averagesLast are the averages of all channels of positions.
type averagesLast[S quant.Byte] struct {
	windows
	x, y []S
}

func (a *averagesLast[S]) Chunk(first, end int) {
	mem, pool := borrow[windowMemory]()
	defer pool.Put(mem)
	t, n, ch := vec.Best(), len(a.in), a.ch
	longest := a.kernel[n-1] * ch
	mem.sums, mem.row = slices.Grow(mem.sums[:0], ch)[:ch], slices.Grow(mem.row[:0], longest)[:longest]
	sums := mem.sums
	from, to, idx := mem.places(n)
	for o := first; o < end; o++ {
		left, count := o, 1
		for k := n - 1; k >= 0; k-- {
			start := left%a.out[k]*a.strides[k] - a.before[k]
			left /= a.out[k]
			stop := start + a.kernel[k]
			from[k], to[k] = max(start, 0), min(stop, a.in[k])
			if a.include {
				count *= min(stop, a.in[k]+a.after[k]) - start
			} else {
				count *= to[k] - from[k]
			}
		}
		clear(sums)
		copy(idx, from)
		for ok := true; ok; { // over the rows of the window
			at := left // the batch
			for k := range n {
				at = at*a.in[k] + idx[k]
			}
			row := mem.row[:max(to[n-1]-from[n-1], 0)*ch]
			quant.Dequantize(row, a.x[at*ch:][:len(row)], a.qx.scale, a.qx.zero)
			for ; len(row) > 0; row = row[ch:] {
				t.Add(sums, sums, row[:ch])
			}
			ok = false
			for k := n - 2; k >= 0; k-- {
				if idx[k]++; idx[k] < to[k] {
					ok = true
					break
				}
				idx[k] = from[k]
			}
		}
		t.Arith[vec.Div].VS(sums, sums, float32(count))
		t.Arith[vec.Div].VS(sums, sums, a.qy.scale)
		t.AddScalar(sums, sums, float32(a.qy.zero))
		quant.Quantize(a.y[o*ch:][:ch], sums, 1, 0, a.least, a.most)
	}
}
