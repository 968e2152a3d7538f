package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// grown tells which loop-carried values a body only appends to: it reads them
// as the first operand of a Concat along axis 0 that gives their next value, and
// nowhere else. Carrying the whole through each iteration would cost the square
// of the trip count in memory and time, so such a body gets an empty tensor, and
// the loop joins the pieces when it ends.
func grown(g *onnx.Graph, carried int) []bool {
	out := make([]bool, carried)
	for i := range out {
		v, y := g.Inputs[2+i], g.Outputs[1+i]
		n := y.From
		if n == nil || n.Op != "Concat" || NormalDomain(n.Domain) != "" || n.Graph != g || len(n.In) == 0 || n.In[0] != v || y != n.Out[0] {
			continue
		}
		once := v.Uses() == 1 && y.Uses() == 0 && !slices.Contains(g.Outputs, v)
		alone := !slices.Contains(g.Outputs[:1+i], y) && !slices.Contains(g.Outputs[2+i:], y)
		a := n.Attrs.Get("axis")
		if once && alone && a != nil && a.Value == int64(0) {
			out[i] = true
		}
	}
	return out
}

// appender collects what iterations append to a tensor along axis 0.
type appender struct {
	initial *tensor.Tensor
	none    *tensor.Tensor // initial without its elements
	rows    int
	shape   []int
	pieces  []*tensor.Tensor // initial and what came to it
}

// reset forgets all but the memory of lists.
func (a *appender) reset() {
	clear(a.pieces)
	*a = appender{shape: a.shape[:0], pieces: a.pieces[:0]}
}

// begin returns false for values that must be carried as they are: those
// that are no tensors, or whose rows have no bytes of their own.
func (a *appender) begin(c *Call, v tensor.Value) bool {
	t, ok := v.(*tensor.Tensor)
	if !ok || t.Rank() == 0 || t.DType().IsPacked() {
		return false
	}
	a.shape = append(a.shape, t.Shape()...)
	a.rows, a.shape[0] = a.shape[0], 0
	a.initial, a.none, a.pieces = t, c.Lend(t.DType(), a.shape), append(a.pieces, t)
	return true
}

// add appends v, a result of the body. It is kept, not copied.
func (a *appender) add(v tensor.Value) error {
	t, ok := v.(*tensor.Tensor)
	if !ok || t.DType() != a.none.DType() || t.Rank() != a.none.Rank() || !slices.Equal(t.Shape()[1:], a.none.Shape()[1:]) {
		return fmt.Errorf("internal error: body appends %v to %v", v, a.initial)
	}
	if t.Dim(0) > 0 {
		a.rows += t.Dim(0)
		a.pieces = append(a.pieces, t)
	}
	return nil
}

// finish makes output i.
func (a *appender) finish(c *Call, i int) {
	if len(a.pieces) == 1 {
		c.SetOut(i, a.initial)
		return
	}
	a.shape[0] = a.rows
	out := c.Output(i, a.initial.DType(), a.shape...)
	at := 0
	for _, t := range a.pieces {
		if t.DType() == tensor.String {
			at += copy(tensor.Data[string](out)[at:], tensor.Data[string](t))
		} else {
			at += copy(out.Bytes()[at:], t.Bytes())
		}
	}
}
