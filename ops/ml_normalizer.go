package ops

import (
	"math"

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
	return func(c *Call) error {
		x, n, f, err := mlMatrix[float32](c)
		if err != nil {
			return err
		}
		y := tensor.Data[float32](c.Output(0, tensor.Float32, c.T(0).Shape()...))
		par.Each(c.P, n, max(1, (1<<14)/max(1, f)), normalizeRun{y, x, f, norm}, func(r *normalizeRun, lo, hi int) {
			for i := lo; i < hi; i++ {
				mlNormalizeRow(r.y[i*r.f:(i+1)*r.f], r.x[i*r.f:(i+1)*r.f], r.norm)
			}
		})
		return nil
	}, nil
}

type normalizeRun struct {
	y, x []float32
	f    int
	norm string
}

func mlNormalizeRow(y, x []float32, norm string) {
	d := float32(0)
	switch norm {
	case "MAX":
		d = float32(math.Inf(-1))
		for _, v := range x {
			d = max(d, v)
		}
	case "L1":
		for _, v := range x {
			d += mlAbs(v)
		}
	default:
		s := 0.0
		for _, v := range x {
			s += float64(v) * float64(v)
		}
		d = float32(math.Sqrt(s))
	}
	if d == 0 {
		copy(y, x)
		return
	}
	for i, v := range x {
		y[i] = v / d
	}
}
