package quantize

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// byteKey tells apart how an initializer was quantised.
type byteKey struct {
	v    *onnx.Value
	axis int // with a scale for each index of it; -1: one scale
	grid grid
	half bool // scales are of float16
}

// storedWeight is an initializer in bytes.
type storedWeight struct {
	q      bytesOf
	codes  *onnx.Value
	turned bool // the codes are those of the transpose
	parts  map[string]*onnx.Value
}

// weight quantises w once for all who read it. The codes are turned if the
// reader wants the transpose and nobody else reads w: for others a Transpose of
// bytes is left, which a runtime computes when it loads the model.
func (d *dynamic) weight(w *onnx.Value, axis int, transposed bool, g grid) *storedWeight {
	k := byteKey{v: w, axis: axis, grid: g}
	if s := d.weights[k]; s != nil {
		return s
	}
	q, _ := g.bytes(d.p, w.Const, axis, false)
	if axis >= 0 && slices.ContainsFunc(w.Users(), func(u *onnx.Node) bool { return u.Op != "Gather" }) {
		q.balance(d.p, g, w.Const, axis)
	}
	s := &storedWeight{q: q, parts: map[string]*onnx.Value{}}
	if transposed && w.Uses() == 1 {
		s.q.codes, s.turned = transposeBytes(q.codes), true
	}
	s.codes = d.keep(w, "_quantized", s.q.codes)
	d.weights[k] = s
	return s
}

// part returns the initializer of s called so, which is t.
func (d *dynamic) part(w *onnx.Value, s *storedWeight, suffix string, t *tensor.Tensor) *onnx.Value {
	key := fmt.Sprint(suffix, t.Shape())
	if s.parts[key] == nil {
		s.parts[key] = d.keep(w, suffix, t)
	}
	return s.parts[key]
}

// gather stores the table of a Gather in bytes. With a scale for each row, the
// scales of the gathered rows are gathered too.
func (d *dynamic) gather(n *onnx.Node) (format, reason string) {
	w := n.In[0]
	if w == nil || w.Const == nil || d.home[w] == nil {
		return "", "the table is not constant"
	}
	if why := d.float32Weight(w); why != "" {
		return "", why
	}
	rank := w.Const.Rank()
	axis := int(intAttribute(n, "axis", 0))
	if axis < 0 {
		axis += rank
	}
	b := ops.NewBuilder(n.Graph)
	if d.c.PerTensor || axis != 0 || rank != 2 {
		s := d.weight(w, -1, false, d.grid)
		y := b.Op("Gather", slices.Clone(n.Attrs), s.codes, n.In[1])
		y = b.Op("DequantizeLinear", nil, y, d.part(w, s, "_scale", s.q.scaleTensor(1)), d.part(w, s, "_zero_point", s.q.zeroTensor(true)))
		return fmt.Sprintf("%v table", d.c.Weights), d.finish(b, n, y)
	}
	s, half := d.rows(w)
	rows := w.Const.Dim(0)
	y := b.Op("Cast", onnx.NewAttrs("to", tensor.Float32), b.Op("Gather", slices.Clone(n.Attrs), s.codes, n.In[1]))
	if !s.q.oneZero() || s.q.zeros[0] != 0 {
		zero := tensor.New(tensor.Float32, rows, 1)
		for i := range rows {
			tensor.Data[float32](zero)[i] = float32(s.q.zeros[i])
		}
		if s.q.oneZero() {
			y = b.Op("Sub", nil, y, b.Float(tensor.Float32, float64(s.q.zeros[0])))
		} else {
			y = b.Op("Sub", nil, y, b.Op("Gather", slices.Clone(n.Attrs), d.part(w, s, "_zero_rows", zero), n.In[1]))
		}
	}
	scales := s.q.scaleTensor(1, rows, 1)
	if half {
		narrow := tensor.New(tensor.Float16, rows, 1)
		tensor.Narrow(narrow, scales)
		scales = narrow
	}
	scale := b.Op("Gather", slices.Clone(n.Attrs), d.part(w, s, "_scale", scales), n.In[1])
	if half {
		scale = b.Op("Cast", onnx.NewAttrs("to", tensor.Float32), scale)
	}
	y = b.Op("Mul", nil, y, scale)
	return fmt.Sprintf("%v table, a scale for each row", d.c.Weights), d.finish(b, n, y)
}

