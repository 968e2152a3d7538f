package optimize

import (
	"math"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// attentionParts builds what defines one node Attention.
type attentionParts struct {
	*ops.Builder
	n      *onnx.Node
	d      tensor.DType
	hq, hk int
	size   int // of a head of Q
}

// defineAttention: Y = softmax(softcap(scale·Q·Kᵀ) + mask)·V per head.
func defineAttention(c *converter, n *onnx.Node) error {
	a := attentionParts{n: n, d: n.In[0].Type.DType}
	if err := a.read(c.target); err != nil {
		return err
	}
	var y, k, v *onnx.Value
	err := c.build(n, func(b *ops.Builder) {
		a.Builder = b
		y, k, v = a.define()
	})
	if err != nil {
		return err
	}
	for i, out := range []*onnx.Value{y, k, v} {
		if i < len(n.Out) && n.Out[i] != nil {
			n.Graph.Replace(n.Out[i], out)
		}
	}
	n.Graph.Remove(n)
	return nil
}

// read checks what the definition does not cover.
func (a *attentionParts) read(target int) error {
	n, q, k := a.n, a.n.In[0].Type, a.n.In[1].Type
	switch {
	case target < 13:
		return need("Attention before opset 13")
	case a.d == tensor.Undefined || q.Rank() != k.Rank() || q.Rank() != 3 && q.Rank() != 4:
		return need("Q is %v and K %v, want element types and 3 or 4 dimensions", q, k)
	case input(n, 6) != nil:
		return need("nonpad_kv_seqlen")
	case intAttr(n, "left_window_size", -1) >= 0 || intAttr(n, "right_window_size", -1) >= 0:
		return need("attention in a window")
	case len(n.Out) > 3 && n.Out[3] != nil && (n.Out[3].Uses() > 0 || n.Graph.IsOutput(n.Out[3])):
		return need("qk_matmul_output is read")
	}
	width := q.Dims[len(q.Dims)-1]
	size, ok := width.Size()
	if !ok {
		return need("Q is %v, want the size of a head", q)
	}
	a.size = size
	if q.Rank() == 3 {
		a.hq, a.hk = int(intAttr(n, "q_num_heads", 0)), int(intAttr(n, "kv_num_heads", 0))
		if a.hq > 0 {
			a.size /= a.hq
		}
	} else {
		x, okQ := q.Dims[1].Size()
		y, okK := k.Dims[1].Size()
		if !okQ || !okK {
			return need("Q is %v and K %v, want the number of heads", q, k)
		}
		a.hq, a.hk = x, y
	}
	if a.hq < 1 || a.hk < 1 || a.hq%a.hk != 0 || a.size < 1 {
		return need("%d heads of Q and %d of K", a.hq, a.hk)
	}
	if m := input(n, 3); m != nil && m.Type.Rank() > 0 { // a shorter mask hides the keys after it
		have, ok := m.Type.Dims[m.Type.Rank()-1].Size()
		keys, known := k.Dims[k.Rank()-2].Size()
		if ok && known && input(n, 4) == nil && have != keys {
			return need("attn_mask is %v for %d keys", m.Type, keys)
		}
	}
	return nil
}

// define returns Y, present_key and present_value.
func (a *attentionParts) define() (y, presentK, presentV *onnx.Value) {
	n := a.n
	q, k, v := a.heads(n.In[0], a.hq), a.heads(n.In[1], a.hk), a.heads(n.In[2], a.hk)
	if past := input(n, 4); past != nil {
		k = a.Op("Concat", onnx.NewAttrs("axis", 2), past, k)
		v = a.Op("Concat", onnx.NewAttrs("axis", 2), n.In[5], v)
	}
	presentK, presentV = k, v
	k, v = a.spread(k), a.spread(v)
	scale := float64(floatAttr(n, "scale", 0))
	if scale == 0 {
		scale = 1 / math.Sqrt(float64(a.size))
	}
	s := a.Op("MatMul", nil, a.Op("Mul", nil, q, a.Float(a.d, scale)), a.Op("Transpose", onnx.NewAttrs("perm", []int{0, 1, 3, 2}), k))
	if limit := float64(floatAttr(n, "softcap", 0)); limit != 0 {
		s = a.Op("Mul", nil, a.Op("Tanh", nil, a.Op("Div", nil, s, a.Float(a.d, limit))), a.Float(a.d, limit))
	}
	allowed := a.causal(q, k)
	mask := input(n, 3)
	added := mask != nil && mask.Type.DType != tensor.Bool
	switch {
	case added:
		s = a.Op("Add", nil, s, mask)
	case mask != nil && allowed != nil:
		allowed = a.Op("And", nil, allowed, mask)
	case mask != nil:
		allowed = mask
	}
	if allowed != nil {
		s = a.Op("Where", nil, allowed, s, a.Float(a.d, a.lowest()))
	}
	p := a.Op("Softmax", onnx.NewAttrs("axis", -1), s)
	if added { // rows of -Inf alone
		p = a.Op("Where", nil, a.Op("IsNaN", nil, p), a.Float(a.d, 0), p)
	}
	if allowed != nil { // a query that may attend no key gives 0
		p = a.Op("Where", nil, allowed, p, a.Float(a.d, 0))
	}
	y = a.Op("MatMul", nil, p, v)
	if n.In[0].Type.Rank() == 3 {
		y = a.Op("Reshape", nil, a.Op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1, 3}), y), a.Ints(0, 0, -1))
	}
	return y, presentK, presentV
}

// heads returns x as [batch, heads, length, size].
func (a *attentionParts) heads(x *onnx.Value, heads int) *onnx.Value {
	if x.Type.Rank() == 4 {
		return x
	}
	return a.Op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1, 3}), a.Op("Reshape", nil, x, a.Ints(0, 0, heads, -1)))
}

// spread repeats the heads of x for those of Q that share them.
func (a *attentionParts) spread(x *onnx.Value) *onnx.Value {
	if a.hq == a.hk {
		return x
	}
	index := make([]int, a.hq)
	for i := range index {
		index[i] = i / (a.hq / a.hk)
	}
	return a.Op("Gather", onnx.NewAttrs("axis", 1), x, a.Ints(index...))
}

// causal returns where query i may attend key j, i + past ≥ j, nil if everywhere.
func (a *attentionParts) causal(q, k *onnx.Value) *onnx.Value {
	if intAttr(a.n, "is_causal", 0) == 0 {
		return nil
	}
	length := func(x *onnx.Value) *onnx.Value {
		return a.Op("Gather", nil, a.Op("Shape", nil, x), a.Const(tensor.Scalar(int64(2))))
	}
	count := func(x *onnx.Value) *onnx.Value {
		return a.Op("Range", nil, a.Const(tensor.Scalar(int64(0))), length(x), a.Const(tensor.Scalar(int64(1))))
	}
	rows := count(q)
	if past := input(a.n, 4); past != nil {
		rows = a.Op("Add", nil, rows, length(past))
	}
	return a.Op("Not", nil, a.Op("Less", nil, a.Op("Reshape", nil, rows, a.Ints(-1, 1)), count(k)))
}

// lowest is a number far below all scores whose sum with them is finite.
func (a *attentionParts) lowest() float64 {
	if a.d == tensor.Float16 {
		return -60000
	}
	return -1e30
}
