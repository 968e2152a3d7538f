package ops

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sync"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// NonMaxSuppression: for each batch element and class, boxes in order of falling
// score, without those that score no more than score_threshold or overlap one
// that was chosen before by more than iou_threshold.
//
//	boxes: float32 [n, k, 4]    scores: float32 [n, classes, k]
//	max_output_boxes_per_class: int64, absent: 0    iou_threshold: float32, absent: 0
//	score_threshold: float32, absent: no bound       selected_indices: int64 [selected, 3]: batch, class, box
//
// center_point_box 0 has boxes as two opposite corners (y1, x1, y2, x2), in any
// order, 1 as (x center, y center, width, height). Of equal scores the first box
// counts.
//
// Spec: https://onnx.ai/onnx/operators/onnx__NonMaxSuppression.html
func init() {
	register(&Op{
		Name: "NonMaxSuppression",
		Versions: []Version{
			// 11 only says more clearly what is meant.
			{Since: 10, In: Arity{2, 5}, Out: N(1), Infer: inferNonMaxSuppression, Build: buildNonMaxSuppression},
		},
	})
}

func inferNonMaxSuppression(c *InferContext) error {
	c.Int("center_point_box", 0)
	c.Out[0] = onnx.TensorType(tensor.Int64, onnx.Dim{}, onnx.Size(3))
	return nil
}

func buildNonMaxSuppression(b *BuildContext) (Kernel, error) {
	center := b.Int("center_point_box", 0)
	if center != 0 && center != 1 {
		return nil, fmt.Errorf("center_point_box is %d, want 0 or 1", center)
	}
	return func(c *Call) error {
		bt, st := c.T(0), c.T(1)
		if bt == nil || st == nil || bt.DType() != tensor.Float32 || st.DType() != tensor.Float32 {
			return fmt.Errorf("boxes are %v and scores %v, want float32", c.In[0], c.In[1])
		}
		if bt.Rank() != 3 || st.Rank() != 3 || bt.Dim(2) != 4 || st.Dim(0) != bt.Dim(0) || st.Dim(2) != bt.Dim(1) {
			return fmt.Errorf("boxes have shape %v and scores %v, want [n k 4] and [n classes k]", bt.Shape(), st.Shape())
		}
		limit := 0
		if v, err := c.Ints(2); err != nil {
			return err
		} else if len(v) > 1 {
			return fmt.Errorf("max_output_boxes_per_class has %d elements, want 1", len(v))
		} else if len(v) == 1 {
			limit = max(v[0], 0)
		}
		var param [2]float32
		for i, name := range []string{"iou_threshold", "score_threshold"} {
			if !c.Has(3 + i) {
				continue
			}
			v, err := reals[float32](c, 3+i)
			if err != nil {
				return err
			}
			if len(v) > 1 {
				return fmt.Errorf("%s has %d elements, want 1", name, len(v))
			}
			if len(v) == 1 {
				param[i] = v[0]
			}
		}
		if !(param[0] >= 0 && param[0] <= 1) {
			return fmt.Errorf("iou_threshold is %g, want 0 to 1", param[0])
		}
		n, classes, k := st.Dim(0), st.Dim(1), st.Dim(2)
		s := State[suppression](c)
		found := s.begin(tensor.Data[float32](bt), center == 1, n*classes)
		if limit > 0 && k > 0 {
			a := suppressArgs{s, tensor.Data[float32](st), classes, k, limit, param[0], c.Has(4), param[1]}
			par.Each(c.P, n*classes, 1, a, (*suppressArgs).run)
		}
		total := 0
		for _, f := range found {
			total += len(f)
		}
		y := tensor.Data[int64](c.Output(0, tensor.Int64, total, 3))
		at := 0
		for q, f := range found {
			for _, i := range f {
				y[at], y[at+1], y[at+2] = int64(q/classes), int64(q%classes), int64(i)
				at += 3
			}
		}
		return nil
	}, nil
}

// box is a rectangle by its smallest and largest coordinates.
type box struct{ y1, x1, y2, x2, area float32 }

// suppression is what a node keeps between runs: memory for lists.
type suppression struct {
	boxes []box
	found [][]int32
	mu    sync.Mutex
	idle  []*suppressor
}

// suppressor is the memory of the work on one class.
type suppressor struct {
	keys []uint64
	grid boxGrid
}

// begin reads the boxes and returns an empty list for each of the classes.
func (s *suppression) begin(v []float32, center bool, lists int) [][]int32 {
	s.boxes = slices.Grow(s.boxes[:0], len(v)/4)[:len(v)/4]
	corners(s.boxes, v, center)
	s.found = slices.Grow(s.found[:0], lists)[:lists]
	for i := range s.found {
		s.found[i] = s.found[i][:0]
	}
	return s.found
}

