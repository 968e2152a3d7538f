package runtime

import (
	"runtime/debug"
	"slices"
	"sync"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/huge"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// A region is the memory of a session's first run: each buffer lies at the
// lowest offset where nothing lives. The plan that is made from that run takes
// the region as its first slab, so that no memory is new to the process in
// later runs: new memory costs several times as much as what is written to it.
type region struct {
	mu   sync.Mutex // kernels take working memory from their loops
	data []byte
	used []span // by offset
}

// span is a piece of a region.
type span struct{ from, to int }

// Variables for tests, whose models are small.
var (
	leastRegion   = 256 << 10 // a run that needs less takes its buffers from free lists
	leastRegional = 4 << 10   // smaller buffers come from free lists
)

const (
	maxRegion    = 1 << 29
	spareRegion  = 2 << 20 // for working memory
	maxRegionals = 4096    // buffers that live at a time: the search for a place goes through them
)

func newRegion(n int) *region {
	g := &region{data: tensor.AlignedBytes(n)}
	huge.Advise(unsafe.Pointer(unsafe.SliceData(g.data)), n)
	return g
}

// take returns n bytes in which nothing lives, or nil.
func (g *region) take(n int) []byte {
	if g == nil || n < leastRegional {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.used) >= maxRegionals {
		return nil
	}
	size := (n + tensor.Alignment - 1) &^ (tensor.Alignment - 1)
	at, off := 0, 0
	for at < len(g.used) && g.used[at].from-off < size {
		off = g.used[at].to
		at++
	}
	if len(g.data)-off < size {
		return nil
	}
	g.used = slices.Insert(g.used, at, span{off, off + size})
	return g.data[off : off+n : off+n]
}

// give takes back what take returned.
func (g *region) give(b []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	off := int(address(b) - address(g.data))
	if i, ok := slices.BinarySearchFunc(g.used, off, func(s span, off int) int { return s.from - off }); ok {
		g.used = slices.Delete(g.used, i, i+1)
	}
}

// regionFor returns a region for the first run with the inputs in f, nil if it would be
// small or a large part of what a run or the process may use. Its size is a guess from inferred types: what is
// not touched costs addresses only, and what has no place comes from free lists.
func (s *Session) regionFor(f *frame) *region {
	n := s.prog.peak(f.vals)
	if n < int64(leastRegion) || n > maxRegion {
		return nil
	}
	if n += n/2 + spareRegion; n > min(s.opt.MaxMemory/2, debug.SetMemoryLimit(-1)/8) {
		return nil
	}
	return newRegion(int(n))
}

// peak estimates how many bytes results take at a time, outputs excepted.
func (p *program) peak(vals []tensor.Value) int64 {
	names := map[string]int{}
	for i := range p.inputs {
		in := &p.inputs[i]
		if t, ok := vals[in.slot].(*tensor.Tensor); ok && in.typ.Ranked && t.Rank() == len(in.typ.Dims) {
			for k, d := range in.typ.Dims {
				if name := d.Expr(); name != "" {
					names[name] = t.Dim(k)
				}
			}
		}
	}
	known := map[string]int{} // of expressions, which many values share
	sizes := make([]int64, len(p.names))
	var live, most int64
	for i := range p.code {
		in := &p.code[i]
		for k, s := range in.out {
			if s < 0 || p.keep[s] {
				continue
			}
			sizes[s] = bytesOf(&p.types[s], names, known)
			if over := in.overwrites(k, sizes, sizes[s]); over >= 0 {
				sizes[over] = 0
			} else {
				live += sizes[s]
			}
		}
		most = max(most, live)
		for _, s := range in.free {
			live -= sizes[s]
		}
	}
	return most
}

// overwrites returns the slot of the input that output k of n bytes will be written over, or -1.
func (in *instr) overwrites(k int, sizes []int64, n int64) int {
	if k == 0 {
		for _, r := range in.reuse {
			if r >= 0 && r < len(in.in) && in.in[r] >= 0 && sizes[in.in[r]] == n && slices.Contains(in.free, in.in[r]) {
				return in.in[r]
			}
		}
	}
	return -1
}

// bytesOf returns the size of a tensor of that type, 0 if it is not known. known has the expressions that were
// evaluated before, -1 for those whose value is not known.
func bytesOf(t *onnx.Type, names, known map[string]int) int64 {
	if t.Kind != onnx.TensorKind || !t.Ranked || t.DType == tensor.String || t.DType == tensor.Undefined {
		return 0
	}
	shape := make([]int, len(t.Dims))
	for i, d := range t.Dims {
		n, ok := d.Size()
		if !ok {
			if n, ok = known[d.Expr()]; !ok {
				if n, ok = d.Eval(names); !ok {
					n = -1
				}
				known[d.Expr()] = n
			}
			if n < 0 {
				return 0
			}
		}
		shape[i] = n
	}
	n, err := tensor.ByteSize(t.DType, shape)
	if err != nil {
		return 0
	}
	return int64(n)
}
