// Package qconv convolves 8-bit integers, exactly, in 32 bits, and rounds the
// sums to 8 bits or scales them to floats. Tensors are channels-last: [n, spatial…, c], row-major.
package qconv

import (
	"bytes"
	"encoding/binary"
	"math"
	"sync"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/kernels/qgemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

// Window says which elements of the input a position of the output sees: along
// dimension i, position o sees o*Strides[i] - Before[i] + k*Dilations[i] for
// each k below Kernel[i]; what lies outside of [0, In[i]) is the zero point.
type Window struct {
	In, Kernel, Out    []int
	Strides, Dilations []int
	Before             []int
}

func product(s []int) int {
	n := 1
	for _, x := range s {
		n *= x
	}
	return n
}

// Table is one implementation of the depthwise routine.
type Table struct {
	Name string
	// Width is the number of channels of a block, Taps that of the taps that lie
	// together in Pack's layout.
	Width, Taps int
	// Whole says that every block takes Width channels: the last one some of those before,
	// too, and the only one what follows its channels.
	Whole bool
	// Words says that weights may be any words, not bytes alone.
	Words bool
	// Pack lays out the weights w[tap*channels+c], of taps, a multiple of Taps,
	// for one block: w holds width <= Width channels of it.
	Pack func(w []int16, taps, channels, width int) []byte
	// Order gives the place of channel c of a block of width channels in bias and scale.
	Order func(c, width int) int
	// Row computes n positions of one block: position i is the sum over taps t of
	// weights times the width bytes at ptrs[t]+i*xstep, and goes to y+i*ystep.
	Row func(r *rowArgs)
	// Floats is Row for floats: shift is added.
	Floats func(r *rowArgs)
	// MaxWidth is the number of channels that Max takes at most, or, with MaxWhole, what it
	// takes. Max sets position i to the largest of the bytes at ptrs[t]+i*xstep.
	MaxWidth int
	MaxWhole bool
	Max      func(r *rowArgs, signed bool)
}

// rowArgs are the arguments of Table.Row. bias and scale have Width elements.
type rowArgs struct {
	n, taps      int
	real         int // taps that are no fill; these come last
	ptrs         []unsafe.Pointer
	w            []byte
	y            unsafe.Pointer
	xstep, ystep int
	width        int
	bias         []int32
	scale, shift []float32
	words        [4]uint32 // zero point, least and greatest value as pairs of words, then what bytes are flipped by
}

// Tables lists what this machine can run, slowest first.
var Tables = append([]*Table{{Name: cpu.Generic, Width: 32, Taps: 1, Words: true, Pack: packGo, Order: inOrder, Row: rowGo, Floats: floatsGo,
	MaxWidth: math.MaxInt, Max: maxGo}}, archTables()...)

// Best returns the fastest table that may be used.
func Best() *Table {
	for i := len(Tables) - 1; i > 0; i-- {
		if cpu.Has(Tables[i].Name) {
			return Tables[i]
		}
	}
	return Tables[0]
}

// Weights are those of a convolution, prepared. They are not changed by Run, so
// that one may serve many calls.
type Weights struct {
	M, CG, Group, Taps int
	// run is the bytes of a row for the taps along the last dimension, a
	// multiple of 4.
	run    int
	groups []*qgemm.Right // of each group
	depth  *depth         // instead, if each group is one channel
}

// NewWeights prepares w [m, cg, taps], bytes with zero points zero (one, one for
// each of m, or none), where line of the taps lie along the last dimension. With
// other zero points, other weights are needed.
func NewWeights(p par.P, w []byte, m, cg, group, taps, line int, signed bool, zero []int32) *Weights {
	r := &Weights{M: m, CG: cg, Group: group, Taps: taps}
	if cg == 1 && m == group && taps > 0 {
		r.depth = newDepth(w, m, taps, signed, zero)
		return r
	}
	mg := m / group
	r.run = (line*cg + 3) &^ 3
	k := taps / max(line, 1) * r.run
	if cg%4 == 0 {
		for g := range group {
			r.groups = append(r.groups, packFours(p, w[g*mg*k:(g+1)*mg*k], mg, cg, taps, signed))
		}
		return r
	}
	none := byte(0) // what is packed as 0
	if !signed {
		none = 0x80
	}
	tmp := bytes.Repeat([]byte{none}, mg*k) // [m][line][tap][c], as rows see it
	for g := range group {
		src := w[g*mg*cg*taps:]
		for i := range mg {
			for c := range cg {
				for t, v := range src[(i*cg+c)*taps : (i*cg+c+1)*taps] {
					tmp[i*k+t/line*r.run+t%line*cg+c] = v
				}
			}
		}
		r.groups = append(r.groups, qgemm.Pack(p, tmp, k, mg, 1, k, signed))
	}
	return r
}

// packFours makes panels of w [m, cg, taps] where cg is a multiple of 4, so that
// rows have no gaps.
func packFours(p par.P, w []byte, m, cg, taps int, signed bool) *qgemm.Right {
	k := cg * taps
	if taps == 1 {
		return qgemm.Pack(p, w, k, m, 1, k, signed)
	}
	r := &qgemm.Right{K: k, N: m, Signed: signed, Data: make([]byte, qgemm.PanelBytes(k, m))}
	r.Sums = make([]int32, r.Panels()*qgemm.Width)
	flip := uint32(r.Flip()) * 0x01010101
	p.For(r.Panels(), 1, func(lo, hi int) {
		for q := lo; q < hi; q++ {
			panel := r.Data[q*qgemm.PanelSize(k) : (q+1)*qgemm.PanelSize(k)]
			for c := 0; c < cg; c += 4 { // whole lines of the panel
				for i := range min(qgemm.Width, m-q*qgemm.Width) {
					src := w[((q*qgemm.Width+i)*cg+c)*taps:][:4*taps]
					s0, s1, s2, s3 := src[:taps], src[taps:2*taps], src[2*taps:3*taps], src[3*taps:]
					t := 0
					for ; t+8 <= taps; t += 8 {
						v0, v1, v2, v3 := fours(s0[t:], s1[t:], s2[t:], s3[t:])
						step := cg * qgemm.Width
						to := panel[(t*cg+c)*qgemm.Width+i*4:][:7*step+4]
						binary.LittleEndian.PutUint32(to, uint32(v0)^flip)
						binary.LittleEndian.PutUint32(to[step:], uint32(v1)^flip)
						binary.LittleEndian.PutUint32(to[2*step:], uint32(v2)^flip)
						binary.LittleEndian.PutUint32(to[3*step:], uint32(v3)^flip)
						binary.LittleEndian.PutUint32(to[4*step:], uint32(v0>>32)^flip)
						binary.LittleEndian.PutUint32(to[5*step:], uint32(v1>>32)^flip)
						binary.LittleEndian.PutUint32(to[6*step:], uint32(v2>>32)^flip)
						binary.LittleEndian.PutUint32(to[7*step:], uint32(v3>>32)^flip)
					}
					for ; t < taps; t++ {
						v := uint32(s0[t]) | uint32(s1[t])<<8 | uint32(s2[t])<<16 | uint32(s3[t])<<24
						binary.LittleEndian.PutUint32(panel[(t*cg+c)*qgemm.Width+i*4:], v^flip)
					}
				}
			}
		}
		r.SumPanels(lo, hi)
	})
	return r
}

// fours joins the first eight bytes of four lists: result e has those at e and, in its
// high half, at e+4.
func fours(s0, s1, s2, s3 []byte) (v0, v1, v2, v3 uint64) {
	const bytes, words = 0x00ff00ff00ff00ff, 0x0000ffff0000ffff
	a, b := binary.LittleEndian.Uint64(s0), binary.LittleEndian.Uint64(s1)
	c, d := binary.LittleEndian.Uint64(s2), binary.LittleEndian.Uint64(s3)
	ab0, ab1 := a&bytes|b&bytes<<8, a>>8&bytes|b&^bytes // at 0, 2, 4, 6 and at 1, 3, 5, 7
	cd0, cd1 := c&bytes|d&bytes<<8, c>>8&bytes|d&^bytes
	return ab0&words | cd0&words<<16, ab1&words | cd1&words<<16, ab0>>16&words | cd0&^words, ab1>>16&words | cd1&^words
}

// Narrow does what qgemm.Right.Narrow does, for weights that serve many calls, and
// returns w.
func (w *Weights) Narrow() *Weights {
	for _, g := range w.groups {
		g.Narrow()
	}
	return w
}

// Round says what becomes of the sums of a convolution: for each output channel
//
//	clamp(round((s + bias)·scale) + zero, lo, hi), halves to even
//
// or, as floats, s·scale + shift.
type Round struct {
	groups       []*qgemm.Finish
	zero, lo, hi int32
	bias         []int32 // of depthwise convolutions: in the order of blocks
	scale, shift []float32
	small        bool
}

// NewRound makes what Run needs with w: zx is the zero point of the input as
// unsigned bytes, zw those of the weights, bias may be nil, scale has one value
// or one for each output channel.
func NewRound(w *Weights, zx int32, zw, bias []int32, scale []float32, factor float32, zero, lo, hi int32) *Round {
	r := &Round{zero: zero, lo: lo, hi: hi}
	r.set(w, zx, zw, bias, scale, factor, nil)
	return r
}

// SetFloats makes r what Run needs with w for floats: as NewRound, but what is
// added to the scaled sums are floats, one for each output channel; nil: none.
// It uses the memory that r has.
func (r *Round) SetFloats(w *Weights, zx int32, zw []int32, scale []float32, factor float32, shift []float32) {
	r.set(w, zx, zw, nil, scale, factor, shift)
}

func (r *Round) set(w *Weights, zx int32, zw, bias []int32, scale []float32, factor float32, shift []float32) {
	if w.depth != nil {
		w.depth.round(r, zx, bias, scale, factor, shift)
		return
	}
	mg := w.M / w.Group
	for len(r.groups) < len(w.groups) {
		r.groups = append(r.groups, &qgemm.Finish{Zero: r.zero, Lo: r.lo, Hi: r.hi})
	}
	for g, right := range w.groups {
		f := r.groups[g]
		f.SetScale(each(scale, g, mg), mg, factor)
		var b []int32
		if bias != nil {
			b = bias[g*mg : (g+1)*mg]
		}
		f.SetZeros(right, w.CG*w.Taps, zx, each(zw, g, mg), b)
		f.SetShift(nil, mg)
		if shift != nil {
			f.SetShift(shift[g*mg:(g+1)*mg], mg)
		}
	}
}

// each returns the n values of group g, or the one of all.
func each[T any](v []T, g, n int) []T {
	if len(v) > 1 {
		return v[g*n : (g+1)*n]
	}
	return v
}

// Args is one convolution: X [N, In…, C] of bytes with zero point Zero, Y
// [N, Out…, M], or F instead of Y.
type Args struct {
	N, C int
	Window
	X, Y []byte
	F    []float32
	// Act, if there is one, changes elements of F when they are computed; it is
	// called for many at a time, and at once for different ones.
	Act    func(f []float32)
	Signed bool // X; Zero then has its top bit flipped, as all bytes will have
	Zero   byte // unsigned
	W      *Weights
	R      *Round
}

// Run computes a. It panics if slices and sizes do not fit. scratch gives it
// memory; what it gives is not used after Run has returned.
func Run(p par.P, a *Args, scratch func(n int) []byte) {
	out, w := product(a.Out), a.W
	if a.N == 0 || w.M == 0 || out == 0 {
		return
	}
	if w.CG*w.Group != a.C || w.M%w.Group != 0 || len(a.X) != a.N*a.C*product(a.In) || len(a.Y)+len(a.F) != a.N*w.M*out || (a.Y == nil) == (a.F == nil) || w.Taps != product(a.Kernel) {
		panic("qconv: sizes do not fit")
	}
	r := runners.Get().(*runner)
	*r = runner{Args: *a, rows: a.N * out, out: out, run: w.run}
	defer func() {
		*r = runner{}
		runners.Put(r)
	}()
	if w.depth == nil {
		r.fold()
	}
	if w.depth == nil && r.direct() {
		r.lines(p, scratch)
		return
	}
	if a.Signed {
		r.X = scratch(len(a.X))
		par.Each(p, len(r.X), 1<<16, [2][]byte{r.X, a.X}, func(x *[2][]byte, lo, hi int) { flip(x[0][lo:hi], x[1][lo:hi]) })
	}
	if w.depth != nil {
		w.depth.run(p, &r.Args)
		return
	}
	if w.Group > 1 && w.CG%4 == 0 && w.Taps > 1 {
		r.grouped(p, scratch)
		return
	}
	if r.gathers() {
		r.gathered(p)
		return
	}
	r.blocks(p, scratch)
}

// flip sets dst to src with all top bits flipped.
func flip(dst, src []byte) {
	for ; len(src) >= 8; dst, src = dst[8:], src[8:] {
		binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src)^0x8080808080808080)
	}
	for i, v := range src {
		dst[i] = v ^ 0x80
	}
}

