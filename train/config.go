package train

import (
	"fmt"
	"math"
)

// Config says how a model is trained. Loss and Optimizer are needed; the other
// fields' zero values are right for most.
type Config struct {
	Loss      Loss
	Optimizer Optimizer
	Schedule  Schedule // nil: the rate stays
	// Steps is how many steps the schedule is for. Fit sets it.
	Steps int

	// Outputs names the model's outputs that the loss is for. Empty: the first.
	Outputs []string
	// Target names the input of the training graph with the targets. "": "target".
	// If the model has an input of that name, that input is the target.
	Target string

	// Freeze are patterns of parameter names that stay as they are; * stands for
	// any characters. Only are patterns of those that are trained; empty: all. A pattern of Only that is
	// no parameter's name may be that of scales (or zero points of floats) of MatMulNBits, which are trained then.
	Freeze, Only []string
	// Groups set the learning rate and weight decay of some parameters. The first
	// whose pattern matches counts.
	Groups []Group

	// ClipNorm bounds the L2 norm of all gradients together, 0: no bound. ClipValue
	// bounds the magnitude of each element.
	ClipNorm, ClipValue float64
	// GradNorm has updates compute the L2 norm of all gradients, for Trainer.GradNorm and History.
	GradNorm bool
	// Accumulate adds the gradients of that many batches before each update. 0: 1.
	Accumulate int
	// EMA is the rate of an exponential moving average of the parameters, such as
	// 0.999, which Model returns and evaluation uses then. 0: none.
	EMA float64

	// Recompute makes activations twice to use less memory. Nil: all are kept.
	Recompute *Recompute
	// MixedPrecision computes and keeps activations in 16 bits. Nil: all is float32.
	MixedPrecision *MixedPrecision

	// Seed decides everything that is random. The same seed, data and configuration
	// give the same parameters, bit by bit, at any number of threads.
	Seed uint64
	// Threads caps the threads of a step. 0: one per CPU.
	Threads int
	// MaxMemory bounds a step's intermediate values, in bytes. 0: as for sessions.
	MaxMemory int64
}

// Group is a set of parameters, by patterns of names, with settings of its own.
type Group struct {
	Names       []string
	RateFactor  float64  // times the learning rate. 0: 1
	WeightDecay *float64 // nil: the optimizer's
}

func (c *Config) check() error {
	switch {
	case c.Loss == nil:
		return fmt.Errorf("train: Config.Loss is nil")
	case c.Optimizer == nil:
		return fmt.Errorf("train: Config.Optimizer is nil")
	case !(c.Optimizer.Rate() > 0) || math.IsInf(c.Optimizer.Rate(), 0):
		return fmt.Errorf("train: the learning rate is %g, want a number above 0", c.Optimizer.Rate())
	case !(c.ClipNorm >= 0) || !(c.ClipValue >= 0):
		return fmt.Errorf("train: Config.ClipNorm is %g and ClipValue %g, want numbers of at least 0", c.ClipNorm, c.ClipValue)
	case c.Accumulate < 0 || c.Steps < 0:
		return fmt.Errorf("train: Config.Accumulate is %d and Steps %d, want at least 0", c.Accumulate, c.Steps)
	case c.lazy() && (c.Accumulate > 1 || c.EMA > 0):
		return fmt.Errorf("train: the optimizer is lazy with Config.Accumulate %d and EMA %g: both need all rows in every step", c.Accumulate, c.EMA)
	case c.Recompute != nil && c.Recompute.Auto == (len(c.Recompute.Patterns) > 0):
		return fmt.Errorf("train: Config.Recompute has Auto %v and %d patterns, want one of both", c.Recompute.Auto, len(c.Recompute.Patterns))
	case !(c.EMA >= 0 && c.EMA < 1):
		return fmt.Errorf("train: Config.EMA is %g, want a number in [0, 1)", c.EMA)
	case c.MixedPrecision != nil:
		return c.MixedPrecision.check()
	}
	return nil
}

func (c *Config) lazy() bool {
	o, ok := c.Optimizer.(Lazy)
	return ok && o.IsLazy()
}
