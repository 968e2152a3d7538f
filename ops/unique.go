package ops

import (
	"cmp"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Unique: the distinct elements of X, or its distinct slices along axis, in
// ascending order or (sorted 0) that of their first appearance; where each
// first appears, which of them each element of X is, and how often each
// appears. NaNs count as equal and as larger than every number.
//
//	X: T[...]    Y: T[n] or T[..., n, ...], indices: int64[n], inverse_indices: int64[m], counts: int64[n]
//
// T is any real type, bool or string. Spec: https://onnx.ai/onnx/operators/onnx__Unique.html
func init() {
	register(&Op{
		Name:     "Unique",
		Versions: []Version{{Since: 11, In: N(1), Out: Arity{1, 4}, Infer: inferUnique, Build: buildUnique}},
	})
}

func inferUnique(c *InferContext) error {
	x := c.In(0)
	c.Ignore("sorted")
	c.setRank(0, x.DType, 1)
	if c.HasAttr("axis") {
		axis := c.Int("axis", 0)
		c.Out[0] = onnx.UnrankedType(x.DType)
		if x.Ranked {
			a, err := tensor.Axis(axis, len(x.Dims))
			if err != nil {
				return err
			}
			c.Out[0] = onnx.TensorType(x.DType, append([]onnx.Dim{}, x.Dims...)...)
			c.Out[0].Dims[a] = onnx.Dim{}
		}
	}
	for i := 1; i < len(c.Out); i++ {
		c.setRank(i, tensor.Int64, 1)
	}
	return nil
}

// gradUnique gives dY to the elements, or slices, that appear first.
func gradUnique(c *GradContext) []*onnx.Value {
	if c.DOut[0] == nil {
		return nil
	}
	x := c.X(0)
	if c.Attr.HasAttr("axis") {
		as := onnx.NewAttrs("axis", c.Attr.Int("axis", 0))
		return c.Ops(Private, "GatherGrad", as, 1, c.DOut[0], c.shapeOf(x), c.Save(1))
	}
	flat := c.shapeOf(c.Op("Reshape", nil, x, c.Ints(-1)))
	return []*onnx.Value{c.Like(c.Ops(Private, "GatherGrad", nil, 1, c.DOut[0], flat, c.Save(1))[0], x)}
}

func inferUniqueMS(c *InferContext) error {
	c.setRank(0, c.In(0).DType, 1)
	for i := 1; i < len(c.Out); i++ {
		c.setRank(i, tensor.Int64, 1)
	}
	return nil
}

func buildUnique(b *BuildContext) (Kernel, error) {
	given := b.HasAttr("axis")
	axis, sorted := b.Int("axis", 0), b.Bool("sorted", true)
	return func(c *Call) error {
		g, err := uniqueOf(c, axis, given, sorted)
		if err != nil {
			return err
		}
		g.set(c, 1, g.first)
		g.set(c, 2, g.inverse)
		g.set(c, 3, g.counts)
		return nil
	}, nil
}

func buildUniqueMS(*BuildContext) (Kernel, error) {
	return func(c *Call) error {
		g, err := uniqueOf(c, 0, false, false)
		if err != nil {
			return err
		}
		g.set(c, 1, g.inverse)
		g.set(c, 2, g.counts)
		return nil
	}, nil
}

// grouping tells which rows are equal.
type grouping struct{ first, inverse, counts []int64 }

func (g *grouping) set(c *Call, i int, v []int64) {
	if c.Wants(i) {
		copy(tensor.Data[int64](c.Output(i, tensor.Int64, len(v))), v)
	}
}

// uniqueOf sets output 0 and returns the grouping.
func uniqueOf(c *Call, axis int, given, sorted bool) (*grouping, error) {
	x := c.T(0)
	s := []int{x.Len()}
	a := 0
	if given {
		s = append([]int{}, x.Shape()...)
		var err error
		if a, err = tensor.Axis(axis, len(s)); err != nil {
			return nil, err
		}
	}
	outer, n, inner := sizeOf(s[:a]), s[a], sizeOf(s[a+1:])
	var keys, room []keyed
	if outer == 1 && inner == 1 {
		keys, room = uniqueKeys(c, x)
	}
	var g *grouping
	if keys != nil {
		g = groupKeys(sortKeys(keys, room))
	} else {
		compare, err := rowOrder(x, outer, n, inner)
		if err != nil {
			return nil, err
		}
		g = groupRows(n, compare)
	}
	if !sorted {
		g.byFirst()
	}
	s[a] = len(g.first)
	y := c.Output(0, x.DType(), s...)
	moverOf(x.DType()).gather(c.P, y, x, g.first, outer, n, inner)
	return g, nil
}

// groupRows groups n rows by an order, in that order.
func groupRows(n int, compare func(i, j int) int) *grouping {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		if r := compare(i, j); r != 0 {
			return r
		}
		return i - j
	})
	g := &grouping{inverse: make([]int64, n)}
	for k, i := range order {
		if k == 0 || compare(order[k-1], i) != 0 {
			g.first = append(g.first, int64(i))
			g.counts = append(g.counts, 0)
		}
		g.inverse[i] = int64(len(g.first) - 1)
		g.counts[len(g.first)-1]++
	}
	return g
}

