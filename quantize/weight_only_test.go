package quantize

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func gaussian(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 3))
	w := make([]float32, n)
	for i := range w {
		w[i] = float32(r.NormFloat64())
	}
	return w
}

// blocksError is that of b, relative.
func blocksError(b *Blocks, w []float32) float64 {
	var e, s float64
	for i, v := range w {
		n, k := i/b.K, i%b.K
		d := float64(v) - float64(int(b.Codes[i])-int(b.zero(n, k/b.Block)))*float64(b.Scales[n*b.PerRow()+k/b.Block])
		e += d * d
		s += float64(v) * float64(v)
	}
	return e / s
}

func TestRTN(t *testing.T) {
	const n, k = 20, 200
	w := gaussian(1, n*k)
	last := map[int]float64{}
	for _, bits := range []int{4, 8} {
		for _, block := range []int{16, 32, 64, 128} {
			plain := &Blocks{N: n, K: k, Block: block, Bits: bits, Codes: make([]uint8, n*k), Scales: make([]float32, n*((k+block-1)/block))}
			half := float32(int(1) << (bits - 1))
			for i := range plain.Scales { // the textbook's: the largest magnitude over the greatest code
				row, j := i/plain.PerRow(), i%plain.PerRow()
				part := w[row*k+j*block : row*k+min((j+1)*block, k)]
				var most float32
				for _, v := range part {
					most = max(most, v, -v)
				}
				plain.Scales[i] = most / (half - 1)
				for l, v := range part {
					plain.Codes[row*k+j*block+l] = uint8(math.RoundToEven(float64(v/plain.Scales[i])) + float64(half))
				}
			}
			reference := blocksError(plain, w)
			for _, g := range []BlockGrid{{bits, block, true, true}, {bits, block, true, false}, {bits, block, false, false}} {
				b, err := RTN(w, n, k, nil, g, 1)
				require.NoError(t, err)
				require.Equal(t, g.Symmetric, b.Zeros == nil)
				e := blocksError(b, w)
				require.Less(t, e, reference, g)
				if bits == 4 {
					require.Less(t, e, 0.88*reference, g)
				}
				for i, c := range b.Codes {
					require.Less(t, int(c), 1<<bits, i)
				}
				for _, s := range b.Scales {
					require.True(t, s > 0 || !g.Positive && g.Symmetric, s)
				}
				last[block] = e
				again, err := RTN(w, n, k, nil, g, 5)
				require.NoError(t, err)
				require.Equal(t, b, again, "at any number of threads")
			}
		}
	}
	require.Less(t, last[16], last[128])
}

func TestRTNExact(t *testing.T) {
	// Multiples of a scale are found again.
	w := make([]float32, 32)
	for i := range w {
		w[i] = float32(i%15-7) * 0.25
	}
	b, err := RTN(w, 1, 32, nil, BlockGrid{4, 32, true, true}, 1)
	require.NoError(t, err)
	require.InDelta(t, 0.25, b.Scales[0], 1e-7)
	for i, c := range b.Codes {
		require.Equal(t, i%15-7+8, int(c))
	}
	for i := range w {
		w[i] = float32(i%16-3) * 0.5
	}
	b, err = RTN(w, 1, 32, nil, BlockGrid{4, 32, false, false}, 1)
	require.NoError(t, err)
	require.Equal(t, []uint8{3}, b.Zeros)
	require.InDelta(t, 0.5, b.Scales[0], 1e-7)
	for i, c := range b.Codes {
		require.Equal(t, i%16, int(c))
	}
	for _, tiny := range []float32{0, 1e-40, -1e-40} { // blocks of nothing
		for i := range w {
			w[i] = tiny
		}
		for _, symmetric := range []bool{true, false} {
			b, err = RTN(w, 1, 32, nil, BlockGrid{4, 32, symmetric, false}, 1)
			require.NoError(t, err)
			require.Equal(t, []float32{1}, b.Scales)
			require.Equal(t, b.zero(0, 0), b.Codes[5])
		}
	}
	_, err = RTN(w, 2, 32, nil, BlockGrid{4, 32, true, true}, 1)
	require.ErrorContains(t, err, "want 2 x 32")
	_, err = RTN(w, 1, 32, nil, BlockGrid{3, 32, true, true}, 1)
	require.ErrorContains(t, err, "want 4 or 8")
	_, err = RTN(w, 1, 32, nil, BlockGrid{4, 24, true, true}, 1)
	require.ErrorContains(t, err, "blocks of 24")
}

