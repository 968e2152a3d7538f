package train

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/gneiss-run/gneiss/internal/atomicfile"
	"github.com/gneiss-run/gneiss/tensor"
)

// Record is the record of one batch.
type Record struct {
	Step    int     `json:"step"` // updates, with this one
	Epoch   int     `json:"epoch"`
	Loss    float64 `json:"loss"`
	Rate    float64 `json:"learning_rate"`
	Samples int     `json:"samples"`
	Seconds float64 `json:"seconds"` // for this batch, making it included
	// GradNorm is the L2 norm of all gradients before they were clipped to it, with Config.GradNorm; nil where
	// it is not known.
	GradNorm *float64 `json:"grad_norm,omitempty"`
	// Skipped says that this batch's step was skipped, LossScale what the scale is behind it: see the type of that name.
	Skipped   bool    `json:"skipped,omitempty"`
	LossScale float64 `json:"loss_scale,omitempty"`
}

// History is what Fit has recorded: all epochs, those before an interruption included, and the
// batches of this process.
type History struct {
	Epochs  []Epoch  `json:"epochs"`
	Batches []Record `json:"batches"`
}

// WriteFile writes h as .json, or as .csv with a row for each batch, and in that of an
// epoch's last one its validation loss and metrics. The file is there whole, or as it was.
func (h *History) WriteFile(path string) error {
	write := h.writeJSON
	switch filepath.Ext(path) {
	case ".json":
	case ".csv":
		write = h.writeCSV
	default:
		return fmt.Errorf("train: history %s: want a name that ends in .json or .csv", path)
	}
	if err := atomicfile.Write(path, write); err != nil {
		return fmt.Errorf("train: history %s: %w", path, err)
	}
	return nil
}

func (h *History) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "\t")
	return e.Encode(h)
}

func (h *History) writeCSV(w io.Writer) error {
	metrics := map[string]bool{}
	for _, e := range h.Epochs {
		for name := range e.Metrics {
			metrics[name] = true
		}
	}
	names := slices.Sorted(maps.Keys(metrics))
	c := csv.NewWriter(w)
	scaled := slices.ContainsFunc(h.Batches, func(b Record) bool { return b.LossScale > 0 })
	write := func(row []string, scale ...string) error {
		if scaled {
			row = append(row, scale...)
		}
		return c.Write(row)
	}
	if err := write(append([]string{"step", "epoch", "loss", "learning_rate", "grad_norm", "samples", "seconds", "train_loss", "validation_loss"}, names...), "loss_scale", "skipped"); err != nil {
		return err
	}
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	ends := func(e Epoch) []string {
		row := []string{number(e.TrainLoss), ""}
		if e.ValidationLoss != nil {
			row[1] = number(*e.ValidationLoss)
		}
		for _, name := range names {
			text := ""
			if v, ok := e.Metrics[name]; ok {
				text = number(v)
			}
			row = append(row, text)
		}
		return row
	}
	last := map[int]int{} // batches by epoch
	for i, b := range h.Batches {
		last[b.Epoch] = i
	}
	byEpoch := map[int]Epoch{}
	for _, e := range h.Epochs {
		byEpoch[e.Epoch] = e
		if _, ok := last[e.Epoch]; !ok {
			if err := write(append([]string{"", strconv.Itoa(e.Epoch), "", number(e.Rate), "", "", number(e.Seconds)}, ends(e)...), "", ""); err != nil {
				return err
			}
		}
	}
	for i, b := range h.Batches {
		norm := ""
		if b.GradNorm != nil {
			norm = number(*b.GradNorm)
		}
		row := []string{strconv.Itoa(b.Step), strconv.Itoa(b.Epoch), number(b.Loss), number(b.Rate), norm, strconv.Itoa(b.Samples), number(b.Seconds)}
		if e, ok := byEpoch[b.Epoch]; ok && last[b.Epoch] == i {
			row = append(row, ends(e)...)
		} else {
			row = append(row, make([]string, 2+len(names))...)
		}
		if err := write(row, number(b.LossScale), strconv.FormatBool(b.Skipped)); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// GradNorm is the L2 norm of all gradients of the last update, after ClipValue and before ClipNorm: with
// Config.GradNorm, else NaN.
func (t *Trainer) GradNorm() float64 {
	if t.norm == nil || !t.normKnown {
		return math.NaN()
	}
	return float64(tensor.Data[float32](t.norm)[0])
}