type suppressArgs struct {
	*suppression
	scores            []float32
	classes, k, limit int
	iou               float32
	bounded           bool
	least             float32
}

// run chooses the boxes of some classes.
func (a *suppressArgs) run(lo, hi int) {
	a.mu.Lock()
	var w *suppressor
	if n := len(a.idle); n > 0 {
		w, a.idle = a.idle[n-1], a.idle[:n-1]
	} else {
		w = &suppressor{}
	}
	a.mu.Unlock()
	for q := lo; q < hi; q++ {
		a.found[q] = w.suppress(a.found[q], a.boxes[q/a.classes*a.k:][:a.k], a.scores[q*a.k:(q+1)*a.k], a.limit, a.iou, a.bounded, a.least)
	}
	w.grid.boxes = nil
	a.mu.Lock()
	a.idle = append(a.idle, w)
	a.mu.Unlock()
}

func corners(out []box, v []float32, center bool) {
	for i := range out {
		p := v[4*i : 4*i+4]
		b := box{y1: min(p[0], p[2]), x1: min(p[1], p[3]), y2: max(p[0], p[2]), x2: max(p[1], p[3])}
		if center {
			w, h := p[2]/2, p[3]/2
			b = box{y1: p[1] - h, x1: p[0] - w, y2: p[1] + h, x2: p[0] + w}
		}
		b.area = (b.y2 - b.y1) * (b.x2 - b.x1)
		out[i] = b
	}
}

// overlaps reports whether the intersection of a and b is more than limit of their union.
func overlaps(a, b *box, limit float32) bool {
	h, w := min(a.y2, b.y2)-max(a.y1, b.y1), min(a.x2, b.x2)-max(a.x1, b.x1)
	if h <= 0 || w <= 0 || a.area <= 0 || b.area <= 0 {
		return false
	}
	inter := h * w
	union := a.area + b.area - inter
	return union > 0 && inter/union > limit
}

// suppress appends the chosen boxes of one class.
func (w *suppressor) suppress(chosen []int32, boxes []box, scores []float32, limit int, iou float32, bounded bool, least float32) []int32 {
	w.byScore(scores, bounded, least)
	near := &w.grid
	near.begin(boxes, w.keys, limit)
	// The boxes with the largest scores are put in order first: often they are enough.
	for rest, n := w.keys, 2*min(limit, len(w.keys))+16; len(rest) > 0; n *= 4 {
		n = min(n, len(rest))
		firstOf(rest, n)
		for _, key := range rest[:n] {
			if len(chosen) >= limit {
				return chosen
			}
			i := int32(uint32(key))
			if !near.covers(&boxes[i], iou) {
				chosen = append(chosen, i)
				near.add(i)
			}
		}
		rest = rest[n:]
	}
	return chosen
}

// firstOf puts the n smallest keys in front, in order.
func firstOf(keys []uint64, n int) {
	part, want := keys, n
	for tries := 2 * bits.Len(uint(len(keys))); want > 0 && want < len(part); tries-- {
		if len(part) <= 32 || tries == 0 {
			slices.Sort(part)
			break
		}
		a, b, c := part[0], part[len(part)/2], part[len(part)-1]
		pivot := max(min(a, b), min(max(a, b), c))
		i, j := 0, len(part)-1
		for i <= j {
			for part[i] < pivot {
				i++
			}
			for part[j] > pivot {
				j--
			}
			if i <= j {
				part[i], part[j] = part[j], part[i]
				i, j = i+1, j-1
			}
		}
		switch { // what is before i is at most the pivot, what is after j at least
		case want >= i:
			part, want = part[i:], want-i
		case want <= j+1:
			part = part[:j+1]
		default:
			want = 0
		}
	}
	slices.Sort(keys[:n])
}

// byScore makes keys of the boxes with a score above least, if that counts: the
// largest score has the smallest and, of equal ones, the first box. NaN comes last.
func (w *suppressor) byScore(scores []float32, bounded bool, least float32) {
	keys := w.keys[:0]
	for i, s := range scores {
		if bounded && !(s > least) {
			continue
		}
		k := math.Float32bits(s + 0) // no -0
		switch {
		case s != s:
			k = 0
		case k>>31 != 0:
			k = ^k
		default:
			k |= 1 << 31
		}
		keys = append(keys, uint64(^k)<<32|uint64(i))
	}
	w.keys = keys
}