// runner convolves by products of matrices: what each position sees, row by
// row, times the weights.
type runner struct {
	Args
	rows, out, run int
	whole          Weights // what W may be
	sizes          [2][4]int
}

var runners = sync.Pool{New: func() any { return new(runner) }}

const (
	tile = 14      // rows of the largest tile
	work = 1 << 20 // products that are worth a task
)

// tasks returns how many there should be. Sums are exact, so that it may depend on the
// number of threads: each task prepares its rows.
func tasks(p par.P) int {
	if p.Threads < 2 {
		return 1
	}
	return 4 * p.Threads
}

// split returns how many panels a task takes if there are rows blocks of rows,
// each of k·high products for a column.
func (r *runner) split(tasks, blocks, high, k, panels int) (wide int) {
	wide = panels
	for blocks*((panels+wide-1)/wide) < tasks && wide > 1 && high*k*(wide/2)*qgemm.Width >= work {
		wide = (wide + 1) / 2
	}
	return wide
}

// blocks makes matrices of what the positions see.
func (r *runner) blocks(p par.P, scratch func(n int) []byte) {
	const (
		cache = 256 << 10 // bytes of rows that a task takes
		most  = 8 * tile
	)
	mg, k := r.W.M/r.W.Group, r.W.groups[0].K
	stride := k
	panels := (mg + qgemm.Width - 1) / qgemm.Width
	high := min(most, max(1, cache/max(1, stride)/tile)*tile)
	blocks := (r.rows + high - 1) / high
	high = (r.rows + blocks - 1) / blocks
	blocks = (r.rows + high - 1) / high
	wide := r.split(tasks(p), blocks*r.W.Group, high, k, panels)
	parts := (panels + wide - 1) / wide
	grain := max(1, work/max(1, high*k*wide*qgemm.Width))
	t := blockTasks{r: r, stride: stride, high: high, blocks: blocks, wide: wide, parts: parts, panels: panels, inPlace: r.inPlace()}
	if parts > 1 && !t.inPlace {
		// Several tasks share rows, which are laid out first.
		t.all = scratch(r.rows * stride)
		for t.g = range r.W.Group {
			par.Each(p, r.rows, max(1, (1<<16)/max(1, stride)), t, (*blockTasks).layOut)
			par.Each(p, blocks*parts, grain, t, (*blockTasks).laidOut)
		}
		return
	}
	par.Each(p, r.W.Group*blocks*parts, grain, t, (*blockTasks).run)
}

