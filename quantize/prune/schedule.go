package prune

import "math"

// Schedule is the gradual pruning of Zhu and Gupta (2017): between the steps
// Begin and End of a training the sparsity goes from Initial to Final, fast at
// first, while there is much that is redundant, then ever slower:
//
//	Final + (Initial-Final) * (1 - (step-Begin)/(End-Begin))³
//
// A Schedule is a value and safe for concurrent use.
type Schedule struct {
	Initial, Final float64
	Begin, End     int
	// Every is the number of steps between two prunings; less than 1 means 1.
	Every int
}

// Sparsity returns the fraction of weights that are zero after that step.
func (s Schedule) Sparsity(step int) float64 {
	switch {
	case step < s.Begin:
		return s.Initial
	case step >= s.End:
		return s.Final
	}
	left := 1 - float64(step-s.Begin)/float64(s.End-s.Begin)
	return s.Final + (s.Initial-s.Final)*math.Pow(left, 3)
}

// Due reports whether weights are to be pruned after that step: every Every
// steps from Begin on, and at End.
func (s Schedule) Due(step int) bool {
	if step < s.Begin || step > s.End {
		return false
	}
	return step == s.End || (step-s.Begin)%max(s.Every, 1) == 0
}
