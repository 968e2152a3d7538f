package nbits

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/par"
)

// problem is a product with weights as they are before packing.
type problem struct {
	m, k, n, block, blocks int
	wide                   bool
	codes                  []byte
	scales, zeros          []float32
	x, bias                []float32
	w                      *Weights
}

func newProblem(rng *rand.Rand, m, k, n, block int, wide bool, kind int, withBias bool) *problem {
	p := &problem{m: m, k: k, n: n, block: block, blocks: (k + block - 1) / block, wide: wide}
	top := 16
	if wide {
		top = 256
	}
	floats := func(n int, f func() float32) []float32 {
		s := make([]float32, n)
		for i := range s {
			s[i] = f()
		}
		return s
	}
	p.codes = make([]byte, n*k)
	for i := range p.codes {
		p.codes[i] = byte(rng.IntN(top))
		if rng.IntN(3) == 0 {
			p.codes[i] = byte(top - 1)
		}
	}
	p.scales = floats(n*p.blocks, rng.Float32)
	p.x = floats(m*k, func() float32 { return float32(rng.NormFloat64()) })
	if withBias {
		p.bias = floats(n, rng.Float32)
	}
	p.w = &Weights{N: n, K: k, Block: block, Wide: wide, Scales: PackBlocks(p.scales, n, p.blocks), Zero: byte(top / 2)}
	p.w.Data = Pack(par.P{Threads: 2}, n, k, block, wide, func(i int, row []byte) { copy(row, p.codes[i*k:]) })
	switch kind {
	case sameKind:
		p.zeros = floats(n*p.blocks, func() float32 { return float32(top / 2) })
	case bytesKind:
		z := make([]byte, n*p.blocks)
		p.zeros = floats(len(z), func() float32 { return float32(rng.IntN(top)) })
		for i, v := range p.zeros {
			z[i] = byte(v)
		}
		p.w.Zeros = PackBlocks(z, n, p.blocks)
	case floatsKind:
		p.zeros = floats(n*p.blocks, func() float32 { return float32(top) * rng.Float32() })
		p.w.Reals = PackBlocks(p.zeros, n, p.blocks)
	}
	return p
}

// want returns y[i, j] and the size of what it is the sum of.
func (p *problem) want(i, j int, ints bool) (y, size float64) {
	size = 1e-3
	for q := range p.blocks {
		lo, hi := q*p.block, min((q+1)*p.block, p.k)
		most := 0.0
		for _, v := range p.x[i*p.k+lo : i*p.k+hi] {
			most = max(most, math.Abs(float64(v)))
		}
		zero, scale := float64(p.zeros[j*p.blocks+q]), float64(p.scales[j*p.blocks+q])
		for k := lo; k < hi; k++ {
			v := float64(p.x[i*p.k+k])
			if ints {
				v = math.RoundToEven(float64(float32(v)*(127/float32(most)))) * float64(float32(most)/127)
			}
			f := v * (float64(p.codes[j*p.k+k]) - zero) * scale
			y += f
			size += math.Abs(f)
		}
	}
	if p.bias != nil {
		y += float64(p.bias[j])
	}
	return y, size
}

func TestProducts(t *testing.T) {
	for _, level := range cpu.Levels() {
		t.Run(level, func(t *testing.T) {
			restore, err := cpu.Force(level)
			if err != nil {
				t.Fatal(err)
			}
			defer restore()
			rng := rand.New(rand.NewPCG(5, 6))
			for _, d := range [][4]int{{1, 16, 1, 16}, {3, 40, 17, 16}, {13, 96, 32, 32}, {100, 33, 5, 32}, {2, 300, 50, 64}, {5, 512, 16, 256}, {0, 32, 4, 32}, {1, 1000, 40, 128}, {4, 2048, 33, 1024}} {
				for mix := range 12 {
					kind := mix % 3
					p := newProblem(rng, d[0], d[1], d[2], d[3], mix&4 > 0, kind, mix&1 > 0)
					for _, ints := range []bool{false, true} {
						if ints && kind == floatsKind {
							continue
						}
						var first []float32
						for _, threads := range []int{1, 3} {
							y := make([]float32, p.m*p.n+1)
							y[p.m*p.n] = 77
							f := Mul
							if ints {
								f = MulInt8
							}
							f(par.P{Threads: threads}, p.x, p.m, p.w, p.bias, y[:p.m*p.n])
							if y[p.m*p.n] != 77 {
								t.Fatalf("%v mix %d: wrote outside", d, mix)
							}
							if first == nil {
								first = y
								for i := range p.m {
									for j := range p.n {
										want, size := p.want(i, j, ints)
										// A sum of codes that are not centred has larger terms.
										if got := float64(y[i*p.n+j]); math.Abs(got-want) > 2e-6*size {
											t.Fatalf("%v mix %d ints %t: y[%d,%d] = %v, want %v", d, mix, ints, i, j, got, want)
										}
									}
								}
							}
							for i := range y {
								if y[i] != first[i] {
									t.Fatalf("%v mix %d: element %d depends on the number of threads", d, mix, i)
								}
							}
						}
					}
				}
			}
		})
	}
}