// blockTasks are the tasks of blocks: high rows and wide panels of a group each, parts of which
// share rows.
type blockTasks struct {
	r                                         *runner
	stride, high, blocks, wide, parts, panels int
	inPlace                                   bool
	all                                       []byte // all rows of group g
	g                                         int
}

// layOut lays rows [lo, hi) of group g out.
func (t *blockTasks) layOut(lo, hi int) {
	m := rowMemories.Get().(*rowMemory)
	t.r.layOut(m, t.all[lo*t.stride:hi*t.stride], t.stride, t.g, lo, hi)
	m.free()
}

// laidOut runs tasks [lo, hi) of group g, whose rows have been laid out.
func (t *blockTasks) laidOut(lo, hi int) {
	m := rowMemories.Get().(*rowMemory)
	for k := lo; k < hi; k++ {
		i0, q0 := k%t.blocks*t.high, k/t.blocks*t.wide
		m.view = qgemm.View{M: min(t.high, t.r.rows-i0), K: t.stride, Stride: t.stride, Data: t.all[i0*t.stride:]}
		t.r.block(m, t.g, i0, q0, min(q0+t.wide, t.panels))
	}
	m.free()
}

// run runs tasks [lo, hi) of all groups.
func (t *blockTasks) run(lo, hi int) {
	r, m := t.r, rowMemories.Get().(*rowMemory)
	for k := lo; k < hi; k++ {
		g, i0, q0 := k/(t.blocks*t.parts), k%t.blocks*t.high, k/t.blocks%t.parts*t.wide
		i1, q1 := min(i0+t.high, r.rows), min(q0+t.wide, t.panels)
		if t.inPlace {
			at := g * r.W.CG
			// Rows whose end, rounded up, is outside of X are copied.
			safe := i1
			for safe > i0 && at+(safe-1)*r.C+t.stride > len(r.X) {
				safe--
			}
			if safe > i0 {
				m.view = qgemm.View{M: safe - i0, K: r.W.CG, Stride: r.C, Data: r.X[at+i0*r.C:]}
				r.block(m, g, i0, q0, q1)
			}
			i0 = safe
		}
		if i0 == i1 {
			continue
		}
		m.rows = sized(m.rows, max(i1-i0, t.high)*t.stride)
		rows := m.rows[:(i1-i0)*t.stride]
		r.layOut(m, rows, t.stride, g, i0, i1)
		m.view = qgemm.View{M: i1 - i0, K: t.stride, Stride: t.stride, Data: rows}
		r.block(m, g, i0, q0, q1)
	}
	m.free()
}

