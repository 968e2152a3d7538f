package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// Normalizer: each row divided by its largest element (MAX), the sum of its
// magnitudes (L1) or its Euclidean length (L2). A row whose norm is 0 stays as
// it is.
//
//	X: float32, float64, int64 or int32 [n, f] or [f]    Y: float32, same shape
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxml_Normalizer.html
func init() {
	register(&Op{
		Domain: "ai.onnx.ml", Name: "Normalizer", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), Infer: inferNormalizer, Build: buildNormalizer},
		},
	})
}

func inferNormalizer(c *InferContext) error {
	c.OneOf("norm", "MAX", "L1", "L2")
	return inferFloat32(c)
}

func buildNormalizer(b *BuildContext) (Kernel, error) {
	norm := b.OneOf("norm", "MAX", "L1", "L2")
	t := vec.Best()
	return func(c *Call) error {
		x, n, f, err := mlMatrix[float32](c)
		if err != nil {
			return err
		}
		y := tensor.Data[float32](c.Output(0, tensor.Float32, c.T(0).Shape()...))
		par.Each(c.P, n, par.Grain(n, 10+float64(f)/4), normalizeRun{t, y, x, f, norm}, (*normalizeRun).run)
		return nil
	}, nil
}

type normalizeRun struct {
	t    *vec.Table
	y, x []float32
	f    int
	norm string
}

func (r *normalizeRun) run(lo, hi int) {
	if r.f > 1 && r.f <= shortLine && hi-lo >= turnedFew {
		r.turned(lo, hi)
		return
	}
	const most = 64
	buf, pool := borrow[[most]float32]()
	defer pool.Put(buf)
	for f := r.f; lo < hi; lo += most {
		norms := buf[:min(most, hi-lo)]
		x, y := r.x[lo*f:][:len(norms)*f], r.y[lo*f:][:len(norms)*f]
		for i := range norms {
			norms[i] = r.divisor(x[i*f : (i+1)*f])
		}
		r.t.Arith[vec.Div].RowsVS(y, x, norms, f, len(norms), f, 1)
	}
}

// turned is run for many rows of few elements.
func (r *normalizeRun) turned(lo, hi int) {
	b, pool := borrow[turnedBuffers]()
	defer pool.Put(b)
	for f := r.f; lo < hi; {
		k := min(turnedLines, turnedMost/f, hi-lo)
		x, y, norms := r.x[lo*f:][:k*f], r.y[lo*f:][:k*f], b.best[:k]
		switch d := b.turn(x, k, f); r.norm {
		case "MAX":
			b.largest(r.t, d, k, f)
		case "L1":
			r.t.Abs(d, d)
			clear(norms)
			r.t.AddColumns(norms, d, f, k)
		default:
			r.t.Square(d, d)
			clear(norms)
			r.t.AddColumns(norms, d, f, k)
			for i, v := range norms {
				if v > 1e-30 && v < math.MaxFloat32/2 {
					norms[i] = float32(math.Sqrt(float64(v)))
				} else { // squares may not be float32
					norms[i] = r.divisor(x[i*f : (i+1)*f])
				}
			}
		}
		for i, v := range norms {
			if v == 0 {
				norms[i] = 1
			}
		}
		r.t.Arith[vec.Div].RowsVS(y, x, norms, f, k, f, 1)
		lo += k
	}
}

// divisor is the norm of a row, or 1 if it is 0.
func (r *normalizeRun) divisor(x []float32) float32 {
	d := float32(0)
	switch r.norm {
	case "MAX":
		d = r.t.Largest(x)
	case "L1":
		d = float32(r.t.SumAbs(x))
	default:
		sum := r.t.SumSquares(x, 0)
		if !(sum > 1e-30 && sum < math.MaxFloat32/2) { // squares may not be float32
			sum = 0
			for _, v := range x {
				sum += float64(v) * float64(v)
			}
		}
		d = float32(math.Sqrt(sum))
	}
	if d == 0 {
		return 1
	}
	return d
}
