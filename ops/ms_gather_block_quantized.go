package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// GatherBlockQuantized (com.microsoft): gathers slices of block-quantized data
// along gather_axis and dequantizes them: (code - zero_point) · scale, with one
// scale and zero point for each block_size values along quantize_axis.
//
//	data: int4, uint4, or uint8, which holds 8/bits codes a byte along the last axis, lowest bits first
//	indices: int32 or int64 [i…], negative from the end
//	scales: float, data's shape but ⌈d/block_size⌉ on quantize_axis
//	zero_points: type of data, shape of scales (packed likewise); absent: 0, and 2^(bits-1) for uint8
//	output: float, data's shape with i… in place of gather_axis
//
// The 8-bit and 4-bit floats are not supported.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.GatherBlockQuantized
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "GatherBlockQuantized", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: Arity{3, 4}, Out: N(1), Infer: inferGatherBlockQuantized, Build: buildGatherBlockQuantized},
		},
	})
}

type gatherBlocks struct{ bits, block, axis, quantAxis int }

func parseGatherBlocks(a *attrs) (*gatherBlocks, error) {
	v := &gatherBlocks{bits: a.Int("bits", 4), block: a.Int("block_size", 128), axis: a.Int("gather_axis", 0), quantAxis: a.Int("quantize_axis", 1)}
	if v.block < 16 || v.block&(v.block-1) != 0 {
		return nil, fmt.Errorf("block_size is %d, want a power of 2 from 16 on", v.block)
	}
	if v.bits != 2 && v.bits != 4 && v.bits != 8 {
		return nil, fmt.Errorf("%w: bits is %d, want 2, 4 or 8", ErrUnsupported, v.bits)
	}
	return v, nil
}

// perByte returns how many codes an element of data of type d holds.
func (v *gatherBlocks) perByte(d tensor.DType) int {
	if d == tensor.Uint8 {
		return 8 / v.bits
	}
	return 1
}

func inferGatherBlockQuantized(c *InferContext) error {
	v, err := parseGatherBlocks(&c.attrs)
	if err != nil {
		return err
	}
	c.Out[0] = onnx.UnrankedType(c.In(2).DType)
	data, idx := c.In(0), c.In(1)
	if !data.Ranked || !idx.Ranked || data.DType == tensor.Undefined || len(data.Dims) == 0 {
		return nil
	}
	axis, err := tensor.Axis(v.axis, len(data.Dims))
	if err != nil {
		return err
	}
	dims := slices.Clone(data.Dims)
	last := len(dims) - 1
	dims[last] = dims[last].Mul(onnx.Size(v.perByte(data.DType)))
	c.Out[0] = onnx.TensorType(c.In(2).DType, slices.Concat(dims[:axis], idx.Dims, dims[axis+1:])...)
	return nil
}

func buildGatherBlockQuantized(b *BuildContext) (Kernel, error) {
	v, err := parseGatherBlocks(&b.attrs)
	if err != nil {
		return nil, err
	}
	return b.dispatch(2, byType{
		tensor.Float32: v.run, tensor.Float16: throughFloat32(v.run, 2), tensor.BFloat16: throughFloat32(v.run, 2),
	})
}

