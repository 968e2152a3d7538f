package runtime

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// run is one execution of a session's program.
type run struct {
	arena
	p       par.P
	dest    map[int]*tensor.Tensor // main program: slots whose values are the caller's tensors
	scratch scratch
	profile *Profile
	depth   int
}

// maxDepth bounds the nesting of bodies in bodies while running.
const maxDepth = 64

// frame holds the values of one program while it runs.
type frame struct {
	prog *program
	run  *run
	vals []tensor.Value
	main bool
	kept *leftover // of the last run on this frame
	call ops.Call
	// of the instruction in progress
	at     int
	reused bool
	made   []*buffer
}

// loop runs the program from first to last instruction. On an error the frame
// is left as it is.
func (f *frame) loop(ctx context.Context) error {
	for i := range f.prog.code {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f.step(i); err != nil {
			if cerr := ctx.Err(); cerr != nil {
				return cerr
			}
			return err
		}
	}
	return ctx.Err() // a loop that was cut short leaves a result that is void
}

// step runs one instruction.
func (f *frame) step(at int) error {
	in, r := &f.prog.code[at], f.run
	c := &f.call
	c.P, c.Mem, c.Frame = r.p, f, f
	c.In, c.Out = c.In[:0], c.Out[:0]
	for _, s := range in.in {
		var v tensor.Value
		if s >= 0 {
			v = f.vals[s]
		}
		c.In = append(c.In, v)
	}
	for range in.out {
		c.Out = append(c.Out, nil)
	}
	f.at, f.reused, f.made = at, false, f.made[:0]
	mark := r.scratch.mark()
	var start time.Time
	if r.profile != nil {
		start = time.Now()
	}
	err := in.kernel.Safely(c)
	r.scratch.reset(mark)
	if err != nil {
		return in.nodeError(f.prog, c.In, err)
	}
	if r.profile != nil {
		r.profile.add(in, c, start, time.Now(), r.depth)
	}
	for k, s := range in.out {
		if s < 0 {
			continue
		}
		if c.Out[k] == nil {
			return in.nodeError(f.prog, c.In, errNoOutput(k))
		}
		v := f.adopt(c.Out[k], c.In)
		r.hold(v)
		f.vals[s] = v
	}
	for _, b := range f.made { // the call's own reference
		if b.kind == escaped {
			continue
		}
		if b.refs--; b.refs == 0 {
			r.release(b, at)
		}
	}
	for _, s := range in.free {
		if v := f.vals[s]; v != nil {
			r.drop(v, at)
			f.vals[s] = nil
		}
	}
	clear(c.In)
	clear(c.Out)
	return nil
}

// adopt makes sure that a result which is a view of an input says so.
func (f *frame) adopt(v tensor.Value, in []tensor.Value) tensor.Value {
	t, ok := v.(*tensor.Tensor)
	if !ok || t.DType() == tensor.String || t.Len() == 0 || bufferOf(t) != nil {
		return v
	}
	for _, x := range in {
		s, ok := x.(*tensor.Tensor)
		if !ok || !overlap(s.Bytes(), t.Bytes()) {
			continue
		}
		if b := bufferOf(s); b != nil {
			if w, err := tensor.FromBytes(t.DType(), t.Shape(), t.Bytes(), b); err == nil {
				return w
			}
		}
	}
	return v
}

// Output implements ops.Memory.
func (f *frame) Output(i int, d tensor.DType, shape []int) (*tensor.Tensor, error) {
	in, r := &f.prog.code[f.at], f.run
	size, err := tensor.ByteSize(d, shape)
	if err != nil {
		return nil, err
	}
	if f.main && i < len(in.out) && in.out[i] >= 0 {
		if t := r.dest[in.out[i]]; t != nil && t.DType() == d && slices.Equal(t.Shape(), shape) {
			return t, nil
		}
	}
	if d == tensor.String {
		if err := r.reserve(size); err != nil {
			return nil, err
		}
		return tensor.New(d, shape...), nil
	}
	if i == 0 && !f.reused {
		if b := f.inPlace(in, size); b != nil {
			f.reused = true
			return tensor.FromBytes(d, shape, b.data[:size], b)
		}
	}
	var b *buffer
	if f.main {
		b = r.place(f.at, i, size)
	}
	if b == nil {
		if b, err = r.take(size); err != nil {
			return nil, err
		}
		if r.rec != nil && f.main {
			b.rec = len(r.rec.allocs)
			r.rec.allocs = append(r.rec.allocs, allocation{at: f.at, out: i, size: size, death: -1})
		}
	}
	b.refs++ // the call's own reference, so that a nested graph that reads it cannot release it
	f.made = append(f.made, b)
	return tensor.FromBytes(d, shape, b.data[:size], b)
}

// inPlace returns the buffer of an input that output 0 may take over: its last
// reader is this instruction, nothing else refers to it, and the size is the same.
func (f *frame) inPlace(in *instr, size int) *buffer {
	if size == 0 || len(in.out) == 0 || in.out[0] < 0 {
		return nil
	}
	for _, k := range in.reuse {
		if k >= len(in.in) || in.in[k] < 0 {
			continue
		}
		t, ok := f.vals[in.in[k]].(*tensor.Tensor)
		if !ok {
			continue
		}
		b := bufferOf(t)
		if b == nil || b.kind == escaped || b.refs != 1 || len(t.Bytes()) != size || address(t.Bytes()) != address(b.data) ||
			!slices.Contains(in.free, in.in[k]) || count(in.in, in.in[k]) != 1 {
			continue
		}
		return b
	}
	return nil
}

func count(s []int, x int) int {
	n := 0
	for _, y := range s {
		if x == y {
			n++
		}
	}
	return n
}

// Scratch implements ops.Memory. Kernels may call it from their loops.
func (f *frame) Scratch(n int) ([]byte, error) { return f.run.scratch.take(&f.run.arena, n) }

// scratch is a stack of working memory. Calls nest (bodies), so that each
// instruction gives back what it took.
type scratch struct {
	mu     sync.Mutex
	blocks [][]byte
	at     scratchMark
}

type scratchMark struct{ block, off int }

const scratchBlock = 1 << 16

func (s *scratch) mark() scratchMark { return s.at }

func (s *scratch) reset(m scratchMark) {
	s.at = m
	if m == (scratchMark{}) && len(s.blocks) > 1 { // next time one block is enough
		total := 0
		for _, b := range s.blocks {
			total += len(b)
		}
		s.blocks = [][]byte{tensor.AlignedBytes(total)}
	}
}

func (s *scratch) take(a *arena, n int) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := (n + tensor.Alignment - 1) &^ (tensor.Alignment - 1)
	for ; s.at.block < len(s.blocks); s.at = (scratchMark{s.at.block + 1, 0}) {
		if b := s.blocks[s.at.block]; len(b)-s.at.off >= size {
			off := s.at.off
			s.at.off += size
			return b[off : off+n : off+n], nil
		}
	}
	if err := a.reserve(size); err != nil {
		return nil, err
	}
	b := tensor.AlignedBytes(max(size, scratchBlock))
	s.blocks = append(s.blocks, b)
	s.at = scratchMark{len(s.blocks) - 1, size}
	return b[:n:n], nil
}
