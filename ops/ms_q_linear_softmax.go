package ops

import (
	"encoding/binary"
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/quant"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// QLinearSoftmax (com.microsoft): Y = quantize(exp(x) / Σ exp(x)) with x =
// dequantize(X), the sum along axis. For an opset attribute below 13 the sum is
// over axis and all dimensions after it.
//
//	X: u8 or i8 [...]    Y: the same type and shape
//	scales: float32, one; zero points: one
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QLinearSoftmax
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "QLinearSoftmax", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: N(5), Absent: []int{2}, Out: N(1), Infer: inferQLinearSoftmax, Build: buildQLinearSoftmax},
		},
	})
}

func inferQLinearSoftmax(c *InferContext) error {
	c.Int("axis", -1)
	c.Int("opset", 0)
	return inferSame(c)
}

func buildQLinearSoftmax(b *BuildContext) (Kernel, error) {
	axis, opset := b.Int("axis", -1), b.Int("opset", 0)
	var fixed *[256]float64
	if t := b.Const(1); t != nil && t.DType() == tensor.Float32 && t.Len() == 1 {
		fixed = softmaxExps(tensor.Data[float32](t)[0])
	}
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
		qy, err := quantParamsOf(c, 3, d, "y")
		if err != nil {
			return err
		}
		at, err := tensor.Axis(axis, x.Rank())
		if err != nil {
			return err
		}
		outer, inner := axisBlocks(x.Shape(), at)
		n := x.Dim(at)
		if opset < 13 {
			n, inner = n*inner, 1
		}
		y, src := c.Output(0, d, x.Shape()...).Bytes(), x.Bytes()
		if x.Len() == 0 {
			return nil
		}
		rows := State[softmaxRows](c)
		if fixed != nil {
			rows.exps = fixed
		} else if rows.exps == nil || rows.scale != qx.scale {
			rows.exps, rows.scale = softmaxExps(qx.scale), qx.scale
		}
		rows.flip, rows.falling, rows.qy = 0, qx.scale < 0, qy
		if d == tensor.Int8 {
			rows.flip = 0x80
		}
		if rows.falling {
			turned := Scratch[uint8](c, len(src))
			for i, v := range src {
				turned[i] = ^v
			}
			src = turned
		}
		rows.lo, rows.hi = byteRange(d)
		for i := range rows.exps {
			rows.rising[i] = float32(rows.exps[255-i])
		}
		par.Each(c.P, outer*inner, max(1, (1<<15)/n), softmaxBytes{rows, y, src, n, inner}, (*softmaxBytes).run)
		return nil
	}, nil
}

// softmaxRows is what all rows share. The order of bytes is that of their values with flip,
// where falling once all their bits have been turned.
type softmaxRows struct {
	scale   float32           // that exps are of
	exps    *[256]float64     // by the difference to the largest of a row
	rising  [256 + 32]float32 // exps backwards, and more, so that vectors are full
	flip    byte              // 0 or 0x80: t - v is (t^flip) - (v^flip)
	falling bool
	lo, hi  int32
	qy      quantParams
}

// softmaxBytes is the work on [outer, n, inner].
type softmaxBytes struct {
	*softmaxRows
	y, x     []byte
	n, inner int
}

// softmaxMem is the working memory of a thread.
type softmaxMem struct {
	table, turned [256]byte
	floats        [1024]float32
	tops          [256]byte
	sums          [256]float64 // their reciprocals
}

func (a *softmaxBytes) run(lo, hi int) {
	mem, pool := borrow[softmaxMem]()
	defer pool.Put(mem)
	n, inner := a.n, a.inner
	switch {
	case inner > 1:
		for lo < hi {
			j := lo % inner
			w := min(hi-lo, inner-j, len(mem.tops))
			first := lo/inner*n*inner + j
			a.columns(mem, a.y[first:], a.x[first:], w)
			lo += w
		}
	case n < 32:
		a.short(mem, a.y[lo*n:hi*n], a.x[lo*n:hi*n])
	case a.falling || !(a.qy.scale > 0):
		for ; lo < hi; lo++ {
			a.columns(mem, a.y[lo*n:], a.x[lo*n:], 1)
		}
	default:
		for ; lo < hi; lo++ {
			a.row(mem, a.y[lo*n:(lo+1)*n], a.x[lo*n:(lo+1)*n])
		}
	}
}

