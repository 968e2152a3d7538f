package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Where: output = X where condition holds, else Y, element-wise with broadcasting.
//
//	condition: bool[...]    X, Y: T[...]    output: T[...], of the shape that all three broadcast to
//
// T: any type of whole bytes, and strings.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Where.html
func init() {
	register(&Op{
		Name: "Where",
		Versions: []Version{
			// 16 only adds bfloat16.
			{Since: 9, In: N(3), Out: N(1), InPlace: []int{1, 2}, Infer: inferWhere, Build: buildWhere},
		},
	})
}

func gradWhere(c *GradContext) []*onnx.Value {
	d, zero := c.DOut[0], c.Scalar(0)
	return []*onnx.Value{nil, c.SumTo(c.Op("Where", nil, c.X(0), d, zero), c.X(1)), c.SumTo(c.Op("Where", nil, c.X(0), zero, d), c.X(2))}
}

func inferWhere(c *InferContext) error {
	d := c.In(1).DType
	if d == tensor.Undefined {
		d = c.In(2).DType
	}
	if err := inferBroadcastTo(c, d); err != nil {
		return err
	}
	inferWhereInts(c)
	return nil
}

// inferWhereInts follows sizes through a condition that is known.
func inferWhereInts(c *InferContext) {
	pick, ok := c.knownBools(0)
	if !ok {
		return
	}
	x, okX := c.KnownInts(1)
	y, okY := c.KnownInts(2)
	if !okX || !okY || c.In(1).Ranked && len(c.In(1).Dims) > 1 || c.In(2).Ranked && len(c.In(2).Dims) > 1 {
		return
	}
	n := len(pick)
	for _, l := range []int{len(x), len(y)} {
		if n == 1 {
			n = l
		}
		if l != n && l != 1 {
			return
		}
	}
	out := make([]onnx.Dim, n)
	for i := range out {
		yes, known := pick[min(i, len(pick)-1)].Size()
		s := y
		if yes != 0 {
			s = x
		}
		if len(s) == 0 {
			return
		}
		if known {
			out[i] = s[min(i, len(s)-1)]
		}
	}
	c.SetInts(0, out)
}

// knownBools returns what is known of the elements of input i, a bool scalar
// or vector: 0, 1 or unknown.
func (c *InferContext) knownBools(i int) ([]onnx.Dim, bool) {
	t := c.Const(i)
	switch {
	case t == nil:
		return c.KnownInts(i)
	case t.DType() != tensor.Bool || t.Rank() > 1 || t.Len() > 1024:
		return nil, false
	}
	out := make([]onnx.Dim, t.Len())
	for i, v := range tensor.Data[bool](t) {
		out[i] = onnx.Size(0)
		if v {
			out[i] = onnx.Size(1)
		}
	}
	return out, true
}

func buildWhere(b *BuildContext) (Kernel, error) {
	if d := b.In(1).DType; d.IsPacked() {
		return nil, unsupportedType(1, d)
	}
	return func(c *Call) error {
		cond, x, y := c.T(0), c.T(1), c.T(2)
		switch {
		case cond == nil || x == nil || y == nil:
			return fmt.Errorf("an input is absent")
		case cond.DType() != tensor.Bool:
			return fmt.Errorf("condition is %v, want bool", cond.DType())
		case x.DType() != y.DType():
			return fmt.Errorf("Y is %v, want %v as X", y.DType(), x.DType())
		case x.DType().IsPacked():
			return unsupportedType(1, x.DType())
		}
		shape, err := c.broadcast(x.Shape(), y.Shape())
		if err == nil {
			shape, err = c.broadcast(cond.Shape(), shape)
		}
		if err != nil {
			_, err = tensor.Broadcast(cond.Shape(), x.Shape(), y.Shape())
			return err
		}
		out := c.Output(0, x.DType(), shape...)
		w := State[bcast](c).plan(shape, cond.Shape(), x.Shape(), y.Shape())
		pick := tensor.Data[bool](cond)
		switch x.DType().Size() {
		case 0:
			where[string](c, w, out, pick, x, y, nil)
		case 1:
			where(c, w, out, pick, x, y, pickNumbers[uint8])
		case 2:
			where(c, w, out, pick, x, y, pickNumbers[uint16])
		case 4:
			where(c, w, out, pick, x, y, pickNumbers[uint32])
		case 8:
			where(c, w, out, pick, x, y, pickNumbers[uint64])
		default:
			where[[2]uint64](c, w, out, pick, x, y, nil)
		}
		return nil
	}, nil
}

