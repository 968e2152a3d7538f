package optimize

import (
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
)

// TestScanThatIsNoDistance has Scans that nearly compute distances: the rule leaves them.
func TestScanThatIsNoDistance(t *testing.T) {
	square := func(b *ops.Builder, d *onnx.Value) *onnx.Value {
		return b.Op("ReduceSumSquare", onnx.NewAttrs("keepdims", 0), d, b.Ints(1))
	}
	for name, c := range map[string]struct {
		attr string
		sum  func(*ops.Builder, *onnx.Value) *onnx.Value
	}{
		"backwards": {attr: "scan_input_directions", sum: square},
		"of computed rows": {sum: func(b *ops.Builder, d *onnx.Value) *onnx.Value {
			return square(b, b.Op("Sub", nil, b.Op("Neg", nil, d.From.In[0]), d.From.In[1]))
		}},
		"over columns": {sum: func(b *ops.Builder, d *onnx.Value) *onnx.Value {
			return b.Op("ReduceSumSquare", onnx.NewAttrs("keepdims", 0), d, b.Ints(0))
		}},
		"kept": {sum: func(b *ops.Builder, d *onnx.Value) *onnx.Value { return b.Op("ReduceSumSquare", nil, d, b.Ints(1)) }},
		"odd power": {sum: func(b *ops.Builder, d *onnx.Value) *onnx.Value {
			return b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), b.Op("Pow", nil, d, f32(b, 3)), b.Ints(1))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := graphModel(t, 24, func(b *ops.Builder) {
				x := in(b, "x", 2, 5)
				body := distanceBody(b.G, x, false, c.sum)
				as := onnx.NewAttrs("num_scan_inputs", 1, "body", body)
				if c.attr != "" {
					as = onnx.NewAttrs("num_scan_inputs", 1, "body", body, c.attr, []int{1})
				}
				ret(b, b.Op("Scan", as, floats(b, 3, 5)))
			})
			before := m.Clone()
			s := newState(t, m, Options{Check: true})
			if err := s.apply(indexOf(scans)); err != nil {
				t.Fatal(err)
			}
			if n := s.report.Counts["scan-distances"]; n != 0 {
				t.Errorf("the rule was applied %d times", n)
			}
			same(t, before.Graph, m.Graph, rand.New(rand.NewPCG(5, 6)))
		})
	}
}
