package cpu

import "testing"

func TestForce(t *testing.T) {
	all := len(Levels())
	for i, name := range found {
		restore, err := Force(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := Levels(); len(got) != i+1 || got[i] != name || !Has(Generic) || !Has(name) {
			t.Errorf("forced to %s: %v", name, got)
		}
		restore()
	}
	if len(Levels()) != all {
		t.Error("not restored")
	}
	if _, err := Force("sse9"); err == nil {
		t.Error("an unknown level is accepted")
	}
	if limitOf("") != len(found) || limitOf(Generic) != 1 {
		t.Error("caps")
	}
}
