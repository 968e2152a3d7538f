package conformance_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/conformance"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/internal/shared"
	"github.com/gneiss-run/gneiss/runtime"
)

// TestRecordLoops writes, with GNEISS_UPDATE=1, the parallel loops of models to
// the folder of the scheduler's simulation: for each loop the time before it,
// its claims and its time on one thread, in nanoseconds. Otherwise it checks
// that models have such loops.
func TestRecordLoops(t *testing.T) {
	names := map[string]string{"resnet50": "resnet50.script", "bert_base": "bert_base.script", "gpt2_decode": "gpt2.dynamo@decode128"}
	var dirs []string
	for _, name := range names {
		dirs = append(dirs, name)
	}
	made := shared.ModelsNamed(t, dirs...)
	for short, name := range names {
		if made[name] == "" {
			continue
		}
		dir := filepath.Dir(made[name])
		s, err := runtime.Open(made[name], runtime.Options{Threads: 1})
		require.NoError(t, err)
		set, err := conformance.ReadSet(os.DirFS(dir), "test_data_set_0", s)
		require.NoError(t, err)
		type loop struct {
			claims       int
			before, took time.Duration
		}
		var best []loop
		for run := range 12 {
			var loops []loop
			last := time.Now()
			stop := par.Trace(func(claims int, start time.Time, took time.Duration) {
				loops = append(loops, loop{claims, start.Sub(last), took})
				last = start.Add(took)
			})
			_, err := s.Run(context.Background(), set.In)
			stop()
			require.NoError(t, err)
			switch {
			case run < 3: // plans are made
			case best == nil:
				best = loops
			default: // the least of each is free of what else the machine did
				require.Len(t, loops, len(best))
				for i, l := range loops {
					require.Equal(t, best[i].claims, l.claims)
					best[i].before, best[i].took = min(best[i].before, l.before), min(best[i].took, l.took)
				}
			}
		}
		s.Close()
		require.NotEmpty(t, best)
		if os.Getenv("GNEISS_UPDATE") == "" {
			continue
		}
		var b bytes.Buffer
		for _, l := range best {
			fmt.Fprintln(&b, l.before.Nanoseconds(), l.claims, l.took.Nanoseconds())
		}
		require.NoError(t, os.WriteFile(filepath.Join("../internal/par/testdata/loops", short+".txt"), b.Bytes(), 0o644))
	}
}
