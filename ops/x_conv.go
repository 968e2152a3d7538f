package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	f16 "github.com/gneiss-run/gneiss/internal/kernels/half"
	"github.com/gneiss-run/gneiss/internal/kernels/nhwc"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.Conv: Y = activation(Conv(X, W, B) + Z) with the channels of X, Z and Y
// last and one to three spatial dimensions. The attributes are those of Conv
// and FusedConv. Y may share Z's storage. X may come in parts of its channels: inputs
// behind Z follow the first one, as if Concat had joined them.
//
//	X: T[n, d…, c]    W: T[m, c/group, k…]    B: T[m], optional    Z: T[n, o…, m], optional    X…: T[n, d…, c…]
//	Y: T[n, o…, m]
//
// T: float16, bfloat16 (both computed in float32), float32, float64. A constant W may
// have 16 bits where X is float32.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Conv.html
func init() {
	register(&Op{
		Domain:   "x",
		Name:     "Conv",
		Numerics: Rounding,
		Flush:    true,
		Versions: []Version{{Since: 1, In: Arity{2, Many}, Out: N(1), InPlace: []int{3}, Infer: inferLast(inferConv), Build: buildLastConv}},
	})
}

func buildLastConv(b *BuildContext) (Kernel, error) {
	p := readConv(&b.attrs)
	var err error
	if p.act, err = newActivation(b.Str("activation", ""), b.Floats("activation_params", nil)); err != nil {
		return nil, err
	}
	if b.err != nil {
		return nil, nil
	}
	t := nhwc.Best()
	w := b.Const(1)
	isHalf := w != nil && (w.DType() == tensor.Float16 || w.DType() == tensor.BFloat16)
	wide := isHalf && b.In(0).DType == tensor.Float32
	if w != nil && (isHalf || w.DType() == tensor.Float32) && (wide || b.In(0).DType == w.DType()) {
		if c := p.channels(w.Shape()); c > 0 {
			times := p.multiplier(w.Shape())
			if times > 1 {
				c *= times
				p.group = c
			}
			winograd := p.winograd(b.In(0), w.Shape(), t)
			pixels := b.env.BFloat16 && !isHalf && f16.HasPairs() && p.group == 1 && p.ofPixels(w.Shape()[2:])
			sums := !winograd && !pixels && t.Sums(w.Dim(0), c, p.group, w.Shape()[2:], orOnes(p.strides, w.Rank()-2))
			layout := fmt.Sprintf("nhwc %d %s %v", p.group, t.Name, winograd)
			switch {
			case pixels:
				layout += " bfloat16"
			case sums:
				layout += " sums"
			}
			q, err := b.Pack(1, layout, func() (any, error) {
				var data []float32
				if isHalf {
					buf := widenedWeights(w)
					defer buf.Return()
					data = buf.S
				} else {
					data = tensor.Data[float32](w)
				}
				switch {
				case pixels:
					return nhwc.PackPixels(data, w.Dim(0), c, w.Rank()-2), nil
				case winograd:
					return nhwc.PackWinograd(t, data, w.Dim(0), c), nil
				case sums:
					return nhwc.PackSums(data, w.Dim(0), c, w.Shape()[2:]), nil
				}
				return nhwc.Pack(t, data, w.Dim(0), c, p.group, w.Shape()[2:]), nil
			})
			if err != nil {
				return nil, err
			}
			z, ok := q.(*nhwc.Weights[float32])
			if !ok || z.M != w.Dim(0) || z.C != c || z.Group != p.group || z.Winograd() != winograd || !slices.Equal(z.Kernel, w.Shape()[2:]) {
				return nil, fmt.Errorf("packed weights of another shape than %v", w.Shape()) // from a file
			}
			if isHalf && !wide {
				return throughFloat32But(lastConvKernel(p, t, z, times), 0, 1), nil
			}
			return lastConvKernel(p, t, z, times), nil
		}
	}
	f32 := lastConvKernel[float32](p, t, nil, 1)
	half := throughFloat32(f32, 0)
	return b.dispatch(0, byType{tensor.Float32: f32, tensor.Float64: lastConvKernel[float64](p, t, nil, 1), tensor.Float16: half, tensor.BFloat16: half})
}

// channels returns the number of input channels for which the shape of W is
// possible, else 0.
func (p *convParams) channels(w []int) int {
	if len(w) < 3 || len(w) > 5 || w[0]%p.group != 0 || w[1] > math.MaxInt32 || slices.Contains(w, 0) || p.kernel != nil && !slices.Equal(p.kernel, w[2:]) {
		return 0
	}
	return w[1] * p.group
}

// multiplier returns how many output channels each input channel has where it pays to repeat the
// channels and convolve each by its own kernel: a group of one channel and a few fills little of
// a tile.
func (p *convParams) multiplier(w []int) int {
	if p.group <= 8 {
		return 1
	}
	return depthMultiplier(w, p.group)
}

