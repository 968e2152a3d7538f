package ops_test

import "testing"

// What it computes is held against finite differences with LSTM itself.
func TestLSTMGradErrors(t *testing.T) { testRecurrentGradErrors(t, "LSTM") }
