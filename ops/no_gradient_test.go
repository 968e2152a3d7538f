package ops_test

import (
	"os"
	"strings"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/ops/functions"
)

// testdata/no_gradient.txt names every operator that has neither a gradient nor an
// expansion that gives it one, with the reason above it.
func TestOperatorsWithoutGradient(t *testing.T) {
	text, err := os.ReadFile("testdata/no_gradient.txt")
	if err != nil {
		t.Fatal(err)
	}
	listed, reason := map[string]bool{}, ""
	for _, line := range strings.Split(string(text), "\n") {
		switch {
		case strings.HasPrefix(line, "#"):
			reason = line
		case line == "":
			reason = ""
		case reason == "" || listed[line]:
			t.Errorf("%s is listed twice, or without a reason", line)
		default:
			listed[line] = true
		}
	}
	for _, o := range ops.Standard().All() {
		v := o.Versions[len(o.Versions)-1]
		_, defined := functions.Body(o.Domain, o.Name, Latest)
		name := strings.TrimPrefix(o.Domain+"."+o.Name, ".")
		lacks := o.Grad == nil && v.Expand == nil && !defined && o.Domain != ops.Private
		if lacks && !listed[name] {
			t.Errorf("%s has no gradient: give it one, or name it with the reason", name)
		}
		if !lacks && listed[name] {
			t.Errorf("%s is listed, but has a gradient", name)
		}
		delete(listed, name)
	}
	for name := range listed {
		t.Errorf("%s is listed, but is no operator", name)
	}
}
