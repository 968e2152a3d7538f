package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/fft"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// STFT: the discrete Fourier transforms of frames of a signal, each multiplied
// by a window.
//
//	signal: T[b, l, 1] or T[b, l] (real) or T[b, l, 2] (real and imaginary parts)
//	frame_step: scalar    window (optional): T[n], ones if absent    frame_length (optional): n, scalar
//	output: T[b, (l-n)/frame_step + 1, n, 2], or n/2+1 elements with onesided = 1 (the default)
//
// Without window and frame_length n is l. Computed in float64, for any n. The
// standard has no signals [b, l]; PyTorch's exporter writes them, and ONNX
// Runtime takes them.
//
// Spec: https://onnx.ai/onnx/operators/onnx__STFT.html (17)
func init() {
	register(&Op{Name: "STFT", Numerics: Rounding, Versions: []Version{
		{Since: 17, In: Arity{2, 4}, Out: N(1), Infer: inferSTFT, Build: buildSTFT, Expand: expandSTFT},
	}})
}

func inferSTFT(c *InferContext) error {
	x, w := c.In(0), c.In(2)
	onesided := c.Bool("onesided", true)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if len(x.Dims) != 2 && len(x.Dims) != 3 {
		return nil
	}
	n := x.Dims[1]
	switch {
	case c.Has(3):
		n = knownInt(c, 3)
	case c.Has(2):
		n = onnx.Dim{}
		if len(w.Dims) == 1 {
			n = w.Dims[0]
		}
	}
	frames := x.Dims[1].Sub(n).FloorDiv(knownInt(c, 1)).Add(onnx.Size(1))
	if onesided {
		n = n.FloorDiv(onnx.Size(2)).Add(onnx.Size(1))
	}
	c.Out[0] = onnx.TensorType(x.DType, x.Dims[0], frames, n, onnx.Size(2))
	return nil
}

func buildSTFT(b *BuildContext) (Kernel, error) {
	onesided := b.Bool("onesided", true)
	return b.realKernels(0, stftKernel[float32](onesided), stftKernel[float64](onesided))
}

func stftKernel[T floating](onesided bool) Kernel {
	return func(c *Call) error {
		xt := c.T(0)
		if xt.Rank() != 2 && (xt.Rank() != 3 || xt.Dim(2) != 1 && xt.Dim(2) != 2) {
			return fmt.Errorf("signal has shape %v, want [b l], [b l 1] or [b l 2]", xt.Shape())
		}
		b, l, parts := xt.Dim(0), xt.Dim(1), 1
		if xt.Rank() == 3 {
			parts = xt.Dim(2)
		}
		if onesided && parts == 2 {
			return fmt.Errorf("signal has shape %v, want a real one for onesided = 1", xt.Shape())
		}
		step, ok, err := scalarInt(c, 1, "frame_step")
		if err != nil {
			return err
		}
		if !ok || step < 1 {
			return fmt.Errorf("frame_step is %d, want 1 or more", step)
		}
		n, ok, err := scalarInt(c, 3, "frame_length")
		if err != nil {
			return err
		}
		window, err := reals[T](c, 2)
		if err != nil {
			return err
		}
		switch {
		case !ok && window != nil:
			n = len(window)
		case !ok:
			n = l
		}
		if n < 1 || n > l {
			return fmt.Errorf("frame_length is %d, want 1 to the %d of the signal", n, l)
		}
		if c.Has(2) && (c.T(2).Rank() != 1 || len(window) != n) {
			return fmt.Errorf("window has shape %v, want [%d]", c.T(2).Shape(), n)
		}
		x, err := reals[T](c, 0)
		if err != nil {
			return err
		}
		d := dft{n: n, onesided: onesided}
		count, _ := d.outputs()
		frames := (l-n)/step + 1
		y, done := realsOut[T](c, 0, xt.DType(), b, frames, count, 2)
		f := fftPlan(c, b*frames, n)
		par.Run(c.P, b*frames, 1+normGrain/8/n, par.With(stftFrames[T]{d, f, y, x, window, l, step, frames, parts, count}))
		done()
		return nil
	}
}

// stftFrames are the frames of signals of length l.
type stftFrames[T floating] struct {
	d                             dft
	f                             *fft.Plan
	y, x, window                  []T
	l, step, frames, parts, count int
}

func (a *stftFrames[T]) Chunk(lo, hi int) {
	line := a.f.Line()
	defer a.f.Done(line)
	buf, window, parts, count := line.X, a.window, a.parts, a.count
	for t := lo; t < hi; t++ {
		src := a.x[(t/a.frames*a.l+t%a.frames*a.step)*parts:]
		for i := range buf {
			w, im := 1.0, 0.0
			if window != nil {
				w = float64(window[i])
			}
			if parts == 2 {
				im = float64(src[2*i+1])
			}
			buf[i] = complex(w*float64(src[i*parts]), w*im)
		}
		a.d.line(a.f, line, parts == 1)
		out := a.y[t*count*2:][:count*2]
		for i := 0; i < count; i++ {
			out[2*i], out[2*i+1] = T(real(buf[i])), T(imag(buf[i]))
		}
	}
}

// expandSTFT: frames by Gather, windowed, and their DFT.
func expandSTFT(c *ExpandContext) ([]*onnx.Value, error) {
	x, window, length := c.value(0), c.value(2), c.value(3)
	number := func(v int64) *onnx.Value { return c.Const(tensor.Scalar(v)) }
	scalar := func(v *onnx.Value) *onnx.Value {
		return c.Op("Reshape", nil, c.Op("Cast", onnx.NewAttrs("to", int(tensor.Int64)), v), c.Builder.Ints())
	}
	l := scalar(c.sizeAt(x, 1))
	n := l
	switch {
	case length != nil:
		n = scalar(length)
	case window != nil:
		n = scalar(c.Op("Shape", nil, window))
	}
	starts := c.Op("Range", nil, number(0), c.Op("Add", nil, c.Op("Sub", nil, l, n), number(1)), scalar(c.value(1)))
	at := c.Op("Add", nil, c.Op("Unsqueeze", nil, starts, c.Builder.Ints(1)), c.Op("Range", nil, number(0), n, number(1)))
	frames := c.Op("Gather", onnx.NewAttrs("axis", 1), x, at) // [b, frames, n, parts]
	if window != nil {
		frames = c.Op("Mul", nil, frames, c.Op("Unsqueeze", nil, window, c.Builder.Ints(1)))
	}
	as := onnx.NewAttrs("onesided", c.Bool("onesided", true))
	if c.node.Opset < 20 {
		as = as.Set("axis", 2)
	}
	return []*onnx.Value{c.Op("DFT", as, frames)}, nil
}
