package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gneiss-run/gneiss/train"
)

// trainState is what the bar of a training run shows behind itself.
type trainState struct {
	begun   time.Time // of what speed is measured over
	samples int       // since then
	batches int       // since then
	left    int       // batches to the end of training
	loss    float64
	skipped int                // steps, for gradients that are not finite
	metrics map[string]float64 // of the last epoch
}

// begin starts to measure the speed: what is between epochs does not count.
func (s *trainState) begin(now time.Time) { s.begun, s.samples, s.batches = now, 0, 0 }

// step notes where training stands after a batch of about size samples.
func (s *trainState) step(p *train.Progress, size int, now time.Time) {
	if s.batches++; s.batches == 1 {
		s.begun = now // the first batch waits for its data
	} else {
		s.samples += size
	}
	s.loss, s.skipped = p.MeanLoss, p.Skipped
	s.left = p.Batches - p.Batch + (p.Epochs-p.Epoch-1)*p.Batches
	if n := len(p.History); n > 0 {
		s.metrics = p.History[n-1].Metrics
	}
}

// text is the loss of the epoch so far, metrics of the last one, samples per second, and the time that all
// epochs will still take at this speed.
func (s *trainState) text(now time.Time) string {
	out := fmt.Sprintf("loss %.4f", s.loss)
	for i, name := range slices.Sorted(maps.Keys(s.metrics)) {
		if i < 2 { // a line has no room for more
			out += fmt.Sprintf(", %s %.4f", name, s.metrics[name])
		}
	}
	if s.skipped > 0 {
		out += fmt.Sprintf(", %d skipped", s.skipped)
	}
	took := now.Sub(s.begun).Seconds()
	if s.batches < 2 || took <= 0 {
		return out
	}
	left := float64(s.left) * took / float64(s.batches-1)
	return out + fmt.Sprintf(", %s samples/s, %s left", countText(int64(float64(s.samples)/took)), durationText(left))
}
