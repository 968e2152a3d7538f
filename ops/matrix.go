package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	f16 "github.com/gneiss-run/gneiss/internal/kernels/half"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// matParams are the ways in which a product of stacks of matrices is asked for.
// ONNX's MatMul has none of them.
type matParams struct {
	transA, transB           bool
	transBatchA, transBatchB bool  // dimension 0 of the batch is the second last dimension of the tensor
	permA, permB             []int // what Transpose would read, in place of all these
	alpha                    float32
	epilogue                 bool // inputs 2 and 3 are a bias and a tensor to add
	act                      activation
}

// constMatrix is a constant right-hand side in packed form.
type constMatrix struct {
	shape  []int
	packed any // *gemm.Packed of the element type, or an f16.Matrix
}

// packMatrix packs the constant input i if it is a matrix, or a stack of one.
// trans says that it is stored as [n k]. The result is nil where nothing can be packed.
func packMatrix(b *BuildContext, i int, trans bool) (*constMatrix, error) {
	t := b.Const(i)
	if t == nil || t.Rank() < 2 || t.Len() == 0 || slices.ContainsFunc(t.Shape()[:t.Rank()-2], func(n int) bool { return n != 1 }) {
		return nil, nil
	}
	layout := "gemm"
	k, n := t.Dim(-2), t.Dim(-1)
	rs, cs := n, 1
	if trans {
		layout, k, n, rs, cs = "gemm/transposed", n, k, 1, n
	}
	if n == 1 {
		return nil, nil // a column is as good as a row, and a panel is 32 columns
	}
	var make func() (any, error)
	switch d := t.DType(); {
	case d == tensor.Float32 && b.env.BFloat16 && f16.HasPairs():
		layout += "/bfloat16"
		make = func() (any, error) { return f16.PackPairs(par.P{}, tensor.Data[float32](t), k, n, rs, cs), nil }
	case d == tensor.Float32:
		make = func() (any, error) { return gemm.Pack(par.P{}, tensor.Data[float32](t), k, n, rs, cs), nil }
	case d == tensor.Float64:
		make = func() (any, error) { return gemm.Pack(par.P{}, tensor.Data[float64](t), k, n, rs, cs), nil }
	case (d == tensor.Float16 || d == tensor.BFloat16) && b.In(0).DType == tensor.Float32 && b.env.BFloat16 && f16.HasPairs():
		layout += "/bfloat16"
		make = func() (any, error) {
			buf := widenedWeights(t)
			defer buf.Return()
			return f16.PackPairs(par.P{}, buf.S, k, n, rs, cs), nil
		}
	case (d == tensor.Float16 || d == tensor.BFloat16) && widens(b, t):
		layout += "/widened"
		make = func() (any, error) {
			buf := widenedWeights(t)
			defer buf.Return()
			return gemm.Pack(par.P{}, buf.S, k, n, rs, cs), nil
		}
	case d == tensor.Float16 || d == tensor.BFloat16:
		make = func() (any, error) {
			h, kind, _ := halvesOf(t)
			return f16.Pack(par.P{}, kind, h, k, n, rs, cs), nil
		}
	default:
		return nil, nil
	}
	p, err := b.Pack(i, layout, make)
	if err != nil {
		return nil, err
	}
	if z, ok := p.(interface{ Sizes() (k, n int) }); !ok || !sized(z, k, n) {
		return nil, fmt.Errorf("packed weights of other sizes than [%d %d]", k, n) // from a file
	}
	return &constMatrix{shape: slices.Clone(t.Shape()), packed: p}, nil
}

// widens reports whether w, constant weights of 16 bits in a product of float32, is packed as float32. Little is,
// unless for a few rows, which read it faster than they would twice the bytes.
func widens(b *BuildContext, w *tensor.Tensor) bool {
	x := b.In(0)
	if x.DType != tensor.Float32 || w.Len() > 1<<19 {
		return false
	}
	rows := 1
	for _, d := range x.Dims[:max(0, len(x.Dims)-1)] {
		n, ok := d.Size()
		if !ok {
			return true
		}
		rows *= n
	}
	return !x.Ranked || rows > 3
}

func sized(z interface{ Sizes() (k, n int) }, k, n int) bool {
	k1, n1 := z.Sizes()
	return k1 == k && n1 == n
}

