package main

import (
	"math"
	"math/rand/v2"

	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
)

// sizes are the numbers of users, items and hours.
var sizes = []int{400, 200, 24}

const numbers = 4 // such as the price and the age of an item

// clicks are views of items, and whether they were clicked at.
type clicks struct {
	train.Arrays
	logits *tensor.Tensor // of the true probabilities, [n, 1]
}

// newClicks draws n clicks by a hidden model. Users and items have tastes, vectors whose
// product counts; hours have an effect of their own; the numbers count by themselves, one of
// them differently by user. Popular items are seen more often.
func newClicks(seed uint64, n int) clicks {
	r := rand.New(rand.NewPCG(seed, 0))
	const taste = 3
	draw := func(n int, std float64) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = std * r.NormFloat64()
		}
		return v
	}
	users, items := draw(sizes[0]*taste, 1), draw(sizes[1]*taste, 1)
	mood, hour, weight := draw(sizes[0], 0.5), draw(sizes[2], 0.5), draw(numbers, 0.5)

	x, ids := tensor.New(tensor.Float32, n, numbers), tensor.New(tensor.Int64, n, len(sizes))
	logits, target := tensor.New(tensor.Float32, n, 1), tensor.New(tensor.Float32, n, 1)
	for i := range n {
		row, id := tensor.Data[float32](x)[i*numbers:(i+1)*numbers], tensor.Data[int64](ids)[i*len(sizes):]
		u, h := r.IntN(sizes[0]), r.IntN(sizes[2])
		k := int(float64(sizes[1]) * math.Pow(r.Float64(), 2))
		id[0], id[1], id[2] = int64(u), int64(k), int64(h)
		z := -1 + hour[h]
		for t := range taste {
			z += users[u*taste+t] * items[k*taste+t]
		}
		for j := range row {
			v := r.NormFloat64()
			row[j] = float32(v)
			z += weight[j] * v
		}
		z += mood[u] * float64(row[0])
		tensor.Data[float32](logits)[i] = float32(z)
		if r.Float64() < 1/(1+math.Exp(-z)) {
			tensor.Data[float32](target)[i] = 1
		}
	}
	return clicks{train.Arrays{"numbers": x, "categories": ids, "target": target}, logits}
}

// best returns the loss and the AUC of the true probabilities over samples from on: no model
// is better, but by chance.
func (c clicks) best(from int) (loss, auc float64, err error) {
	z, y := tensor.Data[float32](c.logits)[from:], tensor.Data[float32](c.Arrays["target"])[from:]
	for i, v := range z {
		loss += math.Log1p(math.Exp(-float64(v))) + float64((1-y[i])*v)
	}
	m := &train.AUC{}
	if err := m.Add(tensor.Of(z, len(z), 1), tensor.Of(y, len(y), 1)); err != nil {
		return 0, 0, err
	}
	return loss / float64(len(z)), m.Value(), nil
}
