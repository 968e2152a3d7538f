package ops_test

import "testing"

func TestLSTM(t *testing.T) { testRecurrent(t, "LSTM") }

func TestGradientOfLSTM(t *testing.T) { testRecurrentGrad(t, "LSTM") }