func where[T cell](c *Call, w *bcast, out *tensor.Tensor, cond []bool, tx, ty *tensor.Tensor, numbers func(d []T, cond []bool, x, y []T, sx, sy int)) {
	s := State[wherePick[T]](c)
	if s.f == nil {
		s.f = s.part
	}
	s.dst, s.x, s.y, s.cond = cells[T]{}.of(out), cells[T]{}.of(tx), cells[T]{}.of(ty), cond
	s.numbers = numbers
	s.sc, s.sx, s.sy = w.step(0), w.step(1), w.step(2)
	w.each(c.P, s.f)
	*s = wherePick[T]{f: s.f}
}

// wherePick picks elements of x or y.
type wherePick[T cell] struct {
	dst, x, y  []T
	cond       []bool
	sc, sx, sy int // steps of cond, x and y
	numbers    func(d []T, cond []bool, x, y []T, sx, sy int)
	f          func(o, n int, off [maxOperands]int)
}

func (s *wherePick[T]) part(o, n int, off [maxOperands]int) {
	d, cond, x, y, sc, sx, sy := s.dst[o:o+n], s.cond, s.x, s.y, s.sc, s.sx, s.sy
	oc, ox, oy := off[0], off[1], off[2]
	if sc == 0 {
		src, s, at := y, sy, oy
		if cond[oc] {
			src, s, at = x, sx, ox
		}
		if s == 1 {
			copy(d, src[at:at+n])
			return
		}
		for i := range d {
			d[i] = src[at]
		}
		return
	}
	p := cond[oc : oc+n]
	switch {
	case s.numbers != nil:
		s.numbers(d, p, x[ox:], y[oy:], sx, sy)
	case sx == 1 && sy == 1:
		a, b := x[ox:ox+n], y[oy:oy+n]
		for i, v := range p {
			e := b[i]
			if v {
				e = a[i]
			}
			d[i] = e
		}
	case sx == 1:
		a, e := x[ox:ox+n], y[oy]
		for i, v := range p {
			r := e
			if v {
				r = a[i]
			}
			d[i] = r // last: d may lie on a
		}
	default:
		e := x[ox]
		for i, v := range p {
			if v {
				d[i] = e
			} else {
				d[i] = y[oy+i*sy]
			}
		}
	}
}

// pickNumbers picks numbers. It has no branches, which take several times as long where
// conditions have no pattern. Steps are 0 or 1.
func pickNumbers[T uint8 | uint16 | uint32 | uint64](d []T, cond []bool, x, y []T, sx, sy int) {
	p := bytesOf(cond)[:len(d)]
	switch {
	case sx == 1 && sy == 1:
		x, y = x[:len(d)], y[:len(d)]
		for i, v := range p {
			d[i] = y[i] ^ (x[i]^y[i])&-T(v)
		}
	case sx == 1:
		x, e := x[:len(d)], y[0]
		for i, v := range p {
			d[i] = e ^ (x[i]^e)&-T(v)
		}
	case sy == 1:
		e, y := x[0], y[:len(d)]
		for i, v := range p {
			d[i] = y[i] ^ (e^y[i])&-T(v)
		}
	default:
		e, f := x[0], y[0]
		for i, v := range p {
			d[i] = f ^ (e^f)&-T(v)
		}
	}
}
