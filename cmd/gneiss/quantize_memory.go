package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
)

// memory measures the peak memory of both models on the first batch of src,
// each in a process of its own: what this one holds besides is of no interest.
// Nothing is measured where the original was overwritten.
func (j *quantizeJob) memory(ctx context.Context, s *runtime.Session, src data.Source) error {
	was, err := os.Stat(j.path)
	if err != nil {
		return err
	}
	is, err := os.Stat(j.out)
	if err != nil {
		return err
	}
	if os.SameFile(was, is) {
		return nil
	}
	dir, err := os.MkdirTemp("", "gneiss-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for b, err := range data.First(src, 1).Batches(ctx) {
		if err != nil {
			return err
		}
		for i, in := range s.Inputs() {
			t := b.Inputs[in.Name]
			if t == nil {
				continue // optional
			}
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("input_%d.pb", i)), onnx.EncodeTensor(in.Name, t), 0o600); err != nil {
				return err
			}
		}
	}
	before, err := j.peakOf(ctx, j.path, dir)
	if err != nil {
		return err
	}
	after, err := j.peakOf(ctx, j.out, dir)
	if err != nil {
		return err
	}
	j.result.Before.PeakRSSBytes, j.result.After.PeakRSSBytes = before, after
	return nil
}

// peakOf is the peak memory of bench on the inputs in dir.
func (j *quantizeJob) peakOf(ctx context.Context, model, dir string) (int64, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	// The third run is the first in memory as it is planned, so more show nothing new.
	cmd := exec.CommandContext(ctx, self, "bench", "--json", "--warmup", "0", "--runs", "3", "--threads", strconv.Itoa(j.threads), "--data", dir, "--", model)
	var out, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		if text := strings.TrimSpace(stderr.String()); text != "" {
			err = errors.New(strings.TrimPrefix(text, "gneiss: "))
		}
		return 0, err
	}
	var r benchResult
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil {
		return 0, err
	}
	return r.PeakRSSBytes, nil
}
