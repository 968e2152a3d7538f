package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
)

// GroupNorm (com.microsoft): Y = gamma * (X - mean) / sqrt(var + epsilon) + beta,
// the statistics per instance and group of channels; with activation = 1 then
// Y * sigmoid(Y).
//
//	X: T[n, ..., c] (channels_last = 1, the default) or [n, c, ...]    gamma, beta: float32[c]    Y: like X
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
func init() {
	register(&Op{Domain: "com.microsoft", Name: "GroupNorm", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: N(3), Out: N(1), Infer: inferSame, Build: buildGroupNorm, Expand: expandGroupNorm},
	}})
}

func buildGroupNorm(b *BuildContext) (Kernel, error) {
	groups, act, eps := b.Int("groups", 0), b.Int("activation", 0), float64(b.Float("epsilon", 1e-5))
	last := b.Bool("channels_last", true)
	if groups < 1 {
		return nil, fmt.Errorf("attribute \"groups\" is %d, want 1 or more", groups)
	}
	if act != 0 && act != 1 {
		return nil, fmt.Errorf("%w: attribute \"activation\" is %d, want 0 or 1", ErrUnsupported, act)
	}
	return b.realKernels(0, groupNormMSKernel[float32](groups, act == 1, last, eps), groupNormMSKernel[float64](groups, act == 1, last, eps))
}

func groupNormMSKernel[T floating](groups int, silu, last bool, eps float64) Kernel {
	return func(c *Call) error {
		xt := c.T(0)
		shape := xt.Shape()
		n, ch, d, err := channelShape(shape)
		if err != nil {
			return err
		}
		if last {
			ch, d = shape[len(shape)-1], 1
			for _, k := range shape[1 : len(shape)-1] {
				d *= k
			}
		}
		if ch%groups != 0 {
			return fmt.Errorf("X has shape %v: %d channels are not a multiple of groups %d", shape, ch, groups)
		}
		gamma, err := vectorParam[T](c, 1, "gamma", ch)
		if err != nil {
			return err
		}
		beta, err := vectorParam[T](c, 2, "beta", ch)
		if err != nil {
			return err
		}
		x, err := reals[T](c, 0)
		if err != nil {
			return err
		}
		y, done := realsOut[T](c, 0, xt.DType(), shape...)
		if last {
			groupNormLast(c.P, y, x, n, ch, d, groups, eps, gamma, beta)
		} else {
			groupNorm(c.P, y, x, n, ch, d, groups, eps, gamma, beta)
		}
		if silu {
			par.Run(c.P, len(y), normGrain, par.With(siluLoop[T]{y}))
		}
		done()
		return nil
	}
}

type siluLoop[T floating] struct{ y []T }

func (l *siluLoop[T]) Chunk(lo, hi int) {
	y := l.y
	for i, v := range y[lo:hi] {
		y[lo+i] = T(float64(v) / (1 + math.Exp(-float64(v))))
	}
}

// groupNormLast is groupNorm for x [n, d, c].
func groupNormLast[T floating](p par.P, y, x []T, n, ch, d, groups int, eps float64, gamma, beta []T) {
	if len(x) > 0 {
		per := ch / groups
		par.Run(p, n*groups, 1+normGrain/(per*d), par.With(lastGroups[T]{y, x, gamma, beta, ch, d, groups, per, eps}))
	}
}

// lastGroups is the loop of groupNormLast over groups of per channels.
type lastGroups[T floating] struct {
	y, x, gamma, beta  []T
	ch, d, groups, per int
	eps                float64
}

func (a *lastGroups[T]) Chunk(lo, hi int) {
	x, ch, d, per := a.x, a.ch, a.d, a.per
	for i := lo; i < hi; i++ {
		g := i % a.groups * per
		at := i/a.groups*d*ch + g
		mean, variance := 0.0, 0.0
		for j := 0; j < d; j++ {
			mean += sumOf(x[at+j*ch:][:per])
		}
		mean /= float64(per * d)
		for j := 0; j < d; j++ {
			variance += squaredDiff(x[at+j*ch:][:per], mean)
		}
		inv := 1 / math.Sqrt(variance/float64(per*d)+a.eps)
		for j := 0; j < d; j++ {
			normalizeRow(a.y[at+j*ch:][:per], x[at+j*ch:][:per], mean, inv, a.gamma[g:g+per], a.beta[g:g+per])
		}
	}
}

// expandGroupNorm: GroupNormalization with the channels first, then the activation.
func expandGroupNorm(c *ExpandContext) ([]*onnx.Value, error) {
	x, act, rank := c.value(0), c.Int("activation", 0), len(c.In(0).Dims)
	if rank < 2 || act != 0 && act != 1 {
		return nil, fmt.Errorf("%w: the expansion with X %v and activation %d", ErrUnsupported, c.In(0), act)
	}
	first, last := []int{0, rank - 1}, []int{0}
	for i := 1; i < rank-1; i++ {
		first, last = append(first, i), append(last, i+1)
	}
	last = append(last, 1)
	channelsLast := c.Bool("channels_last", true)
	if channelsLast {
		x = c.Op("Transpose", onnx.NewAttrs("perm", first), x)
	}
	as := onnx.NewAttrs("num_groups", c.Int("groups", 0), "epsilon", c.attrs.Float("epsilon", 1e-5))
	in := []*onnx.Value{x, c.value(1), c.value(2)}
	for i, v := range in[1:] {
		if v.Type.DType != x.Type.DType {
			in[1+i] = c.Op("CastLike", nil, v, x)
		}
	}
	y := c.Op("GroupNormalization", as, in...)
	if act == 1 {
		y = c.Op("Swish", nil, y)
	}
	if channelsLast {
		y = c.Op("Transpose", onnx.NewAttrs("perm", last), y)
	}
	return []*onnx.Value{y}, nil
}
