package ops

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Einsum: Output[o…] = Σ over all labels not in o of the product of the Inputs,
// with the dimensions of each input named by equation, such as
// "bij,bjk->bik". A label that an input repeats takes the diagonal; "..." stands
// for any further dimensions, which broadcast. Without "->" the output has the
// dimensions of "..." and then, in alphabetical order, the labels that occur once.
// A dimension of 1 broadcasts.
//
//	Inputs: T[…], at least one    Output: T[…]
//
// T: all integers, float16 and bfloat16 (both computed in float32), float32,
// float64. Several inputs are contracted from left to right.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Einsum.html
func init() {
	register(&Op{
		Name:     "Einsum",
		Numerics: Rounding,
		Flush:    true,
		Versions: []Version{
			// 28 added bfloat16.
			{Since: 12, In: Arity{1, Many}, Out: N(1), Infer: inferEinsum, Build: buildEinsum},
		},
	})
}

// einEquation is a parsed equation. Labels are letters; '.' stands for the
// ellipsis.
type einEquation struct {
	in       []string
	out      string
	explicit bool
}

// EinsumLabels returns the labels of each input and of the output that an
// equation of Einsum names, one letter for each dimension and '.' for "...".
// What the equation leaves out after its inputs is filled in.
func EinsumLabels(equation string) (in []string, out string, err error) {
	e, err := parseEinsum(equation)
	if err != nil {
		return nil, "", err
	}
	return e.in, e.out, nil
}

func parseEinsum(s string) (*einEquation, error) {
	s = strings.ReplaceAll(s, " ", "")
	left, out, explicit := strings.Cut(s, "->")
	term := func(t string) (string, error) {
		t = strings.Replace(t, "...", "\x00", 1)
		for _, r := range t {
			if r != 0 && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
				return "", fmt.Errorf("equation %q has %q, want letters, commas, spaces, one ... in a term and one ->", s, r)
			}
		}
		return strings.Replace(t, "\x00", ".", 1), nil
	}
	e := &einEquation{explicit: explicit}
	for _, t := range strings.Split(left, ",") {
		t, err := term(t)
		if err != nil {
			return nil, err
		}
		e.in = append(e.in, t)
	}
	var err error
	if e.out, err = term(out); err != nil {
		return nil, err
	}
	seen := strings.Join(e.in, "")
	for i, r := range e.out {
		if strings.ContainsRune(e.out[:i], r) || r != '.' && !strings.ContainsRune(seen, r) {
			return nil, fmt.Errorf("equation %q has the output label %q twice or in no input", s, r)
		}
	}
	if !explicit {
		var once []rune
		for _, r := range seen {
			if r != '.' && strings.Count(seen, string(r)) == 1 {
				once = append(once, r)
			}
		}
		slices.Sort(once)
		if strings.Contains(seen, ".") {
			e.out = "."
		}
		e.out += string(once)
	}
	return e, nil
}

// einLabels are the labels of the inputs and the output for some ranks.
type einLabels struct {
	ranks []int
	in    [][]int
	out   []int
}

// of returns the labels for ranks; see labels. They are made again where ranks change.
func (l *einLabels) of(e *einEquation, ranks []int) (in [][]int, out []int, err error) {
	if l.out == nil || !slices.Equal(l.ranks, ranks) {
		l.out = nil
		if in, out, err = e.labels(ranks); err != nil {
			return nil, nil, err
		}
		l.ranks, l.in, l.out = append(l.ranks[:0], ranks...), in, out
	}
	return l.in, l.out, nil
}

// labels returns the labels of each input of the given ranks and of the
// output. Letters are their code, dimensions of the ellipsis are -1, -2… from
// the last.
func (e *einEquation) labels(ranks []int) (in [][]int, out []int, err error) {
	if len(ranks) != len(e.in) {
		return nil, nil, fmt.Errorf("%d inputs, want %d as in the equation", len(ranks), len(e.in))
	}
	dots := 0
	for i, t := range e.in {
		n := ranks[i] - len(t)
		if strings.Contains(t, ".") {
			n++
			dots = max(dots, n)
		} else if n != 0 {
			return nil, nil, fmt.Errorf("input %d has rank %d, want %d as in %q", i, ranks[i], len(t), t)
		}
		if n < 0 {
			return nil, nil, fmt.Errorf("input %d has rank %d, want at least %d as in %q", i, ranks[i], len(t)-1, strings.Replace(t, ".", "...", 1))
		}
		in = append(in, expandLabels(t, n))
	}
	return in, expandLabels(e.out, dots), nil
}

