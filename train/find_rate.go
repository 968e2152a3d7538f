package train

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/tensor"
)

// RatePoint is one step of FindRate.
type RatePoint struct {
	Rate float64
	Loss float64 // a moving average
}

// FindRate trains for steps steps while the learning rate rises from lo to hi by equal
// factors, and returns the losses and a rate to train with: the one at which the
// loss falls fastest. It ends early where the loss has become four times the least.
// Afterwards t is as it was.
//
// Smith, Cyclical learning rates for training neural networks, 2017, section 3.3.
func (t *Trainer) FindRate(ctx context.Context, l *Loader, lo, hi float64, steps int) (points []RatePoint, best float64, err error) {
	if !(lo > 0 && lo < hi) || steps < 10 {
		return nil, 0, fmt.Errorf("train: rates from %g to %g in %d steps, want 0 < lo < hi and at least 10 steps", lo, hi, steps)
	}
	if t.torn != nil {
		return nil, 0, t.torn
	}
	if t.batches != 0 {
		return nil, 0, fmt.Errorf("train: gradients are being accumulated: find the rate before training")
	}
	if err := l.check(); err != nil {
		return nil, 0, err
	}
	saved, step := make(map[string]*tensor.Tensor, len(t.state)), t.step
	for name, x := range t.state {
		saved[name] = x.Clone()
	}
	var scaled scaler
	if t.scaler != nil {
		scaled = *t.scaler
	}
	defer func() {
		if t.scaler != nil {
			*t.scaler = scaled
		}
		t.step, t.batches, t.fixedRate, t.torn = step, 0, 0, nil
		err = errors.Join(err, t.setState(saved))
	}()
	const smooth = 0.9
	average, weight, least := 0.0, 0.0, math.Inf(1)
	for epoch := 0; len(points) < steps; epoch++ {
		for b, err := range l.Epoch(ctx, epoch, 0) {
			if err != nil {
				return nil, 0, err
			}
			t.fixedRate = lo * math.Pow(hi/lo, float64(len(points))/float64(steps-1))
			loss, err := t.Step(ctx, b)
			if err != nil {
				if ctx.Err() == nil && len(points) >= 10 { // it has diverged
					return points, steepest(points), nil
				}
				return nil, 0, err
			}
			average, weight = smooth*average+(1-smooth)*loss, smooth*weight+(1-smooth)
			p := RatePoint{t.fixedRate, average / weight}
			points = append(points, p)
			least = min(least, p.Loss)
			if len(points) == steps || len(points) >= 10 && p.Loss > 4*least {
				return points, steepest(points), nil
			}
		}
	}
	return points, steepest(points), nil
}

// steepest returns the rate at which the loss falls fastest, over several points.
func steepest(points []RatePoint) float64 {
	const span = 4
	best, fall := points[0].Rate, math.Inf(-1)
	for i := span; i < len(points); i++ {
		if d := points[i-span].Loss - points[i].Loss; d > fall {
			best, fall = points[i-span/2].Rate, d
		}
	}
	return best
}
