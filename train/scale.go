package train

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// LossScale is a factor of the loss that keeps small gradients from becoming 0 in float16, found while training: a step
// with a gradient that is not finite changes nothing but the scale, times Backoff, and Interval steps without one grow
// it. Gradients are divided by it before anything else, sums of Config.Accumulate included. The names and defaults are those
// of torch.amp.GradScaler; Micikevicius et al., Mixed precision training, 2018, section 3.2.
type LossScale struct {
	Initial  float64 // 0: 65536
	Growth   float64 // 0: 2
	Backoff  float64 // 0: 0.5
	Interval int     // 0: 2000
	// Min is where backing off ends: there, a gradient that is not finite is an error of Step. 0: 1
	Min float64
}

func (s LossScale) check() error {
	d := s.defaults()
	switch {
	case !positive(d.Initial) || !positive(d.Min) || d.Min > d.Initial:
		return fmt.Errorf("train: LossScale.Initial is %g and Min %g, want numbers above 0 that float32 has, Initial at least Min", d.Initial, d.Min)
	case !(d.Growth >= 1) || !positive(d.Growth):
		return fmt.Errorf("train: LossScale.Growth is %g, want at least 1", d.Growth)
	case !(d.Backoff > 0 && d.Backoff < 1):
		return fmt.Errorf("train: LossScale.Backoff is %g, want a number between 0 and 1", d.Backoff)
	case d.Interval < 1:
		return fmt.Errorf("train: LossScale.Interval is %d, want at least 1", d.Interval)
	}
	return nil
}

// positive reports whether x is a finite number above 0 as float32.
func positive(x float64) bool { return float32(x) > 0 && !math.IsInf(float64(float32(x)), 0) }

func (s LossScale) defaults() LossScale {
	if s.Interval == 0 {
		s.Interval = 2000
	}
	return LossScale{or(s.Initial, 65536), or(s.Growth, 2), or(s.Backoff, 0.5), s.Interval, or(s.Min, 1)}
}

const (
	scaleName = "train.scale" // float32: of the loss
	// gateName is what decides about an update: the loss, unless its gradients are sums of several, and the sum of the
	// magnitudes of all gradients.
	gateName = "train.gate"
)

// scaler is the loss scale of a Trainer. Its exported fields are part of checkpoints.
type scaler struct {
	limits  LossScale
	Scale   float64 `json:"scale"`
	Good    int     `json:"good"`    // updates since the scale has changed
	Skipped int     `json:"skipped"` // steps in all
}

func newScaler(p *MixedPrecision) *scaler {
	if p == nil || p.Type == tensor.BFloat16 && p.Scale.Initial == 0 {
		return nil
	}
	d := p.Scale.defaults()
	return &scaler{limits: d, Scale: float64(float32(d.Initial))}
}

func (s *scaler) grow() {
	if s.Good++; s.Good < s.limits.Interval {
		return
	}
	s.Good = 0
	if x := float32(s.Scale * s.limits.Growth); positive(float64(x)) {
		s.Scale = float64(x)
	}
}

func (s *scaler) backOff() {
	s.Scale = max(float64(float32(s.Scale*s.limits.Backoff)), float64(float32(s.limits.Min)))
	s.Good = 0
	s.Skipped++
}

// LossScale is the factor of the loss in the next step, 0 where it is not scaled.
func (t *Trainer) LossScale() float64 {
	if t.scaler == nil {
		return 0
	}
	return t.scaler.Scale
}

// Skipped is how many steps have changed nothing because a gradient was not finite; Steps does not count them.
func (t *Trainer) Skipped() int {
	if t.scaler == nil {
		return 0
	}
	return t.scaler.Skipped
}

// unscaled divides gradients by the scale.
func unscaled(b *ops.Builder, grads []*onnx.Value, scale *onnx.Value) {
	for i, d := range grads {
		grads[i] = b.Op("Div", nil, d, b.Op("Cast", onnx.NewAttrs("to", int(d.Type.DType)), scale))
	}
}

// gate adds the value of gateName. loss may be nil.
func gate(b *ops.Builder, loss *onnx.Value, grads []*onnx.Value) *onnx.Value {
	v := b.Op("Reshape", nil, total(b, "ReduceL1", grads), b.Ints(1))
	if loss != nil {
		v = b.Op("Cast", onnx.NewAttrs("to", int(loss.Type.DType)), v)
		v = b.Op("Concat", onnx.NewAttrs("axis", 0), b.Op("Reshape", nil, loss, b.Ints(1)), v)
	}
	if v = b.Op("Identity", nil, v); v != nil {
		v.Name = gateName
	}
	return v
}

// errOverflow is what ends a run with gradients that are not finite.
var errOverflow = errors.New("a gradient is not finite")

// finite checks the value of gateName, or of lossName.
func finite(v []float64, hasLoss bool) error {
	for i, x := range v {
		switch bad := x-x != 0; {
		case bad && hasLoss && i == 0:
			return errNotFinite
		case bad:
			return errOverflow
		}
	}
	return nil
}

// skip lowers the scale after a step with a gradient that is not finite. At its least that is an error, which
// where tells more about.
func (t *Trainer) skip(where func() string) error {
	if t.scaler.Scale <= float64(float32(t.scaler.limits.Min)) {
		return fmt.Errorf("train: step %d: gradients are not finite with the loss scale at its least, %g%s", t.step+1, t.scaler.Scale, where())
	}
	t.scaler.backOff()
	return nil
}

// badGradient names the first node of the backward pass that has a number that is not finite.
func (t *Trainer) badGradient(ctx context.Context, s *runtime.Session, in map[string]tensor.Value) string {
	return t.unoptimised(s, func(s *runtime.Session) string {
		return firstBad(ctx, s, in, t.backward, func(v float64) bool { return v-v != 0 })
	})
}

// badSum names the first parameter whose sum of gradients is not finite.
func (t *Trainer) badSum() string {
	for _, name := range slices.Sorted(maps.Keys(t.sums)) {
		if some(t.sums[name], func(v float64) bool { return v-v != 0 }) {
			return fmt.Sprintf("; that of parameter %q is the first", name)
		}
	}
	return ""
}

// mixedState is what a checkpoint has of mixed precision.
type mixedState struct {
	Type  string  `json:"type"`
	Scale *scaler `json:"loss_scale,omitempty"` // nil: the loss is not scaled
}

func (t *Trainer) mixedState() *mixedState {
	p := t.cfg.MixedPrecision
	if p == nil {
		return nil
	}
	return &mixedState{p.Type.String(), t.scaler}
}

// scalerOf returns the loss scale that a checkpoint has, which must be of a run like this one.
func (t *Trainer) scalerOf(m *mixedState) (*scaler, error) {
	words := func(m *mixedState) string {
		switch {
		case m == nil:
			return "no mixed precision"
		case m.Scale == nil:
			return m.Type + " without a loss scale"
		}
		return m.Type + " with a loss scale"
	}
	if have, want := words(m), words(t.mixedState()); have != want {
		return nil, fmt.Errorf("it is of a run with %s, this one has %s", have, want)
	}
	if t.scaler == nil {
		return nil, nil
	}
	s := *m.Scale
	if !positive(s.Scale) || s.Good < 0 || s.Skipped < 0 {
		return nil, fmt.Errorf("its loss scale is %g after %d good and %d skipped steps, want a finite number above 0, and counts", s.Scale, s.Good, s.Skipped)
	}
	s.limits = t.scaler.limits
	return &s, nil
}