// narrowRow is the number of bytes below which the scale of a row is stored in
// float16: in float32 it would be more than a sixty-fourth of them.
const narrowRow = 256

// rows quantises the table w, which Gather reads, with a scale for each row; half
// says that these are numbers of float16.
func (d *dynamic) rows(w *onnx.Value) (s *storedWeight, half bool) {
	k := byteKey{v: w, axis: 0, grid: d.grid, half: true}
	if s := d.weights[k]; s != nil {
		return s, true
	}
	if w.Const.Dim(1) < narrowRow && !slices.ContainsFunc(w.Users(), func(u *onnx.Node) bool { return u.Op != "Gather" }) {
		if q, ok := d.grid.bytes(d.p, w.Const, 0, true); ok {
			s := &storedWeight{q: q, codes: d.keep(w, "_quantized", q.codes), parts: map[string]*onnx.Value{}}
			d.weights[k] = s
			return s, true
		}
	}
	return d.weight(w, 0, false, d.grid), false
}

// lstm writes com.microsoft.DynamicQuantizeLSTM, whose weights are transposed.
func (d *dynamic) lstm(n *onnx.Node) (format, reason string) {
	if intAttribute(n, "layout", 0) != 0 {
		return "", "DynamicQuantizeLSTM has no layout 1"
	}
	if why := d.float32Activation(n.In[0]); why != "" {
		return "", why
	}
	for i := 1; i < 3; i++ {
		w, _ := d.constant(n.In[i])
		if why := d.float32Weight(w); why != "" {
			return "", why
		}
		if w.Const.Rank() != 3 {
			return "", fmt.Sprintf("the weights are %v, want 3 dimensions", w.Const)
		}
	}
	in := make([]*onnx.Value, 12)
	copy(in, n.In)
	g, _ := gridOf(d.c.Weights, true, d.c.ReduceRange) // ONNX Runtime has no zero points of columns here
	for i := 1; i < 3; i++ {
		s := d.lstmWeight(n.In[i], g)
		in[i], in[6+2*i], in[7+2*i] = s.codes, s.parts["scale"], s.parts["zero"]
	}
	d.use(msDomain)
	k := n.Graph.NewNodeIn(msDomain, "DynamicQuantizeLSTM", n.Attrs.Without("layout"), in, len(n.Out))
	for i, v := range n.Out {
		if v == nil {
			k.Out[i] = nil
		}
	}
	b := ops.NewBuilder(n.Graph)
	b.Add(k)
	return fmt.Sprintf("DynamicQuantizeLSTM with %v weights", d.c.Weights), d.finish(b, n, k.Out...)
}

// lstmWeight stores w [d, 4h, n] as [d, n, 4h], with a scale for each column or each direction.
func (d *dynamic) lstmWeight(w *onnx.Value, g grid) *storedWeight {
	k := byteKey{v: w, axis: 2, grid: g}
	if s := d.weights[k]; s != nil {
		return s
	}
	t := w.Const
	dirs, columns, rows := t.Dim(0), t.Dim(1), t.Dim(2)
	flat, _ := t.Reshape(dirs*columns, rows)
	per := columns
	if d.c.PerTensor {
		flat, _ = t.Reshape(dirs, columns*rows)
		per = 1
	}
	q, _ := g.bytes(d.p, flat, 0, false)
	if !d.c.PerTensor {
		q.balance(d.p, g, flat, 0)
	}
	codes := tensor.New(g.dtype, dirs, rows, columns)
	for i := range dirs {
		part, _ := tensor.FromBytes(g.dtype, []int{columns, rows}, q.codes.Bytes()[i*rows*columns:(i+1)*rows*columns], nil)
		copy(codes.Bytes()[i*rows*columns:], transposeBytes(part).Bytes())
	}
	shape := []int{dirs, per}
	if d.c.PerTensor {
		shape = shape[:1]
	}
	s := &storedWeight{q: q, codes: d.keep(w, "_quantized", codes)}
	s.parts = map[string]*onnx.Value{
		"scale": d.keep(w, "_scale", q.scaleTensor(1, shape...)), "zero": d.keep(w, "_zero_point", q.zeroTensor(false, shape...)),
	}
	d.weights[k] = s
	return s
}

