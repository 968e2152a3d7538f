package train

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// FitOptions says what Fit trains on and for how long.
type FitOptions struct {
	Train      Feed    // a Loader or a Stream
	Validation *Loader // nil: none
	Epochs     int
	Metrics    []Metric // of the first output, on Validation
	// Checkpoint is a folder for checkpoints, one after each epoch, one after every
	// CheckpointSteps steps if that is above 0, and one on interruption. "": none.
	Checkpoint      string
	CheckpointSteps int
	Keep            int // how many checkpoints are kept. 0: 3
	// Patience ends training after that many epochs without a better Monitor; 0:
	// never. The best epoch's parameters are the model's then.
	Patience int
	// Monitor is what better means: a metric's name, or "loss" on Validation (on Train
	// without one). "": "loss".
	Monitor string
	// History, if not nil, gets the records of epochs and batches.
	History *History
	// OnStep and OnEpoch are told of what was done. An error ends training, and is Fit's.
	OnStep, OnEpoch func(*Progress) error
}

// Progress is where training stands.
type Progress struct {
	Epoch, Epochs  int // the one that runs, from 0, and their number
	Batch, Batches int // done in this epoch, and their number
	Step           int // updates in all
	Skipped        int // steps in all that were skipped, see LossScale
	Loss           float64
	MeanLoss       float64 // of this epoch so far
	Rate           float64
	History        []Epoch // of what is finished
}

// Epoch is the record of one epoch.
type Epoch struct {
	Epoch          int                `json:"epoch"` // from 1
	TrainLoss      float64            `json:"train_loss"`
	ValidationLoss *float64           `json:"validation_loss"` // nil without validation
	Metrics        map[string]float64 `json:"metrics"`
	Seconds        float64            `json:"seconds"`
	Rate           float64            `json:"learning_rate"` // of the last step
	// Skipped is how many steps were skipped for gradients that are not finite, see LossScale.
	Skipped int `json:"skipped_steps,omitempty"`
}

// position is where in its data a training run stands.
type position struct {
	Epoch, Batch int
	Batches      int     // of an epoch
	LossSum      float64 // over samples of this epoch
	Samples      float64
	Seconds      float64 // of this epoch before an interruption
	Skipped      int     // steps of this epoch
	History      []Epoch
	Best         float64 // the best value of the monitor
	BestEpoch    int     // counted from 1; 0: none yet
	Ended        bool    // by patience
}

// Fit trains for o.Epochs epochs, from where t stands: after Resume it goes on
// exactly as the interrupted run would have. If ctx ends, it writes a checkpoint,
// if a folder is given, and returns ctx's error with the history so far.
func (t *Trainer) Fit(ctx context.Context, o FitOptions) ([]Epoch, error) {
	if o.Train == nil {
		return nil, fmt.Errorf("train: FitOptions.Train is nil")
	}
	if l, ok := o.Train.(*Loader); ok {
		if l == nil {
			return nil, fmt.Errorf("train: FitOptions.Train is nil")
		}
		if err := l.check(); err != nil {
			return nil, err
		}
	}
	if o.Epochs < 1 {
		return nil, fmt.Errorf("train: FitOptions.Epochs is %d, want at least 1", o.Epochs)
	}
	if o.Monitor == "" {
		o.Monitor = "loss"
	}
	if o.Monitor != "loss" && !slices.ContainsFunc(o.Metrics, func(m Metric) bool { return m.Name() == o.Monitor }) {
		return nil, fmt.Errorf("train: there is no metric %q to monitor", o.Monitor)
	}
	t.cfg.Steps = o.Epochs * o.Train.Len() / t.cfg.Accumulate
	p := &t.at
	if n := o.Train.Len(); p.Batch > 0 && p.Batches != n {
		return p.History, fmt.Errorf("train: training stands at batch %d of an epoch of %d batches: these data have %d, so they are not those it began with", p.Batch, p.Batches, n)
	}
	p.Batches = o.Train.Len()
	for p.Epoch < o.Epochs && !p.Ended {
		err := t.epoch(ctx, &o)
		if err != nil {
			if o.Checkpoint != "" && ctx.Err() != nil {
				if e := t.checkpoint(o.Checkpoint, o.Keep); e != nil {
					err = errors.Join(err, e)
				}
			}
			return p.History, err
		}
		if o.Checkpoint != "" {
			if err := t.checkpoint(o.Checkpoint, o.Keep); err != nil {
				return p.History, err
			}
		}
		if o.OnEpoch != nil {
			if err := o.OnEpoch(t.progress(&o, p.History[len(p.History)-1].TrainLoss)); err != nil {
				return p.History, err
			}
		}
	}
	if o.Patience > 0 && p.BestEpoch > 0 {
		t.restoreBest()
	}
	return p.History, nil
}