// grouped lays out what positions see of all channels, from which the products of each group
// read theirs, tap by tap.
func (r *runner) grouped(p par.P, scratch func(n int) []byte) {
	const cache = 256 << 10 // bytes of rows that a task takes
	mg, taps, last := r.W.M/r.W.Group, r.W.Taps, len(r.In)-1
	stride := taps * r.C
	t := groupTasks{r: r, all: runners.Get().(*runner), stride: stride, taps: taps}
	defer func() {
		*t.all = runner{}
		runners.Put(t.all)
	}()
	*t.all = runner{Args: r.Args, rows: r.rows, out: r.out, run: r.Kernel[last] * r.C}
	t.all.whole = Weights{CG: r.C, Taps: taps}
	t.all.W = &t.all.whole
	t.panels = (mg + qgemm.Width - 1) / qgemm.Width
	t.high = min(r.rows, max(1, cache/stride/tile)*tile)
	blocks := (r.rows + t.high - 1) / t.high
	t.high = (r.rows + blocks - 1) / blocks
	blocks = (r.rows + t.high - 1) / t.high
	grain := max(1, work/max(1, t.high*r.W.groups[0].K*t.panels*qgemm.Width))
	if blocks < tasks(p) { // several tasks share rows, which are laid out first
		t.rows = scratch(r.rows * stride)
		par.Each(p, r.rows, max(1, (1<<16)/stride), t, (*groupTasks).layOut)
		par.Each(p, blocks*r.W.Group, grain, t, (*groupTasks).laidOut)
		return
	}
	par.Each(p, blocks, max(1, grain/r.W.Group), t, (*groupTasks).run)
}

