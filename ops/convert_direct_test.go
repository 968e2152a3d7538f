package ops

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// TestDirectCasts compares every direct conversion with the one by way of numbers of 64 bits.
func TestDirectCasts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for pair, f := range directCasts {
		const n = 20_011
		src := tensor.New(pair[0], n)
		switch pair[0] {
		case tensor.Float32, tensor.Float64, tensor.Float16, tensor.BFloat16:
			v := make([]float64, n)
			for i := range v {
				v[i] = r.NormFloat64() * math.Exp(40*r.NormFloat64())
			}
			copy(v, []float64{0, math.Copysign(0, -1), 0.5, -0.5, 127.5, -128.9, 255, 256, 1<<31 - 1, 1 << 31, -1 << 31, 1 << 62, 1 << 63, -1 << 63, math.NaN(), math.Inf(1), math.Inf(-1), 5e-324})
			for i := range 5000 { // halves between two of float16, and what is next to them
				x := math.Ldexp(float64(i)+0.5, -11-i%14)
				copy(v[100+3*i:], []float64{x, math.Nextafter(x, 0), math.Nextafter(-x, -1e9)})
			}
			storeFloats(src, 0, v, castRules{})
		case tensor.Bool:
			for i := range tensor.Data[bool](src) {
				tensor.Data[bool](src)[i] = r.IntN(2) == 0
			}
		default:
			b := src.Bytes()
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			clear(b[:64])
		}
		got, want := tensor.New(pair[1], n), tensor.New(pair[1], n)
		(&Call{P: par.P{Threads: 3}}).castDirectly(f, got, src)
		(&castRun{want, src, castRules{}}).run(0, n)
		if pair[1] == tensor.Float32 || pair[1] == tensor.Float64 {
			if err := tensor.Compare(got, want, tensor.Tolerance{}); err != nil {
				t.Errorf("%v to %v: %v", pair[0], pair[1], err)
			}
		} else if !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Errorf("%v to %v: other values", pair[0], pair[1])
		}
	}
}