func (t *Trainer) progress(o *FitOptions, loss float64) *Progress {
	p := &t.at
	return &Progress{Epoch: p.Epoch, Epochs: o.Epochs, Batch: p.Batch, Batches: o.Train.Len(), Step: t.step, Skipped: t.Skipped(), Loss: loss,
		MeanLoss: p.LossSum / p.Samples, Rate: t.LearningRate(), History: p.History}
}

// epoch finishes the epoch that t stands in.
func (t *Trainer) epoch(ctx context.Context, o *FitOptions) error {
	p := &t.at
	start, before := time.Now(), p.Seconds
	begun := start // of the batch
	defer func() { p.Seconds = before + time.Since(start).Seconds() }()
	for batch, err := range o.Train.Epoch(ctx, p.Epoch, p.Batch) {
		if err != nil {
			return err
		}
		skipped := t.Skipped()
		loss, err := t.Step(ctx, batch)
		skipped = t.Skipped() - skipped
		if err != nil {
			return fmt.Errorf("epoch %d, batch %d: %w", p.Epoch+1, p.Batch+1, err)
		}
		n := float64(data.Batch{Inputs: batch}.Size())
		p.Batch, p.LossSum, p.Samples, p.Skipped = p.Batch+1, p.LossSum+n*loss, p.Samples+n, p.Skipped+skipped
		if h := o.History; h != nil {
			now := time.Now()
			r := Record{Step: t.step, Epoch: p.Epoch + 1, Loss: loss, Rate: t.rate(max(t.step-1, 0)), Samples: int(n), Seconds: now.Sub(begun).Seconds(),
				Skipped: skipped > 0, LossScale: t.LossScale()}
			if norm := t.GradNorm(); norm-norm == 0 && skipped == 0 {
				r.GradNorm = &norm
			}
			h.Batches, begun = append(h.Batches, r), now
		}
		if o.OnStep != nil {
			if err := o.OnStep(t.progress(o, loss)); err != nil {
				return err
			}
		}
		if o.Checkpoint != "" && o.CheckpointSteps > 0 && t.batches == 0 && t.step%o.CheckpointSteps == 0 {
			p.Seconds = before + time.Since(start).Seconds()
			if err := t.checkpoint(o.Checkpoint, o.Keep); err != nil {
				return err
			}
		}
	}
	e := Epoch{Epoch: p.Epoch + 1, TrainLoss: p.LossSum / p.Samples, Metrics: map[string]float64{}, Rate: t.rate(max(t.step-1, 0)), Skipped: p.Skipped}
	monitor := e.TrainLoss
	if o.Validation != nil {
		loss, err := t.Validate(ctx, o.Validation, o.Metrics)
		if err != nil {
			return fmt.Errorf("epoch %d: validation: %w", p.Epoch+1, err)
		}
		e.ValidationLoss, monitor = &loss, loss
		for _, m := range o.Metrics {
			if v := m.Value(); !math.IsNaN(v) {
				e.Metrics[m.Name()] = v
			}
			if m.Name() == o.Monitor {
				monitor = m.Value()
				if m.Greater() {
					monitor = -monitor
				}
			}
		}
	}
	e.Seconds = before + time.Since(start).Seconds()
	p.History = append(p.History, e)
	if o.History != nil {
		o.History.Epochs = slices.Clone(p.History)
	}
	p.Epoch, p.Batch, p.LossSum, p.Samples, p.Skipped = p.Epoch+1, 0, 0, 0, 0
	if o.Patience > 0 {
		if p.BestEpoch == 0 || monitor < p.Best {
			p.Best, p.BestEpoch = monitor, p.Epoch
			t.keepBest()
		} else if p.Epoch-p.BestEpoch >= o.Patience {
			p.Ended = true
		}
	}
	before, start = 0, time.Now() // of the next epoch
	return nil
}

