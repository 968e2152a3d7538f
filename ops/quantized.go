package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/qgemm"
	"github.com/gneiss-run/gneiss/internal/kernels/quant"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// isByte reports whether d is uint8 or int8.
func isByte(d tensor.DType) bool { return d == tensor.Uint8 || d == tensor.Int8 }

// byteInput returns input i, a tensor of uint8 or int8.
func byteInput(c *Call, i int, name string) (*tensor.Tensor, error) {
	t := c.T(i)
	if t == nil {
		return nil, fmt.Errorf("%s is absent", name)
	}
	if !isByte(t.DType()) {
		return nil, fmt.Errorf("%w: element type %v of %s", ErrUnsupported, t.DType(), name)
	}
	return t, nil
}

// byteValues returns the elements of a tensor of uint8 or int8.
func byteValues(t *tensor.Tensor) []int32 {
	out := make([]int32, t.Len())
	if t.DType() == tensor.Int8 {
		for i, v := range tensor.Data[int8](t) {
			out[i] = int32(v)
		}
		return out
	}
	for i, v := range t.Bytes() {
		out[i] = int32(v)
	}
	return out
}

// zeroPoints returns the zero points that t holds; nil if t is nil. like is the
// type of what they belong to.
func zeroPoints(t *tensor.Tensor, like tensor.DType, name string) ([]int32, error) {
	if t == nil {
		return nil, nil
	}
	if t.DType() != like {
		return nil, fmt.Errorf("%s is %v, want %v", name, t.DType(), like)
	}
	return byteValues(t), nil
}

// oneZeroPoint returns the zero point of input i, 0 if it is absent, and its type.
func oneZeroPoint(c *Call, i int, name string) (int32, tensor.DType, error) {
	t := c.T(i)
	if t == nil {
		return 0, tensor.Undefined, nil
	}
	if !isByte(t.DType()) {
		return 0, 0, fmt.Errorf("%w: element type %v of %s", ErrUnsupported, t.DType(), name)
	}
	if t.Len() != 1 {
		return 0, 0, fmt.Errorf("%s has shape %v, want one element", name, t.Shape())
	}
	return byteValues(t)[0], t.DType(), nil
}

// scalesOf returns the scales of input i as float32.
func scalesOf(c *Call, i int, name string) ([]float32, error) {
	t := c.T(i)
	if t == nil {
		return nil, fmt.Errorf("%s is absent", name)
	}
	switch t.DType() {
	case tensor.Float32:
		return tensor.Data[float32](t), nil
	case tensor.Float16, tensor.BFloat16:
		return tensor.Data[float32](tensor.Widen(t)), nil
	}
	return nil, fmt.Errorf("%w: element type %v of %s", ErrUnsupported, t.DType(), name)
}

// oneScale returns the scale of input i, one float.
func oneScale(c *Call, i int, name string) (float32, error) {
	s, err := scalesOf(c, i, name)
	if err != nil {
		return 0, err
	}
	if len(s) != 1 {
		return 0, fmt.Errorf("%s has %d elements, want 1", name, len(s))
	}
	return s[0], nil
}

// roundClamp rounds x to the nearest integer, ties to even, and adds zero,
// keeping to [lo, hi]. The sum lies within ±2^21 after clamping, where adding
// 1.5·2^23 rounds.
func roundClamp(x float32, zero, lo, hi int32) int32 {
	const magic = 12582912
	if l := float32(lo - zero); x < l {
		return lo
	}
	if h := float32(hi - zero); x > h {
		return hi
	}
	if x != x {
		return zero
	}
	return int32(math.Float32bits(x+magic)) - int32(math.Float32bits(magic)) + zero
}

// byteRange returns the smallest and largest value of uint8 or int8.
func byteRange(d tensor.DType) (lo, hi int32) {
	if d == tensor.Int8 {
		return -128, 127
	}
	return 0, 255
}

// requantize writes round(acc·scale) + zero to dst, bytes of type d. scale has
// one value or one for each element.
func requantize(dst []byte, acc []int32, scale []float32, zero int32, d tensor.DType) {
	lo, hi := byteRange(d)
	if len(scale) == 1 {
		quant.Requantize(dst, acc, scale[0], zero, lo, hi)
		return
	}
	for i, v := range acc {
		dst[i] = byte(roundClamp(float32(v)*scale[i], zero, lo, hi))
	}
}