func TestPacked(t *testing.T) {
	b := &Blocks{N: 2, K: 18, Block: 16, Bits: 4, Codes: make([]uint8, 36), Scales: make([]float32, 4), Zeros: []uint8{1, 2, 3, 4}}
	for i := range b.Codes {
		b.Codes[i] = uint8(i % 16)
	}
	codes, zeros := b.packed()
	require.Equal(t, []int{2, 2, 8}, codes.Shape())
	require.Equal(t, []byte{0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe, 0x10, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22}, codes.Bytes()[:16])
	require.Equal(t, []int{2, 1}, zeros.Shape())
	require.Equal(t, []byte{0x21, 0x43}, zeros.Bytes())

	signed, scale, zero := (&Blocks{N: 1, K: 3, Block: 16, Bits: 4, Codes: []uint8{0, 8, 15}, Scales: []float32{2}}).linear(true)
	require.Nil(t, zero)
	require.Equal(t, tensor.Int4, signed.DType())
	require.Equal(t, []int8{-8, 0, 7}, tensor.Data[int8](tensor.Unpack(signed)))
	require.Equal(t, []int{1, 1}, scale.Shape())
	signed, scale, _ = b.linear(false)
	require.Equal(t, []int{18, 2}, signed.Shape())
	require.Equal(t, []int{2, 2}, scale.Shape())
	require.Equal(t, []uint8{0, 2, 1, 3}, tensor.Data[uint8](tensor.Unpack(signed))[:4])
}

// language is a small model: a table, products of each kind, a last one that shares the table.
func language(b *ops.Builder) []*onnx.Value {
	ids := b.G.AddInput("ids", onnx.TensorType(tensor.Int64, onnx.Sizes(2, 3)...))
	table := normal(b, 1, 50, 40)
	h := b.Op("Gather", nil, table, ids)
	h = b.Op("MatMul", nil, h, normal(b, 2, 40, 37))
	h = b.Op("Reshape", nil, h, b.Ints(6, 37))
	h = b.Op("Gemm", onnx.NewAttrs("alpha", 0.5, "beta", 2.0), h, normal(b, 3, 37, 32), normal(b, 4, 32))
	h = b.Op("Gemm", onnx.NewAttrs("transB", 1, "transA", 1), b.Op("Transpose", onnx.NewAttrs("perm", []int{1, 0}), h), normal(b, 5, 40, 32), normal(b, 6, 40))
	return []*onnx.Value{b.Op("MatMul", nil, h, b.Op("Transpose", onnx.NewAttrs("perm", []int{1, 0}), table))}
}

func TestWeightOnlyFormats(t *testing.T) {
	for _, format := range []string{MatMulNBits, Dequantize} {
		for _, bits := range []int{4, 8} {
			for _, block := range []int{16, 32, 64, 128} {
				for _, asymmetric := range []bool{false, true} {
					t.Run(fmt.Sprint(format, bits, block, asymmetric), func(t *testing.T) {
						m := builtModel(t, 17, language)
						want := results(t, m)
						s, err := WeightOnly(m, WeightOnlyConfig{Format: format, Bits: bits, Block: block, Asymmetric: asymmetric, Embeddings: true, Threads: 2})
						require.NoError(t, err)
						require.Equal(t, 5, s.Changed(), s.Changes)
						c := countOps(m)
						if format == MatMulNBits {
							require.Equal(t, 4, c["MatMulNBits"])
							require.Equal(t, 1, c["GatherBlockQuantized"])
							require.Zero(t, c["MatMul"]+c["Gemm"]+c["Gather"])
							require.Contains(t, change(t, s, "MatMul1").Format, "accuracy_level 0")
						} else {
							require.Equal(t, 5, c["DequantizeLinear"])
							require.GreaterOrEqual(t, m.Opsets[""], 21)
							require.GreaterOrEqual(t, m.IRVersion, int64(10))
							require.Zero(t, m.Opsets[msDomain])
						}
						tables := 0
						for _, v := range m.Graph.Consts {
							if v.Const.DType().Bits() <= 8 && v.Const.Len()*v.Const.DType().Bits()/bits >= 2000 && v.Const.Dim(0) == 50 {
								tables++
							}
						}
						require.Equal(t, 1, tables, "the table is stored once")
						bound := map[int]float64{4: 0.22, 8: 0.015}[bits]
						require.Less(t, deviation(t, results(t, m), want), bound)
					})
				}
			}
		}
	}
}

