package ops_test

import "testing"

func TestLSTMTrain(t *testing.T) { testRecurrentTrain(t, "LSTM") }
