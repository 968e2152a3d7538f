package main

import (
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/ops/functions"
)

// supported reports whether an operator runs here: by a kernel, or as the
// function that the standard defines it to be.
func supported(domain, op string, opset int) bool {
	if _, _, err := ops.Standard().Lookup(domain, op, opset); err == nil && domain != ops.Private {
		return true
	}
	_, ok := functions.Body(domain, op, opset)
	return ok
}
