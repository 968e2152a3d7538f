package ops

import (
	"fmt"
	"math"
	"math/bits"
	"slices"

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
		boxes, scores := corners(tensor.Data[float32](bt), center == 1), tensor.Data[float32](st)
		found := make([][]int32, n*classes)
		if limit > 0 && k > 0 {
			c.P.For(n*classes, 1, func(lo, hi int) {
				for q := lo; q < hi; q++ {
					found[q] = suppress(boxes[q/classes*k:][:k], scores[q*k:(q+1)*k], limit, param[0], c.Has(4), param[1])
				}
			})
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

func corners(v []float32, center bool) []box {
	out := make([]box, len(v)/4)
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
	return out
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

// suppress returns the chosen boxes of one class.
func suppress(boxes []box, scores []float32, limit int, iou float32, bounded bool, least float32) []int32 {
	order := byScore(scores, bounded, least)
	near := newBoxGrid(boxes, order)
	chosen := make([]int32, 0, min(limit, len(order)))
	for _, i := range order {
		if len(chosen) >= limit {
			break
		}
		b := &boxes[i]
		if !near.covers(b, iou) {
			chosen = append(chosen, i)
			near.add(i)
		}
	}
	return chosen
}

// byScore returns the boxes with a score above least, if that counts, the
// largest score first and, of equal ones, the first box. NaN comes last.
func byScore(scores []float32, bounded bool, least float32) []int32 {
	keys := make([]uint64, 0, len(scores))
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
	slices.Sort(keys)
	order := make([]int32, len(keys))
	for i, k := range keys {
		order[i] = int32(uint32(k))
	}
	return order
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

func newBoxGrid(boxes []box, order []int32) *boxGrid {
	g := &boxGrid{boxes: boxes}
	var w, h float64
	n := 0
	x, y := float32(math.Inf(1)), float32(math.Inf(1))
	for _, i := range order {
		if b := &boxes[i]; b.solid() {
			w += math.Sqrt(float64(b.x2 - b.x1))
			h += math.Sqrt(float64(b.y2 - b.y1))
			x, y = min(x, b.x1), min(y, b.y1)
			n++
		}
	}
	if n < 64 {
		return g // all are in one list
	}
	w, h = w/float64(n), h/float64(n)
	if g.x, g.y, g.inW, g.inH = x, y, float32(1/(w*w)), float32(1/(h*h)); max(g.inW, g.inH) > math.MaxFloat32 {
		return g
	}
	g.mask = 1<<bits.Len(uint(2*n)) - 1
	g.head = make([]int32, g.mask+1)
	return g
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
	if g.head == nil {
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
