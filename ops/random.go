package ops

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// mt19937 is the Mersenne Twister of NumPy's RandomState (Matsumoto and
// Nishimura, 1998).
type mt19937 struct {
	key [624]uint32
	pos int
}

func newMT19937(seed uint32) *mt19937 {
	m := &mt19937{pos: 624}
	for i := range m.key {
		m.key[i] = seed
		seed = 1812433253*(seed^seed>>30) + uint32(i) + 1
	}
	return m
}

func (m *mt19937) uint32() uint32 {
	if m.pos == len(m.key) {
		for i := range m.key {
			y := m.key[i]&0x80000000 | m.key[(i+1)%624]&0x7fffffff
			v := m.key[(i+397)%624] ^ y>>1
			if y&1 == 1 {
				v ^= 0x9908b0df
			}
			m.key[i] = v
		}
		m.pos = 0
	}
	y := m.key[m.pos]
	m.pos++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

// float64 returns a number in [0, 1) with 53 random bits.
func (m *mt19937) float64() float64 {
	a, b := m.uint32()>>5, m.uint32()>>6
	return (float64(a)*67108864 + float64(b)) / 9007199254740992
}

// entropy returns a seed that nobody knows: math/rand's own generator is ChaCha8 seeded
// by the system. crypto/rand would link the whole of the FIPS 140 module for it.
func entropy() (b [32]byte) {
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], rand.Uint64())
	}
	return b
}

func entropy32() uint32 { return rand.Uint32() }

// source reads the attribute seed and returns what gives the generator of a
// call: the same numbers in each call if there is a seed, else new ones.
func (b *BuildContext) source() func(*Call) *rand.Rand {
	if !b.HasAttr("seed") {
		return func(c *Call) *rand.Rand {
			s := State[generator[rand.ChaCha8]](c)
			s.source.Seed(entropy())
			return s.of(&s.source)
		}
	}
	seed := uint64(math.Float32bits(b.Float("seed", 0)))
	return func(c *Call) *rand.Rand {
		s := State[generator[rand.PCG]](c)
		s.source.Seed(seed, 0x9e3779b97f4a7c15)
		return s.of(&s.source)
	}
}

// generator is memory for a source, which is seeded in each call, and its Rand.
type generator[S any] struct {
	source S
	r      *rand.Rand
}

func (g *generator[S]) of(s rand.Source) *rand.Rand {
	if g.r == nil {
		g.r = rand.New(s)
	}
	return g.r
}

// randomFill sets output 0, of element type d, to the numbers that next takes from r.
func randomFill(c *Call, d tensor.DType, shape []int, r *rand.Rand, next func(*rand.Rand) float64) error {
	switch d {
	case tensor.Float32, tensor.Float64, tensor.Float16, tensor.BFloat16:
	default:
		return fmt.Errorf("%w: element type %v of output 0", ErrUnsupported, d)
	}
	y := c.Output(0, d, shape...)
	switch d {
	case tensor.Float32:
		for i, v := 0, tensor.Data[float32](y); i < len(v); i++ {
			v[i] = float32(next(r))
		}
	case tensor.Float64:
		for i, v := 0, tensor.Data[float64](y); i < len(v); i++ {
			v[i] = next(r)
		}
	case tensor.Float16:
		for i, v := 0, tensor.Data[tensor.F16](y); i < len(v); i++ {
			v[i] = tensor.F16Of64(next(r))
		}
	case tensor.BFloat16:
		for i, v := 0, tensor.Data[tensor.BF16](y); i < len(v); i++ {
			v[i] = tensor.BF16Of64(next(r))
		}
	}
	return nil
}

// uniform reads low and high and returns the numbers between them.
func (b *BuildContext) uniform() func(*rand.Rand) float64 {
	low, high := float64(b.Float("low", 0)), float64(b.Float("high", 1))
	return func(r *rand.Rand) float64 { return low + (high-low)*r.Float64() }
}

// normal reads mean and scale and returns normally distributed numbers.
func (b *BuildContext) normal() func(*rand.Rand) float64 {
	mean, scale := float64(b.Float("mean", 0)), float64(b.Float("scale", 1))
	return func(r *rand.Rand) float64 { return mean + scale*r.NormFloat64() }
}

// buildRandom builds a generator of a tensor of the attribute shape.
func buildRandom(dist func(*BuildContext) func(*rand.Rand) float64) func(*BuildContext) (Kernel, error) {
	return func(b *BuildContext) (Kernel, error) {
		d, shape, numbers, source := b.DType("dtype", tensor.Float32), b.Ints("shape", nil), dist(b), b.source()
		if !b.HasAttr("shape") {
			return nil, fmt.Errorf("attribute \"shape\" is missing")
		}
		if _, err := tensor.ByteSize(d, shape); err != nil {
			return nil, err
		}
		return func(c *Call) error { return randomFill(c, d, shape, source(c), numbers) }, nil
	}
}

func inferRandom(c *InferContext) error {
	shape := c.Ints("shape", nil)
	if _, err := tensor.Count(shape); err != nil {
		return err
	}
	c.Out[0] = onnx.TensorType(c.DType("dtype", tensor.Float32), onnx.Sizes(shape...)...)
	return nil
}

// buildRandomLike builds a generator of a tensor of the input's shape, and
// type unless the attribute dtype is given.
func buildRandomLike(dist func(*BuildContext) func(*rand.Rand) float64) func(*BuildContext) (Kernel, error) {
	return func(b *BuildContext) (Kernel, error) {
		d, numbers, source := b.DType("dtype", tensor.Undefined), dist(b), b.source()
		return func(c *Call) error {
			x := c.T(0)
			if x == nil {
				return fmt.Errorf("input is absent")
			}
			d := d
			if d == tensor.Undefined {
				d = x.DType()
			}
			return randomFill(c, d, x.Shape(), source(c), numbers)
		}, nil
	}
}

// inferLike gives output 0 the shape of input 0, and its type unless the
// attribute dtype is given.
func inferLike(c *InferContext) error {
	t := c.In(0)
	t.Kind = onnx.TensorKind
	t.DType = c.DType("dtype", t.DType)
	c.Out[0] = t
	return nil
}
