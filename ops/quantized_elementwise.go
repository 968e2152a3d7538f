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

// rescaleTable returns what each byte of type from under q becomes under r as
// type to, after f, valid until the call ends.
func rescaleTable(c *Call, q quantParams, from tensor.DType, r quantParams, to tensor.DType, f func(float32) float32) *[256]byte {
	t := (*[256]byte)(Scratch[uint8](c, 256))
	for i, x := range dequantTable(q.scale, q.zero, from) {
		t[i] = r.quantize(f(x), to)
	}
	return t
}

// buildQuantizedUnary makes a kernel of f for X, X_scale, X_zero_point,
// Y_scale, Y_zero_point: a table of 256 results per call.
func buildQuantizedUnary(f func(float32) float32) Kernel {
	return func(c *Call) error {
		x, err := byteInput(c, 0, "X")
		if err != nil {
			return err
		}
		d := x.DType()
		qx, err := quantParamsOf(c, 1, d, "X")
		if err != nil {
			return err
		}
		qy, err := quantParamsOf(c, 3, d, "Y")
		if err != nil {
			return err
		}
		lookup(c, c.Output(0, d, x.Shape()...).Bytes(), x.Bytes(), rescaleTable(c, qx, d, qy, d, f))
		return nil
	}
}

// buildQuantizedBinary makes a kernel of C = quantize(A + B), or A · B, with
// broadcasting, for A, A_scale, A_zero_point, B, B_scale, B_zero_point,
// C_scale, C_zero_point.
func buildQuantizedBinary(product bool) Kernel {
	return func(c *Call) error {
		a, err := byteInput(c, 0, "A")
		if err != nil {
			return err
		}
		b, err := byteInput(c, 3, "B")
		if err != nil {
			return err
		}
		d := a.DType()
		if b.DType() != d {
			return fmt.Errorf("B is %v, want %v as A", b.DType(), d)
		}
		var q [3]quantParams
		for i, name := range []string{"A", "B", "C"} {
			at := 3*i + 1
			if i == 2 {
				at = 6
			}
			if q[i], err = quantParamsOf(c, at, d, name); err != nil {
				return err
			}
		}
		shape, err := c.broadcast(a.Shape(), b.Shape())
		if err != nil {
			return err
		}
		k := quant.Binary{Product: product, Signed: d == tensor.Int8, ZA: q[0].zero, ZB: q[1].zero, Zero: q[2].zero,
			FA: q[0].scale / q[2].scale, FB: q[1].scale / q[2].scale}
		if product {
			k.FA = q[0].scale * q[1].scale / q[2].scale
		}
		k.Lo, k.Hi = byteRange(d)
		y, da, db := c.Output(0, d, shape...).Bytes(), a.Bytes(), b.Bytes()
		if len(da) == len(y) && len(db) == len(y) {
			par.Each(c.P, len(y), 1<<15, byteRows{k: k, y: y, a: da, b: db}, func(r *byteRows, lo, hi int) { r.k.Run(r.y[lo:hi], r.a[lo:hi], r.b[lo:hi]) })
			return nil
		}
		binaryRows(c, shape, a.Shape(), b.Shape(), byteRows{k: k, y: y, a: da, b: db})
		return nil
	}
}

// byteRows is one call, over blocks of rows of n elements. Of the operand that one of the
// last two dimensions does not move, several copies are laid out.
type byteRows struct {
	k                   quant.Binary
	y, a, b             []byte
	dims, sa, sb        []int // of the blocks
	n, stepA, stepB     int
	rows, copies, parts int // parts of a block
	repeats             int // 1 for a, 2 for b
}

// binaryPiece is how many bytes are laid out.
const binaryPiece = 4096

