package main

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// sampler picks the next token by its logits.
type sampler func(logits []float32) (int, error)

// newSampler returns the sampler that takes the most likely token where
// temperature is 0, and else draws one with probability softmax(logits /
// temperature), among the topK most likely ones if topK is above 0.
func newSampler(temperature float64, topK int, seed uint64) sampler {
	r := rand.New(rand.NewPCG(seed, 0))
	return func(logits []float32) (int, error) {
		best := 0
		for i, v := range logits {
			if v != v {
				return 0, fmt.Errorf("the logit of token %d is NaN", i)
			}
			if v > logits[best] {
				best = i
			}
		}
		if math.IsInf(float64(logits[best]), 0) {
			return 0, fmt.Errorf("the largest logit, of token %d, is %v", best, logits[best])
		}
		if temperature == 0 {
			return best, nil
		}
		order := make([]int, len(logits))
		for i := range order {
			order[i] = i
		}
		if topK > 0 && topK < len(order) {
			slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(logits[b], logits[a]) })
			order = order[:topK]
		}
		weights := make([]float64, len(order))
		sum := 0.0
		for i, token := range order {
			weights[i] = math.Exp((float64(logits[token]) - float64(logits[best])) / temperature)
			sum += weights[i]
		}
		x := r.Float64() * sum
		for i, w := range weights {
			if x -= w; x < 0 {
				return order[i], nil
			}
		}
		return best, nil // rounding left a crumb
	}
}
