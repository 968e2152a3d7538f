package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/tensor"
)

// NGramRepeatBlock (com.microsoft): scores, with -∞ for each token that would repeat an n-gram of its row of input_ids.
//
//	input_ids: int64[b, l]    scores, scores_out: float32[b, v]
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.NGramRepeatBlock
func init() {
	register(&Op{Domain: "com.microsoft", Name: "NGramRepeatBlock", Versions: []Version{
		{Since: 1, In: N(2), Out: N(1), InPlace: []int{1},
			Infer: func(c *InferContext) error { c.Out[0] = c.In(1); return nil },
			Build: func(b *BuildContext) (Kernel, error) {
				n := b.Int("ngram_size", 0)
				if n < 1 {
					return nil, fmt.Errorf("attribute \"ngram_size\" is %d, want at least 1", n)
				}
				return func(c *Call) error { return blockRepeats(c, n) }, nil
			}},
	}})
}

func blockRepeats(c *Call, n int) error {
	ids, scores := c.T(0), c.T(1)
	if ids.Rank() != 2 || scores.Rank() != 2 || ids.Dim(0) != scores.Dim(0) {
		return fmt.Errorf("input_ids has shape %v and scores %v, want [b l] and [b v]", ids.Shape(), scores.Shape())
	}
	l, v := ids.Dim(1), scores.Dim(1)
	out := tensor.Data[float32](c.Output(0, tensor.Float32, scores.Shape()...))
	copy(out, tensor.Data[float32](scores))
	for b := range ids.Dim(0) {
		row := tensor.Data[int64](ids)[b*l:][:l]
		for i := 0; i+n <= l; i++ {
			if !slices.Equal(row[i:i+n-1], row[l-n+1:]) {
				continue
			}
			next := row[i+n-1]
			if next < 0 || next >= int64(v) {
				return fmt.Errorf("input_ids has %d, want 0 to %d", next, v-1)
			}
			out[b*v+int(next)] = float32(math.Inf(-1))
		}
	}
	return nil
}
