package ops

import (
	"fmt"
	"hash/fnv"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	nb "github.com/gneiss-run/gneiss/internal/kernels/nbits"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// MatMulNBits (com.microsoft): Y = A · Wᵀ + bias, where the rows of W [N, K]
// are quantized in blocks of block_size values along K:
// W[n, k] = (code - zero_points[n, g]) · scales[n, g] with g = k / block_size,
// or g = g_idx[k].
//
//	A: float [.., K]             B: uint8 [N, blocks, block_size·bits/8], the first code in the lowest bits
//	scales: float [N, blocks]    zero_points: uint8 [N, ⌈blocks·bits/8⌉] packed like B, or float [N, blocks];
//	                             absent: 2^(bits-1)
//	g_idx: int32 [K]             bias: float [N]
//	Y: float [.., N]
//
// float is float32 or float16, bits 2, 4 or 8. The product is computed in
// float32. With accuracy_level 4, which allows it, constant weights, blocks of
// up to 256 (of 32 and more if bits is 2) and neither g_idx nor float zero points, it is computed from A
// quantized to int8 as ONNX Runtime does: each block of a row has the scale
// max|a|/127, its products with the codes are exact integers. A B without
// elements stands for zeros.
//
// Constant weights stay codes in memory, packed for the kernels. Where g_idx
// only orders k by its blocks, A is put in that order.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "MatMulNBits", Numerics: Rounding, Flush: true,
		Versions: []Version{
			{Since: 1, In: Arity{3, 6}, Out: N(1), Infer: inferMatMulNBits, Build: buildMatMulNBits},
		},
	})
}

// nbits are the attributes of MatMulNBits.
type nbits struct {
	k, n, bits, block, blocks, level int
	packed                           *nb.Weights // nil: weights are not constant
	ints                             bool        // products of integers
	order                            []int32     // of k in packed; nil: as it is
}

func parseNBits(a *attrs) (*nbits, error) {
	v := &nbits{k: a.Int("K", 0), n: a.Int("N", 0), bits: a.Int("bits", 4), block: a.Int("block_size", 0), level: a.Int("accuracy_level", 0)}
	switch {
	case v.k < 1 || v.n < 1:
		return nil, fmt.Errorf("K is %d and N is %d, want at least 1", v.k, v.n)
	case v.block < 16 || v.block&(v.block-1) != 0:
		return nil, fmt.Errorf("block_size is %d, want a power of 2 from 16 on", v.block)
	case v.bits != 2 && v.bits != 4 && v.bits != 8:
		return nil, fmt.Errorf("%w: bits is %d, want 2, 4 or 8", ErrUnsupported, v.bits)
	case a.Int("weight_prepacked", 0) != 0:
		return nil, fmt.Errorf("%w: weight_prepacked", ErrUnsupported)
	}
	v.blocks = (v.k-1)/v.block + 1
	return v, nil
}

func inferMatMulNBits(c *InferContext) error {
	v, err := parseNBits(&c.attrs)
	if err != nil {
		return err
	}
	t := c.In(0)
	if t.Ranked && len(t.Dims) > 0 {
		last := t.Dims[len(t.Dims)-1]
		if k, ok := last.Size(); ok && k != v.k {
			return fmt.Errorf("A is %v, want a last dimension of %d", t, v.k)
		}
		dims := append(t.Dims[:len(t.Dims)-1:len(t.Dims)-1], last)
		dims[len(dims)-1] = onnx.Size(v.n)
		t.Dims = dims
	}
	c.Out[0] = t
	return nil
}

