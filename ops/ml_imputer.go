package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// Imputer: elements that equal the replaced value (NaN equals NaN) become the
// imputed value, one for all features or one for each.
//
//	X: float32, float64, int64 or int32 [n, f] or [f]    Y: the same type and shape
//
// Floating-point inputs take the attributes that end in float(s), integers the
// others.
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxml_Imputer.html
func init() {
	register(&Op{
		Domain: "ai.onnx.ml", Name: "Imputer",
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), Infer: inferImputer, Build: buildImputer},
		},
	})
}

func inferImputer(c *InferContext) error { return inferSame(c) }

func buildImputer(b *BuildContext) (Kernel, error) {
	floats, ints := b.Floats("imputed_value_floats", nil), b.Ints("imputed_value_int64s", nil)
	rf, ri := b.Float("replaced_value_float", 0), b.Int("replaced_value_int64", 0)
	if len(floats) > 0 && len(ints) > 0 {
		return nil, fmt.Errorf("both imputed_value_floats and imputed_value_int64s are given")
	}
	return b.dispatch(0, byType{
		tensor.Float32: impute(rf, floats), tensor.Float64: impute(float64(rf), convertNumbers[float64](floats)),
		tensor.Int64: impute(int64(ri), convertNumbers[int64](ints)), tensor.Int32: impute(int32(ri), convertNumbers[int32](ints)),
	})
}

func convertNumbers[T, S float32 | float64 | int64 | int32 | int](s []S) []T {
	out := make([]T, len(s))
	for i, v := range s {
		out[i] = T(v)
	}
	return out
}

func impute[T float32 | float64 | int64 | int32](old T, imputed []T) Kernel {
	n := len(imputed)
	if n > 0 {
		imputed = periodic(imputed)
	}
	return func(c *Call) error {
		x := c.T(0)
		f, err := mlFeatures(x)
		if err != nil {
			return err
		}
		if n == 0 || n != 1 && n != f {
			return fmt.Errorf("%d imputed values for %v, want 1 or %d", n, x.DType(), f)
		}
		y := tensor.Data[T](c.Output(0, x.DType(), x.Shape()...))
		rows := (len(y) + len(imputed) - 1) / len(imputed)
		par.Run(c.P, rows, par.Grain(rows, float64(len(imputed))), par.With(imputeRun[T]{y, tensor.Data[T](x), imputed, old}))
		return nil
	}
}

// imputeRun replaces old in rows by the value that imputed has for the place.
type imputeRun[T float32 | float64 | int64 | int32] struct {
	y, x, imputed []T
	old           T
}

func (r *imputeRun[T]) Chunk(lo, hi int) {
	n := len(r.imputed)
	nan := r.old != r.old
	for i := lo; i < hi; i++ {
		y := r.y[i*n : min((i+1)*n, len(r.y))]
		x := r.x[i*n:][:len(y)]
		if y, ok := any(y).([]float32); ok && nan {
			imputeNaN(float32Words(y), float32Words(any(x).([]float32)), float32Words(any(r.imputed).([]float32)))
			continue
		}
		for k, v := range x {
			if v == r.old || nan && v != v {
				v = r.imputed[k]
			}
			y[k] = v
		}
	}
}

// imputeNaN replaces NaN among the bits of float32. It has no branches: what is missing has no pattern.
func imputeNaN(y, x, imputed []uint32) {
	x, imputed = x[:len(y)], imputed[:len(y)]
	for k, v := range x {
		if v&^(1<<31) > 0x7f800000 {
			v = imputed[k]
		}
		y[k] = v
	}
}
