package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.LayerNormalizationGrad: the gradients of LayerNormalization's X, Scale and B from
// that of Y; with center 0, those of RMSNormalization, where the mean is taken
// as 0. dScale and dB are those of a Scale and a B of the shape of the normalized
// dimensions, those from axis on. This operator is private: gradients write it.
//
//	dY, X: T[d0...]    Scale: T, broadcasts to the normalized dimensions; absent: 1
//	dX: T[d0...]    dScale, dB (optional): T, the normalized dimensions
//
// With x̂ = (X - mean)·r, r = 1/sqrt(var + epsilon) and g = dY·Scale, means over
// the normalized dimensions and sums over the others:
//
//	dX = r·(g - mean(g) - x̂·mean(g·x̂))    dScale = Σ dY·x̂    dB = Σ dY
//
// with center 0 without mean(g).
//
// Spec: https://arxiv.org/abs/1607.06450 (Ba, Kiros and Hinton, Layer Normalization,
// 2016); https://arxiv.org/abs/1910.07467 (Zhang and Sennrich, Root Mean Square
// Layer Normalization, 2019).
func layerNormalizationGradOp() *Op {
	return &Op{
		Domain: Private, Name: "LayerNormalizationGrad", Numerics: Rounding,
		Versions: []Version{{Since: 1, In: Arity{2, 3}, Out: Arity{1, 3}, Infer: func(c *InferContext) error {
			axis := c.Int("axis", -1)
			c.Ignore("epsilon", "center")
			c.Out[0] = c.In(1)
			c.Out[0].DType = c.In(0).DType
			for i := 1; i < len(c.Out); i++ {
				c.Out[i] = onnx.UnrankedType(c.In(0).DType)
				if x := c.In(1); x.Ranked {
					a, err := tensor.Axis(axis, len(x.Dims))
					if err != nil {
						return err
					}
					c.Out[i] = onnx.TensorType(c.In(0).DType, slices.Clone(x.Dims[a:])...)
				}
			}
			return nil
		}, Build: func(b *BuildContext) (Kernel, error) {
			axis, r := b.Int("axis", -1), rowNorm{center: b.Bool("center", true), eps: float64(b.Float("epsilon", 1e-5))}
			return b.realKernels(0, layerNormGradKernel[float32](r, axis), layerNormGradKernel[float64](r, axis))
		}}},
	}
}

func layerNormGradKernel[T floating](r rowNorm, axis int) Kernel {
	return func(c *Call) error {
		xt := c.T(1)
		shape := xt.Shape()
		if !slices.Equal(c.T(0).Shape(), shape) {
			return fmt.Errorf("dY has shape %v for X of shape %v", c.T(0).Shape(), shape)
		}
		a, err := tensor.Axis(axis, len(shape))
		if err != nil {
			return err
		}
		g := layerNormGrad[T]{r: r, n: 1}
		for _, d := range shape[a:] {
			g.n *= d
		}
		if g.dy, err = reals[T](c, 0); err != nil {
			return err
		}
		if g.x, err = reals[T](c, 1); err != nil {
			return err
		}
		if g.scale, err = rowParam[T](c, 2, "Scale", shape, a); err != nil {
			return err
		}
		if g.scale != nil && len(g.scale) != g.n {
			return fmt.Errorf("Scale has shape %v, want one that broadcasts to %v", c.T(2).Shape(), shape[a:])
		}
		d := c.T(0).DType()
		var done func()
		g.dx, done = realsOut[T](c, 0, d, shape...)
		rows := 0
		if g.n > 0 {
			rows = len(g.x) / g.n
		}
		// The sums are those of blocks of rows, whose number does not depend on threads.
		const blocks = 16
		g.block = max((rows+blocks-1)/blocks, 1+normGrain/max(1, g.n))
		count := (rows + g.block - 1) / g.block
		for i, to := range []*[]T{&g.dScale, &g.dBias} {
			if c.Wants(1 + i) {
				*to = Scratch[T](c, count*g.n)
			}
		}
		g.rows = rows
		par.Run(c.P, count, 1, par.With(g))
		done()
		for i, from := range [][]T{g.dScale, g.dBias} {
			if !c.Wants(1 + i) {
				continue
			}
			sum, done := realsOut[T](c, 1+i, d, shape[a:]...)
			clear(sum)
			for k := range count {
				addRows(vec.Best(), sum, sum, from[k*g.n:(k+1)*g.n])
			}
			done()
		}
		return nil
	}
}

