package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gneiss-run/gneiss/internal/kernels/peak"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// profileSummary is what --profile adds to bench --json.
type profileSummary struct {
	// Machine is the most that was measured here, with as many threads.
	Machine   peak.Machine  `json:"machine"`
	Operators []opProfile   `json:"operators"`
	Slowest   []nodeProfile `json:"slowest"`
}

type opProfile struct {
	Op      string  `json:"op"`
	Nodes   int     `json:"nodes"`
	NS      int64   `json:"ns"`
	Share   float64 `json:"share"`
	GFLOPS  float64 `json:"gflops"` // per second; 0 where the work is not counted
	GBPerS  float64 `json:"gb_per_s"`
	OfPeak  float64 `json:"of_peak"` // of the machine's arithmetic or reading of memory, whichever it is nearer to
	flops   int64
	bytes   int64
	unknown bool // some nodes' FLOPs are not known
}

type nodeProfile struct {
	Node  string  `json:"node"`
	Op    string  `json:"op"`
	NS    int64   `json:"ns"`
	Share float64 `json:"share"`
	// OfPeak as that of operators.
	OfPeak float64  `json:"of_peak"`
	In     []string `json:"inputs"`
	Out    []string `json:"outputs"`
}

// fastestProfile profiles n runs and returns the one that took the least time.
func fastestProfile(ctx context.Context, s *runtime.Session, in map[string]tensor.Value, n int) (*runtime.Profile, error) {
	var best *runtime.Profile
	least := time.Duration(0)
	for range n {
		p, err := s.Profile(ctx, in)
		if err != nil {
			return nil, err
		}
		t := time.Duration(0)
		for _, d := range selfTimes(p.Nodes) {
			t += d
		}
		if best == nil || t < least {
			best, least = p, t
		}
	}
	return best, nil
}

// summarise adds the times up by operator. A node with nested graphs counts
// without the nodes in them, which count as their own operators.
func summarise(p *runtime.Profile, m peak.Machine) *profileSummary {
	self := selfTimes(p.Nodes)
	total := time.Duration(0)
	for _, t := range self {
		total += t
	}
	share := func(t int64) float64 { return float64(t) / float64(max(total.Nanoseconds(), 1)) }
	ops := map[string]*opProfile{}
	s := &profileSummary{Machine: m, Operators: []opProfile{}, Slowest: []nodeProfile{}}
	ofPeak := func(op string, flops, bytes, ns int64) float64 {
		most := m.Float32
		if integers(op) {
			most = m.Int8
		}
		sec := float64(max(ns, 1)) / 1e9
		return max(float64(flops)/sec/most, float64(bytes)/sec/m.Read)
	}
	for i, n := range p.Nodes {
		o := ops[n.Op]
		if o == nil {
			o = &opProfile{Op: n.Op}
			ops[n.Op] = o
		}
		o.Nodes++
		o.NS += self[i].Nanoseconds()
		o.bytes += n.Bytes
		x, ok := flopsOf(n.Op, shapesOf(n.In), shapesOf(n.Out))
		o.flops = add(o.flops, x)
		o.unknown = o.unknown || !ok
		ns := self[i].Nanoseconds()
		s.Slowest = append(s.Slowest, nodeProfile{n.Name, n.Op, ns, share(ns), ofPeak(n.Op, x, n.Bytes, ns), n.In, n.Out})
	}
	for _, o := range ops {
		o.Share = share(o.NS)
		o.GBPerS = float64(o.bytes) / float64(max(o.NS, 1))
		if !o.unknown {
			o.GFLOPS = float64(o.flops) / float64(max(o.NS, 1))
		}
		o.OfPeak = ofPeak(o.Op, o.flops, o.bytes, o.NS)
		s.Operators = append(s.Operators, *o)
	}
	slices.SortFunc(s.Operators, func(a, b opProfile) int {
		return cmp.Or(cmp.Compare(b.NS, a.NS), cmp.Compare(a.Op, b.Op))
	})
	slices.SortStableFunc(s.Slowest, func(a, b nodeProfile) int { return cmp.Compare(b.NS, a.NS) })
	s.Slowest = s.Slowest[:min(10, len(s.Slowest))]
	return s
}

// integers reports whether an operator multiplies quantized numbers.
func integers(op string) bool {
	return strings.Contains(op, "QLinear") || strings.Contains(op, "Integer") || strings.Contains(op, "QGemm") || strings.Contains(op, "DynamicQuantizeMatMul")
}

// selfTimes takes from each node's time that of the nodes in its graphs, which
// stand before it.
func selfTimes(nodes []runtime.NodeTime) []time.Duration {
	self := make([]time.Duration, len(nodes))
	inner := map[int]time.Duration{} // by depth: time whose outer node has not come yet
	for i, n := range nodes {
		self[i] = max(0, n.Time-inner[n.Depth+1])
		inner[n.Depth+1] = 0
		inner[n.Depth] += n.Time
	}
	return self
}

// shapesOf reads the shapes of values as tensors print themselves, e.g.
// "float32 [1 3]"; nil for what is no tensor.
func shapesOf(texts []string) [][]int {
	shapes := make([][]int, len(texts))
	for i, s := range texts {
		_, list, ok := strings.Cut(s, " [")
		if !ok || !strings.HasSuffix(list, "]") {
			continue
		}
		shape := []int{}
		for _, f := range strings.Fields(strings.TrimSuffix(list, "]")) {
			n, err := strconv.Atoi(f)
			if err != nil {
				shape = nil
				break
			}
			shape = append(shape, n)
		}
		shapes[i] = shape
	}
	return shapes
}

// writeTrace writes the trace to the file.
func writeTrace(p *runtime.Profile, file string) error {
	var b bytes.Buffer
	if err := p.WriteTrace(&b); err != nil {
		return err
	}
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("--profile: %w", err)
	}
	return nil
}

func (s *profileSummary) print(w io.Writer) {
	us := func(ns int64) string { return time.Duration(ns).Round(time.Microsecond).String() }
	rate := func(x float64) string {
		if x == 0 {
			return "-"
		}
		return fmt.Sprintf("%.2f", x)
	}
	fmt.Fprintf(w, "at most, with %s: %.1f GFLOP/s of float32, %.1f Gop/s of bytes, %.1f GB/s read from memory\n\n",
		counted(s.Machine.Threads, "thread"), s.Machine.Float32/1e9, s.Machine.Int8/1e9, s.Machine.Read/1e9)
	percent := func(x float64) string { return fmt.Sprintf("%.1f%%", 100*x) }
	t := table{head: []string{"operator", ">nodes", ">time", ">share", ">GFLOP/s", ">GB/s", ">of peak"}}
	for _, o := range s.Operators {
		t.add(o.Op, o.Nodes, us(o.NS), percent(o.Share), rate(o.GFLOPS), rate(o.GBPerS), percent(o.OfPeak))
	}
	t.print(w)
	fmt.Fprintln(w)
	t = table{head: []string{"slowest nodes", "operator", ">time", ">share", ">of peak", "inputs", "outputs"}}
	for _, n := range s.Slowest {
		t.add(clip(n.Node, 40), n.Op, us(n.NS), percent(n.Share), percent(n.OfPeak), clip(strings.Join(n.In, ", "), 70), clip(strings.Join(n.Out, ", "), 40))
	}
	t.print(w)
}

// clip shortens s to n characters.
func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