// numericKernels returns kernels for MatMul's element types: one per type, the
// halves by float32.
func numericKernels(f32, f64, i32, i64, u32, u64 Kernel) byType {
	half := throughFloat32(f32, 0)
	return byType{
		tensor.Float32: f32, tensor.Float64: f64, tensor.Float16: half, tensor.BFloat16: half,
		tensor.Int32: i32, tensor.Int64: i64, tensor.Uint32: u32, tensor.Uint64: u64,
	}
}

// buildMat builds the product of inputs 0 and 1.
func buildMat(b *BuildContext, m matParams) (Kernel, error) {
	var w *constMatrix
	if !m.transBatchB && m.permB == nil {
		var err error
		if w, err = packMatrix(b, 1, m.transB); err != nil {
			return nil, err
		}
	}
	return b.dispatch(0, numericKernels(matKernel[float32](tensor.Float32, m, w), matKernel[float64](tensor.Float64, m, w),
		matKernel[uint32](tensor.Int32, m, w), matKernel[uint64](tensor.Int64, m, w),
		matKernel[uint32](tensor.Uint32, m, w), matKernel[uint64](tensor.Uint64, m, w)))
}

// matSide is one operand as a stack of matrices.
type matSide struct {
	batch      []int // shape of the stack
	strides    []int // of the stack, in elements
	rows, cols int
	rs, cs     int
}

// axes sets dst, which has as many elements as the operand dimensions, to which
// stored axis each of batch…, rows, columns is. ok is false for a vector.
func (m matParams) axes(dst []int, name string, left bool) (ok bool, err error) {
	r := len(dst)
	trans, transBatch, perm := m.transA, m.transBatchA, m.permA
	if !left {
		trans, transBatch, perm = m.transB, m.transBatchB, m.permB
	}
	switch {
	case r == 0:
		return false, fmt.Errorf("%s has rank 0, want at least 1", name)
	case perm != nil:
		for i, x := range perm {
			if len(perm) != r || x < 0 || x >= r || slices.Contains(perm[:i], x) {
				return false, fmt.Errorf("%s has rank %d, perm%s is %v", name, r, name, perm)
			}
		}
		if r > 1 {
			copy(dst, perm)
			return true, nil
		}
	}
	if r == 1 {
		return false, nil
	}
	for i := range dst {
		dst[i] = i
	}
	if transBatch { // stored as [m b… k]
		if r < 3 {
			return false, fmt.Errorf("%s has rank %d, want 3 or more to transpose its batch", name, r)
		}
		copy(dst, dst[1:r-1])
		dst[r-2] = 0
	}
	if trans {
		dst[r-2], dst[r-1] = dst[r-1], dst[r-2]
	}
	return true, nil
}

// side reads shape as a stack of matrices, until the call ends. A vector becomes
// a row (left) or a column.
func (m matParams) side(c *Call, name string, shape []int, left bool) (matSide, error) {
	r := len(shape)
	axes := c.Dims(r)
	ok, err := m.axes(axes, name, left)
	switch {
	case err != nil:
		return matSide{}, err
	case !ok && left:
		return matSide{rows: 1, cols: shape[0], rs: shape[0], cs: 1}, nil
	case !ok:
		return matSide{rows: shape[0], cols: 1, rs: 1, cs: 1}, nil
	}
	strides := c.strides(shape)
	s := matSide{rows: shape[axes[r-2]], cols: shape[axes[r-1]], rs: strides[axes[r-2]], cs: strides[axes[r-1]]}
	s.batch, s.strides = c.Dims(r-2), c.Dims(r-2)
	for i, a := range axes[:r-2] {
		s.batch[i], s.strides[i] = shape[a], strides[a]
	}
	return s, nil
}

// offsets returns where each matrix of the broadcast stack begins, until the call ends.
func (s matSide) offsets(c *Call, batch []int, n int) []int {
	out, st, idx := c.Dims(n), c.Dims(len(batch)), c.Dims(len(batch))
	clear(st)
	clear(idx)
	for i, d := range s.batch {
		if d != 1 {
			st[len(batch)-len(s.batch)+i] = s.strides[i]
		}
	}
	for i := range out {
		out[i] = 0
		for d, x := range idx {
			out[i] += x * st[d]
		}
		next(idx, batch)
	}
	return out
}

