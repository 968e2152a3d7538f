package ops_test

import "testing"

func TestGRUTrain(t *testing.T) { testRecurrentTrain(t, "GRU") }
