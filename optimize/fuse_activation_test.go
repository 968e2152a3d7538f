package optimize

import (
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/ops"
)

// TestClipOfOldOpsets: a Clip has its bounds as attributes at first, as inputs from 11 on.
func TestClipOfOldOpsets(t *testing.T) {
	for _, opset := range []int{8, 10, 11, 12, 21} {
		m := graphModel(t, opset, func(b *ops.Builder) {
			x := in(b, "x", 2, 3)
			ret(b, b.Op("Min", nil, b.Op("Relu", nil, x), f32(b, 0.75)), b.Op("Max", nil, b.Op("Min", nil, x, f32(b, 0.5)), f32(b, -0.25)),
				b.Op("Min", nil, b.Op("Relu", nil, x), f32(b, -1)))
		})
		before := m.Clone()
		s := newState(t, m, Options{Check: true})
		var clip *Rule
		for _, p := range portable() {
			for _, r := range p.rules {
				if r.Name == "clip" {
					clip = r
				}
			}
		}
		if err := s.apply(indexOf([]*Rule{clip})); err != nil {
			t.Fatal(err)
		}
		if got := countOp(m.Graph, ".Clip"); got != 2 || countOp(m.Graph, ".Min") != 1 {
			t.Errorf("opset %d: %d Clip, want 2, with the Min that has no room above 0 left", opset, got)
		}
		same(t, before.Graph, m.Graph, rand.New(rand.NewPCG(1, 2)))
	}
}
