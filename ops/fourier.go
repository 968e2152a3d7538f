package ops

import (
	"fmt"
	"math/cmplx"

	"github.com/gneiss-run/gneiss/internal/kernels/fft"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// scalarInt returns input i, one integer; ok is false if it is absent.
func scalarInt(c *Call, i int, name string) (v int, ok bool, err error) {
	if !c.Has(i) {
		return 0, false, nil
	}
	list, err := c.Ints(i)
	if err != nil {
		return 0, false, fmt.Errorf("%s: %w", name, err)
	}
	if len(list) != 1 {
		return 0, false, fmt.Errorf("%s has shape %v, want a scalar", name, c.T(i).Shape())
	}
	return list[0], true, nil
}

// knownInt returns input i as a Dim if it is known.
func knownInt(c *InferContext, i int) onnx.Dim {
	if v, ok := c.KnownInts(i); ok && len(v) == 1 {
		return v[0]
	}
	return onnx.Dim{}
}

// dft transforms lines of complex numbers, given as real and imaginary parts or
// as real parts alone, in float64.
type dft struct {
	n        int  // length of the transform
	inverse  bool // with the factor 1/n
	onesided bool // forward: only the first n/2+1 results; inverse: only as many inputs, real results
}

// outputs returns how many numbers a line gives, and their parts: 2 or 1.
func (d dft) outputs() (count, parts int) {
	switch {
	case d.onesided && d.inverse:
		return d.n, 1
	case d.onesided:
		return d.n/2 + 1, 2
	}
	return d.n, 2
}

// line transforms l.X in place, of which the first elements have been set (n/2+1 for
// onesided inverse), the rest being 0. With real, the imaginary parts of what a
// forward transform gets are 0.
func (d dft) line(f *fft.Plan, l *fft.Line, real bool) {
	buf, work := l.X, l.Work
	switch {
	case !d.inverse && d.onesided:
		f.Real(buf, work)
	case !d.inverse && real:
		f.Real(buf, work)
		for k := d.n/2 + 1; k < d.n; k++ {
			buf[k] = cmplx.Conj(buf[d.n-k])
		}
	case !d.inverse:
		f.Forward(buf, work)
	default:
		if d.onesided {
			f.InverseReal(buf, work)
		} else {
			f.Inverse(buf, work)
		}
		scale := complex(1/float64(d.n), 0)
		for i := range buf {
			buf[i] *= scale
		}
	}
}

// fftState is the plan of the transforms of an instruction's last run.
type fftState struct{ plan *fft.Plan }

// fftPlan returns the plan for lines of n elements. If there are none it returns nil: n may be of
// any size then.
func fftPlan(c *Call, lines, n int) *fft.Plan {
	if lines == 0 {
		return nil
	}
	s := State[fftState](c)
	if s.plan == nil || s.plan.Len() != n {
		s.plan = fft.New(n)
	}
	return s.plan
}

// runDFT transforms x, seen as [outer, n, inner, parts], to y [outer, count,
// inner, parts]. take is how many elements of a line are read.
func runDFT[T floating](c *Call, d dft, y, x []T, outer, n, inner, parts int) {
	count, outParts := d.outputs()
	take := min(n, d.n)
	if d.inverse && d.onesided {
		take = min(n, d.n/2+1)
	}
	f := fftPlan(c, outer*inner, d.n)
	par.Run(c.P, outer*inner, 1+normGrain/8/d.n, par.With(dftLines[T]{d, f, y, x, n, inner, parts, take, count, outParts}))
}

// dftLines are the lines of runDFT.
type dftLines[T floating] struct {
	d                                      dft
	f                                      *fft.Plan
	y, x                                   []T
	n, inner, parts, take, count, outParts int
}

func (a *dftLines[T]) Chunk(lo, hi int) {
	l := a.f.Line()
	defer a.f.Done(l)
	buf, x, y, n, inner, parts, count := l.X, a.x, a.y, a.n, a.inner, a.parts, a.count
	for t := lo; t < hi; t++ {
		o, j := t/inner, t%inner
		clear(buf)
		for i := 0; i < a.take; i++ {
			at := ((o*n+i)*inner + j) * parts
			im := T(0)
			if parts == 2 {
				im = x[at+1]
			}
			buf[i] = complex(float64(x[at]), float64(im))
		}
		a.d.line(a.f, l, parts == 1)
		for i := 0; i < count; i++ {
			at := ((o*count+i)*inner + j) * a.outParts
			y[at] = T(real(buf[i]))
			if a.outParts == 2 {
				y[at+1] = T(imag(buf[i]))
			}
		}
	}
}

// windowVersions is the version table of a window function: value gives
// element i of a window whose period is n.
func windowVersions(value func(i, n float64) float64) []Version {
	return []Version{{Since: 17, In: N(1), Out: N(1), Infer: inferWindow, Build: func(b *BuildContext) (Kernel, error) {
		periodic, d := b.Bool("periodic", true), b.DType("output_datatype", tensor.Float32)
		if err := numericType(d); err != nil {
			return nil, err
		}
		return func(c *Call) error {
			size, _, err := scalarInt(c, 0, "size")
			if err != nil {
				return err
			}
			if size < 0 {
				return fmt.Errorf("size is %d, want 0 or more", size)
			}
			n := float64(size)
			if !periodic {
				n--
			}
			out := c.Output(0, d, size)
			v := Scratch[float64](c, size)
			for i := range v {
				v[i] = value(float64(i), n)
			}
			storeCut(out, v)
			return nil
		}, nil
	}}}
}

func inferWindow(c *InferContext) error {
	c.Ignore("periodic")
	c.Out[0] = onnx.TensorType(c.DType("output_datatype", tensor.Float32), knownInt(c, 0))
	return nil
}

// numericType says whether storeCut can write type d.
func numericType(d tensor.DType) error {
	switch d {
	case tensor.Float32, tensor.Float64, tensor.Float16, tensor.BFloat16, tensor.Int8, tensor.Int16, tensor.Int32, tensor.Int64,
		tensor.Uint8, tensor.Uint16, tensor.Uint32, tensor.Uint64:
		return nil
	}
	return fmt.Errorf("%w: attribute \"output_datatype\" is %v", ErrUnsupported, d)
}

// storeCut writes v to a tensor of a type that numericType allows; integers
// are cut towards 0.
func storeCut(dst *tensor.Tensor, v []float64) {
	switch dst.DType() {
	case tensor.Int8:
		cutNumbers(tensor.Data[int8](dst), v)
	case tensor.Int16:
		cutNumbers(tensor.Data[int16](dst), v)
	case tensor.Int32:
		cutNumbers(tensor.Data[int32](dst), v)
	case tensor.Int64:
		cutNumbers(tensor.Data[int64](dst), v)
	case tensor.Uint8:
		cutNumbers(tensor.Data[uint8](dst), v)
	case tensor.Uint16:
		cutNumbers(tensor.Data[uint16](dst), v)
	case tensor.Uint32:
		cutNumbers(tensor.Data[uint32](dst), v)
	case tensor.Uint64:
		cutNumbers(tensor.Data[uint64](dst), v)
	default:
		storeReals(dst, v)
	}
}

func cutNumbers[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64](dst []T, v []float64) {
	for i, x := range v {
		dst[i] = T(int64(x))
	}
}
