package ops

import (
	"fmt"
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
	var order, chosen []int32
	for i, s := range scores {
		if !bounded || s > least {
			order = append(order, int32(i))
		}
	}
	slices.SortStableFunc(order, func(i, j int32) int {
		switch a, b := scores[i], scores[j]; {
		case a > b:
			return -1
		case a < b:
			return 1
		}
		return 0
	})
next:
	for _, i := range order {
		if len(chosen) >= limit {
			break
		}
		for _, j := range chosen {
			if overlaps(&boxes[i], &boxes[j], iou) {
				continue next
			}
		}
		chosen = append(chosen, i)
	}
	return chosen
}
