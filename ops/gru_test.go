package ops_test

import "testing"

func TestGRU(t *testing.T) { testRecurrent(t, "GRU") }

func TestGradientOfGRU(t *testing.T) { testRecurrentGrad(t, "GRU") }
