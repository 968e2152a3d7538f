package peak

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// TestLoops: each loop does the work that it is credited with, and gives the
// same as the generic one.
func TestLoops(t *testing.T) {
	const n = 1000
	for _, tab := range tables() {
		t.Run(tab.name, func(t *testing.T) {
			var x, y, out [64]byte
			for i := range 16 {
				binary.LittleEndian.PutUint32(x[i*4:], math.Float32bits(0.5))
				binary.LittleEndian.PutUint32(y[i*4:], math.Float32bits(-3))
			}
			tab.float(n, unsafe.Pointer(&x), unsafe.Pointer(&y), unsafe.Pointer(&out))
			sum := float32(0)
			for i := range 16 {
				sum += math.Float32frombits(binary.LittleEndian.Uint32(out[i*4:]))
			}
			require.Equal(t, float32(-1.5)*float32(n*tab.floatOps), sum)

			x, y, out = [64]byte{}, [64]byte{}, [64]byte{}
			for i := range 64 {
				x[i], y[i] = 200, 0xce // -50: two products fit 16 bits
			}
			tab.bytes(n, unsafe.Pointer(&x), unsafe.Pointer(&y), unsafe.Pointer(&out))
			total := int64(0)
			for i := range 16 {
				total += int64(int32(binary.LittleEndian.Uint32(out[i*4:])))
			}
			require.Equal(t, int64(-10000*n*tab.bytesOps), total)

			src := make([]byte, 3*tab.block+1)[1:]
			r := rand.New(rand.NewPCG(1, 2))
			want := uint64(0)
			for i := range src {
				src[i] = byte(r.Uint32())
			}
			for i := 0; i < len(src); i += 8 {
				want += binary.LittleEndian.Uint64(src[i:])
			}
			out = [64]byte{}
			tab.read(3, unsafe.Pointer(&src[0]), unsafe.Pointer(&out))
			got := uint64(0)
			for i := 0; i < 64; i += 8 {
				got += binary.LittleEndian.Uint64(out[i:])
			}
			require.Equal(t, want, got)
		})
	}
}

func TestMeasure(t *testing.T) {
	m := Measure(1)
	for _, v := range []float64{m.Float32, m.Int8, m.Read} {
		require.Greater(t, v, 1e7)
		require.Less(t, v, 1e14)
	}
	t.Logf("%s: %.1f GFLOP/s, %.1f Gop/s of bytes, %.1f GB/s", cpu.Level(), m.Float32/1e9, m.Int8/1e9, m.Read/1e9)
}
