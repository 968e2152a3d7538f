package cpu

import (
	"errors"
	"slices"
	"testing"
)

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

func TestLose(t *testing.T) {
	defer func(old []string) { found = old }(found)
	found = append(slices.Clip(found), "test") // a machine may have one level alone
	top := len(found) - 1
	defer limit.Store(limit.Load())
	defer lost.Store(nil)
	limit.Store(int32(len(found)))
	if Lost() != nil {
		t.Error("a level is lost at the start")
	}
	why := errors.New("it is wrong")
	Lose(found[top], why)
	Lose(found[top], errors.New("again"))
	if Has(found[top]) || Level() != found[top-1] || Lost() != why {
		t.Errorf("lost %s: %v, %v", found[top], Levels(), Lost())
	}
}

func TestLastCache(t *testing.T) {
	if n := LastCache(); n < 0 || n > 0 && n < 1<<17 || int64(n) > 1<<32 {
		t.Errorf("%d bytes", n)
	} else {
		t.Logf("%d bytes", n)
	}
}
