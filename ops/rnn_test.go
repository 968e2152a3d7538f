package ops_test

import "testing"

func TestRNN(t *testing.T) { testRecurrent(t, "RNN") }
