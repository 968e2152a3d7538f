package ops

import (
	"fmt"

	nb "github.com/gneiss-run/gneiss/internal/kernels/nbits"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// QMoE (com.microsoft): MoE, which see, with matrices that are quantized:
// w = (code - zero point) · scale, the codes packed along the rows from the lowest
// bits on. Rows have a scale for each block_size elements, or one.
//
//	input, output: T[n, h] or [b, t, h]    router_probs: T[rows, e]    router_weights (optional): T[rows, e]
//	fc1, fc2, fc3: uint8, MoE's shapes with bits/8 of the last dimension    b1, b2, b3 (optional): as MoE's
//	scales: float [e, rows of fc, blocks], or [e, rows of fc]
//	zero_points (optional): uint8 [e, rows of fc, ⌈blocks·bits/8⌉], or [e, ⌈rows of fc·bits/8⌉]; absent: 2^(bits-1)
//
// The weights are router_probs' softmax over the k experts, or router_weights' numbers,
// with normalize_routing_weights divided by their sum. bits is 2, 4 or 8, also of each
// matrix alone. With accuracy_level 4 products are computed as MatMulNBits does.
// Numbers of 3 bits, floating-point codes and weights_prepacked 1 are not supported.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QMoE
func init() {
	register(&Op{Domain: "com.microsoft", Name: "QMoE", Numerics: Rounding, Flush: true, Versions: []Version{
		{Since: 1, In: Arity{6, 21}, Absent: []int{3, 4}, Out: N(1), Infer: inferSame, Build: buildQMoE},
	}})
}

func buildQMoE(b *BuildContext) (Kernel, error) {
	m, err := readMoE(&b.attrs, b.Has(8))
	if err != nil {
		return nil, err
	}
	m.overChosen = true
	if t := b.Str("quant_type", "int"); t != "int" || b.Int("weights_prepacked", -1) == 1 {
		return nil, fmt.Errorf("%w: quant_type %q or weights_prepacked", ErrUnsupported, t)
	}
	for i := 15; i < b.NumIn(); i++ {
		if b.Has(i) {
			return nil, fmt.Errorf("%w: global scales and scales of activations", ErrUnsupported)
		}
	}
	bits, block, level := b.Int("expert_weight_bits", 4), b.Int("block_size", 0), b.Int("accuracy_level", 0)
	var fc [3]nbitsExperts
	for i, name := range []string{"fc1_expert_weight_bits", "fc2_expert_weight_bits", "fc3_expert_weight_bits"} {
		fc[i] = nbitsExperts{in: 2 + 3*i, zeros: 11 + i, nbits: nbits{bits: b.Int(name, bits), block: block, level: level}}
		w := &fc[i]
		switch {
		case w.bits != 2 && w.bits != 4 && w.bits != 8:
			return nil, fmt.Errorf("%w: attribute %q is %d, want 2, 4 or 8", ErrUnsupported, name, w.bits)
		case block != 0 && (block < 16 || block&(block-1) != 0):
			return nil, fmt.Errorf("attribute \"block_size\" is %d, want a power of 2 from 16 on", block)
		}
		if err := w.pack(b); err != nil {
			return nil, err
		}
	}
	run := func(c *Call) error {
		var use [3]experts
		var bias [3][]float32
		for i := range fc {
			if i == 2 && !m.gated {
				continue
			}
			w := &fc[i]
			if w.packed == nil {
				list, err := w.read(c.T(w.in), c.T(w.in+1), c.T(w.zeros))
				if err != nil {
					return err
				}
				w = &nbitsExperts{list: list}
			}
			use[i] = w
			var err error
			if bias[i], err = reals[float32](c, fc[i].in+2); err != nil {
				return err
			}
		}
		weights, err := reals[float32](c, 14)
		if err != nil {
			return err
		}
		return m.run(c, use, bias, weights)
	}
	return b.dispatch(0, byType{tensor.Float32: run, tensor.Float16: run, tensor.BFloat16: run})
}

// nbitsExperts are matrices that are quantized: each as MatMulNBits has it.
type nbitsExperts struct {
	nbits
	in, zeros int             // inputs
	packed    []*nb.Weights   // constant ones, or
	list      []*nbitsWeights // those of a call
}

func (w *nbitsExperts) sizes() (e, n, k int) {
	if w.packed != nil {
		return len(w.packed), w.packed[0].N, w.packed[0].K
	}
	return len(w.list), w.list[0].n, w.list[0].k
}

func (w *nbitsExperts) multiply(c *Call, e int, x []float32, m int, bias, y []float32) {
	switch {
	case w.packed == nil:
		w.list[e].multiply(c, x, m, bias, y)
	case w.ints:
		nb.MulInt8(c.P, x, m, w.packed[e], bias, y)
	default:
		nb.Mul(c.P, x, m, w.packed[e], bias, y)
	}
}

// pack sets packed if the matrices are constant.
func (w *nbitsExperts) pack(b *BuildContext) error {
	t, scales, zeros := b.Const(w.in), b.Const(w.in+1), b.Const(w.zeros)
	if t == nil || scales == nil || b.Has(w.zeros) && zeros == nil {
		return nil
	}
	list, err := w.read(t, scales, zeros)
	if err != nil {
		return err
	}
	p, err := b.Pack(w.in, fmt.Sprintf("nbits/experts/%d/%d", w.block, w.bits), func() (any, error) {
		out := make([]*nb.Weights, len(list))
		for e, x := range list {
			p := &nb.Weights{N: x.n, K: x.k, Block: x.block, Wide: x.bits == 8, Zero: 1 << (x.bits - 1)}
			p.Data = nb.Pack(par.P{}, x.n, x.k, x.block, p.Wide, func(n int, row []byte) { x.codesOf(n, row, nil) })
			p.Scales = nb.PackBlocks(x.scales, x.n, x.blocks)
			if x.zeros != nil {
				z := make([]byte, len(x.zeros))
				for i, v := range x.zeros {
					z[i] = byte(v)
				}
				p.Zeros = nb.PackBlocks(z, x.n, x.blocks)
			}
			out[e] = p
		}
		return out, nil
	})
	if err != nil {
		return err
	}
	w.packed = p.([]*nb.Weights)
	block := list[0].block
	w.ints = w.level == 4 && block <= 256 && (w.bits != 2 || block >= 32)
	return nil
}

// read checks the inputs that describe the matrices.
func (w *nbitsExperts) read(t, scales, zeros *tensor.Tensor) ([]*nbitsWeights, error) {
	if t == nil || t.DType() != tensor.Uint8 || t.Rank() != 3 || t.Len() == 0 || scales == nil {
		return nil, fmt.Errorf("input %d is %v with scales of %v, want uint8 of three dimensions, and scales", w.in, t, scales)
	}
	s, err := realsOf[float32](scales)
	if err != nil {
		return nil, err
	}
	count, n, k := t.Dim(0), t.Dim(1), t.Dim(2)*8/w.bits
	block, each := w.block, w.block
	if each == 0 { // the kernels want blocks: they have one scale
		for block = 256; k%block != 0 && block > 16; {
			block /= 2
		}
		each = k
	}
	if k%block != 0 {
		return nil, fmt.Errorf("%w: rows of %d elements, want a multiple of %d", ErrUnsupported, k, block)
	}
	given, blocks := k/each, k/block
	if len(s) != count*n*given {
		return nil, fmt.Errorf("the scales of input %d have %d elements, want %d", w.in, len(s), count*n*given)
	}
	per := (given*w.bits + 7) / 8 // bytes of zero points in a row
	if w.block == 0 {
		per = (n*w.bits + 7) / 8 // of a matrix
	}
	if zeros != nil {
		want := count * n * per
		if w.block == 0 {
			want = count * per
		}
		if zeros.DType() != tensor.Uint8 || zeros.Len() != want {
			return nil, fmt.Errorf("the zero points of input %d are %v, want %d bytes", w.in, zeros, want)
		}
	}
	out, size := make([]*nbitsWeights, count), n*t.Dim(2)
	for e := range out {
		v := w.nbits
		v.n, v.k, v.block, v.blocks, v.packed = n, k, block, blocks, nil
		x := &nbitsWeights{nbits: &v, data: t.Bytes()[e*size : (e+1)*size], scales: s[e*n*given : (e+1)*n*given]}
		if w.block == 0 {
			x.scales = make([]float32, n*blocks)
			for i := range x.scales {
				x.scales[i] = s[e*n+i/blocks]
			}
		}
		if zeros != nil {
			x.zeros = make([]float32, n*blocks)
			for i := range x.zeros {
				r, g := i/blocks, i%blocks
				if w.block == 0 {
					x.zeros[i] = float32(code(zeros.Bytes()[e*per:], r, w.bits))
				} else {
					x.zeros[i] = float32(code(zeros.Bytes()[(e*n+r)*per:], g, w.bits))
				}
			}
		}
		out[e] = x
	}
	return out, nil
}