type layerNormGrad[T floating] struct {
	r              rowNorm
	n, rows, block int
	dy, x, dx      []T
	scale          []T
	dScale, dBias  []T // a row for each block, or nil
}

func (g *layerNormGrad[T]) Chunk(lo, hi int) {
	mem, pool := borrow[[]T]()
	defer pool.Put(mem)
	n := g.n
	*mem = slices.Grow((*mem)[:0], 2*n)
	hat, tmp := (*mem)[:n], (*mem)[n:2*n:2*n]
	t := vec.Best()
	for b := lo; b < hi; b++ {
		var dScale, dBias []T
		if g.dScale != nil {
			dScale = g.dScale[b*n : (b+1)*n]
			clear(dScale)
		}
		if g.dBias != nil {
			dBias = g.dBias[b*n : (b+1)*n]
			clear(dBias)
		}
		for i := b * g.block; i < min((b+1)*g.block, g.rows); i++ {
			x, dy, dx := g.x[i*n:(i+1)*n], g.dy[i*n:(i+1)*n], g.dx[i*n:(i+1)*n]
			_, inv := rowNormRow(g.r, hat, x, nil, nil)
			if dScale != nil {
				mulRows(t, tmp, dy, hat)
				addRows(t, dScale, dScale, tmp)
			}
			if dBias != nil {
				addRows(t, dBias, dBias, dy)
			}
			u := dy
			if g.scale != nil {
				mulRows(t, tmp, dy, g.scale)
				u = tmp
			}
			e := 0.0
			if g.r.center {
				e = -inv * sumOf(u) / float64(n)
			}
			blend(dx, u, hat, inv, -inv*dotOf(u, hat)/float64(n), e, 0, hat)
		}
	}
}

// mulRows sets dst = a · b.
func mulRows[T floating](t *vec.Table, dst, a, b []T) {
	if d, ok := any(dst).([]float32); ok {
		t.Mul(d, any(a).([]float32), any(b).([]float32))
		return
	}
	for i, v := range a {
		dst[i] = v * b[i]
	}
}

// rowNormGrads returns the gradients of x, scale and bias (nil: there is none)
// where d is that of LayerNormalization or, without center, RMSNormalization over
// the dimensions of x from axis on. only tells which are needed.
func (c *GradContext) rowNormGrads(d, x, scale, bias *onnx.Value, axis int, eps float64, center bool, only [3]bool) [3]*onnx.Value {
	as := onnx.NewAttrs("axis", axis, "epsilon", eps, "center", center)
	outs, wide := 1, !c.narrow(scale, x, axis)
	if only[1] && !wide {
		outs = 2
	}
	if bias != nil && only[2] && c.narrow(bias, x, axis) {
		outs = 3
	}
	to := func(v, like *onnx.Value) *onnx.Value { // RMSNormalization's X and scale may differ in type
		if v.Type.DType == like.Type.DType {
			return v
		}
		return c.Op("CastLike", nil, v, like)
	}
	d, own := to(d, x), scale
	scale = to(scale, x)
	in := []*onnx.Value{d, x, scale}
	if wide { // Scale is not the same for all rows
		in = []*onnx.Value{c.Times(d, scale), x}
	}
	g := c.Ops(Private, "LayerNormalizationGrad", as, outs, in...)
	out := [3]*onnx.Value{0: g[0]}
	if only[1] {
		if wide {
			one := c.Float(x.Type.DType, 1)
			hat := c.Op("RMSNormalization", onnx.NewAttrs("axis", axis, "epsilon", eps), x, one)
			if center {
				hat = c.Op("LayerNormalization", onnx.NewAttrs("axis", axis, "epsilon", eps), x, one)
			}
			out[1] = to(c.SumTo(c.Times(d, hat), scale), own)
		} else {
			out[1] = to(c.SumTo(g[1], scale), own)
		}
	}
	if bias != nil && only[2] {
		if outs == 3 {
			out[2] = c.SumTo(g[2], bias)
		} else {
			out[2] = c.SumTo(d, bias)
		}
	}
	return out
}

