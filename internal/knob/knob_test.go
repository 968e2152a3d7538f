package knob

import "testing"

func TestKnob(t *testing.T) {
	n := Int("GNEISS_TEST_N", 3, 1, 9, "a number")
	b := Bool("GNEISS_TEST_B", true, "a switch")
	c := Choice("GNEISS_TEST_C", "", "a choice", "x", "y")
	if n.Int() != 3 || !b.Bool() || c.Get() != "" || n.Err() != nil {
		t.Fatal("defaults", n.Int(), b.Bool(), c.Get())
	}
	t.Setenv("GNEISS_TEST_N", "7")
	t.Setenv("GNEISS_TEST_B", "0")
	t.Setenv("GNEISS_TEST_C", "y")
	if n.Int() != 7 || b.Bool() || c.Get() != "y" || c.Err() != nil {
		t.Fatal("set", n.Int(), b.Bool(), c.Get())
	}
	t.Setenv("GNEISS_TEST_N", "70")
	t.Setenv("GNEISS_TEST_C", "z")
	if n.Int() != 3 || n.Err() == nil || c.Get() != "" || c.Err() == nil {
		t.Fatal("bad values", n.Int(), n.Err(), c.Get(), c.Err())
	}
	names := map[string]bool{}
	for _, k := range All() {
		names[k.Name] = true
	}
	if !names["GNEISS_TEST_N"] || !names["GNEISS_TEST_B"] || !names["GNEISS_TEST_C"] {
		t.Fatal("not listed:", names)
	}
	defer func() {
		if recover() == nil {
			t.Error("a repeated name is accepted")
		}
	}()
	String("GNEISS_TEST_N", "", "again")
}