func TestQuantize(t *testing.T) {
	for _, level := range cpu.Levels() {
		restore, _ := cpu.Force(level)
		rng := rand.New(rand.NewPCG(1, 2))
		for _, block := range []int{16, 32, 64, 256} {
			w := &Weights{N: 1, K: 3*block - 5, Block: block, Zeros: []byte{}}
			x := make([]float32, 2*w.K)
			for i := range x {
				x[i] = float32(rng.NormFloat64())
			}
			clear(x[:block])
			a := quantize(par.P{}, x, 2, w)
			for i := range 2 {
				for q := range 3 {
					part := x[i*w.K+q*block : i*w.K+min((q+1)*block, w.K)]
					want := make([]int8, len(part))
					scale, sum := quantizeBlock(want, part)
					if a.scales.S[q*2+i] != scale || a.sums.S[q*2+i] != sum {
						t.Fatalf("%s: row %d block %d: scale %g, sum %d, want %g and %d", level, i, q, a.scales.S[q*2+i], a.sums.S[q*2+i], scale, sum)
					}
					for j, v := range want {
						if got := a.data.S[(i*3+q)*block+j]; got != v {
							t.Fatalf("%s: row %d block %d: %d, want %d", level, i, q, got, v)
						}
					}
				}
			}
		}
		nan := float32(math.NaN())
		x := make([]float32, 16)
		x[3] = nan
		if a := quantize(par.P{}, x, 1, &Weights{N: 1, K: 16, Block: 16}); a.scales.S[0] == a.scales.S[0] {
			t.Errorf("%s: NaN has the scale %g", level, a.scales.S[0])
		}
		restore()
	}
	dst := make([]int8, 4)
	if scale, sum := quantizeBlock(dst, []float32{0, 0, 1, -2}); scale != float32(2)/127 || sum != 64-127 || dst[3] != -127 || dst[2] != 64 {
		t.Errorf("%v, scale %g, sum %d", dst, scale, sum)
	}
}

func BenchmarkProducts(b *testing.B) {
	for _, level := range cpu.Levels()[1:] {
		for _, m := range []int{1, 128} {
			for _, mode := range []string{"int4", "int8", "zeros4", "float4", "float8"} {
				b.Run(fmt.Sprintf("%s/%s/%d", level, mode, m), func(b *testing.B) {
					restore, _ := cpu.Force(level)
					defer restore()
					rng := rand.New(rand.NewPCG(1, 2))
					kind := sameKind
					if mode == "zeros4" {
						kind = bytesKind
					}
					p := newProblem(rng, m, 512, 1408, 32, mode[len(mode)-1] == '8', kind, false)
					y := make([]float32, p.m*p.n)
					f := MulInt8
					if mode[0] == 'f' {
						f = Mul
					}
					for b.Loop() {
						f(par.P{}, p.x, p.m, p.w, nil, y)
					}
					b.ReportMetric(float64(m*p.k*p.n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GMAC/s")
					b.ReportMetric(float64(len(p.w.Data)+4*len(p.w.Scales))*float64(b.N)/b.Elapsed().Seconds()/1e9, "GB/s")
				})
			}
		}
	}
}
