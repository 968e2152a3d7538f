package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Scan: runs body once for each slice of the scan inputs. Iteration i gets the
// state and slice i of each scan input, and gives the next state and slice i
// of each scan output.
//
//	initial state: V…             scan inputs: V[…, n, …], sliced along scan_input_axes
//	final state: V…               scan outputs: V[…, n, …], stacked along scan_output_axes
//
// A direction of 1 runs through the slices from the last to the first, or
// puts new slices in front. Version 8 has a batch in axis 0 of all values,
// its own state per batch element, the sequence in axis 1, and sequence_lens
// (int64 [batch]) as input 0; slices after the end of a sequence are zero.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Scan.html
func init() {
	register(&Op{
		Name: "Scan",
		Versions: []Version{
			{Since: 8, In: Arity{2, Many}, Absent: []int{0}, Out: Arity{1, Many}, Infer: inferScan8, Build: buildScan8},
			// 11 allows negative axes; later versions only widen the types.
			{Since: 9, In: Arity{1, Many}, Out: Arity{1, Many}, Infer: inferScan, Build: buildScan},
		},
	})
}

// scanPlan is how the values of a Scan map to those of its body.
type scanPlan struct {
	states, ins, outs int // outs: scan outputs
	inAxes, outAxes   []int
	inBack, outBack   []bool
}

// parseScan reads the attributes. in is the number of inputs without
// sequence_lens, out that of the body's outputs.
func parseScan(a *attrs, v8 bool, in, out int) (*scanPlan, error) {
	p := &scanPlan{ins: a.Int("num_scan_inputs", 0)}
	if p.ins < 1 || p.ins > in {
		return nil, fmt.Errorf("num_scan_inputs is %d, want 1 to %d", p.ins, in)
	}
	p.states = in - p.ins
	if p.outs = out - p.states; p.outs < 0 {
		return nil, fmt.Errorf("body has %d outputs, want at least %d", out, p.states)
	}
	names := [2]string{"scan_input_directions", "scan_output_directions"}
	if v8 {
		names = [2]string{"directions", ""}
	} else {
		p.inAxes, p.outAxes = a.Ints("scan_input_axes", nil), a.Ints("scan_output_axes", nil)
	}
	flags := func(name string, n int) ([]bool, error) {
		out := make([]bool, n)
		if name == "" {
			return out, nil
		}
		v := a.Ints(name, nil)
		if v != nil && len(v) != n {
			return nil, fmt.Errorf("%s has %d values, want %d", name, len(v), n)
		}
		for i, d := range v {
			if d != 0 && d != 1 {
				return nil, fmt.Errorf("%s has %d, want 0 or 1", name, d)
			}
			out[i] = d == 1
		}
		return out, nil
	}
	var err error
	if p.inBack, err = flags(names[0], p.ins); err != nil {
		return nil, err
	}
	if p.outBack, err = flags(names[1], p.outs); err != nil {
		return nil, err
	}
	if p.inAxes == nil {
		p.inAxes = make([]int, p.ins)
	}
	if p.outAxes == nil {
		p.outAxes = make([]int, p.outs)
	}
	if len(p.inAxes) != p.ins {
		return nil, fmt.Errorf("scan_input_axes has %d values, want %d", len(p.inAxes), p.ins)
	}
	if len(p.outAxes) != p.outs {
		return nil, fmt.Errorf("scan_output_axes has %d values, want %d", len(p.outAxes), p.outs)
	}
	return p, nil
}

func inferScan(c *InferContext) error {
	g, err := bodyOf(&c.attrs, "body", c.NumIn(), -1)
	if err != nil {
		return err
	}
	p, err := parseScan(&c.attrs, false, c.NumIn(), len(g.Outputs))
	if err != nil {
		return err
	}
	if len(c.Out) > len(g.Outputs) {
		return fmt.Errorf("%d outputs, want %d", len(c.Out), len(g.Outputs))
	}
	parts := make([]onnx.Type, p.ins)
	var n onnx.Dim
	for i := range parts {
		t := c.In(p.states + i)
		if t.Ranked {
			axis, err := tensor.Axis(p.inAxes[i], len(t.Dims))
			if err != nil {
				return err
			}
			if _, known := n.Size(); !known && t.Dims[axis].Known() {
				n = t.Dims[axis]
			}
			t.Dims = slices.Delete(slices.Clone(t.Dims), axis, axis+1)
		}
		parts[i] = t
	}
	final, last, err := scanTypes(c, g, p, 0, parts)
	if err != nil {
		return err
	}
	for i := range c.Out {
		if i < p.states {
			c.Out[i] = final[i]
			continue
		}
		t := last[i]
		c.Out[i] = onnx.Type{Kind: onnx.TensorKind, DType: t.DType}
		if t.Ranked {
			axis, err := tensor.Axis(p.outAxes[i-p.states], len(t.Dims)+1)
			if err != nil {
				return err
			}
			c.Out[i].Ranked, c.Out[i].Dims = true, slices.Insert(sizesOnly(t.Dims, n), axis, n)
		}
	}
	return nil
}