func TestWeightOnlyChoices(t *testing.T) {
	run := func(c WeightOnlyConfig) (*onnx.Model, *Summary) {
		m := builtModel(t, 17, language)
		s, err := WeightOnly(m, c)
		require.NoError(t, err)
		results(t, m)
		return m, s
	}
	m, s := run(WeightOnlyConfig{SkipHead: true, AccuracyLevel: 4})
	require.Contains(t, change(t, s, "Gather0").Reason, "embeddings")
	require.Contains(t, change(t, s, s.Changes[len(s.Changes)-1].Node).Reason, "logits")
	require.Equal(t, 3, s.Changed())
	for _, n := range m.Graph.Nodes {
		if n.Op == "MatMulNBits" {
			require.EqualValues(t, 4, intAttribute(n, "accuracy_level", 0))
			require.EqualValues(t, 32, intAttribute(n, "block_size", 0))
		}
	}
	require.Contains(t, change(t, s, "MatMul1").Format, "accuracy_level 4")

	// Nothing to do: nothing is declared.
	m, s = run(WeightOnlyConfig{MinElements: 1 << 20})
	require.Zero(t, s.Changed())
	require.Zero(t, m.Opsets[msDomain])
	require.Contains(t, change(t, s, "MatMul1").Reason, "fewer than")

	// Another rounder, with what it is told.
	asked := []string{}
	_, s = run(WeightOnlyConfig{
		Selection: Selection{Ops: []string{"MatMul"}},
		Hessian:   func(node string) []float64 { asked = append(asked, node); return []float64{1} },
		Round: func(w []float32, n, k int, hessian []float64, g BlockGrid, threads int) (*Blocks, error) {
			require.Equal(t, []float64{1}, hessian)
			require.Equal(t, 40, k)
			return RTN(w, n, k, nil, g, threads)
		},
	})
	require.Len(t, asked, 2)
	require.Equal(t, "not among the chosen operators", change(t, s, "Gemm3").Reason)
}

func TestWeightOnlyErrors(t *testing.T) {
	m := builtModel(t, 17, func(b *ops.Builder) []*onnx.Value {
		x := floatInput(b, "x", 16, 16)
		bad := normal(b, 1, 16, 16)
		tensor.Data[float32](bad.Const)[3] = float32(math.Inf(1))
		return []*onnx.Value{
			b.Op("MatMul", nil, x, x), b.Op("MatMul", nil, x, bad), b.Op("MatMul", nil, x, normal(b, 3, 2, 16, 16)), b.Op("MatMul", nil, x, normal(b, 4, 16, 16)),
		}
	})
	nodes := len(m.Graph.Nodes)
	for _, c := range []struct {
		c    WeightOnlyConfig
		text string
	}{
		{WeightOnlyConfig{Bits: 3}, "3 bits"}, {WeightOnlyConfig{Block: 48}, "blocks of 48"}, {WeightOnlyConfig{Format: "gguf"}, `format "gguf"`},
		{WeightOnlyConfig{AccuracyLevel: 5}, "accuracy level 5"}, {WeightOnlyConfig{Selection: Selection{Include: []string{"no"}}}, "no node"},
		{WeightOnlyConfig{Round: func([]float32, int, int, []float64, BlockGrid, int) (*Blocks, error) { return nil, errors.New("boom") }}, "boom"},
		{WeightOnlyConfig{Round: func([]float32, int, int, []float64, BlockGrid, int) (*Blocks, error) { return &Blocks{Block: 32}, nil }}, "rounder gave"},
	} {
		_, err := WeightOnly(m, c.c)
		require.ErrorContains(t, err, c.text)
		require.Len(t, m.Graph.Nodes, nodes)
		require.Equal(t, 0, countOps(m)["MatMulNBits"])
	}
	s, err := WeightOnly(m, WeightOnlyConfig{})
	require.NoError(t, err)
	for i, why := range []string{"not constant", "NaN or infinity", "3 dimensions", ""} {
		require.Contains(t, change(t, s, fmt.Sprintf("MatMul%d", i)).Reason, why)
	}
	require.Equal(t, 1, s.Changed())
}

