package optimize

import (
	"slices"
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
)

// scan8 is a Scan of opset 8 over a batch of 3 sequences of 4 pairs, with a state of its own for each and a
// weight from around it. lengths may be nil.
func scan8(b *ops.Builder, lengths *onnx.Value, as onnx.Attrs) []*onnx.Value {
	w, h, xs := in(b, "w", 2), in(b, "h", 3, 2), in(b, "xs", 3, 4, 2)
	body := loopBody(b, []string{"h_in", "x"}, []onnx.Type{pair, pair}, func(n *ops.Builder, in []*onnx.Value) []*onnx.Value {
		h := n.Op("Add", nil, n.Op("Mul", nil, in[0], w), in[1])
		return []*onnx.Value{h, n.Op("Tanh", nil, h)}
	})
	return b.Ops("", "Scan", append(onnx.NewAttrs("body", body, "num_scan_inputs", 1), as...), 2, lengths, h, xs)
}

func TestConvertScan(t *testing.T) {
	converts(t, []conversion{
		{"scan from 8", 8, 13, func(b *ops.Builder) { ret(b, scan8(b, nil, nil)...) }, "Scan"},
		{"backward scan from 8", 8, 9, func(b *ops.Builder) {
			y := scan8(b, nil, onnx.NewAttrs("directions", []int{1}))
			ret(b, b.Op("Neg", nil, y[1]), y[0], y[1])
		}, "Scan Neg"},
		{"scan from 8 whose states nobody reads", 8, 21, func(b *ops.Builder) { ret(b, scan8(b, nil, nil)[1]) }, "Scan"},
	})
	m := graphModel(t, 8, func(b *ops.Builder) { ret(b, scan8(b, nil, nil)...) })
	names := func() (s []string) {
		for _, v := range m.Graph.Outputs {
			s = append(s, v.Name)
		}
		return s
	}
	was := names()
	if err := ConvertOpset(m, "", 16); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(was, names()) {
		t.Errorf("outputs %q, were %q", names(), was)
	}
	if problems := onnx.Check(m); len(problems) > 0 {
		t.Error(problems[0])
	}
}