// quantizeDynamically quantizes x to uint8 with the scale and zero point of its
// own range, which is made to include 0. NaN does not count for the range.
func quantizeDynamically(p par.P, dst []byte, x []float32) quantParams {
	bounds := make([][2]float32, (len(x)+grain-1)/grain)
	p.For(len(bounds), 1, func(a, b int) {
		for i := a; i < b; i++ {
			bounds[i][0], bounds[i][1] = quant.Bounds(x[i*grain : min((i+1)*grain, len(x))])
		}
	})
	var lo, hi float32
	for _, b := range bounds {
		lo, hi = min(lo, b[0]), max(hi, b[1])
	}
	q := quantParams{scale: (hi - lo) / 255}
	if q.scale == 0 {
		q.scale = 1
	}
	if zero := -lo / q.scale; zero == zero { // else an infinite range
		q.zero = roundClamp(zero, 0, 0, 255)
	}
	p.For(len(x), grain, func(a, b int) { quant.Quantize(dst[a:b], x[a:b], q.scale, q.zero, 0, 255) })
	return q
}

// dequantTable returns (v - zero)·scale for each of the 256 bytes of type d.
func dequantTable(scale float32, zero int32, d tensor.DType) *[256]float32 {
	var t [256]float32
	for i := range t {
		v := int32(i)
		if d == tensor.Int8 {
			v = int32(int8(i))
		}
		t[i] = float32(v-zero) * scale
	}
	return &t
}

// quantParams are a scale and a zero point for a whole tensor.
type quantParams struct {
	scale float32
	zero  int32
}

// quantParamsOf reads scale and zero point, inputs s and s+1, of a tensor of
// type d. The zero point may be absent.
func quantParamsOf(c *Call, s int, d tensor.DType, name string) (quantParams, error) {
	scale, err := oneScale(c, s, name+"_scale")
	if err != nil {
		return quantParams{}, err
	}
	zero, zd, err := oneZeroPoint(c, s+1, name+"_zero_point")
	if err == nil && zd != tensor.Undefined && zd != d {
		err = fmt.Errorf("%s_zero_point is %v, want %v", name, zd, d)
	}
	return quantParams{scale, zero}, err
}

// quantize returns the byte of x under q.
func (q quantParams) quantize(x float32, d tensor.DType) byte {
	lo, hi := byteRange(d)
	return byte(roundClamp(x/q.scale, q.zero, lo, hi))
}

// matShape is how A [.., m, k] times B [.., k, n] runs: NumPy's matmul rule.
type matShape struct {
	m, k, n int
	out     []int
	// batch is the number of products; aAt and bAt give the matrix of each.
	batch    int
	aAt, bAt []int
}

func matShapeOf(a, b []int) (*matShape, error) {
	if len(a) == 0 || len(b) == 0 {
		return nil, fmt.Errorf("shapes %v and %v, want at least 1 dimension", a, b)
	}
	a1, b1 := len(a) == 1, len(b) == 1
	if a1 {
		a = []int{1, a[0]}
	}
	if b1 {
		b = []int{b[0], 1}
	}
	s := &matShape{m: a[len(a)-2], k: a[len(a)-1], n: b[len(b)-1]}
	if b[len(b)-2] != s.k {
		return nil, fmt.Errorf("B has shape %v, want %d rows as A has columns", b, s.k)
	}
	la, lb := a[:len(a)-2], b[:len(b)-2]
	lead, err := tensor.Broadcast(la, lb)
	if err != nil {
		return nil, err
	}
	s.out = slices.Clone(lead)
	if !a1 {
		s.out = append(s.out, s.m)
	}
	if !b1 {
		s.out = append(s.out, s.n)
	}
	if s.batch, err = tensor.Count(lead); err != nil {
		return nil, err
	}
	s.aAt, s.bAt = batchIndex(la, lead, s.batch), batchIndex(lb, lead, s.batch)
	return s, nil
}