// groupTasks are the tasks of grouped: high rows of a group each, or of all groups.
type groupTasks struct {
	r, all                     *runner // all: of all channels as of one group
	stride, taps, panels, high int
	rows                       []byte
}

// group computes rows [i0, i1) of group g.
func (t *groupTasks) group(m *rowMemory, rows []byte, g, i0, i1 int) {
	m.view = qgemm.View{M: i1 - i0, K: t.r.W.CG, Segments: t.taps, Step: t.r.C, Stride: t.stride, Data: rows[g*t.r.W.CG:]}
	t.r.block(m, g, i0, 0, t.panels)
}

func (t *groupTasks) layOut(lo, hi int) {
	m := rowMemories.Get().(*rowMemory)
	t.all.layOut(m, t.rows[lo*t.stride:hi*t.stride], t.stride, 0, lo, hi)
	m.free()
}

func (t *groupTasks) laidOut(lo, hi int) {
	m := rowMemories.Get().(*rowMemory)
	for k := lo; k < hi; k++ {
		i0 := k / t.r.W.Group * t.high
		t.group(m, t.rows[i0*t.stride:], k%t.r.W.Group, i0, min(i0+t.high, t.r.rows))
	}
	m.free()
}

func (t *groupTasks) run(lo, hi int) {
	m := rowMemories.Get().(*rowMemory)
	m.rows = sized(m.rows, t.high*t.stride)
	for k := lo; k < hi; k++ {
		i0, i1 := k*t.high, min((k+1)*t.high, t.r.rows)
		rows := m.rows[:(i1-i0)*t.stride]
		t.all.layOut(m, rows, t.stride, 0, i0, i1)
		for g := range t.r.W.Group {
			t.group(m, rows, g, i0, i1)
		}
	}
	m.free()
}

