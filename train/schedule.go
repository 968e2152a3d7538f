package train

import "math"

// Schedule is how the learning rate changes: what it is multiplied by in each
// step. total is how many steps there will be, 0 where that is not known.
type Schedule interface {
	Factor(step, total int) float64
}

// warm is the factor of a linear warm-up, and whether step is in it.
func warm(step, total int, share float64) (float64, bool) {
	n := int(math.Round(share * float64(total)))
	if step >= n {
		return 1, false
	}
	return float64(step+1) / float64(n+1), true
}

// progress is how much of what follows the warm-up is done, from 0 to 1.
func progress(step, total int, share float64) float64 {
	n := int(math.Round(share * float64(total)))
	return min(1, float64(step-n)/math.Max(1, float64(total-n)))
}

// Constant keeps the rate, after a warm-up over the given share of all steps.
type Constant struct{ Warmup float64 }

// Factor implements Schedule.
func (s Constant) Factor(step, total int) float64 {
	f, _ := warm(step, total, s.Warmup)
	return f
}

// StepDecay multiplies the rate by Gamma after every Every steps.
type StepDecay struct {
	Every int
	Gamma float64 // 0: 0.1
}

// Factor implements Schedule.
func (s StepDecay) Factor(step, _ int) float64 {
	return math.Pow(or(s.Gamma, 0.1), float64(step/max(s.Every, 1)))
}

// Exponential multiplies the rate by Gamma after every step.
type Exponential struct{ Gamma float64 }

// Factor implements Schedule.
func (s Exponential) Factor(step, _ int) float64 { return math.Pow(s.Gamma, float64(step)) }

// Linear falls linearly to Min times the rate, after a warm-up.
type Linear struct{ Warmup, Min float64 }

// Factor implements Schedule.
func (s Linear) Factor(step, total int) float64 {
	if f, in := warm(step, total, s.Warmup); in {
		return f
	}
	return 1 + (s.Min-1)*progress(step, total, s.Warmup)
}

// Cosine falls to Min times the rate along half a cosine, after a warm-up over
// the given share of all steps. Loshchilov and Hutter, SGDR, 2017, without restarts.
type Cosine struct{ Warmup, Min float64 }

// Factor implements Schedule.
func (s Cosine) Factor(step, total int) float64 {
	if f, in := warm(step, total, s.Warmup); in {
		return f
	}
	return s.Min + (1-s.Min)*(1+math.Cos(math.Pi*progress(step, total, s.Warmup)))/2
}

// OneCycle rises from 1/Div of the rate to the rate in the share Rise of all
// steps, then falls to 1/(Div·FinalDiv) of it, both along half a cosine. Smith
// and Topin, Super-convergence, 2018.
type OneCycle struct {
	Rise          float64 // 0: 0.3
	Div, FinalDiv float64 // 0: 25 and 10⁴
}

// Factor implements Schedule.
func (s OneCycle) Factor(step, total int) float64 {
	rise, low := or(s.Rise, 0.3), 1/or(s.Div, 25)
	between := func(a, b, x float64) float64 { return a + (b-a)*(1-math.Cos(math.Pi*x))/2 }
	n := rise * float64(total)
	if float64(step) < n {
		return between(low, 1, float64(step)/math.Max(1, n))
	}
	return between(1, low/or(s.FinalDiv, 1e4), min(1, (float64(step)-n)/math.Max(1, float64(total)-n)))
}