// columns computes w neighbouring columns, of which y and x begin with the first.
func (a *softmaxBytes) columns(mem *softmaxMem, y, x []byte, w int) {
	n, inner, exps := a.n, a.inner, a.exps
	tops, sums := mem.tops[:w], mem.sums[:w]
	largestBytes(tops, x, n, inner, a.flip)
	end := (n-1)*inner + w
	j := 0
	for ; j+4 <= w; j += 4 {
		t, s := tops[j:][:4], sums[j:][:4]
		t0, t1, t2, t3 := t[0], t[1], t[2], t[3]
		var s0, s1, s2, s3 float64
		for at := j; at < end; at += inner {
			v := x[at:][:4]
			s0 += exps[t0-v[0]]
			s1 += exps[t1-v[1]]
			s2 += exps[t2-v[2]]
			s3 += exps[t3-v[3]]
		}
		s[0], s[1], s[2], s[3] = 1/s0, 1/s1, 1/s2, 1/s3
	}
	for ; j < w; j++ {
		t, sum := tops[j], 0.0
		for at := j; at < end; at += inner {
			sum += exps[t-x[at]]
		}
		sums[j] = 1 / sum
	}
	lines := 1
	if w == inner {
		lines = len(mem.floats) / w
	}
	for i := 0; i < n; i += lines {
		m := min(lines, n-i)
		src, to := x[i*inner:][:m*w], mem.floats[:m*w]
		j := 0
		for ; j+4 <= w; j += 4 {
			t, s := tops[j:][:4], sums[j:][:4]
			t0, t1, t2, t3 := t[0], t[1], t[2], t[3]
			s0, s1, s2, s3 := s[0], s[1], s[2], s[3]
			for at := j; at < len(src); at += w {
				v, dst := src[at:][:4], to[at:][:4]
				dst[0] = float32(exps[t0-v[0]] * s0)
				dst[1] = float32(exps[t1-v[1]] * s1)
				dst[2] = float32(exps[t2-v[2]] * s2)
				dst[3] = float32(exps[t3-v[3]] * s3)
			}
		}
		for ; j < w; j++ {
			t, s := tops[j], sums[j]
			for at := j; at < len(src); at += w {
				to[at] = float32(exps[t-src[at]] * s)
			}
		}
		quant.Quantize(y[i*inner:][:m*w], to, a.qy.scale, a.qy.zero, a.lo, a.hi)
	}
}

// short computes rows of a few elements, which are quantized together.
func (a *softmaxBytes) short(mem *softmaxMem, y, x []byte) {
	n, flip, exps := a.n, a.flip, a.exps
	most := len(mem.floats) / n * n
	for len(x) > 0 {
		m := min(most, len(x))
		to := mem.floats[:m]
		for k := 0; k < m; k += n {
			v, dst := x[k:k+n], to[k:k+n]
			t := largestByte(v, flip)
			sum := 0.0
			for _, b := range v {
				sum += exps[t-b]
			}
			sum = 1 / sum
			for i, b := range v {
				dst[i] = float32(exps[t-b] * sum)
			}
		}
		quant.Quantize(y[:m], to, a.qy.scale, a.qy.zero, a.lo, a.hi)
		x, y = x[m:], y[m:]
	}
}

