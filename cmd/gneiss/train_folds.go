package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gneiss-run/gneiss/train"
)

// spread is a figure over the folds of a cross-validation. Std is the standard deviation of these values, as
// numpy.std has it.
type spread struct {
	Mean   float64   `json:"mean"`
	Std    float64   `json:"std"`
	Values []float64 `json:"values"`
}

// foldsResult is the line that train --json prints for a cross-validation.
type foldsResult struct {
	Folds          int               `json:"folds"`
	ValidationLoss spread            `json:"validation_loss"`
	Metrics        map[string]spread `json:"metrics"`
}

func spreadOf(values []float64) spread {
	s := spread{Values: values}
	for _, v := range values {
		s.Mean += v / float64(len(values))
	}
	for _, v := range values {
		s.Std += (v - s.Mean) * (v - s.Mean) / float64(len(values))
	}
	s.Std = math.Sqrt(s.Std)
	return s
}

// checkFolds reports settings that do not go together with folds.
func (c *trainConfig) checkFolds(report string) error {
	switch {
	case c.Folds == 0:
		return nil
	case c.Folds < 2 || c.Folds > 1000:
		return fmt.Errorf("folds is %d, want 2 to 1000", c.Folds)
	case c.Data.Split > 0 || c.Data.Validation.given():
		return fmt.Errorf("folds: each fold of data.train is validated on in its turn: leave out data.validation and data.split (--set data.split=0)")
	case c.Output == "" && (report != "" || c.History != "" || c.Plots != "" || c.SaveWeights != "" || c.Export != nil):
		return fmt.Errorf("folds: --report, history, plots, save_weights and export are of the model that is trained on all samples: output is missing")
	}
	return nil
}

// crossValidate trains once without each fold, tells how the results spread, and with an output trains on all samples.
func (c *trainConfig) crossValidate(cmd *cobra.Command, resume, report string, asJSON bool) error {
	out := cmd.OutOrStdout()
	if resume != "" && !foldsIn(resume) {
		return fmt.Errorf("--resume %s: there is no folder fold-1 in it: want the checkpoint folder of a run with folds", resume)
	}
	result := foldsResult{Folds: c.Folds, Metrics: map[string]spread{}}
	var losses []float64
	metrics := map[string][]float64{}
	epochs := 0
	for i := range c.Folds {
		f := *c
		f.fold, f.division = i+1, division{folds: c.Folds, fold: i, seed: c.Seed}
		f.History, f.Plots, f.SaveWeights, f.Output = "", "", "", ""
		e, err := f.share(cmd, fmt.Sprintf("fold-%d", i+1), resume, "", asJSON)
		if err != nil {
			return err
		}
		epochs += e.Epoch
		losses = append(losses, *e.ValidationLoss)
		for name, v := range e.Metrics {
			metrics[name] = append(metrics[name], v)
		}
	}
	result.ValidationLoss = spreadOf(losses)
	c.scores = map[string]float64{}
	for name, values := range metrics {
		result.Metrics[name] = spreadOf(values)
		c.scores[name] = result.Metrics[name].Mean
	}
	if !asJSON {
		fmt.Fprintf(out, "%d folds: validation %.4f ± %.4f", c.Folds, result.ValidationLoss.Mean, result.ValidationLoss.Std)
		for _, name := range namesOf(result.Metrics) {
			fmt.Fprintf(out, ", %s %.4f ± %.4f", name, result.Metrics[name].Mean, result.Metrics[name].Std)
		}
		fmt.Fprintln(out)
	}
	var err error
	if c.Output != "" {
		f := *c
		f.Metrics, f.Monitor = nil, ""
		if c.Patience > 0 { // there is nothing to hold it against: as long as the folds took
			f.Patience, f.Epochs = 0, max(int(float64(epochs)/float64(c.Folds)+0.5), 1)
		}
		_, err = f.share(cmd, "all", resume, report, asJSON)
	}
	if asJSON { // the last line, and what the folds gave is not lost with the last run
		b, e := json.Marshal(result)
		if e == nil {
			_, e = fmt.Fprintf(out, "%s\n", b)
		}
		err = errors.Join(err, e)
	}
	return err
}

// share is a run of a cross-validation, whose checkpoints and events lie in a folder of its own.
func (c *trainConfig) share(cmd *cobra.Command, name, resume, report string, asJSON bool) (*train.Epoch, error) {
	if c.whole = c.Checkpoint; c.Checkpoint != "" {
		c.Checkpoint = filepath.Join(c.Checkpoint, name)
	}
	if c.TensorBoard != "" {
		c.TensorBoard = filepath.Join(c.TensorBoard, name)
	}
	if resume != "" {
		resume = filepath.Join(resume, name)
		if _, err := os.Stat(resume); errors.Is(err, fs.ErrNotExist) {
			resume = "" // it has not begun
		}
	}
	e, err := c.once(cmd, resume, report, asJSON)
	if stop := (*exitError)(nil); err != nil && c.fold > 0 && !errors.As(err, &stop) {
		err = fmt.Errorf("fold %d: %w", c.fold, err)
	}
	return e, err
}

// foldsIn reports whether path is the checkpoint folder of a cross-validation.
func foldsIn(path string) bool {
	st, err := os.Stat(filepath.Join(path, "fold-1"))
	return err == nil && st.IsDir()
}

// toldEpoch is an epoch with its fold.
type toldEpoch struct {
	Fold int `json:"fold,omitempty"`
	train.Epoch
}
