package ops

import (
	"math"
	"sync"

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
		flip := byte(0) // makes the order of bytes that of their values
		if d == tensor.Int8 {
			flip = 0x80
		}
		if qx.scale < 0 {
			flip ^= 0xff
		}
		rows.flip, rows.d, rows.qy = flip, d, qy
		for i := range rows.rising {
			rows.rising[i] = float32(rows.exps[255-i])
		}
		par.Each(c.P, outer*inner, max(1, (1<<15)/n), softmaxBytes{rows, y, src, n, inner}, (*softmaxBytes).run)
		return nil
	}, nil
}

var softmaxTables = sync.Pool{New: func() any { return new([2][256]byte) }}

// softmaxBytes is the work on [outer, n, inner].
type softmaxBytes struct {
	*softmaxRows
	y, x     []byte
	n, inner int
}

func (a *softmaxBytes) run(lo, hi int) {
	tables := softmaxTables.Get().(*[2][256]byte)
	defer softmaxTables.Put(tables)
	n, inner, flip := a.n, a.inner, a.flip
	for r := lo; r < hi; r++ {
		first := r/inner*n*inner + r%inner
		if inner == 1 && n >= 32 && flip&1 == 0 && a.qy.scale > 0 {
			a.row(a.y[first:first+n], a.x[first:first+n], tables)
			continue
		}
		top, sum := byte(0), 0.0
		for i := range n {
			top = max(top, a.x[first+i*inner]^flip)
		}
		for i := range n {
			sum += a.exps[top-(a.x[first+i*inner]^flip)]
		}
		for i := range n {
			a.y[first+i*inner] = a.qy.quantize(float32(a.exps[top-(a.x[first+i*inner]^flip)]/sum), a.d)
		}
	}
}

// softmaxRows computes long rows, of bytes whose order is that of their values
// with flip, by way of a table of what each byte of a row becomes.
type softmaxRows struct {
	scale  float32       // that exps are of
	exps   *[256]float64 // by the difference to the largest of a row
	rising [256]float32  // exps backwards
	flip   byte          // 0 or 0x80
	d      tensor.DType
	qy     quantParams
}

// row computes y, which the tables help with.
func (s *softmaxRows) row(y, x []byte, tables *[2][256]byte) {
	top := byte(0)
	for _, v := range x {
		top = max(top, v^s.flip)
	}
	// exps is indexed by top - (v^flip), which is v less where top is, but for its sign.
	var sums [4]float64
	exps, t, rest := s.exps, top^s.flip, x
	for ; len(rest) >= 4; rest = rest[4:] {
		sums[0] += exps[t-rest[0]]
		sums[1] += exps[t-rest[1]]
		sums[2] += exps[t-rest[2]]
		sums[3] += exps[t-rest[3]]
	}
	for _, v := range rest {
		sums[0] += exps[t-v]
	}
	sum := float32(sums[0] + sums[1] + sums[2] + sums[3])
	lo, hi := byteRange(s.d)
	table, turned := &tables[0], &tables[1]
	n := int(top) + 1
	quant.Quantize(turned[:n], s.rising[256-n:], sum*s.qy.scale, s.qy.zero, lo, hi)
	copy(table[s.flip:], turned[:256-int(s.flip)])
	copy(table[:s.flip], turned[256-int(s.flip):])
	quant.Lookup(y, x, table)
}

// softmaxExps returns the powers of e of what a byte can be below the largest value of a row.
func softmaxExps(scale float32) *[256]float64 {
	var exps [256]float64
	for i := range exps {
		exps[i] = math.Exp(-math.Abs(float64(scale)) * float64(i))
	}
	return &exps
}