// byFirst brings the groups into the order in which they appear first.
func (g *grouping) byFirst() {
	to := make([]int64, len(g.first))
	first, counts := make([]int64, 0, len(to)), make([]int64, 0, len(to))
	for i, group := range g.inverse {
		if g.first[group] == int64(i) {
			to[group] = int64(len(first))
			first, counts = append(first, int64(i)), append(counts, g.counts[group])
		}
		g.inverse[i] = to[group]
	}
	g.first, g.counts = first, counts
}

// rowOrder returns the lexicographic order of the rows [o, i] of x[o, row, i].
func rowOrder(x *tensor.Tensor, outer, n, inner int) (func(i, j int) int, error) {
	switch x.DType() {
	case tensor.Float32:
		return orderOf(tensor.Data[float32](x), outer, n, inner), nil
	case tensor.Float64:
		return orderOf(tensor.Data[float64](x), outer, n, inner), nil
	case tensor.Float16, tensor.BFloat16:
		return orderOf(tensor.Data[float32](tensor.Widen(x)), outer, n, inner), nil
	case tensor.Int8:
		return orderOf(tensor.Data[int8](x), outer, n, inner), nil
	case tensor.Int16:
		return orderOf(tensor.Data[int16](x), outer, n, inner), nil
	case tensor.Int32:
		return orderOf(tensor.Data[int32](x), outer, n, inner), nil
	case tensor.Int64:
		return orderOf(tensor.Data[int64](x), outer, n, inner), nil
	case tensor.Uint8, tensor.Bool:
		return orderOf(cells[uint8]{}.of(x), outer, n, inner), nil
	case tensor.Uint16:
		return orderOf(tensor.Data[uint16](x), outer, n, inner), nil
	case tensor.Uint32:
		return orderOf(tensor.Data[uint32](x), outer, n, inner), nil
	case tensor.Uint64:
		return orderOf(tensor.Data[uint64](x), outer, n, inner), nil
	case tensor.String:
		return orderOf(tensor.Data[string](x), outer, n, inner), nil
	}
	return nil, unsupportedType(0, x.DType())
}

func orderOf[T cmp.Ordered](d []T, outer, n, inner int) func(i, j int) int {
	return func(i, j int) int {
		for o := range outer {
			a, b := d[(o*n+i)*inner:][:inner], d[(o*n+j)*inner:][:inner]
			for k, v := range a {
				w := b[k]
				switch {
				case v < w:
					return -1
				case v > w:
					return 1
				case v == w:
				case v == v: // w is NaN
					return -1
				case w == w:
					return 1
				}
			}
		}
		return 0
	}
}
