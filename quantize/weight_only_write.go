package quantize

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// blockKey tells apart how an initializer, a matrix, is quantised.
type blockKey struct {
	v      *onnx.Value
	turned bool // its rows are those of W [N, K]; else its columns
	alpha  float32
}

// storedBlocks is an initializer in blocks.
type storedBlocks struct {
	n, k, per, block    int
	codes, scale, zeros *onnx.Value // as the format has them; zeros may be nil
}

// blocks quantises v once for all who read it so.
func (w *weightOnly) blocks(n *onnx.Node, v *onnx.Value, turned bool, alpha float32) (*storedBlocks, error) {
	key := blockKey{v, turned, alpha}
	if s := w.done[key]; s != nil {
		return s, nil
	}
	t := v.Const
	x := tensor.Data[float32](tensor.Widen(t))
	rows, k := t.Dim(0), t.Dim(1)
	if !turned {
		x = transposeFloats(x, rows, k)
		rows, k = k, rows
	}
	var hessian []float64
	if w.c.Hessian != nil {
		hessian = w.c.Hessian(NodeName(n))
	}
	g := w.gridFor(k)
	b, err := w.c.Round(x, rows, k, hessian, g, w.c.Threads)
	if err != nil {
		return nil, fmt.Errorf("quantize: %v: %w", n, err)
	}
	if len(b.Codes) != rows*k || len(b.Scales) != rows*b.PerRow() || b.Bits != g.Bits || b.Block != g.Block ||
		g.Symmetric != (b.Zeros == nil) || b.Zeros != nil && len(b.Zeros) != len(b.Scales) {
		return nil, fmt.Errorf("quantize: %v: the rounder gave %d codes and %d scales of %d bits in blocks of %d", n, len(b.Codes), len(b.Scales), b.Bits, b.Block)
	}
	for i := range b.Scales {
		b.Scales[i] *= alpha
	}
	s := &storedBlocks{n: rows, k: k, per: b.PerRow(), block: g.Block}
	var codes, zeros *tensor.Tensor
	scale := tensor.Of(b.Scales, rows, s.per)
	if w.c.Format == MatMulNBits {
		codes, zeros = b.packed()
	} else {
		codes, scale, zeros = b.linear(turned)
	}
	if t.DType() != tensor.Float32 {
		half := tensor.New(t.DType(), scale.Shape()...)
		tensor.Narrow(half, scale)
		scale = half
	}
	s.codes, s.scale = w.keep(v, "_quantized", codes), w.keep(v, "_scale", scale)
	if zeros != nil {
		s.zeros = w.keep(v, "_zero_point", zeros)
	}
	w.done[key] = s
	return s, nil
}

// packed returns B [N, blocks, Block·Bits/8] of MatMulNBits and its zero_points
// [N, ⌈blocks·Bits/8⌉], nil if all are half of what codes reach.
func (b *Blocks) packed() (codes, zeros *tensor.Tensor) {
	per := b.PerRow()
	size := b.Block * b.Bits / 8
	codes = tensor.New(tensor.Uint8, b.N, per, size)
	out := codes.Bytes()
	padded := make([]uint8, per*b.Block)
	for n := range b.N {
		copy(padded, b.Codes[n*b.K:(n+1)*b.K])
		for i := b.K; i < len(padded); i++ {
			padded[i] = b.zero(n, per-1)
		}
		packBits(out[n*per*size:(n+1)*per*size], padded, b.Bits)
	}
	if b.Zeros == nil {
		return codes, nil
	}
	row := (per*b.Bits + 7) / 8
	zeros = tensor.New(tensor.Uint8, b.N, row)
	for n := range b.N {
		packBits(zeros.Bytes()[n*row:(n+1)*row], b.Zeros[n*per:(n+1)*per], b.Bits)
	}
	return codes, zeros
}

func (b *Blocks) zero(n, block int) uint8 {
	if b.Zeros == nil {
		return 1 << (b.Bits - 1)
	}
	return b.Zeros[n*b.PerRow()+block]
}

// packBits writes codes of 4 or 8 bits, the first in the lowest.
func packBits(out, codes []uint8, bits int) {
	if bits == 8 {
		copy(out, codes)
		return
	}
	for i, c := range codes {
		out[i/2] |= c << (i & 1 * 4)
	}
}

// linear returns the inputs of DequantizeLinear: codes, scales and zero points
// [N, …], or transposed if the initializer has the columns of W as its rows. Codes
// without zero points are signed.
func (b *Blocks) linear(turned bool) (codes, scale, zeros *tensor.Tensor) {
	d, flip := tensor.Uint4, uint8(0)
	if b.Bits == 8 {
		d = tensor.Uint8
	}
	if b.Zeros == nil {
		flip = 1 << (b.Bits - 1)
		d = map[int]tensor.DType{4: tensor.Int4, 8: tensor.Int8}[b.Bits]
	}
	integers := func(c []uint8, columns int) *tensor.Tensor {
		signed := make([]uint8, len(c))
		for i, v := range c {
			signed[i] = v - flip // two's complement, of which packing takes the low bits
		}
		t := tensor.Of(signed, b.N, columns)
		if !turned {
			t = transposeBytes(t)
		}
		if d.IsPacked() {
			t, _ = tensor.Pack(d, t) // of uint8 it is possible
			return t
		}
		t, _ = tensor.FromBytes(d, t.Shape(), t.Bytes(), nil)
		return t
	}
	per := b.PerRow()
	codes, scale = integers(b.Codes, b.K), tensor.Of(b.Scales, b.N, per)
	if !turned {
		scale = tensor.Of(transposeFloats(b.Scales, b.N, per), per, b.N)
	}
	if b.Zeros != nil {
		zeros = integers(b.Zeros, per)
	}
	return codes, scale, zeros
}

