package runtime

import (
	"context"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// run is one execution of a session's program.
type run struct {
	arena
	p       par.P
	dest    []*tensor.Tensor // main program, by slot: the caller's tensors that kernels may write
	donate  *donation        // nil: inputs are only read
	late    []bool           // by output: its tensor in the caller's hands is written when all is done
	scratch scratch
	profile *Profile
	depth   int
}

// maxDepth bounds the nesting of bodies in bodies while running.
const maxDepth = 64

// frame holds the values of one program while it runs. Frames are used again,
// and with them the tensors that instructions made.
type frame struct {
	prog    *program
	run     *run
	vals    []tensor.Value
	main    bool
	heads   []tensor.Tensor  // by result: the tensor to use for it
	spare   []*tensor.Tensor // by result of a body: the one to use where somebody may hold that of heads; nil if there is none
	states  [][]any          // by instruction: see ops.State
	own     run              // of a main frame: what run points to
	key     []int            // of the input shapes
	symbols []int            // the symbolic sizes
	call    ops.Call
	// of the instruction in progress
	at     int
	reused uint64 // outputs that have taken over an input's storage, by bit
	made   []loan
}

// loan is a reference that the instruction in progress has to a buffer. head is the
// tensor over it that was lent for the time of the instruction; nil for an output.
type loan struct {
	b    *buffer
	head *tensor.Tensor
}

// loop runs the program from first to last instruction. On an error the frame
// is left as it is.
func (f *frame) loop(ctx context.Context) error {
	for i := range f.prog.code {
		if err := ctx.Err(); err != nil {
			return err
		}
		if d := f.run.donate; d != nil && f.main {
			var err error
			if ctx, err = d.advance(ctx, f, i); err != nil {
				return err
			}
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
	c.Begin(len(in.in), len(in.out), &f.states[at])
	c.P, c.Mem, c.Frame = r.p, f, f
	for i, s := range in.in {
		c.In[i] = nil
		if s >= 0 {
			c.In[i] = f.vals[s]
		}
	}
	f.at, f.reused, f.made = at, 0, f.made[:0]
	if f.main {
		r.scratch.begin(r.scratchPlace(at))
	}
	mark := r.scratch.mark()
	var start time.Time
	if r.profile != nil {
		start = time.Now()
	}
	err := in.kernel.Safely(c)
	r.scratch.reset(mark)
	if n := r.scratch.most; f.main && n >= minPlaced && r.rec != nil {
		r.rec.allocs = append(r.rec.allocs, allocation{at: at, result: -1, size: n, death: at})
	}
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
	for _, l := range f.made {
		if l.head != nil && slices.Contains(c.Out, tensor.Value(l.head)) {
			l.head = nil // a result now
		}
		r.end(l, at)
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
	if f.main && len(r.dest) > 0 && i < len(in.out) && in.out[i] >= 0 {
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
	if f.reused&(1<<i) == 0 {
		if b := f.inPlace(in, i, d, size); b != nil {
			f.reused |= 1 << i
			return f.head(i, d, shape, b.data[:size], b)
		}
	}
	var b *buffer
	if f.main && i < len(in.out) {
		b = r.place(in.first+i, size)
	}
	if b == nil {
		if b, err = r.take(size); err != nil {
			return nil, err
		}
		if r.rec != nil && f.main && i < len(in.out) {
			b.rec = len(r.rec.allocs)
			r.rec.allocs = append(r.rec.allocs, allocation{at: f.at, result: in.first + i, size: size, death: -1})
		}
	}
	f.lend(b, nil) // so that a nested graph that reads it cannot release it
	return f.head(i, d, shape, b.data[:size], b)
}

// lend counts a reference of the instruction in progress to b.
func (f *frame) lend(b *buffer, head *tensor.Tensor) {
	b.refs++
	f.made = append(f.made, loan{b, head})
}

// Lend implements ops.Lender.
func (f *frame) Lend(d tensor.DType, shape []int) (*tensor.Tensor, error) {
	size, err := tensor.ByteSize(d, shape)
	if err != nil {
		return nil, err
	}
	if d == tensor.String {
		if err := f.run.reserve(size); err != nil {
			return nil, err
		}
		return tensor.New(d, shape...), nil
	}
	b, err := f.run.take(size)
	if err != nil {
		return nil, err
	}
	h := f.run.header()
	f.lend(b, h)
	return h, h.Renew(d, shape, b.data[:size], b)
}

// Free implements ops.Lender.
func (f *frame) Free(v tensor.Value) {
	t, ok := v.(*tensor.Tensor)
	if !ok {
		return
	}
	for i := len(f.made) - 1; i >= 0; i-- {
		if l := f.made[i]; l.head == t {
			last := len(f.made) - 1
			f.made[i] = f.made[last]
			f.made = f.made[:last]
			f.run.end(l, f.at)
			return
		}
	}
}

// head returns a tensor over data for output i of the instruction in progress.
func (f *frame) head(i int, d tensor.DType, shape []int, data []byte, b *buffer) (*tensor.Tensor, error) {
	t := f.headOf(i)
	return t, t.Renew(d, shape, data, b)
}

// headOf returns the tensor to use for output i of the instruction in progress:
// the one of the last time, unless somebody may hold it still. In a main
// program nobody does, because results leave through leave.
func (f *frame) headOf(i int) *tensor.Tensor {
	in := &f.prog.code[f.at]
	if i < 0 || i >= len(in.out) || f.main && in.out[i] >= 0 && f.prog.keep[in.out[i]] && len(f.run.dest) == 0 {
		return &tensor.Tensor{} // the caller gets it
	}
	h := &f.heads[in.first+i]
	if f.main || !held(h) {
		return h
	}
	if f.spare == nil {
		f.spare = make([]*tensor.Tensor, len(f.heads))
	}
	s := &f.spare[in.first+i]
	if *s == nil || held(*s) {
		*s = &tensor.Tensor{}
	}
	return *s
}

// held reports whether a result or a sequence may hold t, a tensor of a body.
func held(t *tensor.Tensor) bool {
	b := bufferOf(t)
	return b != nil && (b.kind == escaped || b.refs >= pin)
}

// View implements ops.Viewer.
func (f *frame) View(i int, t *tensor.Tensor, shape []int) (*tensor.Tensor, error) {
	if !f.main && bufferOf(t) == nil { // no head of it tells whether a sequence holds it
		if slices.Equal(t.Shape(), shape) {
			return t, nil
		}
		return t.Reshape(shape...)
	}
	h := f.headOf(i)
	return h, h.RenewView(t, shape)
}

// leave returns t as a tensor that no later run or iteration changes.
func (f *frame) leave(t *tensor.Tensor) *tensor.Tensor {
	if at := uintptr(unsafe.Pointer(t)) - uintptr(unsafe.Pointer(unsafe.SliceData(f.heads))); at < uintptr(len(f.heads))*unsafe.Sizeof(*t) || slices.Contains(f.spare, t) {
		t, _ = t.Reshape(t.Shape()...) // cannot fail
	}
	return t
}

// inPlace returns the buffer of an input that output i may take over: its last
// reader is this instruction, nothing else refers to it, and it has as many elements
// of the same size. With others, eight int64 that meet eight more give 64 bool, which
// would be written over what later rows read.
func (f *frame) inPlace(in *instr, i int, d tensor.DType, size int) *buffer {
	if size == 0 || i >= len(in.out) || in.out[i] < 0 {
		return nil
	}
	from := in.reuse
	if i > 0 {
		from = in.beside[min(i, len(in.beside)):min(i+1, len(in.beside))]
	}
	for _, k := range from {
		if k < 0 || k >= len(in.in) || in.in[k] < 0 {
			continue
		}
		t, ok := f.vals[in.in[k]].(*tensor.Tensor)
		if !ok {
			continue
		}
		b := bufferOf(t)
		if b == nil || b.kind == escaped || b.kind == donated && !f.run.donate.begun || b.refs != 1 || len(t.Bytes()) != size || t.DType().Bits() != d.Bits() || address(t.Bytes()) != address(b.data) ||
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
	place  []byte // of the instruction in progress, in the plan's slab; used first
	blocks [][]byte
	at     scratchMark
	most   int // bytes in use at a time since the main program's instruction began
}

// scratchMark is a state of the stack: the bytes in use, those of them in place, and where the blocks stand.
type scratchMark struct{ used, placed, block, off int }

// begin prepares for an instruction of the main program, which may use place.
func (s *scratch) begin(place []byte) { s.place, s.most = place, 0 }

const (
	scratchBlock = 1 << 16
	maxJoined    = 1 << 20
)

func (s *scratch) mark() scratchMark { return s.at }

func (s *scratch) reset(m scratchMark) {
	s.at = m
	if m.used == 0 && len(s.blocks) > 1 { // next time one block is enough
		total := 0
		for _, b := range s.blocks {
			total += len(b)
		}
		if total <= maxJoined { // above, the blocks would be in memory beside the one for them
			s.blocks = [][]byte{tensor.AlignedBytes(total)}
		}
	}
}

func (s *scratch) take(a *arena, n int) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := (n + tensor.Alignment - 1) &^ (tensor.Alignment - 1)
	s.at.used += size
	s.most = max(s.most, s.at.used)
	if off := s.at.placed; len(s.place)-off >= size {
		s.at.placed += size
		return s.place[off : off+n : off+n], nil
	}
	for ; s.at.block < len(s.blocks); s.at.block, s.at.off = s.at.block+1, 0 {
		if b := s.blocks[s.at.block]; len(b)-s.at.off >= size {
			off := s.at.off
			s.at.off += size
			return b[off : off+n : off+n], nil
		}
	}
	b := a.first.take(max(size, scratchBlock))
	if b == nil {
		if err := a.reserve(size); err != nil {
			return nil, err
		}
		b = tensor.AlignedBytes(max(size, scratchBlock))
	}
	s.blocks = append(s.blocks, b)
	s.at.block, s.at.off = len(s.blocks)-1, size
	return b[:n:n], nil
}