func expandLabels(t string, dots int) []int {
	l := []int{}
	for _, r := range t {
		if r != '.' {
			l = append(l, int(r))
			continue
		}
		for d := dots; d > 0; d-- {
			l = append(l, -d)
		}
	}
	return l
}

func inferEinsum(c *InferContext) error {
	e, err := parseEinsum(c.Str("equation", ""))
	if err != nil {
		return err
	}
	d := c.In(0).DType
	c.Out[0] = onnx.UnrankedType(d)
	ranks := make([]int, c.NumIn())
	for i := range ranks {
		t := c.In(i)
		if !t.Ranked {
			return nil
		}
		ranks[i] = len(t.Dims)
	}
	in, out, err := e.labels(ranks)
	if err != nil {
		return err
	}
	dims := map[int]onnx.Dim{}
	for i, ls := range in {
		for j, l := range ls {
			have, ok := dims[l]
			if !ok {
				dims[l] = c.In(i).Dims[j]
				continue
			}
			b, _, err := broadcastDims(onnx.TensorType(d, have), onnx.TensorType(d, c.In(i).Dims[j]))
			if err != nil {
				return fmt.Errorf("label %s of input %d: %w", einName(l), i, err)
			}
			dims[l] = b[0]
		}
	}
	shape := make([]onnx.Dim, len(out))
	for i, l := range out {
		shape[i] = dims[l]
	}
	c.Out[0] = onnx.TensorType(d, shape...)
	return nil
}

func einName(l int) string {
	if l < 0 {
		return "..."
	}
	return string(rune(l))
}

func buildEinsum(b *BuildContext) (Kernel, error) {
	if !b.HasAttr("equation") {
		return nil, fmt.Errorf("attribute %q is missing", "equation")
	}
	e, err := parseEinsum(b.Str("equation", ""))
	if err != nil {
		return nil, err
	}
	f32, i32, i64 := einsumKernel[float32](e), einsumKernel[uint32](e), einsumKernel[uint64](e)
	half, short := throughFloat32(f32, 0), throughUint32(i32)
	return b.dispatch(0, byType{
		tensor.Float32: f32, tensor.Float64: einsumKernel[float64](e), tensor.Float16: half, tensor.BFloat16: half,
		tensor.Int8: short, tensor.Int16: short, tensor.Int32: i32, tensor.Int64: i64,
		tensor.Uint8: short, tensor.Uint16: short, tensor.Uint32: i32, tensor.Uint64: i64,
	})
}

// einsumKernel is the kernel for T, and for the signed integers of T's size.
func einsumKernel[T gemm.Number](e *einEquation) Kernel {
	return func(c *Call) error {
		d := c.T(0).DType()
		ranks := c.Dims(len(c.In))
		for i := range c.In {
			t := c.T(i)
			if t == nil || t.DType() != d {
				return fmt.Errorf("input %d is %v, want %v", i, t, d)
			}
			ranks[i] = t.Rank()
		}
		in, out, err := State[einLabels](c).of(e, ranks)
		if err != nil {
			return err
		}
		sizes, err := einSizes(c, in, slices.Max(ranks))
		if err != nil {
			return err
		}
		mem := State[[]einView[T]](c)
		views := (*mem)[:0]
		defer func() {
			clear(views)
			*mem = views
		}()
		all := 0
		for i, ls := range in {
			views = append(views, newEinView(c, wordsOf[T](c.T(i)), c.T(i).Shape(), ls, sizes))
			all += len(ls)
		}
		acc := views[0]
		for i := 1; ; i++ {
			later := append(c.Dims(len(out) + all)[:0], out...)
			for _, v := range views[min(i+1, len(views)):] {
				later = append(later, v.labels...)
			}
			if i == len(views) {
				acc = acc.sum(c, out)
				break
			}
			if acc, err = einContract(c, acc, views[i], later); err != nil {
				return err
			}
		}
		shape := c.Dims(len(out))
		for i, l := range out {
			shape[i] = sizes.of(l)
		}
		y := c.Output(0, d, shape...)
		acc.copyTo(c, wordsOf[T](y), out, shape)
		return nil
	}
}

