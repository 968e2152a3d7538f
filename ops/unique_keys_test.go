package ops

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/tensor"
)

func uniqueCheck[T integer | float](t *testing.T, draw func(r *rand.Rand) T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{64, 65, 257, 3000} {
		x := make([]T, n)
		for i := range x {
			x[i] = draw(r)
		}
		tx := tensor.Of(x, n)
		compare, err := rowOrder(tx, 1, n, 1)
		require.NoError(t, err)
		want := groupRows(n, compare)
		keys, room := uniqueKeys(&Call{Mem: heap{}}, tx)
		require.NotNil(t, keys)
		got := groupKeys(sortKeys(keys, room))
		require.Equal(t, want, got)
		got.byFirst()
		for i, f := range got.first { // in order of appearance, each element of its group
			require.True(t, i == 0 || f > got.first[i-1])
			require.Equal(t, int64(i), got.inverse[f])
		}
		for i, group := range got.inverse {
			require.Zero(t, compare(i, int(got.first[group])))
			require.LessOrEqual(t, got.first[group], int64(i))
		}
		sum := int64(0)
		for _, v := range got.counts {
			sum += v
		}
		require.Equal(t, int64(n), sum)
	}
}

func TestUniqueByKeys(t *testing.T) {
	whole := func(r *rand.Rand) uint64 {
		return []uint64{r.Uint64(), r.Uint64() % 100, -r.Uint64() % 50, 1 << 63, 1<<63 - 1, math.MaxUint64, 0, 1 << 31, 0xff80}[r.IntN(9)]
	}
	uniqueCheck(t, func(r *rand.Rand) int8 { return int8(whole(r)) })
	uniqueCheck(t, func(r *rand.Rand) int16 { return int16(whole(r)) })
	uniqueCheck(t, func(r *rand.Rand) int32 { return int32(whole(r)) })
	uniqueCheck(t, func(r *rand.Rand) int64 { return int64(whole(r)) })
	uniqueCheck(t, func(r *rand.Rand) uint8 { return uint8(whole(r)) })
	uniqueCheck(t, func(r *rand.Rand) uint16 { return uint16(whole(r)) })
	uniqueCheck(t, func(r *rand.Rand) uint32 { return uint32(whole(r)) })
	uniqueCheck(t, whole)
	float := func(r *rand.Rand) float64 {
		return []float64{r.NormFloat64(), float64(r.IntN(9) - 4), 0, math.Copysign(0, -1), math.NaN(), -math.NaN(), math.Inf(1), math.Inf(-1),
			5e-324, math.Float64frombits(r.Uint64())}[r.IntN(10)]
	}
	uniqueCheck(t, float)
	uniqueCheck(t, func(r *rand.Rand) float32 { return float32(float(r)) })
}