// matKernel is the kernel for element type d, computed as T: d or, for signed
// integers, the unsigned ones of the same size.
func matKernel[T gemm.Number](d tensor.DType, m matParams, w *constMatrix) Kernel {
	end := activationEpilogue[T](m.act)
	if m.alpha != 1 {
		switch d {
		case tensor.Int32:
			end.Act = onWords[T](scaleBy[int32](m.alpha))
		case tensor.Int64:
			end.Act = onWords[T](scaleBy[int64](m.alpha))
		case tensor.Uint32, tensor.Uint64:
			end.Act = scaleBy[T](m.alpha)
		}
	}
	return func(c *Call) error {
		a := c.T(0)
		bShape := []int(nil)
		var bData []T
		var packed *gemm.Packed[T]
		var halves f16.Matrix
		switch {
		case w != nil:
			var err error
			if packed, halves, err = constSide[T](w, a); err != nil {
				return err
			}
			bShape = w.shape
		default:
			b := c.T(1)
			if b.DType() != a.DType() {
				return fmt.Errorf("A is %v and B is %v, want the same", a.DType(), b.DType())
			}
			bShape, bData = b.Shape(), wordsOf[T](b)
		}
		l, err := m.side(c, "A", a.Shape(), true)
		if err != nil {
			return err
		}
		r, err := m.side(c, "B", bShape, false)
		if err != nil {
			return err
		}
		if l.cols != r.rows {
			return fmt.Errorf("A has shape %v and B has shape %v: %d columns against %d rows", a.Shape(), bShape, l.cols, r.rows)
		}
		batch, err := c.broadcast(l.batch, r.batch)
		if err != nil {
			return err
		}
		shape := c.Dims(len(batch) + 2)
		rank := copy(shape, batch)
		if a.Rank() > 1 {
			shape[rank] = l.rows
			rank++
		}
		if len(bShape) > 1 {
			shape[rank] = r.cols
			rank++
		}
		shape = shape[:rank]
		st := State[matState[T]](c)
		g := &st.Args
		g.M, g.N, g.K, g.ARS, g.ACS, g.BRS, g.BCS, g.Packed, g.LDC = l.rows, r.cols, l.cols, l.rs, l.cs, r.rs, r.cs, packed, r.cols
		g.Epilogue, g.Table = end, nil
		defer st.clear()
		if m.epilogue {
			if err := matEpilogue(c, &g.Epilogue, a.DType(), r.cols, shape); err != nil {
				return err
			}
		}
		y := c.Output(0, d, shape...)
		if y.Len() == 0 {
			return nil
		}
		g.A, g.B, g.C = wordsOf[T](a), bData, wordsOf[T](y)
		switch {
		case m.alpha == 1 || !d.IsFloat():
		case m.alpha == 0:
			g.K, g.Packed = 0, nil
		default:
			g.Scale = T(m.alpha)
		}
		n, _ := tensor.Count(batch)
		rn, _ := tensor.Count(r.batch)
		if rs, ok := l.stacked(); ok && rn == 1 && l.cs == 1 {
			// One matrix on the right: the matrices on the left are one tall one.
			g.M, g.ARS = g.M*n, rs
			runMat(c.P, g, halves)
			return nil
		}
		st.AO, st.BO, st.CO = l.offsets(c, batch, n), r.offsets(c, batch, n), g.M*g.N
		if halves != nil {
			for i := range n {
				g := st.Args
				g.A, g.C = g.A[st.AO[i]:], g.C[i*st.CO:]
				if g.Add != nil {
					g.Add = g.Add[i*st.CO:]
				}
				runMat(c.P, &g, halves)
			}
			return nil
		}
		st.Run(c.P, n)
		return nil
	}
}

// matState is what a product keeps from run to run: the memory of its arguments.
type matState[T gemm.Number] struct{ gemm.Batch[T] }

func (s *matState[T]) clear() { s.Batch = gemm.Batch[T]{} }

// constSide returns the form in which w is packed, for a left-hand side a.
func constSide[T gemm.Number](w *constMatrix, a *tensor.Tensor) (*gemm.Packed[T], f16.Matrix, error) {
	if h, ok := w.packed.(f16.Matrix); ok && dtypeOf[T]() == tensor.Float32 {
		return nil, h, nil
	}
	p, ok := w.packed.(*gemm.Packed[T])
	if !ok {
		return nil, nil, fmt.Errorf("A is %v, want B's element type", a.DType())
	}
	return p, nil, nil
}