// depthMultiplier returns how many outputs each channel has in a convolution of weights w where
// groups are single channels and have a few, else 1.
func depthMultiplier(w []int, group int) int {
	if k := w[0] / group; w[1] == 1 && group > 1 && w[0]%group == 0 && k > 1 && k <= 8 {
		return k
	}
	return 1
}

// repeatChannels returns x with every element repeated a number of times.
func repeatChannels[T tensor.Element](c *Call, x []T, times int) []T {
	out := Scratch[T](c, len(x)*times)
	par.Run(c.P, len(x), par.Grain(len(x), float64(times)/2), par.With(repeatRun[T]{out, x, times}))
	return out
}

type repeatRun[T tensor.Element] struct {
	out, x []T
	times  int
}

func (r *repeatRun[T]) Chunk(lo, hi int) {
	out, n := r.out[lo*r.times:hi*r.times], r.times
	if n == 2 {
		for i, v := range r.x[lo:hi] {
			*(*[2]T)(out[2*i:]) = [2]T{v, v}
		}
		return
	}
	for i, v := range r.x[lo:hi] {
		for k := range out[i*n:][:n] {
			out[i*n+k] = v
		}
	}
}

// ofPixels reports whether each position sees one pixel, that at its place.
func (p *convParams) ofPixels(kernel []int) bool {
	one := func(s []int) bool { return !slices.ContainsFunc(s, func(n int) bool { return n != 1 }) }
	return one(kernel) && one(p.strides) && !slices.ContainsFunc(p.pads, func(n int) bool { return n != 0 })
}

// winograd reports whether Winograd's method pays for images of type x. It is
// right for images of any size; those whose size is not known are taken to be
// large, as small ones do not take long in any case.
func (p *convParams) winograd(x onnx.Type, w []int, t *nhwc.Table) bool {
	if !x.Ranked || len(x.Dims) != len(w) {
		return false
	}
	const large = 64
	in := make([]int, len(w)-2)
	for i := range in {
		var ok bool
		if in[i], ok = x.Dims[i+1].Size(); !ok {
			in[i] = large
		}
	}
	win, err := p.over(in, w[2:])
	return err == nil && t.Winograd(w[0], w[1]*p.group, p.group, &win.Window)
}

// lastConvKernel returns the kernel for packed weights, or for any. Packed ones may be those of
// a depthwise convolution over images whose channels are repeated a number of times.
func lastConvKernel[T nhwc.Float](p convParams, table *nhwc.Table, packed *nhwc.Weights[T], times int) Kernel {
	d := tensor.DTypeOf[T]()
	var end nhwc.Epilogue[T]
	end.Clamp, end.Lo, end.Hi, end.Act = limits[T](p.act)
	return func(c *Call) error {
		x, wt, bias, z := c.T(0), c.T(1), c.T(2), c.T(3)
		n, in, ch, err := lastShape(x.Shape())
		if err != nil {
			return err
		}
		s := State[lastConvState[T]](c)
		defer s.end()
		if len(c.In) > lastConvParts {
			if ch, err = s.addParts(c, x); err != nil {
				return err
			}
		}
		w := packed
		if w == nil {
			if wt.DType() != d {
				return fmt.Errorf("X is %v, W is %v, want the same", x, wt)
			}
			ws := wt.Shape()
			if len(ws) != len(in)+2 || p.kernel != nil && !slices.Equal(p.kernel, ws[2:]) || ch%p.group != 0 || ch/p.group != ws[1] || ws[0]%p.group != 0 {
				return fmt.Errorf("X has shape %v and has %d channels in all, W has shape %v, want channels in %d groups and a kernel of %v", x.Shape(), ch, ws, p.group, p.kernel)
			}
			w = lastPacker[T](c).Pack(c.P, table, tensor.Data[T](wt), ws[0], ch, p.group, ws[2:])
		} else if x.DType() != d || w.C != ch*times || len(w.Kernel) != len(in) {
			return fmt.Errorf("X is %v and has %d channels in all, want %d channels and %d spatial dimensions of %v", x, ch, w.C/times, len(w.Kernel), d)
		}
		a, err := s.begin(c, in, w.Kernel, func(in, kernel []int) (conv.Window, error) {
			win, err := p.over(in, kernel)
			return win.Window, err
		})
		if err != nil {
			return err
		}
		a.N, a.W, a.Epilogue, a.Table = n, w, end, table
		const few = 16 // pixels for which the weights are what takes time
		switch {
		case len(s.parts) == 0:
			a.X = tensor.Data[T](x)
		case w.Takes(s.parts) && p.ofPixels(w.Kernel) && n*sizeOf(in) > few:
			a.Parts = s.parts
		default:
			a.X = s.joined(c, n*sizeOf(in), ch)
		}
		if times > 1 {
			a.X = repeatChannels(c, a.X, times)
		}
		if bias != nil {
			if bias.DType() != d || bias.Rank() != 1 || bias.Len() != w.M {
				return fmt.Errorf("B is %v, want %v[%d]", bias, d, w.M)
			}
			a.B = tensor.Data[T](bias)
		}
		y := c.Output(0, d, lastDims(c.Dims(len(in)+2), n, a.Out, w.M)...)
		a.Y = tensor.Data[T](y)
		if z != nil {
			if z.DType() != d || !slices.Equal(z.Shape(), y.Shape()) {
				return fmt.Errorf("Z is %v, want %v", z, y)
			}
			a.Z = tensor.Data[T](z)
		}
		nhwc.Conv(c.P, a)
		return nil
	}
}

