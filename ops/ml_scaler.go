package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Scaler: Y = (X - offset) · scale, with one value for all features or one for
// each.
//
//	X: float32, float64, int64 or int32 [n, f] or [f]    Y: float32, same shape
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxml_Scaler.html
func init() {
	register(&Op{
		Domain: "ai.onnx.ml", Name: "Scaler", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), Infer: inferScaler, Build: buildScaler},
		},
	})
}

func inferScaler(c *InferContext) error { return inferFloat32(c) }

// inferFloat32 gives output 0 the shape of input 0 as float32.
func inferFloat32(c *InferContext) error {
	t := c.In(0)
	c.Out[0] = onnx.Type{Kind: onnx.TensorKind, DType: tensor.Float32, Ranked: t.Ranked, Dims: t.Dims}
	return nil
}

// mlFeatures returns the number of features of X: the size of dimension 1, or
// of 0 if there is no other.
func mlFeatures(t *tensor.Tensor) (int, error) {
	if t == nil || t.Rank() == 0 {
		return 0, fmt.Errorf("X has no dimensions, want at least 1")
	}
	return t.Dim(min(1, t.Rank()-1)), nil
}

func buildScaler(b *BuildContext) (Kernel, error) {
	offset, scale := b.Floats("offset", nil), b.Floats("scale", nil)
	if len(offset) != len(scale) || len(scale) == 0 {
		return nil, fmt.Errorf("offset and scale have %d and %d elements, want equal numbers", len(offset), len(scale))
	}
	period := len(scale)
	offset, scale = periodic(offset), periodic(scale)
	t := vec.Best()
	return func(c *Call) error {
		f, err := mlFeatures(c.T(0))
		if err != nil {
			return err
		}
		if period != 1 && period != f {
			return fmt.Errorf("scale has %d elements, want 1 or %d", period, f)
		}
		y := tensor.Data[float32](c.Output(0, tensor.Float32, c.T(0).Shape()...))
		if c.T(0).DType() == tensor.Float64 {
			return scaleFeatures(c, t, y, tensor.Data[float64](c.T(0)), offset, scale)
		}
		x, err := mlNumbers[float32](c, c.T(0))
		if err != nil {
			return err
		}
		return scaleFeatures(c, t, y, x, offset, scale)
	}, nil
}

// periodic returns as many copies of x as make 64 elements: rows of few features are gone
// through together.
func periodic[T any](x []T) []T { return slices.Repeat(x, (63+len(x))/len(x)) }

func scaleFeatures[T floating](c *Call, t *vec.Table, y []float32, x []T, offset, scale []float32) error {
	rows := (len(y) + len(scale) - 1) / len(scale)
	par.Run(c.P, rows, par.Grain(rows, float64(len(scale))/4), par.With(scalerRun[T]{t, y, x, offset, scale}))
	return nil
}

type scalerRun[T floating] struct {
	t             *vec.Table
	y             []float32
	x             []T
	offset, scale []float32
}

func (r *scalerRun[T]) Chunk(lo, hi int) {
	n := len(r.scale)
	end := min(hi*n, len(r.y))
	y, x := r.y[lo*n:end], r.x[lo*n:end]
	if x, ok := any(x).([]float32); ok {
		rows := len(y) / n
		r.t.Arith[vec.Sub].RowsVV(y, x, r.offset, n, rows, n, 0)
		r.t.Arith[vec.Mul].RowsVV(y, y, r.scale, n, rows, n, 0)
		if rest, x := y[rows*n:], x[rows*n:]; len(rest) > 0 {
			r.t.Sub(rest, x, r.offset[:len(rest)])
			r.t.Mul(rest, rest, r.scale[:len(rest)])
		}
		return
	}
	for ; len(y) > 0; y, x = y[min(n, len(y)):], x[min(n, len(y)):] {
		for i := range y[:min(n, len(y))] {
			y[i] = float32((x[i] - T(r.offset[i])) * T(r.scale[i]))
		}
	}
}