// sizesOnly returns the dims of one slice as they hold of a stack of n: unless
// there surely is an iteration, dimensions that are not known by number may be 0.
func sizesOnly(dims []onnx.Dim, n onnx.Dim) []onnx.Dim {
	if k, ok := n.Size(); ok && k > 0 {
		return slices.Clone(dims)
	}
	out := make([]onnx.Dim, len(dims))
	for i, d := range dims {
		if _, ok := d.Size(); ok {
			out[i] = d
		}
	}
	return out
}

// scanTypes infers the body: the types of the state and all of its outputs.
// first is the node input that is the first state.
func scanTypes(c *InferContext, g *onnx.Graph, p *scanPlan, first int, parts []onnx.Type) (final, last []onnx.Type, err error) {
	init := make([]onnx.Type, p.states)
	for i := range init {
		init[i] = c.In(first + i)
		if t := &init[i]; first == 1 && t.Ranked && len(t.Dims) > 0 {
			t.Dims = t.Dims[1:]
		}
	}
	final, err = carriedTypes(init, func(cur []onnx.Type) ([]onnx.Type, error) {
		last, err = c.Body(g, append(slices.Clone(cur), parts...))
		return last, err
	})
	if err != nil {
		err = fmt.Errorf("body: %w", err)
	}
	return final, last, err
}

func inferScan8(c *InferContext) error {
	in := c.NumIn() - 1
	g, err := bodyOf(&c.attrs, "body", in, -1)
	if err != nil {
		return err
	}
	p, err := parseScan(&c.attrs, true, in, len(g.Outputs))
	if err != nil {
		return err
	}
	if len(c.Out) > len(g.Outputs) {
		return fmt.Errorf("%d outputs, want %d", len(c.Out), len(g.Outputs))
	}
	parts := make([]onnx.Type, p.ins)
	var batch, n onnx.Dim
	for i := range parts {
		t := c.In(1 + p.states + i)
		if t.Ranked {
			if len(t.Dims) < 2 {
				return fmt.Errorf("scan input %d is %v, want at least 2 dimensions", i, t)
			}
			batch, n = t.Dims[0], t.Dims[1]
			t.Dims = t.Dims[2:]
		}
		parts[i] = t
	}
	final, last, err := scanTypes(c, g, p, 1, parts)
	if err != nil {
		return err
	}
	for i := range c.Out {
		t, front := last[i], []onnx.Dim{batch, n}
		if i < p.states {
			t, front = final[i], front[:1]
		}
		c.Out[i] = onnx.Type{Kind: onnx.TensorKind, DType: t.DType}
		if t.Ranked {
			c.Out[i].Ranked, c.Out[i].Dims = true, append(front, sizesOnly(t.Dims, batch.Mul(n))...)
		}
	}
	return nil
}

