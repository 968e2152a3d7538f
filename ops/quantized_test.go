package ops_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

// byteTensor returns random bytes of type d, many of them extreme.
func byteTensor(rng *rand.Rand, d tensor.DType, shape ...int) *tensor.Tensor {
	t := tensor.New(d, shape...)
	for i := range t.Bytes() {
		t.Bytes()[i] = []byte{byte(rng.Uint32()), byte(rng.Uint32()), 0, 127, 128, 255}[rng.IntN(6)]
	}
	return t
}

func byteAt(t *tensor.Tensor, i int) int32 {
	if t.DType() == tensor.Int8 {
		return int32(int8(t.Bytes()[i]))
	}
	return int32(t.Bytes()[i])
}

// plainSums returns the product of stacks of matrices, aAt and bAt those of each, with
// zero points, one or one for each row or column, of all matrices or of each.
func plainSums(a, b, za, zb *tensor.Tensor, m, k, n int, aAt, bAt []int) []int32 {
	zero := func(z *tensor.Tensor, mat, i, size int) int32 {
		switch z.Len() {
		case 1:
			i = 0
		case size:
		default:
			i += mat * size
		}
		return byteAt(z, i)
	}
	var out []int32
	for x := range aAt {
		for i := range m {
			for j := range n {
				s := int32(0)
				for p := range k {
					s += (byteAt(a, (aAt[x]*m+i)*k+p) - zero(za, aAt[x], i, m)) * (byteAt(b, (bAt[x]*k+p)*n+j) - zero(zb, bAt[x], j, n))
				}
				out = append(out, s)
			}
		}
	}
	return out
}

// byteOf returns s·scale as a byte of type d with a zero point.
func byteOf(s int32, scale float32, zero int32, d tensor.DType) byte {
	lo, hi := float64(0), float64(255)
	if d == tensor.Int8 {
		lo, hi = -128, 127
	}
	return byte(int32(min(max(math.RoundToEven(float64(float32(s)*scale))+float64(zero), lo), hi)))
}

// TestByteProducts compares products of bytes of all kinds with plain ones.
func TestByteProducts(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var cases []Case
	for _, d := range []struct {
		m, k, n  int
		lead     []int
		aLead    []int
		bLead    []int
		aAt, bAt []int
	}{
		{m: 1, k: 1, n: 1, lead: []int{1}, aAt: []int{0}, bAt: []int{0}},
		{m: 3, k: 1, n: 5, lead: []int{2}, aAt: []int{0, 1}, bAt: []int{0, 1}},
		{m: 64, k: 9, n: 1, lead: []int{3}, aAt: []int{0, 1, 2}, bAt: []int{0, 1, 2}},
		{m: 5, k: 4, n: 3, lead: []int{2}, aAt: []int{0, 1}, bAt: []int{0, 1}},
		{m: 100, k: 5, n: 4, lead: []int{2}, aAt: []int{0, 1}, bAt: []int{0, 1}},
		{m: 16, k: 49, n: 49, lead: []int{2}, aAt: []int{0, 1}, bAt: []int{0, 1}},
		{m: 17, k: 64, n: 32, lead: []int{2}, aAt: []int{0, 1}, bAt: []int{0, 1}},
		{m: 4, k: 35, n: 70, lead: []int{2, 3}, aLead: []int{2, 1}, bLead: []int{1, 3}, aAt: []int{0, 0, 0, 1, 1, 1}, bAt: []int{0, 1, 2, 0, 1, 2}},
		{m: 2, k: 3, n: 2, lead: []int{2, 3}, aLead: []int{2, 1}, bLead: []int{3}, aAt: []int{0, 0, 0, 1, 1, 1}, bAt: []int{0, 1, 2, 0, 1, 2}},
		{m: 7, k: 6, n: 1, lead: []int{2}, bLead: []int{1}, aAt: []int{0, 1}, bAt: []int{0, 0}},
		{m: 1, k: 40, n: 33, lead: []int{2}, aLead: []int{1}, aAt: []int{0, 0}, bAt: []int{0, 1}},
		{m: 701, k: 4, n: 4, lead: []int{1}, aAt: []int{0}, bAt: []int{0}},
		{m: 530, k: 3, n: 8, lead: []int{2}, aAt: []int{0, 1}, bAt: []int{0, 1}},
		{m: 257, k: 32, n: 1, lead: []int{1}, aAt: []int{0}, bAt: []int{0}},
		{m: 270, k: 7, n: 5, lead: []int{2}, bLead: []int{1}, aAt: []int{0, 1}, bAt: []int{0, 0}},
	} {
		if d.aLead == nil {
			d.aLead = d.lead
		}
		if d.bLead == nil {
			d.bLead = d.lead
		}
		for mix := range 4 {
			for kind := range 5 {
				da, db := []tensor.DType{tensor.Uint8, tensor.Int8}[mix%2], []tensor.DType{tensor.Uint8, tensor.Int8}[mix/2]
				a, b := byteTensor(rng, da, append(slices.Clone(d.aLead), d.m, d.k)...), byteTensor(rng, db, append(slices.Clone(d.bLead), d.k, d.n)...)
				za, zb := byteTensor(rng, da), byteTensor(rng, db)
				sb := F32([]int{}, 0.013)
				switch kind {
				case 1:
					zb = byteTensor(rng, db, d.n)
				case 2:
					zb = byteTensor(rng, db, append(slices.Clone(d.bLead), 1, d.n)...)
					sb = tensor.New(tensor.Float32, zb.Shape()...)
					for i := range tensor.Data[float32](sb) {
						tensor.Data[float32](sb)[i] = rng.Float32() / 30
					}
				case 3:
					za = byteTensor(rng, da, append(slices.Clone(d.aLead), d.m, 1)...)
				case 4: // bytes less zero points are bytes
					zb = tensor.New(db)
					if db == tensor.Uint8 {
						zb.Bytes()[0] = 128
					}
					sb = F32([]int{}, 7)
				}
				out := append(slices.Clone(d.lead), d.m, d.n)
				sums := plainSums(a, b, za, zb, d.m, d.k, d.n, d.aAt, d.bAt)
				name := fmt.Sprintf("%v %v %v %v %d", a.Shape(), da, b.Shape(), db, kind)
				cases = append(cases, Case{Name: name, Op: "MatMulInteger", Opset: 10, In: Vals(a, b, za, zb), Want: Vals(I32(out, sums...))})
				y := tensor.New(da, out...)
				for i, s := range sums {
					x, j := i/(d.m*d.n), i%d.n
					scale := tensor.Data[float32](sb)[0]
					if sb.Len() > 1 {
						scale = tensor.Data[float32](sb)[d.bAt[x]*d.n+j]
						if sb.Len() == d.n {
							scale = tensor.Data[float32](sb)[j]
						}
					}
					y.Bytes()[i] = byteOf(s, float32(0.02)*scale/float32(0.3), byteAt(za, 0), da)
				}
				zy := tensor.New(da)
				zy.Bytes()[0] = za.Bytes()[0]
				cases = append(cases, Case{Name: name, Op: "QLinearMatMul", Opset: 10, In: Vals(a, F32([]int{}, 0.02), za, b, sb, zb, F32([]int{}, 0.3), zy), Want: Vals(y)})
			}
		}
	}
	Run(t, cases)
}
