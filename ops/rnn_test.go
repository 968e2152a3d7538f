package ops_test

import "testing"

func TestRNN(t *testing.T) { testRecurrent(t, "RNN") }

func TestGradientOfRNN(t *testing.T) { testRecurrentGrad(t, "RNN") }