func buildScan(b *BuildContext) (Kernel, error) {
	body, err := b.Body("body")
	if err != nil {
		return nil, err
	}
	if len(body.In()) != b.NumIn() {
		return nil, fmt.Errorf("body has %d inputs, want %d", len(body.In()), b.NumIn())
	}
	p, err := parseScan(&b.attrs, false, b.NumIn(), len(body.Out()))
	if err != nil {
		return nil, err
	}
	return func(c *Call) error {
		n := -1
		s := State[scanState](c)
		xs, outs := s.begin(p)
		defer s.end()
		axes := c.Dims(p.ins)
		for i := range xs {
			x := c.T(p.states + i)
			if x == nil {
				return fmt.Errorf("scan input %d is absent", i)
			}
			axis, err := tensor.Axis(p.inAxes[i], x.Rank())
			if err != nil {
				return err
			}
			if n >= 0 && x.Dim(axis) != n {
				return fmt.Errorf("scan input %d has %d slices, want %d", i, x.Dim(axis), n)
			}
			xs[i], axes[i], n = x, axis, x.Dim(axis)
		}
		args, res := s.arguments(p.states+p.ins), s.results(p.states+p.outs)
		state := args[:p.states]
		copy(state, c.In)
		for i := range n {
			for j, x := range xs {
				at := i
				if p.inBack[j] {
					at = n - 1 - i
				}
				part, err := s.sliceAt(c, x, axes[j], at)
				if err != nil {
					return err
				}
				args[p.states+j] = part
			}
			if err := runBody(c, body, args, res); err != nil {
				return err
			}
			for j, v := range args {
				c.Free(v)
				if j < p.states {
					state[j] = res[j]
				}
			}
			for j := range outs {
				at := i
				if p.outBack[j] {
					at = n - 1 - i
				}
				t, ok := res[p.states+j].(*tensor.Tensor)
				if !ok {
					return fmt.Errorf("scan output %d is %v, want a tensor", j, res[p.states+j])
				}
				axis, err := tensor.Axis(p.outAxes[j], t.Rank()+1)
				if err != nil {
					return err
				}
				if i == 0 {
					s.shape = slices.Insert(append(s.shape[:0], t.Shape()...), axis, n)
					outs[j] = c.Output(p.states+j, t.DType(), s.shape...)
				}
				if err := putSlice(outs[j], axis, at, t); err != nil {
					return err
				}
				c.Free(t)
			}
		}
		if err := c.Ctx().Err(); err != nil {
			return err
		}
		for i, v := range state {
			if err := c.Pass(i, v); err != nil {
				return err
			}
		}
		for j := range outs {
			if n > 0 {
				continue
			}
			d, shape, err := emptyOf(body.Out()[p.states+j])
			if err != nil {
				return err
			}
			axis, err := tensor.Axis(p.outAxes[j], len(shape)+1)
			if err != nil {
				return err
			}
			c.Output(p.states+j, d, slices.Insert(shape, axis, 0)...)
		}
		return nil
	}, nil
}

func buildScan8(b *BuildContext) (Kernel, error) {
	body, err := b.Body("body")
	if err != nil {
		return nil, err
	}
	in := b.NumIn() - 1
	if len(body.In()) != in {
		return nil, fmt.Errorf("body has %d inputs, want %d", len(body.In()), in)
	}
	p, err := parseScan(&b.attrs, true, in, len(body.Out()))
	if err != nil {
		return nil, err
	}
	return func(c *Call) error {
		batch, n := -1, -1
		ts := make([]*tensor.Tensor, in)
		for i := range ts {
			t := c.T(1 + i)
			want := 1
			if i >= p.states {
				want = 2
			}
			if t == nil || t.Rank() < want {
				return fmt.Errorf("input %d is %v, want at least %d dimensions", i+1, c.In[i+1], want)
			}
			if batch >= 0 && t.Dim(0) != batch {
				return fmt.Errorf("input %d has a batch of %d, want %d", i+1, t.Dim(0), batch)
			}
			batch = t.Dim(0)
			if want == 2 {
				if n >= 0 && t.Dim(1) != n {
					return fmt.Errorf("input %d has %d slices, want %d", i+1, t.Dim(1), n)
				}
				n = t.Dim(1)
			}
			ts[i] = t
		}
		lens, err := c.Ints(0)
		if err != nil {
			return err
		}
		if lens != nil && len(lens) != batch {
			return fmt.Errorf("sequence_lens has %d values, want %d", len(lens), batch)
		}
		outs := make([]*tensor.Tensor, p.states+p.outs)
		put := func(j, at int, axis0 int, v tensor.Value, front ...int) error {
			t, ok := v.(*tensor.Tensor)
			if !ok {
				return fmt.Errorf("body output %d is %v, want a tensor", j, v)
			}
			if outs[j] == nil {
				outs[j] = c.Output(j, t.DType(), append(front, t.Shape()...)...)
				if t.DType() != tensor.String {
					clear(outs[j].Bytes())
				}
			}
			flat, err := outs[j].Reshape(append([]int{axis0}, t.Shape()...)...)
			if err != nil {
				return fmt.Errorf("body output %d has shape %v, want %v", j, t.Shape(), outs[j].Shape()[len(front):])
			}
			return putSlice(flat, 0, at, t)
		}
		var s scanState
		args, res := s.arguments(in), s.results(p.states+p.outs)
		parts := make([]*tensor.Tensor, in)
		for e := range batch {
			length := n
			if lens != nil {
				if length = lens[e]; length < 0 || length > n {
					return fmt.Errorf("sequence_lens has %d, want 0 to %d", length, n)
				}
			}
			for i, t := range ts {
				part, err := s.sliceAt(c, t, 0, e)
				if err != nil {
					return err
				}
				args[i], parts[i] = part, part
			}
			for i := range length {
				for j := range p.ins {
					at := i
					if p.inBack[j] {
						at = length - 1 - i
					}
					part, err := s.sliceAt(c, parts[p.states+j], 0, at)
					if err != nil {
						return err
					}
					args[p.states+j] = part
				}
				if err := runBody(c, body, args, res); err != nil {
					return err
				}
				for j, v := range args {
					c.Free(v)
					if j < p.states {
						args[j] = res[j]
					}
				}
				for j, v := range res[p.states:] {
					if err := put(p.states+j, e*n+i, batch*n, v, batch, n); err != nil {
						return err
					}
					c.Free(v)
				}
			}
			for j := range p.states {
				if err := put(j, e, batch, args[j], batch); err != nil {
					return err
				}
				c.Free(args[j])
			}
			for _, t := range parts[p.states:] {
				c.Free(t)
			}
		}
		for j, o := range outs {
			if o != nil {
				continue
			}
			d, shape, err := emptyOf(body.Out()[j])
			if err != nil {
				return err
			}
			front := []int{max(batch, 0)}
			if j >= p.states {
				front = append(front, n)
			}
			t := c.Output(j, d, append(front, shape...)...)
			if d != tensor.String {
				clear(t.Bytes())
			}
		}
		return nil
	}, nil
}