// row computes a long row.
func (a *softmaxBytes) row(mem *softmaxMem, y, x []byte) {
	var sums [4]float64
	exps, t, rest := a.exps, largestByte(x, a.flip), x
	for ; len(rest) >= 8; rest = rest[8:] {
		v := binary.LittleEndian.Uint64(rest)
		sums[0] += exps[t-byte(v)]
		sums[1] += exps[t-byte(v>>8)]
		sums[2] += exps[t-byte(v>>16)]
		sums[3] += exps[t-byte(v>>24)]
		sums[0] += exps[t-byte(v>>32)]
		sums[1] += exps[t-byte(v>>40)]
		sums[2] += exps[t-byte(v>>48)]
		sums[3] += exps[t-byte(v>>56)]
	}
	if len(rest) >= 4 {
		sums[0] += exps[t-rest[0]]
		sums[1] += exps[t-rest[1]]
		sums[2] += exps[t-rest[2]]
		sums[3] += exps[t-rest[3]]
		rest = rest[4:]
	}
	for _, v := range rest {
		sums[0] += exps[t-v]
	}
	scale := float32(sums[0]+sums[1]+sums[2]+sums[3]) * a.qy.scale
	table, turned := &mem.table, &mem.turned
	top := int(t ^ a.flip)
	n := (top + 32) &^ 31
	quant.Quantize(turned[:n], a.rising[255-top:][:n], scale, a.qy.zero, a.lo, a.hi)
	if a.flip != 0 {
		copy(table[128:], turned[:128])
		copy(table[:128], turned[128:])
	} else {
		table = turned
	}
	quant.Lookup(y, x, table)
}

// largestByte returns the byte of x whose v^flip is the largest.
func largestByte(x []byte, flip byte) byte {
	if len(x) < 8 {
		t, f := 0, int(flip)
		for _, v := range x {
			t = max(t, int(v)^f) // of int it is no branch
		}
		return byte(t ^ f)
	}
	f := eachByte * uint64(flip)
	m := binary.LittleEndian.Uint64(x[len(x)-8:]) ^ f
	m2 := m
	for ; len(x) >= 16; x = x[16:] {
		m = maxBytes(m, binary.LittleEndian.Uint64(x)^f)
		m2 = maxBytes(m2, binary.LittleEndian.Uint64(x[8:])^f)
	}
	if len(x) >= 8 {
		m = maxBytes(m, binary.LittleEndian.Uint64(x)^f)
	}
	m = maxBytes(m, m2)
	m = maxBytes(m, m>>32)
	m = maxBytes(m, m>>16)
	return byte(maxBytes(m, m>>8)) ^ flip
}

// largestBytes is largestByte of len(tops) columns of n bytes that lie inner apart.
func largestBytes(tops, x []byte, n, inner int, flip byte) {
	w, f := len(tops), eachByte*uint64(flip)
	if w == inner && w < 8 {
		// Lines of eight times the size.
		k := n / 8
		var long [64]byte
		if k > 1 {
			largestBytes(long[:8*w], x, k, 8*w, flip)
			for j := range tops {
				t := byte(0)
				for i := j; i < 8*w; i += w {
					t = max(t, long[i]^flip)
				}
				for i := 8*w*k + j; i < n*w; i += w {
					t = max(t, x[i]^flip)
				}
				tops[j] = t ^ flip
			}
			return
		}
	}
	j, end := 0, (n-1)*inner+w
	for ; j+8 <= w; j += 8 {
		m := uint64(0)
		for at := j; at < end; at += inner {
			m = maxBytes(m, binary.LittleEndian.Uint64(x[at:])^f)
		}
		binary.LittleEndian.PutUint64(tops[j:], m^f)
	}
	for ; j < w; j++ {
		t := byte(0)
		for at := j; at < end; at += inner {
			t = max(t, x[at]^flip)
		}
		tops[j] = t ^ flip
	}
}

const eachByte = 0x0101010101010101

// maxBytes returns the larger bytes of a and b.
func maxBytes(a, b uint64) uint64 {
	const high = 0x80 * eachByte
	d := (a | high) - (b &^ high) // high bits: the others of a are not below those of b
	d = (a&^b | ^(a^b)&d) & high  // high bits: a is not below b
	d = d<<1 - d>>7               // all bits of such bytes
	return b ^ (a^b)&d
}

// softmaxExps returns the powers of e of what a byte can be below the largest value of a row.
func softmaxExps(scale float32) *[256]float64 {
	var exps [256]float64
	for i := range exps {
		exps[i] = math.Exp(-math.Abs(float64(scale)) * float64(i))
	}
	return &exps
}