// lastPacker packs weights that are no constants into memory of the call: every
// instruction keeping its own would hold all weights once more.
func lastPacker[T nhwc.Float](c *Call) *nhwc.Packer[T] {
	return &nhwc.Packer[T]{Memory: func(n int) []T { return Scratch[T](c, n) }}
}

// lastConvState is what a convolution keeps from run to run: its window over
// images of the shape that the last one had, and room for its arguments.
type lastConvState[T nhwc.Float] struct {
	in, kernel []int
	win        conv.Window
	args       nhwc.Args[T]
	parts      []nhwc.Part[T]
	c          *Call
	scratch    func(n int) []T
}

// begin returns arguments with the window of kernel over in, which over makes.
func (s *lastConvState[T]) begin(c *Call, in, kernel []int, over func(in, kernel []int) (conv.Window, error)) (*nhwc.Args[T], error) {
	if s.scratch == nil || !slices.Equal(in, s.in) || !slices.Equal(kernel, s.kernel) {
		s.scratch = nil
		s.in, s.kernel = slices.Clone(in), slices.Clone(kernel)
		var err error
		if s.win, err = over(s.in, s.kernel); err != nil {
			return nil, err
		}
		s.scratch = func(n int) []T { return Scratch[T](s.c, n) }
	}
	s.c, s.args = c, nhwc.Args[T]{Window: s.win, Scratch: s.scratch}
	return &s.args, nil
}

// end lets go of what belongs to the run.
func (s *lastConvState[T]) end() {
	clear(s.parts)
	s.c, s.args, s.parts = nil, nhwc.Args[T]{}, s.parts[:0]
}

// lastConvParts is the first input that has further channels of X.
const lastConvParts = 4

// addParts sets s.parts to x and the inputs that have further channels, and returns the number of all.
func (s *lastConvState[T]) addParts(c *Call, x *tensor.Tensor) (channels int, err error) {
	last, d := x.Rank()-1, tensor.DTypeOf[T]()
	for i := lastConvParts - 1; i < len(c.In); i++ {
		t := x
		if i >= lastConvParts {
			t = c.T(i)
		}
		if t == nil || t.DType() != d || t.Rank() != x.Rank() || !slices.Equal(t.Shape()[:last], x.Shape()[:last]) {
			return 0, fmt.Errorf("input %d is %v, X is %v, want %v with other channels", i, t, x, d)
		}
		if t.Dim(last) > math.MaxInt32-channels {
			return 0, fmt.Errorf("%w: input %d has %d channels", tensor.ErrSize, i, t.Dim(last))
		}
		channels += t.Dim(last)
		s.parts = append(s.parts, nhwc.Part[T]{X: tensor.Data[T](t), C: t.Dim(last)})
	}
	return channels, nil
}

// joined returns the parts as one, of so many pixels and channels.
func (s *lastConvState[T]) joined(c *Call, pixels, channels int) []T {
	out := Scratch[T](c, pixels*channels)
	par.Run(c.P, pixels, par.Grain(pixels, par.Nanos(0, float64(8*channels))), par.With(joinParts[T]{out, s.parts}))
	return out
}

type joinParts[T nhwc.Float] struct {
	out   []T
	parts []nhwc.Part[T]
}

func (j *joinParts[T]) Chunk(lo, hi int) {
	at := 0
	for _, p := range j.parts {
		at += lo * p.C
	}
	for q := lo; q < hi; q++ {
		for _, p := range j.parts {
			at += copy(j.out[at:], p.X[q*p.C:(q+1)*p.C])
		}
	}
}

// lastDims sets to, which has the room, to [n, spatial…, c].
func lastDims(to []int, n int, spatial []int, c int) []int {
	return append(append(append(to[:0], n), spatial...), c)
}

// limits returns an activation as limits, or as a function.
func limits[T nhwc.Float](a activation) (clamp bool, lo, hi T, act func([]T)) {
	switch a.name {
	case "Relu":
		return true, 0, T(math.Inf(1)), nil
	case "Clip":
		return true, T(a.params[0]), T(a.params[1]), nil
	}
	return false, 0, 0, activationFor[T](a)
}
