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
func byteValues(t *tensor.Tensor) []int32 { return byteValuesTo(make([]int32, t.Len()), t) }

func byteValuesTo(out []int32, t *tensor.Tensor) []int32 {
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

// zeroPoints is the function of that name for input i, in memory of the call.
func (c *Call) zeroPoints(i int, like tensor.DType, name string) ([]int32, error) {
	t := c.T(i)
	if t == nil || t.DType() != like {
		return zeroPoints(t, like, name) // nothing, or an error
	}
	return byteValuesTo(Scratch[int32](c, t.Len()), t), nil
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
	var one [1]int32
	return byteValuesTo(one[:], t)[0], t.DType(), nil
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
		return realsFor[float32](c, t)
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
	mem, pool := borrow[dynamicRun]()
	defer pool.Put(mem)
	bounds := slices.Grow(mem.bounds[:0], (len(x)+grain-1)/grain)[:(len(x)+grain-1)/grain]
	par.Each(p, len(bounds), 1, dynamicRun{bounds: bounds, x: x}, (*dynamicRun).bound)
	var lo, hi float32
	for _, b := range bounds {
		lo, hi = min(lo, b[0]), max(hi, b[1])
	}
	*mem = dynamicRun{bounds: bounds}
	q := quantParams{scale: (hi - lo) / 255}
	if q.scale == 0 {
		q.scale = 1
	}
	if zero := -lo / q.scale; zero == zero { // else an infinite range
		q.zero = roundClamp(zero, 0, 0, 255)
	}
	par.Each(p, len(x), grain, dynamicRun{dst: dst, x: x, q: q}, (*dynamicRun).quantize)
	return q
}

// dynamicRun is what threads need to quantize x: of each piece of grain elements its bounds, then all.
type dynamicRun struct {
	bounds [][2]float32
	dst    []byte
	x      []float32
	q      quantParams
}

func (r *dynamicRun) bound(lo, hi int) {
	for i := lo; i < hi; i++ {
		r.bounds[i][0], r.bounds[i][1] = quant.Bounds(r.x[i*grain : min((i+1)*grain, len(r.x))])
	}
}

func (r *dynamicRun) quantize(lo, hi int) {
	quant.Quantize(r.dst[lo:hi], r.x[lo:hi], r.q.scale, r.q.zero, 0, 255)
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
	scale, err := oneScale(c, s, name)
	if err != nil { // names are put together for errors alone
		_, err = oneScale(c, s, name+"_scale")
		return quantParams{}, err
	}
	zero, zd, err := oneZeroPoint(c, s+1, name)
	if err != nil {
		_, _, err = oneZeroPoint(c, s+1, name+"_zero_point")
		return quantParams{}, err
	}
	if zd != tensor.Undefined && zd != d {
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

// set makes s that of a times b, until the call ends.
func (s *matShape) set(c *Call, a, b []int) error {
	if len(a) == 0 || len(b) == 0 {
		return fmt.Errorf("shapes %v and %v, want at least 1 dimension", slices.Clone(a), slices.Clone(b))
	}
	a1, b1 := len(a) == 1, len(b) == 1
	if a1 {
		a = c.list(1, a[0])
	}
	if b1 {
		b = c.list(b[0], 1)
	}
	*s = matShape{m: a[len(a)-2], k: a[len(a)-1], n: b[len(b)-1]}
	if b[len(b)-2] != s.k {
		return fmt.Errorf("B has shape %v, want %d rows as A has columns", slices.Clone(b), s.k)
	}
	la, lb := a[:len(a)-2], b[:len(b)-2]
	lead, err := c.broadcast(la, lb)
	if err != nil {
		return err
	}
	s.out = c.Dims(len(lead) + 2)[:len(lead)]
	copy(s.out, lead)
	if !a1 {
		s.out = append(s.out, s.m)
	}
	if !b1 {
		s.out = append(s.out, s.n)
	}
	if s.batch, err = tensor.Count(lead); err != nil {
		return err
	}
	s.aAt, s.bAt = batchIndex(c, la, lead, s.batch), batchIndex(c, lb, lead, s.batch)
	return nil
}

// batchIndex returns, for each index of out, which element of shape it reads.
func batchIndex(c *Call, shape, out []int, n int) []int {
	st, at, idx := c.broadcastStrides(shape, out), c.Dims(n), c.Dims(len(out))
	clear(idx)
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

// intLeft is a matrix of bytes on the left, or a stack of them.
type intLeft struct {
	data  []byte
	dtype tensor.DType
	shape []int
}

func leftOf(t *tensor.Tensor) intLeft { return intLeft{t.Bytes(), t.DType(), t.Shape()} }

// left returns A.
func (m *intMat) left(c *Call) (intLeft, error) {
	t, err := byteInput(c, m.aIn, "A")
	if err != nil {
		return intLeft{}, err
	}
	return leftOf(t), nil
}

// intMatState is what a product works in.
type intMatState struct {
	matShape
	matMemory
	// What the sums of a product are turned to bytes or floats by.
	sa, sy float32
	sb     perMatrix[float32]
	bias   []float32
	zero   int32
	lo, hi int32
	pad    []float32 // memory
}

// matMemory is what products of a batch that follow one another work in.
type matMemory struct {
	right  qgemm.Right // B where it is no constant
	last   int         // which matrix is in right
	finish qgemm.Finish
	direct qgemm.Direct
	scale  []float32
	panels []byte // what right may use
	sums   []int32
}

// begin returns the state for a times B, whose memory is the call's.
func (m *intMat) begin(c *Call, a intLeft) (*intMatState, error) {
	s := State[intMatState](c)
	shape := m.shape
	if m.packed == nil {
		b, err := byteInput(c, m.bIn, "B")
		if err != nil {
			return nil, err
		}
		shape = b.Shape()
	}
	s.last = -1
	if err := s.set(c, a.shape, shape); err != nil {
		return nil, err
	}
	return s, nil
}

// end drops what belongs to a call.
func (s *intMatState) end() {
	s.matShape, s.right, s.sb, s.bias = matShape{}, qgemm.Right{}, perMatrix[float32]{}, nil
}

// matrices returns how many matrices of A and of B there are.
func (s *matShape) matrices() (a, b int) {
	a, b = 1, 1
	for i := range s.batch {
		a, b = max(a, s.aAt[i]+1), max(b, s.bAt[i]+1)
	}
	return a, b
}

// perMatrix are parameters (scales, zero points) of a stack of matrices: one value for all, or one
// for each of the rows or columns, of all matrices together or of each.
type perMatrix[T any] struct {
	v []T
	n int // of each matrix; 0: all together
}

func (p perMatrix[T]) of(i int) []T {
	if p.n == 0 {
		return p.v
	}
	return p.v[i*p.n : (i+1)*p.n]
}

// perMatrixOf sorts parameters by what they are given for. They come as one
// value, a vector of n, or a tensor with a value for each row or column of each
// matrix.
func perMatrixOf[T any](v []T, n, matrices int, name string) (perMatrix[T], error) {
	switch {
	case len(v) <= 1 || len(v) == n:
		return perMatrix[T]{v: v}, nil
	case n > 0 && len(v) == n*matrices:
		return perMatrix[T]{v, n}, nil
	}
	return perMatrix[T]{}, fmt.Errorf("%s has %d elements, want 1 or %d", name, len(v), n)
}

// rightOf returns the right matrix of product i.
func (m *intMat) rightOf(c *Call, s *intMatState, i int) *qgemm.Right {
	if m.packed != nil {
		return m.packed
	}
	if s.bAt[i] != s.last {
		b := c.T(m.bIn)
		if s.last < 0 {
			s.right = qgemm.Right{K: s.k, N: s.n, Signed: b.DType() == tensor.Int8, Data: Scratch[uint8](c, qgemm.PanelBytes(s.k, s.n))}
			s.right.Sums = Scratch[int32](c, s.right.Panels()*qgemm.Width)
		}
		s.last = s.bAt[i]
		s.right.Fill(c.P, b.Bytes()[s.last*s.k*s.n:(s.last+1)*s.k*s.n], s.n, 1)
	}
	return &s.right
}

// leftOf returns the left matrix of product i.
func (s *matShape) leftOf(a intLeft, i int) qgemm.Left {
	return qgemm.Left{M: s.m, K: s.k, Data: a.data[s.aAt[i]*s.m*s.k:][:s.m*s.k], Signed: a.dtype == tensor.Int8}
}

// run computes all products. done is called for finished rows and columns of
// product i with its sums (row stride s.n); it may be called at once for several.
func (m *intMat) run(c *Call, a intLeft, s *intMatState, za, zb []int32, acc []int32, done func(i, i0, i1, j0, j1 int)) error {
	am, bm := s.matrices()
	zas, err := perMatrixOf(za, s.m, am, "a_zero_point")
	if err != nil {
		return err
	}
	zbs, err := perMatrixOf(zb, s.n, bm, "b_zero_point")
	if err != nil {
		return err
	}
	for i := range s.batch {
		left := s.leftOf(a, i)
		left.Zero = zas.of(s.aAt[i])
		var d func(i0, i1, j0, j1 int)
		if done != nil {
			d = func(i0, i1, j0, j1 int) { done(i, i0, i1, j0, j1) }
		}
		qgemm.Mul(c.P, left, m.rightOf(c, s, i), zbs.of(s.bAt[i]), acc[i*s.m*s.n:], s.n, d)
	}
	return nil
}

// matResult is where products go: the one slice that is not nil.
type matResult struct {
	bytes  []byte
	floats []float32
	ints   []int32
}

// of returns elements [lo, hi).
func (r matResult) of(lo, hi int) matResult {
	switch {
	case r.bytes != nil:
		r.bytes = r.bytes[lo:hi]
	case r.floats != nil:
		r.floats = r.floats[lo:hi]
	case r.ints != nil:
		r.ints = r.ints[lo:hi]
	}
	return r
}

// largeMat is how many bytes the panels of a matrix have that is taken to be worth all
// threads: not several are packed at a time.
const largeMat = 1 << 20

// products computes all products where A has one zero point; set makes w.finish say what
// becomes of the sums of product i, but for zero points.
func (m *intMat) products(c *Call, a intLeft, s *intMatState, za int32, zb []int32, set func(s *intMatState, w *matMemory, i int), to matResult) error {
	am, bm := s.matrices()
	zbs, err := perMatrixOf(zb, s.n, bm, "b_zero_point")
	if err != nil {
		return err
	}
	size := s.m * s.n
	if size == 0 || s.batch == 0 {
		return nil
	}
	zero := unsignedZero(za, a.dtype)
	if m.packed != nil || s.batch == 1 || qgemm.PanelBytes(s.k, s.n) > largeMat {
		for i := range s.batch {
			if set != nil {
				set(s, &s.matMemory, i)
			}
			right := m.rightOf(c, s, i)
			s.finish.SetZeros(right, s.k, zero, zbs.of(s.bAt[i]), nil)
			to := to.of(i*size, (i+1)*size)
			s.finish.Product(c.P, s.leftOf(a, i), right, to.bytes, to.floats, to.ints)
		}
		return nil
	}
	b := c.T(m.bIn)
	r := matBatch{s: s, p: c.P, a: a, b: b.Bytes(), signed: b.DType() == tensor.Int8, za: zero, zbs: zbs, set: set, to: to}
	r.direct = to.floats == nil && qgemm.ForDirect(s.m, s.k, s.n)
	r.joins = qgemm.Joins(s.m, s.k, s.n)
	nanos := 200 + float64(s.m*s.k*s.n)
	if !r.direct && !r.joins {
		nanos = 1000 + par.Nanos(float64(s.m*s.k*s.n), float64(8*s.k*s.n))
		left := qgemm.Left{M: am * s.m, K: s.k, Data: a.data, Signed: a.dtype == tensor.Int8}
		r.view = left.View(c.P, Scratch[uint8](c, left.Moved()), Scratch[int32](c, left.M))
	}
	par.Each(c.P, s.batch, par.Grain(s.batch, nanos), r, (*matBatch).run)
	return nil
}

// matBatch is products of matrices none of which is large.
type matBatch struct {
	s      *intMatState
	p      par.P
	a      intLeft
	view   qgemm.View // all rows of A
	b      []byte
	signed bool // B
	direct bool
	joins  bool // rows, so that view is not there
	za     int32
	zbs    perMatrix[int32]
	set    func(s *intMatState, w *matMemory, i int)
	to     matResult
}

// run computes products [lo, hi).
func (r *matBatch) run(lo, hi int) {
	w, pool := borrow[matMemory]()
	defer pool.Put(w)
	s, f, k, n := r.s, &w.finish, r.s.k, r.s.n
	if !r.direct {
		w.right = qgemm.Right{K: k, N: n, Signed: r.signed}
		size, columns := qgemm.PanelBytes(k, n), w.right.Panels()*qgemm.Width
		w.panels, w.sums = slices.Grow(w.panels[:0], size)[:size], slices.Grow(w.sums[:0], columns)[:columns]
		w.right.Data, w.right.Sums = w.panels, w.sums
	}
	w.last = -1
	for i := lo; i < hi; i++ {
		if r.set != nil && (i == lo || s.sb.n != 0) {
			r.set(s, w, i)
		}
		j, zb := s.bAt[i], r.zbs.of(s.bAt[i])
		b, to := r.b[j*k*n:(j+1)*k*n], r.to.of(i*s.m*n, (i+1)*s.m*n)
		if r.direct {
			w.direct.Product(f, s.leftOf(r.a, i), r.za, b, r.signed, n, zb, to.bytes, to.ints)
			continue
		}
		if j != w.last {
			w.right.Fill(r.p, b, n, 1)
			f.SetZeros(&w.right, k, r.za, zb, nil)
			w.last = j
		}
		if r.joins {
			f.Product(r.p, s.leftOf(r.a, i), &w.right, to.bytes, to.floats, to.ints)
			continue
		}
		f.ProductOf(r.p, r.view.Part(s.aAt[i]*s.m, s.m), &w.right, to.bytes, to.floats, to.ints)
	}
	f.Shift, w.right = nil, qgemm.Right{}
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
	s.m, s.batch, s.aAt, s.bAt = s.m*s.batch, 1, s.aAt[:1], s.bAt[:1]
}
