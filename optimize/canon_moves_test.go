package optimize

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// randomMove applies an operator that reorders or selects.
func randomMove(b *ops.Builder, r *rand.Rand, x *onnx.Value) *onnx.Value {
	shape, _ := x.Type.Static()
	n, _ := tensor.Count(shape)
	rank := len(shape)
	at := 0
	if rank > 0 {
		at = r.IntN(rank)
	}
	switch r.IntN(7) {
	case 0, 1:
		return b.Op("Transpose", onnx.NewAttrs("perm", r.Perm(rank)), x)
	case 2: // into random factors
		var to []int
		for rest := n; rest > 1 && len(to) < 5; {
			var divs []int
			for d := 2; d <= rest; d++ {
				if rest%d == 0 {
					divs = append(divs, d)
				}
			}
			d := divs[r.IntN(len(divs))]
			to, rest = append(to, d), rest/d
			if len(to) == 5 {
				to[4] *= rest
			}
		}
		return b.Op("Reshape", nil, x, b.Ints(to...))
	case 3:
		if rank < 5 {
			return b.Op("Unsqueeze", nil, x, b.Ints(r.IntN(rank+1)))
		}
	case 4:
		if k := slices.Index(shape, 1); k >= 0 {
			return b.Op("Squeeze", nil, x, b.Ints(k))
		}
	case 5:
		if rank > 1 && n > 12 {
			return b.Op("Gather", onnx.NewAttrs("axis", at), x, b.Const(tensor.Scalar(int64(r.IntN(2*shape[at])-shape[at]))))
		}
	case 6:
		if rank > 0 && shape[at] > 1 && n > 12 {
			lo := r.IntN(shape[at])
			return b.Op("Slice", nil, x, b.Ints(lo), b.Ints(lo+1+r.IntN(shape[at]-lo)), b.Ints(at))
		}
	}
	return x
}

// TestMovesAnyChain shortens random chains and compares the results.
func TestMovesAnyChain(t *testing.T) {
	fired := 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := graphModel(t, 21, func(b *ops.Builder) {
			x := b.Op("Neg", nil, in(b, "x", 2, 6, 4, 3))
			for range 2 + r.IntN(7) {
				x = randomMove(b, r, x)
				if r.IntN(8) == 0 { // others read it too
					ret(b, b.Op("Abs", nil, x))
				}
			}
			ret(b, b.Op("Neg", nil, x))
		})
		before := m.Clone()
		s := newState(t, m, Options{Check: true})
		if err := s.apply(indexOf(moves)); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		fired += s.report.Counts["moves"]
		same(t, before.Graph, m.Graph, r)
		if t.Failed() {
			t.Fatal(fmt.Sprint("seed ", seed))
		}
	}
	if fired < 100 {
		t.Errorf("the rule fired %d times only", fired)
	}
}
