package quantize

import (
	"context"
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
)

// LayerError is what a model loses by one node that is quantised alone.
type LayerError struct {
	Node string `json:"node"`
	Op   string `json:"op"`
	// SNR is the lowest signal-to-noise ratio of the model's outputs, in decibels.
	SNR float64 `json:"-"`
	// RelativeL2 is the highest relative L2 error of the outputs.
	RelativeL2 float64 `json:"relative_l2"`
	// Drop is the relative loss of accuracy, where there are labels.
	Drop float64 `json:"drop"`
}

// Sensitivity quantises one of the nodes at a time by make, which is given a
// copy of m and the node's name, and compares the model with base. What hurts
// most comes first: by the loss of accuracy where it differs, then by noise.
// progress, which may be nil, is called after each node.
func Sensitivity(ctx context.Context, m *onnx.Model, nodes []*onnx.Node, make func(m *onnx.Model, node string) error, base *Baseline, o runtime.Options, progress func(done, total int)) ([]LayerError, error) {
	var all []LayerError
	for i, n := range nodes {
		name := NodeName(n)
		c := m.Clone()
		if err := make(c, name); err != nil {
			return nil, fmt.Errorf("node %q: %w", name, err)
		}
		e, err := compareModel(ctx, c, base, o)
		if err != nil {
			return nil, fmt.Errorf("with node %q quantised: %w", name, err)
		}
		all = append(all, LayerError{Node: name, Op: n.Op, SNR: e.SNR(), RelativeL2: e.worst(), Drop: e.Drop()})
		if progress != nil {
			progress(i+1, len(nodes))
		}
	}
	slices.SortStableFunc(all, func(a, b LayerError) int {
		switch {
		case a.Drop != b.Drop && a.Drop > b.Drop, a.Drop == b.Drop && a.SNR < b.SNR:
			return -1
		case a.Drop == b.Drop && a.SNR == b.SNR:
			return 0
		}
		return 1
	})
	return all, nil
}

func compareModel(ctx context.Context, m *onnx.Model, base *Baseline, o runtime.Options) (*Evaluation, error) {
	s, err := runtime.New(m, o)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return base.Compare(ctx, s)
}