func TestWeightOnlyFloat16(t *testing.T) {
	for _, format := range []string{MatMulNBits, Dequantize} {
		m := builtModel(t, 17, func(b *ops.Builder) []*onnx.Value {
			x := b.G.AddInput("x", onnx.TensorType(tensor.Float16, onnx.Sizes(4, 64)...))
			w := tensor.New(tensor.Float16, 64, 24)
			tensor.NarrowFrom(w, 0, gaussian(4, 64*24))
			return []*onnx.Value{b.Op("MatMul", nil, x, b.Const(w))}
		})
		want := results(t, m)
		s, err := WeightOnly(m, WeightOnlyConfig{Format: format, Bits: 8})
		require.NoError(t, err)
		require.Equal(t, 1, s.Changed(), s.Changes)
		require.Less(t, deviation(t, results(t, m), want), 0.01)
	}
}

// Blocks of 8 bits are as long as makes a matrix smallest.
func TestWeightOnlyBlocks(t *testing.T) {
	for _, c := range []struct {
		k, padded, plain int // the block of MatMulNBits, which pads, and of Dequantize
	}{{31, 32, 32}, {40, 64, 64}, {96, 32, 128}, {128, 128, 128}, {160, 32, 128}, {768, 128, 128}, {784, 64, 128}} {
		for format, want := range map[string]int{MatMulNBits: c.padded, Dequantize: c.plain} {
			m := builtModel(t, 21, func(b *ops.Builder) []*onnx.Value {
				return []*onnx.Value{b.Op("MatMul", nil, floatInput(b, "x", 3, c.k), normal(b, 1, c.k, 16))}
			})
			want0 := results(t, m)
			s, err := WeightOnly(m, WeightOnlyConfig{Bits: 8, Format: format})
			require.NoError(t, err)
			require.Contains(t, s.Changes[0].Format, fmt.Sprintf("int8 in blocks of %d,", want), c.k)
			require.Less(t, deviation(t, results(t, m), want0), 0.01)
			if c.k%64 == 0 {
				require.LessOrEqual(t, float64(s.After), 0.26*float64(s.Before))
			}
			least := s.After
			for _, block := range []int{32, 64, 128} {
				m := builtModel(t, 21, func(b *ops.Builder) []*onnx.Value {
					return []*onnx.Value{b.Op("MatMul", nil, floatInput(b, "x", 3, c.k), normal(b, 1, c.k, 16))}
				})
				s, err := WeightOnly(m, WeightOnlyConfig{Bits: 8, Format: format, Block: block})
				require.NoError(t, err)
				require.LessOrEqual(t, least, s.After, "k %d, %s, block %d", c.k, format, block)
			}
		}
	}
}

// Layers whose weights have no form in blocks are named.
func TestWeightOnlyUnsuited(t *testing.T) {
	m := builtModel(t, 14, func(b *ops.Builder) []*onnx.Value {
		y := b.Op("GRU", onnx.NewAttrs("hidden_size", 16), floatInput(b, "x", 5, 2, 8), normal(b, 1, 1, 48, 8), normal(b, 2, 1, 48, 16))
		z := b.Op("Conv", nil, floatInput(b, "z", 1, 8, 9), normal(b, 3, 8, 8, 4))
		tiny := b.Op("Conv", nil, z, normal(b, 4, 1, 8, 1))
		return []*onnx.Value{b.Op("MatMul", nil, y, normal(b, 5, 16, 32)), tiny}
	})
	s, err := WeightOnly(m, WeightOnlyConfig{})
	require.NoError(t, err)
	require.Equal(t, 1, s.Changed())
	require.Len(t, s.Changes, 3, "a weight of 8 elements is no loss")
	for _, c := range s.Changes {
		require.Equal(t, c.Op != "MatMul", strings.Contains(c.Reason, "no operator has blocks"), c)
	}
}
