package main

import (
	"bytes"
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

var flips = flag.Int("flips", 40, "damaged variants of each model that TestDamaged tries")

// Damaged models give answers or errors: never a panic, never an exit code that
// scripts do not know.
func TestDamaged(t *testing.T) {
	for _, m := range []string{"sk_rf_zipmap", "transformer_tiny", "espcn_x3", "gru_forecast"} {
		whole, err := os.ReadFile(modelOf(m))
		require.NoError(t, err)
		r := rand.New(rand.NewPCG(1, 2))
		dir := t.TempDir()
		path := filepath.Join(dir, "m.onnx")
		for range *flips {
			b := damaged(whole, r)
			require.NoError(t, os.WriteFile(path, b, 0o644))
			for _, args := range [][]string{
				{"run", path, "--data", dataOf(m), "--threads", "1"},
				{"inspect", path, "--json"},
				{"check", path},
			} {
				var out, stderr bytes.Buffer
				code := run(context.Background(), args, nil, &out, &stderr)
				if code < 0 || code > 3 || code == exitUsage || bytes.Contains(stderr.Bytes(), []byte("internal")) || bytes.Contains(stderr.Bytes(), []byte("goroutine ")) {
					keep := filepath.Join(os.TempDir(), "gneiss-damaged.onnx")
					_ = os.WriteFile(keep, b, 0o644)
					t.Fatalf("%v: exit code %d, %s\nthe model is kept in %s", args, code, stderr.String(), keep)
				}
			}
			require.NoError(t, os.Remove(path))
		}
	}
}

// damaged returns a copy with some bytes changed, half of the time near text,
// that is away from weights; or a piece of the file.
func damaged(whole []byte, r *rand.Rand) []byte {
	if r.IntN(8) == 0 {
		return bytes.Clone(whole[:r.IntN(len(whole))])
	}
	b := bytes.Clone(whole)
	for range 1 + r.IntN(4) {
		at := r.IntN(len(b))
		if r.IntN(4) > 0 {
			for range 200000 {
				if at = (at + 1) % len(b); at > 4 && text(b[at-4:at]) {
					break
				}
			}
			at = max(0, min(len(b)-1, at+r.IntN(24)-12))
		}
		switch r.IntN(3) {
		case 0:
			b[at] ^= 1 << r.IntN(8)
		case 1:
			b[at] = byte(r.IntN(256))
		default:
			b[at]++
		}
	}
	return b
}

func text(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > 'z' {
			return false
		}
	}
	return true
}
