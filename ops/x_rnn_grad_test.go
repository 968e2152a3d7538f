package ops_test

import "testing"

// What it computes is held against finite differences with RNN itself.
func TestRNNGradErrors(t *testing.T) { testRecurrentGradErrors(t, "RNN") }
