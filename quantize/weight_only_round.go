package quantize

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/internal/par"
)

// BlockGrid says which codes weights may have.
type BlockGrid struct {
	Bits  int // 4 or 8
	Block int // weights that share a scale, along K
	// Symmetric fixes the zero point at 2^(Bits-1).
	Symmetric bool
	// Positive forbids negative scales. With one, the weight of largest magnitude
	// can have the code 0, of which there is no opposite.
	Positive bool
}

// Blocks is a matrix W [N, K] in blocks along K: W[n, k] is about
// (Codes[n·K+k] - zero) · scale, with the parameters of block k/Block of row n.
type Blocks struct {
	N, K, Block, Bits int
	Codes             []uint8   // [N, K], below 2^Bits
	Scales            []float32 // [N, ⌈K/Block⌉]
	Zeros             []uint8   // likewise; nil: 2^(Bits-1)
}

// PerRow returns the number of blocks of a row.
func (b *Blocks) PerRow() int { return (b.K + b.Block - 1) / b.Block }

// Rounder chooses the codes of a matrix w [n, k]. hessian is XᵀX [k, k] of the
// inputs X [samples, k] that the matrix was calibrated with, nil if it was not.
// The result must not depend on threads, which bounds the goroutines. This is the
// place for methods that look at more than one weight at a time (GPTQ, AWQ, HQQ).
type Rounder func(w []float32, n, k int, hessian []float64, g BlockGrid, threads int) (*Blocks, error)

// RTN is the Rounder that rounds each weight to the nearest code. The scale of a
// block is that of least squared error among a few that cut off more or less of
// the largest weight, then fitted to the codes by least squares. It has no use
// for a Hessian.
func RTN(w []float32, n, k int, _ []float64, g BlockGrid, threads int) (*Blocks, error) {
	if len(w) != n*k || n < 1 || k < 1 {
		return nil, fmt.Errorf("quantize: %d weights, want %d x %d", len(w), n, k)
	}
	if err := g.check(); err != nil {
		return nil, err
	}
	b := &Blocks{N: n, K: k, Block: g.Block, Bits: g.Bits, Codes: make([]uint8, n*k)}
	per := b.PerRow()
	b.Scales = make([]float32, n*per)
	if !g.Symmetric {
		b.Zeros = make([]uint8, n*per)
	}
	par.P{Threads: threads}.For(n, max(1, 1<<13/k), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			for j := range per {
				from, to := i*k+j*g.Block, i*k+min((j+1)*g.Block, k)
				f := fit{bits: g.Bits, w: w[from:to]}
				if g.Symmetric {
					f.symmetric(g.Positive)
				} else {
					f.asymmetric()
					b.Zeros[i*per+j] = uint8(f.zero)
				}
				b.Scales[i*per+j] = f.finish(b.Codes[from:to])
			}
		}
	})
	return b, nil
}

func (g BlockGrid) check() error {
	switch {
	case g.Bits != 4 && g.Bits != 8:
		return fmt.Errorf("quantize: %d bits, want 4 or 8", g.Bits)
	case g.Block < 16 || g.Block > 256 || g.Block&(g.Block-1) != 0:
		return fmt.Errorf("quantize: blocks of %d, want 16, 32, 64, 128 or 256", g.Block)
	}
	return nil
}

// fit is the search for the parameters of one block.
type fit struct {
	bits  int
	w     []float32
	gain  float64 // how much squared error the best parameters save against zeros
	scale float64 // the best: what weights are divided by
	zero  int
}

// clipped are the shares of the largest weight that the codes reach.
var clipped = []float64{1, 1.05, 0.96, 0.92, 0.88, 0.84, 0.79}

// shares returns those worth a try: with 8 bits hardly anything is gained by cutting off.
func (f *fit) shares() []float64 {
	if f.bits == 8 {
		return clipped[:1]
	}
	return clipped
}

func (f *fit) symmetric(positive bool) {
	half := float64(int(1) << (f.bits - 1))
	var peak float64 // of largest magnitude
	for _, v := range f.w {
		if math.Abs(float64(v)) > math.Abs(peak) {
			peak = float64(v)
		}
	}
	f.zero = int(half)
	for _, share := range f.shares() {
		if !positive || peak < 0 {
			f.try(-peak*share/half, f.zero)
		}
		far := peak
		if positive {
			far = math.Abs(peak)
		}
		f.try(far*share/(half-1), f.zero)
	}
}

func (f *fit) asymmetric() {
	var lo, hi float64
	for _, v := range f.w {
		lo, hi = min(lo, float64(v)), max(hi, float64(v))
	}
	most := float64(int(1)<<f.bits - 1)
	f.zero = int(1) << (f.bits - 1)
	if hi == lo {
		return
	}
	zero := int(math.RoundToEven(most * -lo / (hi - lo)))
	for _, share := range f.shares() {
		f.try((hi-lo)*share/most, zero)
	}
	best := f.scale
	for _, z := range []int{max(zero-1, 0), min(zero+1, int(most))} {
		f.try(best, z)
	}
	f.try(max(hi, -lo)/float64(f.zero-1), int(1)<<(f.bits-1))
}

// try keeps a scale and zero point if no others were better so far. Of codes q,
// less the zero point, the best scale is Σwq/Σq², which saves (Σwq)²/Σq² of Σw².
func (f *fit) try(scale float64, zero int) {
	if math.Abs(scale) < minScale {
		return
	}
	if gain, best := f.fitted(scale, zero); gain > f.gain {
		f.gain, f.scale, f.zero = gain, best, zero
	}
}

func (f *fit) fitted(scale float64, zero int) (gain, best float64) {
	// Adding and subtracting 3·2^22 rounds a float32 below 2^21 to the nearest
	// integer, halves to even. The codes' bounds are taken before, which is the same.
	const magic = 3 << 22
	lo, hi := float32(-zero), float32(int(1)<<f.bits-1-zero)
	inverse := float32(1 / scale)
	var wq, qq float32
	for _, v := range f.w {
		q := float32(v * inverse) // a conversion keeps the product from being fused with the sum
		if q < lo {
			q = lo
		}
		if q > hi {
			q = hi
		}
		q = float32(q+magic) - magic
		wq += v * q
		qq += q * q
	}
	if qq == 0 || wq == 0 {
		return 0, 0
	}
	return float64(wq) * float64(wq) / float64(qq), float64(wq) / float64(qq)
}

// finish writes the codes and returns the scale that fits them best.
func (f *fit) finish(codes []uint8) float32 {
	if f.gain == 0 || math.Abs(f.scale) < minScale {
		for i := range codes {
			codes[i] = uint8(f.zero)
		}
		return 1
	}
	lo, hi := float64(-f.zero), float64(int(1)<<f.bits-1-f.zero)
	var wq, qq float64
	for i, v := range f.w {
		q := min(max(math.RoundToEven(float64(v)/f.scale), lo), hi)
		wq += float64(v) * q
		qq += q * q
		codes[i] = uint8(int(q) + f.zero)
	}
	if qq == 0 || math.Abs(wq/qq) < minScale {
		return float32(f.scale)
	}
	return float32(wq / qq)
}