// einLengths are the lengths of dimensions by label, from the lowest, that of the first of rank
// dimensions of an ellipsis. They are 0 where the label is not used, plus one elsewhere.
type einLengths struct {
	n    []int
	rank int
}

func (s einLengths) of(label int) int { return s.n[label+s.rank] - 1 }

// einSizes returns the lengths of the labels, valid until the call ends.
func einSizes(c *Call, in [][]int, rank int) (einLengths, error) {
	s := einLengths{c.Dims(rank + 'z' + 1), rank}
	clear(s.n)
	for i, ls := range in {
		for j, l := range ls {
			n, have := c.T(i).Dim(j), s.of(l)
			if have < 0 || have == 1 {
				s.n[l+rank] = n + 1
			} else if n != have && n != 1 {
				return s, fmt.Errorf("label %s of input %d is %d, want %d or 1", einName(l), i, n, have)
			}
		}
	}
	return s, nil
}

// gradEinsum: the gradient of an input is the sum of products of dY and the other
// inputs over all labels that the input does not have. A label that only this input
// has was summed up: dY goes to all of its elements. A label that it has twice took the
// diagonal: the gradient lies there.
func gradEinsum(c *GradContext) []*onnx.Value {
	e, err := parseEinsum(c.Attr.Str("equation", ""))
	if err != nil {
		c.Fail(err)
		return nil
	}
	n := len(c.Node().In)
	ranks := make([]int, n)
	for i := range ranks {
		t := c.X(i).Type
		if !t.Ranked {
			c.Fail(fmt.Errorf("input %d is %v, want a known rank", i, t))
			return nil
		}
		ranks[i] = len(t.Dims)
	}
	in, to, err := e.labels(ranks)
	if err != nil {
		c.Fail(err)
		return nil
	}
	names := einNames{}
	out := make([]*onnx.Value, n)
	for i := range out {
		if !c.Needs(i) {
			continue
		}
		terms, args := []string{names.of(to)}, []*onnx.Value{c.DOut[0]}
		have := slices.Clone(to)
		for j, ls := range in {
			if j != i {
				terms, args, have = append(terms, names.of(ls)), append(args, c.X(j)), append(have, ls...)
			}
		}
		var own []int      // the labels of the result
		var missing []int  // dimensions without one
		var diagonal []int // pairs of dimensions with the same label
		for k, l := range in[i] {
			first := slices.Index(in[i], l)
			switch {
			case first < k:
				diagonal = append(diagonal, first, k)
				missing = append(missing, k)
			case slices.Contains(have, l):
				own = append(own, l)
			default:
				missing = append(missing, k)
			}
		}
		d := c.Op("Einsum", onnx.NewAttrs("equation", strings.Join(terms, ",")+"->"+names.of(own)), args...)
		if len(missing) > 0 {
			d = c.Op("Unsqueeze", nil, d, c.Ints(missing...))
		}
		d = c.SumTo(c.Expanded(d, c.X(i)), c.X(i))
		for ; len(diagonal) > 0; diagonal = diagonal[2:] {
			d = c.Pick(c.sameIndex(c.X(i), diagonal[0], diagonal[1]), d)
		}
		out[i] = d
	}
	return out
}

// sameIndex returns where the indices of two dimensions of v are equal: bools that
// broadcast to v's shape.
func (c *GradContext) sameIndex(v *onnx.Value, a, b int) *onnx.Value {
	index := func(k int) *onnx.Value {
		size := c.Op("Gather", nil, c.shapeOf(v), c.Const(tensor.Scalar(int64(k))))
		r := c.Op("Range", nil, c.Const(tensor.Scalar(int64(0))), size, c.Const(tensor.Scalar(int64(1))))
		var others []int
		for j := range v.Type.Dims {
			if j != k {
				others = append(others, j)
			}
		}
		return c.Op("Unsqueeze", nil, r, c.Ints(others...))
	}
	return c.Op("Equal", nil, index(a), index(b))
}

// einNames gives labels letters, those of the ellipsis included.
type einNames map[int]rune

func (m einNames) of(labels []int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	var s strings.Builder
	for _, l := range labels {
		if m[l] == 0 {
			m[l] = '?' // more labels than letters: Einsum refuses it
			if len(m) <= len(letters) {
				m[l] = rune(letters[len(m)-1])
			}
		}
		s.WriteRune(m[l])
	}
	return s.String()
}
