package quantize

import (
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/internal/shared"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/runtime"
)

// photos writes n JPEG files of 320 x 240 pixels with gradients and noise.
func photos(tb testing.TB, n int) string {
	tb.Helper()
	dir := tb.TempDir()
	r := rand.New(rand.NewPCG(1, 2))
	for k := range n {
		img := image.NewRGBA(image.Rect(0, 0, 320, 240))
		var a [3]float64
		for c := range a {
			a[c] = r.Float64()
		}
		for y := range 240 {
			for x := range 320 {
				at := img.Pix[img.PixOffset(x, y):]
				for c := range a {
					at[c] = uint8(200*(a[c]*float64(x)/320+(1-a[c])*float64(y)/240) + 50*r.Float64())
				}
				at[3] = 255
			}
		}
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%03d.jpg", k)))
		require.NoError(tb, err)
		require.NoError(tb, jpeg.Encode(f, img, nil))
		require.NoError(tb, f.Close())
	}
	return dir
}

// BenchmarkCalibrate compares what an image takes, from its file on, with and without observers.
func BenchmarkCalibrate(b *testing.B) {
	const name = "resnet50.dynamo"
	path := shared.ModelsNamed(b, name)[name]
	m, err := onnx.Open(path, onnx.DecodeOptions{})
	require.NoError(b, err)
	defer m.Close()
	_, err = optimize.Run(m, optimize.Portable, optimize.Options{})
	require.NoError(b, err)
	src, err := data.Open(photos(b, 16), data.Options{Inputs: data.InputsOf(m), Preprocess: "imagenet"})
	require.NoError(b, err)
	ctx := context.Background()
	// again runs s on images, over and over, as long as the benchmark asks.
	again := func(b *testing.B, s *runtime.Session) {
		next, stop := iter.Pull2(src.Batches(ctx))
		defer func() { stop() }()
		for b.Loop() {
			batch, err, ok := next()
			if !ok {
				stop()
				next, stop = iter.Pull2(src.Batches(ctx))
				batch, err, _ = next()
			}
			require.NoError(b, err)
			_, err = s.Run(ctx, batch.Values())
			require.NoError(b, err)
		}
	}
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("plain/t%d", threads), func(b *testing.B) {
			s, err := runtime.New(m, runtime.Options{Threads: threads})
			require.NoError(b, err)
			defer s.Close()
			again(b, s)
		})
		for _, method := range []Method{MinMax, Entropy} {
			b.Run(fmt.Sprintf("%v/t%d", method, threads), func(b *testing.B) {
				c, err := CalibrateConfig{Method: method, Values: Activations(m, StaticConfig{})}.withDefaults()
				require.NoError(b, err)
				w, obs, err := instrument(m, &c)
				require.NoError(b, err)
				s, err := runtime.New(w, runtime.Options{Threads: threads, Operators: observeOps(obs)})
				require.NoError(b, err)
				defer s.Close()
				again(b, s)
				b.ReportMetric(float64(len(obs)), "values")
			})
		}
	}
}