// narrow reports whether v is known to have no dimensions but those of x from axis on.
func (c *GradContext) narrow(v, x *onnx.Value, axis int) bool {
	if axis >= 0 {
		if !x.Type.Ranked {
			return false
		}
		axis -= len(x.Type.Dims)
	}
	return v.Type.Ranked && len(v.Type.Dims) <= -axis
}

// gradLayerNormalization also takes the gradients of Mean and InvStdDev, of which
// dMean/dX = 1/n and dInvStdDev/dX = -InvStdDev³·(X - Mean)/n.
func gradLayerNormalization(c *GradContext) []*onnx.Value {
	x := c.X(0)
	axis, eps := c.Attr.Int("axis", -1), float64(c.Attr.Float("epsilon", 1e-5))
	var out [3]*onnx.Value
	if c.DOut[0] != nil {
		out = c.rowNormGrads(c.DOut[0], x, c.X(1), c.X(2), axis, eps, true, [3]bool{c.Needs(0), c.Needs(1), c.Needs(2)})
	}
	add := func(v *onnx.Value, stat *onnx.Value) {
		v = c.meanGrad(v, x, stat)
		if out[0] != nil {
			v = c.Plus(out[0], v)
		}
		out[0] = v
	}
	cast := func(v *onnx.Value) *onnx.Value { return c.Op("CastLike", nil, v, x) }
	if len(c.DOut) > 1 && c.DOut[1] != nil {
		add(cast(c.DOut[1]), c.Y(1))
	}
	if len(c.DOut) > 2 && c.DOut[2] != nil {
		inv := cast(c.Y(2))
		f := c.Times(cast(c.DOut[2]), c.Times(inv, c.Times(inv, inv)))
		add(c.Times(f, c.Minus(cast(c.Save(1)), x)), c.Y(2))
	}
	return out[:]
}

// meanGrad returns v in x's shape over the number of x's elements that stat, of x's
// rank, has one mean of.
func (c *GradContext) meanGrad(v, x, stat *onnx.Value) *onnx.Value {
	return c.Expanded(c.Over(v, c.Op("CastLike", nil, c.Op("Div", nil, c.Op("Size", nil, x), c.Op("Size", nil, stat)), v)), x)
}

// gradGroupNorm returns the Grad of GroupNormalization or, without groups,
// InstanceNormalization: that of LayerNormalization of X as [n, groups, elements].
func gradGroupNorm(groups bool) func(*GradContext) []*onnx.Value {
	return func(c *GradContext) []*onnx.Value {
		x, scale, d := c.X(0), c.X(1), c.DOut[0]
		if !x.Type.Ranked || len(x.Type.Dims) < 2 {
			c.Fail(fmt.Errorf("X is %v, want a known rank", x.Type))
			return nil
		}
		rank, eps, g := len(x.Type.Dims), float64(c.Attr.Float("epsilon", 1e-5)), 0
		if groups {
			g = c.Attr.Int("num_groups", 0)
		}
		shape := c.groupRows(x, g)
		rows := func(v *onnx.Value) *onnx.Value { return c.Op("Reshape", nil, v, shape) }
		out := make([]*onnx.Value, 3)
		if c.Needs(0) {
			s := scale
			if rank > 2 {
				axes := make([]int, rank-2)
				for i := range axes {
					axes[i] = i + 1
				}
				s = c.Op("Unsqueeze", nil, scale, c.Ints(axes...))
			}
			dx := c.Ops(Private, "LayerNormalizationGrad", onnx.NewAttrs("axis", -1, "epsilon", eps), 1, rows(c.Times(d, s)), rows(x))[0]
			out[0] = c.Like(dx, x)
		}
		if c.Needs(1) {
			hat := c.Op("LayerNormalization", onnx.NewAttrs("axis", -1, "epsilon", eps), rows(x), c.Float(x.Type.DType, 1))
			out[1] = c.perChannel(c.Times(d, c.Like(hat, x)))
		}
		if c.Needs(2) {
			out[2] = c.perChannel(d)
		}
		return out
	}
}

