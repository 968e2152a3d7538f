package ops_test

import "testing"

func TestGRU(t *testing.T) { testRecurrent(t, "GRU") }
