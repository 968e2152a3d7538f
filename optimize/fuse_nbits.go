package optimize

import (
	goruntime "runtime"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// blockWeights are rules that keep weights which are quantized in blocks as
// they are, in place of the floats that they stand for.
var blockWeights = []*Rule{
	{
		Name: "nbits-matmul", Doc: "MatMul with weights of 4 bits, or of 8 in blocks, that are dequantized => MatMulNBits",
		Pattern: AnyOf(
			Op("MatMul", Var("a"), dequantizedWeights()),
			Op("MatMul", Var("a"), Op("Transpose", dequantizedWeights()).As("t").Shared()),
		),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			trans := false
			if t := m.Node("t"); t != nil {
				if p, ok := permOf(t); !ok || len(p) != 2 || p[0] != 1 {
					return nil
				}
				trans = true
			}
			return rewriteNBits(m, b, trans, nil)
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 3, 40)
			y := b.Op("MatMul", nil, x, blockQuantized(b, tensor.Int4, []int{40, 6}, 0, 16, true))
			odd := b.Op("MatMul", nil, in(b, "odd", 2, 37), blockQuantized(b, tensor.Int4, []int{37, 6}, 0, 16, true))
			odd2 := b.Op("MatMul", nil, x, blockQuantized(b, tensor.Uint4, []int{40, 5}, 0, 16, true))
			z := b.Op("MatMul", nil, x, b.Op("Transpose", nil, blockQuantized(b, tensor.Uint4, []int{5, 40}, 1, 32, false)))
			u := b.Op("MatMul", nil, x, blockQuantized(b, tensor.Uint8, []int{40, 7}, 0, 16, true))
			v := b.Op("MatMul", nil, x, blockQuantized(b, tensor.Int4, []int{40, 6}, 1, 0, true))
			ret(b, y, z, u, v, odd, odd2)
		},
	},
	{
		Name: "nbits-gemm", Doc: "Gemm with weights of 4 bits, or of 8 in blocks, that are dequantized => MatMulNBits",
		Pattern: AnyOf(Op("Gemm", Var("a"), dequantizedWeights(), Var("c")), Op("Gemm", Var("a"), dequantizedWeights())),
		Where: func(m *Match) bool {
			return intAttr(m.Root, "transA", 0) == 0 && floatAttr(m.Root, "alpha", 1) == 1 && floatAttr(m.Root, "beta", 1) == 1
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			return rewriteNBits(m, b, intAttr(m.Root, "transB", 0) != 0, m.Var("c"))
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 3, 40)
			y := b.Op("Gemm", onnx.NewAttrs("transB", 1), x, blockQuantized(b, tensor.Int4, []int{6, 40}, 1, 16, true), floats(b, 6))
			ret(b, y, b.Op("Gemm", nil, x, blockQuantized(b, tensor.Int8, []int{40, 6}, 0, 32, false)))
		},
	},
}

func dequantizedWeights() *Pattern {
	return Op("DequantizeLinear", ConstAny("w"), ConstAny("scale")).Rest().As("dq").Shared()
}

// blockMatrix is a constant matrix of codes, code (i, j) at i·rs + j·cs, in
// which n columns have scales for blocks of k.
type blockMatrix struct {
	k, n, block, blocks, bits int
	codes                     []byte // two to a byte if bits is 4
	flip                      byte   // the top bit of signed codes
	rs, cs                    int
	scales                    []float32 // [n][blocks]
	zeros                     []byte    // likewise; nil: half of what codes reach
}

// rewriteNBits makes MatMulNBits of the product of a with what dq gives, or its
// transpose.
func rewriteNBits(m *Match, b *ops.Builder, trans bool, bias *onnx.Value) []*onnx.Value {
	a, y := m.Var("a"), m.Root.Out[0]
	if a.Type.DType != tensor.Float32 || y.Type.DType != tensor.Float32 {
		return nil
	}
	w := newBlockMatrix(m.Node("dq"), trans)
	if w == nil || bias != nil && !(bias.Type.Ranked && len(bias.Type.Dims) == 1 && bias.Type.Dims[0].Equal(onnx.Size(w.n))) {
		return nil
	}
	in := []*onnx.Value{a, b.Const(w.data()), b.Const(tensor.Of(w.scales, w.n, w.blocks))}
	if w.zeros != nil || bias != nil {
		in = append(in, nil, nil, bias)
		if w.zeros != nil {
			in[3] = b.Const(w.zeroPoints())
		}
		if bias == nil {
			in = in[:4]
		}
	}
	as := onnx.NewAttrs("K", w.k, "N", w.n, "bits", w.bits, "block_size", w.block)
	return b.Ops("com.microsoft", "MatMulNBits", as, 1, in...)
}