// groupRows is the shape [n, groups, elements of a group] of x [n, c, d…] for
// Reshape, with groups 0 for as many as channels. It has no -1, which a batch of 0
// leaves open.
func (c *GradContext) groupRows(x *onnx.Value, groups int) *onnx.Value {
	per, known := 1, true
	for i, d := range x.Type.Dims[1:] {
		n, ok := d.Size()
		known = known && ok
		if i > 0 || groups > 0 {
			per *= n
		}
	}
	if known {
		return c.Ints(0, groups, per/max(groups, 1))
	}
	first := 1
	if groups == 0 {
		first = 2
	}
	size := c.Op("ReduceProd", onnx.NewAttrs("keepdims", 1), c.Op("Shape", onnx.NewAttrs("start", first), x))
	if groups > 0 {
		size = c.Op("Div", nil, size, c.Ints(groups))
	}
	return c.Op("Concat", onnx.NewAttrs("axis", 0), c.Ints(0, groups), size)
}

// gradSkipLayerNorm is the Grad of SkipLayerNormalization, and without center of
// SkipSimplifiedLayerNormalization: that of LayerNormalization of the sum s, with
// dmean/ds = 1/n and dinv/ds = inv³·(mean - s)/n.
func gradSkipLayerNorm(center bool) func(*GradContext) []*onnx.Value {
	return func(c *GradContext) []*onnx.Value {
		bias := 3
		var beta *onnx.Value
		if center {
			beta, bias = c.X(3), 4
		}
		var g [3]*onnx.Value
		if c.DOut[0] != nil {
			g = c.rowNormGrads(c.DOut[0], c.Save(3), c.X(2), beta, -1, float64(c.Attr.Float("epsilon", 1e-12)), center, [3]bool{true, c.Needs(2), c.Needs(3)})
		}
		plus := func(v *onnx.Value) {
			if g[0] != nil {
				v = c.Plus(g[0], v)
			}
			g[0] = v
		}
		dOut := append(slices.Clone(c.DOut), nil, nil, nil)
		if d := dOut[1]; d != nil && center { // else the mean is 0 whatever is summed
			sum := c.Save(3)
			plus(c.meanGrad(c.Op("CastLike", nil, d, sum), sum, d))
		}
		if d := dOut[2]; d != nil {
			sum := c.Save(3)
			cast := func(v *onnx.Value) *onnx.Value { return c.Op("CastLike", nil, v, sum) }
			inv, from := cast(c.Y(2)), c.Negated(sum)
			if center {
				from = c.Minus(cast(c.Save(1)), sum)
			}
			plus(c.meanGrad(c.Times(c.Times(cast(d), c.Times(inv, c.Times(inv, inv))), from), sum, d))
		}
		if dOut[3] != nil {
			plus(dOut[3])
		}
		if g[0] == nil { // of the mean alone, which is 0
			return nil
		}
		out := make([]*onnx.Value, bias+1)
		out[0], out[1], out[2] = g[0], c.SumTo(g[0], c.X(1)), g[1]
		if center {
			out[3] = g[2]
		}
		if b := c.X(bias); b != nil {
			out[bias] = c.SumTo(g[0], b)
		}
		return out
	}
}