// binaryRows computes y where a and b are broadcast to its shape.
func binaryRows(c *Call, shape, aShape, bShape []int, r byteRows) {
	if len(r.y) == 0 {
		return
	}
	dims, sa, sb := joinDims(c, shape, c.broadcastStrides(aShape, shape), c.broadcastStrides(bShape, shape))
	last := len(dims) - 1
	r.n, r.stepA, r.stepB, r.rows = dims[last], sa[last], sb[last], 1
	if last > 0 && sa[last] == 1 && sb[last] == 1 && r.n < binaryPiece {
		switch {
		case sa[last-1] == 0 && sb[last-1] == r.n:
			r.repeats = 1
		case sb[last-1] == 0 && sa[last-1] == r.n:
			r.repeats = 2
		}
		if r.repeats > 0 {
			r.rows = dims[last-1]
			last--
		}
	}
	r.dims, r.sa, r.sb = dims[:last], sa, sb
	r.copies = max(1, min(r.rows, binaryPiece/r.n))
	r.parts = (r.rows + 8*r.copies - 1) / (8 * r.copies)
	par.Each(c.P, sizeOf(r.dims)*r.parts, max(1, (1<<15)/max(1, min(r.rows, 8*r.copies)*r.n)), r, (*byteRows).run)
}

type rowBytes struct {
	buf, other []byte
	idx        []int
}

// shortBytes is below how many bytes rows are laid out beside each other, so that the kernel runs over several at a time.
const shortBytes = 512

// run computes parts [lo, hi) of all blocks.
func (r *byteRows) run(lo, hi int) {
	mem, pool := borrow[rowBytes]()
	defer pool.Put(mem)
	if r.rows == 1 && r.n < shortBytes {
		r.short(mem, lo, hi)
		return
	}
	buf, n, f := mem.buf, r.n, &r.k
	for t := lo; t < hi; t++ {
		block, r0 := t/r.parts, t%r.parts*8*r.copies
		r1 := min(r0+8*r.copies, r.rows)
		i, j := 0, 0
		for d, left := len(r.dims)-1, block; d >= 0; d-- {
			x := left % r.dims[d]
			left /= r.dims[d]
			i += x * r.sa[d]
			j += x * r.sb[d]
		}
		out := r.y[(block*r.rows+r0)*n : (block*r.rows+r1)*n]
		switch {
		case r.repeats == 1:
			buf = repeat(buf, r.a[i:i+n], min(r.copies, r1-r0))
			other := r.b[j+r0*n : j+r1*n]
			for p := 0; p < len(out); p += len(buf) {
				m := min(len(buf), len(out)-p)
				f.Run(out[p:p+m], buf[:m], other[p:p+m])
			}
		case r.repeats == 2:
			buf = repeat(buf, r.b[j:j+n], min(r.copies, r1-r0))
			other := r.a[i+r0*n : i+r1*n]
			for p := 0; p < len(out); p += len(buf) {
				m := min(len(buf), len(out)-p)
				f.Run(out[p:p+m], other[p:p+m], buf[:m])
			}
		case r.stepA == 0:
			buf = repeat(buf, r.a[i:i+1], min(n, binaryPiece))
			for p := 0; p < n; p += len(buf) {
				m := min(len(buf), n-p)
				f.Run(out[p:p+m], buf[:m], r.b[j+p*r.stepB:][:m])
			}
		case r.stepB == 0:
			buf = repeat(buf, r.b[j:j+1], min(n, binaryPiece))
			for p := 0; p < n; p += len(buf) {
				m := min(len(buf), n-p)
				f.Run(out[p:p+m], r.a[i+p:i+p+m], buf[:m])
			}
		default:
			f.Run(out, r.a[i:i+n], r.b[j:j+n])
		}
	}
	mem.buf = buf
}

// short computes the rows [lo, hi), each of n elements, of which both operands are laid out.
func (r *byteRows) short(mem *rowBytes, lo, hi int) {
	n, i, j := r.n, 0, 0
	mem.idx = slices.Grow(mem.idx[:0], len(r.dims))[:len(r.dims)]
	for d, left := len(r.dims)-1, lo; d >= 0; d-- {
		mem.idx[d] = left % r.dims[d]
		left /= r.dims[d]
		i += mem.idx[d] * r.sa[d]
		j += mem.idx[d] * r.sb[d]
	}
	most := binaryPiece / n * n
	mem.buf, mem.other = slices.Grow(mem.buf[:0], most)[:most], slices.Grow(mem.other[:0], most)[:most]
	for out := r.y[lo*n : hi*n]; len(out) > 0; {
		m := min(most, len(out))
		for p := 0; p < m; p += n {
			layRow(mem.buf[p:p+n], r.a[i:], r.stepA)
			layRow(mem.other[p:p+n], r.b[j:], r.stepB)
			for d := len(r.dims) - 1; d >= 0; d-- {
				mem.idx[d]++
				i += r.sa[d]
				j += r.sb[d]
				if mem.idx[d] < r.dims[d] {
					break
				}
				mem.idx[d] = 0
				i -= r.dims[d] * r.sa[d]
				j -= r.dims[d] * r.sb[d]
			}
		}
		r.k.Run(out[:m], mem.buf[:m], mem.other[:m])
		out = out[m:]
	}
}