// matEpilogue reads what is added to a product of n columns and of the given shape.
func matEpilogue[T gemm.Number](c *Call, e *gemm.Epilogue[T], d tensor.DType, n int, shape []int) error {
	if t := c.T(2); t != nil {
		if t.DType() != d || t.Rank() != 1 || t.Len() != n {
			return fmt.Errorf("bias is %v%v, want %v[%d]", t.DType(), t.Shape(), d, n)
		}
		e.Col = wordsOf[T](t)
	}
	if t := c.T(3); t != nil {
		if t.DType() != d || !slices.Equal(t.Shape(), shape) {
			return fmt.Errorf("Z is %v%v, want %v%v", t.DType(), t.Shape(), d, shape)
		}
		e.Add, e.LDAdd = wordsOf[T](t), n
	}
	return nil
}

// stacked reports whether the matrices of s lie one below the other, and how far
// apart the rows then are.
func (s matSide) stacked() (rs int, ok bool) {
	size := 0 // of what lies further in; 0: nothing yet
	for i := len(s.batch); i >= 0; i-- {
		n, st := s.rows, s.rs
		if i < len(s.batch) {
			n, st = s.batch[i], s.strides[i]
		}
		switch {
		case n == 1:
			continue
		case size == 0:
			rs = st
		case st != size:
			return 0, false
		}
		size = n * st
	}
	return max(rs, s.cols), true
}

func dtypeOf[T gemm.Number]() tensor.DType {
	switch any(*new(T)).(type) {
	case float32:
		return tensor.Float32
	case float64:
		return tensor.Float64
	case int8:
		return tensor.Int8
	case int16:
		return tensor.Int16
	case int32:
		return tensor.Int32
	case int64:
		return tensor.Int64
	case uint8:
		return tensor.Uint8
	case uint16:
		return tensor.Uint16
	case uint32:
		return tensor.Uint32
	}
	return tensor.Uint64
}

// scaleBy multiplies integers in place, in float64, rounded towards 0.
func scaleBy[T gemm.Number](alpha float32) func([]T) {
	return func(c []T) {
		for i := range c {
			c[i] = T(float64(alpha) * float64(c[i]))
		}
	}
}

// inferMat infers the product of inputs 0 and 1.
func inferMat(c *InferContext, m matParams) error {
	ta, tb := c.In(0), c.In(1)
	d := ta.DType
	if d == tensor.Undefined {
		d = tb.DType
	}
	c.Out[0] = onnx.UnrankedType(d)
	if !ta.Ranked || !tb.Ranked {
		return nil
	}
	a, err := m.dims("A", ta.Dims, true)
	if err != nil {
		return err
	}
	b, err := m.dims("B", tb.Dims, false)
	if err != nil {
		return err
	}
	ka, _ := a[len(a)-1].Size()
	if k, ok := b[len(b)-2].Size(); ok && a[len(a)-1].Known() && a[len(a)-1].Expr() == "" && ka != k {
		return fmt.Errorf("A is %v and B is %v: %d columns against %d rows", ta, tb, ka, k)
	}
	dims, ok, err := broadcastDims(onnx.TensorType(d, a[:len(a)-2]...), onnx.TensorType(d, b[:len(b)-2]...))
	if err != nil || !ok {
		return err
	}
	if len(ta.Dims) > 1 {
		dims = append(dims, a[len(a)-2])
	}
	if len(tb.Dims) > 1 {
		dims = append(dims, b[len(b)-1])
	}
	c.Out[0] = onnx.TensorType(d, dims...)
	return nil
}

// dims returns batch…, rows, columns of an operand.
func (m matParams) dims(name string, dims []onnx.Dim, left bool) ([]onnx.Dim, error) {
	axes := make([]int, len(dims))
	ok, err := m.axes(axes, name, left)
	switch {
	case err != nil:
		return nil, err
	case !ok && left:
		return []onnx.Dim{onnx.Size(1), dims[0]}, nil
	case !ok:
		return []onnx.Dim{dims[0], onnx.Size(1)}, nil
	}
	out := make([]onnx.Dim, len(dims))
	for i, a := range axes {
		out[i] = dims[a]
	}
	return out, nil
}
