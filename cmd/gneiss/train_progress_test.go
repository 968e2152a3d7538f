package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/train"
)

func TestTrainState(t *testing.T) {
	var s trainState
	at := time.Unix(1000, 0)
	s.begin(at)
	p := &train.Progress{Epoch: 1, Epochs: 4, Batch: 1, Batches: 10, MeanLoss: 0.5, History: []train.Epoch{{Metrics: map[string]float64{"accuracy": 0.75}}}}
	s.step(p, 32, at.Add(time.Second))
	require.Equal(t, "loss 0.5000, accuracy 0.7500", s.text(at.Add(time.Second)))
	p.Batch, p.MeanLoss = 2, 0.25
	s.step(p, 32, at.Add(3*time.Second))
	// 2 s a batch; 8 batches of this epoch and 20 of two more are left.
	require.Equal(t, "loss 0.2500, accuracy 0.7500, 16 samples/s, 56.0 s left", s.text(at.Add(3*time.Second)))
	require.Equal(t, "2 min 5 s", durationText(125))
	require.Equal(t, "3 h 20 min", durationText(12000))
}