// leastTable is how many elements make a table that is added worth a node.
const leastTable = 1 << 14

// tableOf returns which input of the Add n is a large constant table that float16
// holds to its precision; -1: none. What masks is far wider.
func (d *dynamic) tableOf(n *onnx.Node) int {
	return slices.IndexFunc(n.In, func(v *onnx.Value) bool {
		if v == nil || v.Const == nil || d.home[v] == nil || v.Const.DType() != tensor.Float32 || v.Const.Len() < leastTable {
			return false
		}
		dims := 0
		for _, k := range v.Const.Shape() {
			if k > 1 {
				dims++
			}
		}
		r, ok := finiteRange(tensor.Data[float32](v.Const))
		most := max(-r.Lo, r.Hi)
		return dims > 1 && ok && most >= 0x1p-14 && most <= 65504
	})
}

// halved keeps input i of n in float16, which a Cast reads.
func (d *dynamic) halved(n *onnx.Node, i int) (format, reason string) {
	w := n.In[i]
	k := byteKey{v: w, axis: -1, half: true}
	s := d.weights[k]
	if s == nil {
		t := tensor.New(tensor.Float16, w.Const.Shape()...)
		tensor.Narrow(t, w.Const)
		s = &storedWeight{codes: d.keep(w, "_half", t)}
		d.weights[k] = s
	}
	b := ops.NewBuilder(n.Graph)
	v := b.Op("Cast", onnx.NewAttrs("to", tensor.Float32), s.codes)
	if err := b.Err(); err != nil {
		return "", err.Error()
	}
	b.Insert(n)
	n.SetInput(i, v)
	return "float16 table", ""
}

// stored keeps the given inputs of n in bytes that a DequantizeLinear reads.
func (d *dynamic) stored(n *onnx.Node, inputs ...int) (format, reason string) {
	for _, i := range inputs {
		w := inputOf(n, i)
		if w == nil || w.Const == nil || d.home[w] == nil {
			return "", "the weights are not constant"
		}
		if why := d.float32Weight(w); why != "" {
			return "", why
		}
	}
	for _, i := range inputs {
		b := ops.NewBuilder(n.Graph)
		v := d.dequantized(b, n.In[i])
		if err := b.Err(); err != nil {
			return "", err.Error()
		}
		b.Insert(n)
		n.SetInput(i, v)
	}
	return fmt.Sprintf("%v weights, dequantized", d.c.Weights), ""
}

// dequantized adds what gives w, stored in bytes: with a scale for each row of
// [d·g·h, n] if it is [d, g·h, n], for each column if it is a matrix.
func (d *dynamic) dequantized(b *ops.Builder, w *onnx.Value) *onnx.Value {
	t, axis := w.Const, 1
	switch {
	case d.c.PerTensor || t.Rank() != 2 && t.Rank() != 3:
		axis = -1
	case t.Rank() == 3 && t.Dim(0) > 1:
		t, _ = t.Reshape(t.Dim(0)*t.Dim(1), t.Dim(2))
		axis = 0
	}
	k := byteKey{v: w, axis: 3 + axis, grid: d.grid} // other axes than those of products
	s := d.weights[k]
	if s == nil {
		q, _ := d.grid.bytes(d.p, t, axis, false)
		if axis >= 0 {
			q.balance(d.p, d.grid, t, axis)
		}
		s = &storedWeight{q: q, codes: d.keep(w, "_quantized", q.codes), parts: map[string]*onnx.Value{}}
		d.weights[k] = s
	}
	var shape []int
	as := onnx.Attrs(nil)
	if axis >= 0 {
		shape, as = []int{len(s.q.scales)}, onnx.NewAttrs("axis", axis)
	}
	in := []*onnx.Value{s.codes, d.part(w, s, "_scale", s.q.scaleTensor(1, shape...))}
	if !s.q.oneZero() || s.q.zeros[0] != 0 { // where it is not what is taken without
		in = append(in, d.part(w, s, "_zero_point", s.q.zeroTensor(false, shape...)))
	}
	y := b.Op("DequantizeLinear", as, in...)
	if t != w.Const {
		y = b.Op("Reshape", nil, y, b.Ints(w.Const.Shape()...))
	}
	return y
}