// batchIndex returns, for each index of out, which element of shape it reads.
func batchIndex(shape, out []int, n int) []int {
	st := tensor.BroadcastStrides(shape, out)
	at := make([]int, n)
	idx := make([]int, len(out))
	pos := 0
	for i := range at {
		at[i] = pos
		for d := len(out) - 1; d >= 0; d-- {
			idx[d]++
			pos += st[d]
			if idx[d] < out[d] {
				break
			}
			pos -= idx[d] * st[d]
			idx[d] = 0
		}
	}
	return at
}

// inferMatShape gives output 0 the shape of inputs a times b.
func inferMatShape(c *InferContext, a, b int, d tensor.DType) error {
	c.Out[0] = onnx.UnrankedType(d)
	ta, tb := c.In(a), c.In(b)
	if !ta.Ranked || !tb.Ranked {
		return nil
	}
	if len(ta.Dims) == 0 || len(tb.Dims) == 0 {
		return fmt.Errorf("types %v and %v, want at least 1 dimension", ta, tb)
	}
	la, lb := ta.Dims[:max(0, len(ta.Dims)-2)], tb.Dims[:max(0, len(tb.Dims)-2)]
	dims, ok, err := broadcastDims(onnx.TensorType(d, la...), onnx.TensorType(d, lb...))
	if err != nil {
		return err
	}
	if !ok {
		return nil
	}
	if len(ta.Dims) > 1 {
		dims = append(dims, ta.Dims[len(ta.Dims)-2])
	}
	if len(tb.Dims) > 1 {
		dims = append(dims, tb.Dims[len(tb.Dims)-1])
	}
	c.Out[0] = onnx.TensorType(d, dims...)
	return nil
}

// intMat is a product of two matrices of bytes.
type intMat struct {
	aIn, bIn int // inputs
	packed   *qgemm.Right
	shape    []int        // B's, when packed
	dtype    tensor.DType // B's, when packed
}

// buildIntMat packs B if it is a constant matrix.
func buildIntMat(b *BuildContext, aIn, bIn int) (*intMat, error) {
	m := &intMat{aIn: aIn, bIn: bIn}
	t := b.Const(bIn)
	if t == nil || t.Rank() != 2 || !isByte(t.DType()) {
		return m, nil
	}
	k, n := t.Dim(0), t.Dim(1)
	p, err := b.Pack(bIn, "qgemm/kn", func() (any, error) {
		return qgemm.Pack(par.P{}, t.Bytes(), k, n, n, 1, t.DType() == tensor.Int8).Narrow(), nil
	})
	if err != nil {
		return nil, err
	}
	m.packed, m.shape, m.dtype = p.(*qgemm.Right), slices.Clone(t.Shape()), t.DType()
	return m, nil
}

// bType returns B's element type in call c.
func (m *intMat) bType(c *Call) (tensor.DType, error) {
	if m.packed != nil {
		return m.dtype, nil
	}
	t, err := byteInput(c, m.bIn, "B")
	if err != nil {
		return 0, err
	}
	return t.DType(), nil
}

// shapes returns the shape of the product.
func (m *intMat) shapes(c *Call) (*tensor.Tensor, *matShape, error) {
	a, err := byteInput(c, m.aIn, "A")
	if err != nil {
		return nil, nil, err
	}
	bs := m.shape
	if m.packed == nil {
		t, err := byteInput(c, m.bIn, "B")
		if err != nil {
			return nil, nil, err
		}
		bs = t.Shape()
	}
	s, err := matShapeOf(a.Shape(), bs)
	return a, s, err
}

// perMatrix splits parameters (scales, zero points) into what belongs to one
// matrix: one value, or one for each of n rows or columns. They come as one
// value, a vector of n, or a tensor with a value for each row or column of each
// matrix.
func perMatrix[T any](v []T, n, matrices int, name string) (func(i int) []T, error) {
	switch {
	case len(v) == 0:
		return func(int) []T { return nil }, nil
	case len(v) == 1 || len(v) == n:
		return func(int) []T { return v }, nil
	case n > 0 && len(v) == n*matrices:
		return func(i int) []T { return v[i*n : (i+1)*n] }, nil
	}
	return nil, fmt.Errorf("%s has %d elements, want 1 or %d", name, len(v), n)
}

