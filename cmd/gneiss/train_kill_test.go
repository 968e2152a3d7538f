package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/train"
)

// A process that is killed while it trains, at whatever point, and started again
// with --resume until it is done, writes the very model of one that was left alone.
// GNEISS_TEST_KILLS is how often (default 5; a run is longer for more).
func TestTrainKilled(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testTrainKilled(t, "") })
	t.Run("float16", func(t *testing.T) { // the scale moves all the time
		testTrainKilled(t, "mixed_precision: {type: float16, loss_scale: {initial: 1e9, interval: 3}}\n")
	})
}

func testTrainKilled(t *testing.T, more string) {
	dir := t.TempDir()
	saveSamples(t, filepath.Join(dir, "train.npz"), 300)
	saveSamples(t, filepath.Join(dir, "val.npz"), 60)
	kills := 5
	if n, err := strconv.Atoi(os.Getenv("GNEISS_TEST_KILLS")); err == nil {
		kills = n
	}
	lasting := max(4, kills) // epochs, of 10 steps
	text := strings.Replace(ringConfig, "epochs: 15", fmt.Sprintf("epochs: %d\nema: 0.9\npatience: %d\nmonitor: accuracy", lasting, lasting-1), 1) + more
	config := filepath.Join(dir, "ring.yaml")
	require.NoError(t, os.WriteFile(config, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644))
	whole := filepath.Join(dir, "whole.onnx")
	ok(t, "train", config, "--set", "output="+whole, "--set", "checkpoint="+filepath.Join(dir, "whole"))
	want, err := os.ReadFile(whole)
	require.NoError(t, err)

	r := rand.New(rand.NewPCG(6, 6))
	run, model := filepath.Join(dir, "run"), filepath.Join(dir, "model.onnx")
	began := false // there is a checkpoint
	killed, points := 0, map[string]bool{}
	var epochs []int
	for attempt := 0; ; attempt++ {
		require.Less(t, attempt, 6*kills, "it makes no progress")
		args := []string{"train", config, "--json", "--set", "checkpoint_steps=1"}
		if began {
			args = append(args, "--resume", run)
		}
		var out, errs strings.Builder
		cmd := exec.Command(os.Args[0], args...)
		cmd.Stdout, cmd.Stderr = &out, &errs
		require.NoError(t, cmd.Start())
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		var ended error
		// A step is a millisecond or so: the time counts from the first new
		// checkpoint, or the kill would hit the start of the process alone.
		if killed < kills {
			before := newest(run)
			if killed%10 == 9 { // at the start, too
				before = "-"
				time.Sleep(time.Duration(r.IntN(200)) * time.Millisecond)
			}
			for deadline := time.Now().Add(20 * time.Second); newest(run) == before && time.Now().Before(deadline) && len(done) == 0; {
				time.Sleep(time.Millisecond / 2)
			}
			time.Sleep(time.Duration(r.IntN(8000)) * time.Microsecond)
			cmd.Process.Kill()
		}
		ended = <-done
		for line := range strings.Lines(out.String()) {
			var e train.Epoch
			if json.Unmarshal([]byte(line), &e) == nil { // the last line may be cut off
				epochs = append(epochs, e.Epoch)
			}
		}
		if ended == nil {
			break
		}
		require.Empty(t, errs.String())
		killed++
		points[newest(run)] = true
		began = newest(run) != ""
	}
	require.GreaterOrEqual(t, killed, 2)
	t.Logf("killed %d times, at %d different checkpoints; epochs told of: %v", killed, len(points), epochs)
	got, err := os.ReadFile(model)
	require.NoError(t, err)
	require.Equal(t, want, got)
	left, err := filepath.Glob(filepath.Join(run, ".*"))
	require.NoError(t, err)
	require.Empty(t, left, "half written checkpoints")
	for i := 1; i < len(epochs); i++ {
		require.Greater(t, epochs[i], epochs[i-1], "an epoch is told of once")
	}
}

// newest is the name of the newest checkpoint in dir, "" if there is none.
func newest(dir string) string {
	files, _ := filepath.Glob(filepath.Join(dir, "step-*"))
	if len(files) == 0 {
		return ""
	}
	return filepath.Base(files[len(files)-1])
}

// cancelAfter ends a run when so many lines were written to it.
type cancelAfter struct {
	strings.Builder
	lines  int
	cancel context.CancelFunc
}

func (w *cancelAfter) Write(p []byte) (int, error) {
	n, err := w.Builder.Write(p)
	if strings.Count(w.String(), "\n") >= w.lines {
		w.cancel()
	}
	return n, err
}

// Interrupted by a signal, training says how it goes on, and does: with the
// epochs that were not told of, to the same model.
func TestTrainInterrupted(t *testing.T) {
	dir := t.TempDir()
	saveSamples(t, filepath.Join(dir, "train.npz"), 300)
	saveSamples(t, filepath.Join(dir, "val.npz"), 60)
	config, run1 := filepath.Join(dir, "ring.yaml"), filepath.Join(dir, "run")
	require.NoError(t, os.WriteFile(config, []byte(strings.ReplaceAll(strings.Replace(ringConfig, "epochs: 15", "epochs: 4", 1), "DIR", dir)), 0o644))
	model := filepath.Join(dir, "model.onnx")
	ok(t, "train", config, "--set", "checkpoint="+filepath.Join(dir, "other"))
	want, err := os.ReadFile(model)
	require.NoError(t, err)
	require.NoError(t, os.Remove(model))

	interrupt := func(lines int, args ...string) (string, string) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		out, errs := &cancelAfter{lines: lines, cancel: cancel}, &strings.Builder{}
		require.Equal(t, exitFailed, run(ctx, append([]string{"train", config}, args...), strings.NewReader(""), out, errs))
		return out.String(), errs.String()
	}
	out, errs := interrupt(2)
	require.Equal(t, 2, strings.Count(out, "\n"))
	require.Equal(t, "gneiss: interrupted; --resume "+run1+" goes on from here\n", errs)
	require.NoFileExists(t, model)
	out, errs = interrupt(1, "--resume", run1, "--set", "checkpoint_steps=3")
	require.Regexp(t, `^epoch 3/4: loss [^\n]*\n$`, out)
	require.Regexp(t, `^gneiss: goes on behind step \d+; 2 of 4 epochs are done\ngneiss: interrupted; `, errs)
	r := ok(t, "train", config, "--resume", run1)
	require.Regexp(t, `^epoch 4/4: loss [^\n]*\n[^\n]*model.onnx: opset 20`, r.out)
	got, err := os.ReadFile(model)
	require.NoError(t, err)
	require.Equal(t, want, got)

	// Without a folder for checkpoints there is nothing to go on from.
	_, errs = interrupt(1, "--set", "checkpoint=''")
	require.Equal(t, "gneiss: interrupted\n", errs)
	r = gneiss(t, "train", config, "--set", "checkpoint_steps=1", "--set", "checkpoint=''")
	require.Contains(t, r.err, "checkpoint_steps needs checkpoint")
}
