package conformance_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/conformance"
	"github.com/gneiss-run/gneiss/internal/shared"
	"github.com/gneiss-run/gneiss/runtime"
)

// TestCancelRealModel: a cancelled context ends a run of a large model soon,
// wherever the run is. The bound is for a machine that does other work too.
func TestCancelRealModel(t *testing.T) {
	dir := shared.Models(t)
	name := "bert_base.dynamo"
	if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
		name = "mobilenet_v2.script"
	}
	s, err := runtime.Open(filepath.Join(dir, name, "model.onnx"), runtime.Options{Threads: 2})
	require.NoError(t, err)
	defer s.Close()
	set, err := conformance.ReadSet(os.DirFS(dir), name+"/test_data_set_0", s)
	require.NoError(t, err)
	start := time.Now()
	_, err = s.Run(context.Background(), set.In)
	require.NoError(t, err)
	whole := time.Since(start)
	worst := time.Duration(0)
	for i := range 20 {
		ctx, cancel := context.WithCancel(context.Background())
		var at time.Time
		timer := time.AfterFunc(whole*time.Duration(i+1)/25, func() { at = time.Now(); cancel() })
		_, err := s.Run(ctx, set.In)
		end := time.Now()
		if timer.Stop() || err == nil {
			continue // it was faster this time
		}
		require.ErrorIs(t, err, context.Canceled)
		worst = max(worst, end.Sub(at))
	}
	t.Logf("%s: a run takes %v, the slowest cancellation %v", name, whole, worst)
	require.Less(t, worst, 300*time.Millisecond)
}