// gradMatMulNBits: dA = dY·W by x.MatMulNBitsGrad, those of scales and of zero_points of
// floats by x.MatMulNBitsScaleGrad, dbias = Σ dY. The codes stay as they are.
func gradMatMulNBits(c *GradContext) []*onnx.Value {
	out, d := make([]*onnx.Value, 6), c.DOut[0]
	if c.Needs(0) {
		out[0] = c.Ops(Private, "MatMulNBitsGrad", c.Node().Attrs.Without("accuracy_level"), 1, d, c.X(1), c.X(2), c.X(3), c.X(4))[0]
	}
	if c.Needs(2) || c.Needs(3) {
		in := []*onnx.Value{d, c.X(0), c.X(1), c.X(2), c.X(3), c.X(4)}
		n := c.G.NewNodeIn(Private, "MatMulNBitsScaleGrad", c.Node().Attrs.Without("accuracy_level"), in, 2)
		n.TrimInputs()
		for i := range n.Out {
			if !c.Needs(2 + i) {
				n.Out[i] = nil
			}
		}
		copy(out[2:], c.Add(n))
	}
	if c.Needs(5) {
		out[5] = c.SumTo(d, c.X(5))
	}
	return out
}

func buildMatMulNBits(b *BuildContext) (Kernel, error) {
	v, err := parseNBits(&b.attrs)
	if err != nil {
		return nil, err
	}
	if err := v.pack(b); err != nil {
		return nil, err
	}
	return b.dispatch(0, byType{tensor.Float32: v.run, tensor.Float16: throughFloat32(v.run, 0)})
}

// pack sets packed if the weights are constant.
func (v *nbits) pack(b *BuildContext) error {
	w, scales, zeros, groups := b.Const(1), b.Const(2), b.Const(3), b.Const(4)
	if w == nil || scales == nil || w.DType() != tensor.Uint8 || w.Len() == 0 || b.Has(3) && zeros == nil || b.Has(4) && groups == nil {
		return nil
	}
	nw, err := v.weights(w, scales, zeros, groups)
	if err != nil {
		return err
	}
	layout := fmt.Sprintf("nbits/%d/%d/%d/%d", v.n, v.k, v.block, v.bits)
	if nw.groups != nil {
		if v.order = blockOrder(nw.groups, v.block); v.order == nil {
			return nil
		}
		h := fnv.New128a()
		h.Write(groups.Bytes())
		layout += fmt.Sprintf("/%x", h.Sum(nil))
	}
	p := &nb.Weights{N: v.n, K: v.k, Block: v.block, Wide: v.bits == 8, Zero: 1 << (v.bits - 1)}
	data, err := b.Pack(1, layout, func() (any, error) {
		return nb.Pack(par.P{}, v.n, v.k, v.block, p.Wide, func(n int, row []byte) { nw.codesOf(n, row, v.order) }), nil
	})
	if err != nil {
		return err
	}
	ps, err := b.Pack(2, layout, func() (any, error) { return nb.PackBlocks(nw.scales, v.n, v.blocks), nil })
	if err != nil {
		return err
	}
	p.Data, p.Scales = data.([]byte), ps.([]float32)
	if zeros != nil {
		pz, err := b.Pack(3, layout, func() (any, error) {
			if zeros.DType() != tensor.Uint8 {
				return nb.PackBlocks(nw.zeros, v.n, v.blocks), nil
			}
			z := make([]byte, len(nw.zeros))
			for i, x := range nw.zeros {
				z[i] = byte(x)
			}
			return nb.PackBlocks(z, v.n, v.blocks), nil
		})
		if err != nil {
			return err
		}
		p.Zeros, _ = pz.([]byte)
		p.Reals, _ = pz.([]float32)
	}
	v.packed = p
	v.ints = v.level == 4 && v.block <= 256 && (v.bits != 2 || v.block >= 32) && groups == nil && p.Reals == nil
	return nil
}

// blockOrder returns the k of each block one after the other, or nil if some
// block has another number of k than size.
func blockOrder(groups []int32, size int) []int32 {
	order := make([]int32, len(groups))
	next := make([]int, (len(groups)+size-1)/size)
	for k, g := range groups {
		at := int(g)*size + next[g]
		if next[g] == size || at >= len(order) {
			return nil
		}
		order[at] = int32(k)
		next[g]++
	}
	return order
}