func (v *gatherBlocks) run(c *Call) error {
	data := c.T(0)
	if data == nil || data.Rank() == 0 {
		return fmt.Errorf("data is %v, want at least 1 dimension", c.In[0])
	}
	bits, signed := v.bits, false
	def := float32(0)
	switch data.DType() {
	case tensor.Uint8:
		def = float32(int(1) << (bits - 1))
	case tensor.Int4, tensor.Uint4:
		bits, signed = 4, data.DType() == tensor.Int4
	default:
		return unsupportedType(0, data.DType())
	}
	per := v.perByte(data.DType())
	shape := c.list(data.Shape()...)
	shape[len(shape)-1] *= per
	axis, err := tensor.Axis(v.axis, len(shape))
	if err != nil {
		return err
	}
	qaxis, err := tensor.Axis(v.quantAxis, len(shape))
	if err != nil {
		return err
	}
	if per > 1 && axis != 0 {
		return fmt.Errorf("gather_axis is %d, want 0 for uint8 data", v.axis)
	}
	idx, err := c.Ints(1)
	if err != nil {
		return err
	}
	if !c.Has(1) || !c.Has(2) {
		return fmt.Errorf("indices or scales are absent")
	}
	for i, x := range idx {
		if x < -shape[axis] || x >= shape[axis] {
			return fmt.Errorf("index %d is not in [%d, %d]", x, -shape[axis], shape[axis]-1)
		}
		if x < 0 {
			idx[i] += shape[axis]
		}
	}
	scales := c.T(2)
	want := c.list(shape...)
	want[qaxis] = (want[qaxis] + v.block - 1) / v.block
	if !slices.Equal(scales.Shape(), want) {
		return fmt.Errorf("scales have shape %v, want %v", scales.Shape(), want)
	}
	zeros := c.T(3)
	if zeros != nil {
		zs := c.list(want...)
		zs[len(zs)-1] = (zs[len(zs)-1] + per - 1) / per
		if zeros.DType() != data.DType() || !slices.Equal(zeros.Shape(), zs) {
			return fmt.Errorf("zero_points are %v, want %v %v", zeros, data.DType(), zs)
		}
	}
	is := c.T(1).Shape()
	size := c.Dims(len(shape) - 1 + len(is))
	copy(size[copy(size, shape[:axis]):], is)
	copy(size[axis+len(is):], shape[axis+1:])
	out := c.Output(0, tensor.Float32, size...)
	y, sc := tensor.Data[float32](out), tensor.Data[float32](scales)
	outer, inner := axisBlocks(shape, axis)
	qn, sn := shape[qaxis], want[qaxis]
	_, qin := axisBlocks(shape, qaxis)
	if inner == 0 {
		return nil
	}
	g := gatherCodes{block: v.block, axis: shape[axis], inner: inner, idx: idx, y: y, scales: sc, codes: data.Bytes(), bits: bits, signed: signed, def: def, qn: qn, sn: sn, qin: qin}
	// Packed zero points start a new byte with each row.
	g.lastBlocks = want[len(want)-1]
	g.zeroRow = (g.lastBlocks + per - 1) / per * per
	if zeros != nil {
		g.zeros = zeros.Bytes()
	}
	par.Run(c.P, outer*len(idx), max(1, 32768/inner), par.With(g))
	return nil
}

// gatherCodes gathers rows of inner elements of data, whose gathered axis has size axis.
type gatherCodes struct {
	block, axis, inner  int
	idx                 []int
	y, scales           []float32
	codes, zeros        []byte
	bits                int
	signed              bool
	def                 float32 // where there are no zeros
	qn, sn, qin         int     // elements and blocks along the quantized axis, and the elements behind it
	lastBlocks, zeroRow int
}

func (a *gatherCodes) Chunk(lo, hi int) {
	for r := lo; r < hi; r++ {
		src := (r/len(a.idx)*a.axis + a.idx[r%len(a.idx)]) * a.inner
		dst := a.y[r*a.inner : (r+1)*a.inner]
		for i := range dst {
			e := src + i
			in := e % a.qin
			q := e / a.qin % a.qn
			s := (e/a.qin/a.qn*a.sn+q/a.block)*a.qin + in
			z := a.def
			if a.zeros != nil {
				z = a.codeOf(a.zeros, s/a.lastBlocks*a.zeroRow+s%a.lastBlocks)
			}
			dst[i] = (a.codeOf(a.codes, e) - z) * a.scales[s]
		}
	}
}

func (a *gatherCodes) codeOf(b []byte, i int) float32 {
	q := code(b, i, a.bits)
	if a.signed {
		return float32(int8(q<<4) >> 4)
	}
	return float32(q)
}
