package par

import (
	"bufio"
	"bytes"
	"container/heap"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A simulation of the pool on machines with many cores. What a loop's thread,
// claim and wake-up cost is in machine; which loops run is recorded from models
// (testdata/loops: time before the loop, claims, time of the loop on one
// thread, in ns). It is deterministic: docs/scheduler.md shows what it gives.

// machine is a cost model, in nanoseconds.
type machine struct {
	fork, join float64 // what opening and closing a loop costs its caller
	notice     float64 // until a spinning worker sees a loop
	wake       float64 // until a parked worker runs, from when somebody wakes it
	line       float64 // a cache line that goes from core to core: claims follow each other by it
	spin       float64 // how long a worker without work spins
	saturated  float64 // cores whose reads of memory fill its bandwidth
}

var server = machine{fork: 150, join: 150, notice: 120, wake: 6000, line: 60, spin: float64(spinTime.Nanoseconds()), saturated: 12}

type tracedLoop struct {
	before, took float64
	claims       int
}

// worker is a thread of the simulation: when it may claim next, and of which share.
type worker struct {
	at    float64
	id    int
	share int
}

type workerHeap []worker

func (h workerHeap) Len() int { return len(h) }
func (h workerHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].id < h[j].id
}
func (h workerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *workerHeap) Push(x any)   { *h = append(*h, x.(worker)) }
func (h *workerHeap) Pop() any {
	x := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return x
}

// run returns the time of the loops on the given number of cores. bound is the
// share of a loop's time on one core that it waits for memory; coarser joins so
// many chunks to one, or, below 1, cuts them.
func (m machine) run(loops []tracedLoop, cores int, bound, coarser float64) float64 {
	now := 0.0
	idle := make([]float64, cores) // when each worker had its last chunk
	for i := range idle {
		idle[i] = -1e9
	}
	for _, l := range loops {
		now += l.before
		claims := max(1, int(float64(l.claims)/coarser))
		if l.claims == 1 {
			claims = 1
		}
		if claims == 1 || cores == 1 {
			now += l.took
			continue
		}
		threads := min(cores, claims)
		now += m.fork
		// Those that spin see the loop at once; each that has come wakes two that sleep.
		order := make([]int, 0, cores-1)
		for i := 1; i < cores; i++ {
			order = append(order, i)
		}
		slices.SortStableFunc(order, func(a, b int) int { // the last to have worked first
			switch {
			case idle[a] > idle[b]:
				return -1
			case idle[a] < idle[b]:
				return 1
			}
			return 0
		})
		shares := min(threads, maxShares)
		ready := workerHeap{{now, 0, 0}}
		var come []float64 // when those came that wake others
		come = append(come, now)
		for k, w := range order[:threads-1] {
			at := now + m.notice + float64(k)*m.line/2
			if now-idle[w] > m.spin {
				at = come[(len(come)-1)/2] + m.wake
			}
			come = append(come, at)
			ready = append(ready, worker{at, w, min(w, threads-1) * shares / threads})
		}
		heap.Init(&ready)
		// Memory is shared by those that work at once: about as many as there are threads.
		slow := 1 - bound + bound*max(1, float64(threads)/m.saturated)
		chunk := l.took / float64(claims) * slow
		var free [maxShares]float64 // when the counter of a share may be claimed from again
		var left [maxShares]int
		for i := range shares {
			left[i] = (i+1)*claims/shares - i*claims/shares
		}
		end := now
		for range claims {
			w := &ready[0]
			at := w.at
			for ; left[w.share] == 0; w.share = (w.share + 1) % shares {
				at += m.line
			}
			at = max(at, free[w.share])
			left[w.share]--
			free[w.share] = at + m.line
			w.at = at + m.line + chunk
			idle[w.id] = w.at
			end = max(end, w.at)
			heap.Fix(&ready, 0)
		}
		now = end + m.join
	}
	return now
}