// codesOf writes the codes of row n of W, in the given order of k.
func (w *nbitsWeights) codesOf(n int, row []byte, order []int32) {
	size := w.block * w.bits / 8
	data := w.data[n*w.blocks*size : (n+1)*w.blocks*size]
	switch {
	case order != nil:
		for i, k := range order {
			row[i] = code(data, int(k), w.bits)
		}
	case w.bits == 8:
		copy(row, data)
	case w.bits == 4:
		k := 0
		for ; k+1 < len(row); k += 2 {
			row[k], row[k+1] = data[k/2]&15, data[k/2]>>4
		}
		if k < len(row) {
			row[k] = data[k/2] & 15
		}
	default:
		for k := range row {
			row[k] = code(data, k, w.bits)
		}
	}
}

// nbitsWeights is W with its parameters.
type nbitsWeights struct {
	*nbits
	data   []byte
	scales []float32
	zeros  []float32 // [N, blocks]; nil: all the same
	groups []int32   // g_idx
}

func (v *nbits) run(c *Call) error {
	a := c.T(0)
	if a.Rank() < 1 || a.Dim(-1) != v.k {
		return fmt.Errorf("A has shape %v, want a last dimension of %d", a.Shape(), v.k)
	}
	b := c.T(1)
	if v.packed == nil && (b == nil || b.DType() != tensor.Uint8) {
		return fmt.Errorf("B is %v, want uint8", c.In[1])
	}
	var bias []float32
	var err error
	if c.Has(5) {
		if bias, err = reals[float32](c, 5); err != nil {
			return err
		}
		if len(bias) != v.n {
			return fmt.Errorf("bias has %d elements, want %d", len(bias), v.n)
		}
	}
	shape := c.list(a.Shape()...)
	shape[len(shape)-1] = v.n
	y := tensor.Data[float32](c.Output(0, tensor.Float32, shape...))
	x, m := tensor.Data[float32](a), a.Len()/v.k
	if v.packed != nil {
		v.multiply(c, x, m, bias, y)
		return nil
	}
	if b.Len() == 0 {
		clear(y)
		for i := range len(y) * min(1, len(bias)) {
			y[i] = bias[i%v.n]
		}
		return nil
	}
	w, err := v.weights(b, c.T(2), c.T(3), c.T(4))
	if err != nil {
		return err
	}
	w.multiply(c, x, m, bias, y)
	return nil
}

// multiply computes the product with packed weights.
func (v *nbits) multiply(c *Call, x []float32, m int, bias, y []float32) {
	if v.ints {
		nb.MulInt8(c.P, x, m, v.packed, bias, y)
		return
	}
	if v.order != nil {
		sorted := Scratch[float32](c, len(x))
		for i := range m {
			row := x[i*v.k : (i+1)*v.k]
			for j, k := range v.order {
				sorted[i*v.k+j] = row[k]
			}
		}
		x = sorted
	}
	nb.Mul(c.P, x, m, v.packed, bias, y)
}

// multiply unpacks some rows of W at a time and multiplies A with them.
func (w *nbitsWeights) multiply(c *Call, x []float32, m int, bias, y []float32) {
	const width = gemm.Panel // columns of Y at a time
	if m == 0 {
		return
	}
	c.P.For((w.n+width-1)/width, max(1, (1<<17)/(width*w.k*m)), func(lo, hi int) {
		gemm.Scratch(width*w.k, func(buf []float32) {
			for q := lo; q < hi; q++ {
				j0 := q * width
				cols := min(width, w.n-j0)
				for j := range cols {
					w.row(buf[j*w.k:(j+1)*w.k], j0+j, 0)
				}
				g := gemm.Args[float32]{M: m, N: cols, K: w.k, A: x, ARS: w.k, ACS: 1, B: buf, BRS: 1, BCS: w.k, C: y[j0:], LDC: w.n}
				if bias != nil {
					g.Col = bias[j0 : j0+cols]
				}
				gemm.Run(par.P{Ctx: c.P.Ctx}, &g)
			}
		})
	})
}

