package ops

import (
	"encoding/binary"
	"math/bits"

	"github.com/gneiss-run/gneiss/tensor"
)

// MurmurHash3 (com.microsoft): the 32-bit MurmurHash3 of the bytes of each element.
//
//	X: T[...]    Y: uint32[...], or int32[...] with positive = 0
//
// T: int32, uint32, int64, uint64, float32, float64, string.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MurmurHash3
func init() {
	register(&Op{Domain: "com.microsoft", Name: "MurmurHash3", Versions: []Version{
		{Since: 1, In: N(1), Out: N(1), Infer: inferMurmurHash3, Build: buildMurmurHash3},
	}})
}

func inferMurmurHash3(c *InferContext) error {
	c.Out[0] = c.In(0)
	c.Out[0].DType = tensor.Uint32
	if !c.Bool("positive", true) {
		c.Out[0].DType = tensor.Int32
	}
	return nil
}

func buildMurmurHash3(b *BuildContext) (Kernel, error) {
	d, seed := tensor.Uint32, uint32(b.Int("seed", 0))
	if !b.Bool("positive", true) {
		d = tensor.Int32
	}
	hash := func(c *Call) error {
		x := c.T(0)
		y := c.Output(0, d, x.Shape()...).Bytes()
		if x.DType() == tensor.String {
			for i, s := range tensor.Data[string](x) {
				binary.NativeEndian.PutUint32(y[4*i:], murmur3([]byte(s), seed))
			}
			return nil
		}
		size := x.DType().Size()
		for i := range x.Len() {
			binary.NativeEndian.PutUint32(y[4*i:], murmur3(x.Bytes()[i*size:][:size], seed))
		}
		return nil
	}
	m := byType{}
	for _, d := range []tensor.DType{tensor.Int32, tensor.Uint32, tensor.Int64, tensor.Uint64, tensor.Float32, tensor.Float64, tensor.String} {
		m[d] = hash
	}
	return b.dispatch(0, m)
}

// murmur3 is MurmurHash3_x86_32.
func murmur3(data []byte, seed uint32) uint32 {
	const c1, c2 = 0xcc9e2d51, 0x1b873593
	h, n := seed, uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		h ^= bits.RotateLeft32(binary.LittleEndian.Uint32(data)*c1, 15) * c2
		h = bits.RotateLeft32(h, 13)*5 + 0xe6546b64
	}
	var k uint32
	for i, b := range data {
		k |= uint32(b) << (8 * i)
	}
	h ^= bits.RotateLeft32(k*c1, 15) * c2
	h ^= n
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}
