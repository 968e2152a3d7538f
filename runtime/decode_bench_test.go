package runtime_test

import (
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/internal/shared"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// decoder feeds a language model with a cache of keys and values: one token at
// a time, with inputs past_key_values.… and outputs present.….
type decoder struct {
	s    *runtime.Session
	next map[string]string // of a present output: the past input
}

func openDecoder(b *testing.B, path string, threads int) *decoder {
	s, err := runtime.Open(path, runtime.Options{Threads: threads})
	require.NoError(b, err)
	d := &decoder{s, map[string]string{}}
	for _, o := range s.Outputs() {
		if rest, ok := strings.CutPrefix(o.Name, "present"); ok {
			for _, i := range s.Inputs() {
				if strings.HasSuffix(i.Name, rest) {
					d.next[o.Name] = i.Name
				}
			}
		}
	}
	return d
}

// inputs returns what a step takes after past tokens, with the given cache (nil: zeros).
func (d *decoder) inputs(past int, cache map[string]tensor.Value) map[string]tensor.Value {
	in := map[string]tensor.Value{}
	for _, i := range d.s.Inputs() {
		if c := cache[i.Name]; c != nil {
			in[i.Name] = c
			continue
		}
		var shape []int
		for _, dim := range i.Type.Dims {
			n, ok := dim.Size()
			if !ok {
				n = 1
			}
			shape = append(shape, n)
		}
		switch {
		case strings.HasPrefix(i.Name, "past"):
			shape[len(shape)-2] = past
		case strings.Contains(i.Name, "mask"):
			shape[len(shape)-1] = past + 1
		}
		t := tensor.New(i.Type.DType, shape...)
		if t.DType() == tensor.Int64 {
			v := int64(1)
			if strings.Contains(i.Name, "position") {
				v = int64(past)
			}
			for k := range tensor.Data[int64](t) {
				tensor.Data[int64](t)[k] = v
			}
		}
		in[i.Name] = t
	}
	return in
}

// step runs one token and returns the time and the grown cache.
func (d *decoder) step(b *testing.B, in map[string]tensor.Value) (time.Duration, map[string]tensor.Value) {
	start := time.Now()
	out, err := d.s.Run(bg, in)
	took := time.Since(start)
	if err != nil {
		b.Fatal(err)
	}
	cache := map[string]tensor.Value{}
	for o, i := range d.next {
		cache[i] = out[o]
	}
	return took, cache
}

// single returns the time of a step after past tokens: the median of some.
func (d *decoder) single(b *testing.B, past int) time.Duration {
	in := d.inputs(past, nil)
	times := make([]time.Duration, 12)
	for i := range times {
		times[i], _ = d.step(b, in)
	}
	times = times[3:]
	slices.Sort(times)
	return times[len(times)/2]
}

// weights returns the bytes of the matrices that products read in each step.
func weights(m *onnx.Model) (bytes int) {
	seen := map[*tensor.Tensor]bool{}
	m.Graph.Walk(func(g *onnx.Graph) {
		for _, n := range g.Nodes {
			for i, v := range n.In {
				if v == nil || v.Const == nil || v.Const.Rank() < 2 || n.Op == "Gather" && i == 0 || seen[v.Const] {
					continue
				}
				seen[v.Const] = true
				bytes += len(v.Const.Bytes())
			}
		}
	})
	return bytes
}

// bandwidth returns how many bytes per second all threads read: the best of
// some tries.
func bandwidth(threads int) float64 {
	const n, piece = 64 << 20, 1 << 14
	data := make([]float32, n)
	for i := 0; i < n; i += 1024 {
		data[i] = 1
	}
	t, best := gemm.Best(), math.Inf(1)
	for range 6 {
		start := time.Now()
		par.P{Threads: threads}.For(n/piece, 64, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				p := unsafe.Pointer(&data[i*piece])
				t.Dot32(piece, p, p)
			}
		})
		best = min(best, time.Since(start).Seconds())
	}
	return 4 * n / best
}

// BenchmarkDecode generates 256 tokens after 128, with a cache that grows, and
// reports the time of a token by that of steps that are run for themselves, and
// by how long it takes to read the weights.
func BenchmarkDecode(b *testing.B) {
	models := shared.ModelsNamed(b, "gpt2.dynamo@decode128", "gpt2.script@decode128", "llama_small.dynamo@decode128", "llama_small.script@decode128", "llama_small_int4.nbits@decode128")
	for _, threads := range []int{1, 2} {
		read := bandwidth(threads)
		for _, name := range slices.Sorted(maps.Keys(models)) {
			b.Run(filepath.Base(filepath.Dir(models[name]))+map[int]string{1: "/threads=1", 2: "/threads=2"}[threads], func(b *testing.B) {
				const first, tokens = 128, 256
				d := openDecoder(b, models[name], threads)
				defer d.s.Close()
				before, middle, after := d.single(b, first), d.single(b, first+tokens/2), d.single(b, first+tokens)
				alone := (before + 2*middle + after) / 4
				for b.Loop() {
					var cache map[string]tensor.Value
					for past := first; past < first+tokens; past++ {
						_, cache = d.step(b, d.inputs(past, cache))
					}
				}
				token := b.Elapsed() / time.Duration(b.N*tokens)
				b.ReportMetric(float64(token.Microseconds())/1000, "ms/token")
				b.ReportMetric(float64(token)/float64(alone), "x-alone")
				b.ReportMetric(100*float64(weights(d.s.Metadata()))/alone.Seconds()/read, "%bandwidth")
			})
		}
	}
}
