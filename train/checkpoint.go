package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/internal/atomicfile"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train/safetensors"
)

// checkpointVersion is that of the format that Save writes.
const checkpointVersion = 1

// checkpointKey is where a checkpoint's metadata has its record.
const checkpointKey = "gneiss.checkpoint"

const (
	checkpointExt = ".safetensors"
	bestPrefix    = "best/"
)

// record is what a checkpoint holds besides tensors.
type record struct {
	Version  int      `json:"version"`
	Step     int      `json:"step"`
	Batches  int      `json:"batches"` // in the sums of gradients
	Seed     uint64   `json:"seed"`
	Position position `json:"position"`
	// Mixed is nil without Config.MixedPrecision.
	Mixed *mixedState `json:"mixed_precision,omitempty"`
}

// Save writes all of t's state to a file in the safetensors format: parameters,
// statistics, the optimizer's memories, where in the data Fit stands, the history.
// The file is there whole, or as it was.
func (t *Trainer) Save(path string) error {
	if t.torn != nil {
		return t.torn
	}
	all := map[string]*tensor.Tensor{}
	for name, x := range t.state {
		all[name] = x
	}
	if t.batches > 0 {
		for name, x := range t.sums {
			all[name+sumSuffix] = x
		}
	}
	for name, x := range t.best {
		all[bestPrefix+name] = x
	}
	r, err := json.Marshal(record{checkpointVersion, t.step, t.batches, t.cfg.Seed, t.at, t.mixedState()})
	if err != nil {
		return fmt.Errorf("train: checkpoint: %w", err)
	}
	if err := safetensors.WriteFile(path, all, map[string]string{checkpointKey: string(r)}); err != nil {
		return fmt.Errorf("train: checkpoint %s: %w", path, err)
	}
	return nil
}

// Resume brings t to the state that Save wrote, so that training goes on as it
// would have. path is the file, or a folder with checkpoints, of which the newest
// that is whole counts. On an error t is as it was.
func (t *Trainer) Resume(path string) error {
	files := []string{path}
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		if files, err = checkpoints(path); err != nil {
			return fmt.Errorf("train: %w", err)
		}
		if len(files) == 0 {
			return fmt.Errorf("train: %s has no checkpoints", path)
		}
		slices.Reverse(files)
	}
	var errs []error
	for _, f := range files {
		err := t.resume(f)
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("train: checkpoint %s: %w", f, err))
		if !errors.Is(err, safetensors.ErrInvalid) {
			break // a checkpoint that is whole, of another run
		}
	}
	return errors.Join(errs...)
}

func (t *Trainer) resume(path string) error {
	all, meta, err := safetensors.ReadFile(path)
	if err != nil {
		return err
	}
	var r record
	if err := json.Unmarshal([]byte(meta[checkpointKey]), &r); err != nil {
		return fmt.Errorf("it holds no state of training (metadata %q)", checkpointKey)
	}
	if r.Version != checkpointVersion {
		return fmt.Errorf("its format is version %d, want %d", r.Version, checkpointVersion)
	}
	if r.Seed != t.cfg.Seed {
		return fmt.Errorf("it is of a run with seed %d, this one has %d", r.Seed, t.cfg.Seed)
	}
	scaler, err := t.scalerOf(r.Mixed)
	if err != nil {
		return err
	}
	take := func(name string, like *tensor.Tensor) (*tensor.Tensor, error) {
		x := all[name]
		if x == nil {
			return nil, fmt.Errorf("it has no tensor %q", name)
		}
		if x.DType() != like.DType() || !slices.Equal(x.Shape(), like.Shape()) {
			return nil, fmt.Errorf("its tensor %q is %v, want %v", name, x, like)
		}
		return x, nil
	}
	state, sums, best := map[string]*tensor.Tensor{}, map[string]*tensor.Tensor{}, map[string]*tensor.Tensor{}
	for name, x := range t.state {
		if state[name], err = take(name, x); err != nil {
			return err
		}
	}
	if r.Batches > 0 {
		for name, x := range t.sums {
			if sums[name], err = take(name+sumSuffix, x); err != nil {
				return err
			}
		}
	}
	for name := range all {
		if name, ok := strings.CutPrefix(name, bestPrefix); ok && t.state[name] != nil {
			if best[name], err = take(bestPrefix+name, t.state[name]); err != nil {
				return err
			}
		}
	}
	if err := t.setState(state); err != nil { // which take has ruled out
		return err
	}
	t.step, t.batches, t.at, t.torn, t.scaler = r.Step, r.Batches, r.Position, nil, scaler
	if r.Batches > 0 {
		t.sums = sums
	}
	if len(best) > 0 {
		t.best = best
	}
	return nil
}

// checkpoint writes the state to a new file in dir and removes all but keep.
func (t *Trainer) checkpoint(dir string, keep int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("train: checkpoint: %w", err)
	}
	if keep == 0 {
		keep = 3
	}
	// What a killed process has left half written.
	left, err := filepath.Glob(filepath.Join(globEscape(dir), atomicfile.Pattern("step-*"+checkpointExt)))
	if err != nil {
		return fmt.Errorf("train: checkpoint: %w", err)
	}
	for _, f := range left {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("train: checkpoint: %w", err)
		}
	}
	name := fmt.Sprintf("step-%09d-%06d%s", t.step, t.at.Epoch, checkpointExt)
	if err := t.Save(filepath.Join(dir, name)); err != nil {
		return err
	}
	files, err := checkpoints(dir)
	if err != nil {
		return fmt.Errorf("train: checkpoint: %w", err)
	}
	for _, f := range files[:max(0, len(files)-keep)] {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("train: checkpoint: %w", err)
		}
	}
	return nil
}

// checkpoints returns the checkpoints in dir, oldest first.
func checkpoints(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(globEscape(dir), "step-*"+checkpointExt))
	slices.Sort(files)
	return files, err
}

// globEscape has filepath.Glob take dir as it is.
func globEscape(dir string) string {
	return strings.NewReplacer(`*`, `[*]`, `?`, `[?]`, `[`, `[[]`).Replace(dir)
}