// run computes all products. done is called for finished rows and columns of
// product i with its sums (row stride s.n); it may be called at once for several.
func (m *intMat) run(c *Call, a *tensor.Tensor, s *matShape, za, zb []int32, acc []int32, done func(i, i0, i1, j0, j1 int)) error {
	am, bm := 0, 0
	for i := range s.batch {
		am, bm = max(am, s.aAt[i]+1), max(bm, s.bAt[i]+1)
	}
	zaOf, err := perMatrix(za, s.m, am, "a_zero_point")
	if err != nil {
		return err
	}
	zbOf, err := perMatrix(zb, s.n, bm, "b_zero_point")
	if err != nil {
		return err
	}
	signed := a.DType() == tensor.Int8
	m.each(c, s, func(i int, right *qgemm.Right) {
		left := qgemm.Left{M: s.m, K: s.k, Data: a.Bytes()[s.aAt[i]*s.m*s.k:], Signed: signed, Zero: zaOf(s.aAt[i])}
		var d func(i0, i1, j0, j1 int)
		if done != nil {
			d = func(i0, i1, j0, j1 int) { done(i, i0, i1, j0, j1) }
		}
		qgemm.Mul(c.P, left, right, zbOf(s.bAt[i]), acc[i*s.m*s.n:], s.n, d)
	})
	return nil
}

// each calls f with the right matrix of each product.
func (m *intMat) each(c *Call, s *matShape, f func(i int, right *qgemm.Right)) {
	right, last := m.packed, -1
	var b *tensor.Tensor
	if right == nil {
		b = c.T(m.bIn)
		right = &qgemm.Right{K: s.k, N: s.n, Signed: b.DType() == tensor.Int8}
		right.Data = Scratch[uint8](c, qgemm.PanelBytes(s.k, s.n))
		right.Sums = make([]int32, right.Panels()*qgemm.Width)
	}
	for i := range s.batch {
		if m.packed == nil && s.bAt[i] != last {
			last = s.bAt[i]
			right.Fill(c.P, b.Bytes()[last*s.k*s.n:(last+1)*s.k*s.n], s.n, 1)
		}
		f(i, right)
	}
}

// finish computes all products where A has one zero point; set says what
// becomes of the sums of product i, but for zero points. The results go to the
// one of the slices that is not nil.
func (m *intMat) finish(c *Call, a *tensor.Tensor, s *matShape, za int32, zb []int32, set func(f *qgemm.Finish, i int), bytes []byte, floats []float32, ints []int32) error {
	bm := 0
	for _, i := range s.bAt {
		bm = max(bm, i+1)
	}
	zbOf, err := perMatrix(zb, s.n, bm, "b_zero_point")
	if err != nil {
		return err
	}
	var f qgemm.Finish
	m.each(c, s, func(i int, right *qgemm.Right) {
		left := qgemm.Left{M: s.m, K: s.k, Data: a.Bytes()[s.aAt[i]*s.m*s.k:][:s.m*s.k], Signed: a.DType() == tensor.Int8}
		if set != nil {
			set(&f, i)
		}
		f.SetZeros(right, s.k, unsignedZero(za, a.DType()), zbOf(s.bAt[i]), nil)
		at, to := i*s.m*s.n, (i+1)*s.m*s.n
		switch {
		case bytes != nil:
			f.Product(c.P, left, right, bytes[at:to], nil, nil)
		case floats != nil:
			f.Product(c.P, left, right, nil, floats[at:to], nil)
		case ints != nil:
			f.Product(c.P, left, right, nil, nil, ints[at:to])
		}
	})
	return nil
}

// unsignedZero returns the zero point of bytes of type d whose top bit is
// flipped if they are signed.
func unsignedZero(zero int32, d tensor.DType) int32 {
	if d == tensor.Int8 {
		return zero + 128
	}
	return zero
}

// first returns v[0], or 0 if there is none.
func first(v []int32) int32 {
	if len(v) == 0 {
		return 0
	}
	return v[0]
}

// leftFlat folds A's leading dimensions into its rows where B is one matrix, so
// that there is one large product. It does nothing where A has parameters for rows.
func (s *matShape) leftFlat(rowParams bool) {
	if s.batch <= 1 || rowParams {
		return
	}
	for i := range s.batch {
		if s.bAt[i] != 0 || s.aAt[i] != i {
			return
		}
	}
	s.m, s.batch, s.aAt, s.bAt = s.m*s.batch, 1, []int{0}, []int{0}
}