// layRow copies the first elements of src, or the first of it for all if step is 0.
func layRow(dst, src []byte, step int) {
	if step != 0 {
		copy(dst, src)
		return
	}
	v := src[0]
	for w := uint64(v) * 0x0101010101010101; len(dst) >= 8; dst = dst[8:] {
		binary.LittleEndian.PutUint64(dst, w)
	}
	for k := range dst {
		dst[k] = v
	}
}

// joinDims joins neighbouring dimensions through which both operands move as
// through one, and drops those of size 1. At least one is left.
func joinDims(c *Call, shape, sa, sb []int) (dims, a, b []int) {
	dims, a, b = c.Dims(len(shape) + 1)[:0], c.Dims(len(shape) + 1)[:0], c.Dims(len(shape) + 1)[:0]
	for d := len(shape) - 1; d >= 0; d-- {
		if shape[d] == 1 {
			continue
		}
		if k := len(dims) - 1; k >= 0 && sa[d] == a[k]*dims[k] && sb[d] == b[k]*dims[k] {
			dims[k] *= shape[d]
			continue
		}
		dims, a, b = append(dims, shape[d]), append(a, sa[d]), append(b, sb[d])
	}
	if len(dims) == 0 {
		return append(dims, 1), append(a, 1), append(b, 1)
	}
	slices.Reverse(dims)
	slices.Reverse(a)
	slices.Reverse(b)
	return dims, a, b
}

// repeat returns n copies of row in buf.
func repeat(buf, row []byte, n int) []byte {
	buf = append(buf[:0], row...)
	for len(buf) < n*len(row) {
		buf = append(buf, buf[:min(len(buf), n*len(row)-len(buf))]...)
	}
	return buf
}

// broadcastRows calls row for each run of out along its last dimension: o and n
// are its offset and length; at and step say where each of the inputs starts and
// how it moves. Calls may be at once.
func broadcastRows(c *Call, out []int, in [][]int, row func(o, n int, at, step []int)) {
	n, rows := 1, 1
	if len(out) > 0 {
		n = out[len(out)-1]
		for _, d := range out[:len(out)-1] {
			rows *= d
		}
	}
	if n == 0 || rows == 0 {
		return
	}
	strides := make([][]int, len(in))
	step := make([]int, len(in))
	for i, s := range in {
		strides[i] = tensor.BroadcastStrides(s, out)
		if len(out) > 0 {
			step[i] = strides[i][len(out)-1]
		}
	}
	c.P.For(rows, max(1, (1<<14)/n), func(lo, hi int) {
		at := make([]int, len(in))
		for r := lo; r < hi; r++ {
			clear(at)
			for d, left := len(out)-2, r; d >= 0; d-- {
				x := left % out[d]
				left /= out[d]
				for i := range at {
					at[i] += x * strides[i][d]
				}
			}
			row(r*n, n, at, step)
		}
	})
}

// inferBroadcastOf gives output 0 the element type d and the broadcast of the
// listed inputs.
func inferBroadcastOf(c *InferContext, d tensor.DType, in ...int) error {
	ts := make([]onnx.Type, len(in))
	for i, k := range in {
		ts[i] = c.In(k)
	}
	dims, ok, err := broadcastDims(ts...)
	if err != nil {
		return err
	}
	c.Out[0] = onnx.Type{Kind: onnx.TensorKind, DType: d, Ranked: ok, Dims: dims}
	return nil
}