// keepBest copies what inference uses.
func (t *Trainer) keepBest() {
	if t.best == nil {
		t.best = map[string]*tensor.Tensor{}
	}
	for _, v := range t.model.Graph.Consts {
		if x := t.parameter(v.Name); x != nil {
			t.best[v.Name] = x.Clone()
		}
	}
}

func (t *Trainer) restoreBest() {
	for name, x := range t.best {
		for _, to := range []*tensor.Tensor{t.state[name], t.state[name+averageSuffix]} {
			if to != nil {
				_ = to.CopyFrom(x) // a copy of one of its kind
			}
		}
	}
}

// Validate returns the loss over all batches of l, each sample counting the same, with the
// model as inference uses it, and gives its first output and the
// targets to metrics, which are reset before.
func (t *Trainer) Validate(ctx context.Context, l *Loader, metrics []Metric) (float64, error) {
	if t.torn != nil {
		return 0, t.torn
	}
	if t.test == nil {
		if err := t.buildTest(); err != nil {
			return 0, fmt.Errorf("train: %w", err)
		}
	}
	for _, m := range metrics {
		m.Reset()
	}
	takes := t.test.Inputs()
	sum, n := 0.0, 0.0
	for batch, err := range l.Epoch(ctx, 0, 0) {
		if err != nil {
			return 0, err
		}
		given, err := t.probabilities(batch)
		if err != nil {
			return 0, fmt.Errorf("train: %w", err)
		}
		in := make(map[string]tensor.Value, len(takes))
		for _, p := range takes {
			if x := t.parameter(p.Name); x != nil {
				in[p.Name] = x
			} else if x := given[p.Name]; x != nil {
				in[p.Name] = x
			}
		}
		out, err := t.test.Run(ctx, in)
		if err != nil {
			return 0, err
		}
		loss, err := tensor.Float64s(out[lossName].(*tensor.Tensor))
		if err != nil {
			return 0, err
		}
		k := float64(data.Batch{Inputs: batch}.Size())
		sum, n = sum+k*loss[0], n+k
		for _, m := range metrics {
			y, target := out[t.scores].(*tensor.Tensor), batch[t.cfg.Target]
			if target == nil {
				return 0, fmt.Errorf("train: metric %s: the batch has no %q", m.Name(), t.cfg.Target)
			}
			if err := m.Add(y, target); err != nil {
				return 0, fmt.Errorf("metric %s: %w", m.Name(), err)
			}
		}
	}
	return sum / n, nil
}

// buildTest builds the session of validation: inference and the loss.
func (t *Trainer) buildTest() error {
	m := t.model.Clone()
	g := m.Graph
	names := slices.Collect(maps.Keys(t.state))
	t.asInputs(g, names)
	o := &Objective{Builder: ops.NewBuilder(g), target: t.cfg.Target, inputs: map[string]*onnx.Value{}}
	for _, v := range g.Inputs {
		o.inputs[v.Name] = v
	}
	var err error
	if o.Outputs, err = t.outputs(g); err != nil {
		return err
	}
	t.scores = o.Outputs[0].Name
	loss := t.cfg.Loss.Build(o)
	loss = o.Op("Identity", nil, loss)
	if o.Err() != nil {
		return o.Err()
	}
	loss.Name = lossName
	o.Insert(nil)
	g.Outputs = append(g.Outputs, loss)
	t.test, err = runtime.New(m, runtime.Options{Threads: t.cfg.Threads, MaxMemory: t.cfg.MaxMemory})
	return err
}