// boxGrid finds, among boxes that were added, those that can overlap a given
// one. The plane is cut into cells about as large as a box; a box is listed
// with each cell it touches, by a hash of the cell, so that boxes which have a
// point in common meet in the cell of that point.
type boxGrid struct {
	boxes          []box
	x, y, inW, inH float32 // origin, and cells per unit
	mask           uint32
	head           []int32 // by hash: the last entry, plus one
	entries        []boxEntry
	large          []int32 // boxes that touch many cells
}

type boxEntry struct{ box, next int32 }

// The most cells that a box is listed with, or that are looked at for one.
const (
	maxBoxCells  = 32
	maxLookCells = 128
)

// begin empties the grid and makes it fit for the boxes that keys name, of which at most limit are added.
func (g *boxGrid) begin(boxes []box, keys []uint64, limit int) {
	*g = boxGrid{boxes: boxes, head: g.head[:0], entries: g.entries[:0], large: g.large[:0]}
	if min(limit, len(keys)) < 64 {
		return // all are in one list
	}
	var w, h float64
	n := 0
	x, y := float32(math.Inf(1)), float32(math.Inf(1))
	for _, key := range keys {
		if b := &boxes[uint32(key)]; b.solid() {
			w += math.Sqrt(float64(b.x2 - b.x1))
			h += math.Sqrt(float64(b.y2 - b.y1))
			x, y = min(x, b.x1), min(y, b.y1)
			n++
		}
	}
	if n < 64 {
		return
	}
	w, h = w/float64(n), h/float64(n)
	if g.x, g.y, g.inW, g.inH = x, y, float32(1/(w*w)), float32(1/(h*h)); max(g.inW, g.inH) > math.MaxFloat32 {
		return
	}
	g.mask = 1<<bits.Len(uint(2*n)) - 1
	g.head = slices.Grow(g.head, int(g.mask)+1)[:g.mask+1]
	clear(g.head)
}

// solid reports whether b can overlap anything by more than nothing.
func (b *box) solid() bool { return b.area > 0 && b.area <= math.MaxFloat32 }

// cells returns the first and last column and row of cells that b touches. What
// rounding does to one coordinate it does to all, so order is kept.
func (g *boxGrid) cells(b *box) (x1, x2, y1, y2 int64) {
	at := func(v, from, per float32) int64 { return int64(min((v-from)*per, 1<<40)) }
	return at(b.x1, g.x, g.inW), at(b.x2, g.x, g.inW), at(b.y1, g.y, g.inH), at(b.y2, g.y, g.inH)
}

func (g *boxGrid) slot(x, y int64) uint32 {
	h := uint64(x)*0x9e3779b97f4a7c15 ^ uint64(y)*0xc2b2ae3d27d4eb4f
	return uint32(h>>32) & g.mask
}

// add lists box i.
func (g *boxGrid) add(i int32) {
	b := &g.boxes[i]
	if !b.solid() {
		return
	}
	if len(g.head) == 0 {
		g.large = append(g.large, i)
		return
	}
	x1, x2, y1, y2 := g.cells(b)
	if x2-x1 >= maxBoxCells || y2-y1 >= maxBoxCells || (x2-x1+1)*(y2-y1+1) > maxBoxCells {
		g.large = append(g.large, i)
		return
	}
	for y := y1; y <= y2; y++ {
		for x := x1; x <= x2; x++ {
			s := g.slot(x, y)
			g.entries = append(g.entries, boxEntry{i, g.head[s]})
			g.head[s] = int32(len(g.entries))
		}
	}
}

// covers reports whether a box that was added overlaps b by more than iou.
func (g *boxGrid) covers(b *box, iou float32) bool {
	if !b.solid() {
		return false
	}
	for _, j := range g.large {
		if overlaps(b, &g.boxes[j], iou) {
			return true
		}
	}
	if len(g.entries) == 0 {
		return false
	}
	x1, x2, y1, y2 := g.cells(b)
	if x2-x1 >= maxLookCells || y2-y1 >= maxLookCells || (x2-x1+1)*(y2-y1+1) > maxLookCells {
		for _, e := range g.entries {
			if overlaps(b, &g.boxes[e.box], iou) {
				return true
			}
		}
		return false
	}
	for y := y1; y <= y2; y++ {
		for x := x1; x <= x2; x++ {
			for k := g.head[g.slot(x, y)]; k > 0; k = g.entries[k-1].next {
				if overlaps(b, &g.boxes[g.entries[k-1].box], iou) {
					return true
				}
			}
		}
	}
	return false
}