// newBlockMatrix reads the constants of dq, or returns nil if MatMulNBits cannot
// have them.
func newBlockMatrix(dq *onnx.Node, trans bool) *blockMatrix {
	if ops.NormalDomain(dq.Domain) != "" || dq.Out[0].Type.DType != tensor.Float32 {
		return nil
	}
	t, scale, zero := constOf(dq.In[0]), constOf(dq.In[1]), input(dq, 2)
	if t == nil || t.Rank() != 2 || t.Len() == 0 || scale == nil || scale.DType() != tensor.Float32 || zero != nil && constOf(zero) == nil {
		return nil
	}
	w := &blockMatrix{k: t.Dim(0), n: t.Dim(1), rs: t.Dim(1), cs: 1, bits: 8}
	if trans {
		w.k, w.n, w.rs, w.cs = w.n, w.k, w.cs, w.rs
	}
	flip, none := byte(0), byte(0) // of the top bit; the zero point if none is given
	switch t.DType() {
	case tensor.Int4:
		w.bits, flip, none = 4, 8, 8
	case tensor.Uint4:
		w.bits = 4
	case tensor.Int8:
		flip, none = 128, 128
	case tensor.Uint8:
	default:
		return nil
	}
	scaleOf := w.layout(dq, scale, trans)
	if scaleOf == nil {
		return nil
	}
	w.blocks = (w.k + w.block - 1) / w.block
	half := byte(1) << (w.bits - 1)
	var z []byte
	if zero != nil {
		zt := constOf(zero)
		if zt.DType() != t.DType() || zt.Len() != scale.Len() {
			return nil
		}
		if w.bits == 4 {
			zt = tensor.Unpack(zt)
		}
		z = zt.Bytes()
	}
	s := tensor.Data[float32](scale)
	w.scales, w.zeros = make([]float32, w.n*w.blocks), make([]byte, w.n*w.blocks)
	allHalf := true
	for j := range w.n {
		for q := range w.blocks {
			i := scaleOf(q, j)
			w.scales[j*w.blocks+q] = s[i]
			v := none
			if z != nil {
				v = (z[i] ^ flip) & byte(1<<w.bits-1)
			}
			w.zeros[j*w.blocks+q] = v
			allHalf = allHalf && v == half
		}
	}
	if allHalf {
		w.zeros = nil
	}
	w.codes, w.flip = t.Bytes(), flip
	return w
}

// layout sets the size of a block and returns which scale block q of column j
// has, or nil if there is no such layout.
func (w *blockMatrix) layout(dq *onnx.Node, scale *tensor.Tensor, trans bool) func(q, j int) int {
	axis := int(intAttr(dq, "axis", 1))
	if axis < 0 {
		axis += 2
	}
	alongK := axis == 0
	if trans {
		alongK = axis == 1
	}
	w.block = int(intAttr(dq, "block_size", 0))
	if w.block != 0 {
		blocks := (w.k + w.block - 1) / w.block
		if !alongK || w.block < 16 || w.block&(w.block-1) != 0 || scale.Rank() != 2 || scale.Len() != blocks*w.n {
			return nil
		}
		if trans {
			return func(q, j int) int { return j*blocks + q }
		}
		return func(q, j int) int { return q*w.n + j }
	}
	if w.bits != 4 {
		return nil // floats of bytes are no great loss
	}
	w.block = 128 // any size will do
	for w.block > 16 && w.block/2 >= w.k {
		w.block /= 2
	}
	switch {
	case scale.Len() == 1:
		return func(q, j int) int { return 0 }
	case scale.Rank() == 1 && scale.Len() == w.n && !alongK:
		return func(q, j int) int { return j }
	}
	return nil
}