// inPlace reports whether rows lie one after the other in X.
func (r *runner) inPlace() bool {
	for i := range r.In {
		if r.Kernel[i] != 1 || r.Strides[i] != 1 || r.Before[i] != 0 || r.In[i] != r.Out[i] {
			return false
		}
	}
	return true
}

// block computes panels [q0, q1) of group g for the rows of m's view, of which the
// first is row i0.
func (r *runner) block(m *rowMemory, g, i0, q0, q1 int) {
	v, f := &m.view, r.R.groups[g]
	if f.Zeros != nil {
		m.sums = sized(m.sums, v.M)
		v.Sums = m.sums
		if v.K == r.W.groups[g].K && r.run != r.W.CG*r.Kernel[len(r.Kernel)-1] { // fill bytes do not count
			u := *v
			u.K, u.Segments, u.Step = r.W.CG*r.Kernel[len(r.Kernel)-1], v.K/r.run, r.run
			u.RowSums(v.Sums)
		} else {
			v.RowSums(v.Sums)
		}
	}
	r.product(f, qgemm.Best(), v, g, q0, q1, i0)
	r.act(i0, i0+v.M, g, q0, q1)
}

// product computes panels [q0, q1) of group g for v and writes them from position i0 on.
func (r *runner) product(f *qgemm.Finish, t *qgemm.Table, v *qgemm.View, g, q0, q1, i0 int) {
	at := i0*r.W.M + g*(r.W.M/r.W.Group)
	if r.F != nil {
		f.Floats(t, v, r.W.groups[g], q0, q1, r.F[at:], r.W.M)
		return
	}
	f.Bytes(t, v, r.W.groups[g], q0, q1, r.Y[at:], r.W.M)
}

// act applies Act to panels [q0, q1) of group g at positions [i0, i1).
func (r *runner) act(i0, i1, g, q0, q1 int) {
	if r.Act == nil {
		return
	}
	mg := r.W.M / r.W.Group
	c0, c1 := q0*qgemm.Width, min(q1*qgemm.Width, mg)
	if c1-c0 == r.W.M {
		r.Act(r.F[i0*r.W.M : i1*r.W.M])
		return
	}
	for i := i0; i < i1; i++ {
		r.Act(r.F[i*r.W.M+g*mg+c0 : i*r.W.M+g*mg+c1])
	}
}

// fold leaves two of more dimensions where the kernel has size 1 in the others, as those of video
// have that go along either time or space: what is in front is more images, and what is
// behind, a longer line.
func (r *runner) fold() {
	alone := func(i int) bool {
		return r.Kernel[i] == 1 && r.Strides[i] == 1 && r.Before[i] == 0 && r.In[i] == r.Out[i]
	}
	for len(r.In) > 2 && alone(0) {
		r.N *= r.In[0]
		r.out /= r.Out[0]
		r.In, r.Kernel, r.Out, r.Strides, r.Dilations, r.Before = r.In[1:], r.Kernel[1:], r.Out[1:], r.Strides[1:], r.Dilations[1:], r.Before[1:]
	}
	for last := len(r.In) - 1; last > 1 && last < len(r.sizes[0]) && alone(last) && alone(last-1); last-- {
		in, out := r.sizes[0][:last], r.sizes[1][:last]
		copy(in, r.In)
		copy(out, r.Out)
		in[last-1] *= r.In[last]
		out[last-1] *= r.Out[last]
		r.In, r.Out = in, out
		r.Kernel, r.Strides, r.Dilations, r.Before = r.Kernel[:last], r.Strides[:last], r.Dilations[:last], r.Before[:last]
	}
}

// direct reports whether lines serves: the taps along the last dimension lie in
// one run of X, and lines of the output are long enough for good tiles.
func (r *runner) direct() bool {
	d := len(r.In)
	if d > 2 || r.W.Group > 1 || r.Dilations[d-1] != 1 && r.Kernel[d-1] > 1 || r.inPlace() {
		return false
	}
	w := r.Out[d-1]
	return w/((w+tile-1)/tile) >= 9 || w >= 5 && r.run < 64
}