// weights checks the inputs that describe W.
func (v *nbits) weights(b, scales, zeros, groups *tensor.Tensor) (*nbitsWeights, error) {
	rowBytes := v.blocks * (v.block * v.bits / 8)
	if b.Len()/v.n != rowBytes || b.Len()%v.n != 0 {
		return nil, fmt.Errorf("B has shape %v, want %v", b.Shape(), []int{v.n, v.blocks, v.block * v.bits / 8})
	}
	w := &nbitsWeights{nbits: v, data: b.Bytes()}
	var err error
	if w.scales, err = realsOf[float32](scales); err != nil {
		return nil, err
	}
	if len(w.scales) != v.n*v.blocks {
		return nil, fmt.Errorf("scales have %d elements, want %d", len(w.scales), v.n*v.blocks)
	}
	if z := zeros; z != nil {
		if z.DType() == tensor.Uint8 {
			per := (v.blocks*v.bits + 7) / 8
			if z.Len() != v.n*per {
				return nil, fmt.Errorf("zero_points have %d elements, want %d", z.Len(), v.n*per)
			}
			w.zeros = make([]float32, v.n*v.blocks)
			for i := range w.zeros {
				w.zeros[i] = float32(code(z.Bytes()[i/v.blocks*per:], i%v.blocks, v.bits))
			}
		} else if w.zeros, err = realsOf[float32](z); err != nil {
			return nil, err
		} else if len(w.zeros) != v.n*v.blocks {
			return nil, fmt.Errorf("zero_points have %d elements, want %d", len(w.zeros), v.n*v.blocks)
		}
	}
	if g := groups; g != nil {
		if g.DType() != tensor.Int32 || g.Len() < v.k {
			return nil, fmt.Errorf("g_idx is %v, want int32 [%d]", g, v.k)
		}
		w.groups = tensor.Data[int32](g)[:v.k]
		for _, i := range w.groups {
			if i < 0 || int(i) >= v.blocks {
				return nil, fmt.Errorf("g_idx has %d, want 0 to %d", i, v.blocks-1)
			}
		}
	}
	return w, nil
}

// code returns element i of codes of 2, 4 or 8 bits, the first in the lowest bits.
func code(b []byte, i, bits int) byte {
	bit := i * bits
	return b[bit/8] >> (bit % 8) & byte(1<<bits-1)
}

// row sets dst to the elements of row n of W from one on that begins a block.
func (w *nbitsWeights) row(dst []float32, n, from int) {
	size := w.block * w.bits / 8
	data := w.data[n*w.blocks*size : (n+1)*w.blocks*size]
	scales := w.scales[n*w.blocks : (n+1)*w.blocks]
	zero := func(g int) float32 {
		if w.zeros == nil {
			return float32(int(1) << (w.bits - 1))
		}
		return w.zeros[n*w.blocks+g]
	}
	if w.groups != nil {
		for i := range dst {
			g := int(w.groups[from+i])
			dst[i] = (float32(code(data, from+i, w.bits)) - zero(g)) * scales[g]
		}
		return
	}
	for at := 0; at < len(dst); at += w.block {
		g := (from + at) / w.block
		part := dst[at:min(at+w.block, len(dst))]
		src := data[g*size : (g+1)*size]
		s, z := scales[g], zero(g)
		switch w.bits {
		case 8:
			for i := range part {
				part[i] = (float32(src[i]) - z) * s
			}
		case 4:
			var table [16]float32
			for i := range table {
				table[i] = (float32(i) - z) * s
			}
			i := 0
			for ; i+1 < len(part); i += 2 {
				v := src[i/2]
				part[i], part[i+1] = table[v&15], table[v>>4]
			}
			if i < len(part) {
				part[i] = table[src[i/2]&15]
			}
		default:
			for i := range part {
				part[i] = (float32(code(src, i, w.bits)) - z) * s
			}
		}
	}
}
