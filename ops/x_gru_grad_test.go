package ops_test

import "testing"

// What it computes is held against finite differences with GRU itself.
func TestGRUGradErrors(t *testing.T) { testRecurrentGradErrors(t, "GRU") }