// lines reads the rows of the product where they are in X, or in a copy of it
// with padding.
func (r *runner) lines(p par.P, scratch func(n int) []byte) {
	last := len(r.In) - 1
	kw, kh, iw, ih, ow, oh := r.Kernel[last], 1, r.In[last], 1, r.Out[last], 1
	sh, dh, left, top := 1, 1, r.Before[last], 0
	if last == 1 {
		kh, ih, oh, sh, dh, top = r.Kernel[0], r.In[0], r.Out[0], r.Strides[0], r.Dilations[0], r.Before[0]
	}
	x, pw, ph := r.X, iw, ih
	if needW, needH := (ow-1)*r.Strides[last]+kw, (oh-1)*sh+(kh-1)*dh+1; r.Signed || left != 0 || top != 0 || needW > iw || needH > ih || kw*r.C%4 != 0 {
		pw, ph = needW, needH
		x = scratch(r.N*ph*pw*r.C + 4)
		par.Each(p, r.N*ph, max(1, (1<<15)/(pw*r.C)), padTasks{r, x, pw, ph, iw, ih, left, top}, (*padTasks).run)
	}
	right := r.W.groups[0]
	panels, total := right.Panels(), r.N*oh
	high := max(1, 56/ow) // lines that use a panel together
	if n := (total + high - 1) / high; n < tasks(p) {
		high = max(1, total/tasks(p))
	}
	blocks := (total + high - 1) / high
	wide := r.split(tasks(p), blocks, high*ow, right.K, panels)
	parts := (panels + wide - 1) / wide
	par.Each(p, blocks*parts, max(1, work/max(1, high*ow*right.K*wide*qgemm.Width)), lineTasks{
		r: r, x: x, pw: pw, ph: ph, sh: sh, ow: ow, oh: oh, high: high, blocks: blocks, wide: wide,
		view: qgemm.View{M: ow, LineStep: sh * pw * r.C, K: kw * r.C, Stride: r.Strides[last] * r.C, Segments: kh, Step: dh * pw * r.C},
	}, (*lineTasks).run)
}

// padTasks copy X to x, with padding: lines of pw pixels, ph of an image.
type padTasks struct {
	r                         *runner
	x                         []byte
	pw, ph, iw, ih, left, top int
}

func (t *padTasks) run(lo, hi int) {
	r := t.r
	for l := lo; l < hi; l++ {
		dst := t.x[l*t.pw*r.C : (l+1)*t.pw*r.C]
		y := l%t.ph - t.top
		c0, c1 := min(t.left, t.pw), min(t.left+t.iw, t.pw)
		if y < 0 || y >= t.ih {
			c1 = c0
		}
		fill(dst[:c0*r.C], r.Zero)
		if c1 > c0 {
			src := r.X[(l/t.ph*t.ih+y)*t.iw*r.C:][:(c1-c0)*r.C]
			if r.Signed {
				flip(dst[c0*r.C:c1*r.C], src)
			} else {
				copy(dst[c0*r.C:], src)
			}
		}
		fill(dst[c1*r.C:], r.Zero)
	}
}

// lineTasks are the tasks of lines: high lines of the output and wide panels each.
type lineTasks struct {
	r                                      *runner
	x                                      []byte
	view                                   qgemm.View // of a line
	pw, ph, sh, ow, oh, high, blocks, wide int
}

func (x *lineTasks) run(lo, hi int) {
	r, t, m := x.r, qgemm.Best(), rowMemories.Get().(*rowMemory)
	right, f := r.W.groups[0], r.R.groups[0]
	panels, total := right.Panels(), r.N*x.oh
	v := &m.view
	*v = x.view
	for i := lo; i < hi; i++ {
		l0, q0 := i%x.blocks*x.high, i/x.blocks*x.wide
		l1, q1 := min(l0+x.high, total), min(q0+x.wide, panels)
		for l := l0; l < l1; l += v.Lines {
			v.Lines = min(l1-l, x.oh-l%x.oh) // of an image
			v.Data = x.x[(l/x.oh*x.ph+l%x.oh*x.sh)*x.pw*r.C:]
			if f.Zeros != nil {
				m.sums = sized(m.sums, v.Rows())
				v.Sums = m.sums
				v.RowSums(v.Sums)
			}
			r.product(f, t, v, 0, q0, q1, l*x.ow)
		}
		r.act(l0*x.ow, l1*x.ow, 0, q0, q1)
	}
	m.free()
}

// fill sets all bytes of dst.
func fill(dst []byte, v byte) {
	for n := copy(dst, []byte{v}); n < len(dst); n *= 2 {
		copy(dst[n:], dst[:n])
	}
}
