package nhwc

import (
	"runtime"
	"slices"
	"sync"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

// Args is one convolution: Y = act(conv(X, W) + B + Z).
//
//	X [N, In…, C]   B [M] or nil   Z [N, Out…, M] or nil   Y [N, Out…, M]
//
// Z may be Y. Of a transposed convolution, Out is the spatial shape of X and In
// that of Y.
type Args[T Float] struct {
	N int
	conv.Window
	W          *Weights[T]
	X, B, Z, Y []T
	// Parts, if there are any, are X: each has some of the channels, those of the
	// first come first. See Weights.Takes.
	Parts []Part[T]
	Epilogue[T]
	// Scratch returns working memory with undefined contents.
	Scratch func(n int) []T
	Table   *Table // nil: Best
}

// Part is a number of channels of all pixels.
type Part[T Float] struct {
	X []T // [N, In…, C]
	C int
}

// Epilogue is what happens to sums when they are complete.
type Epilogue[T Float] struct {
	Clamp  bool // limit to Lo and Hi
	Lo, Hi T
	Act    func([]T) // called for pieces of the result, after the limits
}

// view is a set of output positions that see the same taps: along dimension d
// they are first + i·step for i below count, and look at i·stepIn + at + off for
// each off, at being 0 but in boxes. Its weights begin at row k of each panel.
type view struct {
	count, first, step, stepIn, at [3]int
	off                            [3][]int
	k                              int
}

// dense is a convolution by tiles.
type dense[T Float] struct {
	*Args[T]
	shape
	v         view
	tile      Tile
	mr        int
	x3, y3    [3]int // spatial shapes of X and Y
	n         int    // images
	size      int    // of an element
	cg, mg, k int    // channels of a group, rows of a panel
	x, zero   unsafe.Pointer
	sum       bool // Z is Y
	sparse    bool // most taps of most positions see padding
	far       int  // far or 0
	stream    int  // stream or 0
	lim       [2]T // what the tiles limit sums to

	pixels, segs, rows, width int       // of a block; width in panels
	dst                       []T       // the image with its padding
	last                      func([]T) // Act where it comes when all is computed
	across                    int       // blocks of the same positions
	stay                      bool      // blocks of the same weights come one after the other
	boxes                     []box
	blocks, pad, acts         func(lo, hi int)

	mul    gemm.Args[T] // see few
	packed gemm.Packed[T]
}

// Conv computes a convolution. It panics if slices and sizes do not fit.
func Conv[T Float](p par.P, a *Args[T]) {
	r := newDense(a)
	s, v := &r.shape, &r.v
	r.start(s.in, s.out)
	if f, ok := any(a).(*Args[float32]); ok && (f.W.depthwise != nil || f.W.winograd != nil || f.W.taps != nil) {
		switch {
		case len(a.Y) == 0:
		case f.W.taps != nil:
			scattered(p, f, s, false)
		case f.W.winograd != nil:
			convWinograd(p, f, s)
		default:
			convDepthwise(p, f, s)
		}
		r.free()
		return
	}
	if f, ok := any(r).(*dense[float32]); ok && f.W.pairs != nil {
		if !s.flat() {
			panic("nhwc: weights of pixels for a window of several")
		}
		f.product(a.N * product3(s.in))
		f.W.pairs.Run(p, &f.mul)
		r.free()
		return
	}
	r.view()
	if len(a.Parts) > 0 {
		r.parts()
	} else if r.few(p) {
		r.free()
		return
	}
	if s.flat() { // positions need not end at the end of a row
		r.n, r.x3, r.y3 = 1, [3]int{1, 1, a.N * product3(s.in)}, [3]int{1, 1, a.N * product3(s.in)}
		v.count = r.y3
	} else if a.W.Group == 1 && s.kernel[2] > 1 && s.dil[2] == 1 {
		r.join(p)
	}
	r.run(p)
	r.free()
}

// view makes r.v the view of all positions.
func (r *dense[T]) view() {
	s, v := &r.shape, &r.v
	v.count, v.first, v.step, v.stepIn, v.k = s.out, [3]int{}, [3]int{1, 1, 1}, s.stride, 0
	for d := range 3 {
		v.off[d] = v.off[d][:0]
		for k := range s.kernel[d] {
			v.off[d] = append(v.off[d], k*s.dil[d]-s.before[d])
		}
	}
}

// few computes a convolution that is a product of so few rows that it waits for
// its weights: package gemm reads them in the order in which they lie. It
// reports whether it did.
func (r *dense[T]) few(p par.P) bool {
	s, w := &r.shape, r.W
	rows := r.N
	switch {
	case w.Group != 1 || r.size != 4 || r.k == 0 || w.M == 0:
		return false
	case s.flat():
		rows *= product3(s.in)
	case s.kernel != s.in || product3(s.out) != 1 || s.before != [3]int{} || s.dil != [3]int{1, 1, 1}:
		return false
	}
	t := r.Table.products
	if t == nil || rows < 1 || rows >= len(t.Few32) || t.Few32[rows] == nil {
		return false
	}
	r.product(rows)
	r.packed = gemm.Packed[T]{K: r.k, N: w.M, Data: w.data}
	r.mul.Packed = &r.packed
	gemm.Run(p, &r.mul)
	return true
}

// product sets r.mul to the product of so many rows of X with the weights.
func (r *dense[T]) product(rows int) {
	w := r.W
	r.mul = gemm.Args[T]{M: rows, N: w.M, K: r.k, A: r.X, ARS: r.k, ACS: 1, C: r.Y, LDC: w.M, Table: r.Table.products}
	r.mul.Epilogue = gemm.Epilogue[T]{Acc: r.sum, Col: r.B, Clip: r.Clamp, Lo: r.Lo, Hi: r.Hi, Act: r.Act}
	if r.Z != nil && !r.sum {
		r.mul.Add, r.mul.LDAdd = r.Z, w.M
	}
}

// flat reports whether every position sees one pixel, that at its place.
func (s *shape) flat() bool {
	return product3(s.kernel) == 1 && product3(s.stride) == 1 && s.before == [3]int{} && s.in == s.out
}

// join makes the taps of each row of the kernel one segment where no window
// leaves the image sideways, or where there are so few channels that padding
// it costs less than short segments.
func (r *dense[T]) join(p par.P) {
	s := &r.shape
	width := s.joined()
	if s.before[2] > 0 || width-s.before[2] > s.in[2] {
		if r.W.C >= 16 || width > 1<<20 {
			return
		}
		lines := r.n * s.in[0] * s.in[1]
		r.dst = r.Scratch(lines * width * r.W.C)
		p.For(lines, max(1, (1<<14)/max(1, width*r.W.C)), r.pad)
		r.x, r.x3[2] = unsafe.Pointer(unsafe.SliceData(r.dst)), width
		r.v.off[2] = append(r.v.off[2][:0], 0)
	} else {
		r.v.off[2] = append(r.v.off[2][:0], -s.before[2])
	}
	r.cg *= s.kernel[2]
	r.zero = zeros(r.cg * r.size)
}

// joined is the number of columns that the windows of a row see.
func (s *shape) joined() int { return (s.out[2]-1)*s.stride[2] + s.kernel[2] }

// padLines writes lines [i, end) of the image with their padding.
func (r *dense[T]) padLines(i, end int) {
	s, c := &r.shape, r.W.C
	width := s.joined()
	lo := min(max(s.before[2], 0), width)
	hi := max(min(s.in[2]+s.before[2], width), lo)
	for ; i < end; i++ {
		d := r.dst[i*width*c : (i+1)*width*c]
		clear(d[:lo*c])
		clear(d[copy(d[lo*c:hi*c], r.X[(i*s.in[2]+lo-s.before[2])*c:])+lo*c:])
	}
}

// Transposed computes a transposed convolution, one phase of the strides after
// the other.
func Transposed[T Float](p par.P, a *Args[T]) {
	r := newDense(a)
	s, v := &r.shape, &r.v
	r.start(s.out, s.in)
	if f, ok := any(a).(*Args[float32]); ok && (f.W.phases != nil || f.W.taps != nil) {
		switch {
		case len(a.Y) == 0:
		case f.W.taps != nil:
			scattered(p, f, s, true)
		default:
			transposedDepthwise(p, f, s)
		}
		r.free()
		return
	}
	if product3(s.stride) > 1 { // positions of a phase are no neighbours: at the end they are
		r.last, r.Act = r.Act, nil
	}
	v.k = 0
	for z := range s.stride[0] {
		r.phase(0, z)
		for y := range s.stride[1] {
			r.phase(1, y)
			for x := range s.stride[2] {
				r.phase(2, x)
				r.run(p)
				v.k += len(v.off[0]) * len(v.off[1]) * len(v.off[2]) * r.cg
			}
		}
	}
	if r.last != nil {
		p.For((len(r.Y)+actPiece-1)/actPiece, 4, r.acts)
		r.Act = r.last
	}
	r.free()
}

// actPiece is how many elements of a whole result get the activation at a time.
const actPiece = 1 << 12

func (r *dense[T]) doActs(lo, hi int) { r.last(r.Y[lo*actPiece : min(hi*actPiece, len(r.Y))]) }

// phase sets dimension d of the view to the i-th class of taps and its positions.
func (r *dense[T]) phase(d, i int) {
	s, v := &r.shape, &r.v
	st := s.stride[d]
	v.first[d] = ((i-s.before[d])%st + st) % st
	v.step[d], v.stepIn[d] = st, 1
	v.count[d] = max(0, (s.in[d]-v.first[d]+st-1)/st)
	v.off[d] = v.off[d][:0]
	if c := r.W.classes[d]; i < len(c) {
		for _, k := range c[i] {
			v.off[d] = append(v.off[d], (v.first[d]+s.before[d]-k*s.dil[d])/st)
		}
	}
}

// densePools hold what is left of convolutions of float32 and of float64: with
// it the next one allocates nothing.
var densePools [2]sync.Pool

func densePool[T Float]() *sync.Pool { return &densePools[unsafe.Sizeof(*new(T))/8] }

func newDense[T Float](a *Args[T]) *dense[T] {
	if a.Table == nil {
		a.Table = Best()
	}
	r, ok := densePool[T]().Get().(*dense[T])
	if !ok {
		r = &dense[T]{}
		r.blocks, r.pad, r.acts = r.doBlocks, r.padLines, r.doActs
	}
	*r = dense[T]{Args: a, shape: shapeOf(&a.Window), v: r.v, boxes: r.boxes, blocks: r.blocks, pad: r.pad, acts: r.acts}
	return r
}

// free ends the use of r.
func (r *dense[T]) free() {
	*r = dense[T]{v: r.v, boxes: r.boxes, blocks: r.blocks, pad: r.pad, acts: r.acts}
	densePool[T]().Put(r)
}

// start prepares for images of spatial shape in, results of shape out.
func (r *dense[T]) start(in, out [3]int) {
	w := r.W
	r.n, r.x3, r.y3, r.size, r.cg, r.mg = r.N, in, out, int(unsafe.Sizeof(*new(T))), w.C/w.Group, w.M/w.Group
	r.k = product(w.Kernel) * r.cg
	n := r.N * product3(out) * w.M
	if len(r.Parts) == 0 && len(r.X) != r.N*product3(in)*w.C || len(r.Y) != n || r.B != nil && len(r.B) != w.M || r.Z != nil && len(r.Z) != n {
		panic("nhwc: sizes do not fit")
	}
	r.tile, r.mr = r.Table.Tile32, r.Table.MR32
	if r.size == 8 {
		r.tile, r.mr = r.Table.Tile64, r.Table.MR64
	}
	r.x = unsafe.Pointer(unsafe.SliceData(r.X))
	r.zero = zeros(w.C * r.size)
	if n*r.size > 1<<22 {
		r.far = far
	}
	if r.Table.Fence != nil && n*r.size > streamed() && r.size == 4 && r.mg%Panel == 0 && r.Act == nil && uintptr(unsafe.Pointer(&r.Y[0]))%64 == 0 {
		r.stream = stream
	}
	r.lim = [2]T{r.Lo, r.Hi}
	r.sum = n > 0 && r.Z != nil && &r.Z[0] == &r.Y[0]
}

// noPixel is what padding points to.
var noPixel [1 << 15]byte

func zeros(n int) unsafe.Pointer {
	if n <= len(noPixel) {
		return unsafe.Pointer(&noPixel)
	}
	return unsafe.Pointer(unsafe.SliceData(make([]byte, n)))
}

// lists are the pointers of one block.
type lists struct {
	words  []uintptr
	floats []float32
	tmp    [36 * 16]float32

	touched byte // only so that what was read for its own sake is used
}

var listPool = sync.Pool{New: func() any { return new(lists) }}

func (l *lists) grow(n int) []uintptr {
	if len(l.words) < n {
		l.words = make([]uintptr, n+n/4)
	}
	return l.words[:n]
}

// split says how the pixels and panels of a convolution are cut into tasks.
func (r *dense[T]) split(pixels, panels, segs, k int) (rows, width int) {
	const task, most = 1 << 19, 64
	rows, width = min(pixels, max(min(16*r.mr, (1<<16)/max(segs, 1)), r.mr)), panels
	want := min(max(pixels*panels*Panel*k/task, 1), most)
	tasks := func() int { return (pixels + rows - 1) / rows * ((panels + width - 1) / width) }
	even := func() (int, int) { // blocks of about the same size
		blocks := (pixels + rows - 1) / rows
		return (pixels + blocks - 1) / blocks, width
	}
	for tasks() < want {
		half := (rows/2 + r.mr - 1) / r.mr * r.mr
		switch {
		case width == 1 && rows <= 4*r.mr && tasks() >= 16: // each block reads all weights again
			return even()
		case width > 1 && (pixels <= k || rows <= 2*r.mr): // the weights are larger than the image
			width = (width + 1) / 2
		case half < rows:
			rows = half
		default:
			return even()
		}
	}
	return even()
}

// kBlock is the number of products that a tile adds up before it adds them to
// C, about: the error of a sum grows with the number of terms that run through
// one accumulator.
const kBlock = 192

// nearWeights is how many bytes of weights may stay in the nearest cache while
// pixels pass by.
const nearWeights = 1 << 14

func (r *dense[T]) run(p par.P) {
	v := &r.v
	r.pixels = r.n * product3(v.count)
	r.segs = len(v.off[0]) * len(v.off[1]) * len(v.off[2])
	switch {
	case r.cg == 0:
		r.segs = 0
	case len(r.Parts) > 0:
		r.segs = r.k / r.cg
	}
	panels := r.W.Group * r.W.panels()
	if r.pixels == 0 || panels == 0 {
		return
	}
	r.rows, r.width = r.split(r.pixels, panels, r.segs, max(r.segs*r.cg, 1))
	if r.sparse = len(r.Parts) == 0 && r.cut(); !r.sparse {
		r.boxes = append(r.boxes[:0], box{view: *v, pixels: r.pixels})
		seen := r.seen(v)
		r.sparse = len(v.off[0])*len(v.off[1])*len(v.off[2]) > 1 && seen < 0.5
		if r.sparse && r.pixels <= 64 {
			r.rows = 1
			if v.stepIn[2] == 1 && r.dil[2] == 1 && seen*float64(len(v.off[2])) >= float64(2*r.mr) { // neighbours see nearly the same
				r.rows = r.mr
			}
		}
	}
	r.across = (panels + r.width - 1) / r.width
	r.stay = r.k*r.W.M > r.n*product3(r.x3)*r.W.C
	p.For(r.share()*r.across, 1, r.blocks)
	runtime.KeepAlive(r)
}

// doBlocks computes blocks [lo, hi): of neighbours, the image or the weights are the
// same, what there is more of.
func (r *dense[T]) doBlocks(lo, hi int) {
	panels, blocks := r.W.Group*r.W.panels(), r.boxes[len(r.boxes)-1].blocks
	l := listPool.Get().(*lists)
	for t := lo; t < hi; t++ {
		at, j := t/r.across, t%r.across
		if r.stay {
			at, j = t%blocks, t/blocks
		}
		i := 0
		for r.boxes[i].blocks <= at {
			i++
		}
		b := &r.boxes[i]
		if i > 0 {
			at -= r.boxes[i-1].blocks
		}
		q := at * b.rows
		r.block(&b.view, l, q, min(b.rows, b.pixels-q), r.segs, j*r.width, min((j+1)*r.width, panels))
	}
	listPool.Put(l)
}

// block computes panels [j0, j1) of n positions from q on.
func (r *dense[T]) block(v *view, l *lists, q, n, segs, j0, j1 int) {
	words := l.grow((segs + 2) * n)
	if len(r.Parts) > 0 {
		r.partPointers(words, q, n)
	} else {
		r.pointers(v, words, q, n, segs)
	}
	outs, zs := words[segs*n:(segs+1)*n], words[(segs+1)*n:]
	mr := r.tileRows(words, n, segs)
	tiles := (n + mr - 1) / mr
	step := (n + tiles - 1) / tiles
	const word = int(unsafe.Sizeof(uintptr(0)))
	perPanel := r.k * Panel
	if r.W.Group > 1 {
		r.touch(l, words, n, segs, j0, j1)
	}
	mode := 0
	if r.Clamp {
		mode = clamp
	}
	if r.Z != nil && !r.sum {
		mode |= addZ
		y, z := uintptr(unsafe.Pointer(&r.Y[0])), uintptr(unsafe.Pointer(&r.Z[0]))
		for i, c := range outs {
			zs[i] = c - y + z
		}
	}
	panels := r.W.panels()
	// One pass of a few whole segments, or of a part of one.
	pass := func(s0, s1, k0, k1 int, first, last bool) {
		size := (s1 - s0) * (k1 - k0) * Panel * r.size
		m0 := mode
		if !last {
			m0 = 0
		}
		if first {
			m0 |= r.far
		}
		if !first || r.sum {
			m0 |= addC
		} else if last && r.stream != 0 {
			m0 = m0&^far | stream
		}
		tile := func(i, j int) {
			g, col := j/panels, j%panels*Panel
			var b, bias unsafe.Pointer
			if s1 > s0 {
				b = unsafe.Pointer(&r.W.data[j*perPanel+(v.k+s0*r.cg+k0)*Panel])
			}
			ahead := uintptr(b) + uintptr(perPanel*r.size) // the next panel, or the next part of the first
			if j+1 == j1 {
				ahead = uintptr(b) + uintptr(size-(j1-1-j0)*perPanel*r.size)
			}
			if first && r.B != nil {
				bias = unsafe.Pointer(&r.B[g*r.mg+col])
			}
			next := r.Table.next(i/step, tiles, uintptr(b), ahead, size)
			r.tile(min(step, n-i), min(Panel, r.mg-col), s1-s0, k1-k0, unsafe.Pointer(&words[s0*n+i]), n*word, (g*r.cg+k0)*r.size,
				b, unsafe.Pointer(&outs[i]), unsafe.Pointer(&zs[i]), (g*r.mg+col)*r.size, bias, m0, unsafe.Pointer(&r.lim), next)
		}
		if size*(j1-j0) <= nearWeights { // all panels of one tile's rows: C is written in the order in which it lies
			for i := 0; i < n; i += step {
				for j := j0; j < j1; j++ {
					tile(i, j)
				}
			}
			return
		}
		for j := j0; j < j1; j++ {
			for i := 0; i < n; i += step {
				tile(i, j)
			}
		}
	}
	// passes does segments [s0, s1).
	passes := func(s0, s1 int, first, last bool) {
		if r.cg > kBlock {
			parts := (r.cg + kBlock - 1) / kBlock
			size := ((r.cg+parts-1)/parts + 3) &^ 3
			for s := s0; s < s1; s++ {
				for k := 0; k < r.cg; k += size {
					pass(s, s+1, k, min(k+size, r.cg), first && s == s0 && k == 0, last && s+1 == s1 && k+size >= r.cg)
				}
			}
			return
		}
		parts := ((s1-s0)*r.cg + kBlock - 1) / kBlock
		size := (s1 - s0 + parts - 1) / parts
		for s := s0; s < s1; s += size {
			pass(s, min(s+size, s1), 0, r.cg, first && s == s0, last && s+size >= s1)
		}
	}
	switch {
	case segs == 0:
		pass(0, 0, 0, r.cg, true, true)
	case r.sparse:
		first, s0, s1 := true, 0, 0
		for {
			a, b := r.next(words, s1, n, segs)
			if s1 > 0 {
				passes(s0, s1, first, a == segs)
				first = false
			}
			if a == segs {
				break
			}
			s0, s1 = a, b
		}
		if first {
			pass(0, 0, 0, r.cg, true, true)
		}
	default:
		passes(0, segs, true, true)
	}
	if r.Act != nil {
		r.act(outs, j0, j1)
	}
	if r.stream != 0 {
		r.Table.Fence()
	}
}

// streamed is the size above which results are written past the caches, in bytes: the next
// operator would find little of them there, and to make room for them takes as long as to write them.
var streamed = sync.OnceValue(func() int { return max(16<<20, cpu.LastCache()/2) })

// tileRows returns how many rows a tile takes of n: fewer where most of them fall
// into the same places of the first-level cache, which has 8 or 12 ways of 64 lines.
func (r *dense[T]) tileRows(words []uintptr, n, segs int) int {
	const ways, place = 8, 63 << 6
	if r.mr <= ways {
		return r.mr
	}
	for s := range segs {
		list := words[s*n : s*n+min(n, r.mr)]
		if list[0] == uintptr(r.zero) {
			continue
		}
		same := 0
		for _, p := range list {
			if (p^list[0])&place == 0 {
				same++
			}
		}
		if 2*same > r.mr {
			return ways - 2 // and the weights
		}
		break
	}
	return r.mr
}

// touch reads a byte of each line of what panels [j0, j1) see of n positions,
// in the order in which the lines lie: a group reads a few channels of each
// pixel, an order in which the processor fetches nothing ahead.
func (r *dense[T]) touch(l *lists, words []uintptr, n, segs, j0, j1 int) {
	const line = 64
	panels := r.W.panels()
	first, last := j0/panels*r.cg*r.size, ((j1-1)/panels+1)*r.cg*r.size
	var sum byte
	for s := range segs {
		if s%len(r.v.off[2]) >= r.v.stepIn[2] { // another tap of this row sees the same
			continue
		}
		for _, p := range words[s*n : (s+1)*n] {
			if p == uintptr(r.zero) {
				continue
			}
			pixel := unsafe.Add(r.x, p-uintptr(r.x))
			for at := first; at < last; at += line {
				sum += *(*byte)(unsafe.Add(pixel, at))
			}
		}
	}
	l.touched = sum
}

// next returns the next run of segments from s on that some row of n sees.
func (r *dense[T]) next(words []uintptr, s, n, segs int) (first, end int) {
	seen := func(s int) bool {
		for _, p := range words[s*n : (s+1)*n] {
			if p != uintptr(r.zero) {
				return true
			}
		}
		return false
	}
	for s < segs && !seen(s) {
		s++
	}
	end = s
	for end < segs && seen(end) {
		end++
	}
	return s, end
}

// seen returns the share of what the taps of all positions see that is not padding.
func (r *dense[T]) seen(v *view) float64 {
	share := 1.0
	for d := range 3 {
		n := 0
		for _, off := range v.off[d] {
			first, last := 0, 0
			if off < 0 {
				first = (-off + v.stepIn[d] - 1) / v.stepIn[d]
			}
			if m := r.x3[d] - 1 - off; m >= 0 {
				last = min(m/v.stepIn[d]+1, v.count[d])
			}
			n += max(last-first, 0)
		}
		share *= float64(n) / float64(max(len(v.off[d])*v.count[d], 1))
	}
	return share
}

// act applies the activation to panels [j0, j1) of the listed rows.
func (r *dense[T]) act(outs []uintptr, j0, j1 int) {
	panels := r.W.panels()
	col := func(j int) int { return j/panels*r.mg + j%panels*Panel }
	c0, c1 := col(j0), col(j1)
	base := uintptr(unsafe.Pointer(unsafe.SliceData(r.Y)))
	for i := 0; i < len(outs); {
		// Whole rows that are neighbours are one piece.
		n := 1
		for c1-c0 == r.W.M && i+n < len(outs) && outs[i+n] == outs[i]+uintptr(n*r.W.M*r.size) {
			n++
		}
		at := int(outs[i]-base) / r.size
		r.Act(r.Y[at+c0 : at+c0+(n-1)*r.W.M+c1-c0])
		i += n
	}
}

// pointers lists what positions [q, q+n) of v see: words[s·n+i] is the pixel of
// tap s of position i, words[segs·n+i] its place in Y.
func (r *dense[T]) pointers(v *view, words []uintptr, q, n, segs int) {
	var pos [3]int
	image := q
	for d := 2; d >= 0; d-- {
		pos[d] = image % v.count[d]
		image /= v.count[d]
	}
	zero, x, y := uintptr(r.zero), uintptr(r.x), uintptr(unsafe.Pointer(unsafe.SliceData(r.Y)))
	pixel, place := uintptr(r.W.C*r.size), uintptr(r.W.M*r.size)
	step := v.stepIn[2]
	outs := words[segs*n:]
	// Tap k of a row sees what tap again[k] saw of the row before it (-1: none did).
	var again [16]int
	across := len(v.off[2])
	if len(v.off[1]) <= len(again) {
		for k, off := range v.off[1] {
			again[k] = slices.Index(v.off[1], off+v.stepIn[1])
		}
	}
	before := 0 // the length of the run of the row before, if that was whole
	for i := 0; i < n; {
		// A run of positions along the last dimension.
		run := min(v.count[2]-pos[2], n-i)
		known := before >= run && pos[1] > 0 && len(v.off[1]) <= len(again)
		for s := 0; s < segs; {
			if known {
				if k := s / across % len(v.off[1]); again[k] >= 0 {
					for range across {
						copy(words[s*n+i:s*n+i+run], words[(s+(again[k]-k)*across)*n+i-before:])
						s++
					}
					continue
				}
			}
			z := pos[0]*v.stepIn[0] + v.at[0] + v.off[0][s/(len(v.off[1])*len(v.off[2]))]
			row := pos[1]*v.stepIn[1] + v.at[1] + v.off[1][s/len(v.off[2])%len(v.off[1])]
			inside := uint(z) < uint(r.x3[0]) && uint(row) < uint(r.x3[1])
			base := ((image*r.x3[0]+z)*r.x3[1] + row) * r.x3[2]
			for _, ox := range v.off[2] {
				list := words[s*n+i : s*n+i+run]
				col := pos[2]*step + v.at[2] + ox
				// Position j sees column col + j·step, which must be in [0, in).
				lo, hi := 0, 0
				if col < 0 {
					lo = min((-col+step-1)/step, run)
				}
				if m := r.x3[2] - 1 - col; m >= 0 && inside {
					hi = min(m/step+1, run)
				}
				hi = max(hi, lo)
				for j := range list[:lo] {
					list[j] = zero
				}
				p, d := x+uintptr(base+col+lo*step)*pixel, uintptr(step)*pixel
				for j, seen := 0, list[lo:hi]; j < len(seen); j++ {
					seen[j] = p
					p += d
				}
				for j, right := 0, list[hi:]; j < len(right); j++ {
					right[j] = zero
				}
				s++
			}
		}
		at := image
		for d := range 3 {
			at = at*r.y3[d] + v.first[d] + pos[d]*v.step[d]
		}
		p := y + uintptr(at)*place
		for j := range outs[i : i+run] {
			outs[i+j] = p
			p += uintptr(v.step[2]) * place
		}
		if before = 0; pos[2] == 0 {
			before = run
		}
		i += run
		pos[2] += run
		for d := 2; pos[d] == v.count[d]; d-- {
			pos[d] = 0
			if d == 0 {
				image++
				break
			}
			pos[d-1]++
		}
	}
}
