package ops

import (
	"fmt"

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
// float32, which satisfies every accuracy_level. A B without elements stands
// for zeros.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "MatMulNBits", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: Arity{3, 6}, Out: N(1), Infer: inferMatMulNBits, Build: buildMatMulNBits},
		},
	})
}

// nbits are the attributes of MatMulNBits.
type nbits struct{ k, n, bits, block, blocks int }

func parseNBits(a *attrs) (*nbits, error) {
	v := &nbits{k: a.Int("K", 0), n: a.Int("N", 0), bits: a.Int("bits", 4), block: a.Int("block_size", 0)}
	a.Ignore("accuracy_level")
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

func buildMatMulNBits(b *BuildContext) (Kernel, error) {
	v, err := parseNBits(&b.attrs)
	if err != nil {
		return nil, err
	}
	return b.dispatch(0, byType{tensor.Float32: v.run, tensor.Float16: throughFloat32(v.run, 0)})
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
	if b == nil || b.DType() != tensor.Uint8 {
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
	shape := append([]int{}, a.Shape()...)
	shape[len(shape)-1] = v.n
	y := tensor.Data[float32](c.Output(0, tensor.Float32, shape...))
	x, m := tensor.Data[float32](a), a.Len()/v.k
	if b.Len() == 0 {
		clear(y)
		for i := range len(y) * min(1, len(bias)) {
			y[i] = bias[i%v.n]
		}
		return nil
	}
	w, err := v.weights(c, b)
	if err != nil {
		return err
	}
	const width = 4 // columns of Y at a time
	perTask := max(1, (1<<17)/(width*v.k*max(1, m)))
	c.P.For((v.n+width-1)/width, perTask, func(lo, hi int) {
		buf := make([]float32, width*v.k)
		for q := lo; q < hi; q++ {
			j0 := q * width
			cols := min(width, v.n-j0)
			for j := range cols {
				w.row(buf[j*v.k:(j+1)*v.k], j0+j)
			}
			r0, r1, r2, r3 := buf[:v.k], buf[v.k:2*v.k], buf[2*v.k:3*v.k], buf[3*v.k:]
			for i := range m {
				s := dot4(x[i*v.k:(i+1)*v.k], r0, r1, r2, r3)
				out := y[i*v.n+j0 : i*v.n+j0+cols]
				for j := range out {
					out[j] = s[j]
					if bias != nil {
						out[j] += bias[j0+j]
					}
				}
			}
		}
	})
	return nil
}

// dot4 returns the products of x with four vectors of its length.
func dot4(x, a, b, c, d []float32) [4]float32 {
	var s, t [4]float32
	n := len(x)
	a, b, c, d = a[:n], b[:n], c[:n], d[:n]
	i := 0
	for ; i+1 < n; i += 2 {
		u, v := x[i], x[i+1]
		s[0] += u * a[i]
		s[1] += u * b[i]
		s[2] += u * c[i]
		s[3] += u * d[i]
		t[0] += v * a[i+1]
		t[1] += v * b[i+1]
		t[2] += v * c[i+1]
		t[3] += v * d[i+1]
	}
	if i < n {
		s[0] += x[i] * a[i]
		s[1] += x[i] * b[i]
		s[2] += x[i] * c[i]
		s[3] += x[i] * d[i]
	}
	for j := range s {
		s[j] += t[j]
	}
	return s
}

// weights checks the inputs that describe W.
func (v *nbits) weights(c *Call, b *tensor.Tensor) (*nbitsWeights, error) {
	rowBytes := v.blocks * (v.block * v.bits / 8)
	if b.Len()/v.n != rowBytes || b.Len()%v.n != 0 {
		return nil, fmt.Errorf("B has shape %v, want %v", b.Shape(), []int{v.n, v.blocks, v.block * v.bits / 8})
	}
	w := &nbitsWeights{nbits: v, data: b.Bytes()}
	var err error
	if w.scales, err = reals[float32](c, 2); err != nil {
		return nil, err
	}
	if len(w.scales) != v.n*v.blocks {
		return nil, fmt.Errorf("scales have %d elements, want %d", len(w.scales), v.n*v.blocks)
	}
	if z := c.T(3); z != nil {
		if z.DType() == tensor.Uint8 {
			per := (v.blocks*v.bits + 7) / 8
			if z.Len() != v.n*per {
				return nil, fmt.Errorf("zero_points have %d elements, want %d", z.Len(), v.n*per)
			}
			w.zeros = make([]float32, v.n*v.blocks)
			for i := range w.zeros {
				w.zeros[i] = float32(code(z.Bytes()[i/v.blocks*per:], i%v.blocks, v.bits))
			}
		} else if w.zeros, err = reals[float32](c, 3); err != nil {
			return nil, err
		} else if len(w.zeros) != v.n*v.blocks {
			return nil, fmt.Errorf("zero_points have %d elements, want %d", len(w.zeros), v.n*v.blocks)
		}
	}
	if g := c.T(4); g != nil {
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

// row sets dst to row n of W.
func (w *nbitsWeights) row(dst []float32, n int) {
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
		for k := range dst {
			g := int(w.groups[k])
			dst[k] = (float32(code(data, k, w.bits)) - zero(g)) * scales[g]
		}
		return
	}
	for g := range w.blocks {
		part := dst[g*w.block : min((g+1)*w.block, len(dst))]
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