// data returns input B of MatMulNBits.
func (w *blockMatrix) data() *tensor.Tensor {
	size := w.block * w.bits / 8
	t := tensor.New(tensor.Uint8, w.n, w.blocks, size)
	out, row := t.Bytes(), w.blocks*size
	const some = 64 // columns at a time, which lie together in codes
	par.P{Threads: goruntime.GOMAXPROCS(0)}.For(w.n, some, func(lo, hi int) {
		switch {
		case w.bits == 8:
			for k := range w.k {
				at := w.codes[k*w.rs:]
				for j := lo; j < hi; j++ {
					out[j*row+k] = at[j*w.cs] ^ w.flip
				}
			}
		case w.rs == 1 && w.k%2 == 0: // columns are as they shall be
			flip := w.flip | w.flip<<4
			for j := lo; j < hi; j++ {
				to := out[j*row:][:w.k/2]
				for i, c := range w.codes[j*w.k/2:][:len(to)] {
					to[i] = c ^ flip
				}
			}
		case w.cs == 1 && w.n%2 == 0:
			w.pairs(out[lo*row:], row, lo, hi)
		default:
			for j := lo; j < hi; j++ {
				for k := range w.k {
					out[j*row+k/2] |= w.code(k, j) << (k & 1 * 4)
				}
			}
		}
	})
	return t
}

// code returns the 4 bits of code (k, j).
func (w *blockMatrix) code(k, j int) byte {
	at := k*w.rs + j*w.cs
	return (w.codes[at/2]>>(at&1*4) ^ w.flip) & 15
}

// pairs writes columns [lo, hi) of 4 bits to rows that lie row apart, where each
// byte of codes has two columns.
func (w *blockMatrix) pairs(out []byte, row, lo, hi int) {
	for k := 0; k < w.k; k += 2 {
		upper := w.codes[(k*w.rs+lo)/2:][:(hi-lo)/2]
		if k+1 == w.k {
			for i, c := range upper {
				c ^= w.flip | w.flip<<4
				out[2*i*row+k/2], out[(2*i+1)*row+k/2] = c&15, c>>4
			}
			break
		}
		lower := w.codes[((k+1)*w.rs+lo)/2:][:len(upper)]
		at := k / 2
		for i, c := range upper {
			c, d := c^(w.flip|w.flip<<4), lower[i]^(w.flip|w.flip<<4)
			out[at], out[at+row] = c&15|d<<4, c>>4|d&0xf0
			at += 2 * row
		}
	}
}

// zeroPoints returns input zero_points of MatMulNBits.
func (w *blockMatrix) zeroPoints() *tensor.Tensor {
	if w.bits == 8 {
		return tensor.Of(w.zeros, w.n, w.blocks)
	}
	per := (w.blocks + 1) / 2
	z := make([]byte, w.n*per)
	for i, v := range w.zeros {
		q := i % w.blocks
		z[i/w.blocks*per+q/2] |= v << (q & 1 * 4)
	}
	return tensor.Of(z, w.n, per)
}

// blockQuantized makes a dequantized matrix of the given type, in blocks along
// axis, or, if block is 0, with a scale for each index of axis, for examples.
func blockQuantized(b *ops.Builder, d tensor.DType, shape []int, axis, block int, withZeros bool) *onnx.Value {
	scales, as := []int{shape[axis]}, onnx.NewAttrs("axis", axis)
	if block > 0 {
		scales = []int{shape[0], shape[1]}
		scales[axis] = (shape[axis] + block - 1) / block
		as = onnx.NewAttrs("axis", axis, "block_size", block)
	}
	codes := func(shape []int, step int) *onnx.Value {
		n, _ := tensor.Count(shape)
		c := make([]byte, n)
		for i := range c {
			c[i] = byte(i*step + i/7)
			switch d {
			case tensor.Uint4:
				c[i] &= 15
			case tensor.Int4:
				c[i] = byte(int8(c[i]<<4) >> 4)
			default:
				c[i] = c[i]%23 - 11
			}
		}
		t := tensor.Of(c, shape...)
		if d == tensor.Int8 || d == tensor.Int4 {
			signed := make([]int8, n)
			for i, v := range c {
				signed[i] = int8(v)
			}
			t = tensor.Of(signed, shape...)
		}
		if d == tensor.Int4 || d == tensor.Uint4 {
			t, _ = tensor.Pack(d, t)
		}
		return b.Const(t)
	}
	in := []*onnx.Value{codes(shape, 37), floats(b, scales...)}
	if withZeros {
		in = append(in, codes(scales, 5))
	}
	return b.Op("DequantizeLinear", as, in...)
}