func recorded(t *testing.T, name string) []tracedLoop {
	f, err := os.Open(filepath.Join("testdata/loops", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var ls []tracedLoop
	for s := bufio.NewScanner(f); s.Scan(); {
		var l tracedLoop
		if _, err := fmt.Sscan(s.Text(), &l.before, &l.claims, &l.took); err != nil {
			t.Fatal(err)
		}
		ls = append(ls, l)
	}
	return ls
}

// simulated are the models, with the share of time that they wait for memory.
var simulated = []struct {
	name  string
	bound float64
}{{"resnet50", 0.1}, {"bert_base", 0.1}, {"gpt2_decode", 0.9}}

var coreCounts = []int{1, 2, 4, 8, 16, 32, 64}

// TestSimulation shows that loops scale, that the grain is near the best, and
// that docs/scheduler.md and its plot are what the simulation says
// (GNEISS_UPDATE=1 writes them).
func TestSimulation(t *testing.T) {
	var table, grains bytes.Buffer
	curves := map[string][]float64{}
	for _, m := range simulated {
		loops := recorded(t, m.name)
		one := server.run(loops, 1, m.bound, 1)
		fmt.Fprintf(&table, "| %s | %d |", m.name, len(loops))
		for _, c := range coreCounts {
			up := one / server.run(loops, c, m.bound, 1)
			curves[m.name] = append(curves[m.name], up)
			fmt.Fprintf(&table, " %.1f |", up)
			if c > 1 && up < 1 {
				t.Errorf("%s is slower on %d cores than on one: %.2f", m.name, c, up)
			}
		}
		table.WriteByte('\n')
		if up := curves[m.name][3]; up < 4 {
			t.Errorf("%s: speed-up %.1f on 8 cores, want 4", m.name, up)
		}
		fmt.Fprintf(&grains, "| %s |", m.name)
		base := server.run(loops, 16, m.bound, 1)
		for _, k := range []float64{0.25, 0.5, 1, 2, 4} {
			r := server.run(loops, 16, m.bound, k) / base
			fmt.Fprintf(&grains, " %.2f |", r)
			if r < 0.75 {
				t.Errorf("%s: chunks %g times as large take %.2f of the time on 16 cores", m.name, k, r)
			}
		}
		grains.WriteByte('\n')
	}
	plot := plotCurves(curves)
	page := filepath.Join("..", "..", "docs", "scheduler.md")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := between(between(string(text), "cores", table.String()), "grain", grains.String())
	if os.Getenv("GNEISS_UPDATE") != "" {
		for p, s := range map[string]string{page: want, filepath.Join("..", "..", "docs", "scheduler.svg"): plot} {
			if err := os.WriteFile(p, []byte(s), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	if want != string(text) {
		t.Error("docs/scheduler.md is not what the simulation gives: run with GNEISS_UPDATE=1")
	}
	if svg, err := os.ReadFile(filepath.Join("..", "..", "docs", "scheduler.svg")); err != nil || string(svg) != plot {
		t.Error("docs/scheduler.svg is not what the simulation gives: run with GNEISS_UPDATE=1")
	}
}

// between puts body between the marks of that name in page.
func between(page, name, body string) string {
	head, rest, ok := strings.Cut(page, "<!-- "+name+" -->\n")
	_, tail, ok2 := strings.Cut(rest, "<!-- /"+name+" -->")
	if !ok || !ok2 {
		return page
	}
	return head + "<!-- " + name + " -->\n" + body + "<!-- /" + name + " -->" + tail
}

func plotCurves(curves map[string][]float64) string {
	const w, h, left, bottom = 560, 360, 50, 40
	colors := []string{"#0b6e99", "#b5481a", "#3f7d20"}
	last := float64(len(coreCounts) - 1)
	x := func(i int) float64 { return left + float64(i)/last*(w-left-130) }
	y := func(up float64) float64 { // powers of two
		k := 0.0
		for v := up; v > 1; v /= 2 {
			k += min(v-1, 1)
		}
		return h - bottom - k/last*(h-bottom-20)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n", w, h, w, h)
	for i, c := range coreCounts {
		fmt.Fprintf(&b, "<text x=\"%.0f\" y=\"%d\" text-anchor=\"middle\">%d</text>\n<text x=\"%d\" y=\"%.0f\" text-anchor=\"end\">%d</text>\n", x(i), h-bottom+18, c, left-8, y(float64(c))+4, c)
		fmt.Fprintf(&b, "<path d=\"M%d %.0fH%d\" stroke=\"#ddd\"/>\n", left, y(float64(c)), w-130)
	}
	fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">cores</text>\n<text x=\"14\" y=\"14\">speed-up</text>\n", (left+w-130)/2, h-6)
	fmt.Fprintf(&b, "<path d=\"M%.0f %.0fL%.0f %.0f\" stroke=\"#999\" stroke-dasharray=\"4 4\"/>\n", x(0), y(1), x(len(coreCounts)-1), y(64))
	for k, m := range simulated {
		var d strings.Builder
		for i, up := range curves[m.name] {
			fmt.Fprintf(&d, "%c%.1f %.1f", "ML"[min(i, 1)], x(i), y(up))
		}
		ups := curves[m.name]
		fmt.Fprintf(&b, "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n<text x=\"%d\" y=\"%.0f\" fill=\"%s\">%s</text>\n", d.String(), colors[k], w-124, y(ups[len(ups)-1])+4, colors[k], m.name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
