package functions

import (
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
)

func TestBody(t *testing.T) {
	f, ok := Body("ai.onnx", "MeanVarianceNormalization", 13)
	if !ok || len(f.Graph.Nodes) == 0 || len(f.Graph.Inputs) != 1 || len(f.Graph.Outputs) != 1 {
		t.Fatalf("MeanVarianceNormalization: %v %+v", ok, f)
	}
	if a := f.AttrDefaults.Get("axes"); a == nil {
		t.Errorf("MeanVarianceNormalization: no default of axes in %+v", f.AttrDefaults)
	}
	for _, c := range []struct {
		domain, op string
		opset      int
		want       bool
	}{
		{"", "Selu", 22, true},
		{"", "Selu", 17, true}, // in operators of 18
		{"", "Selu", 5, false},
		{"", "HannWindow", 28, true},
		{"", "HannWindow", 16, false},
		{"", "Add", 14, false},
		{"com.microsoft", "Selu", 1, false},
	} {
		if _, ok := Body(c.domain, c.op, c.opset); ok != c.want {
			t.Errorf("Body(%q, %q, %d): %v, want %v", c.domain, c.op, c.opset, ok, c.want)
		}
	}
}

// Every body decodes, is called as its operator is, and refers only to
// attributes that it declares.
func TestAll(t *testing.T) {
	n := 0
	for k, rs := range records() {
		for _, r := range rs {
			n++
			f, err := onnx.DecodeFunction(r.body)
			if err != nil {
				t.Errorf("%v since %d: %v", k, r.since, err)
				continue
			}
			if f.Domain != k.domain || f.Name != k.name {
				t.Errorf("%v since %d: called %q %q", k, r.since, f.Domain, f.Name)
			}
			for _, node := range f.Graph.Nodes {
				for _, a := range node.Attrs {
					if a.Ref == "" || f.AttrDefaults.Get(a.Ref) != nil {
						continue
					}
					found := false
					for _, name := range f.AttrNames {
						found = found || name == a.Ref
					}
					if !found {
						t.Errorf("%v since %d: %v refers to attribute %q", k, r.since, node, a.Ref)
					}
				}
			}
			if got := r.opset; got < 1 {
				t.Errorf("%v since %d: opset %d", k, r.since, got)
			}
		}
	}
	if n < 40 {
		t.Errorf("%d bodies", n)
	}
}

func TestDamaged(t *testing.T) {
	if _, err := parse(table[:len(table)/2]); err == nil {
		t.Error("half a table is no error")
	}
	if _, err := parse(nil); err == nil {
		t.Error("no table is no error")
	}
}