// transposeFloats returns the transpose of x [rows, columns].
func transposeFloats(x []float32, rows, columns int) []float32 {
	y := make([]float32, len(x))
	const side = 32 // of a tile, so that both sides stay in the cache
	for i0 := 0; i0 < rows; i0 += side {
		for j0 := 0; j0 < columns; j0 += side {
			for i := i0; i < min(i0+side, rows); i++ {
				for j := j0; j < min(j0+side, columns); j++ {
					y[j*rows+i] = x[i*columns+j]
				}
			}
		}
	}
	return y
}

// format describes what a node that reads s computes with now.
func (w *weightOnly) format(s *storedBlocks) string {
	kind := "int"
	if w.c.Asymmetric {
		kind = "uint"
	}
	return fmt.Sprintf("%s%d in blocks of %d", kind, w.c.Bits, s.block)
}

// product replaces the MatMul or Gemm n, whose weights are v or, if turned, its transpose.
func (w *weightOnly) product(n *onnx.Node, v *onnx.Value, turned bool) (format, reason string, err error) {
	b := ops.NewBuilder(n.Graph)
	transB := n.Op == "Gemm" && intAttribute(n, "transB", 0) != 0
	if w.c.Format == Dequantize {
		s, err := w.blocks(n, v, turned != transB, 1)
		if err != nil {
			return "", "", err
		}
		dq := w.dequantize(b, s, turned != transB)
		if turned {
			dq = b.Op("Transpose", onnx.NewAttrs("perm", []int{1, 0}), dq)
		}
		if err := b.Err(); err != nil {
			return "", err.Error(), nil
		}
		b.Insert(n)
		n.SetInput(1, dq)
		return w.format(s) + ", DequantizeLinear", "", nil
	}
	alpha, a := float32(1), n.In[0]
	var bias *onnx.Value
	if n.Op == "Gemm" {
		alpha = floatAttribute(n, "alpha", 1)
		var before *onnx.Node
		if bias, before = scaledBias(w.rewriting, n, floatAttribute(n, "beta", 1)); before != nil {
			n.Graph.Insert(n, before)
		}
		if intAttribute(n, "transA", 0) != 0 {
			a = b.Op("Transpose", onnx.NewAttrs("perm", []int{1, 0}), a)
		}
	}
	s, err := w.blocks(n, v, turned != transB, alpha)
	if err != nil {
		return "", "", err
	}
	as := onnx.NewAttrs("K", s.k, "N", s.n, "bits", w.c.Bits, "block_size", s.block)
	if w.c.AccuracyLevel > 0 {
		as = as.Set("accuracy_level", w.c.AccuracyLevel)
	}
	y := b.Ops(msDomain, "MatMulNBits", as, 1, a, s.codes, s.scale, s.zeros)[0]
	if bias != nil {
		y = b.Op("Add", nil, y, bias)
	}
	return fmt.Sprintf("%s, MatMulNBits with accuracy_level %d", w.format(s), w.c.AccuracyLevel), w.finish(b, n, y), nil
}

// dequantize adds what gives s as floats.
func (w *weightOnly) dequantize(b *ops.Builder, s *storedBlocks, turned bool) *onnx.Value {
	axis := 0
	if turned {
		axis = 1
	}
	return b.Op("DequantizeLinear", onnx.NewAttrs("axis", axis, "block_size", s.block), s.codes, s.scale, s.zeros)
}

// gather replaces the Gather n of rows of a table.
func (w *weightOnly) gather(n *onnx.Node) (format, reason string, err error) {
	v := n.In[0]
	if v.Const == nil || w.home[v] == nil {
		return "", "the table is not constant", nil
	}
	if why := w.unfit(v); why != "" {
		return "", why, nil
	}
	if axis := intAttribute(n, "axis", 0); axis != 0 && axis != -2 {
		return "", "columns of the table are gathered, want rows", nil
	}
	if !w.c.Embeddings {
		return "", "embeddings are left", nil
	}
	if w.c.Format == MatMulNBits && v.Const.Dim(1)*w.c.Bits%8 != 0 {
		return "", fmt.Sprintf("rows of %d codes of %d bits are no whole bytes", v.Const.Dim(1), w.c.Bits), nil
	}
	b := ops.NewBuilder(n.Graph)
	s, err := w.blocks(n, v, true, 1)
	if err != nil {
		return "", "", err
	}
	if w.c.Format == Dequantize {
		y := b.Op("Gather", slices.Clone(n.Attrs), w.dequantize(b, s, true), n.In[1])
		return w.format(s) + ", DequantizeLinear", w.finish(b, n, y), nil
	}
	bytes := s.k * w.c.Bits / 8
	data := s.codes
	switch {
	case s.k%s.block != 0: // without the padding of MatMulNBits
		data = b.Op("Slice", nil, b.Op("Reshape", nil, data, b.Ints(s.n, -1)), b.Ints(0), b.Ints(bytes), b.Ints(1))
	case v.Uses() == 1:
		t, err := data.Const.Reshape(s.n, bytes)
		if err != nil {
			return "", "", err
		}
		data = w.keep(v, "_table", t)
	default: // a product reads the same codes
		data = b.Op("Reshape", nil, data, b.Ints(s.n, bytes))
	}
	as := onnx.NewAttrs("bits", w.c.Bits, "block_size", s.block, "gather_axis", 0, "quantize_axis", 1)
	y := b.Ops(msDomain, "GatherBlockQuantized", as, 1, data, n.In[1], s.scale, s.zeros)[0]
	return w.format(s) + ", GatherBlockQuantized", w.finish(b, n, y), nil
}