// axisBlocks returns how many blocks lie before axis and the elements after it.
func axisBlocks(shape []int, axis int) (outer, inner int) {
	outer, inner = 1, 1
	for i, d := range shape {
		if i < axis {
			outer *= d
		} else if i > axis {
			inner *= d
		}
	}
	return outer, inner
}

// scanState is what a Scan keeps between runs: memory for lists.
type scanState struct {
	nested
	ins, outs []*tensor.Tensor
	shape     []int
}

// begin returns places for the scan inputs and outputs.
func (s *scanState) begin(p *scanPlan) (ins, outs []*tensor.Tensor) {
	s.ins = slices.Grow(s.ins[:0], p.ins)[:p.ins]
	s.outs = slices.Grow(s.outs[:0], p.outs)[:p.outs]
	return s.ins, s.outs
}

// end lets go of all values.
func (s *scanState) end() {
	clear(s.args)
	clear(s.out)
	clear(s.ins)
	clear(s.outs)
}

// sliceAt returns a copy of t at one index of axis, without that axis, lent to c.
func (s *scanState) sliceAt(c *Call, t *tensor.Tensor, axis, at int) (*tensor.Tensor, error) {
	if t.DType().IsPacked() {
		return nil, fmt.Errorf("%w: scan input of %v", ErrUnsupported, t.DType())
	}
	n := t.Dim(axis)
	outer, inner := axisBlocks(t.Shape(), axis)
	s.shape = slices.Delete(append(s.shape[:0], t.Shape()...), axis, axis+1)
	out := c.Lend(t.DType(), s.shape)
	if t.DType() == tensor.String {
		src, dst := tensor.Data[string](t), tensor.Data[string](out)
		for o := range outer {
			copy(dst[o*inner:(o+1)*inner], src[(o*n+at)*inner:])
		}
		return out, nil
	}
	w := inner * t.DType().Size()
	for o := range outer {
		copy(out.Bytes()[o*w:(o+1)*w], t.Bytes()[(o*n+at)*w:])
	}
	return out, nil
}

// putSlice writes s into dst at one index of axis.
func putSlice(dst *tensor.Tensor, axis, at int, s *tensor.Tensor) error {
	d := dst.Shape()
	if s.DType() != dst.DType() || s.Rank() != len(d)-1 || !slices.Equal(s.Shape()[:axis], d[:axis]) || !slices.Equal(s.Shape()[axis:], d[axis+1:]) {
		return fmt.Errorf("scan output is %v in iteration %d, want %v %v as in the first", s, at, dst.DType(), slices.Delete(slices.Clone(d), axis, axis+1))
	}
	if s.DType().IsPacked() {
		return fmt.Errorf("%w: scan output of %v", ErrUnsupported, s.DType())
	}
	n := dst.Dim(axis)
	outer, inner := axisBlocks(dst.Shape(), axis)
	if s.DType() == tensor.String {
		d, src := tensor.Data[string](dst), tensor.Data[string](s)
		for o := range outer {
			copy(d[(o*n+at)*inner:(o*n+at+1)*inner], src[o*inner:])
		}
		return nil
	}
	w := inner * s.DType().Size()
	for o := range outer {
		copy(dst.Bytes()[(o*n+at)*w:(o*n+at+1)*w], s.Bytes()[o*w:])
	}
	return nil
}
